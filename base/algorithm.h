#ifndef SG_BASE_ALGORITHM_H
#define SG_BASE_ALGORITHM_H

#include "base/err.h"
#include "base/slice.h"

/*
 * The algorithms by name and number, without any cryptography: what the wire, the token side,
 * the verifier and the client must agree on. It lies in base/ because hsm/ and formats/ both
 * need it and never include each other.
 *
 * The numbers are those of sealgate.v1.DigestAlgorithm, SignatureScheme and KeyType; a test
 * holds them together. Zero is always "unset".
 */
enum sg_digest_alg {
    SG_DIGEST_UNSET = 0,
    SG_DIGEST_SHA256,
    SG_DIGEST_SHA384,
    SG_DIGEST_SHA512,
    SG_DIGEST_SHA3_256,
    SG_DIGEST_SHA3_384,
    SG_DIGEST_SHA3_512,
    SG_DIGEST_COUNT,
};

enum sg_scheme {
    SG_SCHEME_UNSET = 0,
    SG_SCHEME_RSA_PKCS1, /* RSASSA-PKCS1-v1_5, RFC 8017 §8.2 */
    SG_SCHEME_RSA_PSS, /* RSASSA-PSS, RFC 8017 §8.1; MGF1 with the same hash, salt = its length */
    SG_SCHEME_ECDSA,   /* FIPS 186-5 §6 */
    SG_SCHEME_ED25519, /* pure Ed25519, RFC 8032 §5.1: signs the message, not a digest */
    SG_SCHEME_COUNT,
};

enum sg_key_type {
    SG_KEY_UNSET = 0,
    SG_KEY_RSA_2048,
    SG_KEY_RSA_3072,
    SG_KEY_RSA_4096,
    SG_KEY_EC_P256,
    SG_KEY_EC_P384,
    SG_KEY_ED25519,
    SG_KEY_TYPE_COUNT,
};

/* How an ECDSA signature is written; other schemes have one form only. */
enum sg_sig_encoding {
    SG_ENCODING_UNSET = 0, /* DER */
    SG_ENCODING_DER,       /* ECDSA-Sig-Value, RFC 3279 §2.2.3 */
    SG_ENCODING_RAW,       /* r || s, each as long as the group order (IEEE P1363) */
    SG_ENCODING_COUNT,
};

/* Room for what a key signs at once (Ed25519 hashes inside the token) and for any signature. */
enum { SG_DIGEST_BYTES_MAX = 64, SG_TBS_BYTES_MAX = 4096, SG_SIGNATURE_BYTES_MAX = 8192 };
/* The longest that a key type of below makes: RSA-4096. */
enum { SG_KEY_SIGNATURE_BYTES_MAX = 512 };

size_t sg_digest_len(enum sg_digest_alg alg); /* bytes; 0 for unset or unknown */
const char *
sg_digest_name(enum sg_digest_alg alg); /* "sha256", as OpenSSL's EVP_MD_fetch takes it */
enum sg_digest_alg sg_digest_find(const char *name); /* unset when unknown */

const char *sg_scheme_name(enum sg_scheme scheme); /* "rsa-pkcs1", "rsa-pss", "ecdsa", "ed25519" */
enum sg_scheme sg_scheme_find(const char *name);

const char *sg_key_type_name(enum sg_key_type type); /* "rsa-2048", "ec-p256", "ed25519" */
enum sg_key_type sg_key_type_find(const char *name);

/* Whether a key of this type can sign by this scheme at all. */
bool sg_key_type_does(enum sg_key_type type, enum sg_scheme scheme);
/* The scheme a key signs by when the caller names none. */
enum sg_scheme sg_key_type_default(enum sg_key_type type);
/* Length of one of r and s, or of a whole RSA or Ed25519 signature; bytes. */
size_t sg_key_type_part_len(enum sg_key_type type);

/*
 * The bytes a PKCS#1 v1.5 signature is made over: DigestInfo (RFC 8017 §9.2) of the digest.
 * `out` has room for SG_DIGEST_INFO_MAX. Returns the length, 0 when the length does not fit.
 */
enum { SG_DIGEST_INFO_MAX = 19 + SG_DIGEST_BYTES_MAX };
size_t sg_digest_info(enum sg_digest_alg alg, struct sg_slice digest, uint8_t *out);

/*
 * ECDSA-Sig-Value from r || s and back; strict DER only (minimal lengths, positive integers, no
 * trailing bytes). `part_len` is sg_key_type_part_len(). Errors: SG_E_INVALID.
 */
enum { SG_ECDSA_DER_MAX = 2 * (3 + 66) + 3 };
SG_MUST_USE enum sg_rc sg_ecdsa_to_der(struct sg_slice raw, uint8_t *out, size_t *ret_len,
                                       struct sg_err *err);
SG_MUST_USE enum sg_rc sg_ecdsa_from_der(struct sg_slice der, size_t part_len, uint8_t *out,
                                         struct sg_err *err);

#endif
