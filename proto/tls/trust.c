#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "proto/tls/tls_priv.h"
#include "proto/tls/trust_priv.h"

enum { CA_FILE_BYTES_MAX = 1 << 16, CRL_FILE_BYTES_MAX = 64 << 20, CAS_MAX = 256 };

static void crl_free(X509_CRL *crl)
{
    X509_CRL_free(crl);
}
SG_DEFINE_AUTO(X509_CRL, crl_free);

static void bio_free(BIO *bio)
{
    BIO_free(bio);
}
SG_DEFINE_AUTO(BIO, bio_free);

int sg_tls_serial_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct sg_tls_serial));
}

bool sg_tls_copy_serial(const ASN1_INTEGER *serial, struct sg_tls_serial *ret)
{
    int len = ASN1_STRING_length(serial);
    if (len < 0 || len > SG_TLS_SERIAL_BYTES_MAX)
        return false;
    memset(ret, 0, sizeof(*ret));
    ret->len = (uint8_t)len;
    ret->is_negative = ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER;
    if (len > 0)
        memcpy(ret->bytes, ASN1_STRING_get0_data(serial), (size_t)len);
    return true;
}

bool sg_tls_copy_time(const ASN1_TIME *time, int64_t *ret_s)
{
    struct tm tm;
    if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1)
        return false;
    *ret_s = timegm(&tm);
    return true;
}

bool sg_tls_copy_fingerprint(const X509 *cert, uint8_t out[32])
{
    unsigned len;
    return X509_digest(cert, EVP_sha256(), out, &len) == 1 && len == 32;
}

/* Opens a file that is not larger than it may be. */
static enum sg_rc open_file(const char *path, off_t bytes_max, BIO **ret, struct sg_err *err)
{
    struct stat st;
    ERR_clear_error();
    BIO *bio = BIO_new_file(path, "rb");
    if (bio == NULL)
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not open", path);
    if (stat(path, &st) != 0 || st.st_size > bytes_max) {
        BIO_free(bio);
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read \"%s\": it is too large", path);
    }
    *ret = bio;
    return SG_OK;
}

static enum sg_rc load_cert(struct sg_tls_trust_ca *ca, const char *path, struct sg_err *err)
{
    SG_AUTO(bio_free) BIO *bio = NULL;
    SG_TRY(open_file(path, CA_FILE_BYTES_MAX, &bio, err));
    ca->cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (ca->cert == NULL)
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not read a certificate from", path);
    X509 *second = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    ERR_clear_error();
    if (second != NULL) {
        X509_free(second);
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "\"%s\" holds more than one certificate: name only the CA that issues "
                       "the clients' own",
                       path);
    }
    /* 1: an X.509v3 certificate whose basicConstraints say that it is a CA. */
    if (X509_check_ca(ca->cert) != 1)
        return SG_FAIL(err, SG_E_INVALID, 0, "the certificate in \"%s\" is not of a CA", path);
    if (!sg_tls_copy_time(X509_get0_notBefore(ca->cert), &ca->not_before_s) ||
        !sg_tls_copy_time(X509_get0_notAfter(ca->cert), &ca->not_after_s) ||
        !sg_tls_copy_fingerprint(ca->cert, ca->fingerprint))
        return SG_FAIL(err, SG_E_INVALID, 0, "the certificate in \"%s\" is malformed", path);
    return SG_OK;
}

/* PEM or DER. */
static enum sg_rc read_crl(const char *path, X509_CRL **ret, struct sg_err *err)
{
    SG_AUTO(bio_free) BIO *bio = NULL;
    SG_TRY(open_file(path, CRL_FILE_BYTES_MAX, &bio, err));
    X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    if (crl == NULL && BIO_seek(bio, 0) == 0) {
        ERR_clear_error();
        crl = d2i_X509_CRL_bio(bio, NULL);
    }
    if (crl == NULL)
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not read a CRL from", path);
    *ret = crl;
    return SG_OK;
}

static enum sg_rc check_crl(const struct sg_tls_trust_ca *ca, X509_CRL *crl, const char *path,
                            struct sg_err *err)
{
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca->cert)) != 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "the CRL \"%s\" is not of the client CA \"%s\"", path,
                       ca->name);
    if ((X509_get_key_usage(ca->cert) & KU_CRL_SIGN) == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "the client CA \"%s\" may not sign CRLs", ca->name);
    ERR_clear_error();
    if (X509_CRL_verify(crl, X509_get0_pubkey(ca->cert)) != 1)
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not verify the CRL", path);
    /* A critical extension changes what the list is about: RFC 5280 §5.2. */
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "the CRL \"%s\" is partial, indirect or a delta; a full one is needed",
                           path);
    return SG_OK;
}

/* The serials, sorted, so that each call costs a binary search and takes no lock of OpenSSL's. */
static enum sg_rc copy_revoked(struct sg_tls_trust_ca *ca, X509_CRL *crl, const char *path,
                               struct sg_err *err)
{
    STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);
    int count = entries == NULL ? 0 : sk_X509_REVOKED_num(entries);
    if (count <= 0)
        return SG_OK;
    ca->revoked = calloc((size_t)count, sizeof(*ca->revoked));
    if (ca->revoked == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the list of revoked serials");
    for (int i = 0; i < count; i++) {
        const X509_REVOKED *entry = sk_X509_REVOKED_value(entries, i);
        if (!sg_tls_copy_serial(X509_REVOKED_get0_serialNumber(entry), &ca->revoked[i]))
            return SG_FAIL(err, SG_E_INVALID, 0, "the CRL \"%s\" has a serial of over %d bytes",
                           path, SG_TLS_SERIAL_BYTES_MAX);
    }
    ca->revoked_count = (size_t)count;
    qsort(ca->revoked, ca->revoked_count, sizeof(*ca->revoked), sg_tls_serial_compare);
    return SG_OK;
}

static enum sg_rc load_crl(struct sg_tls_trust_ca *ca, const char *path, struct sg_err *err)
{
    SG_AUTO(crl_free) X509_CRL *crl = NULL;
    SG_TRY(read_crl(path, &crl, err));
    SG_TRY(check_crl(ca, crl, path, err));
    if (!sg_tls_copy_time(X509_CRL_get0_lastUpdate(crl), &ca->crl_this_s) ||
        !sg_tls_copy_time(X509_CRL_get0_nextUpdate(crl), &ca->crl_next_s))
        return SG_FAIL(err, SG_E_INVALID, 0, "the CRL \"%s\" does not say when the next one comes",
                       path);
    SG_TRY(copy_revoked(ca, crl, path, err));
    ca->has_crl = true;
    return SG_OK;
}

/* Two CAs of one name, or two names of one key, would make identities ambiguous. */
static enum sg_rc check_distinct(const struct sg_tls_trust *trust, size_t index, struct sg_err *err)
{
    const struct sg_tls_trust_ca *ca = &trust->cas[index];
    for (size_t i = 0; i < index; i++) {
        const struct sg_tls_trust_ca *other = &trust->cas[i];
        if (strcmp(ca->name, other->name) == 0)
            return SG_FAIL(err, SG_E_INVALID, 0, "two client CAs are named \"%s\"", ca->name);
        if (EVP_PKEY_eq(X509_get0_pubkey(ca->cert), X509_get0_pubkey(other->cert)) == 1)
            return SG_FAIL(err, SG_E_INVALID, 0, "the client CAs \"%s\" and \"%s\" have one key",
                           other->name, ca->name);
    }
    return SG_OK;
}

static enum sg_rc load_ca(struct sg_tls_trust *trust, const struct sg_tls_ca *from,
                          struct sg_err *err)
{
    struct sg_tls_trust_ca *ca = &trust->cas[trust->count];
    size_t len = strlen(from->name);
    if (len == 0 || len > SG_TLS_CA_NAME_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "a client CA's name has 1 to %d characters",
                       SG_TLS_CA_NAME_MAX);
    memcpy(ca->name, from->name, len + 1);
    trust->count++; /* from here on sg_tls_trust_free() cleans it up */
    SG_TRY(load_cert(ca, from->file, err));
    SG_TRY(check_distinct(trust, trust->count - 1, err));
    if (X509_STORE_add_cert(trust->store, ca->cert) != 1)
        return SG_TLS_FAIL(err, SG_E_INTERNAL, "could not trust", from->file);
    return from->crl_file == NULL ? SG_OK : load_crl(ca, from->crl_file, err);
}

enum sg_rc sg_tls_trust_load(const struct sg_tls_ca *cas, size_t count, bool crl_required,
                             struct sg_tls_trust **ret, struct sg_err *err)
{
    if (count == 0 || count > CAS_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "there must be 1 to %d client CAs", CAS_MAX);
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *trust = calloc(1, sizeof(*trust));
    if (trust == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the client CAs");
    atomic_init(&trust->owners, 1);
    trust->crl_required = crl_required;
    trust->cas = calloc(count, sizeof(*trust->cas));
    trust->store = X509_STORE_new();
    if (trust->cas == NULL || trust->store == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the client CAs");
    for (size_t i = 0; i < count; i++)
        SG_TRY(load_ca(trust, &cas[i], err));
    *ret = SG_STEAL(trust);
    return SG_OK;
}

struct sg_tls_trust *sg_tls_trust_hold(struct sg_tls_trust *trust)
{
    atomic_fetch_add_explicit(&trust->owners, 1, memory_order_relaxed);
    return trust;
}

void sg_tls_trust_free(struct sg_tls_trust *trust)
{
    if (trust == NULL || atomic_fetch_sub_explicit(&trust->owners, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < trust->count; i++) {
        X509_free(trust->cas[i].cert);
        free(trust->cas[i].revoked);
    }
    X509_STORE_free(trust->store);
    free(trust->cas);
    free(trust);
}

int64_t sg_tls_trust_crl_next_update(const struct sg_tls_trust *trust)
{
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < trust->count; i++)
        if (trust->cas[i].has_crl && trust->cas[i].crl_next_s < earliest)
            earliest = trust->cas[i].crl_next_s;
    return earliest;
}
