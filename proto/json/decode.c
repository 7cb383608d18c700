#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/base64.h"
#include "proto/json/json_priv.h"
#include "proto/pb/wire.h"

/* JSON to wire bytes. jansson reads the text into a tree, which is walked once. */

/* --- memory --- */

/*
 * jansson allocates by two functions for the whole process. Ours give it the arena of the text
 * that this thread reads: so a text cannot take more than its cap, and there is nothing to free,
 * by whatever way the walk ends. Where no text is read they are malloc and free, for whoever else
 * may use jansson in the same process.
 */
static _Thread_local struct sg_arena *memory;
static _Thread_local bool is_exhausted; /* jansson does not always say so */

static void *allocate(size_t len)
{
    void *ptr = memory == NULL ? malloc(len) : sg_arena_alloc(memory, len);
    is_exhausted |= ptr == NULL;
    return ptr;
}

static void release(void *ptr)
{
    if (memory == NULL)
        free(ptr);
}

/* Before main(), since it may not happen while another thread reads. */
__attribute__((constructor)) static void use_our_memory(void)
{
    json_set_alloc_funcs(allocate, release);
}

/* --- where we are --- */

struct walk {
    const struct sg_pb_types *types;
    struct sg_buf *out;
    struct sg_err *err;
};

/* One level of nesting; the chain of parents is the path for messages. */
struct level {
    const struct level *parent;
    const ProtobufCMessageDescriptor *desc;
    const char *field; /* that is being read; NULL: none yet */
    unsigned depth;
};

static void put_path(const struct level *level, struct sg_buf *out)
{
    if (level->parent != NULL) {
        put_path(level->parent, out);
        sg_buf_add_str(out, ".");
    }
    sg_buf_add_str(out, level->field == NULL ? "?" : level->field);
}

static enum sg_rc refuse(const struct walk *walk, const struct level *level, enum sg_reason reason,
                         const char *what)
{
    char bytes[96];
    struct sg_buf path = {.ptr = (uint8_t *)bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};
    put_path(level, &path);
    return SG_REFUSE(walk->err, reason, "%s: \"%.*s\" of a %s", what, (int)path.len, bytes,
                     level->desc->short_name);
}

static enum sg_rc malformed(const struct walk *walk, const struct level *level, const char *what)
{
    return refuse(walk, level, SG_R_MALFORMED_REQUEST, what);
}

/* --- scalars --- */

/* A decimal number without leading zeros, of at most UINT64_MAX. */
static bool parse_decimal(const char *text, bool *ret_is_negative, uint64_t *ret)
{
    uint64_t value = 0;
    *ret_is_negative = text[0] == '-';
    text += *ret_is_negative;
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - (uint64_t)(*text - '0')) / 10)
            return false;
        value = 10 * value + (uint64_t)(*text - '0');
    }
    *ret = value;
    return true;
}

/* The sign and the magnitude of an integer that stands as a number or a string. */
static bool integer_of(const json_t *value, bool *ret_is_negative, uint64_t *ret)
{
    if (json_is_string(value))
        return parse_decimal(json_string_value(value), ret_is_negative, ret);
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        *ret_is_negative = number < 0;
        *ret = number < 0 ? -(uint64_t)number : (uint64_t)number;
        return true;
    }
    if (!json_is_real(value))
        return false;
    /* 1e3 and 2.0 are integers, as far as a double tells all of them apart. */
    double number = json_real_value(value), magnitude = fabs(number);
    if (magnitude > 9007199254740992.0 || magnitude != (double)(uint64_t)magnitude)
        return false;
    *ret_is_negative = number < 0;
    *ret = (uint64_t)magnitude;
    return true;
}

static bool signed_of(const json_t *value, int64_t max, int64_t *ret)
{
    bool is_negative;
    uint64_t magnitude;
    if (!integer_of(value, &is_negative, &magnitude) ||
        magnitude > (uint64_t)max + (is_negative ? 1 : 0))
        return false;
    *ret = (int64_t)(is_negative ? -magnitude : magnitude);
    return true;
}

static bool unsigned_of(const json_t *value, uint64_t max, uint64_t *ret)
{
    bool is_negative;
    return integer_of(value, &is_negative, ret) && *ret <= max && (!is_negative || *ret == 0);
}

static bool double_of(const json_t *value, double *ret)
{
    if (json_is_number(value)) {
        *ret = json_number_value(value);
        return true;
    }
    if (!json_is_string(value))
        return false;
    const char *text = json_string_value(value);
    if (strcmp(text, "NaN") == 0)
        *ret = (double)NAN;
    else if (strcmp(text, "Infinity") == 0)
        *ret = (double)INFINITY;
    else if (strcmp(text, "-Infinity") == 0)
        *ret = -(double)INFINITY;
    else
        return false;
    return true;
}

static bool enum_of(const json_t *value, const ProtobufCEnumDescriptor *desc, int64_t *ret)
{
    if (!json_is_string(value))
        return json_is_number(value) && signed_of(value, INT32_MAX, ret);
    const ProtobufCEnumValue *named =
        protobuf_c_enum_descriptor_get_value_by_name(desc, json_string_value(value));
    if (named == NULL)
        return false;
    *ret = named->value;
    return true;
}

static bool put_float(struct sg_buf *out, const json_t *value)
{
    static const double rounds_to_infinity = 0x1.ffffffp127;
    double number;
    uint32_t bits;
    if (!double_of(value, &number) || (isfinite(number) && fabs(number) >= rounds_to_infinity))
        return false;
    float single = (float)number;
    memcpy(&bits, &single, sizeof(bits));
    sg_pb_put_fixed(out, bits, sizeof(bits));
    return true;
}

static bool put_double(struct sg_buf *out, const json_t *value)
{
    double number;
    uint64_t bits;
    if (!double_of(value, &number))
        return false;
    memcpy(&bits, &number, sizeof(bits));
    sg_pb_put_fixed(out, bits, sizeof(bits));
    return true;
}

/* Base64 of either alphabet, padded or not. */
static bool put_base64(struct sg_buf *out, const json_t *value)
{
    if (!json_is_string(value))
        return false;
    struct sg_slice text = {(const uint8_t *)json_string_value(value), json_string_length(value)};
    bool is_url = text.len > 0 && (memchr(text.ptr, '-', text.len) != NULL ||
                                   memchr(text.ptr, '_', text.len) != NULL);
    size_t from = out->len;
    /* An invalid text is what this returns false for; a lack of room sticks to `out`. */
    if (sg_base64_decode(text, is_url ? SG_BASE64_URL : SG_BASE64_STD, SG_BASE64_EITHER, out,
                         NULL) == SG_E_INVALID)
        return false;
    sg_pb_put_length_before(out, from);
    return true;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

/* Everything but messages; NULL, or what the value should have been. */
static const char *put_scalar(struct sg_buf *out, const ProtobufCFieldDescriptor *field,
                              const json_t *value)
{
    int64_t number = 0;
    uint64_t natural = 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        if (!signed_of(value, INT32_MAX, &number))
            return "not a 32-bit integer";
        if (field->type == PROTOBUF_C_TYPE_SFIXED32)
            sg_pb_put_fixed(out, (uint64_t)number, 4);
        else
            sg_pb_put_varint(out, field->type == PROTOBUF_C_TYPE_INT32 ? (uint64_t)number
                                                                       : zigzag(number));
        return NULL;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        if (!signed_of(value, INT64_MAX, &number))
            return "not a 64-bit integer";
        if (field->type == PROTOBUF_C_TYPE_SFIXED64)
            sg_pb_put_fixed(out, (uint64_t)number, 8);
        else
            sg_pb_put_varint(out, field->type == PROTOBUF_C_TYPE_INT64 ? (uint64_t)number
                                                                       : zigzag(number));
        return NULL;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        if (!unsigned_of(value, UINT32_MAX, &natural))
            return "not an unsigned 32-bit integer";
        if (field->type == PROTOBUF_C_TYPE_FIXED32)
            sg_pb_put_fixed(out, natural, 4);
        else
            sg_pb_put_varint(out, natural);
        return NULL;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        if (!unsigned_of(value, UINT64_MAX, &natural))
            return "not an unsigned 64-bit integer";
        if (field->type == PROTOBUF_C_TYPE_FIXED64)
            sg_pb_put_fixed(out, natural, 8);
        else
            sg_pb_put_varint(out, natural);
        return NULL;
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(value))
            return "neither true nor false";
        sg_pb_put_varint(out, json_is_true(value) ? 1 : 0);
        return NULL;
    case PROTOBUF_C_TYPE_ENUM:
        if (!enum_of(value, field->descriptor, &number))
            return "no value of its enum";
        sg_pb_put_varint(out, (uint64_t)number);
        return NULL;
    case PROTOBUF_C_TYPE_STRING:
        if (!json_is_string(value))
            return "not a string";
        sg_pb_put_bytes(out, sg_slice_of(json_string_value(value), json_string_length(value)));
        return NULL;
    case PROTOBUF_C_TYPE_BYTES:
        return put_base64(out, value) ? NULL : "not a string of base64";
    case PROTOBUF_C_TYPE_FLOAT:
        return put_float(out, value) ? NULL : "not a number of single precision";
    case PROTOBUF_C_TYPE_DOUBLE:
        return put_double(out, value) ? NULL : "not a number";
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    SG_ASSERT(field->type != PROTOBUF_C_TYPE_MESSAGE);
    return "";
}

/* --- messages --- */

static enum sg_rc put_message(struct walk *walk, struct level *level, const json_t *value);

/* One value with its tag. */
static enum sg_rc put_value(struct walk *walk, const struct level *level,
                            const ProtobufCFieldDescriptor *field, const json_t *value)
{
    sg_pb_put_tag(walk->out, field->id, sg_pb_wire_type_of(field->type));
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        const char *wrong = put_scalar(walk->out, field, value);
        return wrong == NULL ? SG_OK : malformed(walk, level, wrong);
    }
    if (level->depth >= SG_JSON_DEPTH_MAX)
        return malformed(walk, level, "nested too deep");
    struct level inner = {level, field->descriptor, NULL, level->depth + 1};
    size_t from = walk->out->len;
    SG_TRY(put_message(walk, &inner, value));
    sg_pb_put_length_before(walk->out, from);
    return SG_OK;
}

/* The key of a map's entry is a string in JSON, whatever its type. */
static enum sg_rc put_map_key(struct walk *walk, const struct level *level,
                              const ProtobufCFieldDescriptor *field, const char *key)
{
    json_t *value;
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        value = strcmp(key, "true") == 0    ? json_true()
                : strcmp(key, "false") == 0 ? json_false()
                                            : json_null();
    else
        value = json_string_nocheck(key);
    if (value == NULL)
        return SG_REFUSE(walk->err, SG_R_MESSAGE_TOO_LARGE, "no memory to read the request");
    return put_value(walk, level, field, value);
}

static enum sg_rc put_map(struct walk *walk, const struct level *level,
                          const ProtobufCFieldDescriptor *field, json_t *object)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return malformed(walk, level, "a map is not an object");
    json_object_foreach(object, key, value)
    {
        sg_pb_put_tag(walk->out, field->id, SG_PB_BYTES);
        size_t from = walk->out->len;
        SG_TRY(put_map_key(walk, level, &entry->fields[0], key));
        SG_TRY(put_value(walk, level, &entry->fields[1], value));
        sg_pb_put_length_before(walk->out, from);
    }
    return SG_OK;
}

static enum sg_rc put_field(struct walk *walk, const struct level *level,
                            const ProtobufCFieldDescriptor *field, json_t *value)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return put_value(walk, level, field, value);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessageDescriptor *desc = field->descriptor;
        const struct sg_pb_type *type = sg_pb_type_find(walk->types, sg_slice_str(desc->name));
        if (type != NULL && type->is_map_entry)
            return put_map(walk, level, field, value);
    }
    if (!json_is_array(value))
        return malformed(walk, level, "a list is not an array");
    for (size_t i = 0; i < json_array_size(value); i++)
        SG_TRY(put_value(walk, level, field, json_array_get(value, i)));
    return SG_OK;
}

/* Whether `name` is `field`'s in lowerCamel: "request_id" is "requestId". */
static bool is_camel_of(const char *name, const char *field)
{
    bool is_upper = false;
    for (; *field != '\0'; field++) {
        if (*field == '_') {
            is_upper = true;
            continue;
        }
        char c = is_upper && *field >= 'a' && *field <= 'z' ? (char)(*field - 'a' + 'A') : *field;
        is_upper = false;
        if (*name++ != c)
            return false;
    }
    return *name == '\0';
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *desc,
                                                  const char *name)
{
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (is_camel_of(name, desc->fields[i].name) || strcmp(name, desc->fields[i].name) == 0)
            return &desc->fields[i];
    return NULL;
}

static enum sg_rc put_fields(struct walk *walk, struct level *level, json_t *object)
{
    uint64_t named = 0, set = 0; /* fields that came, and those of them that are not null */
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const ProtobufCFieldDescriptor *field = find_field(level->desc, name);
        level->field = name;
        if (field == NULL)
            return refuse(walk, level, SG_R_UNKNOWN_FIELD, "unknown field");
        uint64_t bit = (uint64_t)1 << (field - level->desc->fields);
        if ((named & bit) != 0)
            return malformed(walk, level, "given twice, by both of its names");
        named |= bit;
        if (json_is_null(value))
            continue;
        if (sg_pb_is_taken(level->desc, field, set))
            return malformed(walk, level, "given beside another of its oneof");
        set |= bit;
        SG_TRY(put_field(walk, level, field, value));
    }
    return SG_OK;
}

static enum sg_rc put_time(struct walk *walk, const struct level *level, const json_t *value,
                           bool (*parse)(struct sg_slice text, struct sg_json_time *ret))
{
    struct sg_json_time time;
    if (!json_is_string(value) ||
        !parse(sg_slice_of(json_string_value(value), json_string_length(value)), &time))
        return malformed(walk, level->parent == NULL ? level : level->parent,
                         "not a time as JSON has it, or out of range");
    if (time.seconds != 0) {
        sg_pb_put_tag(walk->out, 1, SG_PB_VARINT);
        sg_pb_put_varint(walk->out, (uint64_t)time.seconds);
    }
    if (time.nanos != 0) {
        sg_pb_put_tag(walk->out, 2, SG_PB_VARINT);
        sg_pb_put_varint(walk->out, (uint64_t)(int64_t)time.nanos);
    }
    return SG_OK;
}

static enum sg_rc put_message(struct walk *walk, struct level *level, const json_t *value)
{
    switch (sg_json_special_of(level->desc)) {
    case SG_JSON_TIMESTAMP:
        return put_time(walk, level, value, sg_json_timestamp_parse);
    case SG_JSON_DURATION:
        return put_time(walk, level, value, sg_json_duration_parse);
    case SG_JSON_ANY:
        return malformed(walk, level, "an Any cannot be sent");
    case SG_JSON_PLAIN:
        break;
    }
    if (!json_is_object(value))
        return malformed(walk, level->parent == NULL ? level : level->parent, "not an object");
    /* jansson iterates over what it is not told to be constant. */
    return put_fields(walk, level, (json_t *)(uintptr_t)value);
}

static enum sg_rc read_and_put(struct walk *walk, const ProtobufCMessageDescriptor *desc,
                               struct sg_slice text)
{
    json_error_t error;
    struct level outermost = {NULL, desc, NULL, 1};
    if (text.len == 0)
        return SG_REFUSE(walk->err, SG_R_MALFORMED_REQUEST, "not JSON: there is nothing");
    json_t *tree = json_loadb((const char *)text.ptr, text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (is_exhausted)
        return SG_REFUSE(walk->err, SG_R_MESSAGE_TOO_LARGE,
                         "could not read JSON of %zu bytes: it needs more than the call may use",
                         text.len);
    if (tree == NULL && json_error_code(&error) == json_error_numeric_overflow)
        return SG_REFUSE(walk->err, SG_R_MALFORMED_REQUEST,
                         "a number is too large, line %d column %d: integers over "
                         "9223372036854775807 stand as strings",
                         error.line, error.column);
    if (tree == NULL)
        return SG_REFUSE(walk->err, SG_R_MALFORMED_REQUEST, "not JSON, line %d column %d: %s",
                         error.line, error.column, error.text);
    return put_message(walk, &outermost, tree);
}

enum sg_rc sg_json_decode(const struct sg_pb_types *types, const ProtobufCMessageDescriptor *desc,
                          struct sg_slice text, size_t scratch_max, struct sg_buf *out,
                          struct sg_err *err)
{
    struct sg_arena arena;
    struct walk walk = {types, out, err};
    SG_ASSERT(memory == NULL);
    sg_arena_init(&arena, scratch_max);
    memory = &arena;
    is_exhausted = false;
    enum sg_rc rc = read_and_put(&walk, desc, text);
    memory = NULL;
    sg_arena_done(&arena);
    SG_TRY(rc);
    if (out->failed)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "message is over the limit of %zu bytes",
                         out->max);
    return SG_OK;
}
