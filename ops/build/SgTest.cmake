# sg_support(name SOURCES ... DEPENDS ... LIBRARIES ...): what several tests share, compiled once. A
# test that names it in LIBRARIES gets the objects themselves, so that their --wrap and their symbols
# are there as if they were its own.
function(sg_support name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
    add_library(${name}_objects OBJECT ${ARG_SOURCES})
    target_include_directories(${name}_objects PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name}_objects PRIVATE sg_flags PkgConfig::CMOCKA ${ARG_LIBRARIES})
    foreach(module IN LISTS ARG_DEPENDS)
        target_link_libraries(${name}_objects PRIVATE sg::${module})
    endforeach()
    add_library(${name} INTERFACE)
    target_sources(${name} INTERFACE $<TARGET_OBJECTS:${name}_objects>)
endfunction()

# What ctest -R '^unit' needs, for the presets that run nothing else.
add_custom_target(unit_tests)

# sg_test(unit.module.file SOURCES ... DEPENDS ... LIBRARIES ...): one cmocka program, one ctest.
function(sg_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PRIVATE sg_flags PkgConfig::CMOCKA ${ARG_LIBRARIES})
    foreach(module IN LISTS ARG_DEPENDS)
        target_link_libraries(${name} PRIVATE sg::${module})
    endforeach()
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 60)
    if(name MATCHES "^unit")
        add_dependencies(unit_tests ${name})
    endif()
endfunction()

# sg_fuzz(parser SOURCES fuzz_parser.c DEPENDS ...): tests/fuzz/fuzz_<parser>.c twice: as a replay of
# tests/fuzz/corpus/<parser>/ (any compiler, every ctest run, named fuzz.<parser>), and, with
# SG_FUZZ on and clang, as a libFuzzer program fuzz_<parser>.
function(sg_fuzz parser)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
    set(replay replay_${parser})
    add_executable(${replay} ${ARG_SOURCES})
    target_link_libraries(${replay} PRIVATE sg_replay)
    set(programs ${replay})
    if(SG_FUZZ)
        add_executable(fuzz_${parser} ${ARG_SOURCES})
        target_compile_options(fuzz_${parser} PRIVATE -fsanitize=fuzzer)
        target_link_options(fuzz_${parser} PRIVATE -fsanitize=fuzzer)
        list(APPEND programs fuzz_${parser})
    endif()
    foreach(program IN LISTS programs)
        target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR})
        target_link_libraries(${program} PRIVATE sg_flags ${ARG_LIBRARIES})
        foreach(module IN LISTS ARG_DEPENDS)
            target_link_libraries(${program} PRIVATE sg::${module})
        endforeach()
        set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    endforeach()
    add_test(NAME fuzz.${parser}
        COMMAND ${replay} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${parser})
    set_tests_properties(fuzz.${parser} PROPERTIES TIMEOUT 60)
endfunction()
