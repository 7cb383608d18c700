#ifndef SG_AUTHZ_AUTHZ_H
#define SG_AUTHZ_AUTHZ_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Who may do what with which key; pure: the same list and request give the same decision.
 *
 * Until the directory of RULES.md is served, rights are a list in the configuration: a caller with
 * the methods it may call and the keys it may use. A caller is known by its certificate (client CA
 * and SAN URI) or by bearer tokens. What no row allows is denied; the zero value of a decision is
 * a denial.
 */
struct sg_authz;

/* One row of the list. Borrowed for the call that takes it. */
struct sg_authz_caller {
    const char *name; /* of the row, at most SG_AUTHZ_NAME_LEN_MAX bytes: what the log calls it */
    const char *ca;   /* name of the client CA that issued the certificate; NULL: no certificate */
    const char *uri;  /* its SAN URI, compared byte by byte; with ca */
    /* "sealgate.v1.SigningService/Sign", or "sealgate.v1.SigningService" for all of a service */
    const char *const *methods;
    size_t method_count;
    const char *const *keys; /* names without "keys/" */
    size_t key_count;
    const struct sg_slice *tokens; /* the SHA-256 of each bearer token */
    size_t token_count;
    int64_t tokens_expire_s; /* when they are good no longer, in seconds since 1970; 0: never */
};

enum { SG_AUTHZ_TOKEN_LEN = 32, SG_AUTHZ_NAME_LEN_MAX = 63 };

/* Who asks. Making one hashes both parts; it is good for any list, so keep it. */
struct sg_authz_identity {
    struct sg_slice ca;  /* "": known by a bearer token; no certificate has this CA */
    struct sg_slice uri; /* then the name that sg_authz_bearer() gave */
    uint64_t hash;       /* of both */
};

struct sg_authz_request {
    struct sg_authz_identity caller;
    const char *method;  /* full name: "sealgate.v1.SigningService/Sign" */
    struct sg_slice key; /* name without "keys/"; empty when the method is about no one key */
};

struct sg_authz_decision {
    bool is_allowed;       /* zero means no */
    enum sg_reason reason; /* of a denial: CALLER_UNKNOWN, METHOD_NOT_ALLOWED or KEY_NOT_FOUND */
    const char *rule;      /* the row that decided, or "default-deny"; lives as long as the list */
    size_t row;            /* its number, in the order of sg_authz_new(), when it is allowed */
};

/* Whether the text is what a row may name as a method. Whether there is such a method is not known
 * here. */
bool sg_authz_is_method(const char *text);

/*
 * Compiles the list; everything is copied. Errors: SG_E_INVALID for two rows with one identity,
 * an empty name or URI, a name that is too long, a caller by which nobody is known, or a malformed
 * method.
 */
SG_MUST_USE enum sg_rc sg_authz_new(const struct sg_authz_caller *callers, size_t count,
                                    struct sg_authz **ret, struct sg_err *err);
void sg_authz_free(struct sg_authz *authz);
SG_DEFINE_AUTO(struct sg_authz, sg_authz_free);

/*
 * Whose bearer token has this SHA-256 at the time `now_s`: the name of the row, which lives as long
 * as the list. Does not allocate. Thread: any.
 *
 * A binary search, whose time depends on the hashes: at worst it tells how far the hash of a token
 * that was shown agrees with one of the list. Whoever shows a token knows its hash anyway; of the
 * token behind another hash that says nothing, and tokens are too long to be guessed towards it.
 *
 * Errors: SG_E_UNAUTHENTICATED BEARER_UNKNOWN or BEARER_EXPIRED
 */
SG_MUST_USE enum sg_rc sg_authz_bearer(const struct sg_authz *authz, struct sg_slice sha256,
                                       int64_t now_s, const char **ret_name, struct sg_err *err);

/* Both are borrowed. The zero value, which this never gives, is nobody. Thread: any. */
struct sg_authz_identity sg_authz_identity_of(struct sg_slice ca, struct sg_slice uri);

/*
 * Decides. A key that the caller may not use gives KEY_NOT_FOUND, the same as one that does not
 * exist. Does not allocate. Thread: any.
 */
void sg_authz_decide(const struct sg_authz *authz, const struct sg_authz_request *request,
                     struct sg_authz_decision *ret);

/* For an index of what each row is about. The names of a row's keys are in the order of their
 * bytes, live as long as the list, and the same one may follow itself. Thread: any. */
size_t sg_authz_row_count(const struct sg_authz *authz);
const struct sg_slice *sg_authz_row_keys(const struct sg_authz *authz, size_t row,
                                         size_t *ret_count);

#endif
