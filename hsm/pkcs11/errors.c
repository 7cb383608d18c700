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
    {CKR_USER_ALREADY_LOGGED_IN, SG_OUT_LOGIN, "CKR_USER_ALREADY_LOGGED_IN"},

    {CKR_DEVICE_ERROR, SG_OUT_TOKEN, "CKR_DEVICE_ERROR"},
    {CKR_DEVICE_REMOVED, SG_OUT_TOKEN, "CKR_DEVICE_REMOVED"},
    {CKR_TOKEN_NOT_PRESENT, SG_OUT_TOKEN, "CKR_TOKEN_NOT_PRESENT"},
    {CKR_TOKEN_NOT_RECOGNIZED, SG_OUT_TOKEN, "CKR_TOKEN_NOT_RECOGNIZED"},
    {CKR_CRYPTOKI_NOT_INITIALIZED, SG_OUT_TOKEN, "CKR_CRYPTOKI_NOT_INITIALIZED"},
    {CKR_SLOT_ID_INVALID, SG_OUT_TOKEN, "CKR_SLOT_ID_INVALID"},
    {CKR_GENERAL_ERROR, SG_OUT_TOKEN, "CKR_GENERAL_ERROR"},
    {CKR_FUNCTION_FAILED, SG_OUT_TOKEN, "CKR_FUNCTION_FAILED"},
    {CKR_FUNCTION_CANCELED, SG_OUT_TOKEN, "CKR_FUNCTION_CANCELED"},
    /* The module is in a state that only C_Finalize and C_Initialize, or a new process, mend. */
    {CKR_CRYPTOKI_ALREADY_INITIALIZED, SG_OUT_TOKEN, "CKR_CRYPTOKI_ALREADY_INITIALIZED"},
    {CKR_NEED_TO_CREATE_THREADS, SG_OUT_TOKEN, "CKR_NEED_TO_CREATE_THREADS"},
    {CKR_CANT_LOCK, SG_OUT_TOKEN, "CKR_CANT_LOCK"},
    {CKR_MUTEX_BAD, SG_OUT_TOKEN, "CKR_MUTEX_BAD"},
    {CKR_MUTEX_NOT_LOCKED, SG_OUT_TOKEN, "CKR_MUTEX_NOT_LOCKED"},
    {CKR_RANDOM_NO_RNG, SG_OUT_TOKEN, "CKR_RANDOM_NO_RNG"},
    {CKR_SESSION_READ_WRITE_SO_EXISTS, SG_OUT_TOKEN, "CKR_SESSION_READ_WRITE_SO_EXISTS"},
    {CKR_USER_ANOTHER_ALREADY_LOGGED_IN, SG_OUT_TOKEN, "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"},

    {CKR_SESSION_COUNT, SG_OUT_CAPACITY, "CKR_SESSION_COUNT"},
    {CKR_DEVICE_MEMORY, SG_OUT_CAPACITY, "CKR_DEVICE_MEMORY"},
    {CKR_HOST_MEMORY, SG_OUT_CAPACITY, "CKR_HOST_MEMORY"},
    {CKR_USER_TOO_MANY_TYPES, SG_OUT_CAPACITY, "CKR_USER_TOO_MANY_TYPES"},
    {SG_CKR_TOKEN_RESOURCE_EXCEEDED, SG_OUT_CAPACITY, "CKR_TOKEN_RESOURCE_EXCEEDED"},

    {CKR_PIN_INCORRECT, SG_OUT_PIN, "CKR_PIN_INCORRECT"},
    {CKR_PIN_INVALID, SG_OUT_PIN, "CKR_PIN_INVALID"},
    {CKR_PIN_LEN_RANGE, SG_OUT_PIN, "CKR_PIN_LEN_RANGE"},
    {CKR_PIN_EXPIRED, SG_OUT_PIN, "CKR_PIN_EXPIRED"},
    {CKR_PIN_LOCKED, SG_OUT_PIN, "CKR_PIN_LOCKED"},
    {CKR_USER_PIN_NOT_INITIALIZED, SG_OUT_PIN, "CKR_USER_PIN_NOT_INITIALIZED"},
    {CKR_USER_TYPE_INVALID, SG_OUT_PIN, "CKR_USER_TYPE_INVALID"},

    {CKR_KEY_FUNCTION_NOT_PERMITTED, SG_OUT_KEY, "CKR_KEY_FUNCTION_NOT_PERMITTED"},
    {SG_CKR_ACTION_PROHIBITED, SG_OUT_KEY, "CKR_ACTION_PROHIBITED"},

    {CKR_MECHANISM_INVALID, SG_OUT_UNSUPPORTED, "CKR_MECHANISM_INVALID"},
    {CKR_MECHANISM_PARAM_INVALID, SG_OUT_UNSUPPORTED, "CKR_MECHANISM_PARAM_INVALID"},
    {CKR_FUNCTION_NOT_SUPPORTED, SG_OUT_UNSUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED"},
    {CKR_KEY_SIZE_RANGE, SG_OUT_UNSUPPORTED, "CKR_KEY_SIZE_RANGE"},
    {CKR_KEY_TYPE_INCONSISTENT, SG_OUT_UNSUPPORTED, "CKR_KEY_TYPE_INCONSISTENT"},
    {CKR_DOMAIN_PARAMS_INVALID, SG_OUT_UNSUPPORTED, "CKR_DOMAIN_PARAMS_INVALID"},
    {SG_CKR_CURVE_NOT_SUPPORTED, SG_OUT_UNSUPPORTED, "CKR_CURVE_NOT_SUPPORTED"},

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

const char *sg_p11_name(CK_RV rv)
{
    const struct class *class = find(rv);
    return class == NULL ? "a code of its vendor" : class->name;
}

bool sg_p11_is_vague(CK_RV rv)
{
    return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_FUNCTION_CANCELED;
}

/*
 * A code that is in no class is a refusal too: vendors have codes of their own for a PIN that is
 * wrong or locked, and to try such a one again by itself may lock the token.
 */
enum sg_pin_verdict sg_p11_pin_verdict(CK_RV rv)
{
    if (rv == CKR_OK)
        return SG_PIN_VERDICT_RIGHT;
    if (rv == CKR_USER_ALREADY_LOGGED_IN)
        return SG_PIN_VERDICT_UNASKED;
    if (rv == CKR_DEVICE_ERROR || sg_p11_is_vague(rv))
        return SG_PIN_VERDICT_UNCLEAR; /* the token may have judged it, and the answer been lost */
    switch (sg_p11_class(rv)) {
    case SG_OUT_SESSION:
    case SG_OUT_TOKEN:
    case SG_OUT_CAPACITY:
        return SG_PIN_VERDICT_UNASKED;
    case SG_OUT_UNSET:
    case SG_OUT_OK:
    case SG_OUT_HANDLE:
    case SG_OUT_LOGIN:
    case SG_OUT_PIN:
    case SG_OUT_KEY:
    case SG_OUT_NOT_LOADED:
    case SG_OUT_UNSUPPORTED:
    case SG_OUT_EXPIRED:
    case SG_OUT_REQUEST:
    case SG_OUT_COUNT:
        break;
    }
    return SG_PIN_VERDICT_REFUSED;
}

const char *sg_p11_pin_advice(CK_RV rv)
{
    switch (rv) {
    case CKR_PIN_LOCKED:
        return "it has locked the PIN; have it unlocked, then remove pin-latch in state_dir";
    case CKR_PIN_EXPIRED:
        return "the PIN has expired; set a new one on the token and in pin_file";
    case CKR_USER_PIN_NOT_INITIALIZED:
    case CKR_USER_TYPE_INVALID:
        return "it has no user PIN; set one, then remove pin-latch in state_dir";
    default:
        return "put the right PIN into pin_file, or remove pin-latch in state_dir if it is right";
    }
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
