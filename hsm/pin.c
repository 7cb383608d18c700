#include "hsm/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#define LATCH_FILE "pin-latch"
#define LATCH_MAGIC "sealgate pin latch 1\n"
#define ACCEPTED_FILE "pin-accepted"
#define ACCEPTED_MAGIC "sealgate pin accepted 1\n"

enum { SALT_LEN = 16, HASH_LEN = 32 };

/* Blocks of memory from this size on are the system's again as soon as they are freed. */
enum { BLOCK_BYTES = 1 << 20 };

/* Tries whose outcome nobody saw, of a PIN that was never accepted and of one that was. */
enum { UNSEEN_MAX = 1, UNSEEN_MAX_ACCEPTED = 2 };

/* The files, whole. Fixed size, so a torn or foreign one is told by its length or its magic. */
struct latch {
    char magic[sizeof(LATCH_MAGIC) - 1];
    uint8_t salt[SALT_LEN];
    uint8_t hash[HASH_LEN]; /* scrypt of salt and PIN */
    uint8_t unseen;         /* tries that were begun and whose outcome nobody saw */
    uint8_t is_refused;     /* the token has said no */
    uint8_t native[8];      /* CK_RV of the refusal, big-endian */
};

struct accepted {
    char magic[sizeof(ACCEPTED_MAGIC) - 1];
    uint8_t salt[SALT_LEN];
    uint8_t tag; /* the hash's first byte (pin.h says why no more of it) */
};

void sg_pin_setup(void)
{
    mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES); /* fixed: else it grows to what was freed last */
}

enum sg_rc sg_pin_read(const char *source, struct sg_secret **ret, struct sg_err *err)
{
    static const char prefix[] = "credential:";
    char path[PATH_MAX];

    if (strncmp(source, prefix, sizeof(prefix) - 1) != 0)
        return sg_secret_read_file(source, SG_PIN_BYTES_MAX, ret, err);

    const char *name = source + sizeof(prefix) - 1;
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0,
                       "could not read the PIN: no credentials were given to this process");
    if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the PIN: bad credential name");
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the PIN: the path is too long");
    return sg_secret_read_file(path, SG_PIN_BYTES_MAX, ret, err);
}

static enum sg_rc open_dir(const char *state_dir, int *ret_fd, struct sg_err *err)
{
    *ret_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not open the state folder \"%s\": %s", state_dir, strerror(errno));
    return SG_OK;
}

/* Slow on purpose: PINs are short, and the file may end up in a backup. */
static enum sg_rc hash_pin(struct sg_slice pin, const uint8_t *salt, uint8_t *hash,
                           struct sg_err *err)
{
    if (EVP_PBE_scrypt((const char *)pin.ptr, pin.len, salt, SALT_LEN, 1 << 14, 8, 1, 64 << 20,
                       hash, HASH_LEN) != 1)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not hash the PIN for the latch");
    return SG_OK;
}

/* Into the whole of `out`. False with errno ENOENT: there is none; otherwise it is damaged. */
static bool read_whole(int dir, const char *name, void *out, size_t size)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool is_whole =
        read(fd, out, size) == (ssize_t)size && fstat(fd, &st) == 0 && st.st_size == (off_t)size;
    close(fd);
    errno = EIO;
    return is_whole;
}

/* Durable when it returns: a new file beside the old, synced, renamed, and the folder synced. */
static enum sg_rc write_whole(int dir, const char *name, const void *bytes, size_t size,
                              struct sg_err *err)
{
    char beside[32];
    snprintf(beside, sizeof(beside), "%s.new", name);
    int fd = openat(dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool is_written = fd >= 0 && write(fd, bytes, size) == (ssize_t)size && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    if (!is_written || renameat(dir, beside, dir, name) != 0 || fsync(dir) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not write \"%s\": %s", name,
                       strerror(errno));
    return SG_OK;
}

/* SG_E_NOT_FOUND when there is no latch. A damaged one fails: it must not open by itself. */
static enum sg_rc read_latch(int dir, struct latch *ret, struct sg_err *err)
{
    if (read_whole(dir, LATCH_FILE, ret, sizeof(*ret))) {
        if (memcmp(ret->magic, LATCH_MAGIC, sizeof(ret->magic)) == 0)
            return SG_OK;
    } else if (errno == ENOENT) {
        return SG_E_NOT_FOUND;
    }
    return SG_REFUSE(err, SG_R_TOKEN_PIN,
                     "could not read the PIN latch: damaged; if the PIN is right, remove "
                     "pin-latch in state_dir");
}

/* Whether the token has accepted a PIN before. A damaged note is none: that allows less. */
static bool read_accepted(int dir, struct accepted *ret)
{
    return read_whole(dir, ACCEPTED_FILE, ret, sizeof(*ret)) &&
           memcmp(ret->magic, ACCEPTED_MAGIC, sizeof(ret->magic)) == 0;
}

/* Whether it is this one, whose hash the latch has. Their salts are the same, or this PIN's is
 * younger than the note, which then is another's. */
static bool was_accepted(int dir, const struct latch *latch)
{
    struct accepted accepted;
    return read_accepted(dir, &accepted) && memcmp(accepted.salt, latch->salt, SALT_LEN) == 0 &&
           accepted.tag == latch->hash[0];
}

/* A latch for a PIN that has none, by the salt of the last accepted one if there is one. */
static enum sg_rc new_latch(int dir, struct sg_slice pin, struct latch *ret, struct sg_err *err)
{
    struct accepted accepted;

    *ret = (struct latch){0};
    memcpy(ret->magic, LATCH_MAGIC, sizeof(ret->magic));
    if (read_accepted(dir, &accepted))
        memcpy(ret->salt, accepted.salt, SALT_LEN);
    else if (RAND_bytes(ret->salt, SALT_LEN) != 1)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not draw a salt for the PIN latch");
    return hash_pin(pin, ret->salt, ret->hash, err);
}

static enum sg_rc refuse(const struct latch *latch, struct sg_err *err)
{
    unsigned long native = (unsigned long)sg_be32(latch->native) << 32 | sg_be32(latch->native + 4);
    enum sg_rc rc =
        latch->is_refused
            ? SG_REFUSE(err, SG_R_TOKEN_PIN, "could not log in: the token refused this PIN")
            : SG_REFUSE(err, SG_R_TOKEN_PIN,
                        "nobody saw how the last login with this PIN ended; if the PIN is right, "
                        "remove pin-latch in state_dir");
    if (err != NULL)
        err->native = latch->is_refused ? native : 0;
    return rc;
}

static enum sg_rc begin_in(int dir, struct sg_slice pin, struct sg_err *err)
{
    struct latch latch;
    uint8_t hash[HASH_LEN];
    enum sg_rc rc = read_latch(dir, &latch, err);

    if (rc == SG_OK) {
        SG_TRY(hash_pin(pin, latch.salt, hash, err));
        if (!sg_secret_eq(sg_slice_of(hash, HASH_LEN), sg_slice_of(latch.hash, HASH_LEN)))
            rc = SG_E_NOT_FOUND;
        else if (latch.is_refused ||
                 latch.unseen >= (was_accepted(dir, &latch) ? UNSEEN_MAX_ACCEPTED : UNSEEN_MAX))
            return refuse(&latch, err);
    }
    if (rc == SG_E_NOT_FOUND)
        rc = new_latch(dir, pin, &latch, err);
    SG_TRY(rc);
    latch.unseen++;
    return write_whole(dir, LATCH_FILE, &latch, sizeof(latch), err);
}

enum sg_rc sg_pin_begin(const char *state_dir, struct sg_slice pin, struct sg_err *err)
{
    int dir;
    SG_TRY(open_dir(state_dir, &dir, err));
    enum sg_rc rc = begin_in(dir, pin, err);
    close(dir);
    return rc;
}

static enum sg_rc remove_latch(int dir, struct sg_err *err)
{
    if ((unlinkat(dir, LATCH_FILE, 0) != 0 && errno != ENOENT) || fsync(dir) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not remove the PIN latch: %s", strerror(errno));
    return SG_OK;
}

static enum sg_rc end_in(int dir, enum sg_pin_verdict verdict, unsigned long native,
                         struct sg_err *err)
{
    struct latch latch;
    struct accepted accepted = {0};
    enum sg_rc rc = read_latch(dir, &latch, err);

    if (rc == SG_E_NOT_FOUND)
        return SG_OK; /* an operator has removed it meanwhile */
    SG_TRY(rc);
    switch (verdict) {
    case SG_PIN_VERDICT_RIGHT:
        memcpy(accepted.magic, ACCEPTED_MAGIC, sizeof(accepted.magic));
        memcpy(accepted.salt, latch.salt, SALT_LEN);
        accepted.tag = latch.hash[0];
        if (!was_accepted(dir, &latch))
            SG_TRY(write_whole(dir, ACCEPTED_FILE, &accepted, sizeof(accepted), err));
        return remove_latch(dir, err);
    case SG_PIN_VERDICT_REFUSED:
        latch.is_refused = 1;
        sg_put_be32(latch.native, (uint32_t)((uint64_t)native >> 32));
        sg_put_be32(latch.native + 4, (uint32_t)native);
        return write_whole(dir, LATCH_FILE, &latch, sizeof(latch), err);
    case SG_PIN_VERDICT_UNASKED:
        break;
    case SG_PIN_VERDICT_UNCLEAR:
        if (!was_accepted(dir, &latch))
            return SG_OK; /* it was the one try */
        break;
    case SG_PIN_VERDICT_UNSET:
    case SG_PIN_VERDICT_COUNT:
        sg_assert_failed("a try ends by a verdict", SG_WHERE);
    }
    if (latch.unseen <= 1)
        return remove_latch(dir, err);
    latch.unseen--;
    return write_whole(dir, LATCH_FILE, &latch, sizeof(latch), err);
}

enum sg_rc sg_pin_end(const char *state_dir, enum sg_pin_verdict verdict, unsigned long native,
                      struct sg_err *err)
{
    int dir;
    SG_TRY(open_dir(state_dir, &dir, err));
    enum sg_rc rc = end_in(dir, verdict, native, err);
    close(dir);
    return rc;
}
