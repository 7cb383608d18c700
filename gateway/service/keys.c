#include "gateway/service/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/raw/digest.h"
#include "formats/raw/pem.h"

enum { PEM_BYTES_MAX = 8192 };

struct sg_keys {
    struct sg_hsm *hsm;
    size_t count;
    struct sg_key **by_hsm; /* by the engine's number, which counts from 0 */
    struct sg_key keys[];
};

static int by_name(const void *a, const void *b)
{
    const struct sg_key *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static enum sg_rc token_find(const struct sg_config *config, const char *name, size_t *ret,
                             struct sg_err *err)
{
    for (size_t i = 0; i < config->token_count; i++) {
        if (strcmp(config->tokens[i].name, name) == 0) {
            *ret = i;
            return SG_OK;
        }
    }
    return SG_FAIL(err, SG_E_INVALID, 0, "there is no token \"%s\"", name);
}

/* The DER of the public key that the configuration pins, from its PEM file. */
static enum sg_rc read_pinned(const char *path, struct sg_buf *spki, struct sg_err *err)
{
    uint8_t pem[PEM_BYTES_MAX];
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return SG_FAIL(err, SG_E_INVALID, (unsigned long)errno, "could not open \"%s\": %s", path,
                       strerrordesc_np(errno));
    size_t len = fread(pem, 1, sizeof(pem), file);
    fclose(file);
    return sg_pem_decode("PUBLIC KEY", sg_slice_of(pem, len), spki, err);
}

static char *version_name_new(const char *name)
{
    size_t size = strlen(name) + sizeof("keys//versions/1");
    char *version_name = malloc(size);
    if (version_name != NULL)
        snprintf(version_name, size, "keys/%s/versions/%d", name, SG_KEY_VERSION);
    return version_name;
}

/* Where it is besides its first token. */
static enum sg_rc take_copies(const struct sg_config *config, const struct sg_config_key *from,
                              struct sg_hsm_copy_config copies[SG_HSM_COPIES_MAX],
                              struct sg_hsm_key_config *key, struct sg_err *err)
{
    SG_ASSERT(from->copy_count < SG_HSM_COPIES_MAX); /* the table's bound */
    for (size_t i = 0; i < from->copy_count; i++) {
        copies[i].id = from->copies[i].id;
        copies[i].origin = from->copies[i].origin;
        SG_TRY(token_find(config, from->copies[i].token, &copies[i].token, err));
    }
    key->copies = copies;
    key->copy_count = from->copy_count;
    return token_find(config, from->token, &key->token, err);
}

/* The engine takes no more tokens than there are bits. */
static uint64_t tokens_of(const struct sg_hsm_key_config *key)
{
    _Static_assert(SG_HSM_TOKENS_MAX <= 64, "a bit for each token");
    uint64_t tokens = UINT64_C(1) << key->token;

    for (size_t i = 0; i < key->copy_count; i++)
        tokens |= UINT64_C(1) << key->copies[i].token;
    return tokens;
}

static enum sg_rc add_key(struct sg_keys *keys, const struct sg_config *config,
                          const struct sg_config_key *from, struct sg_err *err)
{
    struct sg_key *key = &keys->keys[keys->count];
    struct sg_buf spki;
    sg_buf_init(&spki, 4096);

    *key = (struct sg_key){.name = from->name,
                           .type = from->type,
                           .schemes = from->schemes,
                           .digests = from->digests,
                           .default_scheme = from->default_scheme,
                           .verify_sampled = from->verify_sampled};
    struct sg_hsm_copy_config copies[SG_HSM_COPIES_MAX];
    struct sg_hsm_key_config hsm_key = {
        .name = from->name, .id = from->id, .origin = from->origin, .type = from->type};
    enum sg_rc rc = take_copies(config, from, copies, &hsm_key, err);
    if (rc == SG_OK && from->public_key_file != NULL)
        rc = read_pinned(from->public_key_file, &spki, err);
    if (rc == SG_OK) {
        hsm_key.spki = sg_buf_slice(&spki);
        key->token = hsm_key.token;
        key->tokens = config->tokens;
        rc = sg_hsm_add_key(keys->hsm, &hsm_key, &key->hsm, err);
    }
    sg_buf_done(&spki);
    if (rc != SG_OK)
        return rc;
    key->on = tokens_of(&hsm_key);
    key->version_name = version_name_new(key->name);
    if (key->version_name == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a key's name");
    keys->count++;
    return SG_OK;
}

enum sg_rc sg_keys_new(const struct sg_config *config, struct sg_hsm *hsm, struct sg_keys **ret,
                       struct sg_err *err)
{
    SG_AUTO(sg_keys_free)
    struct sg_keys *keys = calloc(1, sizeof(*keys) + config->key_count * sizeof(keys->keys[0]));
    if (keys == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the list of keys");
    keys->hsm = hsm;

    for (size_t i = 0; i < config->key_count; i++)
        SG_TRY(add_key(keys, config, &config->keys[i], err));
    qsort(keys->keys, keys->count, sizeof(keys->keys[0]), by_name);
    keys->by_hsm = calloc(keys->count + 1, sizeof(struct sg_key *));
    if (keys->by_hsm == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the list of keys");
    for (size_t i = 0; i < keys->count; i++) {
        keys->keys[i].index = i;
        SG_ASSERT(keys->keys[i].hsm < keys->count);
        keys->by_hsm[keys->keys[i].hsm] = &keys->keys[i];
    }

    *ret = SG_STEAL(keys);
    return SG_OK;
}

void sg_keys_free(struct sg_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        sg_public_key_free(keys->keys[i].public_key);
        free(keys->keys[i].version_name);
    }
    free(keys->by_hsm);
    free(keys);
}

void sg_keys_changed(struct sg_keys *keys, size_t hsm_key)
{
    SG_ASSERT(hsm_key < keys->count);
    struct sg_key *key = keys->by_hsm[hsm_key];
    struct sg_hsm_key_info info;

    if (key->spki.len > 0)
        return;
    sg_hsm_key_info(keys->hsm, hsm_key, &info);
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    if (info.spki.len == 0 || sg_digest_of(SG_DIGEST_SHA256, info.spki, hash, NULL) != SG_OK)
        return;
    memcpy(key->public_key_sha256, hash, sizeof(key->public_key_sha256));
    key->spki = info.spki;
}

const struct sg_public_key *sg_key_public_key(struct sg_key *key)
{
    /* The engine has compared it with the token's type and our pin; a key that cannot be parsed
     * here stays without a public key and signs nothing. */
    if (key->public_key == NULL && key->spki.len > 0)
        SG_IGNORE(sg_public_key_parse(key->spki, &key->public_key, NULL));
    return key->public_key;
}

size_t sg_keys_after(const struct sg_keys *keys, struct sg_slice name)
{
    size_t low = 0, high = name.len == 0 ? 0 : keys->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const char *at = keys->keys[middle].name;
        const size_t at_len = strlen(at);
        const int order = memcmp(at, name.ptr, at_len < name.len ? at_len : name.len);
        if (order > 0 || (order == 0 && at_len > name.len))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct sg_key *sg_keys_find(struct sg_keys *keys, struct sg_slice name)
{
    const size_t after = sg_keys_after(keys, name);
    struct sg_key *last = after == 0 ? NULL : &keys->keys[after - 1];
    return last != NULL && sg_slice_is(name, last->name) ? last : NULL;
}

size_t sg_keys_count(const struct sg_keys *keys)
{
    return keys->count;
}

struct sg_key *sg_keys_at(struct sg_keys *keys, size_t index)
{
    SG_ASSERT(index < keys->count);
    return &keys->keys[index];
}

void sg_keys_info(const struct sg_keys *keys, const struct sg_key *key, struct sg_hsm_key_info *ret)
{
    sg_hsm_key_info(keys->hsm, key->hsm, ret);
}

enum { ID_LEN_MAX = 63 };

/* [a-z]([a-z0-9-]{0,61}[a-z0-9])? */
static bool is_id(struct sg_slice id)
{
    if (id.len == 0 || id.len > ID_LEN_MAX || id.ptr[0] < 'a' || id.ptr[0] > 'z' ||
        id.ptr[id.len - 1] == '-')
        return false;
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

/* A version is a decimal number without leading zeros, at most nine digits. */
static bool parse_version(struct sg_slice text, uint32_t *ret)
{
    uint32_t v = 0;

    if (text.len == 0 || text.len > 9 || text.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret = v;
    return true;
}

enum sg_rc sg_key_name_parse(struct sg_slice name, struct sg_slice *ret_key, uint32_t *ret_version,
                             struct sg_err *err)
{
    const struct sg_slice prefix = SG_SLICE("keys/"), middle = SG_SLICE("versions/");
    struct sg_slice rest = name, key = {0};
    uint32_t version = 0;

    if (!sg_slice_starts(rest, prefix))
        return SG_REFUSE(err, SG_R_BAD_NAME, "a key's name begins with \"keys/\"");
    (void)sg_slice_take(&rest, prefix.len);

    const uint8_t *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    key = sg_slice_take(&rest, slash == NULL ? rest.len : (size_t)(slash - rest.ptr));
    if (!is_id(key))
        return SG_REFUSE(err, SG_R_BAD_NAME,
                         "a key's id is 1 to 63 lower-case letters, digits and hyphens, beginning "
                         "with a letter");
    if (rest.len > 0) {
        (void)sg_slice_take(&rest, 1);
        if (!sg_slice_starts(rest, middle))
            return SG_REFUSE(err, SG_R_BAD_NAME,
                             "after the key's id only \"/versions/{n}\" can follow");
        (void)sg_slice_take(&rest, middle.len);
        if (!parse_version(rest, &version))
            return SG_REFUSE(err, SG_R_BAD_NAME, "a version is a decimal number from 1");
    }
    *ret_key = key;
    *ret_version = version;
    return SG_OK;
}
