#include "client/include/sealgate_audit.h"
#include "client/lib/codec.h"
#include "client/lib/error.h"
#include "formats/audit/witness.h"

/* Who else has seen a checkpoint, offline. */

enum { KEYS_MAX = 16 };

struct keys {
    struct sg_note_key *keys[KEYS_MAX];
    size_t count;
};

static enum sealgate_code bad_key(struct sealgate_error *error, const char *why)
{
    return sg_client_fail(error, SG_CLIENT_BAD_OPTIONS, SEALGATE_OUTCOME_NOT_DONE,
                          "witness_keys: %s", why);
}

/* Separated by blanks, which no key has in it. */
static enum sealgate_code take_keys(const char *text, struct keys *keys,
                                    struct sealgate_error *error)
{
    struct sg_err err;

    for (text += strspn(text, " \t\n"); *text != '\0'; text += strspn(text, " \t\n")) {
        const size_t len = strcspn(text, " \t\n");
        if (keys->count == KEYS_MAX)
            return bad_key(error, "there are over 16");
        if (sg_note_key_parse(sg_slice_of(text, len), &keys->keys[keys->count], &err) != SG_OK)
            return bad_key(error, err.msg);
        if (sg_note_key_kind(keys->keys[keys->count++]) != SG_NOTE_COSIGNATURE)
            return bad_key(error, "one of the keys is a log's, not a witness's");
        text += len;
    }
    return SEALGATE_OK;
}

static enum sg_rc count(struct sg_slice text, const struct keys *keys, size_t *ret,
                        struct sg_err *err)
{
    struct sg_checkpoint checkpoint;
    struct sg_receipt receipt;
    struct sg_note note;

    if (sg_receipt_parse(text, &receipt, NULL) == SG_OK)
        text = receipt.checkpoint;
    SG_TRY(sg_note_parse(text, &note, err));
    SG_TRY(sg_checkpoint_parse(note.text, &checkpoint, err));
    return sg_witness_count(&note, keys->keys, keys->count, ret, err);
}

enum sealgate_code sealgate_witnesses_count(struct sealgate_bytes file, const char *witness_keys,
                                            size_t *ret, struct sealgate_error *error)
{
    struct keys keys = {0};
    struct sg_err err = {0};

    enum sealgate_code code = take_keys(witness_keys, &keys, error);
    if (code == SEALGATE_OK && count(sg_client_slice(file), &keys, ret, &err) != SG_OK)
        code = sg_client_fail(error, SG_CLIENT_CHECKPOINT_WRONG, SEALGATE_OUTCOME_ANSWERED, "%s",
                              err.msg);
    for (size_t i = 0; i < keys.count; i++)
        sg_note_key_free(keys.keys[i]);
    return code;
}
