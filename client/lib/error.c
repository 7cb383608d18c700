#include "client/lib/error.h"

#include <stdarg.h>

#include "base/arena.h"
#include "client/lib/codec.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "proto/pb/unpack.h"

/* Memory that the details of one error may take unpacked. */
enum { DETAILS_BYTES_MAX = 64 * 1024 };

static const struct {
    const char *name, *next;
    enum sealgate_code code;
} reasons[] = {
#define LOCAL(name, code, next) {#name, next, code},
#include "client/lib/reason.def"
#undef LOCAL
};

/* Copies what fits, ends it with a NUL, and never cuts a UTF-8 character in half. */
static void copy_text(char *out, size_t room, struct sg_slice text)
{
    size_t len = text.len < room - 1 ? text.len : room - 1;

    if (len < text.len)
        while (len > 0 && (text.ptr[len] & 0xc0) == 0x80)
            len--;
    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
    /* A NUL in the middle would hide the rest from whoever reads a C string. */
    for (size_t i = 0; i < len; i++)
        if (out[i] == '\0')
            out[i] = ' ';
}

#define COPY(field, str) copy_text((field), sizeof(field), sg_slice_str(str))

#undef sg_client_fail /* what clang's analyzer is told of it */
enum sealgate_code sg_client_fail(struct sealgate_error *error, enum sg_client_reason reason,
                                  enum sealgate_outcome outcome, const char *fmt, ...)
{
    enum sealgate_code code = reasons[reason].code;
    va_list args;

    if (error == NULL)
        return code;
    *error = (struct sealgate_error){.code = code, .outcome = outcome, .is_local = true};
    COPY(error->reason, reasons[reason].name);
    COPY(error->next, reasons[reason].next);
    va_start(args, fmt);
    /* Cut where it does not fit: it is text for people. */
    (void)vsnprintf(error->message, sizeof(error->message), fmt, args);
    va_end(args);
    return code;
}

/* What the server advises: what it says itself, else what our own table says of its reason. */
static void advise(struct sealgate_error *error)
{
    for (int reason = SG_R_NONE + 1; reason < SG_R_COUNT && error->next[0] == '\0'; reason++)
        if (strcmp(sg_reason_name((enum sg_reason)reason), error->reason) == 0)
            COPY(error->next, sg_reason_next((enum sg_reason)reason));
}

static void take_info(struct sealgate_error *error, const Google__Rpc__ErrorInfo *info)
{
    COPY(error->reason, info->reason);
    for (size_t i = 0; i < info->n_metadata; i++) {
        if (strcmp(info->metadata[i]->key, "next") == 0)
            COPY(error->next, info->metadata[i]->value);
        if (strcmp(info->metadata[i]->key, "request_id") == 0)
            COPY(error->request_id, info->metadata[i]->value);
    }
}

/* One google.protobuf.Any of the details, if it is of a type that we show. */
static void take_detail(struct sealgate_error *error, const Google__Protobuf__Any *any,
                        struct sg_arena *arena)
{
    const char *slash = strrchr(any->type_url, '/');
    const char *type = slash == NULL ? any->type_url : slash + 1;
    struct sg_slice bytes = sg_slice_of(any->value.data, any->value.len);
    ProtobufCMessage *message;
    static const ProtobufCMessageDescriptor *const shown[] = {
        &google__rpc__error_info__descriptor,
        &google__rpc__retry_info__descriptor,
        &google__rpc__bad_request__descriptor,
        &google__rpc__request_info__descriptor,
    };

    for (size_t i = 0; i < SG_COUNT(shown); i++) {
        if (strcmp(type, shown[i]->name) != 0)
            continue;
        if (sg_pb_unpack(shown[i], bytes, arena, SG_PB_LENIENT, &message, NULL) != SG_OK)
            return;
        if (i == 0) {
            take_info(error, (const Google__Rpc__ErrorInfo *)message);
        } else if (i == 1) {
            error->retry_after_ms =
                sg_client_duration_ms(((const Google__Rpc__RetryInfo *)message)->retry_delay);
        } else if (i == 2) {
            const Google__Rpc__BadRequest *bad = (const Google__Rpc__BadRequest *)message;
            if (bad->n_field_violations > 0)
                COPY(error->field, bad->field_violations[0]->field);
        } else {
            COPY(error->request_id, ((const Google__Rpc__RequestInfo *)message)->request_id);
        }
    }
}

static void take_details(struct sealgate_error *error, const Google__Rpc__Status *status,
                         struct sg_arena *arena)
{
    for (size_t i = 0; i < status->n_details; i++)
        take_detail(error, status->details[i], arena);
    advise(error);
}

/* A number that is no status, and a failure that claims to be OK, are UNKNOWN. */
static enum sealgate_code code_of(int number)
{
    return number > SEALGATE_OK && number <= SEALGATE_UNAUTHENTICATED ? (enum sealgate_code)number
                                                                      : SEALGATE_UNKNOWN;
}

enum sealgate_code sg_client_fail_status(struct sealgate_error *error,
                                         const struct sg_status *status,
                                         enum sealgate_outcome outcome)
{
    enum sealgate_code code = code_of((int)status->code);
    struct sg_arena arena;
    ProtobufCMessage *details;

    if (error == NULL)
        return code;
    *error = (struct sealgate_error){.code = code, .outcome = outcome};
    copy_text(error->message, sizeof(error->message), status->message);
    if (status->details.len == 0)
        return code;
    sg_arena_init(&arena, DETAILS_BYTES_MAX);
    if (sg_pb_unpack(&google__rpc__status__descriptor, status->details, &arena, SG_PB_LENIENT,
                     &details, NULL) == SG_OK)
        take_details(error, (const Google__Rpc__Status *)details, &arena);
    sg_arena_done(&arena);
    return code;
}

enum sealgate_code sg_client_fail_item(struct sealgate_error *error,
                                       const Google__Rpc__Status *status)
{
    enum sealgate_code code = code_of(status->code);
    struct sg_arena arena;

    if (error == NULL)
        return code;
    *error = (struct sealgate_error){.code = code, .outcome = SEALGATE_OUTCOME_ANSWERED};
    COPY(error->message, status->message);
    sg_arena_init(&arena, DETAILS_BYTES_MAX);
    take_details(error, status, &arena);
    sg_arena_done(&arena);
    return code;
}

const char *sealgate_code_name(enum sealgate_code code)
{
    /* The numbers are gRPC's on both sides. */
    return sg_grpc_code_name((enum sg_grpc_code)code);
}
