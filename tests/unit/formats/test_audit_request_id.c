#include "tests/support/unit.h"

#include "base/clock.h"
#include "formats/audit/request_id.h"

/* Names of requests: whose they are, and how old they may be. */

static const char v7[] = "0192f0c1-2b3c-7def-8abc-1234567890ab";
static const char v4[] = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";

static enum sg_rc read_id(const char *text, const char *caller, const char *method,
                          struct sg_request_id *ret)
{
    return sg_request_id_read(sg_slice_str(text), SG_SLICE("ca"), sg_slice_str(caller),
                              sg_slice_str(method), ret, NULL);
}

static void only_uuids_are_ids(void **state)
{
    static const char *const rows[] = {
        "",
        "1",
        "f81d4fae7dec41d0a76500a0c91e6bf6",
        "f81d4fae-7dec-41d0-a765-00a0c91e6bf",
        "f81d4fae-7dec-41d0-a765-00a0c91e6bf6a",
        "g81d4fae-7dec-41d0-a765-00a0c91e6bf6",
        "f81d4fae+7dec-41d0-a765-00a0c91e6bf6",
        "{81d4fae-7dec-41d0-a765-00a0c91e6bf}",
        "-81d4fae-7dec-41d0-a765-00a0c91e6bf6",
    };
    struct sg_request_id id;
    (void)state;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_err err;
        assert_int_equal(sg_request_id_read(sg_slice_str(rows[i]), SG_SLICE("ca"), SG_SLICE("c"),
                                            SG_SLICE("m"), &id, &err),
                         SG_E_INVALID);
        assert_int_equal(err.reason, SG_R_BAD_REQUEST_ID);
    }
    assert_int_equal(read_id(v4, "c", "m", &id), SG_OK);
    assert_int_equal(id.made_ms, 0);
    assert_int_equal(read_id(v7, "c", "m", &id), SG_OK);
    assert_int_equal(id.made_ms, 0x0192f0c12b3c);
}

static void a_key_is_of_the_caller_the_method_and_the_id(void **state)
{
    struct sg_request_id one, other;
    (void)state;

    assert_int_equal(read_id(v7, "caller", "Sign", &one), SG_OK);
    assert_int_equal(read_id("0192F0C1-2B3C-7DEF-8ABC-1234567890AB", "caller", "Sign", &other),
                     SG_OK);
    assert_memory_equal(one.key, other.key, sizeof(one.key));
    assert_int_equal(read_id(v7, "caller", "BatchSign", &other), SG_OK);
    assert_memory_not_equal(one.key, other.key, sizeof(one.key));
    assert_int_equal(read_id(v7, "callerS", "ign", &other), SG_OK);
    assert_memory_not_equal(one.key, other.key, sizeof(one.key));
    assert_int_equal(read_id("0192f0c1-2b3c-7def-8abc-1234567890ac", "caller", "Sign", &other),
                     SG_OK);
    assert_memory_not_equal(one.key, other.key, sizeof(one.key));
    /* Keys grow with time. */
    assert_int_equal(read_id("0192f0c1-2b3d-7000-8000-000000000000", "caller", "Sign", &other),
                     SG_OK);
    assert_true(memcmp(one.key, other.key, sizeof(one.key)) < 0);
}

static void an_id_is_refused_when_it_may_be_forgotten(void **state)
{
    struct sg_request_id id;
    struct sg_err err;
    (void)state;

    assert_int_equal(read_id(v7, "c", "m", &id), SG_OK);
    const int64_t made_ns = id.made_ms * SG_NS_PER_MS;
    assert_int_equal(sg_request_id_check_age(&id, made_ns, 60, &err), SG_OK);
    assert_int_equal(sg_request_id_check_age(&id, made_ns - 3600 * SG_NS_PER_S, 60, &err), SG_OK);
    assert_int_equal(sg_request_id_check_age(&id, made_ns + 60 * SG_NS_PER_S, 60, &err), SG_OK);
    assert_int_equal(sg_request_id_check_age(&id, made_ns + 62 * SG_NS_PER_S, 60, &err),
                     SG_E_INVALID);
    assert_int_equal(err.reason, SG_R_REQUEST_ID_EXPIRED);
    /* One that does not tell is kept as long as the log. */
    assert_int_equal(read_id(v4, "c", "m", &id), SG_OK);
    assert_int_equal(sg_request_id_check_age(&id, INT64_MAX, 60, &err), SG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_uuids_are_ids),
        cmocka_unit_test(a_key_is_of_the_caller_the_method_and_the_id),
        cmocka_unit_test(an_id_is_refused_when_it_may_be_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
