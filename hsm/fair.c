#include "hsm/fair.h"

#include <stdlib.h>

/* Exists while it has jobs, so that millions of callers over a year cost nothing. */
struct sg_fair_caller {
    uint64_t id;
    struct sg_job_list jobs;
    struct sg_fair_caller *next, *prev; /* the ring */
    struct sg_fair_caller *chain;       /* the bucket */
};

void sg_job_list_push(struct sg_job_list *list, struct sg_hsm_job *job)
{
    job->next = NULL;
    if (list->head == NULL)
        list->head = job;
    else
        list->tail->next = job;
    list->tail = job;
}

struct sg_hsm_job *sg_job_list_pop(struct sg_job_list *list)
{
    struct sg_hsm_job *job = list->head;
    if (job == NULL)
        return NULL;
    list->head = job->next;
    if (list->head == NULL)
        list->tail = NULL;
    job->next = NULL;
    return job;
}

size_t sg_job_list_take(struct sg_job_list *list, sg_job_test_fn test, void *arg,
                        struct sg_job_list *out)
{
    struct sg_job_list all = *list;
    size_t taken = 0;

    *list = (struct sg_job_list){0};
    for (struct sg_hsm_job *job = sg_job_list_pop(&all); job != NULL; job = sg_job_list_pop(&all)) {
        bool is_taken = test(arg, job);
        sg_job_list_push(is_taken ? out : list, job);
        taken += is_taken;
    }
    return taken;
}

static struct sg_fair_caller **bucket_of(struct sg_fair *fair, uint64_t id)
{
    return &fair->buckets[(id * UINT64_C(0x9e3779b97f4a7c15)) >> 56];
}

static struct sg_fair_caller *caller_of(struct sg_fair *fair, uint64_t id)
{
    struct sg_fair_caller **bucket = bucket_of(fair, id);
    for (struct sg_fair_caller *caller = *bucket; caller != NULL; caller = caller->chain)
        if (caller->id == id)
            return caller;

    struct sg_fair_caller *caller = calloc(1, sizeof(*caller));
    if (caller == NULL)
        return NULL;
    caller->id = id;
    caller->chain = *bucket;
    *bucket = caller;
    if (fair->turn == NULL) {
        fair->turn = caller->next = caller->prev = caller;
    } else { /* last in the ring: just before whose turn it is */
        caller->next = fair->turn;
        caller->prev = fair->turn->prev;
        caller->prev->next = caller->next->prev = caller;
    }
    return caller;
}

static void leave(struct sg_fair *fair, struct sg_fair_caller *caller)
{
    struct sg_fair_caller **link = bucket_of(fair, caller->id);
    while (*link != caller)
        link = &(*link)->chain;
    *link = caller->chain;
    if (fair->turn == caller)
        fair->turn = caller->next == caller ? NULL : caller->next;
    caller->prev->next = caller->next;
    caller->next->prev = caller->prev;
    free(caller);
}

void sg_fair_done(struct sg_fair *fair)
{
    SG_ASSERT(fair->len == 0 && fair->turn == NULL);
}

bool sg_fair_push(struct sg_fair *fair, struct sg_hsm_job *job)
{
    struct sg_fair_caller *caller = caller_of(fair, job->caller);
    if (caller == NULL)
        return false;
    sg_job_list_push(&caller->jobs, job);
    fair->len++;
    return true;
}

struct sg_hsm_job *sg_fair_pop(struct sg_fair *fair)
{
    struct sg_fair_caller *caller = fair->turn;
    if (caller == NULL)
        return NULL;
    struct sg_hsm_job *job = sg_job_list_pop(&caller->jobs);
    fair->len--;
    fair->turn = caller->next;
    if (caller->jobs.head == NULL)
        leave(fair, caller);
    return job;
}

size_t sg_fair_take(struct sg_fair *fair, sg_job_test_fn test, void *arg, struct sg_job_list *out)
{
    size_t taken = 0;
    for (size_t i = 0; i < SG_COUNT(fair->buckets); i++) {
        struct sg_fair_caller *next;
        for (struct sg_fair_caller *caller = fair->buckets[i]; caller != NULL; caller = next) {
            next = caller->chain;
            taken += sg_job_list_take(&caller->jobs, test, arg, out);
            if (caller->jobs.head == NULL)
                leave(fair, caller);
        }
    }
    fair->len -= taken;
    return taken;
}
