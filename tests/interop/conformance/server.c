/*
 * The server that the conformance suite judges: reads one ServerCompatRequest from standard input,
 * listens, says where in a ServerCompatResponse, and serves until it is told to stop.
 */
#include <stdlib.h>
#include <unistd.h>

#include "proto/pb/unpack.h"
#include "tests/interop/conformance/messages.h"
#include "tests/interop/conformance/service.h"

static void read_all(void *to, size_t len)
{
    REQUIRE(fread(to, 1, len, stdin) == len);
}

static CONF(ServerCompatRequest) * read_request(struct sg_arena *arena)
{
    uint8_t prefix[4], *bytes;
    ProtobufCMessage *request;

    read_all(prefix, sizeof(prefix));
    bytes = conf_alloc(arena, sg_be32(prefix) + 1);
    read_all(bytes, sg_be32(prefix));
    REQUIRE(sg_pb_unpack(CONF_DESC(server_compat_request), sg_slice_of(bytes, sg_be32(prefix)),
                         arena, SG_PB_LENIENT, &request, NULL) == SG_OK);
    return (CONF(ServerCompatRequest) *)request;
}

static void write_response(const CONF(ServerCompatRequest) * request, uint16_t port)
{
    CONF(ServerCompatResponse) response = CONNECTRPC__CONFORMANCE__V1__SERVER_COMPAT_RESPONSE__INIT;
    char host[] = "127.0.0.1";
    struct sg_buf packed;
    uint8_t prefix[4];

    response.host = host;
    response.port = port;
    if (request->use_tls)
        response.pem_cert = request->server_creds->cert;
    sg_buf_init(&packed, SIZE_MAX);
    sg_pb_pack(&response.base, &packed);
    sg_put_be32(prefix, (uint32_t)packed.len);
    REQUIRE(fwrite(prefix, 1, sizeof(prefix), stdout) == sizeof(prefix));
    REQUIRE(fwrite(packed.ptr, 1, packed.len, stdout) == packed.len && fflush(stdout) == 0);
    sg_buf_done(&packed);
}

/* A temporary file of these bytes, to be unlinked once it has been read. */
static const char *file_of(struct sg_arena *arena, ProtobufCBinaryData bytes)
{
    char *path = sg_arena_strdup(arena, SG_SLICE("/tmp/sealgate-conformance-XXXXXX"));
    int fd = mkstemp(path);

    REQUIRE(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len && close(fd) == 0);
    return path;
}

static struct rpc_host *listen_for(const CONF(ServerCompatRequest) * request,
                                   const struct sg_call_handler *handler, struct service *service)
{
    enum { CALL_BYTES_MAX = 256 << 20, SEND_BYTES_MAX = 64 << 20 };
    struct sg_arena arena;
    struct rpc_host_options options = {
        .wire = request->use_tls ? RPC_HOST_TLS
                : request->http_version == CONNECTRPC__CONFORMANCE__V1__HTTPVERSION__HTTP_VERSION_1
                    ? RPC_HOST_CLEAR_HTTP1
                    : RPC_HOST_CLEAR_HTTP2,
        .limits = sg_rpc_limits_default,
        .table = &sg_methods,
        .handler = handler,
    };

    sg_arena_init(&arena, 1 << 16);
    options.limits.call_bytes_max = CALL_BYTES_MAX;
    options.limits.send_bytes_max = SEND_BYTES_MAX;
    options.limits.deadline_ns_max = INT64_MAX / 2; /* all that the suite asks for */
    if (request->message_receive_limit > 0)
        options.limits.message_bytes_max = request->message_receive_limit;
    if (request->use_tls) {
        options.cert_file = file_of(&arena, request->server_creds->cert);
        options.key_file = file_of(&arena, request->server_creds->key);
    }
    service->host = rpc_host_new(&options);
    if (options.cert_file != NULL)
        REQUIRE(unlink(options.cert_file) == 0 && unlink(options.key_file) == 0);
    sg_arena_done(&arena);
    return service->host;
}

int main(void)
{
    struct sg_arena arena;
    struct service service = {0};
    struct sg_call_handler handler = service_handler(&service);
    CONF(ServerCompatRequest) * request;

    sg_arena_init(&arena, 1 << 20);
    request = read_request(&arena);
    struct rpc_host *host = listen_for(request, &handler, &service);
    write_response(request, rpc_host_port(host));
    sg_arena_done(&arena);
    rpc_host_run(host);
    rpc_host_free(host);
    return 0;
}
