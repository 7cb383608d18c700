#include "hsm/link.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BATCH = 8,          /* packets to a system call */
    TURN_BATCHES = 8,   /* fetched before other descriptors get a look */
    OUT_MAX = 32 << 20, /* far over what the windows let wait; a bound all the same */
};

/* Buffers of the two system calls. */
struct sg_link_batch {
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    uint8_t bytes[BATCH][SG_JOB_PACKET_MAX];
};

static void on_events(void *arg, uint32_t events);

enum sg_rc sg_link_init(struct sg_link *link, struct sg_loop *loop, const char *path, int64_t uid,
                        enum sg_job_role role, const struct sg_link_events *events,
                        struct sg_err *err)
{
    *link = (struct sg_link){
        .loop = loop, .path = path, .uid = uid, .role = role, .events = *events, .pid_fd = -1};
    link->watch.fd = -1;
    sg_buf_init(&link->out, OUT_MAX);
    link->batch = malloc(sizeof(*link->batch));
    if (link->batch == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a link to a token process");
    return SG_OK;
}

void sg_link_done(struct sg_link *link)
{
    if (link->loop == NULL)
        return;
    sg_link_close(link);
    sg_buf_done(&link->out);
    free(link->batch);
}

void sg_link_close(struct sg_link *link)
{
    if (link->watch.fd >= 0) {
        sg_watch_remove(link->loop, &link->watch);
        close(link->watch.fd);
        link->watch.fd = -1;
    }
    if (link->pid_fd >= 0)
        close(link->pid_fd);
    link->pid_fd = -1;
    link->state = SG_LINK_CLOSED;
    sg_buf_clear(&link->out);
}

static void fail(struct sg_link *link, const struct sg_err *err)
{
    sg_link_close(link);
    link->events.closed(link->events.arg, err);
}

static enum sg_rc check_peer(struct sg_link *link, struct sg_err *err)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    uid_t want = link->uid < 0 ? geteuid() : (uid_t)link->uid;

    if (getsockopt(link->watch.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.uid != want)
        return SG_FAIL(err, SG_E_DENIED, 0,
                       "could not trust the token process at \"%s\": it does not run as uid %u",
                       link->path, (unsigned)want);
    /* A descriptor of the process, because its number may by the time of need be another's. */
    if (peer.pid > 0)
        link->pid_fd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    return SG_OK;
}

static enum sg_rc dial(const struct sg_link *link, int *ret_fd, struct sg_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(link->path);
    if (len >= sizeof(address.sun_path))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not connect to \"%s\": the path is too long",
                       link->path);
    memcpy(address.sun_path, link->path, len);

    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open a socket: %m");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int cause = errno;
        close(fd);
        return sg_fail(err, SG_E_UNAVAILABLE, SG_R_TOKEN_LOST, (unsigned long)cause, SG_WHERE,
                       "could not connect to the token process at \"%s\": %s", link->path,
                       strerror(cause));
    }
    *ret_fd = fd;
    return SG_OK;
}

static enum sg_rc connect_to(struct sg_link *link, struct sg_err *err)
{
    int fd;
    SG_TRY(dial(link, &fd, err));
    link->watch = (struct sg_watch){.fd = fd, .fn = on_events, .arg = link, .events = EPOLLIN};
    return SG_OK;
}

enum sg_rc sg_link_open(struct sg_link *link, struct sg_err *err)
{
    SG_ASSERT(link->state == SG_LINK_CLOSED);
    enum sg_rc rc = connect_to(link, err);
    if (rc == SG_OK)
        rc = check_peer(link, err);
    if (rc == SG_OK)
        rc = sg_watch_add(link->loop, &link->watch, err);
    if (rc != SG_OK) {
        sg_link_close(link);
        return rc;
    }
    link->state = SG_LINK_GREETING;
    sg_link_put(link, &(struct sg_request){.kind = SG_JOB_HELLO, .role = link->role});
    sg_link_flush(link);
    return SG_OK;
}

void sg_link_put(struct sg_link *link, const struct sg_request *request)
{
    SG_ASSERT(link->state != SG_LINK_CLOSED);
    sg_request_encode(request, &link->out);
}

/* How many bytes of the waiting messages, whole ones, make the next packet. */
static size_t packet_len(const struct sg_link *link, struct sg_slice messages)
{
    size_t len = 0;
    for (size_t count = 0; messages.len > 0 && (count == 0 || count < link->group); count++) {
        size_t next = sg_job_cut(messages, &messages).len;
        if (len + next > SG_JOB_PACKET_MAX)
            break;
        len += next;
    }
    return len;
}

/* Up to a batch of packets of the waiting messages. */
static unsigned cut_batch(struct sg_link *link)
{
    struct sg_link_batch *batch = link->batch;
    unsigned count = 0;
    for (size_t at = 0; count < BATCH && at < link->out.len; count++) {
        size_t len = packet_len(link, sg_slice_of(link->out.ptr + at, link->out.len - at));
        batch->parts[count] = (struct iovec){link->out.ptr + at, len};
        batch->headers[count] =
            (struct mmsghdr){.msg_hdr = {.msg_iov = &batch->parts[count], .msg_iovlen = 1}};
        at += len;
    }
    return count;
}

void sg_link_flush(struct sg_link *link)
{
    /* A full buffer or lost memory: closing it retries all of them on the next connection. The
     * shutdown is seen as an event, so that no callback runs from here. */
    if (link->out.failed)
        shutdown(link->watch.fd, SHUT_RDWR);
    while (link->state != SG_LINK_CLOSED && !link->out.failed && link->out.len > 0) {
        unsigned count = cut_batch(link);
        int sent =
            sendmmsg(link->watch.fd, link->batch->headers, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            break; /* full, or over: then the watch tells */
        size_t len = 0;
        for (int i = 0; i < sent; i++)
            len += link->batch->parts[i].iov_len;
        sg_buf_drop(&link->out, len);
    }
    if (link->state != SG_LINK_CLOSED)
        sg_watch_set(link->loop, &link->watch, link->out.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static bool handle(struct sg_link *link, struct sg_slice message, struct sg_err *err)
{
    struct sg_answer answer;
    if (sg_answer_decode(message, &answer, err) != SG_OK)
        return false;
    if (link->state == SG_LINK_GREETING) {
        if (answer.kind != SG_JOB_HELLO || answer.outcome != SG_OUT_OK) {
            SG_IGNORE(SG_FAIL(err, SG_E_INVALID, 0, "could not greet the token process"));
            return false; /* `err` says it */
        }
        link->state = SG_LINK_READY;
        link->events.ready(link->events.arg, &answer);
        return true;
    }
    if (link->events.answer(link->events.arg, &answer))
        return true;
    SG_IGNORE(SG_FAIL(err, SG_E_INVALID, 0,
                      "could not use an answer of the token process: "
                      "nothing was asked that it fits"));
    return false; /* `err` says it */
}

static bool handle_packet(struct sg_link *link, struct sg_slice packet, struct sg_err *err)
{
    do {
        /* No message at all where one cannot be cut: refused as malformed. */
        if (!handle(link, sg_job_cut(packet, &packet), err))
            return false;
    } while (packet.len > 0 && link->state != SG_LINK_CLOSED);
    return true;
}

/* One batch. Returns how many packets there were; -1 when the link is over. */
static int receive(struct sg_link *link, struct sg_err *err)
{
    struct sg_link_batch *batch = link->batch;
    for (size_t i = 0; i < BATCH; i++) {
        batch->parts[i] = (struct iovec){batch->bytes[i], SG_JOB_PACKET_MAX};
        batch->headers[i] =
            (struct mmsghdr){.msg_hdr = {.msg_iov = &batch->parts[i], .msg_iovlen = 1}};
    }
    int count = recvmmsg(link->watch.fd, batch->headers, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (count < 0) {
        SG_IGNORE(sg_fail(err, SG_E_UNAVAILABLE, SG_R_TOKEN_LOST, (unsigned long)errno, SG_WHERE,
                          "lost the token process: %m")); /* told to the owner */
        return -1;
    }
    for (int i = 0; i < count; i++) {
        size_t len = batch->headers[i].msg_len;
        if (len == 0) {
            SG_IGNORE(sg_fail(err, SG_E_UNAVAILABLE, SG_R_TOKEN_LOST, 0, SG_WHERE,
                              "lost the token process: it ended")); /* told to the owner */
            return -1;
        }
        if (batch->headers[i].msg_hdr.msg_flags & MSG_TRUNC) {
            SG_IGNORE(SG_FAIL(err, SG_E_INVALID, 0,
                              "could not use an answer of the token process: too long")); /* told */
            return -1;
        }
        if (!handle_packet(link, sg_slice_of(batch->bytes[i], len), err))
            return -1;
        if (link->state == SG_LINK_CLOSED) /* by the owner, from its callback */
            return 0;
    }
    return count;
}

static void on_events(void *arg, uint32_t events)
{
    struct sg_link *link = arg;
    struct sg_err err = {0};

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        int count = BATCH;
        for (int n = 0; count == BATCH && n < TURN_BATCHES; n++)
            count = receive(link, &err);
        if (count < 0)
            fail(link, &err);
    }
    if ((events & EPOLLOUT) && link->state != SG_LINK_CLOSED)
        sg_link_flush(link);
    link->events.drained(link->events.arg);
}

/* By a connection of its own: those that there are may be read by nobody any more. */
static bool ask_to_end(const struct sg_link *link)
{
    struct sg_buf hello;
    int fd;

    if (dial(link, &fd, NULL) != SG_OK)
        return false;
    sg_buf_init(&hello, SG_JOB_MESSAGE_MAX);
    sg_request_encode(&(struct sg_request){.kind = SG_JOB_HELLO, .role = SG_JOB_ROLE_END}, &hello);
    bool is_sent = !hello.failed && send(fd, hello.ptr, hello.len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                                        (ssize_t)hello.len;
    sg_buf_done(&hello);
    close(fd);
    return is_sent;
}

bool sg_link_kill(struct sg_link *link)
{
    if (link->state == SG_LINK_CLOSED)
        return false;
    bool is_ours = link->uid < 0 || (uid_t)link->uid == geteuid();
    if (is_ours && link->pid_fd >= 0 &&
        syscall(SYS_pidfd_send_signal, link->pid_fd, SIGKILL, NULL, 0) == 0)
        return true;
    return ask_to_end(link);
}
