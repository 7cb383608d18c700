#include <stdlib.h>

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_text(struct sg_slice text, enum sg_base64_alphabet alphabet,
                     enum sg_base64_padding padding)
{
    struct sg_buf bytes, again;
    sg_buf_init(&bytes, text.len + 2);
    sg_buf_init(&again, text.len + 4);
    if (sg_base64_decode(text, alphabet, padding, &bytes, NULL) == SG_OK) {
        sg_base64_encode(sg_buf_slice(&bytes), alphabet, padding, &again);
        if (!sg_slice_eq(sg_buf_slice(&again), text))
            abort();
    }
    sg_buf_done(&bytes);
    sg_buf_done(&again);
}

static void try_bytes(struct sg_slice bytes, enum sg_base64_alphabet alphabet,
                      enum sg_base64_padding padding)
{
    struct sg_buf text, again;
    sg_buf_init(&text, bytes.len * 2 + 4);
    sg_buf_init(&again, bytes.len * 2 + 4);
    sg_base64_encode(bytes, alphabet, padding, &text);
    if (sg_base64_decode(sg_buf_slice(&text), alphabet, SG_BASE64_EITHER, &again, NULL) != SG_OK ||
        !sg_slice_eq(sg_buf_slice(&again), bytes))
        abort();
    sg_buf_done(&text);
    sg_buf_done(&again);
}

/* Property: one byte string has one encoding, both ways. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice input = sg_slice_of(data, size);
    for (int alphabet = SG_BASE64_STD; alphabet <= SG_BASE64_URL; alphabet++)
        for (int padding = SG_BASE64_PADDED; padding <= SG_BASE64_UNPADDED; padding++) {
            try_text(input, (enum sg_base64_alphabet)alphabet, (enum sg_base64_padding)padding);
            try_bytes(input, (enum sg_base64_alphabet)alphabet, (enum sg_base64_padding)padding);
        }
    return 0;
}
