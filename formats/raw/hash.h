#ifndef SG_FORMATS_RAW_HASH_H
#define SG_FORMATS_RAW_HASH_H

#include "base/algorithm.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/* A hash of bytes that come in pieces: for files too large to be held. Pure. */
struct sg_hash;

/* Errors: SG_E_UNSUPPORTED for an algorithm that is unset or that OpenSSL does not have. */
SG_MUST_USE enum sg_rc sg_hash_new(enum sg_digest_alg alg, struct sg_hash **ret,
                                   struct sg_err *err);
void sg_hash_free(struct sg_hash *hash);
SG_DEFINE_AUTO(struct sg_hash, sg_hash_free);

SG_MUST_USE enum sg_rc sg_hash_add(struct sg_hash *hash, struct sg_slice bytes, struct sg_err *err);
/* Writes sg_digest_len() bytes; nothing can be added after. */
SG_MUST_USE enum sg_rc sg_hash_finish(struct sg_hash *hash, uint8_t out[SG_DIGEST_BYTES_MAX],
                                      struct sg_err *err);

#endif
