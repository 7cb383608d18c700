#include <protobuf-c/protobuf-c.h>

#include "sealgate/v1/audit.pb-c.h"
#include "tests/support/unit.h"
#include "tests/unit/formats/audit_records.h"

/* Records are messages of the contract: protobuf-c reads of them what was written, and writes the
 * same bytes of what it read. */

static void assert_text(const char *text, struct sg_slice wanted)
{
    assert_slice_equal(sg_slice_str(text), wanted);
}

static void assert_bytes(ProtobufCBinaryData bytes, struct sg_slice wanted)
{
    assert_slice_equal(sg_slice_of(bytes.data, bytes.len), wanted);
}

static void assert_same(const Sealgate__V1__AuditRecord *read, const struct sg_audit_record *wanted)
{
    int64_t time_ns = read->time == NULL ? 0 : read->time->seconds * 1000000000 + read->time->nanos;
    assert_int_equal(read->format, SG_AUDIT_FORMAT);
    assert_int_equal(read->event, wanted->event);
    assert_int_equal(time_ns, wanted->time_ns);
    assert_text(read->authority, wanted->authority);
    assert_text(read->caller, wanted->caller);
    assert_text(read->source, wanted->source);
    assert_text(read->method, wanted->method);
    assert_text(read->request_id, wanted->request_id);
    assert_bytes(read->request_sha256, wanted->request_sha256);
    assert_text(read->rule_set, wanted->rule_set);
    assert_text(read->rule, wanted->rule);
    assert_int_equal(read->n_grants, wanted->grant_count);
    for (size_t i = 0; i < wanted->grant_count; i++)
        assert_text(read->grants[i], wanted->grants[i]);
    assert_text(read->key_version, wanted->key_version);
    assert_bytes(read->public_key_sha256, wanted->public_key_sha256);
    assert_int_equal(read->scheme, wanted->scheme);
    assert_int_equal(read->encoding, wanted->encoding);
    assert_int_equal(read->digest_algorithm, wanted->digest_alg);
    assert_bytes(read->digest, wanted->digest);
    assert_int_equal(read->document_digest_algorithm, wanted->document_digest_alg);
    assert_bytes(read->document_digest, wanted->document_digest);
    assert_text(read->document_number, wanted->document_number);
    assert_text(read->purpose, wanted->purpose);
    assert_bytes(read->signature, wanted->signature);
    assert_text(read->token, wanted->token);
    assert_text(read->reason, wanted->reason);
    assert_int_equal(read->count, wanted->count);
    assert_text(read->detail, wanted->detail);
}

static void protobuf_reads_and_writes_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(test_records); i++) {
        struct sg_buf bytes;
        uint8_t again[SG_AUDIT_RECORD_BYTES_MAX];
        print_message("  %s\n", test_records[i].name);
        sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
        sg_audit_record_write(&test_records[i].record, &bytes);
        Sealgate__V1__AuditRecord *read =
            sealgate__v1__audit_record__unpack(NULL, bytes.len, bytes.ptr);
        assert_non_null(read);
        assert_same(read, &test_records[i].record);
        assert_int_equal(sealgate__v1__audit_record__get_packed_size(read), bytes.len);
        size_t len = sealgate__v1__audit_record__pack(read, again);
        assert_slice_equal(sg_slice_of(again, len), sg_buf_slice(&bytes));
        sealgate__v1__audit_record__free_unpacked(read, NULL);
        sg_buf_done(&bytes);
    }
}

/* A new field of the contract must come into the encoding too. */
static void every_field_of_the_message_is_known(void **state)
{
    (void)state;
    assert_int_equal(sealgate__v1__audit_record__descriptor.n_fields, 27);
    assert_int_equal(SEALGATE__V1__AUDIT_EVENT__AUDIT_EVENT_LEAVES_ARCHIVED,
                     SG_AUDIT_LEAVES_ARCHIVED);
    assert_int_equal(sealgate__v1__audit_event__descriptor.n_values, SG_AUDIT_EVENT_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_reads_and_writes_the_same),
        cmocka_unit_test(every_field_of_the_message_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
