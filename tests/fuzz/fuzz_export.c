#include <stdlib.h>

#include "formats/audit/export.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* However a file is cut into pieces, it is judged alike; and what is proved is written again as it
 * was, byte by byte. */

struct copy {
    struct sg_tree_hasher *hasher;
    struct sg_buf leaves;
};

static enum sg_rc copy_leaf(void *arg, uint64_t index, struct sg_slice bytes,
                            const struct sg_audit_record *record, struct sg_err *err)
{
    struct copy *copy = arg;
    (void)err;
    require(record->event != SG_AUDIT_UNSET);
    sg_export_write_leaf(copy->hasher, index, bytes, &copy->leaves);
    return SG_OK;
}

static struct sg_export_reader *read_all(struct sg_slice file, size_t step, struct copy *copy,
                                         struct sg_export_result *ret)
{
    struct sg_export_reader *reader;
    enum sg_rc rc = SG_OK;
    require(sg_export_reader_new(NULL, copy_leaf, copy, &reader, NULL) == SG_OK);
    while (rc == SG_OK && file.len > 0)
        rc = sg_export_read(reader, sg_slice_take(&file, file.len < step ? file.len : step), NULL);
    if (rc == SG_OK)
        rc = sg_export_finish(reader, NULL);
    sg_export_result(reader, ret);
    require((rc == SG_OK) == (ret->verdict == SG_EXPORT_PROVED));
    return reader;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sg_tree_hasher *hasher;
    struct sg_slice input = sg_slice_of(data, size);
    struct sg_export_result result, again;
    struct copy copy, ignored;

    if (hasher == NULL)
        require(sg_tree_hasher_new(&hasher, NULL) == SG_OK);
    copy.hasher = ignored.hasher = hasher;
    sg_buf_init(&copy.leaves, size);
    sg_buf_init(&ignored.leaves, size);
    struct sg_export_reader *reader = read_all(input, SIZE_MAX, &copy, &result);
    sg_export_reader_free(read_all(input, 1 + size % 61, &ignored, &again));
    require(result.verdict == again.verdict && result.leaf == again.leaf);
    require(!result.is_signed);

    if (result.verdict == SG_EXPORT_PROVED) {
        struct sg_buf written;
        sg_buf_init(&written, size);
        sg_export_write_head(sg_export_reader_head(reader), &written);
        sg_buf_add_slice(&written, sg_buf_slice(&copy.leaves));
        require(sg_slice_eq(sg_buf_slice(&written), input));
        sg_buf_done(&written);
    }
    sg_export_reader_free(reader);
    sg_buf_done(&copy.leaves);
    sg_buf_done(&ignored.leaves);
    return 0;
}
