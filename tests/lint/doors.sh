#!/bin/sh
# Each outside library, and each power that is not everybody's, has its one door (doors.txt).
. "$(dirname "$0")/lib.sh"

exec awk -f "$here/strip.awk" -f "$here/doors.awk" "$here/doors.txt" $(sources $modules)
