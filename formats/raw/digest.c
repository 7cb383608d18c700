#include "formats/raw/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>

/* Looking an algorithm up by its name costs as much as hashing a short text, so what was found is
 * kept, as long as the process lives. NULL: OpenSSL has none, or no memory. */
static const EVP_MD *method(enum sg_digest_alg alg)
{
    static _Atomic(EVP_MD *) methods[SG_DIGEST_COUNT];

    EVP_MD *found = atomic_load_explicit(&methods[alg], memory_order_acquire);
    if (found != NULL)
        return found;
    EVP_MD *mine = EVP_MD_fetch(NULL, sg_digest_name(alg), NULL);
    if (mine == NULL || atomic_compare_exchange_strong(&methods[alg], &found, mine))
        return mine;
    EVP_MD_free(mine); /* another thread was first; `found` is its */
    return found;
}

enum sg_rc sg_digest_of(enum sg_digest_alg alg, struct sg_slice bytes, uint8_t *out,
                        struct sg_err *err)
{
    unsigned len;
    SG_ASSERT(sg_digest_len(alg) > 0);
    const EVP_MD *md = method(alg);
    if (md == NULL || EVP_Digest(bytes.ptr, bytes.len, out, &len, md, NULL) != 1 ||
        len != sg_digest_len(alg))
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not compute a %s digest",
                       sg_digest_name(alg));
    return SG_OK;
}
