#include "proto/grpc/call_priv.h"

#define TYPE(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

/* Every content type that is served; a response has that of its request. */
static const struct {
    struct sg_slice content_type;
    const struct sg_codec *codec;
} rows[] = {
    {TYPE("application/grpc"), &sg_codec_grpc},
    {TYPE("application/grpc+proto"), &sg_codec_grpc},
    {TYPE("application/grpc-web"), &sg_codec_web},
    {TYPE("application/grpc-web+proto"), &sg_codec_web},
    {TYPE("application/grpc-web-text"), &sg_codec_web_text},
    {TYPE("application/grpc-web-text+proto"), &sg_codec_web_text},
};

const struct sg_codec *sg_codec_find(struct sg_slice content_type, struct sg_slice *ret_response)
{
    /* Parameters after ';' are let pass. */
    const uint8_t *semicolon =
        content_type.len == 0 ? NULL : memchr(content_type.ptr, ';', content_type.len);
    if (semicolon != NULL)
        content_type.len = (size_t)(semicolon - content_type.ptr);
    while (content_type.len > 0 && content_type.ptr[content_type.len - 1] == ' ')
        content_type.len--;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        if (!sg_slice_eq(content_type, rows[i].content_type))
            continue;
        *ret_response = rows[i].content_type;
        return rows[i].codec;
    }
    return NULL;
}
