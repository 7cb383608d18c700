#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/audit/anchor.h"
#include "tests/unit/gateway/audit/folder.h"

/* The checkpoint beside the store: the newest whole one counts, whatever was cut in the middle. */

static ino_t synced[2]; /* the last two that fsync was called on */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat about;
    assert_int_equal(fstat(fd, &about), 0);
    synced[0] = synced[1];
    synced[1] = about.st_ino;
    return __real_fsync(fd);
}

static const char origin[] = "test.example/main/1";

static void add(struct folder *folder, uint64_t size, struct sg_buf *out)
{
    const struct sg_checkpoint checkpoint = {.origin = sg_slice_str(origin),
                                             .head = {.size = size}};
    struct sg_buf text;

    sg_buf_init(&text, SG_NOTE_BYTES_MAX);
    sg_checkpoint_write(&checkpoint, &text);
    sg_buf_clear(out);
    assert_int_equal(sg_note_sign(folder->signer, sg_buf_slice(&text), out, NULL), SG_OK);
    sg_buf_done(&text);
}

static enum sg_rc read_size(struct folder *folder, struct sg_anchor *anchor, uint64_t *ret)
{
    struct sg_tree_head head = {0};
    enum sg_rc rc = sg_anchor_read(anchor, sg_slice_str(origin), sg_note_signer_key(folder->signer),
                                   &head, NULL);
    *ret = head.size;
    return rc;
}

static void the_newest_counts_whatever_is_cut(void **state)
{
    SG_AUTO(sg_anchor_close) struct sg_anchor *anchor = NULL;
    struct folder folder;
    struct sg_buf note;
    uint64_t size = 0;
    (void)state;

    folder_make(&folder, 1);
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    assert_int_equal(sg_anchor_open(folder.anchor, &anchor, NULL), SG_OK);
    assert_int_equal(read_size(&folder, anchor, &size), SG_OK);
    assert_int_equal(size, 1);
    for (uint64_t next = 2; next < 6; next++) {
        add(&folder, next, &note);
        assert_int_equal(sg_anchor_write(anchor, sg_buf_slice(&note), NULL), SG_OK);
        assert_int_equal(read_size(&folder, anchor, &size), SG_OK);
        assert_int_equal(size, next);
    }
    assert_int_equal(sg_anchor_sync(anchor, NULL), SG_OK);

    /* A write that was cut: the other place still counts. */
    add(&folder, 6, &note);
    assert_int_equal(sg_anchor_write(anchor, sg_slice_of(note.ptr, note.len - 20), NULL), SG_OK);
    assert_int_equal(read_size(&folder, anchor, &size), SG_OK);
    assert_int_equal(size, 5);
    /* And the place that is written next is the one that was cut. */
    assert_int_equal(sg_anchor_write(anchor, SG_SLICE("nothing"), NULL), SG_OK);
    assert_int_equal(read_size(&folder, anchor, &size), SG_OK);
    assert_int_equal(size, 5);
    assert_int_equal(truncate(folder.anchor, 0), 0);
    assert_int_equal(read_size(&folder, anchor, &size), SG_E_NOT_FOUND);
    sg_buf_done(&note);
    folder_remove(&folder);
}

static void it_is_made_once_and_opened_where_it_is(void **state)
{
    SG_AUTO(sg_anchor_close) struct sg_anchor *anchor = NULL;
    struct folder folder;
    (void)state;

    folder_make(&folder, 1);
    assert_int_equal(sg_anchor_create(folder.anchor, SG_SLICE("x"), NULL), SG_E_CONFLICT);
    assert_int_equal(sg_anchor_open("/nonexistent/anchor", &anchor, NULL), SG_E_NOT_FOUND);
    uint8_t *much = calloc(1, 5000);
    assert_int_equal(sg_anchor_open(folder.anchor, &anchor, NULL), SG_OK);
    assert_int_equal(sg_anchor_write(anchor, sg_slice_of(much, 5000), NULL), SG_E_LIMIT);
    free(much);
    folder_remove(&folder);
}

static void a_new_one_is_on_the_disk_with_its_name(void **state)
{
    char folder[] = "/tmp/sealgate-anchor-XXXXXX", path[64];
    struct stat file, above;
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/anchor", folder);
    assert_int_equal(sg_anchor_create(path, SG_SLICE("a checkpoint"), NULL), SG_OK);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(stat(folder, &above), 0);
    assert_int_equal(synced[0], file.st_ino);
    assert_int_equal(synced[1], above.st_ino);
    assert_int_equal(sg_anchor_create(path, SG_SLICE("another"), NULL), SG_E_CONFLICT);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_counts_whatever_is_cut),
        cmocka_unit_test(it_is_made_once_and_opened_where_it_is),
        cmocka_unit_test(a_new_one_is_on_the_disk_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
