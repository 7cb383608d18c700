#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/audit/record.h"
#include "gateway/audit/audit_priv.h"
#include "gateway/audit/verify.h"
#include "tests/unit/gateway/audit/folder.h"

/*
 * A log in a real SQLite file, of which one byte after the other is flipped: whatever of it changes
 * what the log says is noticed.
 *
 *     unit.gateway.audit.verify [STEP]   every STEP'th byte; 1 takes some minutes
 */
enum { LEAVES = 600, GROUP = 150, DEFAULT_STEP = 211 };

static size_t step = DEFAULT_STEP;

/* What the log says. */
struct content {
    struct sg_buf bytes;
    uint64_t size;
};

static struct sg_audit_entry entries[GROUP];

static void append(struct sg_audit_writer *writer, size_t first)
{
    struct sg_audit_entry *group[GROUP];

    for (size_t i = 0; i < GROUP; i++) {
        char id[40];
        snprintf(id, sizeof(id), "request %zu", first + i);
        const struct sg_audit_record record = {.event = SG_AUDIT_SIGNATURE,
                                               .time_ns = INT64_C(1790000000) * SG_NS_PER_S,
                                               .caller = SG_SLICE("urn:caller"),
                                               .request_id = sg_slice_str(id),
                                               .signature = SG_SLICE("signature")};
        entries[i] = (struct sg_audit_entry){.time_ns = record.time_ns};
        sg_buf_init(&entries[i].bytes, SG_AUDIT_RECORD_BYTES_MAX);
        sg_audit_record_write(&record, &entries[i].bytes);
        sg_put_be32(entries[i].request_key, (uint32_t)(first + i + 1));
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

static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice record, struct sg_err *err)
{
    struct content *content = arg;
    (void)err;
    assert_int_equal(seq, content->size);
    content->size++;
    sg_buf_add_slice(&content->bytes, record);
    return SG_OK;
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
    SG_TRY(sg_audit_verify(store, &log, sg_note_signer_key(folder->signer), NULL, &verified, err));
    assert_int_equal(verified.size, log.size);
    return sg_store_read_leaves(store, log.id, 0, log.size, on_leaf, ret, err);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_byte_is_named_or_changes_nothing),
    };
    if (argc > 1)
        step = strtoul(argv[1], NULL, 10);
    if (step == 0)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
