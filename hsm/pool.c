#include "hsm/pool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/job.h"

enum {
    CONNS_MAX = 16,      /* gateways, and those that are just being replaced */
    TURN_PACKETS = 16,   /* taken from one connection before others get a look */
    SEND_WAIT_MS = 1000, /* a gateway that reads no answers for so long is given up */
};
#define STOP_DATA UINT64_MAX

struct conn {
    int fd;
    uint32_t generation; /* tells an event of an earlier connection in this place */
    unsigned users;      /* threads that are at it, and one for being open; 0: place is free */
    bool is_open;
};

struct thread {
    struct sg_pool *pool;
    size_t number;
    pthread_t id;
    int epoll_fd;
    uint8_t *packet;
    struct sg_buf answers; /* those that are not sent, one behind the other */
    int64_t held_since_ns;
    int64_t took_ns; /* to make the last answer of this turn; 0: none yet */
    int pause_ms;    /* before the next packet */
};

struct sg_pool {
    /* Set at start, never written again. */
    struct sg_pool_config config;
    int stop_fd;
    size_t started;
    struct thread *threads;

    pthread_mutex_t lock;
    struct conn conns[CONNS_MAX];
    /* With the lock: those that are not to serve wait for it. */
    pthread_cond_t stirred;
    uint64_t stirs;
    bool is_stopping;
};

static struct conn *acquire(struct sg_pool *pool, uint64_t data)
{
    struct conn *conn = &pool->conns[(uint32_t)data];
    pthread_mutex_lock(&pool->lock);
    bool is_it = conn->is_open && conn->generation == data >> 32;
    if (is_it)
        conn->users++;
    pthread_mutex_unlock(&pool->lock);
    return is_it ? conn : NULL;
}

static void release_locked(struct conn *conn)
{
    if (--conn->users > 0)
        return;
    close(conn->fd); /* and by that out of every epoll */
    conn->generation++;
}

static void release(struct sg_pool *pool, struct conn *conn, bool is_over)
{
    pthread_mutex_lock(&pool->lock);
    if (is_over && conn->is_open) {
        conn->is_open = false;
        shutdown(conn->fd, SHUT_RDWR);
        release_locked(conn);
    }
    release_locked(conn);
    pthread_mutex_unlock(&pool->lock);
}

/* Sends what is held. False: the connection is over. */
static bool send_held(struct thread *thread, int fd)
{
    struct sg_buf *answers = &thread->answers;

    while (answers->len > 0) {
        ssize_t sent = send(fd, answers->ptr, answers->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if (sent >= 0)
            sg_buf_clear(answers);
        else if (errno != EINTR && (errno != EAGAIN || poll(&room, 1, SEND_WAIT_MS) <= 0))
            return false;
    }
    return true;
}

/* What the next answer will take: as the last, or the one before where that was shorter, because
 * an answer that had to wait for a processor says nothing about the next. */
static int64_t next_takes(struct thread *thread, int64_t took_ns)
{
    int64_t before_ns = thread->took_ns;
    thread->took_ns = took_ns;
    return before_ns > 0 && before_ns < took_ns ? before_ns : took_ns;
}

/*
 * Whether the answers may wait for the next one: it would still fit and come in time. Each send
 * wakes the gateway, which costs both sides more than a message does.
 */
static bool may_hold(const struct thread *thread, int64_t next_ns, int64_t now)
{
    return thread->answers.len + thread->pool->config.answer_max <= SG_JOB_PACKET_MAX &&
           next_ns <= SG_JOB_FAST_NS && now - thread->held_since_ns + next_ns <= SG_JOB_PACKET_NS;
}

/* Judges and answers one message. False: the connection is over. */
static bool handle(struct thread *thread, int fd, struct sg_slice message)
{
    const struct sg_pool_config *config = &thread->pool->config;
    int64_t start_ns = sg_mono_ns(&sg_clock_system);
    size_t before = thread->answers.len;

    if (!config->handle(config->arg, thread->number, message, &thread->answers) ||
        thread->answers.failed || thread->answers.len - before > config->answer_max)
        return false;
    int64_t end_ns = sg_mono_ns(&sg_clock_system);
    if (before == 0)
        thread->held_since_ns = end_ns;
    int64_t next_ns = next_takes(thread, end_ns - start_ns);
    if (thread->pause_ms == 0 && may_hold(thread, next_ns, end_ns))
        return true;
    return send_held(thread, fd);
}

/* False: the connection is over. */
static bool handle_packet(struct thread *thread, int fd, struct sg_slice packet)
{
    do {
        struct sg_slice message = sg_job_cut(packet, &packet);
        if (message.len == 0 || !handle(thread, fd, message))
            return false;
    } while (packet.len > 0);
    return true;
}

static bool may_serve(const struct thread *thread, int64_t *ret_again_ns)
{
    const struct sg_pool_config *config = &thread->pool->config;
    return config->may_serve == NULL ||
           config->may_serve(config->arg, thread->number, ret_again_ns);
}

/* Takes packets until there are none. False: the connection is over. */
static bool serve(struct thread *thread, int fd)
{
    int64_t again_ns;

    sg_buf_clear(&thread->answers); /* a connection that ended may have left some */
    thread->took_ns = 0;
    for (int n = 0; n < TURN_PACKETS; n++) {
        ssize_t len = recv(fd, thread->packet, SG_JOB_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            break;
        if (len <= 0 || (size_t)len > SG_JOB_PACKET_MAX ||
            !handle_packet(thread, fd, sg_slice_of(thread->packet, (size_t)len)))
            return false;
        if (thread->pause_ms > 0 || !may_serve(thread, &again_ns))
            break;
    }
    return send_held(thread, fd);
}

static void pause_thread(const struct thread *thread)
{
    struct pollfd stop = {.fd = thread->pool->stop_fd, .events = POLLIN};
    poll(&stop, 1, thread->pause_ms); /* what ends it early is seen by the next turn */
}

/* Until it is worth asking again whether this thread may serve. False: the pool stops. */
static bool park(struct sg_pool *pool, uint64_t seen_stirs, int64_t park_ns)
{
    int64_t until = sg_mono_ns(&sg_clock_system) + park_ns;
    struct timespec ts = {.tv_sec = until / SG_NS_PER_S, .tv_nsec = until % SG_NS_PER_S};

    pthread_mutex_lock(&pool->lock);
    int rc = 0;
    while (rc == 0 && !pool->is_stopping && pool->stirs == seen_stirs)
        rc = pthread_cond_clockwait(&pool->stirred, &pool->lock, CLOCK_MONOTONIC, &ts);
    bool may_go_on = !pool->is_stopping;
    pthread_mutex_unlock(&pool->lock);
    return may_go_on;
}

static uint64_t stirs_of(struct sg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    uint64_t stirs = pool->stirs;
    pthread_mutex_unlock(&pool->lock);
    return stirs;
}

/* False: the pool stops. */
static bool turn(struct thread *thread)
{
    struct sg_pool *pool = thread->pool;
    struct epoll_event events[CONNS_MAX + 1];

    int count = epoll_wait(thread->epoll_fd, events, SG_COUNT(events), -1);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == STOP_DATA)
            return false;
        struct conn *conn = acquire(pool, events[i].data.u64);
        if (conn != NULL)
            release(pool, conn, !serve(thread, conn->fd));
    }
    if (thread->pause_ms > 0)
        pause_thread(thread);
    thread->pause_ms = 0;
    return true;
}

void sg_pool_stir(struct sg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stirs++;
    pthread_cond_broadcast(&pool->stirred);
    pthread_mutex_unlock(&pool->lock);
}

void sg_pool_pause(struct sg_pool *pool, size_t i, int ms)
{
    pool->threads[i].pause_ms = ms;
}

static void *run(void *arg)
{
    struct thread *thread = arg;
    struct sg_pool *pool = thread->pool;
    const struct sg_pool_config *config = &pool->config;

    pthread_setname_np(pthread_self(), config->name);
    if (config->begin != NULL)
        config->begin(config->arg, thread->number);
    for (;;) {
        uint64_t stirs = stirs_of(pool); /* before asking: one that comes meanwhile is not missed */
        int64_t again_ns;
        if (!may_serve(thread, &again_ns)) {
            if (!park(pool, stirs, again_ns))
                return NULL;
        } else if (!turn(thread)) {
            return NULL;
        }
    }
}

static enum sg_rc start_thread(struct sg_pool *pool, struct thread *thread, struct sg_err *err)
{
    struct epoll_event stop = {.events = EPOLLIN, .data.u64 = STOP_DATA};

    SG_ASSERT(pool->config.answer_max <= SG_JOB_PACKET_MAX);
    sg_buf_init(&thread->answers, SG_JOB_PACKET_MAX);
    thread->pool = pool;
    thread->number = pool->started;
    thread->packet = malloc(SG_JOB_PACKET_MAX);
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (thread->packet != NULL && thread->epoll_fd >= 0 &&
        epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, pool->stop_fd, &stop) == 0 &&
        pthread_create(&thread->id, NULL, run, thread) == 0) {
        pool->started++;
        return SG_OK;
    }
    if (thread->epoll_fd >= 0)
        close(thread->epoll_fd);
    free(thread->packet);
    return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not start thread %zu of %zu",
                   pool->started + 1, pool->config.threads);
}

enum sg_rc sg_pool_start(const struct sg_pool_config *config, struct sg_pool **ret,
                         struct sg_err *err)
{
    SG_AUTO(sg_pool_stop) struct sg_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a pool of threads");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->stirred, NULL);
    pool->config = *config;
    pool->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->threads = calloc(config->threads, sizeof(struct thread));
    if (pool->stop_fd < 0 || pool->threads == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a pool of threads");
    *ret = pool; /* before the threads: their callbacks may use it */
    while (pool->started < config->threads) {
        enum sg_rc rc = start_thread(pool, &pool->threads[pool->started], err);
        if (rc != SG_OK) {
            *ret = NULL;
            return rc;
        }
    }
    (void)SG_STEAL(pool);
    return SG_OK;
}

void sg_pool_stop(struct sg_pool *pool)
{
    if (pool == NULL)
        return;
    if (pool->stop_fd >= 0)
        eventfd_write(pool->stop_fd, 1); /* stays readable for all of them */
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->stirred);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->started; i++) {
        pthread_join(pool->threads[i].id, NULL);
        close(pool->threads[i].epoll_fd);
        free(pool->threads[i].packet);
        sg_buf_done(&pool->threads[i].answers);
    }
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (pool->conns[i].users > 0)
            close(pool->conns[i].fd);
    if (pool->stop_fd >= 0)
        close(pool->stop_fd);
    pthread_cond_destroy(&pool->stirred);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
}

enum sg_rc sg_pool_add(struct sg_pool *pool, int fd, struct sg_err *err)
{
    struct conn *conn = NULL;

    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < CONNS_MAX && conn == NULL; i++)
        if (pool->conns[i].users == 0)
            conn = &pool->conns[i];
    if (conn != NULL) {
        conn->fd = fd;
        conn->users = 2; /* one is us: a thread may find it ended before all have it */
        conn->is_open = true;
    }
    pthread_mutex_unlock(&pool->lock);
    if (conn == NULL) {
        close(fd);
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not take another connection: %d are open",
                       CONNS_MAX);
    }

    uint64_t data = (uint64_t)conn->generation << 32 | (uint64_t)(conn - pool->conns);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = data};
    enum sg_rc rc = SG_OK;
    for (size_t i = 0; i < pool->started && rc == SG_OK; i++)
        if (epoll_ctl(pool->threads[i].epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
            rc = SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                         "could not watch a connection: %m");
    release(pool, conn, rc != SG_OK);
    return rc;
}
