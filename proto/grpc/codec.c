#include "proto/grpc/call_priv.h"

#define TYPE(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

/* Every content type that is served; a response has that of its request. */
static const struct {
    struct sg_slice content_type;
    const struct sg_codec *codec;
    bool is_json;
} rows[] = {
    {TYPE("application/grpc"), &sg_codec_grpc, false},
    {TYPE("application/grpc+proto"), &sg_codec_grpc, false},
    {TYPE("application/grpc+json"), &sg_codec_grpc, true},
    {TYPE("application/grpc-web"), &sg_codec_web, false},
    {TYPE("application/grpc-web+proto"), &sg_codec_web, false},
    {TYPE("application/grpc-web+json"), &sg_codec_web, true},
    {TYPE("application/grpc-web-text"), &sg_codec_web_text, false},
    {TYPE("application/grpc-web-text+proto"), &sg_codec_web_text, false},
    {TYPE("application/proto"), &sg_codec_connect, false},
    {TYPE("application/json"), &sg_codec_connect, true},
    {TYPE("application/connect+proto"), &sg_codec_connect_stream, false},
    {TYPE("application/connect+json"), &sg_codec_connect_stream, true},
};

struct sg_slice sg_codec_types(void)
{
    return SG_SLICE("application/grpc, application/grpc+proto, application/grpc+json, "
                    "application/grpc-web, application/grpc-web+proto, application/grpc-web+json, "
                    "application/grpc-web-text, application/grpc-web-text+proto, "
                    "application/proto, application/json, "
                    "application/connect+proto, application/connect+json");
}

bool sg_codec_choose(struct sg_call *call, struct sg_slice content_type)
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
        call->codec = rows[i].codec;
        call->content_type = rows[i].content_type;
        call->is_json = rows[i].is_json;
        return true;
    }
    return false;
}
