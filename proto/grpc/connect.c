#include "proto/grpc/connect.h"

#include "base/base64.h"
#include "base/clock.h"
#include "proto/json/json.h"
#include "proto/pb/wire.h"

/* "Error Codes" of the protocol: the name, and the status of a unary answer. */
static const struct {
    const char *name, *http;
} codes[] = {
    [SG_GRPC_OK] = {"unknown", "500"}, /* no failure has it */
    [SG_GRPC_CANCELLED] = {"canceled", "499"},
    [SG_GRPC_UNKNOWN] = {"unknown", "500"},
    [SG_GRPC_INVALID_ARGUMENT] = {"invalid_argument", "400"},
    [SG_GRPC_DEADLINE_EXCEEDED] = {"deadline_exceeded", "504"},
    [SG_GRPC_NOT_FOUND] = {"not_found", "404"},
    [SG_GRPC_ALREADY_EXISTS] = {"already_exists", "409"},
    [SG_GRPC_PERMISSION_DENIED] = {"permission_denied", "403"},
    [SG_GRPC_RESOURCE_EXHAUSTED] = {"resource_exhausted", "429"},
    [SG_GRPC_FAILED_PRECONDITION] = {"failed_precondition", "400"},
    [SG_GRPC_ABORTED] = {"aborted", "409"},
    [SG_GRPC_OUT_OF_RANGE] = {"out_of_range", "400"},
    [SG_GRPC_UNIMPLEMENTED] = {"unimplemented", "501"},
    [SG_GRPC_INTERNAL] = {"internal", "500"},
    [SG_GRPC_UNAVAILABLE] = {"unavailable", "503"},
    [SG_GRPC_DATA_LOSS] = {"data_loss", "500"},
    [SG_GRPC_UNAUTHENTICATED] = {"unauthenticated", "401"},
};

const char *sg_connect_code_name(enum sg_grpc_code code)
{
    return codes[(size_t)code < SG_COUNT(codes) ? code : SG_GRPC_UNKNOWN].name;
}

const char *sg_connect_http_status(enum sg_grpc_code code)
{
    return codes[(size_t)code < SG_COUNT(codes) ? code : SG_GRPC_UNKNOWN].http;
}

/* --- errors --- */

/* One google.protobuf.Any. */
static void put_detail(const struct sg_pb_types *types, struct sg_slice any, struct sg_buf *out)
{
    struct sg_slice name = {0}, bytes = {0}, value;
    uint32_t number;
    unsigned wire_type;
    while (any.len > 0 && sg_pb_take_field(&any, &number, &wire_type, &value)) {
        if (number == 1)
            name = value;
        else if (number == 2)
            bytes = value;
    }
    const uint8_t *slash = name.len == 0 ? NULL : memrchr(name.ptr, '/', name.len);
    if (slash != NULL)
        (void)sg_slice_take(&name, (size_t)(slash - name.ptr) + 1);

    sg_buf_add_str(out, "{\"type\":");
    sg_json_put_string(out, name);
    sg_buf_add_str(out, ",\"value\":\"");
    sg_base64_encode(bytes, SG_BASE64_STD, SG_BASE64_UNPADDED, out);
    sg_buf_add_str(out, "\"");

    const struct sg_pb_type *type = types == NULL ? NULL : sg_pb_type_find(types, name);
    struct sg_buf debug;
    sg_buf_init(&debug, out->max);
    if (type != NULL && sg_json_encode(types, type->desc, bytes, &debug, NULL) == SG_OK) {
        sg_buf_add_str(out, ",\"debug\":");
        sg_buf_add_slice(out, sg_buf_slice(&debug));
    }
    sg_buf_done(&debug);
    sg_buf_add_str(out, "}");
}

void sg_connect_put_error(const struct sg_pb_types *types, const struct sg_status *status,
                          struct sg_buf *out)
{
    enum { STATUS_DETAILS = 3 }; /* of google.rpc.Status */
    struct sg_slice details = status->details, value;
    uint32_t number;
    unsigned wire_type;
    bool has_details = false;

    sg_buf_printf(out, "{\"code\":\"%s\"", sg_connect_code_name(status->code));
    if (status->message.len > 0) {
        sg_buf_add_str(out, ",\"message\":");
        sg_json_put_string(out, status->message);
    }
    while (details.len > 0 && sg_pb_take_field(&details, &number, &wire_type, &value)) {
        if (number != STATUS_DETAILS || wire_type != SG_PB_BYTES)
            continue;
        sg_buf_add_str(out, has_details ? "," : ",\"details\":[");
        has_details = true;
        put_detail(types, value, out);
    }
    sg_buf_add_str(out, has_details ? "]}" : "}");
}

/* --- requests --- */

enum sg_rc sg_connect_timeout_parse(struct sg_slice text, int64_t *ret_ns, struct sg_err *err)
{
    enum { DIGITS_MAX = 10 };
    int64_t ms = 0;
    bool is_number = text.len > 0 && text.len <= DIGITS_MAX;
    for (size_t i = 0; is_number && i < text.len; i++) {
        is_number = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        ms = 10 * ms + (text.ptr[i] - '0');
    }
    if (!is_number)
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST,
                         "connect-timeout-ms is not one to ten digits");
    *ret_ns = ms * SG_NS_PER_MS;
    return SG_OK;
}

/* The value of a hexadecimal digit, or -1. */
static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* application/x-www-form-urlencoded, as every client writes queries: '+' is a space. */
static enum sg_rc unescape(struct sg_slice raw, struct sg_arena *arena, struct sg_slice *ret,
                           struct sg_err *err)
{
    size_t len = 0;
    uint8_t *to = sg_arena_alloc(arena, raw.len + 1);
    if (to == NULL)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "no room for the query");
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.ptr[i] == '+' ? ' ' : raw.ptr[i];
        if (c == '%') {
            int high = raw.len - i > 2 ? hex(raw.ptr[i + 1]) : -1;
            int low = raw.len - i > 2 ? hex(raw.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the query has a wrong escape");
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        to[len++] = c;
    }
    *ret = sg_slice_of(to, len);
    return SG_OK;
}

static enum sg_rc take_base64(struct sg_slice *message, struct sg_arena *arena, struct sg_err *err)
{
    size_t max = sg_base64_decoded_max(message->len);
    uint8_t *ptr = sg_arena_alloc(arena, max);
    if (ptr == NULL)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "no room for the query");
    struct sg_buf bytes = {.ptr = ptr, .cap = max, .max = max};
    if (sg_base64_decode(*message, SG_BASE64_URL, SG_BASE64_EITHER, &bytes, NULL) != SG_OK)
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the query's message is not base64url");
    *message = sg_buf_slice(&bytes);
    return SG_OK;
}

enum sg_rc sg_connect_query_parse(struct sg_slice query, struct sg_arena *arena,
                                  struct sg_connect_query *ret, struct sg_err *err)
{
    struct sg_connect_query found = {0};
    struct {
        struct sg_slice name;
        struct sg_slice *value;
    } known[] = {
        {SG_SLICE("connect"), &found.version},         {SG_SLICE("encoding"), &found.encoding},
        {SG_SLICE("message"), &found.message},         {SG_SLICE("base64"), &found.base64},
        {SG_SLICE("compression"), &found.compression},
    };
    while (query.len > 0) {
        const uint8_t *end = memchr(query.ptr, '&', query.len);
        struct sg_slice value =
            sg_slice_take(&query, end == NULL ? query.len : (size_t)(end - query.ptr));
        if (end != NULL)
            (void)sg_slice_take(&query, 1);
        const uint8_t *equals = value.len == 0 ? NULL : memchr(value.ptr, '=', value.len);
        if (equals == NULL)
            continue;
        struct sg_slice name = sg_slice_take(&value, (size_t)(equals - value.ptr));
        (void)sg_slice_take(&value, 1);
        for (size_t i = 0; i < SG_COUNT(known); i++) {
            if (!sg_slice_eq(name, known[i].name))
                continue;
            if (known[i].value->ptr != NULL)
                return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the query has \"%s\" twice",
                                 (const char *)known[i].name.ptr);
            SG_TRY(unescape(value, arena, known[i].value, err));
        }
    }
    if (found.base64.ptr != NULL && !sg_slice_is(found.base64, "1"))
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the query's base64 may be 1 only");
    if (found.base64.ptr != NULL && found.message.ptr != NULL)
        SG_TRY(take_base64(&found.message, arena, err));
    *ret = found;
    return SG_OK;
}
