#include "gateway/audit/audit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/timex.h>

#include "base/secret.h"
#include "gateway/audit/audit_priv.h"

enum {
    TICK_MS = 1000,
    FAILED_MS = 1000,     /* after a commit that failed, before signatures are made again, */
    UNWELL_MS = 10000,    /* and before balancers are told that they are, unless one succeeds */
    BEHIND_MS_MAX = 2000, /* a clock that is corrected a little is none to stop for */
    INDEX_TURNS = 16,     /* of the index, for each tick */
    HOLD_COMMITS = 8,     /* so many times as long as a commit takes may a record be held back, */
    HOLD_MS_MAX = 10,     /* and so long at most */
    BUSY = 16,            /* signatures that keep a token at work while a commit takes place */
    HOLD_SHARE = 3,       /* where more are under way: so many times as many are held */
    SMOOTHING = 8,        /* of the time that a commit takes */
    RECORD_BYTES = 1024,  /* that a record usually needs */
};

/* What each of the two threads has for itself. */
struct side {
    struct sg_queue *todo;
    pthread_t thread;
    bool is_running;
};

/* The reading thread's own work, once a second. */
struct tick {
    struct sg_audit_task task;
    bool is_under_way;
};

/* The record that this gateway begins. */
struct beginning {
    struct sg_audit_entry entry;
    char detail[SG_AUDIT_TEXT_BYTES_MAX];
    size_t detail_len;
    bool is_due;            /* to be submitted */
    enum sg_reason failure; /* why it is not written; SG_R_NONE: it is, or nothing failed yet */
};

struct sg_audit {
    /* Set at start, read by every thread, never written again. */
    struct sg_loop *loop;
    const struct sg_clock *clock;
    size_t waiting_max;
    uint64_t room_bytes_min;
    bool clock_sync_required;
    struct sg_seal *page_seal;

    struct side write, read;
    struct sg_queue *written, *answered; /* for the loop */

    /* The writing thread's; the key and the log's names never change. */
    struct sg_audit_writer writer;
    /* The reading thread's. */
    struct sg_store_log read_log;
    struct sg_audit_reader reader;

    /* Written by one of the threads, read by the loop. */
    _Atomic int64_t failed_ns;    /* monotonic: the last commit failed then; 0: it did not */
    _Atomic int64_t last_time_ns; /* of a record */
    _Atomic int64_t commit_ns;    /* that a commit takes of late */
    atomic_uint_fast64_t size, leaves, commits, failures, room_bytes;
    _Atomic enum sg_reason failed_reason;

    /* The loop's. */
    size_t waiting, asked;
    struct sg_queue_node *first, *last; /* submitted and not handed over: held of them */
    size_t held[SG_KEY_TYPE_COUNT], expected[SG_KEY_TYPE_COUNT];
    int64_t held_ns; /* monotonic: since then the first of them waits */
    struct sg_timer hold_timer;
    struct sg_hook turn_over;
    struct sg_wake wake;
    struct sg_timer timer;
    struct tick tick;
    struct beginning beginning;
    void (*grown)(void *arg); /* NULL: nobody listens */
    void *grown_arg;
    bool is_clock_synchronised;
    bool is_closing;
};

static struct sg_audit_entry *entry_of(struct sg_queue_node *node)
{
    return SG_CONTAINER(node, struct sg_audit_entry, node);
}

static struct sg_audit_task *task_of(struct sg_queue_node *node)
{
    return SG_CONTAINER(node, struct sg_audit_task, node);
}

/* Writing ---------------------------------------------------------------------------------- */

static void write_group(struct sg_audit *audit, struct sg_audit_entry **entries, size_t count)
{
    struct sg_err err = {0};
    const int64_t begun_ns = sg_mono_ns(audit->clock);

    const bool is_written = sg_audit_write(&audit->writer, entries, count, &err) == SG_OK;
    const int64_t commit_ns = atomic_load(&audit->commit_ns);
    atomic_store(&audit->commit_ns,
                 commit_ns + (sg_mono_ns(audit->clock) - begun_ns - commit_ns) / SMOOTHING);
    atomic_store(&audit->failed_reason, is_written ? SG_R_NONE : err.reason);
    atomic_store(&audit->failed_ns, is_written ? 0 : sg_mono_ns(audit->clock));
    atomic_store(&audit->last_time_ns, audit->writer.last_time_ns);
    atomic_store(&audit->size, sg_log_tree_size(audit->writer.tree));
    if (is_written) {
        atomic_fetch_add(&audit->commits, 1);
        atomic_fetch_add(&audit->leaves, count);
    } else {
        atomic_fetch_add(&audit->failures, 1);
    }
}

static void *write_groups(void *arg)
{
    struct sg_audit *audit = arg;
    struct sg_queue_node *node;

    while ((node = sg_queue_pop(audit->write.todo)) != NULL) {
        struct sg_audit_entry *entries[SG_LOG_TREE_GROUP_MAX];
        size_t count = 0;
        do {
            entries[count++] = entry_of(node);
        } while (count < SG_COUNT(entries) && (node = sg_queue_try_pop(audit->write.todo)) != NULL);
        write_group(audit, entries, count);
        for (size_t i = 0; i + 1 < count; i++)
            entries[i]->node.next = &entries[i + 1]->node;
        entries[count - 1]->node.next = NULL;
        /* Cannot fail: it has no bound of its own and is not closed yet. */
        SG_ASSERT(sg_queue_push_all(audit->written, &entries[0]->node) == SG_OK);
        sg_wake_signal(&audit->wake);
    }
    return NULL;
}

/* Reading ---------------------------------------------------------------------------------- */

static void *answer_questions(void *arg)
{
    struct sg_audit *audit = arg;
    struct sg_queue_node *node;

    while ((node = sg_queue_pop(audit->read.todo)) != NULL) {
        task_of(node)->run(task_of(node), &audit->reader);
        SG_ASSERT(sg_queue_push(audit->answered, node) == SG_OK);
        sg_wake_signal(&audit->wake);
    }
    return NULL;
}

/* The index follows the log, the anchor goes to the disk, and somebody looks at the room. What
 * fails here is tried again in a second, and signing has its own way to find out. */
static void tick_run(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct sg_audit *audit =
        SG_CONTAINER(SG_CONTAINER(task, struct tick, task), struct sg_audit, tick);
    uint64_t room = UINT64_MAX;
    bool is_more = true;

    if (sg_store_room(reader->store, &room, NULL) == SG_OK)
        atomic_store(&audit->room_bytes, room);
    if (audit->writer.anchor != NULL)
        SG_IGNORE(sg_anchor_sync(audit->writer.anchor, NULL));
    for (size_t i = 0; is_more && i < INDEX_TURNS; i++)
        if (sg_audit_index_some(reader->store, reader->log, atomic_load(&audit->size), &is_more,
                                NULL) != SG_OK)
            break;
}

static void tick_done(struct sg_audit_task *task)
{
    SG_CONTAINER(task, struct tick, task)->is_under_way = false;
}

/* Whether the kernel is told that its clock follows another. Where one may not ask, it is not. */
static bool is_synchronised(void)
{
    struct timex timex = {0};
    const int state = adjtimex(&timex);
    return state >= 0 && state != TIME_ERROR;
}

static void submit_beginning(struct sg_audit *audit);

static void on_timer(void *arg)
{
    struct sg_audit *audit = arg;

    if (audit->beginning.is_due)
        submit_beginning(audit);
    audit->is_clock_synchronised = !audit->clock_sync_required || is_synchronised();
    if (!audit->tick.is_under_way) {
        audit->tick.is_under_way = true;
        audit->tick.task = (struct sg_audit_task){.run = tick_run, .done = tick_done};
        if (sg_audit_ask(audit, &audit->tick.task, NULL) != SG_OK)
            audit->tick.is_under_way = false;
    }
    /* A timer that has just run finds its place again. */
    SG_IGNORE(sg_timer_set(audit->loop, &audit->timer,
                           sg_mono_ns(audit->clock) + TICK_MS * SG_NS_PER_MS, NULL));
}

/* The loop's side -------------------------------------------------------------------------- */

static void hand_over(void *arg)
{
    struct sg_audit *audit = arg;

    sg_timer_cancel(audit->loop, &audit->hold_timer);
    if (audit->first == NULL)
        return;
    /* Cannot fail: the queue has no bound of its own and is not closed yet. */
    SG_ASSERT(sg_queue_push_all(audit->write.todo, audit->first) == SG_OK);
    audit->first = audit->last = NULL;
    memset(audit->held, 0, sizeof(audit->held));
}

/* Whether what is held of one type is enough for a commit, seen beside what is still to come of it.
 * A token must not run dry while all its callers wait for the disk. */
static bool is_enough(const struct sg_audit *audit)
{
    for (size_t i = 0; i < SG_KEY_TYPE_COUNT; i++) {
        const size_t share = audit->expected[i] > BUSY ? HOLD_SHARE : 1;
        if (audit->held[i] > 0 && audit->held[i] >= share * audit->expected[i])
            return true;
    }
    return false;
}

/* How long what is held may wait for what is on its way, from its first on. */
static int64_t hold_ns(const struct sg_audit *audit)
{
    const int64_t ns = HOLD_COMMITS * atomic_load(&audit->commit_ns);
    return ns < HOLD_MS_MAX * SG_NS_PER_MS ? ns : HOLD_MS_MAX * SG_NS_PER_MS;
}

/* At the end of a turn in which something was submitted, or will not be. */
static void on_turn_over(void *arg)
{
    struct sg_audit *audit = arg;
    if (audit->first == NULL)
        return;
    const int64_t due_ns = audit->held_ns + hold_ns(audit);
    if (is_enough(audit) || sg_mono_ns(audit->clock) >= due_ns ||
        sg_timer_set(audit->loop, &audit->hold_timer, due_ns, NULL) != SG_OK)
        hand_over(audit);
}

void sg_audit_expect(struct sg_audit *audit, enum sg_key_type type)
{
    audit->expected[type]++;
}

void sg_audit_expect_none(struct sg_audit *audit, enum sg_key_type type)
{
    SG_ASSERT(audit->expected[type] > 0);
    audit->expected[type]--;
    sg_hook_arm(audit->loop, &audit->turn_over);
}

static void finish_all(struct sg_audit *audit)
{
    struct sg_queue_node *node = sg_queue_take_all(audit->written);
    const bool has_grown = node != NULL; /* or it was tried */
    while (node != NULL) {
        struct sg_queue_node *next = node->next; /* the entry may be freed by its done */
        audit->waiting--;
        entry_of(node)->done(entry_of(node));
        node = next;
    }
    if (has_grown && audit->grown != NULL)
        audit->grown(audit->grown_arg);
    node = sg_queue_take_all(audit->answered);
    while (node != NULL) {
        struct sg_queue_node *next = node->next;
        audit->asked--;
        task_of(node)->done(task_of(node));
        node = next;
    }
}

static void on_wake(void *arg)
{
    finish_all(arg);
}

enum sg_rc sg_audit_submit(struct sg_audit *audit, const struct sg_audit_record *record,
                           struct sg_audit_entry *entry, struct sg_err *err)
{
    if (audit->is_closing)
        return SG_REFUSE(err, SG_R_DRAINING, "the audit log is being closed");
    if (audit->waiting >= audit->waiting_max)
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "%zu records wait for the audit log",
                         audit->waiting);
    sg_buf_init(&entry->bytes, SG_AUDIT_RECORD_BYTES_MAX);
    (void)sg_buf_room(&entry->bytes, RECORD_BYTES); /* at once; without it the check below fails */
    sg_audit_record_write(record, &entry->bytes);
    enum sg_rc rc = sg_buf_check(&entry->bytes, err);
    if (rc != SG_OK) {
        sg_buf_done(&entry->bytes);
        return rc;
    }
    entry->time_ns = record->time_ns;
    entry->outcome = SG_AUDIT_FAILED;
    entry->receipt = (struct sg_audit_receipt){0};
    entry->node.next = NULL;
    if (audit->first == NULL) {
        audit->first = &entry->node;
        audit->held_ns = sg_mono_ns(audit->clock);
    } else {
        audit->last->next = &entry->node;
    }
    audit->last = &entry->node;
    audit->held[entry->key_type]++;
    audit->waiting++;
    sg_hook_arm(audit->loop, &audit->turn_over);
    return SG_OK;
}

/* Beginning -------------------------------------------------------------------------------- */

static void begin_failed(struct sg_audit *audit, const struct sg_err *err)
{
    audit->beginning.is_due = true;
    audit->beginning.failure = err->reason == SG_R_NONE ? SG_R_STORE_UNAVAILABLE : err->reason;
}

static void on_begun(struct sg_audit_entry *entry)
{
    struct beginning *beginning = SG_CONTAINER(entry, struct beginning, entry);
    struct sg_audit *audit = SG_CONTAINER(beginning, struct sg_audit, beginning);

    if (entry->outcome == SG_AUDIT_WRITTEN)
        beginning->failure = SG_R_NONE;
    else
        begin_failed(audit, &entry->err);
    sg_audit_entry_done(entry);
}

static void submit_beginning(struct sg_audit *audit)
{
    struct beginning *beginning = &audit->beginning;
    const struct sg_audit_record record = {
        .event = SG_AUDIT_GATEWAY_STARTED,
        .time_ns = sg_wall_ns(audit->clock),
        .detail = sg_slice_of((const uint8_t *)beginning->detail, beginning->detail_len)};
    struct sg_err err = {0};

    beginning->is_due = false;
    beginning->entry.done = on_begun;
    if (sg_audit_submit(audit, &record, &beginning->entry, &err) != SG_OK)
        begin_failed(audit, &err);
}

void sg_audit_begin(struct sg_audit *audit, struct sg_slice detail)
{
    struct beginning *beginning = &audit->beginning;

    SG_ASSERT(detail.len > 0 && detail.len <= sizeof(beginning->detail));
    memcpy(beginning->detail, detail.ptr, detail.len);
    beginning->detail_len = detail.len;
    submit_beginning(audit);
}

void sg_audit_entry_done(struct sg_audit_entry *entry)
{
    sg_audit_receipt_done(&entry->receipt);
    sg_buf_done(&entry->bytes);
}

enum sg_rc sg_audit_ask(struct sg_audit *audit, struct sg_audit_task *task, struct sg_err *err)
{
    if (audit->is_closing)
        return SG_REFUSE(err, SG_R_DRAINING, "the audit log is being closed");
    if (audit->asked >= audit->waiting_max)
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "%zu questions wait for the audit log",
                         audit->asked);
    task->node.next = NULL;
    SG_ASSERT(sg_queue_push(audit->read.todo, &task->node) == SG_OK);
    audit->asked++;
    return SG_OK;
}

void sg_audit_listen(struct sg_audit *audit, void (*grown)(void *arg), void *arg)
{
    audit->grown = grown;
    audit->grown_arg = arg;
}

static enum sg_rc check_clock(struct sg_audit *audit, struct sg_err *err)
{
    const int64_t behind = atomic_load(&audit->last_time_ns) - sg_wall_ns(audit->clock);

    if (behind > BEHIND_MS_MAX * SG_NS_PER_MS)
        return SG_REFUSE(err, SG_R_CLOCK_OUT_OF_ACCURACY,
                         "the clock is %lld ms behind the newest record",
                         (long long)(behind / SG_NS_PER_MS));
    if (!audit->is_clock_synchronised)
        return SG_REFUSE(err, SG_R_CLOCK_OUT_OF_ACCURACY, "the clock is not synchronised");
    return SG_OK;
}

enum sg_rc sg_audit_is_ready(struct sg_audit *audit, int64_t *ret_retry_ms, struct sg_err *err)
{
    const int64_t failed_ns = atomic_load(&audit->failed_ns);
    const uint64_t room = atomic_load(&audit->room_bytes);

    SG_TRY(check_clock(audit, err));
    *ret_retry_ms = FAILED_MS;
    if (audit->beginning.failure != SG_R_NONE)
        return SG_REFUSE(err, audit->beginning.failure,
                         "that this gateway has started could not be recorded yet");
    if (failed_ns != 0 && sg_mono_ns(audit->clock) - failed_ns < FAILED_MS * SG_NS_PER_MS) {
        const enum sg_reason reason = atomic_load(&audit->failed_reason);
        if (reason == SG_R_STORE_FULL)
            return SG_REFUSE(err, SG_R_STORE_FULL, "there is no room for the audit log");
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "the audit log cannot be written now");
    }
    if (room < audit->room_bytes_min)
        return SG_REFUSE(err, SG_R_STORE_FULL,
                         "%llu bytes are free for the audit log, fewer than %llu",
                         (unsigned long long)room, (unsigned long long)audit->room_bytes_min);
    *ret_retry_ms = 0;
    return SG_OK;
}

bool sg_audit_is_well(struct sg_audit *audit)
{
    const int64_t failed_ns = atomic_load(&audit->failed_ns);
    int64_t retry_ms;

    if (failed_ns != 0 && sg_mono_ns(audit->clock) - failed_ns < UNWELL_MS * SG_NS_PER_MS)
        return false;
    return sg_audit_is_ready(audit, &retry_ms, NULL) == SG_OK;
}

const char *sg_audit_log_name(const struct sg_audit *audit)
{
    return audit->writer.log.name;
}

const char *sg_audit_origin(const struct sg_audit *audit)
{
    return audit->writer.log.origin;
}

const struct sg_note_key *sg_audit_key(const struct sg_audit *audit)
{
    return sg_note_signer_key(audit->writer.signer);
}

const struct sg_seal *sg_audit_page_seal(const struct sg_audit *audit)
{
    return audit->page_seal;
}

void sg_audit_stats(const struct sg_audit *audit, struct sg_audit_stats *ret)
{
    *ret = (struct sg_audit_stats){
        .leaves = atomic_load(&audit->leaves),
        .commits = atomic_load(&audit->commits),
        .failures = atomic_load(&audit->failures),
        .size = atomic_load(&audit->size),
        .room_bytes = atomic_load(&audit->room_bytes),
        .waiting = audit->waiting,
    };
}

/* Beginning and end ------------------------------------------------------------------------ */

static enum sg_rc open_reader(struct sg_audit *audit, const struct sg_audit_options *options,
                              struct sg_err *err)
{
    audit->read_log = audit->writer.log;
    audit->reader.log = &audit->read_log;
    SG_TRY(sg_store_open(options->store, &audit->reader.store, err));
    return sg_log_tree_new(audit->reader.store, audit->read_log.id, &audit->reader.tree, err);
}

static enum sg_rc open_seal(struct sg_audit *audit, struct sg_err *err)
{
    uint8_t key[SG_SEAL_KEY_BYTES];

    SG_TRY(sg_store_seal_key(audit->writer.store, key, err));
    enum sg_rc rc = sg_seal_new(key, "sealgate page token 1", &audit->page_seal, err);
    sg_wipe(key, sizeof(key));
    return rc;
}

static enum sg_rc start_side(struct sg_audit *audit, struct side *side, void *(*run)(void *),
                             struct sg_err *err)
{
    SG_TRY(sg_queue_new(SIZE_MAX, &side->todo, err));
    int failed = pthread_create(&side->thread, NULL, run, audit);
    if (failed != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)failed,
                       "could not start a thread of the audit log");
    side->is_running = true;
    return SG_OK;
}

static enum sg_rc start(struct sg_audit *audit, const struct sg_audit_options *options,
                        struct sg_err *err)
{
    SG_TRY(sg_audit_writer_open(&audit->writer, options, err));
    SG_TRY(open_seal(audit, err));
    SG_TRY(open_reader(audit, options, err));
    atomic_store(&audit->last_time_ns, audit->writer.last_time_ns);
    atomic_store(&audit->size, sg_log_tree_size(audit->writer.tree));
    SG_TRY(sg_queue_new(SIZE_MAX, &audit->written, err));
    SG_TRY(sg_queue_new(SIZE_MAX, &audit->answered, err));
    SG_TRY(start_side(audit, &audit->write, write_groups, err));
    return start_side(audit, &audit->read, answer_questions, err);
}

enum sg_rc sg_audit_open(const struct sg_audit_options *options, struct sg_audit **ret,
                         struct sg_err *err)
{
    SG_AUTO(sg_audit_close) struct sg_audit *audit = calloc(1, sizeof(*audit));
    if (audit == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the audit log");

    audit->loop = options->loop;
    audit->clock = options->clock;
    audit->waiting_max = options->waiting_max;
    audit->room_bytes_min = options->room_bytes_min;
    audit->clock_sync_required = options->clock_sync_required;
    atomic_store(&audit->room_bytes, UINT64_MAX);
    audit->turn_over = (struct sg_hook){.fn = on_turn_over, .arg = audit};
    audit->hold_timer = (struct sg_timer){.fn = hand_over, .arg = audit};
    audit->wake = (struct sg_wake){.fn = on_wake, .arg = audit};
    audit->timer = (struct sg_timer){.fn = on_timer, .arg = audit};
    sg_wake_add(audit->loop, &audit->wake);
    SG_TRY(start(audit, options, err));
    SG_TRY(sg_timer_set(audit->loop, &audit->timer, sg_mono_ns(audit->clock), err));
    audit->is_clock_synchronised = !audit->clock_sync_required || is_synchronised();
    *ret = SG_STEAL(audit);
    return SG_OK;
}

static void stop_side(struct side *side)
{
    if (side->todo != NULL)
        sg_queue_close(side->todo);
    if (side->is_running)
        pthread_join(side->thread, NULL);
}

void sg_audit_close(struct sg_audit *audit)
{
    if (audit == NULL)
        return;
    audit->is_closing = true;
    sg_timer_cancel(audit->loop, &audit->timer);
    sg_hook_disarm(&audit->turn_over);
    hand_over(audit);
    stop_side(&audit->write);
    stop_side(&audit->read);
    sg_wake_remove(audit->loop, &audit->wake);
    if (audit->answered != NULL)
        finish_all(audit);
    sg_queue_free(audit->write.todo);
    sg_queue_free(audit->read.todo);
    sg_queue_free(audit->written);
    sg_queue_free(audit->answered);
    sg_log_tree_free(audit->reader.tree);
    sg_store_close(audit->reader.store);
    sg_audit_writer_close(&audit->writer);
    sg_seal_free(audit->page_seal);
    free(audit);
}
