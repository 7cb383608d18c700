#include "authz/authz.h"

#include <stdlib.h>

#include "base/arena.h"

/* A list from a file of at most 1 MiB fits many times; what is larger is not a list. */
enum { LIST_BYTES_MAX = 64 << 20 };

/* One row, compiled: its names sorted, so that a search takes few comparisons. */
struct row {
    const char *name;
    struct sg_slice *methods, *keys;
    size_t method_count, key_count;
};

struct slot {
    struct sg_authz_identity identity;
    const struct row *row; /* NULL: empty */
};

struct token {
    uint8_t sha256[SG_AUTHZ_TOKEN_LEN];
    int64_t expire_s; /* 0: never */
    const struct row *row;
};

/* Written by sg_authz_new() alone, then read by any thread. */
struct sg_authz {
    struct sg_arena arena; /* all that rows point at */
    struct row *rows;
    size_t row_count;
    struct slot *slots; /* open addressing, at most half full, so a search always ends */
    size_t slot_mask;
    struct token *tokens; /* sorted by their hash */
    size_t token_count;
};

/* Eight bytes a step; each step mixes all bits of the state, by the constants of SplitMix64. */
static uint64_t hash_bytes(uint64_t hash, struct sg_slice bytes)
{
    hash ^= bytes.len;
    while (bytes.len > 0) {
        uint64_t word = 0;
        struct sg_slice part =
            sg_slice_take(&bytes, bytes.len < sizeof(word) ? bytes.len : sizeof(word));
        memcpy(&word, part.ptr, part.len);
        hash = (hash ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
        hash ^= hash >> 31;
    }
    return hash;
}

/*
 * Of both parts of an identity. Nobody gains by choosing URIs that collide: how far a search can
 * run depends on the rows, which the operator wrote.
 */
struct sg_authz_identity sg_authz_identity_of(struct sg_slice ca, struct sg_slice uri)
{
    return (struct sg_authz_identity){
        ca, uri, hash_bytes(hash_bytes(UINT64_C(0x9e3779b97f4a7c15), ca), uri)};
}

static bool is_same(const struct sg_authz_identity *a, const struct sg_authz_identity *b)
{
    return a->hash == b->hash && sg_slice_eq(a->ca, b->ca) && sg_slice_eq(a->uri, b->uri);
}

/* The slot of this identity: with its row, or empty. */
static struct slot *slot_of(const struct sg_authz *authz, const struct sg_authz_identity *identity)
{
    size_t i = (size_t)identity->hash & authz->slot_mask;
    while (authz->slots[i].row != NULL && !is_same(&authz->slots[i].identity, identity))
        i = (i + 1) & authz->slot_mask;
    return &authz->slots[i];
}

static int slice_order(const void *a, const void *b)
{
    const struct sg_slice *x = a, *y = b;
    size_t shorter = x->len < y->len ? x->len : y->len;
    int order = shorter == 0 ? 0 : memcmp(x->ptr, y->ptr, shorter);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static bool names_have(const struct sg_slice *names, size_t count, struct sg_slice name)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_order(&names[middle], &name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool is_ident_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

/* package.Service or package.Service/Method, each part a protobuf identifier. A name without a
 * package could never match anything, so it is a mistake. */
bool sg_authz_is_method(const char *text)
{
    bool at_start = true, seen_dot = false, seen_slash = false;
    for (; *text != '\0'; text++) {
        if (*text == '.' || *text == '/') {
            if (at_start || seen_slash)
                return false;
            seen_dot = seen_dot || *text == '.';
            seen_slash = *text == '/';
            at_start = true;
        } else {
            if (!is_ident_char(*text, at_start))
                return false;
            at_start = false;
        }
    }
    return seen_dot && !at_start;
}

static enum sg_rc out_of_memory(struct sg_err *err)
{
    return SG_FAIL(err, SG_E_LIMIT, 0, "could not compile the list of callers: no memory");
}

static bool copy_str(struct sg_authz *authz, const char *str, struct sg_slice *ret)
{
    const char *copy = sg_arena_strdup(&authz->arena, sg_slice_str(str));
    *ret = sg_slice_str(copy);
    return copy != NULL;
}

static enum sg_rc copy_names(struct sg_authz *authz, const char *const *names, size_t count,
                             struct sg_slice **ret, struct sg_err *err)
{
    if (count > LIST_BYTES_MAX / sizeof(struct sg_slice))
        return out_of_memory(err);
    struct sg_slice *copies = sg_arena_alloc(&authz->arena, count * sizeof(*copies));
    if (copies == NULL)
        return out_of_memory(err);
    for (size_t i = 0; i < count; i++) {
        if (!copy_str(authz, names[i], &copies[i]))
            return out_of_memory(err);
    }
    if (count > 0)
        qsort(copies, count, sizeof(*copies), slice_order);
    *ret = copies;
    return SG_OK;
}

static enum sg_rc check_caller(const struct sg_authz_caller *caller, struct sg_err *err)
{
    if (caller->name == NULL || *caller->name == '\0')
        return SG_FAIL(err, SG_E_INVALID, 0, "a caller has no name");
    if (strlen(caller->name) > SG_AUTHZ_NAME_LEN_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "caller \"%.20s...\" has a name of over %d bytes",
                       caller->name, SG_AUTHZ_NAME_LEN_MAX);
    const bool has_certificate = caller->ca != NULL || caller->uri != NULL;
    if (!has_certificate && caller->token_count == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "caller \"%s\" has no certificate and no token",
                       caller->name);
    if (has_certificate && (caller->ca == NULL || *caller->ca == '\0'))
        return SG_FAIL(err, SG_E_INVALID, 0, "caller \"%s\" has no CA", caller->name);
    if (has_certificate && (caller->uri == NULL || *caller->uri == '\0'))
        return SG_FAIL(err, SG_E_INVALID, 0, "caller \"%s\" has no URI", caller->name);
    for (size_t i = 0; i < caller->token_count; i++) {
        if (caller->tokens[i].len != SG_AUTHZ_TOKEN_LEN)
            return SG_FAIL(err, SG_E_INVALID, 0, "caller \"%s\" has a token without its SHA-256",
                           caller->name);
    }
    for (size_t i = 0; i < caller->method_count; i++) {
        if (!sg_authz_is_method(caller->methods[i]))
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "caller \"%s\" names the method \"%s\", which is neither "
                           "package.Service nor package.Service/Method",
                           caller->name, caller->methods[i]);
    }
    for (size_t i = 0; i < caller->key_count; i++) {
        if (*caller->keys[i] == '\0')
            return SG_FAIL(err, SG_E_INVALID, 0, "caller \"%s\" names an empty key", caller->name);
    }
    return SG_OK;
}

static enum sg_rc add_identity(struct sg_authz *authz, const struct row *row, const char *ca,
                               const char *uri, struct sg_err *err)
{
    struct sg_slice ca_copy, uri_copy;
    if (!copy_str(authz, ca, &ca_copy) || !copy_str(authz, uri, &uri_copy))
        return out_of_memory(err);
    const struct sg_authz_identity identity = sg_authz_identity_of(ca_copy, uri_copy);
    struct slot *slot = slot_of(authz, &identity);
    if (slot->row != NULL)
        return SG_FAIL(err, SG_E_INVALID, 0, "callers \"%s\" and \"%s\" have %s", slot->row->name,
                       row->name, *ca == '\0' ? "one name" : "the same CA and URI");
    *slot = (struct slot){identity, row};
    return SG_OK;
}

static void add_tokens(struct sg_authz *authz, const struct row *row,
                       const struct sg_authz_caller *caller)
{
    for (size_t i = 0; i < caller->token_count; i++) {
        struct token *token = &authz->tokens[authz->token_count++];
        memcpy(token->sha256, caller->tokens[i].ptr, SG_AUTHZ_TOKEN_LEN);
        token->expire_s = caller->tokens_expire_s;
        token->row = row;
    }
}

static int token_order(const void *a, const void *b)
{
    return memcmp(((const struct token *)a)->sha256, ((const struct token *)b)->sha256,
                  SG_AUTHZ_TOKEN_LEN);
}

static enum sg_rc check_tokens(struct sg_authz *authz, struct sg_err *err)
{
    qsort(authz->tokens, authz->token_count, sizeof(*authz->tokens), token_order);
    for (size_t i = 1; i < authz->token_count; i++) {
        if (token_order(&authz->tokens[i - 1], &authz->tokens[i]) == 0)
            return SG_FAIL(err, SG_E_INVALID, 0, "callers \"%s\" and \"%s\" have one token",
                           authz->tokens[i - 1].row->name, authz->tokens[i].row->name);
    }
    return SG_OK;
}

static enum sg_rc add_caller(struct sg_authz *authz, const struct sg_authz_caller *caller,
                             struct sg_err *err)
{
    SG_TRY(check_caller(caller, err));

    struct row *row = &authz->rows[authz->row_count++];
    struct sg_slice name;
    if (!copy_str(authz, caller->name, &name))
        return out_of_memory(err);
    row->name = (const char *)name.ptr;
    row->method_count = caller->method_count;
    row->key_count = caller->key_count;
    SG_TRY(copy_names(authz, caller->methods, caller->method_count, &row->methods, err));
    SG_TRY(copy_names(authz, caller->keys, caller->key_count, &row->keys, err));

    if (caller->ca != NULL)
        SG_TRY(add_identity(authz, row, caller->ca, caller->uri, err));
    if (caller->token_count > 0)
        SG_TRY(add_identity(authz, row, "", caller->name, err));
    add_tokens(authz, row, caller);
    return SG_OK;
}

/* As many rows, slots and tokens as are needed; each row has two identities at most. */
static enum sg_rc make_room(struct sg_authz *authz, const struct sg_authz_caller *callers,
                            size_t count, struct sg_err *err)
{
    size_t slot_count = 2, token_count = 0;
    if (count > LIST_BYTES_MAX / (4 * sizeof(struct slot)))
        return out_of_memory(err);
    while (slot_count < 4 * count)
        slot_count *= 2;
    for (size_t i = 0; i < count; i++) {
        if (callers[i].token_count > LIST_BYTES_MAX / sizeof(struct token) - token_count)
            return out_of_memory(err);
        token_count += callers[i].token_count;
    }
    authz->rows = calloc(count + 1, sizeof(*authz->rows));
    authz->slot_mask = slot_count - 1;
    authz->slots = calloc(slot_count, sizeof(*authz->slots));
    authz->tokens = calloc(token_count + 1, sizeof(*authz->tokens));
    return authz->rows == NULL || authz->slots == NULL || authz->tokens == NULL ? out_of_memory(err)
                                                                                : SG_OK;
}

enum sg_rc sg_authz_new(const struct sg_authz_caller *callers, size_t count, struct sg_authz **ret,
                        struct sg_err *err)
{
    SG_AUTO(sg_authz_free) struct sg_authz *authz = calloc(1, sizeof(*authz));
    if (authz == NULL)
        return out_of_memory(err);
    sg_arena_init(&authz->arena, LIST_BYTES_MAX);
    SG_TRY(make_room(authz, callers, count, err));
    for (size_t i = 0; i < count; i++)
        SG_TRY(add_caller(authz, &callers[i], err));
    SG_TRY(check_tokens(authz, err));

    *ret = SG_STEAL(authz);
    return SG_OK;
}

void sg_authz_free(struct sg_authz *authz)
{
    if (authz == NULL)
        return;
    sg_arena_done(&authz->arena);
    free(authz->tokens);
    free(authz->slots);
    free(authz->rows);
    free(authz);
}

/* Whether the row allows the method itself, or the service it belongs to. */
static bool row_has_method(const struct row *row, struct sg_slice method)
{
    const uint8_t *slash = method.len == 0 ? NULL : memchr(method.ptr, '/', method.len);
    if (slash == NULL)
        return false; /* a request names one method, never a whole service */
    struct sg_slice service = {method.ptr, (size_t)(slash - method.ptr)};
    return names_have(row->methods, row->method_count, method) ||
           names_have(row->methods, row->method_count, service);
}

enum sg_rc sg_authz_bearer(const struct sg_authz *authz, struct sg_slice sha256, int64_t now_s,
                           const char **ret_name, struct sg_err *err)
{
    const struct token *found = NULL;
    struct token wanted;

    if (sha256.len == sizeof(wanted.sha256)) {
        memcpy(wanted.sha256, sha256.ptr, sizeof(wanted.sha256));
        found = bsearch(&wanted, authz->tokens, authz->token_count, sizeof(wanted), token_order);
    }
    if (found == NULL)
        return SG_REFUSE(err, SG_R_BEARER_UNKNOWN, "the bearer token is nobody's");
    if (found->expire_s != 0 && now_s >= found->expire_s)
        return SG_REFUSE(err, SG_R_BEARER_EXPIRED, "the bearer token of \"%s\" has expired",
                         found->row->name);
    *ret_name = found->row->name;
    return SG_OK;
}

void sg_authz_decide(const struct sg_authz *authz, const struct sg_authz_request *request,
                     struct sg_authz_decision *ret)
{
    *ret = (struct sg_authz_decision){.reason = SG_R_CALLER_UNKNOWN, .rule = "default-deny"};

    const struct row *row = slot_of(authz, &request->caller)->row;
    if (row == NULL)
        return;
    ret->rule = row->name;
    if (!row_has_method(row, sg_slice_str(request->method))) {
        ret->reason = SG_R_METHOD_NOT_ALLOWED;
        return;
    }
    if (request->key.len > 0 && !names_have(row->keys, row->key_count, request->key)) {
        ret->reason = SG_R_KEY_NOT_FOUND;
        return;
    }
    ret->reason = SG_R_NONE;
    ret->row = (size_t)(row - authz->rows);
    ret->is_allowed = true;
}

size_t sg_authz_row_count(const struct sg_authz *authz)
{
    return authz->row_count;
}

const struct sg_slice *sg_authz_row_keys(const struct sg_authz *authz, size_t row,
                                         size_t *ret_count)
{
    SG_ASSERT(row < authz->row_count);
    *ret_count = authz->rows[row].key_count;
    return authz->rows[row].keys;
}
