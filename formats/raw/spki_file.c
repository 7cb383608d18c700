#include "formats/raw/spki_file.h"

#include <limits.h>
#include <openssl/x509.h>

#include "base/cleanup.h"
#include "formats/raw/pem.h"

SG_DEFINE_AUTO(X509, X509_free);

/* What is in the file: the first block of this label, or all of it when it is DER already. */
static enum sg_rc der_of(struct sg_slice file, const char *label, struct sg_buf *der,
                         struct sg_err *err)
{
    if (file.len == 0 || file.len > INT_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the file: it is empty or too large");
    if (file.ptr[0] != 0x30) /* no DER SEQUENCE, so it must be text */
        return sg_pem_decode(label, file, der, err);
    sg_buf_add_slice(der, file);
    return sg_buf_check(der, err);
}

enum sg_rc sg_spki_of_public_key(struct sg_slice file, struct sg_buf *spki, struct sg_err *err)
{
    return der_of(file, "PUBLIC KEY", spki, err);
}

/* Appends the certificate's key, as it stands in it. */
static enum sg_rc add_spki(struct sg_slice der, struct sg_buf *spki, struct sg_err *err)
{
    const uint8_t *at = der.ptr;
    SG_AUTO(X509_free) X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    uint8_t *out = NULL;
    int len;

    if (cert == NULL || at != der.ptr + der.len)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the certificate");
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &out);
    if (len <= 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the certificate's key");
    sg_buf_add(spki, out, (size_t)len);
    OPENSSL_free(out);
    return sg_buf_check(spki, err);
}

enum sg_rc sg_spki_of_certificate(struct sg_slice file, struct sg_buf *spki, struct sg_err *err)
{
    struct sg_buf der;
    enum sg_rc rc;

    sg_buf_init(&der, file.len);
    rc = der_of(file, "CERTIFICATE", &der, err);
    if (rc == SG_OK)
        rc = add_spki(sg_buf_slice(&der), spki, err);
    sg_buf_done(&der);
    return rc;
}
