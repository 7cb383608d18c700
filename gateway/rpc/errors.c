#include "gateway/rpc/errors.h"

#include "base/utf8.h"
#include "gateway/rpc/receipt_message.h"
#include "google/rpc/error_details.pb-c.h"
#include "proto/pb/unpack.h"

static const char domain[] = "sealgate";

/* Without advice of its own an UNAVAILABLE still says when to come again. */
enum { RETRY_MS_DEFAULT = 200, DETAILS_MAX = 5 };

/* The reason as the client sees it: every class has a word, also where the cause has none. */
static enum sg_reason reason_of(const struct sg_err *err)
{
    if (err->reason != SG_R_NONE)
        return err->reason;
    switch (err->rc) {
    case SG_E_INVALID:
        return SG_R_MALFORMED_REQUEST;
    case SG_E_UNAUTHENTICATED:
        return SG_R_CERT_REQUIRED;
    case SG_E_DENIED:
        return SG_R_METHOD_NOT_ALLOWED;
    case SG_E_NOT_FOUND:
        return SG_R_KEY_NOT_FOUND;
    case SG_E_CONFLICT:
        return SG_R_KEY_UNUSABLE;
    case SG_E_LIMIT:
        return SG_R_QUEUE_FULL;
    case SG_E_TIMEOUT:
        return SG_R_DEADLINE;
    case SG_E_UNSUPPORTED:
        return SG_R_METHOD_NOT_SERVED;
    case SG_E_UNAVAILABLE:
        return SG_R_TOKEN_LOST;
    case SG_OK:
    case SG_E_AGAIN:
    case SG_E_INTERNAL:
        break;
    }
    return SG_R_INTERNAL;
}

/* What is told where the cause is none of the client's. */
static const char *const told[SG_R_COUNT] = {
    [SG_R_KEY_QUARANTINED] = "the key is quarantined: what it signed did not verify",
    [SG_R_KEY_UNUSABLE] = "the key cannot be used as it is on its token",
    [SG_R_CSR_NOT_SUPPORTED] = "no certificate request can be made for a key of this type",
    [SG_R_ALGORITHM_NOT_SUPPORTED] = "the key's token cannot do this algorithm",
    [SG_R_TOKEN_LOST] = "the key's token is away",
    [SG_R_TOKEN_BREAKER_OPEN] = "the key's token is down",
    [SG_R_TOKEN_DRAINED] = "the key's token is out of service for a while",
    [SG_R_TOKEN_PIN] = "the key's token refused its PIN",
    [SG_R_DRAINING] = "this instance is shutting down",
    [SG_R_HSM_TIMEOUT] = "the key's token did not answer in time",
    [SG_R_DEADLINE] = "the deadline passed",
    [SG_R_HSM_FAULT] = "what the key's token made did not verify and was not released",
    [SG_R_STORE_UNAVAILABLE] = "the audit log cannot be reached now",
    [SG_R_STORE_SCHEMA] = "the store of the audit log is of another version",
    [SG_R_STORE_UNSAFE] = "the store of the audit log is set so that it can lose what it took",
    [SG_R_AUDIT_NOT_INITIALISED] = "there is no audit log yet",
    [SG_R_EPOCH_ENDED] = "the log goes on in a new epoch",
    [SG_R_STORE_FULL] = "there is no room for the audit log",
    [SG_R_STORE_BROKEN] = "the audit log is not what was written",
    [SG_R_STORE_ROLLED_BACK] = "the audit log is behind what it has promised",
    [SG_R_CLOCK_OUT_OF_ACCURACY] = "the gateway's clock cannot be trusted",
    [SG_R_UNEXPECTED_CKR] = "the key's token failed; the log has the request id",
};

const char *sg_rpc_public_message(const struct sg_err *err)
{
    if (err->reason == SG_R_MALFORMED_MESSAGE)
        return err->msg; /* INTERNAL as gRPC has it, and the caller's all the same */
    switch (err->rc) {
    case SG_E_INVALID:
    case SG_E_UNAUTHENTICATED:
    case SG_E_DENIED:
    case SG_E_NOT_FOUND:
    case SG_E_LIMIT:
    case SG_E_UNSUPPORTED:
        return err->msg;
    case SG_E_CONFLICT:
    case SG_E_TIMEOUT:
    case SG_E_UNAVAILABLE:
    case SG_E_INTERNAL:
    case SG_E_AGAIN:
    case SG_OK:
        break;
    }
    return told[err->reason] != NULL ? told[err->reason]
                                     : "internal error; the log has the request id";
}

/* Packs `message` as a google.protobuf.Any in the arena and adds it to the details. */
static bool add_detail(struct sg_arena *arena, Google__Rpc__Status *status, const char *type,
                       const ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = sg_arena_alloc(arena, sizeof(*any));
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = sg_arena_alloc(arena, len);
    if (any == NULL || bytes == NULL)
        return false;
    SG_ASSERT(status->n_details < DETAILS_MAX);

    google__protobuf__any__init(any);
    any->type_url = sg_arena_strdup(arena, sg_slice_str(type));
    any->value = (ProtobufCBinaryData){.len = len, .data = bytes};
    protobuf_c_message_pack(message, bytes);
    status->details[status->n_details++] = any;
    return any->type_url != NULL;
}

static bool add_error_info(struct sg_arena *arena, Google__Rpc__Status *status,
                           enum sg_reason reason, const char *request_id)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry next = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT,
                                          id = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry *entries[] = {&next, &id};

    /* protobuf-c declares strings without const; packing only reads them. */
    next.key = (char *)(uintptr_t) "next";
    next.value = (char *)(uintptr_t)sg_reason_next(reason);
    id.key = (char *)(uintptr_t) "request_id";
    id.value = (char *)(uintptr_t)request_id;
    info.reason = (char *)(uintptr_t)sg_reason_name(reason);
    info.domain = (char *)(uintptr_t)domain;
    info.n_metadata = SG_COUNT(entries);
    info.metadata = entries;
    return add_detail(arena, status, "type.googleapis.com/google.rpc.ErrorInfo", &info.base);
}

static bool add_retry_info(struct sg_arena *arena, Google__Rpc__Status *status, int64_t retry_ms)
{
    Google__Rpc__RetryInfo info = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;

    delay.seconds = retry_ms / 1000;
    delay.nanos = (int32_t)(retry_ms % 1000 * 1000000);
    info.retry_delay = &delay;
    return add_detail(arena, status, "type.googleapis.com/google.rpc.RetryInfo", &info.base);
}

static bool add_bad_request(struct sg_arena *arena, Google__Rpc__Status *status,
                            const struct sg_rpc_error *error)
{
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__BadRequest__FieldViolation violation =
        GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};

    violation.field = (char *)(uintptr_t)error->field;
    violation.description = status->message;
    bad.n_field_violations = 1;
    bad.field_violations = violations;
    return add_detail(arena, status, "type.googleapis.com/google.rpc.BadRequest", &bad.base);
}

static bool add_resource_info(struct sg_arena *arena, Google__Rpc__Status *status,
                              const char *resource)
{
    Google__Rpc__ResourceInfo info = GOOGLE__RPC__RESOURCE_INFO__INIT;

    info.resource_type = (char *)(uintptr_t) "sealgate.v1.Key";
    info.resource_name = (char *)(uintptr_t)resource;
    return add_detail(arena, status, "type.googleapis.com/google.rpc.ResourceInfo", &info.base);
}

static bool add_receipt(struct sg_arena *arena, Google__Rpc__Status *status,
                        const struct sg_audit_receipt *receipt)
{
    const Sealgate__V1__AuditReceipt *message = sg_rpc_receipt_new(arena, receipt);
    return message != NULL &&
           add_detail(arena, status, "type.googleapis.com/sealgate.v1.AuditReceipt",
                      &message->base);
}

/* A copy that is UTF-8 whatever was cut where: clients refuse a whole status for one bad byte. */
static char *copy_text(struct sg_arena *arena, const char *text)
{
    char *copy = sg_arena_strdup(arena, sg_slice_str(text));
    if (copy == NULL)
        return NULL;
    for (size_t at = 0, len = strlen(copy); at < len;) {
        uint32_t ignored;
        size_t step = sg_utf8_next(sg_slice_of((const uint8_t *)copy + at, len - at), &ignored);
        if (step == 0)
            copy[at] = '?';
        at += step == 0 ? 1 : step;
    }
    return copy;
}

Google__Rpc__Status *sg_rpc_status_new(struct sg_arena *arena, const struct sg_rpc_error *error,
                                       const char *request_id)
{
    Google__Rpc__Status *status = sg_arena_alloc(arena, sizeof(*status));
    Google__Protobuf__Any **details = sg_arena_alloc(arena, DETAILS_MAX * sizeof(*details));
    if (status == NULL || details == NULL)
        return NULL;

    google__rpc__status__init(status);
    status->code = (int32_t)sg_grpc_code_of(error->err.rc);
    status->details = details;
    status->message = copy_text(arena, sg_rpc_public_message(&error->err));
    if (status->message == NULL ||
        !add_error_info(arena, status, reason_of(&error->err), request_id))
        return NULL;

    int64_t retry_ms = error->retry_ms;
    if (retry_ms == 0 && error->err.rc == SG_E_UNAVAILABLE && error->err.reason != SG_R_TOKEN_PIN)
        retry_ms = RETRY_MS_DEFAULT;
    if (retry_ms > 0 && !add_retry_info(arena, status, retry_ms))
        return NULL;
    if (error->field != NULL && error->err.rc == SG_E_INVALID &&
        !add_bad_request(arena, status, error))
        return NULL;
    if (error->resource != NULL && error->err.rc == SG_E_NOT_FOUND &&
        !add_resource_info(arena, status, error->resource))
        return NULL;
    if (error->receipt != NULL && !add_receipt(arena, status, error->receipt))
        return NULL;
    return status;
}
