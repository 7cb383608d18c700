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

uint64_t sg_pb_exclusive(const ProtobufCMessageDescriptor *desc,
                         const ProtobufCFieldDescriptor *field)
{
    SG_ASSERT(desc->n_fields <= 64);
    uint64_t set = (uint64_t)1 << (field - desc->fields);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
        return set;
    for (unsigned i = 0; i < desc->n_fields; i++)
        if ((desc->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            desc->fields[i].quantifier_offset == field->quantifier_offset)
            set |= (uint64_t)1 << i;
    return set;
}
