#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "client/cli/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes one attribute as a person would have to. */
static void write_attribute(struct sg_buf *out, const struct sealgate_name_attribute *attribute)
{
    if (out->len > 0)
        sg_buf_add_u8(out, ',');
    sg_buf_printf(out, "%s=", attribute->type);
    for (const char *c = attribute->value; *c != '\0'; c++) {
        if (*c == ',' || *c == '\\')
            sg_buf_add_u8(out, '\\');
        sg_buf_add_u8(out, (uint8_t)*c);
    }
}

/* Property: a subject that is accepted, written down again, is read as the same attributes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sg_subject first, second;
    char *text = strndup((const char *)data, size);
    struct sg_buf out;

    first.count = second.count = first.used = second.used = 0;
    sg_buf_init(&out, 4 * SG_SUBJECT_BYTES_MAX);
    if (text == NULL)
        abort();
    if (sg_subject_add(&first, text, NULL) == SG_OK) {
        for (size_t i = 0; i < first.count; i++)
            write_attribute(&out, &first.attributes[i]);
        sg_buf_add_u8(&out, '\0');
        if (sg_subject_add(&second, (const char *)out.ptr, NULL) != SG_OK ||
            first.count != second.count)
            abort();
        for (size_t i = 0; i < first.count; i++)
            if (strcmp(first.attributes[i].type, second.attributes[i].type) != 0 ||
                strcmp(first.attributes[i].value, second.attributes[i].value) != 0)
                abort();
    }
    sg_buf_done(&out);
    free(text);
    return 0;
}
