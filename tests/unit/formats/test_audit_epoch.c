#include "tests/support/unit.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "formats/audit/epoch.h"

/* Statements of a new epoch, and what makes an approval of one. */

#define ROOT "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define TEXT(anchor, store, state) NAMING(anchor, store, state, "")
#define NAMING(anchor, store, state, administrators)                                               \
    "sealgate.v1 epoch/1\n"                                                                        \
    "log-key log.example/main/1+c3c57014+AYqI\n"                                                   \
    "epoch 1\n"                                                                                    \
    "anchor " anchor "\n"                                                                          \
    "store " store "\n"                                                                            \
    "state " state "\n"                                                                            \
    "new-log-key log.example/main/2+0dca1b22+AQ==\n"                                               \
    "new-epoch 2\n" administrators "time 2026-11-23T02:20:00Z\n"                                   \
    "why The disk died; Sunday's backup was put back.\n"

#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1"
#define KEY_A "administrator: sha256:" DIGITS "a"
#define KEY_B "administrator: sha256:" DIGITS "b"
#define PERSON_A " ca:people uri:urn:a"
#define PERSON_B " ca:people uri:urn:b"
#define NAMED(lines) NAMING("1 " ROOT, "1 " ROOT, "sound", lines)
#define FOUR(a) KEY_A a "0\n" KEY_A a "1\n" KEY_A a "2\n" KEY_A a "3\n"

static const char behind[] = TEXT("1234 " ROOT, "1200 " ROOT, "behind");

static void a_statement_says_what_was_found(void **state)
{
    struct sg_epoch_statement statement;
    (void)state;

    assert_int_equal(sg_epoch_statement_parse(sg_slice_str(behind), &statement, NULL, NULL), SG_OK);
    assert_true(sg_slice_is(statement.old_key, "log.example/main/1+c3c57014+AYqI"));
    assert_true(sg_slice_is(statement.new_key, "log.example/main/2+0dca1b22+AQ=="));
    assert_int_equal(statement.old_epoch, 1);
    assert_int_equal(statement.new_epoch, 2);
    assert_true(statement.is_anchored && statement.is_stored);
    assert_int_equal(statement.anchor.size, 1234);
    assert_int_equal(statement.store.size, 1200);
    assert_int_equal(statement.store.root.bytes[31], 31);
    assert_int_equal(statement.state, SG_EPOCH_BEHIND);
    assert_int_equal(statement.time_s, 1795400400);
    assert_true(sg_slice_is(statement.why, "The disk died; Sunday's backup was put back."));
}

static void what_is_read_is_what_would_be_written(void **state)
{
    static const struct {
        const char *name, *text;
        enum sg_rc rc;
    } cases[] = {
        {"behind", TEXT("1234 " ROOT, "1200 " ROOT, "behind"), SG_OK},
        {"forked", TEXT("9 " ROOT, "9 " ROOT, "forked"), SG_OK},
        {"sound", TEXT("1 " ROOT, "1 " ROOT, "sound"), SG_OK},
        {"no anchor", TEXT("none", "1200 " ROOT, "unanchored"), SG_OK},
        {"nothing is known", TEXT("none", "none", "broken"), SG_OK},
        {"the largest log", TEXT("18446744073709551615 " ROOT, "0 " ROOT, "behind"), SG_OK},
        {"a number that wraps", TEXT("18446744073709551617 " ROOT, "0 " ROOT, "behind"),
         SG_E_INVALID},
        {"a zero before a number", TEXT("01 " ROOT, "1 " ROOT, "behind"), SG_E_INVALID},
        {"a sign", TEXT("+1 " ROOT, "1 " ROOT, "behind"), SG_E_INVALID},
        {"a short hash", TEXT("1 AAEC", "1 " ROOT, "behind"), SG_E_INVALID},
        {"two blanks", TEXT("1  " ROOT, "1 " ROOT, "behind"), SG_E_INVALID},
        {"no state", TEXT("1 " ROOT, "1 " ROOT, ""), SG_E_INVALID},
        {"a state that there is none of", TEXT("1 " ROOT, "1 " ROOT, "fine"), SG_E_INVALID},
        {"a line's end of another system", TEXT("1 " ROOT, "1 " ROOT, "sound\r"), SG_E_INVALID},
        {"something behind it", TEXT("1 " ROOT, "1 " ROOT, "sound") "\n", SG_E_INVALID},
        {"empty", "", SG_E_INVALID},
    };
    (void)state;

    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_slice text = sg_slice_str(cases[i].text);
        struct sg_epoch_statement statement;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_epoch_statement_parse(text, &statement, NULL, NULL), cases[i].rc);
    }
    for (size_t len = 0; len < sizeof(behind) - 1; len++) {
        struct sg_epoch_statement statement;
        assert_int_equal(sg_epoch_statement_parse(sg_slice_of(behind, len), &statement, NULL, NULL),
                         SG_E_INVALID);
    }
}

static void the_next_administrators_are_named_whole(void **state)
{
    static const struct {
        const char *name, *text;
        enum sg_rc rc;
    } cases[] = {
        {"two keys", NAMED(KEY_A "\n" KEY_B "\n"), SG_OK},
        {"two people", NAMED(KEY_A PERSON_A "\n" KEY_B PERSON_B "\n"), SG_OK},
        {"a key and a person", NAMED(KEY_A "\n" KEY_B PERSON_B "\n"), SG_OK},
        {"one", NAMED(KEY_A PERSON_A "\n"), SG_E_INVALID},
        {"one key twice", NAMED(KEY_A PERSON_A "\n" KEY_A PERSON_B "\n"), SG_E_INVALID},
        {"one person twice", NAMED(KEY_A PERSON_A "\n" KEY_B PERSON_A "\n"), SG_E_INVALID},
        {"a short key", NAMED("administrator: sha256:" DIGITS "\n" KEY_B "\n"), SG_E_INVALID},
        {"a key in capitals", NAMED("administrator: sha256:" DIGITS "A\n" KEY_B "\n"),
         SG_E_INVALID},
        {"another hash", NAMED("administrator: sha512:" DIGITS "a\n" KEY_B "\n"), SG_E_INVALID},
        {"no hash", NAMED("administrator: urn:a\n" KEY_B "\n"), SG_E_INVALID},
        {"something else behind a key", NAMED(KEY_A " uri:urn:a\n" KEY_B "\n"), SG_E_INVALID},
        {"a control character", NAMED(KEY_A " ca:\x1b[2J uri:urn:a\n" KEY_B "\n"), SG_E_INVALID},
        {"a blank line", NAMED(KEY_A "\n\n" KEY_B "\n"), SG_E_INVALID},
        {"another line in between", NAMED(KEY_A "\ntoken: x\n" KEY_B "\n"), SG_E_INVALID},
        {"more than a statement may name",
         NAMED(KEY_B "\n" FOUR(" ca:a uri:") FOUR(" ca:b uri:") FOUR(" ca:c uri:")
                   FOUR(" ca:d uri:")),
         SG_E_INVALID},
    };
    struct sg_epoch_statement statement;
    (void)state;

    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        print_message("  %s\n", cases[i].name);
        assert_int_equal(
            sg_epoch_statement_parse(sg_slice_str(cases[i].text), &statement, NULL, NULL),
            cases[i].rc);
    }
    assert_int_equal(sg_epoch_statement_parse(sg_slice_str(cases[1].text), &statement, NULL, NULL),
                     SG_OK);
    assert_true(sg_slice_is(statement.administrators, KEY_A PERSON_A "\n" KEY_B PERSON_B "\n"));
    assert_int_equal(statement.time_s, 1795400400);
    assert_int_equal(sg_epoch_statement_parse(sg_slice_str(behind), &statement, NULL, NULL), SG_OK);
    assert_int_equal(statement.administrators.len, 0);
}

static struct sg_slice name_many(char *out, size_t size, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(out + len, size - len, "administrator: sha256:%064zx\n", i);
    return sg_slice_of(out, len);
}

static void administrators_have_their_limits(void **state)
{
    char lines[4096], uri[SG_EPOCH_ADMINISTRATORS_BYTES_MAX];
    struct sg_err err = {0};
    (void)state;

    assert_int_equal(sg_epoch_administrators_check(SG_SLICE(""), &err), SG_E_INVALID);
    assert_int_equal(sg_epoch_administrators_check(
                         name_many(lines, sizeof(lines), SG_EPOCH_ADMINISTRATORS_MAX), &err),
                     SG_OK);
    assert_int_equal(sg_epoch_administrators_check(
                         name_many(lines, sizeof(lines), SG_EPOCH_ADMINISTRATORS_MAX + 1), &err),
                     SG_E_INVALID);
    assert_non_null(strstr(err.msg, "two different"));
    /* As long as they may be, and one byte more. */
    const size_t room = SG_EPOCH_ADMINISTRATORS_BYTES_MAX - strlen(KEY_A PERSON_A "\n" KEY_B "\n");
    for (size_t more = 0; more < 2; more++) {
        memset(uri, 'x', room + more);
        const int len = snprintf(lines, sizeof(lines), KEY_A PERSON_A "%.*s\n" KEY_B "\n",
                                 (int)(room + more), uri);
        assert_int_equal(sg_epoch_administrators_check(sg_slice_of(lines, (size_t)len), &err),
                         more == 0 ? SG_OK : SG_E_INVALID);
    }
}

static void every_field_is_bound(void **state)
{
    struct sg_epoch_statement statement, again;
    struct sg_buf text;
    (void)state;

    /* Each byte of what is written means something: none can be changed without being noticed. */
    assert_int_equal(sg_epoch_statement_parse(sg_slice_str(behind), &statement, NULL, NULL), SG_OK);
    sg_buf_init(&text, SG_EPOCH_STATEMENT_BYTES_MAX);
    for (size_t i = 0; i < sizeof(behind) - 1; i++) {
        sg_buf_clear(&text);
        sg_buf_add(&text, behind, sizeof(behind) - 1);
        text.ptr[i] ^= 1;
        if (sg_epoch_statement_parse(sg_buf_slice(&text), &again, NULL, NULL) != SG_OK)
            continue;
        assert_false(sg_slice_eq(again.old_key, statement.old_key) &&
                     sg_slice_eq(again.new_key, statement.new_key) &&
                     sg_slice_eq(again.why, statement.why) &&
                     again.old_epoch == statement.old_epoch &&
                     again.new_epoch == statement.new_epoch && again.time_s == statement.time_s &&
                     memcmp(&again.anchor, &statement.anchor, sizeof(again.anchor)) == 0 &&
                     memcmp(&again.store, &statement.store, sizeof(again.store)) == 0);
    }
    sg_buf_done(&text);
}

static void what_cannot_be_read_is_not_written(void **state)
{
    struct sg_epoch_statement good, bad;
    char why[SG_EPOCH_WHY_BYTES_MAX + 2];
    struct sg_buf text;
    (void)state;

    assert_int_equal(sg_epoch_statement_parse(sg_slice_str(behind), &good, NULL, NULL), SG_OK);
    memset(why, 'x', sizeof(why));
    const struct sg_slice refused[] = {
        sg_slice_str(""),
        sg_slice_str("two\nlines"),
        sg_slice_str("\x1b[2J"),
        sg_slice_str("\xff"),
        sg_slice_of(why, SG_EPOCH_WHY_BYTES_MAX + 1),
    };
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        bad = good;
        bad.why = refused[i];
        sg_buf_init(&text, SG_EPOCH_STATEMENT_BYTES_MAX);
        sg_epoch_statement_write(&bad, &text);
        assert_true(text.failed);
        sg_buf_done(&text);
    }
    sg_buf_init(&text, SG_EPOCH_STATEMENT_BYTES_MAX);
    good.why = sg_slice_of(why, SG_EPOCH_WHY_BYTES_MAX);
    sg_epoch_statement_write(&good, &text);
    assert_false(text.failed);
    sg_buf_done(&text);
}

static void a_statement_ends_where_a_checkpoint_begins(void **state)
{
    static const char text[] = TEXT("1 " ROOT, "1 " ROOT, "sound") "log.example/main/1\n1\n";
    struct sg_epoch_statement statement;
    size_t len = 0;
    (void)state;

    assert_int_equal(sg_epoch_statement_parse(sg_slice_str(text), &statement, &len, NULL), SG_OK);
    assert_string_equal(text + len, "log.example/main/1\n1\n");
}

/* Approvals ---------------------------------------------------------------------------------- */

static size_t sign(EVP_PKEY *key, const char *digest, const char *text, uint8_t *out, size_t cap)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = cap;

    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL), 1);
    assert_int_equal(EVP_DigestSign(ctx, out, &len, (const uint8_t *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    return len;
}

static void a_key_of_each_type_approves(void **state)
{
    static const char text[] = "a statement", other[] = "a statemenu";
    const struct {
        const char *name, *digest;
        EVP_PKEY *key;
    } cases[] = {
        {"RSA 2048", "SHA256", EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)},
        {"P-256", "SHA256", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")},
        {"P-384", "SHA256", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384")},
        {"Ed25519", NULL, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")},
    };
    (void)state;

    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        uint8_t signature[SG_KEY_SIGNATURE_BYTES_MAX], *spki = NULL;
        struct sg_approval approval;
        struct sg_buf file;

        print_message("  %s\n", cases[i].name);
        const int spki_len = i2d_PUBKEY(cases[i].key, &spki);
        const size_t len = sign(cases[i].key, cases[i].digest, text, signature, sizeof(signature));
        sg_buf_init(&file, SG_APPROVAL_BYTES_MAX);
        sg_approval_write(sg_slice_of(signature, len), SG_SLICE("a certificate"), &file);
        assert_int_equal(sg_approval_parse(sg_buf_slice(&file), &approval, NULL), SG_OK);
        assert_true(sg_slice_is(approval.certificate, "a certificate"));
        const struct sg_slice key = sg_slice_of(spki, (size_t)spki_len);
        assert_int_equal(sg_approval_check(&approval, sg_slice_str(text), key, NULL), SG_OK);
        assert_int_equal(sg_approval_check(&approval, sg_slice_str(other), key, NULL),
                         SG_E_INVALID);
        approval.signature[len / 2] ^= 1;
        assert_int_equal(sg_approval_check(&approval, sg_slice_str(text), key, NULL), SG_E_INVALID);
        sg_buf_done(&file);
        OPENSSL_free(spki);
        EVP_PKEY_free(cases[i].key);
    }
}

static void what_is_no_approval_is_not_read(void **state)
{
    static const char good[] = "sealgate.v1 approval/1\nsignature AAAA\nx";
    static char long_one[SG_APPROVAL_BYTES_MAX + 1] = "sealgate.v1 approval/1\nsignature AAAA\n";
    static const char *const refused[] = {
        "sealgate.v1 approval/2\nsignature AAAA\nx",
        "sealgate.v1 approval/1\nsignature AAA\nx",
        "sealgate.v1 approval/1\nsignature  AAAA\nx",
        "sealgate.v1 approval/1\nsignature \nx",
    };
    struct sg_approval approval;
    (void)state;

    assert_int_equal(sg_approval_parse(sg_slice_str(good), &approval, NULL), SG_OK);
    for (size_t len = 0; len < sizeof(good) - 1; len++)
        assert_int_equal(sg_approval_parse(sg_slice_of(good, len), &approval, NULL), SG_E_INVALID);
    for (size_t i = 0; i < SG_COUNT(refused); i++)
        assert_int_equal(sg_approval_parse(sg_slice_str(refused[i]), &approval, NULL),
                         SG_E_INVALID);
    struct sg_slice text = sg_slice_of(long_one, SG_APPROVAL_BYTES_MAX);
    assert_int_equal(sg_approval_parse(text, &approval, NULL), SG_OK);
    text.len++;
    assert_int_equal(sg_approval_parse(text, &approval, NULL), SG_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_says_what_was_found),
        cmocka_unit_test(what_is_read_is_what_would_be_written),
        cmocka_unit_test(the_next_administrators_are_named_whole),
        cmocka_unit_test(administrators_have_their_limits),
        cmocka_unit_test(every_field_is_bound),
        cmocka_unit_test(what_cannot_be_read_is_not_written),
        cmocka_unit_test(a_statement_ends_where_a_checkpoint_begins),
        cmocka_unit_test(a_key_of_each_type_approves),
        cmocka_unit_test(what_is_no_approval_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
