#!/usr/bin/env bash
# The launcher: starts a role anew when it dies, ever later when it dies at once, stops all when
# told, takes all with it when it is killed, and does not try what cannot work.
. "$(dirname "$0")/../lib.sh"
own_instance launcher
cd "$work"
"$top/ops/dev" down
sealgated=$SEALGATE_BUILD/bin/sealgated
export SOFTHSM2_CONF=$dir/token/softhsm2.conf

launcher=0
start() { # CONFIG: in the background, its process in $launcher, its log in $work/log
    : >log
    $sealgated run --config "$1" >>log 2>&1 </dev/null &
    launcher=$!
}
end() {
    local rc=$?
    kill -9 "$launcher" 2>/dev/null || true
    [ $rc = 0 ] || tail -n 40 "$work/log" >&2
    cat "$work"/log* >>"$dir/log" # where sanitizers are looked for
    instance_end $rc
}
trap end EXIT
signs() { sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig >/dev/null 2>&1; }
pid_of() { # ROLE: its process under the launcher
    local process
    for process in /proc/[0-9]*; do
        if grep -qx "PPid:[[:space:]]*$launcher" "$process/status" 2>/dev/null &&
            tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q "sealgated $1 "; then
            echo "${process#/proc/}"
        fi
    done
}
ended() { ! kill -0 "$1" 2>/dev/null; }
has() { grep -q -- "$1" log; }
has_times() { [ "$(grep -c -- "$2" log)" -ge "$1" ]; }
status_of() { # waits for the launcher; its status in $rc
    rc=0
    wait "$launcher" || rc=$?
}

start "$dir/sealgate.yaml"
within 10 signs || fail "the roles do not serve"
gateway=$(pid_of gateway) token=$(pid_of token)
[ -n "$gateway" ] && [ -n "$token" ] || fail "there is no process of a role"
kill -9 "$gateway"
within 5 signs || fail "no signature after the gateway was killed"
[ "$(pid_of gateway)" != "$gateway" ] || fail "the gateway is the one that was killed"
[ "$(pid_of token)" = "$token" ] || fail "the token process went with the gateway"
has "event=launcher.ended role=gateway pid=$gateway exit=-1 signal=9 restart_in_ms=" ||
    fail "the log does not tell how the gateway ended"
ok "a gateway that is killed is started anew, and it alone"

gateway=$(pid_of gateway) token=$(pid_of token)
kill -TERM "$launcher"
status_of
[ $rc = 0 ] || fail "the launcher ended with status $rc"
ended "$gateway" && ended "$token" || fail "a role outlives the launcher that stopped"
# The tokens are told when the gateway has gone, which needs them for its open calls.
[ "$(grep -o 'event=launcher.ended role=[a-z]*' log | tail -n 2 | cut -d= -f3 | paste -sd' ')" = "gateway softhsm" ] ||
    fail "the gateway was not the first to end"
ok "told to stop, it stops the gateway first, then the token process, and ends well"
mv log log.1

start "$dir/sealgate.yaml"
within 10 signs || fail "the roles do not serve again"
gateway=$(pid_of gateway) token=$(pid_of token)
kill -9 "$launcher"
wait "$launcher" 2>/dev/null || true
within 10 ended "$gateway" && within 10 ended "$token" || fail "a role outlives a launcher that was killed"
ok "a launcher that is killed takes its roles with it"
mv log log.2

# Addresses that are not ours: nothing listens, so that callers are refused and do not wait.
delays() { grep -o "event=$1.*" log | grep -o 'restart_in_ms=[0-9]*' | cut -d= -f2 | head -n 5 | paste -sd' '; }
sed 's/^listen: .*/listen: 192.0.2.1:1/' "$dir/sealgate.yaml" >"$dir/nowhere.yaml"
start "$dir/nowhere.yaml"
within 10 has_times 5 'event=launcher.not_listening' || fail "it does not try to listen again and again"
[ "$(delays launcher.not_listening)" = "50 100 200 400 800" ] || fail "it waits $(delays launcher.not_listening) ms"
kill -TERM "$launcher"
status_of
[ $rc = 0 ] || fail "without an address to listen on, the launcher ended with status $rc"
ok "an address that cannot be had is tried ever later"
mv log log.3

# A gateway that dies at once: its configuration has become unreadable for it.
cp "$dir/sealgate.yaml" "$dir/spoilt.yaml"
start "$dir/spoilt.yaml"
within 10 signs || fail "the roles do not serve a third time"
echo "no_such_option: 1" >>"$dir/spoilt.yaml"
kill -9 "$(pid_of gateway)"
within 10 has_times 5 'event=launcher.ended role=gateway' || fail "the gateway is not started again and again"
waits=$(delays launcher.ended)
[ "$waits" = "50 100 200 400 800" ] || fail "it waits $waits ms"
[ "$(grep -c 'event=launcher.started role=softhsm' log)" = 1 ] || fail "the token process was started again too"
refuses() { ! (exec 3<>"/dev/tcp/${SEALGATE_ENDPOINT%:*}/${SEALGATE_ENDPOINT#*:}") 2>/dev/null; }
refuses || fail "callers are kept waiting for a gateway that dies again and again"
ok "while a gateway dies again and again, callers are refused and may go elsewhere"
cp "$dir/sealgate.yaml" "$dir/spoilt.yaml"
within 15 signs || fail "the gateway does not come back"
echo "no_such_option: 1" >>"$dir/spoilt.yaml"
kill -9 "$(pid_of gateway)"
ended_again() { has_times "$1" 'event=launcher.ended role=gateway'; }
within 15 ended_again "$(($(grep -c 'event=launcher.ended role=gateway' log) + 1))" || fail "the gateway did not end"
kill -TERM "$launcher"
status_of
[ $rc = 0 ] || fail "stopped while a role waits to be started, the launcher ended with status $rc"
ok "a role that dies at once is started ever later ($waits ms), and no more when told to stop"
mv log log.4

# A token process that never gets ready: it is ended, and the next one is as good as any.
sed 's/^listen:/start_ms_max: 5000\n&/' "$dir/sealgate.yaml" >"$dir/hurried.yaml"
mkdir -p late
cp "$sealgated" late/sealgated
sealgated=late/sealgated
start "$dir/hurried.yaml"
within 10 signs || fail "the roles do not serve in a hurry"
mv late/sealgated late/good
cat >late/sealgated <<'HANGS'
#!/bin/sh
[ -e late/hung ] || { : >late/hung; exec sleep 60; }
exec late/good "$@"
HANGS
rm -f late/hung
chmod +x late/sealgated
kill -9 "$(pid_of token)"
within 15 has 'event=launcher.hung role=softhsm .*was_ready=0' || fail "a token process that hangs at its start is left"
within 10 signs || fail "no token process comes after one that hung at its start"
[ "$(grep -c 'event=launcher.hung' log)" = 1 ] || fail "a process that was ready was ended as well"
[ "$(grep -c 'event=launcher.started role=gateway' log)" = 1 ] || fail "the gateway was started again too"
kill -TERM "$launcher"
status_of
[ $rc = 0 ] || fail "the launcher ended with status $rc after a process that hung"
ok "a process that is not ready in time is ended and started anew"
mv log log.5
sealgated=$SEALGATE_BUILD/bin/sealgated

# refused NAME CONFIG TEXT [COMMAND...]: nothing is left running, and the log has TEXT.
refused() {
    local name=$1 config=$2 text=$3 rc=0
    shift 3
    : >log
    timeout 30 "$@" "$sealgated" run --config "$config" >>log 2>&1 </dev/null || rc=$?
    [ $rc = 1 ] || fail "$name: status $rc"
    has "event=process.failed.*$text" || fail "$name: the log does not say why"
    ok "$name: $(grep -o 'error=.*class' log | tail -n 1)"
}
with_user() { sed "s/^listen:/gateway_user: $1\n&/" "$dir/sealgate.yaml" >"$dir/user-$1.yaml"; }
with_user nobody
with_user no-such-user
refused "a user that there is not" "$dir/user-no-such-user.yaml" no-such-user
if has launcher.started; then fail "a role was started for a user that there is not"; fi
if [ "$(id -u)" = 0 ]; then
    # Somebody else's configuration, and a program where everybody may read it.
    other=$(mktemp -d)
    chmod 755 "$other"
    sed "s/^gateway_user: .*/gateway_user: root/; s#\(pki\|token\|run\)/#$other/\1/#" "$dir/user-nobody.yaml" >"$other/sealgate.yaml"
    cp -a "$dir/pki" "$dir/token" "$other/"
    mkdir "$other/run"
    cp "$sealgated" "$other/sealgated"
    chown -R nobody "$other"
    sealgated=$other/sealgated
    refused "another user without root" "$other/sealgate.yaml" 'only root can' \
        setpriv --reuid=nobody --regid=nogroup --clear-groups
    sealgated=$SEALGATE_BUILD/bin/sealgated
    rm -rf "$other"
    if has launcher.started; then fail "a role was started although it cannot become its user"; fi
    refused "root that may not become another" "$dir/user-nobody.yaml" 'as user .*nobody' \
        setpriv --bounding-set=-setuid,-setgid
    has 'event=launcher.no_user role=gateway user=nobody' || fail "the child does not say why it ended"
    [ "$(grep -c 'event=launcher.started role=gateway' log)" = 1 ] || fail "it was tried more than once"
else
    refused "another user without root" "$dir/user-nobody.yaml" 'only root can'
    if has launcher.started; then fail "a role was started although it cannot become its user"; fi
fi
