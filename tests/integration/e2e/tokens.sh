#!/usr/bin/env bash
# What an operator does with tokens from the command line: look, drain, resume, compare; and that the
# audit log has who did it, and why.
. "$(dirname "$0")/../lib.sh"
own_instance tokens
cd "$work"

says() { # TEXT COMMAND...: it succeeds, and says so
    local text=$1
    shift
    "$@" >said 2>&1 || { cat said; fail "$*"; }
    grep -qF -- "$text" said || { cat said; fail "$* does not say \"$text\""; }
}
ends() { # STATUS COMMAND...
    local wanted=$1 rc=0
    shift
    "$@" >said 2>&1 || rc=$?
    [ $rc = "$wanted" ] || { cat said; fail "$* ended with $rc, not $wanted"; }
}
signs() { sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig >/dev/null 2>said; }

within 10 signs || fail "it does not sign"
says "tokens/softhsm" sealgate tokens list
says '"state":"up"' sealgate tokens list --output json
says "0 unusable, 0 quarantined" sealgate tokens show softhsm
ends 5 sealgate tokens show nowhere
ends 2 sealgate tokens drain softhsm
ok "tokens are listed and shown"

says "draining" sealgate tokens drain softhsm --reason "new firmware"
! signs || fail "a token that is drained signs"
grep -q "UNAVAILABLE\|TOKEN_" said || { cat said; fail "no word of the token"; }
ends 1 sealgate health
kill -9 "$(role_pid gateway)"
within 10 says "draining" sealgate tokens show softhsm
! signs || fail "a gateway that was started again signs with a token that was drained"
says "up" sealgate tokens resume softhsm --reason "firmware 7.2 is on it"
within 5 signs || { cat said; fail "a token that was resumed does not sign"; }
ends 0 sealgate health
ok "drained, it signs nothing, nor after a restart; resumed, it does"

ends 0 sealgate tokens compare softhsm softhsm
grep -q "can do without it for" said || fail "compare says nothing"
ok "compared with itself nothing is missing"

sealgate audit tail --lines 50 >said 2>&1 || true
grep -q "token-drained.*new firmware" said || { cat said; fail "the log does not say why it was drained"; }
grep -q "token-resumed.*firmware 7.2" said || { cat said; fail "the log does not say why it was resumed"; }
ok "the audit log has who did it, and why"

(eval "$("$top/ops/dev" env guest)"; ends 4 sealgate tokens drain softhsm --reason mischief) ||
    fail "the guest was not denied"
ok "a caller that may not is denied"
