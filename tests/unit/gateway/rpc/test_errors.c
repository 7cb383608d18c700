#include "gateway/rpc/errors.h"

#include "google/rpc/error_details.pb-c.h"
#include "tests/support/unit.h"

static const Google__Protobuf__Any *detail(const Google__Rpc__Status *status, const char *type)
{
    const Google__Protobuf__Any *found = NULL;
    for (size_t i = 0; i < status->n_details; i++) {
        if (strcmp(status->details[i]->type_url, type) == 0) {
            assert_null(found);
            found = status->details[i];
        }
    }
    return found;
}

static void every_reason_has_its_code_and_exactly_one_error_info(void **state)
{
    (void)state;
    for (int reason = SG_R_NONE + 1; reason < SG_R_COUNT; reason++) {
        struct sg_arena arena;
        struct sg_rpc_error error = {0};
        sg_arena_init(&arena, 65536);
        SG_IGNORE(SG_REFUSE(&error.err, (enum sg_reason)reason, "because"));

        const Google__Rpc__Status *status = sg_rpc_status_new(&arena, &error, "1-2");
        assert_non_null(status);
        assert_int_not_equal(status->code, SG_GRPC_OK);
        /* What proto/grpc tells: clients refuse details of another code. */
        assert_int_equal(status->code, sg_grpc_code_of(error.err.rc));
        assert_string_equal(status->message, sg_rpc_public_message(&error.err));
        const Google__Protobuf__Any *any =
            detail(status, "type.googleapis.com/google.rpc.ErrorInfo");
        assert_non_null(any);
        Google__Rpc__ErrorInfo *info =
            google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
        assert_non_null(info);
        assert_string_equal(info->reason, sg_reason_name((enum sg_reason)reason));
        assert_string_equal(info->domain, "sealgate");
        assert_int_equal(info->n_metadata, 2);
        assert_string_equal(info->metadata[0]->key, "next");
        assert_true(strlen(info->metadata[0]->value) > 10);
        assert_string_equal(info->metadata[1]->value, "1-2");
        google__rpc__error_info__free_unpacked(info, NULL);
        sg_arena_done(&arena);
    }
}

static void every_class_has_a_code_that_is_no_success(void **state)
{
    (void)state;
    for (int rc = SG_E_AGAIN; rc <= SG_E_INTERNAL; rc++) {
        struct sg_arena arena;
        struct sg_rpc_error error = {0};
        sg_arena_init(&arena, 65536);
        SG_IGNORE(SG_FAIL(&error.err, (enum sg_rc)rc, 0, "secret detail"));
        const Google__Rpc__Status *status = sg_rpc_status_new(&arena, &error, "x");
        assert_non_null(status);
        assert_int_not_equal(status->code, SG_GRPC_OK);
        assert_non_null(detail(status, "type.googleapis.com/google.rpc.ErrorInfo"));
        /* What went wrong inside is for the log. */
        if (rc == SG_E_INTERNAL)
            assert_null(strstr(status->message, "secret"));
        sg_arena_done(&arena);
    }
}

/* The class decides, so that a reason that is added later keeps the inside to itself. */
static void a_cause_that_is_not_the_callers_is_not_told(void **state)
{
    static const bool is_the_callers[SG_E_INTERNAL + 1] = {
        [SG_E_INVALID] = true,   [SG_E_UNAUTHENTICATED] = true, [SG_E_DENIED] = true,
        [SG_E_NOT_FOUND] = true, [SG_E_LIMIT] = true,           [SG_E_UNSUPPORTED] = true};
    static const char inside[] =
        "could not connect to the token process at \"/run/sealgate/t1.sock\": Permission denied";
    (void)state;

    for (int reason = SG_R_NONE + 1; reason < SG_R_COUNT; reason++) {
        struct sg_err err;
        enum sg_rc rc = SG_REFUSE(&err, (enum sg_reason)reason, "%s", inside);
        const char *told = sg_rpc_public_message(&err);
        print_message("  %s\n", sg_reason_name((enum sg_reason)reason));
        if (is_the_callers[rc] || reason == SG_R_MALFORMED_MESSAGE) {
            assert_string_equal(told, inside);
            continue;
        }
        assert_null(strstr(told, "/run"));
        assert_null(strstr(told, "ermission"));
        /* Each has a sentence of its own: a general one would say nothing. */
        assert_true(reason == SG_R_INTERNAL || strstr(told, "internal") == NULL);
    }
    for (int rc = SG_E_AGAIN; rc <= SG_E_INTERNAL; rc++) {
        struct sg_err err;
        SG_IGNORE(SG_FAIL(&err, (enum sg_rc)rc, 0, "%s", inside));
        assert_int_equal(strstr(sg_rpc_public_message(&err), "/run") != NULL, is_the_callers[rc]);
    }
}

static const struct {
    const char *name;
    enum sg_reason reason;
    const char *field, *resource;
    int64_t retry_ms;
    const char *has, *has_not;
} cases[] = {
    {"a field that is malformed is named", SG_R_DIGEST_LENGTH, "digest", NULL, 0,
     "type.googleapis.com/google.rpc.BadRequest", "type.googleapis.com/google.rpc.RetryInfo"},
    {"a key that is not there is named", SG_R_KEY_NOT_FOUND, "key", "keys/x", 0,
     "type.googleapis.com/google.rpc.ResourceInfo", "type.googleapis.com/google.rpc.BadRequest"},
    {"a full queue says when to come again", SG_R_QUEUE_FULL, NULL, NULL, 1500,
     "type.googleapis.com/google.rpc.RetryInfo", "type.googleapis.com/google.rpc.BadRequest"},
    {"unavailable always says when to come again", SG_R_TOKEN_LOST, NULL, NULL, 0,
     "type.googleapis.com/google.rpc.RetryInfo", "type.googleapis.com/google.rpc.ResourceInfo"},
    {"a latched PIN is not to be tried again", SG_R_TOKEN_PIN, NULL, NULL, 0,
     "type.googleapis.com/google.rpc.ErrorInfo", "type.googleapis.com/google.rpc.RetryInfo"},
};

static void details_stand_where_they_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_arena arena;
        struct sg_rpc_error error = {
            .field = cases[i].field, .resource = cases[i].resource, .retry_ms = cases[i].retry_ms};
        print_message("  %s\n", cases[i].name);
        sg_arena_init(&arena, 65536);
        SG_IGNORE(SG_REFUSE(&error.err, cases[i].reason, "because"));
        const Google__Rpc__Status *status = sg_rpc_status_new(&arena, &error, "x");
        assert_non_null(status);
        assert_non_null(detail(status, cases[i].has));
        assert_null(detail(status, cases[i].has_not));
        sg_arena_done(&arena);
    }
}

static void without_memory_there_is_no_half_status(void **state)
{
    (void)state;
    struct sg_rpc_error error = {0};
    SG_IGNORE(SG_REFUSE(&error.err, SG_R_TOKEN_LOST, "because"));
    for (size_t max = 0; max < 64; max++) {
        struct sg_arena arena;
        sg_arena_init(&arena, max);
        assert_null(sg_rpc_status_new(&arena, &error, "x"));
        sg_arena_done(&arena);
    }
}

static void malformed_wire_bytes_are_internal_as_grpc_wants_and_the_caller_is_told_why(void **state)
{
    (void)state;
    struct sg_arena arena;
    struct sg_rpc_error error = {0};
    sg_arena_init(&arena, 65536);
    SG_IGNORE(SG_REFUSE(&error.err, SG_R_MALFORMED_MESSAGE, "its flag is 2"));
    const Google__Rpc__Status *status = sg_rpc_status_new(&arena, &error, "x");
    assert_int_equal(status->code, SG_GRPC_INTERNAL);
    assert_string_equal(status->message, "its flag is 2");
    sg_arena_done(&arena);
}

/* A name of the caller's that was cut in the middle of a character. */
static void a_message_is_utf8_wherever_it_was_cut(void **state)
{
    (void)state;
    struct sg_arena arena;
    struct sg_rpc_error error = {.field = "item_id"};
    sg_arena_init(&arena, 65536);
    SG_IGNORE(SG_REFUSE(&error.err, SG_R_FIELD_REQUIRED, "\"%.2s\" k\u00fd", "k\u00fd"));
    const Google__Rpc__Status *status = sg_rpc_status_new(&arena, &error, "x");
    assert_string_equal(status->message, "\"k?\" k\u00fd");
    const Google__Protobuf__Any *any = detail(status, "type.googleapis.com/google.rpc.BadRequest");
    Google__Rpc__BadRequest *bad =
        google__rpc__bad_request__unpack(NULL, any->value.len, any->value.data);
    assert_string_equal(bad->field_violations[0]->description, status->message);
    google__rpc__bad_request__free_unpacked(bad, NULL);
    sg_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_its_code_and_exactly_one_error_info),
        cmocka_unit_test(every_class_has_a_code_that_is_no_success),
        cmocka_unit_test(a_cause_that_is_not_the_callers_is_not_told),
        cmocka_unit_test(details_stand_where_they_help),
        cmocka_unit_test(without_memory_there_is_no_half_status),
        cmocka_unit_test(a_message_is_utf8_wherever_it_was_cut),
        cmocka_unit_test(
            malformed_wire_bytes_are_internal_as_grpc_wants_and_the_caller_is_told_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
