#include <dlfcn.h>
#include <libp11.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/pkcs11/p11_priv.h"
#include "hsm/pkcs11/shim.h"

/*
 * Certificate requests: the one place where an EVP_PKEY over a token's key is wanted, so libp11
 * does it. It would also log in, log out, finalize the module and close all sessions of the
 * process, so it gets our function list instead of the module's (shim.h), in which
 *
 *   - C_Initialize says "already", C_Finalize does nothing;
 *   - C_CloseAllSessions closes the sessions that libp11 opened, and no others;
 *   - C_Login says "already", C_Logout does nothing: the login is the anchor session's;
 *   - C_GetSlotList knows one slot, ours;
 *   - C_FindObjectsInit adds the CKA_ID of the key in question: one key of a type libp11 does not
 *     know makes 0.4.12 fail to list any, and a large token would be read whole;
 *   - C_OpenSession never fails, since 0.4.12 waits for ever when it does: it hands out a handle
 *     that fails at its first use.
 *
 * One thread uses it, so the lists it works with are plain statics. A context lives for one
 * request, because libp11 serves destroyed keys from its cache.
 */
enum { SESSIONS_MAX = 32 };

static struct {
    struct sg_p11 *p11;
    struct sg_slice id;
    CK_SESSION_HANDLE sessions[SESSIONS_MAX];
    size_t session_count;
} now;

static CK_RV shim_initialize(void *args)
{
    (void)args;
    return CKR_CRYPTOKI_ALREADY_INITIALIZED;
}

static CK_RV shim_nothing(void *reserved)
{
    (void)reserved;
    return CKR_OK;
}

static CK_RV shim_logout(CK_SESSION_HANDLE session)
{
    (void)session;
    return CKR_OK;
}

static CK_RV shim_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin,
                        CK_ULONG len)
{
    (void)session, (void)user, (void)pin, (void)len;
    return CKR_USER_ALREADY_LOGGED_IN;
}

static CK_RV shim_get_slot_list(CK_BBOOL with_token, CK_SLOT_ID *slots, CK_ULONG *count)
{
    (void)with_token;
    CK_ULONG room = *count;
    *count = 1;
    if (slots == NULL)
        return CKR_OK;
    if (room < 1)
        return CKR_BUFFER_TOO_SMALL;
    slots[0] = now.p11->slot;
    return CKR_OK;
}

static CK_RV shim_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
                               CK_SESSION_HANDLE *ret)
{
    (void)slot, (void)flags;
    *ret = CK_INVALID_HANDLE;
    if (now.session_count < SESSIONS_MAX &&
        now.p11->fn->C_OpenSession(now.p11->slot, CKF_SERIAL_SESSION, app, notify, ret) == CKR_OK)
        now.sessions[now.session_count++] = *ret;
    return CKR_OK;
}

static CK_RV shim_close_session(CK_SESSION_HANDLE session)
{
    for (size_t i = 0; i < now.session_count; i++) {
        if (now.sessions[i] != session)
            continue;
        now.sessions[i] = now.sessions[--now.session_count];
        return now.p11->fn->C_CloseSession(session);
    }
    return CKR_SESSION_HANDLE_INVALID;
}

static CK_RV shim_close_all(CK_SLOT_ID slot)
{
    (void)slot;
    while (now.session_count > 0)
        now.p11->fn->C_CloseSession(now.sessions[--now.session_count]);
    return CKR_OK;
}

static CK_RV shim_find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
    enum { ROWS_MAX = 16 };
    CK_ATTRIBUTE rows[ROWS_MAX];
    CK_BYTE id[SG_JOB_ID_MAX];
    CK_ULONG len = 0;

    if (count >= ROWS_MAX)
        return CKR_ARGUMENTS_BAD;
    for (CK_ULONG i = 0; i < count; i++)
        if (template[i].type != CKA_ID)
            rows[len++] = template[i];
    memcpy(id, now.id.ptr, now.id.len);
    rows[len++] = (CK_ATTRIBUTE){CKA_ID, id, now.id.len};
    return now.p11->fn->C_FindObjectsInit(session, rows, len);
}

/* lib/sealgate/ beside the folder of the running program: the same in a build and installed. */
static bool shim_path(char *out, size_t max)
{
    char exe[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (len <= 0)
        return false;
    exe[len] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return snprintf(out, max, "%s/../lib/sealgate/sealgate-p11-shim.so", exe) < (int)max;
}

static enum sg_outcome load_shim(struct sg_p11 *p11, struct sg_slice id, char *path, size_t max,
                                 struct sg_err *err)
{
    static CK_FUNCTION_LIST list;
    void *library = shim_path(path, max) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *symbol = library == NULL ? NULL : dlsym(library, SG_SHIM_SET);
    if (symbol == NULL)
        return sg_p11_refuse(err, SG_OUT_UNSUPPORTED,
                             "could not make a request: sealgate-p11-shim.so is not installed");

    list = *p11->fn;
    list.version = (CK_VERSION){2, 40}; /* and not a later one with functions behind our backs */
    list.C_Initialize = shim_initialize;
    list.C_Finalize = shim_nothing;
    list.C_Login = shim_login;
    list.C_Logout = shim_logout;
    list.C_GetSlotList = shim_get_slot_list;
    list.C_OpenSession = shim_open_session;
    list.C_CloseSession = shim_close_session;
    list.C_CloseAllSessions = shim_close_all;
    list.C_FindObjectsInit = shim_find_init;
    now.p11 = p11;
    now.id = id;
    now.session_count = 0;

    sg_shim_set_fn set;
    memcpy(&set, &symbol, sizeof(set)); /* ISO C has no cast between the two */
    set(&list);
    return SG_OUT_OK;
}

SG_DEFINE_AUTO(X509_REQ, X509_REQ_free);
SG_DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free);
SG_DEFINE_AUTO(X509_NAME, X509_NAME_free);

static bool add_alt_names(X509_REQ *req, struct sg_slice alt_names, bool is_critical)
{
    if (alt_names.len == 0)
        return true;
    ASN1_OCTET_STRING *bytes = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    X509_EXTENSIONS *extensions = sk_X509_EXTENSION_new_null();
    bool is_added = bytes != NULL && extensions != NULL &&
                    ASN1_OCTET_STRING_set(bytes, alt_names.ptr, (int)alt_names.len) == 1 &&
                    (extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name,
                                                              is_critical, bytes)) != NULL &&
                    sk_X509_EXTENSION_push(extensions, extension) > 0;
    if (is_added)
        extension = NULL; /* the stack's now */
    is_added = is_added && X509_REQ_add_extensions(req, extensions) == 1;
    X509_EXTENSION_free(extension);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    ASN1_OCTET_STRING_free(bytes);
    return is_added;
}

/* RFC 2986, unsigned yet. The names are the gateway's DER and parsed strictly again. */
static X509_REQ *build(const struct sg_request *request, EVP_PKEY *public_key)
{
    const uint8_t *at = request->subject.ptr;
    SG_AUTO(X509_NAME_free) X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)request->subject.len);
    SG_AUTO(X509_REQ_free) X509_REQ *req = X509_REQ_new();
    if (name == NULL || at != request->subject.ptr + request->subject.len || req == NULL)
        return NULL;
    if (request->alt_names.len > 0) {
        at = request->alt_names.ptr;
        GENERAL_NAMES *names = d2i_GENERAL_NAMES(NULL, &at, (long)request->alt_names.len);
        bool is_whole = names != NULL && at == request->alt_names.ptr + request->alt_names.len;
        GENERAL_NAMES_free(names);
        if (!is_whole)
            return NULL;
    }
    if (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_subject_name(req, name) != 1 || X509_REQ_set_pubkey(req, public_key) != 1 ||
        !add_alt_names(req, request->alt_names, X509_NAME_entry_count(name) == 0))
        return NULL;
    return SG_STEAL(req);
}

/* Signs through libp11's EVP_PKEY and verifies with the public key that was judged at load. */
static enum sg_outcome sign(X509_REQ *req, EVP_PKEY *public_key, const struct sg_request *request,
                            PKCS11_SLOT *slot, struct sg_err *err)
{
    PKCS11_KEY *keys = NULL;
    unsigned count = 0;
    if (PKCS11_open_session(slot, 0) != 0 || PKCS11_enumerate_keys(slot->token, &keys, &count) != 0)
        return sg_p11_refuse(err, SG_OUT_TOKEN, "could not make a request: libp11 lists no keys");
    if (count != 1)
        return sg_p11_refuse(err, SG_OUT_KEY, "could not make a request: libp11 sees %u keys",
                             count);
    SG_AUTO(EVP_PKEY_free) EVP_PKEY *private_key = PKCS11_get_private_key(&keys[0]);
    const EVP_MD *md = EVP_get_digestbyname(sg_digest_name(request->digest_alg));
    if (private_key == NULL || md == NULL)
        return sg_p11_refuse(err, SG_OUT_UNSUPPORTED,
                             "could not make a request: libp11 cannot use the key");
    if (X509_REQ_sign(req, private_key, md) <= 0)
        return sg_p11_refuse(err, SG_OUT_TOKEN, "could not make a request: signing it failed");
    if (X509_REQ_verify(req, public_key) != 1)
        return sg_p11_refuse(err, SG_OUT_KEY,
                             "could not make a request: its signature does not verify");
    return SG_OUT_OK;
}

static enum sg_outcome sign_by_libp11(X509_REQ *req, EVP_PKEY *public_key,
                                      const struct sg_request *request, const char *path,
                                      struct sg_err *err)
{
    PKCS11_SLOT *slots = NULL;
    unsigned count = 0;
    enum sg_outcome outcome;
    PKCS11_CTX *ctx = PKCS11_CTX_new();
    if (ctx == NULL)
        return sg_p11_refuse(err, SG_OUT_CAPACITY, "could not make a request: out of memory");
    if (PKCS11_CTX_load(ctx, path) != 0) {
        PKCS11_CTX_free(ctx);
        return sg_p11_refuse(err, SG_OUT_TOKEN, "could not make a request: libp11 does not load");
    }
    if (PKCS11_enumerate_slots(ctx, &slots, &count) != 0 || count != 1 || slots[0].token == NULL)
        outcome =
            sg_p11_refuse(err, SG_OUT_TOKEN, "could not make a request: libp11 sees no token");
    else
        outcome = sign(req, public_key, request, &slots[0], err);

    /* In this order: 0.4.12 frees a slot although a key still points to it. */
    if (slots != NULL)
        PKCS11_release_all_slots(ctx, slots, count);
    PKCS11_CTX_unload(ctx);
    PKCS11_CTX_free(ctx);
    shim_close_all(0);
    return outcome;
}

static enum sg_outcome make(struct sg_p11_session *session, const struct sg_request *request,
                            struct sg_buf *out, struct sg_err *err)
{
    struct sg_p11_key key;
    char path[PATH_MAX + 64];

    enum sg_outcome outcome = sg_p11_session_ready(session, err);
    if (outcome == SG_OUT_OK)
        outcome = sg_p11_keys_ready(session, request->id, &key, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (key.type == SG_KEY_ED25519)
        return sg_p11_refuse(err, SG_OUT_UNSUPPORTED,
                             "could not make a request: libp11 has no Ed25519");
    if (request->deadline_ns != 0 && sg_mono_ns(&sg_clock_system) >= request->deadline_ns)
        return sg_p11_refuse(err, SG_OUT_EXPIRED, "could not make a request: too late");

    uint8_t spki[SG_JOB_SPKI_MAX];
    size_t spki_len;
    outcome = sg_p11_keys_spki(session, &key, spki, &spki_len, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    const uint8_t *at = spki;
    SG_AUTO(EVP_PKEY_free) EVP_PKEY *public_key = d2i_PUBKEY(NULL, &at, (long)spki_len);
    SG_AUTO(X509_REQ_free) X509_REQ *req = public_key == NULL ? NULL : build(request, public_key);
    if (req == NULL)
        return sg_p11_refuse(err, SG_OUT_REQUEST, "could not make a request: malformed names");
    outcome = load_shim(session->p11, request->id, path, sizeof(path), err);
    if (outcome == SG_OUT_OK)
        outcome = sign_by_libp11(req, public_key, request, path, err);
    if (outcome != SG_OUT_OK)
        return outcome;

    int len = i2d_X509_REQ(req, NULL);
    uint8_t *room = len <= 0 ? NULL : sg_buf_room(out, (size_t)len);
    if (room == NULL)
        return sg_p11_refuse(err, SG_OUT_REQUEST, "could not make a request: it is too long");
    sg_buf_claim(out, (size_t)i2d_X509_REQ(req, &room));
    return SG_OUT_OK;
}

enum sg_outcome sg_p11_csr(struct sg_p11_session *session, const struct sg_request *request,
                           struct sg_buf *out, struct sg_err *err)
{
    sg_p11_enter(session);
    enum sg_outcome outcome = make(session, request, out, err);
    if (outcome != SG_OUT_OK && sg_p11_mend(session, outcome, request->id, err))
        outcome = make(session, request, out, err);
    ERR_clear_error(); /* libp11 leaves some behind */
    sg_p11_leave(session);
    return outcome;
}
