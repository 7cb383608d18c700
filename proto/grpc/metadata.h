#ifndef SG_PROTO_GRPC_METADATA_H
#define SG_PROTO_GRPC_METADATA_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/*
 * Custom-Metadata of PROTOCOL-HTTP2.md: names and values of one header block, in order, in an
 * arena. A name that ends in "-bin" has any bytes as its value, base64 on the wire.
 */
struct sg_metadata_entry {
    struct sg_metadata_entry *next;
    struct sg_slice name, value;
};

/* {0} is empty. */
struct sg_metadata {
    struct sg_metadata_entry *first, *last;
    size_t count;
};

/* Lower-case letters, digits, '_', '-', '.'; at least one. */
bool sg_metadata_name_is_valid(struct sg_slice name);
/* "grpc-...", names that HTTP means something by, and pseudo-headers: not for metadata. */
bool sg_metadata_name_is_reserved(struct sg_slice name);
bool sg_metadata_name_is_bin(struct sg_slice name);
/* Printable ASCII, not beginning or ending with a space. */
bool sg_metadata_value_is_valid(struct sg_slice value);

/*
 * Adds a field as it came from the wire, copied. A "-bin" value is split at its commas and each
 * part decoded, padded or not. Other values are taken as they are: they must not be judged.
 *
 * Errors: SG_E_INVALID a "-bin" value is no base64; SG_E_LIMIT the arena is full
 */
SG_MUST_USE enum sg_rc sg_metadata_add_wire(struct sg_metadata *metadata, struct sg_arena *arena,
                                            struct sg_slice name, struct sg_slice value,
                                            struct sg_err *err);

/*
 * Adds a field to be sent: judged, copied, "-bin" encoded (unpadded).
 *
 * Errors: SG_E_INVALID the name or the value may not be sent; SG_E_LIMIT the arena is full
 */
SG_MUST_USE enum sg_rc sg_metadata_add_own(struct sg_metadata *metadata, struct sg_arena *arena,
                                           struct sg_slice name, struct sg_slice value,
                                           struct sg_err *err);

/* Adds an entry of another list again, as it is to be sent, with `prefix` in front of its name. */
SG_MUST_USE enum sg_rc sg_metadata_add_prefixed(struct sg_metadata *metadata,
                                                struct sg_arena *arena, struct sg_slice prefix,
                                                const struct sg_metadata_entry *entry,
                                                struct sg_err *err);

/* Wipes the values of this name, which are then empty. */
void sg_metadata_wipe(struct sg_metadata *metadata, struct sg_slice name);

/* The first value of this name, or the empty slice; it lives as long as the arena. */
struct sg_slice sg_metadata_find(const struct sg_metadata *metadata, struct sg_slice name);

#endif
