#include "gateway/rpc/page_token.h"
#include "tests/support/unit.h"

static const uint8_t key[SG_SEAL_KEY_BYTES] = {1};

struct listing {
    const char *name, *authority, *caller, *method, *filter;
    uint64_t log_id;
};

/* The first is whose tokens are made; no other takes them. */
static const struct listing listings[] = {
    {"ours", "ca", "urn:a", "S/List", "filter", 7},
    {"another CA", "cb", "urn:a", "S/List", "filter", 7},
    {"another caller", "ca", "urn:b", "S/List", "filter", 7},
    {"the same letters, cut elsewhere", "caurn", ":a", "S/List", "filter", 7},
    {"another method", "ca", "urn:a", "S/Show", "filter", 7},
    {"another filter", "ca", "urn:a", "S/List", "filteR", 7},
    {"no filter", "ca", "urn:a", "S/List", "", 7},
    {"another log", "ca", "urn:a", "S/List", "filter", 8},
};

static void scope_of(const struct listing *listing, uint8_t ret[SG_PAGE_SCOPE_BYTES])
{
    assert_int_equal(sg_page_scope(sg_slice_str(listing->authority), sg_slice_str(listing->caller),
                                   sg_slice_str(listing->method), sg_slice_str(listing->filter),
                                   ret, NULL),
                     SG_OK);
}

static struct sg_buf token_of(const struct sg_seal *seal, const struct listing *listing,
                              uint64_t next)
{
    uint8_t scope[SG_PAGE_SCOPE_BYTES];
    struct sg_buf token;

    scope_of(listing, scope);
    sg_buf_init(&token, SG_PAGE_TOKEN_LEN);
    assert_int_equal(sg_page_token_write(seal, scope, listing->log_id, next, &token, NULL), SG_OK);
    assert_int_equal(token.len, SG_PAGE_TOKEN_LEN);
    return token;
}

static enum sg_rc read_token(const struct sg_seal *seal, const struct listing *listing,
                             struct sg_slice token, uint64_t *ret_next)
{
    uint8_t scope[SG_PAGE_SCOPE_BYTES];
    struct sg_err err = {0};

    scope_of(listing, scope);
    enum sg_rc rc = sg_page_token_read(seal, scope, listing->log_id, token, ret_next, &err);
    if (rc != SG_OK)
        assert_int_equal(err.reason, SG_R_BAD_PAGE_TOKEN);
    return rc;
}

static void a_token_is_taken_by_its_listing_alone(void **state)
{
    static const uint64_t places[] = {0, 1, 50, UINT32_MAX, UINT64_MAX};
    struct sg_seal *seal;
    uint64_t next = 3;
    (void)state;

    assert_int_equal(sg_seal_new(key, "pages", &seal, NULL), SG_OK);
    for (size_t i = 0; i < SG_COUNT(places); i++) {
        struct sg_buf token = token_of(seal, &listings[0], places[i]);
        assert_int_equal(read_token(seal, &listings[0], sg_buf_slice(&token), &next), SG_OK);
        assert_true(next == places[i]);
        for (size_t j = 1; j < SG_COUNT(listings); j++) {
            print_message("  %s\n", listings[j].name);
            assert_int_equal(read_token(seal, &listings[j], sg_buf_slice(&token), &next),
                             SG_E_INVALID);
        }
        sg_buf_done(&token);
    }
    sg_seal_free(seal);
}

static void what_was_forged_cut_or_made_elsewhere_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "keys/alpha"};
    static const uint8_t other_key[SG_SEAL_KEY_BYTES] = {2};
    struct sg_seal *seal, *other;
    uint64_t next = 3;
    (void)state;

    assert_int_equal(sg_seal_new(key, "pages", &seal, NULL), SG_OK);
    assert_int_equal(sg_seal_new(other_key, "pages", &other, NULL), SG_OK);
    struct sg_buf token = token_of(seal, &listings[0], 50);
    struct sg_buf foreign = token_of(other, &listings[0], 50);
    for (size_t i = 0; i < SG_COUNT(texts); i++)
        assert_int_equal(read_token(seal, &listings[0], sg_slice_str(texts[i]), &next),
                         SG_E_INVALID);
    for (size_t len = 0; len < token.len; len++)
        assert_int_equal(read_token(seal, &listings[0], sg_slice_of(token.ptr, len), &next),
                         SG_E_INVALID);
    for (size_t i = 0; i < token.len; i++) {
        const uint8_t was = token.ptr[i];
        token.ptr[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(read_token(seal, &listings[0], sg_buf_slice(&token), &next), SG_E_INVALID);
        token.ptr[i] = was;
    }
    assert_int_equal(read_token(seal, &listings[0], sg_buf_slice(&foreign), &next), SG_E_INVALID);
    assert_true(next == 3);
    sg_buf_done(&token);
    sg_buf_done(&foreign);
    sg_seal_free(seal);
    sg_seal_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_taken_by_its_listing_alone),
        cmocka_unit_test(what_was_forged_cut_or_made_elsewhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
