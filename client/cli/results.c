#include "client/cli/results.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "client/cli/json.h"

enum { LINE_BYTES_MAX = 64 << 10, PENDING_BYTES_MAX = 64 << 20 };

/* The names of what was signed before: one after the other, and a table of where they begin. */
struct names {
    struct sg_buf bytes; /* length in 4 bytes, then the name */
    uint32_t *slots;     /* offset + 1 into bytes; 0: free */
    size_t slot_count;   /* a power of two, or 0 */
    size_t count;
};

struct sg_results {
    int fd;
    struct names signed_before;
    struct sg_buf pending;
};

/* ---- Names ---------------------------------------------------------------------------------- */

/* FNV-1a: nobody gains by colliding with the names of their own files. */
static uint64_t hash_of(struct sg_slice name)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ name.ptr[i]) * 0x100000001b3U;
    return hash;
}

static struct sg_slice name_at(const struct names *names, uint32_t slot)
{
    const uint8_t *at = names->bytes.ptr + slot - 1;

    return sg_slice_of(at + 4, sg_be32(at));
}

/* Where the name is, or the free place where it belongs. */
static uint32_t *slot_of(const struct names *names, struct sg_slice name)
{
    size_t i = hash_of(name) & (names->slot_count - 1);

    while (names->slots[i] != 0 && !sg_slice_eq(name_at(names, names->slots[i]), name))
        i = (i + 1) & (names->slot_count - 1);
    return &names->slots[i];
}

static bool grow(struct names *names)
{
    struct names wider = *names;

    if (names->count * 2 < names->slot_count)
        return true;
    wider.slot_count = names->slot_count == 0 ? 1024 : names->slot_count * 2;
    wider.slots = calloc(wider.slot_count, sizeof(*wider.slots));
    if (wider.slots == NULL)
        return false;
    for (size_t i = 0; i < names->slot_count; i++)
        if (names->slots[i] != 0)
            *slot_of(&wider, name_at(names, names->slots[i])) = names->slots[i];
    free(names->slots);
    *names = wider;
    return true;
}

static bool add_name(struct names *names, struct sg_slice name)
{
    uint32_t at = (uint32_t)names->bytes.len, *slot;

    if (!grow(names))
        return false;
    slot = slot_of(names, name);
    if (*slot != 0)
        return true;
    sg_buf_add_be32(&names->bytes, (uint32_t)name.len);
    sg_buf_add_slice(&names->bytes, name);
    if (names->bytes.failed)
        return false;
    *slot = at + 1;
    names->count++;
    return true;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static bool take_text(struct sg_slice *line, const char *text)
{
    if (!sg_slice_starts(*line, sg_slice_str(text)))
        return false;
    (void)sg_slice_take(line, strlen(text));
    return true;
}

bool sg_results_line(struct sg_slice line, struct sg_slice *ret_file, bool *ret_signed)
{
    struct sg_slice file;
    size_t len = 0;

    if (!take_text(&line, "{\"file\":\""))
        return false;
    /* To the quote that ends the string; one behind a backslash does not. */
    while (len < line.len && line.ptr[len] != '"')
        len += line.ptr[len] == '\\' ? 2 : 1;
    if (len >= line.len)
        return false;
    file = sg_slice_take(&line, len);
    if (take_text(&line, "\",\"signed\":true,"))
        *ret_signed = true;
    else if (take_text(&line, "\",\"signed\":false,"))
        *ret_signed = false;
    else
        return false;
    if (line.len == 0 || line.ptr[line.len - 1] != '}')
        return false;
    *ret_file = file;
    return true;
}

static enum sg_rc take_line(struct sg_results *results, struct sg_slice line, size_t number,
                            struct sg_slice head, struct sg_err *err)
{
    struct sg_slice file;
    bool is_signed;

    if (number == 1)
        return sg_slice_eq(line, head)
                   ? SG_OK
                   : SG_FAIL(err, SG_E_CONFLICT, 0,
                             "its files were signed by another key, or otherwise");
    if (!sg_results_line(line, &file, &is_signed))
        return SG_FAIL(err, SG_E_INVALID, 0, "line %zu of it is no result", number);
    if (is_signed && !add_name(&results->signed_before, file))
        return SG_FAIL(err, SG_E_INTERNAL, 0, "there is no memory for the names in it");
    return SG_OK;
}

/* Reads what is there, and cuts off a line without an end. */
static enum sg_rc read_before(struct sg_results *results, struct sg_slice head, bool *ret_is_new,
                              struct sg_err *err)
{
    static uint8_t bytes[LINE_BYTES_MAX];
    size_t len = 0, number = 0;
    off_t whole = 0; /* bytes of whole lines */

    for (;;) {
        ssize_t got = read(results->fd, bytes + len, sizeof(bytes) - len);
        struct sg_slice rest;
        const uint8_t *end;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return SG_FAIL(err, SG_E_INTERNAL, 0, "%s", strerror(errno));
        len += (size_t)got;
        rest = sg_slice_of(bytes, len);
        while (rest.len > 0 && (end = memchr(rest.ptr, '\n', rest.len)) != NULL) {
            struct sg_slice line = sg_slice_take(&rest, (size_t)(end - rest.ptr));
            (void)sg_slice_take(&rest, 1);
            SG_TRY(take_line(results, line, ++number, head, err));
            whole += (off_t)line.len + 1;
        }
        memmove(bytes, rest.ptr, rest.len);
        len = rest.len;
        if (got == 0)
            break;
        if (len == sizeof(bytes))
            return SG_FAIL(err, SG_E_INVALID, 0, "line %zu of it is no result", number + 1);
    }
    if (ftruncate(results->fd, whole) != 0 || lseek(results->fd, whole, SEEK_SET) != whole)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "%s", strerror(errno));
    *ret_is_new = number == 0;
    return SG_OK;
}

/* ---- The file ------------------------------------------------------------------------------- */

static enum sg_rc begin(struct sg_results *results, const char *path, struct sg_slice head,
                        struct sg_err *err)
{
    struct sg_err why;

    sg_buf_add_slice(&results->pending, head);
    sg_buf_add_u8(&results->pending, '\n');
    SG_TRY(sg_results_commit(results, err));
    /* That the file has its name is to be on the disk too. */
    if (sg_folder_sync_of(path, &why) != SG_OK)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "%s", why.msg);
    return SG_OK;
}

static enum sg_rc open_file(struct sg_results *results, const char *path, bool resume,
                            struct sg_err *err)
{
    results->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (resume ? 0 : O_EXCL), 0666);
    if (results->fd < 0 && errno == EEXIST)
        return SG_FAIL(err, SG_E_CONFLICT, 0, "it is there already: go on with --resume");
    if (results->fd < 0)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "%s", strerror(errno));
    if (flock(results->fd, LOCK_EX | LOCK_NB) != 0)
        return SG_FAIL(err, SG_E_CONFLICT, 0, "another program writes to it");
    return SG_OK;
}

enum sg_rc sg_results_open(const char *path, struct sg_slice head, bool resume,
                           struct sg_results **ret, struct sg_err *err)
{
    SG_AUTO(sg_results_close) struct sg_results *results = calloc(1, sizeof(*results));
    bool is_new = true;

    if (results == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "out of memory");
    results->fd = -1;
    sg_buf_init(&results->pending, PENDING_BYTES_MAX);
    sg_buf_init(&results->signed_before.bytes, UINT32_MAX - 1);
    SG_TRY(open_file(results, path, resume, err));
    if (resume)
        SG_TRY(read_before(results, head, &is_new, err));
    if (is_new)
        SG_TRY(begin(results, path, head, err));
    *ret = SG_STEAL(results);
    return SG_OK;
}

void sg_results_close(struct sg_results *results)
{
    if (results == NULL)
        return;
    if (results->fd >= 0)
        (void)close(results->fd); /* what counts was synced */
    sg_buf_done(&results->pending);
    sg_buf_done(&results->signed_before.bytes);
    free(results->signed_before.slots);
    free(results);
}

bool sg_results_has(const struct sg_results *results, const char *file)
{
    const struct names *names = &results->signed_before;
    struct sg_buf text;
    struct sg_json json;
    bool is_there = false;

    if (names->count == 0)
        return false;
    sg_buf_init(&text, LINE_BYTES_MAX);
    json = sg_json_of(&text);
    sg_json_str(&json, NULL, file);
    if (!text.failed && text.len > 2)
        is_there = *slot_of(names, sg_slice_of(text.ptr + 1, text.len - 2)) != 0;
    sg_buf_done(&text);
    return is_there;
}

struct sg_buf *sg_results_lines(struct sg_results *results)
{
    return &results->pending;
}

enum sg_rc sg_results_commit(struct sg_results *results, struct sg_err *err)
{
    struct sg_slice rest = sg_buf_slice(&results->pending);

    if (results->pending.failed)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "out of memory");
    if (rest.len == 0)
        return SG_OK;
    while (rest.len > 0) {
        ssize_t len = write(results->fd, rest.ptr, rest.len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return SG_FAIL(err, SG_E_INTERNAL, 0, "%s", strerror(errno));
        (void)sg_slice_take(&rest, (size_t)len);
    }
    if (fdatasync(results->fd) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "%s", strerror(errno));
    sg_buf_clear(&results->pending);
    return SG_OK;
}
