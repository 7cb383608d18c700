#!/bin/sh
# Each outside library, and each power that is not everybody's, has its one door (doors.txt).
. "$(dirname "$0")/lib.sh"

# The examples are programs of callers, on the installed header and on what they like.
exec awk -f "$here/strip.awk" -f "$here/doors.awk" "$here/doors.txt" \
    $(sources $modules | grep -v '^client/examples/')
