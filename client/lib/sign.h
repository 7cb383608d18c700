#ifndef SG_CLIENT_SIGN_H
#define SG_CLIENT_SIGN_H

#include "client/lib/client_priv.h"
#include "sealgate/v1/signing.pb-c.h"

/* What signing one, a batch, and a stream have in common. */

/* A SignRequest out of the public struct; it borrows everything, so it must not move or outlive
 * what it was made from. */
struct sg_client_sign_message {
    Sealgate__V1__SignRequest request;
    Sealgate__V1__Digest digest, document_digest;
};
/* `asked` has the request_id where it was made here; it must live as long. */
void sg_client_sign_encode(const struct sealgate_sign_request *in, struct sg_client_asked *asked,
                           struct sg_client_sign_message *out);

/* Judges a SignResponse: its CRC-32C, that the server checked ours, that there is a signature
 * unless the call had a dry run in it, and the receipt by what was asked (NULL: that is not known).
 * `*ret` borrows from it and from the arena. */
enum sealgate_code sg_client_sign_decode(const struct sealgate_call *call,
                                         const Sealgate__V1__SignResponse *in,
                                         const struct sg_client_asked *asked,
                                         struct sg_arena *arena, struct sealgate_signature *ret,
                                         struct sealgate_error *error);

#endif
