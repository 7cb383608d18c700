#include "hsm/pkcs11/p11_priv.h"

/* Reading attributes ----------------------------------------------------------------------------
 */

/* What a row's bytes begin with before the token is asked; no CK_BBOOL and no key type does. */
enum { UNTOUCHED = 0xa5, ROWS_MAX = 24 };

static bool is_partial(CK_RV rv)
{
    return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ||
           rv == CKR_BUFFER_TOO_SMALL;
}

static enum sg_outcome read_alone(struct sg_p11_session *session, CK_OBJECT_HANDLE object,
                                  CK_ATTRIBUTE *row, CK_ULONG room, struct sg_err *err)
{
    row->ulValueLen = room;
    CK_RV rv = session->p11->fn->C_GetAttributeValue(session->handle, object, row, 1);
    if (is_partial(rv))
        row->ulValueLen = CK_UNAVAILABLE_INFORMATION;
    else if (rv != CKR_OK)
        return sg_p11_fail(err, rv, "read an attribute of the key");
    return SG_OUT_OK;
}

enum sg_outcome sg_p11_attrs(struct sg_p11_session *session, CK_OBJECT_HANDLE object,
                             CK_ATTRIBUTE *rows, size_t count, struct sg_err *err)
{
    CK_ULONG room[ROWS_MAX];

    SG_ASSERT(count <= ROWS_MAX);
    for (size_t i = 0; i < count; i++) {
        room[i] = rows[i].ulValueLen;
        memset(rows[i].pValue, UNTOUCHED, 1);
    }
    CK_RV rv = session->p11->fn->C_GetAttributeValue(session->handle, object, rows, count);
    if (rv != CKR_OK && !is_partial(rv))
        return sg_p11_fail(err, rv, "read the attributes of the key");
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes = rows[i].pValue;
        /* One row that the key does not have leaves the others read (PKCS#11 2.40 §5.7), but
         * there are modules that stop at it: what they did not reach looks as before. */
        if (rv != CKR_OK && rows[i].ulValueLen == room[i] && bytes[0] == UNTOUCHED) {
            enum sg_outcome outcome = read_alone(session, object, &rows[i], room[i], err);
            if (outcome != SG_OUT_OK)
                return outcome;
        }
        /* Tokens have been seen to say "not available" with CKR_OK. */
        if (rows[i].ulValueLen > room[i])
            rows[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
    }
    return SG_OUT_OK;
}

struct sg_slice sg_p11_attr_bytes(const CK_ATTRIBUTE *row)
{
    bool is_there = row->ulValueLen != CK_UNAVAILABLE_INFORMATION;
    return sg_slice_of(row->pValue, is_there ? row->ulValueLen : 0);
}

/* Judging ---------------------------------------------------------------------------------------
 */

/*
 * What a signing key must be on the token. The first rows hold for every key; the last three are
 * demanded of one that was generated there, since no other can have them.
 */
static const struct rule {
    CK_ATTRIBUTE_TYPE type;
    const char *name;
    bool want, is_of_origin;
} rules[SG_P11_RULES] = {
    {CKA_SENSITIVE, "CKA_SENSITIVE", true, false},
    {CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false, false},
    {CKA_SIGN, "CKA_SIGN", true, false},
    {CKA_DECRYPT, "CKA_DECRYPT", false, false},
    {CKA_UNWRAP, "CKA_UNWRAP", false, false},
    {CKA_DERIVE, "CKA_DERIVE", false, false},
    {CKA_ALWAYS_AUTHENTICATE, "CKA_ALWAYS_AUTHENTICATE", false, false},
    {CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", true, true},
    {CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true, true},
    {CKA_LOCAL, "CKA_LOCAL", true, true},
};

/* One that was said to be read and was not is what it should not be. */
static bool is_true(CK_BBOOL value, const struct rule *rule)
{
    return value == UNTOUCHED ? !rule->want : value != CK_FALSE;
}

enum sg_outcome sg_p11_facts_read(struct sg_p11_session *session, CK_OBJECT_HANDLE handle,
                                  struct sg_p11_facts *ret, struct sg_err *err)
{
    enum { ID = SG_P11_RULES, KEY_TYPE, MODULUS, EXPONENT, COUNT };
    CK_BBOOL values[SG_P11_RULES];
    CK_ATTRIBUTE rows[COUNT];

    *ret = (struct sg_p11_facts){.handle = handle};
    for (size_t i = 0; i < SG_P11_RULES; i++)
        rows[i] = (CK_ATTRIBUTE){rules[i].type, &values[i], sizeof(values[i])};
    rows[ID] = (CK_ATTRIBUTE){CKA_ID, ret->id, sizeof(ret->id)};
    rows[KEY_TYPE] = (CK_ATTRIBUTE){CKA_KEY_TYPE, &ret->key_type, sizeof(ret->key_type)};
    rows[MODULUS] = (CK_ATTRIBUTE){CKA_MODULUS, ret->n, sizeof(ret->n)};
    rows[EXPONENT] = (CK_ATTRIBUTE){CKA_PUBLIC_EXPONENT, ret->e, sizeof(ret->e)};
    enum sg_outcome outcome = sg_p11_attrs(session, handle, rows, COUNT, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    for (size_t i = 0; i < SG_P11_RULES; i++)
        if (rows[i].ulValueLen == sizeof(values[i]) && is_true(values[i], &rules[i]))
            ret->is_true |= 1u << i;
    if (rows[KEY_TYPE].ulValueLen != sizeof(ret->key_type))
        ret->key_type = CK_UNAVAILABLE_INFORMATION;
    ret->id_len = sg_p11_attr_bytes(&rows[ID]).len;
    ret->n_len = sg_p11_attr_bytes(&rows[MODULUS]).len;
    ret->e_len = sg_p11_attr_bytes(&rows[EXPONENT]).len;
    return SG_OUT_OK;
}

enum sg_outcome sg_p11_facts_judge(const struct sg_p11_facts *facts, enum sg_key_type type,
                                   bool is_from_here, struct sg_err *err)
{
    static const CK_KEY_TYPE want[SG_KEY_TYPE_COUNT] = {
        [SG_KEY_RSA_2048] = CKK_RSA, [SG_KEY_RSA_3072] = CKK_RSA, [SG_KEY_RSA_4096] = CKK_RSA,
        [SG_KEY_EC_P256] = CKK_EC,   [SG_KEY_EC_P384] = CKK_EC,   [SG_KEY_ED25519] = CKK_EC_EDWARDS,
    };
    if (facts->key_type != want[type])
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: it is not of type %s",
                             sg_key_type_name(type));
    for (size_t i = 0; i < SG_P11_RULES; i++) {
        bool have = facts->is_true & 1u << i;
        if (have != rules[i].want && (is_from_here || !rules[i].is_of_origin))
            return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: its %s is %s",
                                 rules[i].name, have ? "true" : "false");
    }
    return SG_OUT_OK;
}
