#include "client/lib/endpoint.h"

#include "tests/support/unit.h"

static const struct {
    const char *text;
    const char *host, *port; /* NULL: refused */
    const char *printed;
} cases[] = {
    {"gateway:9000", "gateway", "9000", "gateway:9000"},
    {"gateway", "gateway", "8443", "gateway:8443"},
    {"127.0.0.1:1", "127.0.0.1", "1", "127.0.0.1:1"},
    {"a-b.c_d.example:65535", "a-b.c_d.example", "65535", "a-b.c_d.example:65535"},
    {"[::1]:443", "::1", "443", "[::1]:443"},
    {"[2001:db8::1]", "2001:db8::1", "8443", "[2001:db8::1]:8443"},
    {"[fe80::1%eth0]:5", "fe80::1%eth0", "5", "[fe80::1%eth0]:5"},
    {"", NULL, NULL, NULL},
    {":443", NULL, NULL, NULL},
    {"host:", NULL, NULL, NULL},
    {"host:0", NULL, NULL, NULL},
    {"host:00443", NULL, NULL, NULL},
    {"host:65536", NULL, NULL, NULL},
    {"host:99999999999", NULL, NULL, NULL},
    {"host:44a", NULL, NULL, NULL},
    {"host:-1", NULL, NULL, NULL},
    {"host:1:2", NULL, NULL, NULL},
    {"::1", NULL, NULL, NULL},
    {"[]", NULL, NULL, NULL},
    {"[::1", NULL, NULL, NULL},
    {"[::1]443", NULL, NULL, NULL},
    {"[host]:443", NULL, NULL, NULL},
    {"https://host:443", NULL, NULL, NULL},
    {"host/path", NULL, NULL, NULL},
    {"ho st:1", NULL, NULL, NULL},
    {"h\u00f4te:1", NULL, NULL, NULL},
    {"host\n:1", NULL, NULL, NULL},
};

static void endpoints_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_endpoint endpoint;
        char printed[300];
        enum sg_rc rc = sg_endpoint_parse(sg_slice_str(cases[i].text), &endpoint, NULL);

        print_message("  \"%s\"\n", cases[i].text);
        assert_int_equal(rc, cases[i].host == NULL ? SG_E_INVALID : SG_OK);
        if (rc != SG_OK)
            continue;
        assert_string_equal(endpoint.host, cases[i].host);
        assert_string_equal(endpoint.port, cases[i].port);
        sg_endpoint_print(&endpoint, printed, sizeof(printed));
        assert_string_equal(printed, cases[i].printed);
    }
}

/* What is printed is read back the same; cut anywhere, it is refused or another endpoint, and
 * never reads behind the cut. */
static void every_beginning_of_an_endpoint_is_judged_by_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++)
        for (size_t len = 0; len <= strlen(cases[i].text); len++) {
            struct sg_endpoint endpoint, again;
            char printed[300];
            char *exact = malloc(len + 1); /* so that a sanitizer sees a read too far */

            assert_non_null(exact);
            memcpy(exact, cases[i].text, len);
            if (sg_endpoint_parse(sg_slice_of(exact, len), &endpoint, NULL) == SG_OK) {
                sg_endpoint_print(&endpoint, printed, sizeof(printed));
                assert_int_equal(sg_endpoint_parse(sg_slice_str(printed), &again, NULL), SG_OK);
                assert_string_equal(again.host, endpoint.host);
                assert_string_equal(again.port, endpoint.port);
            }
            free(exact);
        }
}

static void a_host_as_long_as_the_room_is_refused(void **state)
{
    struct sg_endpoint endpoint;
    char text[sizeof(endpoint.host) + 1];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(
        sg_endpoint_parse(sg_slice_of(text, sizeof(endpoint.host) - 1), &endpoint, NULL), SG_OK);
    assert_int_equal(sg_endpoint_parse(sg_slice_of(text, sizeof(endpoint.host)), &endpoint, NULL),
                     SG_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_follow_the_table),
        cmocka_unit_test(every_beginning_of_an_endpoint_is_judged_by_itself),
        cmocka_unit_test(a_host_as_long_as_the_room_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
