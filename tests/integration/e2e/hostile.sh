#!/usr/bin/env bash
# Attacks on the port of a real gateway (hostile.py): each is ended, counted, bounded in memory, and
# does not keep another caller from signing.
. "$(dirname "$0")/../lib.sh"
own_instance hostile
cd "$work"
head -c 100 /dev/urandom >document
metrics=$(sed -n 's/^metrics_listen: .*://p' "$SEALGATE_DEV_DIR/sealgate.yaml")
/usr/bin/python3 "$top/tests/integration/e2e/hostile.py" "${SEALGATE_ENDPOINT##*:}" "$metrics" "$SEALGATE_DEV_DIR/pki" \
    "$(role_pid gateway)" sealgate sign --key dev-p256 --file document --out other.sig ||
    fail "an attack was not held off"
ok "all attacks were held off"
