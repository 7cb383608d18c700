#include <stdlib.h>

#include "base/base64.h"
#include "proto/grpc/connect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every byte escaped, so that it can only mean itself. */
static void put(struct sg_buf *out, const char *name, struct sg_slice value)
{
    if (value.ptr == NULL)
        return;
    sg_buf_printf(out, "&%s=", name);
    for (size_t i = 0; i < value.len; i++)
        sg_buf_printf(out, "%%%02x", value.ptr[i]);
}

static bool is_same(struct sg_slice a, struct sg_slice b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && sg_slice_eq(a, b);
}

/* Property: what a query says is said again by a query that is made of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_arena arena;
    struct sg_connect_query query, again;
    sg_arena_init(&arena, 1 << 20);
    if (sg_connect_query_parse(sg_slice_of(data, size), &arena, &query, NULL) == SG_OK) {
        struct sg_buf text, message;
        sg_buf_init(&text, 10 * size + 1000);
        sg_buf_init(&message, 2 * size + 10);
        put(&text, "message", query.message);
        if (query.base64.ptr != NULL && query.message.ptr != NULL) {
            sg_buf_clear(&text);
            sg_base64_encode(query.message, SG_BASE64_URL, SG_BASE64_UNPADDED, &message);
            put(&text, "message",
                message.ptr == NULL ? sg_slice_of("", 0) : sg_buf_slice(&message));
        }
        put(&text, "compression", query.compression);
        put(&text, "base64", query.base64);
        put(&text, "encoding", query.encoding);
        put(&text, "connect", query.version);
        if (sg_connect_query_parse(sg_buf_slice(&text), &arena, &again, NULL) != SG_OK ||
            !is_same(query.version, again.version) || !is_same(query.encoding, again.encoding) ||
            !is_same(query.message, again.message) || !is_same(query.base64, again.base64) ||
            !is_same(query.compression, again.compression))
            abort();
        sg_buf_done(&text);
        sg_buf_done(&message);
    }
    sg_arena_done(&arena);
    return 0;
}
