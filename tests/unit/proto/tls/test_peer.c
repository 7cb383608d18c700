#include "proto/tls/peer.h"

#include "base/clock.h"
#include "tests/support/pki.h"
#include "tests/support/tls_pair.h"
#include "tests/support/unit.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

static struct {
    struct sg_pki *pki;
    const struct sg_pki_id *ca, *other, *short_ca, *server;
    const struct sg_pki_id *client, *revoked, *of_short;
    int64_t now_s;
} world;

static int set_up(void **state)
{
    (void)state;
    world.pki = sg_pki_new();
    world.now_s = sg_wall_ns(&sg_clock_system) / SG_NS_PER_S;
    world.ca = sg_pki_make(
        world.pki,
        &(struct sg_pki_spec){.name = "ca", .is_ca = true, .from_s = -10 * DAY, .to_s = 10 * DAY});
    world.other = sg_pki_make(world.pki, &(struct sg_pki_spec){.name = "other", .is_ca = true});
    world.short_ca = sg_pki_make(
        world.pki,
        &(struct sg_pki_spec){.name = "short", .is_ca = true, .from_s = -HOUR, .to_s = HOUR});
    world.server = sg_pki_make(world.pki, &(struct sg_pki_spec){.name = "server",
                                                                .issuer = world.ca,
                                                                .san = "DNS:sign.example",
                                                                .eku = "serverAuth"});
    struct sg_pki_spec client = {.name = "client",
                                 .issuer = world.ca,
                                 .san = "URI:https://agency.example/system,DNS:a.example",
                                 .eku = "clientAuth",
                                 .from_s = -HOUR,
                                 .to_s = 2 * HOUR};
    world.client = sg_pki_make(world.pki, &client);
    client.name = "revoked";
    client.serial = "7F0102030405060708090A0B0C0D0E0F10111213";
    world.revoked = sg_pki_make(world.pki, &client);
    client.name = "of_short";
    client.issuer = world.short_ca;
    client.serial = NULL;
    world.of_short = sg_pki_make(world.pki, &client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sg_pki_free(world.pki);
    return 0;
}

static struct sg_tls_trust *trust(const struct sg_pki_id *ca, const char *name, const char *crl,
                                  bool crl_required)
{
    struct sg_tls_trust *trust = NULL;
    struct sg_err err;
    const struct sg_tls_ca row = {name, ca->cert_file, crl};
    if (sg_tls_trust_load(&row, 1, crl_required, &trust, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return trust;
}

/* What the server knows of `id` after a handshake under `trust`. */
static struct sg_tls_peer meet(const struct sg_pki_id *id, struct sg_tls_trust *trust)
{
    static const char *const h2[] = {"h2"};
    struct sg_err err;
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *server = NULL, *client = NULL;
    const struct sg_tls_server_options server_options = {
        world.server->cert_file, world.server->key_file, trust, h2, 1, SG_TLS_KEY_UPDATES_DEFAULT};
    const struct sg_tls_client_options client_options = {.ca_file = world.ca->cert_file,
                                                         .cert_file = id->cert_file,
                                                         .key_file = id->key_file,
                                                         .alpn = h2,
                                                         .alpn_count = 1};
    if (sg_tls_server_ctx_new(&server_options, &server, &err) != SG_OK ||
        sg_tls_client_ctx_new(&client_options, &client, &err) != SG_OK)
        fail_msg("%s", err.msg);
    struct sg_tls_pair pair;
    sg_tls_pair_init(&pair, client, server, "sign.example", world.now_s * SG_NS_PER_S);
    sg_tls_pair_pump(&pair, 0);
    if (pair.server_rc != SG_OK)
        fail_msg("%s", pair.server_err.msg);
    struct sg_tls_peer peer = *sg_tls_peer(pair.server);
    sg_tls_pair_done(&pair);
    return peer;
}

static enum sg_reason judge(const struct sg_tls_trust *trust, const struct sg_tls_peer *peer,
                            int64_t after_s)
{
    struct sg_err err = {0};
    enum sg_rc rc = sg_tls_peer_check(trust, peer, (world.now_s + after_s) * SG_NS_PER_S, &err);
    assert_int_equal(rc, err.reason == SG_R_NONE ? SG_OK : SG_E_UNAUTHENTICATED);
    return err.reason;
}

static void the_facts_are_those_of_the_certificate(void **state)
{
    (void)state;
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *all = trust(world.ca, "services", NULL, false);
    struct sg_tls_peer peer = meet(world.revoked, all);
    assert_true(peer.is_present);
    assert_string_equal(peer.ca, "services");
    assert_string_equal(peer.uri, "https://agency.example/system");
    assert_int_equal(peer.serial.len, 20);
    assert_int_equal(peer.serial.bytes[0], 0x7F);
    assert_int_equal(peer.serial.bytes[19], 0x13);
    assert_in_range(peer.not_after_s - peer.not_before_s, 3 * HOUR - 1, 3 * HOUR + 1);
    uint8_t fingerprint[32];
    unsigned len;
    assert_int_equal(X509_digest(world.revoked->cert, EVP_sha256(), fingerprint, &len), 1);
    assert_memory_equal(peer.fingerprint, fingerprint, 32);
    assert_int_equal(X509_digest(world.ca->cert, EVP_sha256(), fingerprint, &len), 1);
    assert_memory_equal(peer.ca_fingerprint, fingerprint, 32);
}

static enum sg_rc judge_cert(const struct sg_tls_trust *all, X509 *cert, int more,
                             struct sg_tls_peer *ret)
{
    uint8_t *der = NULL;
    const int len = i2d_X509(cert, &der);
    assert_true(len > 1);
    uint8_t *copy = calloc(1, (size_t)len + 1);
    assert_non_null(copy);
    memcpy(copy, der, (size_t)len);
    enum sg_rc rc =
        sg_tls_trust_judge(all, sg_slice_of(copy, (size_t)len + (size_t)more), ret, NULL);
    free(copy);
    OPENSSL_free(der);
    return rc;
}

static void a_certificate_alone_is_judged_as_in_a_handshake(void **state)
{
    (void)state;
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *all = trust(world.ca, "services", NULL, false);
    struct sg_tls_peer met = meet(world.client, all), peer = {0};
    assert_int_equal(judge_cert(all, world.client->cert, 0, &peer), SG_OK);
    assert_memory_equal(&peer, &met, sizeof(peer));

    struct sg_pki_spec spec = {.name = "nested_ca", .issuer = world.ca, .is_ca = true};
    const struct sg_pki_id *nested = sg_pki_make(world.pki, &spec);
    spec = (struct sg_pki_spec){
        .name = "nested", .issuer = nested, .san = "URI:https://a.example", .eku = "clientAuth"};
    const struct sg_pki_id *of_nested = sg_pki_make(world.pki, &spec);
    spec.issuer = world.other;
    spec.name = "of_other";
    const struct sg_pki_id *of_other = sg_pki_make(world.pki, &spec);
    const struct {
        const char *name;
        X509 *cert;
        int more;
        enum sg_rc rc;
    } refused[] = {
        {"a server's", world.server->cert, 0, SG_E_UNAUTHENTICATED},
        {"the CA itself", world.ca->cert, 0, SG_E_UNAUTHENTICATED},
        {"of a CA below it", of_nested->cert, 0, SG_E_UNAUTHENTICATED},
        {"of another CA", of_other->cert, 0, SG_E_UNAUTHENTICATED},
        {"cut", world.client->cert, -1, SG_E_INVALID},
        {"with something behind it", world.client->cert, 1, SG_E_INVALID},
    };
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        print_message("  %s\n", refused[i].name);
        peer = (struct sg_tls_peer){0};
        assert_int_equal(judge_cert(all, refused[i].cert, refused[i].more, &peer), refused[i].rc);
        assert_false(peer.is_present);
    }
}

static void every_call_is_judged_by_the_time_and_the_crl(void **state)
{
    (void)state;
    const struct sg_pki_id *const revoked[] = {world.revoked};
    struct sg_pki_crl_spec spec = {.issuer = world.ca,
                                   .revoked = revoked,
                                   .revoked_count = 1,
                                   .from_s = -10 * MINUTE,
                                   .to_s = 20 * MINUTE};
    spec.name = "current";
    const char *crl = sg_pki_crl(world.pki, &spec);
    spec.name = "large";
    spec.more = 5000;
    spec.is_der = true;
    const char *large = sg_pki_crl(world.pki, &spec);

    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *with = trust(world.ca, "a", crl, true);
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *many = trust(world.ca, "a", large, true);
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *relaxed = trust(world.ca, "a", crl, false);
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *without = trust(world.ca, "a", NULL, true);
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *none = trust(world.ca, "a", NULL, false);
    const struct sg_tls_peer good = meet(world.client, with), bad = meet(world.revoked, with);
    const struct sg_tls_peer nobody = {0};

    const struct {
        const char *name;
        const struct sg_tls_trust *trust;
        const struct sg_tls_peer *peer;
        int64_t after_s; /* from now */
        enum sg_reason reason;
    } rows[] = {
        {"good", with, &good, 0, SG_R_NONE},
        {"good, DER, many serials", many, &good, 0, SG_R_NONE},
        {"nobody", with, &nobody, 0, SG_R_CERT_REQUIRED},
        {"nobody, no CRL asked for", none, &nobody, 0, SG_R_CERT_REQUIRED},
        {"revoked", with, &bad, 0, SG_R_CLIENT_CERT_REVOKED},
        {"revoked, DER, many serials", many, &bad, 0, SG_R_CLIENT_CERT_REVOKED},
        {"revoked, CRL not required", relaxed, &bad, 0, SG_R_CLIENT_CERT_REVOKED},
        {"revoked by a CRL past its next update", with, &bad, 30 * MINUTE,
         SG_R_CLIENT_CERT_REVOKED},
        {"before the next update", with, &good, 19 * MINUTE, SG_R_NONE},
        {"past the next update", with, &good, 21 * MINUTE, SG_R_CLIENT_CRL_STALE},
        {"past the next update, not required", relaxed, &good, 21 * MINUTE, SG_R_NONE},
        {"before the CRL", with, &good, -11 * MINUTE, SG_R_CLIENT_CRL_STALE},
        {"no CRL", without, &good, 0, SG_R_CLIENT_CRL_STALE},
        {"no CRL, not required", none, &good, 0, SG_R_NONE},
        {"in its last minute", none, &good, 2 * HOUR - MINUTE, SG_R_NONE},
        {"expired", none, &good, 2 * HOUR + MINUTE, SG_R_CLIENT_CERT_EXPIRED},
        {"expired, and the CRL is stale", with, &good, 2 * HOUR + MINUTE, SG_R_CLIENT_CERT_EXPIRED},
        {"in its first minute", none, &good, MINUTE - HOUR, SG_R_NONE},
        {"not valid yet", none, &good, -HOUR - MINUTE, SG_R_CLIENT_CERT_EXPIRED},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        assert_int_equal(judge(rows[i].trust, rows[i].peer, rows[i].after_s), rows[i].reason);
    }
    assert_in_range(sg_tls_trust_crl_next_update(with), world.now_s + 19 * MINUTE,
                    world.now_s + 21 * MINUTE);
    assert_int_equal(sg_tls_trust_crl_next_update(none), INT64_MAX);
}

static void the_last_second_of_a_certificate_is_valid(void **state)
{
    (void)state;
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *none = trust(world.ca, "a", NULL, false);
    const struct sg_tls_peer peer = meet(world.client, none);
    assert_int_equal(judge(none, &peer, peer.not_after_s - world.now_s), SG_R_NONE);
    assert_int_equal(judge(none, &peer, peer.not_after_s + 1 - world.now_s),
                     SG_R_CLIENT_CERT_EXPIRED);
    assert_int_equal(judge(none, &peer, peer.not_before_s - world.now_s), SG_R_NONE);
    assert_int_equal(judge(none, &peer, peer.not_before_s - 1 - world.now_s),
                     SG_R_CLIENT_CERT_EXPIRED);
}

static void a_certificate_outlives_neither_its_ca_nor_a_reload(void **state)
{
    (void)state;
    SG_AUTO(sg_tls_trust_free)
    struct sg_tls_trust *before = trust(world.short_ca, "a", NULL, false);
    const struct sg_tls_peer peer = meet(world.of_short, before);
    assert_int_equal(judge(before, &peer, 0), SG_R_NONE);
    assert_int_equal(judge(before, &peer, HOUR + MINUTE), SG_R_CLIENT_CERT_EXPIRED);

    SG_AUTO(sg_tls_trust_free)
    struct sg_tls_trust *renamed = trust(world.short_ca, "b", NULL, false);
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *replaced = trust(world.other, "a", NULL, false);
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *same = trust(world.short_ca, "a", NULL, false);
    assert_int_equal(judge(renamed, &peer, 0), SG_R_CERT_REQUIRED);
    assert_int_equal(judge(replaced, &peer, 0), SG_R_CERT_REQUIRED);
    assert_int_equal(judge(same, &peer, 0), SG_R_NONE);
}

/* The handshake lets it in: the reason is heard by the caller, not buried in an alert. */
static void an_expired_certificate_may_connect_and_is_refused_at_its_calls(void **state)
{
    (void)state;
    const struct sg_pki_id *old = sg_pki_make(world.pki, &(struct sg_pki_spec){.name = "old",
                                                                               .issuer = world.ca,
                                                                               .san = "URI:a:b",
                                                                               .eku = "clientAuth",
                                                                               .from_s = -2 * DAY,
                                                                               .to_s = -DAY});
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *none = trust(world.ca, "a", NULL, false);
    const struct sg_tls_peer peer = meet(old, none);
    assert_int_equal(judge(none, &peer, 0), SG_R_CLIENT_CERT_EXPIRED);
}

static void there_must_be_one_plain_uri(void **state)
{
    (void)state;
    static char long_uri[4 + 256 + 1] = "URI:";
    static char longest[4 + 255 + 1] = "URI:";
    memset(long_uri + 4, 'a', 256);
    memset(longest + 4, 'a', 255);
    static const struct {
        const char *name, *san;
        enum sg_reason reason;
    } rows[] = {
        {"uri_one", "URI:urn:example:1", SG_R_NONE},
        {"uri_among_others", "DNS:a.example,URI:urn:example:1,email:a@b.example", SG_R_NONE},
        {"uri_longest", longest, SG_R_NONE},
        {"uri_none", NULL, SG_R_CLIENT_CERT_NO_URI},
        {"uri_dns_only", "DNS:a.example", SG_R_CLIENT_CERT_NO_URI},
        {"uri_two", "URI:urn:example:1,URI:urn:example:2", SG_R_CLIENT_CERT_NO_URI},
        {"uri_twice_the_same", "URI:urn:example:1,URI:urn:example:1", SG_R_CLIENT_CERT_NO_URI},
        {"uri_two_and_one_bad", "URI:urn:example:1,URI:a b", SG_R_CLIENT_CERT_NO_URI},
        {"uri_with_a_space", "URI:urn:exam ple", SG_R_CLIENT_CERT_NO_URI},
        {"uri_with_a_newline", "URI:urn:exam\nple", SG_R_CLIENT_CERT_NO_URI},
        {"uri_not_ascii", "URI:urn:k\xc3\xbd", SG_R_CLIENT_CERT_NO_URI},
        {"uri_too_long", long_uri, SG_R_CLIENT_CERT_NO_URI},
    };
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *none = trust(world.ca, "a", NULL, false);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        const struct sg_pki_id *id = sg_pki_make(
            world.pki,
            &(struct sg_pki_spec){
                .name = rows[i].name, .issuer = world.ca, .san = rows[i].san, .eku = "clientAuth"});
        const struct sg_tls_peer peer = meet(id, none);
        assert_true(peer.is_present);
        assert_int_equal(judge(none, &peer, 0), rows[i].reason);
        assert_int_equal(peer.uri[0] == '\0', rows[i].reason != SG_R_NONE);
    }
}

static void files_that_would_not_do_are_refused(void **state)
{
    (void)state;
    struct sg_pki *pki = world.pki;
    const struct sg_pki_id *no_crls = sg_pki_make(
        pki, &(struct sg_pki_spec){.name = "no_crls", .is_ca = true, .ca_usage = "keyCertSign"});
    const struct sg_pki_id *renewed =
        sg_pki_make(pki, &(struct sg_pki_spec){.name = "renewed", .subject = "ca", .is_ca = true});
    const struct sg_pki_id *below =
        sg_pki_make(pki, &(struct sg_pki_spec){.name = "below", .is_ca = true, .issuer = world.ca});
    const struct sg_pki_id *leaf_of_below =
        sg_pki_make(pki, &(struct sg_pki_spec){.name = "leaf_of_below", .issuer = below});
    const char *junk = sg_pki_file(pki, "junk", "-----BEGIN CERTIFICATE-----\nAA==\n", 33);
    const char *good = sg_pki_crl(pki, &(struct sg_pki_crl_spec){.name = "g", .issuer = world.ca});
    const char *others =
        sg_pki_crl(pki, &(struct sg_pki_crl_spec){.name = "o", .issuer = world.other});
    const char *forged = sg_pki_crl(pki, &(struct sg_pki_crl_spec){.name = "f", .issuer = renewed});
    const char *delta = sg_pki_crl(
        pki, &(struct sg_pki_crl_spec){.name = "d", .issuer = world.ca, .is_delta = true});
    const char *endless = sg_pki_crl(
        pki,
        &(struct sg_pki_crl_spec){.name = "e", .issuer = world.ca, .without_next_update = true});
    const char *unsigned_use =
        sg_pki_crl(pki, &(struct sg_pki_crl_spec){.name = "u", .issuer = no_crls});

    const char *const ca = world.ca->cert_file;
    const struct {
        const char *name;
        struct sg_tls_ca cas[2];
        size_t count;
        const char *says; /* NULL: it is loaded */
    } rows[] = {
        {"good", {{"a", ca, good}}, 1, NULL},
        {"two CAs", {{"a", ca, good}, {"b", world.other->cert_file, others}}, 2, NULL},
        {"a CA that another issued", {{"a", below->cert_file, NULL}}, 1, NULL},
        {"no CAs", {{0}}, 0, "there must be"},
        {"no name", {{"", ca, NULL}}, 1, "name has"},
        {"a long name",
         {{"0123456789012345678901234567890123456789012345678901234567890123", ca, NULL}},
         1,
         "name has"},
        {"no such file", {{"a", "/nonexistent", NULL}}, 1, "could not open"},
        {"a folder", {{"a", "/tmp", NULL}}, 1, "could not"},
        {"junk", {{"a", junk, NULL}}, 1, "could not read a certificate"},
        {"a CRL as the CA", {{"a", good, NULL}}, 1, "could not read a certificate"},
        {"not a CA", {{"a", world.client->cert_file, NULL}}, 1, "not of a CA"},
        {"two certificates", {{"a", leaf_of_below->cert_file, NULL}}, 1, "more than one"},
        {"one name twice", {{"a", ca, NULL}, {"a", world.other->cert_file, NULL}}, 2, "are named"},
        {"one CA twice", {{"a", ca, NULL}, {"b", ca, NULL}}, 2, "have one key"},
        {"another CA's CRL", {{"a", ca, others}}, 1, "is not of the client CA"},
        {"a CRL by another key", {{"a", ca, forged}}, 1, "could not verify the CRL"},
        {"a delta", {{"a", ca, delta}}, 1, "a delta"},
        {"a CRL without an end", {{"a", ca, endless}}, 1, "when the next one comes"},
        {"a CA that may not sign CRLs", {{"a", no_crls->cert_file, unsigned_use}}, 1, "may not"},
        {"no such CRL", {{"a", ca, "/nonexistent"}}, 1, "could not open"},
        {"a certificate as the CRL", {{"a", ca, ca}}, 1, "could not read a CRL"},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_tls_trust *loaded = NULL;
        struct sg_err err = {0};
        print_message("  %s\n", rows[i].name);
        enum sg_rc rc = sg_tls_trust_load(rows[i].cas, rows[i].count, true, &loaded, &err);
        if (rows[i].says == NULL) {
            assert_int_equal(rc, SG_OK);
            sg_tls_trust_free(loaded);
            continue;
        }
        assert_int_equal(rc, SG_E_INVALID);
        assert_null(loaded);
        assert_non_null(strstr(err.msg, rows[i].says));
    }
}

static void a_trust_goes_with_its_last_owner(void **state)
{
    (void)state;
    struct sg_tls_trust *first = trust(world.ca, "a", NULL, false);
    struct sg_tls_trust *second = sg_tls_trust_hold(first);
    sg_tls_trust_free(first);
    const struct sg_tls_peer nobody = {0};
    assert_int_equal(judge(second, &nobody, 0), SG_R_CERT_REQUIRED);
    sg_tls_trust_free(second);
    sg_tls_trust_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_facts_are_those_of_the_certificate),
        cmocka_unit_test(a_certificate_alone_is_judged_as_in_a_handshake),
        cmocka_unit_test(every_call_is_judged_by_the_time_and_the_crl),
        cmocka_unit_test(the_last_second_of_a_certificate_is_valid),
        cmocka_unit_test(a_certificate_outlives_neither_its_ca_nor_a_reload),
        cmocka_unit_test(an_expired_certificate_may_connect_and_is_refused_at_its_calls),
        cmocka_unit_test(there_must_be_one_plain_uri),
        cmocka_unit_test(files_that_would_not_do_are_refused),
        cmocka_unit_test(a_trust_goes_with_its_last_owner),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
