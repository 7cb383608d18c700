#!/usr/bin/env bash
# What the benchmarks make of their figures, beside figures whose answer is known.
. "$(dirname "$(readlink -f "$0")")/lib.sh"

# is WHAT EXPECTED CAME
is() { [ "$2" = "$3" ] || die "$1: expected \"$2\", came \"$3\""; }

is "the median of three" 2.000 "$(median 10 1 2)"
is "the median of four" 2.500 "$(median 10 1 2 3)"
is "a value in a line" 0.5 "$(value p99_ms "refusal_p99_ms=3 p99_ms=0.5 late=7")"

is "rounds in time" "1 3 5" "$(in_time 1 "0.4 1.001 1.000 27 0" "1 2 3 4 5" | xargs)"
is "no round in time" "" "$(in_time 1 "2 3" "1 2" | xargs)"
is "numbers and no words" "1" "$(in_time 9 "0.5 10" "1 2" | xargs)"
if in_time 1 "0 0" "1" >/dev/null; then die "a round without its lateness was taken"; fi
