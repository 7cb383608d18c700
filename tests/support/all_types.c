#include "tests/support/all_types.h"

#include "base/err.h"

static const struct sg_pb_type types[] = {
    {&google__protobuf__any__descriptor, false},
    {&google__protobuf__duration__descriptor, false},
    {&google__protobuf__timestamp__descriptor, false},
    {&test__all_types__descriptor, false},
    {&test__all_types__by_id_entry__descriptor, true},
    {&test__all_types__by_name_entry__descriptor, true},
    {&test__all_types__by_number_entry__descriptor, true},
    {&test__all_types__by_truth_entry__descriptor, true},
    {&test__inner__descriptor, false},
    {&test__leaf__descriptor, false},
};

const struct sg_pb_types all_types = {types, SG_COUNT(types)};
