# sg_module(name SOURCES ... HEADERS ... DEPENDS ... LIBRARIES ...): one static library per folder.
# HEADERS are compiled alone once each (all_verify_interface_header_sets). DEPENDS are modules of
# ours, LIBRARIES are outside libraries (imported targets).
function(sg_module name)
    cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;DEPENDS;LIBRARIES" ${ARGN})
    add_library(sg_${name} STATIC ${ARG_SOURCES})
    add_library(sg::${name} ALIAS sg_${name})
    target_sources(sg_${name} PUBLIC FILE_SET HEADERS
        BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HEADERS})
    target_include_directories(sg_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
    target_link_libraries(sg_${name} PRIVATE sg_flags)
    foreach(module IN LISTS ARG_DEPENDS)
        target_link_libraries(sg_${name} PUBLIC sg::${module})
    endforeach()
    target_link_libraries(sg_${name} PUBLIC ${ARG_LIBRARIES})
    set_target_properties(sg_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
endfunction()

# sg_program(name SOURCES ... DEPENDS ... LIBRARIES ...): a program in bin/.
function(sg_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE sg_flags ${ARG_LIBRARIES})
    foreach(module IN LISTS ARG_DEPENDS)
        target_link_libraries(${name} PRIVATE sg::${module})
    endforeach()
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    sg_whole_program(${name})
endfunction()
