#include "client/cli/content.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "client/cli/text.h"
#include "formats/raw/hash.h"

enum sg_exit sg_content_kind(const struct sg_cli *cli, enum sg_content_kind *ret)
{
    const struct sg_args *args = &cli->args;
    const char *scheme = sg_args_get(args, "scheme");
    bool is_message = sg_args_has(args, "message"), has_digest = sg_args_has(args, "digest");

    if (has_digest && (is_message || sg_args_has(args, "file") || sg_args_has(args, "hash")))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--digest stands instead of --file, --hash and --message");
    if (has_digest != sg_args_has(args, "algorithm"))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--digest and --algorithm go together");
    if (is_message && sg_args_has(args, "hash"))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--message is not hashed, so --hash says nothing");
    if (scheme != NULL && sg_scheme_find(scheme) == SG_SCHEME_UNSET)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--scheme is one of rsa-pkcs1, rsa-pss, ecdsa, ed25519");

    *ret = SG_CONTENT_BY_KEY;
    if (has_digest || sg_args_has(args, "hash"))
        *ret = SG_CONTENT_DIGEST;
    else if (is_message)
        *ret = SG_CONTENT_MESSAGE;
    else if (scheme != NULL)
        *ret = sg_scheme_find(scheme) == SG_SCHEME_ED25519 ? SG_CONTENT_MESSAGE : SG_CONTENT_DIGEST;
    return SG_EXIT_OK;
}

/* Hands the file over in pieces. `take` says SG_E_LIMIT to stop. */
static enum sg_exit
read_pieces(const struct sg_cli *cli, const char *path, struct sg_content *ret,
            enum sg_rc (*take)(void *arg, struct sg_slice piece, struct sg_err *err), void *arg)
{
    static uint8_t piece[256 << 10];
    bool is_stdin = path == NULL || strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum sg_exit code = SG_EXIT_OK;
    ssize_t len = fd < 0 ? -1 : 1;
    struct sg_err err;

    ret->what = is_stdin ? "standard input" : path;
    while (code == SG_EXIT_OK && len > 0) {
        len = read(fd, piece, sizeof(piece));
        if (len < 0 && errno == EINTR)
            len = 1;
        else if (len > 0 && take(arg, sg_slice_of(piece, (size_t)len), &err) != SG_OK)
            code = err.rc == SG_E_LIMIT
                       ? sg_cli_fail(cli, SG_EXIT_REFUSED, "MESSAGE_TOO_LARGE", "%s", err.msg)
                       : sg_cli_fail(cli, SG_EXIT_INTERNAL, "HASH_FAILED", "%s", err.msg);
    }
    if (code == SG_EXIT_OK && len < 0)
        code = sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_READ", "could not read %s: %s", ret->what,
                           strerror(errno));
    if (!is_stdin && fd >= 0)
        (void)close(fd); /* read only: nothing can be lost */
    return code;
}

static enum sg_rc take_into_hash(void *arg, struct sg_slice piece, struct sg_err *err)
{
    return sg_hash_add(arg, piece, err);
}

static enum sg_rc take_into_message(void *arg, struct sg_slice piece, struct sg_err *err)
{
    struct sg_content *content = arg;

    if (piece.len > sizeof(content->bytes) - content->len)
        return SG_FAIL(err, SG_E_LIMIT, 0,
                       "%.100s is over %zu bytes: Ed25519 keys sign the message itself, and the "
                       "gateway takes no longer one",
                       content->what, sizeof(content->bytes));
    memcpy(content->bytes + content->len, piece.ptr, piece.len);
    content->len += piece.len;
    return SG_OK;
}

static enum sg_exit read_hashed(const struct sg_cli *cli, const char *path, struct sg_content *ret)
{
    SG_AUTO(sg_hash_free) struct sg_hash *hash = NULL;
    const char *name = sg_args_get(&cli->args, "hash");
    struct sg_err err;
    enum sg_exit code;

    ret->alg = sg_digest_find(name == NULL ? "sha256" : name);
    if (ret->alg == SG_DIGEST_UNSET)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--hash is one of sha256, sha384, sha512, sha3-256, sha3-384, sha3-512");
    if (sg_hash_new(ret->alg, &hash, &err) != SG_OK)
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "HASH_FAILED", "%s", err.msg);
    code = read_pieces(cli, path, ret, take_into_hash, hash);
    if (code != SG_EXIT_OK)
        return code;
    if (sg_hash_finish(hash, ret->bytes, &err) != SG_OK)
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "HASH_FAILED", "%s", err.msg);
    ret->len = sg_digest_len(ret->alg);
    return SG_EXIT_OK;
}

static enum sg_exit take_digest(const struct sg_cli *cli, struct sg_content *ret)
{
    struct sg_buf digest;
    struct sg_err err;
    enum sg_exit code = SG_EXIT_OK;

    ret->what = "the digest";
    ret->alg = sg_digest_find(sg_args_get(&cli->args, "algorithm"));
    if (ret->alg == SG_DIGEST_UNSET)
        return sg_cli_fail(
            cli, SG_EXIT_USAGE, "BAD_OPTIONS",
            "--algorithm is one of sha256, sha384, sha512, sha3-256, sha3-384, sha3-512");
    sg_buf_init(&digest, SG_TBS_BYTES_MAX);
    if (sg_cli_unhex(sg_args_get(&cli->args, "digest"), &digest, &err) != SG_OK)
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "%s", err.msg);
    else if (digest.len != sg_digest_len(ret->alg))
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "DIGEST_LENGTH",
                           "--digest has %zu bytes, and %s makes %zu", digest.len,
                           sg_digest_name(ret->alg), sg_digest_len(ret->alg));
    if (code == SG_EXIT_OK) {
        memcpy(ret->bytes, digest.ptr, digest.len);
        ret->len = digest.len;
    }
    sg_buf_done(&digest);
    return code;
}

enum sg_exit sg_content_read(const struct sg_cli *cli, bool is_message, struct sg_content *ret)
{
    *ret = (struct sg_content){0};
    if (sg_args_has(&cli->args, "digest"))
        return take_digest(cli, ret);
    return sg_content_read_file(cli, sg_args_get(&cli->args, "file"), is_message, ret);
}

enum sg_exit sg_content_read_file(const struct sg_cli *cli, const char *path, bool is_message,
                                  struct sg_content *ret)
{
    *ret = (struct sg_content){0};
    if (!is_message)
        return read_hashed(cli, path, ret);
    return read_pieces(cli, path, ret, take_into_message, ret);
}
