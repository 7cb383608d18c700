#!/usr/bin/env bash
# sealgated migrate, backup, restore, and what --check-config says of the store.
. "$(dirname "$0")/../lib.sh"
own_instance store
cd "$work"
sealgated=$SEALGATE_BUILD/bin/sealgated

# config NAME STORE: a configuration with another store, in $dir.
# The anchor of the instance's own store would tell that such a store is lost.
config() {
    sed -e "s|^store: .*|store: $2|" -e "s|^audit_anchor_file: .*|audit_anchor_file: anchor-$1|" "$dir/sealgate.yaml" >"$dir/$1.yaml"
    grep -qxF "store: $2" "$dir/$1.yaml" || fail "the configuration has no store"
}
# says TEXT COMMAND...: it succeeds, with that text. refuses TEXT COMMAND...: it fails with it.
says() {
    local text=$1
    shift
    "$@" >said 2>&1 || { cat said; fail "$*"; }
    grep -qF -- "$text" said || { cat said; fail "$* does not say \"$text\""; }
    ok "$(grep -m 1 -F -- "$text" said)"
}
refuses() {
    local text=$1
    shift
    if "$@" >said 2>&1; then cat said; fail "$* succeeds"; fi
    grep -qF -- "$text" said || { cat said; fail "$* does not say \"$text\""; }
    ok "$(grep -m 1 -F -- "$text" said)"
}

rm -rf "$dir"/data* "$work"/*
config a sqlite:data-a
says "no store yet" $sealgated --check-config --config "$dir/a.yaml"
refuses "run sealgated init" $sealgated backup --to "$work/early" --config "$dir/a.yaml"
says "was made, version 2" $sealgated migrate --config "$dir/a.yaml"
[ -s "$dir/data-a/store.db" ] || fail "a relative folder is not taken from that of the file"
says "version 2 already" $sealgated migrate --config "$dir/a.yaml"
says "is in order" $sealgated --check-config --config "$dir/a.yaml"

says "was copied" $sealgated backup --to "$work/copy" --config "$dir/a.yaml"
refuses "not empty" $sealgated backup --to "$work/copy" --config "$dir/a.yaml"
refuses "not empty" $sealgated restore --from "$work/copy" --config "$dir/a.yaml"
config b sqlite:data-b
says "was put back" $sealgated restore --from "$work/copy" --config "$dir/b.yaml"
says "version 2 already" $sealgated migrate --config "$dir/b.yaml"
dump() { python3 -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).iterdump(), sep="\n")' "$1/store.db"; }
cmp <(dump "$dir/data-a") <(dump "$dir/data-b") || fail "the copy is not the store"
refuses "no store in" $sealgated restore --from "$work/none" --config "$dir/b.yaml"
refuses "whereto" $sealgated backup --config "$dir/a.yaml"
refuses "from where" $sealgated restore --config "$dir/a.yaml"
refuses "goes with" $sealgated migrate --to x --config "$dir/a.yaml"

printf 'no database, and so no store, which SQLite says once it has a hundred bytes, as it has by now......' \
    >"$dir/data-b/store.db"
refuses "not a database" $sealgated --check-config --config "$dir/b.yaml"

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$work/owned"
    chown 65534:65534 "$work/owned"
    chmod o+x "$dir" "$work"
    config c "sqlite:$work/owned/data"
    says "was made" $sealgated migrate --config "$dir/c.yaml"
    [ "$(stat -c %u:%a "$work/owned/data/store.db")" = 65534:640 ] || fail "made by root, it is root's"
    ok "what root makes is the gateway's"
fi

config d postgresql://nobody@127.0.0.1:1/none
says "could not be looked at" $sealgated --check-config --config "$dir/d.yaml"
refuses "pg_dump" $sealgated backup --to "$work/pg" --config "$dir/d.yaml"
refuses "pg_dump" $sealgated restore --from "$work/copy" --config "$dir/d.yaml"
refuses "could not connect" $sealgated migrate --config "$dir/d.yaml"
config e postgresql://u:hushhush@127.0.0.1:1/none
refuses "has a password" $sealgated --check-config --config "$dir/e.yaml"
! grep -q hushhush said || fail "a password is repeated"
