#include "hsm/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#define LATCH_FILE "pin-latch"
#define LATCH_MAGIC "sealgate pin latch 1\n"

enum { SALT_LEN = 16, HASH_LEN = 32, UNSEEN_MAX = 2 };

/* The file, whole. Fixed size, so a torn or foreign one is told by its length or its magic. */
struct latch {
    char magic[sizeof(LATCH_MAGIC) - 1];
    uint8_t salt[SALT_LEN];
    uint8_t hash[HASH_LEN]; /* scrypt of salt and PIN */
    uint8_t unseen;         /* tries that were begun and whose outcome nobody saw */
    uint8_t is_refused;     /* the token has said no */
    uint8_t native[8];      /* CK_RV of the refusal, big-endian */
};

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

/* SG_E_NOT_FOUND when there is no latch. A damaged one fails: it must not open by itself. */
static enum sg_rc read_latch(int dir, struct latch *ret, struct sg_err *err)
{
    int fd = openat(dir, LATCH_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return SG_E_NOT_FOUND;
    ssize_t len = fd < 0 ? -1 : read(fd, ret, sizeof(*ret));
    struct stat st;
    bool is_whole = len == (ssize_t)sizeof(*ret) && fstat(fd, &st) == 0 &&
                    st.st_size == (off_t)sizeof(*ret) &&
                    memcmp(ret->magic, LATCH_MAGIC, sizeof(ret->magic)) == 0;
    if (fd >= 0)
        close(fd);
    if (!is_whole)
        return SG_REFUSE(err, SG_R_TOKEN_PIN,
                         "could not read the PIN latch: damaged; remove it when the PIN is right");
    return SG_OK;
}

/* Durable when it returns: a new file beside the old, synced, renamed, and the folder synced. */
static enum sg_rc write_latch(int dir, const struct latch *latch, struct sg_err *err)
{
    int fd =
        openat(dir, LATCH_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool is_written =
        fd >= 0 && write(fd, latch, sizeof(*latch)) == (ssize_t)sizeof(*latch) && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    if (!is_written || renameat(dir, LATCH_FILE ".new", dir, LATCH_FILE) != 0 || fsync(dir) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not write the PIN latch: %s", strerror(errno));
    return SG_OK;
}

static enum sg_rc begin_in(int dir, struct sg_slice pin, struct sg_err *err)
{
    struct latch latch;
    uint8_t hash[HASH_LEN];
    enum sg_rc rc = read_latch(dir, &latch, err);

    if (rc == SG_OK) {
        SG_TRY(hash_pin(pin, latch.salt, hash, err));
        bool is_same = sg_secret_eq(sg_slice_of(hash, HASH_LEN), sg_slice_of(latch.hash, HASH_LEN));
        if (is_same && (latch.is_refused || latch.unseen >= UNSEEN_MAX))
            return SG_REFUSE(err, SG_R_TOKEN_PIN,
                             "could not log in: the token refused this PIN before; it is not tried "
                             "again until the PIN is changed or the latch removed");
        if (!is_same)
            rc = SG_E_NOT_FOUND;
    }
    if (rc == SG_E_NOT_FOUND) {
        latch = (struct latch){0};
        memcpy(latch.magic, LATCH_MAGIC, sizeof(latch.magic));
        if (RAND_bytes(latch.salt, SALT_LEN) != 1)
            return SG_FAIL(err, SG_E_INTERNAL, 0, "could not draw a salt for the PIN latch");
        rc = hash_pin(pin, latch.salt, latch.hash, err);
    }
    SG_TRY(rc);
    latch.unseen++;
    return write_latch(dir, &latch, err);
}

enum sg_rc sg_pin_begin(const char *state_dir, struct sg_slice pin, struct sg_err *err)
{
    int dir;
    SG_TRY(open_dir(state_dir, &dir, err));
    enum sg_rc rc = begin_in(dir, pin, err);
    close(dir);
    return rc;
}

enum sg_rc sg_pin_refused(const char *state_dir, unsigned long native, struct sg_err *err)
{
    int dir;
    struct latch latch;
    SG_TRY(open_dir(state_dir, &dir, err));
    enum sg_rc rc = read_latch(dir, &latch, err);
    if (rc == SG_OK) {
        latch.is_refused = 1;
        sg_put_be32(latch.native, (uint32_t)((uint64_t)native >> 32));
        sg_put_be32(latch.native + 4, (uint32_t)native);
        rc = write_latch(dir, &latch, err);
    }
    close(dir);
    return rc;
}

enum sg_rc sg_pin_clear(const char *state_dir, struct sg_err *err)
{
    int dir;
    enum sg_rc rc = SG_OK;
    SG_TRY(open_dir(state_dir, &dir, err));
    if ((unlinkat(dir, LATCH_FILE, 0) != 0 && errno != ENOENT) || fsync(dir) != 0)
        rc = SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not remove the PIN latch: %s",
                     strerror(errno));
    close(dir);
    return rc;
}
