#include "gateway/config/url.h"

#include <stdio.h>

#include "tests/support/unit.h"

/* Addresses of the web that operators write. */

static const struct {
    const char *text, *host, *authority, *port, *path; /* host NULL: refused */
} rows[] = {
    {"https://w.example", "w.example", "w.example", "443", ""},
    {"https://w.example/", "w.example", "w.example", "443", ""},
    {"https://w.example:8445", "w.example", "w.example:8445", "8445", ""},
    {"https://w.example:8445/a/b/", "w.example", "w.example:8445", "8445", "/a/b"},
    {"https://192.0.2.1:1/x", "192.0.2.1", "192.0.2.1:1", "1", "/x"},
    {"https://[2001:db8::1]", "2001:db8::1", "[2001:db8::1]", "443", ""},
    {"https://[::1]:8445/x", "::1", "[::1]:8445", "8445", "/x"},
    {"", NULL, NULL, NULL, NULL},
    {"http://w.example", NULL, NULL, NULL, NULL},
    {"https://", NULL, NULL, NULL, NULL},
    {"https:///x", NULL, NULL, NULL, NULL},
    {"https://w.example:", NULL, NULL, NULL, NULL},
    {"https://w.example:0", NULL, NULL, NULL, NULL},
    {"https://w.example:123456", NULL, NULL, NULL, NULL},
    {"https://w.example:1a", NULL, NULL, NULL, NULL},
    {"https://user@w.example", NULL, NULL, NULL, NULL},
    {"https://w.example/a?b", NULL, NULL, NULL, NULL},
    {"https://w.example/a b", NULL, NULL, NULL, NULL},
    {"https://w.example/a#b", NULL, NULL, NULL, NULL},
    {"https://w.example/a\r\nb: c", NULL, NULL, NULL, NULL},
    {"https://w ex", NULL, NULL, NULL, NULL},
    {"https://[::1", NULL, NULL, NULL, NULL},
    {"https://[::1]x", NULL, NULL, NULL, NULL},
    {"https://[w.example]", NULL, NULL, NULL, NULL},
};

static void addresses_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_url url;
        print_message("  %s\n", rows[i].text);
        if (rows[i].host == NULL) {
            assert_int_equal(sg_url_parse(rows[i].text, &url, NULL), SG_E_INVALID);
            continue;
        }
        assert_int_equal(sg_url_parse(rows[i].text, &url, NULL), SG_OK);
        assert_string_equal(url.host, rows[i].host);
        assert_string_equal(url.authority, rows[i].authority);
        assert_string_equal(url.port, rows[i].port);
        assert_string_equal(url.path, rows[i].path);
    }
}

static void what_is_too_long_is_refused(void **state)
{
    char text[2048] = "https://";
    struct sg_url url;
    (void)state;

    memset(text + 8, 'a', 255);
    assert_int_equal(sg_url_parse(text, &url, NULL), SG_OK);
    text[8 + 255] = 'a';
    assert_int_equal(sg_url_parse(text, &url, NULL), SG_E_INVALID);
    snprintf(text, sizeof(text), "https://a/");
    memset(text + 10, 'b', 510);
    assert_int_equal(sg_url_parse(text, &url, NULL), SG_OK);
    text[10 + 510] = 'b';
    assert_int_equal(sg_url_parse(text, &url, NULL), SG_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_follow_the_table),
        cmocka_unit_test(what_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
