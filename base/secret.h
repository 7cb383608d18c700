#ifndef SG_BASE_SECRET_H
#define SG_BASE_SECRET_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Bytes nobody else may see: a PIN, a sealing key. They live in pages of their own that are
 * locked (not swapped), left out of core dumps and wiped before they are given back. There is
 * no formatter for this type, and no copy out of it.
 */
struct sg_secret;

/* An empty secret with room for `max_bytes`. SG_E_INTERNAL when pages cannot be had or locked. */
SG_MUST_USE enum sg_rc sg_secret_new(size_t max_bytes, struct sg_secret **ret, struct sg_err *err);
void sg_secret_free(struct sg_secret *secret);
SG_DEFINE_AUTO(struct sg_secret, sg_secret_free);

/* Where up to `max_bytes` are written, to be claimed then; for a prompt or a generator. */
uint8_t *sg_secret_room(struct sg_secret *secret);
void sg_secret_claim(struct sg_secret *secret, size_t len);

/*
 * Reads a file whole, without trailing line ends, through no buffer but the secret's own.
 *
 * Errors:  SG_E_NOT_FOUND  there is no such file
 *          SG_E_DENIED     it cannot be trusted: a symbolic link, not a plain file, owned by
 *                          neither root nor us, writable by more than its owner, or readable
 *                          by more than owner and group
 *          SG_E_LIMIT      it is over `max_bytes`
 *          SG_E_INVALID    it is empty
 */
SG_MUST_USE enum sg_rc sg_secret_read_file(const char *path, size_t max_bytes,
                                           struct sg_secret **ret, struct sg_err *err);

/* The bytes, for the one call that needs them; lives as long as the secret. */
struct sg_slice sg_secret_bytes(const struct sg_secret *secret);

/* Equal or not, in time that depends on the lengths alone. */
bool sg_secret_eq(struct sg_slice a, struct sg_slice b);

/* Wipes memory in a way the compiler does not remove. */
void sg_wipe(void *ptr, size_t len);

#endif
