#include "client/cli/audit_records.h"
#include "client/cli/file_out.h"
#include "client/cli/text.h"
#include "formats/audit/export.h"
#include "formats/audit/witness.h"

/*
 * sealgate audit export: a piece of a log as a file that proves itself.
 *
 * What the file begins with is known before its first leaf: the way of leaf `first` to the root has
 * in it what stands before it, and that of the last leaf, with the leaf, the root of all up to it.
 * Whatever is written goes through the reader too, which judges it as every later reader will: a
 * file that would not be proved does not come to be.
 */

enum { PIECE_BYTES = 256 << 10, HEAD_BYTES_MAX = SG_NOTE_BYTES_MAX + 16 * 1024 };

static const struct sg_option options[] = {
    {"out", "FILE", "where to write it; - is standard output", false},
    {"first", "N", "the first leaf (default 0)", false},
    {"end", "N", "the leaf behind the last (default: as many as there are)", false},
    SG_CLI_LOG_OPTION,
    {0},
};

struct exporting {
    struct sg_cli *cli;
    char log[SG_CLI_LOG_BYTES]; /* audit/{log} */
    char origin[SG_CHECKPOINT_ORIGIN_BYTES_MAX + 1];
    struct sg_export_head head;
    struct sealgate_checkpoint *newest, *grown;
    struct sg_tree_hasher *hasher;
    struct sg_export_reader *judge;
    struct sg_file_out file;
    struct sg_buf piece;
    uint64_t next;
    bool is_over;
};

static enum sg_exit fail_memory(const struct exporting *exporting)
{
    return sg_cli_fail(exporting->cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
}

static enum sg_exit fail_answer(const struct exporting *exporting, const char *why)
{
    return sg_cli_fail(exporting->cli, SG_EXIT_INTERNAL, "RESPONSE_MALFORMED",
                       "the gateway's log does not prove itself: %s", why);
}

/* ---- What the file begins with --------------------------------------------------------------- */

/* The tree before the leaf `index`, by the receipt of that leaf, and with it when `is_behind`. */
static enum sg_exit find_edge(struct exporting *exporting, uint64_t index, bool is_behind,
                              struct sg_tree_edge *ret)
{
    struct sg_cli *cli = exporting->cli;
    struct sealgate_receipt *receipt = NULL;
    struct sealgate_error error;
    struct sg_receipt parts;
    struct sg_tree_hash leaf;
    struct sg_err err;
    char name[SG_CLI_LOG_BYTES + 32];
    enum sg_exit code = SG_EXIT_OK;

    (void)snprintf(name, sizeof(name), "%s/leaves/%llu", exporting->log, (unsigned long long)index);
    if (sealgate_get_receipt(cli->client, name, cli->timeout_ms, &receipt, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    if (sg_receipt_parse(sg_slice_of(receipt->file.ptr, receipt->file.len), &parts, &err) !=
            SG_OK ||
        sg_tree_edge_of_proof(index, receipt->tree_size, &parts.proof, ret, &err) != SG_OK)
        code = fail_answer(exporting, err.msg);
    if (code == SG_EXIT_OK && is_behind) {
        sg_tree_hash_leaf(exporting->hasher, sg_slice_of(receipt->record.ptr, receipt->record.len),
                          &leaf);
        sg_tree_append(exporting->hasher, ret, &leaf, NULL, NULL);
    }
    sealgate_free(receipt);
    return code;
}

/* The newest checkpoint, and that the tree of `end` leaves grew to it. */
static enum sg_exit find_growth(struct exporting *exporting)
{
    struct sg_cli *cli = exporting->cli;
    struct sg_export_head *head = &exporting->head;
    struct sealgate_bytes root = {head->root.bytes, SG_TREE_HASH_BYTES};
    struct sg_witness_request growth;
    struct sealgate_error error;
    struct sg_err err;

    if (sealgate_get_growth_from(cli->client, exporting->log, head->end, root, cli->timeout_ms,
                                 &exporting->grown, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    if (sg_witness_request_parse(
            sg_slice_of(exporting->grown->growth.ptr, exporting->grown->growth.len), &growth,
            &err) != SG_OK)
        return fail_answer(exporting, err.msg);
    head->growth = growth.proof;
    head->origin = sg_slice_str(exporting->grown->origin);
    head->checkpoint = sg_slice_of(exporting->grown->note.ptr, exporting->grown->note.len);
    return SG_EXIT_OK;
}

static enum sg_exit take_number(const struct exporting *exporting, const char *option, uint64_t max,
                                uint64_t *ret)
{
    const char *text = sg_args_get(&exporting->cli->args, option);

    if (text == NULL || sg_cli_number(text, 0, max, ret))
        return SG_EXIT_OK;
    return sg_cli_fail(exporting->cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                       "--%s is a number, and the log has %llu leaves", option,
                       (unsigned long long)exporting->newest->size);
}

static enum sg_exit take_range(struct exporting *exporting)
{
    struct sg_cli *cli = exporting->cli;
    struct sg_export_head *head = &exporting->head;
    struct sealgate_error error;
    char text[SG_CLI_LOG_BYTES];
    const char *log;

    enum sg_exit code = sg_cli_log_name(cli, text, &log);
    if (code != SG_EXIT_OK)
        return code;
    if (sealgate_get_checkpoint(cli->client, log, cli->timeout_ms, &exporting->newest, &error) !=
        SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    if (snprintf(exporting->log, sizeof(exporting->log), "%s", exporting->newest->log) >=
        (int)sizeof(exporting->log))
        return fail_answer(exporting, "the name of the log is too long");
    head->end = exporting->newest->size;
    code = take_number(exporting, "end", head->end, &head->end);
    if (code == SG_EXIT_OK)
        code = take_number(exporting, "first", head->end, &head->first);
    if (code == SG_EXIT_OK && head->first == head->end)
        code = sg_cli_fail(
            cli, SG_EXIT_USAGE, "BAD_OPTIONS", "from leaf %llu on there is none: the log has %llu",
            (unsigned long long)head->first, (unsigned long long)exporting->newest->size);
    return code;
}

static enum sg_exit make_head(struct exporting *exporting)
{
    struct sg_export_head *head = &exporting->head;
    struct sg_tree_edge behind;
    enum sg_exit code = SG_EXIT_OK;

    if (head->first > 0)
        code = find_edge(exporting, head->first, false, &head->edge);
    if (code == SG_EXIT_OK)
        code = find_edge(exporting, head->end - 1, true, &behind);
    if (code != SG_EXIT_OK)
        return code;
    sg_tree_root(exporting->hasher, &behind, &head->root);
    code = find_growth(exporting);
    if (code == SG_EXIT_OK)
        sg_export_write_head(head, &exporting->piece);
    return code;
}

/* ---- Leaves ---------------------------------------------------------------------------------- */

/* What is written by now, into the file and past the judge. */
static enum sg_exit flush_piece(struct exporting *exporting)
{
    struct sg_err err;

    if (exporting->piece.failed)
        return fail_memory(exporting);
    if (sg_export_read(exporting->judge, sg_buf_slice(&exporting->piece), &err) != SG_OK)
        return fail_answer(exporting, err.msg);
    enum sg_exit code =
        sg_file_out_write(exporting->cli, &exporting->file, sg_buf_slice(&exporting->piece));
    sg_buf_clear(&exporting->piece);
    return code;
}

static enum sg_exit take_leaf(void *arg, const struct sealgate_record *record)
{
    struct exporting *exporting = arg;

    if (exporting->next == exporting->head.end) {
        exporting->is_over = true;
        return SG_EXIT_NO; /* as good as the last */
    }
    if (record->leaf_index != exporting->next)
        return sg_cli_fail(exporting->cli, SG_EXIT_NOT_FOUND, "LEAF_NOT_FOUND",
                           "the gateway has no leaves from %llu to %llu any more",
                           (unsigned long long)exporting->next,
                           (unsigned long long)record->leaf_index - 1);
    sg_export_write_leaf(exporting->hasher, record->leaf_index,
                         sg_slice_of(record->bytes.ptr, record->bytes.len), &exporting->piece);
    exporting->next++;
    return exporting->piece.len < PIECE_BYTES ? SG_EXIT_OK : flush_piece(exporting);
}

static enum sg_exit write_leaves(struct exporting *exporting)
{
    struct sealgate_leaf_query query = {.log = exporting->log, .first = exporting->head.first};
    struct sg_err err;

    exporting->next = exporting->head.first;
    enum sg_exit code = sg_cli_each_leaf(exporting->cli, &query, take_leaf, exporting);
    if (code == SG_EXIT_OK || exporting->is_over)
        code = flush_piece(exporting);
    if (code == SG_EXIT_OK && sg_export_finish(exporting->judge, &err) != SG_OK)
        code = fail_answer(exporting, err.msg);
    return code;
}

static enum sg_exit write_file(struct exporting *exporting)
{
    enum sg_exit code = sg_file_out_open(exporting->cli, sg_args_get(&exporting->cli->args, "out"),
                                         &exporting->file);

    if (code != SG_EXIT_OK)
        return code;
    code = write_leaves(exporting);
    if (code == SG_EXIT_OK)
        return sg_file_out_commit(exporting->cli, &exporting->file, true);
    sg_file_out_abandon(&exporting->file);
    return code;
}

/* ---- The command ----------------------------------------------------------------------------- */

static enum sg_exit tell(const struct exporting *exporting)
{
    const struct sg_export_head *head = &exporting->head;
    FILE *to = strcmp(exporting->file.path, "-") == 0 ? stderr : stdout;

    if (exporting->cli->is_json)
        (void)fprintf(to, "{\"first\":\"%llu\",\"end\":\"%llu\",\"tree_size\":\"%llu\"}\n",
                      (unsigned long long)head->first, (unsigned long long)head->end,
                      (unsigned long long)exporting->grown->size);
    else
        (void)fprintf(to, "exported and proved: %llu leaves from %llu on, of %llu\n",
                      (unsigned long long)(head->end - head->first),
                      (unsigned long long)head->first, (unsigned long long)exporting->grown->size);
    return sg_cli_flush(exporting->cli, SG_EXIT_OK);
}

static enum sg_exit run(struct sg_cli *cli)
{
    struct exporting exporting = {.cli = cli};
    struct sg_err err;
    enum sg_exit code = SG_EXIT_OK;

    sg_buf_init(&exporting.piece, PIECE_BYTES + HEAD_BYTES_MAX + SG_EXPORT_LEAF_BYTES_MAX);
    if (sg_args_get(&cli->args, "out") == NULL)
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--out FILE is missing");
    if (code == SG_EXIT_OK &&
        (sg_tree_hasher_new(&exporting.hasher, &err) != SG_OK ||
         sg_export_reader_new(NULL, NULL, NULL, &exporting.judge, &err) != SG_OK))
        code = fail_memory(&exporting);
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code == SG_EXIT_OK)
        code = take_range(&exporting);
    if (code == SG_EXIT_OK)
        code = make_head(&exporting);
    if (code == SG_EXIT_OK)
        code = write_file(&exporting);
    if (code == SG_EXIT_OK)
        code = tell(&exporting);
    sealgate_free(exporting.newest);
    sealgate_free(exporting.grown);
    sg_export_reader_free(exporting.judge);
    sg_tree_hasher_free(exporting.hasher);
    sg_buf_done(&exporting.piece);
    return code;
}

const struct sg_command sg_cmd_audit_export = {
    .group = "audit",
    .name = "export",
    .synopsis = "--out FILE [--first N] [--end N]",
    .summary = "write a piece of an audit log as a file that proves itself",
    .text = "Fetches the leaves and what proves them, judges all of it as `sealgate audit verify`\n"
            "does, and leaves no file that would not be proved. With --log-key, that the log has\n"
            "signed it. Memory does not grow with the log. docs/audit.md has the format.\n"
            "\n"
            "Examples:\n"
            "  sealgate audit export --out main.export --log-key \"$(cat log.key)\"\n"
            "  sealgate audit export --first 500000 --out rest.export\n",
    .options = options,
    .run = run,
};
