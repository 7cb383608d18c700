#!/bin/sh
# exports.sh LIBRARY_DIR: the libraries show the functions of the installed headers and nothing else, which are
# those of the map, at its version; and the shared one needs only what it may need.
set -eu
shared=$1/libsealgate.so static=$1/libsealgate.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm=${NM:-nm}

# Declarations and nothing in comments: a name with a bracket behind it, after SEALGATE_API.
cat client/include/*.h | tr '\n' ' ' | grep -o 'SEALGATE_API [^;(]*(' |
    grep -o 'sealgate_[a-z0-9_]*(' | tr -d '(' | sort >"$work/header"
[ "$(wc -l <"$work/header")" -gt 20 ] || { echo "too few functions seen in the headers"; exit 1; }

$nm -D --defined-only "$shared" | awk '$2 == "T" {sub(/@.*/, "", $3); print $3}' | sort >"$work/shared"
diff "$work/header" "$work/shared" || { echo "$shared shows other functions than the header"; exit 1; }
sed -n 's/^ *\(sealgate_[a-z0-9_]*\);$/\1/p' client/lib/sealgate.map | sort >"$work/map"
diff "$work/header" "$work/map" || { echo "client/lib/sealgate.map has other functions than the header"; exit 1; }
$nm -D --defined-only "$shared" | awk '$2 == "T" {print $3}' | grep -v '@@SEALGATE_0$' &&
    { echo "$shared shows functions without their version"; exit 1; }
# Coverage and sanitizers add names of their own, which begin with two underscores.
$nm -g --defined-only "$static" | awk 'NF == 3 && $3 !~ /^__/ {print $3}' | sort >"$work/static"
diff "$work/header" "$work/static" || { echo "$static shows other functions than the header"; exit 1; }

objdump -p "$shared" | grep -q 'SONAME *libsealgate.so.0$' || { echo "wrong soname"; exit 1; }
objdump -p "$shared" | awk '$1 == "NEEDED" {print $2}' |
    grep -Ev '^(libc|libm|libssl|libcrypto|libnghttp2|libprotobuf-c|lib(a|t|ub)san|libgcov|libpthread|libgcc_s|ld-linux[-_a-z0-9]*)\.so' &&
    { echo "libsealgate needs more than it may"; exit 1; }
exit 0
