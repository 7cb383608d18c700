/* Signs the SHA-256 digest on the command line (64 hex digits) and prints the signature in hex. */
#include <sealgate.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct sealgate_options options = {
        .endpoint = getenv("SEALGATE_ENDPOINT"),
        .ca_file = getenv("SEALGATE_CA"),
        .cert_file = getenv("SEALGATE_CERT"),
        .key_file = getenv("SEALGATE_KEY"),
    };
    struct sealgate_client *client = NULL;
    struct sealgate_signature *signature = NULL;
    struct sealgate_error error;
    unsigned char digest[32] = {0};

    for (size_t i = 0; i < sizeof(digest); i++)
        if (argc != 2 || sscanf(argv[1] + 2 * i, "%2hhx", &digest[i]) != 1)
            return fputs("usage: sign DIGEST\n", stderr), 2;

    struct sealgate_sign_request request = {.key = "keys/dev-p256",
                                            .digest = SEALGATE_DIGEST_SHA256,
                                            .content = {digest, sizeof(digest)}};

    if (sealgate_client_new(&options, &client, &error) != SEALGATE_OK ||
        sealgate_sign(client, &request, 0, &signature, &error) != SEALGATE_OK) {
        fprintf(stderr, "%s: %s\n%s\n", error.reason, error.message, error.next);
    } else {
        for (size_t i = 0; i < signature->signature.len; i++)
            printf("%02x", signature->signature.ptr[i]);
        printf("\n");
    }
    int failed = signature == NULL;
    sealgate_free(signature);
    sealgate_client_free(client);
    return failed;
}
