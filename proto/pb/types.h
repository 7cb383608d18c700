#ifndef SG_PROTO_PB_TYPES_H
#define SG_PROTO_PB_TYPES_H

#include <protobuf-c/protobuf-c.h>

#include "base/slice.h"

/*
 * Every message type of the .proto files by its full name, with what protobuf-c's descriptors do
 * not tell. Generated (generated/types.[ch]).
 *
 * Thread: any.
 */
struct sg_pb_type {
    const ProtobufCMessageDescriptor *desc;
    bool is_map_entry; /* the {key, value} of a map field */
};

/* Sorted by name. */
struct sg_pb_types {
    const struct sg_pb_type *types;
    size_t count;
};

/* By full name, or NULL. */
const struct sg_pb_type *sg_pb_type_find(const struct sg_pb_types *types, struct sg_slice name);

/* Whether `seen`, which has bit i for the i-th field of `desc`, has `field` or another member of
 * its oneof, of which one may be set. No message has more than 64 fields (the lint of the .proto
 * files). */
bool sg_pb_is_taken(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field,
                    uint64_t seen);

#endif
