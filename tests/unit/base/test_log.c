#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/json_strict.h"
#include "tests/support/unit.h"

#define MORE_BYTES "\u2026[1 more bytes]"
#define X16 "xxxxxxxxxxxxxxxx"
#define X128 X16 X16 X16 X16 X16 X16 X16 X16
#define X512 X128 X128 X128 X128
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static struct sg_slice format(char *out, size_t cap, enum sg_log_format format,
                              const struct sg_log_field *fields)
{
    size_t len = sg_log_format_line(out, cap, format, 0, "p", SG_LOG_INFO, NULL, "e", fields);
    return sg_slice_of(out, len);
}

static bool has(struct sg_slice line, struct sg_slice part)
{
    return memmem(line.ptr, line.len, part.ptr, part.len) != NULL;
}

/* Each value as it stands behind `k=` and behind `"k":`. */
static const struct {
    const char *name;
    struct sg_slice value;
    const char *key_value, *json;
} values[] = {
    {"a word", BYTES("keys/a-1.b"), "keys/a-1.b", "\"keys/a-1.b\""},
    {"nothing", BYTES(""), "\"\"", "\"\""},
    {"two words", BYTES("a b"), "\"a b\"", "\"a b\""},
    {"a forged field", BYTES("a level=error"), "\"a level=error\"", "\"a level=error\""},
    {"an equals sign", BYTES("a=b"), "\"a=b\"", "\"a=b\""},
    {"a quote", BYTES("a\" b=\"c"), "\"a\\\" b=\\\"c\"", "\"a\\\" b=\\\"c\""},
    {"a forged end of JSON", BYTES("\"}"), "\"\\\"}\"", "\"\\\"}\""},
    {"a backslash", BYTES("a\\"), "\"a\\\\\"", "\"a\\\\\""},
    {"a backslash and a quote", BYTES("\\\""), "\"\\\\\\\"\"", "\"\\\\\\\"\""},
    {"a forged line", BYTES("a\ntime=x"), "\"a\\ntime=x\"", "\"a\\ntime=x\""},
    {"other white space", BYTES("\r\t\v\f"), "\"\\r\\t\\u000b\\u000c\"",
     "\"\\r\\t\\u000b\\u000c\""},
    {"NUL, escape, DEL", BYTES("\0\x1b\x7f"), "\"\\u0000\\u001b\\u007f\"",
     "\"\\u0000\\u001b\\u007f\""},
    {"control characters of eight bits", BYTES("\xc2\x85\xc2\x9b"), "\"\\u0085\\u009b\"",
     "\"\\u0085\\u009b\""},
    {"line ends of Unicode", BYTES("\u2028\u2029"), "\"\\u2028\\u2029\"", "\"\\u2028\\u2029\""},
    {"a turn of direction", BYTES("\u202e\u2066\u200f"), "\"\\u202e\\u2066\\u200f\"",
     "\"\\u202e\\u2066\\u200f\""},
    {"letters of Vietnamese", BYTES("Ng\u00f4 Ki\u1ec7t"), "\"Ng\u00f4 Ki\u1ec7t\"",
     "\"Ng\u00f4 Ki\u1ec7t\""},
    {"bytes that are no UTF-8", BYTES("a\xff\xc3(\xed\xa0\x80"), "\"a\\xff\\xc3(\\xed\\xa0\\x80\"",
     "\"a\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\""},
    {"a character cut short", BYTES("a\xe1\xbb"), "\"a\\xe1\\xbb\"", "\"a\\ufffd\\ufffd\""},
    {"as long as may be", BYTES(X512), X512, "\"" X512 "\""},
    {"one longer", BYTES(X512 "y"), "\"" X512 MORE_BYTES "\"", "\"" X512 MORE_BYTES "\""},
    {"not cut through a character",
     BYTES(X128 X128 X128 X16 X16 X16 X16 X16 X16 X16 "xxxxxxxxxxxxxx\u1ec7"),
     "\"" X128 X128 X128 X16 X16 X16 X16 X16 X16 X16 "xxxxxxxxxxxxxx\u2026[3 more bytes]\"",
     "\"" X128 X128 X128 X16 X16 X16 X16 X16 X16 X16 "xxxxxxxxxxxxxx\u2026[3 more bytes]\""},
};

static void no_value_forges_a_field_or_a_line(void **state)
{
    (void)state;
    static const char head_kv[] = "time=1970-01-01T00:00:00.000Z level=info process=p event=e k=";
    static const char head_json[] = "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\","
                                    "\"process\":\"p\",\"event\":\"e\",\"k\":";
    for (size_t i = 0; i < SG_COUNT(values); i++) {
        char line[SG_LOG_LINE_BYTES_MAX], expected[SG_LOG_LINE_BYTES_MAX];
        const struct sg_log_field fields[] = {SG_F_SLICE("k", values[i].value),
                                              SG_F_STR(NULL, NULL)};
        print_message("  %s\n", values[i].name);
        snprintf(expected, sizeof(expected), "%s%s\n", head_kv, values[i].key_value);
        assert_slice_equal(format(line, sizeof(line), SG_LOG_KEY_VALUE, fields),
                           sg_slice_str(expected));
        snprintf(expected, sizeof(expected), "%s%s}\n", head_json, values[i].json);
        assert_slice_equal(format(line, sizeof(line), SG_LOG_JSON, fields), sg_slice_str(expected));
        assert_true(sg_json_is_strict(sg_slice_str(expected)));
    }
}

static void fields_of_every_kind_are_written(void **state)
{
    (void)state;
    struct sg_err err;
    SG_IGNORE(
        sg_fail(&err, SG_E_UNAVAILABLE, SG_R_TOKEN_LOST, 0x30, "link.c:7", "could not %s", "ask"));
    struct sg_err bare = {.rc = SG_E_INVALID, .msg = "bad"};
    const struct sg_log_field fields[] = {
        SG_F_STR("s", "x"),  SG_F_STR("none", NULL), SG_F_INT("n", -5), SG_F_INT("min", INT64_MIN),
        SG_F_ERR(&err),      SG_F_ERR(NULL),         SG_F_ERR(&bare),   SG_F_STR("a key\"=", "y"),
        SG_F_STR(NULL, NULL)};
    char line[SG_LOG_LINE_BYTES_MAX];
    assert_slice_equal(
        format(line, sizeof(line), SG_LOG_KEY_VALUE, fields),
        SG_SLICE("time=1970-01-01T00:00:00.000Z level=info process=p event=e s=x none=\"\" n=-5 "
                 "min=-9223372036854775808 error=\"could not ask\" class=unavailable "
                 "reason=TOKEN_LOST native=48 where=link.c:7 error=bad class=invalid "
                 "a_key__=y\n"));
    assert_slice_equal(
        format(line, sizeof(line), SG_LOG_JSON, fields),
        SG_SLICE("{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"process\":\"p\","
                 "\"event\":\"e\",\"s\":\"x\",\"none\":\"\",\"n\":-5,"
                 "\"min\":-9223372036854775808,\"error\":\"could not ask\","
                 "\"class\":\"unavailable\",\"reason\":\"TOKEN_LOST\",\"native\":48,"
                 "\"where\":\"link.c:7\",\"error\":\"bad\",\"class\":\"invalid\","
                 "\"a_key__\":\"y\"}\n"));
}

static void a_child_scope_inherits_from_its_parents_first(void **state)
{
    (void)state;
    const struct sg_log_field of_conn[] = {SG_F_INT("conn", 1), SG_F_STR(NULL, NULL)};
    const struct sg_log_field of_call[] = {SG_F_INT("call", 2), SG_F_STR(NULL, NULL)};
    const struct sg_log_scope conn = {NULL, of_conn}, empty = {&conn, NULL},
                              call = {&empty, of_call};
    const struct sg_log_field fields[] = {SG_F_INT("k", 3), SG_F_STR(NULL, NULL)};
    char line[SG_LOG_LINE_BYTES_MAX];
    size_t len = sg_log_format_line(line, sizeof(line), SG_LOG_KEY_VALUE, 0, "p", SG_LOG_DEBUG,
                                    &call, "e", fields);
    assert_slice_equal(
        sg_slice_of(line, len),
        SG_SLICE(
            "time=1970-01-01T00:00:00.000Z level=debug process=p event=e conn=1 call=2 k=3\n"));
}

static const struct {
    int64_t wall_ns;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000Z"},           {999999, "1970-01-01T00:00:00.000Z"},
    {1000000, "1970-01-01T00:00:00.001Z"},     {1709210096789999999, "2024-02-29T12:34:56.789Z"},
    {-1, "1969-12-31T23:59:59.999Z"},          {-1000000, "1969-12-31T23:59:59.999Z"},
    {-1000000000, "1969-12-31T23:59:59.000Z"}, {INT64_MAX, "2262-04-11T23:47:16.854Z"},
    {INT64_MIN, "1677-09-21T00:12:43.145Z"},
};

static void time_is_utc_with_milliseconds(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Ho_Chi_Minh", 1); /* must not matter */
    for (size_t i = 0; i < SG_COUNT(times); i++) {
        char line[SG_LOG_LINE_BYTES_MAX], expected[128];
        size_t len = sg_log_format_line(line, sizeof(line), SG_LOG_KEY_VALUE, times[i].wall_ns, "p",
                                        SG_LOG_ERROR, NULL, "e", NULL);
        snprintf(expected, sizeof(expected), "time=%s level=error process=p event=e\n",
                 times[i].text);
        assert_slice_equal(sg_slice_of(line, len), sg_slice_str(expected));
    }
    unsetenv("TZ");
}

static void at_every_length_the_line_is_whole_or_says_that_it_is_not(void **state)
{
    (void)state;
    const struct sg_log_field fields[] = {SG_F_STR("first", "12345"), SG_F_STR("second", X16 X16),
                                          SG_F_STR("quotes", "\"\"\"\"\""), SG_F_INT("n", 12),
                                          SG_F_STR(NULL, NULL)};
    for (int f = 0; f < 2; f++) {
        enum sg_log_format as = f == 0 ? SG_LOG_KEY_VALUE : SG_LOG_JSON;
        char whole[SG_LOG_LINE_BYTES_MAX];
        struct sg_slice full = format(whole, sizeof(whole), as, fields);
        for (size_t cap = 0; cap < full.len + 40; cap++) {
            char *exact = malloc(cap + (cap == 0));
            struct sg_slice line = format(exact, cap, as, fields);
            assert_true(line.len <= cap);
            if (line.len > 0) {
                assert_int_equal(exact[line.len - 1], '\n');
                bool is_cut = has(line, SG_SLICE("truncated"));
                assert_true(is_cut == (line.len != full.len || memcmp(exact, whole, full.len)));
                assert_true(as == SG_LOG_KEY_VALUE || sg_json_is_strict(line));
            } else {
                assert_true(cap < 150);
            }
            free(exact);
        }
    }
}

static void no_line_is_longer_than_a_pipe_takes_whole(void **state)
{
    (void)state;
    struct sg_log_field fields[30];
    uint8_t wide[600];
    memset(wide, 1, sizeof(wide)); /* six bytes each */
    for (size_t i = 0; i < SG_COUNT(fields); i++)
        fields[i] = SG_F_SLICE("k", sg_slice_of(wide, sizeof(wide)));
    fields[29] = SG_F_STR(NULL, NULL);
    char line[SG_LOG_LINE_BYTES_MAX];
    struct sg_slice json = format(line, sizeof(line), SG_LOG_JSON, fields);
    assert_true(json.len <= SG_LOG_LINE_BYTES_MAX && json.len > 3000);
    assert_true(sg_json_is_strict(json));
    assert_true(has(json, SG_SLICE(",\"truncated\":true}\n")));
}

/* Standard error as a socket that keeps writes apart. */
static int near_end, far_end, real_stderr;

static void capture(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    near_end = fds[0];
    far_end = fds[1];
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(near_end, STDERR_FILENO) >= 0);
}

static void restore(void)
{
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    close(near_end);
    close(far_end);
}

static void an_event_is_one_write_and_leaves_errno(void **state)
{
    (void)state;
    char line[SG_LOG_LINE_BYTES_MAX + 1];
    capture();
    sg_log_setup(SG_LOG_INFO, SG_LOG_JSON, "token@softhsm");
    sg_log(SG_LOG_DEBUG, NULL, "test.silent");
    errno = EPIPE;
    sg_log(SG_LOG_INFO, NULL, "test.plain");
    assert_int_equal(errno, EPIPE);
    sg_log(SG_LOG_ERROR, NULL, "test.fields", SG_F_STR("a", "b\nc"), SG_F_INT("n", 1));
    close(STDERR_FILENO);
    errno = 0;
    sg_log(SG_LOG_ERROR, NULL, "test.nobody_listens");
    assert_int_equal(errno, 0);

    ssize_t len = recv(far_end, line, sizeof(line), 0);
    assert_true(len > 0);
    struct sg_slice plain = sg_slice_of(line, (size_t)len);
    assert_true(sg_json_is_strict(plain));
    assert_true(has(plain, SG_SLICE("\"level\":\"info\",\"process\":\"token@softhsm\","
                                    "\"event\":\"test.plain\"}\n")));
    len = recv(far_end, line, sizeof(line), 0);
    assert_true(len > 0);
    assert_true(has(sg_slice_of(line, (size_t)len), SG_SLICE("\"a\":\"b\\nc\",\"n\":1}\n")));
    restore();
    sg_log_setup(SG_LOG_INFO, SG_LOG_KEY_VALUE, "sealgate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_forges_a_field_or_a_line),
        cmocka_unit_test(fields_of_every_kind_are_written),
        cmocka_unit_test(a_child_scope_inherits_from_its_parents_first),
        cmocka_unit_test(time_is_utc_with_milliseconds),
        cmocka_unit_test(at_every_length_the_line_is_whole_or_says_that_it_is_not),
        cmocka_unit_test(no_line_is_longer_than_a_pipe_takes_whole),
        cmocka_unit_test(an_event_is_one_write_and_leaves_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
