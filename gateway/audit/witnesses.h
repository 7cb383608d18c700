#ifndef SG_GATEWAY_AUDIT_WITNESSES_H
#define SG_GATEWAY_AUDIT_WITNESSES_H

#include "formats/audit/witness.h"
#include "gateway/fetch/fetch.h"

/*
 * The witnesses of our log: what it promised is sent to each of them, with the proof that it grew,
 * and what they sign is added to the stored checkpoint. A witness that has seen another log than
 * this is how a store is found out that was put back together with its anchor.
 *
 * A thread of its own, with a connection of its own to the store: nothing that signs waits for it,
 * and a witness that is away, or whose address is not found, costs nothing but its signatures.
 *
 * Thread: one at a time, but for what says otherwise.
 */
struct sg_witnesses;

/* What is known of a witness. */
enum sg_witness_state {
    SG_WITNESS_UNHEARD = 0,
    SG_WITNESS_CURRENT, /* it cosigned what it was sent last */
    SG_WITNESS_AWAY,    /* no answer, or none that can be used; tried again, less and less often */
    SG_WITNESS_REFUSES, /* it does not know our log or its key */
    SG_WITNESS_DENIES,  /* it has cosigned another log under our name than we have: the alarm */
    SG_WITNESS_STATES,
};

struct sg_witness_peer {
    const char *name;
    const char *key; /* NAME+ID+BASE64, of a witness */
    struct sg_fetch fetch;
};

/* Told whenever a witness changes its state, and each time that it denies. */
struct sg_witness_news {
    const char *name;
    enum sg_witness_state state;
    uint64_t size;            /* of what it was sent */
    const struct sg_err *err; /* why; NULL with CURRENT */
};

struct sg_witnesses_options {
    const struct sg_clock *clock;
    const char *store;             /* URL, as of gateway/store */
    const char *log;               /* its name */
    const struct sg_note_key *key; /* the log's; outlives this */
    const char *cosigned_file;     /* keeps the newest checkpoint that any has cosigned; or NULL */
    const struct sg_witness_peer *peers; /* what they point to outlives this */
    size_t peer_count;
    int64_t interval_ns;
    /* On the thread of sg_witnesses_check() and then on our own. */
    void (*told)(void *arg, const struct sg_witness_news *news);
    void *arg;
};

/* Errors: the store's; SG_E_INVALID, a witness's key cannot be read. */
SG_MUST_USE enum sg_rc sg_witnesses_new(const struct sg_witnesses_options *options,
                                        struct sg_witnesses **ret, struct sg_err *err);
/* Ends the thread, at once but for an address that is being looked for. */
void sg_witnesses_free(struct sg_witnesses *witnesses);
SG_DEFINE_AUTO(struct sg_witnesses, sg_witnesses_free);

/*
 * Sends the log to each witness once, before anything is signed. Blocks, for some seconds at most
 * but for finding their addresses (gateway/fetch/fetch.h); nobody is served yet.
 *
 * Errors: SG_E_CONFLICT STORE_ROLLED_BACK, a witness denies; SG_E_UNAVAILABLE, with `is_required`:
 * one did not cosign.
 */
SG_MUST_USE enum sg_rc sg_witnesses_check(struct sg_witnesses *witnesses, bool is_required,
                                          struct sg_err *err);
/* From here on the thread has it. */
SG_MUST_USE enum sg_rc sg_witnesses_start(struct sg_witnesses *witnesses, struct sg_err *err);

struct sg_witness_stats {
    enum sg_witness_state state;
    uint64_t size;     /* that it cosigned last; 0: none yet, since our start */
    int64_t time_s;    /* when, in seconds since 1970; 0: never */
    uint64_t failures; /* answers that were no cosignature, or did not come */
};
/* Of the witness with this place in the options. Thread: any. */
void sg_witnesses_stats(const struct sg_witnesses *witnesses, size_t peer,
                        struct sg_witness_stats *ret);

#endif
