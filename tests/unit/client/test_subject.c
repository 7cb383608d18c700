#include "client/cli/subject.h"
#include "tests/support/unit.h"

/* Subjects as people write them; how they are read back is fuzz_subject's. */

static void subjects_are_read_in_their_order(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        const char *type, *value; /* of the last */
    } rows[] = {
        {"CN=Department", 1, "CN", "Department"},   {"CN=Department,O=Agency,C=VN", 3, "C", "VN"},
        {" CN = A b , O = c ", 2, "O", "c"},        {"O=Tax\\, customs", 1, "O", "Tax, customs"},
        {"O=back\\\\slash", 1, "O", "back\\slash"}, {"O=a=b", 1, "O", "a=b"},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_subject subject = {.count = 0};
        print_message("  %s\n", rows[i].text);
        assert_int_equal(sg_subject_add(&subject, rows[i].text, NULL), SG_OK);
        assert_int_equal(subject.count, rows[i].count);
        assert_string_equal(subject.attributes[subject.count - 1].type, rows[i].type);
        assert_string_equal(subject.attributes[subject.count - 1].value, rows[i].value);
    }
}

static void what_is_no_subject_is_refused(void **state)
{
    static const char *const rows[] = {"",      "CN",        "=a",    "CN=",     "CN=a,",
                                       "CN=,O", "CN=a,,O=b", "C,N=a", "CN=a\\x", "CN=a\\"};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_subject subject = {.count = 0};
        print_message("  %s\n", rows[i]);
        assert_int_equal(sg_subject_add(&subject, rows[i], NULL), SG_E_INVALID);
    }
}

/* Type, value and a NUL for each fill the room exactly; and every length around that. */
static void there_is_room_for_so_much(void **state)
{
    char text[SG_SUBJECT_BYTES_MAX + 8];
    (void)state;
    for (size_t type_len = 1; type_len <= SG_SUBJECT_BYTES_MAX; type_len++) {
        for (size_t value_len = 0; value_len <= 2; value_len++) {
            struct sg_subject *subject = calloc(1, sizeof(*subject));
            memset(text, 'T', type_len);
            text[type_len] = '=';
            memset(text + type_len + 1, 'v', value_len);
            text[type_len + 1 + value_len] = '\0';
            const bool fits = value_len > 0 && type_len + value_len + 2 <= SG_SUBJECT_BYTES_MAX;
            assert_int_equal(sg_subject_add(subject, text, NULL), fits ? SG_OK : SG_E_INVALID);
            free(subject);
        }
    }
}

static void there_are_so_many_attributes(void **state)
{
    struct sg_subject subject = {.count = 0};
    (void)state;
    for (size_t i = 0; i < SG_SUBJECT_ATTRIBUTES_MAX; i++)
        assert_int_equal(sg_subject_add(&subject, "CN=a", NULL), SG_OK);
    assert_int_equal(sg_subject_add(&subject, "CN=a", NULL), SG_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects_are_read_in_their_order),
        cmocka_unit_test(what_is_no_subject_is_refused),
        cmocka_unit_test(there_is_room_for_so_much),
        cmocka_unit_test(there_are_so_many_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
