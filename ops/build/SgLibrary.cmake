# sg_library(name MODULES ...): what others link: lib<name>.so.0 and lib<name>.a, made of whole
# modules, in which only <name>_* can be seen (client/lib/<name>.map), so that they never clash
# with what an application is made of. Targets <name>_shared and <name>_static.
function(sg_library name)
    cmake_parse_arguments(ARG "" "" "MODULES" ${ARGN})
    set(map ${PROJECT_SOURCE_DIR}/client/lib/${name}.map)
    set(objects "")
    set(libraries "")
    foreach(module IN LISTS ARG_MODULES)
        list(APPEND libraries sg::${module})
        list(APPEND objects $<TARGET_OBJECTS:sg_${module}>)
    endforeach()

    # The first module has the functions to be seen; of the others comes what it needs.
    list(GET ARG_MODULES 0 first)
    add_library(${name}_shared SHARED $<TARGET_OBJECTS:sg_${first}>)
    target_link_libraries(${name}_shared PRIVATE sg_flags ${libraries})
    target_link_options(${name}_shared PRIVATE -Wl,--version-script=${map} -Wl,--as-needed
        -Wl,--gc-sections)
    set_target_properties(${name}_shared PROPERTIES OUTPUT_NAME ${name} SOVERSION 0
        VERSION 0.${PROJECT_VERSION} LINKER_LANGUAGE C LINK_DEPENDS ${map}
        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

    sg_whole_program(${name}_shared)

    # One object out of all, in which everything else has become local; then an archive of it.
    set(relocatable ${PROJECT_BINARY_DIR}/CMakeFiles/${name}.o)
    set(archive ${PROJECT_BINARY_DIR}/lib/lib${name}.a)
    set(whole_program "")
    if(SG_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        set(whole_program -flto=auto -flinker-output=nolto-rel)
    endif()
    add_custom_command(OUTPUT ${archive}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/lib
        COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
        COMMAND ${CMAKE_C_COMPILER} -r -nostdlib ${whole_program} -o ${relocatable} ${objects}
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${relocatable}
        COMMAND ${CMAKE_AR} rcs ${archive} ${relocatable}
        DEPENDS ${objects} COMMAND_EXPAND_LISTS VERBATIM
        COMMENT "Making lib${name}.a")
    add_custom_target(${name}_static ALL DEPENDS ${archive})
endfunction()
