#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm/job.h"
#include "tests/integration/hsm/rig.h"

/* What the token process makes of those who connect and are no gateway. */

static const char *const specs[] = {"a:ec-p256"};
static struct rig rig;

static int make(void **state)
{
    (void)state;
    rig_make(&rig, specs, SG_COUNT(specs));
    rig_token_start(&rig, &(struct rig_token){0});
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    rig_token_end(&rig, SIGTERM);
    rig_remove(&rig);
    return 0;
}

static int connect_to_token(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    memcpy(address.sun_path, rig.socket, strlen(rig.socket));
    /* It may only just have been started. */
    int rc = -1;
    for (int i = 0; i < 2000 && rc != 0; i++) {
        rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
        if (rc != 0)
            poll(NULL, 0, 10);
    }
    assert_int_equal(rc, 0);
    return fd;
}

/* What comes within so long: a length, 0 for the end, -1 for nothing. */
static ssize_t receive(int fd, int ms)
{
    uint8_t bytes[SG_JOB_MESSAGE_MAX];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, ms) != 1)
        return -1;
    ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
    return len < 0 && errno == ECONNRESET ? 0 : len;
}

static void encode(const struct sg_request *request, struct sg_buf *out)
{
    sg_buf_init(out, 2 * SG_JOB_MESSAGE_MAX);
    sg_request_encode(request, out);
    assert_false(out->failed);
}

static void a_gateway_still_signs(void)
{
    static struct rig_engine engine;
    rig_engine_start(&engine, &rig, NULL);
    rig_await_keys(&engine, 20000);
    assert_int_equal(rig_submit(&engine, 0, 0, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 10000, NULL),
                     SG_OK);
    rig_run(&engine, 1, 10000);
    assert_int_equal(engine.signed_count, 1);
    rig_engine_end(&engine);
}

static void a_greeting_is_answered_and_fits_in_its_room(void **state)
{
    static const enum sg_job_role roles[] = {SG_JOB_ROLE_SIGN, SG_JOB_ROLE_ADMIN};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(roles); i++) {
        struct sg_buf hello;
        encode(&(struct sg_request){.kind = SG_JOB_HELLO, .role = roles[i]}, &hello);
        assert_true(hello.len <= 64);
        int fd = connect_to_token();
        assert_int_equal(send(fd, hello.ptr, hello.len, 0), (ssize_t)hello.len);
        assert_true(receive(fd, 10000) > SG_JOB_HEADER_LEN);
        close(fd);
        sg_buf_done(&hello);
    }
}

/* Before the greeting there are 64 bytes for whatever comes. */
static void what_is_no_greeting_is_hung_up_on(void **state)
{
    static uint8_t large[SG_JOB_MESSAGE_MAX];
    static const struct {
        const char *name;
        size_t more, less; /* bytes behind the greeting, and missing from it */
    } spoilt[] = {{"one byte more", 1, 0},
                  {"more than there is room for", 64, 0},
                  {"a whole message more", SG_JOB_MESSAGE_MAX, 0},
                  {"cut", 0, 1}};
    static const size_t noise[] = {1, 15, 16, 63, 64, 65, 1024, SG_JOB_MESSAGE_MAX};
    (void)state;

    for (size_t i = 0; i < SG_COUNT(spoilt); i++) {
        struct sg_buf hello;
        print_message("  %s\n", spoilt[i].name);
        encode(&(struct sg_request){.kind = SG_JOB_HELLO, .role = SG_JOB_ROLE_SIGN}, &hello);
        sg_buf_add(&hello, large, spoilt[i].more);
        int fd = connect_to_token();
        size_t len = hello.len - spoilt[i].less;
        assert_int_equal(send(fd, hello.ptr, len, 0), (ssize_t)len);
        assert_int_equal(receive(fd, 10000), 0);
        close(fd);
        sg_buf_done(&hello);
    }
    for (size_t i = 0; i < SG_COUNT(noise); i++) {
        int fd = connect_to_token();
        assert_int_equal(send(fd, large, noise[i], 0), (ssize_t)noise[i]);
        assert_int_equal(receive(fd, 10000), 0);
        close(fd);
    }
    a_gateway_still_signs();
}

/* Work without a greeting, which says by which threads it is to be done. */
static void requests_before_the_greeting_are_hung_up_on(void **state)
{
    static const uint8_t digest[32];
    const struct sg_slice id = {rig.keys[0].id, sizeof(rig.keys[0].id)};
    const struct sg_request requests[] = {
        {.kind = SG_JOB_PROBE},
        {.kind = SG_JOB_LOAD_KEY, .type = SG_KEY_EC_P256, .id = id},
        {.kind = SG_JOB_SIGN,
         .id = id,
         .scheme = SG_SCHEME_ECDSA,
         .digest_alg = SG_DIGEST_SHA256,
         .tbs = {digest, sizeof(digest)}},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(requests); i++) {
        struct sg_buf message;
        encode(&requests[i], &message);
        int fd = connect_to_token();
        assert_int_equal(send(fd, message.ptr, message.len, 0), (ssize_t)message.len);
        assert_int_equal(receive(fd, 10000), 0);
        close(fd);
        sg_buf_done(&message);
    }
    a_gateway_still_signs();
}

/* As many as may, and more, say nothing at all: a gateway comes in all the same, when they have
 * been waited for. */
static void those_who_say_nothing_are_hung_up_on_in_the_end(void **state)
{
    enum { SILENT = 20, PLACES = 16 };
    int fds[SILENT];
    int64_t begin_ns = rig_now_ns();
    (void)state;

    for (size_t i = 0; i < SILENT; i++)
        fds[i] = connect_to_token();
    for (size_t i = PLACES; i < SILENT; i++)
        assert_int_equal(receive(fds[i], 2000), 0); /* there is no room for them */
    assert_int_equal(receive(fds[0], 0), -1);
    for (size_t i = 0; i < PLACES; i++)
        assert_int_equal(receive(fds[i], 20000), 0);
    int64_t took_ms = (rig_now_ns() - begin_ns) / SG_NS_PER_MS;
    print_message("  after %lld ms\n", (long long)took_ms);
    assert_true(took_ms >= 4900);
    for (size_t i = 0; i < SILENT; i++)
        close(fds[i]);
    a_gateway_still_signs();
}

/* What a gateway does that may not kill it (sg_link_kill()). Last: the process is gone. */
static void a_process_that_is_asked_to_end_does(void **state)
{
    struct sg_buf hello;
    (void)state;
    int other = connect_to_token();
    int fd = connect_to_token();
    encode(&(struct sg_request){.kind = SG_JOB_HELLO, .role = SG_JOB_ROLE_END}, &hello);
    assert_int_equal(send(fd, hello.ptr, hello.len, 0), (ssize_t)hello.len);
    close(fd); /* also when who asked did not stay for it */
    sg_buf_done(&hello);
    int status = rig_token_wait(&rig, 10000);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 70);
    assert_int_equal(receive(other, 1000), 0);
    close(other);
    rig_token_start(&rig, &(struct rig_token){0});
    a_gateway_still_signs();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greeting_is_answered_and_fits_in_its_room),
        cmocka_unit_test(what_is_no_greeting_is_hung_up_on),
        cmocka_unit_test(requests_before_the_greeting_are_hung_up_on),
        cmocka_unit_test(those_who_say_nothing_are_hung_up_on_in_the_end),
        cmocka_unit_test(a_process_that_is_asked_to_end_does),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
