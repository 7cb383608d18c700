#include "base/err.h"

#include "base/cleanup.h"
#include "tests/support/unit.h"

static void every_reason_has_a_class_a_name_and_advice(void **state)
{
    (void)state;
    for (enum sg_reason reason = SG_R_NONE + 1; reason < SG_R_COUNT; reason++) {
        const char *name = sg_reason_name(reason), *next = sg_reason_next(reason);
        print_message("  %s\n", name);
        assert_int_not_equal(sg_reason_rc(reason), SG_OK);
        assert_int_not_equal(sg_reason_rc(reason), SG_E_AGAIN);
        assert_true(strlen(name) > 0 && strlen(name) <= 63); /* google.rpc.ErrorInfo.reason */
        assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"), strlen(name));
        assert_true(name[0] >= 'A' && name[0] <= 'Z' && name[strlen(name) - 1] != '_');
        assert_true(strlen(next) > 10 && next[strlen(next) - 1] == '.');
    }
}

static void no_two_reasons_share_a_name(void **state)
{
    (void)state;
    for (enum sg_reason a = SG_R_NONE; a < SG_R_COUNT; a++)
        for (enum sg_reason b = a + 1; b < SG_R_COUNT; b++)
            assert_string_not_equal(sg_reason_name(a), sg_reason_name(b));
}

static void no_reason_has_no_words(void **state)
{
    (void)state;
    assert_string_equal(sg_reason_name(SG_R_NONE), "");
    assert_string_equal(sg_reason_next(SG_R_NONE), "");
    assert_int_equal(sg_reason_rc(SG_R_NONE), SG_E_INTERNAL);
}

static void class_names_are_words_and_unique(void **state)
{
    (void)state;
    for (enum sg_rc a = SG_OK; a <= SG_E_INTERNAL; a++) {
        const char *name = sg_rc_name(a);
        assert_true(strlen(name) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (enum sg_rc b = a + 1; b <= SG_E_INTERNAL; b++)
            assert_string_not_equal(name, sg_rc_name(b));
    }
}

static void fail_fills_the_error_and_returns_the_class(void **state)
{
    (void)state;
    struct sg_err err;
    memset(&err, 0xff, sizeof(err));
    enum sg_rc rc = SG_FAIL(&err, SG_E_TIMEOUT, 7, "could not wait: %s", "late");
    assert_int_equal(rc, SG_E_TIMEOUT);
    assert_int_equal(err.rc, SG_E_TIMEOUT);
    assert_int_equal(err.reason, SG_R_NONE);
    assert_int_equal(err.native, 7);
    assert_string_equal(err.msg, "could not wait: late");
    assert_non_null(strstr(err.where, "test_err.c:"));
}

static void refuse_takes_the_class_of_the_reason(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(SG_REFUSE(&err, SG_R_QUEUE_FULL, "%d are waiting", 3), SG_E_LIMIT);
    assert_int_equal(err.rc, SG_E_LIMIT);
    assert_int_equal(err.reason, SG_R_QUEUE_FULL);
}

static void fail_without_an_error_to_fill_returns_the_class(void **state)
{
    (void)state;
    assert_int_equal(SG_FAIL(NULL, SG_E_DENIED, 0, "nobody listens"), SG_E_DENIED);
}

static void a_long_message_is_cut_and_ended(void **state)
{
    (void)state;
    struct sg_err err;
    char text[400];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(SG_FAIL(&err, SG_E_INVALID, 0, "%s", text), SG_E_INVALID);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

static enum sg_rc try_it(enum sg_rc rc, bool *went_on)
{
    *went_on = false;
    SG_TRY(rc);
    *went_on = true;
    return SG_OK;
}

static void try_returns_what_is_not_ok(void **state)
{
    (void)state;
    bool went_on;
    assert_int_equal(try_it(SG_E_AGAIN, &went_on), SG_E_AGAIN);
    assert_false(went_on);
    assert_int_equal(try_it(SG_OK, &went_on), SG_OK);
    assert_true(went_on);
}

static int freed;

static void thing_free(int *thing)
{
    if (thing != NULL)
        freed++;
}

SG_DEFINE_AUTO(int, thing_free);

static int *use_thing(int *thing, bool steal)
{
    SG_AUTO(thing_free) int *held = thing;
    return steal ? SG_STEAL(held) : NULL;
}

static void what_is_stolen_is_not_freed(void **state)
{
    (void)state;
    int thing = 0;
    freed = 0;
    assert_null(use_thing(&thing, false));
    assert_int_equal(freed, 1);
    assert_ptr_equal(use_thing(&thing, true), &thing);
    assert_int_equal(freed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_class_a_name_and_advice),
        cmocka_unit_test(no_two_reasons_share_a_name),
        cmocka_unit_test(no_reason_has_no_words),
        cmocka_unit_test(class_names_are_words_and_unique),
        cmocka_unit_test(fail_fills_the_error_and_returns_the_class),
        cmocka_unit_test(refuse_takes_the_class_of_the_reason),
        cmocka_unit_test(fail_without_an_error_to_fill_returns_the_class),
        cmocka_unit_test(a_long_message_is_cut_and_ended),
        cmocka_unit_test(try_returns_what_is_not_ok),
        cmocka_unit_test(what_is_stolen_is_not_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
