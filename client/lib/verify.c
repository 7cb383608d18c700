#include "base/crc32c.h"
#include "client/lib/client_priv.h"
#include "client/lib/codec.h"
#include "sealgate/v1/verification.pb-c.h"

/* Verify. */

static enum sealgate_code verify_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                        struct sg_arena *arena, void *body,
                                        struct sealgate_error *error)
{
    const Sealgate__V1__VerifyResponse *in = (const Sealgate__V1__VerifyResponse *)answer;
    struct sealgate_verdict *verdict = body;

    (void)call;
    (void)arena;
    (void)error;
    *verdict = (struct sealgate_verdict){
        .valid = in->valid != 0,
        .reason = in->reason,
        .scheme = in->algorithm == NULL ? SEALGATE_SCHEME_UNSET
                                        : (enum sealgate_scheme)in->algorithm->scheme,
        .digest = in->algorithm == NULL ? SEALGATE_DIGEST_UNSET
                                        : (enum sealgate_digest)in->algorithm->digest,
        .key_type = (enum sealgate_key_type)in->key_type,
        .key_version = in->key_version,
    };
    return SEALGATE_OK;
}

static void verify_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                           void *body)
{
    if (call->fn.verify != NULL)
        call->fn.verify(call->user, error, body);
}

static const struct sg_client_method verify_method = {
    .path = "/sealgate.v1.VerificationService/Verify",
    .output = &sealgate__v1__verify_response__descriptor,
    .body_len = sizeof(struct sealgate_verdict),
    .decode = verify_decode,
    .deliver = verify_deliver,
};

enum sealgate_code sealgate_verify_start(struct sealgate_client *client,
                                         const struct sealgate_verify_request *request,
                                         uint32_t timeout_ms, sealgate_verify_fn *fn, void *user,
                                         struct sealgate_call **ret, struct sealgate_error *error)
{
    Sealgate__V1__VerifyRequest message;
    Sealgate__V1__Digest digest;

    sealgate__v1__digest__init(&digest);
    sealgate__v1__verify_request__init(&message);
    if (request->key != NULL) {
        message.verifier_case = SEALGATE__V1__VERIFY_REQUEST__VERIFIER_KEY;
        message.key = sg_client_text(request->key);
    } else {
        message.verifier_case = SEALGATE__V1__VERIFY_REQUEST__VERIFIER_PUBLIC_KEY;
        message.public_key = sg_client_data(request->public_key);
    }
    if (request->digest == SEALGATE_DIGEST_UNSET) {
        message.content_case = SEALGATE__V1__VERIFY_REQUEST__CONTENT_MESSAGE;
        message.message = sg_client_data(request->content);
    } else {
        message.content_case = SEALGATE__V1__VERIFY_REQUEST__CONTENT_DIGEST;
        message.digest = &digest;
        digest.algorithm = (Sealgate__V1__DigestAlgorithm)request->digest;
        digest.value = sg_client_data(request->content);
    }
    message.signature = sg_client_data(request->signature);
    message.scheme = (Sealgate__V1__SignatureScheme)request->scheme;
    message.encoding = (Sealgate__V1__SignatureEncoding)request->encoding;
    message.content_crc32c_presence_case =
        SEALGATE__V1__VERIFY_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    message.content_crc32c = sg_crc32c(sg_client_slice(request->content));
    message.signature_crc32c_presence_case =
        SEALGATE__V1__VERIFY_REQUEST__SIGNATURE_CRC32C_PRESENCE_SIGNATURE_CRC32C;
    message.signature_crc32c = sg_crc32c(sg_client_slice(request->signature));
    return sg_client_unary(client, &verify_method, &message.base, timeout_ms,
                           (union sg_client_fn){.verify = fn}, user, ret, error);
}

enum sealgate_code sealgate_verify(struct sealgate_client *client,
                                   const struct sealgate_verify_request *request,
                                   uint32_t timeout_ms, struct sealgate_verdict **ret,
                                   struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_verify_start(client, request, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}
