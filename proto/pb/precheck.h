#ifndef SG_PROTO_PB_PRECHECK_H
#define SG_PROTO_PB_PRECHECK_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/slice.h"

/*
 * Judges the bytes of a message before protobuf-c may build anything out of them.
 *
 * protobuf-c 1.4 recurses once per level of nesting without a bound; takes strings that are not
 * UTF-8; ends a string at its first NUL, so that "prod\0evil" compares equal to "prod"; and reads
 * in front of its tables when it merges a message that came twice and has an unset oneof. All of
 * that is refused here, in one walk over the bytes that allocates nothing.
 */
struct sg_pb_limits {
    unsigned depth_max;  /* messages inside messages; the outermost is 1; at most 64 */
    size_t elements_max; /* fields, and values of packed fields, at all levels together */

    /*
     * For requests whose meaning must not depend on who reads them: refuses fields that the
     * descriptor does not have, a singular field that comes twice, and two members of one oneof.
     * (A singular message that comes twice is refused without it too.)
     */
    bool strict;
};

/*
 * Whether `wire` is a well-formed message of type `desc` within the limits. What it accepts,
 * protobuf-c can unpack; only memory can fail. Field order and padded varints are not judged.
 *
 * Errors:  SG_E_INTERNAL  MALFORMED_MESSAGE, as gRPC's statuscodes.md has it;
 *          SG_E_INVALID  UNKNOWN_FIELD; the message names the field
 *          SG_E_LIMIT    MESSAGE_TOO_LARGE: more elements than allowed
 */
SG_MUST_USE enum sg_rc sg_pb_precheck(const ProtobufCMessageDescriptor *desc, struct sg_slice wire,
                                      const struct sg_pb_limits *limits, struct sg_err *err);

#endif
