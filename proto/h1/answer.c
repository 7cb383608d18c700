#include "proto/h1/answer.h"

#include "proto/h1/head_priv.h"

enum { CONTINUE = 100, OK = 200, NO_CONTENT = 204, NOT_MODIFIED = 304, SWITCHING = 101 };

static enum sg_rc malformed(struct sg_err *err, const char *what)
{
    return SG_FAIL(err, SG_E_INVALID, 0, "the server's answer is no HTTP/1.1: %s", what);
}

void sg_h1_answer_init(struct sg_h1_answer *answer, size_t head_bytes_max, size_t body_bytes_max)
{
    *answer = (struct sg_h1_answer){.head_bytes_max = head_bytes_max};
    sg_buf_init(&answer->head, head_bytes_max + 1);
    sg_buf_init(&answer->body, body_bytes_max);
}

void sg_h1_answer_done(struct sg_h1_answer *answer)
{
    sg_buf_done(&answer->head);
    sg_buf_done(&answer->body);
}

/* The head ----------------------------------------------------------------------------------- */

/* HTTP/1.1 SP 3DIGIT SP, and words that mean nothing. Some servers leave out the last space. */
static bool parse_status(struct sg_slice line, unsigned *ret)
{
    if (!sg_slice_starts(line, SG_SLICE("HTTP/1.1 ")))
        return false;
    (void)sg_slice_take(&line, 9);
    if (line.len < 3 || (line.len > 3 && line.ptr[3] != ' '))
        return false;
    *ret = 0;
    for (size_t i = 0; i < 3; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return false;
        *ret = 10 * *ret + (unsigned)(line.ptr[i] - '0');
    }
    return *ret >= CONTINUE && *ret < 600;
}

/* RFC 9112 §6.3: what tells how long the body is. */
static enum sg_rc take_field(struct sg_h1_answer *answer, const struct sg_h1_field *field,
                             struct sg_err *err)
{
    if (sg_slice_is(field->name, "content-length")) {
        if (answer->has_length || !sg_h1_length_parse(field->value, &answer->left))
            return malformed(err, "content-length is not one number");
        answer->has_length = true;
    } else if (sg_slice_is(field->name, "transfer-encoding")) {
        if (answer->is_chunked || !sg_h1_is_word(field->value, "chunked"))
            return malformed(err, "transfer-encoding may be chunked only");
        answer->is_chunked = true;
    } else if (sg_slice_is(field->name, "content-encoding") &&
               !sg_h1_is_word(field->value, "identity")) {
        return malformed(err, "it is coded, though nothing else was asked for");
    }
    return SG_OK;
}

static enum sg_rc parse_head(struct sg_h1_answer *answer, size_t len, struct sg_err *err)
{
    uint8_t *bytes = answer->head.ptr;

    answer->has_length = answer->is_chunked = false;
    for (size_t at = 0, next; at < len; at = next) {
        const uint8_t *lf = memchr(bytes + at, '\n', len - at);
        SG_ASSERT(lf != NULL); /* sg_h1_head_find() saw to it */
        next = (size_t)(lf - bytes) + 1;
        const size_t line_len = next - at - 2;
        struct sg_h1_field field;
        if (at == 0) {
            if (!parse_status(sg_slice_of(bytes, line_len), &answer->status))
                return malformed(err, "it does not begin with a status");
        } else if (line_len > 0) {
            SG_TRY(sg_h1_field_parse(bytes + at, line_len, &field, err));
            SG_TRY(take_field(answer, &field, err));
        }
    }
    if (answer->has_length && answer->is_chunked)
        return malformed(err, "content-length beside transfer-encoding");
    return SG_OK;
}

/* The body ----------------------------------------------------------------------------------- */

static enum sg_rc add_body(struct sg_h1_answer *answer, struct sg_slice bytes, struct sg_err *err)
{
    if (bytes.len > answer->body.max - answer->body.len)
        return SG_FAIL(err, SG_E_LIMIT, 0, "the server's answer is over %zu bytes long",
                       answer->body.max);
    sg_buf_add_slice(&answer->body, bytes);
    return sg_buf_check(&answer->body, err);
}

static enum sg_rc take_chunks(struct sg_h1_answer *answer, struct sg_slice bytes,
                              struct sg_err *err)
{
    struct sg_slice part;

    while (bytes.len > 0 && answer->chunks.state != SG_H1_CHUNKS_END) {
        SG_TRY(sg_h1_chunks_next(&answer->chunks, &bytes, &part, err));
        SG_TRY(add_body(answer, part, err));
    }
    return answer->chunks.state == SG_H1_CHUNKS_END ? SG_OK : SG_E_AGAIN;
}

static enum sg_rc take_body(struct sg_h1_answer *answer, struct sg_slice bytes, struct sg_err *err)
{
    if (answer->is_chunked)
        return take_chunks(answer, bytes, err);
    if (!answer->has_length) {
        SG_TRY(add_body(answer, bytes, err));
        return SG_E_AGAIN;
    }
    if (answer->left > answer->body.max - answer->body.len)
        return SG_FAIL(err, SG_E_LIMIT, 0, "the server's answer is over %zu bytes long",
                       answer->body.max);
    const size_t len = bytes.len < answer->left ? bytes.len : (size_t)answer->left;
    SG_TRY(add_body(answer, sg_slice_take(&bytes, len), err));
    answer->left -= len;
    return answer->left == 0 ? SG_OK : SG_E_AGAIN;
}

static bool has_no_body(const struct sg_h1_answer *answer)
{
    return answer->status == NO_CONTENT || answer->status == NOT_MODIFIED;
}

/* Up to the first head that is no 1xx; what is behind it stays in `head`. */
static enum sg_rc take_head(struct sg_h1_answer *answer, size_t *ret_len, struct sg_err *err)
{
    for (;;) {
        SG_TRY(sg_h1_head_find(sg_buf_slice(&answer->head), answer->head_bytes_max,
                               &answer->head_at, ret_len, err));
        SG_TRY(parse_head(answer, *ret_len, err));
        if (answer->status >= OK)
            return SG_OK;
        if (answer->status == SWITCHING)
            return malformed(err, "it switches to a protocol that was not asked for");
        sg_buf_drop(&answer->head, *ret_len);
        answer->head_at = 0;
        answer->status = 0;
    }
}

/* The whole ---------------------------------------------------------------------------------- */

static enum sg_rc feed(struct sg_h1_answer *answer, struct sg_slice bytes, struct sg_err *err)
{
    size_t len = 0;

    if (answer->state == SG_H1_ANSWER_BODY)
        return take_body(answer, bytes, err);
    /* A head's bytes and perhaps more: as many as a head may have are kept, the others follow. */
    while (bytes.len > 0) {
        const size_t room = answer->head.max - answer->head.len;
        const size_t part = bytes.len < room ? bytes.len : room;
        sg_buf_add_slice(&answer->head, sg_slice_take(&bytes, part));
        SG_TRY(sg_buf_check(&answer->head, err));
        enum sg_rc rc = take_head(answer, &len, err);
        if (rc == SG_E_AGAIN)
            continue;
        SG_TRY(rc);
        answer->state = SG_H1_ANSWER_BODY;
        if (has_no_body(answer))
            return SG_OK;
        rc = take_body(answer, sg_slice_of(answer->head.ptr + len, answer->head.len - len), err);
        return rc == SG_E_AGAIN ? take_body(answer, bytes, err) : rc;
    }
    return SG_E_AGAIN;
}

enum sg_rc sg_h1_answer_feed(struct sg_h1_answer *answer, struct sg_slice bytes, struct sg_err *err)
{
    if (answer->state == SG_H1_ANSWER_WHOLE)
        return SG_OK;
    enum sg_rc rc = feed(answer, bytes, err);
    if (rc == SG_OK)
        answer->state = SG_H1_ANSWER_WHOLE;
    return rc;
}

enum sg_rc sg_h1_answer_end(struct sg_h1_answer *answer, struct sg_err *err)
{
    if (answer->state == SG_H1_ANSWER_BODY && !answer->has_length && !answer->is_chunked)
        answer->state = SG_H1_ANSWER_WHOLE;
    return answer->state == SG_H1_ANSWER_WHOLE ? SG_OK : malformed(err, "it ends before its end");
}
