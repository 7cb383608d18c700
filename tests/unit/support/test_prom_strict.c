#include "tests/support/prom_strict.h"

#include "tests/support/unit.h"

#define GAUGE "# HELP a_b A text.\n# TYPE a_b gauge\n"
#define COUNTER "# HELP a_total A text.\n# TYPE a_total counter\n"
#define HISTOGRAM "# HELP h_seconds A text.\n# TYPE h_seconds histogram\n"

static const struct {
    const char *name, *page;
    bool is_valid;
} cases[] = {
    {"nothing", "", true},
    {"a gauge", GAUGE "a_b 1\n", true},
    {"a family without samples", GAUGE, true},
    {"a negative gauge", GAUGE "a_b -1\n", true},
    {"labels", GAUGE "a_b{x=\"1\",y=\"2\"} 1\na_b{x=\"1\",y=\"3\"} 1\n", true},
    {"escapes", GAUGE "a_b{x=\"\\\\ \\\" \\n\"} 1\n", true},
    {"a counter", COUNTER "a_total 1\n", true},
    {"a histogram",
     HISTOGRAM "h_seconds_bucket{le=\"0.1\"} 1\nh_seconds_bucket{le=\"+Inf\"} 2\n"
               "h_seconds_sum 0.5\nh_seconds_count 2\n",
     true},
    {"two series of a histogram",
     HISTOGRAM "h_seconds_bucket{x=\"a\",le=\"+Inf\"} 2\nh_seconds_sum{x=\"a\"} 1\n"
               "h_seconds_count{x=\"a\"} 2\nh_seconds_bucket{x=\"b\",le=\"+Inf\"} 1\n"
               "h_seconds_sum{x=\"b\"} 1\nh_seconds_count{x=\"b\"} 1\n",
     true},

    {"no line end", GAUGE "a_b 1", false},
    {"a CR", GAUGE "a_b 1\r\n", false},
    {"an empty line", GAUGE "\na_b 1\n", false},
    {"no HELP", "# TYPE a_b gauge\na_b 1\n", false},
    {"no TYPE", "# HELP a_b A text.\na_b 1\n", false},
    {"a type that is none", "# HELP a_b A.\n# TYPE a_b gauges\na_b 1\n", false},
    {"a family twice", GAUGE "a_b 1\n" GAUGE, false},
    {"a series twice", GAUGE "a_b{x=\"1\"} 1\na_b{x=\"2\"} 1\na_b{x=\"1\"} 1\n", false},
    {"a sample of another family", GAUGE "a_c 1\n", false},
    {"a name with a hyphen", "# HELP a-b A.\n# TYPE a-b gauge\na-b 1\n", false},
    {"a name that begins with a digit", "# HELP 1a A.\n# TYPE 1a gauge\n1a 1\n", false},
    {"a label with a colon", GAUGE "a_b{x:y=\"1\"} 1\n", false},
    {"a reserved label", GAUGE "a_b{__x=\"1\"} 1\n", false},
    {"a label twice", GAUGE "a_b{x=\"1\",x=\"2\"} 1\n", false},
    {"a quote that is not escaped", GAUGE "a_b{x=\"a\"b\"} 1\n", false},
    {"an escape that is none", GAUGE "a_b{x=\"\\t\"} 1\n", false},
    {"no value", GAUGE "a_b\n", false},
    {"two spaces", GAUGE "a_b  1\n", false},
    {"a word for a value", GAUGE "a_b many\n", false},
    {"a counter without _total", "# HELP a_b A.\n# TYPE a_b counter\na_b 1\n", false},
    {"a gauge with _total", "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n", false},
    {"a negative counter", COUNTER "a_total -1\n", false},
    {"milliseconds", "# HELP a_milliseconds A.\n# TYPE a_milliseconds gauge\n", false},
    {"buckets without the last",
     HISTOGRAM "h_seconds_bucket{le=\"1\"} 1\nh_seconds_sum 1\nh_seconds_count 1\n", false},
    {"buckets that fall",
     HISTOGRAM "h_seconds_bucket{le=\"1\"} 2\nh_seconds_bucket{le=\"+Inf\"} 1\n", false},
    {"bounds that fall", HISTOGRAM "h_seconds_bucket{le=\"2\"} 1\nh_seconds_bucket{le=\"1\"} 1\n",
     false},
    {"a count that differs",
     HISTOGRAM "h_seconds_bucket{le=\"+Inf\"} 1\nh_seconds_sum 1\nh_seconds_count 2\n", false},
    {"a histogram that ends early", HISTOGRAM "h_seconds_bucket{le=\"1\"} 1\n", false},
    {"not UTF-8", GAUGE "a_b{x=\"\xff\"} 1\n", false},
};

static void pages_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        char why[128] = "";
        print_message("  %s\n", cases[i].name);
        bool is_valid = sg_prom_is_valid(sg_slice_str(cases[i].page), why, sizeof(why));
        if (is_valid != cases[i].is_valid)
            fail_msg("%s", why);
    }
}

static void a_value_is_found_by_its_series(void **state)
{
    (void)state;
    struct sg_slice page = SG_SLICE(GAUGE "a_b{x=\"1\"} 7\na_b{x=\"12\"} 8.5\n");
    assert_true(sg_prom_value(page, "a_b{x=\"1\"}") == 7);
    assert_true(sg_prom_value(page, "a_b{x=\"12\"}") == 8.5);
    assert_true(sg_prom_value(page, "a_b") == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_follow_the_table),
        cmocka_unit_test(a_value_is_found_by_its_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
