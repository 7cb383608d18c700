#include "tests/support/pki.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDS_MAX = 64, PATHS_MAX = 256, HOUR_S = 3600, DAY_S = 86400 };

struct sg_pki {
    char folder[64];
    struct sg_pki_id ids[IDS_MAX];
    size_t id_count;
    char *paths[PATHS_MAX];
    size_t path_count;
    long next_serial;
};

static void require_at(bool condition, int line)
{
    if (condition)
        return;
    fprintf(stderr, "tests/support/pki.c:%d: could not make the test PKI\n", line);
    abort();
}
#define REQUIRE(condition) require_at((condition), __LINE__)

struct sg_pki *sg_pki_new(void)
{
    struct sg_pki *pki = calloc(1, sizeof(*pki));
    REQUIRE(pki != NULL);
    snprintf(pki->folder, sizeof(pki->folder), "/tmp/sealgate-pki-XXXXXX");
    REQUIRE(mkdtemp(pki->folder) != NULL);
    pki->next_serial = 1000;
    return pki;
}

void sg_pki_free(struct sg_pki *pki)
{
    if (pki == NULL)
        return;
    for (size_t i = 0; i < pki->id_count; i++) {
        X509_free(pki->ids[i].cert);
        EVP_PKEY_free(pki->ids[i].key);
    }
    for (size_t i = 0; i < pki->path_count; i++) {
        unlink(pki->paths[i]);
        free(pki->paths[i]);
    }
    rmdir(pki->folder);
    free(pki);
}

/* A path in the folder that goes away with it. */
static const char *add_path(struct sg_pki *pki, const char *name, const char *suffix)
{
    char *path = NULL;
    REQUIRE(pki->path_count < PATHS_MAX);
    REQUIRE(asprintf(&path, "%s/%s%s", pki->folder, name, suffix) > 0);
    pki->paths[pki->path_count++] = path;
    return path;
}

static FILE *create(const char *path)
{
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL);
    return file;
}

const char *sg_pki_file(struct sg_pki *pki, const char *name, const void *bytes, size_t len)
{
    const char *path = add_path(pki, name, "");
    FILE *file = create(path);
    REQUIRE(fwrite(bytes, 1, len, file) == len);
    REQUIRE(fclose(file) == 0);
    return path;
}

static EVP_PKEY *make_key(enum sg_pki_key kind)
{
    switch (kind) {
    case SG_PKI_RSA2048:
        return EVP_RSA_gen(2048);
    case SG_PKI_RSA1024:
        return EVP_RSA_gen(1024);
    case SG_PKI_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case SG_PKI_P256:
        break;
    }
    return EVP_EC_gen("P-256");
}

static void add_extension(X509 *cert, const X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509 *signer = issuer == NULL ? cert : X509_dup(issuer);
    X509V3_set_ctx(&ctx, signer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    REQUIRE(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    if (issuer != NULL)
        X509_free(signer);
}

static void set_serial(struct sg_pki *pki, X509 *cert, const char *hex)
{
    BIGNUM *number = NULL;
    if (hex == NULL) {
        REQUIRE(ASN1_INTEGER_set(X509_get_serialNumber(cert), pki->next_serial++) == 1);
        return;
    }
    REQUIRE(BN_hex2bn(&number, hex) > 0);
    REQUIRE(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL);
    BN_free(number);
}

static void set_names(X509 *cert, const char *name, const X509 *issuer)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    REQUIRE(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1,
                                       0) == 1);
    REQUIRE(X509_set_issuer_name(cert, issuer == NULL ? subject : X509_get_subject_name(issuer)) ==
            1);
}

static void sign(X509 *cert, EVP_PKEY *key)
{
    const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
    REQUIRE(X509_sign(cert, key, digest) > 0);
}

static void write_files(struct sg_pki *pki, struct sg_pki_id *id, const struct sg_pki_spec *spec)
{
    const char *path = add_path(pki, spec->name, ".pem");
    snprintf(id->cert_file, sizeof(id->cert_file), "%s", path);
    FILE *file = create(path);
    REQUIRE(PEM_write_X509(file, id->cert) == 1);
    if (spec->issuer != NULL && X509_self_signed(spec->issuer->cert, 0) != 1)
        REQUIRE(PEM_write_X509(file, spec->issuer->cert) == 1);
    REQUIRE(fclose(file) == 0);

    path = add_path(pki, spec->name, ".key");
    snprintf(id->key_file, sizeof(id->key_file), "%s", path);
    file = create(path);
    REQUIRE(PEM_write_PrivateKey(file, id->key, NULL, NULL, 0, NULL, NULL) == 1);
    REQUIRE(fclose(file) == 0);
}

const struct sg_pki_id *sg_pki_make(struct sg_pki *pki, const struct sg_pki_spec *spec)
{
    REQUIRE(pki->id_count < IDS_MAX);
    struct sg_pki_id *id = &pki->ids[pki->id_count++];
    const X509 *issuer = spec->issuer == NULL ? NULL : spec->issuer->cert;
    bool is_default = spec->from_s == 0 && spec->to_s == 0;

    id->key = make_key(spec->key);
    id->cert = X509_new();
    REQUIRE(id->key != NULL && id->cert != NULL);
    REQUIRE(X509_set_version(id->cert, X509_VERSION_3) == 1);
    set_serial(pki, id->cert, spec->serial);
    set_names(id->cert, spec->subject != NULL ? spec->subject : spec->name, issuer);
    REQUIRE(X509_gmtime_adj(X509_getm_notBefore(id->cert), is_default ? -HOUR_S : spec->from_s));
    REQUIRE(X509_gmtime_adj(X509_getm_notAfter(id->cert), is_default ? DAY_S : spec->to_s));
    REQUIRE(X509_set_pubkey(id->cert, id->key) == 1);

    add_extension(id->cert, issuer, NID_basic_constraints,
                  spec->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    const char *ca_usage = spec->ca_usage != NULL ? spec->ca_usage : "critical,keyCertSign,cRLSign";
    add_extension(id->cert, issuer, NID_key_usage,
                  spec->is_ca ? ca_usage : "critical,digitalSignature");
    add_extension(id->cert, issuer, NID_subject_key_identifier, "hash");
    if (spec->eku != NULL)
        add_extension(id->cert, issuer, NID_ext_key_usage, spec->eku);
    if (spec->san != NULL)
        add_extension(id->cert, issuer, NID_subject_alt_name, spec->san);
    sign(id->cert, spec->issuer == NULL ? id->key : spec->issuer->key);
    write_files(pki, id, spec);
    return id;
}

static void add_revoked(X509_CRL *crl, const ASN1_INTEGER *serial, const ASN1_TIME *when)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *copy = ASN1_INTEGER_dup(serial);
    ASN1_TIME *date = ASN1_STRING_dup(when);
    REQUIRE(entry != NULL && copy != NULL && date != NULL);
    REQUIRE(X509_REVOKED_set_serialNumber(entry, copy) == 1);
    REQUIRE(X509_REVOKED_set_revocationDate(entry, date) == 1);
    REQUIRE(X509_CRL_add0_revoked(crl, entry) == 1);
    ASN1_INTEGER_free(copy);
    ASN1_TIME_free(date);
}

static void mark_as_delta(X509_CRL *crl)
{
    ASN1_INTEGER *base = ASN1_INTEGER_new();
    REQUIRE(base != NULL && ASN1_INTEGER_set(base, 1) == 1);
    REQUIRE(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, 1, 0) == 1);
    ASN1_INTEGER_free(base);
}

static void write_crl(X509_CRL *crl, const char *path, bool is_der)
{
    FILE *file = create(path);
    REQUIRE((is_der ? i2d_X509_CRL_fp(file, crl) : PEM_write_X509_CRL(file, crl)) == 1);
    REQUIRE(fclose(file) == 0);
}

const char *sg_pki_crl(struct sg_pki *pki, const struct sg_pki_crl_spec *spec)
{
    bool is_default = spec->from_s == 0 && spec->to_s == 0;
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, is_default ? -HOUR_S : spec->from_s);
    ASN1_TIME *to = X509_gmtime_adj(NULL, is_default ? DAY_S : spec->to_s);
    REQUIRE(crl != NULL && from != NULL && to != NULL);
    REQUIRE(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1);
    REQUIRE(X509_CRL_set_issuer_name(crl, X509_get_subject_name(spec->issuer->cert)) == 1);
    REQUIRE(X509_CRL_set1_lastUpdate(crl, from) == 1);
    if (!spec->without_next_update)
        REQUIRE(X509_CRL_set1_nextUpdate(crl, to) == 1);

    for (size_t i = 0; i < spec->revoked_count; i++)
        add_revoked(crl, X509_get0_serialNumber(spec->revoked[i]->cert), from);
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    for (size_t i = 0; i < spec->more; i++) {
        REQUIRE(ASN1_INTEGER_set(serial, 0x10000000L + (long)i) == 1);
        add_revoked(crl, serial, from);
    }
    ASN1_INTEGER_free(serial);
    if (spec->is_delta)
        mark_as_delta(crl);
    REQUIRE(X509_CRL_sort(crl) == 1);
    REQUIRE(X509_CRL_sign(crl, spec->issuer->key, EVP_sha256()) > 0);

    const char *path = add_path(pki, spec->name, ".crl");
    write_crl(crl, path, spec->is_der);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_CRL_free(crl);
    return path;
}
