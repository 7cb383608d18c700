#!/usr/bin/env bash
# units.sh ANALYZE [STRACE]: the units of systemd are well made and stay as closed as they are now; and
# what the daemon really asks of the kernel while it starts, signs, reloads and stops is what they allow,
# by strace where it is given. There is no systemd here to run them under.
. "$(dirname "$0")/../lib.sh"
analyze=$1 strace=${2:-}
build=${SEALGATE_BUILD:?set by ctest}
units=$build/units-test
rm -rf "$units"
mkdir -p "$units"
# systemd-analyze looks for the programs, which are not installed.
for unit in sealgate-gateway.service sealgate-token@.service sealgate-witness.service sealgate-archive.service; do
    sed "s|^ExecStart=[^ ]*/sealgated |ExecStart=$build/bin/sealgated |" "$build/systemd/$unit" >"$units/${unit/@./@hsm.}"
done
cp "$top/ops/systemd/sealgate-gateway.socket" "$top/ops/systemd/sealgate-archive.timer" "$units/"

# Of a word that it does not know systemd only warns.
complaints=$(cd "$units" && SYSTEMD_LOG_LEVEL=warning "$analyze" verify --man=no ./sealgate-gateway.service \
    ./sealgate-token@hsm.service ./sealgate-witness.service ./sealgate-gateway.socket \
    ./sealgate-archive.service ./sealgate-archive.timer 2>&1 | grep -F sealgate || true)
[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"
ok "well made"

# Of 10 (open) to 0, times ten. docs/administration.md tells what is left.
exposure() { # UNIT BOUND
    "$analyze" security --no-pager --offline=true --threshold="$2" "$units/$1" >"$units/$1.security" 2>&1 ||
        { cat "$units/$1.security"; fail "$1: more than $2 of exposure"; }
    ok "$(grep -o 'Overall exposure level.*' "$units/$1.security" | sed 's/ [^ ]*$//')"
}
# The gateway may ask whether the clock is synchronised, which costs it four tenths.
exposure sealgate-gateway.service 20
exposure sealgate-token@hsm.service 15
exposure sealgate-witness.service 20
exposure sealgate-archive.service 15
"$analyze" calendar "$(sed -n 's/^OnCalendar=//p' "$units/sealgate-archive.timer")" >/dev/null || fail "the timer's calendar"

if [ -z "$strace" ]; then
    echo "not compared with the daemon: no strace"
    exit 0
fi
if ! "$strace" -o /dev/null true 2>/dev/null; then
    echo "not compared with the daemon: strace may not trace here"
    exit 0
fi

own_instance units
"$top/ops/dev" down
cd "$work"
sealgated=$build/bin/sealgated
export SOFTHSM2_CONF=$dir/token/softhsm2.conf
strace_daemon() { # LOG ROLE...
    local log=$1
    shift
    "$strace" -f -qq -s 4096 -o "$log" "$sealgated" "$@" --config "$dir/sealgate.yaml" >>"$dir/log" 2>&1 </dev/null &
}
strace_daemon "$units/token.strace" token softhsm
token=$!
strace_daemon "$units/gateway.strace" run gateway
gateway=$!
traced() { ps -o pid= --ppid "$1" | tr -d ' '; } # the daemon under its strace
stop_all() { kill "$(traced "$gateway")" "$(traced "$token")" 2>/dev/null || true; }
trap 'rc=$?; stop_all; instance_end $rc' EXIT
within 20 sealgate health >/dev/null 2>&1 || fail "it does not serve"
sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig >/dev/null
sealgate sign --key dev-rsa2048 --file "$top/README.md" --out s.sig >/dev/null
sealgate keys csr dev-p256 --subject "CN=x" --out x.csr
kill -HUP "$(traced "$gateway")"
exec 3<>"/dev/tcp/127.0.0.1/$(. "$dir/ports" && echo "$metrics_port")"
printf 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n' >&3
grep -q sealgate_signatures_total <&3 || fail "no metrics"
exec 3>&-
takes_over() { # N: for the Nth time
    kill -USR2 "$(traced "$gateway")"
    is_done() { [ "$(grep -c 'event=launcher.takeover_done' "$dir/log")" = "$1" ]; }
    within 20 is_done "$1" || fail "no new gateway took over"
}
takes_over 1
sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig >/dev/null
# And one that asks for the clock, as it is by default; it may not sign here.
sed -i 's/^clock_sync_required: false/clock_sync_required: true/' "$dir/sealgate.yaml"
grep -q '^clock_sync_required: true' "$dir/sealgate.yaml" || fail "the clock is not asked for"
takes_over 2
kill -TERM "$(traced "$gateway")"
wait "$gateway" || fail "the gateway ended badly"
kill -TERM "$(traced "$token")"
wait "$token" || fail "the token process ended badly"
for unit in gateway.service:gateway token@hsm.service:token; do
    python3 "$top/tests/integration/install/units_strace.py" "$analyze" "$units/sealgate-${unit%:*}" \
        "$units/${unit#*:}.strace" "$dir" || fail "${unit%:*} allows less than the daemon does"
done
