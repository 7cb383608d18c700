#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/job.h"
#include "tests/fake/pkcs11/fault.h"
#include "tests/integration/hsm/rig.h"

/*
 * How the token process finds and judges keys, asked as a gateway asks it and with its calls into
 * the token counted: many keys must cost a call or two each, and no search.
 */

static const char *const specs[] = {"ec:ec-p256", "rsa:rsa-2048"};
enum { OF_EC, OF_RSA };

static struct rig rig;
static struct fault_control *control;
static int admin;

static int make(void **state)
{
    (void)state;
    rig_make(&rig, specs, SG_COUNT(specs));
    int fd = open(rig.control, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, sizeof(*control)), 0);
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_ptr_not_equal(control, MAP_FAILED);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    munmap(control, sizeof(*control));
    rig_remove(&rig);
    return 0;
}

static void say(int fd, const struct sg_request *request)
{
    struct sg_buf out;
    sg_buf_init(&out, SG_JOB_MESSAGE_MAX);
    sg_request_encode(request, &out);
    assert_int_equal(send(fd, out.ptr, out.len, 0), (ssize_t)out.len);
    sg_buf_done(&out);
}

/* The next answer; several may have come in a packet. */
static struct sg_answer hear(int fd)
{
    static uint8_t packet[SG_JOB_PACKET_MAX];
    static struct sg_slice rest;
    struct sg_answer answer;
    if (rest.len == 0) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 60000), 1);
        ssize_t len = recv(fd, packet, sizeof(packet), 0);
        assert_true(len > 0);
        rest = sg_slice_of(packet, (size_t)len);
    }
    assert_int_equal(sg_answer_decode(sg_job_cut(rest, &rest), &answer, NULL), SG_OK);
    return answer;
}

static int connect_as(enum sg_job_role role)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, rig.socket, strlen(rig.socket));
    for (int i = 0; connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0; i++) {
        assert_true(i < 2000);
        poll(NULL, 0, 10);
    }
    say(fd, &(struct sg_request){.kind = SG_JOB_HELLO, .role = role});
    assert_int_equal(hear(fd).outcome, SG_OUT_OK);
    return fd;
}

static void open_token(size_t synthetic, int base)
{
    char count[24], id[33];
    rig_fault(&rig, "reset", "memo", "1", NULL);
    for (size_t i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", rig.keys[base].id[i]);
    snprintf(count, sizeof(count), "%zu", synthetic);
    if (synthetic > 0)
        rig_fault(&rig, "keys", count, id, NULL);
    rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
    admin = connect_as(SG_JOB_ROLE_ADMIN);
    say(admin, &(struct sg_request){.kind = SG_JOB_PROBE});
    assert_int_equal(hear(admin).outcome, SG_OUT_OK);
}

static int close_token(void **state)
{
    (void)state;
    close(admin);
    if (rig.token > 0)
        rig_token_end(&rig, SIGTERM);
    return 0;
}

static uint64_t calls(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < FAULT_FUNCTION_COUNT; i++)
        sum += control->of[i].calls;
    return sum;
}

static struct sg_request load_of(uint64_t number, uint8_t id[16], enum sg_key_type type)
{
    memcpy(id, FAULT_SYNTHETIC_ID, 8);
    sg_put_be32(id + 8, (uint32_t)(number >> 32));
    sg_put_be32(id + 12, (uint32_t)number);
    return (struct sg_request){
        .kind = SG_JOB_LOAD_KEY, .serial = number, .type = type, .id = sg_slice_of(id, 16)};
}

/* As the gateway does it: so many at once. Returns the time it took. */
static int64_t load_all(size_t count, enum sg_key_type type)
{
    enum { WINDOW = 32 };
    int64_t start_ns = rig_now_ns();
    size_t asked = 0, answered = 0;
    uint8_t id[16];
    while (answered < count) {
        for (; asked < count && asked - answered < WINDOW; asked++) {
            struct sg_request request = load_of(asked, id, type);
            say(admin, &request);
        }
        struct sg_answer answer = hear(admin);
        assert_int_equal(answer.serial, answered);
        if (answer.outcome != SG_OUT_OK)
            fail_msg("%.*s", (int)answer.text.len, (const char *)answer.text.ptr);
        answered++;
    }
    return rig_now_ns() - start_ns;
}

static void many_keys_cost_a_call_or_two_each(void **state)
{
    static const struct {
        const char *name;
        int base;
        enum sg_key_type type;
        uint64_t calls; /* for each key: itself, and its public half where that lies elsewhere */
    } cases[] = {{"RSA-2048", OF_RSA, SG_KEY_RSA_2048, 1}, {"P-256", OF_EC, SG_KEY_EC_P256, 2}};
    enum { COUNT = 3000, SEARCHED = 16 * 12, LISTED = 2 * (COUNT / 512 + 4) };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        open_token(COUNT, cases[i].base);
        uint64_t before = calls();
        int64_t took_ns = load_all(COUNT, cases[i].type);
        print_message("  %s: %d keys in %lld ms, %llu calls\n", cases[i].name, COUNT,
                      (long long)(took_ns / SG_NS_PER_MS), (unsigned long long)(calls() - before));
        assert_in_range(calls() - before, COUNT * cases[i].calls,
                        COUNT * cases[i].calls + SEARCHED + LISTED);

        /* They sign, and without another look. */
        int sign = connect_as(SG_JOB_ROLE_SIGN);
        uint8_t id[16], tbs[32] = {1};
        before = control->of[FAULT_GetAttributeValue].calls;
        struct sg_request request = load_of(COUNT - 1, id, cases[i].type);
        request.kind = SG_JOB_SIGN;
        request.scheme = cases[i].base == OF_RSA ? SG_SCHEME_RSA_PKCS1 : SG_SCHEME_ECDSA;
        request.digest_alg = SG_DIGEST_SHA256;
        request.tbs = sg_slice_of(tbs, sizeof(tbs));
        say(sign, &request);
        assert_int_equal(hear(sign).outcome, SG_OUT_OK);
        assert_int_equal(control->of[FAULT_GetAttributeValue].calls, before);
        close(sign);
        close_token(NULL);
    }
    open_token(0, OF_EC);
}

static void few_keys_are_searched_for(void **state)
{
    (void)state;
    open_token(3000, OF_EC);
    uint64_t before = calls();
    load_all(4, SG_KEY_EC_P256);
    assert_in_range(calls() - before, 4, 4 * 12);
}

/* After a new login the handles are looked at by one call each, and searched for when void. */
static void a_new_login_costs_one_call_a_key(void **state)
{
    (void)state;
    open_token(100, OF_EC);
    load_all(100, SG_KEY_EC_P256);
    int sign = connect_as(SG_JOB_ROLE_SIGN);
    for (int is_restart = 0; is_restart < 2; is_restart++) {
        if (is_restart)
            control->restarts++;
        else
            control->logouts++;
        uint64_t searches = 0;
        for (uint64_t n = 0; n < 8; n++) {
            uint8_t id[16], tbs[32] = {1};
            struct sg_request request = load_of(n, id, SG_KEY_EC_P256);
            request.kind = SG_JOB_SIGN;
            request.scheme = SG_SCHEME_ECDSA;
            request.digest_alg = SG_DIGEST_SHA256;
            request.tbs = sg_slice_of(tbs, sizeof(tbs));
            say(sign, &request);
            struct sg_answer answer = hear(sign);
            if (answer.outcome != SG_OUT_OK)
                fail_msg("%.*s", (int)answer.text.len, (const char *)answer.text.ptr);
            if (n == 0)
                searches = control->of[FAULT_FindObjectsInit].calls;
        }
        searches = control->of[FAULT_FindObjectsInit].calls - searches;
        assert_int_equal(searches, is_restart ? 7 * 2 : 0);
    }
    close(sign);
}

static enum sg_outcome load(const struct sg_request *request, char *text, size_t max)
{
    say(admin, request);
    struct sg_answer answer = hear(admin);
    snprintf(text, max, "%.*s", (int)answer.text.len, (const char *)answer.text.ptr);
    return answer.outcome;
}

static void a_key_that_is_not_what_it_should_be_is_refused_with_the_reason(void **state)
{
    /* By a search, and by the census, which is there after some more of them. */
    (void)state;
    open_token(100, OF_EC);
    for (int round = 0; round < 2; round++) {
        uint8_t id[16];
        char text[200];
        struct sg_request other_type = load_of(1, id, SG_KEY_RSA_2048);
        assert_int_equal(load(&other_type, text, sizeof(text)), SG_OUT_KEY);
        assert_non_null(strstr(text, "not of type rsa-2048"));
        struct sg_request other_curve = load_of(1, id, SG_KEY_EC_P384);
        assert_int_equal(load(&other_curve, text, sizeof(text)), SG_OUT_KEY);
        assert_non_null(strstr(text, "its curve is not"));
        struct sg_request missing = load_of(100, id, SG_KEY_EC_P256);
        assert_int_equal(load(&missing, text, sizeof(text)), SG_OUT_KEY);
        assert_non_null(strstr(text, "no private key"));
        load_all(40, SG_KEY_EC_P256);
    }
    assert_true(control->of[FAULT_GetAttributeValue].calls > 200); /* it was taken */
}

static void a_failure_in_the_middle_of_many_keys_costs_none_of_them(void **state)
{
    static const unsigned long codes[] = {0xb3, 0x82, 0x101, 0x5, 0x6};
    (void)state;
    open_token(600, OF_EC);
    for (size_t i = 0; i < SG_COUNT(codes); i++) {
        load_all(20 + i, SG_KEY_EC_P256);
        control->of[FAULT_GetAttributeValue].error_rv = codes[i];
        control->of[FAULT_GetAttributeValue].error_count = 1;
        control->restarts++; /* makes it begin anew */
        load_all(600, SG_KEY_EC_P256);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, close_token)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_keys_cost_a_call_or_two_each),
        TEST(few_keys_are_searched_for),
        TEST(a_new_login_costs_one_call_a_key),
        TEST(a_key_that_is_not_what_it_should_be_is_refused_with_the_reason),
        TEST(a_failure_in_the_middle_of_many_keys_costs_none_of_them),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
