#!/bin/sh
# names.sh [--also PREFIX] LIBRARY...: every external symbol of our static libraries begins with
# sg_ (or with the other prefix), because they are linked with many others' code.
prefix=sg_
if [ "$1" = --also ]; then
    prefix="(sg_|$2)"
    shift 2
fi
[ $# -gt 0 ] || { echo "usage: names.sh [--also PREFIX] LIBRARY..."; exit 2; }

for library in "$@"; do
    # What begins with two underscores belongs to the compiler: sanitizers and coverage add such.
    # Output of nm -P: name, type, value, size; a line with a colon names a member.
    "${NM:-nm}" -P --defined-only --extern-only "$library" |
        awk -v library="$library" -v prefix="^$prefix" '
            /:$/ || NF < 2 { next }
            { seen++ }
            $1 !~ prefix && $1 !~ /^__/ { printf "%s: symbol %s\n", library, $1; bad = 1 }
            END {
                if (seen == 0) { printf "%s: no symbol seen\n", library; bad = 1 }
                exit bad
            }' || failed=1
done
exit ${failed:-0}
