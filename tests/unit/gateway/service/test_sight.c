#include "gateway/service/sight.h"

#include <stdio.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

#define LIST "sealgate.v1.KeyService/ListKeys"

/* As many tokens as there can be; key i is on token i % 64, every fifth on the next one too. */
enum { KEYS = 100, TOKENS = SG_HSM_TOKENS_MAX, NAMES = 130, ROWS = 9 };

struct rig {
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    struct sg_keys *keys;
    struct sg_config_token tokens[TOKENS];
    struct sg_config_key config_keys[KEYS];
    struct sg_config_copy copies[KEYS];
    struct sg_config config;
    char names[NAMES][8], token_names[TOKENS][8]; /* those from KEYS on are of no key */
};

static void on_done(void *arg, struct sg_hsm_job *job)
{
    (void)arg;
    (void)job;
}

static void add_tokens(struct rig *rig)
{
    for (size_t i = 0; i < TOKENS; i++) {
        size_t index;
        snprintf(rig->token_names[i], sizeof(rig->token_names[i]), "t%zu", i);
        const struct sg_hsm_token_config token = {.name = rig->token_names[i],
                                                  .socket = "/nonexistent",
                                                  .uid = -1,
                                                  .queue_max = 1,
                                                  .hang_ms = 1000};
        assert_int_equal(sg_hsm_add_token(rig->hsm, &token, &index, NULL), SG_OK);
        rig->tokens[i].name = rig->token_names[i];
    }
}

static int setup(void **state)
{
    static const uint8_t id[1] = {1};
    static struct rig rig;
    const struct sg_hsm_events events = {.done = on_done};

    rig = (struct rig){.config = {.tokens = rig.tokens,
                                  .token_count = TOKENS,
                                  .keys = rig.config_keys,
                                  .key_count = KEYS}};
    assert_int_equal(sg_loop_new(&sg_clock_system, &rig.loop, NULL), SG_OK);
    assert_int_equal(sg_hsm_new(rig.loop, &sg_clock_system, &events, &rig.hsm, NULL), SG_OK);
    add_tokens(&rig);
    for (size_t i = 0; i < NAMES; i++)
        snprintf(rig.names[i], sizeof(rig.names[i]), "k%zu", i); /* not in the order of names */
    for (size_t i = 0; i < KEYS; i++) {
        rig.copies[i].token = rig.token_names[(i + 1) % TOKENS];
        rig.copies[i].id = (struct sg_slice){id, 1};
        rig.config_keys[i] = (struct sg_config_key){.name = rig.names[i],
                                                    .token = rig.token_names[i % TOKENS],
                                                    .id = {id, 1},
                                                    .type = SG_KEY_EC_P256,
                                                    .copies = &rig.copies[i],
                                                    .copy_count = i % 5 == 0};
    }
    assert_int_equal(sg_keys_new(&rig.config, rig.hsm, &rig.keys, NULL), SG_OK);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    sg_keys_free(rig->keys);
    sg_hsm_free(rig->hsm);
    sg_loop_free(rig->loop);
    return 0;
}

static uint32_t next_number(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % below;
}

static size_t number_of(const struct rig *rig, const struct sg_key *key)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(rig->names[i], key->name) == 0)
            return i;
    fail_msg("no key of ours");
    return 0;
}

/* Against a decision about each key. */
static void compare(struct rig *rig, const struct sg_authz *authz, const struct sg_sight *sight,
                    const char *uri)
{
    struct sg_authz_request request = {
        sg_authz_identity_of(SG_SLICE("main"), sg_slice_str(uri)), LIST, {0}};
    struct sg_authz_decision decision;
    uint64_t tokens = 0;
    size_t seen = 0;

    sg_authz_decide(authz, &request, &decision);
    assert_true(decision.is_allowed);
    const struct sg_sight_row *row = sg_sight_of(sight, decision.row);
    for (size_t i = 0; i < sg_keys_count(rig->keys); i++) {
        const struct sg_key *key = sg_keys_at(rig->keys, i);
        assert_int_equal(sg_sight_from(row, i), seen);
        request.key = sg_slice_str(key->name);
        sg_authz_decide(authz, &request, &decision);
        if (!decision.is_allowed)
            continue;
        assert_true(seen < row->key_count);
        assert_int_equal(row->keys[seen++], i);
        const size_t number = number_of(rig, key);
        tokens |= UINT64_C(1) << number % TOKENS;
        if (number % 5 == 0)
            tokens |= UINT64_C(1) << (number + 1) % TOKENS;
    }
    assert_int_equal(row->key_count, seen);
    assert_int_equal(sg_sight_from(row, KEYS), seen);
    assert_true(row->tokens == tokens);
}

static void a_row_sees_what_decisions_about_each_key_allow(void **state)
{
    static const char *const methods[] = {LIST};
    struct rig *rig = *state;
    uint32_t seed = 2026;

    for (int round = 0; round < 50; round++) {
        const char *keys[ROWS][NAMES];
        char uris[ROWS][8];
        struct sg_authz_caller list[ROWS];
        for (size_t i = 0; i < ROWS; i++) { /* the first without a key; names twice, or of none */
            const size_t count = i == 0 ? 0 : next_number(&seed, NAMES);
            snprintf(uris[i], sizeof(uris[i]), "u:%zu", i);
            for (size_t k = 0; k < count; k++)
                keys[i][k] = rig->names[next_number(&seed, NAMES)];
            list[i] = (struct sg_authz_caller){.name = uris[i],
                                               .ca = "main",
                                               .uri = uris[i],
                                               .methods = methods,
                                               .method_count = 1,
                                               .keys = keys[i],
                                               .key_count = count};
        }
        SG_AUTO(sg_authz_free) struct sg_authz *authz = NULL;
        SG_AUTO(sg_sight_free) struct sg_sight *sight = NULL;
        assert_int_equal(sg_authz_new(list, ROWS, &authz, NULL), SG_OK);
        assert_int_equal(sg_sight_new(authz, rig->keys, &sight, NULL), SG_OK);
        for (size_t i = 0; i < ROWS; i++)
            compare(rig, authz, sight, uris[i]);
    }
}

struct making {
    const struct sg_authz *authz;
    struct sg_keys *keys;
};

static bool make(void *arg)
{
    const struct making *making = arg;
    SG_AUTO(sg_sight_free) struct sg_sight *sight = NULL;
    const enum sg_rc rc = sg_sight_new(making->authz, making->keys, &sight, NULL);

    assert_true(rc == SG_OK || rc == SG_E_LIMIT);
    return rc == SG_OK;
}

static void memory_that_runs_out_is_an_error(void **state)
{
    struct rig *rig = *state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = NULL;

    assert_int_equal(sg_authz_new(NULL, 0, &authz, NULL), SG_OK);
    assert_int_equal(sg_failmalloc_each(make, &(struct making){authz, rig->keys}), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_sees_what_decisions_about_each_key_allow),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
