#include <stdlib.h>

#include "hsm/pkcs11/p11_priv.h"
#include "tests/support/unit.h"

/* The numbers are PKCS#11's own (v2.40, appendix), not the header's: what a module says counts. */
static const struct {
    CK_RV rv;
    const char *name;
    enum sg_outcome outcome;
} known[] = {
    {0x0, "CKR_OK", SG_OUT_OK},
    {0xb3, "CKR_SESSION_HANDLE_INVALID", SG_OUT_SESSION},
    {0xb0, "CKR_SESSION_CLOSED", SG_OUT_SESSION},
    {0x90, "CKR_OPERATION_ACTIVE", SG_OUT_SESSION},
    {0x91, "CKR_OPERATION_NOT_INITIALIZED", SG_OUT_SESSION},
    {0x60, "CKR_KEY_HANDLE_INVALID", SG_OUT_HANDLE},
    {0x82, "CKR_OBJECT_HANDLE_INVALID", SG_OUT_HANDLE},
    {0x101, "CKR_USER_NOT_LOGGED_IN", SG_OUT_LOGIN},
    {0x30, "CKR_DEVICE_ERROR", SG_OUT_TOKEN},
    {0x32, "CKR_DEVICE_REMOVED", SG_OUT_TOKEN},
    {0xe0, "CKR_TOKEN_NOT_PRESENT", SG_OUT_TOKEN},
    {0xe1, "CKR_TOKEN_NOT_RECOGNIZED", SG_OUT_TOKEN},
    {0x190, "CKR_CRYPTOKI_NOT_INITIALIZED", SG_OUT_TOKEN},
    {0x3, "CKR_SLOT_ID_INVALID", SG_OUT_TOKEN},
    {0x5, "CKR_GENERAL_ERROR", SG_OUT_TOKEN},
    {0x6, "CKR_FUNCTION_FAILED", SG_OUT_TOKEN},
    {0x50, "CKR_FUNCTION_CANCELED", SG_OUT_TOKEN},
    {0xb1, "CKR_SESSION_COUNT", SG_OUT_CAPACITY},
    {0x31, "CKR_DEVICE_MEMORY", SG_OUT_CAPACITY},
    {0x2, "CKR_HOST_MEMORY", SG_OUT_CAPACITY},
    {0xa0, "CKR_PIN_INCORRECT", SG_OUT_PIN},
    {0xa1, "CKR_PIN_INVALID", SG_OUT_PIN},
    {0xa2, "CKR_PIN_LEN_RANGE", SG_OUT_PIN},
    {0xa3, "CKR_PIN_EXPIRED", SG_OUT_PIN},
    {0xa4, "CKR_PIN_LOCKED", SG_OUT_PIN},
    {0x102, "CKR_USER_PIN_NOT_INITIALIZED", SG_OUT_PIN},
    {0x68, "CKR_KEY_FUNCTION_NOT_PERMITTED", SG_OUT_KEY},
    {0x70, "CKR_MECHANISM_INVALID", SG_OUT_UNSUPPORTED},
    {0x71, "CKR_MECHANISM_PARAM_INVALID", SG_OUT_UNSUPPORTED},
    {0x54, "CKR_FUNCTION_NOT_SUPPORTED", SG_OUT_UNSUPPORTED},
    {0x62, "CKR_KEY_SIZE_RANGE", SG_OUT_UNSUPPORTED},
    {0x63, "CKR_KEY_TYPE_INCONSISTENT", SG_OUT_UNSUPPORTED},
    {0x7, "CKR_ARGUMENTS_BAD", SG_OUT_REQUEST},
    {0x20, "CKR_DATA_INVALID", SG_OUT_REQUEST},
    {0x21, "CKR_DATA_LEN_RANGE", SG_OUT_REQUEST},
    {0x150, "CKR_BUFFER_TOO_SMALL", SG_OUT_REQUEST},
};

static bool is_known(CK_RV rv)
{
    for (size_t i = 0; i < SG_COUNT(known); i++)
        if (known[i].rv == rv)
            return true;
    return false;
}

static void each_return_value_has_its_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(known); i++) {
        print_message("  %s\n", known[i].name);
        assert_int_equal(sg_p11_class(known[i].rv), known[i].outcome);
    }
}

/* Neither tried again nor held against the token, and never taken for success: vendors have their
 * own, and a module that has gone mad returns anything. */
static void what_is_not_listed_is_the_requests_own_fault(void **state)
{
    static const CK_RV odd[] = {0x80000000UL, 0x80000001UL, 0xffffffffUL, ~0UL, 0x100000000UL};
    (void)state;
    for (CK_RV rv = 1; rv < 0x1000; rv++)
        if (!is_known(rv))
            assert_int_equal(sg_p11_class(rv), SG_OUT_REQUEST);
    for (size_t i = 0; i < SG_COUNT(odd); i++)
        assert_int_equal(sg_p11_class(odd[i]), SG_OUT_REQUEST);
}

static void an_error_names_what_and_why(void **state)
{
    struct sg_err err;
    (void)state;
    for (size_t i = 0; i < SG_COUNT(known); i++) {
        char expected[128];
        snprintf(expected, sizeof(expected), "could not sign: %s (0x%lx)", known[i].name,
                 known[i].rv);
        assert_int_equal(sg_p11_fail(&err, known[i].rv, "sign"), known[i].outcome);
        assert_string_equal(err.msg, expected);
        assert_int_equal(err.native, known[i].rv);
        assert_int_not_equal(err.rc, SG_OK);
    }
    assert_int_equal(sg_p11_fail(&err, 0x80000017UL, "log in"), SG_OUT_REQUEST);
    assert_string_equal(err.msg, "could not log in: unknown CKR (0x80000017)");
    assert_int_equal(sg_p11_fail(NULL, 0xa0, "log in"), SG_OUT_PIN);
}

/* It must fit into an answer to the gateway. */
static void a_refusal_is_cut_to_what_an_answer_holds(void **state)
{
    struct sg_err err;
    char text[2 * SG_JOB_TEXT_MAX];
    (void)state;

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(sg_p11_refuse(&err, SG_OUT_KEY, "key %d: %s", 7, text), SG_OUT_KEY);
    assert_int_equal(strlen(err.msg), SG_JOB_TEXT_MAX - 1);
    assert_memory_equal(err.msg, "key 7: xxx", 10);
    assert_int_equal(err.native, 0);
    assert_int_equal(sg_p11_refuse(NULL, SG_OUT_EXPIRED, "late"), SG_OUT_EXPIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_return_value_has_its_class),
        cmocka_unit_test(what_is_not_listed_is_the_requests_own_fault),
        cmocka_unit_test(an_error_names_what_and_why),
        cmocka_unit_test(a_refusal_is_cut_to_what_an_answer_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
