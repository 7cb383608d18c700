#include <stdlib.h>

#include "hsm/hsm_priv.h"

enum sg_rc sg_hsm_csr(struct sg_hsm *hsm, size_t index, struct sg_slice subject,
                      struct sg_slice alt_names, enum sg_digest_alg digest_alg, int64_t deadline_ns,
                      uint64_t tag, sg_hsm_csr_fn done, void *arg, struct sg_err *err)
{
    SG_ASSERT(hsm->is_started && index < hsm->key_count);
    struct sg_engine_key *key = hsm->keys[index];

    if (key->type == SG_KEY_ED25519)
        return SG_REFUSE(err, SG_R_CSR_NOT_SUPPORTED,
                         "could not make a request: key \"%s\" is an Ed25519 key", key->name);
    if (key->state == SG_KEY_QUARANTINED || key->state == SG_KEY_UNUSABLE)
        return SG_REFUSE(err,
                         key->state == SG_KEY_UNUSABLE ? SG_R_KEY_UNUSABLE : SG_R_KEY_QUARANTINED,
                         "could not make a request: key \"%s\" cannot sign", key->name);
    if (subject.len > SG_JOB_NAME_MAX || alt_names.len > SG_JOB_NAME_MAX ||
        sg_digest_len(digest_alg) == 0)
        return SG_REFUSE(err, SG_R_BAD_SUBJECT, "could not make a request: its names are too long");
    struct sg_copy *copy;
    SG_TRY(sg_choice_ready(key, &copy, err));
    struct sg_backend *backend = copy->backend;
    if (backend->csr_count >= SG_CSRS_MAX)
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "could not make a request: %d are under way",
                         SG_CSRS_MAX);

    struct sg_engine_csr *csr = calloc(1, sizeof(*csr));
    if (csr == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not make a request: out of memory");
    *csr = (struct sg_engine_csr){.next = backend->csrs,
                                  .serial = ++backend->serial,
                                  .tag = tag,
                                  .deadline_ns = deadline_ns,
                                  .done = done,
                                  .arg = arg};
    backend->csrs = csr;
    backend->csr_count++;
    sg_health_asked(backend);
    sg_link_put(&backend->admin, &(struct sg_request){.kind = SG_JOB_CSR,
                                                      .serial = csr->serial,
                                                      .id = sg_copy_id(copy),
                                                      .digest_alg = digest_alg,
                                                      .deadline_ns = deadline_ns,
                                                      .subject = subject,
                                                      .alt_names = alt_names});
    sg_engine_wake(hsm);
    return SG_OK;
}

/* Takes it off the list before it is called: it may ask for another. */
static void end(struct sg_backend *backend, struct sg_engine_csr **link, struct sg_slice der,
                const struct sg_err *err)
{
    struct sg_engine_csr csr = **link;
    free(*link);
    *link = csr.next;
    backend->csr_count--;
    csr.done(csr.arg, csr.tag, der, err);
}

bool sg_csr_answer(struct sg_backend *backend, const struct sg_answer *answer)
{
    struct sg_err err;
    struct sg_engine_csr **link = &backend->csrs;

    while (*link != NULL && (*link)->serial != answer->serial)
        link = &(*link)->next;
    if (*link == NULL) /* it was answered for its deadline */
        return answer->serial <= backend->serial;
    if (answer->outcome == SG_OUT_OK) {
        end(backend, link, answer->csr, NULL);
        return true;
    }
    sg_health_explain(answer->outcome, answer, &err);
    end(backend, link, (struct sg_slice){0}, &err);
    return true;
}

void sg_csr_fail(struct sg_backend *backend, const struct sg_err *err)
{
    while (backend->csrs != NULL)
        end(backend, &backend->csrs, (struct sg_slice){0}, err);
}

void sg_csr_expire(struct sg_backend *backend, int64_t now)
{
    struct sg_engine_csr **link = &backend->csrs;
    while (*link != NULL) {
        struct sg_err err;
        if ((*link)->deadline_ns == 0 || now < (*link)->deadline_ns) {
            link = &(*link)->next;
            continue;
        }
        SG_IGNORE(SG_REFUSE(&err, SG_R_HSM_TIMEOUT,
                            "could not make a request in time")); /* handed over */
        end(backend, link, (struct sg_slice){0}, &err);
        link = &backend->csrs; /* the list may have changed under the callback */
    }
}
