#include "formats/raw/pem.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum { LINE_LEN = 64 };

void sg_pem_encode(const char *label, struct sg_slice der, struct sg_buf *out)
{
    size_t text_len = (der.len + 2) / 3 * 4;

    sg_buf_printf(out, "-----BEGIN %s-----\n", label);
    for (size_t at = 0; at < text_len; at += LINE_LEN) {
        struct sg_slice rest = {der.ptr + at / 4 * 3, der.len - at / 4 * 3};
        size_t take = rest.len < LINE_LEN / 4 * 3 ? rest.len : LINE_LEN / 4 * 3;
        unsigned char line[LINE_LEN + 1]; /* EVP_EncodeBlock ends with NUL */
        int len = EVP_EncodeBlock(line, rest.ptr, (int)take);
        sg_buf_add(out, line, (size_t)len);
        sg_buf_add_u8(out, '\n');
    }
    sg_buf_printf(out, "-----END %s-----\n", label);
}

enum sg_rc sg_pem_decode(const char *label, struct sg_slice pem, struct sg_buf *out,
                         struct sg_err *err)
{
    if (pem.len > INT_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read PEM: too long");
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not read PEM: out of memory");

    char *name, *header;
    unsigned char *der;
    long len;
    enum sg_rc rc = SG_E_AGAIN;
    while (rc == SG_E_AGAIN) {
        if (PEM_read_bio(bio, &name, &header, &der, &len) != 1) {
            unsigned long code = ERR_peek_last_error();
            rc = ERR_GET_REASON(code) == PEM_R_NO_START_LINE
                     ? SG_FAIL(err, SG_E_NOT_FOUND, code, "there is no \"%s\" in this PEM", label)
                     : SG_FAIL(err, SG_E_INVALID, code, "could not read PEM: malformed block");
            ERR_clear_error();
            break;
        }
        if (strcmp(name, label) == 0) {
            sg_buf_add(out, der, (size_t)len);
            rc = sg_buf_check(out, err);
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    BIO_free(bio);
    return rc;
}
