#include "formats/audit/epoch.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "formats/raw/digest.h"
#include "formats/raw/pem.h"
#include "formats/raw/spki_file.h"
#include "formats/raw/verify.h"

enum { KEY_DIGITS = 64 };

static const char first_line[] = "sealgate.v1 epoch/1\n";
static const char approval_line[] = "sealgate.v1 approval/1\n";

static const struct {
    const char *name, *meaning;
} states[SG_EPOCH_STATE_COUNT] = {
    [SG_EPOCH_UNSET] = {"", ""},
    [SG_EPOCH_SOUND] = {"sound", "the log is whole; from now on another key signs it"},
    [SG_EPOCH_BEHIND] =
        {"behind", "leaves that the log had promised are lost: what they told of was done, and "
                   "their request ids are not known any more"},
    [SG_EPOCH_FORKED] = {"forked",
                         "the log had promised other leaves than these: those are lost, and who "
                         "holds receipts for them is right"},
    [SG_EPOCH_UNANCHORED] = {"unanchored", "nobody here remembers how far the log was: leaves at "
                                           "its end may be lost"},
    [SG_EPOCH_BROKEN] = {"broken", "leaves of the log are missing or were changed in the store"},
};

const char *sg_epoch_state_name(enum sg_epoch_state state)
{
    return (unsigned)state < SG_EPOCH_STATE_COUNT ? states[state].name : "";
}

const char *sg_epoch_state_meaning(enum sg_epoch_state state)
{
    return (unsigned)state < SG_EPOCH_STATE_COUNT ? states[state].meaning : "";
}

/* Writing ---------------------------------------------------------------------------------- */

static void add_head(struct sg_buf *out, const char *name, bool is_known,
                     const struct sg_tree_head *head)
{
    sg_buf_add_str(out, name);
    if (!is_known) {
        sg_buf_add_str(out, " none\n");
        return;
    }
    sg_buf_printf(out, " %llu ", (unsigned long long)head->size);
    sg_base64_encode(sg_slice_of(head->root.bytes, sizeof(head->root.bytes)), SG_BASE64_STD,
                     SG_BASE64_PADDED, out);
    sg_buf_add_str(out, "\n");
}

static void add_text(struct sg_buf *out, const char *name, struct sg_slice text)
{
    sg_buf_add_str(out, name);
    sg_buf_add_u8(out, ' ');
    sg_buf_add_slice(out, text);
    sg_buf_add_u8(out, '\n');
}

static void add_time(struct sg_buf *out, int64_t time_s)
{
    char text[32];
    struct tm tm;
    time_t time = (time_t)time_s;

    if (time_s < 0 || gmtime_r(&time, &tm) == NULL || tm.tm_year > 9999 - 1900 ||
        strftime(text, sizeof(text), "time %Y-%m-%dT%H:%M:%SZ\n", &tm) == 0)
        out->failed = true;
    else
        sg_buf_add_str(out, text);
}

/* What would be read as something else, or not at all. */
static bool is_line(struct sg_slice text, size_t bytes_max)
{
    if (text.len == 0 || text.len > bytes_max || !sg_utf8_is_valid(text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return true;
}

/* "administrator: sha256:HEX", and perhaps " ca:NAME uri:URI". */
static bool take_administrator(struct sg_slice *lines, struct sg_slice *ret_key,
                               struct sg_slice *ret_identity)
{
    static const char name[] = "administrator: sha256:";
    const uint8_t *end = lines->len == 0 ? NULL : memchr(lines->ptr, '\n', lines->len);

    if (end == NULL)
        return false;
    struct sg_slice line = sg_slice_take(lines, (size_t)(end - lines->ptr));
    (void)sg_slice_take(lines, 1);
    if (!is_line(line, SG_EPOCH_ADMINISTRATORS_BYTES_MAX) ||
        !sg_slice_starts(line, sg_slice_str(name)) || line.len < sizeof(name) - 1 + KEY_DIGITS)
        return false;
    (void)sg_slice_take(&line, sizeof(name) - 1);
    *ret_key = sg_slice_take(&line, KEY_DIGITS);
    for (size_t i = 0; i < KEY_DIGITS; i++)
        if (strchr("0123456789abcdef", ret_key->ptr[i]) == NULL)
            return false;
    *ret_identity = line;
    return line.len == 0 || sg_slice_starts(line, SG_SLICE(" ca:"));
}

static bool are_administrators(struct sg_slice lines)
{
    struct sg_slice keys[SG_EPOCH_ADMINISTRATORS_MAX], identities[SG_EPOCH_ADMINISTRATORS_MAX];
    size_t count = 0;

    if (lines.len > SG_EPOCH_ADMINISTRATORS_BYTES_MAX)
        return false;
    for (; lines.len > 0; count++) {
        if (count == SG_EPOCH_ADMINISTRATORS_MAX ||
            !take_administrator(&lines, &keys[count], &identities[count]))
            return false;
        for (size_t i = 0; i < count; i++)
            if (sg_slice_eq(keys[i], keys[count]) ||
                (identities[i].len > 0 && sg_slice_eq(identities[i], identities[count])))
                return false;
    }
    return count >= 2;
}

enum sg_rc sg_epoch_administrators_check(struct sg_slice lines, struct sg_err *err)
{
    if (are_administrators(lines))
        return SG_OK;
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "name two different administrators at least and %d at most, in %d bytes",
                   SG_EPOCH_ADMINISTRATORS_MAX, SG_EPOCH_ADMINISTRATORS_BYTES_MAX);
}

void sg_epoch_statement_write(const struct sg_epoch_statement *statement, struct sg_buf *out)
{
    const size_t begin = out->len;

    sg_buf_add_str(out, first_line);
    add_text(out, "log-key", statement->old_key);
    sg_buf_printf(out, "epoch %u\n", (unsigned)statement->old_epoch);
    add_head(out, "anchor", statement->is_anchored, &statement->anchor);
    add_head(out, "store", statement->is_stored, &statement->store);
    sg_buf_printf(out, "state %s\n", sg_epoch_state_name(statement->state));
    add_text(out, "new-log-key", statement->new_key);
    sg_buf_printf(out, "new-epoch %u\n", (unsigned)statement->new_epoch);
    sg_buf_add_slice(out, statement->administrators);
    add_time(out, statement->time_s);
    add_text(out, "why", statement->why);
    if (!is_line(statement->old_key, SG_EPOCH_KEY_BYTES_MAX) ||
        !is_line(statement->new_key, SG_EPOCH_KEY_BYTES_MAX) ||
        !is_line(statement->why, SG_EPOCH_WHY_BYTES_MAX) || statement->old_epoch == 0 ||
        (statement->administrators.len > 0 && !are_administrators(statement->administrators)) ||
        statement->new_epoch == 0 || sg_epoch_state_name(statement->state)[0] == '\0' ||
        out->len - begin > SG_EPOCH_STATEMENT_BYTES_MAX)
        out->failed = true;
}

/* Reading ---------------------------------------------------------------------------------- */

/* The rest of the next line, which begins with `name` and a blank. */
static bool take_line(struct sg_slice *in, const char *name, struct sg_slice *ret)
{
    const uint8_t *end = in->len == 0 ? NULL : memchr(in->ptr, '\n', in->len);
    const size_t len = strlen(name);

    if (end == NULL)
        return false;
    struct sg_slice line = sg_slice_take(in, (size_t)(end - in->ptr));
    (void)sg_slice_take(in, 1);
    if (line.len <= len || memcmp(line.ptr, name, len) != 0 || line.ptr[len] != ' ')
        return false;
    (void)sg_slice_take(&line, len + 1);
    *ret = line;
    return true;
}

/* The lines that begin so, as they stand. */
static struct sg_slice take_lines(struct sg_slice *in, const char *name)
{
    const uint8_t *begin = in->ptr;
    struct sg_slice rest = *in, value;

    while (take_line(&rest, name, &value))
        *in = rest;
    return sg_slice_of(begin, (size_t)(in->ptr - begin));
}

/* Only what is written again alike is taken, so these need not be strict. */
static uint64_t number_of(struct sg_slice text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        value = 10 * value + (uint64_t)(text.ptr[i] - '0');
    return value;
}

static void read_head(struct sg_slice text, bool *ret_is_known, struct sg_tree_head *ret)
{
    uint8_t room[SG_TREE_HASH_BYTES + 3];
    struct sg_buf hash = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};
    const uint8_t *blank = text.len == 0 ? NULL : memchr(text.ptr, ' ', text.len);

    *ret_is_known = blank != NULL;
    if (blank == NULL)
        return;
    ret->size = number_of(text);
    (void)sg_slice_take(&text, (size_t)(blank - text.ptr) + 1);
    if (sg_base64_decode(text, SG_BASE64_STD, SG_BASE64_PADDED, &hash, NULL) == SG_OK &&
        hash.len == SG_TREE_HASH_BYTES)
        memcpy(ret->root.bytes, room, SG_TREE_HASH_BYTES);
}

static int64_t read_time(struct sg_slice text)
{
    char copy[32] = "";
    struct tm tm = {0};

    if (text.len < sizeof(copy) && text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return strptime(copy, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL ? -1 : (int64_t)timegm(&tm);
}

static enum sg_epoch_state find_state(struct sg_slice name)
{
    for (unsigned i = 1; i < SG_EPOCH_STATE_COUNT; i++)
        if (sg_slice_is(name, states[i].name))
            return (enum sg_epoch_state)i;
    return SG_EPOCH_UNSET;
}

static bool read_fields(struct sg_slice *in, struct sg_epoch_statement *ret)
{
    struct sg_slice old_epoch, anchor, store, state, new_epoch, time;

    if (!sg_slice_starts(*in, sg_slice_str(first_line)))
        return false;
    (void)sg_slice_take(in, sizeof(first_line) - 1);
    if (!take_line(in, "log-key", &ret->old_key) || !take_line(in, "epoch", &old_epoch) ||
        !take_line(in, "anchor", &anchor) || !take_line(in, "store", &store) ||
        !take_line(in, "state", &state) || !take_line(in, "new-log-key", &ret->new_key) ||
        !take_line(in, "new-epoch", &new_epoch))
        return false;
    ret->administrators = take_lines(in, "administrator:");
    if (!take_line(in, "time", &time) || !take_line(in, "why", &ret->why))
        return false;
    ret->old_epoch = (uint32_t)number_of(old_epoch);
    ret->new_epoch = (uint32_t)number_of(new_epoch);
    read_head(anchor, &ret->is_anchored, &ret->anchor);
    read_head(store, &ret->is_stored, &ret->store);
    ret->state = find_state(state);
    ret->time_s = read_time(time);
    return true;
}

enum sg_rc sg_epoch_statement_parse(struct sg_slice text, struct sg_epoch_statement *ret,
                                    size_t *ret_len, struct sg_err *err)
{
    struct sg_epoch_statement statement = {0};
    struct sg_slice in = text;
    struct sg_buf again;

    bool is_good = read_fields(&in, &statement);
    const size_t len = text.len - in.len;
    if (is_good) {
        sg_buf_init(&again, SG_EPOCH_STATEMENT_BYTES_MAX);
        sg_epoch_statement_write(&statement, &again);
        is_good = !again.failed && sg_slice_eq(sg_buf_slice(&again), sg_slice_of(text.ptr, len));
        sg_buf_done(&again);
    }
    if (!is_good || (ret_len == NULL && in.len > 0))
        return SG_FAIL(err, SG_E_INVALID, 0, "this is no statement of a new epoch of a log");
    if (ret_len != NULL)
        *ret_len = len;
    *ret = statement;
    return SG_OK;
}

/* Approvals -------------------------------------------------------------------------------- */

void sg_approval_write(struct sg_slice signature, struct sg_slice certificate_pem,
                       struct sg_buf *out)
{
    sg_buf_add_str(out, approval_line);
    sg_buf_add_str(out, "signature ");
    sg_base64_encode(signature, SG_BASE64_STD, SG_BASE64_PADDED, out);
    sg_buf_add_u8(out, '\n');
    sg_buf_add_slice(out, certificate_pem);
}

enum sg_rc sg_approval_parse(struct sg_slice text, struct sg_approval *ret, struct sg_err *err)
{
    struct sg_approval approval = {0};
    uint8_t room[SG_KEY_SIGNATURE_BYTES_MAX + 3];
    struct sg_buf signature = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};
    struct sg_slice in = text, base64;

    if (text.len > SG_APPROVAL_BYTES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "an approval has at most %d bytes",
                       SG_APPROVAL_BYTES_MAX);
    bool is_good = sg_slice_starts(in, sg_slice_str(approval_line));
    if (is_good)
        (void)sg_slice_take(&in, sizeof(approval_line) - 1);
    is_good =
        is_good && take_line(&in, "signature", &base64) &&
        sg_base64_decode(base64, SG_BASE64_STD, SG_BASE64_PADDED, &signature, NULL) == SG_OK &&
        signature.len > 0 && signature.len <= SG_KEY_SIGNATURE_BYTES_MAX && in.len > 0;
    if (!is_good)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "this is no approval: \"sealgate.v1 approval/1\", a line \"signature "
                       "BASE64\", and a certificate");
    memcpy(approval.signature, room, signature.len);
    approval.signature_len = signature.len;
    approval.certificate = in;
    *ret = approval;
    return SG_OK;
}

enum sg_rc sg_approval_check(const struct sg_approval *approval, struct sg_slice statement,
                             struct sg_slice spki, struct sg_err *err)
{
    SG_AUTO(sg_public_key_free) struct sg_public_key *key = NULL;
    enum sg_raw_verdict verdict = SG_RAW_INVALID;
    uint8_t hash[SG_DIGEST_BYTES_MAX];

    SG_TRY(sg_public_key_parse(spki, &key, err));
    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, statement, hash, err));
    struct sg_raw_signature signature = {
        .digest_alg = SG_DIGEST_SHA256,
        .content = sg_slice_of(hash, sg_digest_len(SG_DIGEST_SHA256)),
        .signature = sg_slice_of(approval->signature, approval->signature_len),
    };
    if (sg_key_type_does(sg_public_key_type(key), SG_SCHEME_ED25519)) {
        signature.scheme = SG_SCHEME_ED25519;
        signature.digest_alg = SG_DIGEST_UNSET;
        signature.content = statement;
    } else if (sg_key_type_does(sg_public_key_type(key), SG_SCHEME_ECDSA)) {
        signature.scheme = SG_SCHEME_ECDSA;
        signature.encoding = SG_ENCODING_DER;
    } else {
        signature.scheme = SG_SCHEME_RSA_PKCS1;
    }
    SG_TRY(sg_raw_verify(key, &signature, &verdict, err));
    if (verdict != SG_RAW_VALID)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "the key of its certificate did not sign this statement");
    return SG_OK;
}

/* Never asks anybody: a key that is encrypted is none. */
static int no_passphrase(char *buf, int size, int is_writing, void *arg)
{
    (void)buf, (void)size, (void)is_writing, (void)arg;
    return -1;
}

static enum sg_rc read_private(struct sg_slice pem, EVP_PKEY **ret, struct sg_err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, pem.len > INT_MAX ? 0 : (int)pem.len);
    *ret = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (*ret == NULL)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "the file holds no private key in PEM, or an encrypted one");
    return SG_OK;
}

static enum sg_rc sign(EVP_PKEY *key, struct sg_slice bytes, uint8_t *out, size_t *len,
                       struct sg_err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const char *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256";
    const bool is_signed = ctx != NULL &&
                           EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1 &&
                           EVP_DigestSign(ctx, out, len, bytes.ptr, bytes.len) == 1;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return is_signed ? SG_OK : SG_FAIL(err, SG_E_INVALID, 0, "the key cannot sign a statement");
}

enum sg_rc sg_approval_make(struct sg_slice key_pem, struct sg_slice certificates_pem,
                            struct sg_slice statement, struct sg_buf *out, struct sg_err *err)
{
    struct sg_approval approval = {.signature_len = sizeof(approval.signature)};
    struct sg_buf der, spki, pem;
    EVP_PKEY *key = NULL;

    sg_buf_init(&der, SG_APPROVAL_BYTES_MAX);
    sg_buf_init(&spki, SG_APPROVAL_BYTES_MAX);
    sg_buf_init(&pem, SG_APPROVAL_BYTES_MAX);
    enum sg_rc rc = sg_pem_decode("CERTIFICATE", certificates_pem, &der, err);
    if (rc == SG_OK)
        rc = sg_spki_of_certificate(sg_buf_slice(&der), &spki, err);
    if (rc == SG_OK)
        rc = read_private(key_pem, &key, err);
    if (rc == SG_OK)
        rc = sign(key, statement, approval.signature, &approval.signature_len, err);
    if (rc == SG_OK)
        rc = sg_approval_check(&approval, statement, sg_buf_slice(&spki), err);
    if (rc == SG_OK) {
        sg_pem_encode("CERTIFICATE", sg_buf_slice(&der), &pem);
        sg_approval_write(sg_slice_of(approval.signature, approval.signature_len),
                          sg_buf_slice(&pem), out);
        rc = sg_buf_check(&pem, err);
    }
    if (rc == SG_OK)
        rc = sg_buf_check(out, err);
    EVP_PKEY_free(key);
    sg_buf_done(&pem);
    sg_buf_done(&spki);
    sg_buf_done(&der);
    return rc;
}
