#include "descriptors.h"
#include "gateway/rpc/rpc_priv.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "proto/pb/unpack.h"

/*
 * Server reflection, v1 and v1alpha: their messages have the same fields by number, so one
 * implementation reads and writes v1's for both. What is asked for and not there is answered in
 * the stream, not by its status.
 */
enum { ANSWER_BYTES_MAX = 1 << 20 };

/* An answer is handed on by value: each function puts pointers into it to what is its own. */

/* What a stream keeps: the files sent on it already. In the call's arena. */
struct reflection {
    sg_proto_file_set sent;
};

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;

static void send(struct sg_rpc *rpc, struct sg_call *call, struct sg_arena *arena,
                 const response_t *response)
{
    struct sg_rpc_error error = {0};
    size_t len = protobuf_c_message_get_packed_size(&response->base);
    uint8_t *bytes = sg_arena_alloc(arena, len);

    if (bytes == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    protobuf_c_message_pack(&response->base, bytes);
    if (sg_rpc_send(call, sg_slice_of(bytes, len), NULL, &error.err) != SG_OK)
        sg_rpc_fail(rpc, call, &error);
}

static void send_error(struct sg_rpc *rpc, struct sg_call *call, struct sg_arena *arena,
                       response_t response, enum sg_grpc_code code, const char *message)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;

    error.error_code = (int32_t)code;
    error.error_message = (char *)(uintptr_t)message; /* packing only reads it */
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response.error_response = &error;
    send(rpc, call, arena, &response);
}

static void send_services(struct sg_rpc *rpc, struct sg_call *call, struct sg_arena *arena,
                          response_t response)
{
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    const size_t count = sg_descriptors.service_count;
    Grpc__Reflection__V1__ServiceResponse *services =
        sg_arena_alloc(arena, count * sizeof(*services));
    list.service = sg_arena_alloc(arena, count * sizeof(*list.service));
    if (services == NULL || list.service == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        grpc__reflection__v1__service_response__init(&services[i]);
        services[i].name = (char *)(uintptr_t)sg_descriptors.services[i];
        list.service[i] = &services[i];
    }
    list.n_service = count;
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response.list_services_response = &list;
    send(rpc, call, arena, &response);
}

static void send_file(struct sg_rpc *rpc, struct sg_call *call, struct sg_arena *arena,
                      response_t response, const struct sg_proto_file *file)
{
    struct reflection *reflection = sg_rpc_user(call);
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    const struct sg_proto_file *closure[SG_PROTO_FILES_MAX];
    ProtobufCBinaryData protos[SG_PROTO_FILES_MAX];

    if (file == NULL) {
        send_error(rpc, call, arena, response, SG_GRPC_NOT_FOUND, "there is no such file or name");
        return;
    }
    files.n_file_descriptor_proto =
        sg_descriptors_closure(&sg_descriptors, file, &reflection->sent, closure);
    files.file_descriptor_proto = protos;
    for (size_t i = 0; i < files.n_file_descriptor_proto; i++) {
        protos[i].data = (uint8_t *)(uintptr_t)closure[i]->bytes.ptr;
        protos[i].len = closure[i]->bytes.len;
    }
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response.file_descriptor_response = &files;
    send(rpc, call, arena, &response);
}

static const struct sg_proto_file *file_of_symbol(const char *name)
{
    const struct sg_proto_symbol *symbol =
        sg_descriptors_symbol(&sg_descriptors, sg_slice_str(name));
    return symbol == NULL ? NULL : &sg_descriptors.files[symbol->file];
}

/* Extensions: proto3 messages of ours have none. */
static void send_extension_numbers(struct sg_rpc *rpc, struct sg_call *call, struct sg_arena *arena,
                                   response_t response, const char *type)
{
    Grpc__Reflection__V1__ExtensionNumberResponse numbers =
        GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    const struct sg_proto_symbol *symbol =
        sg_descriptors_symbol(&sg_descriptors, sg_slice_str(type));

    if (symbol == NULL || !symbol->is_message) {
        send_error(rpc, call, arena, response, SG_GRPC_NOT_FOUND, "there is no such message");
        return;
    }
    numbers.base_type_name = (char *)(uintptr_t)type;
    response.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    response.all_extension_numbers_response = &numbers;
    send(rpc, call, arena, &response);
}

static void answer(struct sg_rpc *rpc, struct sg_call *call, struct sg_arena *arena,
                   request_t *request)
{
    response_t response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

    response.valid_host = request->host;
    response.original_request = request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        send_services(rpc, call, arena, response);
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        send_file(rpc, call, arena, response,
                  sg_descriptors_file(&sg_descriptors, sg_slice_str(request->file_by_filename)));
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        send_file(rpc, call, arena, response, file_of_symbol(request->file_containing_symbol));
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        send_file(rpc, call, arena, response, NULL);
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        send_extension_numbers(rpc, call, arena, response, request->all_extension_numbers_of_type);
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
    case _GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__CASE_IS_INT_SIZE:
        break;
    }
    send_error(rpc, call, arena, response, SG_GRPC_INVALID_ARGUMENT, "the request asks nothing");
}

static void on_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct sg_rpc_error error = {0};
    ProtobufCMessage *request;
    struct sg_arena arena; /* of this message alone: a stream may be long */

    if (sg_rpc_user(call) == NULL) {
        struct reflection *reflection = sg_arena_zalloc(sg_call_arena(call), sizeof(*reflection));
        if (reflection == NULL) {
            sg_rpc_fail_memory(rpc, call);
            return;
        }
        sg_rpc_set_user(call, reflection);
    }
    sg_arena_init(&arena, ANSWER_BYTES_MAX);
    if (sg_pb_unpack(&grpc__reflection__v1__server_reflection_request__descriptor, message, &arena,
                     SG_PB_LENIENT, &request, &error.err) == SG_OK)
        answer(rpc, call, &arena, (request_t *)request);
    else
        sg_rpc_fail(rpc, call, &error);
    sg_arena_done(&arena);
}

static void on_half_close(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    sg_rpc_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
}

const struct sg_handler sg_handle_reflection = {
    .access = SG_ACCESS_AUTHENTICATED, .message = on_message, .half_close = on_half_close};
