#include <stdio.h>
#include <stdlib.h>

#include "gateway/rpc/rpc_priv.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/pb/unpack.h"

const void *sg_rpc_read(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message,
                        bool is_strict)
{
    struct sg_rpc_error error = {0};
    ProtobufCMessage *unpacked;

    if (sg_pb_unpack(sg_call_method(call)->input, message, sg_call_arena(call),
                     is_strict ? SG_PB_STRICT : SG_PB_LENIENT, &unpacked, &error.err) == SG_OK)
        return unpacked;
    sg_rpc_fail(rpc, call, &error);
    return NULL;
}

enum sg_rc sg_rpc_send(struct sg_call *call, struct sg_slice message, bool *ret_full,
                       struct sg_err *err)
{
    const struct sg_rpc_connection *connection = sg_rpc_connection(call);
    bool is_full;

    connection->wants_write(connection->wants_write_arg);
    return sg_call_send(call, message, ret_full == NULL ? &is_full : ret_full, err);
}

void sg_rpc_reply(struct sg_rpc *rpc, struct sg_call *call, const ProtobufCMessage *message,
                  bool is_last)
{
    struct sg_rpc_error error = {0};
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = sg_arena_alloc(sg_call_arena(call), len);

    enum sg_rc rc =
        bytes == NULL ? SG_FAIL(&error.err, SG_E_LIMIT, 0, "no memory for the answer") : SG_OK;
    if (rc == SG_OK) {
        protobuf_c_message_pack(message, bytes);
        rc = sg_rpc_send(call, sg_slice_of(bytes, len), NULL, &error.err);
    }
    if (rc != SG_OK) {
        sg_rpc_fail(rpc, call, &error);
        return;
    }
    if (is_last)
        sg_rpc_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
}

enum sg_rc sg_rpc_page_start(const struct sg_keys *keys, const char *token, size_t *ret,
                             struct sg_err *err)
{
    struct sg_slice name = {0};
    uint32_t version = 0;

    if (token[0] != '\0' &&
        (sg_key_name_parse(sg_slice_str(token), &name, &version, NULL) != SG_OK || version != 0))
        return SG_REFUSE(err, SG_R_BAD_PAGE_TOKEN, "the page token is none of this server");
    *ret = sg_keys_after(keys, name);
    return SG_OK;
}

/* Denials ---------------------------------------------------------------------------------- */

struct sg_rpc_denial {
    struct sg_signing signing; /* of nothing: the way into the log */
    struct sg_rpc *rpc;
    struct sg_call *call; /* NULL: it is closed */
    struct sg_rpc_error error;
};

bool sg_rpc_is_denial(const struct sg_err *err)
{
    return err->rc == SG_E_DENIED || err->reason == SG_R_KEY_NOT_FOUND;
}

void sg_rpc_denial_detach(struct sg_rpc_denial *denial)
{
    denial->call = NULL;
}

static void on_denial_done(void *arg, struct sg_signing *signing)
{
    struct sg_rpc_denial *denial = arg;

    if (denial->call != NULL) {
        denial->error.is_recorded = true;
        denial->error.receipt = signing->receipt;
        sg_rpc_set_denial(denial->call, NULL);
        sg_rpc_fail(denial->rpc, denial->call, &denial->error);
    }
    sg_signing_done(signing);
    free(denial);
}

/* NULL: it is not on its way. */
static struct sg_rpc_denial *denial_new(struct sg_rpc *rpc, const struct sg_call *call,
                                        const struct sg_err *err)
{
    struct sg_audit_record record = {0};
    struct sg_rpc_denial *denial;

    if (rpc->deps.audit == NULL || (denial = calloc(1, sizeof(*denial))) == NULL)
        return NULL;
    denial->rpc = rpc;
    denial->signing.done = on_denial_done;
    denial->signing.arg = denial;
    sg_rpc_begin_record(call, &record);
    if (sg_signing_deny(rpc->deps.signings, &record, err, &denial->signing))
        return denial;
    free(denial);
    return NULL;
}

bool sg_rpc_deny(struct sg_rpc *rpc, struct sg_call *call, const struct sg_rpc_error *error)
{
    if (error->is_recorded || !sg_rpc_is_denial(&error->err))
        return false;
    struct sg_rpc_denial *denial = denial_new(rpc, call, &error->err);
    if (denial == NULL)
        return false;
    denial->call = call;
    denial->error = *error;
    sg_rpc_set_denial(call, denial);
    return true;
}

void sg_rpc_fail(struct sg_rpc *rpc, struct sg_call *call, const struct sg_rpc_error *error)
{
    if (sg_call_is_over(call) || sg_rpc_denial(call) != NULL)
        return; /* and has been told of */
    if (sg_rpc_deny(rpc, call, error))
        return;
    struct sg_arena *arena = sg_call_arena(call);
    const char *request_id = sg_rpc_request_id(call, arena);
    const Google__Rpc__Status *full = sg_rpc_status_new(arena, error, request_id);
    struct sg_status status = {.code = sg_grpc_code_of(error->err.rc)};

    sg_rpc_note_refusal(rpc, call, request_id, &error->err);
    /* Without memory for details the code alone must do. */
    if (full != NULL) {
        size_t len = protobuf_c_message_get_packed_size(&full->base);
        uint8_t *bytes = sg_arena_alloc(arena, len);
        status.message = sg_slice_str(full->message);
        if (bytes != NULL) {
            protobuf_c_message_pack(&full->base, bytes);
            status.details = sg_slice_of(bytes, len);
        }
    }
    sg_rpc_finish(call, &status);
}

void sg_rpc_fail_memory(struct sg_rpc *rpc, struct sg_call *call)
{
    struct sg_rpc_error error = {0};
    SG_FAIL(&error.err, SG_E_LIMIT, 0, "no memory left for this call");
    sg_rpc_fail(rpc, call, &error);
}

void sg_rpc_fail_draining(struct sg_rpc *rpc, struct sg_call *call)
{
    struct sg_rpc_error error = {0};
    SG_REFUSE(&error.err, SG_R_DRAINING, "this instance is shutting down");
    sg_rpc_fail(rpc, call, &error);
}

enum sg_rc sg_rpc_digest_alg(int wire, enum sg_digest_alg *ret, struct sg_err *err)
{
    if (wire <= 0 || wire >= SG_DIGEST_COUNT)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "digest algorithm %d is none we know",
                         wire);
    *ret = (enum sg_digest_alg)wire;
    return SG_OK;
}

enum sg_rc sg_rpc_scheme(int wire, enum sg_scheme *ret, struct sg_err *err)
{
    if (wire < 0 || wire >= SG_SCHEME_COUNT)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "scheme %d is none we know", wire);
    *ret = (enum sg_scheme)wire;
    return SG_OK;
}

enum sg_rc sg_rpc_encoding(int wire, enum sg_sig_encoding *ret, struct sg_err *err)
{
    if (wire < 0 || wire >= SG_ENCODING_COUNT)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "encoding %d is none we know", wire);
    *ret = (enum sg_sig_encoding)wire;
    return SG_OK;
}

Google__Protobuf__Timestamp *sg_rpc_timestamp(struct sg_arena *arena, int64_t wall_ns)
{
    Google__Protobuf__Timestamp *time = sg_arena_alloc(arena, sizeof(*time));
    if (time == NULL)
        return NULL;
    google__protobuf__timestamp__init(time);
    time->seconds = wall_ns / SG_NS_PER_S;
    time->nanos = (int32_t)(wall_ns % SG_NS_PER_S);
    return time;
}

Google__Protobuf__Duration *sg_rpc_duration(struct sg_arena *arena, int64_t ns)
{
    Google__Protobuf__Duration *duration = sg_arena_alloc(arena, sizeof(*duration));
    if (duration == NULL)
        return NULL;
    google__protobuf__duration__init(duration);
    duration->seconds = ns / SG_NS_PER_S;
    duration->nanos = (int32_t)(ns % SG_NS_PER_S);
    return duration;
}
