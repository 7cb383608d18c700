#include <stdio.h>
#include <stdlib.h>

#include "proto/json/json.h"
#include "tests/support/all_types.h"

/*
 * For foreign.py: reads frames of a letter, a length (4, big endian) and bytes, and answers each by
 * one of the same form. 'J' brings wire bytes and gets JSON, 'W' brings JSON and gets wire bytes;
 * the answer's letter is '!' where that was refused, and its bytes say why.
 */
enum { BYTES_MAX = 1 << 20 };

int main(void)
{
    static uint8_t in[BYTES_MAX], head[5];
    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        size_t len = sg_be32(head + 1);
        if (len > sizeof(in) || fread(in, 1, len, stdin) != len)
            return EXIT_FAILURE;
        struct sg_buf out;
        struct sg_err err;
        sg_buf_init(&out, 16 * BYTES_MAX);
        enum sg_rc rc = head[0] == 'J'
                            ? sg_json_encode(&all_types, &test__all_types__descriptor,
                                             sg_slice_of(in, len), &out, &err)
                            : sg_json_decode(&all_types, &test__all_types__descriptor,
                                             sg_slice_of(in, len), BYTES_MAX, &out, &err);
        if (rc != SG_OK) {
            head[0] = '!';
            sg_buf_clear(&out);
            sg_buf_add_str(&out, err.msg);
        }
        sg_put_be32(head + 1, (uint32_t)out.len);
        fwrite(head, 1, sizeof(head), stdout);
        if (out.len > 0)
            fwrite(out.ptr, 1, out.len, stdout);
        fflush(stdout);
        sg_buf_done(&out);
    }
    return EXIT_SUCCESS;
}
