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

/*
 * Reads a file whole, without trailing line ends, through no buffer but the secret's own.
 * Refuses a file that others than its owner may write, or others than owner and group may read.
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
