#!/bin/sh
# same.sh FILE PROGRAM [ARG...]: the file is what the program prints now.
set -eu
file=$1
shift
now=$(mktemp)
trap 'rm -f "$now"' EXIT
"$@" >"$now"
diff -u "$file" "$now" || { echo "$file lags behind: $* > $file" >&2; exit 1; }
