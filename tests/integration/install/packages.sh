#!/usr/bin/env bash
# packages.sh: makes the Debian packages of the release build and judges them: what is in them, what
# they ask for, that the scripts are sound, and that the programs run from where they were unpacked.
. "$(dirname "$0")/../lib.sh"
build=${SEALGATE_BUILD:?set by ctest}
work=$build/packages-test
rm -rf "$work"
mkdir -p "$work/root"
cd "$work"
SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
umask 022

make_packages() { # FOLDER
    (cd "$build" && cpack -G DEB -B "$work/$1") >"$1.log" 2>&1 || { tail -20 "$1.log"; fail "cpack"; }
}
make_packages first
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:[A-Z]*=//p' "$build/CMakeCache.txt")

control() { dpkg-deb -f "$deb" "$1"; }
asks_for() { control Depends | grep -qF -- "$1" || fail "$name does not ask for $1: $(control Depends)"; }
# has MODE PATH...: in the package, with that mode, owned by root.
has() {
    local mode=$1 path
    shift
    for path in "$@"; do
        grep -qE "^$mode root/root .* \./$path( -> .*)?\$" "$name.list" || fail "$name lacks $path with mode $mode"
    done
}

for name in sealgate-gateway sealgate libsealgate0 libsealgate-dev; do
    deb=$(echo first/"$name"_"$version"-*.deb)
    [ -f "$deb" ] || fail "no package $name"
    dpkg-deb -c "$deb" >"$name.list"
    # The packages of a release can be told from those of another, and later.
    [ "$(control Package) $(control Source)" = "$name sealgate" ] || fail "$name: its names"
    [[ $(control Version) = "$version"-* ]] || fail "$name: its version"
    has -rw-r--r-- "usr/share/doc/$name/copyright" "usr/share/doc/$name/changelog.Debian.gz"
    dpkg-deb -x "$deb" root
    mkdir "$name.control"
    dpkg-deb -e "$deb" "$name.control"
    for script in preinst postinst prerm postrm; do
        [ ! -f "$name.control/$script" ] || sh -n "$name.control/$script" || fail "$name: $script"
    done
    case $name in
    sealgate-gateway)
        has -rwxr-xr-x usr/sbin/sealgated usr/lib/sealgate/sealgate-devkeys
        has -rw-r--r-- etc/sealgate/sealgate.yaml usr/lib/sealgate/sealgate-p11-shim.so \
            usr/lib/systemd/system/sealgate-gateway.service usr/lib/systemd/system/sealgate-token@.service \
            usr/lib/systemd/system/sealgate-witness.service \
            usr/lib/systemd/system/sealgate-archive.service usr/lib/systemd/system/sealgate-archive.timer \
            usr/lib/systemd/system/sealgate-gateway.socket usr/lib/sysusers.d/sealgate.conf \
            usr/lib/tmpfiles.d/sealgate.conf \
            usr/share/man/man8/sealgated.8.gz usr/share/man/man5/sealgate.yaml.5.gz \
            usr/share/bash-completion/completions/sealgated
        grep -qx /etc/sealgate/sealgate.yaml $name.control/conffiles || fail "the configuration is no conffile"
        asks_for "systemd-sysusers"
        asks_for "libssl3"
        ;;
    sealgate)
        has -rwxr-xr-x usr/bin/sealgate
        has -rw-r--r-- usr/share/man/man1/sealgate.1.gz usr/share/bash-completion/completions/sealgate
        ;;
    libsealgate0)
        has lrwxrwxrwx 'usr/lib/[^/]*/libsealgate\.so\.0'
        grep -qx "libsealgate 0 libsealgate0 (>= $version)" $name.control/shlibs || fail "$name: shlibs"
        grep -q "ldconfig" $name.control/triggers || fail "$name: triggers"
        ;;
    libsealgate-dev)
        has -rw-r--r-- usr/include/sealgate.h usr/include/sealgate_audit.h usr/include/sealgate_tokens.h 'usr/lib/[^/]*/libsealgate\.a' \
            'usr/lib/[^/]*/pkgconfig/sealgate.pc' 'usr/lib/[^/]*/cmake/Sealgate/SealgateConfig.cmake' \
            usr/share/man/man3/libsealgate.3.gz usr/share/man/man3/sealgate_sign.3.gz
        has lrwxrwxrwx 'usr/lib/[^/]*/libsealgate\.so'
        asks_for "libsealgate0 (= $(control Version))"
        ;;
    esac
    # The library that was mended, and not any of its name (CVE-2026-27135).
    if [ $name != libsealgate-dev ]; then
        mended=no
        while read -r _ _ floor; do
            ! dpkg --compare-versions "$floor" ge 1.52.0-1+deb12u3 || mended=yes
        done < <(control Depends | grep -oE 'libnghttp2-14 \(>= [^)]*\)' | tr -d '()')
        [ $mended = yes ] || fail "$name takes an nghttp2 that was not mended: $(control Depends)"
    fi
    ok "$name $(control Version)"
done

# Nothing tells of the machine that built it.
! grep -rlF "$top" root etc 2>/dev/null || fail "the files above tell of where they were built"
[ -z "$(find root -type f -perm /022)" ] || fail "files that others may write"
ok "no trace of the build"

root/usr/sbin/sealgated --version | grep -qx "sealgated $version" || fail "sealgated does not run"
root/usr/bin/sealgate --version | grep -qx "sealgate $version" || fail "sealgate does not run"
if root/usr/sbin/sealgated --check-config --config root/etc/sealgate/sealgate.yaml >said 2>&1; then
    fail "the configuration is accepted before it was made one's own"
fi
! grep -vE 'could not (read|find) "|there is no user "' said || fail "the complaints above"
ok "the programs run from where they were unpacked"

make_packages second
for deb in first/*.deb; do
    cmp "$deb" "second/${deb#first/}" || fail "a second run made another package"
done
ok "a second run makes the same packages"
