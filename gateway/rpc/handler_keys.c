#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "formats/raw/digest.h"
#include "formats/raw/pem.h"
#include "gateway/rpc/rpc_priv.h"
#include "sealgate/v1/keys.pb-c.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 1000, PEM_BYTES_MAX = 16384 };

Sealgate__V1__KeyState sg_rpc_key_state(enum sg_hsm_key_state state)
{
    switch (state) {
    case SG_KEY_READY:
        return SEALGATE__V1__KEY_STATE__KEY_STATE_ACTIVE;
    case SG_KEY_UNUSABLE:
        return SEALGATE__V1__KEY_STATE__KEY_STATE_UNUSABLE;
    case SG_KEY_QUARANTINED:
        return SEALGATE__V1__KEY_STATE__KEY_STATE_QUARANTINED;
    case SG_KEY_LOADING:
        break;
    }
    return SEALGATE__V1__KEY_STATE__KEY_STATE_LOADING;
}

/* The schemes of the key, its default first. */
static bool fill_schemes(struct sg_arena *arena, const struct sg_key *key, Sealgate__V1__Key *out)
{
    out->schemes = sg_arena_alloc(arena, SG_SCHEME_COUNT * sizeof(*out->schemes));
    if (out->schemes == NULL)
        return false;
    out->schemes[out->n_schemes++] = (Sealgate__V1__SignatureScheme)key->default_scheme;
    for (unsigned scheme = 1; scheme < SG_SCHEME_COUNT; scheme++) {
        if ((key->schemes & 1u << scheme) != 0 && scheme != key->default_scheme)
            out->schemes[out->n_schemes++] = (Sealgate__V1__SignatureScheme)scheme;
    }
    return true;
}

static bool fill_digests(struct sg_arena *arena, const struct sg_key *key, Sealgate__V1__Key *out)
{
    if (key->type == SG_KEY_ED25519)
        return true; /* signs messages */
    out->digests = sg_arena_alloc(arena, SG_DIGEST_COUNT * sizeof(*out->digests));
    if (out->digests == NULL)
        return false;
    for (unsigned digest = 1; digest < SG_DIGEST_COUNT; digest++) {
        if ((key->digests & 1u << digest) != 0)
            out->digests[out->n_digests++] = (Sealgate__V1__DigestAlgorithm)digest;
    }
    return true;
}

static bool fill_names(struct sg_arena *arena, const struct sg_key *key, Sealgate__V1__Key *out)
{
    size_t cap = strlen(key->name) + sizeof("keys/");

    out->name = sg_arena_alloc(arena, cap);
    out->primary_version = key->version_name;
    if (out->name == NULL)
        return false;
    snprintf(out->name, cap, "keys/%s", key->name);
    return true;
}

/* What the contract tells of a key, in the arena; NULL: no memory. */
static Sealgate__V1__Key *key_new(struct sg_rpc *rpc, struct sg_arena *arena,
                                  const struct sg_key *key)
{
    struct sg_hsm_key_info info;
    Sealgate__V1__Key *out = sg_arena_alloc(arena, sizeof(*out));
    if (out == NULL)
        return NULL;

    sealgate__v1__key__init(out);
    sg_keys_info(rpc->deps.keys, key, &info);
    out->type = (Sealgate__V1__KeyType)key->type;
    out->state = sg_rpc_key_state(info.state);
    out->token = (char *)(uintptr_t)info.token; /* packing only reads it */
    if (info.state == SG_KEY_UNUSABLE || info.state == SG_KEY_QUARANTINED) {
        out->state_message = sg_arena_strdup(arena, sg_slice_str(sg_rpc_public_message(&info.err)));
        if (out->state_message == NULL)
            return NULL;
    }
    if (info.spki.len > 0) {
        out->public_key_sha256.len = sg_digest_len(SG_DIGEST_SHA256);
        out->public_key_sha256.data = sg_arena_alloc(arena, out->public_key_sha256.len);
        if (out->public_key_sha256.data == NULL ||
            sg_digest_of(SG_DIGEST_SHA256, info.spki, out->public_key_sha256.data, NULL) != SG_OK)
            return NULL;
    }
    if (!fill_names(arena, key, out) || !fill_schemes(arena, key, out) ||
        !fill_digests(arena, key, out))
        return NULL;
    return out;
}

/* The key that `name` means to this caller, or NULL with the call failed. */
static struct sg_key *find(struct sg_rpc *rpc, struct sg_call *call, const char *name)
{
    struct sg_rpc_error error = {.resource = name};
    struct sg_key *key;

    enum sg_rc rc = sg_rpc_find_key(rpc, call, name, &key, NULL, &error.err);
    if (rc == SG_OK)
        return key;
    if (rc == SG_E_INVALID)
        error.field = "name";
    sg_rpc_fail(rpc, call, &error);
    return NULL;
}

static void on_list(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__ListKeysRequest *request = sg_rpc_read(rpc, call, message, false);
    if (request == NULL)
        return;

    Sealgate__V1__ListKeysResponse response = SEALGATE__V1__LIST_KEYS_RESPONSE__INIT;
    struct sg_arena *arena = sg_call_arena(call);
    struct sg_rpc_error error = {.field = "page_token"};
    size_t max = request->page_size == 0         ? PAGE_DEFAULT
                 : request->page_size > PAGE_MAX ? PAGE_MAX
                                                 : request->page_size;
    size_t first;
    if (sg_rpc_page_start(rpc->deps.keys, request->page_token, &first, &error.err) != SG_OK) {
        sg_rpc_fail(rpc, call, &error);
        return;
    }
    const struct sg_sight_row *sight = sg_rpc_sight(rpc, call);
    const size_t begin = sg_sight_from(sight, first), left = sight->key_count - begin;
    const size_t count = left < max ? left : max;
    response.keys = sg_arena_alloc(arena, count * sizeof(*response.keys));
    bool has_memory = response.keys != NULL;
    for (size_t i = 0; has_memory && i < count; i++) {
        const struct sg_key *key = sg_keys_at(rpc->deps.keys, sight->keys[begin + i]);
        response.keys[i] = key_new(rpc, arena, key);
        has_memory = response.keys[response.n_keys++] != NULL;
    }
    if (has_memory && count < left)
        response.next_page_token = response.keys[count - 1]->name;
    if (has_memory)
        sg_rpc_reply(rpc, call, &response.base, true);
    else
        sg_rpc_fail_memory(rpc, call);
}

static void on_get(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__GetKeyRequest *request = sg_rpc_read(rpc, call, message, false);
    if (request == NULL)
        return;
    const struct sg_key *key = find(rpc, call, request->name);
    if (key == NULL)
        return;
    const Sealgate__V1__Key *response = key_new(rpc, sg_call_arena(call), key);
    if (response != NULL)
        sg_rpc_reply(rpc, call, &response->base, true);
    else
        sg_rpc_fail_memory(rpc, call);
}

static void reply_public_key(struct sg_rpc *rpc, struct sg_call *call, const struct sg_key *key,
                             struct sg_slice spki)
{
    Sealgate__V1__PublicKey response = SEALGATE__V1__PUBLIC_KEY__INIT;
    struct sg_arena *arena = sg_call_arena(call);
    struct sg_buf pem;

    sg_buf_init(&pem, PEM_BYTES_MAX);
    sg_pem_encode("PUBLIC KEY", spki, &pem);
    response.key_version = key->version_name;
    response.type = (Sealgate__V1__KeyType)key->type;
    response.spki.data = (uint8_t *)(uintptr_t)spki.ptr; /* packing only reads it */
    response.spki.len = spki.len;
    response.spki_crc32c = sg_crc32c(spki);
    response.pem = pem.failed ? NULL : sg_arena_strdup(arena, sg_buf_slice(&pem));
    sg_buf_done(&pem);
    if (response.pem != NULL)
        sg_rpc_reply(rpc, call, &response.base, true);
    else
        sg_rpc_fail_memory(rpc, call);
}

static void on_get_public_key(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__GetPublicKeyRequest *request = sg_rpc_read(rpc, call, message, false);
    if (request == NULL)
        return;
    const struct sg_key *key = find(rpc, call, request->name);
    if (key == NULL)
        return;

    struct sg_hsm_key_info info;
    struct sg_rpc_error error = {0};
    sg_keys_info(rpc->deps.keys, key, &info);
    if (info.spki.len > 0) {
        reply_public_key(rpc, call, key, info.spki);
        return;
    }
    if (info.state == SG_KEY_UNUSABLE)
        error.err = info.err;
    else
        SG_REFUSE(&error.err, SG_R_TOKEN_LOST, "token \"%s\" has not told of the key yet",
                  info.token);
    sg_rpc_fail(rpc, call, &error);
}

const struct sg_handler sg_handle_list_keys = {.message = on_list};
const struct sg_handler sg_handle_get_key = {.message = on_get};
const struct sg_handler sg_handle_get_public_key = {.message = on_get_public_key};
