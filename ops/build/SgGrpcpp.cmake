# grpc++, for a foreign client and a benchmark to compare with, where it is installed. Included by
# tests/CMakeLists.txt, so that C++ is on in the folder above all that use it. Sets SG_GRPCPP.

# ops/deps may have installed what an earlier run of CMake did not find.
if(CMAKE_CXX_COMPILER MATCHES "NOTFOUND$")
    unset(CMAKE_CXX_COMPILER CACHE)
endif()
pkg_check_modules(GRPCPP QUIET IMPORTED_TARGET GLOBAL grpc++ protobuf)
find_program(SG_GRPC_CPP_PLUGIN grpc_cpp_plugin)
include(CheckLanguage)
check_language(CXX)
set(SG_GRPCPP OFF)
if(GRPCPP_FOUND AND SG_GRPC_CPP_PLUGIN AND CMAKE_CXX_COMPILER)
    enable_language(CXX)
    set(SG_GRPCPP ON)
endif()

# sg_grpcpp_program(name SOURCES ... PROTOS ... FROM folder): a C++ program with stubs from proto/, or
# from the folder. Without our
# warnings and sanitizers, and not part of `all`: it takes longer to compile than all of ours.
function(sg_grpcpp_program name)
    cmake_parse_arguments(ARG "" "FROM" "SOURCES;PROTOS" ${ARGN})
    if(NOT ARG_FROM)
        set(ARG_FROM ${PROJECT_SOURCE_DIR}/proto)
    endif()
    set(gen ${CMAKE_CURRENT_BINARY_DIR}/${name}.gen)
    file(MAKE_DIRECTORY ${gen})
    foreach(proto IN LISTS ARG_PROTOS)
        add_custom_command(
            OUTPUT ${gen}/${proto}.pb.cc ${gen}/${proto}.grpc.pb.cc
            COMMAND ${SG_PROTOC} -I ${ARG_FROM} --cpp_out=${gen} --grpc_out=${gen}
                --plugin=protoc-gen-grpc=${SG_GRPC_CPP_PLUGIN} ${proto}.proto
            DEPENDS ${ARG_FROM}/${proto}.proto VERBATIM)
        list(APPEND ARG_SOURCES ${gen}/${proto}.pb.cc ${gen}/${proto}.grpc.pb.cc)
    endforeach()
    add_executable(${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
    target_compile_features(${name} PRIVATE cxx_std_17)
    target_include_directories(${name} PRIVATE ${gen})
    target_link_libraries(${name} PRIVATE PkgConfig::GRPCPP)
endfunction()
