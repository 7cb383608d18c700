#include "base/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * epoll is handed the number of a slot and the slot's generation, never a pointer. Removing a
 * watch moves the generation on, so an event that was fetched before finds nobody.
 */
struct slot {
    struct sg_watch *watch; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

enum { EVENTS_PER_TURN = 128, FIRST_SLOTS = 16, FIRST_TIMERS = 16 };
#define NO_SLOT UINT32_MAX
#define EVENT_FD_DATA UINT64_MAX

struct sg_loop {
    /* Set at start, read by every thread, never written again. */
    const struct sg_clock *clock;
    int epoll_fd, event_fd;

    /* Any thread. The loop says here that it may be waiting; whoever takes the word back owes
     * it a write to event_fd. */
    atomic_bool is_asleep;
    _Atomic(const void *) runner; /* the thread inside a turn, or NULL; for assertions */

    /* The loop's thread. */
    bool is_stopping, is_firing;
    int64_t now_ns;
    void (*on_turn)(void *arg, int64_t took_ns);
    void *on_turn_arg;

    struct slot *slots;
    size_t slot_cap, watch_count;
    uint32_t first_free;

    struct sg_timer **heap; /* the earliest first; heap[place - 1]->place == place */
    size_t timer_cap, timer_count;

    struct sg_wake *wakes, *wake_cursor; /* cursor: the next to look at in this turn */
    struct sg_hook *hooks[SG_STAGES];    /* the newest first */
    struct sg_hook *running;             /* of the stage that runs: the oldest first */
    struct epoll_event events[EVENTS_PER_TURN];
};

/* Its address tells threads apart at no cost. */
static _Thread_local char this_thread;

static void assert_thread(struct sg_loop *loop)
{
    const void *runner = atomic_load_explicit(&loop->runner, memory_order_relaxed);
    SG_ASSERT(runner == NULL || runner == &this_thread);
}

static bool has_hooks(const struct sg_loop *loop)
{
    for (size_t i = 0; i < SG_STAGES; i++)
        if (loop->hooks[i] != NULL)
            return true;
    return false;
}

/* Life ----------------------------------------------------------------------------------- */

static enum sg_rc open_descriptors(struct sg_loop *loop, struct sg_err *err)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open epoll: %m");
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->event_fd < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open an eventfd: %m");

    /* Edge-triggered, so that each write is one event and nobody needs to read it back. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = EVENT_FD_DATA};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->event_fd, &event) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not watch an eventfd: %m");
    return SG_OK;
}

enum sg_rc sg_loop_new(const struct sg_clock *clock, struct sg_loop **ret, struct sg_err *err)
{
    SG_AUTO(sg_loop_free) struct sg_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate an event loop");

    loop->clock = clock;
    loop->epoll_fd = loop->event_fd = -1;
    loop->first_free = NO_SLOT;
    loop->now_ns = sg_mono_ns(clock);
    SG_TRY(open_descriptors(loop, err));

    *ret = SG_STEAL(loop);
    return SG_OK;
}

void sg_loop_free(struct sg_loop *loop)
{
    if (loop == NULL)
        return;
    assert_thread(loop);
    SG_ASSERT(loop->watch_count == 0 && loop->timer_count == 0);
    SG_ASSERT(loop->wakes == NULL && !has_hooks(loop) && loop->running == NULL);

    if (loop->event_fd >= 0)
        close(loop->event_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop->slots);
    free(loop->heap);
    free(loop);
}

int64_t sg_loop_now(const struct sg_loop *loop)
{
    return loop->now_ns;
}

void sg_loop_stop(struct sg_loop *loop)
{
    assert_thread(loop);
    loop->is_stopping = true;
}

void sg_loop_tell_turns(struct sg_loop *loop, void (*fn)(void *arg, int64_t took_ns), void *arg)
{
    assert_thread(loop);
    loop->on_turn = fn;
    loop->on_turn_arg = arg;
}

/* Watches -------------------------------------------------------------------------------- */

static enum sg_rc add_slots(struct sg_loop *loop, struct sg_err *err)
{
    size_t cap = loop->slot_cap == 0 ? FIRST_SLOTS : loop->slot_cap * 2;
    struct slot *slots = cap < NO_SLOT ? realloc(loop->slots, cap * sizeof(*slots)) : NULL;
    if (slots == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate %zu watches", cap);

    /* Low numbers first, so that the table stays dense. */
    for (size_t i = cap; i-- > loop->slot_cap;) {
        slots[i] = (struct slot){.next_free = loop->first_free};
        loop->first_free = (uint32_t)i;
    }
    loop->slots = slots;
    loop->slot_cap = cap;
    return SG_OK;
}

static int control(struct sg_loop *loop, int op, const struct sg_watch *watch)
{
    uint64_t generation = loop->slots[watch->slot].generation;
    struct epoll_event event = {.events = watch->events,
                                .data.u64 = generation << 32 | watch->slot};
    return epoll_ctl(loop->epoll_fd, op, watch->fd, &event);
}

enum sg_rc sg_watch_add(struct sg_loop *loop, struct sg_watch *watch, struct sg_err *err)
{
    assert_thread(loop);
    SG_ASSERT(!watch->is_added && watch->fn != NULL);

    if (loop->first_free == NO_SLOT)
        SG_TRY(add_slots(loop, err));
    watch->slot = loop->first_free;
    if (control(loop, EPOLL_CTL_ADD, watch) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not watch descriptor %d: %m", watch->fd);

    struct slot *slot = &loop->slots[watch->slot];
    loop->first_free = slot->next_free;
    slot->watch = watch;
    loop->watch_count++;
    watch->is_added = true;
    return SG_OK;
}

void sg_watch_again(struct sg_loop *loop, struct sg_watch *watch)
{
    assert_thread(loop);
    SG_ASSERT(watch->is_added);
    int rc = control(loop, EPOLL_CTL_MOD, watch);
    SG_ASSERT(rc == 0); /* fails for a closed descriptor only: a bug of the owner */
}

void sg_watch_set(struct sg_loop *loop, struct sg_watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    sg_watch_again(loop, watch);
}

void sg_watch_remove(struct sg_loop *loop, struct sg_watch *watch)
{
    if (!watch->is_added)
        return;
    assert_thread(loop);
    int rc = control(loop, EPOLL_CTL_DEL, watch);
    SG_ASSERT(rc == 0); /* as above */

    struct slot *slot = &loop->slots[watch->slot];
    slot->watch = NULL;
    slot->generation++;
    slot->next_free = loop->first_free;
    loop->first_free = watch->slot;
    loop->watch_count--;
    watch->is_added = false;
}

static void run_watches(struct sg_loop *loop, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t data = loop->events[i].data.u64;
        if (data == EVENT_FD_DATA)
            continue;
        const struct slot *slot = &loop->slots[(uint32_t)data];
        struct sg_watch *watch = slot->watch;
        if (watch == NULL || slot->generation != data >> 32)
            continue;

        /* What an earlier callback of this turn no longer wants is not told. */
        uint32_t events = loop->events[i].events & (watch->events | EPOLLERR | EPOLLHUP);
        if (events != 0)
            watch->fn(watch->arg, events);
    }
}

/* Timers: a binary heap ------------------------------------------------------------------ */

static void put_timer(struct sg_loop *loop, size_t at, struct sg_timer *timer)
{
    loop->heap[at] = timer;
    timer->place = at + 1;
}

/* Finds the place of `timer` from `at`, where there is a gap, towards the root or the leaves. */
static void sift(struct sg_loop *loop, size_t at, struct sg_timer *timer)
{
    while (at > 0 && timer->due_ns < loop->heap[(at - 1) / 2]->due_ns) {
        put_timer(loop, at, loop->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < loop->timer_count &&
            loop->heap[child + 1]->due_ns < loop->heap[child]->due_ns)
            child++;
        if (child >= loop->timer_count || timer->due_ns <= loop->heap[child]->due_ns)
            break;
        put_timer(loop, at, loop->heap[child]);
        at = child;
    }
    put_timer(loop, at, timer);
}

static enum sg_rc add_timer_room(struct sg_loop *loop, struct sg_err *err)
{
    size_t cap = loop->timer_cap == 0 ? FIRST_TIMERS : loop->timer_cap * 2;
    struct sg_timer **heap = realloc(loop->heap, cap * sizeof(struct sg_timer *));
    if (heap == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate %zu timers", cap);
    loop->heap = heap;
    loop->timer_cap = cap;
    return SG_OK;
}

enum sg_rc sg_timer_set(struct sg_loop *loop, struct sg_timer *timer, int64_t due_ns,
                        struct sg_err *err)
{
    assert_thread(loop);
    SG_ASSERT(timer->fn != NULL);
    if (timer->place == 0 && loop->timer_count == loop->timer_cap)
        SG_TRY(add_timer_room(loop, err));

    /* A timer that sets itself to now again would otherwise keep the loop in this turn. */
    if (loop->is_firing && due_ns <= loop->now_ns)
        due_ns = loop->now_ns + 1;

    timer->due_ns = due_ns;
    sift(loop, timer->place == 0 ? loop->timer_count++ : timer->place - 1, timer);
    return SG_OK;
}

void sg_timer_cancel(struct sg_loop *loop, struct sg_timer *timer)
{
    if (timer->place == 0)
        return;
    assert_thread(loop);
    size_t at = timer->place - 1;
    timer->place = 0;
    struct sg_timer *last = loop->heap[--loop->timer_count];
    if (last != timer)
        sift(loop, at, last);
}

static void run_timers(struct sg_loop *loop)
{
    loop->is_firing = true;
    while (loop->timer_count > 0 && loop->heap[0]->due_ns <= loop->now_ns) {
        struct sg_timer *timer = loop->heap[0];
        sg_timer_cancel(loop, timer);
        timer->fn(timer->arg);
    }
    loop->is_firing = false;
}

/* Wake-ups ------------------------------------------------------------------------------- */

void sg_wake_add(struct sg_loop *loop, struct sg_wake *wake)
{
    assert_thread(loop);
    SG_ASSERT(wake->loop == NULL && wake->fn != NULL);
    atomic_store(&wake->is_signalled, false);
    wake->loop = loop;
    wake->next = loop->wakes;
    loop->wakes = wake;
}

void sg_wake_remove(struct sg_loop *loop, struct sg_wake *wake)
{
    if (wake->loop == NULL)
        return;
    assert_thread(loop);
    SG_ASSERT(wake->loop == loop);

    struct sg_wake **link = &loop->wakes;
    while (*link != wake)
        link = &(*link)->next;
    *link = wake->next;
    if (loop->wake_cursor == wake)
        loop->wake_cursor = wake->next;
    wake->loop = NULL;
}

/*
 * Here the signal is written before `is_asleep` is read; before it waits, the loop writes
 * `is_asleep` before it reads the signals. In the one order that sequential consistency gives
 * these four, one side sees the other: either the loop does not wait or we write.
 */
void sg_wake_signal(struct sg_wake *wake)
{
    struct sg_loop *loop = wake->loop;
    if (atomic_exchange(&wake->is_signalled, true))
        return; /* whoever set it first sees to it */
    /* The callback may run from now on and `wake` may be gone. */

    if (!atomic_load(&loop->is_asleep) || !atomic_exchange(&loop->is_asleep, false))
        return;
    /* Cannot fail: the counter would have to be full. Even then the descriptor is readable. */
    SG_IGNORE(write(loop->event_fd, &(uint64_t){1}, sizeof(uint64_t)));
}

static bool is_any_signalled(const struct sg_loop *loop)
{
    for (struct sg_wake *wake = loop->wakes; wake != NULL; wake = wake->next)
        if (atomic_load(&wake->is_signalled))
            return true;
    return false;
}

static void run_wakes(struct sg_loop *loop)
{
    for (struct sg_wake *wake = loop->wakes; wake != NULL; wake = loop->wake_cursor) {
        loop->wake_cursor = wake->next;
        /* The exchange, and not a store, sees everything that came before any of the signals. */
        if (atomic_load(&wake->is_signalled) && atomic_exchange(&wake->is_signalled, false))
            wake->fn(wake->arg);
    }
}

/* Hooks ---------------------------------------------------------------------------------- */

static void push_hook(struct sg_hook **head, struct sg_hook *hook)
{
    hook->next = *head;
    hook->link = head;
    if (hook->next != NULL)
        hook->next->link = &hook->next;
    *head = hook;
}

void sg_hook_arm(struct sg_loop *loop, struct sg_hook *hook)
{
    assert_thread(loop);
    SG_ASSERT(hook->fn != NULL && hook->stage < SG_STAGES);
    if (hook->link == NULL)
        push_hook(&loop->hooks[hook->stage], hook);
}

void sg_hook_disarm(struct sg_hook *hook)
{
    if (hook->link == NULL)
        return;
    *hook->link = hook->next;
    if (hook->next != NULL)
        hook->next->link = hook->link;
    hook->link = NULL;
    hook->next = NULL;
}

/* Those that are armed for this stage meanwhile run in the next turn. */
static void run_hooks(struct sg_loop *loop, enum sg_stage stage)
{
    struct sg_hook **hooks = &loop->hooks[stage];
    for (struct sg_hook *hook = *hooks; hook != NULL; hook = *hooks) {
        sg_hook_disarm(hook);
        push_hook(&loop->running, hook);
    }
    for (struct sg_hook *hook = loop->running; hook != NULL; hook = loop->running) {
        sg_hook_disarm(hook);
        hook->fn(hook->arg);
    }
}

/* Turns ---------------------------------------------------------------------------------- */

/* How long this turn may wait, in the unit of epoll_wait; rounded up, so that a timer that is
 * nearly due is not spun for. */
static int wait_ms(const struct sg_loop *loop, int timeout_ms)
{
    if (has_hooks(loop))
        return 0;
    if (loop->timer_count == 0 || timeout_ms == 0)
        return timeout_ms;

    int64_t due_ns = loop->heap[0]->due_ns;
    int64_t now_ns = sg_mono_ns(loop->clock);
    if (due_ns <= now_ns)
        return 0;
    uint64_t left_ms = ((uint64_t)due_ns - (uint64_t)now_ns - 1) / (uint64_t)SG_NS_PER_MS + 1;
    if (timeout_ms >= 0 && left_ms > (uint64_t)timeout_ms)
        return timeout_ms;
    return left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

static int wait_for_events(struct sg_loop *loop, int timeout_ms)
{
    timeout_ms = wait_ms(loop, timeout_ms);
    if (timeout_ms != 0) {
        atomic_store(&loop->is_asleep, true);
        if (is_any_signalled(loop))
            timeout_ms = 0;
    }
    int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, timeout_ms);
    int error = errno;
    atomic_store(&loop->is_asleep, false);
    errno = error;
    return count;
}

static enum sg_rc turn(struct sg_loop *loop, int timeout_ms, struct sg_err *err)
{
    int count = wait_for_events(loop, timeout_ms);
    if (count < 0 && errno != EINTR)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not wait for events: %m");

    loop->now_ns = sg_mono_ns(loop->clock);
    run_wakes(loop);
    run_watches(loop, count);
    run_hooks(loop, SG_STAGE_INPUT);
    run_timers(loop);
    run_hooks(loop, SG_STAGE_END);
    run_hooks(loop, SG_STAGE_OUTPUT);
    if (loop->on_turn != NULL)
        loop->on_turn(loop->on_turn_arg, sg_mono_ns(loop->clock) - loop->now_ns);
    return SG_OK;
}

static void enter(struct sg_loop *loop)
{
    SG_ASSERT(atomic_load(&loop->runner) == NULL); /* one thread, and no turn within a turn */
    atomic_store(&loop->runner, &this_thread);
}

static void leave(struct sg_loop *loop)
{
    atomic_store(&loop->runner, NULL);
}

enum sg_rc sg_loop_turn(struct sg_loop *loop, int timeout_ms, struct sg_err *err)
{
    enter(loop);
    enum sg_rc rc = turn(loop, timeout_ms, err);
    leave(loop);
    return rc;
}

enum sg_rc sg_loop_run(struct sg_loop *loop, struct sg_err *err)
{
    enum sg_rc rc = SG_OK;
    enter(loop);
    while (rc == SG_OK && !loop->is_stopping)
        rc = turn(loop, -1, err);
    loop->is_stopping = false;
    leave(loop);
    return rc;
}
