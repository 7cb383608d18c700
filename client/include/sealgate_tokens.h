#ifndef SEALGATE_TOKENS_H
#define SEALGATE_TOKENS_H

/*
 * libsealgate for operators: the tokens behind a gateway, and what is to be done with them.
 *
 * sealgate.h has the rest of the library and says what holds of both: threads, memory, errors,
 * limits. All of it is about the one gateway that answers.
 */

#include "sealgate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Tokens --------------------------------------------------------------------------------- */

/* One token, as sealgate.v1.Token has it; counts since the gateway's start. */
struct sealgate_token_info {
    const char *name; /* "tokens/hsm" */
    enum sealgate_token_state state;
    const char *state_message; /* why it is not up; "" */
    uint32_t workers, in_flight, waiting;
    uint32_t estimated_wait_ms;
    uint32_t keys_active, keys_loading, keys_unusable, keys_quarantined;
    uint64_t signed_count, failed_count;
    uint64_t retried_count; /* signed at the second attempt */
    uint64_t hedged_count;  /* given to another token because it took too long */
    uint64_t refuted_count; /* did not verify, and was not released */
    uint64_t restart_count; /* of its token process */
};

struct sealgate_token_list {
    const struct sealgate_token_info *tokens;
    size_t count;
};

/* A key that is not as well off on the one token as on the other. UNSET: it is not configured to be
 * there. */
struct sealgate_token_difference {
    const char *key; /* "keys/tax-2026" */
    enum sealgate_key_state state;
    const char *state_message;
    enum sealgate_key_state other_state;
    const char *other_state_message;
};

struct sealgate_token_comparison {
    const struct sealgate_token_difference *differences; /* by key */
    size_t count;
    const char *next_page_token; /* "": that was all */
    uint32_t keys;               /* on the one */
    uint32_t keys_not_ready;     /* of these, active on the one and not on the other */
};

typedef void sealgate_list_tokens_fn(void *user, const struct sealgate_error *error,
                                     const struct sealgate_token_list *list);
typedef void sealgate_token_fn(void *user, const struct sealgate_error *error,
                               const struct sealgate_token_info *token);
typedef void sealgate_compare_tokens_fn(void *user, const struct sealgate_error *error,
                                        const struct sealgate_token_comparison *comparison);

/*
 * All tokens, as they are configured.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_list_tokens(struct sealgate_client *client,
                                                     uint32_t timeout_ms,
                                                     struct sealgate_token_list **ret,
                                                     struct sealgate_error *error);

/* sealgate_list_tokens() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_list_tokens_start(struct sealgate_client *client,
                                                           uint32_t timeout_ms,
                                                           sealgate_list_tokens_fn *fn, void *user,
                                                           struct sealgate_call **ret,
                                                           struct sealgate_error *error);

/*
 * One token by its name, "tokens/hsm".
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_get_token(struct sealgate_client *client, const char *name,
                                                   uint32_t timeout_ms,
                                                   struct sealgate_token_info **ret,
                                                   struct sealgate_error *error);

/* sealgate_get_token() without blocking: `fn` brings the answer. Thread: the client's. Owns: `*ret`
 * is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_get_token_start(struct sealgate_client *client,
                                                         const char *name, uint32_t timeout_ms,
                                                         sealgate_token_fn *fn, void *user,
                                                         struct sealgate_call **ret,
                                                         struct sealgate_error *error);

/*
 * Takes a token out of service: it gets no more work, and ends what it is at; it is done when
 * in_flight is 0. `reason`, 1 to 500 bytes, is recorded in the audit log first. Keys that are on no
 * other token cannot sign until it is resumed. Doing it again changes nothing.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_drain_token(struct sealgate_client *client,
                                                     const char *name, const char *reason,
                                                     uint32_t timeout_ms,
                                                     struct sealgate_token_info **ret,
                                                     struct sealgate_error *error);

/* sealgate_drain_token() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_drain_token_start(struct sealgate_client *client, const char *name, const char *reason,
                           uint32_t timeout_ms, sealgate_token_fn *fn, void *user,
                           struct sealgate_call **ret, struct sealgate_error *error);

/*
 * Puts a token back into service; keys that were quarantined on it are tried anew. `reason` as for
 * draining.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_resume_token(struct sealgate_client *client,
                                                      const char *name, const char *reason,
                                                      uint32_t timeout_ms,
                                                      struct sealgate_token_info **ret,
                                                      struct sealgate_error *error);

/* sealgate_resume_token() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_resume_token_start(struct sealgate_client *client, const char *name, const char *reason,
                            uint32_t timeout_ms, sealgate_token_fn *fn, void *user,
                            struct sealgate_call **ret, struct sealgate_error *error);

/*
 * What the token `other` could not do in the place of `name`. At most `page_size` differences come
 * at once (0: the server's default); the next page is asked for by the page token of the one
 * before.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code
sealgate_compare_tokens(struct sealgate_client *client, const char *name, const char *other,
                        uint32_t page_size, const char *page_token, uint32_t timeout_ms,
                        struct sealgate_token_comparison **ret, struct sealgate_error *error);

/* sealgate_compare_tokens() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_compare_tokens_start(struct sealgate_client *client, const char *name, const char *other,
                              uint32_t page_size, const char *page_token, uint32_t timeout_ms,
                              sealgate_compare_tokens_fn *fn, void *user,
                              struct sealgate_call **ret, struct sealgate_error *error);

#ifdef __cplusplus
}
#endif

#endif
