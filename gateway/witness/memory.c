#include "gateway/witness/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/raw/digest.h"

enum { NAME_BYTES = 2 * 32 + 1 };

struct sg_witness_memory {
    int folder;
    struct sg_buf bytes; /* of one file */
};

static enum sg_rc failed(const char *what, const char *name, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not %s \"%s\": errno %d",
                   what, name, errno);
}

enum sg_rc sg_witness_memory_open(const char *folder, struct sg_witness_memory **ret,
                                  struct sg_err *err)
{
    SG_AUTO(sg_witness_memory_close) struct sg_witness_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a witness's memory");
    sg_buf_init(&memory->bytes, SG_NOTE_BYTES_MAX);
    memory->folder = -1;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return failed("make", folder, err);
    memory->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (memory->folder < 0)
        return failed("open", folder, err);
    if (flock(memory->folder, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? SG_FAIL(err, SG_E_CONFLICT, 0, "another process holds \"%s\"", folder)
                   : failed("lock", folder, err);
    *ret = SG_STEAL(memory);
    return SG_OK;
}

void sg_witness_memory_close(struct sg_witness_memory *memory)
{
    if (memory == NULL)
        return;
    if (memory->folder >= 0)
        close(memory->folder);
    sg_buf_done(&memory->bytes);
    free(memory);
}

static enum sg_rc name_of(struct sg_slice origin, char ret[NAME_BYTES], struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];

    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, origin, hash, err));
    for (size_t i = 0; i < 32; i++)
        snprintf(ret + 2 * i, 3, "%02x", hash[i]);
    return SG_OK;
}

/* The file's bytes; SG_E_NOT_FOUND: there is none. */
static enum sg_rc read_file(struct sg_witness_memory *memory, const char *name, struct sg_err *err)
{
    uint8_t *room;
    ssize_t len;

    sg_buf_clear(&memory->bytes);
    const int fd = openat(memory->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "there is no \"%s\"", name);
    if (fd < 0)
        return failed("open", name, err);
    do {
        room = sg_buf_room(&memory->bytes, 4096);
        len = room == NULL ? 0 : read(fd, room, 4096);
        sg_buf_claim(&memory->bytes, len > 0 ? (size_t)len : 0);
    } while (len > 0);
    close(fd);
    return len < 0 ? failed("read", name, err) : SG_OK;
}

static bool is_signed(const struct sg_note *note, const struct sg_note_key *const *keys,
                      size_t key_count)
{
    for (size_t i = 0; i < key_count; i++) {
        enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
        uint64_t time;
        if (sg_note_judge(note, keys[i], &verdict, &time, NULL) == SG_OK &&
            verdict == SG_NOTE_SIGNED)
            return true;
    }
    return false;
}

enum sg_rc sg_witness_memory_read(struct sg_witness_memory *memory, struct sg_slice origin,
                                  const struct sg_note_key *const *keys, size_t key_count,
                                  struct sg_tree_head *ret, struct sg_err *err)
{
    struct sg_checkpoint checkpoint;
    struct sg_note note;
    char name[NAME_BYTES];

    SG_TRY(name_of(origin, name, err));
    enum sg_rc rc = read_file(memory, name, err);
    if (rc == SG_E_NOT_FOUND) {
        *ret = (struct sg_tree_head){0};
        return SG_OK;
    }
    SG_TRY(rc);
    if (sg_note_parse(sg_buf_slice(&memory->bytes), &note, NULL) != SG_OK ||
        sg_checkpoint_parse(note.text, &checkpoint, NULL) != SG_OK ||
        !sg_slice_eq(checkpoint.origin, origin) || !is_signed(&note, keys, key_count))
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "\"%s\" is not what was remembered of \"%.*s\", or its key is not "
                         "configured any more",
                         name, (int)origin.len, (const char *)origin.ptr);
    *ret = checkpoint.head;
    return SG_OK;
}

static bool write_all(int fd, struct sg_slice bytes)
{
    while (bytes.len > 0) {
        const ssize_t len = write(fd, bytes.ptr, bytes.len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return false;
        (void)sg_slice_take(&bytes, (size_t)len);
    }
    return true;
}

/* Whole or not at all: written beside it and renamed, or linked where what is there stays. */
static enum sg_rc replace(struct sg_witness_memory *memory, const char *name, bool may_replace,
                          struct sg_err *err)
{
    char beside[NAME_BYTES + 16];

    SG_TRY(sg_buf_check(&memory->bytes, err));
    snprintf(beside, sizeof(beside), "%s.new", name);
    const int fd =
        openat(memory->folder, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed("make", beside, err);
    const bool is_written = write_all(fd, sg_buf_slice(&memory->bytes)) && fsync(fd) == 0;
    if (close(fd) != 0 || !is_written)
        return failed("write", beside, err);
    const unsigned flags = may_replace ? 0 : RENAME_NOREPLACE;
    if (renameat2(memory->folder, beside, memory->folder, name, flags) != 0) {
        if (may_replace || errno != EEXIST)
            return failed("keep", name, err);
        unlinkat(memory->folder, beside, 0);
    }
    return fsync(memory->folder) == 0 ? SG_OK : failed("keep", name, err);
}

enum sg_rc sg_witness_memory_write(struct sg_witness_memory *memory, struct sg_slice origin,
                                   struct sg_slice text, struct sg_slice line, struct sg_err *err)
{
    char name[NAME_BYTES];

    SG_TRY(name_of(origin, name, err));
    sg_buf_clear(&memory->bytes);
    sg_buf_add_slice(&memory->bytes, text);
    sg_buf_add_u8(&memory->bytes, '\n');
    sg_buf_add_slice(&memory->bytes, line);
    return replace(memory, name, true, err);
}

enum sg_rc sg_witness_memory_keep_fork(struct sg_witness_memory *memory, struct sg_slice origin,
                                       struct sg_slice checkpoint, struct sg_err *err)
{
    char name[NAME_BYTES + 8];

    SG_TRY(name_of(origin, name, err));
    snprintf(name + NAME_BYTES - 1, sizeof(name) - NAME_BYTES + 1, ".fork");
    sg_buf_clear(&memory->bytes);
    sg_buf_add_slice(&memory->bytes, checkpoint);
    return replace(memory, name, false, err);
}
