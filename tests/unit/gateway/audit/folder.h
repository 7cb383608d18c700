#ifndef SG_TESTS_UNIT_GATEWAY_AUDIT_FOLDER_H
#define SG_TESTS_UNIT_GATEWAY_AUDIT_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/unit.h"

#include "formats/audit/request_id.h"
#include "formats/audit/signer.h"
#include "gateway/audit/audit.h"
#include "gateway/audit/create.h"

/* A folder with a real store, a log in it, its key and its anchor. */
struct folder {
    char path[64], url[96], key[96], anchor[96];
    struct sg_note_signer *signer;
};

/* `command` knows the folder as $FOLDER. */
static inline void shell(const struct folder *folder, const char *command)
{
    assert_int_equal(setenv("FOLDER", folder->path, 1), 0);
    assert_int_equal(system(command), 0);
}

/* Makes `record` that of a signature which was asked for by the id of this number, and `entry` of
 * it, with the id's key. */
static inline void folder_sign(struct sg_audit_record *record, uint64_t number,
                               struct sg_audit_entry *entry)
{
    struct sg_request_id key;
    char id[48];

    snprintf(id, sizeof(id), "0192f0c1-2b3c-7def-8abc-%012llx", (unsigned long long)number);
    record->event = SG_AUDIT_SIGNATURE;
    record->authority = SG_SLICE("test-ca");
    record->caller = SG_SLICE("urn:caller");
    record->method = SG_SLICE("sealgate.v1.SigningService/Sign");
    record->request_id = sg_slice_str(id);
    assert_int_equal(sg_request_id_read(record->request_id, record->authority, record->caller,
                                        record->method, &key, NULL),
                     SG_OK);
    *entry = (struct sg_audit_entry){.time_ns = record->time_ns};
    memcpy(entry->request_key, key.key, sizeof(entry->request_key));
    sg_buf_init(&entry->bytes, SG_AUDIT_RECORD_BYTES_MAX);
    sg_audit_record_write(record, &entry->bytes);
    record->request_id = (struct sg_slice){0};
}

/* Makes a log whose leaf 0 says that it has begun. */
static inline void folder_begin(struct sg_store *store, struct sg_store_log *log,
                                struct sg_note_signer *signer, const char *anchor, int64_t time_ns)
{
    const struct sg_audit_record record = {
        .event = SG_AUDIT_LOG_STARTED, .time_ns = time_ns, .detail = SG_SLICE("begun")};
    const struct sg_audit_beginning beginning = {.records = &record, .count = 1};
    assert_int_equal(sg_audit_create(store, log, signer, anchor, &beginning, NULL), SG_OK);
}

/* The log's first record is of this time. `url` NULL: the store is in the folder. */
static inline void folder_make_at(struct folder *folder, const char *url, int64_t time_ns)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_store_log log = {.name = "main", .origin = "test.example/main/1", .epoch = 1};
    unsigned version = 7;

    snprintf(folder->path, sizeof(folder->path), "/tmp/sealgate-audit-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    if (url != NULL)
        snprintf(folder->url, sizeof(folder->url), "%s", url);
    else
        snprintf(folder->url, sizeof(folder->url), "sqlite:%s/store", folder->path);
    snprintf(folder->key, sizeof(folder->key), "%s/key", folder->path);
    snprintf(folder->anchor, sizeof(folder->anchor), "%s/anchor", folder->path);
    assert_int_equal(sg_note_private_new(sg_slice_str(log.origin), SG_NOTE_ED25519, &secret, NULL),
                     SG_OK);
    FILE *file = fopen(folder->key, "w");
    assert_non_null(file);
    struct sg_slice bytes = sg_secret_bytes(secret);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
    shell(folder, "chmod 600 $FOLDER/key");
    assert_int_equal(sg_note_signer_new(bytes, &folder->signer, NULL), SG_OK);

    assert_int_equal(sg_store_migrate(folder->url, &version, NULL), SG_OK);
    assert_int_equal(version, 0);
    assert_int_equal(sg_store_open(folder->url, &store, NULL), SG_OK);
    const struct sg_audit_record record = {
        .event = SG_AUDIT_LOG_STARTED, .time_ns = time_ns, .detail = SG_SLICE("begun")};
    const struct sg_audit_beginning beginning = {.records = &record, .count = 1};
    assert_int_equal(sg_audit_create(store, &log, folder->signer, folder->anchor, &beginning, NULL),
                     SG_OK);
}

static inline void folder_make(struct folder *folder, int64_t time_ns)
{
    folder_make_at(folder, NULL, time_ns);
}

static inline void folder_remove(struct folder *folder)
{
    sg_note_signer_free(folder->signer);
    shell(folder, "rm -rf $FOLDER");
}

#endif
