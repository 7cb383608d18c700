#include "client/lib/sign.h"

#include <sys/random.h>

#include "base/crc32c.h"
#include "client/lib/codec.h"
#include "proto/pb/unpack.h"

/* Sign and BatchSign. */

bool sealgate_request_id(char out[SEALGATE_REQUEST_ID_BYTES])
{
    uint8_t bytes[16];
    uint64_t time_ms = (uint64_t)(sg_wall_ns(&sg_clock_system) / SG_NS_PER_MS);
    char *at = out;

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    for (size_t i = 0; i < 6; i++) /* RFC 9562 section 5.7 */
        bytes[i] = (uint8_t)(time_ms >> (8 * (5 - i)));
    bytes[6] = (uint8_t)(0x70 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    for (size_t i = 0; i < sizeof(bytes); i++)
        at += snprintf(at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
    return true;
}

void sg_client_sign_encode(const struct sealgate_sign_request *in, struct sg_client_asked *asked,
                           struct sg_client_sign_message *out)
{
    Sealgate__V1__SignRequest *request = &out->request;

    sealgate__v1__sign_request__init(request);
    sealgate__v1__digest__init(&out->digest);
    sealgate__v1__digest__init(&out->document_digest);

    request->key = sg_client_text(in->key);
    if (in->digest == SEALGATE_DIGEST_UNSET) {
        request->content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_MESSAGE;
        request->message = sg_client_data(in->content);
    } else {
        request->content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST;
        request->digest = &out->digest;
        out->digest.algorithm = (Sealgate__V1__DigestAlgorithm)in->digest;
        out->digest.value = sg_client_data(in->content);
    }
    request->content_crc32c_presence_case =
        SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    request->content_crc32c = sg_crc32c(sg_client_slice(in->content));
    request->scheme = (Sealgate__V1__SignatureScheme)in->scheme;
    request->encoding = (Sealgate__V1__SignatureEncoding)in->encoding;
    request->purpose = sg_client_text(in->purpose);
    request->request_id = sg_client_text(asked->is_made ? asked->request_id : in->request_id);
    if (in->document_digest != SEALGATE_DIGEST_UNSET) {
        request->document_digest = &out->document_digest;
        out->document_digest.algorithm = (Sealgate__V1__DigestAlgorithm)in->document_digest;
        out->document_digest.value = sg_client_data(in->document_hash);
    }
    request->dry_run = in->dry_run;
}

enum sealgate_code sg_client_sign_decode(const struct sealgate_call *call,
                                         const Sealgate__V1__SignResponse *in,
                                         const struct sg_client_asked *asked,
                                         struct sg_arena *arena, struct sealgate_signature *ret,
                                         struct sealgate_error *error)
{
    struct sg_slice signature = sg_slice_of(in->signature.data, in->signature.len);

    /* First of all, so that nothing of an answer that changed on the way is looked at. */
    if (sg_crc32c(signature) != in->signature_crc32c)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_CRC_MISMATCH, SEALGATE_OUTCOME_ANSWERED,
                              "the CRC-32C of the signature is wrong");
    if (!in->verified_content_crc32c)
        return sg_client_fail(error, SG_CLIENT_REQUEST_NOT_CHECKED, SEALGATE_OUTCOME_ANSWERED,
                              "the server did not check the CRC-32C of what it signed");
    if (signature.len == 0 && !call->has_dry_run)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "the server said OK but gave no signature");

    *ret = (struct sealgate_signature){
        .signature = sg_client_bytes(in->signature),
        .key_version = in->key_version,
        .encoding = (enum sealgate_encoding)in->encoding,
        .sign_time_ns = sg_client_time_ns(in->sign_time),
        .rule_set = in->decision == NULL ? "" : in->decision->rule_set,
        .rule = in->decision == NULL ? "" : in->decision->rule,
        .replayed = in->replayed,
    };
    if (in->algorithm != NULL) {
        ret->scheme = (enum sealgate_scheme)in->algorithm->scheme;
        ret->digest = (enum sealgate_digest)in->algorithm->digest;
    }
    if (in->timing != NULL) {
        ret->queue_us = in->timing->queue_us;
        ret->hsm_us = in->timing->hsm_us;
        ret->total_us = in->timing->total_us;
    }
    if (signature.len == 0)
        return SEALGATE_OK; /* a dry run leaves no record */
    return sg_client_receipt_decode(call->client->receipts, in, asked, arena, &ret->receipt, error);
}

static bool has_id(const struct sealgate_sign_request *request)
{
    return request->request_id != NULL && request->request_id[0] != '\0';
}

enum sealgate_code sg_client_make_id(const struct sealgate_client *client,
                                     const struct sealgate_sign_request *request,
                                     struct sg_client_asked *asked, struct sealgate_error *error)
{
    if (has_id(request) || request->dry_run || !client->makes_ids || client->ids_refused)
        return SEALGATE_OK;
    if (!sealgate_request_id(asked->request_id))
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a request id: no random bytes");
    asked->is_made = true;
    return SEALGATE_OK;
}

bool sg_client_is_repeatable(const struct sealgate_client *client,
                             const struct sealgate_sign_request *request,
                             const struct sg_client_asked *asked)
{
    return client->makes_ids && (asked->is_made || has_id(request) || request->dry_run);
}

static bool are_repeatable(const struct sealgate_client *client,
                           const struct sealgate_sign_request *requests,
                           const struct sg_client_asked *asked, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!sg_client_is_repeatable(client, &requests[i], &asked[i]))
            return false;
    return client->makes_ids;
}

bool sg_client_refused_id(const struct sg_client_asked *asked, const struct sealgate_error *error)
{
    return asked->is_made && strcmp(error->reason, "FIELD_NOT_SERVED") == 0 &&
           strstr(error->field, "request_id") != NULL;
}

/* The server may come without request ids: then the call goes again without ours. */
static void note_refusal(struct sealgate_call *call, const struct sg_client_asked *asked,
                         const struct sealgate_error *error)
{
    call->has_refused_id |= sg_client_refused_id(asked, error);
}

/* What the records of the answers must say. */
static enum sealgate_code ask(const struct sealgate_client *client,
                              const struct sealgate_sign_request *requests, size_t count,
                              struct sg_client_asked **ret, struct sealgate_error *error)
{
    struct sg_client_asked *asked = calloc(count, sizeof(*asked));
    enum sealgate_code code = SEALGATE_OK;

    if (asked == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a call: out of memory");
    for (size_t i = 0; i < count && code == SEALGATE_OK; i++)
        if ((code = sg_client_asked_of(&requests[i], &asked[i], error)) == SEALGATE_OK)
            code = sg_client_make_id(client, &requests[i], &asked[i], error);
    if (code == SEALGATE_OK)
        *ret = asked;
    else
        free(asked);
    return code;
}

/* ---- Sign ----------------------------------------------------------------------------------- */

static enum sealgate_code sign_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                      struct sg_arena *arena, void *body,
                                      struct sealgate_error *error)
{
    return sg_client_sign_decode(call, (const Sealgate__V1__SignResponse *)answer, call->asked,
                                 arena, body, error);
}

static void sign_deliver(struct sealgate_call *call, const struct sealgate_error *error, void *body)
{
    if (call->fn.sign != NULL)
        call->fn.sign(call->user, error, body);
}

static const struct sg_client_method sign_method = {
    .path = "/sealgate.v1.SigningService/Sign",
    .output = &sealgate__v1__sign_response__descriptor,
    .body_len = sizeof(struct sealgate_signature),
    .decode = sign_decode,
    .deliver = sign_deliver,
};

enum sealgate_code sealgate_sign_start(struct sealgate_client *client,
                                       const struct sealgate_sign_request *request,
                                       uint32_t timeout_ms, sealgate_sign_fn *fn, void *user,
                                       struct sealgate_call **ret, struct sealgate_error *error)
{
    struct sg_client_sign_message message;
    struct sealgate_call *call;
    struct sg_client_asked *asked;
    enum sealgate_code code = ask(client, request, 1, &asked, error);

    if (code != SEALGATE_OK)
        return code;
    sg_client_sign_encode(request, asked, &message);
    code = sg_client_unary(client, &sign_method, &message.request.base, timeout_ms,
                           (union sg_client_fn){.sign = fn}, user, &call, error);
    if (code != SEALGATE_OK) {
        free(asked);
        return code;
    }
    call->asked = asked;
    call->item_count = 1;
    call->is_repeatable = are_repeatable(client, request, asked, 1);
    call->has_dry_run = request->dry_run;
    if (ret != NULL)
        *ret = call;
    return SEALGATE_OK;
}

enum sealgate_code sealgate_sign(struct sealgate_client *client,
                                 const struct sealgate_sign_request *request, uint32_t timeout_ms,
                                 struct sealgate_signature **ret, struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_sign_start(client, request, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- BatchSign ------------------------------------------------------------------------------ */

/* Room for "4294967295" and a NUL: an item's id is its place. */
enum { ITEM_ID_BYTES = 12 };

/* One result into its place; what it points to lives in the arena. */
static enum sealgate_code item_decode(struct sealgate_call *call,
                                      const Sealgate__V1__BatchSignResult *in,
                                      const struct sg_client_asked *asked, struct sg_arena *arena,
                                      struct sealgate_batch_item *ret, struct sealgate_error *error)
{
    struct sealgate_signature *signature = sg_arena_alloc(arena, sizeof(*signature));
    struct sealgate_error *failed, why;

    if (signature == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    if (in->result_case == SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_RESPONSE) {
        if (sg_client_sign_decode(call, in->response, asked, arena, signature, &why) ==
            SEALGATE_OK) {
            ret->signature = signature;
            return SEALGATE_OK;
        }
    } else if (in->result_case == SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_ERROR) {
        (void)sg_client_fail_item(&why, in->error);
        note_refusal(call, asked, &why);
    } else {
        (void)sg_client_fail(&why, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                             "the item has neither a signature nor an error");
    }
    failed = sg_arena_alloc(arena, sizeof(*failed));
    if (failed == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    *failed = why;
    ret->error = failed;
    return SEALGATE_OK;
}

static enum sealgate_code batch_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                       struct sg_arena *arena, void *body,
                                       struct sealgate_error *error)
{
    const Sealgate__V1__BatchSignResponse *response =
        (const Sealgate__V1__BatchSignResponse *)answer;
    struct sealgate_batch *batch = body;
    struct sealgate_batch_item *items;

    if (response->n_results != call->item_count)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "%zu items were asked for, and %zu answered", call->item_count,
                              response->n_results);
    items = sg_arena_zalloc(arena, (call->item_count + 1) * sizeof(*items));
    if (items == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    for (size_t i = 0; i < call->item_count; i++) {
        char item_id[ITEM_ID_BYTES];
        enum sealgate_code code;

        (void)snprintf(item_id, sizeof(item_id), "%u", (unsigned)i);
        if (strcmp(response->results[i]->item_id, item_id) != 0)
            return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                                  "the answers are not in the order of the items");
        code = item_decode(call, response->results[i], &call->asked[i], arena, &items[i], error);
        if (code != SEALGATE_OK)
            return code;
    }
    *batch = (struct sealgate_batch){items, call->item_count};
    return SEALGATE_OK;
}

static void batch_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                          void *body)
{
    if (call->fn.batch != NULL)
        call->fn.batch(call->user, error, body);
}

static const struct sg_client_method batch_method = {
    .path = "/sealgate.v1.SigningService/BatchSign",
    .output = &sealgate__v1__batch_sign_response__descriptor,
    .body_len = sizeof(struct sealgate_batch),
    .decode = batch_decode,
    .deliver = batch_deliver,
};

/* One item as protobuf-c wants it, with all that it points to. */
struct batch_message {
    Sealgate__V1__BatchSignItem item;
    struct sg_client_sign_message sign;
    char item_id[ITEM_ID_BYTES];
};

static void batch_encode(const struct sealgate_sign_request *requests,
                         struct sg_client_asked *asked, size_t count,
                         struct batch_message *messages, Sealgate__V1__BatchSignItem **items)
{
    for (size_t i = 0; i < count; i++) {
        struct batch_message *message = &messages[i];
        sealgate__v1__batch_sign_item__init(&message->item);
        sg_client_sign_encode(&requests[i], &asked[i], &message->sign);
        (void)snprintf(message->item_id, sizeof(message->item_id), "%u", (unsigned)i);
        message->item.item_id = message->item_id;
        message->item.request = &message->sign.request;
        items[i] = &message->item;
    }
}

enum sealgate_code sealgate_batch_sign_start(struct sealgate_client *client,
                                             const struct sealgate_sign_request *requests,
                                             size_t count, uint32_t timeout_ms,
                                             sealgate_batch_fn *fn, void *user,
                                             struct sealgate_call **ret,
                                             struct sealgate_error *error)
{
    Sealgate__V1__BatchSignRequest batch;
    struct batch_message *messages = NULL;
    Sealgate__V1__BatchSignItem **items = NULL;
    struct sg_client_asked *asked;
    struct sealgate_call *call;
    enum sealgate_code code;

    sealgate__v1__batch_sign_request__init(&batch);
    if (count == 0 || count > UINT32_MAX)
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "a batch needs at least one item");
    code = ask(client, requests, count, &asked, error);
    if (code != SEALGATE_OK)
        return code;
    messages = calloc(count, sizeof(*messages));
    items = calloc(count, sizeof(Sealgate__V1__BatchSignItem *));
    if (messages != NULL && items != NULL) {
        batch_encode(requests, asked, count, messages, items);
        batch.n_items = count;
        batch.items = items;
        code = sg_client_unary(client, &batch_method, &batch.base, timeout_ms,
                               (union sg_client_fn){.batch = fn}, user, &call, error);
        if (code == SEALGATE_OK) {
            call->item_count = count;
            call->is_repeatable = are_repeatable(client, requests, asked, count);
            call->asked = SG_STEAL(asked);
            for (size_t i = 0; i < count; i++)
                call->has_dry_run |= requests[i].dry_run;
            if (ret != NULL)
                *ret = call;
        }
    } else {
        code = sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a batch of %zu items: out of memory", count);
    }
    free(messages);
    free(items);
    free(asked);
    return code;
}

enum sealgate_code sealgate_batch_sign(struct sealgate_client *client,
                                       const struct sealgate_sign_request *requests, size_t count,
                                       uint32_t timeout_ms, struct sealgate_batch **ret,
                                       struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_batch_sign_start(client, requests, count, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- Servers without request ids ------------------------------------------------------------ */

void sg_client_strip_id(Sealgate__V1__SignRequest *request, struct sg_client_asked *asked)
{
    if (!asked->is_made)
        return;
    request->request_id[0] = '\0'; /* of its own memory: it is unpacked, and not empty */
    asked->is_made = false;
    asked->request_id[0] = '\0';
}

bool sg_client_sign_strip(struct sealgate_call *call)
{
    const ProtobufCMessageDescriptor *type = call->method == &sign_method
                                                 ? &sealgate__v1__sign_request__descriptor
                                                 : &sealgate__v1__batch_sign_request__descriptor;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, NULL, call->request.len, call->request.ptr);

    if (message == NULL)
        return false;
    if (call->method == &sign_method) {
        sg_client_strip_id((Sealgate__V1__SignRequest *)message, call->asked);
    } else {
        Sealgate__V1__BatchSignRequest *batch = (Sealgate__V1__BatchSignRequest *)message;
        for (size_t i = 0; i < batch->n_items && i < call->item_count; i++)
            sg_client_strip_id(batch->items[i]->request, &call->asked[i]);
    }
    sg_buf_clear(&call->request);
    sg_pb_pack(message, &call->request);
    protobuf_c_message_free_unpacked(message, NULL);
    call->is_repeatable = call->has_refused_id = false;
    return !call->request.failed;
}
