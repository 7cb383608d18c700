#include "hsm/pkcs11/shim.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT void sg_shim_set(CK_FUNCTION_LIST *list);
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret);

static CK_FUNCTION_LIST *given;

void sg_shim_set(CK_FUNCTION_LIST *list)
{
    given = list;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret)
{
    *ret = given;
    return given == NULL ? CKR_GENERAL_ERROR : CKR_OK;
}
