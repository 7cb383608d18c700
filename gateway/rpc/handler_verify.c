#include <stdlib.h>

#include "base/crc32c.h"
#include "gateway/rpc/rpc_priv.h"
#include "sealgate/v1/verification.pb-c.h"

/*
 * So many are on the pool at once, whoever asks: it is the same pool that verifies what the token
 * signed, and a signature must not wait behind a flood of these, or find the pool's queue full.
 */
enum { UNDER_WAY_MAX = 256, RETRY_MS = 50 };

/* One Verify, done on the crypto pool. Lives until the task is over and the call is closed. */
struct verify {
    struct sg_rpc *rpc;
    struct sg_call *call;             /* NULL once closed */
    const struct sg_key *key;         /* NULL when the caller sent a public key */
    struct sg_public_key *own;        /* the caller's */
    struct sg_raw_signature question; /* points into bytes */
    struct sg_crypto_task task;
    bool is_running;

    enum sg_rc rc;
    struct sg_err err;
    enum sg_raw_verdict verdict;
    uint8_t bytes[SG_TBS_BYTES_MAX + SG_SIGNATURE_BYTES_MAX];
};

static const struct sg_public_key *public_key(const struct verify *verify)
{
    return verify->own != NULL ? verify->own : verify->key->public_key;
}

static void verify_free(struct verify *verify)
{
    sg_public_key_free(verify->own);
    free(verify);
}

static void run(struct sg_crypto_task *task)
{
    struct verify *verify = SG_CONTAINER(task, struct verify, task);
    verify->rc =
        sg_raw_verify(public_key(verify), &verify->question, &verify->verdict, &verify->err);
}

static const char *verdict_reason(enum sg_raw_verdict verdict)
{
    switch (verdict) {
    case SG_RAW_VALID:
        return "";
    case SG_RAW_MALFORMED:
        return "SIGNATURE_MALFORMED";
    case SG_RAW_INVALID:
        break;
    }
    return "SIGNATURE_INVALID";
}

static void reply(struct verify *verify)
{
    Sealgate__V1__VerifyResponse response = SEALGATE__V1__VERIFY_RESPONSE__INIT;
    Sealgate__V1__SignatureAlgorithm algorithm = SEALGATE__V1__SIGNATURE_ALGORITHM__INIT;

    algorithm.scheme = (Sealgate__V1__SignatureScheme)verify->question.scheme;
    algorithm.digest = (Sealgate__V1__DigestAlgorithm)verify->question.digest_alg;
    response.valid = verify->verdict == SG_RAW_VALID;
    /* protobuf-c declares strings without const; packing only reads them. */
    response.reason = (char *)(uintptr_t)verdict_reason(verify->verdict);
    response.algorithm = &algorithm;
    response.key_type = (Sealgate__V1__KeyType)sg_public_key_type(public_key(verify));
    if (verify->key != NULL)
        response.key_version = verify->key->version_name;
    sg_rpc_reply(verify->rpc, verify->call, &response.base, true);
}

static void done(struct sg_crypto_task *task)
{
    struct verify *verify = SG_CONTAINER(task, struct verify, task);

    verify->is_running = false;
    verify->rpc->verifications--;
    if (verify->call == NULL) {
        verify_free(verify);
        return;
    }
    if (verify->rc == SG_OK) {
        reply(verify);
    } else {
        struct sg_rpc_error error = {.err = verify->err};
        sg_rpc_fail(verify->rpc, verify->call, &error);
    }
}

static enum sg_rc read_verifier(struct verify *verify, const Sealgate__V1__VerifyRequest *request,
                                struct sg_rpc_error *error)
{
    struct sg_key *key;

    switch (request->verifier_case) {
    case SEALGATE__V1__VERIFY_REQUEST__VERIFIER_KEY:
        error->field = "key";
        error->resource = request->key;
        SG_TRY(sg_rpc_find_key(verify->rpc, verify->call, request->key, &key, NULL, &error->err));
        if (sg_key_public_key(key) == NULL)
            return SG_REFUSE(&error->err, SG_R_TOKEN_LOST,
                             "the token has not told of the key \"%s\" yet", key->name);
        verify->key = key;
        return SG_OK;
    case SEALGATE__V1__VERIFY_REQUEST__VERIFIER_PUBLIC_KEY:
        error->field = "public_key";
        return sg_public_key_parse(sg_slice_of(request->public_key.data, request->public_key.len),
                                   &verify->own, &error->err);
    case SEALGATE__V1__VERIFY_REQUEST__VERIFIER__NOT_SET:
    case _SEALGATE__V1__VERIFY_REQUEST__VERIFIER__CASE_IS_INT_SIZE:
        break;
    }
    error->field = "verifier";
    return SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED, "send `key` or `public_key`");
}

static enum sg_rc copy(struct verify *verify, struct sg_slice content, struct sg_slice signature,
                       struct sg_rpc_error *error)
{
    error->field = "content";
    if (content.len > SG_TBS_BYTES_MAX)
        return SG_REFUSE(&error->err, SG_R_MESSAGE_TOO_LARGE, "a message has at most %d bytes",
                         SG_TBS_BYTES_MAX);
    error->field = "signature";
    if (signature.len == 0)
        return SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED, "there is no signature");
    if (signature.len > SG_SIGNATURE_BYTES_MAX)
        return SG_REFUSE(&error->err, SG_R_MESSAGE_TOO_LARGE, "a signature has at most %d bytes",
                         SG_SIGNATURE_BYTES_MAX);
    if (content.len > 0)
        memcpy(verify->bytes, content.ptr, content.len);
    memcpy(verify->bytes + SG_TBS_BYTES_MAX, signature.ptr, signature.len);
    verify->question.content = sg_slice_of(verify->bytes, content.len);
    verify->question.signature = sg_slice_of(verify->bytes + SG_TBS_BYTES_MAX, signature.len);
    return SG_OK;
}

static enum sg_rc read_content(struct verify *verify, const Sealgate__V1__VerifyRequest *request,
                               struct sg_rpc_error *error)
{
    struct sg_slice content = {0};
    struct sg_slice signature = sg_slice_of(request->signature.data, request->signature.len);

    error->field = "content";
    if (request->content_case == SEALGATE__V1__VERIFY_REQUEST__CONTENT_DIGEST) {
        error->field = "digest.algorithm";
        SG_TRY(sg_rpc_digest_alg((int)request->digest->algorithm, &verify->question.digest_alg,
                                 &error->err));
        content = sg_slice_of(request->digest->value.data, request->digest->value.len);
    } else if (request->content_case == SEALGATE__V1__VERIFY_REQUEST__CONTENT_MESSAGE) {
        content = sg_slice_of(request->message.data, request->message.len);
    } else {
        return SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED, "send `digest` or `message`");
    }
    error->field = "content_crc32c";
    if (request->content_crc32c_presence_case != 0 && request->content_crc32c != sg_crc32c(content))
        return SG_REFUSE(&error->err, SG_R_CRC_MISMATCH,
                         "content_crc32c is not that of the content");
    error->field = "signature_crc32c";
    if (request->signature_crc32c_presence_case != 0 &&
        request->signature_crc32c != sg_crc32c(signature))
        return SG_REFUSE(&error->err, SG_R_CRC_MISMATCH,
                         "signature_crc32c is not that of the signature");
    return copy(verify, content, signature, error);
}

static enum sg_rc read_choices(struct verify *verify, const Sealgate__V1__VerifyRequest *request,
                               struct sg_rpc_error *error)
{
    enum sg_key_type type = sg_public_key_type(public_key(verify));

    error->field = "scheme";
    SG_TRY(sg_rpc_scheme((int)request->scheme, &verify->question.scheme, &error->err));
    if (verify->question.scheme == SG_SCHEME_UNSET)
        verify->question.scheme = sg_key_type_default(type);
    error->field = "encoding";
    SG_TRY(sg_rpc_encoding((int)request->encoding, &verify->question.encoding, &error->err));
    error->field = NULL;
    return SG_OK;
}

static enum sg_rc start(struct verify *verify, const Sealgate__V1__VerifyRequest *request,
                        struct sg_rpc_error *error)
{
    SG_TRY(read_verifier(verify, request, error));
    SG_TRY(read_content(verify, request, error));
    SG_TRY(read_choices(verify, request, error));
    if (verify->rpc->verifications >= UNDER_WAY_MAX) {
        error->retry_ms = RETRY_MS;
        return SG_REFUSE(&error->err, SG_R_QUEUE_FULL, "%d verifications are under way",
                         UNDER_WAY_MAX);
    }
    verify->task = (struct sg_crypto_task){.run = run, .done = done};
    SG_TRY(sg_crypto_submit(verify->rpc->deps.crypto, &verify->task, &error->err));
    verify->rpc->verifications++;
    verify->is_running = true;
    return SG_OK;
}

static void on_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct sg_rpc_error error = {0};
    const Sealgate__V1__VerifyRequest *request = sg_rpc_read(rpc, call, message, true);
    if (request == NULL)
        return;

    struct verify *verify = calloc(1, sizeof(*verify));
    if (verify == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    verify->rpc = rpc;
    verify->call = call;
    sg_rpc_set_user(call, verify);
    if (start(verify, request, &error) != SG_OK)
        sg_rpc_fail(rpc, call, &error);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct verify *verify = sg_rpc_user(call);
    if (verify == NULL)
        return;
    verify->call = NULL;
    if (!verify->is_running)
        verify_free(verify);
}

const struct sg_handler sg_handle_verify = {.message = on_message, .closed = on_closed};
