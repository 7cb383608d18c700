#include "proto/h1/head_priv.h"

#define REFUSE(err, ...) SG_REFUSE((err), SG_R_MALFORMED_REQUEST, __VA_ARGS__)

enum sg_rc sg_h1_head_find(struct sg_slice bytes, size_t bytes_max, size_t *at, size_t *ret_len,
                           struct sg_err *err)
{
    while (*at < bytes.len) {
        const uint8_t *lf = memchr(bytes.ptr + *at, '\n', bytes.len - *at);
        if (lf == NULL) {
            *at = bytes.len;
            break;
        }
        size_t end = (size_t)(lf - bytes.ptr) + 1;
        if (end < 2 || bytes.ptr[end - 2] != '\r')
            return REFUSE(err, "a line of the head does not end with CR and LF");
        *at = end;
        if (end > bytes_max)
            break;
        if (end >= 4 && bytes.ptr[end - 3] == '\n') {
            *ret_len = end;
            return SG_OK;
        }
    }
    if (bytes.len > bytes_max)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "headers are over the limit of %zu bytes",
                         bytes_max);
    return SG_E_AGAIN;
}

/* RFC 9110 §5.6.2 */
static bool is_token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct sg_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_token_char(text.ptr[i]))
            return false;
    return text.len > 0;
}

/* Up to `end`, which is cut off too; false when it is not there. */
static bool take_until(struct sg_slice *in, uint8_t end, struct sg_slice *ret)
{
    const uint8_t *found = in->len == 0 ? NULL : memchr(in->ptr, end, in->len);
    if (found == NULL)
        return false;
    *ret = sg_slice_take(in, (size_t)(found - in->ptr));
    (void)sg_slice_take(in, 1);
    return true;
}

/* Equal but for the case of ASCII letters; `word` is in lower case. */
bool sg_h1_is_word(struct sg_slice text, const char *word)
{
    if (text.len != strlen(word))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c) != (uint8_t)word[i])
            return false;
    }
    return true;
}

static bool has_only(struct sg_slice text, const char *others, bool letters_too)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.ptr[i], lower = (uint8_t)(c | 0x20);
        const bool is_alnum =
            (c >= '0' && c <= '9') || (letters_too && lower >= 'a' && lower <= 'z');
        if (!is_alnum && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

/*
 * host [":" port] (RFC 3986 §3.2), of which https must have the host (RFC 9110 §4.2.2). Userinfo is
 * refused as that clause wants it, and so is "%", which no name in the DNS has.
 */
static bool is_authority(struct sg_slice text)
{
    enum { PORT_DIGITS_MAX = 5 };
    size_t port = text.len;

    while (port > 0 && text.ptr[port - 1] >= '0' && text.ptr[port - 1] <= '9')
        port--;
    if (port > 0 && text.ptr[port - 1] == ':') {
        if (text.len - port > PORT_DIGITS_MAX)
            return false;
        text.len = port - 1;
    }
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        return has_only(sg_slice_of(text.ptr + 1, text.len - 2), ":.abcdefABCDEF", false);
    return text.len > 0 && has_only(text, "-._~!$&'()*+,;=", true);
}

/*
 * RFC 9112 §3.2.2: a URL in the place of the path, as proxies are sent it, is to be taken. Leaves
 * the path in `*target`, a "/" where the URL has none, and in `*ret_authority` what is then taken
 * for the Host. `target` is part of the head, which may be written to.
 */
static enum sg_rc split_url(struct sg_slice *target, uint8_t *at, struct sg_slice *ret_authority,
                            struct sg_err *err)
{
    static const char scheme[] = "https://"; /* nothing is served without TLS */
    const size_t begin = sizeof(scheme) - 1;
    size_t end = begin;

    if (target->len < begin || !sg_h1_is_word(sg_slice_of(at, begin), scheme))
        return REFUSE(err, "the request's target is no path, and no URL of https");
    while (end < target->len && at[end] != '/' && at[end] != '?')
        end++;
    *ret_authority = sg_slice_of(at + begin, end - begin);
    if (!is_authority(*ret_authority))
        return REFUSE(err, "the URL that the request's target is has no proper host");
    if (end == target->len || at[end] == '?') { /* room for the "/" is in front of the host */
        memmove(at + begin - 1, at + begin, end - begin);
        ret_authority->ptr--;
        at[--end] = '/';
    }
    *target = sg_slice_of(at + end, target->len - end);
    return SG_OK;
}

/* *ret_authority: what the target says of the host, {0} when it is a path. */
static enum sg_rc parse_request_line(uint8_t *bytes, size_t len, struct sg_h1_head *head,
                                     struct sg_slice *ret_authority, struct sg_err *err)
{
    struct sg_slice line = sg_slice_of(bytes, len);

    *ret_authority = (struct sg_slice){0};
    if (!take_until(&line, ' ', &head->method) || !is_token(head->method))
        return REFUSE(err, "the request has no method");
    if (!take_until(&line, ' ', &head->target) || head->target.len == 0)
        return REFUSE(err, "the request's target is no path");
    for (size_t i = 0; i < head->target.len; i++)
        if (head->target.ptr[i] <= ' ' || head->target.ptr[i] >= 0x7F || head->target.ptr[i] == '#')
            return REFUSE(err, "the request's target has a character that none may have");
    if (head->target.ptr[0] != '/')
        SG_TRY(split_url(&head->target, bytes + head->method.len + 1, ret_authority, err));
    if (!sg_slice_is(line, "HTTP/1.1"))
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0, "HTTP/1.1 and HTTP/2 are served");
    return SG_OK;
}

static struct sg_slice trim(struct sg_slice text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        (void)sg_slice_take(&text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static bool has_word(struct sg_slice list, const char *word)
{
    while (list.len > 0) {
        struct sg_slice item;
        if (!take_until(&list, ',', &item))
            item = sg_slice_take(&list, list.len);
        if (sg_h1_is_word(trim(item), word))
            return true;
    }
    return false;
}

bool sg_h1_length_parse(struct sg_slice text, uint64_t *ret)
{
    enum { DIGITS_MAX = 15 };
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = 10 * value + (uint64_t)(text.ptr[i] - '0');
        if (i >= DIGITS_MAX)
            return false;
    }
    *ret = value;
    return text.len > 0;
}

/* What has been seen of the fields that may come once. */
struct seen {
    bool host, length, coding, expect;
};

/* A field that speaks of the connection and not of the request: taken here, not handed on. */
static enum sg_rc take_own(struct sg_h1_head *head, const struct sg_h1_field *field,
                           struct seen *seen, bool *ret_is_own, struct sg_err *err)
{
    static const char *const dropped[] = {"connection", "keep-alive",     "proxy-connection",
                                          "upgrade",    "http2-settings", "te"};
    *ret_is_own = true;
    if (sg_slice_is(field->name, "host")) {
        if (seen->host || field->value.len == 0)
            return REFUSE(err, "the request must have one host");
        seen->host = true;
        head->host = field->value;
        return SG_OK;
    }
    if (sg_slice_is(field->name, "content-length")) {
        if (seen->length || !sg_h1_length_parse(field->value, &head->content_length))
            return REFUSE(err, "content-length is not one number");
        seen->length = true;
        return SG_OK;
    }
    if (sg_slice_is(field->name, "transfer-encoding")) {
        if (seen->coding || !sg_h1_is_word(field->value, "chunked"))
            return REFUSE(err, "transfer-encoding may be chunked only");
        seen->coding = head->is_chunked = true;
        return SG_OK;
    }
    if (sg_slice_is(field->name, "expect")) {
        if (seen->expect || !sg_h1_is_word(field->value, "100-continue"))
            return REFUSE(err, "expect may be 100-continue only");
        seen->expect = head->wants_continue = true;
        return SG_OK;
    }
    if (sg_slice_is(field->name, "connection") && has_word(field->value, "close"))
        head->wants_close = true;
    for (size_t i = 0; i < SG_COUNT(dropped); i++)
        if (sg_slice_is(field->name, dropped[i]))
            return SG_OK;
    *ret_is_own = false;
    return SG_OK;
}

enum sg_rc sg_h1_field_parse(uint8_t *line, size_t len, struct sg_h1_field *ret, struct sg_err *err)
{
    size_t name_len = 0;
    for (; name_len < len && is_token_char(line[name_len]); name_len++)
        if (line[name_len] >= 'A' && line[name_len] <= 'Z')
            line[name_len] = (uint8_t)(line[name_len] - 'A' + 'a');
    if (name_len == 0 || name_len == len || line[name_len] != ':')
        return REFUSE(err, "a field's name is none, or has no colon behind it");
    ret->name = sg_slice_of(line, name_len);
    ret->value = trim(sg_slice_of(line + name_len + 1, len - name_len - 1));
    for (size_t i = 0; i < ret->value.len; i++)
        if ((ret->value.ptr[i] < ' ' && ret->value.ptr[i] != '\t') || ret->value.ptr[i] == 0x7F)
            return REFUSE(err, "a field has a control character");
    return SG_OK;
}

enum sg_rc sg_h1_head_parse(uint8_t *bytes, size_t len, struct sg_h1_head *ret, struct sg_err *err)
{
    struct seen seen = {0};
    struct sg_slice authority;
    size_t at = 0;
    ret->field_count = 0;
    ret->content_length = 0;
    ret->is_chunked = ret->wants_close = ret->wants_continue = false;
    ret->method = ret->target = ret->host = (struct sg_slice){0};

    for (bool is_first = true; at < len; is_first = false) {
        uint8_t *lf = memchr(bytes + at, '\n', len - at);
        SG_ASSERT(lf != NULL && lf > bytes + at); /* sg_h1_head_find() saw to it */
        uint8_t *line = bytes + at;
        size_t line_len = (size_t)(lf - line) - 1;
        at += line_len + 2;
        if (is_first) {
            SG_TRY(parse_request_line(line, line_len, ret, &authority, err));
            continue;
        }
        if (line_len == 0)
            break;
        struct sg_h1_field field;
        bool is_own;
        SG_TRY(sg_h1_field_parse(line, line_len, &field, err));
        SG_TRY(take_own(ret, &field, &seen, &is_own, err));
        if (is_own)
            continue;
        if (ret->field_count == SG_H1_FIELDS_MAX)
            return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "more than %d headers", SG_H1_FIELDS_MAX);
        ret->fields[ret->field_count++] = field;
    }
    if (!seen.host)
        return REFUSE(err, "the request must have one host");
    if (seen.length && seen.coding)
        return REFUSE(err, "content-length beside transfer-encoding");
    if (authority.len > 0)
        ret->host = authority;
    return SG_OK;
}

/* --- chunks --- */

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* One byte outside of the data. */
static bool step(struct sg_h1_chunks *chunks, uint8_t c)
{
    enum { DIGITS_MAX = 8 };
    switch (chunks->state) {
    case SG_H1_SIZE:
        if (c == '\r' && chunks->digits > 0) {
            chunks->state = SG_H1_SIZE_LF;
            return true;
        }
        if (hex(c) < 0 || chunks->digits == DIGITS_MAX)
            return false;
        chunks->left = chunks->left << 4 | (unsigned)hex(c);
        chunks->digits++;
        return true;
    case SG_H1_SIZE_LF:
        chunks->state = chunks->left > 0 ? SG_H1_DATA : SG_H1_LAST_CR;
        return c == '\n';
    case SG_H1_CR:
        chunks->state = SG_H1_LF;
        return c == '\r';
    case SG_H1_LF:
        chunks->state = SG_H1_SIZE;
        chunks->digits = 0;
        return c == '\n';
    case SG_H1_LAST_CR:
        chunks->state = SG_H1_LAST_LF;
        return c == '\r';
    case SG_H1_LAST_LF:
        chunks->state = SG_H1_CHUNKS_END;
        return c == '\n';
    case SG_H1_DATA:
    case SG_H1_CHUNKS_END:
        break;
    }
    return false;
}

enum sg_rc sg_h1_chunks_next(struct sg_h1_chunks *chunks, struct sg_slice *in, struct sg_slice *ret,
                             struct sg_err *err)
{
    *ret = (struct sg_slice){0};
    while (in->len > 0 && chunks->state != SG_H1_CHUNKS_END) {
        if (chunks->state == SG_H1_DATA) {
            *ret = sg_slice_take(in, in->len < chunks->left ? in->len : (size_t)chunks->left);
            chunks->left -= ret->len;
            if (chunks->left == 0)
                chunks->state = SG_H1_CR;
            return SG_OK;
        }
        if (!step(chunks, sg_slice_take(in, 1).ptr[0]))
            return REFUSE(err, "the body is not chunked as it should be");
    }
    return SG_OK;
}
