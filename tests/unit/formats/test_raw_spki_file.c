#include "formats/raw/spki_file.h"

#include <openssl/x509.h>

#include "formats/raw/pem.h"
#include "formats/raw/verify.h"
#include "tests/support/pki.h"
#include "tests/support/unit.h"

/* One certificate in every form in which a person may have it. */
struct forms {
    struct sg_pki *pki;
    struct sg_buf spki, cert;         /* DER */
    struct sg_buf spki_pem, cert_pem; /* the same as text */
};

static int start(void **state)
{
    static struct forms forms;
    const struct sg_pki_id *id;
    uint8_t *der = NULL;
    int len;

    forms.pki = sg_pki_new();
    id = sg_pki_make(forms.pki, &(struct sg_pki_spec){.name = "a"});
    sg_buf_init(&forms.spki, 4096);
    sg_buf_init(&forms.cert, 4096);
    sg_buf_init(&forms.spki_pem, 8192);
    sg_buf_init(&forms.cert_pem, 8192);
    len = i2d_X509(id->cert, &der);
    sg_buf_add(&forms.cert, der, (size_t)len);
    OPENSSL_free(der);
    der = NULL;
    len = i2d_PUBKEY(id->key, &der);
    sg_buf_add(&forms.spki, der, (size_t)len);
    OPENSSL_free(der);
    sg_pem_encode("PUBLIC KEY", sg_buf_slice(&forms.spki), &forms.spki_pem);
    sg_buf_add_str(&forms.cert_pem, "Text before, as openssl x509 -text writes it.\n");
    sg_pem_encode("CERTIFICATE", sg_buf_slice(&forms.cert), &forms.cert_pem);
    *state = &forms;
    return 0;
}

static int stop(void **state)
{
    struct forms *forms = *state;

    sg_buf_done(&forms->spki);
    sg_buf_done(&forms->cert);
    sg_buf_done(&forms->spki_pem);
    sg_buf_done(&forms->cert_pem);
    sg_pki_free(forms->pki);
    return 0;
}

typedef enum sg_rc reader_fn(struct sg_slice file, struct sg_buf *spki, struct sg_err *err);

static enum sg_rc read_with(reader_fn *fn, struct sg_slice file, const struct sg_buf *expected)
{
    struct sg_buf out;
    struct sg_err err;
    enum sg_rc rc;

    sg_buf_init(&out, 8192);
    rc = fn(file, &out, &err);
    if (rc == SG_OK && expected != NULL)
        assert_slice_equal(sg_buf_slice(&out), sg_buf_slice(expected));
    sg_buf_done(&out);
    return rc;
}

static void every_form_gives_the_same_key(void **state)
{
    const struct forms *forms = *state;

    assert_int_equal(read_with(sg_spki_of_public_key, sg_buf_slice(&forms->spki), &forms->spki),
                     SG_OK);
    assert_int_equal(read_with(sg_spki_of_public_key, sg_buf_slice(&forms->spki_pem), &forms->spki),
                     SG_OK);
    assert_int_equal(read_with(sg_spki_of_certificate, sg_buf_slice(&forms->cert), &forms->spki),
                     SG_OK);
    assert_int_equal(
        read_with(sg_spki_of_certificate, sg_buf_slice(&forms->cert_pem), &forms->spki), SG_OK);
}

static void what_is_something_else_is_refused(void **state)
{
    const struct forms *forms = *state;
    const struct {
        const char *name;
        reader_fn *fn;
        struct sg_slice file;
    } cases[] = {
        {"nothing", sg_spki_of_public_key, SG_SLICE("")},
        {"nothing, for a certificate", sg_spki_of_certificate, SG_SLICE("")},
        {"text", sg_spki_of_public_key, SG_SLICE("a public key\n")},
        {"a certificate as a key", sg_spki_of_public_key, sg_buf_slice(&forms->cert_pem)},
        {"a key as a certificate", sg_spki_of_certificate, sg_buf_slice(&forms->spki_pem)},
        {"a key's DER as a certificate", sg_spki_of_certificate, sg_buf_slice(&forms->spki)},
    };

    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        print_message("  %s\n", cases[i].name);
        assert_int_not_equal(read_with(cases[i].fn, cases[i].file, NULL), SG_OK);
    }
}

static void a_certificate_cut_anywhere_is_refused(void **state)
{
    const struct forms *forms = *state;
    struct sg_slice pem = sg_buf_slice(&forms->cert_pem);

    for (size_t len = 0; len < forms->cert.len; len++)
        assert_int_not_equal(
            read_with(sg_spki_of_certificate, sg_slice_of(forms->cert.ptr, len), NULL), SG_OK);
    /* The last line end is all that a PEM can lose. */
    for (size_t len = 0; len + 1 < pem.len; len++)
        assert_int_not_equal(read_with(sg_spki_of_certificate, sg_slice_of(pem.ptr, len), NULL),
                             SG_OK);
}

static void a_certificate_with_a_byte_behind_it_is_refused(void **state)
{
    struct forms *forms = *state;

    sg_buf_add_u8(&forms->cert, 0);
    assert_int_not_equal(read_with(sg_spki_of_certificate, sg_buf_slice(&forms->cert), NULL),
                         SG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_form_gives_the_same_key, start, stop),
        cmocka_unit_test_setup_teardown(what_is_something_else_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_certificate_cut_anywhere_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_certificate_with_a_byte_behind_it_is_refused, start,
                                        stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
