#!/bin/sh
# Shows that each lint catches what it is for: in a small clean tree all pass, and with one fault
# planted in it the right one fails, with the words that say what is wrong. Planted code that looks
# like a fault but is none must pass.
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d) || exit 2
trap 'rm -rf "$tree"' EXIT
failed=0

# plant PATH: writes standard input there, beside what the clean tree has.
plant() {
    mkdir -p "$tree/$(dirname "$1")"
    cat >"$tree/$1"
}

clean() {
    rm -rf "$tree"
    plant base/err.h <<'END'
#ifndef SG_BASE_ERR_H
#define SG_BASE_ERR_H

int sg_err(void);

#endif
END
    plant base/err.c <<'END'
#include "base/err.h"

int sg_err(void)
{
    return 1;
}
END
    cp "$here/../../.clang-format" "$tree/"
}

say() {
    printf '%-7s %-7s %s\n' "$1" "$2" "$3"
}

# passes LINT WHAT
passes() {
    if out=$("$here/$1.sh" "$tree" 2>&1); then
        say ok "$1" "passes: $2"
    else
        say FAILED "$1" "should pass: $2"
        echo "$out"
        failed=1
    fi
}

# fails LINT WHAT WORDS
fails() {
    if out=$("$here/$1.sh" "$tree" 2>&1); then
        say FAILED "$1" "should fail: $2"
        failed=1
    elif ! printf '%s' "$out" | grep -qF "$3"; then
        say FAILED "$1" "fails for another reason: $2"
        echo "$out"
        failed=1
    else
        say ok "$1" "fails: $2"
    fi
    clean
}

clean
for lint in layers doors sizes; do
    passes $lint "a clean tree"
done

# layers ---------------------------------------------------------------------------------------
plant base/up.c <<'END'
#include "proto/grpc/frame.h"
END
fails layers "base includes proto" 'base/ may not include "proto/grpc/frame.h"'
plant hsm/side.c <<'END'
#include "authz/authz.h"
END
fails layers "hsm includes authz" 'hsm/ may not include "authz/authz.h"'
plant client/side.c <<'END'
#include "hsm/hsm.h"
END
fails layers "client includes hsm" 'client/ may not include "hsm/hsm.h"'
plant gateway/near.c <<'END'
#include "base_err.h"
END
fails layers "an include that names no module" 'neither of a module nor generated'
plant client/lib/near.c <<'END'
#include "sealgate.h"
END
fails layers "an installed header by its name alone" 'neither of a module nor generated'
plant gateway/net/near.c <<'END'
#include "../../base/err.h"
END
fails layers "an include by way of .." 'not relative to the root'
plant gateway/brackets.c <<'END'
#include <base/err.h>
END
fails layers "a module in brackets" 'quotes, not brackets'
plant gateway/body.c <<'END'
#include "base/err.c"
END
fails layers "an included .c" 'is not a header'
plant gateway/private.c <<'END'
#include "hsm/link_priv.h"
END
fails layers "another module's private header" 'is private to hsm/'
plant tests/unit/gateway/test_private.c <<'END'
#include "hsm/link_priv.h"
END
fails layers "another module's private header, from a test" 'is private to hsm/'
plant hsm/generated.c <<'END'
#include "sealgate/v1/signing.pb-c.h"
END
fails layers "hsm includes generated messages" 'generated for proto/'
plant gateway/rpc/good.c <<'END'
#include "base/err.h"
#include "hsm/hsm.h"
#include "methods.h"
#include "sealgate/v1/signing.pb-c.h"
END
plant tests/unit/hsm/test_link.c <<'END'
#include "hsm/link_priv.h"
#include "tests/support/unit.h"
END
passes layers "downward, generated, and a test's own private header"
clean

# doors ----------------------------------------------------------------------------------------
# Library headers outside their doors: path, header.
while read -r path header; do
    echo "#include $header" | plant "$path"
    fails doors "$header in $path" "may be included by"
done <<'END'
proto/grpc/wire.c <nghttp2/nghttp2.h>
hsm/pool.c <p11-kit/pkcs11.h>
hsm/pool.c <libp11.h>
gateway/app.c <yaml.h>
gateway/rpc/key.c <openssl/evp.h>
base/key.c <openssl/evp.h>
gateway/net/conn.c <protobuf-c/protobuf-c.h>
gateway/service/sign.c "sealgate/v1/signing.pb-c.h"
proto/grpc/call.c "sealgate/v1/signing.pb-c.h"
proto/h2/io.c <sys/socket.h>
formats/raw/pool.c <pthread.h>
proto/h2/io.c <sys/epoll.h>
gateway/net/conn.c <sys/eventfd.h>
END
echo '#include <libunknown.h>' | plant gateway/app.c
fails doors "a library without a door" "has no door"
# Calls outside their doors: path, line of code.
while read -r path code; do
    echo "$code" | plant "$path"
    fails doors "$code in $path" "may be called by"
done <<'END'
gateway/net/conn.c n = epoll_wait(fd, events, 1, -1);
gateway/app.c clock_gettime(CLOCK_REALTIME, &ts);
formats/raw/now.c int64_t now = time(NULL);
gateway/app.c if (!fork())
gateway/app.c library = dlopen(path, 0);
formats/raw/say.c printf("x");
hsm/pool.c sg_log(SG_LOG_INFO, NULL, "x");
hsm/pool.c x(); /* a comment */ sg_log (SG_LOG_INFO, NULL, "x");
END
plant gateway/service/good.c <<'END'
/* Not a call: time(NULL), nor
 * fork() here */
int uptime(void); // printf("x")
void f(void)
{
    clock->time(clock);
    clock.time(clock);
    snprintf(text, 1, "fork() \" dlopen()");
    char quote = '"', other = '\''; /* " */ g();
}
END
plant proto/h2/good.c <<'END'
#include <nghttp2/nghttp2.h>
#include <stdint.h>
#include <sys/types.h>
END
passes doors "comments, strings, members and longer names, and what is inside its door"
clean

# sizes ----------------------------------------------------------------------------------------
lines() {
    awk -v n="$1" 'BEGIN { for (; n > 0; n--) print "" }'
}
lines 1001 | plant gateway/long.c
fails sizes "a .c file of 1001 lines" "at most 1000"
lines 201 | plant gateway/long.h
fails sizes "a header of 201 lines" "at most 200"
lines 1001 | plant tests/unit/base/test_long.c
fails sizes "a test of 1001 lines" "at most 1000"
lines 1001 | plant client/include/long.h
fails sizes "an installed header of 1001 lines" "at most 1000"
lines 1000 | plant gateway/long.c
lines 200 | plant gateway/long.h
lines 5000 | plant gateway/long.def
lines 900 | plant client/include/long.h
passes sizes "files as long as they may be, and a long table"
clean

# format ---------------------------------------------------------------------------------------
if clang-format --version 2>/dev/null | grep -q ' version 14\.'; then
    passes format "a clean tree"
    echo 'int  sg_x( void );' | plant base/ugly.h
    fails format "spaces that clang-format would not write" "clang-format"
else
    say skipped format "there is no clang-format 14 here"
fi

# names: needs a library of a compiler's -------------------------------------------------------
build_library() {
    "${CC:-cc}" -c "$tree/$1.c" -o "$tree/$1.o" && rm -f "$tree/$1.a" && ar rc "$tree/$1.a" "$tree/$1.o"
}
# names_status EXPECTED WHAT ARGUMENT...
names_status() {
    expected=$1 what=$2
    shift 2
    "$here/names.sh" "$@" >/dev/null 2>&1
    if [ $? = "$expected" ]; then
        say ok names "$what"
    else
        say FAILED names "$what"
        failed=1
    fi
}
plant good.c <<'END'
int sg_good(void) { return 0; }
static int helper;
int *sg_helper(void) { return &helper; }
END
plant bad.c <<'END'
int sg_good(void) { return 0; }
int log_init(void) { return 0; }
END
plant public.c <<'END'
int sealgate_open(void) { return 0; }
int sg_good(void) { return 0; }
END
echo 'static int none __attribute__((unused));' | plant empty.c
for name in good bad public empty; do
    build_library $name || exit 2
done
names_status 0 "passes: sg_ and statics" "$tree/good.a"
names_status 1 "fails: a function without the prefix" "$tree/bad.a"
names_status 1 "fails: the second library is bad" "$tree/good.a" "$tree/bad.a"
names_status 1 "fails: sealgate_ outside of the client" "$tree/public.a"
names_status 0 "passes: sealgate_ in the client" --also sealgate_ "$tree/public.a"
names_status 1 "fails: nothing to judge" "$tree/empty.a"
names_status 1 "fails: no such library" "$tree/missing.a"
clean

# headers: a project of one module, by the build's own function --------------------------------
plant CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.24)
project(planted LANGUAGES C)
add_library(sg_flags INTERFACE)
include($here/../../ops/build/SgModule.cmake)
sg_module(base SOURCES base/err.c HEADERS base/err.h)
END
headers_build() {
    rm -rf "$tree/out"
    CC="${CC:-cc}" cmake -G Ninja -S "$tree" -B "$tree/out" >/dev/null 2>&1 &&
        cmake --build "$tree/out" --target all_verify_interface_header_sets >/dev/null 2>&1
}
if headers_build; then
    say ok headers "passes: a header that compiles alone"
else
    say FAILED headers "should pass: a header that compiles alone"
    failed=1
fi
plant base/err.h <<'END'
uint8_t sg_err(void);
END
if headers_build; then
    say FAILED headers "should fail: a header that needs another before it"
    failed=1
else
    say ok headers "fails: a header that needs another before it"
fi

exit $failed
