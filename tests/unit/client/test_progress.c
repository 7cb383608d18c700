#include "client/cli/progress.h"

#include "base/clock.h"
#include "tests/support/unit.h"

#define NONE "[..............................]"
#define HALF "[###############...............]"
#define FULL "[##############################]"

static const struct {
    struct sg_progress progress;
    const char *line;
} cases[] = {
    {{.total = 1000}, NONE "  0/1000  0 %"},
    {{.total = 0}, FULL "  0/0  100 %"},
    {{.total = 10, .done = 5, .elapsed_ns = SG_NS_PER_S / 4}, HALF "  5/10  50 %"},
    {{.total = 1000, .done = 500, .elapsed_ns = SG_NS_PER_S},
     HALF "  500/1000  50 %  500/s  1 s left"},
    {{.total = 100, .done = 50, .failed = 3, .elapsed_ns = 10 * SG_NS_PER_S},
     HALF "  50/100  50 %  5.0/s  10 s left  3 failed"},
    /* What was done before says nothing about the speed. */
    {{.total = 1000, .done = 510, .before = 500, .elapsed_ns = 2 * SG_NS_PER_S},
     HALF "  510/1000  51 %  5.0/s  1 min 38 s left"},
    {{.total = 100000, .done = 1, .elapsed_ns = SG_NS_PER_S},
     NONE "  1/100000  0 %  1.0/s  27 h 46 min left"},
    {{.total = 7, .done = 7, .before = 7, .elapsed_ns = SG_NS_PER_S}, FULL "  7/7  100 %"},
    {{.total = 7, .done = 7, .elapsed_ns = SG_NS_PER_S}, FULL "  7/7  100 %  7.0/s"},
    {{.total = 7, .done = 9}, FULL "  7/7  100 %"},
};

static void lines_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_buf out;

        sg_buf_init(&out, 1024);
        sg_progress_line(&cases[i].progress, &out);
        sg_buf_add_u8(&out, '\0');
        assert_false(out.failed);
        assert_string_equal((const char *)out.ptr, cases[i].line);
        sg_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_follow_the_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
