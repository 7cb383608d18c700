#include "tests/support/tls_pair.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_MAX = 1 << 22 };

void sg_tls_pair_init(struct sg_tls_pair *pair, struct sg_tls_ctx *client,
                      struct sg_tls_ctx *server, const char *server_name, int64_t wall_ns)
{
    *pair = (struct sg_tls_pair){0};
    sg_buf_init(&pair->to_client, BUFFER_MAX);
    sg_buf_init(&pair->to_server, BUFFER_MAX);
    struct sg_err err;
    if (sg_tls_connect_new(client, server_name, wall_ns, BUFFER_MAX, &pair->client, &err) !=
            SG_OK ||
        sg_tls_accept_new(server, BUFFER_MAX, &pair->server, &err) != SG_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
}

void sg_tls_pair_done(struct sg_tls_pair *pair)
{
    sg_tls_conn_free(pair->client);
    sg_tls_conn_free(pair->server);
    sg_buf_done(&pair->to_client);
    sg_buf_done(&pair->to_server);
}

/* Returns whether anything moved. */
static bool carry(struct sg_tls_conn *from, struct sg_tls_conn *to, struct sg_buf *plain,
                  size_t chunk, enum sg_rc *rc, struct sg_err *err)
{
    struct sg_buf *out = sg_tls_out(from);
    size_t len = chunk == 0 || chunk > out->len ? out->len : chunk;
    if (len == 0)
        return false;
    if (*rc == SG_OK) {
        /* A copy of the exact length, so that a sanitizer sees a read past the end. */
        uint8_t *exact = malloc(len);
        if (exact == NULL)
            abort();
        memcpy(exact, out->ptr, len);
        *rc = sg_tls_feed(to, sg_slice_of(exact, len), plain, err);
        free(exact);
    }
    sg_buf_drop(out, len);
    return true;
}

void sg_tls_pair_pump(struct sg_tls_pair *pair, size_t chunk)
{
    bool moved = true;
    while (moved) {
        moved = carry(pair->client, pair->server, &pair->to_server, chunk, &pair->server_rc,
                      &pair->server_err);
        moved |= carry(pair->server, pair->client, &pair->to_client, chunk, &pair->client_rc,
                       &pair->client_err);
    }
}
