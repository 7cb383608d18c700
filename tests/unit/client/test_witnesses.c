#include "client/include/sealgate_audit.h"
#include "tests/support/audit_maker.h"
#include "tests/unit/formats/audit_log.h"

/* Who else has seen a checkpoint, as an application asks. */

static void vkey_of(const struct test_signer *signer, struct sg_buf *out)
{
    sg_note_key_write(signer->key, out);
    sg_buf_add_str(out, " ");
}

static struct sealgate_bytes bytes_of(const struct sg_buf *buf)
{
    return (struct sealgate_bytes){.ptr = buf->ptr, .len = buf->len};
}

static void witnesses_of_checkpoints_and_receipts_are_counted(void **state)
{
    struct audit_maker *maker = audit_maker_new("log.example/main/1", 7);
    struct test_signer first, second;
    struct sg_buf keys, files[2], log_key;
    struct sealgate_error error;
    size_t count = 9;
    (void)state;

    audit_maker_grow(maker, 9);
    test_signer_init(&first, "witness.example/w1", SG_NOTE_COSIGNATURE, 3);
    test_signer_init(&second, "witness.example/w2", SG_NOTE_COSIGNATURE, 4);
    sg_buf_init(&keys, 4096);
    vkey_of(&first, &keys);
    vkey_of(&second, &keys);
    sg_buf_add_u8(&keys, '\0');
    const char *both = (const char *)keys.ptr;
    for (size_t i = 0; i < 2; i++) {
        sg_buf_init(&files[i], 65536);
        if (i == 0)
            audit_maker_checkpoint(maker, 9, &files[i]);
        else
            audit_maker_receipt(maker, 4, 9, &files[i]);
        assert_int_equal(sealgate_witnesses_count(bytes_of(&files[i]), both, &count, &error),
                         SEALGATE_OK);
        assert_int_equal(count, 0);
        struct sg_buf text;
        sg_buf_init(&text, 65536);
        audit_maker_checkpoint(maker, 9, &text);
        const struct sg_slice signatures = SG_SLICE("\n\n");
        const uint8_t *end = memmem(text.ptr, text.len, signatures.ptr, signatures.len);
        const struct sg_slice body = sg_slice_of(text.ptr, (size_t)(end - text.ptr) + 1);
        test_signer_sign(&second, SG_NOTE_COSIGNATURE, 5, body, &files[i]);
        assert_int_equal(sealgate_witnesses_count(bytes_of(&files[i]), both, &count, &error),
                         SEALGATE_OK);
        assert_int_equal(count, 1);
        test_signer_sign(&first, SG_NOTE_COSIGNATURE, 5, body, &files[i]);
        assert_int_equal(sealgate_witnesses_count(bytes_of(&files[i]), both, &count, &error),
                         SEALGATE_OK);
        assert_int_equal(count, 2);
        assert_int_equal(sealgate_witnesses_count(bytes_of(&files[i]), "", &count, &error),
                         SEALGATE_OK);
        assert_int_equal(count, 0);
        /* A forged line of one of them spoils the file. */
        test_signer_sign(&first, SG_NOTE_COSIGNATURE, 5, SG_SLICE("another\n"), &files[i]);
        assert_int_equal(sealgate_witnesses_count(bytes_of(&files[i]), both, &count, &error),
                         SEALGATE_DATA_LOSS);
        assert_string_equal(error.reason, "CHECKPOINT_WRONG");
        sg_buf_done(&text);
        sg_buf_done(&files[i]);
    }
    assert_int_equal(sealgate_witnesses_count((struct sealgate_bytes){.ptr = keys.ptr, .len = 3},
                                              both, &count, &error),
                     SEALGATE_DATA_LOSS);

    sg_buf_init(&log_key, 1024);
    sg_note_key_write(audit_maker_key(maker), &log_key);
    sg_buf_add_u8(&log_key, '\0');
    const char *const bad[] = {"no-key", (const char *)log_key.ptr};
    for (size_t i = 0; i < SG_COUNT(bad); i++) {
        assert_int_equal(sealgate_witnesses_count(bytes_of(&keys), bad[i], &count, &error),
                         SEALGATE_INVALID_ARGUMENT);
        assert_string_equal(error.reason, "BAD_OPTIONS");
    }
    sg_buf_done(&log_key);
    sg_buf_done(&keys);
    test_signer_done(&first);
    test_signer_done(&second);
    audit_maker_free(maker);
}

/* Whom a witness's key convinces, who takes it for the log's, believes the witness for the log. */
static void a_key_of_a_witness_is_none_of_a_log(void **state)
{
    struct audit_maker *maker = audit_maker_new("log.example/main/1", 7);
    struct test_signer witness;
    struct sg_buf key, receipt;
    struct sealgate_record *record = NULL;
    struct sealgate_error error;
    (void)state;

    audit_maker_grow(maker, 9);
    test_signer_init(&witness, "log.example/main/1", SG_NOTE_COSIGNATURE, 3);
    sg_buf_init(&key, 1024);
    vkey_of(&witness, &key);
    sg_buf_add_u8(&key, '\0');
    sg_buf_init(&receipt, 65536);
    audit_maker_receipt(maker, 4, 9, &receipt);
    assert_int_equal(
        sealgate_receipt_verify(bytes_of(&receipt), (const char *)key.ptr, &record, &error),
        SEALGATE_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "BAD_OPTIONS");
    assert_non_null(strstr(error.message, "witness"));
    sg_buf_done(&receipt);
    sg_buf_done(&key);
    test_signer_done(&witness);
    audit_maker_free(maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(witnesses_of_checkpoints_and_receipts_are_counted),
        cmocka_unit_test(a_key_of_a_witness_is_none_of_a_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
