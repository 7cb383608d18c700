# Flags for every file of ours, carried by the interface library sg_flags.
#   SG_SANITIZE  "", "address,undefined" or "thread"
#   SG_FUZZ      build libFuzzer programs too (clang)
#   SG_COVERAGE  gcov counters
#   SG_HARDEN    what a release is built with
#   SG_LTO       whole-program optimisation: "shipped", of the programs that are shipped or measured;
#                "all", of those that test, too. The compiler goes over all of ours for each of those.
#   SG_WERROR    warnings are errors (developers and CI)
set(SG_SANITIZE "" CACHE STRING "sanitizers, comma separated")
option(SG_FUZZ "build libFuzzer programs" OFF)
option(SG_COVERAGE "count coverage" OFF)
option(SG_HARDEN "hardening flags of a release" OFF)
set(SG_LTO "" CACHE STRING "whole-program optimisation: shipped or all")
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
if(SG_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Objects that can be linked in both ways; sg_whole_program() names those for the other.
    target_compile_options(sg_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-flto -ffat-lto-objects>)
    set(whole $<BOOL:$<TARGET_PROPERTY:SG_WHOLE_PROGRAM>>)
    target_link_options(sg_flags INTERFACE
        $<IF:$<OR:${whole},$<STREQUAL:${SG_LTO},all>>,-flto=auto,-fno-lto>)
elseif(SG_LTO)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
if(SG_HARDEN)
    target_compile_options(sg_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
        -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    # With -z now nothing is bound later, so calls need no stubs: 2 % of a call of the null signer.
    target_compile_options(sg_flags INTERFACE -fno-plt)
    target_link_options(sg_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    include(CheckPIESupported)
    check_pie_supported()
endif()

# sg_whole_program(target...): these are optimised as a whole where SG_LTO says so.
function(sg_whole_program)
    set_target_properties(${ARGN} PROPERTIES SG_WHOLE_PROGRAM ON)
endfunction()
