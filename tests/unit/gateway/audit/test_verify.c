#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/audit/audit_priv.h"
#include "gateway/audit/verify.h"
#include "tests/unit/gateway/audit/by_hand.h"
#include "tests/unit/gateway/audit/folder.h"

/*
 * A log in a real store of which something is changed: whatever of it changes what the log says, or
 * which requests are known, is noticed. Of SQLite one byte of the file after the other is flipped.
 *
 *     unit.gateway.audit.verify [STEP]   every STEP'th byte; 1 takes some minutes
 *
 * Beside a PostgreSQL (tests/support/postgres) what can be changed by SQL alone.
 */
enum { LEAVES = 600, GROUP = 150, DEFAULT_STEP = 311, SIGNED_AT = 300, OTHER_AT = 301 };

static size_t step = DEFAULT_STEP;

/* What the log says, and the keys by which its requests are known. */
struct content {
    struct sg_buf bytes;
    uint64_t size;
};

static struct sg_audit_entry entries[GROUP];
static uint8_t keys[LEAVES + 1][SG_STORE_REQUEST_KEY_BYTES];

/* Leaf n has the id of number n. */
static void append(struct sg_audit_writer *writer, size_t first)
{
    struct sg_audit_entry *group[GROUP];

    for (size_t i = 0; i < GROUP; i++) {
        struct sg_audit_record record = {.time_ns = INT64_C(1790000000) * SG_NS_PER_S,
                                         .signature = SG_SLICE("signature")};
        folder_sign(&record, first + i + 1, &entries[i]);
        memcpy(keys[first + i + 1], entries[i].request_key, sizeof(keys[0]));
        group[i] = &entries[i];
    }
    assert_int_equal(sg_audit_write(writer, group, GROUP, NULL), SG_OK);
    for (size_t i = 0; i < GROUP; i++)
        sg_audit_entry_done(&entries[i]);
}

static void fill(const struct folder *folder)
{
    struct sg_audit_writer writer;
    const struct sg_audit_options options = {.store = folder->url,
                                             .log = "main",
                                             .key_file = folder->key,
                                             .anchor_file = folder->anchor};

    assert_int_equal(sg_audit_writer_open(&writer, &options, NULL), SG_OK);
    for (size_t first = 0; first < LEAVES; first += GROUP)
        append(&writer, first);
    sg_audit_writer_close(&writer);
}

static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice record, struct sg_slice key,
                          struct sg_err *err)
{
    struct content *content = arg;
    (void)err;
    assert_int_equal(seq, content->size);
    content->size++;
    sg_buf_add_slice(&content->bytes, record);
    sg_buf_add_slice(&content->bytes, key);
    return SG_OK;
}

/* As a gateway looks for it when it is asked again. */
static void require_found(struct sg_store *store, const struct sg_store_log *log, uint64_t seq)
{
    uint64_t log_id = 0, found = 0;

    assert_int_equal(sg_store_find_request(store, keys[seq], &log_id, &found, NULL), SG_OK);
    assert_true(log_id == log->id && found == seq);
}

/* As `sealgated verify` does it, and then what everybody reads. */
static enum sg_rc read_log(const struct folder *folder, struct content *ret, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_store_log log;
    struct sg_audit_verified verified;

    ret->size = 0;
    sg_buf_clear(&ret->bytes);
    SG_TRY(sg_store_open_read(folder->url, &store, err));
    SG_TRY(sg_store_find_log(store, "main", &log, err));
    const struct sg_audit_verify_options options = {.log = &log,
                                                    .key = sg_note_signer_key(folder->signer)};
    SG_TRY(sg_audit_verify(store, &options, &verified, err));
    assert_int_equal(verified.size, log.size);
    for (uint64_t seq = 1; seq < log.size; seq++)
        require_found(store, &log, seq);
    return sg_store_read_keyed(store, log.id, 0, log.size, on_leaf, ret, err);
}

static void flip(int fd, off_t at)
{
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1u << (at % 8));
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void a_flipped_byte_is_named_or_changes_nothing(void **state)
{
    struct folder folder;
    struct content whole, read;
    struct stat status;
    char path[128];
    size_t refused = 0, harmless = 0;
    (void)state;

    folder_make(&folder, INT64_C(1790000000) * SG_NS_PER_S);
    fill(&folder);
    sg_buf_init(&whole.bytes, 1 << 20);
    sg_buf_init(&read.bytes, 1 << 20);
    assert_int_equal(read_log(&folder, &whole, NULL), SG_OK);
    assert_int_equal(whole.size, LEAVES + 1);
    /* All of it in one file. */
    shell(&folder, "test ! -s $FOLDER/store/store.db-wal");

    snprintf(path, sizeof(path), "%s/store/store.db", folder.path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    for (off_t at = 0; at < status.st_size; at += (off_t)step) {
        struct sg_err err = {0};
        flip(fd, at);
        if (read_log(&folder, &read, &err) != SG_OK) {
            assert_true(err.msg[0] != '\0');
            refused++;
        } else {
            assert_int_equal(read.size, whole.size);
            assert_true(sg_slice_eq(sg_buf_slice(&read.bytes), sg_buf_slice(&whole.bytes)));
            harmless++;
        }
        flip(fd, at);
    }
    assert_int_equal(read_log(&folder, &read, NULL), SG_OK);
    print_message("%zu flipped bytes were named, %zu changed nothing of %zu\n", refused, harmless,
                  (size_t)status.st_size);
    assert_true(refused > 0);
    close(fd);
    sg_buf_done(&whole.bytes);
    sg_buf_done(&read.bytes);
    folder_remove(&folder);
}

/* By hand ---------------------------------------------------------------------------------- */

/* What the store has as the key of a leaf; NULL: none. */
static void set_key(const struct folder *folder, uint64_t seq, const uint8_t *key)
{
    char hex[2 * SG_STORE_REQUEST_KEY_BYTES + 1], value[80], sql[256];

    for (size_t i = 0; key != NULL && i < SG_STORE_REQUEST_KEY_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    snprintf(value, sizeof(value), is_pg(folder) ? "'\\x%s'" : "x'%s'", hex);
    snprintf(sql, sizeof(sql), "UPDATE leaves SET request = %s WHERE id = %llu",
             key == NULL ? "NULL" : value, 1ull << 40 | (unsigned long long)seq);
    run_sql(folder, sql);
}

static void require_named(const struct folder *folder, uint64_t seq)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_audit_verified verified;
    struct sg_store_log log;
    struct sg_err err = {0};
    char leaf[24];

    assert_int_equal(sg_store_open_read(folder->url, &store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(store, "main", &log, NULL), SG_OK);
    const struct sg_audit_verify_options options = {.log = &log,
                                                    .key = sg_note_signer_key(folder->signer)};
    assert_int_equal(sg_audit_verify(store, &options, &verified, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
    snprintf(leaf, sizeof(leaf), "leaf %llu", (unsigned long long)seq);
    if (strstr(err.msg, leaf) == NULL)
        fail_msg("\"%s\" does not name %s", err.msg, leaf);
}

static void require_proved(const struct folder *folder, struct content *read)
{
    struct sg_err err = {0};
    if (read_log(folder, read, &err) != SG_OK)
        fail_msg("%s", err.msg);
}

static void a_changed_request_key_is_named(void **state)
{
    const char *server = getenv("SG_TEST_PG");
    uint8_t *key = keys[SIGNED_AT], *other = keys[OTHER_AT];
    struct folder folder;
    struct content read;
    char url[96];
    (void)state;

    if (server != NULL)
        snprintf(url, sizeof(url), "postgresql:///postgres?host=%s&user=sealgate", server);
    folder_make_at(&folder, server == NULL ? NULL : url, INT64_C(1790000000) * SG_NS_PER_S);
    fill(&folder);
    sg_buf_init(&read.bytes, 1 << 20);
    require_proved(&folder, &read);

    for (size_t i = 0; i < SG_STORE_REQUEST_KEY_BYTES; i++) {
        key[i] ^= (uint8_t)(1u << (i % 8));
        set_key(&folder, SIGNED_AT, key);
        require_named(&folder, SIGNED_AT);
        key[i] ^= (uint8_t)(1u << (i % 8));
    }
    set_key(&folder, SIGNED_AT, NULL); /* its request would be signed again */
    require_named(&folder, SIGNED_AT);
    set_key(&folder, OTHER_AT, NULL);
    set_key(&folder, SIGNED_AT, other);
    set_key(&folder, OTHER_AT, key); /* each other's */
    require_named(&folder, SIGNED_AT);
    set_key(&folder, OTHER_AT, NULL);
    set_key(&folder, SIGNED_AT, key);
    require_named(&folder, OTHER_AT);
    set_key(&folder, 0, other); /* which is no signature's */
    require_named(&folder, 0);
    set_key(&folder, 0, NULL);
    set_key(&folder, OTHER_AT, other);
    require_proved(&folder, &read);

    sg_buf_done(&read.bytes);
    folder_remove(&folder);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_request_key_is_named),
        cmocka_unit_test(a_flipped_byte_is_named_or_changes_nothing),
    };
    static const struct CMUnitTest pg_tests[] = {cmocka_unit_test(a_changed_request_key_is_named)};
    if (argc > 1)
        step = strtoul(argv[1], NULL, 10);
    if (step == 0)
        return 2;
    if (getenv("SG_TEST_PG") != NULL)
        return cmocka_run_group_tests(pg_tests, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
