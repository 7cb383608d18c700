/*
 * Property: whatever a client sends, a server's connection comes to the same end whether the
 * bytes come at once or one by one; nobody is let in; a failure is final.
 */
#include <stdlib.h>

#include "proto/tls/tls.h"
#include "tests/support/pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 16, PLAIN_MAX = 1 << 16 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Asks for client certificates; made once. */
static struct sg_tls_ctx *server(void)
{
    static struct sg_tls_ctx *ctx;
    if (ctx != NULL)
        return ctx;
    static const char *const h2[] = {"h2"};
    struct sg_pki *pki = sg_pki_new();
    const struct sg_pki_id *ca =
        sg_pki_make(pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    const struct sg_pki_id *id =
        sg_pki_make(pki, &(struct sg_pki_spec){.name = "server", .issuer = ca});
    const struct sg_tls_ca row = {"a", ca->cert_file, NULL};
    struct sg_tls_trust *trust = NULL;
    require(sg_tls_trust_load(&row, 1, false, &trust, NULL) == SG_OK);
    const struct sg_tls_server_options options = {
        id->cert_file, id->key_file, trust, h2, 1, SG_TLS_KEY_UPDATES_DEFAULT};
    require(sg_tls_server_ctx_new(&options, &ctx, NULL) == SG_OK);
    sg_tls_trust_free(trust);
    sg_pki_free(pki);
    return ctx;
}

/* How it ended, after feeding `step` bytes at a time. */
static enum sg_rc run(const uint8_t *data, size_t size, size_t step)
{
    struct sg_tls_conn *conn;
    struct sg_buf plain;
    struct sg_err err = {0};
    enum sg_rc rc = SG_OK;
    sg_buf_init(&plain, PLAIN_MAX);
    require(sg_tls_accept_new(server(), OUT_MAX, &conn, NULL) == SG_OK);
    for (size_t at = 0; at < size && rc == SG_OK; at += step)
        rc = sg_tls_feed(conn, sg_slice_of(data + at, size - at < step ? size - at : step), &plain,
                         &err);
    require(rc == err.rc);
    require(!sg_tls_is_ready(conn) && !sg_tls_peer(conn)->is_present && plain.len == 0);
    require(sg_tls_out(conn)->len <= OUT_MAX);
    require(sg_tls_send(conn, SG_SLICE("x"), NULL) == (rc == SG_OK ? SG_E_AGAIN : SG_E_INVALID));
    if (rc != SG_OK)
        require(sg_tls_feed(conn, SG_SLICE("x"), &plain, NULL) == SG_E_INVALID);
    sg_tls_conn_free(conn);
    sg_buf_done(&plain);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    require(run(data, size, size) == run(data, size, 1));
    return 0;
}
