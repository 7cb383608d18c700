#ifndef SG_AUTHZ_AUTHZ_H
#define SG_AUTHZ_AUTHZ_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Who may do what with which key; pure: the same list and request give the same decision.
 *
 * Until the directory of RULES.md is served, rights are a list in the configuration: an identity
 * (client CA and SAN URI) with the methods it may call and the keys it may use. What no row
 * allows is denied; the zero value of a decision is a denial.
 */
struct sg_authz;

/* One row of the list. Borrowed for the call that takes it. */
struct sg_authz_caller {
    const char *name; /* of the row: what a decision and the log call it */
    const char *ca;   /* name of the client CA that issued the certificate */
    const char *uri;  /* its SAN URI, compared byte by byte */
    /* "sealgate.v1.SigningService/Sign", or "sealgate.v1.SigningService" for all of a service */
    const char *const *methods;
    size_t method_count;
    const char *const *keys; /* names without "keys/" */
    size_t key_count;
};

struct sg_authz_request {
    const char *ca;
    struct sg_slice uri;
    const char *method;  /* full name: "sealgate.v1.SigningService/Sign" */
    struct sg_slice key; /* name without "keys/"; empty when the method is about no one key */
};

struct sg_authz_decision {
    bool is_allowed;       /* zero means no */
    enum sg_reason reason; /* of a denial: CALLER_UNKNOWN, METHOD_NOT_ALLOWED or KEY_NOT_FOUND */
    const char *rule;      /* the row that decided, or "default-deny"; lives as long as the list */
};

/* Whether the text is what a row may name as a method. Whether there is such a method is not known
 * here. */
bool sg_authz_is_method(const char *text);

/*
 * Compiles the list; everything is copied. Errors: SG_E_INVALID for two rows with one identity,
 * an empty name or URI, or a malformed method.
 */
SG_MUST_USE enum sg_rc sg_authz_new(const struct sg_authz_caller *callers, size_t count,
                                    struct sg_authz **ret, struct sg_err *err);
void sg_authz_free(struct sg_authz *authz);
SG_DEFINE_AUTO(struct sg_authz, sg_authz_free);

/*
 * Decides. A key that the caller may not use gives KEY_NOT_FOUND, the same as one that does not
 * exist. Does not allocate. Thread: any.
 */
void sg_authz_decide(const struct sg_authz *authz, const struct sg_authz_request *request,
                     struct sg_authz_decision *ret);

#endif
