#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "proto/json/json_priv.h"
#include "proto/pb/precheck.h"
#include "proto/pb/wire.h"

/* Wire bytes to JSON. sg_pb_precheck() has judged the bytes first, so the walk only reads. */

struct walk {
    const struct sg_pb_types *types;
    struct sg_buf *out;
    struct sg_err *err;
};

static const struct sg_pb_limits limits = {
    .depth_max = SG_JSON_DEPTH_MAX,
    .elements_max = SIZE_MAX, /* the bytes are our own, and bounded */
    .strict = true,
};

static enum sg_rc fail(const struct walk *walk, const ProtobufCMessageDescriptor *desc,
                       const char *why)
{
    return SG_FAIL(walk->err, SG_E_INTERNAL, 0, "could not write a %s as JSON: %s",
                   desc->short_name, why);
}

enum sg_json_special sg_json_special_of(const ProtobufCMessageDescriptor *desc)
{
    static const struct sg_slice package = {(const uint8_t *)"google.protobuf.", 16};
    if (!sg_slice_starts(sg_slice_str(desc->name), package))
        return SG_JSON_PLAIN;
    if (strcmp(desc->short_name, "Timestamp") == 0)
        return SG_JSON_TIMESTAMP;
    if (strcmp(desc->short_name, "Duration") == 0)
        return SG_JSON_DURATION;
    if (strcmp(desc->short_name, "Any") == 0)
        return SG_JSON_ANY;
    return SG_JSON_PLAIN;
}

/* --- scalars --- */

void sg_json_put_string(struct sg_buf *out, struct sg_slice text)
{
    static const char names[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                 ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    sg_buf_add_u8(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        char name = c < sizeof(names) ? names[c] : '\0';
        if (c >= 0x20 && name == '\0')
            continue;
        sg_buf_add(out, text.ptr + from, i - from);
        from = i + 1;
        if (name != '\0')
            sg_buf_add(out, (const char[]){'\\', name}, 2);
        else
            sg_buf_printf(out, "\\u%04x", c);
    }
    if (from < text.len)
        sg_buf_add(out, text.ptr + from, text.len - from);
    sg_buf_add_u8(out, '"');
}

/* Little endian, as many bytes as there are. */
static uint64_t fixed(struct sg_slice value)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < value.len; i++)
        bits |= (uint64_t)value.ptr[i] << (8 * i);
    return bits;
}

static uint64_t varint(struct sg_slice value)
{
    uint64_t bits = 0;
    bool is_one = sg_pb_take_varint(&value, value.len, &bits);
    SG_ASSERT(is_one);
    return bits;
}

static int64_t unzigzag(uint64_t bits)
{
    return (int64_t)(bits >> 1 ^ ((bits & 1) != 0 ? UINT64_MAX : 0));
}

/* The fewest digits that are read back as the same number. */
static void put_number(struct sg_buf *out, double value, bool is_single)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        sg_buf_add_str(out, isnan(value) ? "\"NaN\""
                            : value > 0  ? "\"Infinity\""
                                         : "\"-Infinity\"");
        return;
    }
    for (int digits = is_single ? FLT_DIG : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (is_single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    sg_buf_add_str(out, text);
}

static void put_enum(struct sg_buf *out, const ProtobufCEnumDescriptor *desc, int32_t value)
{
    const ProtobufCEnumValue *named = protobuf_c_enum_descriptor_get_value(desc, value);
    if (named != NULL)
        sg_json_put_string(out, sg_slice_str(named->name));
    else
        sg_buf_printf(out, "%" PRId32, value);
}

static void put_base64(struct sg_buf *out, struct sg_slice bytes)
{
    sg_buf_add_u8(out, '"');
    sg_base64_encode(bytes, SG_BASE64_STD, SG_BASE64_PADDED, out);
    sg_buf_add_u8(out, '"');
}

/* Everything but messages. `is_key`: of a map, where all is in quotes. */
static void put_scalar(struct sg_buf *out, const ProtobufCFieldDescriptor *field,
                       struct sg_slice value, bool is_key)
{
    const char *quote = is_key ? "\"" : "";
    float single;
    double number;
    uint32_t bits32;
    uint64_t bits64;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
        sg_buf_printf(out, "%s%" PRId32 "%s", quote, (int32_t)varint(value), quote);
        break;
    case PROTOBUF_C_TYPE_SINT32:
        sg_buf_printf(out, "%s%" PRId32 "%s", quote, (int32_t)unzigzag((uint32_t)varint(value)),
                      quote);
        break;
    case PROTOBUF_C_TYPE_SFIXED32:
        sg_buf_printf(out, "%s%" PRId32 "%s", quote, (int32_t)fixed(value), quote);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        sg_buf_printf(out, "%s%" PRIu32 "%s", quote, (uint32_t)varint(value), quote);
        break;
    case PROTOBUF_C_TYPE_FIXED32:
        sg_buf_printf(out, "%s%" PRIu32 "%s", quote, (uint32_t)fixed(value), quote);
        break;
    case PROTOBUF_C_TYPE_INT64:
        sg_buf_printf(out, "\"%" PRId64 "\"", (int64_t)varint(value));
        break;
    case PROTOBUF_C_TYPE_SINT64:
        sg_buf_printf(out, "\"%" PRId64 "\"", unzigzag(varint(value)));
        break;
    case PROTOBUF_C_TYPE_SFIXED64:
        sg_buf_printf(out, "\"%" PRId64 "\"", (int64_t)fixed(value));
        break;
    case PROTOBUF_C_TYPE_UINT64:
        sg_buf_printf(out, "\"%" PRIu64 "\"", varint(value));
        break;
    case PROTOBUF_C_TYPE_FIXED64:
        sg_buf_printf(out, "\"%" PRIu64 "\"", fixed(value));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        sg_buf_printf(out, "%s%s%s", quote, varint(value) != 0 ? "true" : "false", quote);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(out, field->descriptor, (int32_t)varint(value));
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        bits32 = (uint32_t)fixed(value);
        memcpy(&single, &bits32, sizeof(single));
        put_number(out, (double)single, true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        bits64 = fixed(value);
        memcpy(&number, &bits64, sizeof(number));
        put_number(out, number, false);
        break;
    case PROTOBUF_C_TYPE_STRING:
        sg_json_put_string(out, value);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_base64(out, value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        SG_ASSERT(field->type != PROTOBUF_C_TYPE_MESSAGE);
    }
}

/* --- messages --- */

static enum sg_rc put_message(const struct walk *walk, const ProtobufCMessageDescriptor *desc,
                              struct sg_slice wire, unsigned depth);

static enum sg_rc put_value(const struct walk *walk, const ProtobufCFieldDescriptor *field,
                            struct sg_slice value, unsigned depth)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return put_message(walk, field->descriptor, value, depth + 1);
    put_scalar(walk->out, field, value, false);
    return SG_OK;
}

/* A key or a value that the wire leaves out is there in JSON, as the zero of its type. */
static enum sg_rc put_zero(const struct walk *walk, const ProtobufCFieldDescriptor *field,
                           bool is_key, unsigned depth)
{
    static const uint8_t zeros[8] = {0};
    static const size_t lens[] = {[SG_PB_VARINT] = 1, [SG_PB_FIXED64] = 8, [SG_PB_FIXED32] = 4};
    struct sg_slice zero = {zeros, lens[sg_pb_wire_type_of(field->type)]};
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return put_value(walk, field, zero, depth);
    put_scalar(walk->out, field, zero, is_key);
    return SG_OK;
}

static enum sg_rc put_map_entry(const struct walk *walk, const ProtobufCMessageDescriptor *entry,
                                struct sg_slice wire, unsigned depth)
{
    struct sg_slice parts[2] = {{0}};
    bool is_there[2] = {false};
    while (wire.len > 0) {
        uint32_t number;
        unsigned wire_type;
        struct sg_slice value;
        bool is_field = sg_pb_take_field(&wire, &number, &wire_type, &value);
        SG_ASSERT(is_field && number <= 2);
        parts[number - 1] = value;
        is_there[number - 1] = true;
    }
    if (is_there[0])
        put_scalar(walk->out, &entry->fields[0], parts[0], true);
    else
        SG_TRY(put_zero(walk, &entry->fields[0], true, depth));
    sg_buf_add_u8(walk->out, ':');
    return is_there[1] ? put_value(walk, &entry->fields[1], parts[1], depth)
                       : put_zero(walk, &entry->fields[1], false, depth);
}

static void put_camel(struct sg_buf *out, const char *name)
{
    bool is_upper = false;
    sg_buf_add_u8(out, '"');
    for (; *name != '\0'; name++) {
        if (*name != '_')
            sg_buf_add_u8(
                out,
                (uint8_t)(is_upper && *name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name));
        is_upper = *name == '_';
    }
    sg_buf_add_u8(out, '"');
}

/* The members of the object that is being written. */
struct object {
    const ProtobufCMessageDescriptor *desc;
    const ProtobufCFieldDescriptor *open; /* the repeated field whose bracket is open */
    uint64_t named;
    bool is_map;    /* of the field that is open */
    bool has_first; /* a comma goes in front of the next member */
};

static void close_list(const struct walk *walk, struct object *object)
{
    if (object->open != NULL)
        sg_buf_add_u8(walk->out, object->is_map ? '}' : ']');
    object->open = NULL;
}

/* What stands in front of a value: a comma, or the name and perhaps a bracket. */
static enum sg_rc put_front(const struct walk *walk, struct object *object,
                            const ProtobufCFieldDescriptor *field)
{
    if (object->open == field) {
        sg_buf_add_u8(walk->out, ',');
        return SG_OK;
    }
    close_list(walk, object);
    uint64_t bit = (uint64_t)1 << (field - object->desc->fields);
    if ((object->named & bit) != 0)
        return fail(walk, object->desc, "the values of a field do not stand together");
    object->named |= bit;
    if (object->has_first)
        sg_buf_add_u8(walk->out, ',');
    object->has_first = true;
    put_camel(walk->out, field->name);
    sg_buf_add_u8(walk->out, ':');
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return SG_OK;

    object->open = field;
    object->is_map = false;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessageDescriptor *desc = field->descriptor;
        const struct sg_pb_type *type = sg_pb_type_find(walk->types, sg_slice_str(desc->name));
        object->is_map = type != NULL && type->is_map_entry;
    }
    sg_buf_add_u8(walk->out, object->is_map ? '{' : '[');
    return SG_OK;
}

static enum sg_rc put_packed(const struct walk *walk, struct object *object,
                             const ProtobufCFieldDescriptor *field, struct sg_slice values)
{
    while (values.len > 0) {
        struct sg_slice value;
        bool is_value = sg_pb_take_value(&values, sg_pb_wire_type_of(field->type), &value);
        SG_ASSERT(is_value);
        SG_TRY(put_front(walk, object, field));
        put_scalar(walk->out, field, value, false);
    }
    return SG_OK;
}

/* The members without the braces; `has_first` says that there are some already. */
static enum sg_rc put_members(const struct walk *walk, const ProtobufCMessageDescriptor *desc,
                              struct sg_slice wire, bool has_first, unsigned depth)
{
    struct object object = {.desc = desc, .has_first = has_first};
    while (wire.len > 0) {
        uint32_t number;
        unsigned wire_type;
        struct sg_slice value;
        bool is_field = sg_pb_take_field(&wire, &number, &wire_type, &value);
        SG_ASSERT(is_field);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(desc, number);
        if (wire_type != (unsigned)sg_pb_wire_type_of(field->type)) {
            SG_TRY(put_packed(walk, &object, field, value));
            continue;
        }
        SG_TRY(put_front(walk, &object, field));
        if (object.open != NULL && object.is_map)
            SG_TRY(put_map_entry(walk, field->descriptor, value, depth + 1));
        else
            SG_TRY(put_value(walk, field, value, depth));
    }
    close_list(walk, &object);
    return SG_OK;
}

static enum sg_rc put_time(const struct walk *walk, const ProtobufCMessageDescriptor *desc,
                           struct sg_slice wire,
                           bool (*put)(struct sg_buf *out, struct sg_json_time time))
{
    struct sg_json_time time = {0};
    while (wire.len > 0) {
        uint32_t number;
        unsigned wire_type;
        struct sg_slice value;
        bool is_field = sg_pb_take_field(&wire, &number, &wire_type, &value);
        SG_ASSERT(is_field);
        if (number == 1)
            time.seconds = (int64_t)varint(value);
        else
            time.nanos = (int32_t)varint(value);
    }
    return put(walk->out, time) ? SG_OK : fail(walk, desc, "it is out of range");
}

/* {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": ...}; where the JSON of the
 * type is no object, it stands in "value". */
static enum sg_rc put_any(const struct walk *walk, const ProtobufCMessageDescriptor *desc,
                          struct sg_slice wire, unsigned depth)
{
    struct sg_slice url = {0}, inner = {0};
    if (wire.len == 0) {
        sg_buf_add_str(walk->out, "{}");
        return SG_OK;
    }
    while (wire.len > 0) {
        uint32_t number;
        unsigned wire_type;
        struct sg_slice value;
        bool is_field = sg_pb_take_field(&wire, &number, &wire_type, &value);
        SG_ASSERT(is_field);
        *(number == 1 ? &url : &inner) = value;
    }
    const uint8_t *slash = url.len == 0 ? NULL : memrchr(url.ptr, '/', url.len);
    struct sg_slice name = url;
    if (slash != NULL)
        (void)sg_slice_take(&name, (size_t)(slash - url.ptr) + 1);
    const struct sg_pb_type *type = sg_pb_type_find(walk->types, name);
    if (type == NULL || depth >= SG_JSON_DEPTH_MAX)
        return fail(walk, desc, type == NULL ? "its type is not known" : "it is nested too deep");
    struct sg_err why;
    if (sg_pb_precheck(type->desc, inner, &limits, &why) != SG_OK)
        return fail(walk, type->desc, why.msg);

    sg_buf_add_str(walk->out, "{\"@type\":");
    sg_json_put_string(walk->out, url);
    if (sg_json_special_of(type->desc) == SG_JSON_PLAIN) {
        SG_TRY(put_members(walk, type->desc, inner, true, depth + 1));
    } else {
        sg_buf_add_str(walk->out, ",\"value\":");
        SG_TRY(put_message(walk, type->desc, inner, depth + 1));
    }
    sg_buf_add_u8(walk->out, '}');
    return SG_OK;
}

/* Recursion is bounded by sg_pb_precheck(), but for an Any in an Any, which counts by itself. */
static enum sg_rc put_message(const struct walk *walk, const ProtobufCMessageDescriptor *desc,
                              struct sg_slice wire, unsigned depth)
{
    switch (sg_json_special_of(desc)) {
    case SG_JSON_TIMESTAMP:
        return put_time(walk, desc, wire, sg_json_timestamp_put);
    case SG_JSON_DURATION:
        return put_time(walk, desc, wire, sg_json_duration_put);
    case SG_JSON_ANY:
        return put_any(walk, desc, wire, depth);
    case SG_JSON_PLAIN:
        break;
    }
    sg_buf_add_u8(walk->out, '{');
    SG_TRY(put_members(walk, desc, wire, false, depth));
    sg_buf_add_u8(walk->out, '}');
    return SG_OK;
}

enum sg_rc sg_json_encode(const struct sg_pb_types *types, const ProtobufCMessageDescriptor *desc,
                          struct sg_slice wire, struct sg_buf *out, struct sg_err *err)
{
    const struct walk walk = {types, out, err};
    struct sg_err why;
    if (sg_pb_precheck(desc, wire, &limits, &why) != SG_OK)
        return fail(&walk, desc, why.msg);
    SG_TRY(put_message(&walk, desc, wire, 1));
    return sg_buf_check(out, err);
}
