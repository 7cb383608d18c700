#include "formats/audit/export.h"

#include <stdlib.h>

#include "formats/audit/note_priv.h"

static const char first_line[] = "sealgate-audit-export@v1";

enum {
    LINE_BYTES_MAX = SG_CHECKPOINT_ORIGIN_BYTES_MAX + 16,
    LEAF_HEAD_BYTES = 8 + 4, /* the number of the leaf, the length of the record */
};

const char *sg_export_verdict_text(enum sg_export_verdict verdict)
{
    static const char *const texts[] = {
        [SG_EXPORT_UNJUDGED] = "not judged to its end",
        [SG_EXPORT_PROVED] = "proved",
        [SG_EXPORT_NOT_SIGNED] = "the checkpoint is not signed by the log's key",
        [SG_EXPORT_NOT_GROWN] =
            "the checkpoint's tree is not shown to have grown from these leaves",
        [SG_EXPORT_WRONG_ROOT] = "the leaves do not have the root that the log promised",
        [SG_EXPORT_WRONG_LEAF] = "a leaf is not what was in the log",
        [SG_EXPORT_WRONG_ORDER] = "a leaf stands in the place of another",
        [SG_EXPORT_CUT] = "the file ends too early",
        [SG_EXPORT_MALFORMED] = "the file is no export of a log",
    };
    return (unsigned)verdict < SG_COUNT(texts) ? texts[verdict] : "";
}

/* Writing ---------------------------------------------------------------------------------- */

void sg_export_write_head(const struct sg_export_head *head, struct sg_buf *out)
{
    SG_ASSERT(head->first <= head->end && head->edge.size == head->first);
    sg_buf_printf(out, "%s\norigin ", first_line);
    sg_buf_add_slice(out, head->origin);
    sg_buf_printf(out, "\nfirst %llu\nend %llu\nroot ", (unsigned long long)head->first,
                  (unsigned long long)head->end);
    sg_note_add_hash(&head->root, out);
    sg_buf_printf(out, "edge %d\n", __builtin_popcountll(head->first));
    for (unsigned level = 0; level < SG_TREE_LEVELS_MAX; level++)
        if ((head->first >> level & 1) != 0)
            sg_note_add_hash(&head->edge.complete[level], out);
    sg_buf_printf(out, "growth %zu\n", head->growth.count);
    for (size_t i = 0; i < head->growth.count; i++)
        sg_note_add_hash(&head->growth.hashes[i], out);
    sg_buf_printf(out, "checkpoint %zu\n", head->checkpoint.len);
    sg_buf_add_slice(out, head->checkpoint);
}

void sg_export_write_leaf(struct sg_tree_hasher *hasher, uint64_t index, struct sg_slice record,
                          struct sg_buf *out)
{
    struct sg_tree_hash hash;
    sg_tree_hash_leaf(hasher, record, &hash);
    sg_buf_add_be32(out, (uint32_t)(index >> 32));
    sg_buf_add_be32(out, (uint32_t)index);
    sg_buf_add_be32(out, (uint32_t)record.len);
    sg_buf_add_slice(out, record);
    sg_buf_add(out, hash.bytes, sizeof(hash.bytes));
}

/* Reading ---------------------------------------------------------------------------------- */

/* What comes next. */
enum step {
    MAGIC,
    ORIGIN,
    FIRST,
    END,
    ROOT,
    EDGE,
    EDGE_HASH,
    GROWTH,
    GROWTH_HASH,
    CHECKPOINT,
    NOTE, /* from here on not lines, but so many bytes */
    LEAF_HEAD,
    LEAF_BODY,
    OVER,
    BROKEN,
};

struct sg_export_reader {
    const struct sg_note_key *log_key;
    sg_export_leaf_fn fn;
    void *arg;

    enum step step;
    size_t need;           /* bytes of NOTE, LEAF_HEAD and LEAF_BODY */
    struct sg_buf pending; /* what has come of it, where it came in pieces */
    uint64_t hashes_left;  /* of EDGE_HASH and GROWTH_HASH */

    struct sg_export_head head;
    bool is_head_good;
    uint8_t origin[SG_CHECKPOINT_ORIGIN_BYTES_MAX];
    struct sg_buf note;

    struct sg_tree_hasher *hasher;
    struct sg_tree_edge edge; /* of what was read: its size is the next leaf */
    struct sg_export_result result;
};

enum sg_rc sg_export_reader_new(const struct sg_note_key *log_key, sg_export_leaf_fn fn, void *arg,
                                struct sg_export_reader **ret, struct sg_err *err)
{
    SG_AUTO(sg_export_reader_free) struct sg_export_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not read an export: out of memory");
    reader->log_key = log_key;
    reader->fn = fn;
    reader->arg = arg;
    sg_buf_init(&reader->pending, SG_NOTE_BYTES_MAX);
    sg_buf_init(&reader->note, SG_NOTE_BYTES_MAX);
    SG_TRY(sg_tree_hasher_new(&reader->hasher, err));
    *ret = SG_STEAL(reader);
    return SG_OK;
}

void sg_export_reader_free(struct sg_export_reader *reader)
{
    if (reader == NULL)
        return;
    sg_tree_hasher_free(reader->hasher);
    sg_buf_done(&reader->pending);
    sg_buf_done(&reader->note);
    free(reader);
}

void sg_export_result(const struct sg_export_reader *reader, struct sg_export_result *ret)
{
    *ret = reader->result;
}

const struct sg_export_head *sg_export_reader_head(const struct sg_export_reader *reader)
{
    return reader->is_head_good ? &reader->head : NULL;
}

static enum sg_rc judge(struct sg_export_reader *reader, enum sg_export_verdict verdict,
                        struct sg_err *err)
{
    reader->result.verdict = verdict;
    reader->result.leaf = reader->edge.size;
    if (verdict == SG_EXPORT_PROVED)
        return SG_OK;
    reader->step = BROKEN;
    if (verdict != SG_EXPORT_WRONG_LEAF && verdict != SG_EXPORT_WRONG_ORDER)
        return SG_FAIL(err, SG_E_INVALID, 0, "%s", sg_export_verdict_text(verdict));
    return SG_FAIL(err, SG_E_INVALID, 0, "leaf %llu: %s", (unsigned long long)reader->edge.size,
                   sg_export_verdict_text(verdict));
}

/* Lines of the head. False: it is none. */

static bool read_number(struct sg_slice line, const char *name, uint64_t *ret)
{
    return sg_note_is_field(&line, name) && sg_note_is_number(line, ret);
}

static bool read_origin(struct sg_export_reader *reader, struct sg_slice line)
{
    if (!sg_note_is_field(&line, "origin ") || !sg_checkpoint_origin_is_good(line))
        return false;
    memcpy(reader->origin, line.ptr, line.len);
    reader->head.origin = sg_slice_of(reader->origin, line.len);
    return true;
}

static bool read_end(struct sg_export_reader *reader, struct sg_slice line)
{
    struct sg_export_head *head = &reader->head;
    return read_number(line, "end ", &head->end) && head->first <= head->end;
}

static bool read_edge(struct sg_export_reader *reader, struct sg_slice line)
{
    reader->head.edge.size = reader->head.first;
    return read_number(line, "edge ", &reader->hashes_left) &&
           reader->hashes_left == (uint64_t)__builtin_popcountll(reader->head.first);
}

/* The levels that the tree has come from the lowest on. */
static bool read_edge_hash(struct sg_export_reader *reader, struct sg_slice line)
{
    uint64_t left = reader->head.first;
    for (int done = __builtin_popcountll(left) - (int)reader->hashes_left; done > 0; done--)
        left &= left - 1;
    reader->hashes_left--;
    return sg_note_is_hash(line, &reader->head.edge.complete[__builtin_ctzll(left)]);
}

static bool read_growth(struct sg_export_reader *reader, struct sg_slice line)
{
    return read_number(line, "growth ", &reader->hashes_left) &&
           reader->hashes_left <= SG_TREE_LEVELS_MAX;
}

static bool read_growth_hash(struct sg_export_reader *reader, struct sg_slice line)
{
    struct sg_tree_proof *growth = &reader->head.growth;
    reader->hashes_left--;
    return sg_note_is_hash(line, &growth->hashes[growth->count++]);
}

static bool read_checkpoint(struct sg_export_reader *reader, struct sg_slice line)
{
    uint64_t len;
    if (!read_number(line, "checkpoint ", &len) || len == 0 || len > SG_NOTE_BYTES_MAX)
        return false;
    reader->need = (size_t)len;
    return true;
}

/* The line of this step, and the step after it. */
static bool read_line(struct sg_export_reader *reader, struct sg_slice line)
{
    enum step step = reader->step;
    reader->step++;
    switch (step) {
    case MAGIC:
        return sg_slice_is(line, first_line);
    case ORIGIN:
        return read_origin(reader, line);
    case FIRST:
        return read_number(line, "first ", &reader->head.first);
    case END:
        return read_end(reader, line);
    case ROOT:
        return sg_note_is_field(&line, "root ") && sg_note_is_hash(line, &reader->head.root);
    case EDGE:
        if (!read_edge(reader, line))
            return false;
        reader->step = reader->hashes_left > 0 ? EDGE_HASH : GROWTH;
        return true;
    case EDGE_HASH:
        if (!read_edge_hash(reader, line))
            return false;
        reader->step = reader->hashes_left > 0 ? EDGE_HASH : GROWTH;
        return true;
    case GROWTH:
        if (!read_growth(reader, line))
            return false;
        reader->step = reader->hashes_left > 0 ? GROWTH_HASH : CHECKPOINT;
        return true;
    case GROWTH_HASH:
        if (!read_growth_hash(reader, line))
            return false;
        reader->step = reader->hashes_left > 0 ? GROWTH_HASH : CHECKPOINT;
        return true;
    case CHECKPOINT:
        return read_checkpoint(reader, line);
    case NOTE:
    case LEAF_HEAD:
    case LEAF_BODY:
    case OVER:
    case BROKEN:
        break;
    }
    return false;
}

/* What stands in so many bytes. */

static void expect_leaf(struct sg_export_reader *reader)
{
    reader->step = reader->edge.size < reader->head.end ? LEAF_HEAD : OVER;
    reader->need = LEAF_HEAD_BYTES;
}

static enum sg_rc read_note(struct sg_export_reader *reader, struct sg_slice bytes,
                            struct sg_err *err)
{
    const struct sg_export_head *head = &reader->head;
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_checkpoint checkpoint;
    struct sg_note note;
    uint64_t time;

    sg_buf_add_slice(&reader->note, bytes);
    if (reader->note.failed)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not read an export: out of memory");
    reader->head.checkpoint = sg_buf_slice(&reader->note);
    enum sg_rc rc = sg_note_parse(head->checkpoint, &note, err);
    if (rc == SG_E_INTERNAL)
        return rc;
    if (rc != SG_OK || sg_checkpoint_parse(note.text, &checkpoint, err) != SG_OK ||
        !sg_slice_eq(checkpoint.origin, head->origin) || checkpoint.head.size < head->end)
        return judge(reader, SG_EXPORT_MALFORMED, err);
    reader->result.head = checkpoint.head;

    if (reader->log_key != NULL)
        SG_TRY(sg_note_judge(&note, reader->log_key, &verdict, &time, err));
    reader->result.is_signed = verdict == SG_NOTE_SIGNED;
    if (reader->log_key != NULL && !reader->result.is_signed)
        return judge(reader, SG_EXPORT_NOT_SIGNED, err);
    if (sg_tree_check_growth(reader->hasher, &(struct sg_tree_head){head->end, head->root},
                             &checkpoint.head, &head->growth, err) != SG_OK)
        return judge(reader, SG_EXPORT_NOT_GROWN, err);
    reader->edge = head->edge;
    reader->is_head_good = true;
    expect_leaf(reader);
    return SG_OK;
}

static enum sg_rc read_leaf_head(struct sg_export_reader *reader, struct sg_slice bytes,
                                 struct sg_err *err)
{
    uint64_t index = (uint64_t)sg_be32(bytes.ptr) << 32 | sg_be32(bytes.ptr + 4);
    uint32_t len = sg_be32(bytes.ptr + 8);
    if (index != reader->edge.size)
        return judge(reader, SG_EXPORT_WRONG_ORDER, err);
    if (len > SG_AUDIT_RECORD_BYTES_MAX)
        return judge(reader, SG_EXPORT_WRONG_LEAF, err);
    reader->need = len + (size_t)SG_TREE_HASH_BYTES;
    reader->step = LEAF_BODY;
    return SG_OK;
}

static enum sg_rc read_leaf_body(struct sg_export_reader *reader, struct sg_slice bytes,
                                 struct sg_err *err)
{
    struct sg_slice record = sg_slice_take(&bytes, bytes.len - SG_TREE_HASH_BYTES);
    struct sg_audit_record content;
    struct sg_tree_hash hash;

    sg_tree_hash_leaf(reader->hasher, record, &hash);
    if (!sg_slice_eq(bytes, sg_slice_of(hash.bytes, sizeof(hash.bytes))) ||
        sg_audit_record_parse(record, &content, err) != SG_OK)
        return judge(reader, SG_EXPORT_WRONG_LEAF, err);
    if (reader->fn != NULL)
        SG_TRY(reader->fn(reader->arg, reader->edge.size, record, &content, err));
    sg_tree_append(reader->hasher, &reader->edge, &hash, NULL, NULL);
    expect_leaf(reader);
    return SG_OK;
}

static enum sg_rc read_part(struct sg_export_reader *reader, struct sg_slice part,
                            struct sg_err *err)
{
    if (reader->step == NOTE)
        return read_note(reader, part, err);
    if (reader->step == LEAF_HEAD)
        return read_leaf_head(reader, part, err);
    if (reader->step == LEAF_BODY)
        return read_leaf_body(reader, part, err);
    return read_line(reader, part) ? SG_OK : judge(reader, SG_EXPORT_MALFORMED, err);
}

/* Takes of `in` what belongs to the part that is being read; whether that is whole now. A line
 * comes without its newline. */
static bool take(struct sg_export_reader *reader, struct sg_slice *in, struct sg_slice *ret)
{
    bool is_line = reader->step < NOTE, is_whole;
    size_t len;

    if (is_line) {
        const uint8_t *end = memchr(in->ptr, '\n', in->len);
        is_whole = end != NULL;
        len = is_whole ? (size_t)(end - in->ptr) : in->len;
    } else {
        size_t missing = reader->need - reader->pending.len;
        is_whole = in->len >= missing;
        len = is_whole ? missing : in->len;
    }

    *ret = sg_slice_take(in, len);
    if (is_line && is_whole)
        (void)sg_slice_take(in, 1);
    if (is_whole && reader->pending.len == 0)
        return true;
    if (!is_line || reader->pending.len + len <= LINE_BYTES_MAX)
        sg_buf_add_slice(&reader->pending, *ret);
    else
        reader->pending.failed = true;
    *ret = sg_buf_slice(&reader->pending);
    return is_whole;
}

enum sg_rc sg_export_read(struct sg_export_reader *reader, struct sg_slice bytes,
                          struct sg_err *err)
{
    while (bytes.len > 0) {
        struct sg_slice part;
        if (reader->step >= OVER)
            return judge(reader, SG_EXPORT_MALFORMED, err);
        bool is_line = reader->step < NOTE, is_whole = take(reader, &bytes, &part);
        if (reader->pending.failed && is_line)
            return judge(reader, SG_EXPORT_MALFORMED, err);
        if (reader->pending.failed)
            return SG_FAIL(err, SG_E_INTERNAL, 0, "could not read an export: out of memory");
        if (!is_whole)
            break;
        enum sg_rc rc = read_part(reader, part, err);
        if (rc != SG_OK) {
            reader->step = BROKEN;
            return rc;
        }
        sg_buf_clear(&reader->pending);
    }
    return SG_OK;
}

enum sg_rc sg_export_finish(struct sg_export_reader *reader, struct sg_err *err)
{
    struct sg_tree_hash root;

    if (reader->step == BROKEN)
        return SG_FAIL(err, SG_E_INVALID, 0, "%s", sg_export_verdict_text(reader->result.verdict));
    if (reader->step != OVER)
        return judge(reader, SG_EXPORT_CUT, err);
    sg_tree_root(reader->hasher, &reader->edge, &root);
    if (memcmp(&root, &reader->head.root, sizeof(root)) != 0)
        return judge(reader, SG_EXPORT_WRONG_ROOT, err);
    return judge(reader, SG_EXPORT_PROVED, err);
}
