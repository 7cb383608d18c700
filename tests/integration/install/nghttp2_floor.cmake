# cmake -DSOURCE=... -DWORK=... -P nghttp2_floor.cmake: which libraries the build refuses (SgNghttp2), by
# a dpkg-query that says what each row has installed; the comparing is dpkg's own.
include(${SOURCE}/ops/build/SgNghttp2.cmake)
file(MAKE_DIRECTORY ${WORK})
set(ENV{PATH} "${WORK}:$ENV{PATH}")

# expect(good|bad upstream runtime development): the two packages' versions, "none" where not installed.
function(expect wanted upstream runtime development)
    file(WRITE ${WORK}/dpkg-query "#!/bin/sh
case \"$4\" in libnghttp2-14) have='${runtime}' ;; libnghttp2-dev) have='${development}' ;; *) exit 2 ;; esac
[ \"$have\" != none ] || exit 1
printf %s \"$have\"
")
    file(CHMOD ${WORK}/dpkg-query PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    sg_nghttp2_fault(${upstream} fault)
    set(found good)
    if(fault)
        set(found bad)
    endif()
    if(NOT found STREQUAL wanted)
        message(SEND_ERROR "${upstream} with ${runtime} and ${development} is ${found}, not ${wanted}: ${fault}")
    endif()
    message(STATUS "${wanted}: ${upstream} ${runtime} ${development} ${fault}")
endfunction()

expect(good 1.52.0 1.52.0-1+deb12u3 1.52.0-1+deb12u3)
expect(good 1.52.0 1.52.0-1+deb12u10 1.52.0-1+deb12u10)
expect(bad 1.52.0 1.52.0-1+deb12u2 1.52.0-1+deb12u2)
expect(bad 1.52.0 1.52.0-1 1.52.0-1)
# One of the two was left behind.
expect(bad 1.52.0 1.52.0-1+deb12u3 1.52.0-1+deb12u2)
expect(bad 1.52.0 1.52.0-1+deb12u2 1.52.0-1+deb12u3)
expect(good 1.64.0 1.64.0-1.1+deb13u1 1.64.0-1.1+deb13u1)
expect(bad 1.64.0 1.64.0-1.1 1.64.0-1.1)
# Newer than Debian 12's in number, and yet not mended; and one that no Debian release has.
expect(bad 1.64.0 1.64.0-1 1.64.0-1)
expect(bad 1.59.0 1.59.0-1ubuntu0.2 1.59.0-1ubuntu0.2)
expect(bad 1.68.0 1.68.0-1 1.68.0-1)
expect(good 1.68.1 none none)
expect(good 1.70.0 none none)
# No Debian, or not from its packages.
expect(bad 1.52.0 none none)
expect(bad 1.52.0 1.52.0-1+deb12u3 none)
