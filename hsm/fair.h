#ifndef SG_HSM_FAIR_H
#define SG_HSM_FAIR_H

#include "hsm/hsm.h"

/* Jobs in a row, linked by `next`. */
struct sg_job_list {
    struct sg_hsm_job *head, *tail;
};

void sg_job_list_push(struct sg_job_list *list, struct sg_hsm_job *job);
struct sg_hsm_job *sg_job_list_pop(struct sg_job_list *list); /* the oldest, or NULL */

/* Whether a job is to leave the queue. */
typedef bool (*sg_job_test_fn)(void *arg, const struct sg_hsm_job *job);
/* Moves the jobs that pass the test to the end of `out`, in order. Returns how many. */
size_t sg_job_list_take(struct sg_job_list *list, sg_job_test_fn test, void *arg,
                        struct sg_job_list *out);

/*
 * The jobs that wait for a token, taken in turn from every caller that has some, oldest first
 * within a caller: so a caller with a thousand waiting delays another's one by one place.
 */
struct sg_fair {
    size_t len;
    struct sg_fair_caller *turn; /* a ring of those who have jobs; whose turn it is */
    struct sg_fair_caller *buckets[256];
};

/* Zeroed memory is an empty queue. Frees all but the jobs, of which there are none any more. */
void sg_fair_done(struct sg_fair *fair);

/* False: no memory, and the job stays with the caller. */
SG_MUST_USE bool sg_fair_push(struct sg_fair *fair, struct sg_hsm_job *job);
struct sg_hsm_job *sg_fair_pop(struct sg_fair *fair); /* NULL when empty */
/* As sg_job_list_take. */
size_t sg_fair_take(struct sg_fair *fair, sg_job_test_fn test, void *arg, struct sg_job_list *out);

#endif
