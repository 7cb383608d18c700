#include "tests/unit/formats/audit_log.h"

/* Signed notes: their form, whose signature counts, and what it says. */

/* The note and the key of the documentation of Go's package golang.org/x/mod/sumdb/note. */
static const char go_key[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char go_note[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/"
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#define DASH "\xe2\x80\x94 "

static enum sg_note_verdict judge(struct sg_slice bytes, const struct sg_note_key *key,
                                  uint64_t *ret_time)
{
    struct sg_note note;
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    assert_int_equal(sg_note_parse(bytes, &note, NULL), SG_OK);
    assert_int_equal(sg_note_judge(&note, key, &verdict, ret_time, NULL), SG_OK);
    return verdict;
}

static void a_note_of_another_implementation_is_judged(void **state)
{
    SG_AUTO(sg_note_key_free) struct sg_note_key *key = NULL;
    struct sg_slice note = sg_slice_str(go_note);
    uint8_t bytes[sizeof(go_note)];
    uint64_t time = 7;
    (void)state;

    assert_int_equal(sg_note_key_parse(sg_slice_str(go_key), &key, NULL), SG_OK);
    assert_true(sg_slice_is(sg_note_key_name(key), "PeterNeumann"));
    assert_int_equal(judge(note, key, &time), SG_NOTE_SIGNED);
    assert_int_equal(time, 0);

    /* Any letter of its text but the newline at its end, which makes it a text. */
    struct sg_note parts;
    assert_int_equal(sg_note_parse(note, &parts, NULL), SG_OK);
    for (size_t i = 0; i + 1 < parts.text.len; i++) {
        memcpy(bytes, go_note, note.len);
        bytes[i] ^= bytes[i] == '\n' ? 'X' ^ '\n' : 1;
        assert_int_equal(judge(sg_slice_of(bytes, note.len), key, &time), SG_NOTE_WRONG);
    }
}

static void only_notes_are_notes(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        enum sg_rc rc;
    } rows[] = {
        {"a note", "text\n\n" DASH "a AAAAAAA=\n", SG_OK},
        {"a text with empty lines", "one\n\n\ntwo\n\n" DASH "a AAAAAAA=\n", SG_OK},
        {"two signatures", "t\n\n" DASH "a AAAAAAA=\n" DASH "b AAAAAAA=\n", SG_OK},
        {"a text that is a line end", "\n\n" DASH "a AAAAAAA=\n", SG_OK},
        {"a name with letters of the world",
         "t\n\n" DASH "c\xe1\xbb\xa5"
         "c/1 AAAAAAA=\n",
         SG_OK},
        {"nothing", "", SG_E_INVALID},
        {"a text alone", "text\n", SG_E_INVALID},
        {"no signature", "text\n\n", SG_E_INVALID},
        {"no empty line", "text\n" DASH "a AAAAAAA=\n", SG_E_INVALID},
        {"a line that does not end", "text\n\n" DASH "a AAAAAAA=", SG_E_INVALID},
        {"another dash", "text\n\n- a AAAAAAA=\n", SG_E_INVALID},
        {"no name", "text\n\n" DASH " AAAAAAA=\n", SG_E_INVALID},
        {"no signature in the line", "text\n\n" DASH "a \n", SG_E_INVALID},
        {"no space", "text\n\n" DASH "aAAAAAAA=\n", SG_E_INVALID},
        {"an id alone", "text\n\n" DASH "a AAAAAA==\n", SG_E_INVALID},
        {"base64 without its end", "text\n\n" DASH "a AAAAAAA\n", SG_E_INVALID},
        {"base64 of the other alphabet", "text\n\n" DASH "a AAAA_AA=\n", SG_E_INVALID},
        {"bits left over", "text\n\n" DASH "a AAAAAAB=\n", SG_E_INVALID},
        {"a name with a plus", "text\n\n" DASH "a+b AAAAAAA=\n", SG_E_INVALID},
        {"a name with a no-break space",
         "text\n\n" DASH "a\xc2\xa0"
         "b AAAAAAA=\n",
         SG_E_INVALID},
        {"a tab", "te\txt\n\n" DASH "a AAAAAAA=\n", SG_E_INVALID},
        {"a carriage return", "text\r\n\n" DASH "a AAAAAAA=\n", SG_E_INVALID},
        {"no UTF-8", "te\xfft\n\n" DASH "a AAAAAAA=\n", SG_E_INVALID},
        {"an empty line at the end", "text\n\n" DASH "a AAAAAAA=\n\n", SG_E_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_note note;
        print_message("  %s\n", rows[i].name);
        assert_int_equal(sg_note_parse(sg_slice_str(rows[i].text), &note, NULL), rows[i].rc);
        if (rows[i].rc == SG_OK)
            assert_true(note.text.len > 0 && note.text.ptr[note.text.len - 1] == '\n');
    }
    struct sg_note note;
    assert_int_equal(sg_note_parse(sg_slice_of("text\0\n\n" DASH "a AAAAAAA=\n", 23), &note, NULL),
                     SG_E_INVALID);
}

static void no_note_is_cut_short(void **state)
{
    SG_AUTO(sg_note_key_free) struct sg_note_key *key = NULL;
    (void)state;
    assert_int_equal(sg_note_key_parse(sg_slice_str(go_key), &key, NULL), SG_OK);
    for (size_t len = 0; len < strlen(go_note); len++) {
        struct sg_note note;
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, go_note, len);
        assert_int_equal(sg_note_parse(sg_slice_of(exact, len), &note, NULL), SG_E_INVALID);
        free(exact);
    }
}

static void notes_have_limits(void **state)
{
    struct sg_buf text;
    struct sg_note note;
    (void)state;

    sg_buf_init(&text, 2 * SG_NOTE_BYTES_MAX);
    sg_buf_add_str(&text, "text\n\n");
    for (unsigned i = 0; i < SG_NOTE_SIGNATURES_MAX; i++)
        sg_buf_add_str(&text, DASH "a AAAAAAA=\n");
    assert_int_equal(sg_note_parse(sg_buf_slice(&text), &note, NULL), SG_OK);
    sg_buf_add_str(&text, DASH "a AAAAAAA=\n");
    assert_int_equal(sg_note_parse(sg_buf_slice(&text), &note, NULL), SG_E_LIMIT);

    static const char end[] = "\n\n" DASH "a AAAAAAA=\n";
    sg_buf_clear(&text);
    while (text.len < SG_NOTE_BYTES_MAX - strlen(end))
        sg_buf_add_u8(&text, 'x');
    sg_buf_add_str(&text, end);
    assert_int_equal(sg_note_parse(sg_buf_slice(&text), &note, NULL), SG_OK);
    sg_buf_clear(&text);
    while (text.len <= SG_NOTE_BYTES_MAX - strlen(end))
        sg_buf_add_u8(&text, 'x');
    sg_buf_add_str(&text, end);
    assert_int_equal(sg_note_parse(sg_buf_slice(&text), &note, NULL), SG_E_LIMIT);
    sg_buf_done(&text);
}

static void keys_are_read_as_they_are_written(void **state)
{
    static const struct {
        const char *name;
        const char *text;
    } refused[] = {
        {"nothing", ""},
        {"a name alone", "PeterNeumann"},
        {"another name", "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"},
        {"another id", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"},
        {"capital letters", "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"},
        {"another key", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX"},
        {"another kind", "PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"},
        {"a short key", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q="},
        {"a long key", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWAA=="},
        {"a line end", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n"},
    };
    SG_AUTO(sg_note_key_free) struct sg_note_key *key = NULL;
    struct sg_buf text;
    (void)state;

    assert_int_equal(sg_note_key_parse(sg_slice_str(go_key), &key, NULL), SG_OK);
    sg_buf_init(&text, 512);
    sg_note_key_write(key, &text);
    assert_true(sg_slice_is(sg_buf_slice(&text), go_key));
    sg_buf_done(&text);
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        struct sg_note_key *none = NULL;
        print_message("  %s\n", refused[i].name);
        assert_int_equal(sg_note_key_parse(sg_slice_str(refused[i].text), &none, NULL),
                         SG_E_INVALID);
        assert_null(none);
    }
}

static void whose_signature_it_is_decides(void **state)
{
    struct test_signer log, renamed, other, witness;
    struct sg_buf note;
    uint64_t time = 7;
    (void)state;

    test_signer_init(&log, "example.com/log", SG_NOTE_ED25519, 1);
    test_signer_init(&renamed, "example.com/other", SG_NOTE_ED25519, 1);
    test_signer_init(&other, "example.com/log", SG_NOTE_ED25519, 2);
    test_signer_init(&witness, "example.com/log", SG_NOTE_COSIGNATURE, 1);
    struct sg_slice text = SG_SLICE("a text\n");
    sg_buf_init(&note, 4096);

    /* The log's alone: the same key under another name, or for another kind, has not signed. */
    sg_buf_add_str(&note, "a text\n\n");
    test_signer_sign(&log, SG_NOTE_ED25519, 0, text, &note);
    assert_int_equal(judge(sg_buf_slice(&note), log.key, &time), SG_NOTE_SIGNED);
    assert_int_equal(judge(sg_buf_slice(&note), renamed.key, &time), SG_NOTE_NOT_SIGNED);
    assert_int_equal(judge(sg_buf_slice(&note), other.key, &time), SG_NOTE_NOT_SIGNED);
    assert_int_equal(judge(sg_buf_slice(&note), witness.key, &time), SG_NOTE_NOT_SIGNED);

    /* A witness besides, which says when. */
    test_signer_sign(&witness, SG_NOTE_COSIGNATURE, 1679315147, text, &note);
    assert_int_equal(judge(sg_buf_slice(&note), log.key, &time), SG_NOTE_SIGNED);
    assert_int_equal(time, 0);
    assert_int_equal(judge(sg_buf_slice(&note), witness.key, &time), SG_NOTE_SIGNED);
    assert_int_equal(time, 1679315147);

    /* One that is not what it says spoils the note, wherever it stands. */
    test_signer_sign(&log, SG_NOTE_ED25519, 0, SG_SLICE("another\n"), &note);
    assert_int_equal(judge(sg_buf_slice(&note), log.key, &time), SG_NOTE_WRONG);
    assert_int_equal(judge(sg_buf_slice(&note), witness.key, &time), SG_NOTE_SIGNED);
    test_signer_sign(&log, SG_NOTE_ED25519, 0, text, &note);
    assert_int_equal(judge(sg_buf_slice(&note), log.key, &time), SG_NOTE_WRONG);

    sg_buf_done(&note);
    test_signer_done(&log);
    test_signer_done(&renamed);
    test_signer_done(&other);
    test_signer_done(&witness);
}

static void a_witness_signs_the_time(void **state)
{
    struct test_signer witness;
    struct sg_buf note;
    struct sg_slice text = SG_SLICE("a text\n");
    uint64_t time = 0;
    (void)state;
    test_signer_init(&witness, "w", SG_NOTE_COSIGNATURE, 3);

    static const uint64_t times[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < SG_COUNT(times); i++) {
        sg_buf_init(&note, 4096);
        sg_buf_add_str(&note, "a text\n\n");
        test_signer_sign(&witness, SG_NOTE_COSIGNATURE, times[i], text, &note);
        assert_int_equal(judge(sg_buf_slice(&note), witness.key, &time),
                         times[i] <= INT64_MAX ? SG_NOTE_SIGNED : SG_NOTE_WRONG);
        if (times[i] <= INT64_MAX)
            assert_true(time == times[i]);
        sg_buf_done(&note);
    }
    test_signer_done(&witness);
}

static void names_that_no_line_could_hold_are_refused(void **state)
{
    uint8_t public_key[32] = {1};
    char name[SG_NOTE_NAME_BYTES_MAX + 2];
    struct sg_note_key *key = NULL;
    (void)state;
    static const char *const refused[] = {"", "a b", "a+b", "a\nb", "a\xe3\x80\x80", "\xff"};
    for (size_t i = 0; i < SG_COUNT(refused); i++)
        assert_int_equal(
            sg_note_key_new(sg_slice_str(refused[i]), SG_NOTE_ED25519, public_key, &key, NULL),
            SG_E_INVALID);
    assert_int_equal(sg_note_key_new(SG_SLICE("a"), SG_NOTE_UNSET, public_key, &key, NULL),
                     SG_E_INVALID);
    memset(name, 'a', sizeof(name));
    assert_int_equal(sg_note_key_new(sg_slice_of(name, SG_NOTE_NAME_BYTES_MAX + 1), SG_NOTE_ED25519,
                                     public_key, &key, NULL),
                     SG_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_of_another_implementation_is_judged),
        cmocka_unit_test(only_notes_are_notes),
        cmocka_unit_test(no_note_is_cut_short),
        cmocka_unit_test(notes_have_limits),
        cmocka_unit_test(keys_are_read_as_they_are_written),
        cmocka_unit_test(whose_signature_it_is_decides),
        cmocka_unit_test(a_witness_signs_the_time),
        cmocka_unit_test(names_that_no_line_could_hold_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
