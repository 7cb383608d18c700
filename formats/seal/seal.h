#ifndef SG_FORMATS_SEAL_SEAL_H
#define SG_FORMATS_SEAL_SEAL_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Something small that others keep for us: only who has the key can read it or make one, and one
 * that was made for something does not open for anything else.
 *
 * AES-256-SIV (RFC 5297), deterministic: the same bytes for the same thing give the same seal. Keys
 * are shared by the gateways of a store and never change, so the nonces of a cipher that needs them
 * would have to be counted over all of them, and a machine that was put back to an earlier state
 * might use one twice; here there is nothing to count. It shows who asked twice for the same, to
 * who asked. A seal is 16 bytes longer than what is in it.
 *
 * Thread: any, several at once.
 */
struct sg_seal;

enum { SG_SEAL_KEY_BYTES = 32, SG_SEAL_OVERHEAD = 16, SG_SEAL_BYTES_MAX = 64 * 1024 };

/* `use` is what the seals are for: no two uses have the same key (HKDF-Expand, RFC 5869 §2.3).
 * Errors: SG_E_INTERNAL: OpenSSL cannot, or no memory. */
SG_MUST_USE enum sg_rc sg_seal_new(const uint8_t key[SG_SEAL_KEY_BYTES], const char *use,
                                   struct sg_seal **ret, struct sg_err *err);
void sg_seal_free(struct sg_seal *seal);
SG_DEFINE_AUTO(struct sg_seal, sg_seal_free);

/* Appends the seal of `plain` for `context`. Neither is empty, and `plain` is at most
 * SG_SEAL_BYTES_MAX. Errors: SG_E_INTERNAL; SG_E_LIMIT: `out` is full. */
SG_MUST_USE enum sg_rc sg_seal_close(const struct sg_seal *seal, struct sg_slice context,
                                     struct sg_slice plain, struct sg_buf *out, struct sg_err *err);
/* Appends what is in it. Errors: SG_E_INVALID: it is no seal of ours, or for something else;
 * SG_E_INTERNAL; SG_E_LIMIT: `out` is full. */
SG_MUST_USE enum sg_rc sg_seal_open(const struct sg_seal *seal, struct sg_slice context,
                                    struct sg_slice sealed, struct sg_buf *out, struct sg_err *err);

#endif
