#include "tests/support/unit.h"

#include "formats/audit/signer.h"

/* Keys that sign notes: the form in which others keep theirs, and the same signatures. */

/* The documentation of Go's package golang.org/x/mod/sumdb/note. */
static const char go_private[] =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
static const char go_text[] = "If you think cryptography is the answer to your problem,\n"
                              "then you don't know what your problem is.\n";
static const char go_signature[] = "\n\xe2\x80\x94 PeterNeumann "
                                   "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2p"
                                   "ZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

static void it_signs_as_another_implementation_does(void **state)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    struct sg_buf note, wanted;
    (void)state;

    assert_int_equal(sg_note_signer_new(sg_slice_str(go_private), &signer, NULL), SG_OK);
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    sg_buf_init(&wanted, SG_NOTE_BYTES_MAX);
    sg_buf_add_str(&wanted, go_text);
    sg_buf_add_str(&wanted, go_signature);
    /* Twice: what the first leaves behind must not reach the second. */
    for (int i = 0; i < 2; i++) {
        sg_buf_clear(&note);
        assert_int_equal(sg_note_sign(signer, sg_slice_str(go_text), &note, NULL), SG_OK);
        assert_true(sg_slice_eq(sg_buf_slice(&note), sg_buf_slice(&wanted)));
    }
    sg_buf_done(&wanted);
    sg_buf_done(&note);
}

static void a_new_key_signs_notes_that_its_public_key_judges(void **state)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL, *other = NULL;
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_note parts;
    struct sg_buf note;
    uint64_t time;
    (void)state;

    assert_int_equal(sg_note_private_new(SG_SLICE("log.example/1"), SG_NOTE_ED25519, &secret, NULL),
                     SG_OK);
    assert_int_equal(sg_note_private_new(SG_SLICE("log.example/1"), SG_NOTE_ED25519, &other, NULL),
                     SG_OK);
    assert_false(sg_slice_eq(sg_secret_bytes(secret), sg_secret_bytes(other)));
    assert_int_equal(sg_note_signer_new(sg_secret_bytes(secret), &signer, NULL), SG_OK);
    assert_true(sg_slice_is(sg_note_key_name(sg_note_signer_key(signer)), "log.example/1"));

    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    assert_int_equal(sg_note_sign(signer, SG_SLICE("text\n"), &note, NULL), SG_OK);
    assert_int_equal(sg_note_parse(sg_buf_slice(&note), &parts, NULL), SG_OK);
    assert_int_equal(sg_note_judge(&parts, sg_note_signer_key(signer), &verdict, &time, NULL),
                     SG_OK);
    assert_int_equal(verdict, SG_NOTE_SIGNED);
    sg_buf_done(&note);
    assert_int_equal(sg_note_private_new(SG_SLICE("two words"), SG_NOTE_ED25519, &other, NULL),
                     SG_E_INVALID);
}

/* One kind of key never does what the other does. */
static void a_witness_cosigns_and_a_log_does_not(void **state)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *witness = NULL, *log = NULL;
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_slice line = {0};
    struct sg_note parts;
    struct sg_buf note;
    uint64_t time = 0;
    (void)state;

    assert_int_equal(
        sg_note_private_new(SG_SLICE("witness.example/w"), SG_NOTE_COSIGNATURE, &secret, NULL),
        SG_OK);
    assert_int_equal(sg_note_signer_new(sg_secret_bytes(secret), &witness, NULL), SG_OK);
    assert_int_equal(sg_note_signer_new(sg_slice_str(go_private), &log, NULL), SG_OK);
    const struct sg_note_key *key = sg_note_signer_key(witness);
    assert_int_equal(sg_note_key_kind(key), SG_NOTE_COSIGNATURE);

    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    assert_int_equal(sg_note_sign(witness, SG_SLICE("text\n"), &note, NULL), SG_E_INVALID);
    assert_int_equal(sg_note_cosign(log, 1, SG_SLICE("text\n"), &note, NULL), SG_E_INVALID);
    assert_int_equal(note.len, 0);
    assert_int_equal(sg_note_sign(log, SG_SLICE("text\n"), &note, NULL), SG_OK);
    const size_t before = note.len;
    assert_int_equal(sg_note_cosign(witness, 1700000000, SG_SLICE("text\n"), &note, NULL), SG_OK);
    assert_int_equal(sg_note_parse(sg_buf_slice(&note), &parts, NULL), SG_OK);
    assert_int_equal(sg_note_judge(&parts, key, &verdict, &time, NULL), SG_OK);
    assert_int_equal(verdict, SG_NOTE_SIGNED);
    assert_true(time == 1700000000);
    verdict = SG_NOTE_NOT_SIGNED;
    assert_int_equal(sg_note_find(&parts, key, &verdict, &line, NULL), SG_OK);
    assert_int_equal(verdict, SG_NOTE_SIGNED);
    assert_true(sg_slice_eq(line, sg_slice_of(note.ptr + before, note.len - before)));
    assert_int_equal(sg_note_private_new(SG_SLICE("a"), SG_NOTE_UNSET, &secret, NULL),
                     SG_E_INVALID);
    sg_buf_done(&note);
}

static void only_private_keys_are_private_keys(void **state)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    char text[sizeof(go_private)];
    (void)state;

    for (size_t len = 0; len + 1 < sizeof(go_private); len++)
        assert_int_equal(
            sg_note_signer_new(sg_slice_of((const uint8_t *)go_private, len), &signer, NULL),
            SG_E_INVALID);
    /* Its name, its id, its algorithm; and its key, which the id would not be of any more. */
    static const size_t places[] = {0, 8, 12, 25, 34, 60};
    for (size_t i = 0; i < SG_COUNT(places); i++) {
        memcpy(text, go_private, sizeof(text));
        text[places[i]] = text[places[i]] == 'C' ? 'D' : 'C';
        assert_int_equal(sg_note_signer_new(sg_slice_str(text), &signer, NULL), SG_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_signs_as_another_implementation_does),
        cmocka_unit_test(a_new_key_signs_notes_that_its_public_key_judges),
        cmocka_unit_test(a_witness_cosigns_and_a_log_does_not),
        cmocka_unit_test(only_private_keys_are_private_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
