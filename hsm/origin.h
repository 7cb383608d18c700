#ifndef SG_HSM_ORIGIN_H
#define SG_HSM_ORIGIN_H

/*
 * How a copy of a key came to be on its token: what may be demanded of its attributes there.
 *
 * A key that was generated on the token is CKA_LOCAL, and was never anywhere else
 * (CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE). The others came from outside by a decision that
 * is recorded elsewhere, and cannot have these three. Everything else is demanded of all of them:
 * sensitive, not extractable now, for signing alone. Zero is the strictest.
 */
enum sg_key_origin {
    SG_ORIGIN_GENERATED = 0,
    SG_ORIGIN_CLONED,    /* by the vendor's replication */
    SG_ORIGIN_UNWRAPPED, /* wrapped on another token and unwrapped on this one */
    SG_ORIGIN_IMPORTED,  /* made by the certification authority */
    SG_ORIGIN_COUNT,
};

#endif
