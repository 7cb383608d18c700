# Flags for every file of ours, carried by the interface library sg_flags.
#   SG_SANITIZE  "", "address,undefined" or "thread"
#   SG_FUZZ      build libFuzzer programs too (clang)
#   SG_COVERAGE  gcov counters
#   SG_HARDEN    what a release is built with
#   SG_WERROR    warnings are errors (developers and CI)
set(SG_SANITIZE "" CACHE STRING "sanitizers, comma separated")
option(SG_FUZZ "build libFuzzer programs" OFF)
option(SG_COVERAGE "count coverage" OFF)
option(SG_HARDEN "hardening flags of a release" OFF)
option(SG_WERROR "warnings are errors" ON)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(sg_flags INTERFACE)
target_compile_options(sg_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wswitch-enum -Wvla -Wundef -Wformat=2 -Wcast-qual -Wwrite-strings -fno-common
    -include ${PROJECT_SOURCE_DIR}/base/banned.h
    -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=>) # an error says "hsm/link.c:7" wherever it was built
target_compile_definitions(sg_flags INTERFACE _GNU_SOURCE SG_VERSION="${PROJECT_VERSION}")
if(SG_WERROR)
    target_compile_options(sg_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
if(SG_SANITIZE)
    target_compile_options(sg_flags INTERFACE -fsanitize=${SG_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    target_link_options(sg_flags INTERFACE -fsanitize=${SG_SANITIZE})
endif()
if(SG_COVERAGE)
    target_compile_options(sg_flags INTERFACE --coverage)
    target_link_options(sg_flags INTERFACE --coverage)
endif()
if(SG_FUZZ)
    target_compile_options(sg_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SG_HARDEN)
    target_compile_options(sg_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
        -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    target_link_options(sg_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    include(CheckPIESupported)
    check_pie_supported()
endif()
