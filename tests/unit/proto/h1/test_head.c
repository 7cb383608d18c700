#include "proto/h1/head.h"

#include <stdlib.h>

#include "tests/support/unit.h"

#define LINE "POST /a.B/C HTTP/1.1\r\n"
#define HOST "host: h\r\n"
#define END "\r\n"

static const struct {
    const char *name;
    struct sg_slice text;
    enum sg_rc rc;
    const char *fields; /* "name: value\n" of those that are handed on */
    uint64_t content_length;
    bool is_chunked, wants_close, wants_continue;
} rows[] = {
    {"the least", SG_SLICE(LINE HOST END), SG_OK, "", 0, false, false, false},
    {"fields", SG_SLICE(LINE "Host: h\r\nX-A:  b c \t\r\nx-a:d\r\nEmpty:\r\n" END), SG_OK,
     "x-a: b c\nx-a: d\nempty: \n", 0, false, false, false},
    {"a body", SG_SLICE(LINE HOST "Content-Length: 012\r\n" END), SG_OK, "", 12, false, false,
     false},
    {"a chunked body", SG_SLICE(LINE HOST "Transfer-Encoding: Chunked\r\n" END), SG_OK, "", 0, true,
     false, false},
    {"fields of the connection",
     SG_SLICE(LINE HOST "Connection: x, Close\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nTE: trailers\r\n"
                        "HTTP2-Settings: a\r\nProxy-Connection: b\r\n" END),
     SG_OK, "", 0, false, true, false},
    {"an expectation", SG_SLICE(LINE HOST "Expect: 100-Continue\r\n" END), SG_OK, "", 0, false,
     false, true},
    {"bytes over 0x7F", SG_SLICE(LINE HOST "a: \xc3\xbd\r\n" END), SG_OK, "a: \xc3\xbd\n", 0, false,
     false, false},

    {"HTTP/1.0", SG_SLICE("GET / HTTP/1.0\r\n" HOST END), SG_E_UNSUPPORTED, NULL, 0, 0, 0, 0},
    {"HTTP/2", SG_SLICE("PRI * HTTP/2.0\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"HTTP/0.9", SG_SLICE("GET /\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"another case of the version", SG_SLICE("GET / http/1.1\r\n" HOST END), SG_E_UNSUPPORTED, NULL,
     0, 0, 0, 0},
    {"two spaces", SG_SLICE("GET  / HTTP/1.1\r\n" HOST END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"a space behind", SG_SLICE("GET / HTTP/1.1 \r\n" HOST END), SG_E_UNSUPPORTED, NULL, 0, 0, 0,
     0},
    {"a tab", SG_SLICE("GET\t/ HTTP/1.1\r\n" HOST END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"an empty line in front", SG_SLICE("\r\nGET / HTTP/1.1\r\n" HOST END), SG_E_INVALID, NULL, 0,
     0, 0, 0},
    {"a target with a fragment", SG_SLICE("GET /#a HTTP/1.1\r\n" HOST END), SG_E_INVALID, NULL, 0,
     0, 0, 0},
    {"a target that is a star", SG_SLICE("OPTIONS * HTTP/1.1\r\n" HOST END), SG_E_INVALID, NULL, 0,
     0, 0, 0},
    {"a target that is a host", SG_SLICE("CONNECT h:443 HTTP/1.1\r\n" HOST END), SG_E_INVALID, NULL,
     0, 0, 0, 0},
    {"a target with a NUL", SG_SLICE("GET /\0 HTTP/1.1\r\n" HOST END), SG_E_INVALID, NULL, 0, 0, 0,
     0},
    {"a target with a byte over 0x7F", SG_SLICE("GET /\xff HTTP/1.1\r\n" HOST END), SG_E_INVALID,
     NULL, 0, 0, 0, 0},
    {"no host", SG_SLICE(LINE END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"an empty host", SG_SLICE(LINE "host:\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"two hosts", SG_SLICE(LINE HOST HOST END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"a space in front of the colon", SG_SLICE(LINE HOST "a : b\r\n" END), SG_E_INVALID, NULL, 0, 0,
     0, 0},
    {"a folded line", SG_SLICE(LINE HOST "a: b\r\n c\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"no colon", SG_SLICE(LINE HOST "ab\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"no name", SG_SLICE(LINE HOST ": b\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"a pseudo-header", SG_SLICE(LINE HOST ":path: /\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"a NUL in a name", SG_SLICE(LINE HOST "a\0b: c\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"a NUL in a value", SG_SLICE(LINE HOST "a: \0\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"a CR in a value", SG_SLICE(LINE HOST "a: b\rc\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"both lengths", SG_SLICE(LINE HOST "content-length: 1\r\ntransfer-encoding: chunked\r\n" END),
     SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"both lengths, one of them nothing",
     SG_SLICE(LINE HOST "transfer-encoding: chunked\r\ncontent-length: 0\r\n" END), SG_E_INVALID,
     NULL, 0, 0, 0, 0},
    {"two lengths, the same", SG_SLICE(LINE HOST "content-length: 1\r\ncontent-length: 1\r\n" END),
     SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"two lengths in one", SG_SLICE(LINE HOST "content-length: 1, 1\r\n" END), SG_E_INVALID, NULL,
     0, 0, 0, 0},
    {"a signed length", SG_SLICE(LINE HOST "content-length: +1\r\n" END), SG_E_INVALID, NULL, 0, 0,
     0, 0},
    {"a hexadecimal length", SG_SLICE(LINE HOST "content-length: 0x1\r\n" END), SG_E_INVALID, NULL,
     0, 0, 0, 0},
    {"no length", SG_SLICE(LINE HOST "content-length:\r\n" END), SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"a length that wraps", SG_SLICE(LINE HOST "content-length: 18446744073709551617\r\n" END),
     SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"another coding", SG_SLICE(LINE HOST "transfer-encoding: gzip, chunked\r\n" END), SG_E_INVALID,
     NULL, 0, 0, 0, 0},
    {"a coding that looks like it",
     SG_SLICE(LINE HOST "transfer-encoding: \x0b"
                        "chunked\r\n" END),
     SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"chunked twice",
     SG_SLICE(LINE HOST "transfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END),
     SG_E_INVALID, NULL, 0, 0, 0, 0},
    {"another expectation", SG_SLICE(LINE HOST "expect: 200-ok\r\n" END), SG_E_INVALID, NULL, 0, 0,
     0, 0},
};

static void parse(struct sg_slice text, struct sg_h1_head *head, enum sg_rc *rc, uint8_t *copy)
{
    size_t at = 0, len = 0;
    struct sg_err err;
    memcpy(copy, text.ptr, text.len);
    *rc = sg_h1_head_find(sg_slice_of(copy, text.len), 1000, &at, &len, &err);
    if (*rc == SG_OK) {
        assert_int_equal(len, text.len);
        *rc = sg_h1_head_parse(copy, len, head, &err);
    }
}

static void heads_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        static struct sg_h1_head head;
        enum sg_rc rc;
        uint8_t *copy = malloc(rows[i].text.len);
        char fields[200] = "";
        print_message("  %s\n", rows[i].name);
        parse(rows[i].text, &head, &rc, copy);
        assert_int_equal(rc, rows[i].rc);
        if (rc == SG_OK) {
            for (size_t k = 0, len = 0; k < head.field_count; k++)
                len += (size_t)snprintf(
                    fields + len, sizeof(fields) - len, "%.*s: %.*s\n",
                    (int)head.fields[k].name.len, (const char *)head.fields[k].name.ptr,
                    (int)head.fields[k].value.len, (const char *)head.fields[k].value.ptr);
            assert_string_equal(fields, rows[i].fields);
            assert_slice_equal(head.host, SG_SLICE("h"));
            assert_slice_equal(head.target, SG_SLICE("/a.B/C"));
            assert_int_equal(head.content_length, rows[i].content_length);
            assert_int_equal(head.is_chunked, rows[i].is_chunked);
            assert_int_equal(head.wants_close, rows[i].wants_close);
            assert_int_equal(head.wants_continue, rows[i].wants_continue);
        }
        free(copy);
    }
}

static const struct {
    const char *url, *host, *target; /* host NULL: it is refused */
} urls[] = {
    {"https://h/a.B/C", "h", "/a.B/C"},
    {"https://h:8443/a?b=/c", "h:8443", "/a?b=/c"},
    {"https://h:/", "h:", "/"},
    {"HTTPS://Host.Example/", "Host.Example", "/"},
    {"https://h//a", "h", "//a"},
    {"https://h", "h", "/"},
    {"https://h:1", "h:1", "/"},
    {"https://h?a=b", "h", "/?a=b"},
    {"https://h?https://other/", "h", "/?https://other/"},
    {"https://127.0.0.1:99999/", "127.0.0.1:99999", "/"},
    {"https://[::1]:443/a", "[::1]:443", "/a"},
    {"https://[::ffff:1.2.3.4]/", "[::ffff:1.2.3.4]", "/"},
    {"https://123/", "123", "/"},

    {"http://h/", NULL, NULL}, /* it would be another connection's */
    {"ftp://h/", NULL, NULL},
    {"https:/h/", NULL, NULL},
    {"https:h", NULL, NULL},
    {"https://", NULL, NULL},
    {"https:///a", NULL, NULL},
    {"https://?a", NULL, NULL},
    {"https://:443/a", NULL, NULL},
    {"https://user@h/", NULL, NULL},
    {"https://user:secret@h/", NULL, NULL},
    {"https://h@/", NULL, NULL},
    {"https://h/#a", NULL, NULL},
    {"https://h#/a", NULL, NULL},
    {"https://h\\a/", NULL, NULL},
    {"https://h%2fa/", NULL, NULL},
    {"https://h:443:443/", NULL, NULL},
    {"https://h:x/", NULL, NULL},
    {"https://h:123456/", NULL, NULL},
    {"https://h,other/", "h,other", "/"}, /* a name by RFC 3986, and nobody's in the DNS */
    {"https://[::1/", NULL, NULL},
    {"https://::1]/", NULL, NULL},
    {"https://[]/", NULL, NULL},
    {"https://[g]/", NULL, NULL},
    {"https://[::1]a/", NULL, NULL},
    {"https://\x80/", NULL, NULL},
    {" https://h/", NULL, NULL},
    {"https://h/ https://h/", NULL, NULL},
};

/* RFC 9112 §3.2.2: what Host says is ignored then, but it must be there, and once. */
static void a_whole_url_is_taken_and_says_which_host(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool is_refused;
    } hosts[] = {
        {"Host: other\r\n", false}, {"Host: h\r\n", false},           {"", true},
        {"Host:\r\n", true},        {"Host: h\r\nHost: h\r\n", true},
    };
    for (size_t i = 0; i < SG_COUNT(urls); i++)
        for (size_t k = 0; k < SG_COUNT(hosts); k++) {
            static struct sg_h1_head head;
            char text[200];
            enum sg_rc rc;
            const int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\na: b\r\n%s\r\n",
                                     urls[i].url, hosts[k].fields);
            uint8_t *copy = malloc((size_t)len);
            print_message("  %s, %s", urls[i].url, hosts[k].fields);
            parse(sg_slice_of(text, (size_t)len), &head, &rc, copy);
            if (urls[i].host == NULL || hosts[k].is_refused) {
                assert_true(rc == SG_E_INVALID || rc == SG_E_UNSUPPORTED);
            } else {
                assert_int_equal(rc, SG_OK);
                assert_slice_equal(head.host, sg_slice_str(urls[i].host));
                assert_slice_equal(head.target, sg_slice_str(urls[i].target));
                assert_slice_equal(head.method, SG_SLICE("GET"));
                assert_int_equal(head.field_count, 1);
            }
            free(copy);
        }
}

static void a_head_is_found_when_it_is_complete(void **state)
{
    (void)state;
    struct sg_slice whole = SG_SLICE(LINE HOST "a: b\r\n" END "body\n");
    size_t at = 0, len = 0;
    for (size_t n = 0; n <= whole.len; n++) {
        enum sg_rc rc = sg_h1_head_find(sg_slice_of(whole.ptr, n), 1000, &at, &len, NULL);
        assert_int_equal(rc, n < whole.len - 5 ? SG_E_AGAIN : SG_OK);
        if (rc == SG_OK) {
            assert_int_equal(len, whole.len - 5);
            break;
        }
    }
}

static void a_line_feed_alone_is_refused_at_once(void **state)
{
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\n", "\n", "a\r\nb\n", "a\r\n\n"};
    for (size_t i = 0; i < SG_COUNT(texts); i++) {
        size_t at = 0, len;
        assert_int_equal(sg_h1_head_find(sg_slice_str(texts[i]), 1000, &at, &len, NULL),
                         SG_E_INVALID);
    }
}

static void a_head_has_a_limit(void **state)
{
    (void)state;
    struct sg_slice text = SG_SLICE(LINE HOST END);
    for (size_t max = text.len - 1; max <= text.len; max++) {
        size_t at = 0, len = 0;
        assert_int_equal(sg_h1_head_find(text, max, &at, &len, NULL),
                         max < text.len ? SG_E_LIMIT : SG_OK);
    }
    /* Without any line it is over too. */
    static char many[1001];
    size_t at = 0, len;
    memset(many, 'a', sizeof(many));
    assert_int_equal(sg_h1_head_find(sg_slice_of(many, 1000), 1000, &at, &len, NULL), SG_E_AGAIN);
    assert_int_equal(sg_h1_head_find(sg_slice_of(many, 1001), 1000, &at, &len, NULL), SG_E_LIMIT);
}

static void there_are_no_more_fields_than_there_is_room_for(void **state)
{
    (void)state;
    static struct sg_h1_head head;
    for (size_t count = SG_H1_FIELDS_MAX; count <= SG_H1_FIELDS_MAX + 1; count++) {
        static char text[2000];
        size_t len = (size_t)snprintf(text, sizeof(text), LINE HOST);
        for (size_t i = 0; i < count; i++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "a: b\r\n");
        len += (size_t)snprintf(text + len, sizeof(text) - len, END);
        assert_int_equal(sg_h1_head_parse((uint8_t *)text, len, &head, NULL),
                         count > SG_H1_FIELDS_MAX ? SG_E_LIMIT : SG_OK);
    }
}

static const struct {
    const char *name;
    struct sg_slice text;
    enum sg_rc rc;
    const char *body;
    bool is_end;
    size_t left;
} chunked[] = {
    {"nothing", SG_SLICE("0\r\n\r\n"), SG_OK, "", true, 0},
    {"one", SG_SLICE("5\r\nhello\r\n0\r\n\r\n"), SG_OK, "hello", true, 0},
    {"two, and the next request", SG_SLICE("1\r\na\r\n2\r\nbc\r\n000\r\n\r\nGET"), SG_OK, "abc",
     true, 3},
    {"hexadecimal", SG_SLICE("a\r\n0123456789\r\n0B\r\n0123456789a\r\n0\r\n\r\n"), SG_OK,
     "01234567890123456789a", true, 0},
    {"cut in the size", SG_SLICE("5"), SG_OK, "", false, 0},
    {"cut in the data", SG_SLICE("5\r\nhe"), SG_OK, "he", false, 0},
    {"cut behind the data", SG_SLICE("2\r\nhe\r"), SG_OK, "he", false, 0},
    {"cut before the end", SG_SLICE("0\r\n\r"), SG_OK, "", false, 0},
    {"no size", SG_SLICE("\r\n"), SG_E_INVALID, "", false, 0},
    {"a line feed alone", SG_SLICE("1\na"), SG_E_INVALID, "", false, 0},
    {"an extension", SG_SLICE("1;a=b\r\na\r\n"), SG_E_INVALID, "", false, 0},
    {"a space", SG_SLICE("1 \r\na\r\n"), SG_E_INVALID, "", false, 0},
    {"a sign", SG_SLICE("-1\r\na\r\n"), SG_E_INVALID, "", false, 0},
    {"0x", SG_SLICE("0x1\r\na\r\n"), SG_E_INVALID, "", false, 0},
    {"nine digits", SG_SLICE("000000001\r\na\r\n"), SG_E_INVALID, "", false, 0},
    {"data longer than its size", SG_SLICE("1\r\nab\r\n"), SG_E_INVALID, "a", false, 0},
    {"trailers", SG_SLICE("0\r\na: b\r\n\r\n"), SG_E_INVALID, "", false, 0},
};

static void chunks_follow_the_table_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(chunked); i++)
        for (size_t step = 1; step <= chunked[i].text.len; step++) {
            struct sg_h1_chunks chunks = {0};
            struct sg_slice text = chunked[i].text, part = {0}, data;
            char body[100] = "";
            enum sg_rc rc = SG_OK;
            print_message("  %s, step %zu\n", chunked[i].name, step);
            while (rc == SG_OK && text.len > 0 && chunks.state != SG_H1_CHUNKS_END) {
                part = sg_slice_take(&text, step < text.len ? step : text.len);
                do {
                    rc = sg_h1_chunks_next(&chunks, &part, &data, NULL);
                    if (rc == SG_OK && data.len > 0)
                        memcpy(body + strlen(body), data.ptr, data.len);
                } while (rc == SG_OK && data.len > 0);
            }
            assert_int_equal(rc, chunked[i].rc);
            assert_string_equal(body, chunked[i].body);
            assert_int_equal(chunks.state == SG_H1_CHUNKS_END, chunked[i].is_end);
            if (rc == SG_OK)
                assert_int_equal(part.len + text.len, chunked[i].left);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_follow_the_table),
        cmocka_unit_test(a_whole_url_is_taken_and_says_which_host),
        cmocka_unit_test(a_head_is_found_when_it_is_complete),
        cmocka_unit_test(a_line_feed_alone_is_refused_at_once),
        cmocka_unit_test(a_head_has_a_limit),
        cmocka_unit_test(there_are_no_more_fields_than_there_is_room_for),
        cmocka_unit_test(chunks_follow_the_table_however_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
