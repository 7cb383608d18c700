#ifndef SG_GATEWAY_CONFIG_CONFIG_H
#define SG_GATEWAY_CONFIG_CONFIG_H

#include "base/algorithm.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"
#include "hsm/origin.h"

/*
 * The configuration: one YAML file, read whole, checked whole, then const. options.def holds one
 * row per scalar option; the lists below (client_cas, tokens, keys, callers, witnesses,
 * witnessed_logs) have a table of their own each. The struct, the parser, --help, the commented
 * example and its drift test all come from these tables.
 *
 * Secrets are never values here, only the names of files or systemd credentials. Relative paths
 * are taken from the folder of the file and stored absolute.
 */
struct sg_config_ca {
    const char *name;
    const char *file;     /* PEM; the CA that issues client certificates itself */
    const char *crl_file; /* PEM or DER; NULL: no revocation is known */
};

struct sg_config_token {
    const char *name;
    const char *module;    /* path of the PKCS#11 module */
    const char *uri;       /* RFC 7512: token= and serial= */
    const char *pin_file;  /* or "credential:NAME" */
    const char *socket;    /* unix socket of its token process */
    const char *state_dir; /* keeps the PIN latch */
    int64_t workers;       /* 0: cores for SoftHSM, 32 for others */
    int64_t queue_max;     /* signatures of one class of cost that may wait in the gateway */
    int64_t hang_ms;
    const char *user; /* the token process runs as this user; NULL: as the gateway */
    bool allow_extractable;
    const struct sg_config_own_key *probe_keys; /* what it proves itself with; nobody's own */
    size_t probe_key_count;
    const struct sg_config_own_key *log_certifier; /* certifies the audit log's key; one at most */
    size_t log_certifier_count;                    /* of all tokens together 1 at most */
};

/* A key that is no caller's. */
struct sg_config_own_key {
    struct sg_slice id; /* CKA_ID */
    enum sg_key_type type;
    enum sg_key_origin origin; /* of a log_certifier */
};

/* The same key on another token. */
struct sg_config_copy {
    const char *token;
    struct sg_slice id; /* CKA_ID; the key's own when not given */
    enum sg_key_origin origin;
};

struct sg_config_key {
    const char *name;
    const char *token;
    struct sg_slice id; /* CKA_ID */
    enum sg_key_origin origin;
    const struct sg_config_copy *copies; /* besides the one on `token` */
    size_t copy_count;
    enum sg_key_type type;
    uint32_t schemes; /* bit 1 << enum sg_scheme; all that the type can do when not given */
    uint32_t digests; /* bit 1 << enum sg_digest_alg */
    enum sg_scheme default_scheme;
    const char *public_key_file; /* PEM it must have; NULL: the token's word counts */
    bool verify_sampled;         /* ECDSA only: verify one in 64 before release, not each */
};

struct sg_config_caller {
    const char *name;
    const char *ca, *uri; /* NULL: known by tokens alone */
    const char *const *methods;
    size_t method_count;
    const char *const *keys;
    size_t key_count;
    const struct sg_slice *token_sha256; /* of bearer tokens: 32 bytes each, at most two */
    size_t token_count;
    int64_t token_expires; /* seconds since 1970; 0: never */
};

enum { SG_CONFIG_WITNESSES_MAX = 8, SG_CONFIG_LOG_KEYS_MAX = 4 };

/* One that cosigns our checkpoints. */
struct sg_config_witness {
    const char *name;
    const char *url;                         /* its submission prefix, https */
    const char *key;                         /* NAME+ID+BASE64 */
    const char *ca_file;                     /* PEM; who vouches for its TLS certificate */
    const char *certificate_file, *key_file; /* ours, where it asks for one; NULL: none */
};

/* A log whose checkpoints our role witness cosigns. */
struct sg_config_witnessed_log {
    const char *name;
    const char *origin;
    const char *const *keys; /* NAME+ID+BASE64 each; any of them may have signed */
    size_t key_count;
};

struct sg_config {
#define OPTION_INT(name, min, max, def, when, help) int64_t name;
#define OPTION_BOOL(name, def, when, help) bool name;
#define OPTION_STR(name, def, when, help) const char *name;
#define OPTION_PATH(name, def, when, help) const char *name;
#define OPTION_STORE(name, def, when, help) const char *name;
#define OPTION_ENUM(name, values, def, when, help) int name;
#include "gateway/config/options.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_STR
#undef OPTION_PATH
#undef OPTION_STORE
#undef OPTION_ENUM
    const struct sg_config_ca *client_cas;
    size_t client_ca_count;
    const struct sg_config_token *tokens;
    size_t token_count;
    const struct sg_config_key *keys;
    size_t key_count;
    const struct sg_config_caller *callers;
    size_t caller_count;
    const struct sg_config_witness *witnesses;
    size_t witness_count;
    const struct sg_config_witnessed_log *witnessed_logs;
    size_t witnessed_log_count;
    uint8_t sha256[32]; /* of the text that it was read from */
};

/*
 * Reads and checks the file. Every error names line and column and what would be right; the
 * first `*err` is returned, and up to 20 are appended to `report` (may be NULL), one line each.
 * Whether files named in it exist is part of the check.
 */
SG_MUST_USE enum sg_rc sg_config_load(const char *path, struct sg_buf *report,
                                      const struct sg_config **ret, struct sg_err *err);
/* The same from bytes; `folder` is what relative paths are taken from. For tests and fuzzing;
 * does not look at files named in it. */
SG_MUST_USE enum sg_rc sg_config_parse(struct sg_slice yaml, const char *folder,
                                       struct sg_buf *report, const struct sg_config **ret,
                                       struct sg_err *err);
void sg_config_free(const struct sg_config *config);
SG_DEFINE_AUTO(const struct sg_config, sg_config_free);

/* The commented example of ops/conf/sealgate.yaml, generated from the tables. */
void sg_config_example(struct sg_buf *out);
/* One paragraph per option, for `sealgated --help-config`. */
void sg_config_help(struct sg_buf *out);

#endif
