#ifndef SG_FORMATS_AUDIT_NOTE_H
#define SG_FORMATS_AUDIT_NOTE_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Signed notes (c2sp.org/signed-note): a text, an empty line, and a line for each signature. The
 * form in which the log's checkpoints travel, so that other people's tools read them too.
 *
 * The text of a note must not be used before one of the keys that the reader trusts has signed it.
 */

enum {
    SG_NOTE_BYTES_MAX = 128 * 1024, /* sixteen witnesses with the long keys that are to come */
    SG_NOTE_SIGNATURES_MAX = 32,
    SG_NOTE_NAME_BYTES_MAX = 255,
};

/* What a key's signature says. The number is part of the key's id: one means not the other. */
enum sg_note_kind {
    SG_NOTE_UNSET = 0,
    SG_NOTE_ED25519 = 0x01, /* the log's own signature, over the text */
    SG_NOTE_COSIGNATURE =
        0x04, /* a witness's, over a time and the text (c2sp.org/tlog-cosignature) */
};

/* Parts of the bytes that were parsed: they must outlive it. */
struct sg_note {
    struct sg_slice text;       /* with its last newline */
    struct sg_slice signatures; /* whole lines */
};

/* Judges the form alone. Errors: SG_E_INVALID, it is no note; SG_E_LIMIT, it is too long or has too
 * many signatures. */
SG_MUST_USE enum sg_rc sg_note_parse(struct sg_slice bytes, struct sg_note *ret,
                                     struct sg_err *err);

/* Who is believed: name, kind and Ed25519 key. Immutable, so any thread may use it. */
struct sg_note_key;
/* `NAME+ID+BASE64`, as such keys are published. Errors: SG_E_INVALID: not that form, another kind
 * of key, or an id that is not the key's. */
SG_MUST_USE enum sg_rc sg_note_key_parse(struct sg_slice text, struct sg_note_key **ret,
                                         struct sg_err *err);
SG_MUST_USE enum sg_rc sg_note_key_new(struct sg_slice name, enum sg_note_kind kind,
                                       const uint8_t public_key[32], struct sg_note_key **ret,
                                       struct sg_err *err);
void sg_note_key_free(struct sg_note_key *key);
SG_DEFINE_AUTO(struct sg_note_key, sg_note_key_free);
/* Appends it as it is published, without a newline. */
void sg_note_key_write(const struct sg_note_key *key, struct sg_buf *out);
struct sg_slice sg_note_key_name(const struct sg_note_key *key);
enum sg_note_kind sg_note_key_kind(const struct sg_note_key *key);
/* Of the same kind and bytes, whatever they are called. */
bool sg_note_key_is_same(const struct sg_note_key *a, const struct sg_note_key *b);

/* Zero means no. */
enum sg_note_verdict {
    SG_NOTE_NOT_SIGNED = 0, /* by this key; others may have */
    SG_NOTE_WRONG, /* a signature says it is by this key, and is not: throw the note away */
    SG_NOTE_SIGNED,
};

/* Whether the key has signed the note; `ret_time` is a witness's, in seconds since 1970, and 0 for
 * other keys. SG_OK means judged. Errors: SG_E_INTERNAL. */
SG_MUST_USE enum sg_rc sg_note_judge(const struct sg_note *note, const struct sg_note_key *key,
                                     enum sg_note_verdict *ret, uint64_t *ret_time,
                                     struct sg_err *err);

/* The same, and the line of the first signature of this key, with its newline; empty unless
 * SG_NOTE_SIGNED. */
SG_MUST_USE enum sg_rc sg_note_find(const struct sg_note *note, const struct sg_note_key *key,
                                    enum sg_note_verdict *ret, struct sg_slice *ret_line,
                                    struct sg_err *err);

/* Appends the bytes that a key of this kind signs; `time` is a witness's. */
void sg_note_tbs(enum sg_note_kind kind, uint64_t time, struct sg_slice text, struct sg_buf *out);
/* Appends the line of a signature over sg_note_tbs(). The note's text and an empty line come before
 * the first. */
void sg_note_add_signature(const struct sg_note_key *key, uint64_t time,
                           const uint8_t signature[64], struct sg_buf *out);

#endif
