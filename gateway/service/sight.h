#ifndef SG_GATEWAY_SERVICE_SIGHT_H
#define SG_GATEWAY_SERVICE_SIGHT_H

#include "authz/authz.h"
#include "gateway/service/keys.h"

/*
 * What each caller may see: those keys of its row that are served here, and the tokens that have
 * them. Made once for a list of callers, so that a listing costs what it shows and not a look at
 * every key. It grants nothing: whether the caller may call at all is authz's to decide.
 *
 * Takes four bytes for each name of a key in a row and 24 for each row: at most 8 MiB for the
 * 2,000,000 words that a configuration may have, and twice that while a list is replaced.
 * Immutable. Thread: any.
 */
struct sg_sight;

/* Of one caller; zero is nothing. */
struct sg_sight_row {
    const uint32_t *keys; /* of sg_keys_at(), ascending, which is by name; each once */
    size_t key_count;
    uint64_t tokens; /* bit 1 << number, the engine's */
};

/* Keeps neither the list nor the keys. Errors: SG_E_LIMIT: no memory. */
SG_MUST_USE enum sg_rc sg_sight_new(const struct sg_authz *authz, struct sg_keys *keys,
                                    struct sg_sight **ret, struct sg_err *err);
void sg_sight_free(struct sg_sight *sight);
SG_DEFINE_AUTO(struct sg_sight, sg_sight_free);

/* `row` is that of a decision that allows, by the list it was made for. Lives as long as `sight`.
 */
const struct sg_sight_row *sg_sight_of(const struct sg_sight *sight, size_t row);

/* The place in the row of the first key whose number is not below `key`; key_count: there is none.
 */
size_t sg_sight_from(const struct sg_sight_row *row, size_t key);

#endif
