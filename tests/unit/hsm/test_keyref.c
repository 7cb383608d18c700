#include "hsm/keyref.h"

#include "tests/support/unit.h"

static const struct {
    const char *name, *uri;
    const char *canonical; /* NULL: refused */
} cases[] = {
    {"a label", "pkcs11:token=rig", "pkcs11:token=rig"},
    {"nothing chosen", "pkcs11:", "pkcs11:"},
    {"escapes are undone and made anew", "pkcs11:token=My%20%54oken", "pkcs11:token=My%20Token"},
    {"lower-case escapes", "pkcs11:id=%0a%fF", "pkcs11:id=%0A%FF"},
    {"an id in letters", "pkcs11:id=ab", "pkcs11:id=%61%62"},
    {"another order", "pkcs11:type=private;serial=01;token=a",
     "pkcs11:token=a;serial=01;type=private"},
    {"an empty value", "pkcs11:object=", "pkcs11:object="},
    {"a module", "pkcs11:token=a?module-path=/usr/lib/m.so",
     "pkcs11:token=a?module-path=/usr/lib/m.so"},
    {"as long as a label is", "pkcs11:token=abcdefghijklmnopqrstuvwxyz012345",
     "pkcs11:token=abcdefghijklmnopqrstuvwxyz012345"},

    {"another scheme", "pkcs12:token=rig", NULL},
    {"the scheme in capitals", "PKCS11:token=rig", NULL},
    {"empty", "", NULL},
    {"a longer label", "pkcs11:token=abcdefghijklmnopqrstuvwxyz0123456", NULL},
    {"an attribute twice", "pkcs11:token=a;token=b", NULL},
    {"the type twice", "pkcs11:type=cert;type=cert", NULL},
    {"an unknown type", "pkcs11:type=key", NULL},
    {"an unknown attribute", "pkcs11:x-mine=1", NULL},
    {"a slot number", "pkcs11:slot-id=3", NULL},
    {"a PIN", "pkcs11:token=a?pin-value=1234", NULL},
    {"a PIN from a file", "pkcs11:token=a?pin-source=file:/etc/pin", NULL},
    {"a PIN in the path", "pkcs11:token=a;pin-value=1234", NULL},
    {"a module twice", "pkcs11:?module-path=/a&module-path=/b", NULL},
    {"a module not from the root", "pkcs11:?module-path=m.so", NULL},
    {"a module with a NUL", "pkcs11:?module-path=/a%00b", NULL},
    {"half an escape", "pkcs11:token=%4", NULL},
    {"no escape at all", "pkcs11:token=a%", NULL},
    {"not hexadecimal", "pkcs11:token=%4g", NULL},
    {"a blank", "pkcs11:token=a b", NULL},
    {"no value", "pkcs11:token", NULL},
    {"nothing between", "pkcs11:token=a;;serial=1", NULL},
    {"nothing behind", "pkcs11:token=a;", NULL},
    {"an empty query", "pkcs11:token=a?", NULL},
};

static void parsing_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_keyref ref;
        struct sg_buf out;
        struct sg_err err;
        print_message("  %s\n", cases[i].name);
        enum sg_rc rc = sg_keyref_parse(sg_slice_str(cases[i].uri), &ref, &err);
        assert_int_equal(rc, cases[i].canonical == NULL ? SG_E_INVALID : SG_OK);
        if (rc != SG_OK)
            continue;
        sg_buf_init(&out, 1024);
        sg_keyref_format(&ref, &out);
        assert_slice_equal(sg_buf_slice(&out), sg_slice_str(cases[i].canonical));
        sg_buf_done(&out);
    }
}

static const struct {
    const char *uri, *says; /* NULL: accepted */
} of_tokens[] = {
    {"pkcs11:token=a", NULL},
    {"pkcs11:serial=01", NULL},
    {"pkcs11:token=a;serial=01;manufacturer=b;model=c", NULL},

    {"pkcs11:", "neither token= nor serial="},
    {"pkcs11:manufacturer=b;model=c", "neither token= nor serial="},
    {"pkcs11:token=a;object=b", "says more than token="},
    {"pkcs11:token=a;id=b", "says more than token="},
    {"pkcs11:token=a;type=private", "says more than token="},
    {"pkcs11:token=a?module-path=/m", "says more than token="},
    {"pkcs11:slot-id=3", "\"slot-id\" is refused: slots change, say token= or serial="},
    {"pkcs11:token=a;slot-id=3", "\"slot-id\" is refused"},
    {"pkcs11:slot-description=a", "\"slot-description\" is refused"},
    {"pkcs11:token=a;library-version=3", "\"library-version\" is not something"},
    {"pkcs11:token=%", "malformed"},
};

static void a_token_is_chosen_by_what_is_looked_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(of_tokens); i++) {
        struct sg_keyref ref;
        struct sg_err err = {0};
        print_message("  %s\n", of_tokens[i].uri);
        enum sg_rc rc = sg_keyref_parse_token(sg_slice_str(of_tokens[i].uri), &ref, &err);
        assert_int_equal(rc, of_tokens[i].says == NULL ? SG_OK : SG_E_INVALID);
        if (rc != SG_OK && strstr(err.msg, of_tokens[i].says) == NULL)
            fail_msg("%s", err.msg);
    }
}

static void a_pin_in_a_refused_uri_is_not_in_the_message(void **state)
{
    (void)state;
    struct sg_keyref ref;
    struct sg_err err;
    assert_int_equal(sg_keyref_parse(SG_SLICE("pkcs11:token=a?pin-value=987654"), &ref, &err),
                     SG_E_INVALID);
    assert_null(strstr(err.msg, "987654"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing_follows_the_table),
        cmocka_unit_test(a_token_is_chosen_by_what_is_looked_at),
        cmocka_unit_test(a_pin_in_a_refused_uri_is_not_in_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
