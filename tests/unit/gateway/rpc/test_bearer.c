#include "gateway/rpc/bearer.h"

#include "tests/support/unit.h"

#define TOKEN "AZaz09-._~+/8901234567890123456789012345678" /* 43 characters */
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
    const char *name, *header;
    enum sg_reason reason;
    const char *token;
} rows[] = {
    {"as it should be", "Bearer " TOKEN, SG_R_NONE, TOKEN},
    {"in small letters", "bearer " TOKEN, SG_R_NONE, TOKEN},
    {"in capitals", "BEARER " TOKEN, SG_R_NONE, TOKEN},
    {"more spaces", "Bearer   " TOKEN, SG_R_NONE, TOKEN},
    {"padded", "Bearer " TOKEN "==", SG_R_NONE, TOKEN "=="},
    {"the longest", "Bearer " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN "12", SG_R_NONE,
     HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN "12"},
    {"nothing", "", SG_R_BEARER_REQUIRED, NULL},
    {"the scheme alone", "Bearer", SG_R_BEARER_REQUIRED, NULL},
    {"the scheme and a space", "Bearer ", SG_R_BEARER_REQUIRED, NULL},
    {"another scheme", "Basic " TOKEN, SG_R_BEARER_REQUIRED, NULL},
    {"no space", "Bearer" TOKEN, SG_R_BEARER_REQUIRED, NULL},
    {"a tab", "Bearer\t" TOKEN, SG_R_BEARER_REQUIRED, NULL},
    {"a space in front", " Bearer " TOKEN, SG_R_BEARER_REQUIRED, NULL},
    {"one too short", "Bearer 012345678901234567890123456789012345678901", SG_R_BEARER_UNKNOWN,
     NULL},
    {"one too long", "Bearer " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN "123",
     SG_R_BEARER_UNKNOWN, NULL},
    {"a space behind", "Bearer " TOKEN " ", SG_R_BEARER_UNKNOWN, NULL},
    {"two", "Bearer " TOKEN ", " TOKEN, SG_R_BEARER_UNKNOWN, NULL},
    {"padding in front", "Bearer =" TOKEN, SG_R_BEARER_UNKNOWN, NULL},
    {"padding in the middle", "Bearer " TOKEN "=a", SG_R_BEARER_UNKNOWN, NULL},
    {"padding alone", "Bearer ===========================================", SG_R_BEARER_UNKNOWN,
     NULL},
    {"a quote", "Bearer " TOKEN "\"", SG_R_BEARER_UNKNOWN, NULL},
    {"not ASCII", "Bearer " TOKEN "\xc3\xa9", SG_R_BEARER_UNKNOWN, NULL},
};

static void headers_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_slice token = {0};
        struct sg_err err = {0};
        print_message("  %s\n", rows[i].name);
        enum sg_rc rc = sg_bearer_parse(sg_slice_str(rows[i].header), &token, &err);
        assert_int_equal(err.reason, rows[i].reason);
        assert_int_equal(rc, rows[i].token == NULL ? SG_E_UNAUTHENTICATED : SG_OK);
        if (rows[i].token != NULL)
            assert_slice_equal(token, sg_slice_str(rows[i].token));
        assert_null(strstr(err.msg, "0123")); /* what is wrong with it, never what it is */
    }
}

/* A NUL is a character like another that no token has. */
static void a_nul_is_no_character_of_a_token(void **state)
{
    (void)state;
    struct sg_slice token;
    assert_int_equal(sg_bearer_parse(SG_SLICE("Bearer " TOKEN "\0"), &token, NULL),
                     SG_E_UNAUTHENTICATED);
}

static void a_header_cut_anywhere_has_no_token_or_a_shorter_one(void **state)
{
    (void)state;
    static const char header[] = "Bearer " TEN TEN TEN TEN TEN;
    for (size_t len = 0; len < sizeof(header) - 1; len++) {
        struct sg_slice token = {0};
        enum sg_rc rc = sg_bearer_parse(sg_slice_of(header, len), &token, NULL);
        assert_int_equal(rc, len < 7 + SG_BEARER_LEN_MIN ? SG_E_UNAUTHENTICATED : SG_OK);
        assert_int_equal(token.len, rc == SG_OK ? len - 7 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_follow_the_table),
        cmocka_unit_test(a_nul_is_no_character_of_a_token),
        cmocka_unit_test(a_header_cut_anywhere_has_no_token_or_a_shorter_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
