#ifndef SG_TESTS_INTEGRATION_HSM_RIG_H
#define SG_TESTS_INTEGRATION_HSM_RIG_H

#include <openssl/evp.h>
#include <sys/types.h>

#include "hsm/hsm.h"
#include "hsm/token.h"
#include "tests/support/unit.h"

/*
 * A SoftHSM token in a temporary folder with keys made on it, a real token process over it, and
 * engines (the gateway's side) in this process. Failures of the rig itself fail the test.
 */
enum { RIG_KEYS_MAX = 8, RIG_JOBS_MAX = 4096 };

struct rig {
    char dir[64];
    char module[256]; /* SoftHSM's */
    char socket[96], state_dir[96], pin_file[96];
    char control[96]; /* of the fault rig */
    size_t key_count;
    struct rig_key {
        char name[32];
        enum sg_key_type type;
        uint8_t id[16];
    } keys[RIG_KEYS_MAX];
    pid_t token;
};

/* Makes the token and one key for each spec "NAME:TYPE". */
void rig_make(struct rig *rig, const char *const *specs, size_t count);
/* Kills the token process if there is one, removes the folder. */
void rig_remove(struct rig *rig);

struct rig_token {
    size_t workers;     /* 0: two */
    bool is_faulty;     /* through the fault rig's module */
    bool is_supervised; /* started anew when it ends by itself or is killed */
};
void rig_token_start(struct rig *rig, const struct rig_token *how);
/* Sends the signal, waits for the end, returns the wait status. */
int rig_token_end(struct rig *rig, int signal);
/* Waits for it to end by itself; -1 when it does not within `ms`. */
int rig_token_wait(struct rig *rig, int ms);

/* The gateway's side, with what came back. */
struct rig_engine {
    struct rig *rig;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    size_t done_count, signed_count;
    struct rig_done {
        struct sg_hsm_job *job; /* as handed back; freed with the engine */
        size_t times;           /* how often it came back */
    } done[RIG_JOBS_MAX];       /* by tag */
    int64_t last_signed_ns;
    struct sg_err token_err; /* of the token's last change */
    bool has_csr;
    struct sg_err csr_err;
    size_t csr_len;
    uint8_t csr[8192];
};

struct rig_limits {
    size_t queue_max; /* 0: 1024 */
    int64_t hang_ms;  /* 0: 5000 */
};
void rig_engine_start(struct rig_engine *engine, struct rig *rig, const struct rig_limits *limits);
/* The same with somebody else's done callback, whose argument is the engine. */
void rig_engine_start_with(struct rig_engine *engine, struct rig *rig,
                           const struct rig_limits *limits,
                           void (*done)(void *arg, struct sg_hsm_job *job));
void rig_engine_end(struct rig_engine *engine);

/* Submits a job with the tag; `timeout_ms` 0: no deadline. What submit says. */
enum sg_rc rig_submit(struct rig_engine *engine, uint64_t tag, size_t key, enum sg_scheme scheme,
                      enum sg_digest_alg digest_alg, int64_t timeout_ms, struct sg_err *err);
/* Turns the loop until `count` jobs have come back; fails after `ms`. */
void rig_run(struct rig_engine *engine, size_t count, int ms);
/* Turns the loop for so long. */
void rig_pass(struct rig_engine *engine, int ms);
/* Until the token is in that state; fails after `ms`. */
void rig_await(struct rig_engine *engine, enum sg_hsm_token_state state, int ms);
/* Until all keys are READY. */
void rig_await_keys(struct rig_engine *engine, int ms);

/* Whether the job's signature is right, by OpenSSL and the public key the token told. */
bool rig_verifies(struct rig_engine *engine, const struct sg_hsm_job *job);
/* The bytes job `tag` signs: a digest of the tag, or for Ed25519 4 KiB. */
size_t rig_tbs(uint64_t tag, enum sg_digest_alg digest_alg, uint8_t *out);

/* Tells the fault rig's module which module it stands before; rig_token_start() does so too. */
void rig_fault_env(struct rig *rig, char *module, size_t max);
/* The fault rig's control program: rig_fault(&rig, "lat", "Sign", "2000", NULL). */
void rig_fault(struct rig *rig, ...) __attribute__((sentinel));

int64_t rig_now_ns(void);

#endif
