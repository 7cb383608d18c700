#include "gateway/administrators.h"

#include "formats/raw/digest.h"
#include "formats/raw/pem.h"
#include "formats/raw/spki_file.h"

static const char prefix[] = "administrator: ";

void sg_administrator_write(const struct sg_key_hash *key, const struct sg_tls_peer *peer,
                            struct sg_buf *out)
{
    sg_buf_add_str(out, prefix);
    sg_buf_add_str(out, "sha256:");
    for (size_t i = 0; i < sizeof(key->bytes); i++)
        sg_buf_printf(out, "%02x", key->bytes[i]);
    if (peer != NULL)
        sg_buf_printf(out, " ca:%s uri:%s", peer->ca, peer->uri);
    sg_buf_add_str(out, "\n");
}

static enum sg_rc hash_key(struct sg_slice spki, struct sg_key_hash *ret, struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];

    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, spki, hash, err));
    memcpy(ret->bytes, hash, sizeof(ret->bytes));
    return SG_OK;
}

/* Of a certificate that a client CA of the configuration issued the identity counts, so that it may
 * be renewed; of another and of a bare key the key alone. */
static enum sg_rc judge_administrator(struct sg_slice file, struct sg_tls_trust *trust,
                                      struct sg_key_hash *ret_key, struct sg_tls_peer *ret_peer,
                                      struct sg_err *err)
{
    struct sg_buf der, spki;

    sg_buf_init(&der, SG_ADMINISTRATOR_FILE_BYTES_MAX);
    sg_buf_init(&spki, SG_ADMINISTRATOR_FILE_BYTES_MAX);
    if (sg_pem_decode("CERTIFICATE", file, &der, NULL) != SG_OK) {
        sg_buf_clear(&der);
        sg_buf_add_slice(&der, file);
    }
    *ret_peer = (struct sg_tls_peer){0};
    if (sg_tls_trust_judge(trust, sg_buf_slice(&der), ret_peer, NULL) != SG_OK)
        *ret_peer = (struct sg_tls_peer){0};
    enum sg_rc rc = sg_spki_of_certificate(file, &spki, NULL) == SG_OK
                        ? SG_OK
                        : sg_spki_of_public_key(file, &spki, err);
    if (rc == SG_OK)
        rc = hash_key(sg_buf_slice(&spki), ret_key, err);
    sg_buf_done(&spki);
    sg_buf_done(&der);
    return rc;
}

enum sg_rc sg_administrator_add(struct sg_slice file, struct sg_tls_trust *trust,
                                struct sg_buf *out, struct sg_err *err)
{
    struct sg_tls_peer peer;
    struct sg_key_hash key;

    SG_TRY(judge_administrator(file, trust, &key, &peer, err));
    sg_administrator_write(&key, peer.is_present && peer.uri[0] != '\0' ? &peer : NULL, out);
    return SG_OK;
}

static bool take_line(struct sg_slice *detail, struct sg_slice *ret)
{
    if (detail->len == 0)
        return false;
    const uint8_t *end = memchr(detail->ptr, '\n', detail->len);
    *ret = sg_slice_take(detail, end == NULL ? detail->len : (size_t)(end - detail->ptr));
    if (end != NULL)
        (void)sg_slice_take(detail, 1);
    return true;
}

void sg_administrators_copy(struct sg_slice detail, struct sg_buf *out)
{
    struct sg_slice line;

    while (take_line(&detail, &line)) {
        if (!sg_slice_starts(line, sg_slice_str(prefix)))
            continue;
        sg_buf_add_slice(out, line);
        sg_buf_add_u8(out, '\n');
    }
}

/* A line has the key as it was when the log began, and perhaps the identity: either is the person.
 */
static bool is_named(struct sg_slice line, struct sg_slice by_key, struct sg_slice by_identity)
{
    if (line.len < by_key.len)
        return false;
    const struct sg_slice key = sg_slice_take(&line, by_key.len);
    return sg_slice_eq(key, by_key) || sg_slice_eq(line, by_identity);
}

enum sg_rc sg_administrators_find(struct sg_slice detail, const struct sg_key_hash *key,
                                  const struct sg_tls_peer *peer, size_t *ret, struct sg_err *err)
{
    struct sg_slice line;
    struct sg_buf text;
    size_t count = 0;
    bool is_found = false;

    sg_buf_init(&text, 1024);
    sg_administrator_write(key, NULL, &text);
    const size_t key_len = text.len - 1; /* without the line's end */
    sg_buf_printf(&text, " ca:%s uri:%s", peer->ca, peer->uri);
    if (text.failed) {
        sg_buf_done(&text);
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory to look for an administrator");
    }
    const struct sg_slice by_key = sg_slice_of(text.ptr, key_len);
    const struct sg_slice by_identity = sg_slice_of(text.ptr + key_len + 1, text.len - key_len - 1);
    while (!is_found && take_line(&detail, &line)) {
        if (!sg_slice_starts(line, sg_slice_str(prefix)))
            continue;
        is_found = is_named(line, by_key, by_identity);
        if (is_found)
            *ret = count;
        count++;
    }
    sg_buf_done(&text);
    if (!is_found)
        return SG_FAIL(err, SG_E_DENIED, 0,
                       "\"%s\" of \"%s\" is none of the %zu administrators that leaf 0 of the log "
                       "names",
                       peer->uri, peer->ca, count);
    return SG_OK;
}
