#include <stdlib.h>

#include "formats/audit/checkpoint.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/*
 * What is read as a checkpoint or a receipt is written again as it was, the record in it too; and
 * no receipt proves a record by the word of a key that signed no
 * checkpoint.
 */

/* Has signed a note that is no checkpoint. */
static const char trusted[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

static void read_checkpoint(struct sg_slice text)
{
    struct sg_checkpoint checkpoint;
    struct sg_buf again;
    if (sg_checkpoint_parse(text, &checkpoint, NULL) != SG_OK)
        return;
    sg_buf_init(&again, text.len);
    sg_checkpoint_write(&checkpoint, &again);
    require(sg_slice_eq(sg_buf_slice(&again), text));
    sg_buf_done(&again);
}

static void read_record(const struct sg_receipt *receipt, struct sg_slice text)
{
    struct sg_buf record, again;
    sg_buf_init(&record, SG_RECEIPT_EXTRA_BYTES_MAX);
    sg_buf_init(&again, text.len);
    require(sg_receipt_read_record(receipt, &record, NULL) == SG_OK);
    sg_receipt_write_with(receipt, sg_buf_slice(&record), &again);
    require(sg_slice_eq(sg_buf_slice(&again), text));
    sg_buf_done(&record);
    sg_buf_done(&again);
}

static void read_receipt(struct sg_slice text)
{
    static const char empty[] = "c2sp.org/tlog-proof@v1\nextra \n";
    struct sg_receipt receipt;
    struct sg_buf again;
    if (sg_receipt_parse(text, &receipt, NULL) != SG_OK)
        return;
    require(receipt.checkpoint.ptr + receipt.checkpoint.len == text.ptr + text.len);
    sg_buf_init(&again, text.len);
    sg_receipt_write(&receipt, &again);
    require(!again.failed);
    if (!sg_slice_starts(text, sg_slice_str(empty)))
        require(sg_slice_eq(sg_buf_slice(&again), text));
    sg_buf_done(&again);
    if (receipt.extra.len > 0)
        read_record(&receipt, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sg_tree_hasher *hasher;
    static struct sg_note_key *key;
    struct sg_slice input = sg_slice_of(data, size);
    struct sg_tree_head head;

    if (key == NULL) {
        require(sg_tree_hasher_new(&hasher, NULL) == SG_OK);
        require(sg_note_key_parse(sg_slice_str(trusted), &key, NULL) == SG_OK);
    }
    read_checkpoint(input);
    read_receipt(input);
    require(sg_receipt_check(hasher, input, SG_SLICE("a record"),
                             SG_SLICE("sealgate.example/log-1"), key, &head, NULL) != SG_OK);
    return 0;
}
