#include "formats/raw/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>

enum sg_rc sg_digest_of(enum sg_digest_alg alg, struct sg_slice bytes, uint8_t *out,
                        struct sg_err *err)
{
    size_t len;
    SG_ASSERT(sg_digest_len(alg) > 0);
    if (EVP_Q_digest(NULL, sg_digest_name(alg), NULL, bytes.ptr, bytes.len, out, &len) != 1 ||
        len != sg_digest_len(alg))
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not compute a %s digest",
                       sg_digest_name(alg));
    return SG_OK;
}
