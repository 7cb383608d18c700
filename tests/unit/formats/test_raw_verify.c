#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>

#include "formats/raw/key_priv.h"
#include "tests/support/unit.h"

/* One key pair of each type, made by OpenSSL when the program starts. */
static struct pair {
    EVP_PKEY *secret;
    struct sg_public_key *key;
} pairs[SG_KEY_TYPE_COUNT];

static const uint8_t message[] = "The signed message, for Ed25519; its digest is made up.";

static struct sg_public_key *parse(EVP_PKEY *pkey)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);
    assert_true(len > 0);
    struct sg_public_key *key = NULL;
    assert_int_equal(sg_public_key_parse(sg_slice_of(der, (size_t)len), &key, NULL), SG_OK);
    OPENSSL_free(der);
    return key;
}

static EVP_PKEY *generate(enum sg_key_type type)
{
    switch (type) {
    case SG_KEY_RSA_2048:
        return EVP_RSA_gen(2048);
    case SG_KEY_RSA_3072:
        return EVP_RSA_gen(3072);
    case SG_KEY_RSA_4096:
        return EVP_RSA_gen(4096);
    case SG_KEY_EC_P256:
        return EVP_EC_gen("P-256");
    case SG_KEY_EC_P384:
        return EVP_EC_gen("P-384");
    case SG_KEY_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case SG_KEY_UNSET:
    case SG_KEY_TYPE_COUNT:
        break;
    }
    return NULL;
}

static int make_pairs(void **state)
{
    (void)state;
    for (unsigned type = SG_KEY_UNSET + 1; type < SG_KEY_TYPE_COUNT; type++) {
        pairs[type].secret = generate((enum sg_key_type)type);
        assert_non_null(pairs[type].secret);
        pairs[type].key = parse(pairs[type].secret);
    }
    return 0;
}

static int free_pairs(void **state)
{
    (void)state;
    for (unsigned type = SG_KEY_UNSET + 1; type < SG_KEY_TYPE_COUNT; type++) {
        EVP_PKEY_free(pairs[type].secret);
        sg_public_key_free(pairs[type].key);
    }
    return 0;
}

/* A question with bytes of its own, that a test may change. */
struct sample {
    struct sg_raw_signature question;
    uint8_t content[128], signature[512];
};

/* -2 as salt length leaves it to OpenSSL: as long as fits; others are taken as they are. */
static void sign_rsa_or_ec(enum sg_key_type type, struct sample *sample, int salt_len,
                           const char *mgf1)
{
    struct sg_raw_signature *question = &sample->question;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pairs[type].secret, NULL);
    EVP_MD *md = EVP_MD_fetch(NULL, sg_digest_name(question->digest_alg), NULL);
    size_t len = sizeof(sample->signature);
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    if (question->scheme != SG_SCHEME_ECDSA) {
        bool is_pss = question->scheme == SG_SCHEME_RSA_PSS;
        assert_int_equal(
            EVP_PKEY_CTX_set_rsa_padding(ctx, is_pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING),
            1);
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, md), 1);
        if (is_pss)
            assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_len), 1);
        if (mgf1 != NULL)
            assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, mgf1, NULL), 1);
    }
    assert_int_equal(
        EVP_PKEY_sign(ctx, sample->signature, &len, sample->content, question->content.len), 1);
    EVP_MD_free(md);
    EVP_PKEY_CTX_free(ctx);

    if (question->encoding == SG_ENCODING_RAW) {
        uint8_t raw[96];
        size_t part_len = sg_key_type_part_len(type);
        assert_int_equal(
            sg_ecdsa_from_der(sg_slice_of(sample->signature, len), part_len, raw, NULL), SG_OK);
        memcpy(sample->signature, raw, 2 * part_len);
        len = 2 * part_len;
    }
    question->signature = sg_slice_of(sample->signature, len);
}

static void sign_ed25519(struct sample *sample)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = sizeof(sample->signature);
    assert_int_equal(
        EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, pairs[SG_KEY_ED25519].secret, NULL), 1);
    assert_int_equal(
        EVP_DigestSign(ctx, sample->signature, &len, sample->content, sample->question.content.len),
        1);
    EVP_MD_CTX_free(ctx);
    sample->question.signature = sg_slice_of(sample->signature, len);
}

static void make(enum sg_key_type type, enum sg_scheme scheme, enum sg_digest_alg alg,
                 enum sg_sig_encoding encoding, struct sample *sample)
{
    memset(sample, 0, sizeof(*sample));
    memcpy(sample->content, message, sizeof(message));
    size_t len = scheme == SG_SCHEME_ED25519 ? sizeof(message) : sg_digest_len(alg);
    sample->question = (struct sg_raw_signature){
        scheme, alg, sg_slice_of(sample->content, len), encoding, {NULL, 0}};
    if (scheme == SG_SCHEME_ED25519)
        sign_ed25519(sample);
    else
        sign_rsa_or_ec(type, sample, (int)len, NULL);
}

static enum sg_raw_verdict judge(enum sg_key_type type, const struct sg_raw_signature *question)
{
    enum sg_raw_verdict verdict = SG_RAW_INVALID;
    struct sg_err err = {0};
    if (sg_raw_verify(pairs[type].key, question, &verdict, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return verdict;
}

static void refuse_every_flip(enum sg_key_type type, struct sample *sample)
{
    struct sg_raw_signature *question = &sample->question;
    for (size_t i = 0; i < question->signature.len; i++) {
        sample->signature[i] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(judge(type, question), SG_RAW_VALID);
        sample->signature[i] ^= (uint8_t)(1 << i % 8);
    }
    /* ECDSA signs no more of a digest than its order is long (FIPS 186-5 §6.4.1). */
    size_t signed_len = question->content.len, part_len = sg_key_type_part_len(type);
    if (question->scheme == SG_SCHEME_ECDSA && signed_len > part_len)
        signed_len = part_len;
    for (size_t i = 0; i < signed_len; i++) {
        sample->content[i] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(judge(type, question), SG_RAW_INVALID);
        sample->content[i] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(judge(type, question), SG_RAW_VALID);
}

static void refuse_every_other_length(enum sg_key_type type, struct sample *sample)
{
    struct sg_raw_signature question = sample->question;
    size_t len = question.signature.len;
    for (question.signature.len = 0; question.signature.len < len; question.signature.len++)
        assert_int_equal(judge(type, &question), SG_RAW_MALFORMED);
    if (len < sizeof(sample->signature)) {
        question.signature.len = len + 1;
        assert_int_equal(judge(type, &question), SG_RAW_MALFORMED);
    }
}

static void verify_combination(enum sg_key_type type, enum sg_scheme scheme, enum sg_digest_alg alg,
                               enum sg_sig_encoding encoding)
{
    struct sample sample;
    print_message("  %s %s %s %d\n", sg_key_type_name(type), sg_scheme_name(scheme),
                  sg_digest_name(alg), (int)encoding);
    make(type, scheme, alg, encoding, &sample);
    assert_int_equal(judge(type, &sample.question), SG_RAW_VALID);
    refuse_every_other_length(type, &sample);
    /* P-384 takes a millisecond each in OpenSSL 3.0: one digest stands for the others there. */
    if (type != SG_KEY_EC_P384 || alg == SG_DIGEST_SHA384)
        refuse_every_flip(type, &sample);
}

static void every_combination_is_valid_and_any_flipped_bit_is_not(void **state)
{
    (void)state;
    for (unsigned type = SG_KEY_UNSET + 1; type < SG_KEY_ED25519; type++) {
        for (unsigned scheme = SG_SCHEME_UNSET + 1; scheme < SG_SCHEME_COUNT; scheme++) {
            if (!sg_key_type_does((enum sg_key_type)type, (enum sg_scheme)scheme))
                continue;
            unsigned encodings = scheme == SG_SCHEME_ECDSA ? SG_ENCODING_COUNT : 1;
            for (unsigned alg = SG_DIGEST_UNSET + 1; alg < SG_DIGEST_COUNT; alg++) {
                for (unsigned encoding = 0; encoding < encodings; encoding++)
                    verify_combination((enum sg_key_type)type, (enum sg_scheme)scheme,
                                       (enum sg_digest_alg)alg, (enum sg_sig_encoding)encoding);
            }
        }
    }
    verify_combination(SG_KEY_ED25519, SG_SCHEME_ED25519, SG_DIGEST_UNSET, SG_ENCODING_UNSET);
}

static void another_key_or_digest_algorithm_does_not_fit(void **state)
{
    (void)state;
    EVP_PKEY *other = EVP_EC_gen("P-256");
    struct sg_public_key *key = parse(other);
    struct sample sample;
    enum sg_raw_verdict verdict = SG_RAW_VALID;
    make(SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, SG_ENCODING_DER, &sample);
    assert_int_equal(sg_raw_verify(key, &sample.question, &verdict, NULL), SG_OK);
    assert_int_equal(verdict, SG_RAW_INVALID);
    sg_public_key_free(key);
    EVP_PKEY_free(other);

    /* Of the same length, so only the name of the algorithm differs. */
    make(SG_KEY_RSA_2048, SG_SCHEME_RSA_PKCS1, SG_DIGEST_SHA256, SG_ENCODING_UNSET, &sample);
    sample.question.digest_alg = SG_DIGEST_SHA3_256;
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);
    sample.question.digest_alg = SG_DIGEST_SHA256;
    sample.question.scheme = SG_SCHEME_RSA_PSS;
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);
}

static const struct {
    const char *name;
    enum sg_key_type type;
    enum sg_scheme scheme;
    enum sg_digest_alg alg;
    size_t content_len;
    unsigned encoding;
    enum sg_reason reason;
} questions[] = {
    {"RSA by ECDSA", SG_KEY_RSA_2048, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"EC by PSS", SG_KEY_EC_P256, SG_SCHEME_RSA_PSS, SG_DIGEST_SHA256, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"EC by Ed25519", SG_KEY_EC_P256, SG_SCHEME_ED25519, SG_DIGEST_UNSET, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"Ed25519 by ECDSA", SG_KEY_ED25519, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"no scheme", SG_KEY_EC_P256, SG_SCHEME_UNSET, SG_DIGEST_SHA256, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"a scheme out of range", SG_KEY_EC_P256, SG_SCHEME_COUNT, SG_DIGEST_SHA256, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"no digest algorithm", SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_UNSET, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"a digest algorithm out of range", SG_KEY_RSA_2048, SG_SCHEME_RSA_PSS, SG_DIGEST_COUNT, 32, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"a digest algorithm with Ed25519", SG_KEY_ED25519, SG_SCHEME_ED25519, SG_DIGEST_SHA512, 64, 0,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"an encoding out of range", SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 32,
     SG_ENCODING_COUNT, SG_R_ALGORITHM_NOT_ALLOWED},
    {"a short digest", SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 31, 0,
     SG_R_DIGEST_LENGTH},
    {"a long digest", SG_KEY_RSA_2048, SG_SCHEME_RSA_PKCS1, SG_DIGEST_SHA384, 64, 0,
     SG_R_DIGEST_LENGTH},
    {"an empty digest", SG_KEY_EC_P384, SG_SCHEME_ECDSA, SG_DIGEST_SHA384, 0, 0,
     SG_R_DIGEST_LENGTH},
};

static void a_question_that_makes_no_sense_is_no_verdict(void **state)
{
    (void)state;
    static const uint8_t zeros[512];
    for (size_t i = 0; i < SG_COUNT(questions); i++) {
        struct sg_raw_signature question = {
            questions[i].scheme, questions[i].alg, sg_slice_of(zeros, questions[i].content_len),
            (enum sg_sig_encoding)questions[i].encoding, sg_slice_of(zeros, 64)};
        enum sg_raw_verdict verdict = SG_RAW_MALFORMED;
        struct sg_err err = {0};
        print_message("  %s\n", questions[i].name);
        assert_int_equal(sg_raw_verify(pairs[questions[i].type].key, &question, &verdict, &err),
                         SG_E_INVALID);
        assert_int_equal(err.reason, questions[i].reason);
        assert_int_equal(verdict, SG_RAW_MALFORMED); /* untouched */
    }
}

static void a_zeroed_verdict_is_invalid(void **state)
{
    (void)state;
    enum sg_raw_verdict verdict;
    memset(&verdict, 0, sizeof(verdict));
    assert_int_equal(verdict, SG_RAW_INVALID);
}

/* ECDSA encodings, in the manner of Wycheproof's ecdsa_secp256r1 files ------------------------- */

struct der {
    uint8_t at[160];
    size_t len;
};

static void put(struct der *der, uint8_t byte)
{
    der->at[der->len++] = byte;
}

/* An INTEGER of `number`, behind `zeros` more zero bytes than DER wants. */
static void put_integer(struct der *der, const BIGNUM *number, size_t zeros, bool is_signed)
{
    uint8_t bytes[64];
    size_t len = (size_t)BN_bn2bin(number, bytes);
    bool needs_zero = is_signed && (len == 0 || bytes[0] > 0x7f);
    put(der, 0x02);
    put(der, (uint8_t)(len + zeros + needs_zero));
    for (size_t i = 0; i < zeros + needs_zero; i++)
        put(der, 0);
    memcpy(der->at + der->len, bytes, len);
    der->len += len;
}

static struct der sequence(const BIGNUM *r, const BIGNUM *s)
{
    struct der der = {{0x30, 0}, 2};
    put_integer(&der, r, 0, true);
    put_integer(&der, s, 0, true);
    der.at[1] = (uint8_t)(der.len - 2);
    return der;
}

static struct {
    struct sample sample;
    BIGNUM *r, *s, *n; /* of the sample, with the top bit of s set; the group's order */
} p256;

/* Signs until s needs its leading zero, so that leaving it out can be tried. */
static void make_p256(void)
{
    uint8_t raw[64];
    do {
        make(SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, SG_ENCODING_DER, &p256.sample);
        assert_int_equal(sg_ecdsa_from_der(p256.sample.question.signature, 32, raw, NULL), SG_OK);
    } while (raw[32] <= 0x7f || raw[32] == 0xff);
    p256.r = BN_bin2bn(raw, 32, p256.r);
    p256.s = BN_bin2bn(raw + 32, 32, p256.s);
    assert_true(
        BN_hex2bn(&p256.n, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") > 0);
}

static enum sg_raw_verdict judge_der(const struct der *der)
{
    struct sg_raw_signature question = p256.sample.question;
    question.signature = sg_slice_of(der->at, der->len);
    return judge(SG_KEY_EC_P256, &question);
}

static void ecdsa_numbers_out_of_range_are_never_valid(void **state)
{
    (void)state;
    make_p256();
    BIGNUM *zero = BN_new(), *one = BN_new(), *sum = BN_new(), *rest = BN_new();
    BN_zero(zero);
    BN_one(one);
    BN_sub(rest, p256.n, p256.s);

    struct der der = sequence(p256.r, p256.s);
    assert_int_equal(judge_der(&der), SG_RAW_VALID);
    der = sequence(p256.r, rest); /* (r, n - s) is the other signature of the same message */
    assert_int_equal(judge_der(&der), SG_RAW_VALID);

    const struct {
        const char *name;
        const BIGNUM *r, *s;
        enum sg_raw_verdict verdict;
    } rows[] = {
        {"r = 0", zero, p256.s, SG_RAW_MALFORMED},
        {"s = 0", p256.r, zero, SG_RAW_MALFORMED},
        {"r = s = 0", zero, zero, SG_RAW_MALFORMED},
        {"r = 1", one, p256.s, SG_RAW_INVALID},
        {"s = 1", p256.r, one, SG_RAW_INVALID},
        {"r = n", p256.n, p256.s, SG_RAW_INVALID},
        {"s = n", p256.r, p256.n, SG_RAW_INVALID},
        {"r and s swapped", p256.s, p256.r, SG_RAW_INVALID},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        der = sequence(rows[i].r, rows[i].s);
        assert_int_equal(judge_der(&der), rows[i].verdict);
    }
    BN_add(sum, p256.s, p256.n); /* the same number modulo n, in 33 bytes */
    der = sequence(p256.r, sum);
    assert_int_not_equal(judge_der(&der), SG_RAW_VALID);
    BN_lshift(sum, p256.s, 64); /* longer than the group order */
    der = sequence(p256.r, sum);
    assert_int_equal(judge_der(&der), SG_RAW_MALFORMED);

    BN_free(zero);
    BN_free(one);
    BN_free(sum);
    BN_free(rest);
}

static void ecdsa_in_anything_but_strict_der_is_malformed(void **state)
{
    (void)state;
    make_p256();
    const struct der good = sequence(p256.r, p256.s);
    struct der der;
    assert_int_equal(judge_der(&good), SG_RAW_VALID);

#define MALFORMED(what)                                                                            \
    do {                                                                                           \
        print_message("  %s\n", what);                                                             \
        assert_int_equal(judge_der(&der), SG_RAW_MALFORMED);                                       \
    } while (0)

    der = (struct der){.len = 0};
    MALFORMED("nothing");
    der = (struct der){{0x30, 0}, 2};
    MALFORMED("an empty sequence");
    der = good;
    put(&der, 0);
    MALFORMED("a byte behind the sequence");
    der = good;
    put(&der, 0);
    der.at[1]++;
    MALFORMED("a byte behind s");
    der = good;
    der.at[der.len++] = 0x05;
    der.at[der.len++] = 0x00;
    der.at[1] = (uint8_t)(der.at[1] + 2);
    MALFORMED("a NULL behind s");
    der = (struct der){{0x30, 0x81}, 2};
    memcpy(der.at + 2, good.at + 1, good.len - 1);
    der.len += good.len - 1;
    MALFORMED("the length in the long form");
    der = good;
    der.at[1] = 0x80;
    put(&der, 0);
    put(&der, 0);
    MALFORMED("an indefinite length");
    der = good;
    der.at[0] = 0x31;
    MALFORMED("a SET");
    der = good;
    der.at[2] = 0x03;
    MALFORMED("r as a BIT STRING");
    der = good;
    der.at[1]--;
    MALFORMED("a sequence that stops short");
    der = good;
    der.at[3] = 0;
    MALFORMED("r of no bytes");
    der = (struct der){{0x30, 0}, 2};
    put_integer(&der, p256.r, 1, true);
    put_integer(&der, p256.s, 0, true);
    der.at[1] = (uint8_t)(der.len - 2);
    MALFORMED("r with a zero too many");
    der = (struct der){{0x30, 0}, 2};
    put_integer(&der, p256.r, 0, true);
    put_integer(&der, p256.s, 0, false);
    der.at[1] = (uint8_t)(der.len - 2);
    MALFORMED("s without the zero that keeps its sign off");
    der = (struct der){{0x30, 0}, 2};
    put_integer(&der, p256.r, 0, true);
    der.at[1] = (uint8_t)(der.len - 2);
    MALFORMED("r alone");
    for (size_t len = 0; len < good.len; len++) {
        der = good;
        der.len = len;
        assert_int_equal(judge_der(&der), SG_RAW_MALFORMED);
        if (len >= 2) { /* and with a length that is right for what is left */
            der.at[1] = (uint8_t)(len - 2);
            assert_int_equal(judge_der(&der), SG_RAW_MALFORMED);
        }
    }
#undef MALFORMED
    BN_free(p256.r);
    BN_free(p256.s);
    BN_free(p256.n);
    p256.r = p256.s = p256.n = NULL;
}

static void one_encoding_is_not_taken_for_the_other(void **state)
{
    (void)state;
    struct sample sample;
    make(SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, SG_ENCODING_RAW, &sample);
    sample.question.encoding = SG_ENCODING_DER;
    assert_int_equal(judge(SG_KEY_EC_P256, &sample.question), SG_RAW_MALFORMED);
    make(SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, SG_ENCODING_DER, &sample);
    sample.question.encoding = SG_ENCODING_RAW;
    assert_int_equal(judge(SG_KEY_EC_P256, &sample.question), SG_RAW_MALFORMED);
}

/* RSA -------------------------------------------------------------------------------------- */

/* Signs any bytes at all with PKCS#1 v1.5 padding, as if they were a DigestInfo. */
static void sign_block(const uint8_t *block, size_t block_len, struct sample *sample)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pairs[SG_KEY_RSA_2048].secret, NULL);
    size_t len = sizeof(sample->signature);
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, sample->signature, &len, block, block_len), 1);
    EVP_PKEY_CTX_free(ctx);
    sample->question.signature = sg_slice_of(sample->signature, len);
}

static void pkcs1_wants_exactly_one_digest_info(void **state)
{
    (void)state;
    struct sample sample;
    uint8_t info[SG_DIGEST_INFO_MAX + 8], other[SG_DIGEST_INFO_MAX + 8];
    make(SG_KEY_RSA_2048, SG_SCHEME_RSA_PKCS1, SG_DIGEST_SHA256, SG_ENCODING_UNSET, &sample);
    size_t len = sg_digest_info(SG_DIGEST_SHA256, sample.question.content, info);
    assert_int_equal(len, 51);
    sign_block(info, len, &sample);
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_VALID);

    sign_block(sample.content, 32, &sample); /* the digest alone */
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);

    memcpy(other, info, len); /* bytes behind it */
    other[len] = 0;
    sign_block(other, len + 1, &sample);
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);

    memcpy(other, info, 15); /* without the NULL parameters */
    memcpy(other + 15, info + 17, len - 17);
    other[1] = (uint8_t)(other[1] - 2);
    other[3] = (uint8_t)(other[3] - 2);
    sign_block(other, len - 2, &sample);
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);
}

static void pss_wants_its_salt_and_mask_as_the_scheme_says(void **state)
{
    (void)state;
    struct sample sample;
    static const int salts[] = {0, 31, 33, 64};
    make(SG_KEY_RSA_2048, SG_SCHEME_RSA_PSS, SG_DIGEST_SHA256, SG_ENCODING_UNSET, &sample);
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_VALID);
    for (size_t i = 0; i < SG_COUNT(salts); i++) {
        sign_rsa_or_ec(SG_KEY_RSA_2048, &sample, salts[i], NULL);
        assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);
    }
    sign_rsa_or_ec(SG_KEY_RSA_2048, &sample, 32, "SHA1");
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);
}

static void an_rsa_signature_over_the_modulus_is_invalid(void **state)
{
    (void)state;
    struct sample sample;
    make(SG_KEY_RSA_2048, SG_SCHEME_RSA_PKCS1, SG_DIGEST_SHA256, SG_ENCODING_UNSET, &sample);
    memset(sample.signature, 0xff, 256);
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);
    memset(sample.signature, 0, 256);
    assert_int_equal(judge(SG_KEY_RSA_2048, &sample.question), SG_RAW_INVALID);
}

/* Ed25519 ---------------------------------------------------------------------------------- */

static void an_ed25519_signature_with_s_over_the_order_is_invalid(void **state)
{
    (void)state;
    /* L, little-endian (RFC 8032 §5.1): s + L is s, and §5.1.7 refuses it. */
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    struct sample sample;
    make(SG_KEY_ED25519, SG_SCHEME_ED25519, SG_DIGEST_UNSET, SG_ENCODING_UNSET, &sample);
    assert_int_equal(judge(SG_KEY_ED25519, &sample.question), SG_RAW_VALID);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)sample.signature[32 + i] + order[i];
        sample.signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(judge(SG_KEY_ED25519, &sample.question), SG_RAW_INVALID);
}

static void ed25519_signs_an_empty_message_too(void **state)
{
    (void)state;
    struct sample sample;
    memset(&sample, 0, sizeof(sample));
    sample.question.scheme = SG_SCHEME_ED25519;
    sign_ed25519(&sample);
    assert_int_equal(judge(SG_KEY_ED25519, &sample.question), SG_RAW_VALID);
    sample.question.content = sg_slice_of(message, 1);
    assert_int_equal(judge(SG_KEY_ED25519, &sample.question), SG_RAW_INVALID);
}

/* What is around it ------------------------------------------------------------------------- */

static void the_error_queue_of_the_thread_is_left_as_it_was(void **state)
{
    (void)state;
    struct sample sample;
    for (unsigned type = SG_KEY_UNSET + 1; type < SG_KEY_TYPE_COUNT; type++) {
        enum sg_scheme scheme = sg_key_type_default((enum sg_key_type)type);
        make((enum sg_key_type)type, scheme,
             scheme == SG_SCHEME_ED25519 ? SG_DIGEST_UNSET : SG_DIGEST_SHA256, SG_ENCODING_UNSET,
             &sample);
        sample.content[0] ^= 1;
        ERR_clear_error();
        ERR_raise(ERR_LIB_USER, 42); /* somebody else's */
        assert_int_equal(judge((enum sg_key_type)type, &sample.question), SG_RAW_INVALID);
        assert_int_equal(ERR_GET_REASON(ERR_get_error()), 42);
        assert_int_equal(ERR_get_error(), 0);
    }
}

enum { THREADS = 4, ROUNDS = 50 };

static struct {
    const struct sg_public_key *key;
    const struct sample *good, *bad;
    pthread_barrier_t start;
    int wrong[THREADS];
} shared;

static void *verify_many(void *arg)
{
    int *wrong = arg;
    pthread_barrier_wait(&shared.start);
    for (int i = 0; i < ROUNDS; i++) {
        enum sg_raw_verdict good = SG_RAW_INVALID, bad = SG_RAW_INVALID;
        if (sg_raw_verify(shared.key, &shared.good->question, &good, NULL) != SG_OK ||
            sg_raw_verify(shared.key, &shared.bad->question, &bad, NULL) != SG_OK ||
            good != SG_RAW_VALID || bad != SG_RAW_INVALID)
            ++*wrong;
    }
    return NULL;
}

/* Each type with a key nobody has used yet, so that the threads race for its first context. */
static void threads_may_share_a_key(void **state)
{
    (void)state;
    static const enum sg_key_type types[] = {SG_KEY_RSA_2048, SG_KEY_EC_P256, SG_KEY_ED25519};
    for (size_t i = 0; i < SG_COUNT(types); i++) {
        struct sample good, bad;
        enum sg_scheme scheme = sg_key_type_default(types[i]);
        enum sg_digest_alg alg = types[i] == SG_KEY_ED25519 ? SG_DIGEST_UNSET : SG_DIGEST_SHA256;
        make(types[i], scheme, alg, SG_ENCODING_UNSET, &good);
        make(types[i], scheme, alg, SG_ENCODING_UNSET, &bad);
        bad.content[1] ^= 1;

        struct sg_public_key *key = parse(pairs[types[i]].secret);
        pthread_t threads[THREADS];
        memset(&shared, 0, sizeof(shared));
        shared.key = key;
        shared.good = &good;
        shared.bad = &bad;
        assert_int_equal(pthread_barrier_init(&shared.start, NULL, THREADS), 0);
        for (size_t t = 0; t < THREADS; t++)
            assert_int_equal(pthread_create(&threads[t], NULL, verify_many, &shared.wrong[t]), 0);
        for (size_t t = 0; t < THREADS; t++) {
            pthread_join(threads[t], NULL);
            assert_int_equal(shared.wrong[t], 0);
        }
        pthread_barrier_destroy(&shared.start);
        sg_public_key_free(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_is_valid_and_any_flipped_bit_is_not),
        cmocka_unit_test(another_key_or_digest_algorithm_does_not_fit),
        cmocka_unit_test(a_question_that_makes_no_sense_is_no_verdict),
        cmocka_unit_test(a_zeroed_verdict_is_invalid),
        cmocka_unit_test(ecdsa_numbers_out_of_range_are_never_valid),
        cmocka_unit_test(ecdsa_in_anything_but_strict_der_is_malformed),
        cmocka_unit_test(one_encoding_is_not_taken_for_the_other),
        cmocka_unit_test(pkcs1_wants_exactly_one_digest_info),
        cmocka_unit_test(pss_wants_its_salt_and_mask_as_the_scheme_says),
        cmocka_unit_test(an_rsa_signature_over_the_modulus_is_invalid),
        cmocka_unit_test(an_ed25519_signature_with_s_over_the_order_is_invalid),
        cmocka_unit_test(ed25519_signs_an_empty_message_too),
        cmocka_unit_test(the_error_queue_of_the_thread_is_left_as_it_was),
        cmocka_unit_test(threads_may_share_a_key),
    };
    return cmocka_run_group_tests(tests, make_pairs, free_pairs);
}
