#ifndef SG_HSM_PKCS11_P11_PRIV_H
#define SG_HSM_PKCS11_P11_PRIV_H

#include <p11-kit/pkcs11.h>
#include <pthread.h>

#include "hsm/pin.h"
#include "hsm/pkcs11/p11.h"

enum { SG_P11_HASH_LEN = 32, SG_P11_RULES = 10 };

/* PKCS#11 3.0; p11-kit's header of Debian 12 is older. */
#define SG_CKM_SHA3_256 0x2b0UL
#define SG_CKM_SHA3_384 0x2c0UL
#define SG_CKM_SHA3_512 0x2d0UL
#define SG_CKG_MGF1_SHA3_256 0x7UL
#define SG_CKG_MGF1_SHA3_384 0x8UL
#define SG_CKG_MGF1_SHA3_512 0x9UL
#define SG_CKR_ACTION_PROHIBITED 0x1bUL
#define SG_CKR_CURVE_NOT_SUPPORTED 0x140UL
#define SG_CKR_TOKEN_RESOURCE_EXCEEDED 0x201UL

/* A key that LOAD_KEY was asked for and that passed. Its public key by a hash: there may be many.
 */
struct sg_p11_key {
    enum sg_key_type type;
    enum sg_key_origin origin;
    CK_OBJECT_HANDLE handle;
    uint64_t generation; /* of the login the handle was found under; another: look again */
    uint64_t epoch;      /* of C_Initialize, likewise; another: find it again */
    size_t id_len;
    uint8_t id[SG_JOB_ID_MAX];
    uint8_t spki_hash[SG_P11_HASH_LEN];
};

/* What a private key on the token is, read by one call. */
struct sg_p11_facts {
    CK_OBJECT_HANDLE handle;
    CK_KEY_TYPE key_type;
    unsigned is_true; /* by the rules of facts.c */
    size_t id_len;    /* 0: none, or too long to be ours */
    uint8_t id[SG_JOB_ID_MAX];
    size_t n_len, e_len; /* of RSA keys; 0: not told */
    uint8_t n[520], e[16];
};

/*
 * Locks are taken in the order inside, login, then keys or facts, which are leaves.
 */
struct sg_p11 {
    /* Set at start, never written again. */
    void *library;
    CK_FUNCTION_LIST *fn;
    const char *module_path, *pin_file, *state_dir; /* the configuration's, which outlives us */
    struct sg_keyref ref;
    size_t workers, workers_software;
    bool allow_extractable;

    /* Held for reading around every call into the module; for writing around C_Finalize and
     * C_Initialize, which PKCS#11 allows only while no other thread is inside. Prefers the
     * writer, or a busy token would never be recovered. */
    pthread_rwlock_t inside;
    bool is_initialized, is_open; /* written while `inside` is held for writing */
    CK_SLOT_ID slot;

    /* Moves on when sessions or handles from before are void. */
    _Atomic uint64_t generation;
    uint64_t epoch; /* of C_Initialize; as is_initialized */
    /* Moves on when sessions from before are gone, not only their login: then their handles may be
     * others' by now. */
    _Atomic uint64_t lives;

    /* Holds the login: PKCS#11 logs out when the last session closes. One login at a time. */
    pthread_mutex_t login;
    CK_SESSION_HANDLE anchor;

    pthread_mutex_t facts;
    struct sg_p11_info info;
    _Atomic size_t ceiling;  /* info.workers */
    _Atomic size_t bearable; /* the same, less one for every session that was refused */
    /* When a session was refused last, and when the first was since it bore all. */
    _Atomic int64_t refused_ns, short_since_ns;

    pthread_mutex_t keys_lock;
    struct sg_p11_key **buckets; /* open addressing by CKA_ID; entries never go */
    size_t bucket_count, key_count;

    /* The admin thread's. */
    struct sg_p11_census *census; /* NULL: none, or too old */
    size_t searches;              /* for keys since the last one */
};

struct sg_p11_session {
    struct sg_p11 *p11;
    CK_SESSION_HANDLE handle;  /* CK_INVALID_HANDLE: none open */
    bool is_over;              /* to be closed, if it is not */
    uint64_t generation, life; /* it was opened under */
    _Atomic int64_t busy_since_ns;
};

/* errors.c: the class of a return value, and an error whose message ends in its name. */
enum sg_outcome sg_p11_class(CK_RV rv);
enum sg_outcome sg_p11_fail(struct sg_err *err, CK_RV rv, const char *what);
const char *sg_p11_name(CK_RV rv);
/* Says no more than that something failed: a session that is not well says so as a token that is
 * away does. */
bool sg_p11_is_vague(CK_RV rv);
/* What C_Login's answer says of the PIN, and what an operator does about a refusal. */
enum sg_pin_verdict sg_p11_pin_verdict(CK_RV rv);
const char *sg_p11_pin_advice(CK_RV rv);
enum sg_outcome sg_p11_refuse(struct sg_err *err, enum sg_outcome outcome, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* module.c: all with `inside` held for writing. */
enum sg_outcome sg_p11_initialize(struct sg_p11 *p11, struct sg_err *err);
void sg_p11_finalize(struct sg_p11 *p11);

/* login.c: with `inside` held for reading or writing. */
/*
 * Sees to it that the anchor session lives and is logged in. Does nothing when somebody else did
 * since `seen_generation`. `is_forgotten`: the token says it is not logged in, so the session's
 * own state is not believed.
 */
enum sg_outcome sg_p11_login(struct sg_p11 *p11, uint64_t seen_generation, bool is_forgotten,
                             struct sg_err *err);

/* session.c: opens the session when it is not, or was opened under another generation. */
enum sg_outcome sg_p11_session_ready(struct sg_p11_session *session, struct sg_err *err);
/* One that cannot be closed now is closed before another is opened: the token has it yet. */
void sg_p11_session_close(struct sg_p11_session *session);
void sg_p11_enter(struct sg_p11_session *session);
void sg_p11_leave(struct sg_p11_session *session);
/* A new call begins, after one that came back: what hangs is a call. */
void sg_p11_touch(struct sg_p11_session *session);
/* After a first failure of this class: mends what it says is broken. True: try once more. */
bool sg_p11_mend(struct sg_p11_session *session, enum sg_outcome outcome, struct sg_slice id,
                 struct sg_err *err);

/* keys.c */
/* Copies the loaded key `id` to `*ret`. False: not loaded. Thread: any. */
bool sg_p11_keys_get(struct sg_p11 *p11, struct sg_slice id, struct sg_p11_key *ret);
/* The handle is stale. */
void sg_p11_keys_forget(struct sg_p11 *p11, struct sg_slice id);
/* As sg_p11_keys_get, with a handle of this generation: looks at it, or finds it, and judges it
 * again when needed. */
enum sg_outcome sg_p11_keys_ready(struct sg_p11_session *session, struct sg_slice id,
                                  struct sg_p11_key *ret, struct sg_err *err);
/* The public key of what sg_p11_keys_ready() gave, read from the token again, as DER. */
enum sg_outcome sg_p11_keys_spki(struct sg_p11_session *session, const struct sg_p11_key *key,
                                 uint8_t *out, size_t *ret_len, struct sg_err *err);
/* The handles of at most `max` objects of `cls` with this CKA_ID (empty: any). */
enum sg_outcome sg_p11_find(struct sg_p11_session *session, CK_OBJECT_CLASS cls, struct sg_slice id,
                            CK_OBJECT_HANDLE *ret, CK_ULONG max, CK_ULONG *ret_count,
                            struct sg_err *err);

/* facts.c */
/*
 * Reads all rows by one call where the module lets it. Each row comes with its buffer and the room
 * in it; what the object does not have, or not as little, gets CK_UNAVAILABLE_INFORMATION.
 */
enum sg_outcome sg_p11_attrs(struct sg_p11_session *session, CK_OBJECT_HANDLE object,
                             CK_ATTRIBUTE *rows, size_t count, struct sg_err *err);
/* The bytes of such a row; empty when it is not there. */
struct sg_slice sg_p11_attr_bytes(const CK_ATTRIBUTE *row);
enum sg_outcome sg_p11_facts_read(struct sg_p11_session *session, CK_OBJECT_HANDLE handle,
                                  struct sg_p11_facts *ret, struct sg_err *err);
/* `is_from_here`: what only a key has that was generated on the token is demanded too. An attribute
 * the token does not have is false: enough where false is due, not elsewhere. */
enum sg_outcome sg_p11_facts_judge(const struct sg_p11_facts *facts, enum sg_key_type type,
                                   bool is_from_here, struct sg_err *err);

/* census.c: all keys of a token at once, which costs a call for each and not a search. */
struct sg_p11_census;
enum sg_outcome sg_p11_census_make(struct sg_p11_session *session, struct sg_p11_census **ret,
                                   struct sg_err *err);
void sg_p11_census_free(struct sg_p11_census *census);
SG_DEFINE_AUTO(struct sg_p11_census, sg_p11_census_free);
/* Of what was begun so long ago nothing is believed any more, nor of another login. */
bool sg_p11_census_is_fresh(const struct sg_p11_census *census,
                            const struct sg_p11_session *session);
/*
 * What it says of the private key with this CKA_ID, and of its public key: modulus and exponent,
 * or parameters and point, which borrow from the census or from `ret`. False: there is none, or not
 * one of each, which a search then tells more exactly.
 */
bool sg_p11_census_find(const struct sg_p11_census *census, struct sg_slice id,
                        struct sg_p11_facts *ret, struct sg_slice *ret_first,
                        struct sg_slice *ret_second);

/* spki.c: public keys in DER, checked to be of `type`. */
bool sg_p11_is_rsa(enum sg_key_type type);
/* Of a modulus and an exponent, or curve parameters and a point. */
enum sg_outcome sg_p11_spki(enum sg_key_type type, struct sg_slice first, struct sg_slice second,
                            uint8_t *out, size_t *ret_len, struct sg_err *err);
/* Of the private key `facts` is about; of another object with its CKA_ID where that must be. */
enum sg_outcome sg_p11_export_spki(struct sg_p11_session *session, const struct sg_p11_facts *facts,
                                   enum sg_key_type type, uint8_t *out, size_t *ret_len,
                                   struct sg_err *err);

#endif
