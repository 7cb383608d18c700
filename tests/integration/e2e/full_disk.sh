#!/usr/bin/env bash
# A disk of some MiB that is full to its last byte, under load: a clear refusal, nothing lost that was
# acknowledged, and it goes on when there is room. The disk is a tmpfs of its own, so this needs to be
# allowed to mount; it vanishes with the processes, since it is in a mount namespace of theirs.
if [ -z "${SG_OWN_MOUNTS:-}" ]; then
    if ! unshare -m true 2>/dev/null; then
        echo "skipped: this user may not mount here (unshare -m), and a disk of some MiB is needed"
        exit 77
    fi
    SG_OWN_MOUNTS=1 exec unshare -m "$0"
fi
. "$(dirname "$0")/../lib.sh"
disk=$SEALGATE_BUILD/e2e/full_disk.mount
mkdir -p "$disk"
mount -t tmpfs -o size=24m,mode=0700 sealgate-test "$disk" || { echo "skipped: tmpfs cannot be mounted here"; exit 77; }
export SEALGATE_DEV_STORE=sqlite:$disk/store
export SEALGATE_DEV_OPTIONS="audit_room_mib_min: 0"
own_instance full_disk
cd "$work"
rm -rf "$work"/*
mkdir receipts
sealgated=$SEALGATE_BUILD/bin/sealgated
key=$(cat "$dir/audit/log.vkey")
signed=0
sign() { # one more; its receipt stays
    echo "$signed" >document
    sealgate sign --key dev-p256 --file document --out sig --receipt "receipts/$signed.new" --timeout "${1:-5}" --log-key "$key" >/dev/null 2>said || return 1
    mv "receipts/$signed.new" "receipts/$signed"
    signed=$((signed + 1))
}
fill() { # to the last byte, also what SQLite gives back meanwhile
    dd if=/dev/zero of="$disk/filler.$1" bs=1M 2>/dev/null || true
    dd if=/dev/zero of="$disk/filler.$1.rest" bs=512 2>/dev/null || true
}
avail() { df --output=avail "$disk" | tail -n 1 | tr -d ' '; } # KiB
has() { grep -qF -- "$1" "$2" || { cat "$2"; fail "$2 does not say \"$1\""; }; }
check() { # everything that was acknowledged is in the log
    local receipt
    for receipt in receipts/*; do
        case $receipt in *.new) continue ;; esac
        sealgate audit verify "$receipt" --log-key "$key" >/dev/null || fail "$receipt is not proved"
    done
    "$top/ops/dev" down >/dev/null 2>&1
    $sealgated verify --config "$dir/sealgate.yaml" >said || { cat said; fail "the log is not proved"; }
    size=$(sed -n 's/^proved: log main, \([0-9]*\) leaves.*/\1/p' said)
    newest=$(sed -n 's/^index //p' receipts/*[0-9] | sort -n | tail -n 1)
    [ "$size" -gt "$newest" ] || fail "the log has $size leaves, and leaf $newest was acknowledged"
    ok "$signed receipts, all of them in a log of $size leaves"
}

for _ in 1 2 3; do sign || { cat said; fail "it does not sign"; }; done
gateway=$(role_pid gateway)
sealgate bench --key dev-p256 --concurrency 32 --duration 60 >bench.out 2>&1 &
load=$!
sleep 1
fill 1
# The write-ahead log has room of its own for a while.
tries=0
while sign; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || fail "it signs on a full disk"
    fill "again.$tries"
done
cat said
has STORE_FULL said
[ "$(avail)" = 0 ] || fail "the disk is not full: $(df "$disk")"
for _ in 1 2 3; do ! sign 1 || true; done
! sealgate health >said || { cat said; fail "balancers are not told"; }
[ "$(role_pid gateway)" = "$gateway" ] || fail "the gateway died of it"
ok "a full disk: $(tail -n 1 said)"
rm -f "$disk"/filler.*
within 20 sign || { cat said; fail "it does not go on when there is room"; }
for _ in 1 2 3; do sign || { cat said; fail "it does not sign any more"; }; done
within 12 sealgate health >/dev/null || fail "balancers are not told that it goes on"
kill "$load" 2>/dev/null || true
wait "$load" 2>/dev/null || true
ok "with room it goes on by itself"
check

# A gateway that starts while the disk is full signs nothing: the record of its start stands in front of
# all else, and there is no room for it. It goes on by itself when there is, and the record is there.
roles=()
start_roles() { # the token process and the gateway, by themselves: their words are in start.log
    : >start.log
    SOFTHSM2_CONF=$dir/token/softhsm2.conf $sealgated token softhsm --config "$dir/sealgate.yaml" >>start.log 2>&1 &
    roles=($!)
    $sealgated gateway --config "$dir/sealgate.yaml" >>start.log 2>&1 &
    roles+=($!)
}
stop_roles() {
    kill "${roles[@]}" 2>/dev/null || true
    wait "${roles[@]}" 2>/dev/null || true
    cat start.log >>"$dir/log" # where sanitizers are looked for
}
trap 'rc=$?; stop_roles; instance_end $rc' EXIT
started() { sealgate audit find --event gateway-started 2>/dev/null | wc -l; }
has_said() { grep -qE "$1" start.log; }
fill 2
start_roles
within 20 has_said event=net.listening || { cat start.log; fail "it does not start on a full disk"; }
refused_for() { ! sign 2 && grep -qE "$1" said; }
within 20 refused_for "STORE_FULL" || { cat said start.log; fail "signing is not refused for want of room"; }
ok "a start on a full disk: $(grep STORE_FULL said)"
rm -f "$disk"/filler.*
within 20 sign || { cat said start.log; fail "it does not sign when there is room"; }
[ "$(started)" = 2 ] || fail "$(started) records of starts, and not two"
stop_roles
ok "with room it records its start and signs"

# A disk that is read-only is none to start on, and it says why.
mount -o remount,ro "$disk"
if timeout 20 $sealgated gateway --config "$dir/sealgate.yaml" >start.log 2>&1; then fail "it ended without a reason"; fi
has "reason=STORE_UNAVAILABLE" start.log
has "Read-only file system" start.log
mount -o remount,rw "$disk"
ok "a read-only disk: $(grep -o 'error="[^"]*"' start.log)"

# Low water: it stops while there is room for what has begun, and says so.
export SEALGATE_DEV_OPTIONS="audit_room_mib_min: 8"
"$top/ops/dev" up >/dev/null 2>&1
sign || { cat said; fail "it does not sign after a start on a full disk"; }
dd if=/dev/zero of="$disk/filler.3" bs=1M count=$(($(avail) / 1024 - 6)) 2>/dev/null
within 10 eval '! sign' || fail "it signs under its low water"
has STORE_FULL said
[ "$(avail)" -gt 4096 ] || fail "there is no room left under low water"
ok "low water: $(tail -n 1 said)"
rm -f "$disk"/filler.*
within 20 sign || { cat said; fail "it does not go on above its low water"; }
check
