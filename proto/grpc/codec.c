#include "proto/grpc/call_priv.h"

/* Every protocol that is served, in the order in which content types are compared. */
static const struct sg_codec *const codecs[] = {&sg_codec_grpc};

const struct sg_codec *sg_codec_find(struct sg_slice content_type, struct sg_slice *ret_response)
{
    for (size_t i = 0; i < SG_COUNT(codecs); i++)
        if (codecs[i]->accepts(content_type, ret_response))
            return codecs[i];
    return NULL;
}
