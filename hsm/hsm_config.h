#ifndef SG_HSM_HSM_CONFIG_H
#define SG_HSM_HSM_CONFIG_H

#include "base/algorithm.h"
#include "base/slice.h"
#include "hsm/origin.h"

/* What the engine is told of tokens and keys. All of it is copied. */

/* A key of nobody's, with which a token proves that it signs. */
struct sg_hsm_probe_key {
    struct sg_slice id; /* CKA_ID, 1 to 64 bytes */
    enum sg_key_type type;
};

/* A token process to use. */
struct sg_hsm_token_config {
    const char *name;   /* as in the configuration and in metrics */
    const char *socket; /* path of its unix socket */
    int64_t uid;        /* the token process must run as this uid; -1: as ours */
    size_t queue_max;   /* jobs of one cost waiting in the gateway */
    int64_t hang_ms;    /* a call older than this means: token process hung */
    const struct sg_hsm_probe_key *probe_keys;
    size_t probe_key_count; /* 0: a token that answers is believed to sign */
};

/* The same key on another token. */
struct sg_hsm_copy_config {
    size_t token;       /* from sg_hsm_add_token() */
    struct sg_slice id; /* CKA_ID there, 1 to 64 bytes */
    enum sg_key_origin origin;
};

/* A key, on at least one token. */
struct sg_hsm_key_config {
    const char *name;
    size_t token;       /* from sg_hsm_add_token() */
    struct sg_slice id; /* CKA_ID, 1 to 64 bytes */
    enum sg_key_origin origin;
    const struct sg_hsm_copy_config *copies; /* on further tokens */
    size_t copy_count;
    enum sg_key_type type;
    /* DER SubjectPublicKeyInfo that all of them must have; empty: the word of the first token to
     * tell counts, for the others too. */
    struct sg_slice spki;
};

enum { SG_HSM_TOKENS_MAX = 64, SG_HSM_COPIES_MAX = 17, SG_HSM_PROBE_KEYS_MAX = 6 };

#endif
