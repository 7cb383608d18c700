#include "base/crc32c.h"
#include "client/lib/client_priv.h"
#include "client/lib/codec.h"
#include "sealgate/v1/keys.pb-c.h"

/* ListKeys, GetKey, GetPublicKey, CreateCsr. */

/* The enums of a list are copied: that ours are as wide as protobuf-c's is nobody's promise. */
static enum sealgate_code key_decode_one(const Sealgate__V1__Key *in, struct sg_arena *arena,
                                         struct sealgate_key *ret, struct sealgate_error *error)
{
    enum sealgate_scheme *schemes = sg_arena_alloc(arena, (in->n_schemes + 1) * sizeof(*schemes));
    enum sealgate_digest *digests = sg_arena_alloc(arena, (in->n_digests + 1) * sizeof(*digests));

    if (schemes == NULL || digests == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    for (size_t i = 0; i < in->n_schemes; i++)
        schemes[i] = (enum sealgate_scheme)in->schemes[i];
    for (size_t i = 0; i < in->n_digests; i++)
        digests[i] = (enum sealgate_digest)in->digests[i];
    *ret = (struct sealgate_key){
        .name = in->name,
        .primary_version = in->primary_version,
        .type = (enum sealgate_key_type)in->type,
        .state = (enum sealgate_key_state)in->state,
        .state_message = in->state_message,
        .token = in->token,
        .schemes = schemes,
        .scheme_count = in->n_schemes,
        .digests = digests,
        .digest_count = in->n_digests,
        .public_key_sha256 = sg_client_bytes(in->public_key_sha256),
        .create_time_ns = sg_client_time_ns(in->create_time),
    };
    return SEALGATE_OK;
}

/* ---- ListKeys ------------------------------------------------------------------------------- */

static enum sealgate_code list_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                      struct sg_arena *arena, void *body,
                                      struct sealgate_error *error)
{
    const Sealgate__V1__ListKeysResponse *in = (const Sealgate__V1__ListKeysResponse *)answer;
    struct sealgate_key *keys = sg_arena_alloc(arena, (in->n_keys + 1) * sizeof(*keys));
    struct sealgate_key_list *list = body;

    (void)call;
    if (keys == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    for (size_t i = 0; i < in->n_keys; i++) {
        enum sealgate_code code = key_decode_one(in->keys[i], arena, &keys[i], error);
        if (code != SEALGATE_OK)
            return code;
    }
    *list = (struct sealgate_key_list){keys, in->n_keys, in->next_page_token};
    return SEALGATE_OK;
}

static void list_deliver(struct sealgate_call *call, const struct sealgate_error *error, void *body)
{
    if (call->fn.list_keys != NULL)
        call->fn.list_keys(call->user, error, body);
}

static const struct sg_client_method list_method = {
    .path = "/sealgate.v1.KeyService/ListKeys",
    .output = &sealgate__v1__list_keys_response__descriptor,
    .body_len = sizeof(struct sealgate_key_list),
    .decode = list_decode,
    .deliver = list_deliver,
};

enum sealgate_code sealgate_list_keys_start(struct sealgate_client *client, uint32_t page_size,
                                            const char *page_token, uint32_t timeout_ms,
                                            sealgate_list_keys_fn *fn, void *user,
                                            struct sealgate_call **ret,
                                            struct sealgate_error *error)
{
    Sealgate__V1__ListKeysRequest message;

    sealgate__v1__list_keys_request__init(&message);
    message.page_size = page_size;
    message.page_token = sg_client_text(page_token);
    return sg_client_unary(client, &list_method, &message.base, timeout_ms,
                           (union sg_client_fn){.list_keys = fn}, user, ret, error);
}

enum sealgate_code sealgate_list_keys(struct sealgate_client *client, uint32_t page_size,
                                      const char *page_token, uint32_t timeout_ms,
                                      struct sealgate_key_list **ret, struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code = sealgate_list_keys_start(client, page_size, page_token, timeout_ms,
                                                       NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- GetKey --------------------------------------------------------------------------------- */

static enum sealgate_code key_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                     struct sg_arena *arena, void *body,
                                     struct sealgate_error *error)
{
    (void)call;
    return key_decode_one((const Sealgate__V1__Key *)answer, arena, body, error);
}

static void key_deliver(struct sealgate_call *call, const struct sealgate_error *error, void *body)
{
    if (call->fn.get_key != NULL)
        call->fn.get_key(call->user, error, body);
}

static const struct sg_client_method key_method = {
    .path = "/sealgate.v1.KeyService/GetKey",
    .output = &sealgate__v1__key__descriptor,
    .body_len = sizeof(struct sealgate_key),
    .decode = key_decode,
    .deliver = key_deliver,
};

enum sealgate_code sealgate_get_key_start(struct sealgate_client *client, const char *name,
                                          uint32_t timeout_ms, sealgate_get_key_fn *fn, void *user,
                                          struct sealgate_call **ret, struct sealgate_error *error)
{
    Sealgate__V1__GetKeyRequest message;

    sealgate__v1__get_key_request__init(&message);
    message.name = sg_client_text(name);
    return sg_client_unary(client, &key_method, &message.base, timeout_ms,
                           (union sg_client_fn){.get_key = fn}, user, ret, error);
}

enum sealgate_code sealgate_get_key(struct sealgate_client *client, const char *name,
                                    uint32_t timeout_ms, struct sealgate_key **ret,
                                    struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_get_key_start(client, name, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- GetPublicKey --------------------------------------------------------------------------- */

static enum sealgate_code public_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                        struct sg_arena *arena, void *body,
                                        struct sealgate_error *error)
{
    const Sealgate__V1__PublicKey *in = (const Sealgate__V1__PublicKey *)answer;
    struct sg_slice spki = sg_slice_of(in->spki.data, in->spki.len);
    struct sealgate_public_key *key = body;

    (void)call;
    if (sg_crc32c(spki) != in->spki_crc32c)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_CRC_MISMATCH, SEALGATE_OUTCOME_ANSWERED,
                              "the CRC-32C of the public key is wrong");
    if (spki.len == 0)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "the server said OK but gave no public key");
    *key = (struct sealgate_public_key){
        .key_version = in->key_version,
        .type = (enum sealgate_key_type)in->type,
        .spki = sg_client_bytes(in->spki),
        /* Not the server's: no checksum covers that one. */
        .pem = sg_client_pem(arena, "PUBLIC KEY", spki),
    };
    if (key->pem == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    return SEALGATE_OK;
}

static void public_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                           void *body)
{
    if (call->fn.get_public_key != NULL)
        call->fn.get_public_key(call->user, error, body);
}

static const struct sg_client_method public_method = {
    .path = "/sealgate.v1.KeyService/GetPublicKey",
    .output = &sealgate__v1__public_key__descriptor,
    .body_len = sizeof(struct sealgate_public_key),
    .decode = public_decode,
    .deliver = public_deliver,
};

enum sealgate_code sealgate_get_public_key_start(struct sealgate_client *client, const char *name,
                                                 uint32_t timeout_ms,
                                                 sealgate_get_public_key_fn *fn, void *user,
                                                 struct sealgate_call **ret,
                                                 struct sealgate_error *error)
{
    Sealgate__V1__GetPublicKeyRequest message;

    sealgate__v1__get_public_key_request__init(&message);
    message.name = sg_client_text(name);
    return sg_client_unary(client, &public_method, &message.base, timeout_ms,
                           (union sg_client_fn){.get_public_key = fn}, user, ret, error);
}

enum sealgate_code sealgate_get_public_key(struct sealgate_client *client, const char *name,
                                           uint32_t timeout_ms, struct sealgate_public_key **ret,
                                           struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_get_public_key_start(client, name, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- CreateCsr ------------------------------------------------------------------------------ */

/* The contract allows 16 attributes and 16 names; what is over is refused here already. */
enum { CSR_NAMES_MAX = 16 };

static enum sealgate_code csr_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                     struct sg_arena *arena, void *body,
                                     struct sealgate_error *error)
{
    const Sealgate__V1__CreateCsrResponse *in = (const Sealgate__V1__CreateCsrResponse *)answer;
    struct sealgate_csr *csr = body;

    (void)call;
    if (in->csr.len == 0)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "the server said OK but gave no certificate request");
    *csr = (struct sealgate_csr){
        .key_version = in->key_version,
        .der = sg_client_bytes(in->csr),
        .pem = sg_client_pem(arena, "CERTIFICATE REQUEST", sg_slice_of(in->csr.data, in->csr.len)),
    };
    if (csr->pem == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    return SEALGATE_OK;
}

static void csr_deliver(struct sealgate_call *call, const struct sealgate_error *error, void *body)
{
    if (call->fn.create_csr != NULL)
        call->fn.create_csr(call->user, error, body);
}

static const struct sg_client_method csr_method = {
    .path = "/sealgate.v1.KeyService/CreateCsr",
    .output = &sealgate__v1__create_csr_response__descriptor,
    .body_len = sizeof(struct sealgate_csr),
    .decode = csr_decode,
    .deliver = csr_deliver,
};

/* Borrows the strings into `out`. */
static size_t names_encode(const char *const *names, size_t count, char **out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = sg_client_text(names[i]);
    return count;
}

enum sealgate_code sealgate_create_csr_start(struct sealgate_client *client,
                                             const struct sealgate_csr_request *request,
                                             uint32_t timeout_ms, sealgate_create_csr_fn *fn,
                                             void *user, struct sealgate_call **ret,
                                             struct sealgate_error *error)
{
    Sealgate__V1__CreateCsrRequest message;
    Sealgate__V1__NameAttribute attributes[CSR_NAMES_MAX], *subject[CSR_NAMES_MAX];
    char *dns_names[CSR_NAMES_MAX], *uris[CSR_NAMES_MAX], *emails[CSR_NAMES_MAX];

    sealgate__v1__create_csr_request__init(&message);
    if (request->subject_count > CSR_NAMES_MAX || request->dns_name_count > CSR_NAMES_MAX ||
        request->uri_count > CSR_NAMES_MAX || request->email_count > CSR_NAMES_MAX)
        return sg_client_fail(
            error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
            "a certificate request has at most %d attributes, and names of a kind", CSR_NAMES_MAX);
    for (size_t i = 0; i < request->subject_count; i++) {
        sealgate__v1__name_attribute__init(&attributes[i]);
        attributes[i].type = sg_client_text(request->subject[i].type);
        attributes[i].value = sg_client_text(request->subject[i].value);
        subject[i] = &attributes[i];
    }
    message.name = sg_client_text(request->key);
    message.n_subject = request->subject_count;
    message.subject = subject;
    message.n_dns_names = names_encode(request->dns_names, request->dns_name_count, dns_names);
    message.dns_names = dns_names;
    message.n_uris = names_encode(request->uris, request->uri_count, uris);
    message.uris = uris;
    message.n_emails = names_encode(request->emails, request->email_count, emails);
    message.emails = emails;
    message.digest = (Sealgate__V1__DigestAlgorithm)request->digest;
    return sg_client_unary(client, &csr_method, &message.base, timeout_ms,
                           (union sg_client_fn){.create_csr = fn}, user, ret, error);
}

enum sealgate_code sealgate_create_csr(struct sealgate_client *client,
                                       const struct sealgate_csr_request *request,
                                       uint32_t timeout_ms, struct sealgate_csr **ret,
                                       struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_create_csr_start(client, request, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}
