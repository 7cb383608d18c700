#include <stdlib.h>

#include "formats/audit/request_id.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct sg_request_id read_again(struct sg_slice text, const char *authority,
                                       const char *caller, const char *method)
{
    struct sg_request_id id;
    require(sg_request_id_read(text, sg_slice_str(authority), sg_slice_str(caller),
                               sg_slice_str(method), &id, NULL) == SG_OK);
    return id;
}

static bool same_key(const struct sg_request_id *a, const struct sg_request_id *b)
{
    return memcmp(a->key, b->key, sizeof(a->key)) == 0;
}

static void turn_case(uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z')
            text[i] ^= 0x20;
}

/* One that tells its time has it in front, and is of no age at that time and old long after. */
static void check_time(const struct sg_request_id *id)
{
    enum { DAY_S = 86400 };
    const int64_t ms = INT64_C(1000000);

    require(id->made_ms >= 0 && id->made_ms < INT64_C(1) << 48);
    if (id->made_ms == 0) {
        require(sg_request_id_check_age(id, INT64_MAX, DAY_S, NULL) == SG_OK);
        return;
    }
    for (size_t i = 0; i < 6; i++)
        require(id->key[i] == (uint8_t)(id->made_ms >> (40 - 8 * i)));
    require(sg_request_id_check_age(id, 0, DAY_S, NULL) == SG_OK);
    if (id->made_ms < INT64_MAX / ms - 2000 * DAY_S) {
        require(sg_request_id_check_age(id, id->made_ms * ms, DAY_S, NULL) == SG_OK);
        require(sg_request_id_check_age(id, (id->made_ms + 1002 * DAY_S) * ms, DAY_S, NULL) ==
                SG_E_INVALID);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Property: an id that is taken is a UUID; in the other case of its letters it is the same; of
 * another caller, authority or method it is another, however the letters are cut; its key is not
 * empty; and what is not taken is BAD_REQUEST_ID.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t none[SG_REQUEST_KEY_BYTES];
    const struct sg_slice input = sg_slice_of(data, size);
    uint8_t text[SG_REQUEST_ID_LEN];
    struct sg_request_id id, other;
    struct sg_err err;

    if (sg_request_id_read(input, SG_SLICE("ca"), SG_SLICE("urn:a"), SG_SLICE("S/Sign"), &id,
                           &err) != SG_OK) {
        require(err.reason == SG_R_BAD_REQUEST_ID);
        return 0;
    }
    require(size == SG_REQUEST_ID_LEN);
    require(memcmp(id.key, none, sizeof(none)) != 0);
    memcpy(text, data, size);
    turn_case(text, size);
    other = read_again(sg_slice_of(text, size), "ca", "urn:a", "S/Sign");
    require(same_key(&id, &other) && id.made_ms == other.made_ms);
    other = read_again(input, "cb", "urn:a", "S/Sign");
    require(!same_key(&id, &other));
    other = read_again(input, "ca", "urn:b", "S/Sign");
    require(!same_key(&id, &other));
    other = read_again(input, "ca", "urn:a", "S/BatchSign");
    require(!same_key(&id, &other));
    other = read_again(input, "cau", "rn:a", "S/Sign");
    require(!same_key(&id, &other));
    check_time(&id);
    return 0;
}
