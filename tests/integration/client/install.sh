#!/usr/bin/env bash
# install.sh CC [FLAG]...: installs what callers get into a prefix of its own, moves it, and from
# that alone compiles the examples with pkg-config and with CMake's find_package, and has each sign
# against the instance. The flags are what the build's sanitizers want.
. "$(dirname "$0")/../../interop/lib.sh"
cc=$1
shift
flags="$*"
need pkg-config
pkg-config --exists libuv || lacking libuv1-dev
connect
work=$SEALGATE_BUILD/install-test
rm -rf "$work"
mkdir -p "$work"
cd "$work"
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

for component in libsealgate0 libsealgate-dev sealgate; do
    cmake --install "$SEALGATE_BUILD" --prefix "$work/first" --component $component >>install.log
done
mv first root # nothing may remember where it was installed
root=$work/root
lib=$(dirname "$(find "$root" -name 'libsealgate.so.0')")
grep -rIl -e "$work/first" -e "$SEALGATE_BUILD" -e "$top" "$root" --include='*.pc' --include='*.cmake' &&
    fail "an installed file tells of where it was built"
for file in bin/sealgate include/sealgate.h include/sealgate_audit.h include/sealgate_tokens.h share/man/man1/sealgate.1 share/man/man3/libsealgate.3 \
    share/man/man3/sealgate_sign_start.3 share/bash-completion/completions/sealgate; do
    [ -s "$root/$file" ] || fail "no $file"
done
[ "$(find "$root/include" -type f | wc -l)" = 3 ] || fail "more headers than the three"
if command -v man >/dev/null; then
    for page in man1/sealgate.1 man3/libsealgate.3; do
        complaints=$(LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l "$root/share/man/$page" 2>&1 >/dev/null)
        [ -z "$complaints" ] || fail "$page: $complaints"
    done
fi

export LD_LIBRARY_PATH=$lib PKG_CONFIG_PATH=$lib/pkgconfig
[ "$("$root/bin/sealgate" --version)" = "sealgate $(pkg-config --modversion sealgate)" ] || fail "versions differ"

digests=
for i in 1 2 3 4 5; do digests+=" $(printf 'document %s' $i | sha256sum | cut -d' ' -f1)"; done
"$root/bin/sealgate" keys public-key dev-p256 --out key.pem >/dev/null
judged() { # PROGRAM: "DIGEST SIGNATURE" lines on standard input; all five are there and verify
    local digest signature count=0
    while read -r digest signature; do
        [ -n "$signature" ] || fail "$1 printed \"$digest\""
        xxd -r -p <<<"$signature" >signature 2>/dev/null || printf '%b' "$(sed 's/../\\x&/g' <<<"$signature")" >signature
        [[ "$digests" == *"$digest"* ]] || fail "$1 signed another digest"
        "$root/bin/sealgate" verify --offline --public-key key.pem --digest "$digest" --algorithm sha256 \
            --signature signature >/dev/null || fail "$1: $digest: the signature is not valid"
        count=$((count + 1))
    done
    [ $count = 5 ] || fail "$1: $count of five"
}
works() { # FOLDER: its programs sign
    local digest program
    for program in sign ${2:-}; do
        for digest in $digests; do echo "$digest $("$1/$program" "$digest")"; done | judged "$program"
    done
    printf '%s\n' $digests | "$1/epoll" | judged epoll
    "$1/uv" $digests | judged uv
    # Nobody listens there: the program must say so.
    if SEALGATE_ENDPOINT=127.0.0.1:1 "$1/uv" $digests >out 2>&1; then fail "uv hides failures"; fi
    [ "$(grep -c CONNECT_FAILED out)" = 5 ] || fail "uv told of other failures: $(cat out)"
}

mkdir by-pkg-config
warnings="-std=gnu11 -Wall -Wextra -Wpedantic -Werror"
for program in sign epoll uv; do
    needs="sealgate"
    [ $program != uv ] || needs="sealgate libuv"
    $cc $warnings $flags "$top/client/examples/$program.c" $(pkg-config --cflags --libs $needs) -o by-pkg-config/$program
done
works by-pkg-config
echo "ok: by pkg-config"

cmake -G Ninja -S "$top/client/examples" -B by-cmake -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$flags" \
    -DCMAKE_PREFIX_PATH="$root" >cmake.log 2>&1 || { cat cmake.log; fail "find_package"; }
cmake --build by-cmake >>cmake.log 2>&1 || { tail -30 cmake.log; fail "the examples do not build"; }
ldd by-cmake/sign_static | grep libsealgate && fail "the static program needs the shared library"
works by-cmake sign_static
echo "ok: by CMake, shared and static"
