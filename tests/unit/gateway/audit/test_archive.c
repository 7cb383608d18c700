#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "formats/audit/export.h"
#include "gateway/audit/archive.h"
#include "gateway/audit/archived.h"
#include "gateway/audit/audit_priv.h"
#include "gateway/audit/verify.h"
#include "tests/unit/gateway/audit/folder.h"

/* Leaves that leave the store for files: nothing is ever in neither, whenever the program is
 * killed. */

enum { LEAVES = 2400, FIRST_S = 1000, GROUP = 200, KEY_AT = 300 };

struct rig {
    struct folder folder;
    struct sg_store *store;
    struct sg_store_log log;
    char files[128];
    uint64_t told;                           /* leaves, by the last call */
    uint8_t key[SG_STORE_REQUEST_KEY_BYTES]; /* of leaf KEY_AT */
};

static struct rig rig;

/* Leaf n is of second FIRST_S + n; each has a request key. */
static void write_leaves(struct sg_audit_writer *writer, uint64_t from, size_t count)
{
    static struct sg_audit_entry entries[GROUP];
    struct sg_audit_entry *group[GROUP];
    struct sg_err err = {0};

    for (size_t i = 0; i < count; i++) {
        struct sg_audit_record record = {.time_ns = (int64_t)(FIRST_S + from + i) * SG_NS_PER_S,
                                         .purpose = SG_SLICE("to be archived")};
        folder_sign(&record, from + i, &entries[i]);
        group[i] = &entries[i];
        if (from + i == KEY_AT)
            memcpy(rig.key, entries[i].request_key, sizeof(rig.key));
    }
    if (sg_audit_write(writer, group, count, &err) != SG_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < count; i++)
        sg_audit_entry_done(&entries[i]);
}

static int set_up(void **state)
{
    struct sg_audit_writer writer;
    struct sg_err err = {0};
    (void)state;

    memset(&rig, 0, sizeof(rig));
    folder_make(&rig.folder, (int64_t)FIRST_S * SG_NS_PER_S);
    const struct sg_audit_options options = {.store = rig.folder.url,
                                             .log = "main",
                                             .key_file = rig.folder.key,
                                             .anchor_file = rig.folder.anchor};
    if (sg_audit_writer_open(&writer, &options, &err) != SG_OK)
        fail_msg("%s", err.msg);
    for (uint64_t at = 1; at < LEAVES; at += GROUP)
        write_leaves(&writer, at, at + GROUP > LEAVES ? (size_t)(LEAVES - at) : GROUP);
    sg_audit_writer_close(&writer);
    snprintf(rig.files, sizeof(rig.files), "%s/files", rig.folder.path);
    shell(&rig.folder, "mkdir $FOLDER/files");
    assert_int_equal(sg_store_open(rig.folder.url, &rig.store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(rig.store, "main", &rig.log, NULL), SG_OK);
    assert_int_equal(rig.log.size, LEAVES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sg_store_close(rig.store);
    folder_remove(&rig.folder);
    return 0;
}

static void on_file(void *arg, const char *path, uint64_t first, uint64_t end)
{
    (void)arg;
    assert_int_equal(access(path, R_OK), 0);
    rig.told += end - first;
}

/* Leaves before this second, at most so many. */
static enum sg_rc archive(int64_t before_s, uint64_t count_max, struct sg_err *err)
{
    SG_AUTO(sg_audit_archiver_free) struct sg_audit_archiver *archiver = NULL;
    const struct sg_audit_options log = {.clock = &sg_clock_system,
                                         .store = rig.folder.url,
                                         .log = "main",
                                         .key_file = rig.folder.key,
                                         .anchor_file = rig.folder.anchor};
    const struct sg_audit_archive_options options = {
        .folder = rig.files, .before_ns = before_s * SG_NS_PER_S, .count_max = count_max};
    rig.told = 0;
    SG_TRY(sg_audit_archiver_new(&log, &archiver, err));
    return sg_audit_archive(archiver, sg_audit_archiver_log(archiver),
                            sg_audit_archiver_key(archiver), &options, on_file, NULL, err);
}

static uint64_t first(void)
{
    assert_int_equal(sg_store_find_log(rig.store, "main", &rig.log, NULL), SG_OK);
    return rig.log.first;
}

/* What is where ----------------------------------------------------------------------------- */

static bool is_known[LEAVES];

static enum sg_rc mark(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct sg_audit_record record;
    (void)arg;
    assert_int_equal(sg_audit_record_parse(bytes, &record, err), SG_OK);
    assert_true(seq < LEAVES);
    assert_int_equal(record.time_ns, (int64_t)(FIRST_S + seq) * SG_NS_PER_S);
    is_known[seq] = true;
    return SG_OK;
}

static enum sg_rc mark_exported(void *arg, uint64_t seq, struct sg_slice bytes,
                                const struct sg_audit_record *record, struct sg_err *err)
{
    (void)record;
    return mark(arg, seq, bytes, err);
}

static void mark_file(const char *path)
{
    SG_AUTO(sg_export_reader_free) struct sg_export_reader *reader = NULL;
    uint8_t piece[4096];
    ssize_t len;
    const int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(sg_export_reader_new(sg_note_signer_key(rig.folder.signer), mark_exported,
                                          NULL, &reader, NULL),
                     SG_OK);
    while ((len = read(fd, piece, sizeof(piece))) > 0)
        assert_int_equal(sg_export_read(reader, sg_slice_of(piece, (size_t)len), NULL), SG_OK);
    close(fd);
    assert_int_equal(sg_export_finish(reader, NULL), SG_OK);
}

/* Every leaf is in the store or in a file that the log's key proves. */
static void check_all(void)
{
    DIR *folder = opendir(rig.files);
    const struct dirent *entry;
    char path[PATH_MAX];

    memset(is_known, 0, sizeof(is_known));
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".export") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", rig.files, entry->d_name);
        mark_file(path);
    }
    closedir(folder);
    assert_int_equal(sg_store_read_leaves(rig.store, rig.log.id, 0, LEAVES, mark, NULL, NULL),
                     SG_OK);
    for (size_t i = 0; i < LEAVES; i++)
        if (!is_known[i])
            fail_msg("leaf %zu is nowhere", i);
}

/* The log says what became of its leaves, so it grows by this; its files and the store prove all.
 */
static void check_log(void)
{
    const char *const paths[] = {rig.files};
    const struct sg_archive_folders folders = {.paths = paths, .count = 1};
    struct sg_audit_archived said;
    struct sg_audit_verified verified;
    struct sg_err err = {0};

    (void)first();
    assert_int_equal(sg_audit_archived_find(rig.store, rig.log.origin, &said, NULL), SG_OK);
    assert_true(said.head.size >= rig.log.first && said.is_read == (rig.log.first > 0));
    for (unsigned i = 0; i < 2; i++) {
        const struct sg_audit_verify_options options = {.log = &rig.log,
                                                        .key =
                                                            sg_note_signer_key(rig.folder.signer),
                                                        .archives = i == 0 ? NULL : &folders};
        if (sg_audit_verify(rig.store, &options, &verified, &err) != SG_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(verified.size, LEAVES + said.number);
        assert_int_equal(verified.first, rig.log.first);
        assert_true((verified.unseen > 0) == (i == 0 && rig.log.first > 0));
        assert_true(i == 0 || verified.filed >= rig.log.first);
    }
}

/* The tests --------------------------------------------------------------------------------- */

static void old_leaves_go_and_the_others_stay(void **state)
{
    static const struct {
        const char *name;
        int64_t before_s;
        uint64_t count_max, first;
    } steps[] = {
        {"nothing is old enough", 0, UINT64_MAX, 0},
        {"not a whole tile is", FIRST_S + 255, UINT64_MAX, 0},
        {"a tile is, to the second", FIRST_S + 256, UINT64_MAX, 256},
        {"no more of it", FIRST_S + 511, UINT64_MAX, 256},
        {"at most so many", FIRST_S + LEAVES, 300, 512},
        {"fewer than a tile", FIRST_S + LEAVES, 255, 512},
        {"the newest stay", FIRST_S + 2 * LEAVES, UINT64_MAX, 2048},
    };
    uint64_t before = 0;
    (void)state;

    for (size_t i = 0; i < SG_COUNT(steps); i++) {
        struct sg_err err = {0};
        print_message("  %s\n", steps[i].name);
        if (archive(steps[i].before_s, steps[i].count_max, &err) != SG_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(first(), steps[i].first);
        assert_int_equal(rig.told, steps[i].first - before);
        before = steps[i].first;
        check_all();
        check_log();
    }
}

static void an_archived_leaf_is_told_and_its_request_found(void **state)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct sg_audit_receipt receipt = {0};
    uint64_t log_id = 0, seq = 0, indexed = 0;
    struct sg_err err = {0};
    bool is_more = true;
    (void)state;

    assert_int_equal(archive(FIRST_S + 600, UINT64_MAX, NULL), SG_OK);
    assert_int_equal(first(), 512);
    assert_int_equal(sg_store_find_request(rig.store, rig.key, &log_id, &seq, NULL), SG_OK);
    assert_int_equal(seq, KEY_AT);
    assert_int_equal(sg_log_tree_new(rig.store, rig.log.id, &tree, NULL), SG_OK);
    assert_int_equal(sg_audit_receipt_read(rig.store, tree, &rig.log, log_id, seq, &receipt, &err),
                     SG_E_NOT_FOUND);
    assert_int_equal(err.reason, SG_R_LEAF_ARCHIVED);
    /* What the log begins with, and what is young, has its receipts. */
    for (uint64_t i = 0; i < 1024; i += i == 0 ? 7 : 700) {
        assert_int_equal(
            sg_audit_receipt_read(rig.store, tree, &rig.log, log_id, i, &receipt, &err), SG_OK);
        sg_audit_receipt_done(&receipt);
    }
    /* An index that has nothing of it begins behind it. */
    while (is_more)
        assert_int_equal(sg_audit_index_some(rig.store, &rig.log, LEAVES, &is_more, NULL), SG_OK);
    assert_int_equal(sg_store_indexed(rig.store, rig.log.id, &indexed, NULL), SG_OK);
    assert_int_equal(indexed, LEAVES);
}

static void a_file_that_does_not_prove_itself_keeps_the_leaves(void **state)
{
    struct sg_err err = {0};
    (void)state;

    assert_int_equal(archive(FIRST_S + 300, UINT64_MAX, NULL), SG_OK);
    shell(&rig.folder, "cd $FOLDER/files && mv main-1-*.export f && "
                       "sed 's/archived/Archived/' f > main-1-000000000256-000000000512.export");
    assert_int_equal(archive(FIRST_S + 900, UINT64_MAX, &err), SG_E_INVALID);
    assert_non_null(strstr(err.msg, "nothing left the store"));
    assert_int_equal(first(), 256);
    /* Nor does the right one of other leaves. */
    shell(&rig.folder, "cd $FOLDER/files && cp f main-1-000000000256-000000000512.export");
    assert_int_equal(archive(FIRST_S + 900, UINT64_MAX, &err), SG_E_INVALID);
    assert_int_equal(first(), 256);
    shell(&rig.folder, "rm $FOLDER/files/main-1-000000000256-*");
    assert_int_equal(archive(FIRST_S + 900, UINT64_MAX, &err), SG_OK);
    assert_int_equal(first(), 768);
    /* A folder that is not there. */
    snprintf(rig.files, sizeof(rig.files), "%s/none", rig.folder.path);
    assert_int_equal(archive(FIRST_S + 2000, UINT64_MAX, &err), SG_E_UNAVAILABLE);
    assert_int_equal(first(), 768);
}

static void killed_at_any_instant_it_goes_on(void **state)
{
    unsigned kills = 0;
    (void)state;

    for (unsigned round = 0; first() < 2048; round++) {
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct sg_err err = {0};
            const enum sg_rc rc = archive(FIRST_S + LEAVES, 256, &err);
            if (rc != SG_OK)
                print_message("  %s\n", err.msg);
            _exit(rc == SG_OK ? 0 : 1);
        }
        usleep((useconds_t)(round * 1500 % 60000));
        kill(pid, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        kills += WIFSIGNALED(status);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        check_all();
        assert_true(round < 2000);
    }
    print_message("  %u kills\n", kills);
    assert_true(kills > 0);
    check_log();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_leaves_go_and_the_others_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_archived_leaf_is_told_and_its_request_found, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_does_not_prove_itself_keeps_the_leaves, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(killed_at_any_instant_it_goes_on, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
