#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/secret.h"
#include "client/cli/cli.h"
#include "client/cli/text.h"
#include "formats/raw/digest.h"

static const struct sg_option options[] = {
    {"out", "FILE", "the file to make; what is there is not replaced", false},
    {0},
};

enum { RANDOM_LEN = 32, TEXT_MAX = 64, SHA256_LEN = 32 };

/* Only for its owner, and never over another: the token that was there may be in use. */
static bool write_token(const char *path, struct sg_slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool is_written = write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    int reason = errno;
    if (close(fd) != 0 && is_written) {
        is_written = false;
        reason = errno;
    }
    if (!is_written)
        (void)unlink(path); /* half a token is none */
    errno = reason;
    return is_written;
}

/* A token into `path`, and its hash. */
static enum sg_exit make(const struct sg_cli *cli, const char *path, uint8_t sha256[SHA256_LEN])
{
    uint8_t random[RANDOM_LEN], room[TEXT_MAX];
    /* Over memory of ours, which is wiped. */
    struct sg_buf text = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};
    enum sg_exit code = SG_EXIT_OK;

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "NO_RANDOM_BYTES",
                           "could not get random bytes: %s", strerror(errno));
    sg_base64_encode(sg_slice_of(random, sizeof(random)), SG_BASE64_URL, SG_BASE64_UNPADDED, &text);
    if (sg_digest_of(SG_DIGEST_SHA256, sg_buf_slice(&text), sha256, NULL) != SG_OK)
        code = sg_cli_fail(cli, SG_EXIT_INTERNAL, "NO_SHA256", "could not hash the token");
    sg_buf_add_u8(&text, '\n');
    if (code == SG_EXIT_OK && !write_token(path, sg_buf_slice(&text)))
        code = sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_WRITTEN", "could not make %s: %s", path,
                           strerror(errno));
    sg_wipe(random, sizeof(random));
    sg_wipe(room, sizeof(room));
    return code;
}

static enum sg_exit run(struct sg_cli *cli)
{
    const char *path = sg_args_get(&cli->args, "out");
    uint8_t sha256[SHA256_LEN];
    struct sg_slice hash = sg_slice_of(sha256, sizeof(sha256));
    struct sg_buf out;

    if (path == NULL)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--out FILE is missing");
    enum sg_exit code = make(cli, path, sha256);
    if (code != SG_EXIT_OK)
        return code;
    sg_buf_init(&out, 1024);
    if (cli->is_json) {
        struct sg_json json = sg_json_of(&out);
        sg_json_begin_object(&json, NULL);
        sg_json_hex(&json, "token_sha256", hash);
        sg_json_end(&json);
        return sg_cli_print_json(cli, &out, SG_EXIT_OK);
    }
    sg_cli_hex(hash, &out);
    (void)printf("token_sha256: [%.*s]\n", (int)out.len, (const char *)out.ptr);
    sg_buf_done(&out);
    return sg_cli_flush(cli, SG_EXIT_OK);
}

const struct sg_command sg_cmd_token_new = {
    .group = "token",
    .name = "new",
    .synopsis = "--out FILE",
    .summary = "make a bearer token, and print the hash that the gateway knows it by",
    .text = "Writes 32 random bytes in base64url to FILE, readable by its owner only, for\n"
            "--token-file; and prints the line that the gateway's configuration wants under\n"
            "the caller. The gateway never learns the token before it is shown.\n",
    .options = options,
    .is_local = true,
    .run = run,
};
