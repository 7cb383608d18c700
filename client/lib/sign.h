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

/* An id of our own into `asked`, where there is none and one does any good. Errors: OUT_OF_MEMORY.
 */
enum sealgate_code sg_client_make_id(const struct sealgate_client *client,
                                     const struct sealgate_sign_request *request,
                                     struct sg_client_asked *asked, struct sealgate_error *error);
/* Whether the server tells the request from a new one when it comes again. */
bool sg_client_is_repeatable(const struct sealgate_client *client,
                             const struct sealgate_sign_request *request,
                             const struct sg_client_asked *asked);
/* Whether the server serves no ids, and said so of one that was made here. */
bool sg_client_refused_id(const struct sg_client_asked *asked, const struct sealgate_error *error);
/* Takes an id that was made here out of the unpacked request. */
void sg_client_strip_id(Sealgate__V1__SignRequest *request, struct sg_client_asked *asked);

/* Judges a SignResponse: its CRC-32C, that the server checked ours, that there is a signature
 * unless the call had a dry run in it, and the receipt by what was asked (NULL: that is not known).
 * `*ret` borrows from it and from the arena. */
enum sealgate_code sg_client_sign_decode(const struct sealgate_call *call,
                                         const Sealgate__V1__SignResponse *in,
                                         const struct sg_client_asked *asked,
                                         struct sg_arena *arena, struct sealgate_signature *ret,
                                         struct sealgate_error *error);

#endif
