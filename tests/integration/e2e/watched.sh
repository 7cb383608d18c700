#!/usr/bin/env bash
# What systemd asks of a service, by the real programs and somebody who plays systemd: readiness,
# reloading and stopping are told, the watchdog is fed by loops that turn and by no others, sockets
# are inherited, and a PIN comes as a credential that the token process alone is shown.
. "$(dirname "$0")/../lib.sh"
own_instance watched
cd "$work"
"$top/ops/dev" down
sealgated=$SEALGATE_BUILD/bin/sealgated
export SOFTHSM2_CONF=$dir/token/softhsm2.conf

pids=()
: >log
end() {
    local rc=$?
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    [ $rc = 0 ] || tail -n 40 log said >&2
    cat log >>"$dir/log" # where sanitizers are looked for
    instance_end $rc
}
trap end EXIT
signs() { sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig "$@" >/dev/null 2>&1; }
children() { # PARENT ROLE
    local process
    for process in /proc/[0-9]*; do
        if grep -qx "PPid:[[:space:]]*$1" "$process/status" 2>/dev/null &&
            tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q "sealgated $2 "; then
            echo "${process#/proc/}"
        fi
    done
}
has_variable() { tr '\0' '\n' <"/proc/$1/environ" >environment && grep -q "^$2=" environment; }
said() { grep -q -- "$1" said; }
times() { grep -c -- "$1" said || true; }
has_more() { [ "$(times "$2")" -gt "$1" ]; }
stops() { # PID
    local rc=0
    kill -TERM "$1"
    wait "$1" || rc=$?
    [ $rc = 0 ] || fail "process $1 ended with status $rc"
}
# watched SECONDS COMMAND...: starts it with somebody who listens; its process in $watched. With 0
# seconds there is no watchdog.
watched() {
    local seconds=$1 watch=()
    shift
    : >said
    [ "$seconds" = 0 ] || watch=(WATCHDOG_USEC=$((seconds * 1000000)))
    env NOTIFY_SOCKET="$work/notify" "${watch[@]}" "$@" >>log 2>&1 </dev/null &
    watched=$!
    pids+=("$watched")
}

"$top/tests/support/notified.py" "$work/notify" said &
pids+=($!)
within 5 test -S notify || fail "nobody listens"

watched 2 "$sealgated" run --config "$dir/sealgate.yaml"
within 15 said '^READY=1' || fail "it is never ready"
signs || fail "ready, it does not sign"
[ "$(times WATCHDOG=1)" -lt 40 ] || fail "the watchdog is fed without end"
within 5 has_more 3 WATCHDOG=1 || fail "the watchdog is not fed"
ok "ready when it signs, and the watchdog is fed"

kill -HUP "$watched"
within 5 has_more 1 '^READY=1' || fail "the reload does not end"
said '^RELOADING=1 | MONOTONIC_USEC=[1-9][0-9]*$' || fail "the reload is not told"
[ "$(grep -n '^RELOADING=1' said | head -n 1 | cut -d: -f1)" -lt "$(grep -n '^READY=1' said | tail -n 1 | cut -d: -f1)" ] ||
    fail "the reload ends before it begins"
grep -q 'process=gateway event=app.reloaded' log || fail "nothing was reloaded"
ok "a reload is told with its time, and its end when the gateway has made it"

# What failed is told until it is mended, by whichever way it is read again.
cp "$dir/pki/server.pem" server.pem
echo "no certificate" >"$dir/pki/server.pem"
kill -HUP "$watched"
within 5 said '^READY=1 | STATUS=serving by what was loaded before: .*certificate' || fail "a reload that fails is not told"
signs || fail "it does not sign any more"
told=$(times 'STATUS=serving$')
cp server.pem "$dir/pki/server.pem"
within 10 has_more "$told" 'STATUS=serving$' || fail "what was mended is not told"
cp "$dir/sealgate.yaml" good.yaml
echo "no_such_option: 1" >>"$dir/sealgate.yaml"
kill -HUP "$watched"
within 5 said '^READY=1 | STATUS=serving the callers that were listed before: .*no_such_option' || fail "a list that is not read is not told"
told=$(times 'READY=1 | STATUS=serving$')
cp good.yaml "$dir/sealgate.yaml"
kill -HUP "$watched"
within 5 has_more "$told" 'READY=1 | STATUS=serving$' || fail "a reload that succeeds is not told"
ok "what failed of a reload is told until it succeeds"

gateway=$(children "$watched" gateway) token=$(children "$watched" token)
for role in "$gateway" "$token"; do
    has_variable "$role" NOTIFY_SOCKET && fail "process $role has systemd's socket"
done
kill -STOP "$gateway"
gone() { ! kill -0 "$1" 2>/dev/null; }
within 10 gone "$gateway" || fail "a gateway that hangs is left"
within 10 signs || fail "no gateway comes after one that hung"
grep -q "event=launcher.hung role=gateway pid=$gateway" log || fail "the log does not say that it hung"
[ "$(children "$watched" token)" = "$token" ] || fail "the token process went too"
kill -STOP "$token"
within 10 gone "$token" || fail "a token process that hangs is left"
within 10 signs || fail "no token process comes after one that hung"
fed=$(times WATCHDOG=1)
within 5 has_more "$fed" WATCHDOG=1 || fail "the watchdog is not fed any more"
ok "a process that hangs is ended and started anew, and it alone"

stops "$watched"
said '^STOPPING=1' || fail "its end is not told"
ok "its end is told"

# Each role for itself, as units of their own have them.
watched 2 "$sealgated" token softhsm --config "$dir/sealgate.yaml"
token=$watched
within 10 said '^READY=1 | STATUS=serving token softhsm' || fail "the token process is never ready"
within 5 has_more 3 WATCHDOG=1 || fail "the token process does not feed the watchdog"
kill -HUP "$token"
kill -USR2 "$token"
watched 2 "$sealgated" gateway --config "$dir/sealgate.yaml"
gateway=$watched
within 15 said '^READY=1 | STATUS=serving$' || fail "the gateway is never ready"
signs || fail "ready, it does not sign"
kill -HUP "$gateway"
within 5 said '^RELOADING=1' && within 5 has_more 1 '^READY=1' || fail "the gateway does not tell its reload"
kill -STOP "$gateway"
sleep 0.5
fed=$(times WATCHDOG=1)
kill -STOP "$token"
sleep 2
[ "$(times WATCHDOG=1)" -le "$((fed + 8))" ] || fail "the watchdog is fed by processes that do not run"
fed=$(times WATCHDOG=1)
sleep 1
[ "$(times WATCHDOG=1)" = "$fed" ] || fail "the watchdog is fed by processes that do not run"
kill -CONT "$gateway" "$token"
within 10 signs || fail "they do not go on"
stops "$gateway"
within 5 said '^STOPPING=1' || fail "the gateway does not tell its end"
stops "$token"
ok "so do the roles by themselves; and none is fed that does not turn"

# A service whose tokens are away is ready all the same, or nobody could start it first.
watched 0 "$sealgated" gateway --config "$dir/sealgate.yaml"
within 10 said '^READY=1' || fail "a gateway without a token is never ready"
said WATCHDOG=1 && fail "a watchdog is fed that was not asked for"
stops "$watched"
ok "a gateway without a token is ready after a while"

# Sockets. The addresses of the configuration are somebody else's, and are not looked at.
. "$dir/ports"
sed 's/^listen: .*/listen: 192.0.2.1:1/; s/^metrics_listen: .*/metrics_listen: 192.0.2.1:2/' \
    "$dir/sealgate.yaml" >"$dir/activated.yaml"
metrics_are_served() { curl -sf "http://127.0.0.1:$metrics_port/metrics" >metrics && grep -q '^sealgate_' metrics; }
for role in gateway "run gateway"; do
    watched 0 "$sealgated" token softhsm --config "$dir/sealgate.yaml"
    token=$watched
    # shellcheck disable=SC2086
    watched 0 "$top/tests/support/activate.py" "metrics=$metrics_port" "services=$port" \
        "$sealgated" $role --config "$dir/activated.yaml"
    within 15 said '^READY=1 | STATUS=serving$' || fail "sealgated $role is never ready on what it inherits"
    signs || fail "sealgated $role does not serve on the socket that it inherits"
    metrics_are_served || fail "the metrics are not served on the socket that was inherited"
    stops "$watched"
    stops "$token"
done
ok "sockets are inherited by their names"
# refused TEXT NAME=PORT...
refused() {
    local text=$1 rc=0
    shift
    timeout 20 "$top/tests/support/activate.py" "$@" "$sealgated" gateway --config "$dir/activated.yaml" >>log 2>&1 || rc=$?
    [ $rc = 1 ] || fail "$*: status $rc"
    tail -n 3 log >last && grep -q -- "$text" last || fail "$*: the log does not say why"
}
refused 'called .*https' "https=$port"
refused 'called .*services' "services=$port" "services=$metrics_port"
refused 'at most three' "services=$port" "metrics=$metrics_port" "bearer=$(free_port)" "more=$(free_port)"
ok "sockets that nobody knows are refused"

# The PIN.
mkdir -p credentials
cp "$dir/token/pin" credentials/pin
chmod 400 credentials/pin
sed 's/^    pin_file: .*/    pin_file: credential:pin/' "$dir/sealgate.yaml" >"$dir/credential.yaml"
watched 0 env CREDENTIALS_DIRECTORY="$work/credentials" "$sealgated" run --config "$dir/credential.yaml"
within 15 signs || fail "no signature with the PIN from a credential"
gateway=$(children "$watched" gateway) token=$(children "$watched" token)
has_variable "$gateway" CREDENTIALS_DIRECTORY && fail "the gateway is told where the PIN is"
has_variable "$token" CREDENTIALS_DIRECTORY || fail "the token process is not"
stops "$watched"
watched 0 "$sealgated" token softhsm --config "$dir/credential.yaml"
within 10 grep -q 'event=token.down.*no credentials were given' log || fail "the log does not say that there is no credential"
! signs --timeout 2 || fail "a signature without a PIN"
stops "$watched"
ok "the PIN comes as a credential, which the gateway is not told of"
