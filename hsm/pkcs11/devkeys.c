/*
 * sealgate-devkeys: puts keys for development on a token.
 *
 * A tool for ops/dev and the tests, run by hand on SoftHSM or any other PKCS#11 module. It makes
 * the token when there is none of that label, and each key pair that is not there yet, on the
 * token, as the token process demands them: for signing only, sensitive, never extractable, known
 * by 16 random bytes of CKA_ID. Keys that are there are kept. One line of output per key:
 *
 *     NAME TYPE ID-IN-HEX
 *
 * (pkcs11-tool and softhsm2-util take PINs on the command line, where every user of the machine
 * reads them, and leave SoftHSM's keys with the right to decrypt and unwrap.)
 */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include <p11-kit/pkcs11.h>

#include "base/algorithm.h"
#include "base/secret.h"

enum { ID_LEN = 16, LABEL_LEN = 32, SLOTS_MAX = 64, PIN_MAX = 128 };

static CK_FUNCTION_LIST *p11;

static void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *fmt, ...)
{
    va_list args;
    fputs("sealgate-devkeys: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void check(CK_RV rv, const char *what)
{
    if (rv != CKR_OK)
        die("could not %s: PKCS#11 error 0x%lx", what, (unsigned long)rv);
}

/* What a key pair of each type is made with. Curves are OIDs in DER. */
static const struct recipe {
    enum sg_key_type type;
    CK_MECHANISM_TYPE mechanism;
    CK_ULONG bits;
    const char *curve;
    CK_ULONG curve_len;
} recipes[] = {
    {SG_KEY_RSA_2048, CKM_RSA_PKCS_KEY_PAIR_GEN, 2048, NULL, 0},
    {SG_KEY_RSA_3072, CKM_RSA_PKCS_KEY_PAIR_GEN, 3072, NULL, 0},
    {SG_KEY_RSA_4096, CKM_RSA_PKCS_KEY_PAIR_GEN, 4096, NULL, 0},
    {SG_KEY_EC_P256, CKM_EC_KEY_PAIR_GEN, 0, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10},
    {SG_KEY_EC_P384, CKM_EC_KEY_PAIR_GEN, 0, "\x06\x05\x2b\x81\x04\x00\x22", 7},
    {SG_KEY_ED25519, CKM_EC_EDWARDS_KEY_PAIR_GEN, 0, "\x06\x03\x2b\x65\x70", 5},
};

static const struct recipe *recipe_find(const char *type)
{
    for (size_t i = 0; i < SG_COUNT(recipes); i++)
        if (strcmp(type, sg_key_type_name(recipes[i].type)) == 0)
            return &recipes[i];
    die("\"%s\" is no key type (rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, ed25519)", type);
}

/* PKCS#11 writes numbers, flags and bytes through one non-const pointer. */
static CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
    return (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, len};
}

static void load_module(const char *path)
{
    CK_C_GetFunctionList get_list;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL)
        die("could not load the module: %s", dlerror());
    *(void **)&get_list = dlsym(module, "C_GetFunctionList");
    if (get_list == NULL)
        die("\"%s\" is no PKCS#11 module", path);
    check(get_list(&p11), "get the module's function list");
    check(p11->C_Initialize(NULL), "initialise the module");
}

/* The label as a token stores it: padded with blanks, no NUL. */
static void padded_label(const char *label, CK_UTF8CHAR out[LABEL_LEN])
{
    size_t len = strlen(label);
    if (len == 0 || len > LABEL_LEN)
        die("a token's label has 1 to %d bytes", LABEL_LEN);
    memset(out, ' ', LABEL_LEN);
    memcpy(out, label, len);
}

/* True when a token of this label exists; else `*slot` is one whose token can be initialised. */
static bool find_slot(const CK_UTF8CHAR label[LABEL_LEN], CK_SLOT_ID *slot)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    bool spare = false;

    check(p11->C_GetSlotList(CK_TRUE, slots, &count), "list the slots");
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (p11->C_GetTokenInfo(slots[i], &info) != CKR_OK)
            continue;
        if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) {
            *slot = slots[i];
            spare = true;
        } else if (memcmp(info.label, label, LABEL_LEN) == 0) {
            *slot = slots[i];
            return true;
        }
    }
    if (!spare)
        die("there is no such token, and no slot to make it in");
    return false;
}

static CK_SESSION_HANDLE log_in(CK_SLOT_ID slot, CK_USER_TYPE user, struct sg_slice pin)
{
    CK_SESSION_HANDLE session;
    CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    check(p11->C_OpenSession(slot, flags, NULL, NULL, &session), "open a session");
    check(p11->C_Login(session, user, (CK_UTF8CHAR *)(uintptr_t)pin.ptr, pin.len), "log in");
    return session;
}

static struct sg_secret *read_pin(const char *path)
{
    struct sg_secret *pin = NULL;
    struct sg_err err;
    if (path == NULL)
        die("--pin-file and, for a new token, --so-pin-file are needed");
    if (sg_secret_read_file(path, PIN_MAX, &pin, &err) != SG_OK)
        die("%s", err.msg);
    return pin;
}

static CK_SLOT_ID make_token(CK_SLOT_ID slot, CK_UTF8CHAR label[LABEL_LEN], struct sg_slice so_pin,
                             struct sg_slice pin)
{
    CK_UTF8CHAR *so = (CK_UTF8CHAR *)(uintptr_t)so_pin.ptr;
    check(p11->C_InitToken(slot, so, so_pin.len, label), "initialise the token");
    /* SoftHSM gives an initialised token a new slot. */
    if (!find_slot(label, &slot))
        die("the token that was just made is gone");
    CK_SESSION_HANDLE session = log_in(slot, CKU_SO, so_pin);
    CK_UTF8CHAR *user = (CK_UTF8CHAR *)(uintptr_t)pin.ptr;
    check(p11->C_InitPIN(session, user, pin.len), "set the PIN");
    check(p11->C_CloseSession(session), "close the session");
    return slot;
}

/* True when the private key called `name` is there; its CKA_ID goes to `id`. */
static bool find_key(CK_SESSION_HANDLE session, const char *name, uint8_t id[ID_LEN])
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template[] = {
        attribute(CKA_CLASS, &class, sizeof(class)),
        attribute(CKA_LABEL, name, strlen(name)),
    };
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;

    check(p11->C_FindObjectsInit(session, template, SG_COUNT(template)), "look for keys");
    check(p11->C_FindObjects(session, found, SG_COUNT(found), &count), "look for keys");
    check(p11->C_FindObjectsFinal(session), "look for keys");
    if (count == 0)
        return false;
    if (count > 1)
        die("the token has more than one private key called \"%s\"", name);
    CK_ATTRIBUTE want = attribute(CKA_ID, id, ID_LEN);
    CK_RV rv = p11->C_GetAttributeValue(session, found[0], &want, 1);
    if (rv != CKR_OK || want.ulValueLen != ID_LEN)
        die("key \"%s\" was not made by this tool: its CKA_ID is not %d bytes", name, ID_LEN);
    return true;
}

static void make_key(CK_SESSION_HANDLE session, const struct recipe *recipe, const char *name,
                     uint8_t id[ID_LEN])
{
    const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    const uint8_t exponent[] = {1, 0, 1};
    CK_MECHANISM mechanism = {recipe->mechanism, NULL, 0};
    CK_OBJECT_HANDLE public_key, private_key;

    if (getrandom(id, ID_LEN, 0) != ID_LEN)
        die("could not get random bytes: %s", strerror(errno));
    CK_ATTRIBUTE public_template[9] = {
        attribute(CKA_TOKEN, &yes, 1),
        attribute(CKA_PRIVATE, &no, 1),
        attribute(CKA_LABEL, name, strlen(name)),
        attribute(CKA_ID, id, ID_LEN),
        attribute(CKA_VERIFY, &yes, 1),
        attribute(CKA_ENCRYPT, &no, 1),
        attribute(CKA_WRAP, &no, 1),
    };
    CK_ULONG public_count = 7;
    if (recipe->bits != 0) {
        public_template[public_count++] =
            attribute(CKA_MODULUS_BITS, &recipe->bits, sizeof(recipe->bits));
        public_template[public_count++] =
            attribute(CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
    } else {
        public_template[public_count++] =
            attribute(CKA_EC_PARAMS, recipe->curve, recipe->curve_len);
    }
    CK_ATTRIBUTE private_template[] = {
        attribute(CKA_TOKEN, &yes, 1),
        attribute(CKA_PRIVATE, &yes, 1),
        attribute(CKA_LABEL, name, strlen(name)),
        attribute(CKA_ID, id, ID_LEN),
        attribute(CKA_SENSITIVE, &yes, 1),
        attribute(CKA_EXTRACTABLE, &no, 1),
        attribute(CKA_SIGN, &yes, 1),
        attribute(CKA_DECRYPT, &no, 1),
        attribute(CKA_UNWRAP, &no, 1),
        attribute(CKA_SIGN_RECOVER, &no, 1),
        attribute(CKA_DERIVE, &no, 1),
    };
    check(p11->C_GenerateKeyPair(session, &mechanism, public_template, public_count,
                                 private_template, SG_COUNT(private_template), &public_key,
                                 &private_key),
          "generate a key pair");
}

static void key_on_token(CK_SESSION_HANDLE session, char *spec)
{
    uint8_t id[ID_LEN];
    char *colon = strchr(spec, ':');
    if (colon == NULL || colon == spec)
        die("\"%s\" is not NAME:TYPE", spec);
    *colon = '\0';
    const struct recipe *recipe = recipe_find(colon + 1);
    if (!find_key(session, spec, id))
        make_key(session, recipe, spec, id);
    printf("%s %s ", spec, sg_key_type_name(recipe->type));
    for (size_t i = 0; i < ID_LEN; i++)
        printf("%02x", id[i]);
    putchar('\n');
}

static void usage(FILE *out)
{
    fputs("usage: sealgate-devkeys --module FILE --token LABEL --pin-file FILE\n"
          "                        [--so-pin-file FILE] NAME:TYPE...\n"
          "\n"
          "Makes the token (when --so-pin-file is given) and the keys that are not there yet, for\n"
          "development. Types: rsa-2048, rsa-3072, rsa-4096, ec-p256, ec-p384, ed25519.\n",
          out);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"module", required_argument, NULL, 'm'},      {"token", required_argument, NULL, 't'},
        {"pin-file", required_argument, NULL, 'p'},    {"help", no_argument, NULL, 'h'},
        {"so-pin-file", required_argument, NULL, 's'}, {NULL, 0, NULL, 0},
    };
    const char *module = NULL, *token = NULL, *pin_file = NULL, *so_pin_file = NULL;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'm':
            module = optarg;
            break;
        case 't':
            token = optarg;
            break;
        case 'p':
            pin_file = optarg;
            break;
        case 's':
            so_pin_file = optarg;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (module == NULL || token == NULL || optind == argc) {
        usage(stderr);
        return 2;
    }

    CK_UTF8CHAR label[LABEL_LEN];
    CK_SLOT_ID slot = 0;
    padded_label(token, label);
    SG_AUTO(sg_secret_free) struct sg_secret *pin = read_pin(pin_file);
    load_module(module);
    if (!find_slot(label, &slot)) {
        SG_AUTO(sg_secret_free) struct sg_secret *so_pin = read_pin(so_pin_file);
        slot = make_token(slot, label, sg_secret_bytes(so_pin), sg_secret_bytes(pin));
    }
    CK_SESSION_HANDLE session = log_in(slot, CKU_USER, sg_secret_bytes(pin));
    for (int i = optind; i < argc; i++)
        key_on_token(session, argv[i]);
    check(p11->C_Finalize(NULL), "close the module");
    return 0;
}
