#include "gateway/service/signing.h"

#include <stdlib.h>

#include "gateway/service/denials.h"

enum {
    BUCKETS = 4096,
    FRESH_MS = 2000, /* an id this young is hardly in the log */
};

_Static_assert((int)SG_REQUEST_KEY_BYTES == (int)SG_STORE_REQUEST_KEY_BYTES,
               "what is looked up is what was written");

struct sg_signings {
    struct sg_signing_options options;
    struct sg_denials *denials;
    bool is_stopping;
    size_t pending;
    struct sg_signing *buckets[BUCKETS]; /* the first with each id */
};

/* What is kept for the record, from the start on; and the record's way into the log. */
struct sg_evidence {
    struct sg_signing *signing;
    struct sg_audit_entry entry;
    struct sg_audit_record *record;
    struct sg_audit_record told; /* of a replayed one, in the receipt's bytes */

    /* With an id. */
    bool has_id;
    struct sg_request_id id;
    struct sg_audit_task lookup;
    enum sg_rc lookup_rc;
    struct sg_err lookup_err;
    struct sg_sign_request request; /* of whoever waits; its content is the bytes below */
    uint8_t content[];
};

enum sg_rc sg_signings_new(const struct sg_signing_options *options, struct sg_signings **ret,
                           struct sg_err *err)
{
    SG_AUTO(sg_signings_free) struct sg_signings *signings = calloc(1, sizeof(*signings));
    if (signings == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the signings");
    signings->options = *options;
    SG_TRY(sg_denials_new(&signings->denials, err));
    *ret = SG_STEAL(signings);
    return SG_OK;
}

void sg_signings_free(struct sg_signings *signings)
{
    if (signings == NULL)
        return;
    SG_ASSERT(signings->pending == 0);
    sg_denials_free(signings->denials);
    free(signings);
}

void sg_signings_stop(struct sg_signings *signings)
{
    if (signings != NULL)
        signings->is_stopping = true;
}

size_t sg_signings_pending(const struct sg_signings *signings)
{
    return signings->pending;
}

/* Who is under way -------------------------------------------------------------------------- */

static struct sg_signing **bucket_of(struct sg_signings *signings, const struct sg_request_id *id)
{
    /* The last bytes are of a hash whatever the id looks like. */
    const uint8_t *tail = id->key + SG_REQUEST_KEY_BYTES - 4;
    return &signings->buckets[sg_be32(tail) % BUCKETS];
}

static struct sg_signing *find_first(struct sg_signings *signings, const struct sg_request_id *id)
{
    struct sg_signing *signing = *bucket_of(signings, id);
    while (signing != NULL && memcmp(signing->evidence->id.key, id->key, sizeof(id->key)) != 0)
        signing = signing->bucket_next;
    return signing;
}

static void link_first(struct sg_signing *signing)
{
    struct sg_signing **bucket = bucket_of(signing->signings, &signing->evidence->id);

    signing->bucket_next = *bucket;
    signing->bucket_link = bucket;
    if (*bucket != NULL)
        (*bucket)->bucket_link = &signing->bucket_next;
    *bucket = signing;
}

static void unlink_first(struct sg_signing *signing)
{
    if (signing->bucket_link == NULL)
        return;
    *signing->bucket_link = signing->bucket_next;
    if (signing->bucket_next != NULL)
        signing->bucket_next->bucket_link = signing->bucket_link;
    signing->bucket_link = NULL;
    signing->bucket_next = NULL;
}

/* The end ---------------------------------------------------------------------------------- */

static enum sg_rc look_up(struct sg_signing *signing, struct sg_err *err);

static void fail_signing(struct sg_signing *signing, const struct sg_err *err, int64_t retry_ms)
{
    signing->is_signed = false;
    signing->err = *err;
    signing->retry_ms = retry_ms;
}

/* What the log has under this id is the answer, if it was asked for the same. */
static enum sg_rc replay(struct sg_signing *signing, const struct sg_audit_receipt *receipt,
                         struct sg_err *err)
{
    struct sg_evidence *evidence = signing->evidence;
    struct sg_audit_record *told = &evidence->told;

    SG_TRY(sg_audit_record_parse(sg_buf_slice(&receipt->record), told, err));
    if (told->event != SG_AUDIT_SIGNATURE ||
        !sg_slice_eq(told->request_sha256, evidence->record->request_sha256))
        return SG_REFUSE(err, SG_R_REQUEST_ID_REUSED,
                         "request_id belongs to a request that asked for something else");
    signing->is_signed = true;
    signing->is_replayed = true;
    signing->receipt = receipt;
    signing->key_version = told->key_version;
    signing->op.scheme = told->scheme;
    signing->op.digest_alg = told->digest_alg;
    signing->op.encoding = told->encoding;
    signing->op.sign_wall_ns = told->time_ns;
    signing->op.signature = told->signature;
    signing->op.queue_ns = signing->op.hsm_ns = 0;
    return SG_OK;
}

/* A waiter gets a copy of what the first got. */
static void replay_copy(struct sg_signing *waiter, const struct sg_audit_receipt *receipt)
{
    struct sg_audit_receipt *own = &waiter->evidence->entry.receipt;
    struct sg_err err = {0};

    enum sg_rc rc = sg_audit_receipt_copy(receipt, own, &err);
    if (rc == SG_OK)
        rc = replay(waiter, own, &err);
    if (rc != SG_OK)
        fail_signing(waiter, &err, 0);
}

static void tell(struct sg_signing *signing)
{
    signing->signings->pending--;
    signing->done(signing->arg, signing);
}

/* Of a success those who wait get a copy. */
static void tell_waiters(struct sg_signing *signing)
{
    struct sg_signing *waiter = signing->waiters, *next;

    signing->waiters = NULL;
    for (; waiter != NULL; waiter = next) {
        next = waiter->bucket_next;
        replay_copy(waiter, signing->receipt);
        tell(waiter);
    }
}

/* After a failure the next of those who wait is the first with its id. What came before it may be
 * in the log after all, so it looks there. */
static struct sg_signing *promote(struct sg_signing *signing)
{
    struct sg_signing *waiter = signing->waiters;

    signing->waiters = NULL;
    if (waiter != NULL) {
        waiter->waiters = waiter->bucket_next;
        waiter->bucket_next = NULL;
        link_first(waiter);
    }
    return waiter;
}

/* The last step of every operation. */
static void finish(struct sg_signing *signing)
{
    struct sg_err err;

    unlink_first(signing);
    if (signing->is_signed)
        tell_waiters(signing);
    for (struct sg_signing *next = promote(signing); next != NULL; next = promote(signing)) {
        tell(signing);
        if (look_up(next, &err) == SG_OK)
            return;
        fail_signing(next, &err, 0);
        unlink_first(next);
        signing = next;
    }
    tell(signing);
}

static void finish_failed(struct sg_signing *signing, const struct sg_err *err, int64_t retry_ms)
{
    fail_signing(signing, err, retry_ms);
    finish(signing);
}

/* Recording -------------------------------------------------------------------------------- */

static void on_recorded(struct sg_audit_entry *entry)
{
    struct sg_evidence *evidence = SG_CONTAINER(entry, struct sg_evidence, entry);
    struct sg_signing *signing = evidence->signing;
    struct sg_err err = entry->err;

    if (entry->outcome == SG_AUDIT_WRITTEN) {
        signing->is_signed = true;
        signing->receipt = &entry->receipt;
        signing->key_version = evidence->record->key_version;
    } else if (entry->outcome == SG_AUDIT_FAILED ||
               replay(signing, &entry->receipt, &err) != SG_OK) {
        fail_signing(signing, &err, entry->retry_ms);
    }
    finish(signing);
}

static void on_signed(void *arg, struct sg_sign_op *op)
{
    struct sg_signing *signing = arg;
    struct sg_evidence *evidence = signing->evidence;
    struct sg_err err;

    if (evidence != NULL)
        sg_audit_expect_none(signing->signings->options.audit, evidence->entry.key_type);
    if (!op->is_signed) {
        finish_failed(signing, &op->err, op->retry_ms);
        return;
    }
    if (evidence == NULL) {
        signing->is_signed = true;
        finish(signing);
        return;
    }
    evidence->record->time_ns = op->sign_wall_ns;
    evidence->record->signature = op->signature;
    if (op->key->tokens != NULL) /* of several it may be another than was expected */
        evidence->record->token = sg_slice_str(op->key->tokens[op->token].name);
    evidence->entry.done = on_recorded;
    if (sg_audit_submit(signing->signings->options.audit, evidence->record, &evidence->entry,
                        &err) != SG_OK)
        finish_failed(signing, &err, 0);
}

/* The beginning ---------------------------------------------------------------------------- */

static enum sg_rc sign(struct sg_signing *signing, const struct sg_sign_request *request,
                       struct sg_err *err)
{
    signing->op.done = on_signed;
    signing->op.arg = signing;
    if (signing->evidence != NULL)
        sg_audit_expect(signing->signings->options.audit, signing->evidence->entry.key_type);
    enum sg_rc rc = sg_sign_start(signing->signings->options.signer, request, &signing->op, err);
    if (rc != SG_OK && signing->evidence != NULL)
        sg_audit_expect_none(signing->signings->options.audit, signing->evidence->entry.key_type);
    signing->retry_ms = signing->op.retry_ms;
    return rc;
}

static void sign_or_fail(struct sg_signing *signing)
{
    struct sg_err err;
    if (signing->signings->is_stopping) {
        SG_REFUSE(&err, SG_R_DRAINING, "this instance is shutting down");
        finish_failed(signing, &err, 0);
    } else if (sign(signing, &signing->evidence->request, &err) != SG_OK)
        finish_failed(signing, &err, signing->retry_ms);
}

static void lookup_run(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct sg_evidence *evidence = SG_CONTAINER(task, struct sg_evidence, lookup);
    uint64_t log_id = 0, seq = 0;

    evidence->lookup_rc = sg_store_find_request(reader->store, evidence->id.key, &log_id, &seq,
                                                &evidence->lookup_err);
    if (evidence->lookup_rc != SG_OK)
        return;
    evidence->lookup_rc =
        sg_audit_receipt_read(reader->store, reader->tree, reader->log, log_id, seq,
                              &evidence->entry.receipt, &evidence->lookup_err);
    /* The key is there and the leaf is not: it is in an archive. */
    if (evidence->lookup_rc == SG_E_NOT_FOUND)
        evidence->lookup_rc = SG_REFUSE(&evidence->lookup_err, SG_R_REQUEST_ID_EXPIRED,
                                        "what this request_id asked for is in the archive");
}

static void lookup_done(struct sg_audit_task *task)
{
    struct sg_evidence *evidence = SG_CONTAINER(task, struct sg_evidence, lookup);
    struct sg_signing *signing = evidence->signing;
    struct sg_err err = evidence->lookup_err;

    if (evidence->lookup_rc == SG_E_NOT_FOUND) {
        sign_or_fail(signing);
        return;
    }
    if (evidence->lookup_rc != SG_OK || replay(signing, &evidence->entry.receipt, &err) != SG_OK)
        fail_signing(signing, &err, 0);
    finish(signing);
}

/* Whether the id may be in the log: an id that was made just now was hardly used before. Being
 * wrong costs a signature that nobody sees. */
static bool may_be_known(const struct sg_signings *signings, const struct sg_request_id *id)
{
    const int64_t age_ms = sg_wall_ns(signings->options.clock) / SG_NS_PER_MS - id->made_ms;
    return id->made_ms == 0 || age_ms > FRESH_MS || age_ms < -FRESH_MS;
}

static enum sg_rc look_up(struct sg_signing *signing, struct sg_err *err)
{
    struct sg_evidence *evidence = signing->evidence;
    if (signing->signings->is_stopping)
        return SG_REFUSE(err, SG_R_DRAINING, "this instance is shutting down");
    evidence->lookup = (struct sg_audit_task){.run = lookup_run, .done = lookup_done};
    return sg_audit_ask(signing->signings->options.audit, &evidence->lookup, err);
}

/* Begins what was checked. */
static enum sg_rc begin(struct sg_signing *signing, const struct sg_sign_request *request,
                        struct sg_err *err)
{
    struct sg_evidence *evidence = signing->evidence;

    if (evidence == NULL || !evidence->has_id)
        return sign(signing, request, err);
    struct sg_signing *first = find_first(signing->signings, &evidence->id);
    if (first != NULL) {
        signing->bucket_next = first->waiters;
        first->waiters = signing;
        return SG_OK;
    }
    link_first(signing);
    enum sg_rc rc = may_be_known(signing->signings, &evidence->id) ? look_up(signing, err)
                                                                   : sign(signing, request, err);
    if (rc != SG_OK)
        unlink_first(signing);
    return rc;
}

/* What the record says of what is signed, as it was checked. */
static void describe(struct sg_evidence *evidence, const struct sg_sign_op *op)
{
    struct sg_audit_record *record = evidence->record;

    record->event = SG_AUDIT_SIGNATURE;
    record->key_version = sg_slice_str(op->key->version_name);
    record->scheme = op->scheme;
    record->encoding = op->encoding;
    record->digest_alg = op->digest_alg;
}

static struct sg_evidence *evidence_new(struct sg_signing *signing, struct sg_slice content)
{
    struct sg_evidence *evidence = malloc(sizeof(*evidence) + content.len);
    if (evidence == NULL)
        return NULL;
    memset(evidence, 0, offsetof(struct sg_evidence, content));
    evidence->signing = signing;
    if (content.len > 0)
        memcpy(evidence->content, content.ptr, content.len);
    return evidence;
}

static enum sg_rc collect(struct sg_signing *signing, const struct sg_sign_request *request,
                          const struct sg_audit_record *record, const struct sg_request_id *id,
                          struct sg_err *err)
{
    struct sg_evidence *evidence = evidence_new(signing, request->content);
    if (evidence == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory to record a signature");
    signing->evidence = evidence;
    evidence->entry.key_type = signing->op.key->type;
    evidence->record = sg_audit_record_copy(record);
    if (evidence->record == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory to record a signature");
    describe(evidence, &signing->op);
    if (id == NULL)
        return SG_OK;
    evidence->has_id = true;
    evidence->id = *id;
    memcpy(evidence->entry.request_key, id->key, sizeof(id->key));
    evidence->request = *request;
    evidence->request.content = sg_slice_of(evidence->content, request->content.len);
    evidence->request.tally = NULL; /* which may be gone by then */
    return SG_OK;
}

static enum sg_rc check(struct sg_signings *signings, const struct sg_sign_request *request,
                        const struct sg_audit_record *record, const struct sg_request_id *id,
                        struct sg_signing *signing, struct sg_err *err)
{
    SG_TRY(sg_sign_check(request, &signing->op, err));
    if (signings->options.audit == NULL)
        return SG_OK;
    SG_TRY(sg_audit_is_ready(signings->options.audit, &signing->retry_ms, err));
    if (id != NULL)
        SG_TRY(sg_request_id_check_age(id, sg_wall_ns(signings->options.clock),
                                       signings->options.retention_s, err));
    return collect(signing, request, record, id, err);
}

static void clear(struct sg_signings *signings, struct sg_signing *signing)
{
    signing->signings = signings;
    signing->is_signed = signing->is_replayed = false;
    signing->retry_ms = 0;
    signing->receipt = NULL;
    signing->key_version = (struct sg_slice){0};
    signing->evidence = NULL;
    signing->bucket_next = signing->waiters = NULL;
    signing->bucket_link = NULL;
    signing->op.job = NULL;
    signing->op.signature = (struct sg_slice){0};
}

enum sg_rc sg_signing_start(struct sg_signings *signings, const struct sg_sign_request *request,
                            const struct sg_audit_record *record, const struct sg_request_id *id,
                            struct sg_signing *signing, struct sg_err *err)
{
    clear(signings, signing);
    enum sg_rc rc = check(signings, request, record, id, signing, err);
    if (rc == SG_OK) {
        signings->pending++;
        rc = begin(signing, request, err);
        if (rc == SG_OK)
            return SG_OK;
        signings->pending--;
    }
    sg_signing_done(signing);
    return rc;
}

void sg_signing_done(struct sg_signing *signing)
{
    struct sg_evidence *evidence = signing->evidence;

    sg_sign_op_done(&signing->op);
    signing->evidence = NULL;
    signing->receipt = NULL;
    if (evidence == NULL)
        return;
    sg_audit_entry_done(&evidence->entry);
    free(evidence->record);
    free(evidence);
}

/* Denials ---------------------------------------------------------------------------------- */

/* So many denials of one caller, as one record that nobody waits for. */
struct counted {
    struct sg_audit_entry entry;
    struct sg_signings *signings;
};

static void on_counted(struct sg_audit_entry *entry)
{
    struct counted *counted = SG_CONTAINER(entry, struct counted, entry);
    counted->signings->pending--;
    sg_audit_entry_done(entry);
    free(counted);
}

/* One that finds no memory or no room is lost; the metrics have it. */
static void record_counted(struct sg_signings *signings, const struct sg_denials_counted *denials)
{
    const struct sg_audit_record record = {
        .event = SG_AUDIT_DENIALS,
        .time_ns = sg_wall_ns(signings->options.clock),
        .authority = sg_slice_str(denials->authority),
        .caller = sg_slice_str(denials->caller),
        .count = denials->count,
    };
    struct counted *counted = calloc(1, sizeof(*counted));
    if (counted == NULL)
        return;
    counted->entry.done = on_counted;
    counted->signings = signings;
    if (sg_audit_submit(signings->options.audit, &record, &counted->entry, NULL) != SG_OK)
        free(counted);
    else
        signings->pending++;
}

void sg_signings_flush(struct sg_signings *signings)
{
    struct sg_denials_counted counted;
    if (signings->options.audit == NULL)
        return;
    while (sg_denials_next(signings->denials, sg_mono_ns(signings->options.clock), &counted))
        record_counted(signings, &counted);
}

static void on_denial_recorded(struct sg_audit_entry *entry)
{
    struct sg_signing *signing = SG_CONTAINER(entry, struct sg_evidence, entry)->signing;
    /* Denied it is, whatever became of the record. */
    if (entry->outcome == SG_AUDIT_WRITTEN)
        signing->receipt = &entry->receipt;
    tell(signing);
}

/* FNV-1a over who asks. */
static uint64_t hash_caller(const struct sg_audit_record *record)
{
    const struct sg_slice parts[] = {record->authority, SG_SLICE(" "), record->caller};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < SG_COUNT(parts); i++)
        for (size_t at = 0; at < parts[i].len; at++)
            hash = (hash ^ parts[i].ptr[at]) * UINT64_C(0x100000001b3);
    return hash;
}

bool sg_signing_deny(struct sg_signings *signings, const struct sg_audit_record *record,
                     const struct sg_err *err, struct sg_signing *signing)
{
    struct sg_denials_counted evicted;

    clear(signings, signing);
    signing->err = *err;
    if (signings->options.audit == NULL)
        return false;
    const bool is_taken = sg_denials_take(signings->denials, hash_caller(record), record,
                                          sg_mono_ns(signings->options.clock), &evicted);
    if (evicted.count > 0)
        record_counted(signings, &evicted);
    if (!is_taken || (signing->evidence = evidence_new(signing, (struct sg_slice){0})) == NULL)
        return false;

    struct sg_audit_record denial = *record;
    denial.event = SG_AUDIT_DENIAL;
    denial.time_ns = sg_wall_ns(signings->options.clock);
    denial.reason = sg_slice_str(sg_reason_name(err->reason));
    denial.count = 1;
    signing->evidence->entry.done = on_denial_recorded;
    if (sg_audit_submit(signings->options.audit, &denial, &signing->evidence->entry, NULL) !=
        SG_OK) {
        sg_signing_done(signing);
        return false;
    }
    signings->pending++;
    return true;
}
