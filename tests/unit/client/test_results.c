#include "client/cli/results.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/unit.h"

static char folder[] = "/tmp/sealgate-results-XXXXXX";
static char path[64];

static int start(void **state)
{
    (void)state;
    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/out", folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

#define HEAD "{\"sealgate_results\":1,\"key\":\"keys/a\"}"
#define SIGNED(name) "{\"file\":\"" name "\",\"signed\":true,\"signature\":\"AA==\"}\n"
#define FAILED(name) "{\"file\":\"" name "\",\"signed\":false,\"error\":{\"code\":\"NOT_FOUND\"}}\n"

static enum sg_rc open_results(bool resume, struct sg_results **ret, struct sg_err *err)
{
    return sg_results_open(path, SG_SLICE(HEAD), resume, ret, err);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void assert_file(const char *text)
{
    char bytes[4096] = {0};
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_true(read(fd, bytes, sizeof(bytes) - 1) >= 0);
    close(fd);
    assert_string_equal(bytes, text);
}

/* ---- The file ------------------------------------------------------------------------------- */

static void what_was_committed_is_there_and_what_was_not_is_not(void **state)
{
    struct sg_results *results = NULL;

    (void)state;
    assert_int_equal(open_results(false, &results, NULL), SG_OK);
    assert_file(HEAD "\n");
    sg_buf_add_str(sg_results_lines(results), SIGNED("a"));
    assert_file(HEAD "\n");
    assert_int_equal(sg_results_commit(results, NULL), SG_OK);
    assert_file(HEAD "\n" SIGNED("a"));
    assert_int_equal(sg_results_commit(results, NULL), SG_OK); /* nothing twice */
    sg_buf_add_str(sg_results_lines(results), SIGNED("b"));
    sg_results_close(results);
    assert_file(HEAD "\n" SIGNED("a"));
}

static void resuming_knows_what_was_signed(void **state)
{
    struct sg_results *results = NULL;

    (void)state;
    write_file(HEAD "\n" SIGNED("a") FAILED("b") FAILED("c") SIGNED("c") SIGNED("q\\\"\\\\")
                   SIGNED("e\\n"));
    assert_int_equal(open_results(true, &results, NULL), SG_OK);
    assert_true(sg_results_has(results, "a"));
    assert_false(sg_results_has(results, "b"));
    assert_true(sg_results_has(results, "c"));
    assert_true(sg_results_has(results, "q\"\\"));
    assert_true(sg_results_has(results, "e\n"));
    assert_false(sg_results_has(results, ""));
    assert_false(sg_results_has(results, "aa"));
    sg_buf_add_str(sg_results_lines(results), SIGNED("b"));
    assert_int_equal(sg_results_commit(results, NULL), SG_OK);
    sg_results_close(results);
    assert_int_equal(open_results(true, &results, NULL), SG_OK);
    assert_true(sg_results_has(results, "b"));
    sg_results_close(results);
}

/* A crash may cut the last line anywhere: it is removed, the others stay, and the next one begins
 * a line of its own. */
static void a_line_that_was_cut_is_removed(void **state)
{
    static const char whole[] = HEAD "\n" SIGNED("first") SIGNED("second");
    size_t first = strlen(HEAD "\n" SIGNED("first"));

    (void)state;
    for (size_t len = 0; len < strlen(whole); len++) {
        struct sg_results *results = NULL;
        char text[sizeof(whole)];

        memcpy(text, whole, len);
        text[len] = '\0';
        write_file(text);
        assert_int_equal(open_results(true, &results, NULL), SG_OK);
        assert_int_equal(sg_results_has(results, "first"), len >= first);
        assert_false(sg_results_has(results, "second"));
        sg_results_close(results);
        assert_file(len >= first ? HEAD "\n" SIGNED("first") : HEAD "\n");
    }
}

static const struct {
    const char *text;
    enum sg_rc rc;
} refused[] = {
    {"{\"sealgate_results\":1,\"key\":\"keys/b\"}\n", SG_E_CONFLICT},
    {HEAD " \n", SG_E_CONFLICT},
    {"\n", SG_E_CONFLICT},
    {"a shopping list\n", SG_E_CONFLICT},
    {HEAD "\n" HEAD "\n", SG_E_INVALID},
    {HEAD "\n\n", SG_E_INVALID},
    {HEAD "\n" SIGNED("a") "{}\n", SG_E_INVALID},
    {HEAD "\n{\"file\":\"a\",\"signed\":true,\n", SG_E_INVALID},
    {HEAD "\n{\"file\":\"a\\\",\"signed\":true,}\n", SG_E_INVALID},
    {HEAD "\n{\"file\":\"a\",\"signed\":maybe,}\n", SG_E_INVALID},
};

static void a_file_that_is_something_else_is_refused_and_left_alone(void **state)
{
    struct sg_results *results = NULL;

    (void)state;
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        print_message("  %s", refused[i].text);
        write_file(refused[i].text);
        assert_int_equal(open_results(true, &results, NULL), refused[i].rc);
        assert_file(refused[i].text);
        assert_int_equal(open_results(false, &results, NULL), SG_E_CONFLICT);
        assert_file(refused[i].text);
    }
    assert_null(results);
}

static void a_line_over_the_limit_is_refused(void **state)
{
    struct sg_results *results = NULL;
    static char text[70000];
    int at = snprintf(text, sizeof(text), HEAD "\n{\"file\":\"");

    (void)state;
    memset(text + at, 'x', sizeof(text) - (size_t)at - 1);
    write_file(text);
    assert_int_equal(open_results(true, &results, NULL), SG_E_INVALID);
}

static void two_runs_do_not_share_a_file(void **state)
{
    struct sg_results *first = NULL, *second = NULL;
    struct sg_err err;

    (void)state;
    assert_int_equal(open_results(true, &first, NULL), SG_OK);
    assert_int_equal(open_results(true, &second, &err), SG_E_CONFLICT);
    assert_non_null(strstr(err.msg, "another program"));
    sg_results_close(first);
    assert_int_equal(open_results(true, &second, NULL), SG_OK);
    sg_results_close(second);
}

static void a_folder_that_is_not_there_is_told(void **state)
{
    struct sg_results *results = NULL;

    (void)state;
    assert_int_equal(sg_results_open("/nonexistent/out", SG_SLICE(HEAD), false, &results, NULL),
                     SG_E_INTERNAL);
    sg_results_close(NULL);
    write_file(""); /* for stop() */
}

static void many_names_are_known_apart(void **state)
{
    struct sg_results *results = NULL;
    char name[64];

    (void)state;
    assert_int_equal(open_results(false, &results, NULL), SG_OK);
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "{\"file\":\"f%d\",\"signed\":true,\"x\":1}\n", i);
        sg_buf_add_str(sg_results_lines(results), name);
    }
    assert_int_equal(sg_results_commit(results, NULL), SG_OK);
    sg_results_close(results);
    assert_int_equal(open_results(true, &results, NULL), SG_OK);
    for (int i = 0; i < 20010; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(sg_results_has(results, name), i < 20000);
    }
    sg_results_close(results);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there_and_what_was_not_is_not),
        TEST(resuming_knows_what_was_signed),
        TEST(a_line_that_was_cut_is_removed),
        TEST(a_file_that_is_something_else_is_refused_and_left_alone),
        TEST(a_line_over_the_limit_is_refused),
        TEST(two_runs_do_not_share_a_file),
        TEST(a_folder_that_is_not_there_is_told),
        TEST(many_names_are_known_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
