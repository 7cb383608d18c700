#include "client/include/sealgate_audit.h"
#include "formats/raw/pem.h"
#include "tests/support/audit_maker.h"
#include "tests/support/certifier.h"
#include "tests/unit/formats/audit_log.h"

/* The key of a log, by the receipt of its leaf 0 and the key in a token that certified it. */

static const char origin[] = "sealgate.example/log-1";
static EVP_PKEY *token, *stranger;
static struct sg_buf token_pem, stranger_pem;

static void write_pem(EVP_PKEY *key, struct sg_buf *out)
{
    uint8_t der[1024], *at = der;
    sg_buf_init(out, 4096);
    sg_pem_encode("PUBLIC KEY", sg_slice_of(der, (size_t)i2d_PUBKEY(key, &at)), out);
}

static int setup(void **state)
{
    (void)state;
    token = EVP_EC_gen("P-256");
    stranger = EVP_EC_gen("P-256");
    write_pem(token, &token_pem);
    write_pem(stranger, &stranger_pem);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    EVP_PKEY_free(token);
    EVP_PKEY_free(stranger);
    sg_buf_done(&token_pem);
    sg_buf_done(&stranger_pem);
    return 0;
}

/* A log that says of itself that its key is `named`, and has `certified` certified. NULL: its own.
 */
static struct audit_maker *make_log(const char *name, uint8_t seed, const struct sg_note_key *named,
                                    const struct sg_note_key *certified)
{
    struct audit_maker *log = audit_maker_new(name, seed);
    const struct sg_note_key *own = audit_maker_key(log);
    struct certified_first first;
    struct sg_buf record;

    certified_first_init(&first, token, SG_KEY_EC_P256, named == NULL ? own : named,
                         certified == NULL ? own : certified);
    sg_buf_init(&record, SG_AUDIT_RECORD_BYTES_MAX);
    sg_audit_record_write(&first.record, &record);
    assert_false(record.failed);
    audit_maker_add(log, sg_buf_slice(&record));
    audit_maker_grow(log, 6);
    sg_buf_done(&record);
    sg_buf_done(&first.detail);
    return log;
}

static struct sealgate_bytes bytes_of(const struct sg_buf *buf)
{
    return (struct sealgate_bytes){buf->ptr, buf->len};
}

/* The reason, "" for certified, of the receipt of this leaf. */
static const char *judge(struct audit_maker *log, uint64_t index, const struct sg_buf *by,
                         struct sealgate_checkpoint **ret)
{
    static struct sealgate_error error;
    struct sg_buf receipt;

    sg_buf_init(&receipt, SG_RECEIPT_BYTES_MAX);
    audit_maker_receipt(log, index, 7, &receipt);
    const enum sealgate_code code =
        sealgate_log_key_verify(bytes_of(&receipt), bytes_of(by), ret, &error);
    sg_buf_done(&receipt);
    return code == SEALGATE_OK ? "" : error.reason;
}

static void a_certified_key_is_told(void **state)
{
    struct audit_maker *log = make_log(origin, 1, NULL, NULL);
    struct sealgate_checkpoint *checkpoint = NULL, *again = NULL;
    struct sealgate_record *record = NULL;
    struct sg_buf key, receipt;
    (void)state;

    assert_string_equal(judge(log, 0, &token_pem, NULL), "");
    assert_string_equal(judge(log, 0, &token_pem, &checkpoint), "");
    sg_buf_init(&key, 512);
    sg_note_key_write(audit_maker_key(log), &key);
    assert_true(sg_slice_is(sg_buf_slice(&key), checkpoint->key));
    assert_string_equal(checkpoint->origin, origin);
    assert_int_equal(checkpoint->size, 7);
    assert_int_equal(checkpoint->root.len, 32);
    assert_true(checkpoint->is_signed);
    /* All of it is what the other functions take. */
    assert_int_equal(sealgate_checkpoint_verify(checkpoint->note, checkpoint->key, &again, NULL),
                     SEALGATE_OK);
    assert_memory_equal(again->root.ptr, checkpoint->root.ptr, 32);
    sg_buf_init(&receipt, SG_RECEIPT_BYTES_MAX);
    audit_maker_receipt(log, 3, 7, &receipt);
    assert_int_equal(sealgate_receipt_verify(bytes_of(&receipt), checkpoint->key, &record, NULL),
                     SEALGATE_OK);
    sealgate_free(record);
    sealgate_free(again);
    sealgate_free(checkpoint);
    sg_buf_done(&receipt);
    sg_buf_done(&key);
    audit_maker_free(log);
}

static void what_is_not_certified_is_refused_for_that_reason(void **state)
{
    static const char reason[] = "LOG_KEY_NOT_CERTIFIED";
    struct audit_maker *log = make_log(origin, 1, NULL, NULL);
    struct audit_maker *other = make_log("sealgate.example/log-2", 2, NULL, NULL);
    struct audit_maker *stolen[] = {
        /* Leaf 0 of another log, in a log by another key, or under another name. */
        make_log(origin, 3, audit_maker_key(log), audit_maker_key(log)),
        make_log("sealgate.example/log-2", 1, audit_maker_key(log), audit_maker_key(log)),
        /* Its own key, by a certification of another's. */
        make_log(origin, 3, NULL, audit_maker_key(log)),
        make_log(origin, 3, NULL, audit_maker_key(other)),
    };
    struct audit_maker *bare = audit_maker_new(origin, 1);
    struct sg_buf nothing;
    (void)state;

    audit_maker_grow(bare, 7);
    assert_string_equal(judge(log, 0, &stranger_pem, NULL), reason);
    assert_string_equal(judge(log, 1, &token_pem, NULL), reason);
    assert_string_equal(judge(bare, 0, &token_pem, NULL), reason);
    for (size_t i = 0; i < SG_COUNT(stolen); i++)
        assert_string_equal(judge(stolen[i], 0, &token_pem, NULL), reason);
    sg_buf_init(&nothing, 16);
    sg_buf_add_str(&nothing, "nothing");
    assert_string_equal(judge(log, 0, &nothing, NULL), "BAD_OPTIONS");
    sg_buf_done(&nothing);
    for (size_t i = 0; i < SG_COUNT(stolen); i++)
        audit_maker_free(stolen[i]);
    audit_maker_free(bare);
    audit_maker_free(other);
    audit_maker_free(log);
}

/* Its key may sign whatever it likes: a checkpoint of another log is not one of this. */
static void a_checkpoint_under_another_name_is_not_of_the_certified_log(void **state)
{
    struct audit_maker *log = make_log(origin, 1, NULL, NULL);
    struct sg_buf text, note, file;
    struct test_signer signer;
    struct sg_receipt receipt;
    struct sg_note parts;
    (void)state;

    sg_buf_init(&file, SG_RECEIPT_BYTES_MAX);
    sg_buf_init(&text, 1024);
    sg_buf_init(&note, 1024);
    audit_maker_receipt(log, 0, 7, &file);
    assert_int_equal(sg_receipt_parse(sg_buf_slice(&file), &receipt, NULL), SG_OK);
    assert_int_equal(sg_note_parse(receipt.checkpoint, &parts, NULL), SG_OK);
    test_signer_init(&signer, origin, SG_NOTE_ED25519, 1);
    for (int is_other = 0; is_other < 2; is_other++) {
        struct sg_slice rest = parts.text;
        struct sg_buf changed;
        sg_buf_clear(&text);
        sg_buf_clear(&note);
        (void)sg_slice_take(&rest, sizeof(origin) - 1);
        sg_buf_add_str(&text, is_other ? "sealgate.example/log-2" : origin);
        sg_buf_add_slice(&text, rest);
        sg_buf_add_slice(&note, sg_buf_slice(&text));
        sg_buf_add_u8(&note, '\n');
        test_signer_sign(&signer, SG_NOTE_ED25519, 0, sg_buf_slice(&text), &note);
        receipt.checkpoint = sg_buf_slice(&note);
        sg_buf_init(&changed, SG_RECEIPT_BYTES_MAX);
        sg_receipt_write(&receipt, &changed);
        assert_int_equal(
            sealgate_log_key_verify(bytes_of(&changed), bytes_of(&token_pem), NULL, NULL),
            is_other ? SEALGATE_DATA_LOSS : SEALGATE_OK);
        sg_buf_done(&changed);
    }
    test_signer_done(&signer);
    sg_buf_done(&note);
    sg_buf_done(&text);
    sg_buf_done(&file);
    audit_maker_free(log);
}

static void a_later_leaf_certifies_nothing(void **state)
{
    struct audit_maker *log = make_log(origin, 1, NULL, NULL);
    struct audit_maker *twice = audit_maker_new(origin, 1);
    (void)state;

    for (int i = 0; i < 2; i++)
        audit_maker_add(twice, audit_maker_record(log, 0));
    audit_maker_grow(twice, 5);
    assert_string_equal(judge(twice, 0, &token_pem, NULL), "");
    assert_string_equal(judge(twice, 1, &token_pem, NULL), "LOG_KEY_NOT_CERTIFIED");
    audit_maker_free(twice);
    audit_maker_free(log);
}

static void no_byte_of_the_receipt_may_be_changed(void **state)
{
    struct audit_maker *log = make_log(origin, 1, NULL, NULL);
    struct sg_buf receipt;
    (void)state;

    sg_buf_init(&receipt, SG_RECEIPT_BYTES_MAX);
    audit_maker_receipt(log, 0, 7, &receipt);
    for (size_t at = 0; at < receipt.len; at++) {
        receipt.ptr[at] ^= 1;
        assert_int_equal(
            sealgate_log_key_verify(bytes_of(&receipt), bytes_of(&token_pem), NULL, NULL),
            SEALGATE_DATA_LOSS);
        receipt.ptr[at] ^= 1;
    }
    for (size_t len = 0; len < receipt.len; len++)
        assert_int_equal(sealgate_log_key_verify((struct sealgate_bytes){receipt.ptr, len},
                                                 bytes_of(&token_pem), NULL, NULL),
                         SEALGATE_DATA_LOSS);
    assert_int_equal(sealgate_log_key_verify(bytes_of(&receipt), bytes_of(&token_pem), NULL, NULL),
                     SEALGATE_OK);
    sg_buf_done(&receipt);
    audit_maker_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certified_key_is_told),
        cmocka_unit_test(what_is_not_certified_is_refused_for_that_reason),
        cmocka_unit_test(a_checkpoint_under_another_name_is_not_of_the_certified_log),
        cmocka_unit_test(a_later_leaf_certifies_nothing),
        cmocka_unit_test(no_byte_of_the_receipt_may_be_changed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
