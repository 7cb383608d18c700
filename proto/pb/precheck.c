#include "proto/pb/precheck.h"

#include <stdio.h>

#include "base/utf8.h"

/* Protocol Buffers, Encoding: the low three bits of a tag. 3 and 4 are groups, refused. */
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum { DEPTH_LIMIT = 64, FIELDS_LIMIT = 64 };

struct walk {
    const struct sg_pb_limits *limits;
    size_t elements;
    struct sg_err *err;
};

/* One level of nesting; the chain of parents is the path for messages. */
struct level {
    const struct level *parent;
    const ProtobufCMessageDescriptor *desc;
    const char *name; /* of the field in the parent; NULL for the outermost */
    unsigned depth;
    uint64_t seen; /* bit i: singular field i of desc, or another member of its oneof */
};

/* "items.request.digest", as far as there is room. */
static void write_path(const struct level *level, char *out, size_t size)
{
    const char *names[DEPTH_LIMIT];
    size_t count = 0, len = 0;
    for (; level->name != NULL; level = level->parent)
        names[count++] = level->name;
    out[0] = '\0';
    while (count > 0 && len < size) {
        int n = snprintf(out + len, size - len, "%s%s", len == 0 ? "" : ".", names[--count]);
        len += n > 0 ? (size_t)n : 0;
    }
}

/* Refuses the request for what is wrong at `level`, with field `name` or else number `field`. */
static enum sg_rc refuse(const struct walk *walk, const struct level *level, enum sg_reason reason,
                         const char *name, uint32_t field, const char *what)
{
    char path[96];
    char number[32];
    write_path(level, path, sizeof(path));
    snprintf(number, sizeof(number), "field %u", field);
    return SG_REFUSE(walk->err, reason, "%s: \"%s%s%s\" of a %s", what, path,
                     path[0] == '\0' ? "" : ".", name != NULL ? name : number,
                     level->desc->short_name);
}

static enum sg_rc malformed(const struct walk *walk, const struct level *level, const char *name,
                            const char *what)
{
    return refuse(walk, level, SG_R_MALFORMED_REQUEST, name, 0, what);
}

static enum sg_rc count(struct walk *walk, size_t elements)
{
    if (elements > walk->limits->elements_max - walk->elements)
        return SG_REFUSE(walk->err, SG_R_MESSAGE_TOO_LARGE,
                         "the message has more than %zu fields and values",
                         walk->limits->elements_max);
    walk->elements += elements;
    return SG_OK;
}

/* A varint of at most `bytes_max` bytes and 64 bits; false when `*in` has none. */
static bool take_varint(struct sg_slice *in, size_t bytes_max, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes_max && i < in->len; i++) {
        uint8_t byte = in->ptr[i];
        if (i == 9 && byte > 1)
            return false; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            (void)sg_slice_take(in, i + 1);
            *ret = value;
            return true;
        }
    }
    return false;
}

/* Tags and lengths are at most 32 bits in at most five bytes: what protobuf-c reads. */
static bool take_varint32(struct sg_slice *in, uint32_t *ret)
{
    uint64_t value;
    if (!take_varint(in, 5, &value) || value > UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

/* The value behind a tag; `*ret` is the payload of a WIRE_BYTES and else the value itself. */
static bool take_value(struct sg_slice *in, unsigned wire_type, struct sg_slice *ret)
{
    uint32_t len = 0;
    uint64_t ignored;
    const uint8_t *start = in->ptr;
    switch (wire_type) {
    case WIRE_VARINT:
        if (!take_varint(in, 10, &ignored))
            return false;
        *ret = sg_slice_of(start, (size_t)(in->ptr - start));
        return true;
    case WIRE_FIXED64:
        len = 8;
        break;
    case WIRE_FIXED32:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!take_varint32(in, &len) || len > INT32_MAX)
            return false;
        break;
    default: /* groups, and what no version defines */
        return false;
    }
    if (in->len < len)
        return false;
    *ret = sg_slice_take(in, len);
    return true;
}

/* How a value of this type stands on the wire when it is not packed. */
static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return WIRE_VARINT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return WIRE_BYTES;
}

/* The values of a packed field, one behind the other. */
static enum sg_rc check_packed(struct walk *walk, const struct level *level,
                               const ProtobufCFieldDescriptor *field, struct sg_slice values)
{
    size_t n = 0;
    for (; values.len > 0; n++) {
        struct sg_slice value;
        if (!take_value(&values, wire_type_of(field->type), &value))
            return malformed(walk, level, field->name, "a packed value is cut short");
        /* protobuf-c takes packed booleans to be one byte each. */
        if (field->type == PROTOBUF_C_TYPE_BOOL && (value.len != 1 || value.ptr[0] > 1))
            return malformed(walk, level, field->name, "a packed boolean is neither 0 nor 1");
    }
    /* The field itself has been counted as one. */
    return n > 1 ? count(walk, n - 1) : SG_OK;
}

/*
 * Notes that a singular field came. The second one is refused, and a second member of its oneof:
 * always for messages, because of protobuf-c's merge_messages(); for others when strict.
 */
static enum sg_rc check_once(struct walk *walk, struct level *level,
                             const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *desc = level->desc;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return SG_OK;
    SG_ASSERT(desc->n_fields <= FIELDS_LIMIT); /* the lint of the .proto files holds it */

    unsigned index = (unsigned)(field - desc->fields);
    if ((level->seen >> index & 1) != 0 &&
        (walk->limits->strict || field->type == PROTOBUF_C_TYPE_MESSAGE))
        return malformed(walk, level, field->name, "given twice, or beside another of its oneof");

    level->seen |= (uint64_t)1 << index;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
        return SG_OK;
    for (unsigned i = 0; i < desc->n_fields; i++)
        if ((desc->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            desc->fields[i].quantifier_offset == field->quantifier_offset)
            level->seen |= (uint64_t)1 << i;
    return SG_OK;
}

static enum sg_rc check_message(struct walk *walk, struct level *level, struct sg_slice wire);

static enum sg_rc check_field(struct walk *walk, struct level *level,
                              const ProtobufCFieldDescriptor *field, unsigned wire_type,
                              struct sg_slice value)
{
    SG_TRY(check_once(walk, level, field));

    enum wire_type wanted = wire_type_of(field->type);
    if (wire_type != (unsigned)wanted) {
        /* A repeated number may come packed or not, whatever the .proto file says. */
        if (field->label == PROTOBUF_C_LABEL_REPEATED && wire_type == WIRE_BYTES)
            return check_packed(walk, level, field, value);
        return malformed(walk, level, field->name, "not encoded as its type");
    }

    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL)
            return malformed(walk, level, field->name, "a string holds a NUL");
        if (!sg_utf8_is_valid(value))
            return malformed(walk, level, field->name, "a string is not UTF-8");
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (level->depth >= walk->limits->depth_max)
            return malformed(walk, level, field->name, "nested too deep");
        struct level inner = {level, field->descriptor, field->name, level->depth + 1, 0};
        return check_message(walk, &inner, value);
    }
    return SG_OK;
}

/* Recursion is bounded by limits->depth_max. */
static enum sg_rc check_message(struct walk *walk, struct level *level, struct sg_slice wire)
{
    while (wire.len > 0) {
        uint32_t tag;
        struct sg_slice value;
        SG_TRY(count(walk, 1));
        if (!take_varint32(&wire, &tag) || tag >> 3 == 0)
            return malformed(walk, level, "?", "not a tag of a field");

        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(level->desc, tag >> 3);
        if (field == NULL && walk->limits->strict)
            return refuse(walk, level, SG_R_UNKNOWN_FIELD, NULL, tag >> 3, "unknown field");
        if (!take_value(&wire, tag & 7, &value))
            return refuse(walk, level, SG_R_MALFORMED_REQUEST, field != NULL ? field->name : NULL,
                          tag >> 3, "a value is cut short or of no known kind");
        if (field != NULL)
            SG_TRY(check_field(walk, level, field, tag & 7, value));
    }
    return SG_OK;
}

enum sg_rc sg_pb_precheck(const ProtobufCMessageDescriptor *desc, struct sg_slice wire,
                          const struct sg_pb_limits *limits, struct sg_err *err)
{
    SG_ASSERT(limits->depth_max >= 1 && limits->depth_max <= DEPTH_LIMIT);
    struct walk walk = {limits, 0, err};
    struct level outermost = {NULL, desc, NULL, 1, 0};
    return check_message(&walk, &outermost, wire);
}
