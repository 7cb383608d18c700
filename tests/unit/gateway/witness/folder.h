#ifndef SG_TESTS_UNIT_GATEWAY_WITNESS_FOLDER_H
#define SG_TESTS_UNIT_GATEWAY_WITNESS_FOLDER_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/witness/keeper.h"
#include "tests/support/audit_maker.h"
#include "tests/support/unit.h"

/* What a witness of one log, which is that of a maker, is opened over: its key in a folder, and
 * room for what it remembers. */
struct folder {
    char path[64], key[96], memory[96];
    char log_key[512]; /* as text */
    const char *keys[1];
    struct sg_witness_trusted trusted;
};

static inline void folder_make(struct folder *folder, const char *origin, struct audit_maker *maker)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    struct sg_buf key;

    snprintf(folder->path, sizeof(folder->path), "/tmp/sealgate-witness-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->key, sizeof(folder->key), "%s/key", folder->path);
    snprintf(folder->memory, sizeof(folder->memory), "%s/memory", folder->path);
    assert_int_equal(
        sg_note_private_new(SG_SLICE("witness.example/w1"), SG_NOTE_COSIGNATURE, &secret, NULL),
        SG_OK);
    const int fd = open(folder->key, O_WRONLY | O_CREAT | O_EXCL, 0600);
    const struct sg_slice bytes = sg_secret_bytes(secret);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
    close(fd);

    sg_buf_init(&key, sizeof(folder->log_key) - 1);
    sg_note_key_write(audit_maker_key(maker), &key);
    snprintf(folder->log_key, sizeof(folder->log_key), "%.*s", (int)key.len, (const char *)key.ptr);
    sg_buf_done(&key);
    folder->keys[0] = folder->log_key;
    folder->trusted =
        (struct sg_witness_trusted){.origin = origin, .keys = folder->keys, .key_count = 1};
}

static inline void folder_remove(const struct folder *folder)
{
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", folder->path);
    assert_int_equal(system(command), 0);
}

#endif
