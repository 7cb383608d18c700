#!/bin/sh
# A .c file has at most 1000 lines, a header at most 200; tables (.def) may be as long as they are,
# and the headers that are installed, which are a manual too, as long as a .c file.
. "$(dirname "$0")/lib.sh"

list=$(sources $modules tests ops)
[ -n "$list" ] || { echo "no source seen"; exit 1; }
case $list in *" "*) echo "a file name holds a space"; exit 1 ;; esac

wc -l $list | awk '
    $2 == "total" { next }
    $2 !~ /^client\/include\// && /\.h$/ && $1 > 200 { printf "%s: %d lines; a header has at most 200\n", $2, $1; bad = 1 }
    $1 > 1000 { printf "%s: %d lines; a file has at most 1000\n", $2, $1; bad = 1 }
    END { exit bad }'
