#include <stdlib.h>

#include "hsm/hsm_priv.h"

enum {
    LOADS_MAX = 64,        /* LOAD_KEY under way at once, */
    LOADS_PACKET = 16,     /* and in a packet: the one thread that takes them sleeps less often */
    ADMIN_HANG_FACTOR = 4, /* of hang_ms: opening a token and searching it take longer */
    RETRY_MS_MIN = 50,
    RETRY_MS_PIN = 5000, /* waits for a person */
};

/* A token that comes back within this time costs its jobs some waiting and no failure. */
static const int64_t patience_ns = 2 * SG_NS_PER_S;
static const int64_t greeting_ns = 5 * SG_NS_PER_S;
static const int64_t idle_probe_ns = 5 * SG_NS_PER_S;
/* Between attempts to connect: while a process is being restarted, and later. */
static const int64_t reconnect_soon_ns = 20 * SG_NS_PER_MS;
static const int64_t reconnect_later_ns = 200 * SG_NS_PER_MS;

static bool is_linked(const struct sg_backend *backend)
{
    return backend->sign.state == SG_LINK_READY && backend->admin.state == SG_LINK_READY;
}

bool sg_health_is_patient(const struct sg_backend *backend, int64_t now)
{
    return now - backend->breaker.since_ns < patience_ns;
}

int64_t sg_health_retry_ms(const struct sg_backend *backend, int64_t now)
{
    if (backend->is_pin_latched)
        return RETRY_MS_PIN;
    int64_t due_ms = (backend->breaker.due_ns - now) / SG_NS_PER_MS;
    return due_ms > RETRY_MS_MIN ? due_ms : RETRY_MS_MIN;
}

void sg_health_explain(enum sg_outcome outcome, const struct sg_answer *answer, struct sg_err *ret)
{
    static const enum sg_reason reasons[SG_OUT_COUNT] = {
        [SG_OUT_UNSET] = SG_R_UNEXPECTED_CKR,
        [SG_OUT_OK] = SG_R_UNEXPECTED_CKR,
        [SG_OUT_SESSION] = SG_R_TOKEN_LOST,
        [SG_OUT_HANDLE] = SG_R_TOKEN_LOST,
        [SG_OUT_LOGIN] = SG_R_TOKEN_LOST,
        [SG_OUT_TOKEN] = SG_R_TOKEN_LOST,
        [SG_OUT_CAPACITY] = SG_R_TOKEN_LOST,
        [SG_OUT_PIN] = SG_R_TOKEN_PIN,
        [SG_OUT_KEY] = SG_R_KEY_UNUSABLE,
        [SG_OUT_NOT_LOADED] = SG_R_KEY_UNUSABLE,
        [SG_OUT_UNSUPPORTED] = SG_R_ALGORITHM_NOT_SUPPORTED,
        [SG_OUT_EXPIRED] = SG_R_DEADLINE,
        [SG_OUT_REQUEST] = SG_R_UNEXPECTED_CKR,
    };
    enum sg_reason reason = reasons[outcome];
    SG_IGNORE(sg_fail(ret, sg_reason_rc(reason), reason, answer->native, SG_WHERE, "%.*s",
                      (int)answer->text.len, (const char *)answer->text.ptr)); /* made to be told */
}

static void set_down(struct sg_backend *backend, const struct sg_err *err)
{
    backend->err = *err;
    backend->is_changed = true;
    sg_engine_wake(backend->hsm);
}

enum sg_hsm_token_state sg_backend_state(const struct sg_backend *backend)
{
    if (backend->is_pin_latched)
        return SG_TOKEN_PIN_LATCHED;
    switch (backend->breaker.state) {
    case SG_BREAKER_UP:
        if (backend->is_draining)
            return SG_TOKEN_DRAINING;
        return backend->is_suspect ? SG_TOKEN_SUSPECT : SG_TOKEN_UP;
    case SG_BREAKER_PROBING:
        return SG_TOKEN_PROBING;
    case SG_BREAKER_DOWN:
        break;
    }
    return SG_TOKEN_DOWN;
}

bool sg_health_is_well(const struct sg_backend *backend)
{
    return backend->breaker.state == SG_BREAKER_UP && !backend->is_suspect &&
           !backend->is_pin_latched;
}

/* The token that was up is not any more, and the others have its work to do: one that failed often,
 * and waits for long to be probed, may be well by now. A probe that fails calls nobody, so that
 * tokens that are all away do not wake each other. */
static void call_others(const struct sg_backend *backend, int64_t now)
{
    const struct sg_hsm *hsm = backend->hsm;

    if (backend->breaker.state != SG_BREAKER_UP)
        return;
    for (size_t i = 0; i < hsm->backend_count; i++) {
        struct sg_backend *other = hsm->backends[i];
        if (other == backend)
            continue;
        sg_breaker_hasten(&other->breaker, now);
        sg_backend_schedule(other);
    }
}

void sg_health_trip(struct sg_backend *backend, const struct sg_err *err)
{
    const int64_t now = sg_engine_now(backend->hsm);

    if (backend->breaker.state == SG_BREAKER_DOWN)
        return;
    call_others(backend, now);
    sg_breaker_trip(&backend->breaker, now);
    sg_probe_abandon(backend);
    set_down(backend, err);
    sg_backend_evacuate(backend);
    sg_backend_schedule(backend);
}

/* What was refuted while the token gave signatures that are none is looked at again. */
static void forgive(struct sg_backend *backend)
{
    for (size_t i = 0; i < backend->copy_count; i++)
        if (backend->copies[i]->is_refuted)
            sg_copy_set(backend->copies[i], SG_KEY_LOADING, NULL);
    backend->probe.is_refuted = false;
}

void sg_health_up(struct sg_backend *backend)
{
    if (backend->breaker.state == SG_BREAKER_UP)
        return;
    sg_breaker_up(&backend->breaker, sg_engine_now(backend->hsm));
    backend->err = (struct sg_err){0};
    backend->is_changed = true;
    if (backend->probe.is_refuted)
        forgive(backend);
    backend->load_next = 0;
    sg_health_load_keys(backend);
    sg_choice_release_all(backend->hsm);
}

/* Both links go together: a process that lost one of them is not to be half used. `late_ns` not 0:
 * it was killed because what was sent before hangs. */
static void lose(struct sg_backend *backend, const struct sg_err *err, int64_t late_ns)
{
    struct sg_hsm *hsm = backend->hsm;
    int64_t now = sg_engine_now(hsm);
    bool was_linked = backend->workers > 0;

    sg_link_close(&backend->sign);
    sg_link_close(&backend->admin);
    backend->workers = 0;
    sg_probe_abandon(backend);
    backend->admin_asked = 0;
    backend->is_late = backend->is_suspect = false;
    backend->reconnect_ns = now + (was_linked ? 0 : reconnect_soon_ns);
    backend->restarts_total += was_linked;
    call_others(backend, now);
    sg_breaker_lost(&backend->breaker, now);
    set_down(backend, err);
    for (size_t i = 0; i < backend->copy_count; i++) {
        struct sg_copy *copy = backend->copies[i];
        copy->is_asked = false;
        if (copy->state == SG_KEY_READY)
            sg_copy_set(copy, SG_KEY_LOADING, NULL);
    }
    if (backend->in_flight > 0)
        sg_blame_lost(backend, late_ns, now);
    sg_window_lost(backend, err);
    sg_csr_fail(backend, err);
    sg_backend_evacuate(backend);
    sg_backend_schedule(backend);
}

/* Keys ------------------------------------------------------------------------------------ */

void sg_health_load_key(struct sg_backend *backend, struct sg_copy *copy)
{
    copy->is_asked = true;
    sg_health_asked(backend);
    sg_link_put(&backend->admin, &(struct sg_request){.kind = SG_JOB_LOAD_KEY,
                                                      .serial = copy->slot,
                                                      .type = copy->key->type,
                                                      .origin = copy->origin,
                                                      .id = sg_copy_id(copy)});
}

void sg_health_load_keys(struct sg_backend *backend)
{
    if (backend->load_next < backend->probe_count)
        backend->load_next = backend->probe_count; /* a probe loads them */
    while (backend->breaker.state == SG_BREAKER_UP && backend->admin_asked < LOADS_MAX &&
           backend->load_next < backend->copy_count) {
        struct sg_copy *copy = backend->copies[backend->load_next++];
        if (!copy->is_asked && copy->state != SG_KEY_READY && copy->state != SG_KEY_QUARANTINED)
            sg_health_load_key(backend, copy);
    }
    sg_engine_wake(backend->hsm);
}

void sg_health_asked(struct sg_backend *backend)
{
    if (backend->admin_asked++ == 0)
        backend->admin_ns = sg_engine_now(backend->hsm);
}

static bool on_key(struct sg_backend *backend, const struct sg_answer *answer)
{
    struct sg_copy *copy =
        answer->serial < backend->copy_count ? backend->copies[answer->serial] : NULL;
    struct sg_err err;

    if (copy == NULL || !copy->is_asked)
        return false;
    copy->is_asked = false;
    switch (answer->outcome) {
    case SG_OUT_OK:
        if (answer->type != copy->key->type)
            return false;
        if (copy->state != SG_KEY_QUARANTINED)
            sg_copy_accept(copy, answer);
        break;
    case SG_OUT_SESSION:
    case SG_OUT_HANDLE:
    case SG_OUT_LOGIN:
    case SG_OUT_TOKEN:
    case SG_OUT_CAPACITY:
    case SG_OUT_PIN: /* it is asked for again when the token is back */
        sg_health_explain(answer->outcome, answer, &err);
        sg_health_trip(backend, &err);
        break;
    case SG_OUT_KEY:
    case SG_OUT_NOT_LOADED:
    case SG_OUT_UNSUPPORTED:
    case SG_OUT_EXPIRED:
    case SG_OUT_REQUEST:
    case SG_OUT_UNSET:
    case SG_OUT_COUNT:
        sg_health_explain(SG_OUT_KEY, answer, &err);
        if (copy->state != SG_KEY_QUARANTINED)
            sg_copy_set(copy, SG_KEY_UNUSABLE, &err);
        break;
    }
    if (copy->slot < backend->probe_count)
        sg_probe_loaded(backend);
    else
        sg_choice_release(copy->key);
    sg_health_load_keys(backend);
    return true;
}

/* The links ------------------------------------------------------------------------------- */

static bool on_admin_answer(void *arg, const struct sg_answer *answer)
{
    struct sg_backend *backend = arg;

    if (backend->admin_asked == 0)
        return false;
    backend->admin_asked--;
    backend->admin_ns = backend->answer_ns = sg_engine_now(backend->hsm);
    switch (answer->kind) {
    case SG_JOB_PROBE:
        return sg_probe_answer(backend, answer);
    case SG_JOB_LOAD_KEY:
        return on_key(backend, answer);
    case SG_JOB_CSR:
        return sg_csr_answer(backend, answer);
    case SG_JOB_HELLO:
    case SG_JOB_SIGN:
    case SG_JOB_UNSET:
    case SG_JOB_KIND_COUNT:
        break;
    }
    return false;
}

static bool on_sign_answer(void *arg, const struct sg_answer *answer)
{
    return sg_window_answer(arg, answer);
}

static void on_ready(void *arg, const struct sg_answer *hello)
{
    struct sg_backend *backend = arg;
    (void)hello; /* the probe's answer says the same, and more truly */
    if (is_linked(backend) && backend->probe.step == SG_PROBE_NONE)
        sg_probe_begin(backend);
}

static void on_closed(void *arg, const struct sg_err *err)
{
    lose(arg, err, 0);
}

static void on_drained(void *arg)
{
    struct sg_backend *backend = arg;
    sg_engine_wake(backend->hsm);
    sg_engine_deliver(backend->hsm);
}

enum sg_rc sg_health_init(struct sg_backend *backend, int64_t uid, struct sg_err *err)
{
    struct sg_link_events events = {.arg = backend,
                                    .ready = on_ready,
                                    .answer = on_sign_answer,
                                    .closed = on_closed,
                                    .drained = on_drained};
    SG_TRY(sg_link_init(&backend->sign, backend->hsm->loop, backend->socket, uid, SG_JOB_ROLE_SIGN,
                        &events, err));
    events.answer = on_admin_answer;
    SG_TRY(sg_link_init(&backend->admin, backend->hsm->loop, backend->socket, uid,
                        SG_JOB_ROLE_ADMIN, &events, err));
    backend->admin.group = LOADS_PACKET;
    int64_t now = sg_engine_now(backend->hsm);
    sg_breaker_init(&backend->breaker, (uint64_t)now ^ backend->index << 32, now);
    SG_IGNORE(sg_fail(&backend->err, SG_E_UNAVAILABLE, SG_R_TOKEN_LOST, 0, SG_WHERE,
                      "not connected yet")); /* until something better is known */
    return SG_OK;
}

static void connect_links(struct sg_backend *backend, int64_t now)
{
    struct sg_err err;
    enum sg_rc rc = SG_OK;

    if (backend->sign.state == SG_LINK_CLOSED)
        rc = sg_link_open(&backend->sign, &err);
    if (rc == SG_OK && backend->admin.state == SG_LINK_CLOSED)
        rc = sg_link_open(&backend->admin, &err);
    backend->greeting_ns = now;
    if (rc == SG_OK)
        return;
    sg_link_close(&backend->sign);
    sg_link_close(&backend->admin);
    backend->reconnect_ns =
        now + (sg_health_is_patient(backend, now) ? reconnect_soon_ns : reconnect_later_ns);
    if (strcmp(err.msg, backend->err.msg) != 0)
        set_down(backend, &err);
}

static int64_t hang_ns(const struct sg_backend *backend)
{
    return backend->hang_ms * SG_NS_PER_MS;
}

/*
 * A token process that hangs is killed, when we may, so that it is started anew; it also watches
 * itself. One that is under suspicion long enough is killed before that where others sign
 * meanwhile: a suspicion that is wrong costs some signatures made twice, but a kill all its
 * sessions.
 */
static bool is_hung(struct sg_backend *backend, int64_t now)
{
    bool is_sign_hung =
        backend->in_flight > 0 && now - sg_window_oldest_ns(backend) > hang_ns(backend);
    bool is_suspect_hung = backend->is_suspect &&
                           now - backend->suspect_ns > sg_window_suspicious_ns(backend) &&
                           sg_choice_others_serve(backend);
    bool is_admin_hung =
        backend->admin_asked > 0 && now - backend->admin_ns > ADMIN_HANG_FACTOR * hang_ns(backend);
    bool is_greeting_hung = !is_linked(backend) && now - backend->greeting_ns > greeting_ns;
    return is_sign_hung || is_suspect_hung || is_admin_hung || is_greeting_hung;
}

static void kill_hung(struct sg_backend *backend, int64_t now)
{
    struct sg_err err;
    bool is_killed = sg_link_kill(&backend->sign);
    SG_IGNORE(SG_REFUSE(&err, SG_R_TOKEN_LOST, "token \"%s\" hangs: %s", backend->name,
                        is_killed ? "its process was told to end"
                                  : "it was disconnected")); /* told to those who wait */
    lose(backend, &err, now - sg_window_suspicious_ns(backend));
}

void sg_health_tick(struct sg_backend *backend, int64_t now)
{
    bool is_closed =
        backend->sign.state == SG_LINK_CLOSED || backend->admin.state == SG_LINK_CLOSED;
    if (is_closed) {
        if (now >= backend->reconnect_ns)
            connect_links(backend, now);
        return;
    }
    if (is_hung(backend, now)) {
        kill_hung(backend, now);
        return;
    }
    if (!is_linked(backend) || backend->probe.step != SG_PROBE_NONE)
        return;
    bool is_idle = backend->breaker.state == SG_BREAKER_UP && backend->admin_asked == 0 &&
                   now - backend->answer_ns >= idle_probe_ns;
    bool is_due = backend->breaker.state == SG_BREAKER_UP && backend->probe.is_due;
    if (is_idle || is_due || sg_breaker_is_due(&backend->breaker, now))
        sg_probe_begin(backend);
}

int64_t sg_health_due_ns(const struct sg_backend *backend)
{
    if (backend->sign.state == SG_LINK_CLOSED || backend->admin.state == SG_LINK_CLOSED)
        return backend->reconnect_ns;
    if (!is_linked(backend))
        return backend->greeting_ns + greeting_ns + 1;
    if (backend->probe.step == SG_PROBE_SIGNING)
        return INT64_MAX; /* what is under way has ticks of its own */
    if (backend->admin_asked > 0)
        return backend->admin_ns + ADMIN_HANG_FACTOR * hang_ns(backend) + 1;
    if (backend->breaker.state == SG_BREAKER_UP)
        return backend->probe.is_due ? 0 : backend->answer_ns + idle_probe_ns;
    return backend->breaker.due_ns;
}
