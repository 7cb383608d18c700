#include <stdlib.h>

#include "formats/audit/signer.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Of the two ways to sign, the one that is its kind's; and its public key judges it so. */
static void sign_by(struct sg_note_signer *signer)
{
    static const struct sg_slice text = SG_SLICE("log.example/1\n0\n");
    const struct sg_note_key *key = sg_note_signer_key(signer);
    const bool is_witness = sg_note_key_kind(key) == SG_NOTE_COSIGNATURE;
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_note parts;
    struct sg_buf note;
    uint64_t time = 0;

    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    if (is_witness) {
        require(sg_note_sign(signer, text, &note, NULL) == SG_E_INVALID);
        sg_buf_clear(&note);
        sg_buf_add_slice(&note, text);
        sg_buf_add_str(&note, "\n");
        require(sg_note_cosign(signer, 1790000000, text, &note, NULL) == SG_OK);
    } else {
        require(sg_note_cosign(signer, 1790000000, text, &note, NULL) == SG_E_INVALID);
        sg_buf_clear(&note);
        require(sg_note_sign(signer, text, &note, NULL) == SG_OK);
    }
    require(sg_note_parse(sg_buf_slice(&note), &parts, NULL) == SG_OK);
    require(sg_note_judge(&parts, key, &verdict, &time, NULL) == SG_OK);
    require(verdict == SG_NOTE_SIGNED && time == (is_witness ? 1790000000 : 0));
    sg_buf_done(&note);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Property: the text of a private key that is taken says the name and the id of its public key, in
 * the form in which that is published, and is as long as it must be; it signs as its kind does and
 * as no other; and what is not taken is said to be no key.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SEED_TEXT_LEN = 44, ID_LEN = 8 };
    static const char prefix[] = "PRIVATE+KEY+";
    const struct sg_slice input = sg_slice_of(data, size);
    struct sg_note_signer *signer = NULL;
    struct sg_buf wanted;

    enum sg_rc rc = sg_note_signer_new(input, &signer, NULL);
    if (rc != SG_OK) {
        require(rc == SG_E_INVALID && signer == NULL);
        return 0;
    }
    sg_buf_init(&wanted, SG_NOTE_PRIVATE_BYTES_MAX);
    sg_buf_add_str(&wanted, prefix);
    sg_note_key_write(sg_note_signer_key(signer), &wanted);
    require(!wanted.failed && wanted.len == size);
    wanted.len =
        sizeof(prefix) - 1 + sg_note_key_name(sg_note_signer_key(signer)).len + 1 + ID_LEN + 1;
    require(wanted.len + SEED_TEXT_LEN == size);
    require(sg_slice_starts(input, sg_buf_slice(&wanted)));
    sg_buf_done(&wanted);
    sign_by(signer);
    sg_note_signer_free(signer);
    return 0;
}
