#ifndef SG_HSM_KEYREF_H
#define SG_HSM_KEYREF_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Which token, and which object in it: a pkcs11: URI (RFC 7512), as configuration files have it.
 *
 * Only what can be matched is accepted. An attribute that would be ignored might be the one that
 * tells two tokens apart, so an unknown one is refused; slot-id is refused because slot numbers
 * move; pin-value and pin-source are refused because a PIN has its own setting, which says where
 * it may come from and how it is protected.
 */
enum sg_keyref_attr {
    SG_KEYREF_TOKEN = 1 << 0,
    SG_KEYREF_MANUFACTURER = 1 << 1,
    SG_KEYREF_SERIAL = 1 << 2,
    SG_KEYREF_MODEL = 1 << 3,
    SG_KEYREF_OBJECT = 1 << 4,
    SG_KEYREF_ID = 1 << 5,
    SG_KEYREF_TYPE = 1 << 6,
    SG_KEYREF_MODULE_PATH = 1 << 7,
};

enum sg_keyref_type {
    SG_KEYREF_TYPE_UNSET = 0,
    SG_KEYREF_PUBLIC,
    SG_KEYREF_PRIVATE,
    SG_KEYREF_CERT,
    SG_KEYREF_SECRET_KEY,
    SG_KEYREF_DATA,
};

struct sg_keyref_value {
    size_t len;
    uint8_t bytes[128];
};

/* Plain data; an attribute counts only when its bit is in `has`. */
struct sg_keyref {
    unsigned has;
    struct sg_keyref_value token, manufacturer, serial, model; /* as in CK_TOKEN_INFO, unpadded */
    struct sg_keyref_value object;                             /* CKA_LABEL */
    struct sg_keyref_value id;                                 /* CKA_ID */
    enum sg_keyref_type type;
    char module_path[256];
};

/* Errors: SG_E_INVALID, with the place in the message. */
SG_MUST_USE enum sg_rc sg_keyref_parse(struct sg_slice uri, struct sg_keyref *ret,
                                       struct sg_err *err);

/* The same for a token alone, which it must choose by its label or serial number; what tells a key
 * or a module is refused, for nothing would look at it. */
SG_MUST_USE enum sg_rc sg_keyref_parse_token(struct sg_slice uri, struct sg_keyref *ret,
                                             struct sg_err *err);

/* Appends the one canonical spelling: attributes in the order above, `id` all percent-encoded. */
void sg_keyref_format(const struct sg_keyref *ref, struct sg_buf *out);

static inline struct sg_slice sg_keyref_slice(const struct sg_keyref_value *value)
{
    return sg_slice_of(value->bytes, value->len);
}

#endif
