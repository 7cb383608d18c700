#include "tests/unit/client/script.h"

#include "base/crc32c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "methods.h"
#include "proto/pb/unpack.h"
#include "sealgate/v1/info.pb-c.h"
#include "sealgate/v1/keys.pb-c.h"
#include "sealgate/v1/signing.pb-c.h"
#include "sealgate/v1/verification.pb-c.h"
#include "tests/unit/client/audit_script.h"

static void text(char **field, const char *value)
{
    *field = (char *)(uintptr_t)value;
}

static void send_message(struct sg_call *call, const ProtobufCMessage *message)
{
    struct sg_buf out;
    bool full;
    struct sg_err err;

    sg_buf_init(&out, 32 << 20);
    sg_pb_pack(message, &out);
    if (sg_call_send(call, sg_buf_slice(&out), &full, &err) != SG_OK)
        sg_call_fail(call, &err);
    sg_buf_done(&out);
}

static void finish(struct sg_call *call)
{
    sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
}

static void answer(struct sg_call *call, const ProtobufCMessage *message)
{
    send_message(call, message);
    finish(call);
}

/* ---- Errors --------------------------------------------------------------------------------- */

static void add_any(struct sg_arena *arena, Google__Rpc__Status *status, const char *type,
                    const ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = sg_arena_alloc(arena, sizeof(*any));
    uint8_t *bytes = sg_arena_alloc(arena, protobuf_c_message_get_packed_size(message) + 1);

    google__protobuf__any__init(any);
    text(&any->type_url, type);
    any->value.data = bytes;
    any->value.len = protobuf_c_message_pack(message, bytes);
    status->details[status->n_details++] = any;
}

/* Every detail that a client shows. */
static Google__Rpc__Status *status_of(struct sg_arena *arena, const struct sg_err *err)
{
    Google__Rpc__Status *status = sg_arena_alloc(arena, sizeof(*status));
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry id = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry *entries[] = {&id};
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__BadRequest__FieldViolation violation =
        GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};

    google__rpc__status__init(status);
    status->details = sg_arena_alloc(arena, 3 * sizeof(Google__Protobuf__Any *));
    status->code = (int32_t)sg_grpc_code_of(err->rc);
    status->message = sg_arena_strdup(arena, sg_slice_str(err->msg));
    text(&id.key, "request_id");
    text(&id.value, "req-7");
    text(&info.reason, sg_reason_name(err->reason));
    text(&info.domain, "sealgate");
    info.n_metadata = 1;
    info.metadata = entries;
    add_any(arena, status, "type.googleapis.com/google.rpc.ErrorInfo", &info.base);
    delay.nanos = 250000001; /* a quarter of a second and a bit: 251 ms */
    retry.retry_delay = &delay;
    add_any(arena, status, "type.googleapis.com/google.rpc.RetryInfo", &retry.base);
    text(&violation.field, err->reason == SG_R_FIELD_NOT_SERVED ? "request_id" : "key");
    bad.n_field_violations = 1;
    bad.field_violations = violations;
    add_any(arena, status, "type.googleapis.com/google.rpc.BadRequest", &bad.base);
    return status;
}

static void describe(void *arg, struct sg_call *call, const struct sg_err *err,
                     struct sg_buf *details)
{
    (void)arg;
    if (err->reason != SG_R_NONE)
        sg_pb_pack(&status_of(sg_call_arena(call), err)->base, details);
}

/* ---- Signing -------------------------------------------------------------------------------- */

/* The "signature" by a key. False: the answer is `*ret_status` instead. */
static bool sign(struct sg_arena *arena, const Sealgate__V1__SignRequest *request,
                 Sealgate__V1__SignResponse *ret, Google__Rpc__Status **ret_status)
{
    bool is_digest = request->content_case == SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST;
    ProtobufCBinaryData content = is_digest ? request->digest->value : request->message;
    bool crc_ok = sg_crc32c(sg_slice_of(content.data, content.len)) == request->content_crc32c;
    size_t len = strcmp(request->key, "keys/huge") == 0 ? 8 << 20 : content.len;
    uint8_t *bytes = sg_arena_zalloc(arena, len + 1);
    static Sealgate__V1__SignatureAlgorithm algorithm = SEALGATE__V1__SIGNATURE_ALGORITHM__INIT;
    static Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    struct sg_err err;

    if (strcmp(request->key, "keys/denied") == 0) {
        (void)SG_REFUSE(&err, SG_R_KEY_NOT_FOUND, "there is no key \"denied\" for this caller");
        *ret_status = status_of(arena, &err);
        return false;
    }
    if (strcmp(request->key, "keys/ids-refused") == 0 && request->request_id[0] != '\0') {
        (void)SG_REFUSE(&err, SG_R_FIELD_NOT_SERVED, "field \"request_id\" is not served yet");
        *ret_status = status_of(arena, &err);
        return false;
    }
    for (size_t i = 0; i < content.len; i++)
        bytes[i] = content.data[content.len - 1 - i];
    sealgate__v1__sign_response__init(ret);
    if (strcmp(request->key, "keys/empty") != 0)
        ret->signature = (ProtobufCBinaryData){len, bytes};
    ret->signature_crc32c = sg_crc32c(sg_slice_of(ret->signature.data, ret->signature.len)) +
                            (strcmp(request->key, "keys/bad-crc") == 0 ? 1 : 0);
    ret->verified_content_crc32c = crc_ok && strcmp(request->key, "keys/not-checked") != 0;
    ret->key_version =
        strncmp(request->key, "keys/ids", 8) == 0 ? request->request_id : request->key;
    algorithm.scheme = SEALGATE__V1__SIGNATURE_SCHEME__SIGNATURE_SCHEME_ECDSA;
    algorithm.digest = is_digest ? request->digest->algorithm : 0;
    ret->algorithm = &algorithm;
    time.seconds = 1700000000;
    time.nanos = 5;
    ret->sign_time = &time;
    return true;
}

static void unary_sign(struct sg_call *call, const Sealgate__V1__SignRequest *request)
{
    struct script_connection *connection = sg_call_connection(call);
    Sealgate__V1__SignResponse response;
    Google__Rpc__Status *status;
    bool is_early = atomic_load(connection->calls) < 3;
    struct sg_err err;
    bool full;

    if (strcmp(request->key, "keys/hang") == 0)
        return;
    if (strcmp(request->key, "keys/ids-busy") == 0 && is_early) {
        (void)SG_REFUSE(&err, SG_R_TOKEN_LOST, "away for a moment");
        sg_call_fail(call, &err);
        return;
    }
    if (strcmp(request->key, "keys/close") == 0 ||
        (strcmp(request->key, "keys/ids-close") == 0 && is_early)) {
        connection->wants_close = true;
    } else if (strcmp(request->key, "keys/none") == 0) {
        finish(call);
    } else if (strcmp(request->key, "keys/bare") == 0) {
        sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_INTERNAL,
                                                 .message = SG_SLICE("bare \u00fd")});
    } else if (strcmp(request->key, "keys/garbage") == 0) {
        if (sg_call_send(call, SG_SLICE("\x0a\xff\xff\xff"), &full, &err) == SG_OK)
            finish(call);
    } else if (!sign(sg_call_arena(call), request, &response, &status)) {
        bool is_field = strcmp(request->key, "keys/ids-refused") == 0;
        (void)SG_REFUSE(&err, is_field ? SG_R_FIELD_NOT_SERVED : SG_R_KEY_NOT_FOUND, "%s",
                        status->message);
        sg_call_fail(call, &err);
    } else {
        if (strcmp(request->key, "keys/twice") == 0)
            send_message(call, &response.base);
        if (strcmp(request->key, "keys/token") == 0)
            response.key_version = sg_call_user(call);
        connection->wants_drain = strcmp(request->key, "keys/drain") == 0;
        answer(call, &response.base);
    }
}

static void batch_sign(struct sg_call *call, const Sealgate__V1__BatchSignRequest *request)
{
    struct sg_arena *arena = sg_call_arena(call);
    Sealgate__V1__BatchSignResponse response = SEALGATE__V1__BATCH_SIGN_RESPONSE__INIT;
    /* The key of the first item may ask for an answer of the wrong shape. */
    const char *how = request->n_items == 0 ? "" : request->items[0]->request->key;

    response.results = sg_arena_alloc(arena, (request->n_items + 1) * sizeof(void *));
    for (size_t i = 0; i < request->n_items; i++) {
        Sealgate__V1__BatchSignResult *result = sg_arena_alloc(arena, sizeof(*result));
        Sealgate__V1__SignResponse *signature = sg_arena_alloc(arena, sizeof(*signature));

        sealgate__v1__batch_sign_result__init(result);
        result->item_id = request->items[i]->item_id;
        if (strcmp(how, "keys/unordered") == 0)
            text(&result->item_id, "other");
        if (sign(arena, request->items[i]->request, signature, &result->error)) {
            result->result_case = SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_RESPONSE;
            result->response = signature;
        } else {
            result->result_case = SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_ERROR;
        }
        if (strcmp(request->items[i]->request->key, "keys/neither") == 0)
            result->result_case = SEALGATE__V1__BATCH_SIGN_RESULT__RESULT__NOT_SET;
        response.results[response.n_results++] = result;
    }
    if (strcmp(how, "keys/short") == 0)
        response.n_results--;
    answer(call, &response.base);
}

static void stream_sign(struct sg_call *call, const Sealgate__V1__SignStreamRequest *request)
{
    struct script_connection *connection = sg_call_connection(call);
    Sealgate__V1__SignStreamResponse response = SEALGATE__V1__SIGN_STREAM_RESPONSE__INIT;
    Sealgate__V1__SignResponse signature;

    const bool is_early = atomic_load(connection->calls) < 3;
    if (strcmp(request->request->key, "keys/close") == 0 ||
        (strcmp(request->request->key, "keys/ids-close") == 0 && is_early)) {
        connection->wants_close = true;
        return;
    }
    if (strcmp(request->request->key, "keys/ids-busy") == 0 && is_early) {
        struct sg_err err;
        (void)SG_REFUSE(&err, SG_R_TOKEN_LOST, "away for a moment");
        sg_call_fail(call, &err);
        return;
    }
    response.item_id = request->item_id;
    if (sign(sg_call_arena(call), request->request, &signature, &response.error)) {
        response.result_case = SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_RESPONSE;
        response.response = &signature;
    } else {
        response.result_case = SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_ERROR;
    }
    send_message(call, &response.base);
}

/* ---- Keys, verifying, the server ------------------------------------------------------------ */

static const uint8_t spki[] = "thirty-two bytes, and not a key.plus a few more than one line";

static void fill_key(Sealgate__V1__Key *key, const char *name)
{
    static Sealgate__V1__SignatureScheme schemes[] = {
        SEALGATE__V1__SIGNATURE_SCHEME__SIGNATURE_SCHEME_ECDSA};
    static Sealgate__V1__DigestAlgorithm digests[] = {
        SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256,
        SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA384};

    sealgate__v1__key__init(key);
    text(&key->name, name);
    key->type = SEALGATE__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    key->state = SEALGATE__V1__KEY_STATE__KEY_STATE_ACTIVE;
    text(&key->token, "t\u00f4ken");
    key->n_schemes = SG_COUNT(schemes);
    key->schemes = schemes;
    key->n_digests = SG_COUNT(digests);
    key->digests = digests;
}

static void list_keys(struct sg_call *call, const Sealgate__V1__ListKeysRequest *request)
{
    Sealgate__V1__ListKeysResponse response = SEALGATE__V1__LIST_KEYS_RESPONSE__INIT;
    Sealgate__V1__Key first, second, *keys[] = {&first, &second};
    bool is_second_page = strcmp(request->page_token, "more") == 0;

    fill_key(&first, is_second_page ? "keys/c" : "keys/a");
    fill_key(&second, "keys/b");
    response.n_keys = is_second_page ? 1 : 2;
    response.keys = keys;
    text(&response.next_page_token, is_second_page ? "" : "more");
    answer(call, &response.base);
}

static void get_public_key(struct sg_call *call, const Sealgate__V1__GetPublicKeyRequest *request)
{
    Sealgate__V1__PublicKey response = SEALGATE__V1__PUBLIC_KEY__INIT;
    bool is_bad = strcmp(request->name, "keys/bad-crc") == 0;

    response.key_version = request->name;
    response.spki = (ProtobufCBinaryData){sizeof(spki) - 1, (uint8_t *)(uintptr_t)spki};
    response.spki_crc32c = sg_crc32c(sg_slice_of(spki, sizeof(spki) - 1)) ^ (is_bad ? 1 : 0);
    text(&response.pem, "what the server says is not used");
    answer(call, &response.base);
}

static void create_csr(struct sg_call *call, const Sealgate__V1__CreateCsrRequest *request)
{
    Sealgate__V1__CreateCsrResponse response = SEALGATE__V1__CREATE_CSR_RESPONSE__INIT;
    struct sg_buf der;

    /* Says back what it was asked, so that the test can see that all of it came across. */
    sg_buf_init(&der, 4096);
    for (size_t i = 0; i < request->n_subject; i++)
        sg_buf_printf(&der, "%s=%s;", request->subject[i]->type, request->subject[i]->value);
    for (size_t i = 0; i < request->n_dns_names; i++)
        sg_buf_printf(&der, "dns %s;", request->dns_names[i]);
    sg_buf_printf(&der, "%zu %zu %d", request->n_uris, request->n_emails, (int)request->digest);
    response.key_version = request->name;
    response.csr = (ProtobufCBinaryData){der.len, der.ptr};
    answer(call, &response.base);
    sg_buf_done(&der);
}

static void verify(struct sg_call *call, const Sealgate__V1__VerifyRequest *request)
{
    Sealgate__V1__VerifyResponse response = SEALGATE__V1__VERIFY_RESPONSE__INIT;
    ProtobufCBinaryData content = request->digest->value;

    response.valid = content.len == request->signature.len;
    for (size_t i = 0; response.valid && i < content.len; i++)
        response.valid = content.data[i] == request->signature.data[content.len - 1 - i];
    text(&response.reason, response.valid ? "" : "SIGNATURE_INVALID");
    answer(call, &response.base);
}

static void server_info(struct sg_call *call)
{
    Sealgate__V1__ServerInfo response = SEALGATE__V1__SERVER_INFO__INIT;
    Sealgate__V1__Limits limits = SEALGATE__V1__LIMITS__INIT;
    Google__Protobuf__Duration deadline = GOOGLE__PROTOBUF__DURATION__INIT;
    char *services[] = {(char *)(uintptr_t) "a.B", (char *)(uintptr_t) "c.D"};
    Sealgate__V1__TokenHealth token = SEALGATE__V1__TOKEN_HEALTH__INIT, *tokens[] = {&token};

    text(&token.token, "hsm-2");
    token.state = SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_DRAINING;
    response.n_tokens = SG_COUNT(tokens);
    response.tokens = tokens;
    text(&response.version, "9.9");
    text(&response.caller, "tests https://tests/client");
    response.n_services = SG_COUNT(services);
    response.services = services;
    limits.batch_items_max = 1000;
    deadline.seconds = 30;
    limits.deadline_max = &deadline;
    response.limits = &limits;
    answer(call, &response.base);
}

static void capacity(struct sg_call *call)
{
    Sealgate__V1__Capacities response = SEALGATE__V1__CAPACITIES__INIT;
    Sealgate__V1__TokenCapacity token = SEALGATE__V1__TOKEN_CAPACITY__INIT, *tokens[] = {&token};

    text(&token.token, "softhsm");
    token.state = SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_UP;
    token.workers = 2;
    response.n_tokens = 1;
    response.tokens = tokens;
    answer(call, &response.base);
}

static void health(struct sg_call *call, const Grpc__Health__V1__HealthCheckRequest *request,
                   bool is_watch)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = strcmp(request->service, "down") == 0
                          ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
                          : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    send_message(call, &response.base);
    if (!is_watch || strcmp(request->service, "ends") == 0)
        finish(call);
}

/* ---- The handler ---------------------------------------------------------------------------- */

static enum sg_rc begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    struct script_connection *connection = sg_call_connection(call);

    (void)arg;
    (void)err;
    atomic_fetch_add(connection->calls, 1);
    /* It is wiped when this returns. */
    sg_call_set_user(call,
                     sg_arena_strdup(sg_call_arena(call), sg_call_metadata(call, "authorization")));
    return SG_OK;
}

static void message(void *arg, struct sg_call *call, struct sg_slice bytes)
{
    ProtobufCMessage *in;
    struct sg_err err;

    (void)arg;
    if (sg_pb_unpack(sg_call_method(call)->input, bytes, sg_call_arena(call), SG_PB_STRICT, &in,
                     &err) != SG_OK) {
        sg_call_fail(call, &err);
        return;
    }
    switch (sg_call_method(call)->id) {
    case SG_METHOD_SIGNING_SERVICE_SIGN:
        unary_sign(call, (const Sealgate__V1__SignRequest *)in);
        break;
    case SG_METHOD_SIGNING_SERVICE_BATCH_SIGN:
        batch_sign(call, (const Sealgate__V1__BatchSignRequest *)in);
        break;
    case SG_METHOD_SIGNING_SERVICE_SIGN_STREAM:
        stream_sign(call, (const Sealgate__V1__SignStreamRequest *)in);
        break;
    case SG_METHOD_VERIFICATION_SERVICE_VERIFY:
        verify(call, (const Sealgate__V1__VerifyRequest *)in);
        break;
    case SG_METHOD_KEY_SERVICE_LIST_KEYS:
        list_keys(call, (const Sealgate__V1__ListKeysRequest *)in);
        break;
    case SG_METHOD_KEY_SERVICE_GET_KEY: {
        Sealgate__V1__Key key;
        fill_key(&key, ((const Sealgate__V1__GetKeyRequest *)in)->name);
        answer(call, &key.base);
        break;
    }
    case SG_METHOD_KEY_SERVICE_GET_PUBLIC_KEY:
        get_public_key(call, (const Sealgate__V1__GetPublicKeyRequest *)in);
        break;
    case SG_METHOD_KEY_SERVICE_CREATE_CSR:
        create_csr(call, (const Sealgate__V1__CreateCsrRequest *)in);
        break;
    case SG_METHOD_INFO_SERVICE_GET_SERVER_INFO:
        server_info(call);
        break;
    case SG_METHOD_INFO_SERVICE_GET_CAPACITY:
        capacity(call);
        break;
    case SG_METHOD_HEALTH_CHECK:
    case SG_METHOD_HEALTH_WATCH:
        health(call, (const Grpc__Health__V1__HealthCheckRequest *)in,
               sg_call_method(call)->id == SG_METHOD_HEALTH_WATCH);
        break;
    default:
        if (audit_script_answer(call, in))
            break;
        (void)SG_FAIL(&err, SG_E_UNSUPPORTED, 0, "not scripted");
        sg_call_fail(call, &err);
    }
}

static void half_close(void *arg, struct sg_call *call)
{
    (void)arg;
    if (sg_call_method(call)->client_streaming)
        finish(call);
}

static void nothing(void *arg, struct sg_call *call)
{
    (void)arg;
    (void)call;
}

const struct sg_call_handler script_handler = {
    .begin = begin,
    .message = message,
    .half_close = half_close,
    .writable = nothing,
    .closed = nothing,
    .describe = describe,
};
