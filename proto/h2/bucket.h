#ifndef SG_PROTO_H2_BUCKET_H
#define SG_PROTO_H2_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* A token bucket; it is told the time. In billionths of a token, so that no fraction is lost. */
struct sg_bucket {
    int64_t level, burst; /* billionths */
    int64_t rate;         /* tokens a second, which is billionths a nanosecond */
    int64_t at_ns;        /* when `level` was true */
};

#define SG_BUCKET_TOKEN INT64_C(1000000000)

static inline void sg_bucket_init(struct sg_bucket *bucket, int64_t burst, int64_t rate,
                                  int64_t now_ns)
{
    int64_t full = burst * SG_BUCKET_TOKEN;
    *bucket = (struct sg_bucket){full, full, rate, now_ns};
}

static inline void sg_bucket_give(struct sg_bucket *bucket, int64_t tokens)
{
    int64_t room = bucket->burst - bucket->level, given = tokens * SG_BUCKET_TOKEN;
    bucket->level += given < room ? given : room;
}

/* Whether there were so many tokens to take; if not, none is taken. */
static inline bool sg_bucket_take(struct sg_bucket *bucket, int64_t now_ns, int64_t tokens)
{
    int64_t passed = now_ns > bucket->at_ns ? now_ns - bucket->at_ns : 0;
    int64_t room = bucket->burst - bucket->level;
    bucket->level += passed >= room / bucket->rate ? room : passed * bucket->rate;
    bucket->at_ns = now_ns;
    if (bucket->level < tokens * SG_BUCKET_TOKEN)
        return false;
    bucket->level -= tokens * SG_BUCKET_TOKEN;
    return true;
}

#endif
