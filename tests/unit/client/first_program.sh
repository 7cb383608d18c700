#!/bin/sh
# first_program.sh CC CXX LIBRARY_DIR [FLAGS]: client/examples/sign.c compiles and links against the
# shared and the static library with the installed headers alone; they are C++ too.
set -eu
cc=$1 cxx=$2 libraries=$3 flags=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
include=client/include

warnings="-std=c11 -Wall -Wextra -Wpedantic -Werror"
$cc $warnings $flags -I$include client/examples/sign.c -L"$libraries" -lsealgate -o "$work/shared"
$cc $warnings $flags -I$include client/examples/sign.c "$libraries/libsealgate.a" \
    -lssl -lcrypto -lnghttp2 -lprotobuf-c -lz -pthread -o "$work/static"
for header in sealgate.h sealgate_audit.h sealgate_tokens.h; do
    echo "#include <$header>" >"$work/header.cc"
    $cxx -std=c++11 -Wall -Wextra -Wpedantic -Werror -I$include -fsyntax-only "$work/header.cc"
done

digest=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
for program in shared static; do
    # Nobody listens there: the program must say so, and what to do.
    code=0
    LD_LIBRARY_PATH=$libraries SEALGATE_ENDPOINT=127.0.0.1:1 SEALGATE_CA=/nonexistent \
        SEALGATE_CERT=/nonexistent SEALGATE_KEY=/nonexistent \
        "$work/$program" $digest >"$work/out" 2>&1 || code=$?
    [ $code = 1 ] || { echo "$program: exit code $code"; cat "$work/out"; exit 1; }
    grep -q "^BAD_OPTIONS: " "$work/out" || { echo "$program says:"; cat "$work/out"; exit 1; }
done
