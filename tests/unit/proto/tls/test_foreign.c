/*
 * What other clients do, and what they may try. They are OpenSSL's own, without our options, over
 * its memory BIOs.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "proto/tls/tls_priv.h"
#include "tests/support/pki.h"
#include "tests/support/unit.h"

/* Not the usual value, to see that it is obeyed. */
enum { KEY_UPDATES_MAX = 5 };

static struct {
    struct sg_pki *pki;
    const struct sg_pki_id *ca, *server, *client;
    struct sg_tls_trust *trust;
    struct sg_tls_ctx *ctx; /* asks for a certificate */
} world;

/* A foreign client and our server. */
struct foreign {
    SSL_CTX *ctx;
    SSL *ssl;
    struct sg_tls_conn *server;
    struct sg_buf plain;
    size_t step;   /* the server is fed so many bytes at a time; 0: all there is */
    enum sg_rc rc; /* of the server's first failure */
    struct sg_err err;
};

static int set_up(void **state)
{
    (void)state;
    static const char *const protocols[] = {"h2"};
    struct sg_err err;
    world.pki = sg_pki_new();
    world.ca = sg_pki_make(world.pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    world.server = sg_pki_make(world.pki, &(struct sg_pki_spec){.name = "server",
                                                                .issuer = world.ca,
                                                                .san = "DNS:sign.example",
                                                                .eku = "serverAuth"});
    world.client = sg_pki_make(world.pki, &(struct sg_pki_spec){.name = "client",
                                                                .issuer = world.ca,
                                                                .san = "URI:urn:example:1",
                                                                .eku = "clientAuth"});
    const struct sg_tls_ca ca = {"services", world.ca->cert_file, NULL};
    if (sg_tls_trust_load(&ca, 1, false, &world.trust, &err) != SG_OK)
        fail_msg("%s", err.msg);
    const struct sg_tls_server_options options = {
        world.server->cert_file, world.server->key_file, world.trust, protocols, 1,
        KEY_UPDATES_MAX};
    if (sg_tls_server_ctx_new(&options, &world.ctx, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sg_tls_ctx_free(world.ctx);
    sg_tls_trust_free(world.trust);
    sg_pki_free(world.pki);
    return 0;
}

static void foreign_init(struct foreign *foreign, int version, const char *suites, const char *alpn)
{
    *foreign = (struct foreign){0};
    foreign->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(foreign->ctx);
    SSL_CTX_set_security_level(foreign->ctx, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(foreign->ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(foreign->ctx, version), 1);
    if (suites != NULL)
        assert_int_equal(SSL_CTX_set_cipher_list(foreign->ctx, suites), 1);
    if (alpn != NULL)
        assert_int_equal(
            SSL_CTX_set_alpn_protos(foreign->ctx, (const uint8_t *)alpn, (unsigned)strlen(alpn)),
            0);
    foreign->ssl = SSL_new(foreign->ctx);
    assert_non_null(foreign->ssl);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    assert_true(in != NULL && out != NULL);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(foreign->ssl, in, out);
    SSL_set_connect_state(foreign->ssl);
    sg_buf_init(&foreign->plain, 1 << 22);
    assert_int_equal(sg_tls_accept_new(world.ctx, 1 << 20, &foreign->server, NULL), SG_OK);
}

static void foreign_done(struct foreign *foreign)
{
    sg_tls_conn_free(foreign->server);
    sg_buf_done(&foreign->plain);
    SSL_free(foreign->ssl);
    SSL_CTX_free(foreign->ctx);
    ERR_clear_error();
}

/* Carries what the client has written to the server, and the answer back. */
static void exchange(struct foreign *foreign)
{
    uint8_t bytes[65536];
    int len = BIO_read(SSL_get_wbio(foreign->ssl), bytes, sizeof(bytes));
    size_t left = len > 0 ? (size_t)len : 0, step = foreign->step == 0 ? left : foreign->step;
    for (const uint8_t *at = bytes; left > 0 && foreign->rc == SG_OK; at += step, left -= step) {
        step = step > left ? left : step;
        foreign->rc =
            sg_tls_feed(foreign->server, sg_slice_of(at, step), &foreign->plain, &foreign->err);
    }
    struct sg_buf *out = sg_tls_out(foreign->server);
    if (out->len > 0)
        assert_int_equal(BIO_write(SSL_get_rbio(foreign->ssl), out->ptr, (int)out->len), out->len);
    sg_buf_clear(out);
}

/* Returns whether both ends think that they have shaken hands. */
static bool shake_hands(struct foreign *foreign)
{
    int done = 0;
    for (int i = 0; i < 6; i++) {
        done = SSL_do_handshake(foreign->ssl);
        exchange(foreign);
    }
    ERR_clear_error();
    return done == 1 && sg_tls_is_ready(foreign->server);
}

static void versions_suites_and_protocols_follow_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int version;
        const char *suites, *alpn;
        bool is_welcome;
    } rows[] = {
        {"TLS 1.3", TLS1_3_VERSION, NULL, "\2h2", true},
        {"TLS 1.2", TLS1_2_VERSION, NULL, "\2h2", true},
        {"TLS 1.2, AES-GCM", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", "\2h2", true},
        {"TLS 1.2, ChaCha20", TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", "\2h2", true},
        {"a protocol more", TLS1_3_VERSION, NULL, "\10http/1.1\2h2", true},
        {"TLS 1.1", TLS1_1_VERSION, "DEFAULT:@SECLEVEL=0", "\2h2", false},
        {"TLS 1.0", TLS1_VERSION, "DEFAULT:@SECLEVEL=0", "\2h2", false},
        {"CBC with SHA-1", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", "\2h2", false},
        {"CBC with SHA-256", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", "\2h2", false},
        {"CCM", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8", "\2h2", false},
        {"no forward secrecy", TLS1_2_VERSION, "AES128-GCM-SHA256", "\2h2", false},
        {"finite fields", TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", "\2h2", false},
        {"no certificate", TLS1_2_VERSION, "AECDH-AES128-SHA:@SECLEVEL=0", "\2h2", false},
        {"HTTP/1.1 only", TLS1_3_VERSION, NULL, "\10http/1.1", false},
        {"no ALPN", TLS1_3_VERSION, NULL, NULL, false},
        {"no ALPN with TLS 1.2", TLS1_2_VERSION, NULL, NULL, false},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct foreign foreign;
        print_message("  %s\n", rows[i].name);
        foreign_init(&foreign, rows[i].version, rows[i].suites, rows[i].alpn);
        assert_int_equal(shake_hands(&foreign), rows[i].is_welcome);
        assert_int_equal(foreign.rc, rows[i].is_welcome ? SG_OK : SG_E_INVALID);
        assert_int_equal(sg_tls_is_ready(foreign.server), rows[i].is_welcome);
        foreign_done(&foreign);
    }
}

static void every_version_knows_the_client_whatever_the_pieces(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2 * SG_COUNT(versions); i++) {
        struct foreign foreign;
        foreign_init(&foreign, versions[i / 2], NULL, "\2h2");
        foreign.step = i % 2;
        assert_int_equal(SSL_use_certificate(foreign.ssl, world.client->cert), 1);
        assert_int_equal(SSL_use_PrivateKey(foreign.ssl, world.client->key), 1);
        assert_true(shake_hands(&foreign));
        assert_string_equal(sg_tls_peer(foreign.server)->ca, "services");
        assert_string_equal(sg_tls_peer(foreign.server)->uri, "urn:example:1");

        char answer[8];
        assert_int_equal(SSL_write(foreign.ssl, "question", 8), 8);
        assert_int_equal(sg_tls_send(foreign.server, SG_SLICE("answer"), NULL), SG_OK);
        exchange(&foreign);
        assert_true(sg_slice_is(sg_buf_slice(&foreign.plain), "question"));
        assert_int_equal(SSL_read(foreign.ssl, answer, sizeof(answer)), 6);
        assert_memory_equal(answer, "answer", 6);
        foreign_done(&foreign);
    }
}

static void nothing_can_be_resumed(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < SG_COUNT(versions); i++) {
        struct foreign foreign;
        char byte;
        foreign_init(&foreign, versions[i], NULL, "\2h2");
        assert_true(shake_hands(&foreign));
        /* Tickets of TLS 1.3 come behind the handshake. */
        assert_int_equal(sg_tls_send(foreign.server, SG_SLICE("x"), NULL), SG_OK);
        exchange(&foreign);
        assert_int_equal(SSL_read(foreign.ssl, &byte, 1), 1);
        SSL_SESSION *session = SSL_get1_session(foreign.ssl);
        assert_int_equal(SSL_SESSION_has_ticket(session), 0);

        struct foreign again;
        foreign_init(&again, versions[i], NULL, "\2h2");
        /* OpenSSL declines to offer a session that it knows to be of no use. */
        if (SSL_SESSION_is_resumable(session))
            assert_int_equal(SSL_set_session(again.ssl, session), 1);
        assert_true(shake_hands(&again));
        assert_int_equal(SSL_session_reused(again.ssl), 0);
        SSL_SESSION_free(session);
        foreign_done(&again);
        foreign_done(&foreign);
    }
}

static void renegotiation_is_refused_and_counted(void **state)
{
    (void)state;
    struct foreign foreign;
    foreign_init(&foreign, TLS1_2_VERSION, NULL, "\2h2");
    assert_true(shake_hands(&foreign));
    assert_int_equal(SSL_renegotiate(foreign.ssl), 1);
    (void)SSL_do_handshake(foreign.ssl); /* sends the ClientHello */

    exchange(&foreign);
    assert_int_equal(foreign.rc, SG_OK);
    /* On the account that key_updates_are_counted() overdraws. */
    assert_int_equal(foreign.server->late_handshakes, 1);
    assert_true(SSL_do_handshake(foreign.ssl) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    foreign_done(&foreign);
}

/* Asks for new keys `count` times, `data` bytes of data before each. */
static void update_keys(struct foreign *foreign, unsigned count, size_t data)
{
    static uint8_t bytes[1 << 20];
    for (unsigned i = 0; i < count && foreign->rc == SG_OK; i++) {
        for (size_t sent = 0; sent < data; sent += 32768) {
            assert_int_equal(SSL_write(foreign->ssl, bytes, 32768), 32768);
            exchange(foreign);
        }
        sg_buf_clear(&foreign->plain);
        assert_int_equal(SSL_key_update(foreign->ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(foreign->ssl), 1);
        exchange(foreign);
    }
}

static void key_updates_are_counted(void **state)
{
    (void)state;
    struct foreign foreign;
    foreign_init(&foreign, TLS1_3_VERSION, NULL, "\2h2");
    assert_true(shake_hands(&foreign));
    update_keys(&foreign, KEY_UPDATES_MAX, 0);
    assert_int_equal(foreign.rc, SG_OK);
    assert_false(sg_tls_has_negotiated_on(foreign.server));
    update_keys(&foreign, 1, 0);
    assert_int_equal(foreign.rc, SG_E_LIMIT);
    assert_true(sg_tls_has_negotiated_on(foreign.server));
    foreign_done(&foreign);
}

static void key_updates_between_much_data_are_welcome(void **state)
{
    (void)state;
    struct foreign foreign;
    foreign_init(&foreign, TLS1_3_VERSION, NULL, "\2h2");
    assert_true(shake_hands(&foreign));
    update_keys(&foreign, 20, 1 << 20);
    assert_int_equal(foreign.rc, SG_OK);
    foreign_done(&foreign);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_suites_and_protocols_follow_the_table),
        cmocka_unit_test(every_version_knows_the_client_whatever_the_pieces),
        cmocka_unit_test(nothing_can_be_resumed),
        cmocka_unit_test(renegotiation_is_refused_and_counted),
        cmocka_unit_test(key_updates_are_counted),
        cmocka_unit_test(key_updates_between_much_data_are_welcome),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
