#!/usr/bin/env bash
# The page about HSMs that fail, run as it stands, on a development gateway with two tokens.
export SEALGATE_DEV_TOKENS=2
. "$(dirname "$0")/../lib.sh"
own_instance two_tokens
"$top/ops/dev" down
"$top/tests/docs/commands.sh" "$top/docs/failover.md" || fail "a command of docs/failover.md"
ok "docs/failover.md"
"$top/ops/dev" up
