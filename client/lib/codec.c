#include "client/lib/codec.h"

#include "base/clock.h"
#include "formats/raw/pem.h"

int64_t sg_client_time_ns(const Google__Protobuf__Timestamp *time)
{
    if (time == NULL || time->seconds < 0 || time->seconds >= INT64_MAX / SG_NS_PER_S ||
        time->nanos < 0 || time->nanos >= SG_NS_PER_S)
        return 0;
    return time->seconds * SG_NS_PER_S + time->nanos;
}

uint32_t sg_client_duration_ms(const Google__Protobuf__Duration *duration)
{
    uint64_t ms;

    if (duration == NULL || duration->seconds < 0 || duration->nanos < 0 ||
        duration->nanos >= SG_NS_PER_S)
        return 0;
    if (duration->seconds > UINT32_MAX / 1000)
        return UINT32_MAX;
    ms = (uint64_t)duration->seconds * 1000 + ((uint64_t)duration->nanos + 999999) / 1000000;
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

const char *sg_client_pem(struct sg_arena *arena, const char *label, struct sg_slice der)
{
    struct sg_buf text;
    const char *pem = NULL;

    sg_buf_init(&text, der.len * 2 + 256);
    sg_pem_encode(label, der, &text);
    if (!text.failed)
        pem = sg_arena_strdup(arena, sg_buf_slice(&text));
    sg_buf_done(&text);
    return pem;
}
