#include "proto/proxy/proxy.h"

#include <stdlib.h>

#include "tests/support/unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\2\7\xc0\0\2\1\xc8\0\x20\xfb" /* 192.0.2.7:51200 to 192.0.2.1:8443 */
#define V6                                                                                         \
    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\xc8\0\x20\xfb"
#define TLV "\4\0\3abc"

static const struct {
    const char *name;
    struct sg_slice bytes;
    enum sg_rc rc;
    bool is_local, is_v6;
    uint8_t last; /* byte of the address */
} rows[] = {
    {"TCP over IPv4", SG_SLICE(SIGNATURE "\x21\x11\0\x0c" V4), SG_OK, false, false, 7},
    {"TCP over IPv6", SG_SLICE(SIGNATURE "\x21\x21\0\x24" V6), SG_OK, false, true, 7},
    {"with a TLV", SG_SLICE(SIGNATURE "\x21\x11\0\x12" V4 TLV), SG_OK, false, false, 7},
    {"LOCAL without addresses", SG_SLICE(SIGNATURE "\x20\0\0\0"), SG_OK, true, false, 0},
    {"LOCAL with addresses", SG_SLICE(SIGNATURE "\x20\x11\0\x0c" V4), SG_OK, true, false, 0},
    {"LOCAL with what nobody knows", SG_SLICE(SIGNATURE "\x20\xff\0\3abc"), SG_OK, true, false, 0},
    {"nobody knows whose", SG_SLICE(SIGNATURE "\x21\0\0\0"), SG_E_INVALID, false, false, 0},
    {"UDP", SG_SLICE(SIGNATURE "\x21\x12\0\x0c" V4), SG_E_INVALID, false, false, 0},
    {"a unix socket", SG_SLICE(SIGNATURE "\x21\x31\0\3abc"), SG_E_INVALID, false, false, 0},
    {"addresses cut short", SG_SLICE(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\7\xc0\0\2\1\xc8\0\x20"),
     SG_E_INVALID, false, false, 0},
    {"IPv6 as long as IPv4", SG_SLICE(SIGNATURE "\x21\x21\0\x0c" V4), SG_E_INVALID, false, false,
     0},
    {"version 1", SG_SLICE("PROXY TCP4 192.0.2.7 192.0.2.1 51200 8443\r\n"), SG_E_INVALID, false,
     false, 0},
    {"version 3", SG_SLICE(SIGNATURE "\x31\x11\0\x0c" V4), SG_E_INVALID, false, false, 0},
    {"another command", SG_SLICE(SIGNATURE "\x22\x11\0\x0c" V4), SG_E_INVALID, false, false, 0},
    {"TLS", SG_SLICE("\x16\3\1\2\0\1\0\1\xfc\3\3"), SG_E_INVALID, false, false, 0},
    {"another signature", SG_SLICE("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" V4), SG_E_INVALID, false,
     false, 0},
    {"one over the limit", SG_SLICE(SIGNATURE "\x21\x11\x07\xf1"), SG_E_LIMIT, false, false, 0},
    {"as long as can be said", SG_SLICE(SIGNATURE "\x21\x11\xff\xff"), SG_E_LIMIT, false, false, 0},
};

static void check(size_t i, enum sg_rc rc, const struct sg_proxy *proxy)
{
    assert_int_equal(rc, rows[i].rc);
    if (rc != SG_OK)
        return;
    assert_int_equal(proxy->is_local, rows[i].is_local);
    assert_int_equal(proxy->is_v6, rows[i].is_v6);
    assert_int_equal(proxy->address[rows[i].is_v6 ? 15 : 3], rows[i].last);
    assert_int_equal(proxy->port, rows[i].is_local ? 0 : 51200);
}

static void headers_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_proxy proxy = {0};
        size_t len = 0;
        struct sg_err err;
        print_message("  %s\n", rows[i].name);
        enum sg_rc rc = sg_proxy_parse(rows[i].bytes, &proxy, &len, &err);
        check(i, rc, &proxy);
        if (rc == SG_OK)
            assert_int_equal(len, rows[i].bytes.len);
    }
}

/* A prefix of each is refused as the whole is, or wants more; then what follows is not touched. */
static void each_prefix_wants_more_and_never_more_than_there_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        enum sg_rc rc = SG_E_AGAIN;
        struct sg_proxy proxy = {0};
        for (size_t have = 0; have < rows[i].bytes.len && rc == SG_E_AGAIN; have++) {
            size_t len = 0;
            uint8_t *exact = malloc(have + 1); /* a read beyond is the sanitizer's */
            assert_non_null(exact);
            memcpy(exact, rows[i].bytes.ptr, have);
            rc = sg_proxy_parse(sg_slice_of(exact, have), &proxy, &len, NULL);
            if (rc == SG_E_AGAIN)
                assert_true(len > have && (rows[i].rc != SG_OK || len <= rows[i].bytes.len));
            else
                assert_int_equal(rc, rows[i].rc);
            free(exact);
        }
        if (rc == SG_E_AGAIN) {
            size_t len = 0;
            rc = sg_proxy_parse(rows[i].bytes, &proxy, &len, NULL);
        }
        check(i, rc, &proxy);
    }
}

static void what_follows_is_not_the_headers(void **state)
{
    (void)state;
    struct sg_proxy proxy;
    size_t len = 0;
    const struct sg_slice with_more = SG_SLICE(SIGNATURE "\x21\x11\0\x0c" V4 "\x16\3\1");
    assert_int_equal(sg_proxy_parse(with_more, &proxy, &len, NULL), SG_OK);
    assert_int_equal(len, with_more.len - 3);
}

static void the_longest_is_read(void **state)
{
    (void)state;
    static uint8_t longest[SG_PROXY_LEN_MAX];
    struct sg_proxy proxy;
    size_t len = 0;
    memcpy(longest, SIGNATURE "\x21\x11\x07\xf0" V4, SG_PROXY_FIXED_LEN + 12);
    assert_int_equal(sg_proxy_parse(sg_slice_of(longest, sizeof(longest) - 1), &proxy, &len, NULL),
                     SG_E_AGAIN);
    assert_int_equal(len, sizeof(longest));
    assert_int_equal(sg_proxy_parse(sg_slice_of(longest, sizeof(longest)), &proxy, &len, NULL),
                     SG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_follow_the_table),
        cmocka_unit_test(each_prefix_wants_more_and_never_more_than_there_is),
        cmocka_unit_test(what_follows_is_not_the_headers),
        cmocka_unit_test(the_longest_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
