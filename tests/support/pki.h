#ifndef SG_TESTS_SUPPORT_PKI_H
#define SG_TESTS_SUPPORT_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A PKI for tests, made in the process: certificates, keys and CRLs as PEM files in a folder of
 * its own, which goes with it. Every failure aborts the test program.
 */
struct sg_pki;

enum sg_pki_key { SG_PKI_P256 = 0, SG_PKI_RSA2048, SG_PKI_RSA1024, SG_PKI_ED25519 };

/* Owned by the PKI. cert_file holds the certificate and, behind it, its issuer's when that is
 * not self-signed, as a server sends its chain. */
struct sg_pki_id {
    X509 *cert;
    EVP_PKEY *key;
    char cert_file[256], key_file[256];
};

struct sg_pki_spec {
    const char *name;               /* stem of the files, and CN */
    const char *subject;            /* CN, if another */
    const struct sg_pki_id *issuer; /* NULL: self-signed */
    bool is_ca;
    const char *san; /* as openssl.cnf has it: "URI:https://a,DNS:localhost,IP:127.0.0.1" */
    const char *eku; /* "clientAuth" */
    enum sg_pki_key key;
    long from_s, to_s;    /* from now; both 0: an hour ago to tomorrow */
    const char *serial;   /* hexadecimal; NULL: the next number */
    const char *ca_usage; /* keyUsage of a CA; NULL: keyCertSign,cRLSign */
};

struct sg_pki_crl_spec {
    const char *name; /* stem of the file */
    const struct sg_pki_id *issuer;
    const struct sg_pki_id *const *revoked;
    size_t revoked_count;
    long from_s, to_s;     /* from now; both 0: an hour ago to tomorrow */
    size_t more;           /* so many serials besides, from 0x10000000 on */
    bool is_der, is_delta; /* a delta is marked so, critically */
    bool without_next_update;
};

struct sg_pki *sg_pki_new(void);
void sg_pki_free(struct sg_pki *pki);

const struct sg_pki_id *sg_pki_make(struct sg_pki *pki, const struct sg_pki_spec *spec);
/* The path of the CRL; lives as long as the PKI. */
const char *sg_pki_crl(struct sg_pki *pki, const struct sg_pki_crl_spec *spec);
/* A file of these bytes in the folder; lives as long as the PKI. */
const char *sg_pki_file(struct sg_pki *pki, const char *name, const void *bytes, size_t len);

#endif
