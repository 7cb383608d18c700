#include "client/cli/kept.h"

enum sg_exit sg_cli_read_checkpoint(const struct sg_cli *cli, const char *path, struct sg_buf *out)
{
    struct sg_witness_request growth;
    struct sg_receipt receipt;
    struct sg_slice note;
    struct sg_buf file;

    sg_buf_init(&file, SG_RECEIPT_BYTES_MAX + 1);
    enum sg_exit code = sg_cli_read_file(cli, path, SG_RECEIPT_BYTES_MAX, &file);
    if (code == SG_EXIT_OK) {
        note = sg_buf_slice(&file);
        if (sg_receipt_parse(note, &receipt, NULL) == SG_OK)
            note = receipt.checkpoint;
        else if (sg_witness_request_parse(note, &growth, NULL) == SG_OK)
            note = growth.checkpoint;
        sg_buf_add_slice(out, note);
        if (out->failed)
            code = sg_cli_fail(cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
    }
    sg_buf_done(&file);
    return code;
}

enum sg_rc sg_cli_judge_checkpoint(struct sg_slice bytes, struct sg_note_key *const *keys,
                                   size_t key_count, struct sg_checkpoint *ret, struct sg_err *err)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_note note;
    uint64_t time;

    SG_TRY(sg_note_parse(bytes, &note, err));
    SG_TRY(sg_checkpoint_parse(note.text, ret, err));
    for (size_t i = 0; i < key_count && verdict != SG_NOTE_SIGNED; i++)
        SG_TRY(sg_note_judge(&note, keys[i], &verdict, &time, err));
    if (key_count > 0 && verdict != SG_NOTE_SIGNED)
        return SG_FAIL(err, SG_E_INVALID, 0, "the checkpoint is not signed by the log's key");
    return SG_OK;
}

/* Trees of the same size are the same or one is a lie. */
static bool is_same(const struct sg_tree_head *a, const struct sg_tree_head *b)
{
    return a->size == b->size && memcmp(&a->root, &b->root, sizeof(a->root)) == 0;
}

static bool is_shown(const struct sg_kept *kept, const struct sg_tree_head *head)
{
    for (size_t i = 0; i < kept->head_count; i++)
        if (is_same(&kept->heads[i], head))
            return true;
    return false;
}

static bool grew(const struct sg_kept *kept, struct sg_tree_hasher *hasher, size_t growth,
                 const struct sg_tree_head *from)
{
    return kept->growths[growth].old_size == from->size &&
           sg_tree_check_growth(hasher, from, &kept->growths[growth].head,
                                &kept->growths[growth].proof, NULL) == SG_OK;
}

/* Each proof that begins where another has ended shows one tree more, in whatever order they came.
 */
static void follow(struct sg_kept *kept, struct sg_tree_hasher *hasher)
{
    bool is_new = true;

    while (is_new) {
        is_new = false;
        for (size_t i = 0; i < kept->growth_count; i++)
            for (size_t at = 0; at < kept->head_count; at++)
                if (!is_shown(kept, &kept->growths[i].head) &&
                    grew(kept, hasher, i, &kept->heads[at])) {
                    kept->heads[kept->head_count++] = kept->growths[i].head;
                    is_new = true;
                }
    }
}

static enum sg_exit wrong(const struct sg_cli *cli, const char *path, const struct sg_err *err)
{
    return sg_cli_fail(cli, SG_EXIT_NO, "CHECKPOINT_WRONG", "%s: %s", path, err->msg);
}

/* The checkpoint that the file `path` is or holds, where `*code` is still that all is well. */
static bool judge(const struct sg_cli *cli, const char *path, struct sg_slice note,
                  struct sg_note_key *const *keys, size_t key_count, struct sg_checkpoint *ret,
                  enum sg_exit *code)
{
    struct sg_err err;

    if (*code != SG_EXIT_OK)
        return false;
    if (sg_cli_judge_checkpoint(note, keys, key_count, ret, &err) == SG_OK)
        return true;
    *code = wrong(cli, path, &err);
    return false;
}

static enum sg_exit read_growth(const struct sg_cli *cli, const char *path,
                                struct sg_note_key *const *keys, size_t key_count,
                                struct sg_kept *kept)
{
    struct sg_witness_request growth = {0};
    struct sg_checkpoint checkpoint;
    struct sg_buf file;
    struct sg_err err;

    sg_buf_init(&file, SG_WITNESS_REQUEST_BYTES_MAX + 1);
    enum sg_exit code = sg_cli_read_file(cli, path, SG_WITNESS_REQUEST_BYTES_MAX, &file);
    if (code == SG_EXIT_OK && sg_witness_request_parse(sg_buf_slice(&file), &growth, &err) != SG_OK)
        code = wrong(cli, path, &err);
    if (judge(cli, path, growth.checkpoint, keys, key_count, &checkpoint, &code)) {
        kept->growths[kept->growth_count].old_size = growth.old_size;
        kept->growths[kept->growth_count].proof = growth.proof;
        kept->growths[kept->growth_count++].head = checkpoint.head;
    }
    sg_buf_done(&file);
    return code;
}

enum sg_exit sg_kept_read(const struct sg_cli *cli, struct sg_note_key *const *keys,
                          size_t key_count, struct sg_tree_hasher *hasher, struct sg_kept *ret)
{
    const char *path = sg_args_get(&cli->args, "since");
    const char *const *growths;
    const size_t count = sg_args_all(&cli->args, "growth", &growths);
    struct sg_checkpoint checkpoint;
    struct sg_buf note;

    *ret = (struct sg_kept){.is_given = path != NULL};
    if (path == NULL)
        return count == 0 ? SG_EXIT_OK
                          : sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                                        "--growth proves growth from --since, which is missing");
    sg_buf_init(&note, SG_RECEIPT_BYTES_MAX + 1);
    enum sg_exit code = sg_cli_read_checkpoint(cli, path, &note);
    if (judge(cli, path, sg_buf_slice(&note), keys, key_count, &checkpoint, &code)) {
        memcpy(ret->origin, checkpoint.origin.ptr, checkpoint.origin.len);
        ret->heads[ret->head_count++] = checkpoint.head;
    }
    sg_buf_done(&note);
    for (size_t i = 0; i < count && code == SG_EXIT_OK; i++)
        code = read_growth(cli, growths[i], keys, key_count, ret);
    if (code == SG_EXIT_OK)
        follow(ret, hasher);
    return code;
}

enum sg_rc sg_kept_check(const struct sg_kept *kept, struct sg_tree_hasher *hasher,
                         struct sg_slice origin, const struct sg_tree_head *head,
                         struct sg_err *err)
{
    if (!kept->is_given)
        return SG_OK;
    if (!sg_slice_is(origin, kept->origin))
        return SG_FAIL(err, SG_E_INVALID, 0, "it is not of the log \"%s\", of which --since is",
                       kept->origin);
    if (is_shown(kept, head))
        return SG_OK;
    for (size_t i = 0; i < kept->head_count; i++)
        if (kept->heads[i].size == head->size)
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "the log showed two trees of %llu leaves: one of them is a lie",
                           (unsigned long long)head->size);
    for (size_t i = 0; i < kept->growth_count; i++)
        if (is_shown(kept, &kept->growths[i].head) && grew(kept, hasher, i, head))
            return SG_OK;
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "nothing shows that its tree of %llu leaves and the kept one of %llu are one "
                   "log: sealgate audit checkpoint --since FILE --growth FILE gets the proof",
                   (unsigned long long)head->size, (unsigned long long)kept->heads[0].size);
}
