#include "proto/pb/unpack.h"

#include "methods.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/support/unit.h"

/* Two items: strings, bytes, nested messages, a repeated field. */
static void fill(struct sg_buf *buf)
{
    Sealgate__V1__Digest digest = SEALGATE__V1__DIGEST__INIT;
    digest.algorithm = SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256;
    uint8_t bytes[32] = {1, 2, 3};
    digest.value = (ProtobufCBinaryData){sizeof(bytes), bytes};

    char key[] = "keys/seal", purpose[] = "k\xc3\xbd duy\xe1\xbb\x87t", first[] = "1",
         second[] = "2";
    Sealgate__V1__SignRequest request = SEALGATE__V1__SIGN_REQUEST__INIT;
    request.key = key;
    request.content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST;
    request.digest = &digest;
    request.content_crc32c_presence_case =
        SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    request.content_crc32c = 0xDEADBEEF;
    request.purpose = purpose;

    Sealgate__V1__BatchSignItem items[2] = {SEALGATE__V1__BATCH_SIGN_ITEM__INIT,
                                            SEALGATE__V1__BATCH_SIGN_ITEM__INIT};
    Sealgate__V1__BatchSignItem *list[2] = {&items[0], &items[1]};
    items[0].item_id = first;
    items[1].item_id = second;
    items[0].request = items[1].request = &request;
    Sealgate__V1__BatchSignRequest batch = SEALGATE__V1__BATCH_SIGN_REQUEST__INIT;
    batch.n_items = 2;
    batch.items = list;
    sg_pb_pack(&batch.base, buf);
}

static void what_was_packed_is_unpacked_into_the_arena(void **state)
{
    (void)state;
    struct sg_buf wire, again;
    sg_buf_init(&wire, 4096);
    sg_buf_init(&again, 4096);
    fill(&wire);
    assert_int_equal(sg_buf_check(&wire, NULL), SG_OK);

    struct sg_arena arena;
    sg_arena_init(&arena, 1 << 16);
    ProtobufCMessage *message = NULL;
    assert_int_equal(sg_pb_unpack(&sealgate__v1__batch_sign_request__descriptor,
                                  sg_buf_slice(&wire), &arena, SG_PB_STRICT, &message, NULL),
                     SG_OK);
    /* Nothing points into the wire bytes. */
    memset(wire.ptr, 0xFF, wire.len);

    const Sealgate__V1__BatchSignRequest *batch = (const Sealgate__V1__BatchSignRequest *)message;
    assert_int_equal(batch->n_items, 2);
    assert_string_equal(batch->items[1]->item_id, "2");
    const Sealgate__V1__SignRequest *request = batch->items[1]->request;
    assert_string_equal(request->key, "keys/seal");
    assert_int_equal(request->content_case, SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST);
    assert_int_equal(request->digest->value.len, 32);
    assert_int_equal(request->content_crc32c, 0xDEADBEEF);
    assert_string_equal(request->request_id, "");

    sg_pb_pack(message, &again);
    assert_int_equal(again.len, wire.len);
    sg_arena_done(&arena);
    sg_buf_done(&again);
    sg_buf_done(&wire);
}

/* Every cap below what is needed makes another allocation fail, the first to the last. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct sg_buf wire;
    sg_buf_init(&wire, 4096);
    fill(&wire);
    size_t refused = 0;
    for (size_t cap = 0;; cap += 8) {
        struct sg_arena arena;
        struct sg_err err = {0};
        ProtobufCMessage *message = NULL;
        sg_arena_init(&arena, cap);
        enum sg_rc rc = sg_pb_unpack(&sealgate__v1__batch_sign_request__descriptor,
                                     sg_buf_slice(&wire), &arena, SG_PB_STRICT, &message, &err);
        assert_true(arena.taken <= cap);
        sg_arena_done(&arena);
        if (rc == SG_OK)
            break;
        assert_int_equal(rc, SG_E_LIMIT);
        assert_int_equal(err.reason, SG_R_MESSAGE_TOO_LARGE);
        assert_null(message);
        refused++;
        assert_true(cap < 1 << 16);
    }
    assert_true(refused > 20);
    sg_buf_done(&wire);
}

static void a_buffer_that_is_too_small_fails_and_stays_failed(void **state)
{
    (void)state;
    struct sg_buf wire;
    sg_buf_init(&wire, 100);
    fill(&wire);
    assert_int_equal(sg_buf_check(&wire, NULL), SG_E_LIMIT);
    sg_buf_done(&wire);
}

static void an_empty_message_packs_to_nothing(void **state)
{
    (void)state;
    struct sg_buf wire;
    sg_buf_init(&wire, 0);
    Sealgate__V1__SignRequest request = SEALGATE__V1__SIGN_REQUEST__INIT;
    sg_pb_pack(&request.base, &wire);
    assert_int_equal(sg_buf_check(&wire, NULL), SG_OK);
    assert_int_equal(wire.len, 0);

    struct sg_arena arena;
    sg_arena_init(&arena, 4096);
    ProtobufCMessage *message;
    assert_int_equal(sg_pb_unpack(request.base.descriptor, sg_buf_slice(&wire), &arena,
                                  SG_PB_STRICT, &message, NULL),
                     SG_OK);
    sg_arena_done(&arena);
}

/* The strict check keeps one bit per field of a message. */
static void no_request_has_more_fields_than_the_strict_check_can_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < sg_methods.count; i++)
        assert_true(sg_methods.methods[i].input->n_fields <= 64);
}

static void the_method_table_is_sorted_and_says_what_the_files_say(void **state)
{
    (void)state;
    for (size_t i = 1; i < sg_methods.count; i++)
        assert_true(strcmp(sg_methods.methods[i - 1].path, sg_methods.methods[i].path) < 0);
    assert_int_equal(sg_methods.count, SG_METHOD_COUNT - 1);

    for (size_t i = 0; i < sg_methods.count; i++)
        assert_int_equal(sg_methods.methods[i].id, i + 1);

    const struct sg_method *sign = &sg_methods.methods[SG_METHOD_SIGNING_SERVICE_SIGN - 1];
    assert_string_equal(sign->path, "/sealgate.v1.SigningService/Sign");
    assert_string_equal(sign->service, "sealgate.v1.SigningService");
    assert_string_equal(sign->name, "Sign");
    assert_ptr_equal(sign->input, &sealgate__v1__sign_request__descriptor);
    assert_ptr_equal(sign->output, &sealgate__v1__sign_response__descriptor);
    assert_false(sign->client_streaming || sign->server_streaming || sign->no_side_effects);

    const struct sg_method *stream = &sg_methods.methods[SG_METHOD_SIGNING_SERVICE_SIGN_STREAM - 1];
    assert_true(stream->client_streaming && stream->server_streaming);
    const struct sg_method *watch = &sg_methods.methods[SG_METHOD_HEALTH_WATCH - 1];
    assert_true(!watch->client_streaming && watch->server_streaming);
    assert_true(sg_methods.methods[SG_METHOD_HEALTH_CHECK - 1].no_side_effects);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_is_unpacked_into_the_arena),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_buffer_that_is_too_small_fails_and_stays_failed),
        cmocka_unit_test(an_empty_message_packs_to_nothing),
        cmocka_unit_test(no_request_has_more_fields_than_the_strict_check_can_count),
        cmocka_unit_test(the_method_table_is_sorted_and_says_what_the_files_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
