# sg_proto(name PROTOS a.proto ... WELL_KNOWN google/protobuf/x.proto ...): the module `name` made of
# what is generated from the .proto files under proto/:
#   generated/<path>.pb-c.[ch]       messages, by protoc-gen-c
#   generated/methods.[ch]           every RPC with its number, in one table (gen_methods.py)
#   generated/types.[ch]             every message type by name (gen_methods.py)
#   generated/descriptors.[ch]       every file's descriptor, for reflection (gen_methods.py)
#   generated/descriptors.pb         all of it with comments, for the lint; not shipped
# PROTOS are relative to proto/; WELL_KNOWN are those that protobuf itself ships.
find_program(SG_PROTOC protoc REQUIRED)
find_program(SG_PROTOC_GEN_C protoc-gen-c REQUIRED)
# The distribution's own interpreter first: it is the one that has python3-protobuf.
find_program(SG_PYTHON3 python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(SG_PYTHON3 python3 REQUIRED)
find_path(SG_PROTOBUF_INCLUDE google/protobuf/timestamp.proto PATHS /usr/include REQUIRED)

execute_process(COMMAND ${SG_PYTHON3} -c "import google.protobuf.descriptor_pb2"
    RESULT_VARIABLE SG_PYTHON3_LACKS ERROR_QUIET)
if(SG_PYTHON3_LACKS)
    message(FATAL_ERROR "${SG_PYTHON3} has no protobuf module (Debian: python3-protobuf)")
endif()

function(sg_proto name)
    cmake_parse_arguments(ARG "" "" "PROTOS;WELL_KNOWN" ${ARGN})
    set(out ${PROJECT_BINARY_DIR}/generated)
    set(generator ${PROJECT_SOURCE_DIR}/ops/build/gen_methods.py)
    file(MAKE_DIRECTORY ${out})

    set(inputs ${ARG_PROTOS})
    list(TRANSFORM inputs PREPEND ${PROJECT_SOURCE_DIR}/proto/)
    set(stems ${ARG_PROTOS} ${ARG_WELL_KNOWN})
    list(TRANSFORM stems REPLACE "\\.proto$" "")
    set(sources ${stems})
    list(TRANSFORM sources PREPEND ${out}/)
    set(headers ${sources})
    list(TRANSFORM sources APPEND .pb-c.c)
    list(TRANSFORM headers APPEND .pb-c.h)

    add_custom_command(
        OUTPUT ${sources} ${headers} ${out}/descriptors.pb
        COMMAND ${SG_PROTOC} --plugin=protoc-gen-c=${SG_PROTOC_GEN_C}
            -I${PROJECT_SOURCE_DIR}/proto -I${SG_PROTOBUF_INCLUDE} --c_out=${out}
            --include_imports --include_source_info --descriptor_set_out=${out}/descriptors.pb
            ${ARG_PROTOS} ${ARG_WELL_KNOWN}
        # The macros X__INIT cast const away, and clang says so wherever they are used.
        COMMAND sed -i "s/(char \\*)protobuf_c_empty_string/(char *)(uintptr_t)protobuf_c_empty_string/g"
            ${headers}
        DEPENDS ${inputs}
        COMMENT "Generating C from the .proto files"
        VERBATIM)
    add_custom_command(
        OUTPUT ${out}/methods.h ${out}/methods.c ${out}/types.h ${out}/types.c
            ${out}/descriptors.h ${out}/descriptors.c
        COMMAND ${SG_PYTHON3} ${generator} ${out}/descriptors.pb ${out}
        DEPENDS ${out}/descriptors.pb ${generator}
        COMMENT "Generating the tables of methods, types and descriptors"
        VERBATIM)

    sg_module(${name}
        SOURCES ${sources} ${out}/methods.c ${out}/types.c ${out}/descriptors.c
        DEPENDS base
        LIBRARIES PkgConfig::PROTOBUF_C)
    # protoc-gen-c's code is not ours to keep free of warnings.
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS -w)
    set_property(GLOBAL PROPERTY SG_DESCRIPTOR_SET ${out}/descriptors.pb)
endfunction()
