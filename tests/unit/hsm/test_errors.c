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
    {0x100, "CKR_USER_ALREADY_LOGGED_IN", SG_OUT_LOGIN},
    {0x191, "CKR_CRYPTOKI_ALREADY_INITIALIZED", SG_OUT_TOKEN},
    {0x9, "CKR_NEED_TO_CREATE_THREADS", SG_OUT_TOKEN},
    {0xa, "CKR_CANT_LOCK", SG_OUT_TOKEN},
    {0x1a0, "CKR_MUTEX_BAD", SG_OUT_TOKEN},
    {0x1a1, "CKR_MUTEX_NOT_LOCKED", SG_OUT_TOKEN},
    {0x121, "CKR_RANDOM_NO_RNG", SG_OUT_TOKEN},
    {0xb8, "CKR_SESSION_READ_WRITE_SO_EXISTS", SG_OUT_TOKEN},
    {0x104, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN", SG_OUT_TOKEN},
    {0x105, "CKR_USER_TOO_MANY_TYPES", SG_OUT_CAPACITY},
    {0x201, "CKR_TOKEN_RESOURCE_EXCEEDED", SG_OUT_CAPACITY},
    {0x103, "CKR_USER_TYPE_INVALID", SG_OUT_PIN},
    {0x1b, "CKR_ACTION_PROHIBITED", SG_OUT_KEY},
    {0x130, "CKR_DOMAIN_PARAMS_INVALID", SG_OUT_UNSUPPORTED},
    {0x140, "CKR_CURVE_NOT_SUPPORTED", SG_OUT_UNSUPPORTED},
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

/* To try a PIN again that was judged may lock the token, so only codes that are known to come from
 * before the judging give the try back. */
static void what_a_login_answers_is_a_refusal_unless_it_is_known_to_be_none(void **state)
{
    static const struct {
        CK_RV rv;
        enum sg_pin_verdict verdict;
    } cases[] = {
        {0x0, SG_PIN_VERDICT_RIGHT},          /* CKR_OK */
        {0x100, SG_PIN_VERDICT_UNASKED},      /* USER_ALREADY_LOGGED_IN judges no PIN */
        {0xb3, SG_PIN_VERDICT_UNASKED},       /* SESSION_HANDLE_INVALID */
        {0xb0, SG_PIN_VERDICT_UNASKED},       /* SESSION_CLOSED */
        {0xe0, SG_PIN_VERDICT_UNASKED},       /* TOKEN_NOT_PRESENT */
        {0x32, SG_PIN_VERDICT_UNASKED},       /* DEVICE_REMOVED */
        {0x190, SG_PIN_VERDICT_UNASKED},      /* CRYPTOKI_NOT_INITIALIZED */
        {0x104, SG_PIN_VERDICT_UNASKED},      /* USER_ANOTHER_ALREADY_LOGGED_IN */
        {0x31, SG_PIN_VERDICT_UNASKED},       /* DEVICE_MEMORY */
        {0x30, SG_PIN_VERDICT_UNCLEAR},       /* DEVICE_ERROR: what a cut link says too */
        {0x5, SG_PIN_VERDICT_UNCLEAR},        /* GENERAL_ERROR */
        {0x6, SG_PIN_VERDICT_UNCLEAR},        /* FUNCTION_FAILED */
        {0x50, SG_PIN_VERDICT_UNCLEAR},       /* FUNCTION_CANCELED */
        {0xa0, SG_PIN_VERDICT_REFUSED},       /* PIN_INCORRECT */
        {0xa1, SG_PIN_VERDICT_REFUSED},       /* PIN_INVALID */
        {0xa2, SG_PIN_VERDICT_REFUSED},       /* PIN_LEN_RANGE */
        {0xa3, SG_PIN_VERDICT_REFUSED},       /* PIN_EXPIRED */
        {0xa4, SG_PIN_VERDICT_REFUSED},       /* PIN_LOCKED */
        {0x102, SG_PIN_VERDICT_REFUSED},      /* USER_PIN_NOT_INITIALIZED */
        {0x103, SG_PIN_VERDICT_REFUSED},      /* USER_TYPE_INVALID */
        {0x7, SG_PIN_VERDICT_REFUSED},        /* ARGUMENTS_BAD */
        {0x54, SG_PIN_VERDICT_REFUSED},       /* FUNCTION_NOT_SUPPORTED */
        {0x1b8, SG_PIN_VERDICT_REFUSED},      /* not listed */
        {0x80000024, SG_PIN_VERDICT_REFUSED}, /* a vendor's */
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        print_message("  0x%lx\n", cases[i].rv);
        assert_int_equal(sg_p11_pin_verdict(cases[i].rv), cases[i].verdict);
    }
    for (size_t i = 0; i < SG_COUNT(known); i++) {
        if (known[i].outcome == SG_OUT_PIN)
            assert_int_equal(sg_p11_pin_verdict(known[i].rv), SG_PIN_VERDICT_REFUSED);
        assert_string_equal(sg_p11_name(known[i].rv), known[i].name);
    }
}

static void the_advice_on_a_refused_pin_says_what_to_do(void **state)
{
    static const struct {
        CK_RV rv;
        const char *word;
    } cases[] = {{0xa0, "pin_file"},     {0xa4, "unlocked"},     {0xa3, "expired"},
                 {0x103, "no user PIN"}, {0x102, "no user PIN"}, {0x80000024, "pin_file"}};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++)
        assert_non_null(strstr(sg_p11_pin_advice(cases[i].rv), cases[i].word));
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
        cmocka_unit_test(what_a_login_answers_is_a_refusal_unless_it_is_known_to_be_none),
        cmocka_unit_test(the_advice_on_a_refused_pin_says_what_to_do),
        cmocka_unit_test(a_refusal_is_cut_to_what_an_answer_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
