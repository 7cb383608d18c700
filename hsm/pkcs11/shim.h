#ifndef SG_HSM_PKCS11_SHIM_H
#define SG_HSM_PKCS11_SHIM_H

#include <p11-kit/pkcs11.h>

/*
 * libp11 takes a module by path only, loads it and asks it for C_GetFunctionList. This is that
 * module: a shared object of a few lines beside the programs (lib/sealgate/), which hands out
 * whatever list it was given. libp11.c loads it first and sets the list; dlopen() of the same
 * path gives libp11 the same instance.
 *
 * Why not export C_GetFunctionList from the program itself: it would stand in front of the
 * function of the same name in every vendor's module that calls its own by name.
 */
typedef void (*sg_shim_set_fn)(CK_FUNCTION_LIST *list);
#define SG_SHIM_SET "sg_shim_set"

#endif
