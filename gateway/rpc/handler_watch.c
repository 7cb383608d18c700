#include <stdlib.h>

#include "gateway/rpc/audit_message.h"
#include "gateway/rpc/rpc_priv.h"
#include "proto/pb/unpack.h"

/*
 * WatchLeaves: leaves of a log as they come, to whoever asks.
 *
 * Of a watch nothing is kept but its place, the number of the next leaf. One round after another is
 * read, whatever the number of watches: the one that was served longest ago leads, and all that
 * stand at the same place of the same log, as those do that are up to date, take part in it. The
 * reading thread finds the leaves that any of them lets through and makes the message of each once;
 * the loop sends it to those whom it is for. Who has enough waiting to be sent takes part in none
 * until that has left, and goes on from its place.
 *
 * This gateway's own log is read when something was committed to it. What others write, to their
 * logs or to this one, is found by looking once a second.
 */
enum {
    REQUEST_BYTES_MAX = 2 * SG_AUDIT_RECORD_BYTES_MAX,
    LEAF_BYTES_MAX = 8 * SG_AUDIT_RECORD_BYTES_MAX, /* memory to make a message of one */
    LOOK_MS = 1000,
    PAUSE_MS = 10, /* between rounds of who is up to date: commits come faster than anybody reads */
    RETRY_MS = 1000,
    SCANNED_MAX = 4096, /* leaves that are looked through in a round: others ask too */
    FOUND_MAX = 64,     /* that it finds: a bit of `matched` each */
    ROUND_BYTES = 128 * 1024,
};

struct watch {
    struct sg_leaf_watches *all;
    struct watch *next, **link; /* the one that was served longest ago first */
    struct watch *round_next;   /* among those that take part in the round */
    bool is_in_round;

    /* The loop's. */
    struct sg_call *call; /* NULL once closed */
    bool is_asked;        /* what it watches is known */
    bool is_own;          /* the log that this gateway writes */
    bool is_behind;       /* there may be leaves from its place on */
    bool is_look_due;     /* the log may have a new epoch */
    bool is_full;         /* what was sent waits for the client to take it */
    int64_t due_ns;       /* of its next round */

    /* The reading thread's in a round, else the loop's. */
    bool is_found; /* the log */
    struct sg_store_log log;
    uint64_t place;   /* the next leaf */
    uint64_t matched; /* which of those that were found are for it */

    /* What was asked. */
    struct sg_audit_name name;
    struct sg_leaves_filter filter;
    struct sg_buf filter_bytes;
};

/* Leaves from one place of a log. Belongs to the reading thread while it is under way. */
struct round {
    struct sg_audit_task task;
    struct watch *watches; /* the first leads */
    bool is_look;          /* whether the log has a new epoch is asked too */

    enum sg_rc rc;
    struct sg_err err;
    uint64_t next; /* the leaf to go on with */
    bool is_cut;   /* there are more */
    bool is_superseded;
    size_t scanned, count;
    uint64_t seqs[FOUND_MAX];
    size_t ends[FOUND_MAX]; /* where each message ends in `bytes` */
    struct sg_buf bytes;
    struct sg_arena arena; /* of one message */
};

struct sg_leaf_watches {
    struct sg_rpc *rpc;
    struct watch *first, **end;
    size_t count; /* whose call is open */
    struct round round;
    bool is_running;
    struct sg_timer look, pause;
};

/* Reading ---------------------------------------------------------------------------------- */

static enum sg_rc add_leaf(struct round *round, uint64_t seq, struct sg_slice record,
                           struct sg_err *err)
{
    Sealgate__V1__WatchLeavesResponse message = SEALGATE__V1__WATCH_LEAVES_RESPONSE__INIT;

    message.leaf = sg_audit_leaf_new(&round->arena, &round->watches->log, seq, record);
    if (message.leaf == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for a leaf");
    sg_pb_pack(&message.base, &round->bytes);
    sg_arena_reset(&round->arena);
    SG_TRY(sg_buf_check(&round->bytes, err));
    round->seqs[round->count] = seq;
    round->ends[round->count++] = round->bytes.len;
    return SG_OK;
}

/* SG_E_AGAIN: this leaf is the next round's. */
static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct round *round = arg;
    const uint64_t bit = UINT64_C(1) << (round->count % FOUND_MAX);
    struct sg_audit_record record;
    bool is_wanted = false;

    if (seq != round->next)
        return SG_REFUSE(err, SG_R_LEAF_ARCHIVED, "leaf %llu of log \"%s\" is in an archive",
                         (unsigned long long)round->next, round->watches->log.name);
    if (round->scanned == SCANNED_MAX || round->count == FOUND_MAX ||
        round->bytes.len >= ROUND_BYTES)
        return SG_E_AGAIN;
    round->scanned++;
    if (sg_audit_record_parse(bytes, &record, NULL) != SG_OK)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "leaf %llu of log \"%s\" is no record",
                         (unsigned long long)seq, round->watches->log.name);
    for (struct watch *watch = round->watches; watch != NULL; watch = watch->round_next) {
        if (!sg_leaves_match(&watch->filter, &record))
            continue;
        watch->matched |= bit;
        is_wanted = true;
    }
    if (is_wanted)
        SG_TRY(add_leaf(round, seq, bytes, err));
    round->next = seq + 1;
    return SG_OK;
}

/* What its leader stands at; and whether the log goes on elsewhere. */
static enum sg_rc find_log(struct round *round, struct sg_audit_reader *reader, struct sg_err *err)
{
    struct watch *lead = round->watches;
    struct sg_store_log newest;

    if (lead->is_found && !round->is_look)
        return SG_OK;
    SG_TRY(sg_audit_log_find(reader, &lead->name, &newest, err));
    if (lead->is_found) {
        round->is_superseded = newest.id != lead->log.id;
        return SG_OK;
    }
    lead->is_found = true;
    lead->log = newest;
    if (lead->place < newest.first)
        lead->place = newest.first;
    return SG_OK;
}

static enum sg_rc read_leaves(struct round *round, struct sg_audit_reader *reader,
                              struct sg_err *err)
{
    struct watch *lead = round->watches;

    SG_TRY(find_log(round, reader, err));
    round->next = lead->place;
    if (lead->round_next == NULL) /* alone, so perhaps far behind */
        SG_TRY(sg_leaves_skip(reader, lead->log.id, &lead->filter, &round->next, err));
    enum sg_rc rc = sg_store_read_leaves(reader->store, lead->log.id, round->next, SCANNED_MAX + 1,
                                         on_leaf, round, err);
    round->is_cut = rc == SG_E_AGAIN;
    return round->is_cut ? SG_OK : rc;
}

static void run_round(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct round *round = SG_CONTAINER(task, struct round, task);

    sg_arena_init(&round->arena, LEAF_BYTES_MAX);
    round->rc = read_leaves(round, reader, &round->err);
    sg_arena_done(&round->arena);
}

/* Watches ---------------------------------------------------------------------------------- */

static void link_last(struct watch *watch)
{
    struct sg_leaf_watches *all = watch->all;

    watch->next = NULL;
    watch->link = all->end;
    *all->end = watch;
    all->end = &watch->next;
}

static void unlink_watch(struct watch *watch)
{
    *watch->link = watch->next;
    if (watch->next != NULL)
        watch->next->link = watch->link;
    else
        watch->all->end = watch->link;
}

static void watch_free(struct watch *watch)
{
    sg_buf_done(&watch->filter_bytes);
    free(watch);
}

static void fail_watch(struct watch *watch, const struct sg_err *err)
{
    const struct sg_rpc_error error = {.err = *err,
                                       .retry_ms = err->rc == SG_E_UNAVAILABLE ? RETRY_MS : 0};

    watch->is_behind = false;
    sg_rpc_fail(watch->all->rpc, watch->call, &error);
}

/* Rounds ----------------------------------------------------------------------------------- */

static bool may_take_part(const struct watch *watch)
{
    return watch->is_asked && !watch->is_full && !sg_call_is_over(watch->call) &&
           sg_rpc_denial(watch->call) == NULL;
}

/* Who leads the next round; NULL: nobody yet. */
static struct watch *find_leader(struct sg_leaf_watches *all)
{
    const int64_t now_ns = sg_loop_now(all->rpc->deps.loop);
    int64_t due_ns = INT64_MAX;

    for (struct watch *watch = all->first; watch != NULL; watch = watch->next) {
        if (!watch->is_behind || !may_take_part(watch))
            continue;
        if (watch->due_ns <= now_ns)
            return watch;
        if (watch->due_ns < due_ns)
            due_ns = watch->due_ns;
    }
    /* Without memory for this timer the other one, which is set, must do. */
    if (due_ns != INT64_MAX)
        SG_IGNORE(sg_timer_set(all->rpc->deps.loop, &all->pause, due_ns, NULL));
    return NULL;
}

static void take_part(struct round *round, struct watch *watch, struct watch **at)
{
    watch->is_in_round = true;
    watch->is_behind = false;
    watch->matched = 0;
    round->is_look |= watch->is_look_due;
    watch->is_look_due = false;
    watch->round_next = *at;
    *at = watch;
}

static void on_round(struct sg_audit_task *task);

static void gather(struct sg_leaf_watches *all, struct watch *lead)
{
    struct round *round = &all->round;

    round->task = (struct sg_audit_task){.run = run_round, .done = on_round};
    round->watches = NULL;
    round->is_look = round->is_cut = round->is_superseded = false;
    round->scanned = round->count = 0;
    sg_buf_clear(&round->bytes);
    take_part(round, lead, &round->watches);
    for (struct watch *watch = all->first; watch != NULL && lead->is_found; watch = watch->next)
        if (watch != lead && may_take_part(watch) && watch->is_found &&
            watch->log.id == lead->log.id && watch->place == lead->place)
            take_part(round, watch, &lead->round_next);
}

/* Who is done with the round, and has no call any more, goes. */
static void leave(struct watch *watch)
{
    watch->is_in_round = false;
    watch->round_next = NULL;
    if (watch->call == NULL)
        watch_free(watch);
}

static void begin_round(struct sg_leaf_watches *all)
{
    struct watch *lead;

    if (all->is_running || (lead = find_leader(all)) == NULL)
        return;
    gather(all, lead);
    all->is_running = true;
    if (sg_audit_ask(all->rpc->deps.audit, &all->round.task, NULL) == SG_OK)
        return;
    /* Too many ask. The next look tries again. */
    all->is_running = false;
    for (struct watch *watch = all->round.watches, *next; watch != NULL; watch = next) {
        next = watch->round_next;
        leave(watch);
    }
}

static void count_sent(struct sg_leaf_watches *all, uint64_t count)
{
    if (all->rpc->deps.metrics != NULL && count > 0)
        sg_metrics_add(all->rpc->deps.metrics, SG_METRIC_AUDIT_WATCHED, 0, 0, count);
}

/* Sends what of the round is for this watch, as far as its client takes it. */
static enum sg_rc send_found(struct watch *watch, const struct round *round, struct sg_err *err)
{
    enum sg_rc rc = SG_OK;
    uint64_t sent = 0;
    size_t i = 0;

    for (; rc == SG_OK && i < round->count; i++) {
        const size_t begin = i == 0 ? 0 : round->ends[i - 1];
        if ((watch->matched >> i & 1) == 0)
            continue;
        if (watch->is_full)
            break;
        rc = sg_rpc_send(watch->call, sg_slice_of(round->bytes.ptr + begin, round->ends[i] - begin),
                         &watch->is_full, err);
        sent += rc == SG_OK;
    }
    watch->place = i < round->count ? round->seqs[i] : round->next;
    count_sent(watch->all, sent);
    return rc;
}

/* A watch may last for months: whether its caller is still one who may is asked each time. */
static enum sg_rc deliver(struct watch *watch, const struct round *round, struct sg_err *err)
{
    struct sg_leaf_watches *all = watch->all;

    SG_TRY(sg_rpc_authorize(all->rpc, watch->call, err));
    SG_TRY(send_found(watch, round, err));
    if (round->is_cut || watch->place != round->next) {
        watch->is_behind = true;
        watch->is_look_due |= round->is_superseded;
        return SG_OK;
    }
    if (round->is_superseded)
        return SG_REFUSE(err, SG_R_EPOCH_ENDED, "epoch %u of log \"%s\" is over",
                         (unsigned)watch->log.epoch, watch->log.name);
    watch->due_ns = sg_loop_now(all->rpc->deps.loop) + PAUSE_MS * SG_NS_PER_MS;
    return SG_OK;
}

static void on_round(struct sg_audit_task *task)
{
    struct round *round = SG_CONTAINER(task, struct round, task);
    struct sg_leaf_watches *all = SG_CONTAINER(round, struct sg_leaf_watches, round);

    all->is_running = false;
    for (struct watch *watch = round->watches, *next; watch != NULL; watch = next) {
        struct sg_err err = round->err;
        next = watch->round_next;
        if (watch->call != NULL && !sg_call_is_over(watch->call) &&
            (round->rc != SG_OK || deliver(watch, round, &err) != SG_OK))
            fail_watch(watch, &err);
        if (watch->call != NULL) { /* the others are served first now */
            unlink_watch(watch);
            link_last(watch);
        }
        leave(watch);
    }
    begin_round(all);
}

/* What makes them go on -------------------------------------------------------------------- */

static void on_grown(void *arg)
{
    struct sg_leaf_watches *all = arg;

    for (struct watch *watch = all->first; watch != NULL; watch = watch->next)
        watch->is_behind |= watch->is_own;
    begin_round(all);
}

static void on_pause(void *arg)
{
    begin_round(arg);
}

static void on_look(void *arg)
{
    struct sg_leaf_watches *all = arg;
    struct sg_loop *loop = all->rpc->deps.loop;

    for (struct watch *watch = all->first; watch != NULL; watch = watch->next)
        watch->is_behind = watch->is_look_due = true;
    /* A timer that has just run finds its place again. */
    SG_IGNORE(sg_timer_set(loop, &all->look, sg_loop_now(loop) + LOOK_MS * SG_NS_PER_MS, NULL));
    begin_round(all);
}

/* Who comes first, and who goes last. */
static enum sg_rc wake_up(struct sg_leaf_watches *all, struct sg_err *err)
{
    struct sg_loop *loop = all->rpc->deps.loop;

    SG_TRY(sg_timer_set(loop, &all->look, sg_loop_now(loop) + LOOK_MS * SG_NS_PER_MS, err));
    sg_audit_listen(all->rpc->deps.audit, on_grown, all);
    return SG_OK;
}

static void fall_asleep(struct sg_leaf_watches *all)
{
    sg_audit_listen(all->rpc->deps.audit, NULL, NULL);
    sg_timer_cancel(all->rpc->deps.loop, &all->look);
    sg_timer_cancel(all->rpc->deps.loop, &all->pause);
}

static void count_watches(struct sg_leaf_watches *all, int change)
{
    struct sg_metrics *metrics = all->rpc->deps.metrics;

    all->count = (size_t)((int64_t)all->count + change);
    if (metrics != NULL)
        sg_metrics_move(metrics, SG_METRIC_AUDIT_WATCHERS, 0, 0, change);
}

/* Calls ------------------------------------------------------------------------------------ */

static enum sg_rc on_begin(struct sg_rpc *rpc, struct sg_call *call, struct sg_err *err)
{
    struct sg_leaf_watches *all = rpc->leaf_watches;

    if (all == NULL)
        return SG_REFUSE(err, SG_R_METHOD_NOT_SERVED, "this instance has no audit log");
    if (rpc->is_draining)
        return SG_REFUSE(err, SG_R_DRAINING, "this instance is shutting down");
    if (all->count >= (size_t)rpc->deps.config->audit_watchers_max)
        return SG_REFUSE(err, SG_R_TOO_MANY_WATCHERS, "%zu calls watch the audit log", all->count);
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for another watch");
    enum sg_rc rc = all->count == 0 ? wake_up(all, err) : SG_OK;
    if (rc != SG_OK) {
        free(watch);
        return rc;
    }
    watch->all = all;
    watch->call = call;
    link_last(watch);
    count_watches(all, 1);
    sg_rpc_set_user(call, watch);
    return SG_OK;
}

static enum sg_rc read_request(struct watch *watch, const Sealgate__V1__WatchLeavesRequest *request,
                               struct sg_err *err)
{
    const struct sg_audit *audit = watch->all->rpc->deps.audit;

    SG_TRY(sg_audit_name_read(request->log, &watch->name, NULL, err));
    SG_TRY(sg_audit_filter_read(request->filter, &watch->filter, &watch->filter_bytes, err));
    watch->place = request->first;
    watch->is_own =
        watch->name.epoch == 0 &&
        (watch->name.log[0] == '\0' || strcmp(watch->name.log, sg_audit_log_name(audit)) == 0);
    watch->is_asked = watch->is_behind = true;
    return SG_OK;
}

static void on_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct watch *watch = sg_rpc_user(call);
    const Sealgate__V1__WatchLeavesRequest *request;
    struct sg_err err;

    if (message.len > REQUEST_BYTES_MAX) {
        SG_REFUSE(&err, SG_R_MESSAGE_TOO_LARGE, "a request to watch has at most %d bytes",
                  REQUEST_BYTES_MAX);
        fail_watch(watch, &err);
        return;
    }
    request = sg_rpc_read(rpc, call, message, false);
    if (request == NULL)
        return;
    if (read_request(watch, request, &err) != SG_OK)
        fail_watch(watch, &err);
    else
        begin_round(watch->all);
}

static void on_writable(struct sg_rpc *rpc, struct sg_call *call)
{
    struct watch *watch = sg_rpc_user(call);

    watch->is_full = false;
    begin_round(rpc->leaf_watches);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    struct sg_leaf_watches *all = rpc->leaf_watches;
    struct watch *watch = sg_rpc_user(call);

    watch->call = NULL;
    unlink_watch(watch);
    count_watches(all, -1);
    if (all->count == 0)
        fall_asleep(all);
    if (!watch->is_in_round)
        watch_free(watch);
}

void sg_leaf_watches_drain(struct sg_leaf_watches *watches)
{
    /* A call that ends stays on the list until it is closed, which is later. */
    for (struct watch *watch = watches->first; watch != NULL; watch = watch->next)
        sg_rpc_fail_draining(watches->rpc, watch->call);
}

/* All of them ------------------------------------------------------------------------------ */

enum sg_rc sg_leaf_watches_new(struct sg_rpc *rpc, struct sg_leaf_watches **ret, struct sg_err *err)
{
    struct sg_leaf_watches *all = calloc(1, sizeof(*all));
    if (all == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the watches");
    all->rpc = rpc;
    all->end = &all->first;
    all->look = (struct sg_timer){.fn = on_look, .arg = all};
    all->pause = (struct sg_timer){.fn = on_pause, .arg = all};
    sg_buf_init(&all->round.bytes, ROUND_BYTES + LEAF_BYTES_MAX);
    *ret = all;
    return SG_OK;
}

void sg_leaf_watches_free(struct sg_leaf_watches *watches)
{
    if (watches == NULL)
        return;
    SG_ASSERT(watches->first == NULL && !watches->is_running);
    sg_buf_done(&watches->round.bytes);
    free(watches);
}

const struct sg_handler sg_handle_watch_leaves = {
    .begin = on_begin, .message = on_message, .writable = on_writable, .closed = on_closed};
