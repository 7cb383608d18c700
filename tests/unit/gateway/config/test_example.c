#include "gateway/config/config.h"
#include "gateway/config/table_priv.h"

#include <stdio.h>

#include "tests/support/unit.h"

static void the_committed_example_is_what_the_tables_give(void **state)
{
    (void)state;
    static uint8_t on_disk[1 << 18];
    struct sg_buf example;
    sg_buf_init(&example, sizeof(on_disk));
    sg_config_example(&example);
    assert_int_equal(sg_buf_check(&example, NULL), SG_OK);

    FILE *file = fopen("ops/conf/sealgate.yaml", "rb");
    assert_non_null(file);
    size_t len = fread(on_disk, 1, sizeof(on_disk), file);
    fclose(file);
    if (!sg_slice_eq(sg_buf_slice(&example), sg_slice_of(on_disk, len)))
        fail_msg("ops/conf/sealgate.yaml is out of date: write it anew with this test's --print");
    sg_buf_done(&example);
}

static const struct sg_config *parse(const struct sg_buf *text)
{
    const struct sg_config *config = NULL;
    struct sg_err err = {0};
    if (sg_config_parse(sg_buf_slice(text), "/etc/sealgate", NULL, &config, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return config;
}

/* Takes the '#' off every line that has a name right behind it, or that is one of a list which is
 * behind '#' as a whole. */
static void uncomment(const struct sg_buf *example, struct sg_buf *out)
{
    for (size_t i = 0; i < example->len; i++) {
        bool is_name = i + 1 < example->len && example->ptr[i + 1] >= 'a' &&
                       example->ptr[i + 1] <= 'z' &&
                       (i == 0 || example->ptr[i - 1] == '\n' || example->ptr[i - 1] == ' ');
        const struct sg_slice rest = sg_slice_of(example->ptr + i, example->len - i);
        const bool is_item =
            (i == 0 || example->ptr[i - 1] == '\n') &&
            (sg_slice_starts(rest, SG_SLICE("#  - ")) || sg_slice_starts(rest, SG_SLICE("#    ")));
        if (example->ptr[i] != '#' || (!is_name && !is_item))
            sg_buf_add_u8(out, example->ptr[i]);
    }
}

static void options_are_the_same(const struct sg_config *a, const struct sg_config *b)
{
#define OPTION_INT(name, min, max, def, when, help) assert_int_equal(a->name, b->name);
#define OPTION_BOOL(name, def, when, help) assert_int_equal(a->name, b->name);
#define OPTION_STR(name, def, when, help) assert_string_equal(a->name, b->name);
#define OPTION_PATH(name, def, when, help) assert_string_equal(a->name, b->name);
#define OPTION_STORE(name, def, when, help) assert_string_equal(a->name, b->name);
#define OPTION_ENUM(name, values, def, when, help) assert_int_equal(a->name, b->name);
#include "gateway/config/options.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_STR
#undef OPTION_PATH
#undef OPTION_STORE
#undef OPTION_ENUM
}

static void the_example_is_read_as_it_is_and_with_every_line_in_force(void **state)
{
    (void)state;
    struct sg_buf example, all;
    sg_buf_init(&example, 1 << 18);
    sg_buf_init(&all, 1 << 18);
    sg_config_example(&example);
    uncomment(&example, &all);
    assert_true(all.len < example.len);

    SG_AUTO(sg_config_free) const struct sg_config *as_is = parse(&example);
    SG_AUTO(sg_config_free) const struct sg_config *whole = parse(&all);
    options_are_the_same(as_is, whole); /* what is shown as the default is the default */
    assert_int_equal(whole->token_count, 1);
    assert_int_equal(whole->callers[0].key_count, 1);
    assert_null(as_is->client_cas[0].crl_file);
    assert_string_equal(whole->client_cas[0].crl_file, "/etc/sealgate/client-ca.crl");
    sg_buf_done(&example);
    sg_buf_done(&all);
}

static void every_option_and_field_is_in_the_help(void **state)
{
    (void)state;
    struct sg_buf help;
    sg_buf_init(&help, 1 << 18);
    sg_config_help(&help);
    sg_buf_add_u8(&help, 0);
    assert_int_equal(sg_buf_check(&help, NULL), SG_OK);
    for (size_t i = 0; i < sg_config_option_count; i++) {
        assert_non_null(strstr((char *)help.ptr, sg_config_options[i].name));
        assert_non_null(strstr((char *)help.ptr, sg_config_options[i].help));
    }
    for (size_t i = 0; i < sg_config_list_count; i++) {
        for (size_t j = 0; j < sg_config_lists[i].field_count; j++) {
            const struct sg_field *field = &sg_config_lists[i].fields[j];
            assert_non_null(strstr((char *)help.ptr, field->help));
            for (size_t k = 0; field->items != NULL && k < field->items->field_count; k++)
                assert_non_null(strstr((char *)help.ptr, field->items->fields[k].help));
        }
    }
    sg_buf_done(&help);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_committed_example_is_what_the_tables_give),
        cmocka_unit_test(the_example_is_read_as_it_is_and_with_every_line_in_force),
        cmocka_unit_test(every_option_and_field_is_in_the_help),
    };
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        struct sg_buf example;
        sg_buf_init(&example, 1 << 18);
        sg_config_example(&example);
        fwrite(example.ptr, 1, example.len, stdout);
        sg_buf_done(&example);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
