#include "proto/grpc/web_text.h"

#include "base/base64.h"

enum { GROUP = 4 };

/* Whole groups of four, in which a segment may end anywhere. */
static enum sg_rc decode_groups(struct sg_slice groups, struct sg_buf *out, struct sg_err *err)
{
    while (groups.len > 0) {
        /* A segment ends with the group that has padding. */
        const uint8_t *pad = memchr(groups.ptr, '=', groups.len);
        size_t len = pad == NULL ? groups.len : ((size_t)(pad - groups.ptr) / GROUP + 1) * GROUP;
        enum sg_rc rc = sg_base64_decode(sg_slice_take(&groups, len), SG_BASE64_STD,
                                         SG_BASE64_PADDED, out, err);
        if (rc == SG_E_INVALID)
            return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the body is not base64");
        SG_TRY(rc);
    }
    return SG_OK;
}

enum sg_rc sg_web_text_decode(struct sg_web_text *state, struct sg_slice text, struct sg_buf *out,
                              struct sg_err *err)
{
    while (state->carry_len > 0 && state->carry_len < GROUP && text.len > 0)
        state->carry[state->carry_len++] = sg_slice_take(&text, 1).ptr[0];
    if (state->carry_len == GROUP) {
        state->carry_len = 0;
        SG_TRY(decode_groups(sg_slice_of(state->carry, GROUP), out, err));
    }
    SG_TRY(decode_groups(sg_slice_take(&text, text.len - text.len % GROUP), out, err));
    while (text.len > 0)
        state->carry[state->carry_len++] = sg_slice_take(&text, 1).ptr[0];
    return SG_OK;
}

bool sg_web_text_is_between(const struct sg_web_text *state)
{
    return state->carry_len == 0;
}
