#include "proto/json/json.h"
#include "tests/support/all_types.h"
#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

/* A request there and back, with each allocation failing in turn. */

static const char text[] =
    "{\"aString\":\"a\",\"inner\":{\"name\":\"n\",\"leaves\":[{\"numberOfVeins\":3},{}]},"
    "\"numbers\":[\"1\",\"2\"],\"byName\":{\"b\":{\"name\":\"x\"},\"a\":{}}}";

static bool there_and_back(void *arg)
{
    struct sg_buf wire, again;
    struct sg_err err = {0};
    (void)arg;
    sg_buf_init(&wire, 1000);
    sg_buf_init(&again, 1000);
    enum sg_rc rc = sg_json_decode(&all_types, &test__all_types__descriptor, sg_slice_str(text),
                                   1 << 20, &wire, &err);
    /* It is not the text that is to blame. */
    assert_true(rc == SG_OK || err.reason == SG_R_MESSAGE_TOO_LARGE);
    bool ok = rc == SG_OK && sg_json_encode(&all_types, &test__all_types__descriptor,
                                            sg_buf_slice(&wire), &again, NULL) == SG_OK;
    if (ok)
        assert_slice_equal(sg_buf_slice(&again), sg_slice_str(text));
    sg_buf_done(&wire);
    sg_buf_done(&again);
    return ok;
}

static void messages_survive_the_failure_of_any_allocation(void **state)
{
    (void)state;
    size_t allocations = sg_failmalloc_each(there_and_back, NULL);
    print_message("  %zu allocations\n", allocations);
    assert_true(allocations > 3);
}

/* The same for the arena's cap, which every allocation of the JSON library meets in turn. */
static void no_cap_makes_a_text_malformed(void **state)
{
    (void)state;
    size_t least = 0;
    for (size_t cap = 0; cap < 20000; cap += 16) {
        struct sg_buf wire;
        struct sg_err err = {0};
        sg_buf_init(&wire, 1000);
        enum sg_rc rc = sg_json_decode(&all_types, &test__all_types__descriptor, sg_slice_str(text),
                                       cap, &wire, &err);
        if (rc == SG_OK && least == 0)
            least = cap;
        assert_int_equal(rc, least == 0 ? SG_E_LIMIT : SG_OK);
        sg_buf_done(&wire);
    }
    print_message("  %zu bytes\n", least);
    assert_true(least > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_the_failure_of_any_allocation),
        cmocka_unit_test(no_cap_makes_a_text_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
