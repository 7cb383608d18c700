#include <stdarg.h>
#include <stdio.h>

#include "hsm/pkcs11/p11_priv.h"

/*
 * Which return values are acted upon, and how. What is not listed is the request's own fault:
 * it is answered, and neither retried nor held against the token.
 */
static const struct class
{
    CK_RV rv;
    enum sg_outcome outcome;
    const char *name;
} classes[] = {
    {CKR_OK, SG_OUT_OK, "CKR_OK"},

    {CKR_SESSION_HANDLE_INVALID, SG_OUT_SESSION, "CKR_SESSION_HANDLE_INVALID"},
    {CKR_SESSION_CLOSED, SG_OUT_SESSION, "CKR_SESSION_CLOSED"},
    {CKR_OPERATION_ACTIVE, SG_OUT_SESSION, "CKR_OPERATION_ACTIVE"},
    {CKR_OPERATION_NOT_INITIALIZED, SG_OUT_SESSION, "CKR_OPERATION_NOT_INITIALIZED"},

    {CKR_KEY_HANDLE_INVALID, SG_OUT_HANDLE, "CKR_KEY_HANDLE_INVALID"},
    {CKR_OBJECT_HANDLE_INVALID, SG_OUT_HANDLE, "CKR_OBJECT_HANDLE_INVALID"},

    {CKR_USER_NOT_LOGGED_IN, SG_OUT_LOGIN, "CKR_USER_NOT_LOGGED_IN"},

    {CKR_DEVICE_ERROR, SG_OUT_TOKEN, "CKR_DEVICE_ERROR"},
    {CKR_DEVICE_REMOVED, SG_OUT_TOKEN, "CKR_DEVICE_REMOVED"},
    {CKR_TOKEN_NOT_PRESENT, SG_OUT_TOKEN, "CKR_TOKEN_NOT_PRESENT"},
    {CKR_TOKEN_NOT_RECOGNIZED, SG_OUT_TOKEN, "CKR_TOKEN_NOT_RECOGNIZED"},
    {CKR_CRYPTOKI_NOT_INITIALIZED, SG_OUT_TOKEN, "CKR_CRYPTOKI_NOT_INITIALIZED"},
    {CKR_SLOT_ID_INVALID, SG_OUT_TOKEN, "CKR_SLOT_ID_INVALID"},
    {CKR_GENERAL_ERROR, SG_OUT_TOKEN, "CKR_GENERAL_ERROR"},
    {CKR_FUNCTION_FAILED, SG_OUT_TOKEN, "CKR_FUNCTION_FAILED"},
    {CKR_FUNCTION_CANCELED, SG_OUT_TOKEN, "CKR_FUNCTION_CANCELED"},

    {CKR_SESSION_COUNT, SG_OUT_CAPACITY, "CKR_SESSION_COUNT"},
    {CKR_DEVICE_MEMORY, SG_OUT_CAPACITY, "CKR_DEVICE_MEMORY"},
    {CKR_HOST_MEMORY, SG_OUT_CAPACITY, "CKR_HOST_MEMORY"},

    {CKR_PIN_INCORRECT, SG_OUT_PIN, "CKR_PIN_INCORRECT"},
    {CKR_PIN_INVALID, SG_OUT_PIN, "CKR_PIN_INVALID"},
    {CKR_PIN_LEN_RANGE, SG_OUT_PIN, "CKR_PIN_LEN_RANGE"},
    {CKR_PIN_EXPIRED, SG_OUT_PIN, "CKR_PIN_EXPIRED"},
    {CKR_PIN_LOCKED, SG_OUT_PIN, "CKR_PIN_LOCKED"},
    {CKR_USER_PIN_NOT_INITIALIZED, SG_OUT_PIN, "CKR_USER_PIN_NOT_INITIALIZED"},

    {CKR_KEY_FUNCTION_NOT_PERMITTED, SG_OUT_KEY, "CKR_KEY_FUNCTION_NOT_PERMITTED"},

    {CKR_MECHANISM_INVALID, SG_OUT_UNSUPPORTED, "CKR_MECHANISM_INVALID"},
    {CKR_MECHANISM_PARAM_INVALID, SG_OUT_UNSUPPORTED, "CKR_MECHANISM_PARAM_INVALID"},
    {CKR_FUNCTION_NOT_SUPPORTED, SG_OUT_UNSUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED"},
    {CKR_KEY_SIZE_RANGE, SG_OUT_UNSUPPORTED, "CKR_KEY_SIZE_RANGE"},
    {CKR_KEY_TYPE_INCONSISTENT, SG_OUT_UNSUPPORTED, "CKR_KEY_TYPE_INCONSISTENT"},

    {CKR_ARGUMENTS_BAD, SG_OUT_REQUEST, "CKR_ARGUMENTS_BAD"},
    {CKR_DATA_INVALID, SG_OUT_REQUEST, "CKR_DATA_INVALID"},
    {CKR_DATA_LEN_RANGE, SG_OUT_REQUEST, "CKR_DATA_LEN_RANGE"},
    {CKR_BUFFER_TOO_SMALL, SG_OUT_REQUEST, "CKR_BUFFER_TOO_SMALL"},
};

static const struct class *find(CK_RV rv)
{
    for (size_t i = 0; i < SG_COUNT(classes); i++)
        if (classes[i].rv == rv)
            return &classes[i];
    return NULL;
}

enum sg_outcome sg_p11_class(CK_RV rv)
{
    const struct class *class = find(rv);
    return class == NULL ? SG_OUT_REQUEST : class->outcome;
}

enum sg_outcome sg_p11_fail(struct sg_err *err, CK_RV rv, const char *what)
{
    const struct class *class = find(rv);
    SG_IGNORE(SG_FAIL(err, SG_E_INTERNAL, rv, "could not %s: %s (0x%lx)", what,
                      class == NULL ? "unknown CKR" : class->name, rv)); /* the outcome counts */
    return sg_p11_class(rv);
}

enum sg_outcome sg_p11_refuse(struct sg_err *err, enum sg_outcome outcome, const char *fmt, ...)
{
    char text[SG_JOB_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    SG_IGNORE(SG_FAIL(err, SG_E_INTERNAL, 0, "%s", text)); /* the outcome counts */
    return outcome;
}
