#include "formats/audit/checkpoint.h"

#include "base/base64.h"
#include "formats/audit/note_priv.h"
#include "formats/audit/record.h"

bool sg_note_is_number(struct sg_slice text, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.ptr[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret = value;
    return true;
}

bool sg_note_is_hash(struct sg_slice text, struct sg_tree_hash *ret)
{
    uint8_t room[36]; /* of ours, so that only the text can be at fault */
    struct sg_buf bytes = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};
    bool is_hash = text.len == 44 &&
                   sg_base64_decode(text, SG_BASE64_STD, SG_BASE64_PADDED, &bytes, NULL) == SG_OK &&
                   bytes.len == sizeof(ret->bytes);
    if (is_hash)
        memcpy(ret->bytes, bytes.ptr, bytes.len);
    return is_hash;
}

void sg_note_add_hash(const struct sg_tree_hash *hash, struct sg_buf *out)
{
    sg_base64_encode(sg_slice_of(hash->bytes, sizeof(hash->bytes)), SG_BASE64_STD, SG_BASE64_PADDED,
                     out);
    sg_buf_add_u8(out, '\n');
}

bool sg_checkpoint_origin_is_good(struct sg_slice origin)
{
    if (origin.len == 0 || origin.len > SG_CHECKPOINT_ORIGIN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < origin.len; i++)
        if (origin.ptr[i] <= ' ' || origin.ptr[i] >= 0x7f || origin.ptr[i] == '+')
            return false;
    return true;
}

/* The part before the epoch, with its slash; empty: there is none. */
static struct sg_slice before_epoch(struct sg_slice origin)
{
    size_t len = origin.len;

    while (len > 0 && origin.ptr[len - 1] >= '0' && origin.ptr[len - 1] <= '9')
        len--;
    if (len == origin.len || len < 2 || origin.ptr[len - 1] != '/')
        len = 0;
    return sg_slice_of(origin.ptr, len);
}

bool sg_checkpoint_is_other_epoch(struct sg_slice text, const struct sg_note_key *key,
                                  struct sg_slice *ret_origin)
{
    const struct sg_slice name = sg_note_key_name(key), own = before_epoch(name);
    struct sg_checkpoint checkpoint;

    if (own.len == 0 || sg_checkpoint_parse(text, &checkpoint, NULL) != SG_OK ||
        sg_slice_eq(checkpoint.origin, name) || !sg_slice_eq(before_epoch(checkpoint.origin), own))
        return false;
    *ret_origin = checkpoint.origin;
    return true;
}

void sg_checkpoint_write(const struct sg_checkpoint *checkpoint, struct sg_buf *out)
{
    SG_ASSERT(sg_checkpoint_origin_is_good(checkpoint->origin));
    sg_buf_add_slice(out, checkpoint->origin);
    sg_buf_printf(out, "\n%llu\n", (unsigned long long)checkpoint->head.size);
    sg_note_add_hash(&checkpoint->head.root, out);
}

enum sg_rc sg_checkpoint_parse(struct sg_slice text, struct sg_checkpoint *ret, struct sg_err *err)
{
    struct sg_checkpoint checkpoint;
    struct sg_slice size, root;

    if (!sg_note_take_line(&text, &checkpoint.origin) || !sg_note_take_line(&text, &size) ||
        !sg_note_take_line(&text, &root) || text.len != 0 ||
        !sg_checkpoint_origin_is_good(checkpoint.origin) ||
        !sg_note_is_number(size, &checkpoint.head.size) ||
        !sg_note_is_hash(root, &checkpoint.head.root))
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not read a checkpoint: it is not an origin, a size and a root hash");
    *ret = checkpoint;
    return SG_OK;
}

/* Receipts --------------------------------------------------------------------------------- */

static const char first_line[] = "c2sp.org/tlog-proof@v1";

_Static_assert(SG_RECEIPT_EXTRA_BYTES_MAX == (SG_AUDIT_RECORD_BYTES_MAX + 2) / 3 * 4,
               "any record fits into a receipt");

static void write_behind_extra(const struct sg_receipt *receipt, struct sg_buf *out)
{
    sg_buf_printf(out, "index %llu\n", (unsigned long long)receipt->index);
    for (size_t i = 0; i < receipt->proof.count; i++)
        sg_note_add_hash(&receipt->proof.hashes[i], out);
    sg_buf_add_u8(out, '\n');
    sg_buf_add_slice(out, receipt->checkpoint);
}

void sg_receipt_write(const struct sg_receipt *receipt, struct sg_buf *out)
{
    sg_buf_printf(out, "%s\n", first_line);
    if (receipt->extra.len > 0) {
        sg_buf_add_str(out, "extra ");
        sg_buf_add_slice(out, receipt->extra);
        sg_buf_add_u8(out, '\n');
    }
    write_behind_extra(receipt, out);
}

void sg_receipt_write_with(const struct sg_receipt *receipt, struct sg_slice record,
                           struct sg_buf *out)
{
    sg_buf_printf(out, "%s\nextra ", first_line);
    sg_base64_encode(record, SG_BASE64_STD, SG_BASE64_PADDED, out);
    sg_buf_add_u8(out, '\n');
    write_behind_extra(receipt, out);
}

bool sg_note_is_field(struct sg_slice *line, const char *name)
{
    struct sg_slice prefix = sg_slice_str(name);
    if (!sg_slice_starts(*line, prefix))
        return false;
    (void)sg_slice_take(line, prefix.len);
    return true;
}

/* Appends it, decoded, if it is not longer than a record. */
static bool decode_extra(struct sg_slice value, struct sg_buf *out)
{
    size_t before = out->len;
    return value.len <= SG_RECEIPT_EXTRA_BYTES_MAX &&
           sg_base64_decode(value, SG_BASE64_STD, SG_BASE64_PADDED, out, NULL) == SG_OK &&
           out->len - before <= SG_AUDIT_RECORD_BYTES_MAX;
}

static bool is_extra(struct sg_slice value)
{
    uint8_t room[SG_RECEIPT_EXTRA_BYTES_MAX]; /* the decoder wants more than it needs */
    struct sg_buf bytes = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};
    return decode_extra(value, &bytes);
}

/* The lines before the checkpoint. */
static bool parse_head(struct sg_slice *text, struct sg_receipt *receipt)
{
    struct sg_slice line;

    if (!sg_note_take_line(text, &line) || !sg_slice_is(line, first_line) ||
        !sg_note_take_line(text, &line))
        return false;
    receipt->extra = SG_SLICE("");
    if (sg_note_is_field(&line, "extra ")) {
        receipt->extra = line;
        if (!is_extra(line) || !sg_note_take_line(text, &line))
            return false;
    }
    if (!sg_note_is_field(&line, "index ") || !sg_note_is_number(line, &receipt->index))
        return false;
    for (receipt->proof.count = 0; sg_note_take_line(text, &line) && line.len > 0;
         receipt->proof.count++)
        if (receipt->proof.count == SG_TREE_LEVELS_MAX ||
            !sg_note_is_hash(line, &receipt->proof.hashes[receipt->proof.count]))
            return false;
    return line.len == 0;
}

enum sg_rc sg_receipt_parse(struct sg_slice text, struct sg_receipt *ret, struct sg_err *err)
{
    struct sg_receipt receipt;

    if (text.len > SG_RECEIPT_BYTES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read a receipt: it is over %d bytes long",
                       SG_RECEIPT_BYTES_MAX);
    if (!parse_head(&text, &receipt) || text.len == 0)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not read a receipt: it is not an index, a proof and a checkpoint");
    receipt.checkpoint = text;
    *ret = receipt;
    return SG_OK;
}

enum sg_rc sg_receipt_read_record(const struct sg_receipt *receipt, struct sg_buf *out,
                                  struct sg_err *err)
{
    if (receipt->extra.len == 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the receipt has no record in it");
    if (!decode_extra(receipt->extra, out))
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read the record of a receipt");
    return SG_OK;
}

enum sg_rc sg_receipt_prove(struct sg_tree_hasher *hasher, const struct sg_receipt *receipt,
                            struct sg_slice record, const struct sg_note_key *log_key,
                            struct sg_checkpoint *ret, struct sg_err *err)
{
    struct sg_note note;
    struct sg_checkpoint checkpoint;
    struct sg_tree_hash leaf;
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    uint64_t time;

    SG_TRY(sg_note_parse(receipt->checkpoint, &note, err));
    if (log_key != NULL)
        SG_TRY(sg_note_judge(&note, log_key, &verdict, &time, err));
    if (log_key != NULL && verdict != SG_NOTE_SIGNED)
        return SG_FAIL(err, SG_E_INVALID, 0, "the receipt's checkpoint is not signed by the log");
    SG_TRY(sg_checkpoint_parse(note.text, &checkpoint, err));
    sg_tree_hash_leaf(hasher, record, &leaf);
    SG_TRY(
        sg_tree_check_leaf(hasher, &leaf, receipt->index, &checkpoint.head, &receipt->proof, err));
    *ret = checkpoint;
    return SG_OK;
}

enum sg_rc sg_receipt_check(struct sg_tree_hasher *hasher, struct sg_slice text,
                            struct sg_slice record, struct sg_slice origin,
                            const struct sg_note_key *log_key, struct sg_tree_head *ret,
                            struct sg_err *err)
{
    struct sg_receipt receipt;
    struct sg_checkpoint checkpoint;

    SG_ASSERT(log_key != NULL);
    SG_TRY(sg_receipt_parse(text, &receipt, err));
    SG_TRY(sg_receipt_prove(hasher, &receipt, record, log_key, &checkpoint, err));
    if (!sg_slice_eq(checkpoint.origin, origin))
        return SG_FAIL(err, SG_E_INVALID, 0, "the receipt is of another log");
    *ret = checkpoint.head;
    return SG_OK;
}
