#ifndef SG_HSM_JOB_H
#define SG_HSM_JOB_H

#include "base/algorithm.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "hsm/origin.h"

/*
 * What passes between the gateway and a token process, over a SOCK_SEQPACKET unix socket: one or
 * several requests, or answers, to a packet, one whole message behind the other. A message stands
 * alone: no pointers, no state from earlier ones but the HELLO that opens a connection and says
 * which of two roles it has. Several to a packet, because each packet costs both sides a passage
 * through the kernel that weighs as much as all the rest of handling a message.
 *
 *     version(1) kind(1) direction(1) zero(1) length(4) serial(8), then the body of its kind
 *
 * Numbers are big-endian, byte strings carry their length in front, one or two bytes of it. Every
 * value has one encoding: decoding and encoding again gives the same bytes, and everything else
 * (another version, trailing bytes, a number outside its enum) is refused. Both sides decode by
 * the same strict code, because neither takes the other's word: a gateway may be taken over, and
 * a vendor's module may have scribbled over the token process.
 */
enum {
    SG_JOB_VERSION = 2,
    SG_JOB_HEADER_LEN = 16,
    SG_JOB_ID_MAX = 64,         /* CKA_ID */
    SG_JOB_NAME_MAX = 2048,     /* DER subject, or DER alternative names, of a CSR */
    SG_JOB_EVIDENCE_MAX = 8192, /* what personal and agency keys will be judged by */
    SG_JOB_SPKI_MAX = 2048,
    SG_JOB_TEXT_MAX = 160,
    /* The largest of all messages: SIGN with everything it may hold. */
    SG_JOB_MESSAGE_MAX = SG_JOB_HEADER_LEN + 2 + 8 + 1 + SG_JOB_ID_MAX + 2 + SG_TBS_BYTES_MAX + 2 +
                         SG_JOB_EVIDENCE_MAX,
    SG_JOB_PACKET_MAX = 16384,

    /*
     * Both ways, several to a packet are as much as a worker does in this time, which is also what
     * the first of them can lose by it, in ns; and only of signatures that take no longer than
     * this. A packet wakes the other side and what it wakes in turn, for some 50 us: a tenth of an
     * RSA-2048 signature in software, and nothing beside one that an HSM takes milliseconds for.
     */
    SG_JOB_PACKET_NS = 4000000,
    SG_JOB_FAST_NS = 1500000,
};

enum sg_job_kind {
    SG_JOB_UNSET = 0,
    SG_JOB_HELLO,    /* first on every connection */
    SG_JOB_PROBE,    /* admin: is the token there and logged in; recovers it when not */
    SG_JOB_LOAD_KEY, /* admin: find a key, judge its attributes, tell its public key */
    SG_JOB_SIGN,
    SG_JOB_CSR, /* admin: a PKCS#10 request */
    SG_JOB_KIND_COUNT,
};

/*
 * A SIGN connection is read by all workers at once, an ADMIN connection by one thread. END asks
 * the process to end itself at once, for a gateway of another user, who may not kill it: it is
 * read by the thread that never calls the module, so it is heard while all others hang. It gets
 * no answer but the end.
 */
enum sg_job_role {
    SG_JOB_ROLE_UNSET = 0,
    SG_JOB_ROLE_SIGN,
    SG_JOB_ROLE_ADMIN,
    SG_JOB_ROLE_END,
    SG_JOB_ROLE_COUNT,
};

/*
 * How a call into the token went: the classes of PKCS#11's return values that are acted upon
 * differently, by the token process itself or by the gateway.
 */
enum sg_outcome {
    SG_OUT_UNSET = 0,   /* never on the wire */
    SG_OUT_OK,          /* done */
    SG_OUT_SESSION,     /* the session died: open another, try once more */
    SG_OUT_HANDLE,      /* the object handle is stale: find again, try once more */
    SG_OUT_LOGIN,       /* the token has forgotten the login: log in, try once more */
    SG_OUT_TOKEN,       /* the token is away: the breaker's business */
    SG_OUT_CAPACITY,    /* no session or memory left there: come again later */
    SG_OUT_PIN,         /* the PIN was refused: never tried again by itself */
    SG_OUT_KEY,         /* this key cannot be used: missing, twice, wrong attributes */
    SG_OUT_NOT_LOADED,  /* LOAD_KEY has not been asked for it */
    SG_OUT_UNSUPPORTED, /* the token does not do this */
    SG_OUT_EXPIRED,     /* the deadline passed before the token was asked */
    SG_OUT_REQUEST,     /* anything else: the request's own fault, a retry cannot help */
    SG_OUT_COUNT,
};

/* Whether the token process may log in. */
enum sg_pin_state { SG_PIN_UNKNOWN = 0, SG_PIN_ACCEPTED, SG_PIN_LATCHED, SG_PIN_STATE_COUNT };

/* Slices borrow: from the caller when encoding, from the message when decoded. */
struct sg_request {
    enum sg_job_kind kind;
    uint64_t serial; /* comes back in the answer */

    enum sg_job_role role;              /* HELLO */
    struct sg_slice id;                 /* LOAD_KEY, SIGN, CSR: CKA_ID */
    enum sg_key_type type;              /* LOAD_KEY: what it must be */
    enum sg_key_origin origin;          /* LOAD_KEY: what may be demanded of its attributes */
    enum sg_scheme scheme;              /* SIGN */
    enum sg_digest_alg digest_alg;      /* SIGN, CSR */
    int64_t deadline_ns;                /* SIGN, CSR: monotonic; 0: none */
    struct sg_slice tbs, evidence;      /* SIGN */
    struct sg_slice subject, alt_names; /* CSR */
};

struct sg_answer {
    enum sg_job_kind kind;
    uint64_t serial;
    enum sg_outcome outcome;
    unsigned long native; /* CK_RV when there was one */
    struct sg_slice text; /* why not, printable ASCII; empty when OK */

    /* From here on with SG_OUT_OK only. */
    size_t workers;                       /* HELLO, PROBE, SIGN: how many sign at once */
    enum sg_pin_state pin;                /* HELLO, PROBE */
    struct sg_slice label, model, number; /* HELLO, PROBE: of the token; empty until it is found */
    enum sg_key_type type;                /* LOAD_KEY */
    struct sg_slice spki;                 /* LOAD_KEY: DER */
    int64_t start_ns, hsm_ns;             /* SIGN: when C_SignInit began (monotonic), time inside */
    struct sg_slice signature;            /* SIGN */
    struct sg_slice csr;                  /* CSR: DER */
};

/*
 * The first message of what is left of a packet, by the length in its header; `rest` is what comes
 * behind it. Empty when that length cannot be: then what follows cannot be read either.
 */
struct sg_slice sg_job_cut(struct sg_slice packet, struct sg_slice *rest);

/* Append one message to `out`. A value outside its bounds is a bug here, and asserted. */
void sg_request_encode(const struct sg_request *request, struct sg_buf *out);
void sg_answer_encode(const struct sg_answer *answer, struct sg_buf *out);

/* Errors: SG_E_INVALID for anything that the encoder above would not have written. */
SG_MUST_USE enum sg_rc sg_request_decode(struct sg_slice message, struct sg_request *ret,
                                         struct sg_err *err);
SG_MUST_USE enum sg_rc sg_answer_decode(struct sg_slice message, struct sg_answer *ret,
                                        struct sg_err *err);

/* "token", "pin": for logs. */
const char *sg_outcome_name(enum sg_outcome outcome);

#endif
