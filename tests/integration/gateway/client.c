#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "proto/tls/tls.h"
#include "tests/integration/gateway/rig.h"

/* The other end: our own client's code on a socket that never blocks. */

enum { BUFFER_MAX = 64 << 20 };

/* Connections ----------------------------------------------------------------------------- */

struct rig_client *rig_connect_raw(struct rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct rig_client *client = calloc(1, sizeof(*client));

    assert_non_null(client);
    client->rig = rig;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)strtoul(rig->endpoint, NULL, 10));
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
    client->next = rig->clients;
    rig->clients = client;
    return client;
}

struct rig_client *rig_connect(struct rig *rig, enum rig_caller caller)
{
    static const char *const alpn[] = {"h2"};
    const struct sg_pki_id *id = rig->ids[caller];
    struct rig_client *client = rig_connect_raw(rig);
    const struct sg_tls_client_options options = {.ca_file = rig->ca->cert_file,
                                                  .cert_file = id == NULL ? NULL : id->cert_file,
                                                  .key_file = id == NULL ? NULL : id->key_file,
                                                  .alpn = alpn,
                                                  .alpn_count = 1};

    assert_int_equal(sg_tls_client_ctx_new(&options, &client->ctx, NULL), SG_OK);
    assert_int_equal(sg_tls_connect_new(client->ctx, "127.0.0.1", sg_wall_ns(&rig->clock.clock),
                                        BUFFER_MAX, &client->tls, NULL),
                     SG_OK);
    struct sg_rpc_client_limits limits = sg_rpc_client_limits_default;
    limits.ping_interval_ns = 0;
    assert_int_equal(sg_rpc_client_new(&limits, "127.0.0.1", "rig", sg_mono_ns(&rig->clock.clock),
                                       &client->rpc, NULL),
                     SG_OK);
    return client;
}

bool rig_client_is_ready(const struct rig_client *client)
{
    return client->tls != NULL && sg_tls_is_ready(client->tls);
}

static void write_out(struct rig_client *client)
{
    struct sg_buf plain, *out = sg_tls_out(client->tls);

    sg_buf_init(&plain, BUFFER_MAX);
    if (sg_tls_is_ready(client->tls)) {
        SG_IGNORE(sg_rpc_client_pull(client->rpc, BUFFER_MAX / 2, &plain, NULL)); /* feed tells */
        if (plain.len > 0)
            SG_IGNORE(sg_tls_send(client->tls, sg_buf_slice(&plain), NULL)); /* as above */
    }
    sg_buf_done(&plain);
    if (out->len > 0) {
        ssize_t len = send(client->fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (len > 0)
            sg_buf_drop(out, (size_t)len);
    }
}

/* False: nothing came. */
static bool read_in(struct rig_client *client)
{
    static uint8_t bytes[65536];
    struct sg_buf plain;
    const int64_t now_ns = sg_mono_ns(&client->rig->clock.clock);
    ssize_t len = recv(client->fd, bytes, sizeof(bytes), 0);

    if (len < 0 && errno == EAGAIN)
        return false;
    if (len <= 0) {
        client->is_over = true;
        return false;
    }
    client->received += (size_t)len;
    sg_buf_init(&plain, BUFFER_MAX);
    if (sg_tls_feed(client->tls, sg_slice_of(bytes, (size_t)len), &plain, NULL) != SG_OK ||
        (plain.len > 0 &&
         sg_rpc_client_feed(client->rpc, now_ns, sg_buf_slice(&plain), NULL) != SG_OK))
        client->is_over = true;
    client->was_told |= sg_tls_peer_has_closed(client->tls);
    sg_buf_done(&plain);
    return true;
}

void rig_client_turn(struct rig_client *client)
{
    if (client->tls == NULL) { /* only TCP: sees the end */
        uint8_t byte;
        ssize_t len = recv(client->fd, &byte, 1, 0);
        client->is_over |= len == 0 || (len < 0 && errno != EAGAIN);
        return;
    }
    if (client->is_over)
        return;
    write_out(client);
    while (!client->does_not_read && !client->is_over && read_in(client))
        ;
    write_out(client);
}

void rig_disconnect(struct rig_client *client, bool says_so)
{
    struct rig_client **link = &client->rig->clients;

    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    if (says_so && client->tls != NULL) {
        sg_tls_close(client->tls);
        write_out(client);
    }
    sg_rpc_client_free(client->rpc);
    sg_tls_conn_free(client->tls);
    sg_tls_ctx_free(client->ctx);
    close(client->fd);
    free(client);
}

/* Calls ----------------------------------------------------------------------------------- */

static void on_message(void *arg, struct sg_rpc_client_call *unused, struct sg_slice message)
{
    struct rig_call *call = arg;
    (void)unused;
    assert_true(call->message_count < RIG_JOBS_MAX);
    sg_buf_add_slice(&call->body, message);
    call->message_ends[call->message_count++] = call->body.len;
}

static void copy(char *to, size_t cap, const char *from)
{
    snprintf(to, cap, "%s", from);
}

static void read_error_info(struct rig_call *call, const Google__Protobuf__Any *any)
{
    Google__Rpc__ErrorInfo *info =
        google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
    assert_non_null(info);
    call->bad_details += strcmp(info->domain, "sealgate") != 0 || info->reason[0] == '\0';
    call->bad_details += call->reason[0] != '\0';
    copy(call->reason, sizeof(call->reason), info->reason);
    for (size_t i = 0; i < info->n_metadata; i++)
        if (strcmp(info->metadata[i]->key, "request_id") == 0)
            copy(call->request_id, sizeof(call->request_id), info->metadata[i]->value);
    google__rpc__error_info__free_unpacked(info, NULL);
}

static void read_bad_request(struct rig_call *call, const Google__Protobuf__Any *any)
{
    Google__Rpc__BadRequest *bad =
        google__rpc__bad_request__unpack(NULL, any->value.len, any->value.data);
    assert_non_null(bad);
    assert_int_equal(bad->n_field_violations, 1);
    copy(call->field, sizeof(call->field), bad->field_violations[0]->field);
    google__rpc__bad_request__free_unpacked(bad, NULL);
}

static void read_details(struct rig_call *call)
{
    Google__Rpc__Status *status =
        google__rpc__status__unpack(NULL, call->details.len, call->details.ptr);
    assert_non_null(status);
    assert_int_equal(status->code, call->code);
    assert_slice_equal(sg_slice_str(status->message), sg_buf_slice(&call->message));
    for (size_t i = 0; i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        const char *name = strrchr(any->type_url, '.') + 1;
        if (strcmp(name, "ErrorInfo") == 0)
            read_error_info(call, any);
        else if (strcmp(name, "BadRequest") == 0)
            read_bad_request(call, any);
        call->has_receipt |= strcmp(name, "AuditReceipt") == 0;
        call->has_retry |= strcmp(name, "RetryInfo") == 0;
    }
    google__rpc__status__free_unpacked(status, NULL);
}

static void on_done(void *arg, struct sg_rpc_client_call *unused, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    struct rig_call *call = arg;
    (void)unused;
    call->done++;
    call->call = NULL;
    call->code = status->code;
    call->outcome = outcome;
    sg_buf_add_slice(&call->message, status->message);
    sg_buf_add_slice(&call->details, status->details);
    if (call->details.len > 0)
        read_details(call);
}

struct rig_call *rig_begin(struct rig_client *client, const char *path, int64_t timeout_ns)
{
    struct rig_call *call = calloc(1, sizeof(*call));
    const int64_t now_ns = sg_mono_ns(&client->rig->clock.clock);
    const struct sg_rpc_client_events events = {call, on_message, NULL, on_done};

    assert_non_null(call);
    call->client = client;
    sg_buf_init(&call->body, BUFFER_MAX);
    sg_buf_init(&call->message, BUFFER_MAX);
    sg_buf_init(&call->details, BUFFER_MAX);
    assert_int_equal(sg_rpc_client_start(client->rpc, path, now_ns,
                                         timeout_ns == 0 ? 0 : now_ns + timeout_ns, NULL, 0,
                                         &events, &call->call, NULL),
                     SG_OK);
    return call;
}

void rig_send_bytes(struct rig_call *call, struct sg_slice bytes, bool is_last)
{
    if (call->call != NULL)
        assert_int_equal(sg_rpc_client_send(call->call, bytes, is_last, NULL), SG_OK);
}

void rig_send(struct rig_call *call, const ProtobufCMessage *message, bool is_last)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    protobuf_c_message_pack(message, bytes);
    rig_send_bytes(call, sg_slice_of(bytes, len), is_last);
    free(bytes);
}

struct rig_call *rig_ask(struct rig_client *client, const char *path,
                         const ProtobufCMessage *message)
{
    struct rig_call *call = rig_begin(client, path, 0);
    rig_send(call, message, true);
    return call;
}

struct rig_call *rig_get(struct rig_client *client, const char *path,
                         const ProtobufCMessage *message)
{
    struct rig_call *call = rig_ask(client, path, message);
    RIG_UNTIL(client->rig, call->done > 0);
    return call;
}

void *rig_message(const struct rig_call *call, size_t n, const ProtobufCMessageDescriptor *type)
{
    assert_true(n < call->message_count);
    size_t start = n == 0 ? 0 : call->message_ends[n - 1];
    const size_t len = call->message_ends[n] - start;
    void *message =
        protobuf_c_message_unpack(type, NULL, len, len == 0 ? NULL : call->body.ptr + start);
    assert_non_null(message);
    return message;
}

void rig_call_free(struct rig_call *call)
{
    assert_int_equal(call->done, 1);
    assert_int_equal(call->bad_details, 0);
    sg_buf_done(&call->body);
    sg_buf_done(&call->message);
    sg_buf_done(&call->details);
    free(call);
}

/* Signatures ------------------------------------------------------------------------------ */

void rig_sign_init(struct rig_sign *sign, const char *key)
{
    snprintf(sign->key, sizeof(sign->key), "%s", key);
    memset(sign->bytes, 0x5a, sizeof(sign->bytes));
    sealgate__v1__digest__init(&sign->digest);
    sign->digest.algorithm = SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256;
    sign->digest.value = (ProtobufCBinaryData){32, sign->bytes};
    sealgate__v1__sign_request__init(&sign->request);
    sign->request.key = sign->key;
    if (strcmp(key, "keys/edward") == 0) {
        sign->request.content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_MESSAGE;
        sign->request.message = (ProtobufCBinaryData){32, sign->bytes};
    } else {
        sign->request.content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST;
        sign->request.digest = &sign->digest;
    }
}

void rig_sign_check(struct rig *rig, enum rig_key key, const struct rig_sign *sign,
                    const Sealgate__V1__SignResponse *response)
{
    const struct sg_slice signature =
        sg_slice_of(response->signature.data, response->signature.len);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(rig->pkeys[key], NULL);
    EVP_MD_CTX *md_ctx = EVP_MD_CTX_new();
    int valid;

    if (key == EDWARD) {
        assert_int_equal(EVP_DigestVerifyInit(md_ctx, NULL, NULL, NULL, rig->pkeys[key]), 1);
        valid = EVP_DigestVerify(md_ctx, signature.ptr, signature.len, sign->bytes, 32);
    } else {
        assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
        if (key == RON)
            assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
        valid = EVP_PKEY_verify(ctx, signature.ptr, signature.len, sign->bytes, 32);
    }
    assert_int_equal(valid, 1);
    assert_int_equal(response->signature_crc32c, sg_crc32c(signature));
    EVP_PKEY_CTX_free(ctx);
    EVP_MD_CTX_free(md_ctx);
}
