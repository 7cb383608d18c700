#include <stdlib.h>

#include "base/clock.h"
#include "proto/h1/h1.h"
#include "tests/support/rpc_echo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool pull(struct sg_h1 *h1)
{
    struct sg_buf out;
    bool ok = true;
    sg_buf_init(&out, 1 << 20);
    for (size_t seen = 1; ok && sg_h1_wants_pull(h1) && seen != out.len;) {
        seen = out.len;
        ok = sg_h1_pull(h1, 65536, &out, NULL) == SG_OK;
    }
    /* Whatever is said begins as HTTP does. */
    if (out.len >= 9 && memcmp(out.ptr, "HTTP/1.1 ", 9) != 0 && out.ptr[0] == 'H')
        abort();
    sg_buf_done(&out);
    return ok;
}

/*
 * The first byte says how many bytes come at once, the second what happens in between: 1 nothing is
 * read from us, 2 time passes, 4 calls are answered later, 8 we drain, 16 paused calls go on.
 *
 * Properties: every call that begun accepted is closed exactly once and in order (the echo handler
 * aborts otherwise); the next time to tick is never past.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t step = data[0] == 0 ? size : data[0];
    unsigned what = data[1];
    struct sg_slice rest = {data + 2, size - 2};
    int64_t now_ns = SG_NS_PER_S;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct echo echo;
    struct sg_h1 *h1;

    echo_init(&echo);
    limits.message_bytes_max = limits.send_bytes_max = 20000;
    limits.header_bytes_max = 1000;
    if (sg_h1_new(&limits, &echo_methods, &echo.handler, NULL, now_ns, &h1, NULL) != SG_OK)
        abort();
    bool ok = true;
    while (ok && rest.len > 0) {
        struct sg_slice chunk = sg_slice_take(&rest, step < rest.len ? step : rest.len);
        ok = sg_h1_feed(h1, now_ns, chunk, NULL) == SG_OK;
        if (ok && (what & 4) != 0 && echo.later != NULL)
            echo_answer_later(&echo);
        if (ok && (what & 16) != 0 && echo.paused != NULL) {
            struct sg_call *paused = echo.paused;
            echo.paused = NULL;
            sg_call_resume(paused);
        }
        if (ok && (what & 1) == 0)
            ok = pull(h1);
        if (ok && (what & 2) != 0) {
            now_ns += 400 * SG_NS_PER_MS;
            ok = sg_h1_tick(h1, now_ns, NULL) == SG_OK;
            if (ok && sg_h1_due(h1) <= now_ns)
                abort();
        }
        if ((what & 8) != 0 && rest.len < size / 2)
            sg_h1_drain(h1);
    }
    (void)pull(h1);
    (void)sg_h1_is_done(h1);
    sg_h1_free(h1);
    if (echo.begun != echo.closed)
        abort();
    return 0;
}
