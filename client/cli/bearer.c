#include "client/cli/bearer.h"

#include <stdlib.h>

#include "base/secret.h"

enum { TOKEN_LEN_MAX = 4096 };

static const char scheme[] = "Bearer ";

struct sg_bearer_file {
    struct sg_secret *token;
};

/* What can stand in a header, and would not be taken for two values there. */
static bool is_token(struct sg_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    return true;
}

enum sg_rc sg_bearer_file_read(const char *path, struct sg_bearer_file **ret, struct sg_err *err)
{
    struct sg_secret *token = NULL;

    SG_TRY(sg_secret_read_file(path, TOKEN_LEN_MAX, &token, err));
    struct sg_bearer_file *file = malloc(sizeof(*file));
    if (file == NULL || !is_token(sg_secret_bytes(token))) {
        sg_secret_free(token);
        enum sg_rc rc = file == NULL ? SG_E_INTERNAL : SG_E_INVALID;
        free(file);
        return SG_FAIL(err, rc, 0, "could not use \"%s\": %s", path,
                       rc == SG_E_INTERNAL ? "out of memory" : "it is not one line with a token");
    }
    file->token = token;
    *ret = file;
    return SG_OK;
}

void sg_bearer_file_free(struct sg_bearer_file *file)
{
    if (file == NULL)
        return;
    sg_secret_free(file->token);
    free(file);
}

enum sealgate_code sg_bearer_file_authorize(void *user, char *value, size_t room)
{
    const struct sg_bearer_file *file = user;
    const struct sg_slice token = sg_secret_bytes(file->token);

    if (room < sizeof(scheme) + token.len)
        return SEALGATE_UNAUTHENTICATED;
    memcpy(value, scheme, sizeof(scheme) - 1);
    memcpy(value + sizeof(scheme) - 1, token.ptr, token.len);
    value[sizeof(scheme) - 1 + token.len] = '\0';
    return SEALGATE_OK;
}
