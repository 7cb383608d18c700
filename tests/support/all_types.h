#ifndef SG_TESTS_SUPPORT_ALL_TYPES_H
#define SG_TESTS_SUPPORT_ALL_TYPES_H

#include "all_types.pb-c.h"
#include "proto/pb/types.h"

/* The types of all_types.proto, as the build makes such a table for proto/. */
extern const struct sg_pb_types all_types;

#endif
