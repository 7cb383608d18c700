#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "client/cli/certified.h"
#include "client/cli/kept.h"
#include "client/cli/record.h"
#include "client/cli/text.h"
#include "client/include/sealgate_audit.h"
#include "formats/audit/export.h"

/* Receipts and exports, offline: nothing is asked of any gateway. */

static const struct sg_option options[] = {
    {"any-log", NULL, "without --log-key: do not ask who signed the checkpoint", false},
    {"certified-by", "FILE",
     "certificate or public key of the key in a token that certified\n"
     "the log's key in leaf 0, which has to be among the files",
     false},
    {"list", NULL, "show every record of an export", false},
    SG_KEPT_SINCE_OPTION,
    {"growth", "FILE", "proves growth from --since, or from a FILE (audit checkpoint --growth)",
     true},
    {"witness-key", "KEY", "a witness that has to have cosigned the checkpoint", true},
    {"witnesses", "N", "not all of the witnesses with a --witness-key, but N of them", false},
    {0},
};

enum { KEYS_MAX = SG_ARGS_VALUES_MAX, PIECE_BYTES = 64 << 10 };

struct judge {
    struct sg_cli *cli;
    struct sg_note_key *keys[KEYS_MAX];
    size_t key_count;
    bool is_certified; /* only keys that `certifier` has certified count, be there any or not */
    struct sg_buf certifier;    /* SubjectPublicKeyInfo */
    struct sg_err uncertified;  /* why a leaf 0 among the files has no such certification */
    struct sg_buf witness_keys; /* with blanks between them, and a NUL */
    size_t witnesses_min;       /* 0: nobody asks for any */
    struct sg_tree_hasher *hasher;
    struct sg_kept kept;
    struct sg_json json;
    struct sg_buf out;
    bool is_listing;
    uint8_t *piece;
};

/* ---- Keys ----------------------------------------------------------------------------------- */

static enum sg_exit add_key(struct judge *judge, struct sg_slice text)
{
    struct sg_err err;

    if (judge->key_count == KEYS_MAX)
        return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS", "there are over %d keys",
                           KEYS_MAX);
    if (sg_note_key_parse(text, &judge->keys[judge->key_count], &err) != SG_OK)
        return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--log-key: %s", err.msg);
    if (sg_note_key_kind(judge->keys[judge->key_count++]) != SG_NOTE_ED25519)
        return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--log-key: one of the keys is a witness's, not a log's");
    return SG_EXIT_OK;
}

static enum sg_exit take_keys(struct judge *judge)
{
    const char *keys = sg_cli_log_keys(judge->cli);
    enum sg_exit code = SG_EXIT_OK;

    if (sg_args_has(&judge->cli->args, "any-log")) {
        if (sg_args_has(&judge->cli->args, "log-key"))
            return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                               "--any-log and --log-key exclude each other");
        return SG_EXIT_OK;
    }
    if (judge->is_certified && keys == NULL)
        return SG_EXIT_OK; /* the certified ones are believed */
    while (keys != NULL && code == SG_EXIT_OK && *keys != '\0') {
        size_t len = strcspn(keys, " ");
        if (len > 0)
            code = add_key(judge, sg_slice_of(keys, len));
        keys += len + strspn(keys + len, " ");
    }
    if (code == SG_EXIT_OK && judge->key_count == 0)
        return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--log-key is missing, and SEALGATE_LOG_KEY is not set: without the "
                           "log's key a file proves only that it fits together (--any-log)");
    return code;
}

/* ---- Certified keys ------------------------------------------------------------------------- */

static bool is_given(const struct judge *judge, size_t given_count, const struct sg_note_key *key)
{
    for (size_t i = 0; i < given_count; i++)
        if (sg_note_key_is_same(judge->keys[i], key) &&
            sg_slice_eq(sg_note_key_name(judge->keys[i]), sg_note_key_name(key)))
            return true;
    return given_count == 0;
}

/* Puts those that leaves 0 among the files have certified in the place of the keys that were given,
 * and leaves out what is not one of these too. */
static void take_certified(struct judge *judge)
{
    const size_t given_count = judge->key_count;
    struct sg_note_key *certified[KEYS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < judge->cli->args.word_count && count < KEYS_MAX; i++) {
        struct sg_note_key *key = NULL;
        struct sg_err err;
        const enum sg_rc rc = sg_cli_certified_key(judge->cli->args.words[i],
                                                   sg_buf_slice(&judge->certifier), &key, &err);
        if (rc == SG_OK && is_given(judge, given_count, key))
            certified[count++] = key;
        else
            sg_note_key_free(key);
        if (rc == SG_E_NOT_FOUND || rc == SG_E_INVALID)
            judge->uncertified = err;
    }
    for (size_t i = 0; i < given_count; i++)
        sg_note_key_free(judge->keys[i]);
    memcpy(judge->keys, certified, count * sizeof(struct sg_note_key *));
    judge->key_count = count;
}

static enum sg_exit read_certifier(struct judge *judge)
{
    const char *path = sg_args_get(&judge->cli->args, "certified-by");

    judge->is_certified = path != NULL;
    if (path == NULL)
        return SG_EXIT_OK;
    if (sg_args_has(&judge->cli->args, "any-log"))
        return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--any-log and --certified-by exclude each other");
    return sg_cli_read_certifier(judge->cli, path, &judge->certifier);
}

/* ---- Witnesses ------------------------------------------------------------------------------ */

static enum sg_exit take_witnesses(struct judge *judge)
{
    const char *number = sg_args_get(&judge->cli->args, "witnesses");
    struct sealgate_error error;
    const char *const *values;
    size_t none;
    const size_t count = sg_args_all(&judge->cli->args, "witness-key", &values);

    for (size_t i = 0; i < count; i++)
        sg_buf_printf(&judge->witness_keys, "%s%s", i == 0 ? "" : " ", values[i]);
    sg_buf_add_u8(&judge->witness_keys, '\0');
    judge->witnesses_min = count;
    if (number != NULL) {
        char *end;
        const unsigned long value = strtoul(number, &end, 10);
        if (number[0] < '1' || number[0] > '9' || *end != '\0' || value > count)
            return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                               "--witnesses is from 1 to the number of --witness-key");
        judge->witnesses_min = value;
    }
    if (judge->witness_keys.failed)
        return sg_cli_fail(judge->cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
    /* The keys are judged before any file is. */
    if (sealgate_witnesses_count((struct sealgate_bytes){0}, (const char *)judge->witness_keys.ptr,
                                 &none, &error) == SEALGATE_INVALID_ARGUMENT)
        return sg_cli_fail(judge->cli, SG_EXIT_USAGE, "BAD_OPTIONS", "%s", error.message);
    return SG_EXIT_OK;
}

static enum sg_rc check_witnesses(const struct judge *judge, struct sg_slice checkpoint,
                                  struct sg_err *err)
{
    struct sealgate_error error;
    size_t found = 0;

    if (judge->witnesses_min == 0)
        return SG_OK;
    if (sealgate_witnesses_count(
            (struct sealgate_bytes){.ptr = checkpoint.ptr, .len = checkpoint.len},
            (const char *)judge->witness_keys.ptr, &found, &error) != SEALGATE_OK)
        return SG_FAIL(err, SG_E_INVALID, 0, "%s", error.message);
    if (found < judge->witnesses_min)
        return SG_FAIL(err, SG_E_INVALID, 0, "%zu of the witnesses have cosigned it, and not %zu",
                       found, judge->witnesses_min);
    return SG_OK;
}

/* ---- Telling -------------------------------------------------------------------------------- */

static void begin_file(struct judge *judge, const char *path, const char *kind, bool is_proved)
{
    if (judge->cli->is_json) {
        sg_json_begin_object(&judge->json, NULL);
        sg_json_str(&judge->json, "file", path);
        sg_json_str(&judge->json, "kind", kind);
        sg_json_bool(&judge->json, "proved", is_proved);
        sg_json_bool(&judge->json, "signed_by_log", is_proved && judge->key_count > 0);
        if (judge->is_certified)
            sg_json_bool(&judge->json, "log_key_certified", is_proved);
        return;
    }
    sg_cli_put(stdout, path);
    if (!is_proved)
        printf(": NOT proved");
    else if (judge->is_certified)
        printf(": proved, by a key that is certified");
    else
        printf(judge->key_count > 0 ? ": proved" : ": fits together, signed by anybody");
}

static enum sg_exit not_proved(struct judge *judge, const char *path, const char *kind,
                               const char *why)
{
    begin_file(judge, path, kind, false);
    if (judge->cli->is_json) {
        sg_json_str(&judge->json, "why", why);
        sg_json_end(&judge->json);
        return SG_EXIT_NO;
    }
    printf(": ");
    sg_cli_put(stdout, why);
    printf("\n");
    return SG_EXIT_NO;
}

/* Whether the user lets anybody have signed: never where keys have to be certified, and none is. */
static bool is_any_log(const struct judge *judge)
{
    SG_ASSERT(judge->key_count > 0 || !judge->is_certified);
    return judge->key_count == 0;
}

/* Whether a certified key has signed the checkpoint, and of its own log. */
static bool is_of_certified(const struct judge *judge, struct sg_slice note)
{
    struct sg_checkpoint checkpoint;

    for (size_t i = 0; i < judge->key_count; i++)
        if (sg_cli_judge_checkpoint(note, &judge->keys[i], 1, &checkpoint, NULL) == SG_OK &&
            sg_slice_eq(checkpoint.origin, sg_note_key_name(judge->keys[i])))
            return true;
    return false;
}

/* Why no certification speaks for what has this checkpoint. */
static enum sg_exit not_certified(struct judge *judge, const char *path, const char *kind)
{
    static const char reason[] = "LOG_KEY_NOT_CERTIFIED";
    struct sg_note_key *key = NULL;
    struct sg_err err = {0};

    const enum sg_rc rc = sg_cli_certified_key(path, sg_buf_slice(&judge->certifier), &key, &err);
    sg_note_key_free(key);
    const char *why =
        rc == SG_OK ? "its log's key is certified, and signed no checkpoint in it"
        : rc == SG_E_UNSUPPORTED && judge->key_count == 0 && judge->uncertified.rc != SG_OK
            ? judge->uncertified.msg
            : err.msg;
    begin_file(judge, path, kind, false);
    if (judge->cli->is_json) {
        sg_json_str(&judge->json, "reason", reason);
        sg_json_str(&judge->json, "why", why);
        sg_json_end(&judge->json);
        return SG_EXIT_NO;
    }
    printf(": %s: ", reason);
    sg_cli_put(stdout, why);
    printf("\n");
    return SG_EXIT_NO;
}

static void put_origin(struct sg_slice origin)
{
    printf("%.*s", (int)origin.len, (const char *)origin.ptr); /* printable, by its form */
}

/* Why none of the keys has signed it, where it is another epoch's. */
static void explain_epoch(const struct judge *judge, struct sg_slice bytes, struct sg_err *err)
{
    struct sg_slice origin;
    struct sg_note note;

    if (sg_note_parse(bytes, &note, NULL) != SG_OK)
        return;
    for (size_t i = 0; i < judge->key_count; i++)
        if (sg_checkpoint_is_other_epoch(note.text, judge->keys[i], &origin)) {
            SG_FAIL(err, SG_E_INVALID, 0,
                    "it is of another epoch of the log, %.*s, whose key was not given",
                    (int)origin.len, (const char *)origin.ptr);
            return;
        }
}

/* ---- Checkpoints ---------------------------------------------------------------------------- */

static enum sg_exit judge_checkpoint(struct judge *judge, const char *path, struct sg_slice bytes)
{
    static const char kind[] = "checkpoint";
    struct sg_checkpoint checkpoint;
    struct sg_err err;

    if (judge->is_certified && !is_of_certified(judge, bytes))
        return not_certified(judge, path, kind);
    enum sg_rc rc =
        sg_cli_judge_checkpoint(bytes, judge->keys, judge->key_count, &checkpoint, &err);
    if (rc != SG_OK)
        explain_epoch(judge, bytes, &err);
    if (rc == SG_OK)
        rc = sg_kept_check(&judge->kept, judge->hasher, checkpoint.origin, &checkpoint.head, &err);
    if (rc == SG_OK)
        rc = check_witnesses(judge, bytes, &err);
    if (rc != SG_OK)
        return not_proved(judge, path, kind, err.msg);
    begin_file(judge, path, kind, true);
    if (judge->cli->is_json) {
        sg_json_text(&judge->json, "origin", checkpoint.origin);
        sg_json_int(&judge->json, "tree_size", (int64_t)checkpoint.head.size);
        sg_json_end(&judge->json);
        return SG_EXIT_OK;
    }
    printf(": %llu leaves of ", (unsigned long long)checkpoint.head.size);
    put_origin(checkpoint.origin);
    printf("\n");
    return SG_EXIT_OK;
}

/* ---- Receipts ------------------------------------------------------------------------------- */

static enum sg_rc prove_receipt(struct judge *judge, const struct sg_receipt *receipt,
                                struct sg_slice record, struct sg_checkpoint *ret,
                                struct sg_err *err)
{
    enum sg_rc rc;

    if (is_any_log(judge))
        return sg_receipt_prove(judge->hasher, receipt, record, NULL, ret, err);
    for (size_t i = 0; i < judge->key_count; i++) {
        rc = sg_receipt_prove(judge->hasher, receipt, record, judge->keys[i], ret, err);
        if (rc == SG_OK)
            return rc;
    }
    explain_epoch(judge, receipt->checkpoint, err);
    return SG_E_INVALID; /* err is of the last */
}

static enum sg_exit tell_receipt(struct judge *judge, const char *path,
                                 const struct sg_checkpoint *checkpoint, uint64_t index,
                                 const struct sg_audit_record *record)
{
    begin_file(judge, path, "receipt", true);
    if (judge->cli->is_json) {
        sg_json_text(&judge->json, "origin", checkpoint->origin);
        sg_json_begin_object(&judge->json, "record");
        sg_cli_json_record(&judge->json, index, record);
        sg_json_end(&judge->json);
        sg_json_end(&judge->json);
        return SG_EXIT_OK;
    }
    printf(": leaf %llu of %llu in ", (unsigned long long)index,
           (unsigned long long)checkpoint->head.size);
    put_origin(checkpoint->origin);
    printf("\n");
    sg_cli_put_record_whole(index, record);
    return SG_EXIT_OK;
}

static bool is_receipt(const struct sg_buf *file)
{
    static const char begin[] = "c2sp.org/tlog-proof@";
    return sg_slice_starts(sg_buf_slice(file), sg_slice_str(begin));
}

/* A checkpoint by itself is a note, and what is neither is called no receipt. */
static enum sg_exit judge_receipt(struct judge *judge, const char *path)
{
    static const char kind[] = "receipt";
    struct sg_note note;
    struct sg_audit_record record;
    struct sg_checkpoint checkpoint;
    struct sg_receipt receipt;
    struct sg_buf file, bytes;
    struct sg_err err;

    sg_buf_init(&file, SG_RECEIPT_BYTES_MAX + 1);
    sg_buf_init(&bytes, SG_RECEIPT_EXTRA_BYTES_MAX);
    enum sg_exit code = sg_cli_read_file(judge->cli, path, SG_RECEIPT_BYTES_MAX, &file);
    if (code == SG_EXIT_OK && !is_receipt(&file) &&
        sg_note_parse(sg_buf_slice(&file), &note, NULL) == SG_OK &&
        sg_checkpoint_parse(note.text, &checkpoint, NULL) == SG_OK) {
        code = judge_checkpoint(judge, path, sg_buf_slice(&file));
    } else if (code == SG_EXIT_OK) {
        if (sg_receipt_parse(sg_buf_slice(&file), &receipt, &err) != SG_OK ||
            sg_receipt_read_record(&receipt, &bytes, &err) != SG_OK ||
            sg_audit_record_parse(sg_buf_slice(&bytes), &record, &err) != SG_OK)
            code = not_proved(judge, path, kind, err.msg);
        else if (judge->is_certified && !is_of_certified(judge, receipt.checkpoint))
            code = not_certified(judge, path, kind);
        else if (prove_receipt(judge, &receipt, sg_buf_slice(&bytes), &checkpoint, &err) != SG_OK ||
                 sg_kept_check(&judge->kept, judge->hasher, checkpoint.origin, &checkpoint.head,
                               &err) != SG_OK ||
                 check_witnesses(judge, receipt.checkpoint, &err) != SG_OK)
            code = not_proved(judge, path, kind, err.msg);
        else
            code = tell_receipt(judge, path, &checkpoint, receipt.index, &record);
    }
    sg_buf_done(&bytes);
    sg_buf_done(&file);
    return code;
}

/* ---- Exports -------------------------------------------------------------------------------- */

/* Feeds the file from its beginning. SG_E_UNAVAILABLE: it could not be read. */
static enum sg_rc feed(struct judge *judge, int fd, struct sg_export_reader *reader,
                       struct sg_err *err)
{
    off_t at = 0;

    for (;;) {
        ssize_t len = pread(fd, judge->piece, PIECE_BYTES, at);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "%s", strerror(errno));
        if (len == 0)
            return sg_export_finish(reader, err);
        SG_TRY(sg_export_read(reader, sg_slice_of(judge->piece, (size_t)len), err));
        at += len;
    }
}

static enum sg_rc list_leaf(void *arg, uint64_t index, struct sg_slice bytes,
                            const struct sg_audit_record *record, struct sg_err *err)
{
    struct judge *judge = arg;

    (void)bytes;
    if (!judge->cli->is_json) {
        sg_cli_put_record(index, record);
        return SG_OK;
    }
    sg_json_begin_object(&judge->json, NULL);
    sg_cli_json_record(&judge->json, index, record);
    sg_json_end(&judge->json);
    return sg_buf_check(&judge->out, err);
}

/* The leaves, once they are proved. The file might be another by now: it is proved once more. */
static enum sg_exit list(struct judge *judge, const char *path, int fd,
                         const struct sg_note_key *key)
{
    SG_AUTO(sg_export_reader_free) struct sg_export_reader *reader = NULL;
    struct sg_err err;
    enum sg_rc rc = sg_export_reader_new(key, list_leaf, judge, &reader, &err);

    if (judge->cli->is_json)
        sg_json_begin_array(&judge->json, "records");
    if (rc == SG_OK)
        rc = feed(judge, fd, reader, &err);
    if (judge->cli->is_json)
        sg_json_end(&judge->json);
    if (rc == SG_OK)
        return SG_EXIT_OK;
    return sg_cli_fail(judge->cli, SG_EXIT_FILE, "FILE_CHANGED", "%s: %s", path, err.msg);
}

static enum sg_exit tell_export(struct judge *judge, const char *path, int fd,
                                struct sg_export_reader *reader, const struct sg_note_key *key)
{
    const struct sg_export_head *head = sg_export_reader_head(reader);
    struct sg_export_result result;
    enum sg_exit code = SG_EXIT_OK;

    sg_export_result(reader, &result);
    begin_file(judge, path, "export", true);
    if (judge->cli->is_json) {
        sg_json_text(&judge->json, "origin", head->origin);
        sg_json_int(&judge->json, "first", (int64_t)head->first);
        sg_json_int(&judge->json, "end", (int64_t)head->end);
        sg_json_int(&judge->json, "tree_size", (int64_t)result.head.size);
    } else {
        printf(": %llu leaves from %llu on, of %llu in ",
               (unsigned long long)(head->end - head->first), (unsigned long long)head->first,
               (unsigned long long)result.head.size);
        put_origin(head->origin);
        printf("\n");
    }
    if (judge->is_listing)
        code = list(judge, path, fd, key);
    if (judge->cli->is_json)
        sg_json_end(&judge->json);
    return code;
}

static enum sg_exit judge_export(struct judge *judge, const char *path, int fd)
{
    static const char kind[] = "export";
    struct sg_export_result result = {0};
    struct sg_err err = {0};
    enum sg_rc rc = SG_OK;

    if (judge->is_certified && judge->key_count == 0)
        return not_certified(judge, path, kind);
    for (size_t i = 0; i == 0 || i < judge->key_count; i++) {
        const struct sg_note_key *key = is_any_log(judge) ? NULL : judge->keys[i];
        SG_AUTO(sg_export_reader_free) struct sg_export_reader *reader = NULL;
        rc = sg_export_reader_new(key, NULL, NULL, &reader, &err);
        if (rc == SG_OK)
            rc = feed(judge, fd, reader, &err);
        if (reader != NULL)
            sg_export_result(reader, &result);
        if (rc == SG_OK)
            rc = sg_kept_check(&judge->kept, judge->hasher, sg_export_reader_head(reader)->origin,
                               &result.head, &err);
        if (rc == SG_OK)
            rc = check_witnesses(judge, sg_export_reader_head(reader)->checkpoint, &err);
        if (rc == SG_OK && judge->is_certified &&
            !is_of_certified(judge, sg_export_reader_head(reader)->checkpoint))
            return not_certified(judge, path, kind);
        if (rc == SG_OK)
            return tell_export(judge, path, fd, reader, key);
        if (result.verdict != SG_EXPORT_NOT_SIGNED)
            break;
    }
    if (rc != SG_E_INVALID)
        return sg_cli_fail(judge->cli, SG_EXIT_FILE, "FILE_NOT_READ", "could not read %s: %s", path,
                           err.msg);
    if (judge->is_certified && result.verdict == SG_EXPORT_NOT_SIGNED)
        return not_certified(judge, path, kind);
    return not_proved(judge, path, kind, err.msg);
}

/* ---- Files ---------------------------------------------------------------------------------- */

static bool begins_with(int fd, const char *text)
{
    char begin[32];
    const size_t len = strlen(text);

    return pread(fd, begin, len, 0) == (ssize_t)len && memcmp(begin, text, len) == 0;
}

static enum sg_exit judge_file(struct judge *judge, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum sg_exit code;

    if (fd < 0)
        return sg_cli_fail(judge->cli, SG_EXIT_FILE, "FILE_NOT_READ", "could not read %s: %s", path,
                           strerror(errno));
    if (begins_with(fd, "sealgate-audit-export"))
        code = judge_export(judge, path, fd);
    else if (begins_with(fd, "SQLite format 3"))
        code = sg_cli_fail(judge->cli, SG_EXIT_FILE, "FILE_NOT_READ",
                           "%s is a database: a whole store is proved by `sealgated verify` where "
                           "the gateway is, and its leaves by `sealgate audit export`",
                           path);
    else
        code = judge_receipt(judge, path);
    (void)close(fd);
    return code;
}

static enum sg_exit judge_all(struct judge *judge)
{
    enum sg_exit code = SG_EXIT_OK;

    sg_json_begin_object(&judge->json, NULL);
    sg_json_begin_array(&judge->json, "files");
    for (size_t i = 0; i < judge->cli->args.word_count; i++) {
        enum sg_exit one = judge_file(judge, judge->cli->args.words[i]);
        if (one > code) /* a file that could not be read outweighs one that proves nothing */
            code = one;
    }
    sg_json_end(&judge->json);
    sg_json_end(&judge->json);
    return code;
}

static enum sg_exit run(struct sg_cli *cli)
{
    struct judge judge = {.cli = cli, .is_listing = sg_args_has(&cli->args, "list")};
    struct sg_err err;
    enum sg_exit code;

    sg_buf_init(&judge.out, 1 << 30);
    judge.json = sg_json_of(&judge.out);
    judge.piece = malloc(PIECE_BYTES);
    sg_buf_init(&judge.witness_keys, 64 << 10);
    sg_buf_init(&judge.certifier, 64 << 10);
    code = read_certifier(&judge);
    if (code == SG_EXIT_OK)
        code = take_keys(&judge);
    if (code == SG_EXIT_OK && judge.is_certified)
        take_certified(&judge);
    if (code == SG_EXIT_OK)
        code = take_witnesses(&judge);
    if (code == SG_EXIT_OK &&
        (judge.piece == NULL || sg_tree_hasher_new(&judge.hasher, &err) != SG_OK))
        code = sg_cli_fail(cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
    if (code == SG_EXIT_OK)
        code = sg_kept_read(cli, judge.keys, judge.key_count, judge.hasher, &judge.kept);
    if (code == SG_EXIT_OK) {
        code = judge_all(&judge);
        if (cli->is_json)
            code = sg_cli_print_json(cli, &judge.out, code);
        else
            code = sg_cli_flush(cli, code);
    }
    for (size_t i = 0; i < judge.key_count; i++)
        sg_note_key_free(judge.keys[i]);
    sg_tree_hasher_free(judge.hasher);
    free(judge.piece);
    sg_buf_done(&judge.certifier);
    sg_buf_done(&judge.witness_keys);
    sg_buf_done(&judge.out);
    return code;
}

const struct sg_command sg_cmd_audit_verify = {
    .group = "audit",
    .name = "verify",
    .synopsis = "FILE... [--log-key KEY] [--certified-by FILE] [--since FILE] [--list]",
    .summary = "prove receipts and exports of an audit log, offline",
    .text =
        "Each FILE is a receipt (sign --receipt), an export or a checkpoint of a log. What it\n"
        "says is proved when the log with the key has promised it; else the part that fails is\n"
        "named, and of an export the first leaf that is wrong, where that can be known. With\n"
        "--since each is held against a checkpoint that was kept: it has to be of the same log,\n"
        "which only grew. With --witness-key that witness has to have cosigned the checkpoint,\n"
        "and so has seen no other log than this one. No gateway is asked. docs/audit.md has the\n"
        "formats, for those who would rather use other programs.\n"
        "\n"
        "With --certified-by nobody has to vouch for the log's key: a key in a token has "
        "certified\n"
        "it, if the log was begun with one, and leaf 0 shows that. One of the files has to be the\n"
        "receipt of leaf 0 (audit show 0 --receipt), or an export from leaf 0 on. Whoever issued\n"
        "a certificate in FILE, and until when, is yours to judge: openssl verify.\n"
        "\n"
        "Examples:\n"
        "  sealgate audit verify README.receipt --log-key \"$(cat log.key)\"\n"
        "  sealgate audit verify README.receipt --since main.checkpoint --growth main.growth\n"
        "  sealgate audit verify first.receipt README.receipt --certified-by hsm.pem\n",
    .options = options,
    .words_min = 1,
    .words_max = SG_ARGS_WORDS_MAX,
    .is_local = true,
    .run = run,
};
