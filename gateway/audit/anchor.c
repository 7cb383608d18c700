#include "gateway/audit/anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/folder.h"

enum { PLACES = 2, PLACE_BYTES = 4096 };

struct sg_anchor {
    int fd;
    size_t next; /* place, to be written */
};

static enum sg_rc failed(const char *what, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not %s the anchor: errno %d",
                   what, errno);
}

/* The whole of a place, so that nothing is left of what stood there. */
static enum sg_rc write_place(int fd, size_t place, struct sg_slice checkpoint, struct sg_err *err)
{
    uint8_t bytes[PLACE_BYTES] = {0};

    if (checkpoint.len > sizeof(bytes))
        return SG_FAIL(err, SG_E_LIMIT, 0, "a checkpoint of %zu bytes does not fit into an anchor",
                       checkpoint.len);
    memcpy(bytes, checkpoint.ptr, checkpoint.len);
    errno = EIO; /* of a write that is short */
    if (pwrite(fd, bytes, sizeof(bytes), (off_t)(place * PLACE_BYTES)) != (ssize_t)sizeof(bytes))
        return failed("write", err);
    return SG_OK;
}

enum sg_rc sg_anchor_create(const char *path, struct sg_slice checkpoint, struct sg_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return SG_FAIL(err, SG_E_CONFLICT, 0, "there is an anchor \"%s\" already", path);
    if (fd < 0)
        return failed("make", err);
    enum sg_rc rc = write_place(fd, 0, checkpoint, err);
    if (rc == SG_OK && fsync(fd) != 0)
        rc = failed("write", err);
    close(fd);
    return rc == SG_OK ? sg_folder_sync_of(path, err) : rc;
}

enum sg_rc sg_anchor_open(const char *path, struct sg_anchor **ret, struct sg_err *err)
{
    SG_AUTO(sg_anchor_close) struct sg_anchor *anchor = calloc(1, sizeof(*anchor));
    if (anchor == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate an anchor");
    anchor->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (anchor->fd < 0 && errno == ENOENT)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "there is no anchor \"%s\"", path);
    if (anchor->fd < 0)
        return failed("open", err);
    *ret = SG_STEAL(anchor);
    return SG_OK;
}

void sg_anchor_close(struct sg_anchor *anchor)
{
    if (anchor == NULL)
        return;
    if (anchor->fd >= 0)
        close(anchor->fd);
    free(anchor);
}

/* A place that is torn, empty or of another log says nothing. */
static bool read_place(struct sg_slice bytes, struct sg_slice origin, const struct sg_note_key *key,
                       struct sg_tree_head *ret)
{
    const uint8_t *end = bytes.len == 0 ? NULL : memchr(bytes.ptr, '\0', bytes.len);
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_checkpoint checkpoint;
    struct sg_note note;
    uint64_t time;

    if (end != NULL)
        bytes.len = (size_t)(end - bytes.ptr);
    if (sg_note_parse(bytes, &note, NULL) != SG_OK ||
        sg_note_judge(&note, key, &verdict, &time, NULL) != SG_OK || verdict != SG_NOTE_SIGNED ||
        sg_checkpoint_parse(note.text, &checkpoint, NULL) != SG_OK ||
        !sg_slice_eq(checkpoint.origin, origin))
        return false;
    *ret = checkpoint.head;
    return true;
}

enum sg_rc sg_anchor_read(struct sg_anchor *anchor, struct sg_slice origin,
                          const struct sg_note_key *key, struct sg_tree_head *ret,
                          struct sg_err *err)
{
    struct sg_tree_head newest = {0};
    bool is_found = false;

    for (size_t i = 0; i < PLACES; i++) {
        uint8_t bytes[PLACE_BYTES];
        struct sg_tree_head head;
        const ssize_t len = pread(anchor->fd, bytes, sizeof(bytes), (off_t)(i * PLACE_BYTES));
        if (len < 0)
            return failed("read", err);
        if (!read_place(sg_slice_of(bytes, (size_t)len), origin, key, &head))
            continue;
        if (is_found && head.size <= newest.size)
            continue;
        newest = head;
        anchor->next = (i + 1) % PLACES;
        is_found = true;
    }
    if (!is_found)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the anchor has no checkpoint of \"%.*s\"",
                       (int)origin.len, (const char *)origin.ptr);
    *ret = newest;
    return SG_OK;
}

enum sg_rc sg_anchor_write(struct sg_anchor *anchor, struct sg_slice checkpoint, struct sg_err *err)
{
    SG_TRY(write_place(anchor->fd, anchor->next, checkpoint, err));
    anchor->next = (anchor->next + 1) % PLACES;
    return SG_OK;
}

enum sg_rc sg_anchor_sync(const struct sg_anchor *anchor, struct sg_err *err)
{
    return fdatasync(anchor->fd) == 0 ? SG_OK : failed("sync", err);
}
