#ifndef SG_BASE_LOOP_H
#define SG_BASE_LOOP_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

/*
 * One thread's event loop over epoll: descriptors, timers, wake-ups from other threads, and
 * hooks that run once per turn (so that what many events produced leaves in one write).
 *
 * Watches, timers, wakes and hooks live in their owners' structs. All of it belongs to the
 * thread that runs the loop, but for sg_wake_signal(). Any of them may be removed from any
 * callback, also its own and also when its event was already fetched in this turn: the loop
 * never calls what has been removed.
 */
struct sg_loop;

SG_MUST_USE enum sg_rc sg_loop_new(const struct sg_clock *clock, struct sg_loop **ret,
                                   struct sg_err *err);
/* Everything must have been removed from it before. */
void sg_loop_free(struct sg_loop *loop);
SG_DEFINE_AUTO(struct sg_loop, sg_loop_free);

/* Runs until sg_loop_stop(). */
SG_MUST_USE enum sg_rc sg_loop_run(struct sg_loop *loop, struct sg_err *err);
/* One turn: waits at most `timeout_ms` (-1: no bound) and handles what came. */
SG_MUST_USE enum sg_rc sg_loop_turn(struct sg_loop *loop, int timeout_ms, struct sg_err *err);
/* Ends sg_loop_run() after this turn. */
void sg_loop_stop(struct sg_loop *loop);

/* Monotonic time at the start of this turn, in nanoseconds: cheap, and the same for all events
 * of the turn. */
int64_t sg_loop_now(const struct sg_loop *loop);

/* Tells how long each turn took, without its wait: so long may have waited what came meanwhile.
 * `fn` runs when all else of the turn is done, and leaves the loop as it is. NULL: nobody is told.
 */
void sg_loop_tell_turns(struct sg_loop *loop, void (*fn)(void *arg, int64_t took_ns), void *arg);

/* A descriptor: `fn` gets the EPOLL* bits that are ready. Level-triggered: EPOLLERR and EPOLLHUP
 * come unasked, turn after turn, and whoever does not act on them must remove the watch. With
 * EPOLLET among the wanted events they are told when they come, and what is left behind is told
 * again only after sg_watch_again() or a change of the wanted events. */
struct sg_watch {
    int fd;
    void (*fn)(void *arg, uint32_t events);
    void *arg;
    uint32_t events; /* wanted; change with sg_watch_set */
    bool is_added;   /* private from here */
    uint32_t slot;
};

SG_MUST_USE enum sg_rc sg_watch_add(struct sg_loop *loop, struct sg_watch *watch,
                                    struct sg_err *err);
void sg_watch_set(struct sg_loop *loop, struct sg_watch *watch, uint32_t events);
/* What is ready is told in the next turn, whether or not it has been. For EPOLLET. */
void sg_watch_again(struct sg_loop *loop, struct sg_watch *watch);
/* Before the descriptor is closed. Not added: does nothing. */
void sg_watch_remove(struct sg_loop *loop, struct sg_watch *watch);

/* A timer: `fn` runs once, at or after `due_ns`, with the resolution of a millisecond. Setting it
 * again moves it, which cannot fail. Set by a timer to now, it runs in the next turn. */
struct sg_timer {
    void (*fn)(void *arg);
    void *arg;
    int64_t due_ns;
    size_t place; /* private: place in the heap + 1; 0 is not set */
};

SG_MUST_USE enum sg_rc sg_timer_set(struct sg_loop *loop, struct sg_timer *timer, int64_t due_ns,
                                    struct sg_err *err);
void sg_timer_cancel(struct sg_loop *loop, struct sg_timer *timer);

/* A wake-up: `fn` runs in the loop's thread some time after sg_wake_signal(), once for any
 * number of signals in between. */
struct sg_wake {
    void (*fn)(void *arg);
    void *arg;
    struct sg_loop *loop; /* private from here */
    struct sg_wake *next;
    _Atomic bool is_signalled;
};

void sg_wake_add(struct sg_loop *loop, struct sg_wake *wake);
void sg_wake_remove(struct sg_loop *loop, struct sg_wake *wake);
/* Thread: any, as long as the wake is added; a thread has returned from here before the wake is
 * removed or the loop freed. Does not block; makes no system call while the loop is awake. */
void sg_wake_signal(struct sg_wake *wake);

/*
 * Where in a turn a hook runs. What many descriptors brought is worked on step by step, each step
 * for all of them, and not one descriptor after the other: so the code of a step, the kernel's too,
 * is still in the processor's caches for the next of them.
 */
enum sg_stage {
    SG_STAGE_END,    /* after all events and timers */
    SG_STAGE_INPUT,  /* after the watches and before the timers: for what the watches have read */
    SG_STAGE_OUTPUT, /* last: for what the others have made to be written */
    SG_STAGES
};

/* A hook: while armed, `fn` runs once in this turn, in its stage, in the order of arming, and is
 * disarmed before. Armed when its stage has begun, it runs in the next turn, which then does not
 * wait. */
struct sg_hook {
    void (*fn)(void *arg);
    void *arg;
    enum sg_stage stage;
    struct sg_hook *next, **link; /* private */
};

void sg_hook_arm(struct sg_loop *loop, struct sg_hook *hook);
void sg_hook_disarm(struct sg_hook *hook);

#endif
