#include "proto/pb/precheck.h"

#include <stdio.h>

#include "base/utf8.h"
#include "proto/pb/types.h"
#include "proto/pb/wire.h"

enum { DEPTH_LIMIT = 64 };

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
    uint64_t seen; /* bit i: singular field i of desc */
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
    return refuse(walk, level, SG_R_MALFORMED_MESSAGE, name, 0, what);
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

/* The values of a packed field, one behind the other. */
static enum sg_rc check_packed(struct walk *walk, const struct level *level,
                               const ProtobufCFieldDescriptor *field, struct sg_slice values)
{
    size_t n = 0;
    for (; values.len > 0; n++) {
        struct sg_slice value;
        if (!sg_pb_take_value(&values, sg_pb_wire_type_of(field->type), &value))
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

    if (sg_pb_is_taken(desc, field, level->seen) &&
        (walk->limits->strict || field->type == PROTOBUF_C_TYPE_MESSAGE))
        return malformed(walk, level, field->name, "given twice, or beside another of its oneof");
    level->seen |= (uint64_t)1 << (field - desc->fields);
    return SG_OK;
}

static enum sg_rc check_message(struct walk *walk, struct level *level, struct sg_slice wire);

static enum sg_rc check_field(struct walk *walk, struct level *level,
                              const ProtobufCFieldDescriptor *field, unsigned wire_type,
                              struct sg_slice value)
{
    SG_TRY(check_once(walk, level, field));

    enum sg_pb_wire_type wanted = sg_pb_wire_type_of(field->type);
    if (wire_type != (unsigned)wanted) {
        /* A repeated number may come packed or not, whatever the .proto file says. */
        if (field->label == PROTOBUF_C_LABEL_REPEATED && wire_type == SG_PB_BYTES)
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
        if (!sg_pb_take_varint32(&wire, &tag) || tag >> 3 == 0)
            return malformed(walk, level, "?", "not a tag of a field");

        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(level->desc, tag >> 3);
        if (field == NULL && walk->limits->strict)
            return refuse(walk, level, SG_R_UNKNOWN_FIELD, NULL, tag >> 3, "unknown field");
        if (!sg_pb_take_value(&wire, tag & 7, &value))
            return refuse(walk, level, SG_R_MALFORMED_MESSAGE, field != NULL ? field->name : NULL,
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
