#include "formats/audit/checkpoint.h"
#include "formats/audit/signer.h"

#include <stdlib.h>

#include "formats/audit/record.h"
#include "tests/unit/formats/audit_log.h"

/* Checkpoints and receipts: as others write them, and as nobody may forge them. */

enum { LEAVES = 11 };
static const char origin[] = "sealgate.example/log-1";
#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="

static struct sg_tree_hasher *hasher;
static struct test_signer signer, stranger;
static struct sg_tree_hash kept[8][LEAVES];
static struct sg_tree_head head;
static char records[LEAVES][16];

static void keep(void *arg, struct sg_tree_place place, const struct sg_tree_hash *hash)
{
    (void)arg;
    kept[place.level][place.index] = *hash;
}

static enum sg_rc find(void *arg, struct sg_tree_place place, struct sg_tree_hash *ret,
                       struct sg_err *err)
{
    (void)arg;
    (void)err;
    *ret = kept[place.level][place.index];
    return SG_OK;
}

static int setup(void **state)
{
    struct sg_tree_edge edge = {0};
    (void)state;
    assert_int_equal(sg_tree_hasher_new(&hasher, NULL), SG_OK);
    test_signer_init(&signer, origin, SG_NOTE_ED25519, 1);
    test_signer_init(&stranger, origin, SG_NOTE_ED25519, 2);
    for (unsigned i = 0; i < LEAVES; i++) {
        struct sg_tree_hash leaf;
        snprintf(records[i], sizeof(records[i]), "record %u", i);
        sg_tree_hash_leaf(hasher, sg_slice_str(records[i]), &leaf);
        sg_tree_append(hasher, &edge, &leaf, keep, NULL);
    }
    head.size = LEAVES;
    sg_tree_root(hasher, &edge, &head.root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sg_tree_hasher_free(hasher);
    test_signer_done(&signer);
    test_signer_done(&stranger);
    return 0;
}

/* A note over a checkpoint of this log, or of what the test makes of it. */
static void write_note(const char *of, const struct sg_tree_head *at, const struct test_signer *by,
                       struct sg_buf *out)
{
    struct sg_buf text;
    sg_buf_init(&text, 1024);
    sg_checkpoint_write(&(struct sg_checkpoint){sg_slice_str(of), *at}, &text);
    sg_buf_add_slice(out, sg_buf_slice(&text));
    sg_buf_add_u8(out, '\n');
    test_signer_sign(by, SG_NOTE_ED25519, 0, sg_buf_slice(&text), out);
    sg_buf_done(&text);
}

static void write_receipt(uint64_t index, struct sg_slice note, struct sg_buf *out)
{
    struct sg_receipt receipt = {.index = index, .checkpoint = note};
    assert_int_equal(sg_tree_prove_leaf(hasher, index, LEAVES, find, NULL, &receipt.proof, NULL),
                     SG_OK);
    sg_receipt_write(&receipt, out);
}

static enum sg_rc check(struct sg_slice text, unsigned record)
{
    struct sg_tree_head seen;
    uint8_t *exact = malloc(text.len + 1);
    memcpy(exact, text.ptr, text.len);
    enum sg_rc rc =
        sg_receipt_check(hasher, sg_slice_of(exact, text.len), sg_slice_str(records[record]),
                         sg_slice_str(origin), signer.key, &seen, NULL);
    free(exact);
    if (rc == SG_OK)
        assert_memory_equal(&seen, &head, sizeof(head));
    return rc;
}

static void checkpoints_are_read_as_they_are_written(void **state)
{
    static const char text[] = "example.com/behind-the-sofa\n20852163\n" ROOT "\n";
    struct sg_checkpoint checkpoint;
    struct sg_buf again;
    (void)state;
    assert_int_equal(sg_checkpoint_parse(sg_slice_str(text), &checkpoint, NULL), SG_OK);
    assert_true(sg_slice_is(checkpoint.origin, "example.com/behind-the-sofa"));
    assert_int_equal(checkpoint.head.size, 20852163);
    assert_int_equal(checkpoint.head.root.bytes[0], 0x0a);
    sg_buf_init(&again, 1024);
    sg_checkpoint_write(&checkpoint, &again);
    assert_true(sg_slice_is(sg_buf_slice(&again), text));
    sg_buf_done(&again);
    for (size_t len = 0; len < strlen(text); len++)
        assert_int_equal(sg_checkpoint_parse(sg_slice_of(text, len), &checkpoint, NULL),
                         SG_E_INVALID);
}

static void only_checkpoints_are_checkpoints(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        enum sg_rc rc;
    } rows[] = {
        {"the empty tree", "a\n0\n" ROOT "\n", SG_OK},
        {"the largest", "a\n18446744073709551615\n" ROOT "\n", SG_OK},
        {"one larger", "a\n18446744073709551616\n" ROOT "\n", SG_E_INVALID},
        {"a much longer number", "a\n99999999999999999999999\n" ROOT "\n", SG_E_INVALID},
        {"a zero before", "a\n01\n" ROOT "\n", SG_E_INVALID},
        {"no size", "a\n\n" ROOT "\n", SG_E_INVALID},
        {"a sign", "a\n+1\n" ROOT "\n", SG_E_INVALID},
        {"no origin", "\n1\n" ROOT "\n", SG_E_INVALID},
        {"a space in the origin", "a b\n1\n" ROOT "\n", SG_E_INVALID},
        {"a plus in the origin", "a+b\n1\n" ROOT "\n", SG_E_INVALID},
        {"a short hash", "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n", SG_E_INVALID},
        {"no hash", "a\n1\n\n", SG_E_INVALID},
        {"an extension", "a\n1\n" ROOT "\nmore\n", SG_E_INVALID},
        {"an empty line", "a\n1\n" ROOT "\n\n", SG_E_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_checkpoint checkpoint;
        print_message("  %s\n", rows[i].name);
        assert_int_equal(sg_checkpoint_parse(sg_slice_str(rows[i].text), &checkpoint, NULL),
                         rows[i].rc);
    }
}

static void a_receipt_proves_its_record_and_no_other(void **state)
{
    struct sg_buf note, text;
    (void)state;
    sg_buf_init(&note, 4096);
    write_note(origin, &head, &signer, &note);
    for (unsigned i = 0; i < LEAVES; i++) {
        sg_buf_init(&text, 8192);
        write_receipt(i, sg_buf_slice(&note), &text);
        for (unsigned record = 0; record < LEAVES; record++)
            assert_int_equal(check(sg_buf_slice(&text), record),
                             record == i ? SG_OK : SG_E_INVALID);
        sg_buf_done(&text);
    }
    sg_buf_done(&note);
}

static void no_byte_of_a_receipt_may_differ_or_be_missing(void **state)
{
    struct sg_buf note, text;
    (void)state;
    sg_buf_init(&note, 4096);
    sg_buf_init(&text, 8192);
    write_note(origin, &head, &signer, &note);
    write_receipt(6, sg_buf_slice(&note), &text);
    for (size_t i = 0; i < text.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            text.ptr[i] ^= (uint8_t)(1U << bit);
            assert_int_not_equal(check(sg_buf_slice(&text), 6), SG_OK);
            text.ptr[i] ^= (uint8_t)(1U << bit);
        }
        assert_int_not_equal(check(sg_slice_of(text.ptr, i), 6), SG_OK);
    }
    assert_int_equal(check(sg_buf_slice(&text), 6), SG_OK);
    sg_buf_done(&text);
    sg_buf_done(&note);
}

static void a_forged_checkpoint_proves_nothing(void **state)
{
    static const struct {
        const char *name;
        const char *origin;
        bool is_stranger;
        enum sg_rc rc;
    } rows[] = {
        {"the log's", origin, false, SG_OK},
        {"a stranger's", origin, true, SG_E_INVALID},
        {"of another log by the same key", "sealgate.example/log-2", false, SG_E_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_buf note, text;
        print_message("  %s\n", rows[i].name);
        sg_buf_init(&note, 4096);
        sg_buf_init(&text, 8192);
        write_note(rows[i].origin, &head, rows[i].is_stranger ? &stranger : &signer, &note);
        write_receipt(3, sg_buf_slice(&note), &text);
        assert_int_equal(check(sg_buf_slice(&text), 3), rows[i].rc);
        sg_buf_done(&text);
        sg_buf_done(&note);
    }
}

static void receipts_of_others_are_read(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        enum sg_rc rc;
    } rows[] = {
        {"no hashes", "c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n", SG_OK},
        {"a hash", "c2sp.org/tlog-proof@v1\nindex 5\n" ROOT "\n\ncheckpoint\n", SG_OK},
        {"extra", "c2sp.org/tlog-proof@v1\nextra ZXh0cmE=\nindex 5\n\ncheckpoint\n", SG_OK},
        {"extra that is no base64", "c2sp.org/tlog-proof@v1\nextra !\nindex 5\n\nc\n",
         SG_E_INVALID},
        {"extra twice", "c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 5\n\nc\n",
         SG_E_INVALID},
        {"extra after the index", "c2sp.org/tlog-proof@v1\nindex 5\nextra AAAA\n\nc\n",
         SG_E_INVALID},
        {"another version", "c2sp.org/tlog-proof@v2\nindex 0\n\nc\n", SG_E_INVALID},
        {"no index", "c2sp.org/tlog-proof@v1\n\nc\n", SG_E_INVALID},
        {"a zero before the index", "c2sp.org/tlog-proof@v1\nindex 05\n\nc\n", SG_E_INVALID},
        {"no empty line", "c2sp.org/tlog-proof@v1\nindex 5\n" ROOT "\n", SG_E_INVALID},
        {"no checkpoint", "c2sp.org/tlog-proof@v1\nindex 5\n\n", SG_E_INVALID},
        {"a hash that is none", "c2sp.org/tlog-proof@v1\nindex 5\nAAAA\n\nc\n", SG_E_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_receipt receipt;
        print_message("  %s\n", rows[i].name);
        assert_int_equal(sg_receipt_parse(sg_slice_str(rows[i].text), &receipt, NULL), rows[i].rc);
    }
}

/* The receipt of record 4 with a record in it, which need not be that one. */
static void write_with(const char *record, struct sg_slice note, struct sg_buf *out)
{
    struct sg_receipt receipt = {.index = 4, .checkpoint = note};
    assert_int_equal(sg_tree_prove_leaf(hasher, 4, LEAVES, find, NULL, &receipt.proof, NULL),
                     SG_OK);
    sg_receipt_write_with(&receipt, sg_slice_str(record), out);
}

static enum sg_rc check_alone(struct sg_slice text, const struct sg_note_key *key)
{
    struct sg_receipt receipt;
    struct sg_checkpoint checkpoint;
    struct sg_buf record;
    sg_buf_init(&record, SG_RECEIPT_EXTRA_BYTES_MAX);
    enum sg_rc rc = sg_receipt_parse(text, &receipt, NULL);
    if (rc == SG_OK)
        rc = sg_receipt_read_record(&receipt, &record, NULL);
    if (rc == SG_OK)
        rc = sg_receipt_prove(hasher, &receipt, sg_buf_slice(&record), key, &checkpoint, NULL);
    if (rc == SG_OK) {
        assert_true(sg_slice_is(checkpoint.origin, origin));
        assert_memory_equal(&checkpoint.head, &head, sizeof(head));
    }
    sg_buf_done(&record);
    return rc;
}

static void a_receipt_with_its_record_is_checked_alone(void **state)
{
    static const struct {
        const char *name;
        const char *record;
        bool is_stranger, is_judged;
        enum sg_rc rc;
    } rows[] = {
        {"its record", records[4], false, true, SG_OK},
        {"its record, by anybody's checkpoint", records[4], true, false, SG_OK},
        {"its record, by a stranger's checkpoint", records[4], true, true, SG_E_INVALID},
        {"another record", records[5], false, true, SG_E_INVALID},
        {"another record, by anybody's checkpoint", records[5], false, false, SG_E_INVALID},
        {"no record", "", false, true, SG_E_NOT_FOUND},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_buf note, text;
        print_message("  %s\n", rows[i].name);
        sg_buf_init(&note, 4096);
        sg_buf_init(&text, 8192);
        write_note(origin, &head, rows[i].is_stranger ? &stranger : &signer, &note);
        write_with(rows[i].record, sg_buf_slice(&note), &text);
        assert_int_equal(check_alone(sg_buf_slice(&text), rows[i].is_judged ? signer.key : NULL),
                         rows[i].rc);
        sg_buf_done(&text);
        sg_buf_done(&note);
    }
}

static void no_byte_of_a_receipt_with_its_record_may_differ(void **state)
{
    struct sg_buf note, text;
    (void)state;
    sg_buf_init(&note, 4096);
    sg_buf_init(&text, 8192);
    write_note(origin, &head, &signer, &note);
    write_with(records[4], sg_buf_slice(&note), &text);
    for (size_t i = 0; i < text.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            text.ptr[i] ^= (uint8_t)(1U << bit);
            assert_int_not_equal(check_alone(sg_buf_slice(&text), signer.key), SG_OK);
            text.ptr[i] ^= (uint8_t)(1U << bit);
        }
        assert_int_not_equal(check_alone(sg_slice_of(text.ptr, i), signer.key), SG_OK);
    }
    assert_int_equal(check_alone(sg_buf_slice(&text), signer.key), SG_OK);
    sg_buf_done(&text);
    sg_buf_done(&note);
}

static void any_record_fits_into_a_receipt(void **state)
{
    static uint8_t bytes[SG_AUDIT_RECORD_BYTES_MAX + 1];
    (void)state;
    for (size_t len = sizeof(bytes) - 1; len <= sizeof(bytes); len++) {
        struct sg_receipt receipt = {.checkpoint = SG_SLICE("c\n")};
        struct sg_buf text, record;
        sg_buf_init(&text, 2 * sizeof(bytes));
        sg_buf_init(&record, SG_RECEIPT_EXTRA_BYTES_MAX);
        sg_receipt_write_with(&receipt, sg_slice_of(bytes, len), &text);
        assert_int_equal(sg_receipt_parse(sg_buf_slice(&text), &receipt, NULL),
                         len < sizeof(bytes) ? SG_OK : SG_E_INVALID);
        if (len < sizeof(bytes)) {
            assert_int_equal(sg_receipt_read_record(&receipt, &record, NULL), SG_OK);
            assert_slice_equal(sg_buf_slice(&record), sg_slice_of(bytes, len));
        }
        sg_buf_done(&text);
        sg_buf_done(&record);
    }
}

static void another_epoch_of_a_log_is_told_from_another_log(void **state)
{
    static const struct {
        const char *key, *origin;
        bool is_other;
    } cases[] = {
        {"log.example/main/1", "log.example/main/2", true},
        {"log.example/main/12", "log.example/main/9", true},
        {"log.example/main/1", "log.example/main/1", false},
        {"log.example/main/1", "log.example/other/2", false},
        {"log.example/main/1", "log.example/main/x", false},
        {"log.example/main/1", "log.example/main/", false},
        {"log.example/main1", "log.example/main2", false},
        {"/1", "/2", false},
        {"1", "2", false},
    };
    (void)state;

    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
        SG_AUTO(sg_note_signer_free) struct sg_note_signer *log_signer = NULL;
        struct sg_slice found = {0};
        char note[256];
        print_message("  %s, %s\n", cases[i].key, cases[i].origin);
        assert_int_equal(
            sg_note_private_new(sg_slice_str(cases[i].key), SG_NOTE_ED25519, &secret, NULL), SG_OK);
        assert_int_equal(sg_note_signer_new(sg_secret_bytes(secret), &log_signer, NULL), SG_OK);
        const struct sg_note_key *key = sg_note_signer_key(log_signer);
        snprintf(note, sizeof(note), "%s\n5\n" ROOT "\n", cases[i].origin);
        assert_int_equal(sg_checkpoint_is_other_epoch(sg_slice_str(note), key, &found),
                         cases[i].is_other);
        assert_true(!cases[i].is_other || sg_slice_is(found, cases[i].origin));
        for (size_t len = 0; len < strlen(note); len++)
            assert_false(sg_checkpoint_is_other_epoch(sg_slice_of(note, len), key, &found));
    }
}

static void receipts_have_limits(void **state)
{
    struct sg_receipt receipt;
    struct sg_buf text;
    (void)state;

    for (size_t count = SG_TREE_LEVELS_MAX; count <= SG_TREE_LEVELS_MAX + 1; count++) {
        sg_buf_init(&text, SG_RECEIPT_BYTES_MAX);
        sg_buf_add_str(&text, "c2sp.org/tlog-proof@v1\nindex 5\n");
        for (size_t i = 0; i < count; i++)
            sg_buf_add_str(&text, ROOT "\n");
        sg_buf_add_str(&text, "\nc\n");
        assert_int_equal(sg_receipt_parse(sg_buf_slice(&text), &receipt, NULL),
                         count == SG_TREE_LEVELS_MAX ? SG_OK : SG_E_INVALID);
        sg_buf_done(&text);
    }

    sg_buf_init(&text, SG_RECEIPT_BYTES_MAX + 1);
    sg_buf_add_str(&text, "c2sp.org/tlog-proof@v1\nindex 5\n\n");
    while (text.len < SG_RECEIPT_BYTES_MAX)
        sg_buf_add_u8(&text, 'c');
    assert_int_equal(sg_receipt_parse(sg_buf_slice(&text), &receipt, NULL), SG_OK);
    sg_buf_add_u8(&text, 'c');
    assert_int_equal(sg_receipt_parse(sg_buf_slice(&text), &receipt, NULL), SG_E_LIMIT);
    sg_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_are_read_as_they_are_written),
        cmocka_unit_test(only_checkpoints_are_checkpoints),
        cmocka_unit_test(a_receipt_proves_its_record_and_no_other),
        cmocka_unit_test(no_byte_of_a_receipt_may_differ_or_be_missing),
        cmocka_unit_test(a_forged_checkpoint_proves_nothing),
        cmocka_unit_test(receipts_of_others_are_read),
        cmocka_unit_test(a_receipt_with_its_record_is_checked_alone),
        cmocka_unit_test(no_byte_of_a_receipt_with_its_record_may_differ),
        cmocka_unit_test(any_record_fits_into_a_receipt),
        cmocka_unit_test(another_epoch_of_a_log_is_told_from_another_log),
        cmocka_unit_test(receipts_have_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
