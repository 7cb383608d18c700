#include "proto/tls/tls.h"

#include "base/clock.h"
#include "tests/support/pki.h"
#include "tests/support/tls_pair.h"
#include "tests/support/unit.h"

static const char *const h2[] = {"h2"};

/* Made once: keys take time. */
static struct {
    struct sg_pki *pki;
    const struct sg_pki_id *ca, *root, *sub, *stranger, *server, *server_rsa, *server_expired;
    const struct sg_pki_id *client;
    struct sg_tls_trust *trust;
    struct sg_tls_ctx *server_ctx, *client_ctx;
} world;

static struct sg_tls_ctx *server_ctx(const struct sg_pki_id *id, struct sg_tls_trust *trust)
{
    struct sg_err err;
    struct sg_tls_ctx *ctx = NULL;
    const struct sg_tls_server_options options = {
        id->cert_file, id->key_file, trust, h2, 1, SG_TLS_KEY_UPDATES_DEFAULT};
    if (sg_tls_server_ctx_new(&options, &ctx, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return ctx;
}

static struct sg_tls_ctx *client_ctx(const struct sg_pki_id *ca, const struct sg_pki_id *id)
{
    struct sg_err err;
    struct sg_tls_ctx *ctx = NULL;
    const struct sg_tls_client_options options = {.ca_file = ca->cert_file,
                                                  .cert_file = id == NULL ? NULL : id->cert_file,
                                                  .key_file = id == NULL ? NULL : id->key_file,
                                                  .alpn = h2,
                                                  .alpn_count = 1};
    if (sg_tls_client_ctx_new(&options, &ctx, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return ctx;
}

static int64_t now(void)
{
    return sg_wall_ns(&sg_clock_system);
}

static const struct sg_pki_id *make(struct sg_pki_spec spec)
{
    return sg_pki_make(world.pki, &spec);
}

static int set_up(void **state)
{
    (void)state;
    world.pki = sg_pki_new();
    world.ca = make((struct sg_pki_spec){.name = "ca", .is_ca = true});
    world.root = make((struct sg_pki_spec){.name = "root", .is_ca = true});
    world.sub = make((struct sg_pki_spec){.name = "sub", .is_ca = true, .issuer = world.root});
    world.stranger = make((struct sg_pki_spec){.name = "stranger", .is_ca = true});
    world.server = make((struct sg_pki_spec){.name = "server",
                                             .issuer = world.ca,
                                             .san = "DNS:sign.example,IP:127.0.0.1",
                                             .eku = "serverAuth"});
    world.server_rsa = make((struct sg_pki_spec){.name = "server_rsa",
                                                 .issuer = world.sub,
                                                 .san = "DNS:sign.example",
                                                 .eku = "serverAuth",
                                                 .key = SG_PKI_RSA2048});
    world.server_expired = make((struct sg_pki_spec){.name = "server_expired",
                                                     .issuer = world.ca,
                                                     .san = "DNS:sign.example",
                                                     .eku = "serverAuth",
                                                     .from_s = -7200,
                                                     .to_s = -3600});
    world.client = make((struct sg_pki_spec){.name = "client",
                                             .issuer = world.ca,
                                             .san = "URI:https://agency.example/system",
                                             .eku = "clientAuth"});
    struct sg_err err;
    const struct sg_tls_ca cas[] = {{"services", world.ca->cert_file, NULL},
                                    {"root", world.root->cert_file, NULL}};
    if (sg_tls_trust_load(cas, SG_COUNT(cas), false, &world.trust, &err) != SG_OK)
        fail_msg("%s", err.msg);
    world.server_ctx = server_ctx(world.server, world.trust);
    world.client_ctx = client_ctx(world.ca, world.client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sg_tls_ctx_free(world.client_ctx);
    sg_tls_ctx_free(world.server_ctx);
    sg_tls_trust_free(world.trust);
    sg_pki_free(world.pki);
    return 0;
}

static void say(struct sg_tls_conn *conn, const char *text)
{
    assert_int_equal(sg_tls_send(conn, sg_slice_str(text), NULL), SG_OK);
}

static void both_ends_speak_whatever_the_pieces(void **state)
{
    (void)state;
    static const size_t chunks[] = {0, 1, 2, 7, 1000};
    for (size_t i = 0; i < SG_COUNT(chunks); i++) {
        struct sg_tls_pair pair;
        print_message("  %zu bytes at a time\n", chunks[i]);
        sg_tls_pair_init(&pair, world.client_ctx, world.server_ctx, "sign.example", now());
        assert_int_equal(sg_tls_send(pair.client, SG_SLICE("too early"), NULL), SG_E_AGAIN);
        assert_int_equal(sg_tls_alpn(pair.server).len, 0);
        sg_tls_pair_pump(&pair, chunks[i]);
        assert_true(sg_tls_is_ready(pair.client) && sg_tls_is_ready(pair.server));
        assert_string_equal(sg_tls_version(pair.server), "TLSv1.3");
        assert_true(sg_slice_is(sg_tls_alpn(pair.server), "h2"));
        assert_true(sg_slice_is(sg_tls_alpn(pair.client), "h2"));

        say(pair.client, "one ");
        say(pair.client, "two");
        say(pair.server, "three");
        sg_tls_pair_pump(&pair, chunks[i]);
        assert_true(sg_slice_is(sg_buf_slice(&pair.to_server), "one two"));
        assert_true(sg_slice_is(sg_buf_slice(&pair.to_client), "three"));

        assert_false(sg_tls_peer_has_closed(pair.server));
        sg_tls_close(pair.client);
        sg_tls_close(pair.client);
        assert_int_equal(sg_tls_send(pair.client, SG_SLICE("late"), NULL), SG_E_INVALID);
        sg_tls_pair_pump(&pair, chunks[i]);
        assert_true(sg_tls_peer_has_closed(pair.server));
        assert_int_equal(pair.client_rc, SG_OK);
        assert_int_equal(pair.server_rc, SG_OK);
        sg_tls_pair_done(&pair);
    }
}

static void large_data_arrives_whole(void **state)
{
    (void)state;
    enum { LEN = 1000003 };
    uint8_t *bytes = malloc(LEN);
    assert_non_null(bytes);
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)(i * 2654435761U >> 11);
    struct sg_tls_pair pair;
    sg_tls_pair_init(&pair, world.client_ctx, world.server_ctx, "sign.example", now());
    sg_tls_pair_pump(&pair, 0);
    assert_int_equal(sg_tls_send(pair.client, sg_slice_of(bytes, LEN), NULL), SG_OK);
    sg_tls_pair_pump(&pair, 5000);
    assert_int_equal(pair.to_server.len, LEN);
    assert_memory_equal(pair.to_server.ptr, bytes, LEN);
    sg_tls_pair_done(&pair);
    free(bytes);
}

static void a_client_without_a_certificate_is_nobody(void **state)
{
    (void)state;
    struct sg_tls_pair pair;
    struct sg_err err = {0};
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *client = client_ctx(world.ca, NULL);
    sg_tls_pair_init(&pair, client, world.server_ctx, "sign.example", now());
    sg_tls_pair_pump(&pair, 0);
    assert_true(sg_tls_is_ready(pair.server));
    assert_false(sg_tls_peer(pair.server)->is_present);
    assert_int_equal(sg_tls_peer_check(world.trust, sg_tls_peer(pair.server), now(), &err),
                     SG_E_UNAUTHENTICATED);
    assert_int_equal(err.reason, SG_R_CERT_REQUIRED);
    sg_tls_pair_done(&pair);
}

static void a_server_that_does_not_ask_learns_of_nobody(void **state)
{
    (void)state;
    struct sg_tls_pair pair;
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *server = server_ctx(world.server, NULL);
    sg_tls_pair_init(&pair, world.client_ctx, server, "sign.example", now());
    sg_tls_pair_pump(&pair, 0);
    assert_true(sg_tls_is_ready(pair.server));
    assert_false(sg_tls_peer(pair.server)->is_present);
    sg_tls_pair_done(&pair);
}

static void client_certificates_that_do_not_verify_are_not_let_in(void **state)
{
    (void)state;
    const struct {
        const char *name;
        struct sg_pki_spec spec;
    } rows[] = {
        {"of an unknown CA",
         {.name = "unknown", .issuer = world.stranger, .san = "URI:a:b", .eku = "clientAuth"}},
        {"self-signed", {.name = "self", .san = "URI:a:b", .eku = "clientAuth"}},
        {"for servers",
         {.name = "for_server", .issuer = world.ca, .san = "URI:a:b", .eku = "serverAuth"}},
        {"without an extended key usage", {.name = "no_eku", .issuer = world.ca, .san = "URI:a:b"}},
        {"for any purpose, which is not said to be clients",
         {.name = "any_eku", .issuer = world.ca, .san = "URI:a:b", .eku = "anyExtendedKeyUsage"}},
        {"of a CA below a configured one",
         {.name = "below", .issuer = world.sub, .san = "URI:a:b", .eku = "clientAuth"}},
        {"a CA itself",
         {.name = "another_ca", .issuer = world.ca, .is_ca = true, .san = "URI:a:b"}},
        {"with a serial of 33 bytes",
         {.name = "long_serial",
          .issuer = world.ca,
          .san = "URI:a:b",
          .eku = "clientAuth",
          .serial = "7F0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F20"}},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        SG_AUTO(sg_tls_ctx_free)
        struct sg_tls_ctx *client = client_ctx(world.ca, make(rows[i].spec));
        struct sg_tls_pair pair;
        sg_tls_pair_init(&pair, client, world.server_ctx, "sign.example", now());
        sg_tls_pair_pump(&pair, 0);
        assert_int_equal(pair.server_rc, SG_E_UNAUTHENTICATED);
        assert_false(sg_tls_is_ready(pair.server));
        assert_false(sg_tls_peer(pair.server)->is_present);
        assert_int_equal(sg_tls_feed(pair.server, SG_SLICE("x"), &pair.to_server, NULL),
                         SG_E_INVALID);
        sg_tls_pair_done(&pair);
    }
}

static void the_client_checks_whom_it_speaks_to(void **state)
{
    (void)state;
    const struct {
        const char *name;
        const struct sg_pki_id *server, *ca;
        const char *server_name;
        enum sg_rc rc;
    } rows[] = {
        {"its name", world.server, world.ca, "sign.example", SG_OK},
        {"its address", world.server, world.ca, "127.0.0.1", SG_OK},
        {"an RSA key and a chain", world.server_rsa, world.root, "sign.example", SG_OK},
        {"the CA in the middle is enough", world.server_rsa, world.sub, "sign.example", SG_OK},
        {"another name", world.server, world.ca, "sign.example.org", SG_E_UNAUTHENTICATED},
        {"another address", world.server, world.ca, "127.0.0.2", SG_E_UNAUTHENTICATED},
        {"another CA", world.server, world.stranger, "sign.example", SG_E_UNAUTHENTICATED},
        {"expired", world.server_expired, world.ca, "sign.example", SG_E_UNAUTHENTICATED},
        {"a client's certificate", world.client, world.ca, "sign.example", SG_E_UNAUTHENTICATED},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *server = server_ctx(rows[i].server, NULL);
        SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *client = client_ctx(rows[i].ca, NULL);
        struct sg_tls_pair pair;
        sg_tls_pair_init(&pair, client, server, rows[i].server_name, now());
        sg_tls_pair_pump(&pair, 0);
        assert_int_equal(pair.client_rc, rows[i].rc);
        assert_int_equal(sg_tls_is_ready(pair.client), rows[i].rc == SG_OK);
        sg_tls_pair_done(&pair);
    }
}

static void the_clients_time_is_the_one_it_was_given(void **state)
{
    (void)state;
    struct sg_tls_pair pair;
    sg_tls_pair_init(&pair, world.client_ctx, world.server_ctx, "sign.example",
                     now() + 48 * 3600 * SG_NS_PER_S);
    sg_tls_pair_pump(&pair, 0);
    assert_int_equal(pair.client_rc, SG_E_UNAUTHENTICATED);
    sg_tls_pair_done(&pair);
}

static void files_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    char absent[300];
    snprintf(absent, sizeof(absent), "%s.absent", world.server->cert_file);
    const struct sg_pki_id *weak =
        make((struct sg_pki_spec){.name = "weak", .issuer = world.ca, .key = SG_PKI_RSA1024});
    const struct {
        const char *name, *cert_file, *key_file;
    } rows[] = {
        {"no certificate", absent, world.server->key_file},
        {"no key", world.server->cert_file, absent},
        {"another's key", world.server->cert_file, world.client->key_file},
        {"a key as the certificate", world.server->key_file, world.server->key_file},
        {"a certificate as the key", world.server->cert_file, world.server->cert_file},
        {"an RSA key of 1024 bits", weak->cert_file, weak->key_file},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        struct sg_tls_ctx *ctx = NULL;
        struct sg_err err = {0};
        const struct sg_tls_server_options options = {
            rows[i].cert_file, rows[i].key_file, NULL, h2, 1, SG_TLS_KEY_UPDATES_DEFAULT};
        assert_int_equal(sg_tls_server_ctx_new(&options, &ctx, &err), SG_E_INVALID);
        assert_null(ctx);
        assert_non_null(strstr(err.msg, "could not use"));
    }
}

static void a_full_buffer_is_a_limit_and_takes_nothing(void **state)
{
    (void)state;
    struct sg_tls_pair pair;
    struct sg_err err;
    sg_tls_pair_init(&pair, world.client_ctx, world.server_ctx, "sign.example", now());
    sg_tls_pair_pump(&pair, 0);
    sg_tls_out(pair.server)->max = 200;
    uint8_t bytes[136] = {0};
    assert_int_equal(sg_tls_send(pair.server, sg_slice_of(bytes, 137), &err), SG_E_LIMIT);
    assert_int_equal(sg_tls_out(pair.server)->len, 0);
    assert_int_equal(sg_tls_send(pair.server, sg_slice_of(bytes, 136), &err), SG_OK);
    sg_tls_pair_pump(&pair, 0);
    assert_int_equal(pair.to_client.len, 136);

    /* Plain bytes that do not fit end the connection. */
    pair.to_server.max = 100;
    say(pair.client, "a text of more than one hundred bytes, which is one hundred and seven when "
                     "it is counted with its period.");
    sg_tls_pair_pump(&pair, 0);
    assert_int_equal(pair.server_rc, SG_E_LIMIT);
    sg_tls_pair_done(&pair);
}

static void a_handshake_that_does_not_fit_fails(void **state)
{
    (void)state;
    struct sg_tls_pair pair;
    sg_tls_pair_init(&pair, world.client_ctx, world.server_ctx, "sign.example", now());
    sg_tls_out(pair.server)->max = 300;
    sg_tls_pair_pump(&pair, 0);
    assert_int_equal(pair.server_rc, SG_E_LIMIT);
    sg_tls_pair_done(&pair);
}

static void what_is_not_tls_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "\x80\x2e\x01\x03\x02"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /* SSLv2 */
        "\x16\x03\x01\xff\xff\x01"
        "aaaaaaaaaa", /* a record of over 16 KiB */
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_tls_conn *conn;
        struct sg_buf plain;
        sg_buf_init(&plain, 1 << 16);
        assert_int_equal(sg_tls_accept_new(world.server_ctx, 1 << 16, &conn, NULL), SG_OK);
        assert_int_equal(sg_tls_feed(conn, sg_slice_str(rows[i]), &plain, NULL), SG_E_INVALID);
        sg_tls_conn_free(conn);
        sg_buf_done(&plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_speak_whatever_the_pieces),
        cmocka_unit_test(large_data_arrives_whole),
        cmocka_unit_test(a_client_without_a_certificate_is_nobody),
        cmocka_unit_test(a_server_that_does_not_ask_learns_of_nobody),
        cmocka_unit_test(client_certificates_that_do_not_verify_are_not_let_in),
        cmocka_unit_test(the_client_checks_whom_it_speaks_to),
        cmocka_unit_test(the_clients_time_is_the_one_it_was_given),
        cmocka_unit_test(files_that_do_not_fit_are_refused),
        cmocka_unit_test(a_full_buffer_is_a_limit_and_takes_nothing),
        cmocka_unit_test(a_handshake_that_does_not_fit_fails),
        cmocka_unit_test(what_is_not_tls_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
