#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/audit/archive.h"
#include "gateway/audit/archived.h"
#include "gateway/audit/audit_priv.h"
#include "gateway/audit/verify.h"
#include "tests/unit/gateway/audit/by_hand.h"

/*
 * A log of which old leaves are in files: the files and the store together prove every leaf of it,
 * and whoever can write the store, or the files, cannot take leaves away unseen.
 *
 *     unit.gateway.audit.archive_verify [STEP]   every STEP'th byte of the files is flipped
 *
 * Beside a PostgreSQL (tests/support/postgres) the same but for what copies the store's file.
 */
enum { LEAVES = 2001, GROUP = 250, FIRST_S = 1000, DEFAULT_STEP = 509, TILE = 256 };

static size_t step = DEFAULT_STEP;

static struct rig {
    struct folder folder;
    char files[96], others[96]; /* folders */
} rig;

static const char *const both[] = {rig.files, rig.others};
static const struct sg_archive_folders in_one = {.paths = both, .count = 1};
static const struct sg_archive_folders in_both = {.paths = both, .count = 2};

static struct sg_audit_options options(void)
{
    return (struct sg_audit_options){.clock = &sg_clock_system,
                                     .store = rig.folder.url,
                                     .log = "main",
                                     .key_file = rig.folder.key,
                                     .anchor_file = rig.folder.anchor};
}

/* Leaf n is of second FIRST_S + n, and was asked for by the id of number n. */
static void fill_from(uint64_t first, uint64_t leaves)
{
    static struct sg_audit_entry entries[GROUP];
    const struct sg_audit_options how = options();
    struct sg_audit_entry *group[GROUP];
    struct sg_audit_writer writer;

    assert_int_equal(sg_audit_writer_open(&writer, &how, NULL), SG_OK);
    for (uint64_t at = first; at < leaves; at += GROUP) {
        for (size_t i = 0; i < GROUP; i++) {
            struct sg_audit_record record = {.time_ns = (int64_t)(FIRST_S + at + i) * SG_NS_PER_S};
            folder_sign(&record, at + i, &entries[i]);
            group[i] = &entries[i];
        }
        assert_int_equal(sg_audit_write(&writer, group, GROUP, NULL), SG_OK);
        for (size_t i = 0; i < GROUP; i++)
            sg_audit_entry_done(&entries[i]);
    }
    sg_audit_writer_close(&writer);
}

static void on_file(void *arg, const char *path, uint64_t first, uint64_t end)
{
    (void)arg, (void)path, (void)first, (void)end;
}

/* A file with the leaves of one tile. */
static enum sg_rc archive(struct sg_err *err)
{
    SG_AUTO(sg_audit_archiver_free) struct sg_audit_archiver *archiver = NULL;
    const struct sg_audit_options how = options();
    const struct sg_audit_archive_options wanted = {
        .folder = rig.files, .before_ns = INT64_MAX, .count_max = TILE};

    SG_TRY(sg_audit_archiver_new(&how, &archiver, err));
    return sg_audit_archive(archiver, sg_audit_archiver_log(archiver),
                            sg_audit_archiver_key(archiver), &wanted, on_file, NULL, err);
}

static void require_archive(void)
{
    struct sg_err err = {0};
    if (archive(&err) != SG_OK)
        fail_msg("%s", err.msg);
}

/* Three files, with leaves 0 to 767. */
static int set_up(void **state)
{
    const char *server = getenv("SG_TEST_PG");
    char url[96];
    (void)state;

    if (server != NULL)
        snprintf(url, sizeof(url), "postgresql:///postgres?host=%s&user=sealgate", server);
    folder_make_at(&rig.folder, server == NULL ? NULL : url, (int64_t)FIRST_S * SG_NS_PER_S);
    snprintf(rig.files, sizeof(rig.files), "%s/files", rig.folder.path);
    snprintf(rig.others, sizeof(rig.others), "%s/others", rig.folder.path);
    shell(&rig.folder, "mkdir $FOLDER/files $FOLDER/others");
    fill_from(1, LEAVES);
    for (unsigned i = 0; i < 3; i++)
        require_archive();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (is_pg(&rig.folder))
        run_sql(&rig.folder, "DROP SCHEMA sealgate CASCADE");
    folder_remove(&rig.folder);
    return 0;
}

static enum sg_rc verify(const struct sg_archive_folders *archives, struct sg_audit_verified *ret,
                         struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_store_log log;
    const struct sg_audit_verify_options how = {
        .log = &log, .key = sg_note_signer_key(rig.folder.signer), .archives = archives};

    SG_TRY(sg_store_open_read(rig.folder.url, &store, err));
    SG_TRY(sg_store_find_log(store, "main", &log, err));
    return sg_audit_verify(store, &how, ret, err);
}

static struct sg_audit_verified require_proved(const struct sg_archive_folders *archives)
{
    struct sg_audit_verified verified = {0};
    struct sg_err err = {0};
    if (verify(archives, &verified, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return verified;
}

static void require_named(const struct sg_archive_folders *archives, enum sg_rc rc,
                          enum sg_reason reason, const char *text)
{
    struct sg_audit_verified verified;
    struct sg_err err = {0};

    assert_int_equal(verify(archives, &verified, &err), rc);
    assert_int_equal(err.reason, reason);
    if (strstr(err.msg, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.msg, text);
}

/* As a gateway starts. */
static enum sg_rc start(struct sg_err *err)
{
    const struct sg_audit_options how = options();
    struct sg_audit_writer writer;
    enum sg_rc rc = sg_audit_writer_open(&writer, &how, err);
    sg_audit_writer_close(&writer);
    return rc;
}

static void require_start(enum sg_rc rc, enum sg_reason reason)
{
    struct sg_err err = {0};
    if (start(&err) != rc)
        fail_msg("%s", err.msg);
    assert_int_equal(err.reason, reason);
}

/* Whole ------------------------------------------------------------------------------------- */

static void files_and_store_prove_the_log_from_leaf_0_on(void **state)
{
    struct sg_audit_verified verified;
    (void)state;

    verified = require_proved(NULL);
    assert_int_equal(verified.size, LEAVES + 3); /* what it says of its archive */
    assert_int_equal(verified.first, 3 * TILE);
    assert_int_equal(verified.unseen, 3 * TILE - SG_STORE_BEGINNING);
    verified = require_proved(&in_one);
    assert_int_equal(verified.size, LEAVES + 3);
    assert_int_equal(verified.unseen, 0);
    assert_int_equal(verified.files, 3);
    assert_int_equal(verified.filed, 3 * TILE);
    assert_true(verified.begin_ns == (int64_t)FIRST_S * SG_NS_PER_S);
    require_start(SG_OK, SG_R_NONE);
}

static void files_may_lie_in_several_folders_and_twice(void **state)
{
    (void)state;
    shell(&rig.folder, "cd $FOLDER && mv files/*-000000000512.export others");
    require_named(&in_one, SG_E_NOT_FOUND, SG_R_NONE, "leaves 256 to 511");
    assert_int_equal(require_proved(&in_both).files, 3);
    shell(&rig.folder, "cd $FOLDER && cp files/* others");
    assert_int_equal(require_proved(&in_both).files, 5);
    /* Other people's files are not looked at. */
    shell(&rig.folder, "cd $FOLDER && echo > others/other-1-000000000000-000000000256.export && "
                       "echo > others/main-1-000000000000-000000000256.export.part && "
                       "echo > others/main-1-1-000000000000-000000000256.export && "
                       "echo > others/main-2-000000000000-000000000256.export");
    assert_int_equal(require_proved(&in_both).files, 5);
}

/* The next epoch, with its key and anchor in the place of the old ones. */
static void begin_epoch(struct sg_store *store, const struct sg_store_log *ends)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    struct sg_store_log log = {.name = "main", .origin = "test.example/main/2", .epoch = 2};
    const struct sg_audit_record record = {
        .event = SG_AUDIT_LOG_STARTED, .time_ns = SG_NS_PER_S, .detail = SG_SLICE("begun")};
    const struct sg_audit_beginning beginning = {.records = &record, .count = 1, .ends = ends};

    assert_int_equal(sg_note_private_new(sg_slice_str(log.origin), SG_NOTE_ED25519, &secret, NULL),
                     SG_OK);
    const struct sg_slice bytes = sg_secret_bytes(secret);
    FILE *file = fopen(rig.folder.key, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(sg_note_signer_new(bytes, &signer, NULL), SG_OK);
    assert_int_equal(sg_audit_create(store, &log, signer, rig.folder.anchor, &beginning, NULL),
                     SG_OK);
}

/* An epoch that has ended takes no leaf: the one behind it says what became of its leaves. */
static void an_epoch_that_has_ended_is_archived_and_proved_too(void **state)
{
    SG_AUTO(sg_audit_archiver_free) struct sg_audit_archiver *archiver = NULL;
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    const struct sg_note_key *key = sg_note_signer_key(rig.folder.signer);
    const struct sg_audit_options how = options();
    const struct sg_audit_archive_options wanted = {
        .folder = rig.files, .before_ns = INT64_MAX, .count_max = TILE};
    struct sg_audit_verified verified;
    struct sg_audit_archived said;
    struct sg_store_log old;
    struct sg_err err = {0};
    (void)state;

    assert_int_equal(sg_store_open(rig.folder.url, &store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(store, "main", &old, NULL), SG_OK);
    begin_epoch(store, &old);
    assert_int_equal(sg_audit_archiver_new(&how, &archiver, NULL), SG_OK);
    if (sg_audit_archive(archiver, &old, key, &wanted, on_file, NULL, &err) != SG_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(sg_store_find_epoch(store, "main", 1, &old, NULL), SG_OK);
    assert_int_equal(old.first, 4 * TILE);
    assert_int_equal(sg_audit_archived_find(store, old.origin, &said, NULL), SG_OK);
    assert_true(said.number == 4 && said.is_read && said.head.size == 4 * TILE);
    assert_int_equal(said.log_id, sg_audit_archiver_log(archiver)->id);

    struct sg_audit_verify_options asked = {.log = &old, .key = key};
    assert_int_equal(sg_audit_verify(store, &asked, &verified, NULL), SG_OK);
    assert_int_equal(verified.unseen, 4 * TILE - SG_STORE_BEGINNING);
    asked.archives = &in_one;
    if (sg_audit_verify(store, &asked, &verified, &err) != SG_OK)
        fail_msg("%s", err.msg);
    assert_true(verified.unseen == 0 && verified.files == 4 && verified.size == LEAVES + 3);
    struct sg_store_log now; /* has said so, and has no archive of its own */
    assert_int_equal(sg_store_find_log(store, "main", &now, NULL), SG_OK);
    asked = (struct sg_audit_verify_options){
        .log = &now, .key = sg_audit_archiver_key(archiver), .archives = &in_one};
    if (sg_audit_verify(store, &asked, &verified, &err) != SG_OK)
        fail_msg("%s", err.msg);
    assert_true(verified.size == 2 && verified.files == 0);
    require_start(SG_OK, SG_R_NONE);
}

/* Files ------------------------------------------------------------------------------------- */

#define FILE_0 "main-1-000000000000-000000000256.export"
#define FILE_1 "main-1-000000000256-000000000512.export"
#define FILE_2 "main-1-000000000512-000000000768.export"

static void what_is_wrong_with_a_file_is_named(void **state)
{
    static const struct {
        const char *name, *command;
        enum sg_rc rc;
        const char *text;
    } rows[] = {
        {"the first is missing", "rm " FILE_0, SG_E_NOT_FOUND, "leaves 0 to 255"},
        {"one is missing", "rm " FILE_1, SG_E_NOT_FOUND, "leaves 256 to 511"},
        {"the last is missing", "rm " FILE_2, SG_E_NOT_FOUND, "leaves 512 to 767"},
        {"all are missing", "rm *", SG_E_NOT_FOUND, "leaves 0 to 767"},
        {"under another name", "mv " FILE_1 " kept.export", SG_E_NOT_FOUND, "leaves 256 to 511"},
        {"swapped", "mv " FILE_0 " x && mv " FILE_1 " " FILE_0 " && mv x " FILE_1, SG_E_INVALID,
         FILE_0 "\" is not proved: it has other leaves than its name says"},
        {"one in the place of another", "cp " FILE_0 " " FILE_1, SG_E_INVALID,
         FILE_1 "\" is not proved: it has other leaves than its name says"},
        {"a leaf was changed", "sed -i s/urn:caller/urn:Caller/ " FILE_1, SG_E_INVALID,
         FILE_1 "\" is not proved: leaf 256"},
        {"cut", "truncate -s -1 " FILE_2, SG_E_INVALID,
         FILE_2 "\" is not proved: the file ends too early"},
        {"longer", "echo >> " FILE_2, SG_E_INVALID, FILE_2 "\" is not proved"},
        {"empty", ": > " FILE_0, SG_E_INVALID, FILE_0 "\" is not proved"},
        {"a folder", "rm " FILE_0 " && mkdir " FILE_0, SG_E_INVALID, "is no file"},
        {"a pipe", "rm " FILE_0 " && mkfifo " FILE_0, SG_E_INVALID, "is no file"},
        {"not even a folder", "cd .. && rm -r files", SG_E_UNAVAILABLE, "could not open"},
    };
    (void)state;

    shell(&rig.folder, "cp -r $FOLDER/files $FOLDER/kept");
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        char command[512];
        print_message("  %s\n", rows[i].name);
        snprintf(command, sizeof(command), "cd $FOLDER/files && %s", rows[i].command);
        shell(&rig.folder, command);
        require_named(&in_one, rows[i].rc, SG_R_NONE, rows[i].text);
        shell(&rig.folder, "rm -rf $FOLDER/files && cp -r $FOLDER/kept $FOLDER/files");
    }
    require_proved(&in_one);
}

/* By another key, and by the same with other leaves. */
static void a_file_of_another_log_is_named(void **state)
{
    struct rig own = rig;
    (void)state;

    if (is_pg(&rig.folder))
        skip(); /* the other log's store would be this one */
    set_up(NULL);
    char command[256];
    snprintf(command, sizeof(command), "cp %s/files/" FILE_1 " %s/files", rig.folder.path,
             own.folder.path);
    shell(&rig.folder, command);
    tear_down(NULL);
    rig = own;
    require_named(&in_one, SG_E_INVALID, SG_R_NONE,
                  FILE_1 "\" is not proved: the checkpoint is not signed by the log's key");
}

static void a_flipped_byte_of_a_file_is_named(void **state)
{
    static const char *const names[] = {FILE_0, FILE_1, FILE_2};
    size_t flipped = 0;
    (void)state;

    for (size_t i = 0; i < SG_COUNT(names); i++) {
        struct sg_audit_verified verified;
        struct stat status;
        char path[192];
        snprintf(path, sizeof(path), "%s/%s", rig.files, names[i]);
        const int fd = open(path, O_RDWR);
        assert_true(fd >= 0 && fstat(fd, &status) == 0);
        for (off_t at = (off_t)i; at < status.st_size; at += (off_t)step, flipped++) {
            const uint8_t bit = (uint8_t)(1u << (at % 8));
            struct sg_err err = {0};
            uint8_t byte;
            assert_int_equal(pread(fd, &byte, 1, at), 1);
            byte ^= bit;
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
            if (verify(&in_one, &verified, &err) != SG_E_INVALID)
                fail_msg("%s, byte %lld: %s", names[i], (long long)at, err.msg);
            assert_non_null(strstr(err.msg, names[i]));
            byte ^= bit;
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        close(fd);
    }
    print_message("  %zu flipped bytes\n", flipped);
    require_proved(&in_one);
}

/* Whoever made a file was killed before its leaves left: they are in both. */
static void a_file_that_reaches_further_must_be_of_the_same_log(void **state)
{
    struct sg_audit_verified verified;
    (void)state;

    if (is_pg(&rig.folder))
        skip(); /* the store is copied as a folder */
    shell(&rig.folder, "cp -r $FOLDER/store $FOLDER/before");
    require_archive();
    shell(&rig.folder, "rm -r $FOLDER/store && cp -r $FOLDER/before $FOLDER/store");
    verified = require_proved(&in_one);
    assert_int_equal(verified.first, 3 * TILE);
    assert_int_equal(verified.filed, 4 * TILE);
    shell(&rig.folder, "cd $FOLDER/files && sed -i s/urn:caller/urn:Caller/ *1024.export");
    require_named(&in_one, SG_E_INVALID, SG_R_NONE, "leaf 768");
    /* The anchor is newer: the log says of a fourth file what the store has no leaf of. */
    require_start(SG_E_CONFLICT, SG_R_STORE_ROLLED_BACK);
    shell(&rig.folder, "rm $FOLDER/files/*1024.export");
    require_proved(&in_one);
}

static void a_file_that_knows_of_a_longer_log_is_told(void **state)
{
    (void)state;
    if (is_pg(&rig.folder))
        skip(); /* the store is copied as a folder */
    shell(&rig.folder, "cp -r $FOLDER/store $FOLDER/before");
    require_archive();
    require_archive(); /* its checkpoint has what the log said before it */
    shell(&rig.folder, "rm -r $FOLDER/store && cp -r $FOLDER/before $FOLDER/store");
    require_named(&in_one, SG_E_CONFLICT, SG_R_STORE_ROLLED_BACK, "has 2004 leaves, and had 2005");
}

/* The store --------------------------------------------------------------------------------- */

/* Of the log's leaves from `from` to before `to`. */
static void run_on(const char *format, uint64_t from, uint64_t to)
{
    char sql[256];
    const unsigned long long log = 1ull << 40;
    /* Neither is a peer's: the formats stand below. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof(sql), format, log | (unsigned long long)from,
             log | (unsigned long long)to);
#pragma GCC diagnostic pop
    run_sql(&rig.folder, sql);
}

#define DROP "DELETE FROM leaves WHERE id >= %llu AND id < %llu"

static void leaves_that_were_only_taken_away_are_missed(void **state)
{
    (void)state;
    /* More than the log says that there are in an archive. */
    run_sql(&rig.folder, "UPDATE logs SET first = 868");
    run_on(DROP, 768, 868);
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN,
                  "its leaves before 868 are not in the store, and it proves of those before 768 "
                  "alone that they were archived");
    require_named(&in_one, SG_E_INTERNAL, SG_R_STORE_BROKEN, "before 868");
    require_start(SG_E_INTERNAL, SG_R_STORE_BROKEN);
    assert_int_equal(archive(NULL), SG_E_INTERNAL);
    /* Nor does another number help: those are missing then. */
    run_sql(&rig.folder, "UPDATE logs SET first = 768");
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "there is no leaf 768");
    require_named(&in_one, SG_E_INTERNAL, SG_R_STORE_BROKEN, "there is no leaf 768");
    run_sql(&rig.folder, "UPDATE logs SET first = 100000");
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "is not what was written");
    require_start(SG_E_INTERNAL, SG_R_STORE_BROKEN);
}

static void a_log_that_says_nothing_of_an_archive_has_none(void **state)
{
    struct rig own = rig;
    (void)state;

    if (is_pg(&own.folder))
        run_sql(&own.folder, "DROP SCHEMA sealgate CASCADE");
    folder_make_at(&rig.folder, is_pg(&own.folder) ? own.folder.url : NULL,
                   (int64_t)FIRST_S * SG_NS_PER_S);
    fill_from(1, LEAVES);
    assert_int_equal(require_proved(NULL).unseen, 0);
    shell(&own.folder, "rm $FOLDER/files/*"); /* they are another log's */
    run_sql(&rig.folder, "UPDATE logs SET first = 100");
    run_on(DROP, 0, 100);
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN,
                  "its leaves before 100 are not in the store, and it does not prove that they "
                  "were archived");
    require_named(&in_one, SG_E_INTERNAL, SG_R_STORE_BROKEN, "before 100");
    require_start(SG_E_INTERNAL, SG_R_STORE_BROKEN);
    folder_remove(&rig.folder);
    rig = own;
}

/* The root of the log's first leaves, which anybody can compute who reads the store. */
static struct sg_tree_head head_of(uint64_t size)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct sg_tree_head head = {.size = size};
    struct sg_store_log log;

    assert_int_equal(sg_store_open_read(rig.folder.url, &store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(store, "main", &log, NULL), SG_OK);
    assert_int_equal(sg_log_tree_new(store, log.id, &tree, NULL), SG_OK);
    assert_int_equal(sg_log_tree_load(tree, log.size, NULL), SG_OK);
    assert_int_equal(sg_log_tree_root_at(tree, size, &head.root, NULL), SG_OK);
    return head;
}

static void what_the_log_says_of_its_archive_must_be_in_it(void **state)
{
    (void)state;
    fill_from(LEAVES, LEAVES + 2 * GROUP); /* so that it is in a tile that is full */
    /* The newest is not found any more, and the one before it says less. */
    run_on("UPDATE leaves SET request = NULL WHERE id >= %llu AND id < %llu", LEAVES + 2,
           LEAVES + 3);
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "those before 512 alone");
    require_start(SG_E_INTERNAL, SG_R_STORE_BROKEN);
    /* Another record in its place, which says more: it is no leaf of the tree. */
    const struct sg_tree_head head = head_of(1024);
    char detail[SG_AUDIT_ARCHIVED_BYTES_MAX], sql[1024], hex[600] = "", key_hex[64] = "";
    uint8_t key[SG_STORE_REQUEST_KEY_BYTES];
    struct sg_audit_record record;
    struct sg_buf bytes;
    sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
    assert_int_equal(
        sg_audit_archived_write("test.example/main/1", 3, &head, detail, &record, key, NULL),
        SG_OK);
    sg_audit_record_write(&record, &bytes);
    assert_true(!bytes.failed && bytes.len < 300);
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes.ptr[i]);
    for (size_t i = 0; i < sizeof(key); i++)
        snprintf(key_hex + 2 * i, 3, "%02x", key[i]);
    snprintf(sql, sizeof(sql), "UPDATE leaves SET record = %s%s', request = %s%s' WHERE id = %llu",
             is_pg(&rig.folder) ? "'\\x" : "x'", hex, is_pg(&rig.folder) ? "'\\x" : "x'", key_hex,
             1ull << 40 | (LEAVES + 2));
    run_sql(&rig.folder, sql);
    sg_buf_done(&bytes);
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "does not prove that they were archived");
    require_start(SG_E_INTERNAL, SG_R_STORE_BROKEN);
    run_sql(&rig.folder, "UPDATE logs SET first = 1024");
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "does not prove that they were archived");
    require_start(SG_E_INTERNAL, SG_R_STORE_BROKEN);
}

static void what_stays_of_archived_leaves_is_proved(void **state)
{
    (void)state;
    /* A request key, by which an archived request is known: it would be signed again. */
    run_on(DROP, 300, 301);
    require_proved(NULL); /* who does not read the files cannot know */
    require_named(&in_one, SG_E_INTERNAL, SG_R_STORE_BROKEN, "does not lead to archived leaf 300");
}

static void what_the_log_begins_with_is_proved_in_the_store(void **state)
{
    (void)state;
    run_on("UPDATE leaves SET record = (SELECT record FROM leaves WHERE id = %llu) WHERE id = %llu",
           5, 4);
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "leaf 4");
    require_named(&in_one, SG_E_INTERNAL, SG_R_STORE_BROKEN, "leaf 4");
    run_on(DROP, 4, 5);
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "there is no leaf 4");
}

/* The hash of leaf 100, in the tile of the first leaves. */
static void change_tile(void)
{
    run_sql(&rig.folder,
            is_pg(&rig.folder)
                ? "UPDATE tiles SET hashes = substr(hashes, 1, 3200) || '\\x00000000'::bytea ||"
                  " substr(hashes, 3205) WHERE level = 0 AND index = 0"
                : "UPDATE tiles SET hashes = CAST(substr(hashes, 1, 3200) || x'00000000' ||"
                  " substr(hashes, 3205) AS BLOB) WHERE id = (SELECT min(id) FROM tiles)");
}

static void tiles_of_archived_leaves_are_proved(void **state)
{
    (void)state;
    change_tile();
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "");
    require_named(&in_one, SG_E_INTERNAL, SG_R_STORE_BROKEN, "its tile knows another leaf 100");
}

/* A full tile of tiles knows nothing of what was changed below it. */
static void tiles_below_full_ones_are_proved(void **state)
{
    (void)state;
    if (is_pg(&rig.folder))
        skip(); /* it takes long, and is the same */
    folder_remove(&rig.folder);
    folder_make(&rig.folder, (int64_t)FIRST_S * SG_NS_PER_S);
    snprintf(rig.files, sizeof(rig.files), "%s/files", rig.folder.path);
    shell(&rig.folder, "mkdir $FOLDER/files");
    fill_from(1, 65536 + 512);
    require_archive();
    require_proved(NULL);
    change_tile();
    require_named(NULL, SG_E_INTERNAL, SG_R_STORE_BROKEN, "knows other leaves from 0");
    require_named(&in_one, SG_E_INTERNAL, SG_R_STORE_BROKEN, "its tile knows another leaf 100");
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(files_and_store_prove_the_log_from_leaf_0_on),
        TEST(files_may_lie_in_several_folders_and_twice),
        TEST(an_epoch_that_has_ended_is_archived_and_proved_too),
        TEST(what_is_wrong_with_a_file_is_named),
        TEST(a_file_of_another_log_is_named),
        TEST(a_flipped_byte_of_a_file_is_named),
        TEST(a_file_that_reaches_further_must_be_of_the_same_log),
        TEST(a_file_that_knows_of_a_longer_log_is_told),
        TEST(leaves_that_were_only_taken_away_are_missed),
        TEST(a_log_that_says_nothing_of_an_archive_has_none),
        TEST(what_the_log_says_of_its_archive_must_be_in_it),
        TEST(what_stays_of_archived_leaves_is_proved),
        TEST(what_the_log_begins_with_is_proved_in_the_store),
        TEST(tiles_of_archived_leaves_are_proved),
        TEST(tiles_below_full_ones_are_proved),
    };
    if (argc > 1)
        step = strtoul(argv[1], NULL, 10);
    if (step == 0)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
