#ifndef SG_GATEWAY_RPC_PAGE_TOKEN_H
#define SG_GATEWAY_RPC_PAGE_TOKEN_H

#include "formats/seal/seal.h"

/*
 * Where a listing goes on, as its caller keeps it between two pages: sealed, so that nothing in it
 * is a promise, nobody makes one up, and it goes on with nothing but the listing it was made for.
 * It is no right: who may list is asked for each page. Any gateway of the store takes it; it does
 * not age, since what is listed does not change. Thread: any.
 */

enum { SG_PAGE_SCOPE_BYTES = 32, SG_PAGE_TOKEN_LEN = 32 };

/* A listing: who lists, by which method, and what it lets through, in bytes that say so. */
SG_MUST_USE enum sg_rc sg_page_scope(struct sg_slice authority, struct sg_slice caller,
                                     struct sg_slice method, struct sg_slice filter,
                                     uint8_t ret[SG_PAGE_SCOPE_BYTES], struct sg_err *err);

/* Appends the token of a place in a log, whose epochs are logs of their own. */
SG_MUST_USE enum sg_rc sg_page_token_write(const struct sg_seal *seal,
                                           const uint8_t scope[SG_PAGE_SCOPE_BYTES],
                                           uint64_t log_id, uint64_t next, struct sg_buf *out,
                                           struct sg_err *err);
/* Errors: SG_E_INVALID BAD_PAGE_TOKEN: forged, cut, or of another listing. */
SG_MUST_USE enum sg_rc sg_page_token_read(const struct sg_seal *seal,
                                          const uint8_t scope[SG_PAGE_SCOPE_BYTES], uint64_t log_id,
                                          struct sg_slice token, uint64_t *ret_next,
                                          struct sg_err *err);

#endif
