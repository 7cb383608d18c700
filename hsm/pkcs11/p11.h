#ifndef SG_HSM_PKCS11_P11_H
#define SG_HSM_PKCS11_P11_H

#include <stdatomic.h>

#include "base/cleanup.h"
#include "hsm/job.h"
#include "hsm/keyref.h"

/*
 * A token behind a PKCS#11 module, for the token process. This header has no PKCS#11 types, so
 * that only hsm/pkcs11/ sees those.
 *
 * Who may call: any number of signing threads, each with a session object of its own, and one
 * admin thread (opening, loading keys, requests). Every call may block for as long as the
 * vendor's module likes; nothing here can be cancelled.
 *
 * Calls tell how they went by an outcome (hsm/job.h) and fill `err` for people when that is not
 * SG_OUT_OK. Sessions that died, stale handles and a forgotten login are mended once inside the
 * call; what comes out after that is for the gateway to act on.
 */
struct sg_p11;
struct sg_p11_session;

struct sg_p11_config {
    const char *module;   /* path */
    const char *uri;      /* RFC 7512; token and serial must match */
    const char *pin_file; /* as sg_pin_read() takes it */
    const char *state_dir;
    size_t workers;          /* how many sessions may sign, at most */
    size_t workers_software; /* and where the token is SoftHSM, whose limit is the processor */
    bool allow_extractable;  /* relaxes what an imported key cannot have: LOCAL and the like */
};

/* Loads the module, calls nothing in it yet. Thread: main, before others. */
SG_MUST_USE enum sg_rc sg_p11_new(const struct sg_p11_config *config, struct sg_p11 **ret,
                                  struct sg_err *err);
/* Finalizes the module. No call may be inside. */
void sg_p11_free(struct sg_p11 *p11);
SG_DEFINE_AUTO(struct sg_p11, sg_p11_free);

/*
 * Makes the token ready, by the gentlest means that works: nothing, when it answers and is logged
 * in; logging in again; C_Finalize and C_Initialize with nobody inside, then the slot found again.
 * Whether it answers is asked by finding an object, since session and token information are
 * answered by some libraries without asking the token.
 *
 * `*ret_is_stuck`: a call has been inside for too long to get everybody out; only ending the
 * process helps. Thread: admin.
 */
enum sg_outcome sg_p11_open(struct sg_p11 *p11, struct sg_p11_session *session, bool *ret_is_stuck,
                            struct sg_err *err);

/* What is known of the token; strings are empty until it was found. Thread: any. */
struct sg_p11_info {
    char label[33], model[17], number[17];
    size_t workers; /* how many sessions may sign: the configured number, or what the token bears */
    enum sg_pin_state pin;
};
void sg_p11_info(struct sg_p11 *p11, struct sg_p11_info *ret);
/* How many of them now, which is less when a session was refused; without a lock. Thread: any. */
size_t sg_p11_workers(const struct sg_p11 *p11);

/* A place for a session, which is opened when it is first needed. NULL: no memory. */
struct sg_p11_session *sg_p11_session_new(struct sg_p11 *p11);
/* Closes the session when the token still answers. Thread: the one that used it, or after it. */
void sg_p11_session_free(struct sg_p11_session *session);
SG_DEFINE_AUTO(struct sg_p11_session, sg_p11_session_free);
/* Closes it until it is needed again: its worker is one too many (sg_p11_workers()). */
void sg_p11_session_park(struct sg_p11_session *session);
/*
 * Whether a token that refused sessions bears this one again, for worker `i`, the first that is one
 * too many. Opens it, some time after the last refusal, so that no job has to find it out. False:
 * `*ret_again_ns` is how long from now it is worth asking again, if nothing else changes.
 */
bool sg_p11_session_grow(struct sg_p11_session *session, size_t i, int64_t *ret_again_ns);
/* When the call that is inside now began (monotonic ns), or 0. Thread: any. */
int64_t sg_p11_session_busy_since(const struct sg_p11_session *session);

struct sg_p11_signature {
    int64_t start_ns, hsm_ns;
    size_t len;
    uint8_t bytes[SG_SIGNATURE_BYTES_MAX];
};

/*
 * Finds the key by its CKA_ID, judges its attributes by its origin (keys.c) and writes its public
 * key as DER to `spki`, which has room for SG_JOB_SPKI_MAX. From then on it can sign.
 */
enum sg_outcome sg_p11_load_key(struct sg_p11_session *session, const struct sg_request *request,
                                uint8_t *spki, size_t *ret_spki_len, struct sg_err *err);

/* Signs by a loaded key, unless the request's deadline has passed when the token's turn comes. */
enum sg_outcome sg_p11_sign(struct sg_p11_session *session, const struct sg_request *request,
                            struct sg_p11_signature *ret, struct sg_err *err);

/* A PKCS#10 request by a loaded RSA or EC key, DER, appended to `out`. Thread: admin. */
enum sg_outcome sg_p11_csr(struct sg_p11_session *session, const struct sg_request *request,
                           struct sg_buf *out, struct sg_err *err);

#endif
