#ifndef SEALGATE_H
#define SEALGATE_H

/*
 * libsealgate: signing with keys that a Sealgate gateway guards.
 *
 * One struct sealgate_client holds one connection (TLS 1.2 or 1.3, HTTP/2, gRPC), made when the
 * first call needs it, kept and shared by every call after, and made anew when it was lost. There
 * are two ways to use it, and they mix:
 *
 *   blocking      sealgate_sign(), sealgate_list_keys() ...: return when the answer is there.
 *   non-blocking  sealgate_sign_start() ...: return at once, and a callback brings the answer while
 *                 the program waits on sealgate_client_fd() and calls sealgate_client_step().
 *
 * Threads: the library starts none, takes no locks and installs no signal handlers (nothing it
 * does raises SIGPIPE). A client and its calls belong to one thread at a time: they may be handed
 * over, with a lock or a queue of the program's own between, and never used by two at once.
 * Different clients may be used by different threads at once. Below, "Thread: the client's" means
 * this, "any" that the function may be called from any thread at any time. No client survives
 * fork(): the child may only exec or exit.
 *
 * Memory: what is passed in is borrowed for the call and copied where it is kept. What a callback
 * is given dies when the callback returns. What a blocking function puts into `*ret` is the
 * caller's: give it to sealgate_free(), once, from any thread; everything inside goes with it, and
 * it needs no client any more. On failure `*ret` is not touched. Text is UTF-8 with a NUL at its
 * end, and is never NULL in an answer; in a request NULL means empty.
 *
 * Errors: functions return a code, and fill `*error` when the code is not SEALGATE_OK; `error` may
 * be NULL. A program branches on error.code and error.reason, and looks at error.outcome before it
 * repeats anything. Where it says "Errors: as every call", these are they:
 *
 *   INVALID_ARGUMENT     the request is wrong: BAD_ARGUMENT, or the server's own reason
 *   UNAUTHENTICATED      CLIENT_CERT_REFUSED, TOKEN_NOT_GIVEN, or the server knows no such caller
 *   PERMISSION_DENIED    not for this caller
 *   NOT_FOUND            no such key or service, or not for this caller's eyes
 *   RESOURCE_EXHAUSTED   TOO_MUCH_WAITING here, or a limit of the server: see retry_after_ms
 *   FAILED_PRECONDITION  WRONG_MOMENT (a blocking call from a callback), or the server's state
 *   UNAVAILABLE          no connection, or the server or its token is away: see retry_after_ms
 *   DEADLINE_EXCEEDED    the time was up; outcome UNKNOWN when it had been sent
 *   CANCELLED            by sealgate_call_cancel() or sealgate_client_free()
 *   UNIMPLEMENTED        this server does not serve it
 *   DATA_LOSS            the answer was damaged on the way, or its receipt or checkpoint proves
 *                        nothing (RECEIPT_WRONG, RECEIPT_MISSING, CHECKPOINT_WRONG): nothing of it
 *                        was returned
 *   INTERNAL, UNKNOWN    the server failed, its answer made no sense, or there was no memory
 *
 * Units are in the names: _ms and _us are milli- and microseconds, _ns nanoseconds since
 * 1970-01-01 UTC, _bytes and len bytes.
 *
 * Limits: one request has at most 5 MiB, one answer response_bytes_max, one client calls_max open
 * calls, one stream 5 MiB that wait to be sent, one list 16 endpoints, one authorization value
 * 8,192 bytes; the server has its own (sealgate_server_info()). A call without a time of its own
 * has timeout_ms. What is over a limit is refused before anything is sent.
 *
 * Repeating: what is signed carries a request_id for each item, one of the library's own making
 * where the caller gave none. By it the server signs once and gives the same answer again, so such
 * a call is sent again after a lost connection or an UNAVAILABLE, in its time, at most ten times,
 * after what the server advises and pauses of 50 ms to 5 s at random. Endpoints of one list have to
 * share their store for that. A server that does not serve request ids says so; then the call goes
 * without one that the library made, and is never repeated. options.no_repeat turns it off. A
 * stream of signatures goes on by another call in the same way, with those of its items that have
 * no result; each has one result, and the ten times count from the last of them.
 *
 * Failover: any other call is never sent twice when the server may have acted on it. One that
 * certainly never reached a handler (no connection came about, the server said so by REFUSED_STREAM
 * or by GOAWAY, or it was still here when the connection ended) goes to the next endpoint while its
 * time lasts: at once the first time, then after pauses of 50 ms to 5 s, at random, that grow for
 * each endpoint by itself. With one endpoint, and without wait_for_ready, it is sent again once. An
 * endpoint from which nothing came for half of the time of a call that ran out of it is left by the
 * calls after it. A stream that cannot be repeated moves only as long as it waits for its
 * connection. A client stays with the endpoint that works, and begins at the head of the list when
 * it needs another connection. GOAWAY ends nothing: calls under way finish, new ones go over a new
 * connection.
 *
 * For auditors there is sealgate_audit.h beside this. The two are longer than headers inside the
 * project because they are the whole manual of the library. Until 1.0 a new version may change the
 * structs; the soname changes with them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SEALGATE_API __attribute__((visibility("default")))
#else
#define SEALGATE_API
#endif

/*
 * "0.1.0", static: of the library that runs, not of the header compiled against.
 *
 * Thread: any. Owns: nothing to free.
 */
SEALGATE_API const char *sealgate_version(void);

/* ---- Errors ------------------------------------------------------------------------------- */

/* The status codes of gRPC, by their numbers there. */
enum sealgate_code {
    SEALGATE_OK = 0,
    SEALGATE_CANCELLED = 1,
    SEALGATE_UNKNOWN = 2,
    SEALGATE_INVALID_ARGUMENT = 3,
    SEALGATE_DEADLINE_EXCEEDED = 4,
    SEALGATE_NOT_FOUND = 5,
    SEALGATE_ALREADY_EXISTS = 6,
    SEALGATE_PERMISSION_DENIED = 7,
    SEALGATE_RESOURCE_EXHAUSTED = 8,
    SEALGATE_FAILED_PRECONDITION = 9,
    SEALGATE_ABORTED = 10,
    SEALGATE_OUT_OF_RANGE = 11,
    SEALGATE_UNIMPLEMENTED = 12,
    SEALGATE_INTERNAL = 13,
    SEALGATE_UNAVAILABLE = 14,
    SEALGATE_DATA_LOSS = 15,
    SEALGATE_UNAUTHENTICATED = 16,
};

/* What became of the request, as far as sending it again is concerned. */
enum sealgate_outcome {
    SEALGATE_OUTCOME_UNSET = 0,
    SEALGATE_OUTCOME_ANSWERED, /* the server answered: do as the code says */
    SEALGATE_OUTCOME_NOT_DONE, /* it certainly did not reach the server's handler: safe to repeat */
    SEALGATE_OUTCOME_UNKNOWN,  /* it may have been done; the answer is lost */
};

struct sealgate_error {
    enum sealgate_code code;
    enum sealgate_outcome outcome;

    /* The stable word for what went wrong: the server's (docs/errors.md), or one of this library's
     * own when is_local: CONNECT_FAILED, NAME_NOT_RESOLVED, TLS_FAILED, CLIENT_CERT_REFUSED,
     * TOKEN_NOT_GIVEN, CONNECTION_LOST, NOT_PROCESSED, STREAM_OVER, WRONG_MOMENT, DEADLINE,
     * CANCELLED, BAD_ARGUMENT, BAD_OPTIONS, RESPONSE_MALFORMED, RESPONSE_CRC_MISMATCH,
     * REQUEST_NOT_CHECKED, RECEIPT_MISSING, RECEIPT_WRONG, CHECKPOINT_WRONG, TOO_MUCH_WAITING,
     * OUT_OF_MEMORY. Empty when the server gave none. */
    char reason[64];
    bool is_local;

    char message[384];   /* what happened, for people */
    char next[256];      /* what to do next, for people; may be empty */
    char field[128];     /* the field of the request that was refused; may be empty */
    char request_id[64]; /* under which the server's log tells of it; may be empty */
    uint32_t
        retry_after_ms; /* how long the server asks to wait before a retry; 0: it did not say */
};

/*
 * "NOT_FOUND"; "UNKNOWN" for a number that is none. Static.
 *
 * Thread: any. Owns: nothing to free.
 */
SEALGATE_API const char *sealgate_code_name(enum sealgate_code code);

/* ---- The client --------------------------------------------------------------------------- */

struct sealgate_client;

/* Longest value of the `authorization` header. */
#define SEALGATE_AUTHORIZATION_BYTES_MAX 8192

/*
 * Of the application: gives the `authorization` header of one call, "Bearer ..." for one, by
 * writing it with a NUL into `value`, which has `room` bytes (SEALGATE_AUTHORIZATION_BYTES_MAX and
 * one), and returns SEALGATE_OK. Any other code ends the call with it: reason TOKEN_NOT_GIVEN,
 * outcome NOT_DONE.
 *
 * Called in sealgate_client_step() just before a call is sent, and again when it is sent again, so
 * the token may be renewed at any time; a blocking function takes steps of its own. It must not
 * block for long, for everything waits, and may use no function of this client. `value` lies in
 * locked memory and is wiped when the call has been sent; what HTTP/2 and TLS make of it on the
 * way out is ordinary memory of the process.
 */
typedef enum sealgate_code sealgate_authorization_fn(void *user, char *value, size_t room);

/* What a signature without a receipt is worth. Receipts that come are always checked. */
enum sealgate_receipts {
    SEALGATE_RECEIPTS_UNSET = 0,    /* REQUIRED when there is a log_key, else CHECKED */
    SEALGATE_RECEIPTS_CHECKED = 1,  /* taken, for a server may keep no log */
    SEALGATE_RECEIPTS_REQUIRED = 2, /* refused: RECEIPT_MISSING */
};

struct sealgate_options {
    /* "host:port", "[IPv6]:port", or a host alone, which means port 8443; or several of these with
     * commas between them (at most 16), in the order of preference. */
    const char *endpoint;
    const char *ca_file;   /* PEM: who may have issued the server's certificate */
    const char *cert_file; /* PEM: the client's certificate, and its chain behind it */
    const char *key_file;  /* PEM: the certificate's private key, not encrypted */

    /* Who calls may also be told by a token, beside the certificate or, with cert_file and
     * key_file NULL, instead of it. */
    sealgate_authorization_fn *authorization;
    void *authorization_user;

    const char *server_name; /* the name to expect in the certificate; NULL: the endpoint's host */
    const char *user_agent;  /* put before the library's own; may be NULL */

    /* With one endpoint a call that needs a connection fails when none can be made. Set this, and
     * it waits for one as long as it has time; as it does anyway when there are several. */
    bool wait_for_ready;

    uint32_t connect_timeout_ms; /* one endpoint: name, TCP and TLS together; 0 means 5,000 */
    uint32_t timeout_ms;         /* of a call that names none; 0 means 30,000 */
    uint32_t response_bytes_max; /* largest answer; 0 means 4 MiB */
    uint32_t calls_max;          /* open at once; 0 means 10,000 */

    /* Ping a connection with open calls that has been silent for so long (gRFC A8), and give it up
     * when nothing has come for keepalive_timeout_ms (0 means 20,000) after that. 0: never; below
     * 300,000, which servers would not suffer, it is 300,000. When a server finds it too often all
     * the same (GOAWAY too_many_pings), it is doubled. */
    uint32_t keepalive_ms;
    uint32_t keepalive_timeout_ms;

    /* The keys of the audit logs that are believed, NAME+ID+BASE64 as their operators publish them,
     * with blanks between them (at most 16; each gateway may have its own). Without one, everything
     * about a receipt is checked but who signed its checkpoint. */
    const char *log_key;
    enum sealgate_receipts receipts;

    /* Neither make request ids nor repeat a signing call that may have been done. */
    bool no_repeat;
};

/*
 * Makes a client. Reads the files; connects to nothing yet. Zeroed options with the endpoint,
 * ca_file, and either the other two files or authorization set are complete.
 *
 * Errors: SEALGATE_INVALID_ARGUMENT with reason BAD_OPTIONS: the endpoint or a file is unusable.
 *
 * Thread: any; the client belongs to the caller's. Owns: `*ret` is the caller's, for
 * sealgate_client_free(); the options and what they point to are not needed any more.
 */
SEALGATE_API enum sealgate_code sealgate_client_new(const struct sealgate_options *options,
                                                    struct sealgate_client **ret,
                                                    struct sealgate_error *error);

/*
 * Ends every open call (its callback gets SEALGATE_CANCELLED) and the connection. NULL is a no-op.
 * Not from a callback.
 *
 * Thread: the client's. Owns: takes the client and all its calls.
 */
SEALGATE_API void sealgate_client_free(struct sealgate_client *client);

/*
 * The descriptor to wait on for being readable (POLLIN). It is one and the same for the client's
 * whole life (an epoll descriptor), whatever its connection does. Do not read, write or close it.
 *
 * Thread: the client's; waiting on it, any. Owns: it stays the client's.
 */
SEALGATE_API int sealgate_client_fd(const struct sealgate_client *client);

/*
 * How long to wait at most before the next step: milliseconds, 0 for not at all, -1 for no bound;
 * as poll() takes it. Ask again after every step and every started call.
 *
 * Thread: the client's.
 */
SEALGATE_API int sealgate_client_timeout_ms(const struct sealgate_client *client);

/*
 * Does all that can be done without waiting: connects, sends, receives, runs callbacks. What fails
 * is told to the calls it concerns. A callback may start calls, send on streams and cancel, but
 * not step, block or free.
 *
 * One thing in it can block: resolving a host name (getaddrinfo), in the step that begins a
 * connection. An endpoint written as an IP address never does; `server_name` then says which name
 * its certificate must have.
 *
 * Thread: the client's, which callbacks run on too.
 */
SEALGATE_API void sealgate_client_step(struct sealgate_client *client);

/*
 * Calls whose callback is still to come.
 *
 * Thread: the client's.
 */
SEALGATE_API size_t sealgate_client_open_calls(const struct sealgate_client *client);

/*
 * A call under way, from its start until its callback (a stream's `done`) has returned.
 *
 * Every _start function below: returns SEALGATE_OK and will run its callback exactly once, always
 * from sealgate_client_step() or sealgate_client_free(), never from inside _start; or returns
 * another code and will not. `timeout_ms` bounds the whole call, connecting included; 0 means the
 * client's. `ret` may be NULL. In callbacks `error` is NULL when the call succeeded; otherwise the
 * other argument is NULL.
 */
struct sealgate_call;

/*
 * Ends a call early; its callback still comes, with SEALGATE_CANCELLED. The server may have done
 * what was asked all the same.
 *
 * Thread: the client's. Owns: the call stays the client's.
 */
SEALGATE_API void sealgate_call_cancel(struct sealgate_call *call);

/*
 * Frees what a blocking function returned in `*ret`. NULL is a no-op.
 *
 * Thread: any. Owns: takes it.
 */
SEALGATE_API void sealgate_free(void *result);

/* ---- Algorithms --------------------------------------------------------------------------- */

/* Names and numbers of proto/sealgate/v1/types.proto. */
enum sealgate_digest {
    SEALGATE_DIGEST_UNSET = 0,
    SEALGATE_DIGEST_SHA256 = 1,
    SEALGATE_DIGEST_SHA384 = 2,
    SEALGATE_DIGEST_SHA512 = 3,
    SEALGATE_DIGEST_SHA3_256 = 4,
    SEALGATE_DIGEST_SHA3_384 = 5,
    SEALGATE_DIGEST_SHA3_512 = 6,
};

enum sealgate_scheme {
    SEALGATE_SCHEME_UNSET = 0, /* in a request: the key's own (RSA: PKCS#1 v1.5) */
    SEALGATE_SCHEME_RSA_PKCS1 = 1,
    SEALGATE_SCHEME_RSA_PSS = 2, /* MGF1 with the same hash, salt as long as it */
    SEALGATE_SCHEME_ECDSA = 3,
    SEALGATE_SCHEME_ED25519 = 4, /* signs the message itself, at most 4 KiB */
};

/* How an ECDSA signature is written. */
enum sealgate_encoding {
    SEALGATE_ENCODING_UNSET = 0, /* in a request: DER */
    SEALGATE_ENCODING_DER = 1,   /* ECDSA-Sig-Value, RFC 3279 section 2.2.3 */
    SEALGATE_ENCODING_RAW = 2,   /* r || s (IEEE P1363) */
};

enum sealgate_key_type {
    SEALGATE_KEY_TYPE_UNSET = 0,
    SEALGATE_KEY_TYPE_RSA_2048 = 1,
    SEALGATE_KEY_TYPE_RSA_3072 = 2,
    SEALGATE_KEY_TYPE_RSA_4096 = 3,
    SEALGATE_KEY_TYPE_EC_P256 = 4,
    SEALGATE_KEY_TYPE_EC_P384 = 5,
    SEALGATE_KEY_TYPE_ED25519 = 6,
};

struct sealgate_bytes {
    const uint8_t *ptr;
    size_t len;
};

/* ---- Signing ------------------------------------------------------------------------------ */

/*
 * What to sign. Zero it, then set `key`, and either `digest` with `content` the hash, or (for an
 * Ed25519 key) only `content`, the message.
 */
struct sealgate_sign_request {
    const char *key; /* "keys/{key}", or "keys/{key}/versions/{n}" to pin a version */
    struct sealgate_bytes content;
    enum sealgate_digest digest; /* what made `content`; UNSET: content is the message itself */
    enum sealgate_scheme scheme;
    enum sealgate_encoding encoding;

    /* The rest goes into the audit record, or is refused with FIELD_NOT_SERVED by a server that
     * does not act on it yet. First the hash of the file, where what is signed is another digest
     * (of a CMS, for one). */
    enum sealgate_digest document_digest;
    struct sealgate_bytes document_hash;
    const char *purpose; /* why, in the caller's words */
    /* A UUID, best of version 7, by which the same request is never signed twice however often it
     * is sent; NULL: sealgate_sign() and sealgate_batch_sign() make one themselves. */
    const char *request_id;
    bool dry_run; /* decide and check everything, sign nothing */
};

/*
 * That the server's audit log has a record of the signature. It was checked before it got here: the
 * record is in the tree of the checkpoint, and says what was asked and answered. `file` is worth
 * keeping beside the signature: it proves it to anybody who knows the log's key.
 */
struct sealgate_receipt {
    const char *log; /* audit/{log} */
    uint64_t leaf_index, tree_size;
    struct sealgate_bytes record; /* sealgate.v1.AuditRecord; sealgate_receipt_verify() reads it */
    struct sealgate_bytes checkpoint; /* a signed note */
    struct sealgate_bytes file;       /* all of it as text, c2sp.org/tlog-proof: docs/audit.md */
    bool is_signed;                   /* a log_key of the options vouches for the checkpoint */
};

/*
 * A signature. Its CRC-32C was right, and so was that of the request at the server: a mismatch of
 * either never gets here.
 */
struct sealgate_signature {
    struct sealgate_bytes signature;
    const char *key_version; /* keys/{key}/versions/{n}: the version that signed */
    enum sealgate_scheme scheme;
    enum sealgate_digest digest; /* UNSET for Ed25519 */
    enum sealgate_encoding encoding;
    int64_t sign_time_ns;
    const char *rule_set, *rule; /* by which the caller was allowed */
    bool replayed;               /* answered from an earlier call with the same request_id */
    uint32_t queue_us, hsm_us, total_us;
    const struct sealgate_receipt *receipt; /* NULL: the server keeps no log, or a dry run */
};

typedef void sealgate_sign_fn(void *user, const struct sealgate_error *error,
                              const struct sealgate_signature *signature);

/*
 * Signs one digest or message. Errors worth branching on: SEALGATE_NOT_FOUND (no such key, or not
 * for this caller), SEALGATE_RESOURCE_EXHAUSTED and SEALGATE_UNAVAILABLE (see retry_after_ms, and
 * outcome before sending it again).
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_sign(struct sealgate_client *client,
                                              const struct sealgate_sign_request *request,
                                              uint32_t timeout_ms, struct sealgate_signature **ret,
                                              struct sealgate_error *error);

/* sealgate_sign() without blocking: `fn` brings the answer. Thread: the client's. Owns: `*ret` is
 * the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_sign_start(struct sealgate_client *client,
                                                    const struct sealgate_sign_request *request,
                                                    uint32_t timeout_ms, sealgate_sign_fn *fn,
                                                    void *user, struct sealgate_call **ret,
                                                    struct sealgate_error *error);

#define SEALGATE_REQUEST_ID_BYTES 37

/*
 * A new request_id, with a NUL: a UUID of version 7 (RFC 9562), which begins with the time. False:
 * the system gave no random bytes.
 *
 * Thread: any. Owns: nothing to free.
 */
SEALGATE_API bool sealgate_request_id(char out[SEALGATE_REQUEST_ID_BYTES]);

/* One item of a batch, in the order of the requests: exactly one of the two is set. */
struct sealgate_batch_item {
    const struct sealgate_signature *signature;
    const struct sealgate_error *error;
};

struct sealgate_batch {
    const struct sealgate_batch_item *items;
    size_t count;
};

typedef void sealgate_batch_fn(void *user, const struct sealgate_error *error,
                               const struct sealgate_batch *batch);

/*
 * Signs `count` requests (the server takes up to 1,000) in one call. SEALGATE_OK means that the
 * batch was answered: every item succeeded or failed on its own.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_batch_sign(struct sealgate_client *client,
                                                    const struct sealgate_sign_request *requests,
                                                    size_t count, uint32_t timeout_ms,
                                                    struct sealgate_batch **ret,
                                                    struct sealgate_error *error);

/* sealgate_batch_sign() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_batch_sign_start(struct sealgate_client *client,
                          const struct sealgate_sign_request *requests, size_t count,
                          uint32_t timeout_ms, sealgate_batch_fn *fn, void *user,
                          struct sealgate_call **ret, struct sealgate_error *error);

/* What happens on a signing stream. `item` may be NULL only when nothing is sent. */
struct sealgate_stream_events {
    /* The result of one item, in any order. `error` NULL: `signature` is set. */
    void (*item)(void *user, const char *item_id, const struct sealgate_error *error,
                 const struct sealgate_signature *signature);
    /* Much of what was sent has left: after SEALGATE_RESOURCE_EXHAUSTED, go on. May be NULL. */
    void (*writable)(void *user);
    /* The end; `error` NULL: the server ended it in order. Items without a result are lost: of
     * those that have a request_id of your own you can ask again. */
    void (*done)(void *user, const struct sealgate_error *error);
};

/*
 * Opens a stream of signatures: sealgate_stream_send() items, then sealgate_stream_close().
 * Non-blocking only. `timeout_ms` is for the whole stream.
 *
 * Thread: the client's. Owns: `*ret` is the client's, good until `done` has returned.
 * Errors: BAD_ARGUMENT, TOO_MUCH_WAITING, OUT_OF_MEMORY; all others come to `done`.
 */
SEALGATE_API enum sealgate_code
sealgate_sign_stream_start(struct sealgate_client *client, uint32_t timeout_ms,
                           const struct sealgate_stream_events *events, void *user,
                           struct sealgate_call **ret, struct sealgate_error *error);

/*
 * Sends one item; `item_id` is 1 to 64 characters, unique among the items under way.
 *
 * Errors: SEALGATE_RESOURCE_EXHAUSTED  too much is waiting to be sent or has no result yet (5 MiB):
 *                                      nothing was taken, wait for writable
 *         SEALGATE_FAILED_PRECONDITION the stream was closed or is over
 *
 * Thread: the client's. Owns: nothing; the item is copied.
 */
SEALGATE_API enum sealgate_code sealgate_stream_send(struct sealgate_call *stream,
                                                     const char *item_id,
                                                     const struct sealgate_sign_request *request,
                                                     struct sealgate_error *error);
/*
 * No more items will be sent; results still come.
 *
 * Thread: the client's. Owns: the stream stays the client's, until `done` has returned.
 */
SEALGATE_API void sealgate_stream_close(struct sealgate_call *stream);

/* ---- Verifying ---------------------------------------------------------------------------- */

/* Zero it, then set one of `key` and `public_key`, the content as for signing, and `signature`. */
struct sealgate_verify_request {
    const char *key;                  /* a key of the server that the caller may use */
    struct sealgate_bytes public_key; /* or DER SubjectPublicKeyInfo */
    enum sealgate_digest digest;
    struct sealgate_bytes content;
    struct sealgate_bytes signature;
    enum sealgate_scheme scheme;
    enum sealgate_encoding encoding;
};

struct sealgate_verdict {
    bool valid;         /* zero means no */
    const char *reason; /* when not valid: SIGNATURE_INVALID or SIGNATURE_MALFORMED */
    enum sealgate_scheme scheme;
    enum sealgate_digest digest;
    enum sealgate_key_type key_type;
    const char *key_version; /* when a key of the server was named */
};

typedef void sealgate_verify_fn(void *user, const struct sealgate_error *error,
                                const struct sealgate_verdict *verdict);

/*
 * SEALGATE_OK means judged, not valid: read the verdict.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_verify(struct sealgate_client *client,
                                                const struct sealgate_verify_request *request,
                                                uint32_t timeout_ms, struct sealgate_verdict **ret,
                                                struct sealgate_error *error);

/* sealgate_verify() without blocking: `fn` brings the answer. Thread: the client's. Owns: `*ret` is
 * the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_verify_start(struct sealgate_client *client,
                                                      const struct sealgate_verify_request *request,
                                                      uint32_t timeout_ms, sealgate_verify_fn *fn,
                                                      void *user, struct sealgate_call **ret,
                                                      struct sealgate_error *error);

/* ---- Keys --------------------------------------------------------------------------------- */

enum sealgate_key_state {
    SEALGATE_KEY_STATE_UNSET = 0,
    SEALGATE_KEY_STATE_ACTIVE = 1,
    SEALGATE_KEY_STATE_LOADING = 2,     /* its token has not told of it yet */
    SEALGATE_KEY_STATE_UNUSABLE = 3,    /* state_message says why */
    SEALGATE_KEY_STATE_QUARANTINED = 4, /* a signature by it failed its verification */
};

struct sealgate_key {
    const char *name;            /* keys/{key} */
    const char *primary_version; /* keys/{key}/versions/{n} */
    enum sealgate_key_type type;
    enum sealgate_key_state state;
    const char *state_message;
    const char *token;
    const enum sealgate_scheme *schemes; /* what the caller may sign by, the default first */
    size_t scheme_count;
    const enum sealgate_digest *digests;
    size_t digest_count;
    struct sealgate_bytes public_key_sha256; /* of the DER SubjectPublicKeyInfo */
    int64_t create_time_ns;                  /* 0: the token does not know */
};

struct sealgate_key_list {
    const struct sealgate_key *keys; /* by name */
    size_t count;
    const char *next_page_token; /* empty: that was all */
};

struct sealgate_public_key {
    const char *key_version;
    enum sealgate_key_type type;
    struct sealgate_bytes spki; /* DER SubjectPublicKeyInfo; its CRC-32C was right */
    const char *pem;            /* the same, RFC 7468; written from spki by this library */
};

struct sealgate_name_attribute {
    const char *type;  /* "CN", "O", ..., or a dotted object identifier */
    const char *value; /* UTF-8 */
};

struct sealgate_csr_request {
    const char *key;
    const struct sealgate_name_attribute *subject; /* 1 to 16, a CN among them */
    size_t subject_count;
    const char *const *dns_names; /* subject alternative names; at most 16 in all */
    size_t dns_name_count;
    const char *const *uris;
    size_t uri_count;
    const char *const *emails;
    size_t email_count;
    enum sealgate_digest digest; /* UNSET: the server chooses */
};

struct sealgate_csr {
    const char *key_version;
    struct sealgate_bytes der; /* PKCS#10 CertificationRequest */
    const char *pem;
};

typedef void sealgate_list_keys_fn(void *user, const struct sealgate_error *error,
                                   const struct sealgate_key_list *list);
typedef void sealgate_get_key_fn(void *user, const struct sealgate_error *error,
                                 const struct sealgate_key *key);
typedef void sealgate_get_public_key_fn(void *user, const struct sealgate_error *error,
                                        const struct sealgate_public_key *key);
typedef void sealgate_create_csr_fn(void *user, const struct sealgate_error *error,
                                    const struct sealgate_csr *csr);

/*
 * One page of the keys that the caller may use. `page_size` 0 is the server's own choice;
 * `page_token` NULL or "" is the first page.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_list_keys(struct sealgate_client *client,
                                                   uint32_t page_size, const char *page_token,
                                                   uint32_t timeout_ms,
                                                   struct sealgate_key_list **ret,
                                                   struct sealgate_error *error);

/* sealgate_list_keys() without blocking: `fn` brings the answer. Thread: the client's. Owns: `*ret`
 * is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_list_keys_start(struct sealgate_client *client, uint32_t page_size, const char *page_token,
                         uint32_t timeout_ms, sealgate_list_keys_fn *fn, void *user,
                         struct sealgate_call **ret, struct sealgate_error *error);

/*
 * One key: `name` is keys/{key}.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_get_key(struct sealgate_client *client, const char *name,
                                                 uint32_t timeout_ms, struct sealgate_key **ret,
                                                 struct sealgate_error *error);

/* sealgate_get_key() without blocking: `fn` brings the answer. Thread: the client's. Owns: `*ret`
 * is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_get_key_start(struct sealgate_client *client,
                                                       const char *name, uint32_t timeout_ms,
                                                       sealgate_get_key_fn *fn, void *user,
                                                       struct sealgate_call **ret,
                                                       struct sealgate_error *error);

/*
 * `name` is keys/{key} or keys/{key}/versions/{n}.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_get_public_key(struct sealgate_client *client,
                                                        const char *name, uint32_t timeout_ms,
                                                        struct sealgate_public_key **ret,
                                                        struct sealgate_error *error);

/* sealgate_get_public_key() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_get_public_key_start(struct sealgate_client *client, const char *name, uint32_t timeout_ms,
                              sealgate_get_public_key_fn *fn, void *user,
                              struct sealgate_call **ret, struct sealgate_error *error);

/*
 * A PKCS#10 certificate request, signed by the key.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_create_csr(struct sealgate_client *client,
                                                    const struct sealgate_csr_request *request,
                                                    uint32_t timeout_ms, struct sealgate_csr **ret,
                                                    struct sealgate_error *error);

/* sealgate_create_csr() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_create_csr_start(struct sealgate_client *client,
                          const struct sealgate_csr_request *request, uint32_t timeout_ms,
                          sealgate_create_csr_fn *fn, void *user, struct sealgate_call **ret,
                          struct sealgate_error *error);

/* ---- The server --------------------------------------------------------------------------- */

enum sealgate_token_state {
    SEALGATE_TOKEN_STATE_UNSET = 0,
    SEALGATE_TOKEN_STATE_UP = 1,
    SEALGATE_TOKEN_STATE_DOWN = 2,
    SEALGATE_TOKEN_STATE_PROBING = 3,
    SEALGATE_TOKEN_STATE_PIN_LATCHED = 4, /* it refused its PIN; an operator must act */
    SEALGATE_TOKEN_STATE_SUSPECT = 5,     /* up, but it takes too long: others are asked first */
    SEALGATE_TOKEN_STATE_DRAINING = 6,    /* up, but taken out of use by an operator */
};

struct sealgate_token_health {
    const char *name;
    enum sealgate_token_state state;
};

struct sealgate_server_info {
    const char *version;
    int64_t server_time_ns, start_time_ns;
    const char *const *services; /* full names of the gRPC services served */
    size_t service_count;
    const enum sealgate_scheme *schemes;
    size_t scheme_count;
    const enum sealgate_digest *digests;
    size_t digest_count;
    uint32_t message_bytes_max, batch_items_max, stream_items_max, ed25519_bytes_max;
    uint32_t deadline_max_ms;
    const char *caller;                         /* who the server takes the caller for */
    const struct sealgate_token_health *tokens; /* those that the caller has keys on */
    size_t token_count;
};

struct sealgate_token {
    const char *name;
    enum sealgate_token_state state;
    uint32_t workers, in_flight, waiting;
    uint32_t estimated_wait_ms;
};

struct sealgate_capacity {
    const struct sealgate_token *tokens;
    size_t count;
};

/* The numbers of grpc.health.v1; zero means that nobody knows. */
enum sealgate_health {
    SEALGATE_HEALTH_UNKNOWN = 0,
    SEALGATE_HEALTH_SERVING = 1,
    SEALGATE_HEALTH_NOT_SERVING = 2,
    SEALGATE_HEALTH_SERVICE_UNKNOWN = 3, /* from watching only */
};

typedef void sealgate_server_info_fn(void *user, const struct sealgate_error *error,
                                     const struct sealgate_server_info *info);
typedef void sealgate_capacity_fn(void *user, const struct sealgate_error *error,
                                  const struct sealgate_capacity *capacity);
/* `health` is UNKNOWN when `error` is set. */
typedef void sealgate_health_fn(void *user, const struct sealgate_error *error,
                                enum sealgate_health health);

/*
 * What the server is and can do, and who it takes the caller for.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_server_info(struct sealgate_client *client,
                                                     uint32_t timeout_ms,
                                                     struct sealgate_server_info **ret,
                                                     struct sealgate_error *error);

/* sealgate_server_info() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_server_info_start(struct sealgate_client *client,
                                                           uint32_t timeout_ms,
                                                           sealgate_server_info_fn *fn, void *user,
                                                           struct sealgate_call **ret,
                                                           struct sealgate_error *error);

/*
 * How busy each token is.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_capacity(struct sealgate_client *client,
                                                  uint32_t timeout_ms,
                                                  struct sealgate_capacity **ret,
                                                  struct sealgate_error *error);

/* sealgate_capacity() without blocking: `fn` brings the answer. Thread: the client's. Owns: `*ret`
 * is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_capacity_start(struct sealgate_client *client,
                                                        uint32_t timeout_ms,
                                                        sealgate_capacity_fn *fn, void *user,
                                                        struct sealgate_call **ret,
                                                        struct sealgate_error *error);

/*
 * `service` is a full name, or "" or NULL for the whole server. SEALGATE_OK means answered: read
 * `*ret`. Errors: SEALGATE_NOT_FOUND: the server has no such service.
 *
 * Thread: the client's. Owns: nothing to free.
 */
SEALGATE_API enum sealgate_code sealgate_health_check(struct sealgate_client *client,
                                                      const char *service, uint32_t timeout_ms,
                                                      enum sealgate_health *ret,
                                                      struct sealgate_error *error);

/* sealgate_health_check() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_health_check_start(struct sealgate_client *client, const char *service,
                            uint32_t timeout_ms, sealgate_health_fn *fn, void *user,
                            struct sealgate_call **ret, struct sealgate_error *error);

/* Watches: `changed` now and at every change, until `done`, which always comes with an error (the
 * server never ends a watch of its own). */
struct sealgate_watch_events {
    void (*changed)(void *user, enum sealgate_health health);
    void (*done)(void *user, const struct sealgate_error *error);
};

/*
 * Watches the health of `service` until it is cancelled or its time is up.
 *
 * Thread: the client's. Owns: `*ret` is the client's, good until `done` has returned.
 * Errors: BAD_ARGUMENT, TOO_MUCH_WAITING, OUT_OF_MEMORY; all others come to `done`.
 */
SEALGATE_API enum sealgate_code
sealgate_health_watch_start(struct sealgate_client *client, const char *service,
                            uint32_t timeout_ms, const struct sealgate_watch_events *events,
                            void *user, struct sealgate_call **ret, struct sealgate_error *error);

#ifdef __cplusplus
}
#endif

#endif
