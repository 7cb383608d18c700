#ifndef SG_PROTO_H1_H1_H
#define SG_PROTO_H1_H1_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/grpc/server.h"

/*
 * The serving end of one HTTP/1.1 connection (RFC 9112), for clients that have no HTTP/2: Connect
 * and gRPC-Web. gRPC itself needs trailers, and a bidirectional stream needs both directions at
 * once; neither can be had here.
 *
 * It is a front of the same server: each request, one after the other, becomes a stream of an
 * HTTP/2 connection in memory, so every limit, time-out and defence of proto/grpc/server.h holds
 * here too and is written once. The price is a second framing, paid by those who choose the older
 * protocol.
 *
 * The functions are those of sg_rpc_server and mean the same.
 *
 * Thread: one at a time; its owner's loop.
 */
struct sg_h1;

SG_MUST_USE enum sg_rc sg_h1_new(const struct sg_rpc_limits *limits,
                                 const struct sg_method_table *table,
                                 const struct sg_call_handler *handler, void *connection,
                                 int64_t now_ns, struct sg_h1 **ret, struct sg_err *err);
/* A call still open gets its `closed`. */
void sg_h1_free(struct sg_h1 *h1);
SG_DEFINE_AUTO(struct sg_h1, sg_h1_free);

/* What is malformed is answered, and then nothing more is read; so this fails only when the server
 * does, or when a client sends on and on without waiting for its answers. */
SG_MUST_USE enum sg_rc sg_h1_feed(struct sg_h1 *h1, int64_t now_ns, struct sg_slice bytes,
                                  struct sg_err *err);
SG_MUST_USE enum sg_rc sg_h1_pull(struct sg_h1 *h1, size_t max_bytes, struct sg_buf *out,
                                  struct sg_err *err);
bool sg_h1_wants_pull(const struct sg_h1 *h1);
/* False once it has dropped enough behind its last answer, and for good: what the client still
 * writes is best left in the socket, unread, where it keeps the client from writing and not from
 * reading. */
bool sg_h1_wants_feed(const struct sg_h1 *h1);

int64_t sg_h1_due(const struct sg_h1 *h1);
SG_MUST_USE enum sg_rc sg_h1_tick(struct sg_h1 *h1, int64_t now_ns, struct sg_err *err);

/* The connection ends with the answer under way, or at once when there is none. */
void sg_h1_drain(struct sg_h1 *h1);
bool sg_h1_is_done(const struct sg_h1 *h1);
enum sg_why sg_h1_why(const struct sg_h1 *h1);
size_t sg_h1_take_stalled(struct sg_h1 *h1);

#endif
