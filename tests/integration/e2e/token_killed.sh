#!/usr/bin/env bash
# kill -9 of the token process under load: calls succeed or fail with UNAVAILABLE and a time to
# come again, signing resumes within two seconds, and the gateway does not go. To the two seconds
# comes what one signature by the same command took before, under the same load; and of three rounds
# one may take longer: the machine may be busy with something else.
. "$(dirname "$0")/../lib.sh"
own_instance token_killed
cd "$work"
head -c 100 /dev/urandom >document

load() { # one result a line: "ok", or the error as JSON; ends by itself if this test is killed
    local until=$((SECONDS + 120))
    while [ ! -e stop ] && [ $SECONDS -lt $until ]; do
        if sealgate sign --key dev-p256 --file document --out "$1.sig" --output json >"$1.out" 2>&1; then
            echo ok
        else
            tr -d '\n' <"$1.out"
            echo
        fi
    done >"$1.results"
}
end() { # whatever happened: the load ends first
    local rc=$?
    touch "$work/stop"
    wait
    instance_end $rc
}
trap end EXIT
gateway=$(role_pid gateway)
load a &
load b &
load c &
sleep 1
now_ms() { echo $(($(date +%s%N) / 1000000)); }
signs() { sealgate sign --key dev-p256 --file document --out after.sig >/dev/null 2>&1; }
slow=0
for round in 1 2 3; do
    token=$(role_pid token)
    [ -n "$token" ] || fail "there is no token process"
    before=$(now_ms)
    signs || fail "no signature before the token process is killed"
    usual=$(($(now_ms) - before))
    kill -9 "$token"
    killed=$(now_ms)
    within 20 signs || fail "no signature for 20 seconds after the token process was killed"
    took=$(($(now_ms) - killed))
    [ $took -le $((2000 + usual)) ] || slow=$((slow + 1))
    ok "round $round: signing resumed after $took ms; a signature took $usual ms before"
    [ "$(role_pid gateway)" = "$gateway" ] || fail "the gateway process changed"
    [ "$(role_pid token)" != "$token" ] || fail "the token process is the one that was killed"
    sleep 0.5
done
touch stop
wait
[ $slow -le 1 ] || fail "signing took more than two seconds to resume in $slow rounds of three"
cat ./*.results >results
good=$(grep -cx ok results) || fail "no call succeeded"
grep -vx ok results >refusals || true
while read -r line; do
    case "$line" in
    *UNAVAILABLE*retry_after_ms\":\ 0* | *retry_after_ms\":0[,}]*) fail "no time to come again: $line" ;;
    *UNAVAILABLE*retry_after_ms*) ;;
    *) fail "a call failed otherwise: $line" ;;
    esac
done <refusals
ok "$good calls succeeded, $(wc -l <refusals) were told to come again"
