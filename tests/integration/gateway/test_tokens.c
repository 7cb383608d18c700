#include "gateway/service/drained.h"
#include "hsm/backend_priv.h"
#include "hsm/hsm_priv.h"
#include "sealgate/v1/tokens.pb-c.h"
#include "tests/integration/gateway/newest.h"

/* TokenService: what operators see of tokens, and that what they do is recorded before it is done.
 */

#define TOKENS "/sealgate.v1.TokenService/"

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, &(struct rig_options){.has_audit = true});
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal; /* packing only reads it */
}

static struct rig_call *change(struct rig_client *client, const char *path, const char *name,
                               const char *reason)
{
    Sealgate__V1__DrainTokenRequest request = SEALGATE__V1__DRAIN_TOKEN_REQUEST__INIT;
    request.name = text(name);
    request.reason = text(reason);
    return rig_get(client, path, &request.base); /* both requests have the same fields */
}

static void all_tokens_are_listed_with_the_state_of_their_keys(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    Sealgate__V1__ListTokensRequest request = SEALGATE__V1__LIST_TOKENS_REQUEST__INIT;

    rig_set_key(rig, EDWARD, SG_KEY_LOADING);
    rig_set_key(rig, RON, SG_KEY_QUARANTINED);
    rig->hsm->backends[1]->breaker.state = SG_BREAKER_DOWN;
    struct rig_call *call = rig_get(client, TOKENS "ListTokens", &request.base);
    assert_int_equal(call->code, SG_GRPC_OK);
    Sealgate__V1__ListTokensResponse *response =
        rig_message(call, 0, &sealgate__v1__list_tokens_response__descriptor);
    assert_int_equal(response->n_tokens, 2);
    assert_string_equal(response->tokens[0]->name, "tokens/t1");
    assert_int_equal(response->tokens[0]->state, SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_UP);
    assert_string_equal(response->tokens[0]->state_message, "");
    assert_int_equal(response->tokens[0]->keys_active, 1);
    assert_int_equal(response->tokens[0]->keys_loading, 1);
    assert_int_equal(response->tokens[0]->keys_quarantined, 1);
    assert_string_equal(response->tokens[1]->name, "tokens/t2"); /* A has no key on it */
    assert_int_equal(response->tokens[1]->state, SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_DOWN);
    assert_string_equal(response->tokens[1]->state_message, "not connected yet");
    assert_int_equal(response->tokens[1]->keys_active, 1);
    protobuf_c_message_free_unpacked(&response->base, NULL);
    rig_call_free(call);
}

static void a_token_is_drained_and_resumed_once_that_is_recorded(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    struct rig_call *call = change(client, TOKENS "DrainToken", "tokens/t2", "new firmware");
    assert_int_equal(call->code, SG_GRPC_OK);
    Sealgate__V1__Token *token = rig_message(call, 0, &sealgate__v1__token__descriptor);
    assert_string_equal(token->name, "tokens/t2");
    protobuf_c_message_free_unpacked(&token->base, NULL);
    rig_call_free(call);
    assert_true(rig->hsm->backends[1]->is_draining);
    assert_false(rig->hsm->backends[0]->is_draining);
    struct newest newest = read_newest(rig);
    assert_int_equal(newest.event, SG_AUDIT_TOKEN_DRAINED);
    assert_string_equal(newest.caller, "https://tests/a");
    assert_string_equal(newest.token, "t2");
    assert_string_equal(newest.detail, "new firmware");
    assert_string_equal(newest.rule, "row-a");

    call = change(client, TOKENS "ResumeToken", "tokens/t2", "it is back");
    assert_int_equal(call->code, SG_GRPC_OK);
    rig_call_free(call);
    assert_false(rig->hsm->backends[1]->is_draining);
    newest = read_newest(rig);
    assert_int_equal(newest.event, SG_AUDIT_TOKEN_RESUMED);
    assert_string_equal(newest.detail, "it is back");
}

/* What a gateway that starts now would find drained; ours is left as it was. */
static void assert_kept(struct rig *rig, bool first, bool second)
{
    struct sg_backend **backends = rig->hsm->backends;
    const bool was_first = backends[0]->is_draining, was_second = backends[1]->is_draining;

    backends[0]->is_draining = backends[1]->is_draining = false;
    assert_int_equal(sg_drained_read(rig->drained_file, rig->hsm, NULL), SG_OK);
    assert_int_equal(backends[0]->is_draining, first);
    assert_int_equal(backends[1]->is_draining, second);
    backends[0]->is_draining = was_first;
    backends[1]->is_draining = was_second;
}

static void change_to(struct rig_client *client, const char *path, const char *name)
{
    struct rig_call *call = change(client, path, name, "why");
    assert_int_equal(call->code, SG_GRPC_OK);
    rig_call_free(call);
}

static void a_gateway_that_starts_again_knows_what_was_drained(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    assert_kept(rig, false, false); /* there is no file */
    change_to(client, TOKENS "DrainToken", "tokens/t2");
    assert_kept(rig, false, true);
    change_to(client, TOKENS "DrainToken", "tokens/t1");
    assert_kept(rig, true, true);
    change_to(client, TOKENS "ResumeToken", "tokens/t2");
    assert_kept(rig, true, false);
    change_to(client, TOKENS "ResumeToken", "tokens/t1");
    assert_kept(rig, false, false);
}

static void write_kept(const struct rig *rig, const char *bytes, size_t len)
{
    FILE *file = fopen(rig->drained_file, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void what_is_kept_may_be_of_other_tokens_or_not_be_ours(void **state)
{
    static char large[SG_DRAINED_BYTES_MAX + 1];
    struct rig *rig = *state;

    write_kept(rig, "", 0);
    assert_kept(rig, false, false);
    write_kept(rig, "gone\n\nt2\nt1", 11); /* the last line is not whole */
    assert_kept(rig, false, true);
    write_kept(rig, "t2 \n\0t2\nt\n", 11);
    assert_kept(rig, false, false);
    memset(large, '\n', sizeof(large));
    write_kept(rig, large, sizeof(large));
    assert_int_equal(sg_drained_read(rig->drained_file, rig->hsm, NULL), SG_E_INVALID);
    assert_int_equal(sg_drained_read(rig->folder.path, rig->hsm, NULL), SG_E_UNAVAILABLE);
}

static void what_cannot_be_kept_is_told(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    rig->config.drained_file = "/no/such/folder/drained";
    struct rig_call *call = change(client, TOKENS "DrainToken", "tokens/t1", "why");
    assert_int_equal(call->code, SG_GRPC_UNAVAILABLE);
    assert_string_equal(call->reason, "STORE_UNAVAILABLE");
    assert_true(rig->hsm->backends[0]->is_draining);
    rig_call_free(call);
    rig->config.drained_file = rig->drained_file;
    change_to(client, TOKENS "DrainToken", "tokens/t1"); /* once more, and it is */
    assert_kept(rig, true, false);
}

static void what_cannot_be_recorded_is_not_done(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    shell(&rig->folder, "mv $FOLDER/store $FOLDER/away");
    struct rig_call *call = change(client, TOKENS "DrainToken", "tokens/t1", "in vain");
    assert_int_equal(call->code, SG_GRPC_UNAVAILABLE);
    assert_string_equal(call->reason, "STORE_UNAVAILABLE");
    assert_false(rig->hsm->backends[0]->is_draining);
    rig_call_free(call);
}

static void who_goes_away_meanwhile_has_said_it(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    Sealgate__V1__DrainTokenRequest request = SEALGATE__V1__DRAIN_TOKEN_REQUEST__INIT;

    RIG_UNTIL(rig, rig_client_is_ready(client));
    request.name = text("tokens/t1");
    request.reason = text("and away");
    struct rig_call *call = rig_ask(client, TOKENS "DrainToken", &request.base);
    rig_client_turn(client);
    rig_disconnect(client, false);
    RIG_UNTIL(rig, rig->hsm->backends[0]->is_draining);
    rig_call_free(call);
}

static void what_is_not_in_order_is_refused(void **state)
{
    static char most[502];
    static const struct {
        enum rig_caller caller;
        const char *name, *reason, *said, *field;
        enum sg_grpc_code code;
    } rows[] = {
        {A, "tokens/t9", "why", "TOKEN_NOT_FOUND", "", SG_GRPC_NOT_FOUND},
        {A, "t1", "why", "BAD_NAME", "name", SG_GRPC_INVALID_ARGUMENT},
        {A, "tokens/", "why", "BAD_NAME", "name", SG_GRPC_INVALID_ARGUMENT},
        {A, "tokens/t1", "", "BAD_CHANGE_REASON", "reason", SG_GRPC_INVALID_ARGUMENT},
        {A, "tokens/t1", most, "BAD_CHANGE_REASON", "reason", SG_GRPC_INVALID_ARGUMENT},
        {B, "tokens/t1", "why", "METHOD_NOT_ALLOWED", "", SG_GRPC_PERMISSION_DENIED},
    };
    struct rig *rig = *state;

    memset(most, 'x', sizeof(most) - 1);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct rig_client *client = rig_connect(rig, rows[i].caller);
        struct rig_call *call = change(client, TOKENS "DrainToken", rows[i].name, rows[i].reason);
        assert_int_equal(call->code, rows[i].code);
        assert_string_equal(call->reason, rows[i].said);
        assert_string_equal(call->field, rows[i].field);
        rig_call_free(call);
    }
    assert_false(rig->hsm->backends[0]->is_draining);
}

static Sealgate__V1__CompareTokensResponse *compare(struct rig_client *client, const char *name,
                                                    const char *other, uint32_t page_size,
                                                    const char *page_token)
{
    Sealgate__V1__CompareTokensRequest request = SEALGATE__V1__COMPARE_TOKENS_REQUEST__INIT;
    request.name = text(name);
    request.other = text(other);
    request.page_size = page_size;
    request.page_token = text(page_token);
    struct rig_call *call = rig_get(client, TOKENS "CompareTokens", &request.base);
    assert_int_equal(call->code, SG_GRPC_OK);
    Sealgate__V1__CompareTokensResponse *response =
        rig_message(call, 0, &sealgate__v1__compare_tokens_response__descriptor);
    rig_call_free(call);
    return response;
}

static void tokens_are_compared_key_by_key_and_page_by_page(void **state)
{
    static const char *const keys[] = {"keys/alpha", "keys/beta", "keys/edward", "keys/ron"};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    char page[64] = "";

    rig_set_key(rig, RON, SG_KEY_UNUSABLE);
    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        Sealgate__V1__CompareTokensResponse *response =
            compare(client, "tokens/t1", "tokens/t2", 1, page);
        assert_int_equal(response->keys, 3);           /* all but beta, on every page */
        assert_int_equal(response->keys_not_ready, 2); /* ron signs nowhere */
        assert_int_equal(response->n_differences, 1);
        assert_string_equal(response->differences[0]->key, keys[i]);
        const bool is_beta = i == 1;
        assert_int_equal(response->differences[0]->state == 0, is_beta);
        assert_int_equal(response->differences[0]->other_state != 0, is_beta);
        snprintf(page, sizeof(page), "%s", response->next_page_token);
        assert_int_equal(page[0] == '\0', i + 1 == SG_COUNT(keys));
        protobuf_c_message_free_unpacked(&response->base, NULL);
    }
    Sealgate__V1__CompareTokensResponse *response =
        compare(client, "tokens/t1", "tokens/t1", 0, "");
    assert_int_equal(response->keys_not_ready, 0);
    assert_int_equal(response->n_differences, 1); /* ron, which is as it should be on neither */
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_tokens_are_listed_with_the_state_of_their_keys),
        TEST(a_token_is_drained_and_resumed_once_that_is_recorded),
        TEST(a_gateway_that_starts_again_knows_what_was_drained),
        TEST(what_is_kept_may_be_of_other_tokens_or_not_be_ours),
        TEST(what_cannot_be_kept_is_told),
        TEST(what_cannot_be_recorded_is_not_done),
        TEST(who_goes_away_meanwhile_has_said_it),
        TEST(what_is_not_in_order_is_refused),
        TEST(tokens_are_compared_key_by_key_and_page_by_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
