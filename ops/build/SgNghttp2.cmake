# CVE-2026-27135: a client that has been told to go can make nghttp2 abort the process, before it was
# asked who it is. Mended in 1.68.1, and by Debian in older versions that still call themselves what
# they were, so Debian's own revision has to be asked for.
#
#   SG_NGHTTP2_PATCHED   ON: somebody else mended the library of this machine
option(SG_NGHTTP2_PATCHED "this machine's nghttp2 has the fix of CVE-2026-27135" OFF)

set(SG_NGHTTP2_MENDED 1.68.1)
# The revision of each Debian release from which on it is mended; upstream's version before the "-".
set(SG_NGHTTP2_DEBIAN 1.52.0-1+deb12u3 1.64.0-1.1+deb13u1)

# From which version on the packages of upstream's `version` are mended.
function(sg_nghttp2_floor version output)
    set(floor ${SG_NGHTTP2_MENDED})
    foreach(revision IN LISTS SG_NGHTTP2_DEBIAN)
        if(revision MATCHES "^${version}-")
            set(floor ${revision})
        endif()
    endforeach()
    set(${output} ${floor} PARENT_SCOPE)
endfunction()

# Why upstream's `version` must not be used here; empty: it may.
function(sg_nghttp2_fault version output)
    set(${output} "" PARENT_SCOPE)
    sg_nghttp2_floor(${version} floor)
    if(version VERSION_GREATER_EQUAL SG_NGHTTP2_MENDED)
        return()
    endif()
    if(floor STREQUAL SG_NGHTTP2_MENDED)
        set(${output} "libnghttp2 is ${version}; no Debian release mended that version" PARENT_SCOPE)
        return()
    endif()
    # The library that will run, and the one that is linked with libsealgate.a.
    foreach(package libnghttp2-14 libnghttp2-dev)
        execute_process(COMMAND dpkg-query -W -f "\${Version}" ${package}
            OUTPUT_VARIABLE have ERROR_QUIET RESULT_VARIABLE missing)
        if(missing)
            set(${output} "libnghttp2 is ${version} and the package ${package} is not there to tell whether it is mended"
                PARENT_SCOPE)
            return()
        endif()
        execute_process(COMMAND dpkg --compare-versions ${have} ge ${floor} RESULT_VARIABLE older)
        if(older)
            set(${output} "${package} is ${have}, and ${floor} is the first that is mended" PARENT_SCOPE)
            return()
        endif()
    endforeach()
endfunction()

# Ends CMake where the library must not be used; SG_NGHTTP2_FLOOR is what packages may depend on.
function(sg_check_nghttp2 version)
    sg_nghttp2_floor(${version} floor)
    set(SG_NGHTTP2_FLOOR ${floor} PARENT_SCOPE)
    if(SG_NGHTTP2_PATCHED)
        set(SG_NGHTTP2_FLOOR ${version} PARENT_SCOPE) # which is all that can be known
        return()
    endif()
    sg_nghttp2_fault(${version} fault)
    if(fault)
        message(FATAL_ERROR "nghttp2 has CVE-2026-27135: a stranger can end the gateway.\n"
            "${fault}.\n"
            "On Debian: apt-get update && apt-get install libnghttp2-14 libnghttp2-dev\n"
            "Elsewhere: nghttp2 ${SG_NGHTTP2_MENDED} or newer; or, if your distribution says that its older one is mended, cmake -DSG_NGHTTP2_PATCHED=ON")
    endif()
endfunction()
