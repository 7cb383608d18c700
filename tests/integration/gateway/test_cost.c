#include <openssl/x509.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hsm/hsm_priv.h"
#include "methods.h"
#include "sealgate/v1/info.pb-c.h"
#include "sealgate/v1/keys.pb-c.h"
#include "tests/integration/gateway/rig.h"

/*
 * What a call costs that tells of keys and tokens depends on what its caller may see, and not on
 * how many keys there are. Time is not measured: the memory in which the keys lie is taken away,
 * and the pages of it that a call asks for are counted, of some hundreds.
 */
enum { KEYS = 10000, PAGE_SIZE = 10 };

/* A call in memory, without TLS, whose head the server has and whose message it has not. */
struct trip {
    struct rig *rig;
    struct sg_tls_peer peer;
    struct sg_rpc_connection connection;
    struct sg_rpc_server *server;
    struct sg_rpc_client *client;
    struct sg_buf asked, answered;
    unsigned done;
    enum sg_grpc_code code;
};

static void wants_write(void *arg)
{
    (void)arg;
}

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    (void)arg, (void)call, (void)message;
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    struct trip *trip = arg;
    (void)call, (void)outcome;
    trip->done++;
    trip->code = status->code;
}

static void trip_say(struct trip *trip)
{
    sg_buf_clear(&trip->asked);
    assert_int_equal(sg_rpc_client_pull(trip->client, 1 << 16, &trip->asked, NULL), SG_OK);
}

/* With the message: the call is served. */
static enum sg_rc feed(struct trip *trip)
{
    return sg_rpc_server_feed(trip->server, sg_mono_ns(&trip->rig->clock.clock),
                              sg_buf_slice(&trip->asked), NULL);
}

static void trip_begin(struct trip *trip, struct rig *rig, const char *path,
                       const ProtobufCMessage *message)
{
    const int64_t now_ns = sg_mono_ns(&rig->clock.clock);
    const struct sg_rpc_client_events events = {trip, on_message, NULL, on_done};
    struct sg_rpc_client_call *call;
    uint8_t bytes[100], *der = NULL;

    *trip = (struct trip){.rig = rig};
    const int len = i2d_X509(rig->ids[A]->cert, &der);
    assert_true(len > 0);
    assert_int_equal(
        sg_tls_trust_judge(rig->trust, sg_slice_of(der, (size_t)len), &trip->peer, NULL), SG_OK);
    OPENSSL_free(der);
    trip->connection = (struct sg_rpc_connection){.id = 1, .wants_write = wants_write};
    sg_rpc_connection_set_peer(&trip->connection, &trip->peer);
    sg_buf_init(&trip->asked, 1 << 20);
    sg_buf_init(&trip->answered, 1 << 20);
    assert_int_equal(
        sg_rpc_client_new(&sg_rpc_client_limits_default, "x", "x", now_ns, &trip->client, NULL),
        SG_OK);
    assert_int_equal(sg_rpc_server_new(&sg_rpc_limits_default, &sg_methods,
                                       sg_rpc_handler(rig->rpc), &trip->connection, now_ns,
                                       &trip->server, NULL),
                     SG_OK);
    assert_int_equal(
        sg_rpc_client_start(trip->client, path, now_ns, 0, NULL, 0, &events, &call, NULL), SG_OK);
    trip_say(trip);
    assert_int_equal(feed(trip), SG_OK);
    assert_true(protobuf_c_message_get_packed_size(message) <= sizeof(bytes));
    assert_int_equal(sg_rpc_client_send(call,
                                        sg_slice_of(bytes, protobuf_c_message_pack(message, bytes)),
                                        true, NULL),
                     SG_OK);
    trip_say(trip);
}

/* All that there is to be said to the client. */
static void trip_answer(struct trip *trip)
{
    while (sg_rpc_server_wants_pull(trip->server))
        assert_int_equal(sg_rpc_server_pull(trip->server, 1 << 16, &trip->answered, NULL), SG_OK);
    assert_int_equal(sg_rpc_client_feed(trip->client, sg_mono_ns(&trip->rig->clock.clock),
                                        sg_buf_slice(&trip->answered), NULL),
                     SG_OK);
    assert_int_equal(trip->done, 1);
    assert_int_equal(trip->code, SG_GRPC_OK);
}

static void trip_end(struct trip *trip)
{
    sg_rpc_server_free(trip->server);
    sg_rpc_client_free(trip->client);
    sg_buf_done(&trip->asked);
    sg_buf_done(&trip->answered);
}

/* What there is of each key in one piece of memory, whole pages of it. */
static struct region {
    uint8_t *begin;
    size_t len;
} regions[3];
static size_t page;
static volatile size_t looked_at; /* pages, each once */

static void on_look(int signal, siginfo_t *info, void *context)
{
    uint8_t *at = (uint8_t *)info->si_addr;
    (void)signal, (void)context;

    for (size_t i = 0; i < SG_COUNT(regions); i++)
        if (at >= regions[i].begin && at < regions[i].begin + regions[i].len &&
            mprotect(at - (uintptr_t)at % page, page, PROT_READ | PROT_WRITE) == 0) {
            looked_at++;
            return;
        }
    abort();
}

static void set_region(struct region *region, const void *begin, size_t len)
{
    const uintptr_t first = (uintptr_t)begin, last = first + len;

    region->begin = (uint8_t *)(first + (page - first % page) % page);
    region->len = last - last % page - (uintptr_t)region->begin;
    assert_true(region->len >= 16 * page);
}

static void protect(int how)
{
    for (size_t i = 0; i < SG_COUNT(regions); i++)
        assert_int_equal(mprotect(regions[i].begin, regions[i].len, how), 0);
}

/* The pages that are looked at until the call is served. */
static size_t cost_of(struct rig *rig, const char *path, const ProtobufCMessage *message)
{
    const struct sigaction action = {.sa_sigaction = on_look, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    struct trip trip;

    trip_begin(&trip, rig, path, message);
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    looked_at = 0;
    protect(PROT_NONE);
    const enum sg_rc rc = feed(&trip);
    protect(PROT_READ | PROT_WRITE);
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(rc, SG_OK);
    trip_answer(&trip);
    trip_end(&trip);
    return looked_at;
}

/* The caller A may see three keys; else, as the rig has it, all but one. */
static void show_three(struct rig *rig)
{
    static const char *const methods[] = {"sealgate.v1.KeyService", "sealgate.v1.InfoService"};
    static const char *const keys[] = {"alpha", "many-0007", "ron"};
    const struct sg_authz_caller caller = {.name = "row-a",
                                           .ca = "tests",
                                           .uri = "https://tests/a",
                                           .methods = methods,
                                           .method_count = SG_COUNT(methods),
                                           .keys = keys,
                                           .key_count = SG_COUNT(keys)};
    struct sg_authz *old = rig->authz;

    assert_int_equal(sg_authz_new(&caller, 1, &rig->authz, NULL), SG_OK);
    assert_int_equal(sg_rpc_set_authz(rig->rpc, rig->authz, NULL), SG_OK);
    sg_authz_free(old);
}

static size_t set_regions(struct rig *rig)
{
    size_t count, pages = 0;
    const struct sg_slice *names = sg_authz_row_keys(rig->authz, 0, &count);

    page = (size_t)sysconf(_SC_PAGESIZE);
    set_region(&regions[0], sg_keys_at(rig->keys, 0),
               sg_keys_count(rig->keys) * sizeof(struct sg_key));
    set_region(&regions[1], rig->hsm->keys, rig->hsm->key_count * sizeof(rig->hsm->keys[0]));
    set_region(&regions[2], names, count * sizeof(names[0]));
    for (size_t i = 0; i < SG_COUNT(regions); i++)
        pages += regions[i].len / page;
    return pages;
}

static void a_call_looks_at_what_it_shows_and_not_at_every_key(void **state)
{
    const Sealgate__V1__GetServerInfoRequest info = SEALGATE__V1__GET_SERVER_INFO_REQUEST__INIT;
    const Sealgate__V1__GetCapacityRequest capacity = SEALGATE__V1__GET_CAPACITY_REQUEST__INIT;
    Sealgate__V1__ListKeysRequest list = SEALGATE__V1__LIST_KEYS_REQUEST__INIT;
    static const char *const sights[] = {"all keys but one", "three keys"};
    const struct {
        const char *name, *path;
        const ProtobufCMessage *message;
        size_t most; /* pages */
    } calls[] = {
        {"GetServerInfo", GET_SERVER_INFO, &info.base, 2},
        {"GetCapacity", GET_CAPACITY, &capacity.base, 2},
        /* Where the page begins is found in as many looks as the number of keys has bits. */
        {"ListKeys", LIST_KEYS, &list.base, 14 + 2 * PAGE_SIZE},
    };
    struct rig rig;
    (void)state;

    list.page_size = PAGE_SIZE;
    list.page_token = (char *)(uintptr_t) "keys/many-0005";
    rig_start(&rig, &(struct rig_options){.many_keys = KEYS});
    const size_t pages = set_regions(&rig);
    for (size_t sight = 0; sight < SG_COUNT(sights); sight++) {
        if (sight == 1) {
            show_three(&rig);
            regions[2] = regions[1]; /* the list that it was of has gone */
        }
        for (size_t i = 0; i < SG_COUNT(calls); i++) {
            const size_t cost = cost_of(&rig, calls[i].path, calls[i].message);
            print_message("  %s, who sees %s: %zu pages of %zu\n", calls[i].name, sights[sight],
                          cost, pages);
            assert_true(cost <= calls[i].most);
        }
    }
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_looks_at_what_it_shows_and_not_at_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
