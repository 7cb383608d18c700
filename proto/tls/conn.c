#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "proto/tls/tls_priv.h"

/*
 * RECORD_MAX is RFC 8446 §5.1; a record gains at most 5 + 8 + 16 bytes of header, nonce and tag,
 * and one of content type.
 */
enum { RECORD_MAX = 16384, RECORD_OVERHEAD_MAX = 64 };

/*
 * OpenSSL 3.0 bounds neither KeyUpdates nor refused renegotiations, each of which costs more to
 * answer than to send. `key_updates_max` are free, and each MiB of data received buys another: a
 * peer that changes its keys as RFC 8446 §5.5 asks does so once in many MiB.
 */
enum { BYTES_PER_LATE_HANDSHAKE = 1 << 20 };

/* Sees every record header (TLS 1.2) and every inner content type (TLS 1.3). */
static void on_record(int is_sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
                      void *arg)
{
    (void)version;
    struct sg_tls_conn *conn = arg;
    const uint8_t *content_type = bytes;
    bool tells_type = type == SSL3_RT_HEADER || type == SSL3_RT_INNER_CONTENT_TYPE;
    if (!is_sent && conn->is_ready && tells_type && len > 0 &&
        content_type[0] == SSL3_RT_HANDSHAKE && SSL_is_init_finished(ssl))
        conn->late_handshakes++;
}

static enum sg_rc conn_new(struct sg_tls_ctx *ctx, size_t out_bytes_max, struct sg_tls_conn **ret,
                           struct sg_err *err)
{
    SG_AUTO(sg_tls_conn_free) struct sg_tls_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a TLS connection");
    conn->ctx = sg_tls_ctx_hold(ctx);
    sg_buf_init(&conn->out, out_bytes_max);

    ERR_clear_error();
    conn->ssl = SSL_new(ctx->ssl);
    BIO *bio = conn->ssl == NULL ? NULL : sg_tls_bio_new(conn);
    if (bio == NULL)
        return SG_TLS_FAIL(err, SG_E_INTERNAL, "could not make a TLS connection", NULL);
    SSL_set_bio(conn->ssl, bio, bio);
    SSL_set_msg_callback(conn->ssl, on_record);
    SSL_set_msg_callback_arg(conn->ssl, conn);
    *ret = SG_STEAL(conn);
    return SG_OK;
}

enum sg_rc sg_tls_accept_new(struct sg_tls_ctx *ctx, size_t out_bytes_max, struct sg_tls_conn **ret,
                             struct sg_err *err)
{
    SG_ASSERT(ctx->is_server);
    SG_AUTO(sg_tls_conn_free) struct sg_tls_conn *conn = NULL;
    SG_TRY(conn_new(ctx, out_bytes_max, &conn, err));
    SSL_set_accept_state(conn->ssl);
    *ret = SG_STEAL(conn);
    return SG_OK;
}

/* Whom the server must prove to be; a name also goes into SNI, an address must not (RFC 6066 §3).
 */
static bool set_server_name(SSL *ssl, const char *server_name)
{
    char name[256]; /* a DNS name has at most 253 characters */
    size_t len = strlen(server_name);
    if (len == 0 || len >= sizeof(name))
        return false;
    memcpy(name, server_name, len + 1);

    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return true;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* What others left there, SSL_get_error() would take for ours. Clearing walks the whole queue, so
 * it is done only where there is something. */
static void clear_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

static bool wants_more(const struct sg_tls_conn *conn, int result)
{
    return SSL_get_error(conn->ssl, result) == SSL_ERROR_WANT_READ && !conn->out.failed;
}

/* OpenSSL has given up; what it had to say about that is in the out buffer. */
static enum sg_rc give_up(struct sg_tls_conn *conn, const char *what, struct sg_err *err)
{
    conn->is_failed = true;
    if (conn->out.failed) {
        ERR_clear_error();
        return SG_FAIL(err, SG_E_LIMIT, 0, "%s: the peer takes nothing of what waits for it", what);
    }
    long verdict = SSL_get_verify_result(conn->ssl);
    if (!conn->is_ready && verdict != X509_V_OK) {
        ERR_clear_error();
        return SG_FAIL(err, SG_E_UNAUTHENTICATED, (unsigned long)verdict, "%s: %s", what,
                       X509_verify_cert_error_string(verdict));
    }
    return SG_TLS_FAIL(err, SG_E_INVALID, what, NULL);
}

/* SG_E_AGAIN: more input is needed. */
static enum sg_rc handshake(struct sg_tls_conn *conn, struct sg_err *err)
{
    int result = SSL_do_handshake(conn->ssl);
    if (result != 1)
        return wants_more(conn, result) ? SG_E_AGAIN : give_up(conn, "could not shake hands", err);
    /* A server that knows no ALPN answers without it; ours has refused by then. */
    if (sg_tls_alpn(conn).len == 0 && !conn->ctx->alpn_is_optional) {
        conn->is_failed = true;
        return SG_FAIL(err, SG_E_INVALID, 0, "could not shake hands: the peer chose no protocol");
    }
    if (conn->ctx->trust != NULL) {
        enum sg_rc rc = sg_tls_trust_describe(conn->ctx->trust, conn->ssl, &conn->peer, err);
        if (rc != SG_OK) {
            conn->is_failed = true;
            return rc;
        }
    }
    conn->is_ready = true;
    return SG_OK;
}

enum sg_rc sg_tls_connect_new(struct sg_tls_ctx *ctx, const char *server_name, int64_t wall_ns,
                              size_t out_bytes_max, struct sg_tls_conn **ret, struct sg_err *err)
{
    SG_ASSERT(!ctx->is_server);
    SG_AUTO(sg_tls_conn_free) struct sg_tls_conn *conn = NULL;
    SG_TRY(conn_new(ctx, out_bytes_max, &conn, err));
    SSL_set_connect_state(conn->ssl);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(conn->ssl), (time_t)(wall_ns / 1000000000));
    if (!set_server_name(conn->ssl, server_name))
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not use the server name", server_name);
    enum sg_rc rc = handshake(conn, err);
    if (rc != SG_E_AGAIN)
        return rc != SG_OK ? rc : SG_FAIL(err, SG_E_INTERNAL, 0, "the handshake ended early");
    *ret = SG_STEAL(conn);
    return SG_OK;
}

void sg_tls_conn_free(struct sg_tls_conn *conn)
{
    if (conn == NULL)
        return;
    SSL_free(conn->ssl);
    sg_buf_done(&conn->out);
    sg_tls_ctx_free(conn->ctx);
    free(conn);
}

static enum sg_rc check_late_handshakes(struct sg_tls_conn *conn, struct sg_err *err)
{
    if (!sg_tls_has_negotiated_on(conn))
        return SG_OK;
    conn->is_failed = true;
    return SG_FAIL(err, SG_E_LIMIT, 0, "the peer went on negotiating after the handshake");
}

/* Reads records until the input is used up. */
static enum sg_rc read_records(struct sg_tls_conn *conn, struct sg_buf *plain, struct sg_err *err)
{
    for (;;) {
        size_t room = plain->max - plain->len, got = 0;
        uint8_t *at = sg_buf_room(plain, room < RECORD_MAX ? room : RECORD_MAX);
        if (room == 0 || at == NULL) {
            conn->is_failed = true;
            return SG_FAIL(err, SG_E_LIMIT, 0, "could not take in what the peer sent: no room");
        }
        int result = SSL_read_ex(conn->ssl, at, room < RECORD_MAX ? room : RECORD_MAX, &got);
        sg_buf_claim(plain, got);
        conn->plain_bytes += got;
        SG_TRY(check_late_handshakes(conn, err));
        if (result == 1 && (conn->in.len > 0 || SSL_has_pending(conn->ssl)))
            continue;
        if (result == 1) /* the next call would find nothing: it costs as much as this one */
            return SG_OK;
        if (SSL_get_error(conn->ssl, result) == SSL_ERROR_ZERO_RETURN) {
            conn->peer_has_closed = true;
            return SG_OK;
        }
        return wants_more(conn, result) ? SG_OK : give_up(conn, "could not read a record", err);
    }
}

enum sg_rc sg_tls_feed(struct sg_tls_conn *conn, struct sg_slice in, struct sg_buf *plain,
                       struct sg_err *err)
{
    if (conn->is_failed)
        return SG_FAIL(err, SG_E_INVALID, 0, "the TLS connection has failed before");
    /* Whatever comes behind a close_notify is ignored (RFC 8446 §6.1). */
    if (conn->peer_has_closed)
        return SG_OK;

    conn->in = in;
    clear_errors();
    enum sg_rc rc = conn->is_ready ? SG_OK : handshake(conn, err);
    if (rc == SG_OK)
        rc = read_records(conn, plain, err);
    conn->in = (struct sg_slice){0};
    return rc == SG_E_AGAIN ? SG_OK : rc;
}

enum sg_rc sg_tls_send(struct sg_tls_conn *conn, struct sg_slice plain, struct sg_err *err)
{
    if (conn->is_failed || conn->is_closed)
        return SG_FAIL(err, SG_E_INVALID, 0, "the TLS connection is over");
    if (!conn->is_ready)
        return SG_E_AGAIN;
    size_t room = conn->out.max - conn->out.len;
    size_t overhead = (plain.len / RECORD_MAX + 1) * RECORD_OVERHEAD_MAX;
    if (overhead > room || plain.len > room - overhead)
        return SG_FAIL(err, SG_E_LIMIT, 0, "%zu bytes wait for the peer already", conn->out.len);

    while (plain.len > 0) {
        size_t written;
        /* Our BIO never asks to be tried again, so whatever fails here is over. */
        if (SSL_write_ex(conn->ssl, plain.ptr, plain.len, &written) != 1)
            return give_up(conn, "could not write a record", err);
        (void)sg_slice_take(&plain, written);
    }
    return SG_OK;
}

void sg_tls_close(struct sg_tls_conn *conn)
{
    if (!conn->is_ready || conn->is_failed || conn->is_closed)
        return;
    ERR_clear_error();
    conn->is_closed = true;
    /* Nobody can act on a failure: the connection ends either way. */
    (void)SSL_shutdown(conn->ssl);
    ERR_clear_error();
}

bool sg_tls_has_negotiated_on(const struct sg_tls_conn *conn)
{
    return conn->late_handshakes >
           conn->ctx->key_updates_max + conn->plain_bytes / BYTES_PER_LATE_HANDSHAKE;
}

struct sg_buf *sg_tls_out(struct sg_tls_conn *conn)
{
    return &conn->out;
}

bool sg_tls_is_ready(const struct sg_tls_conn *conn)
{
    return conn->is_ready;
}

bool sg_tls_peer_has_closed(const struct sg_tls_conn *conn)
{
    return conn->peer_has_closed;
}

const struct sg_tls_peer *sg_tls_peer(const struct sg_tls_conn *conn)
{
    return &conn->peer;
}

struct sg_slice sg_tls_alpn(const struct sg_tls_conn *conn)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(conn->ssl, &name, &len);
    return sg_slice_of(name, len);
}

const char *sg_tls_version(const struct sg_tls_conn *conn)
{
    return SSL_get_version(conn->ssl);
}

const char *sg_tls_cipher(const struct sg_tls_conn *conn)
{
    return SSL_get_cipher_name(conn->ssl);
}
