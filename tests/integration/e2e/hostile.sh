#!/usr/bin/env bash
# Attacks on the ports of a real gateway (hostile.py): each is ended, counted, bounded in memory, and
# does not keep another caller from signing.
. "$(dirname "$0")/../lib.sh"
own_instance hostile
cd "$work"
head -c 100 /dev/urandom >document
. "$dir/ports"
for which in certificate:$port bearer:$bearer_port; do
    /usr/bin/python3 "$top/tests/integration/e2e/hostile.py" "${which%:*}" "${which#*:}" "$metrics_port" "$dir/pki" \
        "$(role_pid gateway)" sealgate sign --key dev-p256 --file document --out other.sig ||
        fail "an attack was not held off"
    ok "the listener ${which%:*}: all attacks were held off"
done
