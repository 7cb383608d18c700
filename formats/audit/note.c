#include "formats/audit/note.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "formats/audit/note_priv.h"
#include "formats/raw/digest.h"
#include "formats/raw/verify.h"

enum { KEY_BYTES = 32, SIGNATURE_BYTES = 64, ID_BYTES = 4, TIME_BYTES = 8 };

struct sg_note_key {
    enum sg_note_kind kind;
    uint8_t id[ID_BYTES];
    uint8_t bytes[KEY_BYTES];
    struct sg_public_key *key;
    size_t name_len;
    uint8_t name[];
};

/* Names ------------------------------------------------------------------------------------ */

/* Unicode's White_Space, but for the control characters, which are refused before. */
static bool is_space(uint32_t c)
{
    return c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_name(struct sg_slice name)
{
    if (name.len == 0 || name.len > SG_NOTE_NAME_BYTES_MAX)
        return false;
    while (name.len > 0) {
        uint32_t c = 0;
        size_t len = sg_utf8_next(name, &c);
        if (len == 0 || c < 0x20 || c == '+' || is_space(c))
            return false;
        (void)sg_slice_take(&name, len);
    }
    return true;
}

/* Notes ------------------------------------------------------------------------------------ */

bool sg_note_take_line(struct sg_slice *in, struct sg_slice *ret)
{
    const uint8_t *end = in->len == 0 ? NULL : memchr(in->ptr, '\n', in->len);
    if (end == NULL)
        return false;
    *ret = sg_slice_take(in, (size_t)(end - in->ptr));
    (void)sg_slice_take(in, 1);
    return true;
}

static bool is_text(struct sg_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] < 0x20 && bytes.ptr[i] != '\n')
            return false;
    return sg_utf8_is_valid(bytes);
}

/* "— NAME BASE64": cuts the line off and decodes it into `out`, id first. */
static bool take_signature(struct sg_slice *lines, struct sg_slice *ret_name, struct sg_buf *out)
{
    static const char dash[] = "\xe2\x80\x94 ";
    struct sg_slice line;

    if (!sg_note_take_line(lines, &line) || !sg_slice_starts(line, sg_slice_str(dash)))
        return false;
    (void)sg_slice_take(&line, sizeof(dash) - 1);
    const uint8_t *space = line.len == 0 ? NULL : memchr(line.ptr, ' ', line.len);
    if (space == NULL)
        return false;
    *ret_name = sg_slice_take(&line, (size_t)(space - line.ptr));
    (void)sg_slice_take(&line, 1);
    sg_buf_clear(out);
    return is_name(*ret_name) &&
           sg_base64_decode(line, SG_BASE64_STD, SG_BASE64_PADDED, out, NULL) == SG_OK &&
           out->len > ID_BYTES;
}

/* Where the last empty line is: the text ends with the newline before it. */
static bool split(struct sg_slice bytes, struct sg_note *ret)
{
    for (size_t at = bytes.len; at >= 2; at--) {
        if (bytes.ptr[at - 1] != '\n' || bytes.ptr[at - 2] != '\n')
            continue;
        ret->text = sg_slice_of(bytes.ptr, at - 1);
        ret->signatures = sg_slice_of(bytes.ptr + at, bytes.len - at);
        return true;
    }
    return false;
}

enum sg_rc sg_note_parse(struct sg_slice bytes, struct sg_note *ret, struct sg_err *err)
{
    if (bytes.len > SG_NOTE_BYTES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read a note: it is over %d bytes long",
                       SG_NOTE_BYTES_MAX);
    struct sg_note note;
    if (!is_text(bytes) || !split(bytes, &note) || note.signatures.len == 0)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not read a note: it is not a text, an empty line and signatures");

    struct sg_buf room;
    sg_buf_init(&room, SG_NOTE_BYTES_MAX);
    enum sg_rc rc = SG_OK;
    struct sg_slice rest = note.signatures, name;
    for (size_t count = 0; rc == SG_OK && rest.len > 0; count++) {
        if (count == SG_NOTE_SIGNATURES_MAX)
            rc = SG_FAIL(err, SG_E_LIMIT, 0, "could not read a note: it has over %d signatures",
                         SG_NOTE_SIGNATURES_MAX);
        else if (!take_signature(&rest, &name, &room))
            rc = room.failed
                     ? SG_FAIL(err, SG_E_INTERNAL, 0, "could not read a note: out of memory")
                     : SG_FAIL(err, SG_E_INVALID, 0,
                               "could not read a note: line %zu of its signatures is none",
                               count + 1);
    }
    sg_buf_done(&room);
    if (rc == SG_OK)
        *ret = note;
    return rc;
}

/* Keys ------------------------------------------------------------------------------------- */

static enum sg_rc key_id(struct sg_slice name, enum sg_note_kind kind, const uint8_t *public_key,
                         uint8_t out[ID_BYTES], struct sg_err *err)
{
    uint8_t bytes[SG_NOTE_NAME_BYTES_MAX + 2 + KEY_BYTES], digest[SG_DIGEST_BYTES_MAX];

    memcpy(bytes, name.ptr, name.len);
    bytes[name.len] = '\n';
    bytes[name.len + 1] = (uint8_t)kind;
    memcpy(bytes + name.len + 2, public_key, KEY_BYTES);
    SG_TRY(
        sg_digest_of(SG_DIGEST_SHA256, sg_slice_of(bytes, name.len + 2 + KEY_BYTES), digest, err));
    memcpy(out, digest, ID_BYTES);
    return SG_OK;
}

enum sg_rc sg_note_key_new(struct sg_slice name, enum sg_note_kind kind,
                           const uint8_t public_key[KEY_BYTES], struct sg_note_key **ret,
                           struct sg_err *err)
{
    /* SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4). */
    uint8_t spki[12 + KEY_BYTES] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                    0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

    if (!is_name(name) || (kind != SG_NOTE_ED25519 && kind != SG_NOTE_COSIGNATURE))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not make a note key: name or kind is wrong");
    SG_AUTO(sg_note_key_free)
    struct sg_note_key *key = calloc(1, sizeof(*key) + name.len);
    if (key == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not make a note key: out of memory");
    key->kind = kind;
    key->name_len = name.len;
    memcpy(key->name, name.ptr, name.len);
    memcpy(key->bytes, public_key, KEY_BYTES);
    memcpy(spki + 12, public_key, KEY_BYTES);
    SG_TRY(key_id(name, kind, public_key, key->id, err));
    SG_TRY(sg_public_key_parse(sg_slice_of(spki, sizeof(spki)), &key->key, err));
    *ret = SG_STEAL(key);
    return SG_OK;
}

void sg_note_key_free(struct sg_note_key *key)
{
    if (key == NULL)
        return;
    sg_public_key_free(key->key);
    free(key);
}

struct sg_slice sg_note_key_name(const struct sg_note_key *key)
{
    return sg_slice_of(key->name, key->name_len);
}

enum sg_note_kind sg_note_key_kind(const struct sg_note_key *key)
{
    return key->kind;
}

bool sg_note_key_is_same(const struct sg_note_key *a, const struct sg_note_key *b)
{
    return a->kind == b->kind && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static const char hex_digits[] = "0123456789abcdef";

void sg_note_key_write(const struct sg_note_key *key, struct sg_buf *out)
{
    uint8_t bytes[1 + KEY_BYTES] = {(uint8_t)key->kind};

    memcpy(bytes + 1, key->bytes, KEY_BYTES);
    sg_buf_add_slice(out, sg_note_key_name(key));
    sg_buf_add_u8(out, '+');
    for (size_t i = 0; i < ID_BYTES; i++) {
        sg_buf_add_u8(out, (uint8_t)hex_digits[key->id[i] >> 4]);
        sg_buf_add_u8(out, (uint8_t)hex_digits[key->id[i] & 15]);
    }
    sg_buf_add_u8(out, '+');
    sg_base64_encode(sg_slice_of(bytes, sizeof(bytes)), SG_BASE64_STD, SG_BASE64_PADDED, out);
}

/* Cuts off what stands before the next '+', and that. */
static bool take_part(struct sg_slice *text, struct sg_slice *ret)
{
    const uint8_t *plus = text->len == 0 ? NULL : memchr(text->ptr, '+', text->len);
    if (plus == NULL)
        return false;
    *ret = sg_slice_take(text, (size_t)(plus - text->ptr));
    (void)sg_slice_take(text, 1);
    return true;
}

static enum sg_rc no_key(struct sg_err *err)
{
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "could not read a note key: it is not NAME+ID+KEY of an Ed25519 key");
}

enum sg_rc sg_note_key_parse(struct sg_slice text, struct sg_note_key **ret, struct sg_err *err)
{
    uint8_t room[1 + KEY_BYTES + 3];
    struct sg_slice whole = text, name, id;
    struct sg_buf bytes, again;

    if (!take_part(&text, &name) || !take_part(&text, &id) || text.len > sizeof(room) / 3 * 4)
        return no_key(err);
    sg_buf_init(&bytes, sizeof(room));
    bool is_read = sg_base64_decode(text, SG_BASE64_STD, SG_BASE64_PADDED, &bytes, NULL) == SG_OK &&
                   bytes.len == 1 + KEY_BYTES;
    if (is_read)
        memcpy(room, bytes.ptr, bytes.len);
    sg_buf_done(&bytes);
    if (!is_read)
        return no_key(err);

    SG_AUTO(sg_note_key_free) struct sg_note_key *key = NULL;
    SG_TRY(sg_note_key_new(name, (enum sg_note_kind)room[0], room + 1, &key, err));
    /* The id is what it should be, and in lower case, when it would be written the same. */
    sg_buf_init(&again, SG_NOTE_NAME_BYTES_MAX + 64);
    sg_note_key_write(key, &again);
    bool is_same = !again.failed && sg_slice_eq(sg_buf_slice(&again), whole);
    sg_buf_done(&again);
    if (!is_same)
        return no_key(err);
    *ret = SG_STEAL(key);
    return SG_OK;
}

/* Signatures ------------------------------------------------------------------------------- */

void sg_note_tbs(enum sg_note_kind kind, uint64_t time, struct sg_slice text, struct sg_buf *out)
{
    if (kind == SG_NOTE_COSIGNATURE)
        sg_buf_printf(out, "cosignature/v1\ntime %llu\n", (unsigned long long)time);
    sg_buf_add_slice(out, text);
}

static uint64_t be64(const uint8_t *p)
{
    return (uint64_t)sg_be32(p) << 32 | sg_be32(p + 4);
}

void sg_note_add_signature(const struct sg_note_key *key, uint64_t time,
                           const uint8_t signature[SIGNATURE_BYTES], struct sg_buf *out)
{
    uint8_t bytes[ID_BYTES + TIME_BYTES + SIGNATURE_BYTES];
    size_t len = ID_BYTES;

    memcpy(bytes, key->id, ID_BYTES);
    if (key->kind == SG_NOTE_COSIGNATURE) {
        sg_put_be32(bytes + len, (uint32_t)(time >> 32));
        sg_put_be32(bytes + len + 4, (uint32_t)time);
        len += TIME_BYTES;
    }
    memcpy(bytes + len, signature, SIGNATURE_BYTES);
    len += SIGNATURE_BYTES;

    sg_buf_add_str(out, "\xe2\x80\x94 ");
    sg_buf_add_slice(out, sg_note_key_name(key));
    sg_buf_add_u8(out, ' ');
    sg_base64_encode(sg_slice_of(bytes, len), SG_BASE64_STD, SG_BASE64_PADDED, out);
    sg_buf_add_u8(out, '\n');
}

/* Whether what stands behind the key's id is its signature over the text. */
static enum sg_rc check(const struct sg_note_key *key, struct sg_slice text, struct sg_slice value,
                        bool *ret, uint64_t *ret_time, struct sg_err *err)
{
    uint64_t time = 0;
    *ret = false;
    if (key->kind == SG_NOTE_COSIGNATURE) {
        if (value.len < TIME_BYTES)
            return SG_OK;
        time = be64(sg_slice_take(&value, TIME_BYTES).ptr);
        if (time > INT64_MAX)
            return SG_OK;
    }
    if (value.len != SIGNATURE_BYTES)
        return SG_OK;

    struct sg_buf tbs;
    sg_buf_init(&tbs, SG_NOTE_BYTES_MAX + 64);
    sg_note_tbs(key->kind, time, text, &tbs);
    enum sg_raw_verdict verdict = SG_RAW_INVALID;
    enum sg_rc rc = sg_buf_check(&tbs, err);
    if (rc == SG_OK)
        rc = sg_raw_verify(key->key,
                           &(struct sg_raw_signature){.scheme = SG_SCHEME_ED25519,
                                                      .content = sg_buf_slice(&tbs),
                                                      .signature = value},
                           &verdict, err);
    sg_buf_done(&tbs);
    *ret = rc == SG_OK && verdict == SG_RAW_VALID;
    if (*ret)
        *ret_time = time;
    return rc;
}

static enum sg_rc judge(const struct sg_note *note, const struct sg_note_key *key,
                        enum sg_note_verdict *ret, uint64_t *ret_time, struct sg_slice *ret_line,
                        struct sg_err *err)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_slice rest = note->signatures, name;
    struct sg_buf room;
    enum sg_rc rc = SG_OK;
    uint64_t time = 0;

    sg_buf_init(&room, SG_NOTE_BYTES_MAX);
    *ret_line = (struct sg_slice){0};
    while (rc == SG_OK && verdict != SG_NOTE_WRONG && rest.len > 0) {
        const uint8_t *line = rest.ptr;
        if (!take_signature(&rest, &name, &room)) {
            rc = SG_FAIL(err, SG_E_INTERNAL, 0, "could not read a note again: out of memory");
            break;
        }
        struct sg_slice value = sg_buf_slice(&room);
        struct sg_slice id = sg_slice_take(&value, ID_BYTES);
        if (!sg_slice_eq(name, sg_note_key_name(key)) ||
            !sg_slice_eq(id, sg_slice_of(key->id, ID_BYTES)))
            continue;
        bool is_good;
        rc = check(key, note->text, value, &is_good, &time, err);
        verdict = is_good ? SG_NOTE_SIGNED : SG_NOTE_WRONG;
        if (ret_line->len == 0)
            *ret_line = sg_slice_of(line, (size_t)(rest.ptr - line));
    }
    sg_buf_done(&room);
    if (rc != SG_OK)
        return rc;
    *ret = verdict;
    *ret_time = verdict == SG_NOTE_SIGNED ? time : 0;
    if (verdict != SG_NOTE_SIGNED)
        *ret_line = (struct sg_slice){0};
    return SG_OK;
}

enum sg_rc sg_note_judge(const struct sg_note *note, const struct sg_note_key *key,
                         enum sg_note_verdict *ret, uint64_t *ret_time, struct sg_err *err)
{
    struct sg_slice line;
    return judge(note, key, ret, ret_time, &line, err);
}

enum sg_rc sg_note_find(const struct sg_note *note, const struct sg_note_key *key,
                        enum sg_note_verdict *ret, struct sg_slice *ret_line, struct sg_err *err)
{
    uint64_t time;
    return judge(note, key, ret, &time, ret_line, err);
}
