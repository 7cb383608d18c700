#include "gateway/witness/keeper.h"

#include <stdio.h>
#include <stdlib.h>

struct trusted {
    char *origin;
    struct sg_note_key *keys[SG_WITNESS_KEYS_MAX];
    size_t key_count;
};

struct sg_witness_keeper {
    struct sg_witness_memory *memory;
    struct sg_note_signer *signer;
    struct sg_tree_hasher *hasher;
    struct trusted *logs;
    size_t log_count;
};

/* Opening ------------------------------------------------------------------------------------ */

static enum sg_rc open_signer(const char *path, struct sg_note_signer **ret, struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;

    SG_TRY(sg_secret_read_file(path, SG_NOTE_PRIVATE_BYTES_MAX, &secret, err));
    SG_TRY(sg_note_signer_new(sg_secret_bytes(secret), ret, err));
    if (sg_note_key_kind(sg_note_signer_key(*ret)) != SG_NOTE_COSIGNATURE)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" holds a log's key and none of a witness",
                       path);
    return SG_OK;
}

static enum sg_rc take_log(struct trusted *log, const struct sg_witness_trusted *from,
                           struct sg_err *err)
{
    if (from->key_count == 0 || from->key_count > SG_WITNESS_KEYS_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "a log has from 1 to %d keys", SG_WITNESS_KEYS_MAX);
    log->origin = strdup(from->origin);
    if (log->origin == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a log");
    for (size_t i = 0; i < from->key_count; i++) {
        SG_TRY(sg_note_key_parse(sg_slice_str(from->keys[i]), &log->keys[i], err));
        log->key_count++;
        if (sg_note_key_kind(log->keys[i]) != SG_NOTE_ED25519)
            return SG_FAIL(err, SG_E_INVALID, 0, "a key of \"%s\" is no log's", from->origin);
    }
    return SG_OK;
}

enum sg_rc sg_witness_keeper_open(const char *key_file, const char *folder,
                                  const struct sg_witness_trusted *logs, size_t log_count,
                                  struct sg_witness_keeper **ret, struct sg_err *err)
{
    SG_AUTO(sg_witness_keeper_close) struct sg_witness_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL || (keeper->logs = calloc(log_count + 1, sizeof(*keeper->logs))) == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a witness");
    keeper->log_count = log_count;
    for (size_t i = 0; i < log_count; i++)
        SG_TRY(take_log(&keeper->logs[i], &logs[i], err));
    SG_TRY(open_signer(key_file, &keeper->signer, err));
    SG_TRY(sg_tree_hasher_new(&keeper->hasher, err));
    SG_TRY(sg_witness_memory_open(folder, &keeper->memory, err));
    *ret = SG_STEAL(keeper);
    return SG_OK;
}

void sg_witness_keeper_close(struct sg_witness_keeper *keeper)
{
    if (keeper == NULL)
        return;
    for (size_t i = 0; keeper->logs != NULL && i < keeper->log_count; i++) {
        for (size_t j = 0; j < keeper->logs[i].key_count; j++)
            sg_note_key_free(keeper->logs[i].keys[j]);
        free(keeper->logs[i].origin);
    }
    free(keeper->logs);
    sg_witness_memory_close(keeper->memory);
    sg_note_signer_free(keeper->signer);
    sg_tree_hasher_free(keeper->hasher);
    free(keeper);
}

const struct sg_note_key *sg_witness_keeper_key(const struct sg_witness_keeper *keeper)
{
    return sg_note_signer_key(keeper->signer);
}

/* Answering ---------------------------------------------------------------------------------- */

/* NULL: it is none of ours. */
static const struct trusted *find_log(const struct sg_witness_keeper *keeper,
                                      struct sg_slice origin)
{
    for (size_t i = 0; i < keeper->log_count; i++)
        if (sg_slice_is(origin, keeper->logs[i].origin))
            return &keeper->logs[i];
    return NULL;
}

static const char *sentence(enum sg_witness_verdict verdict)
{
    switch (verdict) {
    case SG_WITNESS_MALFORMED:
        return "no request for a cosignature (c2sp.org/tlog-witness)\n";
    case SG_WITNESS_UNKNOWN_LOG:
        return "this log is not witnessed here\n";
    case SG_WITNESS_NOT_SIGNED:
        return "no key that is trusted for this log has signed the checkpoint\n";
    case SG_WITNESS_NOT_PROVED:
        return "the proof does not show that the log only grew\n";
    case SG_WITNESS_CONFLICT:
    case SG_WITNESS_FORKED:
    case SG_WITNESS_COSIGN:
        break;
    }
    return "";
}

static void say(struct sg_witness_reply *reply)
{
    const bool is_size =
        reply->verdict == SG_WITNESS_CONFLICT || reply->verdict == SG_WITNESS_FORKED;
    const int len =
        is_size
            ? snprintf(reply->body, sizeof(reply->body), "%llu\n", (unsigned long long)reply->known)
            : snprintf(reply->body, sizeof(reply->body), "%s", sentence(reply->verdict));

    reply->status = sg_witness_status(reply->verdict);
    reply->type = is_size ? sg_witness_size_type : "text/plain; charset=utf-8";
    reply->body_len = (size_t)len;
}

/* What is known first, then the signature. */
static enum sg_rc cosign(struct sg_witness_keeper *keeper, const struct sg_witness_request *request,
                         const struct sg_tree_head *known, struct sg_slice line, uint64_t time_s,
                         struct sg_witness_reply *reply, struct sg_err *err)
{
    struct sg_buf out = {
        .ptr = (uint8_t *)reply->body, .cap = sizeof(reply->body), .max = sizeof(reply->body)};

    /* The same tree again is known already. An empty one is as good as nothing. */
    if (request->claimed.head.size > known->size)
        SG_TRY(sg_witness_memory_write(keeper->memory, request->claimed.origin, request->note.text,
                                       line, err));
    SG_TRY(sg_note_cosign(keeper->signer, time_s, request->note.text, &out, err));
    reply->body_len = out.len;
    return SG_OK;
}

static enum sg_rc answer(struct sg_witness_keeper *keeper, struct sg_slice body, uint64_t time_s,
                         struct sg_witness_reply *reply, struct sg_err *err)
{
    struct sg_witness_request request;
    struct sg_witness_log log = {0};
    struct sg_slice line;

    if (sg_witness_request_parse(body, &request, &reply->err) != SG_OK) {
        say(reply);
        return SG_OK;
    }
    const struct sg_slice origin = request.claimed.origin;
    memcpy(reply->origin, origin.ptr, origin.len);
    reply->size = request.claimed.head.size;
    const struct trusted *trusted = find_log(keeper, origin);
    const struct sg_note_key *keys[SG_WITNESS_KEYS_MAX];
    if (trusted != NULL) {
        memcpy(keys, trusted->keys, sizeof(keys));
        log.keys = keys;
        log.key_count = trusted->key_count;
        SG_TRY(
            sg_witness_memory_read(keeper->memory, origin, keys, log.key_count, &log.known, err));
        reply->known = log.known.size;
    }
    SG_TRY(sg_witness_judge(keeper->hasher, trusted == NULL ? NULL : &log, &request,
                            &reply->verdict, &line, err));
    say(reply);
    /* What cannot be kept is refused all the same, and told by the log line. */
    if (reply->verdict == SG_WITNESS_FORKED)
        SG_IGNORE(
            sg_witness_memory_keep_fork(keeper->memory, origin, request.checkpoint, &reply->err));
    return reply->verdict == SG_WITNESS_COSIGN
               ? cosign(keeper, &request, &log.known, line, time_s, reply, err)
               : SG_OK;
}

void sg_witness_keeper_answer(struct sg_witness_keeper *keeper, struct sg_slice body,
                              uint64_t time_s, struct sg_witness_reply *ret)
{
    static const char sorry[] = "the witness cannot answer now\n";

    *ret = (struct sg_witness_reply){0};
    if (answer(keeper, body, time_s, ret, &ret->err) == SG_OK)
        return;
    ret->verdict = SG_WITNESS_MALFORMED; /* zero: nothing was cosigned */
    ret->status = 500;
    ret->type = "text/plain; charset=utf-8";
    ret->body_len = sizeof(sorry) - 1;
    memcpy(ret->body, sorry, sizeof(sorry));
}
