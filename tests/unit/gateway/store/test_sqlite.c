#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"
/* cmocka's header comes first */
#include "tests/unit/gateway/store/suite.h"

char *suite_backend_new(void)
{
    char folder[] = "/tmp/sg-store-XXXXXX";
    char *url = NULL;
    assert_non_null(mkdtemp(folder));
    assert_true(asprintf(&url, "sqlite:%s/store", folder) > 0);
    return url;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void suite_backend_drop(const char *url)
{
    char *folder = strdup(url + strlen("sqlite:"));
    assert_non_null(folder);
    *strrchr(folder, '/') = '\0';
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

/* ---- the system under SQLite: counted, and made to fail ---- */

static int sync_count, sync_fails_at;

/* SQLite's library finds these before libc's (the test is linked to export them). */
__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fsync(int fd);

static int do_sync(int fd, long number)
{
    if (++sync_count == sync_fails_at) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(number, fd);
}

int fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}

static int write_count, write_fails_at;
static bool is_full;

static ssize_t counting_pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    write_count++;
    if (write_fails_at != 0 && write_count >= write_fails_at)
        is_full = true;
    if (is_full) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, bytes, len, at);
}

static int count_writes(void **state)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    (void)state;
    /* Which of the two it uses is a matter of how it was built. */
    vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)counting_pwrite);
    vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)counting_pwrite);
    return 0;
}

static int leave_writes(void **state)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    vfs->xSetSystemCall(vfs, NULL, NULL);
    (void)state;
    return 0;
}

static int setup_counted(void **state)
{
    write_fails_at = sync_fails_at = 0;
    is_full = false;
    return count_writes(state) + suite_setup(state);
}

static int teardown_counted(void **state)
{
    write_fails_at = sync_fails_at = 0;
    is_full = false;
    return suite_teardown(state) + leave_writes(state);
}

static char *path_of(const struct store_suite *suite, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", suite->url + strlen("sqlite:"), name) > 0);
    return path;
}

static void sql(const struct store_suite *suite, const char *name, const char *statement)
{
    char *path = path_of(suite, name);
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, statement, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", statement, why);
    sqlite3_close(db);
    free(path);
}

static void a_commit_costs_one_sync(void **state)
{
    struct store_suite *suite = *state;
    suite_append(suite, suite->store, 1, 1); /* the first after opening makes files */
    for (int i = 0; i < 20; i++) {
        sync_count = 0;
        suite_append(suite, suite->store, i % 2 == 0 ? 1 : 16, 1000 * (uint64_t)(i + 1));
        assert_int_equal(sync_count, 1);
    }
    sync_count = 0;
    suite_check(suite->store, &suite->log, 0, suite_size(suite->store));
    assert_int_equal(sync_count, 0);
}

static void a_full_disk_is_told_and_gone_on_from(void **state)
{
    struct store_suite *suite = *state;
    bool has_worked = false;
    /* It is full at the first write, at the second, and so on, and stays so for three calls. */
    for (int at = 1; at < 60 && !has_worked; at++) {
        uint64_t size = suite_size(suite->store), now;
        struct sg_err err = {0};
        enum sg_store_outcome outcome = SG_STORE_UNSET;
        write_count = 0;
        write_fails_at = at;
        enum sg_rc rc =
            sg_store_append(suite->store, suite_group(&suite->log, size, 40, 0), &outcome, &err);
        has_worked = !is_full;
        for (int i = 0; rc != SG_OK && i < 3; i++) {
            assert_int_equal(rc, SG_E_UNAVAILABLE);
            assert_int_equal(err.reason, SG_R_STORE_FULL);
            rc = sg_store_append(suite->store, suite_group(&suite->log, size, 40, 0), &outcome,
                                 &err);
            assert_int_not_equal(rc, SG_OK);
        }
        write_fails_at = 0;
        is_full = false;
        now = suite_size(suite->store);
        assert_int_equal(now, rc == SG_OK ? size + 40 : size);
        suite_append(suite, suite->store, 1, 0);
        suite_check(suite->store, &suite->log, 0, now + 1);
    }
    assert_true(has_worked);
}

static void a_disk_that_fails_to_sync_acknowledges_nothing(void **state)
{
    struct store_suite *suite = *state;
    for (int round = 0; round < 5; round++) {
        uint64_t size = suite_size(suite->store), now;
        struct sg_err err = {0};
        enum sg_store_outcome outcome = SG_STORE_UNSET;
        sync_count = 0;
        sync_fails_at = 1;
        assert_int_equal(
            sg_store_append(suite->store, suite_group(&suite->log, size, 2, 0), &outcome, &err),
            SG_E_UNAVAILABLE);
        assert_int_equal(err.reason, SG_R_STORE_UNAVAILABLE);
        sync_fails_at = 0;
        now = suite_size(suite->store); /* the outcome is unknown; the size tells */
        assert_true(now == size || now == size + 2);
        suite_append(suite, suite->store, 1, 0);
        suite_check(suite->store, &suite->log, 0, now + 1);
    }
}

/* ---- the file ---- */

static void a_store_of_the_future_is_used_where_it_serves_us(void **state)
{
    struct store_suite *suite = *state;
    struct sg_store *store = NULL;
    struct sg_err err = {0};
    unsigned from;
    sql(suite, "store.db", "UPDATE meta SET value = 1000 WHERE name = 'schema'");
    store = suite_open(suite->url);
    suite_append(suite, store, 1, 0);
    sg_store_close(store);
    sql(suite, "store.db",
        "UPDATE meta SET value = 1001 WHERE name = 'schema';"
        "UPDATE meta SET value = 1000 WHERE name = 'serves'");
    assert_int_equal(sg_store_open(suite->url, &store, &err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_STORE_SCHEMA);
    assert_int_equal(sg_store_open_read(suite->url, &store, &err), SG_E_CONFLICT);
    assert_int_equal(sg_store_migrate(suite->url, &from, &err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_STORE_SCHEMA);
    sql(suite, "store.db", "UPDATE meta SET value = 0 WHERE name = 'schema'");
    assert_int_equal(sg_store_open(suite->url, &store, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
    sql(suite, "store.db", "PRAGMA application_id = 7");
    assert_int_equal(sg_store_open(suite->url, &store, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
}

static void write_file(const char *path, const char *bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(bytes, file);
    fclose(file);
}

static enum sg_rc any_leaf(void *arg, uint64_t seq, struct sg_slice record, struct sg_err *err)
{
    (void)arg, (void)seq, (void)record, (void)err;
    return SG_OK;
}

/* What somebody has put into the file, to be done there when we write, or to be read in its place.
 */
static void triggers_and_views_of_others_do_nothing(void **state)
{
    struct store_suite *suite = *state;
    suite_append(suite, suite->store, 3, 1);
    sg_store_close(SG_STEAL(suite->store));
    sql(suite, "store.db",
        "CREATE TRIGGER t AFTER INSERT ON leaves BEGIN DELETE FROM leaves WHERE id % 256 = 2; END");
    suite->store = suite_open(suite->url);
    suite_append(suite, suite->store, 3, 100);
    suite_check(suite->store, &suite->log, 0, 7);
    sg_store_close(SG_STEAL(suite->store));
    sql(suite, "store.db",
        "DROP TRIGGER t; ALTER TABLE leaves RENAME TO kept;"
        "CREATE VIEW leaves AS SELECT * FROM kept");
    if (sg_store_open(suite->url, &suite->store, NULL) == SG_OK)
        assert_int_not_equal(
            sg_store_read_leaves(suite->store, suite->log.id, 0, UINT64_MAX, any_leaf, NULL, NULL),
            SG_OK);
}

static void a_file_that_is_no_database_is_broken(void **state)
{
    struct store_suite *suite = *state;
    struct sg_store *store = NULL;
    struct sg_err err = {0};
    unsigned from;
    char *path = path_of(suite, "store.db");
    sg_store_close(SG_STEAL(suite->store));
    write_file(path, "This is no database, however long one looks at it; not the least bit of one."
                     " SQLite wants a hundred bytes before it says so.\n");
    assert_int_equal(sg_store_open(suite->url, &store, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
    assert_int_equal(sg_store_migrate(suite->url, &from, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
    free(path);
}

static enum sg_rc count_leaf(void *arg, uint64_t seq, struct sg_slice record, struct sg_err *err)
{
    uint64_t *sum = arg;
    (void)err;
    for (size_t i = 0; i < record.len; i++)
        *sum += record.ptr[i] + seq;
    return SG_OK;
}

static enum sg_rc ignore_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    (void)arg, (void)log, (void)err;
    return SG_OK;
}

/* Reads whatever there is; what it finds may be wrong (the tree of hashes tells), but it ends, and
 * an error is one of the store's. */
static int read_all(const char *url)
{
    struct sg_store *store = NULL;
    static uint8_t hashes[SG_STORE_TILE_BYTES];
    uint8_t key[SG_STORE_REQUEST_KEY_BYTES] = {0, 0, 0, 0, 0, 0, 0, 9};
    uint64_t sum = 0, log_id, seq;
    struct sg_buf note;
    struct sg_err err = {0};
    int failed = 0;

    enum sg_rc rc = sg_store_open(url, &store, &err);
    assert_true(rc == SG_OK || rc == SG_E_INTERNAL || rc == SG_E_CONFLICT ||
                rc == SG_E_UNAVAILABLE);
    if (rc != SG_OK)
        return 1;
    sg_buf_init(&note, SG_STORE_CHECKPOINT_BYTES_MAX);
    failed += sg_store_each_log(store, ignore_log, NULL, &err) != SG_OK;
    failed += sg_store_read_leaves(store, 1, 0, 2000, count_leaf, &sum, &err) != SG_OK;
    failed += sg_store_find_tile(store, 1, 0, 1, hashes, &err) != SG_OK;
    failed += sg_store_read_checkpoint(store, 1, &note, &err) != SG_OK;
    rc = sg_store_find_request(store, key, &log_id, &seq, &err);
    failed += rc != SG_OK && rc != SG_E_NOT_FOUND;
    rc = sg_store_append(store,
                         &(struct sg_store_group){
                             .log_id = 1,
                             .old_size = 1001,
                             .leaves = &(struct sg_store_leaf){.record = SG_SLICE("record")},
                             .leaf_count = 1,
                             .checkpoint = SG_SLICE("checkpoint"),
                         },
                         &(enum sg_store_outcome){0}, &err);
    failed += rc != SG_OK;
    sg_buf_done(&note);
    sg_store_close(store);
    return failed;
}

static void garbage_in_the_file_is_an_error_and_no_crash(void **state)
{
    struct store_suite *suite = *state;
    struct stat st;
    uint64_t random = 88172645463325252U;
    int failed = 0;
    suite_append(suite, suite->store, 1000, 1);
    sg_store_close(SG_STEAL(suite->store));
    char *path = path_of(suite, "store.db");
    assert_int_equal(stat(path, &st), 0);
    uint8_t *whole = malloc((size_t)st.st_size), *hurt = malloc((size_t)st.st_size);
    assert_non_null(whole);
    assert_non_null(hurt);
    FILE *file = fopen(path, "r");
    assert_int_equal(fread(whole, 1, (size_t)st.st_size, file), st.st_size);
    fclose(file);
    for (int round = 0; round < 150; round++) {
        memcpy(hurt, whole, (size_t)st.st_size);
        for (int i = 0; i < 1 + round % 40; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            /* Most of them where the file says what it is and how its pages hang together. */
            size_t at = i % 2 == 0 ? random % (size_t)st.st_size
                                   : random % ((size_t)st.st_size / 4096) * 4096 + random % 24;
            hurt[at] = (uint8_t)(random >> 32);
        }
        file = fopen(path, "w");
        assert_int_equal(fwrite(hurt, 1, (size_t)st.st_size, file), st.st_size);
        fclose(file);
        failed += read_all(suite->url) > 0;
    }
    assert_true(failed > 50); /* and so it was hurt */
    free(whole);
    free(hurt);
    free(path);
}

static void another_file_in_its_place_is_not_written_past(void **state)
{
    struct store_suite *suite = *state;
    struct sg_err err = {0};
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    char *path = path_of(suite, "store.db"), *aside = path_of(suite, "aside");
    char *copy = path_of(suite, "copy"), *copied = path_of(suite, "copy/store.db");
    suite_append(suite, suite->store, 1, 0);
    assert_ok(sg_store_backup(suite->store, copy, &suite_err));
    suite_append(suite, suite->store, 1, 0);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(
        sg_store_append(suite->store, suite_group(&suite->log, 3, 1, 0), &outcome, &err),
        SG_E_UNAVAILABLE);
    assert_int_equal(
        sg_store_append(suite->store, suite_group(&suite->log, 3, 1, 0), &outcome, &err),
        SG_E_UNAVAILABLE);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(suite_size(suite->store), 3);
    suite_append(suite, suite->store, 1, 0);

    sg_store_close(SG_STEAL(suite->store));
    suite->store = suite_open(suite->url);
    assert_int_equal(rename(copied, path), 0); /* an older one: the size tells */
    assert_int_equal(
        sg_store_append(suite->store, suite_group(&suite->log, 4, 1, 0), &outcome, &err),
        SG_E_UNAVAILABLE);
    free(path), free(aside), free(copy), free(copied);
}

static int as_nobody(const char *url, int (*run)(const char *url))
{
    pid_t child = fork();
    int status;
    if (child == 0) {
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(100);
        _exit(run(url));
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int read_as_nobody(const char *url)
{
    struct sg_store *store = NULL;
    struct sg_store_log log;
    uint64_t sum = 0, indexed = 9;
    if (sg_store_open(url, &store, NULL) == SG_OK)
        return 1;
    struct sg_err err = {0};
    if (sg_store_open_read(url, &store, &err) != SG_OK) {
        puts(err.msg);
        fflush(stdout);
        return 2;
    }
    if (sg_store_find_log(store, "log", &log, NULL) != SG_OK)
        return 3;
    if (sg_store_read_leaves(store, log.id, 0, 100, count_leaf, &sum, NULL) != SG_OK || sum == 0)
        return 4;
    if (sg_store_indexed(store, log.id, &indexed, NULL) != SG_OK || indexed != 0)
        return 5;
    sg_store_close(store);
    return (int)log.size;
}

static void a_folder_that_may_not_be_written_is_read(void **state)
{
    struct store_suite *suite = *state;
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm"};
    char *folder = path_of(suite, "");
    char *parent = path_of(suite, "..");
    suite_append(suite, suite->store, 9, 0);
    chmod(parent, 0755);
    chmod(folder, 0755);
    for (size_t i = 0; i < SG_COUNT(names); i++) {
        char *path = path_of(suite, names[i]);
        chmod(path, 0444);
        free(path);
    }
    if (getuid() != 0)
        chmod(folder, 0555);
    /* While it is in use; after the writer was killed, which leaves its write-ahead log behind; and
     * after it was closed. */
    assert_int_equal(as_nobody(suite->url, read_as_nobody), 10);
    char *copy = path_of(suite, "../copy"), *shell = NULL;
    assert_true(asprintf(&shell, "cp -rp %s %s && rm %s/store.db-shm && test -s %s/store.db-wal",
                         folder, copy, copy, copy) > 0);
    assert_int_equal(system(shell), 0);
    char *url = NULL;
    assert_true(asprintf(&url, "sqlite:%s", copy) > 0);
    assert_int_equal(as_nobody(url, read_as_nobody), 10);
    sg_store_close(SG_STEAL(suite->store));
    assert_int_equal(as_nobody(suite->url, read_as_nobody), 10);
    chmod(folder, 0755);
    free(folder), free(parent), free(copy), free(shell), free(url);
}

static void only_its_owner_writes_the_file_and_others_see_nothing(void **state)
{
    struct store_suite *suite = *state;
    static const char *const names[] = {"store.db", "store.db-wal", "search.db"};
    uint64_t indexed;
    assert_ok(sg_store_indexed(suite->store, suite->log.id, &indexed, &suite_err));
    for (size_t i = 0; i < SG_COUNT(names); i++) {
        struct stat st;
        char *path = path_of(suite, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0137, 0);
        free(path);
    }
}

/* ---- copies ---- */

static void a_copy_is_made_while_the_store_is_in_use(void **state)
{
    struct store_suite *suite = *state;
    int fd;
    char *copy = path_of(suite, "copy"), *url = NULL;
    struct sg_err err = {0};
    assert_true(asprintf(&url, "sqlite:%s", copy) > 0);
    suite_append(suite, suite->store, 1000, 50);
    sg_store_close(SG_STEAL(suite->store));
    pid_t child = suite_appender(suite->url, 1U << 20, &fd);
    uint64_t first;
    assert_int_equal(read(fd, &first, sizeof(first)), sizeof(first));
    suite->store = suite_open(suite->url);
    uint64_t before = suite_size(suite->store);
    assert_ok(sg_store_backup(suite->store, copy, &suite_err));
    assert_int_equal(sg_store_backup(suite->store, copy, &err), SG_E_CONFLICT);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fd);

    struct sg_store *store = suite_open(url);
    uint8_t ours[32], theirs[32];
    uint64_t size = suite_size(store);
    assert_true(size >= before && size <= suite_size(suite->store));
    suite_check(store, &suite->log, 0, size);
    assert_ok(sg_store_seal_key(suite->store, ours, &suite_err));
    assert_ok(sg_store_seal_key(store, theirs, &suite_err));
    assert_memory_equal(ours, theirs, 32);
    assert_ok(sg_store_check_safe(store, &suite_err));
    suite_append(suite, store, 1, 7);
    sg_store_close(store);
    free(copy), free(url);
}

/* ---- the index ---- */

static void index_leaves(struct sg_store *store, const struct sg_store_log *log, uint64_t from,
                         uint64_t to)
{
    struct sg_store_fact facts[64];
    for (uint64_t seq = from; seq < to; seq++) {
        memset(facts[seq - from].bytes, (int)seq, SG_STORE_FACT_BYTES);
        facts[seq - from].seq = seq;
    }
    assert_ok(sg_store_index(store, log->id, from, to, facts, to - from, &suite_err));
}

static uint64_t indexed_of(struct sg_store *store, const struct sg_store_log *log)
{
    uint64_t indexed = 99;
    assert_ok(sg_store_indexed(store, log->id, &indexed, &suite_err));
    return indexed;
}

static size_t find_fact(struct sg_store *store, const struct sg_store_log *log, int kind)
{
    uint8_t fact[SG_STORE_FACT_BYTES];
    uint64_t seqs[4];
    size_t count = 99;
    memset(fact, kind, sizeof(fact));
    assert_ok(sg_store_search(store, log->id, fact, 0, seqs, 4, &count, &suite_err));
    return count;
}

static void an_index_that_is_lost_broken_or_anothers_is_made_anew(void **state)
{
    struct store_suite *suite = *state;
    char *path = path_of(suite, "search.db");
    suite_append(suite, suite->store, 9, 0);
    for (int round = 0; round < 5; round++) {
        index_leaves(suite->store, &suite->log, 0, 10);
        assert_int_equal(indexed_of(suite->store, &suite->log), 10);
        assert_int_equal(find_fact(suite->store, &suite->log, 7), 1);
        if (round == 0) { /* under an open store */
            unlink(path);
        } else {
            sg_store_close(suite->store);
            if (round == 1)
                unlink(path);
            else if (round == 2)
                write_file(path, "no database, and long enough for SQLite to notice that it is not"
                                 " a database, which takes a hundred bytes");
            else if (round == 3)
                sql(suite, "search.db", "UPDATE meta SET store = x'00'");
            else
                sql(suite, "search.db", "DROP TABLE chunks");
            suite->store = suite_open(suite->url);
        }
        if (round == 4) /* seen when it is used, and then forgotten whole */
            assert_int_equal(find_fact(suite->store, &suite->log, 7), 0);
        assert_int_equal(indexed_of(suite->store, &suite->log), 0);
        assert_int_equal(find_fact(suite->store, &suite->log, 7), 0);
    }
    free(path);
}

static void an_older_store_that_was_put_back_gets_a_new_index(void **state)
{
    struct store_suite *suite = *state;
    char *copy = path_of(suite, "copy"), *copied = path_of(suite, "copy/store.db");
    char *path = path_of(suite, "store.db");
    suite_append(suite, suite->store, 9, 0);
    assert_ok(sg_store_backup(suite->store, copy, &suite_err));
    suite_append(suite, suite->store, 10, 0);
    index_leaves(suite->store, &suite->log, 0, 20);
    sg_store_close(suite->store);
    assert_int_equal(rename(copied, path), 0);
    suite->store = suite_open(suite->url);
    assert_int_equal(suite_size(suite->store), 10);
    /* And it has grown over what is indexed before anybody asks. */
    struct sg_store_group *group = suite_group(&suite->log, 10, 15, 0);
    enum sg_store_outcome outcome;
    for (size_t i = 0; i < 15; i++)
        group->leaves[i].record = SG_SLICE("another life");
    assert_ok(sg_store_append(suite->store, group, &outcome, &suite_err));
    assert_int_equal(indexed_of(suite->store, &suite->log), 0);
    assert_int_equal(find_fact(suite->store, &suite->log, 7), 0);
    free(copy), free(copied), free(path);
}

/* ---- memory ---- */

static bool open_and_append(void *arg)
{
    struct store_suite *suite = arg;
    struct sg_store *store = NULL;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_buf note;
    sg_buf_init(&note, 1000);
    bool is_done = sg_store_open(suite->url, &store, NULL) == SG_OK;
    if (is_done) {
        struct sg_store_log log;
        is_done =
            sg_store_find_log(store, "log", &log, NULL) == SG_OK &&
            sg_store_append(store, suite_group(&log, log.size, 3, 0), &outcome, NULL) == SG_OK &&
            sg_store_read_checkpoint(store, log.id, &note, NULL) == SG_OK;
    }
    sg_buf_done(&note);
    sg_store_close(store);
    return is_done;
}

static void no_memory_is_an_error(void **state)
{
    struct store_suite *suite = *state;
    assert_true(sg_failmalloc_each(open_and_append, suite) >= 5);
}

/* ---- earlier versions ---- */

static char *read_text(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("there is no %s: each version has a dump", path);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

static char *tables_of(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT group_concat(sql, ';') FROM"
                                        " (SELECT sql FROM sqlite_schema ORDER BY name)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *tables = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return tables;
}

/* tests/golden/store/sqlite-N.sql is what `sqlite3 store.db .dump` said when N was the newest. */
static void every_earlier_version_becomes_this_one(void **state)
{
    struct store_suite *suite = *state;
    char *own = path_of(suite, "store.db");
    char *expected = tables_of(own);
    for (unsigned version = 1; version <= SG_STORE_SCHEMA; version++) {
        char dump[64], *folder = path_of(suite, "old"), *path = path_of(suite, "old/store.db");
        char *url = NULL, *why = NULL;
        sqlite3 *db = NULL;
        unsigned from = 99;
        snprintf(dump, sizeof(dump), "tests/golden/store/sqlite-%u.sql", version);
        assert_true(asprintf(&url, "sqlite:%s", folder) > 0);
        assert_int_equal(mkdir(folder, 0700), 0);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (sqlite3_exec(db, read_text(dump), NULL, NULL, &why) != SQLITE_OK)
            fail_msg("%s: %s", dump, why);
        sqlite3_close(db);

        assert_ok(sg_store_migrate(url, &from, &suite_err));
        assert_int_equal(from, version);
        char *tables = tables_of(path);
        assert_string_equal(tables, expected);
        suite_check_made(url);
        assert_int_equal(nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
        free(folder), free(path), free(url), free(tables);
    }
    free(own), free(expected);
}

int main(int argc, char **argv)
{
#define COUNTED(name) cmocka_unit_test_setup_teardown(name, setup_counted, teardown_counted)
    static const struct CMUnitTest own[] = {
        COUNTED(a_commit_costs_one_sync),
        COUNTED(a_full_disk_is_told_and_gone_on_from),
        COUNTED(a_disk_that_fails_to_sync_acknowledges_nothing),
        SUITE_TEST(a_store_of_the_future_is_used_where_it_serves_us),
        SUITE_TEST(triggers_and_views_of_others_do_nothing),
        SUITE_TEST(a_file_that_is_no_database_is_broken),
        SUITE_TEST(garbage_in_the_file_is_an_error_and_no_crash),
        SUITE_TEST(another_file_in_its_place_is_not_written_past),
        SUITE_TEST(a_folder_that_may_not_be_written_is_read),
        SUITE_TEST(only_its_owner_writes_the_file_and_others_see_nothing),
        SUITE_TEST(a_copy_is_made_while_the_store_is_in_use),
        SUITE_TEST(an_index_that_is_lost_broken_or_anothers_is_made_anew),
        SUITE_TEST(an_older_store_that_was_put_back_gets_a_new_index),
        SUITE_TEST(no_memory_is_an_error),
        SUITE_TEST(every_earlier_version_becomes_this_one),
    };
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    if (argc == 3 && strcmp(argv[1], "--make") == 0) { /* for tests/golden/store */
        suite_make(argv[2]);
        return 0;
    }
    int failed = _cmocka_run_group_tests("store.sqlite", suite_tests, suite_test_count, NULL, NULL);
    return failed + cmocka_run_group_tests_name("store.sqlite.own", own, NULL, NULL);
}
