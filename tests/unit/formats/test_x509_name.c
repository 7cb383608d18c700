#include "formats/x509/name.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tests/support/unit.h"

enum { DER_MAX = 8192 };

/* The name as OpenSSL prints it by RFC 2253, in its own order. */
static char *print_name(struct sg_slice der)
{
    static char text[1024];
    const uint8_t *at = der.ptr;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)der.len);
    assert_non_null(name);
    assert_ptr_equal(at, der.ptr + der.len);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(
        X509_NAME_print_ex(bio, name, 0, XN_FLAG_SEP_COMMA_PLUS | ASN1_STRFLGS_UTF8_CONVERT) >= 0);
    int len = BIO_read(bio, text, sizeof(text) - 1);
    text[len < 0 ? 0 : len] = '\0';
    BIO_free(bio);
    X509_NAME_free(name);
    return text;
}

static void attributes_stand_in_their_order(void **state)
{
    (void)state;
    const struct sg_name_attribute attributes[] = {
        {"C", "VN"},
        {"O", "Ủy ban nhân dân tỉnh"},
        {"organizationIdentifier", "NTRVN-G11.07.05"},
        {"2.5.4.5", "0123456789"},
        {"cn", "Nguyễn Văn A"},
    };
    struct sg_buf out;
    sg_buf_init(&out, DER_MAX);
    assert_int_equal(sg_name_encode(attributes, SG_COUNT(attributes), &out, NULL), SG_OK);
    assert_string_equal(print_name(sg_buf_slice(&out)),
                        "C=VN,O=Ủy ban nhân dân tỉnh,organizationIdentifier=NTRVN-G11.07.05,"
                        "serialNumber=0123456789,CN=Nguyễn Văn A");
    sg_buf_done(&out);
}

static const struct {
    const char *name;
    struct sg_name_attribute attributes[2];
    size_t count;
} refused[] = {
    {"nothing", {{0}}, 0},
    {"no CN", {{"O", "x"}}, 1},
    {"an unknown type", {{"XX", "x"}, {"CN", "x"}}, 2},
    {"a malformed number", {{"2.5..4", "x"}, {"CN", "x"}}, 2},
    {"an empty value", {{"CN", ""}}, 1},
    {"a country of three letters", {{"C", "VNM"}, {"CN", "x"}}, 2},
    {"a CN of 65 characters",
     {{"CN", "12345678901234567890123456789012345678901234567890123456789012345"}},
     1},
};

static void what_is_no_subject_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        struct sg_buf out;
        struct sg_err err;
        print_message("  %s\n", refused[i].name);
        sg_buf_init(&out, DER_MAX);
        assert_int_equal(sg_name_encode(refused[i].attributes, refused[i].count, &out, &err),
                         SG_E_INVALID);
        assert_int_equal(err.reason, SG_R_BAD_SUBJECT);
        assert_int_equal(out.len, 0);
        sg_buf_done(&out);
    }
}

static void a_subject_has_sixteen_attributes_at_most(void **state)
{
    (void)state;
    struct sg_name_attribute attributes[SG_NAME_ATTRIBUTES_MAX + 1];
    struct sg_buf out;
    for (size_t i = 0; i < SG_COUNT(attributes); i++)
        attributes[i] = (struct sg_name_attribute){i == 0 ? "CN" : "OU", "x"};
    sg_buf_init(&out, DER_MAX);
    assert_int_equal(sg_name_encode(attributes, SG_COUNT(attributes), &out, NULL), SG_E_INVALID);
    assert_int_equal(sg_name_encode(attributes, SG_NAME_ATTRIBUTES_MAX, &out, NULL), SG_OK);
    sg_buf_done(&out);
}

static void alternative_names_come_back_as_they_went_in(void **state)
{
    (void)state;
    const struct sg_alt_name names[] = {
        {SG_ALT_DNS, "sign.example.gov.vn"},
        {SG_ALT_URI, "urn:agency:G11.07.05"},
        {SG_ALT_EMAIL, "clerk@example.gov.vn"},
    };
    static const int types[] = {GEN_DNS, GEN_URI, GEN_EMAIL};
    struct sg_buf out;
    sg_buf_init(&out, DER_MAX);
    assert_int_equal(sg_alt_names_encode(names, SG_COUNT(names), &out, NULL), SG_OK);

    const uint8_t *at = out.ptr;
    GENERAL_NAMES *read = d2i_GENERAL_NAMES(NULL, &at, (long)out.len);
    assert_int_equal(sk_GENERAL_NAME_num(read), SG_COUNT(names));
    for (int i = 0; i < (int)SG_COUNT(names); i++) {
        int type;
        const ASN1_STRING *text = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(read, i), &type);
        assert_int_equal(type, types[i]);
        assert_slice_equal(
            sg_slice_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)),
            sg_slice_str(names[i].value));
    }
    GENERAL_NAMES_free(read);
    sg_buf_done(&out);
}

static void alternative_names_are_printable_ascii(void **state)
{
    (void)state;
    static const char *const values[] = {"", "a b", "a\nb", "tỉnh.vn", "\x7f"};
    for (size_t i = 0; i < SG_COUNT(values); i++) {
        const struct sg_alt_name name = {SG_ALT_DNS, values[i]};
        struct sg_buf out;
        sg_buf_init(&out, DER_MAX);
        assert_int_equal(sg_alt_names_encode(&name, 1, &out, NULL), SG_E_INVALID);
        sg_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_stand_in_their_order),
        cmocka_unit_test(what_is_no_subject_is_refused),
        cmocka_unit_test(a_subject_has_sixteen_attributes_at_most),
        cmocka_unit_test(alternative_names_come_back_as_they_went_in),
        cmocka_unit_test(alternative_names_are_printable_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
