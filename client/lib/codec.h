#ifndef SG_CLIENT_CODEC_H
#define SG_CLIENT_CODEC_H

#include "base/arena.h"
#include "client/include/sealgate.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

/* Small steps between the public structs and protobuf-c's. */

/* Text of a request: protobuf-c takes no const though it only reads, and packs nothing for the
 * empty string. */
static inline char *sg_client_text(const char *text)
{
    const char *given = text == NULL ? protobuf_c_empty_string : text;
    char *out;

    memcpy(&out, &given, sizeof(out));
    return out;
}

static inline ProtobufCBinaryData sg_client_data(struct sealgate_bytes bytes)
{
    ProtobufCBinaryData out = {.len = bytes.len};

    memcpy(&out.data, &bytes.ptr, sizeof(out.data));
    return out;
}

static inline struct sg_slice sg_client_slice(struct sealgate_bytes bytes)
{
    return sg_slice_of(bytes.ptr, bytes.len);
}

static inline struct sealgate_bytes sg_client_bytes(ProtobufCBinaryData data)
{
    return (struct sealgate_bytes){data.data, data.len};
}

/* 0 for none and for what 64 bits of nanoseconds cannot hold (before 1970, after 2262). */
int64_t sg_client_time_ns(const Google__Protobuf__Timestamp *time);
/* Rounded up; 0 for none or negative; at most UINT32_MAX. */
uint32_t sg_client_duration_ms(const Google__Protobuf__Duration *duration);

/* DER as RFC 7468 text with this label, in the arena; NULL: no memory left in it. */
const char *sg_client_pem(struct sg_arena *arena, const char *label, struct sg_slice der);

#endif
