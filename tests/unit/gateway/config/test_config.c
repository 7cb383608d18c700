#include "gateway/config/config.h"

#include "gateway/config/bind_priv.h"
#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

#define TLS "tls_certificate_file: a.pem\ntls_key_file: b.pem\n" /* lines 1 and 2 */

static const char whole[] =
    "listen: \"[::1]:443\"\n"
    "tls_certificate_file: tls/server.pem\n"
    "tls_key_file: /etc/server.key\n"
    "metrics_listen: \"\"\n"
    "log_level: debug\n"
    "log_format: json\n"
    "reflection: true\n"
    "message_bytes_max: 20000\n"
    "client_cas:\n"
    "  - name: main\n"
    "    file: ca.pem\n"
    "    crl_file: ca.crl\n"
    "  - {name: other, file: /ca.pem}\n"
    "tokens:\n"
    "  - name: hsm\n"
    "    module: /usr/lib/hsm.so\n"
    "    uri: pkcs11:token=t;serial=1\n"
    "    pin_file: credential:hsm-pin\n"
    "    socket: run/hsm.sock\n"
    "    state_dir: state\n"
    "    workers: 32\n"
    "    hang_ms: 1000\n"
    "    user: token-user\n"
    "    allow_extractable: true\n"
    "  - name: spare\n"
    "    module: /usr/lib/hsm.so\n"
    "    uri: pkcs11:token=u\n"
    "    pin_file: pin\n"
    "    socket: run/spare.sock\n"
    "    state_dir: spare\n"
    "    probe_keys:\n"
    "      - {id: ff01, type: ec-p256}\n"
    "      - {id: ff02, type: rsa-2048}\n"
    "    log_certifier: [{id: fe01, type: ed25519, origin: cloned}]\n"
    "keys:\n"
    "  - {name: rsa, token: hsm, id: 0aFF, type: rsa-2048, default_scheme: rsa-pss,\n"
    "     public_key_file: rsa.pem}\n"
    "  - {name: pss, token: hsm, id: \"02\", type: rsa-4096, schemes: [rsa-pss],\n"
    "     digests: [sha512, sha3-256]}\n"
    "  - {name: ec, token: hsm, id: \"03\", type: ec-p256, verify_sampled: true}\n"
    "  - {name: ed, token: hsm, id: \"04\", type: ed25519, origin: imported, copies: [\n"
    "     {token: spare}]}\n"
    "  - name: three\n"
    "    token: spare\n"
    "    id: \"05\"\n"
    "    type: ed25519\n"
    "    copies:\n"
    "      - token: hsm\n"
    "        id: \"06\"\n"
    "        origin: unwrapped\n"
    "callers:\n"
    "  - name: portal\n"
    "    ca: main\n"
    "    uri: urn:portal\n"
    "    methods: [sealgate.v1.SigningService, sealgate.v1.KeyService/ListKeys]\n"
    "    keys: [rsa, ed]\n"
    "  - {name: watcher, ca: other, uri: \"urn:portal\", methods: [sealgate.v1.InfoService]}\n";

static const struct sg_config *parse(const char *text)
{
    const struct sg_config *config = NULL;
    struct sg_err err = {0};
    if (sg_config_parse(sg_slice_str(text), "/etc/sealgate", NULL, &config, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return config;
}

static void a_whole_file_is_read_as_it_says(void **state)
{
    (void)state;
    SG_AUTO(sg_config_free) const struct sg_config *config = parse(whole);
    assert_string_equal(config->listen, "[::1]:443");
    assert_string_equal(config->tls_certificate_file, "/etc/sealgate/tls/server.pem");
    assert_string_equal(config->tls_key_file, "/etc/server.key");
    assert_string_equal(config->metrics_listen, "");
    assert_int_equal(config->log_level, 0);
    assert_int_equal(config->log_format, 1);
    assert_true(config->reflection);
    assert_int_equal(config->message_bytes_max, 20000);
    assert_int_equal(config->drain_ms, 10000); /* a default */

    assert_int_equal(config->client_ca_count, 2);
    assert_string_equal(config->client_cas[0].crl_file, "/etc/sealgate/ca.crl");
    assert_string_equal(config->client_cas[1].name, "other");
    assert_null(config->client_cas[1].crl_file);
}

static void tokens_are_read_as_the_file_says(void **state)
{
    (void)state;
    SG_AUTO(sg_config_free) const struct sg_config *config = parse(whole);
    assert_int_equal(config->token_count, 2);
    const struct sg_config_token *token = &config->tokens[0];
    assert_string_equal(token->name, "hsm");
    assert_string_equal(token->module, "/usr/lib/hsm.so");
    assert_string_equal(token->uri, "pkcs11:token=t;serial=1");
    assert_string_equal(token->pin_file, "credential:hsm-pin");
    assert_string_equal(token->socket, "/etc/sealgate/run/hsm.sock");
    assert_string_equal(token->state_dir, "/etc/sealgate/state");
    assert_int_equal(token->workers, 32);
    assert_int_equal(token->queue_max, 1024); /* a default */
    assert_int_equal(token->hang_ms, 1000);
    assert_string_equal(token->user, "token-user");
    assert_true(token->allow_extractable);
}

static void keys_are_read_as_the_file_says(void **state)
{
    (void)state;
    SG_AUTO(sg_config_free) const struct sg_config *config = parse(whole);
    const uint32_t sha2 = 1u << SG_DIGEST_SHA256 | 1u << SG_DIGEST_SHA384 | 1u << SG_DIGEST_SHA512;
    assert_int_equal(config->key_count, 5);
    const struct sg_config_key *rsa = &config->keys[0], *pss = rsa + 1, *ec = rsa + 2,
                               *ed = rsa + 3;
    assert_slice_equal(rsa->id, SG_SLICE("\x0a\xff"));
    assert_int_equal(rsa->type, SG_KEY_RSA_2048);
    assert_int_equal(rsa->schemes, 1u << SG_SCHEME_RSA_PKCS1 | 1u << SG_SCHEME_RSA_PSS);
    assert_int_equal(rsa->default_scheme, SG_SCHEME_RSA_PSS);
    assert_int_equal(rsa->digests, sha2);
    assert_string_equal(rsa->public_key_file, "/etc/sealgate/rsa.pem");
    assert_false(rsa->verify_sampled);

    assert_int_equal(pss->schemes, 1u << SG_SCHEME_RSA_PSS);
    assert_int_equal(pss->default_scheme, SG_SCHEME_RSA_PSS); /* not the type's usual one */
    assert_int_equal(pss->digests, 1u << SG_DIGEST_SHA512 | 1u << SG_DIGEST_SHA3_256);
    assert_null(pss->public_key_file);

    assert_int_equal(ec->default_scheme, SG_SCHEME_ECDSA);
    assert_true(ec->verify_sampled);
    assert_int_equal(ed->schemes, 1u << SG_SCHEME_ED25519);
    assert_int_equal(ed->digests, 0);
}

static void copies_and_probe_keys_are_read_as_the_file_says(void **state)
{
    (void)state;
    SG_AUTO(sg_config_free) const struct sg_config *config = parse(whole);
    const struct sg_config_token *spare = &config->tokens[1];
    assert_int_equal(config->tokens[0].probe_key_count, 0);
    assert_int_equal(spare->probe_key_count, 2);
    assert_slice_equal(spare->probe_keys[1].id, SG_SLICE("\xff\x02"));
    assert_int_equal(spare->probe_keys[1].type, SG_KEY_RSA_2048);
    assert_int_equal(config->tokens[0].log_certifier_count, 0);
    assert_int_equal(spare->log_certifier_count, 1);
    assert_slice_equal(spare->log_certifier[0].id, SG_SLICE("\xfe\x01"));
    assert_int_equal(spare->log_certifier[0].type, SG_KEY_ED25519);
    assert_int_equal(spare->log_certifier[0].origin, SG_ORIGIN_CLONED);
    assert_int_equal(spare->probe_keys[0].origin, SG_ORIGIN_GENERATED);

    const struct sg_config_key *rsa = &config->keys[0], *ed = rsa + 3, *three = rsa + 4;
    assert_int_equal(rsa->origin, SG_ORIGIN_GENERATED); /* a default */
    assert_int_equal(rsa->copy_count, 0);
    assert_int_equal(ed->origin, SG_ORIGIN_IMPORTED);
    assert_int_equal(ed->copy_count, 1);
    assert_string_equal(ed->copies[0].token, "spare");
    assert_slice_equal(ed->copies[0].id, ed->id);             /* a default */
    assert_int_equal(ed->copies[0].origin, SG_ORIGIN_CLONED); /* a default */
    assert_string_equal(three->copies[0].token, "hsm");
    assert_slice_equal(three->copies[0].id, SG_SLICE("\x06"));
    assert_int_equal(three->copies[0].origin, SG_ORIGIN_UNWRAPPED);
}

static void callers_are_read_as_the_file_says(void **state)
{
    (void)state;
    SG_AUTO(sg_config_free) const struct sg_config *config = parse(whole);
    assert_int_equal(config->caller_count, 2);
    const struct sg_config_caller *portal = &config->callers[0], *watcher = portal + 1;
    assert_string_equal(portal->name, "portal");
    assert_string_equal(portal->ca, "main");
    assert_string_equal(portal->uri, "urn:portal");
    assert_int_equal(portal->method_count, 2);
    assert_string_equal(portal->methods[1], "sealgate.v1.KeyService/ListKeys");
    assert_int_equal(portal->key_count, 2);
    assert_string_equal(portal->keys[1], "ed");
    assert_int_equal(watcher->key_count, 0);
}

/* options.def is read a second time here, as text: the parser must give what the rows say. */
static void what_is_not_given_has_the_default_of_its_row(void **state)
{
    (void)state;
    SG_AUTO(sg_config_free) const struct sg_config *config = parse(TLS);
#define OPTION_INT(name, min, max, def, when, help) assert_int_equal(config->name, def);
#define OPTION_BOOL(name, def, when, help) assert_int_equal(config->name, def);
#define OPTION_STR(name, def, when, help) assert_string_equal(config->name, def);
#define OPTION_PATH(name, def, when, help) assert_true((def) != NULL || config->name[0] == '/');
#define OPTION_STORE(name, def, when, help) assert_string_equal(config->name, def);
#define OPTION_ENUM(name, values, def, when, help) assert_int_equal(config->name, def);
#include "gateway/config/options.def"
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_STR
#undef OPTION_PATH
#undef OPTION_STORE
#undef OPTION_ENUM
    assert_int_equal(config->token_count + config->key_count + config->caller_count, 0);
    assert_null(config->keys);
}

/* One value of an option or field each, behind TLS, so in line 3. */
static const struct {
    const char *name, *line;
    size_t column; /* 0: accepted */
    const char *says;
} values[] = {
    {"a number", "streams_max: 17", 0, NULL},
    {"the least", "streams_max: 1", 0, NULL},
    {"the most", "streams_max: 4096", 0, NULL},
    {"zero where it may be", "drain_ms: 0", 0, NULL},
    {"less than the least", "streams_max: 0", 14, "from 1 to 4096"},
    {"more than the most", "streams_max: 4097", 14, "from 1 to 4096"},
    {"a number too long for 64 bits", "streams_max: 99999999999999999999", 14, "whole number"},
    {"2^64 + 1", "streams_max: 18446744073709551617", 14, "whole number"},
    {"a negative number", "drain_ms: -1", 11, "whole number"},
    {"a plus", "drain_ms: +1", 11, "whole number"},
    {"a fraction", "drain_ms: 1.5", 11, "whole number"},
    {"an exponent", "drain_ms: 1e3", 11, "whole number"},
    {"a leading zero", "drain_ms: 010", 11, "whole number"},
    {"hexadecimal", "drain_ms: 0x10", 11, "whole number"},
    {"an underscore", "drain_ms: 1_000", 11, "whole number"},
    {"a unit", "drain_ms: 10s", 11, "whole number"},
    {"a number in quotes", "drain_ms: \"10\"", 11, "whole number"},
    {"a word", "drain_ms: many", 11, "not \"many\""},
    {"nothing", "drain_ms:", 10, "has no value"},
    {"null", "drain_ms: null", 11, "has no value"},
    {"a tilde", "drain_ms: ~", 11, "has no value"},
    {"a list", "drain_ms: [1]", 11, "not a list"},
    {"a map", "drain_ms: {a: 1}", 11, "not a map"},
    {"true", "reflection: true", 0, NULL},
    {"false", "reflection: false", 0, NULL},
    {"yes", "reflection: yes", 13, "true or false"},
    {"on", "reflection: on", 13, "true or false"},
    {"True", "reflection: True", 13, "true or false"},
    {"one", "reflection: 1", 13, "true or false"},
    {"true in quotes", "reflection: \"true\"", 13, "true or false"},
    {"a choice", "log_level: error", 0, NULL},
    {"a folder for the store", "store: sqlite:data", 0, NULL},
    {"a server for the store", "store: postgresql://u@h/db?sslmode=verify-full&passfile=/x", 0,
     NULL},
    {"a store in no folder", "store: \"sqlite:\"", 8, "sqlite:FOLDER"},
    {"a store of another kind", "store: mysql://h/db", 8, "sqlite:FOLDER"},
    {"a store without a kind", "store: /var/lib", 8, "sqlite:FOLDER"},
    {"a password in an address", "store: postgresql://u:secret@h/db", 8,
     "has a password in it: name"},
    {"a password behind it", "store: postgresql://h/db?password=secret", 8, "has a password in it"},
    {"a choice in capitals", "log_level: Error", 12, "debug, info, warning, error"},
    {"a part of a choice", "log_level: warn", 12, "debug, info, warning, error"},
    {"two choices", "log_level: debug|info", 12, "debug, info, warning, error"},
    {"an empty choice", "log_level: \"\"", 12, "debug, info, warning, error"},
    {"an empty text where it may be", "metrics_listen: \"\"", 0, NULL},
    {"an option nobody knows", "colour: red", 1, "there is no option \"colour\""},
    {"a mistyped option", "lisen: 127.0.0.1:1", 1, "did you mean \"listen\"?"},
    {"two letters swapped", "tokesn: []", 1, "did you mean \"tokens\"?"},
    {"the beginning of an option", "message: 1", 1, "did you mean \"message_bytes_max\"?"},
    {"an option in capitals", "Listen: 127.0.0.1:1", 1, "did you mean \"listen\"?"},
    {"a list that is none", "tokens: {name: hsm}", 9, "must be a list"},
    {"a list of words", "tokens: [hsm]", 10, "must have fields"},
    {"an empty list", "tokens: []", 0, NULL},
};

static void one_value(const char *text, size_t line, size_t column, const char *says)
{
    const struct sg_config *config = NULL;
    struct sg_err err = {0};
    struct sg_buf report;
    sg_buf_init(&report, 1 << 16);
    enum sg_rc rc = sg_config_parse(sg_slice_str(text), "/etc", &report, &config, &err);
    sg_buf_add_u8(&report, 0);
    if (column == 0) {
        if (rc != SG_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(report.len, 1);
    } else {
        char begin[64];
        snprintf(begin, sizeof(begin), "config:%zu:%zu: ", line, column);
        if (rc != SG_E_INVALID || strncmp((char *)report.ptr, begin, strlen(begin)) != 0 ||
            strstr((char *)report.ptr, says) == NULL)
            fail_msg("%d: %s", (int)rc, (char *)report.ptr);
        assert_null(config);
        snprintf(begin, sizeof(begin), "line %zu, column %zu: ", line, column);
        assert_memory_equal(err.msg, begin, strlen(begin));
    }
    sg_buf_done(&report);
    sg_config_free(config);
}

static void values_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(values); i++) {
        char text[512];
        print_message("  %s\n", values[i].name);
        snprintf(text, sizeof(text), TLS "%s\n", values[i].line);
        one_value(text, 3, values[i].column, values[i].says);
    }
}

/* One line of a token each, in line 11 behind the others. */
#define TOKEN                                                                                      \
    TLS "tokens:\n  - name: hsm\n    module: /m\n    uri: \"pkcs11:token=t\"\n"                    \
        "    socket: /s\n    state_dir: /d\n"
#define KEY TOKEN "    pin_file: p\nkeys:\n  - name: k\n    token: hsm\n"

static const struct {
    const char *name, *head, *line;
    size_t row, column;
    const char *says;
} fields[] = {
    {"a PIN file", TOKEN, "    pin_file: p", 0, 0, NULL},
    {"a credential", TOKEN, "    pin_file: credential:a.b_c-1", 0, 0, NULL},
    {"a credential without a name", TOKEN, "    pin_file: \"credential:\"", 9, 15, "credential"},
    {"a credential that climbs", TOKEN, "    pin_file: credential:../x", 9, 15, "credential"},
    {"a PIN itself", TOKEN, "    pin_file: p\n    pin: \"1234\"", 10, 5,
     "did you mean \"pin_file\"?"},
    {"a missing field", TOKEN, "    workers: 1", 4, 5, "\"pin_file\" is missing"},
    {"a key", KEY, "    id: \"00\"\n    type: ed25519", 0, 0, NULL},
    {"an id in capitals", KEY, "    type: ed25519\n    id: FF", 0, 0, NULL},
    {"an empty id", KEY, "    type: ed25519\n    id: \"\"", 14, 9, "hexadecimal"},
    {"half a byte", KEY, "    type: ed25519\n    id: abc", 14, 9, "hexadecimal"},
    {"an id with 0x", KEY, "    type: ed25519\n    id: 0xab", 14, 9, "hexadecimal"},
    {"an id with colons", KEY, "    type: ed25519\n    id: \"aa:bb\"", 14, 9, "hexadecimal"},
    {"an id of 64 bytes", KEY,
     "    type: ed25519\n    id: "
     "\"0011223344556677889900112233445566778899001122334455667788990011"
     "0011223344556677889900112233445566778899001122334455667788990011\"",
     0, 0, NULL},
    {"an id of 65 bytes", KEY,
     "    type: ed25519\n    id: "
     "\"0011223344556677889900112233445566778899001122334455667788990011"
     "001122334455667788990011223344556677889900112233445566778899001100\"",
     14, 9, "1 to 64 bytes"},
    {"a type nobody knows", KEY, "    id: aa\n    type: rsa-1024", 14, 11, "rsa-2048, rsa-3072"},
    {"the word for no type", KEY, "    id: aa\n    type: unset", 14, 11, "ed25519"},
    {"SHA-1", KEY, "    id: aa\n    type: ec-p256\n    digests: [sha256, sha1]", 15, 23,
     "sha256, sha384"},
    {"a digest twice", KEY, "    id: aa\n    type: ec-p256\n    digests: [sha256, sha256]", 15, 23,
     "twice"},
    {"digests as a word", KEY, "    id: aa\n    type: ec-p256\n    digests: sha256", 15, 14,
     "must be a list"},
    {"no digests", KEY, "    id: aa\n    type: ec-p256\n    digests: []", 15, 14,
     "remove the line"},
    {"a list in digests", KEY, "    id: aa\n    type: ec-p256\n    digests: [[sha256]]", 15, 15,
     "must be one value"},
};

static void fields_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(fields); i++) {
        char text[1024];
        print_message("  %s\n", fields[i].name);
        snprintf(text, sizeof(text), "%s%s\n", fields[i].head, fields[i].line);
        one_value(text, fields[i].row, fields[i].column, fields[i].says);
    }
}

static const struct {
    const char *name;
    bool is_good;
} names[] = {
    {"a", true},
    {"a1", true},
    {"a-b", true},
    {"a--b", true},
    {"tax-2026", true},
    {"", false},
    {"A", false},
    {"aB", false},
    {"1a", false},
    {"-a", false},
    {"a-", false},
    {"a_b", false},
    {"a.b", false},
    {"a b", false},
    {"a/b", false},
    {"keys/a", false},
    {"\xc4\x91", false},
    {"a*", false},
    {"a23456789012345678901234567890123456789012345678901234567890123", true},
    {"a234567890123456789012345678901234567890123456789012345678901234", false},
};

static void names_are_lower_case_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(names); i++) {
        char text[512];
        print_message("  \"%s\"\n", names[i].name);
        snprintf(text, sizeof(text), TLS "client_cas:\n  - {file: x, name: \"%s\"}\n",
                 names[i].name);
        one_value(text, 4, names[i].is_good ? 0 : 21, "lower-case letters");
    }
}

static void a_required_option_that_is_missing_is_named(void **state)
{
    (void)state;
    one_value("tls_certificate_file: a.pem\n", 1, 1, "\"tls_key_file\" is missing");
    one_value("", 1, 1, "\"tls_certificate_file\" is missing");
}

static void many_faults_are_told_at_once_but_not_too_many(void **state)
{
    (void)state;
    struct sg_buf text, report;
    struct sg_err err = {0};
    const struct sg_config *config = NULL;
    sg_buf_init(&text, 1 << 16);
    sg_buf_init(&report, 1 << 16);
    sg_buf_add_str(&text, TLS);
    for (int i = 0; i < 30; i++)
        sg_buf_printf(&text, "wrong%d: x\n", i);
    assert_int_equal(sg_config_parse(sg_buf_slice(&text), "/etc", &report, &config, &err),
                     SG_E_INVALID);
    size_t lines = 0;
    for (size_t i = 0; i < report.len; i++)
        lines += report.ptr[i] == '\n';
    assert_int_equal(lines, SG_CONFIG_REPORT_MAX + 1);
    sg_buf_add_u8(&report, 0);
    assert_non_null(strstr((char *)report.ptr, "config:3:1: "));
    assert_non_null(strstr((char *)report.ptr, "config:22:1: "));
    assert_null(strstr((char *)report.ptr, "config:23:1: "));
    assert_non_null(strstr((char *)report.ptr, "and 10 more"));
    assert_non_null(strstr(err.msg, "line 3, column 1"));
    sg_buf_done(&text);
    sg_buf_done(&report);
}

static void a_path_too_long_is_refused(void **state)
{
    (void)state;
    struct sg_buf text;
    sg_buf_init(&text, 1 << 16);
    sg_buf_add_str(&text, "tls_key_file: b\ntls_certificate_file: ");
    for (int i = 0; i < 4092; i++)
        sg_buf_add_u8(&text, 'x');
    sg_buf_add(&text, "\n\0", 2);
    one_value((char *)text.ptr, 2, 23, "too long");
    sg_buf_done(&text);
}

/* Whatever is left of a file is read, or refused at a place in it. */
static void a_file_cut_short_is_read_or_refused_at_every_length(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(whole); len++) {
        uint8_t *exact = malloc(len == 0 ? 1 : len);
        assert_non_null(exact);
        memcpy(exact, whole, len);
        const struct sg_config *config = NULL;
        struct sg_err err = {0};
        enum sg_rc rc = sg_config_parse(sg_slice_of(exact, len), "/e", NULL, &config, &err);
        free(exact);
        assert_true(rc == SG_OK || rc == SG_E_INVALID);
        assert_int_equal(rc == SG_OK, config != NULL);
        if (rc != SG_OK)
            assert_memory_equal(err.msg, "line ", 5);
        sg_config_free(config);
    }
}

static bool parse_whole(void *arg)
{
    (void)arg;
    const struct sg_config *config = NULL;
    struct sg_err err = {0};
    enum sg_rc rc = sg_config_parse(sg_slice_str(whole), "/etc", NULL, &config, &err);
    sg_config_free(config);
    return rc == SG_OK;
}

static void memory_that_runs_out_anywhere_is_an_error(void **state)
{
    (void)state;
    assert_true(sg_failmalloc_each(parse_whole, NULL) >= 3);
}

static const struct {
    const char *word, *near;
} suggestions[] = {
    {"listen", "listen"},
    {"lsiten", "listen"},
    {"listn", "listen"},
    {"listenn", "listen"},
    {"lis", "listen"},
    {"log", "log_level"},
    {"logformat", "log_format"},
    {"key", "keys"},
    {"colour", NULL},
    {"x", NULL},
    {"", NULL},
    {"an-option-name-longer-than-any-that-there-is-here", NULL},
};

static void a_near_word_is_suggested_and_a_far_one_is_not(void **state)
{
    (void)state;
    static const char *const known[] = {"listen", "log_level", "log_format", "keys"};
    for (size_t i = 0; i < SG_COUNT(suggestions); i++) {
        const char *near = sg_config_suggest(suggestions[i].word, known, SG_COUNT(known));
        print_message("  %s\n", suggestions[i].word);
        if (suggestions[i].near == NULL)
            assert_null(near);
        else
            assert_string_equal(near, suggestions[i].near);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_read_as_it_says),
        cmocka_unit_test(tokens_are_read_as_the_file_says),
        cmocka_unit_test(keys_are_read_as_the_file_says),
        cmocka_unit_test(copies_and_probe_keys_are_read_as_the_file_says),
        cmocka_unit_test(callers_are_read_as_the_file_says),
        cmocka_unit_test(what_is_not_given_has_the_default_of_its_row),
        cmocka_unit_test(values_follow_the_table),
        cmocka_unit_test(fields_follow_the_table),
        cmocka_unit_test(names_are_lower_case_ids),
        cmocka_unit_test(a_required_option_that_is_missing_is_named),
        cmocka_unit_test(many_faults_are_told_at_once_but_not_too_many),
        cmocka_unit_test(a_path_too_long_is_refused),
        cmocka_unit_test(a_file_cut_short_is_read_or_refused_at_every_length),
        cmocka_unit_test(memory_that_runs_out_anywhere_is_an_error),
        cmocka_unit_test(a_near_word_is_suggested_and_a_far_one_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
