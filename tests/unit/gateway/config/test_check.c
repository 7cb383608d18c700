#include "gateway/config/config.h"

#include <stdio.h>

#include "tests/support/unit.h"

/* A file that is right, in the parts that a row may replace by its own. Lines are counted from
 * the beginning of what the row replaces. */
static const char tls[] = "tls_certificate_file: a.pem\ntls_key_file: b.pem\n";
static const char cas[] = "client_cas:\n  - {name: main, file: ca.pem}\n";
static const char tokens[] = "tokens:\n"
                             "  - {name: hsm, module: /m, uri: 'pkcs11:token=t', pin_file: p,\n"
                             "     socket: /s, state_dir: /d}\n";
static const char keys[] = "keys:\n"
                           "  - {name: one, token: hsm, id: aa, type: ec-p256}\n"
                           "  - {name: two, token: hsm, id: bb, type: rsa-2048}\n";
static const char callers[] =
    "callers:\n  - {name: portal, ca: main, uri: 'urn:a', methods: [a.B], keys: [one, two]}\n";

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_HASH "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

enum part { OPTIONS, CAS, TOKENS, KEYS, CALLERS };

#define TOKEN(n, s, d)                                                                             \
    "  - {name: " n ", module: /m, uri: 'pkcs11:token=t', pin_file: p, socket: " s                 \
    ", state_dir: " d "}\n"

#define WITNESS_KEY "witness.example/w1+0ad7d35e+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
#define LOG_KEY "sealgate.example/main/1+0428fbea+AYE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"

static const struct {
    const char *name;
    enum part part;
    const char *text;
    size_t line, column; /* 0: accepted */
    const char *says;
} cases[] = {
    {"all as it is", OPTIONS, "", 0, 0, NULL},

    {"an address without a port", OPTIONS, "listen: 127.0.0.1\n", 1, 9, "127.0.0.1:8443"},
    {"an empty address", OPTIONS, "listen: ''\n", 1, 9, "must not be empty"},
    {"a name for an address", OPTIONS, "listen: localhost:1\n", 1, 9, "localhost:1"},
    {"IPv6", OPTIONS, "listen: '[::1]:8443'\n", 0, 0, NULL},
    {"a bad address of the metrics", OPTIONS, "metrics_listen: 'x'\n", 1, 17, "127.0.0.1:8443"},
    {"a second listener", OPTIONS, "listen_bearer: '[::1]:8444'\n", 0, 0, NULL},
    {"a bad address of it", OPTIONS, "listen_bearer: here\n", 1, 16, "127.0.0.1:8443"},
    {"networks of proxies", OPTIONS, "proxy_from: 192.0.2.0/24  10.0.0.1 2001:db8::/32 ::/0\n", 0,
     0, NULL},
    {"one of them with a host", OPTIONS, "proxy_from: 10.0.0.0/8 192.0.2.1/24\n", 1, 13,
     "\"192.0.2.1/24\" is no network"},
    {"of the other listener", OPTIONS, "proxy_from_bearer: all\n", 1, 20, "\"all\" is no network"},
    {"no metrics", OPTIONS, "metrics_listen: ''\n", 0, 0, NULL},
    {"a call smaller than its message", OPTIONS,
     "message_bytes_max: 1048576\ncall_bytes_max: 1048575\n", 2, 17, "a message alone"},
    {"a call as large as its message", OPTIONS,
     "message_bytes_max: 1048576\ncall_bytes_max: 1048576\n", 0, 0, NULL},

    {"a witness", OPTIONS,
     "witnesses:\n  - {name: w, url: 'https://w.example:8445/a/b', key: " WITNESS_KEY
     ", ca_file: ca.pem}\n",
     0, 0, NULL},
    {"a witness without TLS", OPTIONS,
     "witnesses:\n  - {name: w, url: 'http://w.example', key: " WITNESS_KEY ", ca_file: ca.pem}\n",
     2, 20, "is no address as https://"},
    {"a witness by a log's key", OPTIONS,
     "witnesses:\n  - {name: w, url: 'https://w.example', ca_file: ca.pem,\n     key: " LOG_KEY
     "}\n",
     3, 11, "is the key of a log, not of a witness"},
    {"a witness by no key", OPTIONS,
     "witnesses:\n  - {name: w, url: 'https://w.example', ca_file: ca.pem,\n     key: here}\n", 3,
     11, "is no public key"},
    {"a witness with half a certificate", OPTIONS,
     "witnesses:\n  - {name: w, url: 'https://w.example', key: " WITNESS_KEY
     ", ca_file: ca.pem, key_file: k.pem}\n",
     2, 5, "go together"},
    {"two witnesses of one key", OPTIONS,
     "witnesses:\n  - {name: w, url: 'https://a.example', ca_file: ca.pem, key: " WITNESS_KEY
     "}\n  - {name: v, url: 'https://b.example', ca_file: ca.pem, key: " WITNESS_KEY "}\n",
     3, 63, "have one key"},
    {"a log to witness", OPTIONS,
     "witness_listen: 127.0.0.1:8445\nwitnessed_logs:\n  - {name: l, origin: "
     "sealgate.example/main/1, "
     "keys: [" LOG_KEY "]}\n",
     0, 0, NULL},
    {"a bad address to listen on", OPTIONS, "witness_listen: here\n", 1, 17, "127.0.0.1:8443"},
    {"a log by a witness's key", OPTIONS,
     "witnessed_logs:\n  - {name: l, origin: o, keys: [" WITNESS_KEY "]}\n", 2, 32,
     "is the key of a witness, not of a log"},
    {"two logs of one origin", OPTIONS,
     "witnessed_logs:\n  - {name: l, origin: o, keys: [" LOG_KEY
     "]}\n  - {name: m, origin: o, keys: [" LOG_KEY "]}\n",
     3, 23, "have one origin"},

    {"origins", OPTIONS,
     "cors_origins: https://a.example  http://localhost:8080 https://[::1]:8443 https://[::1]\n", 0,
     0, NULL},
    {"every origin", OPTIONS, "cors_origins: '*'\n", 1, 15, "\"*\" is no origin"},
    {"no origin", OPTIONS, "cors_origins: 'null'\n", 1, 15, "\"null\" is no origin"},
    {"an origin with a path", OPTIONS, "cors_origins: https://a.example/\n", 1, 15, "no origin"},
    {"an origin with a usual port", OPTIONS, "cors_origins: https://a:443\n", 1, 15, "no origin"},
    {"an origin without a port", OPTIONS, "cors_origins: 'https://a:'\n", 1, 15, "no origin"},
    {"an origin without a host", OPTIONS, "cors_origins: 'https://:8443'\n", 1, 15, "no origin"},
    {"an origin in capitals", OPTIONS, "cors_origins: https://A.example\n", 1, 15, "no origin"},
    {"an origin without a scheme", OPTIONS, "cors_origins: a.example\n", 1, 15, "no origin"},
    {"one of two", OPTIONS, "cors_origins: https://a.example ftp://b\n", 1, 15, "\"ftp://b\""},
    {"headers", OPTIONS, "cors_headers: x-request-id, traceparent\n", 0, 0, NULL},
    {"a header that is none", OPTIONS, "cors_headers: 'x-request id:'\n", 1, 15, "\"id:\""},

    {"two CAs of one name", CAS,
     "client_cas:\n  - {name: main, file: a}\n  - {name: main, file: b}\n", 3, 12,
     "and \"main\" have one name"},

    {"two tokens of one name", TOKENS,
     "tokens:\n" TOKEN("hsm", "/a", "/b") TOKEN("hsm", "/c", "/d"), 3, 12, "have one name"},
    {"two tokens on one socket", TOKENS,
     "tokens:\n" TOKEN("hsm", "/a", "/b") TOKEN("other", "/a", "/d"), 3, 75, "have one socket"},
    {"two tokens with one state", TOKENS,
     "tokens:\n" TOKEN("hsm", "/a", "/b") TOKEN("other", "/c", "/b"), 3, 90, "have one state_dir"},
    {"a token by its slot", TOKENS,
     "tokens:\n  - {name: hsm, uri: 'pkcs11:slot-id=1', module: /m, pin_file: p, socket: /s, "
     "state_dir: /d}\n",
     2, 22, "\"slot-id\" is refused"},
    {"a token by nothing", TOKENS,
     "tokens:\n  - {name: hsm, uri: 'pkcs11:model=m', module: /m, pin_file: p, socket: /s, "
     "state_dir: /d}\n",
     2, 22, "neither token= nor serial="},
    {"a URI that is no pkcs11 URI", TOKENS,
     "tokens:\n  - {name: hsm, uri: 'token=t', module: /m, pin_file: p, socket: /s, state_dir: "
     "/d}\n",
     2, 22, "pkcs11:"},
    {"a socket with a name of 107 bytes", TOKENS,
     "tokens:\n" TOKEN("hsm",
                       "/12345678901234567890123456789012345678901234567890123456789"
                       "01234567890123456789012345678901234567890123456",
                       "/d"),
     0, 0, NULL},
    {"a socket with a name of 108 bytes", TOKENS,
     "tokens:\n" TOKEN("hsm",
                       "/12345678901234567890123456789012345678901234567890123456789"
                       "012345678901234567890123456789012345678901234567",
                       "/d"),
     2, 73, "a unix socket may have 107"},

    {"a key on a token that is not there", KEYS,
     "keys:\n  - {name: one, token: hms, id: aa, type: ec-p256}\n", 2, 24,
     "there is no token \"hms\": did you mean \"hsm\"?"},
    {"two keys of one name", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256}\n"
     "  - {name: one, token: hsm, id: bb, type: ec-p256}\n",
     3, 12, "have one name"},
    {"two keys with one id", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256}\n"
     "  - {name: two, token: hsm, id: AA, type: ec-p256}\n",
     3, 33, "have one id on one token"},
    {"a copy on a token that is not there", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256, copies: [{token: hmm}]}\n", 2, 69,
     "there is no token \"hmm\""},
    {"a copy on the key's own token", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256, copies: [{token: hsm, id: cc}]}\n",
     2, 69, "are copies on one token"},
    {"a copy without a token", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256, copies: [{id: cc}]}\n", 2, 61,
     "\"token\" is missing here"},
    {"a copy of an origin that is none", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256, origin: stolen}\n", 2, 60,
     "generated"},
    {"copies that are no list", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256, copies: hsm}\n", 2, 60,
     "\"- token: x\""},
    {"a probe key with the id of a key", TOKENS,
     "tokens:\n  - {name: hsm, module: /m, uri: 'pkcs11:token=t', pin_file: p,\n"
     "     socket: /s, state_dir: /d, probe_keys: [{id: aa, type: ec-p256}]}\n",
     5, 33, "have one id on one token"},
    {"a log's certifier with the id of a key", TOKENS,
     "tokens:\n  - {name: hsm, module: /m, uri: 'pkcs11:token=t', pin_file: p,\n"
     "     socket: /s, state_dir: /d, log_certifier: [{id: aa, type: ec-p256}]}\n",
     5, 33, "have one id on one token"},
    {"a log's certifier with the id of a key on another token, which may be the same", TOKENS,
     "tokens:\n" TOKEN(
         "hsm", "/s",
         "/d") "  - {name: b, module: /m, uri: 'pkcs11:token=u', pin_file: p,\n"
               "     socket: /t, state_dir: /e, log_certifier: [{id: aa, type: ec-p256}]}\n",
     4, 48, "a key that certifies must sign nothing else"},
    {"a log's certifier with the id of a probe key", TOKENS,
     "tokens:\n  - {name: hsm, module: /m, uri: 'pkcs11:token=t', pin_file: p,\n"
     "     socket: /s, state_dir: /d, probe_keys: [{id: 01, type: ec-p256}],\n"
     "     log_certifier: [{id: 01, type: ec-p256}]}\n",
     4, 27, "have one id on one token"},
    {"a log's certifier on each of two tokens", TOKENS,
     "tokens:\n  - {name: hsm, module: /m, uri: 'pkcs11:token=t', pin_file: p,\n"
     "     socket: /s, state_dir: /d, log_certifier: [{id: 01, type: ec-p256}]}\n"
     "  - {name: b, module: /m, uri: 'pkcs11:token=u', pin_file: p,\n"
     "     socket: /t, state_dir: /e, log_certifier: [{id: 02, type: ec-p256}]}\n",
     5, 48, "\"hsm\" has one already"},
    {"two log's certifiers on one token", TOKENS,
     "tokens:\n  - {name: hsm, module: /m, uri: 'pkcs11:token=t', pin_file: p,\n"
     "     socket: /s, state_dir: /d, log_certifier: [{id: 01, type: ed25519},\n"
     "     {id: 02, type: ed25519}]}\n",
     3, 48, "may have 1"},
    {"seven probe keys", TOKENS,
     "tokens:\n  - {name: hsm, module: /m, uri: 'pkcs11:token=t', pin_file: p,\n"
     "     socket: /s, state_dir: /d, probe_keys: [{id: 01, type: ed25519},\n"
     "     {id: 02, type: ed25519}, {id: 03, type: ed25519}, {id: 04, type: ed25519},\n"
     "     {id: 05, type: ed25519}, {id: 06, type: ed25519}, {id: 07, type: ed25519}]}\n",
     3, 45, "may have 6"},
    {"an RSA key by ECDSA", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: rsa-2048, schemes: [ecdsa]}\n", 2, 62,
     "does not sign by ecdsa"},
    {"an EC key by PSS too", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256, schemes: [ecdsa, rsa-pss]}\n", 2,
     61, "does not sign by rsa-pss"},
    {"a default that the type cannot do", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ec-p256, default_scheme: rsa-pss}\n", 2, 68,
     "one of the key's schemes"},
    {"a default that is not listed", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: rsa-2048, schemes: [rsa-pss],\n"
     "     default_scheme: rsa-pkcs1}\n",
     3, 22, "one of the key's schemes"},
    {"digests with Ed25519", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ed25519, digests: [sha512]}\n", 2, 61,
     "remove \"digests\""},
    {"an RSA key verified by samples", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: rsa-2048, verify_sampled: true}\n", 2, 69,
     "only ECDSA"},
    {"an Ed25519 key verified by samples", KEYS,
     "keys:\n  - {name: one, token: hsm, id: aa, type: ed25519, verify_sampled: true}\n", 2, 68,
     "only ECDSA"},

    {"a caller of a CA that is not there", CALLERS,
     "callers:\n  - {name: p, ca: mian, uri: 'urn:a', methods: [a.B]}\n", 2, 19,
     "there is no client CA \"mian\": did you mean \"main\"?"},
    {"a caller of a key that is not there", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B], keys: [one, three]}\n", 2, 67,
     "there is no key \"three\""},
    {"a key with its resource name", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B], keys: [keys/one]}\n", 2, 62,
     "there is no key \"keys/one\""},
    {"a key twice", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B], keys: [one, one]}\n", 2, 67,
     "\"one\" twice"},
    {"a method twice", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B, a.C, a.B]}\n", 2, 59,
     "\"a.B\" twice"},
    {"a method that is none", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [Sign]}\n", 2, 49,
     "sealgate.v1.SigningService/Sign"},
    {"no methods", CALLERS, "callers:\n  - {name: p, ca: main, uri: 'urn:a'}\n", 2, 5,
     "\"methods\" is missing"},
    {"no keys", CALLERS, "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B]}\n", 0, 0,
     NULL},
    {"two callers of one name", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B]}\n"
     "  - {name: p, ca: main, uri: 'urn:b', methods: [a.B]}\n",
     3, 12, "have one name"},
    {"two callers of one identity", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B]}\n"
     "  - {name: q, ca: main, uri: 'urn:a', methods: [a.B]}\n",
     3, 30, "and \"q\" have one CA and URI"},
    {"a URI without a scheme", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: portal, methods: [a.B]}\n", 2, 30, "a URI"},
    {"a URI with nothing behind its scheme", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:', methods: [a.B]}\n", 2, 30, "a URI"},
    {"a URI with a space", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a b', methods: [a.B]}\n", 2, 30, "a URI"},
    {"a caller by a token", CALLERS,
     "callers:\n  - {name: p, methods: [a.B], token_sha256: [" HASH "]}\n", 0, 0, NULL},
    {"by two, and a certificate", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B],\n     token_sha256: [" HASH
     ", " OTHER_HASH "],\n"
     "     token_expires: 2028-02-29T23:59:59Z}\n",
     0, 0, NULL},
    {"by nothing", CALLERS, "callers:\n  - {name: p, methods: [a.B]}\n", 2, 5,
     "by what is it known?"},
    {"a CA without a URI", CALLERS,
     "callers:\n  - {name: p, ca: main, methods: [a.B], token_sha256: [" HASH "]}\n", 2, 5,
     "\"uri\" is missing"},
    {"a URI without a CA", CALLERS, "callers:\n  - {name: p, uri: 'urn:a', methods: [a.B]}\n", 2, 5,
     "\"ca\" is missing"},
    {"three tokens", CALLERS,
     "callers:\n  - {name: p, methods: [a.B],\n     token_sha256: [" HASH ", " OTHER_HASH ", " HASH
     "]}\n",
     3, 20, "may have 2"},
    {"a token for its hash", CALLERS,
     "callers:\n  - {name: p, methods: [a.B],\n     token_sha256: [my-secret-token]}\n", 3, 21,
     "not the token itself"},
    {"a hash cut short", CALLERS,
     "callers:\n  - {name: p, methods: [a.B],\n     token_sha256: [0123456789abcdef]}\n", 3, 21,
     "64 digits"},
    {"no list of hashes", CALLERS,
     "callers:\n  - {name: p, methods: [a.B],\n     token_sha256: " HASH "}\n", 3, 20,
     "must be a list"},
    {"two callers of one token", CALLERS,
     "callers:\n  - {name: p, methods: [a.B], token_sha256: [" HASH "]}\n"
     "  - {name: q, methods: [a.B],\n     token_sha256: [" OTHER_HASH ", " HASH "]}\n",
     4, 20, "and \"q\" have one token"},
    {"one token twice", CALLERS,
     "callers:\n  - {name: p, methods: [a.B],\n     token_sha256: [" HASH ", " HASH "]}\n", 3, 20,
     "have one token"},
    {"a day that is none", CALLERS,
     "callers:\n  - {name: p, methods: [a.B], token_sha256: [" HASH
     "],\n     token_expires: 2027-02-29T00:00:00Z}\n",
     3, 21, "a time in UTC"},
    {"a time of another zone", CALLERS,
     "callers:\n  - {name: p, methods: [a.B], token_sha256: [" HASH
     "],\n     token_expires: 2027-01-31T00:00:00+07:00}\n",
     3, 21, "a time in UTC"},
    {"a day without its time", CALLERS,
     "callers:\n  - {name: p, methods: [a.B], token_sha256: [" HASH
     "],\n     token_expires: 2027-01-31}\n",
     3, 21, "a time in UTC"},
    {"a time before time", CALLERS,
     "callers:\n  - {name: p, methods: [a.B], token_sha256: [" HASH
     "],\n     token_expires: 1970-01-01T00:00:00Z}\n",
     3, 21, "after 1970"},
    {"an end of no token", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B],\n"
     "     token_expires: 2027-01-31T00:00:00Z}\n",
     3, 21, "there is no \"token_sha256\""},
    {"a URI in Vietnamese", CALLERS,
     "callers:\n  - {name: p, ca: main, uri: 'urn:chữ', methods: [a.B]}\n", 2, 30, "a URI"},
};

static void add(struct sg_buf *text, enum part part, const char *usual, size_t i, size_t *line)
{
    if (cases[i].part != part) {
        sg_buf_add_str(text, usual);
        return;
    }
    *line = cases[i].line;
    for (size_t n = 0; n < text->len; n++)
        *line += text->ptr[n] == '\n';
    sg_buf_add_str(text, cases[i].text);
}

static void checks_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        const struct sg_config *config = NULL;
        struct sg_buf text, report;
        struct sg_err err = {0};
        char begin[64];
        size_t line = 0;
        sg_buf_init(&text, 1 << 16);
        sg_buf_init(&report, 1 << 16);
        sg_buf_add_str(&text, tls);
        add(&text, OPTIONS, "", i, &line);
        add(&text, CAS, cas, i, &line);
        add(&text, TOKENS, tokens, i, &line);
        add(&text, KEYS, keys, i, &line);
        if (cases[i].part != KEYS) /* they name the keys */
            add(&text, CALLERS, callers, i, &line);

        print_message("  %s\n", cases[i].name);
        enum sg_rc rc = sg_config_parse(sg_buf_slice(&text), "/etc", &report, &config, &err);
        sg_buf_add_u8(&report, 0);
        snprintf(begin, sizeof(begin), "config:%zu:%zu: ", line, cases[i].column);
        if (cases[i].line == 0 && rc != SG_OK)
            fail_msg("%s", (char *)report.ptr);
        if (cases[i].line != 0 &&
            (rc != SG_E_INVALID || strstr((char *)report.ptr, begin) == NULL ||
             strstr((char *)report.ptr, cases[i].says) == NULL))
            fail_msg("%d, want %s: %s", (int)rc, begin, (char *)report.ptr);
        sg_config_free(config);
        sg_buf_done(&text);
        sg_buf_done(&report);
    }
}

/* As many keys as fit, each named by one caller: must not take quadratic time. */
static void thousands_of_keys_are_checked_quickly(void **state)
{
    (void)state;
    enum { COUNT = 9000 };
    const struct sg_config *config = NULL;
    struct sg_buf text;
    struct sg_err err = {0};
    sg_buf_init(&text, 1 << 21);
    sg_buf_add_str(&text, tls);
    sg_buf_add_str(&text, cas);
    sg_buf_add_str(&text, tokens);
    sg_buf_add_str(&text, "keys:\n");
    for (int i = 0; i < COUNT; i++)
        sg_buf_printf(&text, "  - {name: key-%d, token: hsm, id: \"%08x\", type: ec-p256}\n", i, i);
    sg_buf_add_str(&text,
                   "callers:\n  - {name: p, ca: main, uri: 'urn:a', methods: [a.B], keys: [");
    for (int i = 0; i < COUNT; i++)
        sg_buf_printf(&text, "%skey-%d", i == 0 ? "" : ", ", COUNT - 1 - i);
    sg_buf_add_str(&text, "]}\n");
    assert_true(text.len < 1 << 20);
    if (sg_config_parse(sg_buf_slice(&text), "/etc", NULL, &config, &err) != SG_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(config->key_count, COUNT);
    assert_int_equal(config->callers[0].key_count, COUNT);
    assert_string_equal(config->callers[0].keys[0], "key-8999");
    sg_config_free(config);
    sg_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_follow_the_table),
        cmocka_unit_test(thousands_of_keys_are_checked_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
