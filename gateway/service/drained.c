#include "gateway/service/drained.h"

#include <errno.h>
#include <stdio.h>

static void drain(struct sg_hsm *hsm, struct sg_slice name)
{
    for (size_t i = 0; i < sg_hsm_token_count(hsm); i++) {
        struct sg_hsm_token_info info;
        sg_hsm_token_info(hsm, i, &info);
        if (sg_slice_is(name, info.name))
            sg_hsm_drain(hsm, i);
    }
}

/* The lines of `text`, which ends with one's end. */
static void drain_all(struct sg_hsm *hsm, struct sg_slice text)
{
    const uint8_t *end;

    while (text.len > 0 && (end = memchr(text.ptr, '\n', text.len)) != NULL) {
        drain(hsm, sg_slice_take(&text, (size_t)(end - text.ptr)));
        (void)sg_slice_take(&text, 1);
    }
}

enum sg_rc sg_drained_read(const char *path, struct sg_hsm *hsm, struct sg_err *err)
{
    static char bytes[SG_DRAINED_BYTES_MAX + 1];

    FILE *file = fopen(path, "re");
    if (file == NULL && errno == ENOENT)
        return SG_OK;
    const size_t len = file == NULL ? 0 : fread(bytes, 1, sizeof(bytes), file);
    const bool is_read = file != NULL && ferror(file) == 0;
    const int failed = errno;
    if (file != NULL)
        fclose(file);
    if (!is_read)
        return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)failed,
                       "could not read which tokens are drained, \"%s\": %s", path,
                       strerror(failed));
    if (len > SG_DRAINED_BYTES_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is no list of drained tokens", path);
    drain_all(hsm, sg_slice_of((const uint8_t *)bytes, len));
    return SG_OK;
}

void sg_drained_list(const struct sg_hsm *hsm, struct sg_buf *out)
{
    for (size_t i = 0; i < sg_hsm_token_count(hsm); i++) {
        struct sg_hsm_token_info info;
        sg_hsm_token_info(hsm, i, &info);
        if (!info.is_drained)
            continue;
        sg_buf_add_slice(out, sg_slice_str(info.name));
        sg_buf_add_slice(out, SG_SLICE("\n"));
    }
}
