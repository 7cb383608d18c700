#!/usr/bin/env bash
# commands.sh FILE.md: runs every block of the page that is marked ```sh, in order and in one shell,
# against the development instance of SEALGATE_DEV_DIR; the first command that fails ends it. The
# last command of a block marked ```sh refused must fail. Other blocks are not run.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/../../ops/lib/common.sh"
page=$(readlink -f "$1")

# The commands run in a copy of the tree's top, by links, so that what they write stays there.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$top"/* "$folder/"

awk '
    /^```sh$/ { inside = 1; print "set -e"; next }
    /^```sh refused$/ { inside = 2; print "set +e"; next }
    /^```/ && inside == 2 { print "[ $? -ne 0 ] || { echo \"the command above was to be refused\"; exit 1; }" }
    /^```/ { inside = 0; next }
    inside { quoted = $0; gsub(/'\''/, "'\''\\'\'''\''", quoted); print "echo '\''$ " quoted "'\''"; print }
' "$page" >"$folder/.commands"
grep -q '^echo' "$folder/.commands" || die "no commands in $page"
cd "$folder"
bash "$folder/.commands" </dev/null
