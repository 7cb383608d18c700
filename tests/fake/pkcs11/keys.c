/* Objects: synthetic keys (fault.h), and searches that find them beside the real ones. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/pkcs11/faultp11_priv.h"

/* Of a real handle this bit is never set; below it lie the number and which part it is. */
#define SYNTHETIC_BIT ((CK_OBJECT_HANDLE)1 << 39)

enum { PUBLIC_PART = 0, PRIVATE_PART = 1, ROWS_MAX = 64, CHUNK = 256, KNOWN_MAX = 64 };
enum { VALUE_MAX = 2048, LABEL_MAX = 32 };

/* The real module's handles of the pair that synthetic keys borrow from; 0: not known. */
static _Atomic CK_OBJECT_HANDLE base[2];

/* Attributes of that pair, while "memo" is on: a hundred thousand keys ask for the same. */
struct known {
    CK_ATTRIBUTE_TYPE type;
    CK_RV rv;
    CK_ULONG len;
    uint8_t bytes[VALUE_MAX];
};
static struct known known[2][KNOWN_MAX];
static size_t known_count[2];
static pthread_rwlock_t known_lock = PTHREAD_RWLOCK_INITIALIZER;

void fault_forget_objects(void)
{
    pthread_rwlock_wrlock(&known_lock);
    base[PUBLIC_PART] = base[PRIVATE_PART] = 0;
    known_count[PUBLIC_PART] = known_count[PRIVATE_PART] = 0;
    pthread_rwlock_unlock(&known_lock);
    fault_forget_signatures();
}

static CK_OBJECT_HANDLE handle_of(uint64_t place)
{
    return fault_wrap(SYNTHETIC_BIT | place);
}

bool fault_use_object(CK_OBJECT_HANDLE *object, int64_t *ret_synthetic)
{
    *ret_synthetic = -1;
    if (!fault_unwrap(object))
        return false;
    if (!(*object & SYNTHETIC_BIT))
        return true;
    const uint64_t place = *object & ~SYNTHETIC_BIT;
    *ret_synthetic = (int64_t)(place / 2);
    *object = base[place % 2];
    return *object != 0 && place / 2 < fault_control->synthetic_count;
}

void fault_synthetic_id(uint64_t number, uint8_t out[16])
{
    memcpy(out, FAULT_SYNTHETIC_ID, 8);
    for (int i = 0; i < 8; i++)
        out[8 + i] = (uint8_t)(number >> (56 - 8 * i));
}

static int label_of(uint64_t number, char out[LABEL_MAX])
{
    return snprintf(out, LABEL_MAX, "synthetic-%llu", (unsigned long long)number);
}

/* Which key has this CKA_ID or CKA_LABEL; -1: none. */
static int64_t number_of(const CK_ATTRIBUTE *row)
{
    uint64_t number = 0;
    char label[LABEL_MAX];
    const uint8_t *bytes = row->pValue;

    if (row->type == CKA_ID) {
        if (row->ulValueLen != 16 || memcmp(bytes, FAULT_SYNTHETIC_ID, 8) != 0)
            return -1;
        for (int i = 0; i < 8; i++)
            number = number << 8 | bytes[8 + i];
    } else {
        if (row->ulValueLen <= 10 || row->ulValueLen >= LABEL_MAX)
            return -1;
        memcpy(label, bytes, row->ulValueLen);
        label[row->ulValueLen] = '\0';
        number = strtoull(label + 10, NULL, 10);
        char right[LABEL_MAX];
        label_of(number, right);
        if (strcmp(right, label) != 0)
            return -1;
    }
    return number < fault_control->synthetic_count ? (int64_t)number : -1;
}

/* Searching --------------------------------------------------------------------------------- */

static CK_RV search_all(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count,
                        CK_OBJECT_HANDLE **ret, CK_ULONG *ret_count)
{
    CK_OBJECT_HANDLE *found = NULL;
    CK_ULONG total = 0, got = 0;
    CK_RV rv = fault_real->C_FindObjectsInit(session, rows, count);
    if (rv != CKR_OK)
        return rv;
    do {
        CK_OBJECT_HANDLE *more = realloc(found, (total + CHUNK) * sizeof(*found));
        rv = more == NULL ? CKR_HOST_MEMORY : CKR_OK;
        if (rv == CKR_OK) {
            found = more;
            rv = fault_real->C_FindObjects(session, found + total, CHUNK, &got);
            total += rv == CKR_OK ? got : 0;
        }
    } while (rv == CKR_OK && got > 0);
    fault_real->C_FindObjectsFinal(session);
    if (rv != CKR_OK) {
        free(found);
        return rv;
    }
    *ret = found;
    *ret_count = total;
    return CKR_OK;
}

/* Looks which parts of the real pair the template would find, had it not its own names. */
static CK_RV search_base(CK_SESSION_HANDLE session, const CK_ATTRIBUTE *rows, CK_ULONG count,
                         struct fault_search *search)
{
    CK_ATTRIBUTE others[ROWS_MAX + 1];
    CK_OBJECT_HANDLE *found;
    CK_ULONG kept = 0, found_count;

    for (CK_ULONG i = 0; i < count; i++)
        if (rows[i].type != CKA_ID && rows[i].type != CKA_LABEL)
            others[kept++] = rows[i];
    others[kept++] = (CK_ATTRIBUTE){CKA_ID, fault_control->synthetic_base.bytes,
                                    fault_control->synthetic_base.len};
    CK_RV rv = search_all(session, others, kept, &found, &found_count);
    if (rv != CKR_OK)
        return rv;
    for (CK_ULONG i = 0; i < found_count; i++) {
        CK_OBJECT_CLASS class = 0;
        CK_ATTRIBUTE row = {CKA_CLASS, &class, sizeof(class)};
        if (fault_real->C_GetAttributeValue(session, found[i], &row, 1) != CKR_OK ||
            (class != CKO_PRIVATE_KEY && class != CKO_PUBLIC_KEY))
            continue;
        const int part = class == CKO_PRIVATE_KEY ? PRIVATE_PART : PUBLIC_PART;
        search->with[part] = true;
        base[part] = found[i];
    }
    free(found);
    return CKR_OK;
}

CK_RV fault_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count)
{
    ENTER(FindObjectsInit);
    SESSION(session);
    struct fault_session *ours = fault_session_of(session);
    if (ours == NULL)
        return fault_leave(CKR_SESSION_HANDLE_INVALID);
    if (fault_control->synthetic_count == 0 || count > ROWS_MAX)
        return fault_leave(fault_real->C_FindObjectsInit(session, rows, count));
    if (ours->search.is_ours)
        return fault_leave(CKR_OPERATION_ACTIVE);

    struct fault_search search = {.places = 2 * (uint64_t)fault_control->synthetic_count};
    for (CK_ULONG i = 0; i < count; i++) {
        if (rows[i].type != CKA_ID && rows[i].type != CKA_LABEL)
            continue;
        const int64_t number = number_of(&rows[i]);
        const bool is_possible = number >= 0 && search.place <= 2 * (uint64_t)number &&
                                 2 * (uint64_t)number < search.places;
        search.place = is_possible ? 2 * (uint64_t)number : 0;
        search.places = is_possible ? search.place + 2 : 0;
    }
    CK_RV rv = search_base(session, rows, count, &search);
    if (rv == CKR_OK)
        rv = search_all(session, rows, count, &search.real, &search.count);
    search.is_ours = rv == CKR_OK;
    if (rv == CKR_OK)
        ours->search = search;
    return fault_leave(rv);
}

CK_RV fault_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *ret, CK_ULONG max,
                        CK_ULONG *count)
{
    ENTER(FindObjects);
    SESSION(session);
    struct fault_session *ours = fault_session_of(session);
    if (ours == NULL || !ours->search.is_ours) {
        CK_RV rv = fault_real->C_FindObjects(session, ret, max, count);
        for (CK_ULONG i = 0; rv == CKR_OK && i < *count; i++)
            ret[i] = fault_wrap(ret[i]);
        return fault_leave(rv);
    }
    struct fault_search *search = &ours->search;
    *count = 0;
    while (*count < max && search->at < search->count)
        ret[(*count)++] = fault_wrap(search->real[search->at++]);
    for (; *count < max && search->place < search->places; search->place++)
        if (search->with[search->place % 2])
            ret[(*count)++] = handle_of(search->place);
    return fault_leave(CKR_OK);
}

CK_RV fault_FindObjectsFinal(CK_SESSION_HANDLE session)
{
    ENTER(FindObjectsFinal);
    SESSION(session);
    struct fault_session *ours = fault_session_of(session);
    if (ours == NULL || !ours->search.is_ours)
        return fault_leave(fault_real->C_FindObjectsFinal(session));
    free(ours->search.real);
    ours->search = (struct fault_search){0};
    return fault_leave(CKR_OK);
}

/* Attributes -------------------------------------------------------------------------------- */

static CK_RV give(CK_ATTRIBUTE *row, const void *bytes, CK_ULONG len)
{
    if (row->pValue == NULL) {
        row->ulValueLen = len;
        return CKR_OK;
    }
    if (row->ulValueLen < len) {
        row->ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return CKR_BUFFER_TOO_SMALL;
    }
    memcpy(row->pValue, bytes, len);
    row->ulValueLen = len;
    return CKR_OK;
}

static bool recall(int part, CK_ATTRIBUTE *row, CK_RV *ret_rv)
{
    bool is_known = false;
    pthread_rwlock_rdlock(&known_lock);
    for (size_t i = 0; i < known_count[part] && !is_known; i++) {
        if (known[part][i].type != row->type)
            continue;
        is_known = true;
        *ret_rv = known[part][i].rv;
        if (*ret_rv == CKR_OK)
            *ret_rv = give(row, known[part][i].bytes, known[part][i].len);
        else
            row->ulValueLen = CK_UNAVAILABLE_INFORMATION;
    }
    pthread_rwlock_unlock(&known_lock);
    return is_known;
}

/* Asks the real token and keeps what it says, of this object. */
static void learn(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, int part,
                  CK_ATTRIBUTE_TYPE type)
{
    struct known fact = {.type = type};
    CK_ATTRIBUTE row = {type, fact.bytes, sizeof(fact.bytes)};
    fact.rv = fault_real->C_GetAttributeValue(session, object, &row, 1);
    fact.len = row.ulValueLen;
    if (fact.rv != CKR_OK && fact.rv != CKR_ATTRIBUTE_TYPE_INVALID &&
        fact.rv != CKR_ATTRIBUTE_SENSITIVE)
        return;
    pthread_rwlock_wrlock(&known_lock);
    if (base[part] == object && known_count[part] < KNOWN_MAX)
        known[part][known_count[part]++] = fact;
    pthread_rwlock_unlock(&known_lock);
}

static CK_RV get_one(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, uint64_t place,
                     CK_ATTRIBUTE *row)
{
    const int part = (int)(place % 2);
    uint8_t id[16];
    char label[LABEL_MAX];
    CK_RV rv;

    if (row->type == CKA_ID) {
        fault_synthetic_id(place / 2, id);
        return give(row, id, sizeof(id));
    }
    if (row->type == CKA_LABEL) {
        const int len = label_of(place / 2, label);
        return give(row, label, (CK_ULONG)len);
    }
    if (fault_control->memo != 0) {
        if (recall(part, row, &rv))
            return rv;
        learn(session, object, part, row->type);
    }
    return fault_real->C_GetAttributeValue(session, object, row, 1);
}

CK_RV fault_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                              CK_ATTRIBUTE *rows, CK_ULONG count)
{
    int64_t synthetic;

    ENTER(GetAttributeValue);
    SESSION(session);
    const uint64_t place = object & (SYNTHETIC_BIT - 1);
    if (!fault_use_object(&object, &synthetic))
        return fault_leave(CKR_OBJECT_HANDLE_INVALID);
    if (synthetic < 0)
        return fault_leave(fault_real->C_GetAttributeValue(session, object, rows, count));
    CK_RV rv = CKR_OK;
    for (CK_ULONG i = 0; i < count; i++) {
        const CK_RV row_rv = get_one(session, object, place, &rows[i]);
        if (row_rv != CKR_OK) /* PKCS#11 2.40 §5.7: all rows are answered, one error is told */
            rv = row_rv;
    }
    return fault_leave(rv);
}
