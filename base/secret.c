#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The pages stand between two that nobody may touch, so that reading on faults. */
struct sg_secret {
    uint8_t *bytes; /* NULL until they can be written */
    size_t len, max;
    void *mapping; /* with the guards, or NULL */
    size_t mapping_len, page_len;
};

static enum sg_rc protect_pages(struct sg_secret *secret, struct sg_err *err)
{
    size_t len = secret->mapping_len - 2 * secret->page_len;
    uint8_t *bytes = (uint8_t *)secret->mapping + secret->page_len;

    if (mprotect(bytes, len, PROT_READ | PROT_WRITE) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not open pages for a secret: %m");
    secret->bytes = bytes;
    /* Not mlock(), which the sanitizers replace by nothing: tests shall run what we ship. */
    if (mlock2(secret->bytes, len, 0) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not lock %zu bytes for a secret, so it might be swapped to disk: %m "
                       "(raise RLIMIT_MEMLOCK; LimitMEMLOCK= in a systemd unit)",
                       len);
    /* A forked child finds zeros: its copy would be neither locked nor wiped. */
    if (madvise(secret->bytes, len, MADV_DONTDUMP) != 0 ||
        madvise(secret->bytes, len, MADV_WIPEONFORK) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not keep a secret out of core dumps and child processes: %m");
    return SG_OK;
}

enum sg_rc sg_secret_new(size_t max_bytes, struct sg_secret **ret, struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = calloc(1, sizeof(*secret));
    if (secret == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a secret");

    secret->page_len = (size_t)sysconf(_SC_PAGESIZE);
    if (max_bytes == 0 || max_bytes > SIZE_MAX - 4 * secret->page_len)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not map a secret of %zu bytes", max_bytes);
    secret->max = max_bytes;
    secret->mapping_len =
        ((max_bytes - 1) / secret->page_len + 1) * secret->page_len + 2 * secret->page_len;

    void *mapping = mmap(NULL, secret->mapping_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not map pages for a secret: %m");
    secret->mapping = mapping;
    SG_TRY(protect_pages(secret, err));

    *ret = SG_STEAL(secret);
    return SG_OK;
}

void sg_secret_free(struct sg_secret *secret)
{
    if (secret == NULL)
        return;
    if (secret->bytes != NULL)
        sg_wipe(secret->bytes, secret->mapping_len - 2 * secret->page_len);
    if (secret->mapping != NULL)
        munmap(secret->mapping, secret->mapping_len); /* unlocks too */
    free(secret);
}

uint8_t *sg_secret_room(struct sg_secret *secret)
{
    return secret->bytes;
}

void sg_secret_claim(struct sg_secret *secret, size_t len)
{
    SG_ASSERT(len <= secret->max);
    secret->len = len;
}

struct sg_slice sg_secret_bytes(const struct sg_secret *secret)
{
    return sg_slice_of(secret->bytes, secret->len);
}

static enum sg_rc check_file(int fd, const char *path, size_t max_bytes, struct sg_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not examine \"%s\": %m",
                       path);
    if (!S_ISREG(st.st_mode))
        return SG_FAIL(err, SG_E_DENIED, 0, "could not trust \"%s\": it is not a plain file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return SG_FAIL(err, SG_E_DENIED, 0,
                       "could not trust \"%s\": its owner is neither root nor this process", path);
    if ((st.st_mode & (S_IWGRP | S_IRWXO)) != 0)
        return SG_FAIL(err, SG_E_DENIED, 0,
                       "could not trust \"%s\": mode %03o lets too many in; 0400 or 0440 will do",
                       path, (unsigned)st.st_mode & 0777);
    if (st.st_size > 0 && (uintmax_t)st.st_size > max_bytes)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read \"%s\": it is over %zu bytes", path,
                       max_bytes);
    return SG_OK;
}

/* Fills the secret up to its `max` or the end of the file. */
static enum sg_rc read_whole(struct sg_secret *secret, int fd, const char *path, struct sg_err *err)
{
    while (secret->len < secret->max) {
        ssize_t n = read(fd, secret->bytes + secret->len, secret->max - secret->len);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not read \"%s\": %m",
                           path);
        secret->len += (size_t)n;
    }
    return SG_OK;
}

static void trim_line_ends(struct sg_secret *secret)
{
    while (secret->len > 0 &&
           (secret->bytes[secret->len - 1] == '\n' || secret->bytes[secret->len - 1] == '\r'))
        secret->len--;
}

static void closep(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

enum sg_rc sg_secret_read_file(const char *path, size_t max_bytes, struct sg_secret **ret,
                               struct sg_err *err)
{
    enum { LINE_END = 2, ONE_TOO_MANY = 1 };
    SG_ASSERT(max_bytes < SIZE_MAX - LINE_END - ONE_TOO_MANY);

    /* O_NONBLOCK, so that a FIFO in the file's place cannot hold us up before it is refused. */
    SG_AUTO(close)
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP)
        return SG_FAIL(err, SG_E_DENIED, ELOOP,
                       "could not trust \"%s\": it is a symbolic link; name the file itself", path);
    if (fd < 0)
        return SG_FAIL(err, errno == ENOENT ? SG_E_NOT_FOUND : SG_E_INTERNAL, (unsigned long)errno,
                       "could not open \"%s\": %m", path);
    SG_TRY(check_file(fd, path, max_bytes + LINE_END, err));

    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    SG_TRY(sg_secret_new(max_bytes + LINE_END + ONE_TOO_MANY, &secret, err));
    SG_TRY(read_whole(secret, fd, path, err));
    bool is_whole = secret->len < secret->max;
    trim_line_ends(secret);
    if (!is_whole || secret->len > max_bytes)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read \"%s\": it is over %zu bytes", path,
                       max_bytes);
    if (secret->len == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read \"%s\": it is empty", path);

    secret->max = max_bytes;
    *ret = SG_STEAL(secret);
    return SG_OK;
}

bool sg_secret_eq(struct sg_slice a, struct sg_slice b)
{
    if (a.len != b.len)
        return false;
    /* Volatile, so that the compiler cannot leave the loop early. */
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference = (uint8_t)(difference | (a.ptr[i] ^ b.ptr[i]));
    return difference == 0;
}

void sg_wipe(void *ptr, size_t len)
{
    explicit_bzero(ptr, len);
}
