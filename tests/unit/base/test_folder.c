#include "base/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/unit.h"

/* Which folder is synced. That it is on the disk by then cannot be seen from here: the test counts
 * what fsync was called on. */

static ino_t synced;
static unsigned times;
static int fails_with; /* errno of the next */

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat about;
    assert_int_equal(fstat(fd, &about), 0);
    synced = about.st_ino;
    times++;
    errno = fails_with;
    return fails_with == 0 ? 0 : -1;
}

static ino_t number_of(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return about.st_ino;
}

static void the_folder_of_a_path_is_synced(void **state)
{
    static const struct {
        const char *path, *folder;
    } rows[] = {{"/tmp/x", "/tmp"}, {"/x", "/"}, {"x", "."}, {"/proc/../tmp/", "/tmp"}};
    (void)state;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        times = 0;
        assert_int_equal(sg_folder_sync_of(rows[i].path, NULL), SG_OK);
        assert_int_equal(times, 1);
        assert_int_equal(synced, number_of(rows[i].folder));
    }
    times = 0;
    assert_int_equal(sg_folder_sync("/tmp", NULL), SG_OK);
    assert_int_equal(times, 1);
    assert_int_equal(synced, number_of("/tmp"));
}

static void what_cannot_be_synced_is_told(void **state)
{
    static char path[5000];
    struct sg_err err = {0};
    (void)state;

    assert_int_equal(sg_folder_sync("/no/such/folder", &err), SG_E_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "No such file"));
    assert_int_equal(sg_folder_sync("/dev/null", &err), SG_E_UNAVAILABLE);
    assert_int_equal(sg_folder_sync_of("/no/such/folder/file", &err), SG_E_UNAVAILABLE);
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    path[4500] = '/';
    assert_int_equal(sg_folder_sync_of(path, &err), SG_E_INVALID);
    fails_with = EIO;
    assert_int_equal(sg_folder_sync("/tmp", &err), SG_E_UNAVAILABLE);
    assert_int_equal(err.native, EIO);
    fails_with = 0;
}

static void assert_file(const char *path, const char *text)
{
    char bytes[64] = "";
    struct stat about;
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, sizeof(bytes) - 1, file), strlen(text));
    fclose(file);
    assert_string_equal(bytes, text);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

static void a_file_is_put_whole_or_not_at_all(void **state)
{
    char folder[] = "/tmp/sealgate-folder-XXXXXX", path[64], beside[64];
    struct sg_err err = {0};
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(beside, sizeof(beside), "%s/file.new", folder);
    times = 0;
    assert_int_equal(sg_folder_put(path, SG_SLICE("first"), NULL), SG_OK);
    assert_file(path, "first");
    assert_int_equal(times, 2); /* the bytes, and then the name */
    assert_int_equal(synced, number_of(folder));
    assert_int_equal(sg_folder_put(path, SG_SLICE("2nd"), NULL), SG_OK);
    assert_file(path, "2nd");
    fails_with = EIO;
    assert_int_equal(sg_folder_put(path, SG_SLICE("third"), &err), SG_E_UNAVAILABLE);
    assert_int_equal(err.native, EIO);
    fails_with = 0;
    assert_file(path, "2nd");
    assert_int_equal(unlink(beside), 0);               /* what failed is left there, and */
    assert_int_equal(symlink("/dev/full", beside), 0); /* nothing is written through a link */
    assert_int_equal(sg_folder_put(path, SG_SLICE("fourth"), &err), SG_E_UNAVAILABLE);
    assert_int_equal(err.native, ELOOP);
    assert_file(path, "2nd");
    unlink(beside);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(sg_folder_put("/no/such/folder/file", SG_SLICE("x"), NULL), SG_E_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_folder_of_a_path_is_synced),
        cmocka_unit_test(what_cannot_be_synced_is_told),
        cmocka_unit_test(a_file_is_put_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
