#include "gateway/audit/witnesses.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/folder.h"
#include "gateway/audit/log_tree.h"

enum {
    TICK_MS = 1000,
    REQUEST_MS = 10000,
    START_REQUEST_MS = 3000,
    TRIES_MAX = 4, /* of one request: a witness says where it is, and may have moved since */
    BACK_OFF_S_MAX = 30,
};

struct peer {
    const struct sg_witness_peer *from;
    struct sg_note_key *key;
    uint64_t known;    /* the size that it should know, as far as it has told */
    uint64_t cosigned; /* the size that it cosigned last; 0: none */
    enum sg_witness_state state;
    unsigned failed; /* times in a row */
    int64_t sent_ns, next_ns;

    /* Written by whoever has the rest, read by any. */
    atomic_int shown_state;
    atomic_uint_fast64_t shown_size, failures;
    _Atomic int64_t shown_time_s;
};

struct sg_witnesses {
    struct sg_witnesses_options options;
    struct sg_store *store;
    struct sg_store_log log;
    struct sg_log_tree *tree;
    struct peer *peers;
    size_t peer_count;

    struct sg_buf note; /* the newest checkpoint, as it is stored */
    struct sg_note parts;
    struct sg_tree_head head;
    struct sg_buf lines; /* what the witnesses have signed of it in this round */
    uint64_t seen;       /* the log's size when it was last looked at */
    int64_t request_ns_max;

    int stop[2]; /* a pipe: readable means the end */
    pthread_t thread;
    bool is_running;
};

static int64_t now(const struct sg_witnesses *witnesses)
{
    return sg_mono_ns(witnesses->options.clock);
}

/* The log ------------------------------------------------------------------------------------ */

static enum sg_rc broken(const struct sg_witnesses *witnesses, const char *what, struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_STORE_BROKEN, "log \"%s\": %s", witnesses->options.log, what);
}

/* The newest checkpoint, signed by the log's key, and the tree that it is of. */
static enum sg_rc load_head(struct sg_witnesses *witnesses, struct sg_err *err)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_checkpoint checkpoint;
    struct sg_tree_hash root;
    uint64_t time;

    SG_TRY(sg_store_find_log(witnesses->store, witnesses->options.log, &witnesses->log, err));
    sg_buf_clear(&witnesses->note);
    sg_buf_clear(&witnesses->lines);
    SG_TRY(sg_store_read_checkpoint(witnesses->store, witnesses->log.id, &witnesses->note, err));
    SG_TRY(sg_note_parse(sg_buf_slice(&witnesses->note), &witnesses->parts, err));
    SG_TRY(sg_checkpoint_parse(witnesses->parts.text, &checkpoint, err));
    SG_TRY(sg_note_judge(&witnesses->parts, witnesses->options.key, &verdict, &time, err));
    if (verdict != SG_NOTE_SIGNED)
        return broken(witnesses, "its newest checkpoint is not signed by its key", err);
    witnesses->head = checkpoint.head;
    SG_TRY(sg_log_tree_load(witnesses->tree, witnesses->head.size, err));
    sg_log_tree_root(witnesses->tree, &root);
    if (memcmp(root.bytes, witnesses->head.root.bytes, sizeof(root.bytes)) != 0)
        return broken(witnesses, "its leaves are not those of its newest checkpoint", err);
    return SG_OK;
}

static bool has_line(const struct sg_note *note, const struct sg_note_key *key)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    uint64_t time;
    return sg_note_judge(note, key, &verdict, &time, NULL) == SG_OK && verdict == SG_NOTE_SIGNED;
}

/* Adds the line to what is stored by now, which others may have added to as well. A log that has
 * grown since has another checkpoint: then there is nothing to add to. */
static enum sg_rc store_line(struct sg_witnesses *witnesses, const struct peer *peer,
                             struct sg_slice line, struct sg_err *err)
{
    struct sg_note stored;
    struct sg_buf bytes;

    sg_buf_init(&bytes, SG_NOTE_BYTES_MAX);
    enum sg_rc rc = sg_store_read_checkpoint(witnesses->store, witnesses->log.id, &bytes, err);
    if (rc == SG_OK)
        rc = sg_note_parse(sg_buf_slice(&bytes), &stored, err);
    if (rc == SG_OK && sg_slice_eq(stored.text, witnesses->parts.text) &&
        !has_line(&stored, peer->key)) {
        sg_buf_add_slice(&bytes, line);
        rc = sg_buf_check(&bytes, err);
        if (rc == SG_OK)
            rc = sg_store_set_checkpoint(witnesses->store, witnesses->log.id, witnesses->head.size,
                                         sg_buf_slice(&bytes), err);
    }
    sg_buf_done(&bytes);
    return rc;
}

/* What of this round is for those who want a checkpoint with witnesses, while the log grows on and
 * its newest has none yet. */
static enum sg_rc keep_cosigned(struct sg_witnesses *witnesses, struct sg_err *err)
{
    const char *path = witnesses->options.cosigned_file;
    struct sg_buf bytes;

    if (path == NULL || witnesses->lines.len == 0)
        return SG_OK;
    sg_buf_init(&bytes, SG_NOTE_BYTES_MAX);
    sg_buf_add_slice(&bytes, sg_buf_slice(&witnesses->note));
    sg_buf_add_slice(&bytes, sg_buf_slice(&witnesses->lines));
    enum sg_rc rc = sg_buf_check(&bytes, err);
    if (rc == SG_OK)
        rc = sg_folder_put(path, sg_buf_slice(&bytes), err);
    sg_buf_done(&bytes);
    return rc;
}

/* One witness -------------------------------------------------------------------------------- */

static void tell(struct sg_witnesses *witnesses, struct peer *peer, enum sg_witness_state state,
                 const struct sg_err *err)
{
    const bool is_news = state != peer->state || state == SG_WITNESS_DENIES;

    peer->state = state;
    atomic_store(&peer->shown_state, (int)state);
    if (state == SG_WITNESS_CURRENT) {
        peer->failed = 0;
        atomic_store(&peer->shown_size, peer->cosigned);
        atomic_store(&peer->shown_time_s, sg_wall_ns(witnesses->options.clock) / SG_NS_PER_S);
    } else {
        const int64_t wait_s = peer->failed < 5 ? INT64_C(1) << peer->failed : BACK_OFF_S_MAX;
        peer->failed++;
        peer->next_ns =
            now(witnesses) + (wait_s < BACK_OFF_S_MAX ? wait_s : BACK_OFF_S_MAX) * SG_NS_PER_S;
        atomic_fetch_add(&peer->failures, 1);
    }
    if (is_news)
        witnesses->options.told(witnesses->options.arg,
                                &(struct sg_witness_news){.name = peer->from->name,
                                                          .state = state,
                                                          .size = witnesses->head.size,
                                                          .err = err});
}

/* Sends the head, with its proof from what the witness should know. */
static enum sg_rc ask(struct sg_witnesses *witnesses, const struct peer *peer,
                      struct sg_buf *ret_body, struct sg_witness_answer *ret, struct sg_err *err)
{
    struct sg_witness_request request = {.old_size = peer->known,
                                         .checkpoint = sg_buf_slice(&witnesses->note)};
    const struct sg_fetch_bounds bounds = {.clock = witnesses->options.clock,
                                           .until_ns = now(witnesses) + witnesses->request_ns_max,
                                           .cancel_fd = witnesses->stop[0],
                                           .body_bytes_max = SG_WITNESS_ANSWER_BYTES_MAX};
    struct sg_buf text;
    unsigned status = 0;

    if (peer->known > 0 && peer->known < witnesses->head.size)
        SG_TRY(sg_log_tree_prove_growth(witnesses->tree, peer->known, witnesses->head.size,
                                        &request.proof, err));
    sg_buf_init(&text, SG_WITNESS_REQUEST_BYTES_MAX);
    sg_buf_clear(ret_body);
    sg_witness_request_write(&request, &text);
    enum sg_rc rc = sg_buf_check(&text, err);
    if (rc == SG_OK)
        rc = sg_fetch_post(&peer->from->fetch, "/add-checkpoint", sg_buf_slice(&text), &bounds,
                           &status, ret_body, err);
    if (rc == SG_OK)
        rc = sg_witness_answer_read(status, sg_buf_slice(ret_body), request.checkpoint, peer->key,
                                    ret, err);
    sg_buf_done(&text);
    if (rc == SG_OK && ret->kind == SG_WITNESS_ANSWER_NONE)
        rc = SG_FAIL(err, SG_E_INVALID, status, "its answer, status %u, cannot be used", status);
    if (rc == SG_OK && ret->kind == SG_WITNESS_ANSWER_REFUSED)
        rc = SG_FAIL(err, SG_E_DENIED, status, "it refuses, status %u", status);
    return rc;
}

static enum sg_rc denied(const struct sg_witnesses *witnesses, uint64_t size, const char *what,
                         struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                     "log \"%s\" has %llu leaves, and the witness has cosigned %s of %llu",
                     witnesses->options.log, (unsigned long long)witnesses->head.size, what,
                     (unsigned long long)size);
}

/* It says how far it is: SG_E_AGAIN, ask again from there. */
static enum sg_rc follow(struct sg_witnesses *witnesses, struct peer *peer, uint64_t size,
                         struct sg_err *err)
{
    if (size == peer->known && size == witnesses->head.size)
        return denied(witnesses, size, "another tree", err);
    if (size == peer->known)
        return SG_FAIL(err, SG_E_INVALID, 0, "it wants a proof from size %llu and was given one",
                       (unsigned long long)size);
    peer->known = size;
    if (size <= witnesses->head.size)
        return SG_E_AGAIN;
    /* Another process may have written to this log meanwhile, and sent it. What a witness knows was
     * in the store before. */
    SG_TRY(load_head(witnesses, err));
    return size > witnesses->head.size ? denied(witnesses, size, "a tree", err) : SG_E_AGAIN;
}

/* SG_OK: it has cosigned the head, and `ret` is its line. */
static enum sg_rc submit(struct sg_witnesses *witnesses, struct peer *peer, struct sg_buf *body,
                         struct sg_slice *ret, struct sg_err *err)
{
    for (size_t i = 0; i < TRIES_MAX; i++) {
        struct sg_witness_answer answer = {0};
        SG_TRY(ask(witnesses, peer, body, &answer, err));
        if (answer.kind == SG_WITNESS_ANSWER_COSIGNED) {
            *ret = answer.line;
            return SG_OK;
        }
        if (answer.kind == SG_WITNESS_ANSWER_FORKED)
            return denied(witnesses, peer->known, "another tree", err);
        enum sg_rc rc = follow(witnesses, peer, answer.size, err);
        if (rc != SG_E_AGAIN)
            return rc;
    }
    return SG_FAIL(err, SG_E_INVALID, 0, "it says another size each time that it is asked");
}

static enum sg_witness_state state_of(const struct sg_err *err)
{
    if (err->reason == SG_R_STORE_ROLLED_BACK)
        return SG_WITNESS_DENIES;
    return err->rc == SG_E_DENIED ? SG_WITNESS_REFUSES : SG_WITNESS_AWAY;
}

static void serve(struct sg_witnesses *witnesses, struct peer *peer)
{
    struct sg_err err = {0};
    struct sg_slice line;
    struct sg_buf body;

    sg_buf_init(&body, SG_WITNESS_ANSWER_BYTES_MAX);
    peer->sent_ns = now(witnesses);
    enum sg_rc rc = submit(witnesses, peer, &body, &line, &err);
    if (rc == SG_OK) {
        peer->known = peer->cosigned = witnesses->head.size;
        if (!has_line(&witnesses->parts, peer->key))
            sg_buf_add_slice(&witnesses->lines, line);
        rc = store_line(witnesses, peer, line, &err);
    } else {
        peer->known = 0; /* whatever it said: the next time it is asked anew */
    }
    if (rc == SG_OK)
        rc = keep_cosigned(witnesses, &err);
    sg_buf_done(&body);
    tell(witnesses, peer, rc == SG_OK ? SG_WITNESS_CURRENT : state_of(&err),
         rc == SG_OK ? NULL : &err);
}

/* All of them -------------------------------------------------------------------------------- */

/* With a log that grows on, each interval; with one that rests, at once. */
static bool is_due(const struct sg_witnesses *witnesses, const struct peer *peer, bool is_resting)
{
    const int64_t at = now(witnesses);
    if (peer->cosigned == witnesses->seen && peer->state == SG_WITNESS_CURRENT)
        return false;
    if (peer->state != SG_WITNESS_CURRENT && peer->state != SG_WITNESS_UNHEARD)
        return at >= peer->next_ns;
    return is_resting || peer->sent_ns == 0 || at - peer->sent_ns >= witnesses->options.interval_ns;
}

/* Each that is due; every one is sent the log as it is then. What fails here is the store's, and
 * said by those who sign. */
static void tick(struct sg_witnesses *witnesses)
{
    struct sg_store_log log;
    bool is_loaded = false;

    if (sg_store_find_log(witnesses->store, witnesses->options.log, &log, NULL) != SG_OK)
        return;
    const bool is_resting = log.size == witnesses->seen;
    witnesses->seen = log.size;
    for (size_t i = 0; i < witnesses->peer_count; i++) {
        struct peer *peer = &witnesses->peers[i];
        struct sg_err err = {0};
        if (!is_due(witnesses, peer, is_resting))
            continue;
        if (!is_loaded && load_head(witnesses, &err) != SG_OK) {
            tell(witnesses, peer, SG_WITNESS_AWAY, &err);
            continue;
        }
        is_loaded = true;
        serve(witnesses, peer);
    }
}

static void *run(void *arg)
{
    struct sg_witnesses *witnesses = arg;
    struct pollfd stop = {.fd = witnesses->stop[0], .events = POLLIN};
    int ready;

    while ((ready = poll(&stop, 1, TICK_MS)) == 0 || (ready < 0 && errno == EINTR))
        tick(witnesses);
    return NULL;
}

enum sg_rc sg_witnesses_check(struct sg_witnesses *witnesses, bool is_required, struct sg_err *err)
{
    SG_TRY(load_head(witnesses, err));
    witnesses->seen = witnesses->head.size;
    witnesses->request_ns_max = START_REQUEST_MS * SG_NS_PER_MS;
    for (size_t i = 0; i < witnesses->peer_count; i++)
        serve(witnesses, &witnesses->peers[i]);
    witnesses->request_ns_max = REQUEST_MS * SG_NS_PER_MS;
    for (size_t i = 0; i < witnesses->peer_count; i++) {
        const struct peer *peer = &witnesses->peers[i];
        if (peer->state == SG_WITNESS_DENIES)
            return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                             "the witness \"%s\" has cosigned another log \"%s\" than this: the "
                             "store was put back or changed",
                             peer->from->name, witnesses->options.log);
        if (is_required && peer->state != SG_WITNESS_CURRENT)
            return SG_FAIL(err, SG_E_UNAVAILABLE, 0,
                           "the witness \"%s\" has not cosigned the log, and witnesses_required "
                           "wants it to",
                           peer->from->name);
    }
    return SG_OK;
}

enum sg_rc sg_witnesses_start(struct sg_witnesses *witnesses, struct sg_err *err)
{
    const int failed = pthread_create(&witnesses->thread, NULL, run, witnesses);
    if (failed != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)failed,
                       "could not start a thread for the witnesses");
    witnesses->is_running = true;
    return SG_OK;
}

void sg_witnesses_stats(const struct sg_witnesses *witnesses, size_t peer,
                        struct sg_witness_stats *ret)
{
    const struct peer *from = &witnesses->peers[peer];
    SG_ASSERT(peer < witnesses->peer_count);
    *ret = (struct sg_witness_stats){
        .state = (enum sg_witness_state)atomic_load(&from->shown_state),
        .size = atomic_load(&from->shown_size),
        .time_s = atomic_load(&from->shown_time_s),
        .failures = atomic_load(&from->failures),
    };
}

/* Beginning and end -------------------------------------------------------------------------- */

static enum sg_rc take_peers(struct sg_witnesses *witnesses, struct sg_err *err)
{
    const struct sg_witnesses_options *options = &witnesses->options;

    witnesses->peers = calloc(options->peer_count + 1, sizeof(*witnesses->peers));
    if (witnesses->peers == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the witnesses");
    for (size_t i = 0; i < options->peer_count; i++) {
        struct peer *peer = &witnesses->peers[witnesses->peer_count++];
        peer->from = &options->peers[i];
        SG_TRY(sg_note_key_parse(sg_slice_str(peer->from->key), &peer->key, err));
        if (sg_note_key_kind(peer->key) != SG_NOTE_COSIGNATURE)
            return SG_FAIL(err, SG_E_INVALID, 0, "the key of \"%s\" is no witness's",
                           peer->from->name);
    }
    return SG_OK;
}

enum sg_rc sg_witnesses_new(const struct sg_witnesses_options *options, struct sg_witnesses **ret,
                            struct sg_err *err)
{
    SG_AUTO(sg_witnesses_free) struct sg_witnesses *witnesses = calloc(1, sizeof(*witnesses));
    if (witnesses == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the witnesses");
    witnesses->options = *options;
    witnesses->stop[0] = witnesses->stop[1] = -1;
    witnesses->request_ns_max = REQUEST_MS * SG_NS_PER_MS;
    sg_buf_init(&witnesses->note, SG_NOTE_BYTES_MAX);
    sg_buf_init(&witnesses->lines, SG_NOTE_BYTES_MAX);
    if (pipe2(witnesses->stop, O_CLOEXEC) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open a pipe");
    SG_TRY(take_peers(witnesses, err));
    SG_TRY(sg_store_open(options->store, &witnesses->store, err));
    SG_TRY(sg_store_find_log(witnesses->store, options->log, &witnesses->log, err));
    SG_TRY(sg_log_tree_new(witnesses->store, witnesses->log.id, &witnesses->tree, err));
    *ret = SG_STEAL(witnesses);
    return SG_OK;
}

void sg_witnesses_free(struct sg_witnesses *witnesses)
{
    if (witnesses == NULL)
        return;
    if (witnesses->stop[1] >= 0)
        close(witnesses->stop[1]); /* the other end reads the end of the file */
    if (witnesses->is_running)
        pthread_join(witnesses->thread, NULL);
    if (witnesses->stop[0] >= 0)
        close(witnesses->stop[0]);
    for (size_t i = 0; i < witnesses->peer_count; i++)
        sg_note_key_free(witnesses->peers[i].key);
    free(witnesses->peers);
    sg_log_tree_free(witnesses->tree);
    sg_store_close(witnesses->store);
    sg_buf_done(&witnesses->note);
    sg_buf_done(&witnesses->lines);
    free(witnesses);
}
