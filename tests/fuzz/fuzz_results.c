#include <stdlib.h>

#include "client/cli/json.h"
#include "client/cli/results.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: a line that is accepted names a part of itself; and whatever a file is called, the line
 * that is written for it gives back what was written. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice line = sg_slice_of(data, size), file;
    struct sg_buf out, name;
    struct sg_json json;
    bool is_signed;

    if (sg_results_line(line, &file, &is_signed) &&
        (file.ptr < data || file.len > size || file.ptr + file.len > data + size))
        abort();

    sg_buf_init(&out, 16 * size + 256);
    sg_buf_init(&name, 16 * size + 256);
    json = sg_json_of(&name);
    sg_json_text(&json, NULL, line);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_text(&json, "file", line);
    sg_json_bool(&json, "signed", size % 2 == 0);
    sg_json_text(&json, "more", line);
    sg_json_end(&json);
    if (!sg_results_line(sg_buf_slice(&out), &file, &is_signed) || is_signed != (size % 2 == 0) ||
        !sg_slice_eq(file, sg_slice_of(name.ptr + 1, name.len - 2)))
        abort();
    sg_buf_done(&out);
    sg_buf_done(&name);
    return 0;
}
