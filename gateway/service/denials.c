#include "gateway/service/denials.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { PLACES = 256, COUNTED_NS_MAX_S = 60 };

struct place {
    bool is_used;
    uint64_t caller;
    int64_t full_ns;    /* monotonic: when all of the burst may come again */
    int64_t counted_ns; /* since when `counted` grows */
    struct sg_denials_counted counted;
};

struct sg_denials {
    struct place places[PLACES];
};

enum sg_rc sg_denials_new(struct sg_denials **ret, struct sg_err *err)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret == NULL ? SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the denials") : SG_OK;
}

void sg_denials_free(struct sg_denials *denials)
{
    free(denials);
}

static void set_text(char *out, struct sg_slice text)
{
    snprintf(out, SG_DENIALS_NAME_LEN_MAX + 1, "%.*s", (int)text.len,
             text.len == 0 ? "" : (const char *)text.ptr);
}

static bool take_token(struct place *place, int64_t now_ns)
{
    const int64_t step_ns = SG_NS_PER_S / SG_DENIALS_PER_S;

    if (place->full_ns < now_ns)
        place->full_ns = now_ns;
    if (place->full_ns + step_ns - now_ns > SG_DENIALS_BURST * step_ns)
        return false;
    place->full_ns += step_ns;
    return true;
}

bool sg_denials_take(struct sg_denials *denials, uint64_t caller,
                     const struct sg_audit_record *record, int64_t now_ns,
                     struct sg_denials_counted *ret_evicted)
{
    struct place *place = &denials->places[caller % PLACES];

    ret_evicted->count = 0;
    if (!place->is_used || place->caller != caller) {
        *ret_evicted = place->counted;
        *place = (struct place){.is_used = true, .caller = caller};
        set_text(place->counted.authority, record->authority);
        set_text(place->counted.caller, record->caller);
    }
    if (take_token(place, now_ns))
        return true;
    if (place->counted.count++ == 0)
        place->counted_ns = now_ns;
    return false;
}

bool sg_denials_next(struct sg_denials *denials, int64_t now_ns, struct sg_denials_counted *ret)
{
    for (size_t i = 0; i < PLACES; i++) {
        struct place *place = &denials->places[i];
        /* When the caller has stopped, or goes on for ever. */
        if (place->counted.count == 0 ||
            (place->full_ns > now_ns &&
             now_ns - place->counted_ns < COUNTED_NS_MAX_S * SG_NS_PER_S))
            continue;
        *ret = place->counted;
        place->counted.count = 0;
        return true;
    }
    return false;
}
