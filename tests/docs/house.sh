#!/usr/bin/env bash
# house.sh: the commands of ops/ and the benchmarks tell their help, and do nothing else meanwhile: they build nothing, and
# the gateway under .dev/ goes on. What ops/dev builds is as readable as its caller wants it.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/../../ops/lib/common.sh"
work=$(mktemp -d)
trap 'kill "${gateway:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

# In the place of the compiler: says under which umask it was to build, and fails.
mkdir -p "$work/bin" "$work/dev/run"
printf '#!/bin/sh\numask >%s/built\nexit 1\n' "$work" >"$work/bin/cmake"
chmod +x "$work/bin/cmake"
export PATH=$work/bin:$PATH SEALGATE_DEV_DIR=$work/dev
unset SEALGATE_BUILD

# In the place of the gateway under .dev/: what ops/dev takes for the process that it began.
(exec -a "sealgated run --config $work/dev/sealgate.yaml" setsid sleep 600) &
gateway=$!
echo "$gateway" >"$work/dev/run/pid"

helps() { # COMMAND...
    timeout 30 "$@" --help >"$work/help" 2>&1 || fail "$* --help: $(cat "$work/help")"
    [ "$(wc -l <"$work/help")" -ge 3 ] || fail "$* --help says too little: $(cat "$work/help")"
    kill -0 "$gateway" 2>/dev/null || fail "$* --help stops the gateway under .dev/"
    [ ! -e "$work/built" ] || fail "$* --help builds"
}
for command in "$top"/ops/*; do
    [ ! -f "$command" ] || [ ! -x "$command" ] || helps "$command"
done
for bench in "$top"/tests/bench/*; do
    [ ! -f "$bench" ] || [ ! -x "$bench" ] || [[ $bench == *.py ]] || helps "$top/ops/bench" "${bench##*/}"
done

kill "$gateway"
wait "$gateway" 2>/dev/null || true
for mask in 0022 0027; do
    rm -f "$work/built"
    (umask "$mask" && ! "$top/ops/dev" up >/dev/null 2>&1) || fail "it is up without a build"
    [ "$(cat "$work/built" 2>/dev/null)" = "$mask" ] || fail "built under umask $(cat "$work/built"), not $mask"
done
echo "ok: $top/ops"
