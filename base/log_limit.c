#include "base/log_limit.h"

static void tell(struct sg_log_limit *limit)
{
    if (limit->suppressed == 0)
        return;
    sg_log(SG_LOG_WARNING, NULL, "log.suppressed", SG_F_STR("of", limit->event),
           SG_F_INT("lines", limit->suppressed));
    limit->suppressed = 0;
}

static void on_timer(void *arg)
{
    tell(arg);
}

void sg_log_limit_init(struct sg_log_limit *limit, struct sg_loop *loop, const char *event)
{
    *limit = (struct sg_log_limit){.event = event, .loop = loop};
    limit->timer = (struct sg_timer){.fn = on_timer, .arg = limit};
}

void sg_log_limit_done(struct sg_log_limit *limit)
{
    if (limit->loop == NULL)
        return;
    tell(limit);
    sg_timer_cancel(limit->loop, &limit->timer);
    limit->loop = NULL;
}

bool sg_log_limit_take(struct sg_log_limit *limit)
{
    const int64_t now = sg_loop_now(limit->loop);

    if (now >= limit->until_ns) {
        tell(limit);
        limit->until_ns = now + SG_LOG_LIMIT_WINDOW_S * SG_NS_PER_S;
        limit->taken = 0;
    }
    if (limit->taken < SG_LOG_LIMIT_LINES) {
        limit->taken++;
        return true;
    }
    /* Without memory for it the count is told with the next line. */
    if (limit->suppressed++ == 0)
        SG_IGNORE(sg_timer_set(limit->loop, &limit->timer, limit->until_ns, NULL));
    return false;
}
