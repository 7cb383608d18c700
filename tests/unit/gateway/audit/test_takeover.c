#include <fcntl.h>
#include <stdarg.h>

#include "gateway/audit/audit_priv.h"
#include "tests/unit/gateway/audit/folder.h"

/*
 * A gateway that takes over opens the log while the one before it still writes. Whatever that one
 * commits between two looks of the new one, nothing of it is a store that was put back. The moment
 * is fixed: the other commits when the new one has read the store and opens the anchor.
 */
static const int64_t begun_ns = INT64_C(1790000000) * SG_NS_PER_S;

static struct folder folder;
static struct sg_audit_writer old;
static uint64_t written; /* by both, behind leaf 0 */
static size_t armed;     /* so many commits the old one makes when the anchor is opened next */

static void write_one(struct sg_audit_writer *writer)
{
    struct sg_audit_record record = {.time_ns = begun_ns};
    struct sg_audit_entry entry, *group[] = {&entry};
    struct sg_err err = {0};

    folder_sign(&record, ++written, &entry);
    if (sg_audit_write(writer, group, 1, &err) != SG_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(entry.outcome, SG_AUDIT_WRITTEN);
    assert_int_equal(entry.receipt.index, written);
    sg_audit_entry_done(&entry);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (armed > 0 && strcmp(path, folder.anchor) == 0) {
        const size_t count = armed;
        armed = 0;
        for (size_t i = 0; i < count; i++)
            write_one(&old);
    }
    return __real_open(path, flags, mode);
}

static enum sg_rc open_writer(struct sg_audit_writer *writer, struct sg_err *err)
{
    const struct sg_audit_options options = {
        .store = folder.url, .log = "main", .key_file = folder.key, .anchor_file = folder.anchor};
    return sg_audit_writer_open(writer, &options, err);
}

static int set_up(void **state)
{
    (void)state;
    written = armed = 0;
    folder_make(&folder, begun_ns);
    assert_int_equal(open_writer(&old, NULL), SG_OK);
    write_one(&old);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sg_audit_writer_close(&old);
    folder_remove(&folder);
    return 0;
}

static void what_is_committed_meanwhile_is_not_missed(void **state)
{
    static const size_t counts[] = {1, 2, 300}; /* the last fills a tile */
    (void)state;

    for (size_t i = 0; i < SG_COUNT(counts); i++) {
        struct sg_audit_writer taker;
        struct sg_err err = {0};
        armed = counts[i];
        if (open_writer(&taker, &err) != SG_OK)
            fail_msg("%zu commits: %s", counts[i], err.msg);
        assert_int_equal(armed, 0);
        assert_int_equal(sg_log_tree_size(taker.tree), written + 1);
        /* Both go on, and neither loses a leaf. */
        write_one(&taker);
        write_one(&old);
        sg_audit_writer_close(&taker);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_committed_meanwhile_is_not_missed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
