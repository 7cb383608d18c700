#include "base/secret.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

enum { NOBODY = 65534 };

static char folder[] = "/tmp/sealgate-secret-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/pin", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void write_file(struct sg_slice bytes, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* Pages ---------------------------------------------------------------------------------- */

static void what_is_claimed_is_the_secret(void **state)
{
    (void)state;
    struct sg_secret *secret;
    assert_int_equal(sg_secret_new(8, &secret, NULL), SG_OK);
    assert_int_equal(sg_secret_bytes(secret).len, 0);
    memcpy(sg_secret_room(secret), "12345678", 8);
    sg_secret_claim(secret, 4);
    assert_slice_equal(sg_secret_bytes(secret), SG_SLICE("1234"));
    sg_secret_free(secret);
    sg_secret_free(NULL);
}

/* The line of flags that the kernel shows for the mapping `at` lies in; proc(5), smaps. */
static void flags_of(const void *at, char *ret, size_t cap)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    assert_non_null(smaps);
    char line[512];
    bool is_inside = false;
    ret[0] = '\0';
    while (fgets(line, sizeof(line), smaps) != NULL) {
        uintptr_t from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            is_inside = (uintptr_t)at >= from && (uintptr_t)at < to;
        else if (is_inside && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(ret, cap, "%s", line);
    }
    fclose(smaps);
}

static void the_kernel_says_that_the_pages_are_locked_and_not_dumped(void **state)
{
    (void)state;
    struct sg_secret *secret;
    char flags[512];
    assert_int_equal(sg_secret_new(5000, &secret, NULL), SG_OK); /* two pages: the last counts */
    flags_of(sg_secret_room(secret) + 4999, flags, sizeof(flags));
    print_message("  %s", flags);
    assert_non_null(strstr(flags, " lo")); /* locked */
    assert_non_null(strstr(flags, " dd")); /* do not dump */
    assert_non_null(strstr(flags, " wf")); /* wipe on fork */
    sg_secret_free(secret);
}

/* Runs `child` in a child process; returns its status. */
static int in_child(void (*child)(void *arg), void *arg)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child(arg);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void expect_zeros(void *arg)
{
    const uint8_t *bytes = arg;
    _exit(bytes[0] == 0 && bytes[3] == 0 ? 7 : 8);
}

static void a_child_process_sees_zeros(void **state)
{
    (void)state;
    struct sg_secret *secret;
    assert_int_equal(sg_secret_new(4, &secret, NULL), SG_OK);
    memcpy(sg_secret_room(secret), "1234", 4);
    int status = in_child(expect_zeros, sg_secret_room(secret));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_memory_equal(sg_secret_room(secret), "1234", 4);
    sg_secret_free(secret);
}

static void touch(void *arg)
{
    signal(SIGSEGV, SIG_DFL); /* not to a sanitizer, which would explain it at length */
    volatile uint8_t *byte = arg;
    *byte = *byte;
}

static void reading_on_behind_the_pages_faults(void **state)
{
    (void)state;
    struct sg_secret *secret;
    assert_int_equal(sg_secret_new(1, &secret, NULL), SG_OK);
    uint8_t *page = sg_secret_room(secret);
    size_t page_len = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *outside[] = {page - 1, page + page_len}, *inside[] = {page, page + page_len - 1};
    for (size_t i = 0; i < 2; i++) {
        int status = in_child(touch, outside[i]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        status = in_child(touch, inside[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    sg_secret_free(secret);
}

/* As an ordinary user, who may lock nothing. */
static void try_without_right_to_lock(void *arg)
{
    (void)arg;
    struct sg_secret *secret = NULL;
    struct sg_err err = {0};
    if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0}) != 0)
        _exit(1);
    if (geteuid() == 0 && setuid(NOBODY) != 0)
        _exit(2);
    if (sg_secret_new(1, &secret, &err) != SG_E_INTERNAL || secret != NULL)
        _exit(3);
    _exit(strstr(err.msg, "RLIMIT_MEMLOCK") != NULL && err.native != 0 ? 7 : 4);
}

static void pages_that_cannot_be_locked_are_refused_with_the_way_out(void **state)
{
    (void)state;
    int status = in_child(try_without_right_to_lock, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void lengths_that_no_memory_has_are_refused(void **state)
{
    (void)state;
    struct sg_secret *secret;
    static const size_t lens[] = {0, SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2};
    for (size_t i = 0; i < SG_COUNT(lens); i++)
        assert_int_equal(sg_secret_new(lens[i], &secret, NULL), SG_E_INTERNAL);
}

static bool make(void *arg)
{
    (void)arg;
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    return sg_secret_new(1, &secret, NULL) == SG_OK;
}

static void without_memory_there_is_no_secret(void **state)
{
    (void)state;
    assert_int_equal(sg_failmalloc_each(make, NULL), 1);
}

/* Files ---------------------------------------------------------------------------------- */

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct {
    const char *name;
    struct sg_slice bytes;
    mode_t mode;
    enum sg_rc rc;
    struct sg_slice secret;
} files[] = {
    {"a PIN", BYTES("1234"), 0400, SG_OK, BYTES("1234")},
    {"a PIN as editors save it", BYTES("1234\n"), 0600, SG_OK, BYTES("1234")},
    {"a PIN from Windows", BYTES("1234\r\n"), 0400, SG_OK, BYTES("1234")},
    {"only line ends at the end go", BYTES("\n1 2\t\n"), 0400, SG_OK, BYTES("\n1 2\t")},
    {"a NUL stays", BYTES("1\0002"), 0400, SG_OK, BYTES("1\0002")},
    {"readable by the group", BYTES("1234"), 0440, SG_OK, BYTES("1234")},
    {"as long as may be", BYTES("12345678"), 0400, SG_OK, BYTES("12345678")},
    {"as long, and a line end", BYTES("12345678\r\n"), 0400, SG_OK, BYTES("12345678")},
    {"one too many", BYTES("123456789"), 0400, SG_E_LIMIT, {NULL, 0}},
    {"one too many, and a line end", BYTES("123456789\n"), 0400, SG_E_LIMIT, {NULL, 0}},
    {"far too many", BYTES("12345678901234567890"), 0400, SG_E_LIMIT, {NULL, 0}},
    {"too many line ends", BYTES("12345678\n\n\n\n"), 0400, SG_E_LIMIT, {NULL, 0}},
    {"empty", BYTES(""), 0400, SG_E_INVALID, {NULL, 0}},
    {"a line end alone", BYTES("\n"), 0400, SG_E_INVALID, {NULL, 0}},
    {"readable by others", BYTES("1234"), 0404, SG_E_DENIED, {NULL, 0}},
    {"writable by the group", BYTES("1234"), 0620, SG_E_DENIED, {NULL, 0}},
    {"writable by others", BYTES("1234"), 0602, SG_E_DENIED, {NULL, 0}},
};

static void files_are_read_or_refused_by_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(files); i++) {
        SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
        struct sg_err err;
        print_message("  %s\n", files[i].name);
        write_file(files[i].bytes, files[i].mode);
        assert_int_equal(sg_secret_read_file(path, 8, &secret, &err), files[i].rc);
        if (files[i].rc == SG_OK)
            assert_slice_equal(sg_secret_bytes(secret), files[i].secret);
        else
            assert_non_null(strstr(err.msg, path));
    }
    unlink(path);
}

static void expect_refusal(enum sg_rc rc, const char *why)
{
    struct sg_secret *secret = NULL;
    struct sg_err err = {0};
    assert_int_equal(sg_secret_read_file(path, 8, &secret, &err), rc);
    assert_null(secret);
    assert_non_null(strstr(err.msg, why));
}

static void what_is_no_plain_file_of_ours_is_refused(void **state)
{
    (void)state;
    expect_refusal(SG_E_NOT_FOUND, "No such file");

    assert_int_equal(symlink("/etc/hostname", path), 0);
    expect_refusal(SG_E_DENIED, "symbolic link");
    unlink(path);

    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refusal(SG_E_DENIED, "not a plain file"); /* and does not wait for a writer */
    unlink(path);

    assert_int_equal(mkdir(path, 0700), 0);
    expect_refusal(SG_E_DENIED, "not a plain file");
    rmdir(path);

    if (geteuid() != 0) {
        print_message("  a file of another owner: skipped, only root can make one\n");
        return;
    }
    write_file(SG_SLICE("1234"), 0400);
    assert_int_equal(chown(path, NOBODY, NOBODY), 0);
    expect_refusal(SG_E_DENIED, "owner");
    unlink(path);
}

/* Bytes ---------------------------------------------------------------------------------- */

static void equal_is_equal_in_every_byte(void **state)
{
    (void)state;
    uint8_t a[40] = {0}, b[40] = {0};
    assert_true(sg_secret_eq((struct sg_slice){0}, (struct sg_slice){0}));
    assert_true(sg_secret_eq(sg_slice_of(a, 40), sg_slice_of(b, 40)));
    assert_false(sg_secret_eq(sg_slice_of(a, 40), sg_slice_of(b, 39)));
    for (size_t bit = 0; bit < 320; bit++) {
        b[bit / 8] = (uint8_t)(1 << bit % 8);
        assert_false(sg_secret_eq(sg_slice_of(a, 40), sg_slice_of(b, 40)));
        b[bit / 8] = 0;
    }
}

static void wiping_leaves_zeros(void **state)
{
    (void)state;
    uint8_t bytes[64], zeros[64] = {0};
    memset(bytes, 0xaa, sizeof(bytes));
    sg_wipe(bytes + 1, 62);
    assert_int_equal(bytes[0], 0xaa);
    assert_memory_equal(bytes + 1, zeros, 62);
    assert_int_equal(bytes[63], 0xaa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_claimed_is_the_secret),
        cmocka_unit_test(the_kernel_says_that_the_pages_are_locked_and_not_dumped),
        cmocka_unit_test(a_child_process_sees_zeros),
        cmocka_unit_test(reading_on_behind_the_pages_faults),
        cmocka_unit_test(pages_that_cannot_be_locked_are_refused_with_the_way_out),
        cmocka_unit_test(lengths_that_no_memory_has_are_refused),
        cmocka_unit_test(without_memory_there_is_no_secret),
        cmocka_unit_test(files_are_read_or_refused_by_the_table),
        cmocka_unit_test(what_is_no_plain_file_of_ours_is_refused),
        cmocka_unit_test(equal_is_equal_in_every_byte),
        cmocka_unit_test(wiping_leaves_zeros),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
