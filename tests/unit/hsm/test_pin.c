#include "hsm/pin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/unit.h"

static char dir[64], latch[96];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/sealgate-pin-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(latch, sizeof(latch), "%s/pin-latch", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(latch);
    return rmdir(dir);
}

static void success_forgets_every_try(void **state)
{
    (void)state;
    struct sg_err err;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_OK);
        assert_int_equal(access(latch, F_OK), 0); /* written before the token is asked */
        assert_int_equal(sg_pin_clear(dir, &err), SG_OK);
        assert_int_equal(access(latch, F_OK), -1);
    }
}

static void a_refused_pin_is_latched_and_another_is_not(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_OK);
    assert_int_equal(sg_pin_refused(dir, 0xa0, &err), SG_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_E_UNAVAILABLE);
        assert_int_equal(err.reason, SG_R_TOKEN_PIN);
    }
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("12345"), &err), SG_OK);
    assert_int_equal(sg_pin_clear(dir, &err), SG_OK);
}

static void two_tries_that_nobody_saw_the_end_of_are_enough(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_OK);
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_OK);
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_E_UNAVAILABLE);
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_E_UNAVAILABLE);
}

static void a_damaged_latch_stays_shut(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_OK);
    assert_int_equal(truncate(latch, 20), 0);
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_E_UNAVAILABLE);
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("5678"), &err), SG_E_UNAVAILABLE);
}

static void the_latch_shows_the_pin_to_nobody(void **state)
{
    (void)state;
    struct sg_err err;
    struct stat st;
    char bytes[256];
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("87654321"), &err), SG_OK);
    assert_int_equal(stat(latch, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int fd = open(latch, O_RDONLY);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    close(fd);
    assert_true(len > 0);
    assert_null(memmem(bytes, (size_t)len, "87654321", 8));
}

static void without_a_state_folder_nothing_is_tried(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(sg_pin_begin("/nonexistent/state", SG_SLICE("1"), &err), SG_E_INTERNAL);
}

static void a_credential_is_found_by_name_and_by_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *name, *source;
        enum sg_rc rc;
    } cases[] = {
        {"there", "credential:pin-latch", SG_OK},
        {"not there", "credential:other", SG_E_NOT_FOUND},
        {"a path", "credential:../pin-latch", SG_E_INVALID},
        {"no name", "credential:", SG_E_INVALID},
    };
    int fd = open(latch, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "4321\n", 5), 5);
    close(fd);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        SG_AUTO(sg_secret_free) struct sg_secret *pin = NULL;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_pin_read(cases[i].source, &pin, NULL), cases[i].rc);
        if (cases[i].rc == SG_OK)
            assert_slice_equal(sg_secret_bytes(pin), SG_SLICE("4321"));
    }
    unsetenv("CREDENTIALS_DIRECTORY");
    SG_AUTO(sg_secret_free) struct sg_secret *pin = NULL;
    assert_int_equal(sg_pin_read("credential:pin-latch", &pin, NULL), SG_E_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(success_forgets_every_try),
        TEST(a_refused_pin_is_latched_and_another_is_not),
        TEST(two_tries_that_nobody_saw_the_end_of_are_enough),
        TEST(a_damaged_latch_stays_shut),
        TEST(the_latch_shows_the_pin_to_nobody),
        TEST(without_a_state_folder_nothing_is_tried),
        TEST(a_credential_is_found_by_name_and_by_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
