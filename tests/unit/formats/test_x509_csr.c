#include "formats/x509/csr.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "formats/x509/name.h"
#include "tests/support/unit.h"

enum { ROOM = 4096 };

static EVP_PKEY *p256, *p384, *rsa, *others;

/* Bytes of a test's own, to be changed. */
struct bytes {
    uint8_t at[ROOM];
    size_t len;
};

static struct sg_slice slice(const struct bytes *bytes)
{
    return sg_slice_of(bytes->at, bytes->len);
}

static void keep(struct bytes *bytes, uint8_t *der, int len)
{
    assert_true(len > 0 && len <= ROOM);
    memcpy(bytes->at, der, (size_t)len);
    bytes->len = (size_t)len;
    OPENSSL_free(der);
}

static void encode_subject(const char *common_name, struct bytes *ret)
{
    const struct sg_name_attribute attributes[] = {{"O", "Ủy ban nhân dân"}, {"CN", common_name}};
    struct sg_buf out = {.ptr = ret->at, .cap = ROOM, .max = ROOM};
    assert_int_equal(sg_name_encode(attributes, SG_COUNT(attributes), &out, NULL), SG_OK);
    ret->len = out.len;
}

static void encode_alt_names(const char *dns, struct bytes *ret)
{
    const struct sg_alt_name names[] = {{SG_ALT_DNS, dns}, {SG_ALT_URI, "urn:agency:G11.07.05"}};
    struct sg_buf out = {.ptr = ret->at, .cap = ROOM, .max = ROOM};
    assert_int_equal(sg_alt_names_encode(names, SG_COUNT(names), &out, NULL), SG_OK);
    ret->len = out.len;
}

static X509_EXTENSION *san(const struct bytes *names, bool is_critical)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    assert_int_equal(ASN1_OCTET_STRING_set(value, names->at, (int)names->len), 1);
    X509_EXTENSION *extension =
        X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, is_critical, value);
    ASN1_OCTET_STRING_free(value);
    return extension;
}

/* A request as it is made, up to its signature. */
struct making {
    X509_REQ *req;
    EVP_PKEY *signer;
    const EVP_MD *md;
    X509_EXTENSIONS *extensions;
    int extensions_nid;
};

static void making_init(struct making *m, EVP_PKEY *key, const struct bytes *alt_names)
{
    struct bytes subject;
    const uint8_t *at = subject.at;

    encode_subject("sign.example", &subject);
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)subject.len);
    *m = (struct making){X509_REQ_new(), key, EVP_sha256(), sk_X509_EXTENSION_new_null(),
                         NID_ext_req};
    assert_int_equal(X509_REQ_set_version(m->req, X509_REQ_VERSION_1), 1);
    assert_int_equal(X509_REQ_set_subject_name(m->req, name), 1);
    assert_int_equal(X509_REQ_set_pubkey(m->req, key), 1);
    if (alt_names != NULL)
        assert_true(sk_X509_EXTENSION_push(m->extensions, san(alt_names, false)) > 0);
    X509_NAME_free(name);
}

static void making_end(struct making *m, struct bytes *ret)
{
    uint8_t *der = NULL;
    if (sk_X509_EXTENSION_num(m->extensions) > 0)
        assert_int_equal(X509_REQ_add_extensions_nid(m->req, m->extensions, m->extensions_nid), 1);
    assert_true(X509_REQ_sign(m->req, m->signer, m->md) > 0);
    int len = i2d_X509_REQ(m->req, &der);
    keep(ret, der, len);
    sk_X509_EXTENSION_pop_free(m->extensions, X509_EXTENSION_free);
    X509_REQ_free(m->req);
}

/* A question and the bytes it points to. */
struct asked {
    struct bytes spki, subject, alt_names;
    struct sg_csr_question question;
};

static void asked_init(struct asked *asked, EVP_PKEY *key, bool has_alt_names)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    keep(&asked->spki, der, len);
    encode_subject("sign.example", &asked->subject);
    encode_alt_names("sign.example", &asked->alt_names);
    asked->question = (struct sg_csr_question){.spki = slice(&asked->spki),
                                               .subject = slice(&asked->subject),
                                               .alt_names = has_alt_names ? slice(&asked->alt_names)
                                                                          : (struct sg_slice){0},
                                               .digest_alg = SG_DIGEST_SHA256};
}

/* From an exact copy on the heap, so that a sanitizer sees a read one past the end. */
static enum sg_rc judge(struct sg_slice der, const struct asked *asked, struct sg_err *err)
{
    uint8_t *exact = malloc(der.len == 0 ? 1 : der.len);
    assert_non_null(exact);
    if (der.len > 0)
        memcpy(exact, der.ptr, der.len);
    enum sg_rc rc = sg_csr_check(sg_slice_of(exact, der.len), &asked->question, err);
    free(exact);
    return rc;
}

static void what_was_asked_for_is_taken(void **state)
{
    static EVP_PKEY **const keys[] = {&p256, &p384, &rsa};
    static const struct {
        enum sg_digest_alg alg;
        const EVP_MD *(*md)(void);
    } digests[] = {{SG_DIGEST_SHA256, EVP_sha256},
                   {SG_DIGEST_SHA384, EVP_sha384},
                   {SG_DIGEST_SHA512, EVP_sha512}};
    (void)state;

    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        for (size_t j = 0; j < SG_COUNT(digests); j++) {
            for (int has_alt_names = 0; has_alt_names < 2; has_alt_names++) {
                struct asked asked;
                struct making making;
                struct bytes der;
                struct sg_err err = {0};
                asked_init(&asked, *keys[i], has_alt_names == 1);
                asked.question.digest_alg = digests[j].alg;
                making_init(&making, *keys[i], has_alt_names ? &asked.alt_names : NULL);
                making.md = digests[j].md();
                making_end(&making, &der);
                assert_int_equal(judge(slice(&der), &asked, &err), SG_OK);
                assert_string_equal(err.msg, "");
            }
        }
    }
}

/* What a lying token makes ----------------------------------------------------------------- */

static void anothers_key(struct making *m)
{
    m->signer = others;
    assert_int_equal(X509_REQ_set_pubkey(m->req, others), 1);
}

static void anothers_signature(struct making *m)
{
    m->signer = others;
}

static void set_subject(struct making *m, const char *common_name, const char *more)
{
    struct bytes subject;
    const uint8_t *at = subject.at;
    encode_subject(common_name, &subject);
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)subject.len);
    if (more != NULL)
        assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_organizationalUnitName, MBSTRING_UTF8,
                                                    (const uint8_t *)more, -1, -1, 0),
                         1);
    assert_int_equal(X509_REQ_set_subject_name(m->req, name), 1);
    X509_NAME_free(name);
}

static void another_subject(struct making *m)
{
    set_subject(m, "sign.example.org", NULL);
}

static void a_longer_subject(struct making *m)
{
    set_subject(m, "sign.example", "more");
}

/* Names that compare as equal in X.509 are not the bytes that were asked for. */
static void a_subject_in_other_letters(struct making *m)
{
    set_subject(m, "Sign.Example", NULL);
}

static void drop_alt_names(struct making *m)
{
    X509_EXTENSION_free(sk_X509_EXTENSION_pop(m->extensions));
}

static void no_alt_names(struct making *m)
{
    drop_alt_names(m);
}

static void other_alt_names(struct making *m)
{
    struct bytes names;
    drop_alt_names(m);
    encode_alt_names("sign.example.org", &names);
    assert_true(sk_X509_EXTENSION_push(m->extensions, san(&names, false)) > 0);
}

static void critical_alt_names(struct making *m)
{
    struct bytes names;
    drop_alt_names(m);
    encode_alt_names("sign.example", &names);
    assert_true(sk_X509_EXTENSION_push(m->extensions, san(&names, true)) > 0);
}

static void alt_names_twice(struct making *m)
{
    struct bytes names;
    encode_alt_names("sign.example", &names);
    assert_true(sk_X509_EXTENSION_push(m->extensions, san(&names, false)) > 0);
}

static void the_right_to_be_a_ca(struct making *m)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");
    assert_true(sk_X509_EXTENSION_push(m->extensions, extension) > 0);
}

static void extensions_as_microsoft_names_them(struct making *m)
{
    m->extensions_nid = NID_ms_ext_req;
}

static void a_password(struct making *m)
{
    assert_int_equal(X509_REQ_add1_attr_by_NID(m->req, NID_pkcs9_challengePassword, MBSTRING_ASC,
                                               (const uint8_t *)"secret", -1),
                     1);
}

static void another_digest(struct making *m)
{
    m->md = EVP_sha384();
}

static const struct {
    const char *name;
    void (*spoil)(struct making *making);
    const char *why;
} lies[] = {
    {"another's key", anothers_key, "is for another key"},
    {"another's signature", anothers_signature, "does not verify"},
    {"another subject", another_subject, "another subject"},
    {"a longer subject", a_longer_subject, "another subject"},
    {"a subject in other letters", a_subject_in_other_letters, "another subject"},
    {"no alternative names", no_alt_names, "alternative names"},
    {"other alternative names", other_alt_names, "alternative names"},
    {"critical alternative names", critical_alt_names, "alternative names"},
    {"alternative names twice", alt_names_twice, "alternative names"},
    {"the right to be a CA", the_right_to_be_a_ca, "alternative names"},
    {"extensions as Microsoft names them", extensions_as_microsoft_names_them, "alternative names"},
    {"a password besides", a_password, "alternative names"},
    {"another digest", another_digest, "another algorithm"},
};

static void what_was_not_asked_for_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(lies); i++) {
        struct asked asked;
        struct making making;
        struct bytes der;
        struct sg_err err = {0};
        print_message("  %s\n", lies[i].name);
        asked_init(&asked, p256, true);
        making_init(&making, p256, &asked.alt_names);
        lies[i].spoil(&making);
        making_end(&making, &der);
        assert_int_equal(judge(slice(&der), &asked, &err), SG_E_INVALID);
        assert_non_null(strstr(err.msg, lies[i].why));
    }
}

static void nothing_is_added_where_nothing_was_asked_for(void **state)
{
    static void (*const spoil[])(struct making *) = {the_right_to_be_a_ca, alt_names_twice,
                                                     a_password};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(spoil); i++) {
        struct asked asked;
        struct making making;
        struct bytes der;
        asked_init(&asked, p256, false);
        making_init(&making, p256, NULL);
        spoil[i](&making);
        making_end(&making, &der);
        assert_int_equal(judge(slice(&der), &asked, NULL), SG_E_INVALID);
    }
}

/* Bytes ------------------------------------------------------------------------------------ */

static void good(struct asked *asked, struct bytes *der)
{
    struct making making;
    asked_init(asked, p256, true);
    making_init(&making, p256, &asked->alt_names);
    making_end(&making, der);
    assert_int_equal(judge(slice(der), asked, NULL), SG_OK);
}

/* Written into the bytes: OpenSSL 3.5 makes no such request. */
static void another_version_is_refused(void **state)
{
    static const uint8_t version_1[] = {0x02, 0x01, 0x00};
    struct asked asked;
    struct bytes der;
    struct sg_err err = {0};
    (void)state;

    good(&asked, &der);
    uint8_t *at = memmem(der.at, der.len, version_1, sizeof(version_1));
    assert_non_null(at);
    at[2] = 1;
    assert_int_equal(judge(slice(&der), &asked, &err), SG_E_INVALID);
    assert_non_null(strstr(err.msg, "version 1"));
}

static void no_byte_may_differ(void **state)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    struct asked asked;
    struct bytes der;
    (void)state;
    good(&asked, &der);
    for (size_t i = 0; i < der.len; i++) {
        for (size_t j = 0; j < SG_COUNT(flips); j++) {
            der.at[i] ^= flips[j];
            assert_int_equal(judge(slice(&der), &asked, NULL), SG_E_INVALID);
            der.at[i] ^= flips[j];
        }
    }
}

static void no_byte_may_be_missing_or_follow(void **state)
{
    struct asked asked;
    struct bytes der;
    (void)state;
    good(&asked, &der);
    for (size_t len = 0; len < der.len; len++)
        assert_int_equal(judge(sg_slice_of(der.at, len), &asked, NULL), SG_E_INVALID);
    der.at[der.len] = 0;
    assert_int_equal(judge(sg_slice_of(der.at, der.len + 1), &asked, NULL), SG_E_INVALID);
}

/* The length of the outermost SEQUENCE in one byte more than it needs: BER, and not DER. */
static void a_longer_length_is_refused(void **state)
{
    struct asked asked;
    struct bytes der;
    (void)state;
    good(&asked, &der);
    assert_int_equal(der.at[1], 0x82);
    memmove(der.at + 3, der.at + 2, der.len - 2);
    der.at[1] = 0x83;
    der.at[2] = 0;
    der.len++;
    const uint8_t *at = der.at;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)der.len);
    assert_non_null(req); /* OpenSSL would take it */
    X509_REQ_free(req);
    assert_int_equal(judge(slice(&der), &asked, NULL), SG_E_INVALID);
}

/* Not covered by the signature, and read by some as another algorithm. */
static void parameters_that_ecdsa_does_not_have_are_refused(void **state)
{
    struct asked asked;
    struct bytes der;
    struct sg_err err;
    const X509_ALGOR *algorithm;
    uint8_t *bytes = NULL;
    (void)state;

    good(&asked, &der);
    const uint8_t *at = der.at;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)der.len);
    X509_REQ_get0_signature(req, NULL, &algorithm);
    ASN1_TYPE_set(algorithm->parameter == NULL
                      ? (((X509_ALGOR *)(uintptr_t)algorithm)->parameter = ASN1_TYPE_new())
                      : algorithm->parameter,
                  V_ASN1_NULL, NULL);
    int len = i2d_X509_REQ(req, &bytes);
    keep(&der, bytes, len);
    X509_REQ_free(req);
    assert_int_equal(judge(slice(&der), &asked, &err), SG_E_INVALID);
    assert_non_null(strstr(err.msg, "another algorithm"));
}

static void a_question_without_a_key_is_a_mistake_of_ours(void **state)
{
    struct asked asked;
    struct bytes der;
    (void)state;
    good(&asked, &der);
    asked.question.spki.len--;
    assert_int_equal(judge(slice(&der), &asked, NULL), SG_E_INTERNAL);
}

static int make_keys(void **state)
{
    (void)state;
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    rsa = EVP_RSA_gen(2048);
    others = EVP_EC_gen("P-256");
    return p256 == NULL || p384 == NULL || rsa == NULL || others == NULL;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(others);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_asked_for_is_taken),
        cmocka_unit_test(what_was_not_asked_for_is_refused),
        cmocka_unit_test(nothing_is_added_where_nothing_was_asked_for),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(no_byte_may_differ),
        cmocka_unit_test(no_byte_may_be_missing_or_follow),
        cmocka_unit_test(a_longer_length_is_refused),
        cmocka_unit_test(parameters_that_ecdsa_does_not_have_are_refused),
        cmocka_unit_test(a_question_without_a_key_is_a_mistake_of_ours),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
