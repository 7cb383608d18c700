#!/bin/sh
# Every C file is as clang-format 14 writes it; later ones write some lines otherwise. Exit status 77
# (skipped) where it is another, or none.
. "$(dirname "$0")/lib.sh"

command -v clang-format >/dev/null || { echo "skipped: there is no clang-format here"; exit 77; }
version=$(clang-format --version)
case "$version" in
*" version 14."*) ;;
*) echo "skipped: this is not clang-format 14 but $version"; exit 77 ;;
esac
list=$(sources $modules tests ops)
[ -n "$list" ] || { echo "no source seen"; exit 1; }
exec clang-format --dry-run -Werror $list
