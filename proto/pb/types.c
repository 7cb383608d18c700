#include "proto/pb/types.h"

#include <stdlib.h>

#include "base/err.h"

static int compare(const void *key, const void *element)
{
    const struct sg_slice *name = key;
    const struct sg_pb_type *type = element;
    size_t len = strlen(type->desc->name), common = name->len < len ? name->len : len;
    int order = common == 0 ? 0 : memcmp(name->ptr, type->desc->name, common);
    return order != 0 ? order : (name->len > len) - (name->len < len);
}

const struct sg_pb_type *sg_pb_type_find(const struct sg_pb_types *types, struct sg_slice name)
{
    return bsearch(&name, types->types, types->count, sizeof(*types->types), compare);
}

bool sg_pb_is_taken(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field,
                    uint64_t seen)
{
    SG_ASSERT(desc->n_fields <= 64);
    if ((seen >> (field - desc->fields) & 1) != 0)
        return true;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
        return false;
    for (uint64_t left = seen; left != 0; left &= left - 1) {
        const ProtobufCFieldDescriptor *other = &desc->fields[__builtin_ctzll(left)];
        if ((other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            other->quantifier_offset == field->quantifier_offset)
            return true;
    }
    return false;
}
