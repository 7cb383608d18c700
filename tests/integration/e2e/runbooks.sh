#!/usr/bin/env bash
# The runbooks, practised as they stand, each on a development gateway with two tokens.
export SEALGATE_DEV_TOKENS=2
. "$(dirname "$0")/../lib.sh"
command -v pkcs11-tool >/dev/null || { echo "pkcs11-tool is not installed: ops/deps test"; exit 77; }
own_instance runbooks
"$top/ops/dev" down
for page in "$top"/ops/runbooks/*-*.md; do
    "$top/tests/docs/commands.sh" "$page" >"$work/said" 2>&1 || { cat "$work/said"; fail "a command of ${page##*/}"; }
    ok "${page##*/}"
done
"$top/ops/dev" up
