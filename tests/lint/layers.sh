#!/bin/sh
# Includes go down, never up or sideways, and name their module (layers.txt).
. "$(dirname "$0")/lib.sh"

# The names of our files hold no spaces; sizes.sh sees to that.
exec awk -f "$here/strip.awk" -f "$here/layers.awk" "$here/layers.txt" $(sources $modules tests)
