#include "client/cli/certified.h"

#include <errno.h>

#include "formats/audit/certified.h"
#include "formats/audit/export.h"

enum { PIECE_BYTES = 32 << 10 };

enum sg_exit sg_cli_read_certifier(const struct sg_cli *cli, const char *path, struct sg_buf *spki)
{
    struct sg_buf file;
    struct sg_err err;

    sg_buf_init(&file, SG_CERTIFIER_FILE_BYTES_MAX + 1);
    enum sg_exit code = sg_cli_read_file(cli, path, SG_CERTIFIER_FILE_BYTES_MAX, &file);
    if (code == SG_EXIT_OK && sg_certifier_read(sg_buf_slice(&file), spki, &err) != SG_OK)
        code =
            sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--certified-by %s: %s", path, err.msg);
    sg_buf_done(&file);
    return code;
}

static enum sg_rc no_first_leaf(struct sg_err *err)
{
    return SG_FAIL(
        err, SG_E_UNSUPPORTED, 0,
        "no leaf 0 among the files has its log's key certified: give the receipt of leaf "
        "0 too, or an export from leaf 0 on (sealgate audit show 0 --receipt FILE)");
}

/* What of an export is read: one leaf. */
struct looking {
    struct sg_slice spki;
    struct sg_note_key *key;
    bool is_over;
    enum sg_rc rc;
};

static enum sg_rc on_leaf(void *arg, uint64_t index, struct sg_slice bytes,
                          const struct sg_audit_record *record, struct sg_err *err)
{
    struct looking *looking = arg;

    (void)bytes;
    looking->is_over = true;
    looking->rc = index == 0 ? sg_certification_check(record, looking->spki, &looking->key, err)
                             : no_first_leaf(err);
    return looking->rc == SG_OK ? SG_E_AGAIN : looking->rc; /* ends the reading */
}

static enum sg_rc look_into_export(FILE *file, struct sg_slice spki, struct sg_note_key **ret,
                                   struct sg_err *err)
{
    SG_AUTO(sg_export_reader_free) struct sg_export_reader *reader = NULL;
    struct looking looking = {.spki = spki};
    uint8_t piece[PIECE_BYTES];
    enum sg_rc rc = SG_OK;
    size_t len;

    SG_TRY(sg_export_reader_new(NULL, on_leaf, &looking, &reader, err));
    while (rc == SG_OK && (len = fread(piece, 1, sizeof(piece), file)) > 0)
        rc = sg_export_read(reader, sg_slice_of(piece, len), err);
    *ret = looking.key;
    if (looking.is_over)
        return looking.rc;
    return rc == SG_OK ? no_first_leaf(err) : rc;
}

static enum sg_rc look_into_receipt(FILE *file, struct sg_slice spki, struct sg_note_key **ret,
                                    struct sg_err *err)
{
    struct sg_audit_record first;
    struct sg_receipt receipt;
    struct sg_buf text, bytes;

    sg_buf_init(&text, SG_RECEIPT_BYTES_MAX);
    sg_buf_init(&bytes, SG_RECEIPT_EXTRA_BYTES_MAX);
    uint8_t *room = sg_buf_room(&text, SG_RECEIPT_BYTES_MAX);
    if (room != NULL)
        sg_buf_claim(&text, fread(room, 1, SG_RECEIPT_BYTES_MAX, file));
    enum sg_rc rc = sg_buf_check(&text, err);
    if (rc == SG_OK &&
        (sg_receipt_parse(sg_buf_slice(&text), &receipt, NULL) != SG_OK || receipt.index != 0))
        rc = no_first_leaf(err);
    if (rc == SG_OK)
        rc = sg_receipt_read_record(&receipt, &bytes, err);
    if (rc == SG_OK)
        rc = sg_audit_record_parse(sg_buf_slice(&bytes), &first, err);
    if (rc == SG_OK)
        rc = sg_certification_check(&first, spki, ret, err);
    sg_buf_done(&bytes);
    sg_buf_done(&text);
    return rc;
}

enum sg_rc sg_cli_certified_key(const char *path, struct sg_slice spki, struct sg_note_key **ret,
                                struct sg_err *err)
{
    static const char export_begins[] = "sealgate-audit-export";
    char begin[sizeof(export_begins) - 1];
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not read %.100s: %s",
                       path, strerror(errno));
    const size_t len = fread(begin, 1, sizeof(begin), file);
    const bool is_export = len == sizeof(begin) && memcmp(begin, export_begins, sizeof(begin)) == 0;
    rewind(file);
    enum sg_rc rc = is_export ? look_into_export(file, spki, ret, err)
                              : look_into_receipt(file, spki, ret, err);
    (void)fclose(file);
    return rc;
}
