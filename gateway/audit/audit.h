#ifndef SG_GATEWAY_AUDIT_AUDIT_H
#define SG_GATEWAY_AUDIT_AUDIT_H

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/queue.h"
#include "formats/audit/record.h"
#include "formats/seal/seal.h"
#include "gateway/audit/receipt.h"

/*
 * This gateway's audit log: records in, receipts out, nothing in between that is not durable.
 *
 * One thread writes. It commits at once when it is idle, and what arrives while it waits for the
 * disk is the next group: one caller pays one fsync, many share it. Where many are on their way a
 * group waits for them a little (sg_audit_expect). Another thread reads, for those who ask. Neither
 * ever touches what belongs to the loop.
 *
 * Thread: loop.
 */
struct sg_audit;

struct sg_audit_options {
    struct sg_loop *loop;
    const struct sg_clock *clock;
    const char *store;       /* URL, as of gateway/store */
    const char *log;         /* name */
    const char *key_file;    /* the log's private key */
    const char *anchor_file; /* NULL: none, in tests and benchmarks */
    size_t waiting_max;      /* entries that are not done */
    uint64_t room_bytes_min; /* with less on the disk nothing is signed any more */
    bool clock_sync_required;
};

/*
 * Opens the log and proves what can be proved at once: that the store's tree is what the newest
 * checkpoint says, that the log's key signed it, and that what the anchor remembers is part of it.
 * Blocks.
 *
 * Errors: those of gateway/store; SG_E_CONFLICT AUDIT_NOT_INITIALISED, STORE_ROLLED_BACK;
 * SG_E_INTERNAL STORE_BROKEN.
 */
SG_MUST_USE enum sg_rc sg_audit_open(const struct sg_audit_options *options, struct sg_audit **ret,
                                     struct sg_err *err);
/* Waits for what was submitted; the `done` of all of it is called. */
void sg_audit_close(struct sg_audit *audit);
SG_DEFINE_AUTO(struct sg_audit, sg_audit_close);

/* What became of an entry. Zero: it is not in the log as far as we know. */
enum sg_audit_outcome { SG_AUDIT_FAILED = 0, SG_AUDIT_WRITTEN, SG_AUDIT_TAKEN };

/* One record on its way. Belongs to the log from submit until `done`, which is called on the loop
 * exactly once. */
struct sg_audit_entry {
    void (*done)(struct sg_audit_entry *entry);
    /* All zero: none. Whoever comes second with it is TAKEN, and gets the first one's receipt. */
    uint8_t request_key[SG_STORE_REQUEST_KEY_BYTES];
    enum sg_key_type key_type; /* with which it was expected, if it was */

    enum sg_audit_outcome outcome;
    struct sg_err err; /* of FAILED */
    int64_t retry_ms;
    struct sg_audit_receipt receipt; /* of the others */

    /* Private. */
    int64_t time_ns;
    struct sg_buf bytes;
    struct sg_queue_node node;
};

/* The record is encoded here. Errors: SG_E_LIMIT QUEUE_FULL or no memory, and `done` will not come.
 */
SG_MUST_USE enum sg_rc sg_audit_submit(struct sg_audit *audit, const struct sg_audit_record *record,
                                       struct sg_audit_entry *entry, struct sg_err *err);
/*
 * A record is on its way: a signature is being made, and will be submitted, or sg_audit_expect_none
 * says that it will not be. As long as more are on their way than wait to be written (of many: than
 * a third of that), what waits is held back, for some times as long as a commit takes and for 10 ms
 * at most: a commit costs the processor as much as several signatures, and whoever has so many
 * others before him does not notice. One caller alone, and the last of many, never wait.
 *
 * Counted are those by keys of one type, for they are made at one pace: what is made fast is not
 * held back for a flood of what is slow.
 */
void sg_audit_expect(struct sg_audit *audit, enum sg_key_type type);
/* One fewer; before its record is submitted, where there is one. */
void sg_audit_expect_none(struct sg_audit *audit, enum sg_key_type type);
/* Frees what a finished entry keeps. */
void sg_audit_entry_done(struct sg_audit_entry *entry);

/* Whether a signature that is made now could be recorded: the last commit worked, the gateway's
 * beginning is recorded or about to be, there is room, and the clock is not behind what was
 * recorded. `ret_retry_ms` is set where there is advice. Errors: SG_E_UNAVAILABLE
 * STORE_UNAVAILABLE, STORE_FULL; SG_E_CONFLICT CLOCK_OUT_OF_ACCURACY. */
SG_MUST_USE enum sg_rc sg_audit_is_ready(struct sg_audit *audit, int64_t *ret_retry_ms,
                                         struct sg_err *err);

/* The same for balancers. A commit that failed counts for longer, or they would be told another
 * thing each second while nobody signs; then somebody is let try. */
bool sg_audit_is_well(struct sg_audit *audit);

/*
 * Records that this gateway begins to write to the log; `detail` says what it is, for people, and
 * is copied. Called once, before anything is submitted: what follows stands behind it. Does not
 * fail: when the record cannot be written, nothing is ready until it can, which is tried once a
 * second.
 */
void sg_audit_begin(struct sg_audit *audit, struct sg_slice detail);

/* Asking ----------------------------------------------------------------------------------- */

/* What the reading thread works with. */
struct sg_audit_reader {
    struct sg_store *store;
    const struct sg_store_log *log; /* ours; its size is that of the last look */
    struct sg_log_tree *tree;       /* of ours */
};

/* A question: `run` on the reading thread, then `done` on the loop, once. */
struct sg_audit_task {
    void (*run)(struct sg_audit_task *task, struct sg_audit_reader *reader);
    void (*done)(struct sg_audit_task *task);
    struct sg_queue_node node; /* private */
};
/* Errors: SG_E_LIMIT QUEUE_FULL. */
SG_MUST_USE enum sg_rc sg_audit_ask(struct sg_audit *audit, struct sg_audit_task *task,
                                    struct sg_err *err);

/* `grown` is called whenever this gateway has written to the log, once for all that came together,
 * after their `done`. One may listen; NULL: nobody does. What others write, as a gateway that is
 * taken over from, is not told. */
void sg_audit_listen(struct sg_audit *audit, void (*grown)(void *arg), void *arg);

/* Who the log is. */
const char *sg_audit_log_name(const struct sg_audit *audit);
const char *sg_audit_origin(const struct sg_audit *audit);
const struct sg_note_key *sg_audit_key(const struct sg_audit *audit);

/* What seals the page tokens of the store's listings. Thread: any. */
const struct sg_seal *sg_audit_page_seal(const struct sg_audit *audit);

struct sg_audit_stats {
    uint64_t leaves, commits, failures; /* of this gateway, since its start */
    uint64_t size;                      /* of the log */
    uint64_t room_bytes;
    size_t waiting;
};
void sg_audit_stats(const struct sg_audit *audit, struct sg_audit_stats *ret);

#endif
