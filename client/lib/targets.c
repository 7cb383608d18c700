#include "client/lib/targets.h"

#include "base/clock.h"

enum { BACKOFF_MS = 100, BACKOFF_MAX_MS = 5000 };

/* xorshift64*: evenly spread numbers are enough, nobody gains by guessing them. */
static uint64_t next_random(uint64_t *random)
{
    uint64_t x = *random == 0 ? 0x9e3779b97f4a7c15U : *random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *random = x;
    return x * 0x2545f4914f6cdd1dU;
}

int64_t sg_backoff_ns(uint64_t *random, unsigned failures)
{
    int64_t ms = BACKOFF_MS;

    while (failures-- > 1 && ms < BACKOFF_MAX_MS)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    return ms * SG_NS_PER_MS - (int64_t)(next_random(random) % (uint64_t)(ms * SG_NS_PER_MS / 2));
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* What stands before the next comma, without the blanks around it. */
static struct sg_slice take_one(struct sg_slice *text)
{
    const uint8_t *comma = text->len == 0 ? NULL : memchr(text->ptr, ',', text->len);
    struct sg_slice one =
        sg_slice_take(text, comma == NULL ? text->len : (size_t)(comma - text->ptr));

    if (comma != NULL)
        (void)sg_slice_take(text, 1);
    while (one.len > 0 && is_blank(one.ptr[0]))
        (void)sg_slice_take(&one, 1);
    while (one.len > 0 && is_blank(one.ptr[one.len - 1]))
        one.len--;
    return one;
}

static enum sg_rc add(struct sg_targets *targets, struct sg_slice text, const char *server_name,
                      struct sg_err *err)
{
    struct sg_target *target = &targets->at[targets->count];

    if (targets->count == SG_TARGETS_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the endpoints: there are over %d",
                       SG_TARGETS_MAX);
    *target = (struct sg_target){0};
    SG_TRY(sg_endpoint_parse(text, &target->endpoint, err));
    sg_endpoint_print(&target->endpoint, target->authority, sizeof(target->authority));
    (void)snprintf(target->server_name, sizeof(target->server_name), "%s",
                   server_name == NULL || server_name[0] == '\0' ? target->endpoint.host
                                                                 : server_name);
    for (size_t i = 0; i < targets->count; i++)
        if (strcmp(targets->at[i].authority, target->authority) == 0)
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "could not read the endpoints: \"%s\" stands there twice",
                           target->authority);
    targets->count++;
    return SG_OK;
}

enum sg_rc sg_targets_parse(struct sg_slice text, const char *server_name, struct sg_targets *ret,
                            struct sg_err *err)
{
    if (server_name != NULL && strlen(server_name) >= sizeof(ret->at[0].server_name))
        return SG_FAIL(err, SG_E_INVALID, 0, "server_name is too long to be a host name");
    ret->count = 0;
    for (;;) {
        bool is_last = text.len == 0 || memchr(text.ptr, ',', text.len) == NULL;
        SG_TRY(add(ret, take_one(&text), server_name, err));
        if (is_last)
            return SG_OK;
    }
}

size_t sg_targets_pick(const struct sg_targets *targets, int64_t now_ns)
{
    for (size_t i = 0; i < targets->count; i++)
        if (targets->at[i].not_before_ns <= now_ns)
            return i;
    return targets->count;
}

size_t sg_targets_open(const struct sg_targets *targets, int64_t now_ns)
{
    size_t count = 0;

    for (size_t i = 0; i < targets->count; i++)
        count += targets->at[i].not_before_ns <= now_ns;
    return count;
}

int64_t sg_targets_due(const struct sg_targets *targets)
{
    int64_t due = INT64_MAX;

    for (size_t i = 0; i < targets->count; i++)
        if (targets->at[i].not_before_ns < due)
            due = targets->at[i].not_before_ns;
    return due;
}

void sg_targets_failed(struct sg_targets *targets, size_t i, int64_t now_ns, bool is_hopeless)
{
    struct sg_target *target = &targets->at[i];

    target->failures += target->failures < UINT32_MAX;
    target->not_before_ns = now_ns + sg_backoff_ns(&targets->random, target->failures);
    target->is_hopeless = is_hopeless;
}

void sg_targets_worked(struct sg_targets *targets, size_t i)
{
    targets->at[i].failures = 0;
    targets->at[i].not_before_ns = 0;
    targets->at[i].is_hopeless = false;
}

bool sg_targets_are_hopeless(const struct sg_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        if (!targets->at[i].is_hopeless)
            return false;
    return true;
}
