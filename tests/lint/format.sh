#!/bin/sh
# Every C file is as clang-format writes it. Exit status 77 (skipped) where there is none.
. "$(dirname "$0")/lib.sh"

command -v clang-format >/dev/null || { echo "skipped: there is no clang-format here"; exit 77; }
list=$(sources $modules tests ops)
[ -n "$list" ] || { echo "no source seen"; exit 1; }
exec clang-format --dry-run -Werror $list
