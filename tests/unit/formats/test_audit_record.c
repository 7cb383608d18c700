#include "formats/audit/record.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/unit.h"
#include "tests/unit/formats/audit_records.h"

/* Records: one encoding of each, the one that protobuf makes too, and no other is read. */

static void add_hex(struct sg_buf *out, const char *hex)
{
    for (; *hex != '\0'; hex += 2) {
        const char pair[3] = {hex[0], hex[1], '\0'};
        sg_buf_add_u8(out, (uint8_t)strtoul(pair, NULL, 16));
    }
}

/* From memory of exactly that length, so that a sanitizer sees a read behind it. */
static enum sg_rc parse(struct sg_slice bytes)
{
    struct sg_audit_record record;
    struct sg_err err;
    uint8_t *exact = malloc(bytes.len);
    if (bytes.len > 0)
        memcpy(exact, bytes.ptr, bytes.len);
    enum sg_rc rc = sg_audit_record_parse(sg_slice_of(exact, bytes.len), &record, &err);
    free(exact);
    if (rc != SG_OK)
        print_message("    %s\n", err.msg);
    return rc;
}

static bool is_writable(const struct sg_audit_record *record)
{
    struct sg_audit_record again;
    struct sg_buf bytes;
    sg_buf_init(&bytes, 64 * 1024);
    sg_audit_record_write(record, &bytes);
    bool is_written = !bytes.failed;
    if (is_written)
        assert_int_equal(sg_audit_record_parse(sg_buf_slice(&bytes), &again, NULL), SG_OK);
    sg_buf_done(&bytes);
    return is_written;
}

static void records_are_written_as_protobuf_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(test_records); i++) {
        struct sg_buf bytes, wanted;
        print_message("  %s\n", test_records[i].name);
        sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
        sg_buf_init(&wanted, SG_AUDIT_RECORD_BYTES_MAX);
        add_hex(&wanted, test_records[i].hex);
        sg_audit_record_write(&test_records[i].record, &bytes);
        assert_false(bytes.failed);
        assert_slice_equal(sg_buf_slice(&bytes), sg_buf_slice(&wanted));
        sg_buf_done(&bytes);
        sg_buf_done(&wanted);
    }
}

static void assert_same_record(const struct sg_audit_record *a, const struct sg_audit_record *b)
{
    const struct {
        struct sg_slice a, b;
    } slices[] = {
#define PAIR(member) {a->member, b->member}
        PAIR(authority),       PAIR(caller),          PAIR(source),      PAIR(method),
        PAIR(request_id),      PAIR(request_sha256),  PAIR(rule_set),    PAIR(rule),
        PAIR(grants[0]),       PAIR(grants[1]),       PAIR(key_version), PAIR(public_key_sha256),
        PAIR(digest),          PAIR(document_digest), PAIR(purpose),     PAIR(signature),
        PAIR(document_number), PAIR(token),           PAIR(reason),      PAIR(detail),
#undef PAIR
    };
    for (size_t i = 0; i < SG_COUNT(slices); i++)
        assert_slice_equal(slices[i].a, slices[i].b);
    assert_int_equal(a->event, b->event);
    assert_int_equal(a->time_ns, b->time_ns);
    assert_int_equal(a->grant_count, b->grant_count);
    assert_int_equal(a->scheme, b->scheme);
    assert_int_equal(a->encoding, b->encoding);
    assert_int_equal(a->digest_alg, b->digest_alg);
    assert_int_equal(a->document_digest_alg, b->document_digest_alg);
    assert_int_equal(a->count, b->count);
}

static void records_are_read_as_they_were_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(test_records); i++) {
        struct sg_audit_record record;
        struct sg_buf bytes;
        print_message("  %s\n", test_records[i].name);
        sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
        add_hex(&bytes, test_records[i].hex);
        assert_int_equal(sg_audit_record_parse(sg_buf_slice(&bytes), &record, NULL), SG_OK);
        assert_same_record(&record, &test_records[i].record);
        sg_buf_done(&bytes);
    }
}

/* A record may end where a field does, when it is whole so far; nowhere else. */
static void a_cut_record_is_another_whole_one_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(test_records); i++) {
        struct sg_buf bytes, again;
        size_t whole = 0;
        sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
        sg_buf_init(&again, SG_AUDIT_RECORD_BYTES_MAX);
        add_hex(&bytes, test_records[i].hex);
        for (size_t len = 0; len < bytes.len; len++) {
            struct sg_audit_record record;
            struct sg_slice cut = sg_slice_of(bytes.ptr, len);
            if (sg_audit_record_parse(cut, &record, NULL) != SG_OK)
                continue;
            sg_buf_clear(&again);
            sg_audit_record_write(&record, &again);
            assert_slice_equal(sg_buf_slice(&again), cut);
            whole++;
        }
        assert_in_range(whole, i == SG_COUNT(test_records) - 1 ? 0 : 1, 27);
        sg_buf_done(&bytes);
        sg_buf_done(&again);
    }
}

static void no_other_encoding_is_read(void **state)
{
    static const struct {
        const char *name;
        const char *hex;
        enum sg_rc rc;
    } rows[] = {
        {"the smallest", "08011001", SG_OK},
        {"nothing", "", SG_E_INVALID},
        {"no format", "1001", SG_E_INVALID},
        {"another format", "08021001", SG_E_INVALID},
        {"no event", "0801", SG_E_INVALID},
        {"the format twice", "080108011001", SG_E_INVALID},
        {"the event first", "10010801", SG_E_INVALID},
        {"the event twice", "080110011001", SG_E_INVALID},
        {"the last event", "0801100b", SG_OK},
        {"an event of tomorrow", "0801100c", SG_E_INVALID},
        {"an event far from all", "0801108180808010", SG_E_INVALID},
        {"an event that is no number", "080112020801", SG_E_INVALID},
        {"a long varint", "0801108100", SG_E_INVALID},
        {"a long varint in a tag", "080190000122", SG_E_INVALID},
        {"a long length", "0801100122810061", SG_E_INVALID},
        {"a text", "08011001220161", SG_OK},
        {"an empty text", "080110012200", SG_E_INVALID},
        {"a text that is not all there", "08011001220261", SG_E_INVALID},
        {"a text longer than memory", "0801100122ffffffffffffffffff01", SG_E_INVALID},
        {"a text that is a number", "080110012001", SG_E_INVALID},
        {"a text with a NUL", "0801100122026100", SG_E_INVALID},
        {"a text that is no UTF-8", "080110012202c3c3", SG_E_INVALID},
        {"a text with a surrogate", "080110012203eda080", SG_E_INVALID},
        {"texts out of order", "080110012a01612201", SG_E_INVALID},
        {"field 28", "08011001e00101", SG_E_INVALID},
        {"field 0", "080110010001", SG_E_INVALID},
        {"a field far beyond", "08011001f8ffffff0f01", SG_E_INVALID},
        {"a group", "08011001230124", SG_E_INVALID},
        {"a fixed number", "0801100125616161", SG_E_INVALID},
        {"a time", "080110011a0408011001", SG_OK},
        {"an empty time", "080110011a00", SG_E_INVALID},
        {"a time of no seconds", "080110011a0408001001", SG_E_INVALID},
        {"a time of no nanoseconds", "080110011a0408011000", SG_E_INVALID},
        {"a time the wrong way round", "080110011a0410010801", SG_E_INVALID},
        {"a time with more", "080110011a0408011801", SG_E_INVALID},
        {"a time twice in itself", "080110011a0408010801", SG_E_INVALID},
        {"a time of bytes", "080110011a030a0161", SG_E_INVALID},
        {"a billion nanoseconds", "080110011a06108094ebdc03", SG_E_INVALID},
        {"one less", "080110011a0610ff93ebdc03", SG_OK},
        {"a time before 1970", "080110011a0b08ffffffffffffffffff01", SG_E_INVALID},
        {"the last time", "080110011a0c0884fa85ae2210ffafcb9703", SG_OK},
        {"a nanosecond after the last", "080110011a0c0884fa85ae221080b0cb9703", SG_E_INVALID},
        {"a second after the last", "080110011a060885fa85ae22", SG_E_INVALID},
        {"a time over 64 bits of nanoseconds", "080110011a06088af48bdc44", SG_E_INVALID},
        {"a tag without a value", "0801100162016162", SG_E_INVALID},
        {"grants", "08011001620161620162", SG_OK},
        {"the same grants", "08011001620161620161", SG_OK},
        {"an empty grant", "080110016200", SG_E_INVALID},
        {"eight grants", "08011001620161620161620161620161620161620161620161620161", SG_OK},
        {"nine", "08011001620161620161620161620161620161620161620161620161620161", SG_E_INVALID},
        {"a digest algorithm of tomorrow", "08011001880107", SG_E_INVALID},
        {"the last scheme", "080110017804", SG_OK},
        {"a scheme of tomorrow", "080110017805", SG_E_INVALID},
        {"the last encoding", "08011001800102", SG_OK},
        {"an encoding of tomorrow", "08011001800103", SG_E_INVALID},
        {"a digest's algorithm alone", "08011001880101", SG_OK},
        {"a document's digest algorithm alone", "08011001980101", SG_E_INVALID},
        {"a document's digest alone",
         "08011001a201200404040404040404040404040404040404040404040404040404040404040404",
         SG_E_INVALID},
        {"a short digest", "08011001920101aa", SG_E_INVALID},
        {"a short hash of the request", "080110014a01aa", SG_E_INVALID},
        {"a short hash of the key", "080110017201aa", SG_E_INVALID},
        {"a count", "08011001d00101", SG_OK},
        {"no count", "08011001d00100", SG_E_INVALID},
        {"a count of 65 bits", "08011001d001ffffffffffffffffff02", SG_E_INVALID},
        {"a count of eleven bytes", "08011001d0018080808080808080808001", SG_E_INVALID},
        {"a byte more", "0801100100", SG_E_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_buf bytes;
        print_message("  %s\n", rows[i].name);
        sg_buf_init(&bytes, 4096);
        add_hex(&bytes, rows[i].hex);
        assert_int_equal(parse(sg_buf_slice(&bytes)), rows[i].rc);
        sg_buf_done(&bytes);
    }
}

static void no_byte_may_be_put_between(void **state)
{
    struct sg_buf bytes, more;
    (void)state;
    sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
    sg_buf_init(&more, SG_AUDIT_RECORD_BYTES_MAX);
    add_hex(&bytes, test_records[0].hex);
    for (size_t at = 0; at <= bytes.len; at++) {
        sg_buf_clear(&more);
        sg_buf_add(&more, bytes.ptr, at);
        sg_buf_add_u8(&more, 0);
        sg_buf_add(&more, bytes.ptr + at, bytes.len - at);
        assert_int_equal(
            sg_audit_record_parse(sg_buf_slice(&more), &(struct sg_audit_record){0}, NULL),
            SG_E_INVALID);
    }
    sg_buf_done(&bytes);
    sg_buf_done(&more);
}

static char letters[SG_AUDIT_RECORD_BYTES_MAX];

static void every_part_has_its_limit(void **state)
{
    struct sg_slice most = sg_slice_of(letters, SG_AUDIT_TEXT_BYTES_MAX);
    struct sg_slice over = sg_slice_of(letters, SG_AUDIT_TEXT_BYTES_MAX + 1);
    const struct {
        const char *name;
        struct sg_audit_record record;
        bool is_written;
    } rows[] = {
        {"no event", {0}, false},
        {"an event of tomorrow", {.event = SG_AUDIT_EVENT_COUNT}, false},
        {"before 1970", {.event = SG_AUDIT_CSR, .time_ns = -1}, false},
        {"the last time", {.event = SG_AUDIT_CSR, .time_ns = INT64_MAX}, true},
        {"the longest text", {.event = SG_AUDIT_CSR, .detail = most}, true},
        {"one longer", {.event = SG_AUDIT_CSR, .detail = over}, false},
        {"the longest grant", {.event = SG_AUDIT_CSR, .grants = {most}, .grant_count = 1}, true},
        {"one longer", {.event = SG_AUDIT_CSR, .grants = {over}, .grant_count = 1}, false},
        {"too many grants", {.event = SG_AUDIT_CSR, .grant_count = SG_AUDIT_GRANTS_MAX + 1}, false},
        {"an empty grant is none", {.event = SG_AUDIT_CSR, .grant_count = 1}, true},
        {"the longest signature",
         {.event = SG_AUDIT_CSR, .signature = {most.ptr, SG_SIGNATURE_BYTES_MAX}},
         true},
        {"one longer",
         {.event = SG_AUDIT_CSR, .signature = {most.ptr, SG_SIGNATURE_BYTES_MAX + 1}},
         false},
        {"a text with a NUL", {.event = SG_AUDIT_CSR, .rule = BYTES("a\0b")}, false},
        {"a text that is no UTF-8", {.event = SG_AUDIT_CSR, .rule = BYTES("a\xff")}, false},
        {"a short digest",
         {.event = SG_AUDIT_CSR, .digest_alg = SG_DIGEST_SHA256, .digest = {most.ptr, 31}},
         false},
        {"a digest without an algorithm is Ed25519's",
         {.event = SG_AUDIT_CSR, .digest = {most.ptr, 48}},
         false},
        {"a scheme of tomorrow", {.event = SG_AUDIT_CSR, .scheme = SG_SCHEME_COUNT}, false},
    };
    (void)state;
    memset(letters, 'a', sizeof(letters));
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        assert_int_equal(is_writable(&rows[i].record), rows[i].is_written);
    }
}

static void a_record_has_its_limit(void **state)
{
    struct sg_audit_record record = {.event = SG_AUDIT_CSR};
    struct sg_buf bytes;
    (void)state;
    memset(letters, 'a', sizeof(letters));
    record.signature = sg_slice_of(letters, SG_SIGNATURE_BYTES_MAX);
    record.rule = sg_slice_of(letters, SG_AUDIT_TEXT_BYTES_MAX);
    /* What is left of 16 KiB behind the tags and lengths of the others and its own. */
    record.detail = sg_slice_of(letters, SG_AUDIT_TEXT_BYTES_MAX - 4 - 4 - 3 - 4);

    for (unsigned over = 0; over <= 1; over++) {
        sg_buf_init(&bytes, 2 * SG_AUDIT_RECORD_BYTES_MAX);
        record.detail.len += over;
        sg_audit_record_write(&record, &bytes);
        assert_int_equal(bytes.len, SG_AUDIT_RECORD_BYTES_MAX + over);
        assert_int_equal(bytes.failed, over == 1);
        assert_int_equal(parse(sg_buf_slice(&bytes)), over == 1 ? SG_E_LIMIT : SG_OK);
        sg_buf_done(&bytes);
    }
}

static void a_buffer_without_room_fails(void **state)
{
    struct sg_buf bytes;
    (void)state;
    for (size_t max = 0; max <= 116; max++) {
        sg_buf_init(&bytes, max);
        sg_audit_record_write(&test_records[1].record, &bytes);
        assert_int_equal(bytes.failed, max < 116);
        sg_buf_done(&bytes);
    }
}

static void a_copy_needs_nothing_of_the_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(test_records); i++) {
        struct sg_audit_record record, *copy;
        struct sg_buf bytes;
        sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
        add_hex(&bytes, test_records[i].hex);
        assert_int_equal(sg_audit_record_parse(sg_buf_slice(&bytes), &record, NULL), SG_OK);
        copy = sg_audit_record_copy(&record);
        sg_buf_done(&bytes);
        assert_non_null(copy);
        assert_same_record(copy, &test_records[i].record);
        free(copy);
    }
}

static void events_have_names(void **state)
{
    (void)state;
    assert_string_equal(sg_audit_event_name(SG_AUDIT_SIGNATURE), "signature");
    assert_string_equal(sg_audit_event_name(SG_AUDIT_DENIAL), "denial");
    assert_string_equal(sg_audit_event_name(SG_AUDIT_UNSET), "");
    assert_string_equal(sg_audit_event_name(SG_AUDIT_EVENT_COUNT), "");
    for (unsigned i = 1; i < SG_AUDIT_EVENT_COUNT; i++)
        assert_int_equal(sg_audit_event_find(sg_audit_event_name((enum sg_audit_event)i)), i);
    assert_int_equal(sg_audit_event_find(""), SG_AUDIT_UNSET);
    assert_int_equal(sg_audit_event_find("signatures"), SG_AUDIT_UNSET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_written_as_protobuf_does),
        cmocka_unit_test(records_are_read_as_they_were_written),
        cmocka_unit_test(a_cut_record_is_another_whole_one_or_none),
        cmocka_unit_test(no_other_encoding_is_read),
        cmocka_unit_test(no_byte_may_be_put_between),
        cmocka_unit_test(every_part_has_its_limit),
        cmocka_unit_test(a_record_has_its_limit),
        cmocka_unit_test(a_buffer_without_room_fails),
        cmocka_unit_test(a_copy_needs_nothing_of_the_first),
        cmocka_unit_test(events_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
