#include <stdlib.h>

#include "proto/h1/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX = 4096 };

static void put(struct sg_h1_field field, uint8_t *to, size_t *len)
{
    memcpy(to + *len, field.name.ptr, field.name.len);
    *len += field.name.len;
    to[(*len)++] = ':';
    if (field.value.len > 0)
        memcpy(to + *len, field.value.ptr, field.value.len);
    *len += field.value.len;
    to[(*len)++] = '\r';
    to[(*len)++] = '\n';
}

static void put_text(struct sg_slice text, uint8_t *to, size_t *len)
{
    memcpy(to + *len, text.ptr, text.len);
    *len += text.len;
}

/* What was read, written as plainly as can be, is read as the same. */
static void check_again(const struct sg_h1_head *head)
{
    static struct sg_h1_head again;
    static uint8_t text[2 * MAX];
    size_t len = 0, at = 0, found;
    put_text(head->method, text, &len);
    text[len++] = ' ';
    put_text(head->target, text, &len);
    put_text(SG_SLICE(" HTTP/1.1\r\n"), text, &len);
    put((struct sg_h1_field){SG_SLICE("host"), head->host}, text, &len);
    for (size_t i = 0; i < head->field_count; i++)
        put(head->fields[i], text, &len);
    put_text(SG_SLICE("\r\n"), text, &len);
    if (sg_h1_head_find(sg_slice_of(text, len), sizeof(text), &at, &found, NULL) != SG_OK ||
        found != len || sg_h1_head_parse(text, len, &again, NULL) != SG_OK)
        abort();
    if (!sg_slice_eq(again.method, head->method) || !sg_slice_eq(again.target, head->target) ||
        !sg_slice_eq(again.host, head->host) || again.field_count != head->field_count)
        abort();
    for (size_t i = 0; i < head->field_count; i++)
        if (!sg_slice_eq(again.fields[i].name, head->fields[i].name) ||
            !sg_slice_eq(again.fields[i].value, head->fields[i].value))
            abort();
}

/* The body, cut into pieces: its data hashed, how far it went, and how it ended. */
static uint64_t read_chunks(struct sg_slice text, size_t step, size_t *ret_left, enum sg_rc *ret_rc)
{
    struct sg_h1_chunks chunks = {0};
    struct sg_slice part = {0}, data;
    uint64_t hash = 0;
    enum sg_rc rc = SG_OK;
    while (rc == SG_OK && text.len > 0 && chunks.state != SG_H1_CHUNKS_END) {
        part = sg_slice_take(&text, step < text.len ? step : text.len);
        do {
            rc = sg_h1_chunks_next(&chunks, &part, &data, NULL);
            for (size_t i = 0; rc == SG_OK && i < data.len; i++)
                hash = hash * 31 + data.ptr[i] + 1;
        } while (rc == SG_OK && data.len > 0);
    }
    *ret_left = rc == SG_OK ? part.len + text.len : 0;
    *ret_rc = rc;
    return hash;
}

/*
 * Properties: a head is found at the same place however it comes, and read the same when written
 * again; a chunked body is the same however it is cut. The first byte says how many come at once.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sg_h1_head head;
    static uint8_t text[MAX];
    if (size < 1 || size > MAX)
        return 0;
    struct sg_slice input = sg_slice_of(data + 1, size - 1);
    size_t step = data[0] == 0 ? 1 : data[0], at = 0, len = 0, at_cut = 0, len_cut = 0;
    enum sg_rc rc = sg_h1_head_find(input, MAX, &at, &len, NULL), rc_cut = SG_E_AGAIN;
    for (size_t n = step; rc_cut == SG_E_AGAIN; n += step) {
        rc_cut = sg_h1_head_find(sg_slice_of(input.ptr, n < input.len ? n : input.len), MAX,
                                 &at_cut, &len_cut, NULL);
        if (n >= input.len)
            break;
    }
    if (rc != rc_cut || len != len_cut)
        abort();
    if (rc == SG_OK) {
        memcpy(text, input.ptr, len);
        if (sg_h1_head_parse(text, len, &head, NULL) == SG_OK)
            check_again(&head);
    }

    size_t left, left_cut;
    uint64_t hash = read_chunks(input, input.len + 1, &left, &rc);
    if (hash != read_chunks(input, step, &left_cut, &rc_cut) || left != left_cut || rc != rc_cut)
        abort();
    return 0;
}
