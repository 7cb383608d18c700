#ifndef SG_PROTO_GRPC_PERCENT_H
#define SG_PROTO_GRPC_PERCENT_H

#include "base/buf.h"
#include "base/slice.h"

/*
 * Percent-encoding of grpc-message (PROTOCOL-HTTP2.md, Status-Message): space to '~' except '%'
 * stand for themselves, every other byte is %XX.
 */

/* Appends `text`, encoded. */
void sg_percent_encode(struct sg_slice text, struct sg_buf *out);

/* Appends `encoded`, decoded. Never fails on a bad escape: what is none stays as it is, so that
 * a broken peer's message is still read. The result may be any bytes. */
void sg_percent_decode(struct sg_slice encoded, struct sg_buf *out);

#endif
