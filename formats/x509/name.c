#include "formats/x509/name.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <strings.h>

#include "base/cleanup.h"

SG_DEFINE_AUTO(X509_NAME, X509_NAME_free);
SG_DEFINE_AUTO(GENERAL_NAMES, GENERAL_NAMES_free);

enum { DER_BYTES_MAX = 65536 };

static const struct {
    const char *type;
    int nid;
} types[] = {
    {"CN", NID_commonName},
    {"O", NID_organizationName},
    {"OU", NID_organizationalUnitName},
    {"C", NID_countryName},
    {"L", NID_localityName},
    {"ST", NID_stateOrProvinceName},
    {"STREET", NID_streetAddress},
    {"SERIALNUMBER", NID_serialNumber},
    {"GN", NID_givenName},
    {"SN", NID_surname},
    {"TITLE", NID_title},
    {"UID", NID_userId},
    {"EMAIL", NID_pkcs9_emailAddress},
    {"ORGANIZATIONIDENTIFIER", NID_organizationIdentifier},
};

/* Numbers with single dots between them; OBJ_txt2obj() takes more. */
static bool is_dotted_number(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        const bool is_digit = *c >= '0' && *c <= '9';
        if (!is_digit && (*c != '.' || c == text || c[-1] == '.' || c[1] == '\0'))
            return false;
    }
    return text[0] != '\0';
}

/* The object of a type by its name here, or by its number. */
static ASN1_OBJECT *object_of(const char *type)
{
    for (size_t i = 0; i < SG_COUNT(types); i++) {
        if (strcasecmp(types[i].type, type) == 0)
            return OBJ_nid2obj(types[i].nid);
    }
    return is_dotted_number(type) ? OBJ_txt2obj(type, 1) : NULL;
}

static enum sg_rc add_attribute(X509_NAME *name, const struct sg_name_attribute *attribute,
                                struct sg_err *err)
{
    ASN1_OBJECT *object = object_of(attribute->type);
    if (object == NULL)
        return SG_REFUSE(err, SG_R_BAD_SUBJECT, "subject: there is no attribute type \"%.40s\"",
                         attribute->type);

    /* OpenSSL checks the length that X.520 allows for the type and copies both. */
    int added =
        attribute->value[0] == '\0'
            ? 0
            : X509_NAME_add_entry_by_OBJ(name, object, MBSTRING_UTF8,
                                         (const unsigned char *)attribute->value, -1, -1, 0);
    ASN1_OBJECT_free(object);
    if (added != 1) {
        ERR_clear_error();
        return SG_REFUSE(err, SG_R_BAD_SUBJECT,
                         "subject: the value of \"%.40s\" is empty, too long or not allowed there",
                         attribute->type);
    }
    return SG_OK;
}

enum sg_rc sg_name_encode(const struct sg_name_attribute *attributes, size_t count,
                          struct sg_buf *out, struct sg_err *err)
{
    if (count > SG_NAME_ATTRIBUTES_MAX)
        return SG_REFUSE(err, SG_R_BAD_SUBJECT, "a subject has at most %d attributes",
                         SG_NAME_ATTRIBUTES_MAX);
    SG_AUTO(X509_NAME_free) X509_NAME *name = X509_NAME_new();
    if (name == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not build a name");

    for (size_t i = 0; i < count; i++)
        SG_TRY(add_attribute(name, &attributes[i], err));
    if (X509_NAME_get_index_by_NID(name, NID_commonName, -1) < 0)
        return SG_REFUSE(err, SG_R_BAD_SUBJECT, "subject: there is no CN");

    int len = i2d_X509_NAME(name, NULL);
    uint8_t *room = len <= 0 || len > DER_BYTES_MAX ? NULL : sg_buf_room(out, (size_t)len);
    if (room == NULL || i2d_X509_NAME(name, &room) != len)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not encode a name");
    sg_buf_claim(out, (size_t)len);
    return SG_OK;
}

static int general_name_type(enum sg_alt_name_kind kind)
{
    switch (kind) {
    case SG_ALT_DNS:
        return GEN_DNS;
    case SG_ALT_EMAIL:
        return GEN_EMAIL;
    case SG_ALT_URI:
        break;
    }
    return GEN_URI;
}

static bool is_printable_ascii(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~')
            return false;
    }
    return value[0] != '\0';
}

static enum sg_rc add_alt_name(GENERAL_NAMES *names, const struct sg_alt_name *from,
                               struct sg_err *err)
{
    if (!is_printable_ascii(from->value))
        return SG_REFUSE(err, SG_R_BAD_SUBJECT,
                         "subjectAltName: \"%.60s\" is empty or not printable ASCII", from->value);

    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (text == NULL || name == NULL || ASN1_STRING_set(text, from->value, -1) != 1) {
        ASN1_IA5STRING_free(text);
        GENERAL_NAME_free(name);
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not build subjectAltName");
    }
    GENERAL_NAME_set0_value(name, general_name_type(from->kind), text); /* takes text */
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        GENERAL_NAME_free(name);
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not build subjectAltName");
    }
    return SG_OK;
}

enum sg_rc sg_alt_names_encode(const struct sg_alt_name *names, size_t count, struct sg_buf *out,
                               struct sg_err *err)
{
    SG_AUTO(GENERAL_NAMES_free) GENERAL_NAMES *all = GENERAL_NAMES_new();
    if (all == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not build subjectAltName");

    for (size_t i = 0; i < count; i++)
        SG_TRY(add_alt_name(all, &names[i], err));

    int len = i2d_GENERAL_NAMES(all, NULL);
    uint8_t *room = len <= 0 || len > DER_BYTES_MAX ? NULL : sg_buf_room(out, (size_t)len);
    if (room == NULL || i2d_GENERAL_NAMES(all, &room) != len)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not encode subjectAltName");
    sg_buf_claim(out, (size_t)len);
    return SG_OK;
}
