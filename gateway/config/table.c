#include "gateway/config/table_priv.h"

#define AT(name) .offset = offsetof(struct sg_config, name)

const struct sg_field sg_config_options[] = {
#define OPTION_INT(n, lo, hi, d, w, h)                                                             \
    {.name = #n,                                                                                   \
     .help = (h),                                                                                  \
     .kind = SG_FIELD_INT,                                                                         \
     .when = SG_WHEN_##w,                                                                          \
     AT(n),                                                                                        \
     .min = (lo),                                                                                  \
     .max = (hi),                                                                                  \
     .def = (d)},
#define OPTION_BOOL(n, d, w, h)                                                                    \
    {.name = #n, .help = (h), .kind = SG_FIELD_BOOL, .when = SG_WHEN_##w, AT(n), .def = (d)},
#define OPTION_STR(n, d, w, h)                                                                     \
    {.name = #n, .help = (h), .kind = SG_FIELD_TEXT, .when = SG_WHEN_##w, AT(n), .text_def = (d)},
#define OPTION_PATH(n, d, w, h)                                                                    \
    {.name = #n, .help = (h), .kind = SG_FIELD_PATH, .when = SG_WHEN_##w, AT(n), .text_def = (d)},
#define OPTION_STORE(n, d, w, h)                                                                   \
    {.name = #n, .help = (h), .kind = SG_FIELD_STORE, .when = SG_WHEN_##w, AT(n), .text_def = (d)},
#define OPTION_ENUM(n, v, d, w, h)                                                                 \
    {.name = #n,                                                                                   \
     .help = (h),                                                                                  \
     .kind = SG_FIELD_CHOICE,                                                                      \
     .when = SG_WHEN_##w,                                                                          \
     AT(n),                                                                                        \
     .words = (v),                                                                                 \
     .def = (d)},
#include "gateway/config/options.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_STR
#undef OPTION_PATH
#undef OPTION_STORE
#undef OPTION_ENUM
};
const size_t sg_config_option_count = SG_COUNT(sg_config_options);

static const char *key_type_word(int value)
{
    return value < SG_KEY_TYPE_COUNT ? sg_key_type_name((enum sg_key_type)value) : NULL;
}

static const char *scheme_word(int value)
{
    return value < SG_SCHEME_COUNT ? sg_scheme_name((enum sg_scheme)value) : NULL;
}

static const char *digest_word(int value)
{
    return value < SG_DIGEST_COUNT ? sg_digest_name((enum sg_digest_alg)value) : NULL;
}

/* In the order of enum sg_key_origin. */
static const char origin_words[] = "generated|cloned|unwrapped|imported";

/* One line each, so that a field reads as a row. */
/* clang-format off */
#define FIELD(type, member, k) .name = #member, .kind = SG_FIELD_##k, .offset = offsetof(struct type, member)

static const struct sg_field ca_fields[] = {
    {FIELD(sg_config_ca, name, NAME), .is_required = true, .example = "main",
     .help = "What callers refer to it by."},
    {FIELD(sg_config_ca, file, PATH), .is_required = true, .example = "client-ca.pem",
     .help = "Certificate of the CA that issues client certificates itself, PEM."},
    {FIELD(sg_config_ca, crl_file, PATH), .example = "client-ca.crl", .def_help = "no revocation is known",
     .help = "Its certificate revocation list, PEM or DER; read again when it changes."},
};

#define LIST(holder, type, array, count, f) .name = #array, .fields = f, .field_count = SG_COUNT(f),       \
    .offset = offsetof(struct holder, array), .count_offset = offsetof(struct holder, count), \
    .item_size = sizeof(struct type)
#define ITEMS(holder, array, count, list) FIELD(holder, array, ITEMS),                          \
    .count_offset = offsetof(struct holder, count), .items = &(list)

static const struct sg_field probe_key_fields[] = {
    {FIELD(sg_config_own_key, id, HEX), .is_required = true, .min = 1, .max = 64, .example = "\"ff01\"",
     .help = "CKA_ID, in hexadecimal."},
    {FIELD(sg_config_own_key, type, CHOICE), .is_required = true, .word = key_type_word, .example = "ec-p256",
     .help = "What it must be on the token."},
};
static const struct sg_list probe_key_list = {LIST(sg_config_token, sg_config_own_key, probe_keys, probe_key_count, probe_key_fields)};

static const struct sg_field log_certifier_fields[] = {
    {FIELD(sg_config_own_key, id, HEX), .is_required = true, .min = 1, .max = 64, .example = "\"fe01\"",
     .help = "CKA_ID, in hexadecimal."},
    {FIELD(sg_config_own_key, type, CHOICE), .is_required = true, .word = key_type_word, .example = "ec-p256",
     .help = "What it must be on the token."},
    {FIELD(sg_config_own_key, origin, CHOICE), .words = origin_words, .def = SG_ORIGIN_GENERATED,
     .help = "How it came to be on this token, as of other keys."},
};
static const struct sg_list log_certifier_list = {LIST(sg_config_token, sg_config_own_key, log_certifier, log_certifier_count, log_certifier_fields)};

static const struct sg_field token_fields[] = {
    {FIELD(sg_config_token, name, NAME), .is_required = true, .example = "hsm",
     .help = "What keys refer to it by; also a label of the metrics."},
    {FIELD(sg_config_token, module, PATH), .is_required = true, .example = "/usr/lib/softhsm/libsofthsm2.so",
     .help = "The vendor's PKCS#11 module."},
    {FIELD(sg_config_token, uri, TEXT), .is_required = true, .max = 1024, .example = "\"pkcs11:token=sealgate\"",
     .help = "Which token in it: RFC 7512, by token= and serial=, manufacturer= and model=; never by slot."},
    {FIELD(sg_config_token, pin_file, SECRET), .is_required = true, .example = "credential:hsm-pin",
     .help = "File with the PIN, or credential:NAME for one of systemd's. Only the token process reads it."},
    {FIELD(sg_config_token, socket, PATH), .is_required = true, .example = "/run/sealgate/hsm.sock",
     .help = "Unix socket of the token process."},
    {FIELD(sg_config_token, state_dir, PATH), .is_required = true, .example = "/var/lib/sealgate/hsm",
     .help = "Folder where the token process keeps its PIN latch across restarts."},
    {FIELD(sg_config_token, workers, INT), .min = 0, .max = 256, .def = 0,
     .help = "Sessions that sign at once, at most; 0: as many as there are cores for SoftHSM, 32 for any other token."},
    {FIELD(sg_config_token, queue_max, INT), .min = 1, .max = 65536, .def = 1024,
     .help = "Signatures of each class of cost (EC and Ed25519, RSA-2048, longer RSA) that may wait in the gateway for this token; more are refused with a delay."},
    {FIELD(sg_config_token, hang_ms, INT), .min = 100, .max = 600000, .def = 5000,
     .help = "A call into the module that takes longer means that it hangs, in milliseconds."},
    {FIELD(sg_config_token, user, TEXT), .max = 32, .example = "sealgate-token", .def_help = "the gateway's user",
     .help = "User that the token process runs as, when sealgated starts it."},
    {FIELD(sg_config_token, allow_extractable, BOOL),
     .help = "Take keys that could leave the token. For development: such keys were imported."},
    {ITEMS(sg_config_token, probe_keys, probe_key_count, probe_key_list), .max = 6,
     .def_help = "it is only asked whether it is there",
     .help = "Keys on it, of nobody, by which it must prove that it signs before it is used and while it is idle; one of each type that is wanted."},
    {ITEMS(sg_config_token, log_certifier, log_certifier_count, log_certifier_list), .max = 1,
     .def_help = "nothing certifies it",
     .help = "A key on it, of nobody and for nothing else, that certifies the key of the audit log when sealgated init and sealgated epoch accept make one: the token's process must run then. One, on one token."},
};

static const struct sg_field copy_fields[] = {
    {FIELD(sg_config_copy, token, NAME), .is_required = true, .example = "hsm-b",
     .help = "Another token that holds the same key."},
    {FIELD(sg_config_copy, id, HEX), .min = 1, .max = 64, .example = "\"01\"", .def_help = "the key's own",
     .help = "CKA_ID there, in hexadecimal."},
    {FIELD(sg_config_copy, origin, CHOICE), .words = origin_words, .def = SG_ORIGIN_CLONED, .example = "cloned",
     .help = "How it came to be there."},
};
static const struct sg_list copy_list = {LIST(sg_config_key, sg_config_copy, copies, copy_count, copy_fields)};

static const struct sg_field key_fields[] = {
    {FIELD(sg_config_key, name, NAME), .is_required = true, .example = "tax-2026",
     .help = "What callers call it: keys/NAME."},
    {FIELD(sg_config_key, token, NAME), .is_required = true, .example = "hsm",
     .help = "The token that holds it."},
    {FIELD(sg_config_key, id, HEX), .is_required = true, .min = 1, .max = 64, .example = "\"01\"",
     .help = "CKA_ID, in hexadecimal."},
    {FIELD(sg_config_key, origin, CHOICE), .words = origin_words, .def = SG_ORIGIN_GENERATED,
     .help = "How it came to be on this token: only of a key generated there it is demanded that it never was elsewhere."},
    {ITEMS(sg_config_key, copies, copy_count, copy_list), .max = 16, .def_help = "this token alone holds it",
     .help = "The same key on other tokens: each of them may sign, so that none is missed."},
    {FIELD(sg_config_key, type, CHOICE), .is_required = true, .word = key_type_word, .example = "ec-p256",
     .help = "What it must be on the token."},
    {FIELD(sg_config_key, schemes, CHOICES), .word = scheme_word, .example = "[ecdsa]", .def_help = "all that the type can do",
     .help = "Signature schemes that it may be used for."},
    {FIELD(sg_config_key, digests, CHOICES), .word = digest_word, .example = "[sha256, sha384, sha512]",
     .def_help = "sha256, sha384 and sha512; Ed25519 takes none",
     .help = "Digests that it may sign."},
    {FIELD(sg_config_key, default_scheme, CHOICE), .word = scheme_word, .example = "ecdsa", .def_help = "rsa-pkcs1 for RSA, unless it may only do rsa-pss",
     .help = "The scheme when the caller names none."},
    {FIELD(sg_config_key, public_key_file, PATH), .example = "tax-2026.pub.pem", .def_help = "the token's word counts",
     .help = "Public key that it must have, PEM."},
    {FIELD(sg_config_key, verify_sampled, BOOL),
     .help = "ECDSA only: verify one signature in 64 before it is released, not each."},
};

static const struct sg_field caller_fields[] = {
    {FIELD(sg_config_caller, name, NAME), .is_required = true, .example = "tax-portal",
     .help = "What the log and the records call it."},
    {FIELD(sg_config_caller, ca, NAME), .is_in_force = true, .example = "main", .def_help = "it has no certificate",
     .help = "The client CA that issued its certificate; with uri."},
    {FIELD(sg_config_caller, uri, TEXT), .max = 1024, .is_in_force = true, .def_help = "it has no certificate", .example = "\"urn:example:tax-portal\"",
     .help = "The SAN URI in its certificate, byte by byte."},
    {FIELD(sg_config_caller, methods, TEXTS), .count_offset = offsetof(struct sg_config_caller, method_count),
     .is_required = true, .example = "[sealgate.v1.SigningService, sealgate.v1.KeyService/ListKeys]",
     .help = "What it may call: package.Service for all of a service, or package.Service/Method."},
    {FIELD(sg_config_caller, keys, TEXTS), .count_offset = offsetof(struct sg_config_caller, key_count),
     .example = "[tax-2026]", .def_help = "no key",
     .help = "The keys that it may use and see."},
    {FIELD(sg_config_caller, token_sha256, HASHES), .count_offset = offsetof(struct sg_config_caller, token_count), .max = 2,
     .example = "[0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef]", .def_help = "it has no token",
     .help = "SHA-256 of the bearer tokens by which it is known on listen_bearer; two while one replaces the other. \"sealgate token new\" makes one."},
    {FIELD(sg_config_caller, token_expires, TIME), .example = "2027-01-31T00:00:00Z", .def_help = "never",
     .help = "When its tokens are good no longer, UTC."},
};

static const struct sg_field witness_fields[] = {
    {FIELD(sg_config_witness, name, NAME), .is_required = true, .example = "neighbour",
     .help = "What the log and the metrics call it."},
    {FIELD(sg_config_witness, url, TEXT), .is_required = true, .max = 512, .example = "https://witness.example:8445",
     .help = "Its submission prefix, to which /add-checkpoint is added."},
    {FIELD(sg_config_witness, key, TEXT), .is_required = true, .max = 512,
     .example = "witness.example/w1+0ad7d35e+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c",
     .help = "Its public key, as it is published: NAME+ID+KEY. Only what this key signs counts."},
    {FIELD(sg_config_witness, ca_file, PATH), .is_required = true, .example = "witness-ca.pem",
     .help = "The CA of its TLS certificate, PEM; /etc/ssl/certs/ca-certificates.crt for the public ones."},
    {FIELD(sg_config_witness, certificate_file, PATH), .example = "witness-client.pem", .def_help = "none is shown",
     .help = "Certificate to show it, with its chain, PEM; with key_file."},
    {FIELD(sg_config_witness, key_file, PATH), .example = "witness-client.key", .def_help = "none is shown",
     .help = "Private key of certificate_file, PEM."},
};

static const struct sg_field witnessed_log_fields[] = {
    {FIELD(sg_config_witnessed_log, name, NAME), .is_required = true, .example = "neighbour",
     .help = "What this witness calls the log."},
    {FIELD(sg_config_witnessed_log, origin, TEXT), .is_required = true, .max = 255, .example = "sealgate.example/main/1",
     .help = "The log's origin, as its checkpoints begin; sealgated init tells it."},
    {FIELD(sg_config_witnessed_log, keys, TEXTS), .count_offset = offsetof(struct sg_config_witnessed_log, key_count),
     .is_required = true, .example = "[sealgate.example/main/1+0428fbea+AYE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU]",
     .help = "Its public keys, as they are published: NAME+ID+KEY; up to 4, of which any may have signed."},
};

const struct sg_list sg_config_lists[] = {
    {LIST(sg_config, sg_config_ca, client_cas, client_ca_count, ca_fields),
     .help = "The CAs whose client certificates are accepted. Without one nobody can call."},
    {LIST(sg_config, sg_config_token, tokens, token_count, token_fields),
     .help = "The tokens that hold the keys; each has a process of its own."},
    {LIST(sg_config, sg_config_key, keys, key_count, key_fields),
     .help = "The keys that may be used."},
    {LIST(sg_config, sg_config_caller, callers, caller_count, caller_fields),
     .help = "Who may call what with which key, known by a certificate (ca and uri) or by bearer tokens (token_sha256). What no row allows is denied. Read again on SIGHUP."},
    {LIST(sg_config, sg_config_witness, witnesses, witness_count, witness_fields), .is_rare = true,
     .help = "Witnesses of our audit log, at most 8 (c2sp.org/tlog-witness): each is sent the log's checkpoints, proves that the log has only grown, and cosigns."},
    {LIST(sg_config, sg_config_witnessed_log, witnessed_logs, witnessed_log_count, witnessed_log_fields), .is_rare = true,
     .help = "The logs that the role witness cosigns. Others it refuses."},
};
/* clang-format on */
const size_t sg_config_list_count = SG_COUNT(sg_config_lists);

struct sg_slice sg_field_word(const struct sg_field *field, size_t i, int *ret_value)
{
    if (field->words == NULL) {
        *ret_value = (int)i + 1; /* zero is unset in every enum of base/algorithm.h */
        return sg_slice_str(field->word((int)i + 1));
    }
    const char *at = field->words;
    *ret_value = (int)i;
    for (; i > 0; i--) {
        at = strchr(at, '|');
        if (at == NULL)
            return (struct sg_slice){0};
        at++;
    }
    return sg_slice_of(at, strcspn(at, "|"));
}
