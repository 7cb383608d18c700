#include "formats/audit/record.h"

#include <stdlib.h>

#include "base/utf8.h"

/* The wire --------------------------------------------------------------------------------- */

/* The two wire types that a record has (Protocol Buffers, Encoding). */
enum { VARINT = 0, BYTES = 2 };
enum { VARINT_BYTES_MAX = 10, NANOS_PER_SECOND = 1000000000 };

static size_t varint_len(uint64_t value)
{
    size_t len = 1;
    for (; value >= 0x80; value >>= 7)
        len++;
    return len;
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static void add_number(struct sg_buf *out, unsigned number, uint64_t value)
{
    uint64_t tag = number << 3 | VARINT;
    size_t len = varint_len(tag) + varint_len(value);
    uint8_t *room = sg_buf_room(out, len);
    if (room == NULL)
        return;
    put_varint(put_varint(room, tag), value);
    sg_buf_claim(out, len);
}

static void add_bytes(struct sg_buf *out, unsigned number, struct sg_slice bytes)
{
    uint64_t tag = number << 3 | BYTES;
    size_t len = varint_len(tag) + varint_len(bytes.len) + bytes.len;
    uint8_t *room = sg_buf_room(out, len);
    if (room == NULL)
        return;
    memcpy(put_varint(put_varint(room, tag), bytes.len), bytes.ptr, bytes.len);
    sg_buf_claim(out, len);
}

/* One that could be written shorter is none. */
static bool take_varint(struct sg_slice *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in->len && i < VARINT_BYTES_MAX; i++) {
        uint8_t byte = in->ptr[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) != 0)
            continue;
        (void)sg_slice_take(in, i + 1);
        *ret = value;
        return i == 0 || byte != 0;
    }
    return false;
}

/* A field that does not have its default, for with that it would not be there. */
struct wire {
    unsigned number, type;
    uint64_t value;
    struct sg_slice bytes;
};

static bool take_field(struct sg_slice *in, unsigned number_max, struct wire *ret)
{
    uint64_t tag;
    if (!take_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > number_max)
        return false;
    *ret = (struct wire){.number = (unsigned)(tag >> 3), .type = (unsigned)(tag & 7)};
    if (!take_varint(in, &ret->value) || ret->value == 0)
        return false;
    if (ret->type == VARINT)
        return true;
    if (ret->type != BYTES || ret->value > in->len)
        return false;
    ret->bytes = sg_slice_take(in, (size_t)ret->value);
    return true;
}

/* The fields ------------------------------------------------------------------------------- */

enum kind { NONE, FORMAT, CHOICE, COUNT, TIME, TEXT, TEXTS, SHA256, DIGEST, SIGNATURE };

/* A row for each field of the message, by its number; the order of the rows is that of the record.
 */
static const struct field {
    enum kind kind;
    size_t at;      /* where it is in struct sg_audit_record */
    unsigned count; /* of CHOICE: how many numbers there are, zero among them */
} fields[] = {
#define AT(member) offsetof(struct sg_audit_record, member)
    [1] = {FORMAT, 0, 0},
    [2] = {CHOICE, AT(event), SG_AUDIT_EVENT_COUNT},
    [3] = {TIME, AT(time_ns), 0},
    [4] = {TEXT, AT(authority), 0},
    [5] = {TEXT, AT(caller), 0},
    [6] = {TEXT, AT(source), 0},
    [7] = {TEXT, AT(method), 0},
    [8] = {TEXT, AT(request_id), 0},
    [9] = {SHA256, AT(request_sha256), 0},
    [10] = {TEXT, AT(rule_set), 0},
    [11] = {TEXT, AT(rule), 0},
    [12] = {TEXTS, AT(grants), 0},
    [13] = {TEXT, AT(key_version), 0},
    [14] = {SHA256, AT(public_key_sha256), 0},
    [15] = {CHOICE, AT(scheme), SG_SCHEME_COUNT},
    [16] = {CHOICE, AT(encoding), SG_ENCODING_COUNT},
    [17] = {CHOICE, AT(digest_alg), SG_DIGEST_COUNT},
    [18] = {DIGEST, AT(digest), 0},
    [19] = {CHOICE, AT(document_digest_alg), SG_DIGEST_COUNT},
    [20] = {DIGEST, AT(document_digest), 0},
    [21] = {TEXT, AT(document_number), 0},
    [22] = {TEXT, AT(purpose), 0},
    [23] = {SIGNATURE, AT(signature), 0},
    [24] = {TEXT, AT(token), 0},
    [25] = {TEXT, AT(reason), 0},
    [26] = {COUNT, AT(count), 0},
    [27] = {TEXT, AT(detail), 0},
#undef AT
};

enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };

_Static_assert(sizeof(enum sg_audit_event) == sizeof(unsigned) &&
                   sizeof(enum sg_scheme) == sizeof(unsigned) &&
                   sizeof(enum sg_sig_encoding) == sizeof(unsigned) &&
                   sizeof(enum sg_digest_alg) == sizeof(unsigned),
               "every choice is read and written as an unsigned");

static const void *member(const struct sg_audit_record *record, const struct field *field)
{
    return (const char *)record + field->at;
}

static void *member_to_set(struct sg_audit_record *record, const struct field *field)
{
    return (char *)record + field->at;
}

static bool is_text(struct sg_slice text)
{
    return text.len <= SG_AUDIT_TEXT_BYTES_MAX && sg_utf8_is_valid(text) &&
           (text.len == 0 || memchr(text.ptr, 0, text.len) == NULL);
}

/* What holds for one field by itself, of bytes that are not empty. */
static bool is_good(enum kind kind, struct sg_slice bytes)
{
    switch (kind) {
    case TEXT:
    case TEXTS:
        return is_text(bytes);
    case SHA256:
        return bytes.len == 32;
    case DIGEST:
        return bytes.len <= SG_DIGEST_BYTES_MAX;
    case SIGNATURE:
        return bytes.len <= SG_SIGNATURE_BYTES_MAX;
    case NONE:
    case FORMAT:
    case CHOICE:
    case COUNT:
    case TIME:
        break;
    }
    return false;
}

/* What holds for several together, and that what must be there is. */
static bool is_whole(const struct sg_audit_record *record)
{
    size_t len = sg_digest_len(record->digest_alg);
    if (record->digest_alg == SG_DIGEST_UNSET)
        len = sg_digest_len(SG_DIGEST_SHA256);
    return record->event != SG_AUDIT_UNSET && record->time_ns >= 0 &&
           (record->digest.len == 0 || record->digest.len == len) &&
           record->document_digest.len == sg_digest_len(record->document_digest_alg);
}

/* Writing ---------------------------------------------------------------------------------- */

static void add_time(struct sg_buf *out, unsigned number, int64_t time_ns)
{
    uint8_t room[2 * (1 + VARINT_BYTES_MAX)], *at = room;
    uint64_t seconds = (uint64_t)time_ns / NANOS_PER_SECOND;
    uint64_t nanos = (uint64_t)time_ns % NANOS_PER_SECOND;
    if (seconds != 0) {
        *at++ = 1 << 3 | VARINT;
        at = put_varint(at, seconds);
    }
    if (nanos != 0) {
        *at++ = 2 << 3 | VARINT;
        at = put_varint(at, nanos);
    }
    add_bytes(out, number, sg_slice_of(room, (size_t)(at - room)));
}

static bool add_slices(struct sg_buf *out, unsigned number, const struct sg_slice *slices,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slices[i].len == 0)
            continue;
        if (!is_good(fields[number].kind, slices[i]))
            return false;
        add_bytes(out, number, slices[i]);
    }
    return true;
}

/* False when the field has what no parser would take. */
static bool add_field(struct sg_buf *out, unsigned number, const struct sg_audit_record *record)
{
    const struct field *field = &fields[number];
    const void *value = member(record, field);
    unsigned choice;
    uint64_t count;

    switch (field->kind) {
    case FORMAT:
        add_number(out, number, SG_AUDIT_FORMAT);
        return true;
    case CHOICE:
        memcpy(&choice, value, sizeof(choice));
        if (choice != 0)
            add_number(out, number, choice);
        return choice < field->count;
    case COUNT:
        memcpy(&count, value, sizeof(count));
        if (count != 0)
            add_number(out, number, count);
        return true;
    case TIME:
        if (record->time_ns != 0)
            add_time(out, number, record->time_ns);
        return true;
    case TEXTS:
        return record->grant_count <= SG_AUDIT_GRANTS_MAX &&
               add_slices(out, number, value, record->grant_count);
    case TEXT:
    case SHA256:
    case DIGEST:
    case SIGNATURE:
        return add_slices(out, number, value, 1);
    case NONE:
        break;
    }
    return true;
}

void sg_audit_record_write(const struct sg_audit_record *record, struct sg_buf *out)
{
    size_t begin = out->len;
    bool is_readable = is_whole(record);
    for (unsigned number = 1; is_readable && number < FIELD_COUNT; number++)
        is_readable = add_field(out, number, record);
    if (!is_readable || out->len - begin > SG_AUDIT_RECORD_BYTES_MAX)
        out->failed = true;
}

/* Reading ---------------------------------------------------------------------------------- */

static bool read_time(struct sg_slice bytes, int64_t *ret)
{
    uint64_t parts[3] = {0}; /* by their numbers: seconds, nanoseconds */
    struct wire wire;
    for (unsigned last = 0; bytes.len > 0; last = wire.number) {
        if (!take_field(&bytes, 2, &wire) || wire.type != VARINT || wire.number <= last)
            return false;
        parts[wire.number] = wire.value;
    }
    uint64_t time_ns;
    if (parts[2] >= NANOS_PER_SECOND ||
        __builtin_mul_overflow(parts[1], (uint64_t)NANOS_PER_SECOND, &time_ns) ||
        __builtin_add_overflow(time_ns, parts[2], &time_ns) || time_ns > INT64_MAX)
        return false;
    *ret = (int64_t)time_ns;
    return true;
}

static bool read_field(const struct wire *wire, struct sg_audit_record *record)
{
    const struct field *field = &fields[wire->number];
    void *value = member_to_set(record, field);
    unsigned choice;

    switch (field->kind) {
    case FORMAT:
        return wire->type == VARINT && wire->value == SG_AUDIT_FORMAT;
    case CHOICE:
        if (wire->type != VARINT || wire->value >= field->count)
            return false;
        choice = (unsigned)wire->value;
        memcpy(value, &choice, sizeof(choice));
        return true;
    case COUNT:
        memcpy(value, &wire->value, sizeof(wire->value));
        return wire->type == VARINT;
    case TIME:
        return wire->type == BYTES && read_time(wire->bytes, &record->time_ns);
    case TEXTS:
        if (wire->type != BYTES || record->grant_count == SG_AUDIT_GRANTS_MAX ||
            !is_good(field->kind, wire->bytes))
            return false;
        record->grants[record->grant_count++] = wire->bytes;
        return true;
    case TEXT:
    case SHA256:
    case DIGEST:
    case SIGNATURE:
        memcpy(value, &wire->bytes, sizeof(wire->bytes));
        return wire->type == BYTES && is_good(field->kind, wire->bytes);
    case NONE:
        break;
    }
    return false;
}

enum sg_rc sg_audit_record_parse(struct sg_slice bytes, struct sg_audit_record *ret,
                                 struct sg_err *err)
{
    struct sg_audit_record record = {0};
    struct sg_slice in = bytes;
    unsigned last = 0;

    if (bytes.len > SG_AUDIT_RECORD_BYTES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read a record: it is over %d bytes long",
                       SG_AUDIT_RECORD_BYTES_MAX);
    while (in.len > 0) {
        struct wire wire;
        size_t at = bytes.len - in.len;
        /* The first field is the format, so that no record of another is read as one of this. */
        if (!take_field(&in, FIELD_COUNT - 1, &wire) || (last == 0 && wire.number != 1) ||
            wire.number < last || (wire.number == last && fields[last].kind != TEXTS) ||
            !read_field(&wire, &record))
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "could not read a record: byte %zu begins no field of its canonical "
                           "encoding",
                           at);
        last = wire.number;
    }
    if (!is_whole(&record))
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not read a record: it tells of nothing, or its digests are not as "
                       "long as their algorithms say");
    *ret = record;
    return SG_OK;
}

/* Copies ----------------------------------------------------------------------------------- */

static uint8_t *copy_slices(struct sg_slice *slices, size_t count, uint8_t *room)
{
    for (size_t i = 0; i < count; i++) {
        if (slices[i].len > 0)
            memcpy(room, slices[i].ptr, slices[i].len);
        slices[i].ptr = room;
        room += slices[i].len;
    }
    return room;
}

/* How many slices a field of this kind has; none for those that are numbers. */
static size_t slice_count(const struct field *field, const struct sg_audit_record *record)
{
    switch (field->kind) {
    case TEXTS:
        return record->grant_count;
    case TEXT:
    case SHA256:
    case DIGEST:
    case SIGNATURE:
        return 1;
    case NONE:
    case FORMAT:
    case CHOICE:
    case COUNT:
    case TIME:
        break;
    }
    return 0;
}

struct sg_audit_record *sg_audit_record_copy(const struct sg_audit_record *record)
{
    size_t bytes = 0;
    SG_ASSERT(record->grant_count <= SG_AUDIT_GRANTS_MAX);
    for (unsigned number = 1; number < FIELD_COUNT; number++) {
        const struct sg_slice *slices = member(record, &fields[number]);
        for (size_t i = 0; i < slice_count(&fields[number], record); i++)
            bytes += slices[i].len;
    }

    struct sg_audit_record *copy = malloc(sizeof(*copy) + bytes);
    if (copy == NULL)
        return NULL;
    *copy = *record;
    uint8_t *room = (uint8_t *)(copy + 1);
    for (unsigned number = 1; number < FIELD_COUNT; number++)
        room = copy_slices(member_to_set(copy, &fields[number]), slice_count(&fields[number], copy),
                           room);
    return copy;
}

/* Details ---------------------------------------------------------------------------------- */

static struct sg_slice take_line(struct sg_slice *text)
{
    const uint8_t *end = memchr(text->ptr, '\n', text->len);
    const struct sg_slice line =
        sg_slice_take(text, end == NULL ? text->len : (size_t)(end - text->ptr));

    if (end != NULL)
        (void)sg_slice_take(text, 1);
    return line;
}

struct sg_slice sg_audit_detail_find(struct sg_slice detail, const char *name)
{
    const size_t len = strlen(name);

    while (detail.len > 0) {
        struct sg_slice line = take_line(&detail);
        if (line.len < len + 2 || memcmp(line.ptr, name, len) != 0 ||
            memcmp(line.ptr + len, ": ", 2) != 0)
            continue;
        (void)sg_slice_take(&line, len + 2);
        return line;
    }
    return (struct sg_slice){0};
}

/* Names ------------------------------------------------------------------------------------ */

static const char *const names[SG_AUDIT_EVENT_COUNT] = {
    [SG_AUDIT_UNSET] = "",
    [SG_AUDIT_LOG_STARTED] = "log-started",
    [SG_AUDIT_SIGNATURE] = "signature",
    [SG_AUDIT_DENIAL] = "denial",
    [SG_AUDIT_DENIALS] = "denials",
    [SG_AUDIT_GATEWAY_STARTED] = "gateway-started",
    [SG_AUDIT_CSR] = "csr",
    [SG_AUDIT_EPOCH_STATED] = "epoch-stated",
    [SG_AUDIT_EPOCH_APPROVED] = "epoch-approved",
    [SG_AUDIT_TOKEN_DRAINED] = "token-drained",
    [SG_AUDIT_TOKEN_RESUMED] = "token-resumed",
    [SG_AUDIT_LEAVES_ARCHIVED] = "leaves-archived",
};

const char *sg_audit_event_name(enum sg_audit_event event)
{
    return (unsigned)event < SG_AUDIT_EVENT_COUNT ? names[event] : "";
}

enum sg_audit_event sg_audit_event_find(const char *name)
{
    for (unsigned i = 1; i < SG_AUDIT_EVENT_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return (enum sg_audit_event)i;
    return SG_AUDIT_UNSET;
}
