#!/usr/bin/env bash
# example_c.sh CC LIBRARY FLAG...: compiles the C program of docs/integration.md as a caller would,
# runs it, and has openssl judge its signature. The flags are what the build's sanitizers want.
. "$(dirname "$(readlink -f "$0")")/../interop/lib.sh"
cc=$1 library=$2
shift 2
connect
work=$work/c
mkdir -p "$work"
example c >"$work/example.c"
$cc -Wall -Wextra -Werror -I "$top/client/include" "$@" -o "$work/example" "$work/example.c" \
    "$library" -Wl,-rpath,"$(dirname "$library")" -lcrypto
"$work/example" >"$work/example.sig"
printf 'Seen and signed, from C.' >"$work/document"
verifies dev-p256 "$work/example.sig" "$work/document"
