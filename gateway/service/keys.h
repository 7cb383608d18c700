#ifndef SG_GATEWAY_SERVICE_KEYS_H
#define SG_GATEWAY_SERVICE_KEYS_H

#include "base/cleanup.h"
#include "formats/raw/verify.h"
#include "gateway/config/config.h"
#include "hsm/hsm.h"

/*
 * The keys this gateway serves: what the configuration says of each, joined with what the token
 * told. Until the directory is served every key has one version, number 1.
 *
 * Thread: loop, but for the public keys, which are immutable and may be used anywhere.
 */
struct sg_keys;

struct sg_key {
    const char *name;   /* without "keys/" */
    char *version_name; /* of its one version: "keys/{name}/versions/1"; the list's */
    size_t index;       /* of this list, sorted by name */
    size_t hsm;         /* of the engine */
    size_t token;       /* the first that has it: its place in the configuration */
    uint64_t on;        /* all that have it: bit 1 << place */
    const struct sg_config_token *tokens; /* the configuration's; NULL in tests */
    enum sg_key_type type;
    uint32_t schemes, digests; /* bit 1 << enum */
    enum sg_scheme default_scheme;
    bool verify_sampled;
    uint32_t sample;                  /* counts, for verify_sampled */
    struct sg_slice spki;             /* DER, the engine's; empty until the token has told */
    struct sg_public_key *public_key; /* of it; NULL until sg_key_public_key() was asked */
    uint8_t public_key_sha256[32];    /* of its SubjectPublicKeyInfo, once there is one */
};

/* Adds every configured key to the engine, before it starts. `config` outlives the list. */
SG_MUST_USE enum sg_rc sg_keys_new(const struct sg_config *config, struct sg_hsm *hsm,
                                   struct sg_keys **ret, struct sg_err *err);
void sg_keys_free(struct sg_keys *keys);
SG_DEFINE_AUTO(struct sg_keys, sg_keys_free);

/* The engine has news of one of its keys: takes its public key when there is one. */
void sg_keys_changed(struct sg_keys *keys, size_t hsm_key);
/*
 * To verify with; lives as long as the list. NULL: the token has not told, or what it told cannot
 * be parsed. Parsed when it is first asked for: of a hundred thousand keys few are used at once.
 */
const struct sg_public_key *sg_key_public_key(struct sg_key *key);

/* NULL when there is none of this name. */
struct sg_key *sg_keys_find(struct sg_keys *keys, struct sg_slice name);
/* The place of the first whose name is behind this one, whether there is a key of it or not. */
size_t sg_keys_after(const struct sg_keys *keys, struct sg_slice name);
size_t sg_keys_count(const struct sg_keys *keys);
struct sg_key *sg_keys_at(struct sg_keys *keys, size_t index);
/* What the engine says of it now. */
void sg_keys_info(const struct sg_keys *keys, const struct sg_key *key,
                  struct sg_hsm_key_info *ret);

/*
 * Cuts "keys/{key}" or "keys/{key}/versions/{n}" into the key's name and the version; 0 when
 * none is named. Only the form is judged. Errors: SG_E_INVALID BAD_NAME.
 */
SG_MUST_USE enum sg_rc sg_key_name_parse(struct sg_slice name, struct sg_slice *ret_key,
                                         uint32_t *ret_version, struct sg_err *err);

/* The one version of a key until there are more. */
enum { SG_KEY_VERSION = 1 };

#endif
