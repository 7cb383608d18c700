#include "tests/support/fake_token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/unit.h"

static void send_answer(int fd, const struct sg_answer *answer)
{
    /* Allocates nothing: tests make allocations of the engine beside it fail. */
    static uint8_t room[SG_JOB_MESSAGE_MAX];
    struct sg_buf out = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};

    sg_answer_encode(answer, &out);
    assert_false(out.failed);
    /* The engine may have hung up meanwhile. */
    SG_IGNORE(send(fd, out.ptr, out.len, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static struct sg_answer about_itself(const struct sg_request *request)
{
    return (struct sg_answer){.kind = request->kind,
                              .serial = request->serial,
                              .outcome = SG_OUT_OK,
                              .workers = 2,
                              .pin = SG_PIN_ACCEPTED,
                              .label = SG_SLICE("fake"),
                              .model = SG_SLICE("none"),
                              .number = SG_SLICE("1")};
}

static struct sg_answer about_key(const struct fake_token *token, const struct sg_request *request)
{
    struct sg_answer answer = {.kind = request->kind,
                               .serial = request->serial,
                               .outcome = SG_OUT_KEY,
                               .text = SG_SLICE("no such key")};
    for (size_t i = 0; i < token->key_count; i++) {
        if (!sg_slice_eq(token->keys[i].id, request->id))
            continue;
        answer.outcome = SG_OUT_OK;
        answer.text = (struct sg_slice){0};
        answer.type = token->keys[i].type;
        answer.spki = token->keys[i].spki;
    }
    return answer;
}

static void hold(struct fake_token *token, int fd, struct sg_slice message)
{
    assert_true(token->held_count < FAKE_TOKEN_HELD_MAX);
    struct fake_token_held *held = &token->held[token->held_count++];
    held->fd = fd;
    memcpy(held->bytes, message.ptr, message.len);
    assert_int_equal(sg_request_decode(sg_slice_of(held->bytes, message.len), &held->request, NULL),
                     SG_OK);
}

static void serve(struct fake_token *token, int fd, struct sg_slice message)
{
    struct sg_request request;
    struct sg_answer answer;

    assert_int_equal(sg_request_decode(message, &request, NULL), SG_OK);
    switch (request.kind) {
    case SG_JOB_HELLO:
        token->hellos++;
        answer = about_itself(&request);
        if (!token->is_deaf_to_hello)
            send_answer(fd, &answer);
        return;
    case SG_JOB_PROBE:
        token->probes++;
        answer = about_itself(&request);
        if (token->probe_outcome != SG_OUT_UNSET)
            answer = (struct sg_answer){.kind = request.kind,
                                        .serial = request.serial,
                                        .outcome = token->probe_outcome,
                                        .text = SG_SLICE("it is not well")};
        if (!token->is_deaf_to_probe)
            send_answer(fd, &answer);
        return;
    case SG_JOB_LOAD_KEY:
        token->loads++;
        answer = about_key(token, &request);
        if (!token->is_deaf_to_load)
            send_answer(fd, &answer);
        return;
    case SG_JOB_SIGN:
    case SG_JOB_CSR:
        hold(token, fd, message);
        return;
    case SG_JOB_UNSET:
    case SG_JOB_KIND_COUNT:
        break;
    }
    fail_msg("a request of no kind");
}

static void forget(struct fake_token *token, size_t index)
{
    token->held_count--;
    for (size_t i = index; i < token->held_count; i++) {
        struct fake_token_held *held = &token->held[i];
        const struct fake_token_held *next = held + 1;
        memcpy(held->bytes, next->bytes, sizeof(held->bytes));
        held->fd = next->fd;
        size_t len = sg_be32(held->bytes + 4);
        assert_int_equal(sg_request_decode(sg_slice_of(held->bytes, len), &held->request, NULL),
                         SG_OK);
    }
}

static void hang_up(struct fake_token_connection *link)
{
    struct fake_token *token = link->token;
    int fd = link->watch.fd;

    sg_watch_remove(token->loop, &link->watch);
    for (size_t i = token->held_count; i > 0; i--)
        if (token->held[i - 1].fd == fd)
            forget(token, i - 1);
    close(fd);
    link->watch.fd = -1;
    token->connections--;
}

static void on_message(void *arg, uint32_t events)
{
    struct fake_token_connection *link = arg;
    static uint8_t bytes[SG_JOB_PACKET_MAX];
    (void)events;

    ssize_t len = recv(link->watch.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (len < 0 && errno == EAGAIN)
        return;
    if (len <= 0) {
        hang_up(link);
        return;
    }
    struct sg_slice packet = sg_slice_of(bytes, (size_t)len);
    link->token->packets++;
    while (packet.len > 0)
        serve(link->token, link->watch.fd, sg_job_cut(packet, &packet));
}

static void on_connection(void *arg, uint32_t events)
{
    struct fake_token *token = arg;
    size_t i = 0;
    (void)events;

    int fd = accept4(token->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    while (i < FAKE_TOKEN_CONNECTIONS_MAX && token->links[i].watch.fd >= 0)
        i++;
    assert_true(i < FAKE_TOKEN_CONNECTIONS_MAX);
    token->links[i] = (struct fake_token_connection){
        token, {.fd = fd, .events = EPOLLIN, .fn = on_message, .arg = &token->links[i]}};
    assert_int_equal(sg_watch_add(token->loop, &token->links[i].watch, NULL), SG_OK);
    token->connections++;
}

void fake_token_rise(struct fake_token *token)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    unlink(token->path);
    memcpy(address.sun_path, token->path, strlen(token->path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    token->listener =
        (struct sg_watch){.fd = fd, .events = EPOLLIN, .fn = on_connection, .arg = token};
    assert_int_equal(sg_watch_add(token->loop, &token->listener, NULL), SG_OK);
}

void fake_token_start(struct fake_token *token, struct sg_loop *loop)
{
    *token = (struct fake_token){.dir = "/tmp/sg-fake-XXXXXX", .loop = loop};
    for (size_t i = 0; i < FAKE_TOKEN_CONNECTIONS_MAX; i++)
        token->links[i].watch.fd = -1;
    token->held = calloc(FAKE_TOKEN_HELD_MAX, sizeof(*token->held));
    assert_non_null(token->held);
    assert_non_null(mkdtemp(token->dir));
    snprintf(token->path, sizeof(token->path), "%s/socket", token->dir);
    fake_token_rise(token);
}

void fake_token_die(struct fake_token *token)
{
    for (size_t i = 0; i < FAKE_TOKEN_CONNECTIONS_MAX; i++)
        if (token->links[i].watch.fd >= 0)
            hang_up(&token->links[i]);
    if (token->listener.fd < 0)
        return;
    sg_watch_remove(token->loop, &token->listener);
    close(token->listener.fd);
    token->listener.fd = -1;
}

void fake_token_stop(struct fake_token *token)
{
    fake_token_die(token);
    free(token->held);
    unlink(token->path);
    rmdir(token->dir);
}

void fake_token_answer(struct fake_token *token, size_t index, struct sg_answer answer)
{
    assert_true(index < token->held_count);
    answer.kind = token->held[index].request.kind;
    answer.serial = token->held[index].request.serial;
    send_answer(token->held[index].fd, &answer);
    forget(token, index);
}

void fake_token_send(struct fake_token *token, size_t index, struct sg_slice bytes)
{
    assert_true(index < token->held_count);
    assert_int_equal(send(token->held[index].fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL),
                     (ssize_t)bytes.len);
}
