#include "client/cli/args.h"

#include "tests/support/unit.h"

static const struct sg_option own[] = {
    {"key", "NAME", "a key", false},
    {"dry-run", NULL, "a flag", false},
    {"dns", "NAME", "many", true},
    {0},
};
static const struct sg_option common[] = {{"output", "FORM", "text or json", false}, {0}};
static const struct sg_option *const tables[] = {own, common, NULL};

static enum sg_rc parse(const char *const *argv, struct sg_args *ret)
{
    int argc = 0;

    while (argv[argc] != NULL)
        argc++;
    return sg_args_parse(tables, argc, argv, ret, NULL);
}

static void options_and_words_come_in_any_order(void **state)
{
    static const char *const argv[] = {"one", "--key",         "k", "--dry-run",
                                       "two", "--output=json", "-", NULL};
    struct sg_args args;

    (void)state;
    assert_int_equal(parse(argv, &args), SG_OK);
    assert_string_equal(sg_args_get(&args, "key"), "k");
    assert_string_equal(sg_args_get(&args, "output"), "json");
    assert_true(sg_args_has(&args, "dry-run"));
    assert_false(sg_args_has(&args, "dns"));
    assert_int_equal(args.word_count, 3);
    assert_string_equal(args.words[1], "two");
    assert_string_equal(args.words[2], "-");
    assert_false(args.wants_help);
}

static void a_value_may_look_like_anything(void **state)
{
    static const char *const argv[] = {"--key",  "--output",  "--output", "",
                                       "--dns=", "--dns=a=b", NULL};
    const char *const *values;
    struct sg_args args;

    (void)state;
    assert_int_equal(parse(argv, &args), SG_OK);
    assert_string_equal(sg_args_get(&args, "key"), "--output");
    assert_string_equal(sg_args_get(&args, "output"), "");
    assert_int_equal(sg_args_all(&args, "dns", &values), 2);
    assert_string_equal(values[0], "");
    assert_string_equal(values[1], "a=b");
}

static void two_dashes_end_the_options(void **state)
{
    static const char *const argv[] = {"--dry-run", "--", "--key", "--help", NULL};
    struct sg_args args;

    (void)state;
    assert_int_equal(parse(argv, &args), SG_OK);
    assert_int_equal(args.word_count, 2);
    assert_string_equal(args.words[1], "--help");
    assert_false(args.wants_help);
}

static void help_is_heard_anywhere(void **state)
{
    static const char *const cases[][4] = {
        {"--help", NULL}, {"-h", NULL}, {"x", "--dry-run", "--help", NULL}};
    struct sg_args args;

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        assert_int_equal(parse(cases[i], &args), SG_OK);
        assert_true(args.wants_help);
    }
}

static const struct {
    const char *name;
    const char *argv[7];
} refused[] = {
    {"an unknown option", {"--kez", "x"}},
    {"the beginning of one", {"--ke", "x"}},
    {"an unknown letter", {"-k", "x"}},
    {"an option without a name", {"--=x"}},
    {"a missing value", {"--key"}},
    {"a value for a flag", {"--dry-run=yes"}},
    {"an option given twice", {"--key", "a", "--key", "b"}},
    {"a flag given twice", {"--dry-run", "--dry-run"}},
};

static void what_is_wrong_is_refused_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        struct sg_args args;
        print_message("  %s\n", refused[i].name);
        assert_int_equal(parse(refused[i].argv, &args), SG_E_INVALID);
    }
}

static void words_come_up_to_the_bound(void **state)
{
    const char *argv[SG_ARGS_WORDS_MAX + 2] = {NULL};
    struct sg_args args;

    (void)state;
    for (size_t i = 0; i < SG_ARGS_WORDS_MAX; i++)
        argv[i] = "x";
    assert_int_equal(parse(argv, &args), SG_OK);
    assert_int_equal(args.word_count, SG_ARGS_WORDS_MAX);
    argv[SG_ARGS_WORDS_MAX] = "x";
    assert_int_equal(parse(argv, &args), SG_E_INVALID);
}

static void an_option_repeats_up_to_the_bound(void **state)
{
    const char *argv[2 * SG_ARGS_VALUES_MAX + 3] = {NULL};
    struct sg_args args;
    const char *const *values;

    (void)state;
    for (size_t i = 0; i < SG_ARGS_VALUES_MAX; i++) {
        argv[2 * i] = "--dns";
        argv[2 * i + 1] = "x";
    }
    assert_int_equal(parse(argv, &args), SG_OK);
    assert_int_equal(sg_args_all(&args, "dns", &values), SG_ARGS_VALUES_MAX);
    argv[2 * SG_ARGS_VALUES_MAX] = "--dns=y";
    assert_int_equal(parse(argv, &args), SG_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_come_in_any_order),
        cmocka_unit_test(a_value_may_look_like_anything),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(help_is_heard_anywhere),
        cmocka_unit_test(what_is_wrong_is_refused_and_named),
        cmocka_unit_test(words_come_up_to_the_bound),
        cmocka_unit_test(an_option_repeats_up_to_the_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
