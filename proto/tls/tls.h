#ifndef SG_PROTO_TLS_TLS_H
#define SG_PROTO_TLS_TLS_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "proto/tls/peer.h"

/*
 * TLS without sockets: bytes from the peer in, plain bytes out, and bytes for the peer into a
 * buffer that the owner writes.
 *
 * TLS 1.3, and TLS 1.2 with ECDHE and AEAD suites only (RFC 9113 §9.2.2); no renegotiation, no
 * compression, no early data (a replayed Sign), and no resumption: every connection proves its
 * key anew, so there are no ticket keys to guard and no identity that outlives a reload. ALPN is
 * obligatory (RFC 9113 §3.3).
 */

/* What a client of ours takes from its server, and the usual value for servers. */
enum { SG_TLS_KEY_UPDATES_DEFAULT = 16 };

/*
 * Certificate, key and rules of many connections. Immutable and counted, as sg_tls_trust is:
 * connections keep the one that they began with.
 *
 * Thread: any.
 */
struct sg_tls_ctx;

struct sg_tls_server_options {
    const char *cert_file; /* PEM, the server's certificate and its chain */
    const char *key_file;  /* PEM, not encrypted */
    /* Ask for a client certificate of these CAs; NULL: do not ask. A client that shows none is
     * let in and is nobody (sg_tls_peer_check); one that does not verify is not let in. */
    struct sg_tls_trust *client_trust;
    const char *const *alpn; /* in the order of preference: "h2" */
    size_t alpn_count;
    unsigned key_updates_max; /* of each connection, beyond one a MiB of data from the client */
};

struct sg_tls_client_options {
    const char *ca_file;   /* PEM, whom to believe; a CA in the middle of a chain will do */
    const char *cert_file; /* PEM with its chain; NULL: show none */
    const char *key_file;  /* PEM, not encrypted; with cert_file */
    const char *const *alpn;
    size_t alpn_count;
    bool alpn_is_optional; /* for HTTP/1.1, which is what a server without ALPN speaks */
};

/* Read the files named; nothing is kept open. Errors: SG_E_INVALID, with the file. */
SG_MUST_USE enum sg_rc sg_tls_server_ctx_new(const struct sg_tls_server_options *options,
                                             struct sg_tls_ctx **ret, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_tls_client_ctx_new(const struct sg_tls_client_options *options,
                                             struct sg_tls_ctx **ret, struct sg_err *err);
/* One owner less; connections are owners too. */
void sg_tls_ctx_free(struct sg_tls_ctx *ctx);
SG_DEFINE_AUTO(struct sg_tls_ctx, sg_tls_ctx_free);

/* One connection. Thread: one at a time; its owner's. */
struct sg_tls_conn;

/* At most `out_bytes_max` wait to be written; a handshake needs 64 KiB. */
SG_MUST_USE enum sg_rc sg_tls_accept_new(struct sg_tls_ctx *ctx, size_t out_bytes_max,
                                         struct sg_tls_conn **ret, struct sg_err *err);
/*
 * The same for the calling end; the ClientHello is in the buffer at once. The server must prove
 * to be `server_name`, a DNS name or an IP address, at the time `wall_ns`.
 */
SG_MUST_USE enum sg_rc sg_tls_connect_new(struct sg_tls_ctx *ctx, const char *server_name,
                                          int64_t wall_ns, size_t out_bytes_max,
                                          struct sg_tls_conn **ret, struct sg_err *err);
void sg_tls_conn_free(struct sg_tls_conn *conn);
SG_DEFINE_AUTO(struct sg_tls_conn, sg_tls_conn_free);

/*
 * Takes all of what the peer sent and appends what it says to `plain`, which must have room for
 * 16 KiB more than `in` has. After any failure: write what is in sg_tls_out() (there may be an
 * alert) and close; bytes appended to `plain` by the failed call may be used or not.
 *
 * Errors:  SG_E_INVALID          not TLS, or not as we want it; the message says why
 *          SG_E_UNAUTHENTICATED  the peer's certificate did not verify
 *          SG_E_LIMIT            too much waits to be written or does not fit into `plain`, or
 *                                the peer goes on negotiating without sending data
 */
SG_MUST_USE enum sg_rc sg_tls_feed(struct sg_tls_conn *conn, struct sg_slice in,
                                   struct sg_buf *plain, struct sg_err *err);

/*
 * Encrypts all of `plain` into sg_tls_out().
 *
 * Errors:  SG_E_AGAIN  the handshake is not over; nothing was taken
 *          SG_E_LIMIT  too much waits to be written; nothing was taken
 *          SG_E_INVALID  the connection has failed or was closed by us
 */
SG_MUST_USE enum sg_rc sg_tls_send(struct sg_tls_conn *conn, struct sg_slice plain,
                                   struct sg_err *err);

/* Says that we send no more (close_notify, RFC 8446 §6.1). */
void sg_tls_close(struct sg_tls_conn *conn);

/* It failed because the peer went on negotiating: KeyUpdates, or renegotiations refused. */
bool sg_tls_has_negotiated_on(const struct sg_tls_conn *conn);

/* What is to be written to the peer; the owner drops what it has written. */
struct sg_buf *sg_tls_out(struct sg_tls_conn *conn);

/* The handshake is over: data may be sent, and what follows is known. */
bool sg_tls_is_ready(const struct sg_tls_conn *conn);
/* The peer said that it sends no more. Without it an end of file is a cut connection. */
bool sg_tls_peer_has_closed(const struct sg_tls_conn *conn);
/* The client, as its certificate tells; nobody before the handshake is over, and for servers. */
const struct sg_tls_peer *sg_tls_peer(const struct sg_tls_conn *conn);
/* "h2"; lives as long as the connection. Empty before the handshake is over. */
struct sg_slice sg_tls_alpn(const struct sg_tls_conn *conn);
/* "TLSv1.3" and "TLS_AES_128_GCM_SHA256": for logs. Static storage. */
const char *sg_tls_version(const struct sg_tls_conn *conn);
const char *sg_tls_cipher(const struct sg_tls_conn *conn);

#endif
