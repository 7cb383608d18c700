#ifndef SG_TESTS_INTEGRATION_GATEWAY_RIG_H
#define SG_TESTS_INTEGRATION_GATEWAY_RIG_H

#include <openssl/evp.h>

#include "gateway/net/net.h"
#include "gateway/rpc/rpc.h"
#include "proto/grpc/client.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/support/fake_token.h"
#include "tests/support/pki.h"
#include "tests/support/unit.h"
#include "tests/unit/gateway/audit/folder.h"

/*
 * A gateway in the test's own process: gateway/net, gateway/rpc and gateway/service as they are,
 * on a loopback socket. In place of the token stands an engine that keeps every job until the
 * test gives it back. Time is the test's too: wait() moves it.
 *
 * Keys: alpha (P-256), edward (Ed25519) and ron (RSA-2048) on token t1; beta (P-256) on t2.
 */
enum rig_key { ALPHA = 0, BETA, EDWARD, RON, RIG_KEY_COUNT };

/* Who calls. A may use every method, and alpha, edward and ron; B only Sign, and beta. */
enum rig_caller { A = 0, B, STRANGER, NOBODY, EXPIRING, RIG_CALLER_COUNT };

enum { RIG_JOBS_MAX = 4096 };

struct rig_clock {
    struct sg_clock clock;    /* first */
    _Atomic int64_t ahead_ns; /* the audit log's threads look too */
};

struct rig_options {
    /* 0: the configuration's default */
    int64_t stream_items_max, batch_items_max, connection_jobs_max;
    size_t connections_max, connections_per_source_max;
    bool reflection;
    size_t many_keys; /* so many more, visible to A: "many-0000", ... */
    bool has_audit;   /* a log over a real store; else nothing is recorded */
    int64_t audit_watchers_max;
    /* The engine runs, and rig.token, which has t1's keys, is at its other end. */
    bool has_token;
};

struct rig {
    struct rig_clock clock;
    struct sg_pki *pki;
    const struct sg_pki_id *ca, *server_id, *ids[RIG_CALLER_COUNT];
    struct sg_tls_trust *trust;
    struct sg_config config;
    struct sg_config_key *config_keys;
    struct sg_config_token config_tokens[2];
    const char **key_names;
    struct sg_loop *loop;
    struct sg_authz *authz;
    struct sg_hsm *hsm; /* knows the keys, and never signs; started when there is a token */
    struct sg_keys *keys;
    struct sg_crypto *crypto;
    struct sg_signer *signer;
    struct folder folder; /* of the log */
    char drained_file[96];
    struct sg_audit *audit;
    struct sg_signings *signings;
    struct sg_rpc *rpc;
    struct sg_net *net;
    char endpoint[32];
    struct rig_client *clients;

    /* The engine. */
    struct fake_token token;
    bool has_token;
    EVP_PKEY *pkeys[RIG_KEY_COUNT];
    struct sg_hsm_job *jobs[RIG_JOBS_MAX]; /* under way, oldest first */
    size_t job_count, jobs_max;            /* jobs_max: refused from there on */
    enum sg_reason refusal;                /* unset: QUEUE_FULL */
    size_t submitted, bad_reports;
    bool is_quick; /* gives every job back, well signed, in the next turn */
    struct sg_hook hook;

    size_t errors; /* calls that ended with one, as the log is told */
};

void rig_start(struct rig *rig, const struct rig_options *options);
/* Every operation must have ended; leaks are the sanitizer's to find. */
void rig_stop(struct rig *rig);
/* The end as gateway/app.c makes it, with whatever is under way. */
void rig_stop_now(struct rig *rig);

/* One turn of the loop and of every client. */
void rig_turn(struct rig *rig);
/* Turns until nothing moves any more. */
void rig_settle(struct rig *rig);
/* Moves time, and then as above. */
void rig_wait(struct rig *rig, int64_t ns);
/* Turns until `condition`, at most half a minute of real time. */
#define RIG_UNTIL(rig, condition)                                                                  \
    do {                                                                                           \
        int64_t until_ns_ = sg_mono_ns(&sg_clock_system) + 30 * SG_NS_PER_S;                       \
        while (!(condition)) {                                                                     \
            assert_true(sg_mono_ns(&sg_clock_system) < until_ns_);                                 \
            rig_turn(rig);                                                                         \
        }                                                                                          \
    } while (0)

/* The CAs and their CRL that count from now on; NULL: no CRL. */
void rig_set_crl(struct rig *rig, const char *crl_file);

/* The engine: what becomes of the job that waits longest, or of all of them. */
enum rig_fate { WELL = 0, BADLY, WITH_TOKEN_LOST, WITH_UNUSABLE, SHORT };
void rig_job(struct rig *rig, size_t index, enum rig_fate fate);
void rig_jobs(struct rig *rig, enum rig_fate fate);
/* engine.c's pair, and its clean-up */
enum sg_rc rig_engine_submit(void *arg, struct sg_hsm_job *job, struct sg_err *err);
/* As if its one token had told. */
void rig_set_key(struct rig *rig, size_t key, enum sg_hsm_key_state state);
enum sg_rc rig_engine_report_bad(void *arg, struct sg_hsm_job *job, struct sg_err *err);
void rig_engine_on_hook(void *arg);
void rig_engine_drop(struct rig *rig);

/* A connection of a client, driven by rig_turn(). */
struct rig_client {
    struct rig *rig;
    struct rig_client *next;
    int fd;
    struct sg_tls_ctx *ctx;
    struct sg_tls_conn *tls;
    struct sg_rpc_client *rpc;
    bool does_not_read;
    bool is_over;  /* the server has closed, or what it sent was wrong */
    bool was_told; /* it said close_notify before */
    size_t received;
};

struct rig_client *rig_connect(struct rig *rig, enum rig_caller caller);
/* Only the TCP connection. */
struct rig_client *rig_connect_raw(struct rig *rig);
/* Vanishes without a word when not `says_so`. */
void rig_disconnect(struct rig_client *client, bool says_so);
bool rig_client_is_ready(const struct rig_client *client);
void rig_client_turn(struct rig_client *client);

/* A call and everything that came of it. */
struct rig_call {
    struct rig_client *client;
    struct sg_rpc_client_call *call;
    struct sg_buf body; /* of all messages, one behind the other */
    size_t message_ends[RIG_JOBS_MAX];
    size_t message_count;
    unsigned done;
    enum sg_grpc_code code;
    enum sg_rpc_outcome outcome;
    struct sg_buf message, details;
    char reason[64], request_id[64], field[64];
    bool has_retry, has_receipt;
    unsigned bad_details; /* what breaks the promise of exactly one ErrorInfo */
};

/* timeout_ns 0: none. */
struct rig_call *rig_begin(struct rig_client *client, const char *path, int64_t timeout_ns);
void rig_send(struct rig_call *call, const ProtobufCMessage *message, bool is_last);
void rig_send_bytes(struct rig_call *call, struct sg_slice bytes, bool is_last);
struct rig_call *rig_ask(struct rig_client *client, const char *path,
                         const ProtobufCMessage *message);
/* Asks and waits for the end. */
struct rig_call *rig_get(struct rig_client *client, const char *path,
                         const ProtobufCMessage *message);
/* The n-th message, unpacked; free with protobuf_c_message_free_unpacked(, NULL). */
void *rig_message(const struct rig_call *call, size_t n, const ProtobufCMessageDescriptor *type);
void rig_call_free(struct rig_call *call);

/* A SignRequest that is in order, to be spoilt: a digest, or for "keys/edward" a message. */
struct rig_sign {
    Sealgate__V1__SignRequest request;
    Sealgate__V1__Digest digest;
    char key[128];
    uint8_t bytes[64];
};
void rig_sign_init(struct rig_sign *sign, const char *key);
/* Whether the response's signature is right for the request; aborts when it says it is not. */
void rig_sign_check(struct rig *rig, enum rig_key key, const struct rig_sign *sign,
                    const Sealgate__V1__SignResponse *response);

#define SIGN "/sealgate.v1.SigningService/Sign"
#define BATCH_SIGN "/sealgate.v1.SigningService/BatchSign"
#define SIGN_STREAM "/sealgate.v1.SigningService/SignStream"
#define VERIFY "/sealgate.v1.VerificationService/Verify"
#define LIST_KEYS "/sealgate.v1.KeyService/ListKeys"
#define GET_KEY "/sealgate.v1.KeyService/GetKey"
#define GET_PUBLIC_KEY "/sealgate.v1.KeyService/GetPublicKey"
#define CREATE_CSR "/sealgate.v1.KeyService/CreateCsr"
#define GET_SERVER_INFO "/sealgate.v1.InfoService/GetServerInfo"
#define GET_CAPACITY "/sealgate.v1.InfoService/GetCapacity"
#define WATCH_LEAVES "/sealgate.v1.AuditService/WatchLeaves"
#define HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define HEALTH_WATCH "/grpc.health.v1.Health/Watch"
#define REFLECTION "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

#endif
