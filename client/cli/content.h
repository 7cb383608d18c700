#ifndef SG_CLI_CONTENT_H
#define SG_CLI_CONTENT_H

#include "client/cli/cli.h"

/*
 * What is to be signed or verified: a digest given, a file hashed while it is read, or a short
 * message as it is. The options --file, --digest, --algorithm, --hash and --message.
 */
struct sg_content {
    enum sg_digest_alg alg; /* unset: `bytes` is the message itself */
    uint8_t bytes[SG_TBS_BYTES_MAX];
    size_t len;
    const char *what; /* "README.md", "stdin", "the digest": for messages */
};

/* Whether the options alone say that the message itself is meant, or a digest. Otherwise the key's
 * type decides. */
enum sg_content_kind {
    SG_CONTENT_BY_KEY = 0,
    SG_CONTENT_DIGEST,
    SG_CONTENT_MESSAGE,
};

/* Checks the options against each other. */
enum sg_exit sg_content_kind(const struct sg_cli *cli, enum sg_content_kind *ret);
/* Reads it. `is_message` is what the options or the key said. */
enum sg_exit sg_content_read(const struct sg_cli *cli, bool is_message, struct sg_content *ret);
/* The same for a file that no option names. */
enum sg_exit sg_content_read_file(const struct sg_cli *cli, const char *path, bool is_message,
                                  struct sg_content *ret);

/* The rows of these options, for the tables of commands. */
#define SG_CONTENT_OPTIONS                                                                         \
    {"file", "FILE", "the document; - or nothing: standard input", false},                         \
        {"digest", "HEX", "a digest instead of a document", false},                                \
        {"algorithm", "ALG",                                                                       \
         "what made --digest: sha256, sha384, sha512,\nsha3-256, sha3-384, sha3-512", false},      \
        {"hash", "ALG", "how to hash the document (default sha256)", false},                       \
    {                                                                                              \
        "message", NULL,                                                                           \
            "take the document itself, unhashed: what Ed25519 keys\nsign (found out from the key " \
            "when left out)",                                                                      \
            false                                                                                  \
    }

#endif
