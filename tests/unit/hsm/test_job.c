#include "hsm/job.h"

#include <stdlib.h>

#include "tests/support/unit.h"

static const uint8_t big[SG_JOB_EVIDENCE_MAX] = {1, 2, 3};

#define BYTES(n)                                                                                   \
    {                                                                                              \
        big, (n)                                                                                   \
    }

static const struct {
    const char *name;
    struct sg_request request;
} requests[] = {
    {"hello", {.kind = SG_JOB_HELLO, .role = SG_JOB_ROLE_ADMIN}},
    {"probe", {.kind = SG_JOB_PROBE, .serial = UINT64_MAX}},
    {"load", {.kind = SG_JOB_LOAD_KEY, .type = SG_KEY_ED25519, .id = BYTES(64)}},
    {"sign",
     {.kind = SG_JOB_SIGN,
      .serial = 7,
      .scheme = SG_SCHEME_ECDSA,
      .digest_alg = SG_DIGEST_SHA256,
      .deadline_ns = INT64_MAX,
      .id = BYTES(1),
      .tbs = BYTES(32)}},
    {"the largest sign",
     {.kind = SG_JOB_SIGN,
      .scheme = SG_SCHEME_ED25519,
      .id = BYTES(64),
      .tbs = BYTES(4096),
      .evidence = BYTES(8192)}},
    {"an empty message to sign",
     {.kind = SG_JOB_SIGN, .scheme = SG_SCHEME_ED25519, .id = BYTES(2)}},
    {"csr",
     {.kind = SG_JOB_CSR,
      .digest_alg = SG_DIGEST_SHA512,
      .id = BYTES(16),
      .subject = BYTES(2048),
      .alt_names = BYTES(0)}},
    {"load a copy",
     {.kind = SG_JOB_LOAD_KEY,
      .type = SG_KEY_EC_P256,
      .origin = SG_ORIGIN_IMPORTED,
      .id = BYTES(1)}},
};

static const struct {
    const char *name;
    struct sg_answer answer;
} answers[] = {
    {"hello",
     {.kind = SG_JOB_HELLO,
      .outcome = SG_OUT_OK,
      .workers = 32,
      .pin = SG_PIN_ACCEPTED,
      .label = BYTES(32),
      .model = BYTES(16),
      .number = BYTES(16)}},
    {"probe of a token not found yet", {.kind = SG_JOB_PROBE, .outcome = SG_OUT_OK, .workers = 1}},
    {"key",
     {.kind = SG_JOB_LOAD_KEY, .outcome = SG_OUT_OK, .type = SG_KEY_RSA_2048, .spki = BYTES(294)}},
    {"signature",
     {.kind = SG_JOB_SIGN,
      .serial = 9,
      .outcome = SG_OUT_OK,
      .start_ns = 5,
      .hsm_ns = 6,
      .workers = 7,
      .signature = BYTES(8192)}},
    {"csr", {.kind = SG_JOB_CSR, .outcome = SG_OUT_OK, .csr = BYTES(500)}},
    {"failure", {.kind = SG_JOB_SIGN, .outcome = SG_OUT_TOKEN, .native = 0x30, .text = {NULL, 0}}},
};

static enum sg_rc decode_request(struct sg_slice bytes)
{
    struct sg_request request;
    return sg_request_decode(bytes, &request, NULL);
}

static enum sg_rc decode_answer(struct sg_slice bytes)
{
    struct sg_answer answer;
    return sg_answer_decode(bytes, &answer, NULL);
}

typedef enum sg_rc (*decode_fn)(struct sg_slice bytes);

/* Accepted whole; refused at every shorter length, with a byte more, and in the other direction. */
static void check(struct sg_buf *out, decode_fn right, decode_fn wrong)
{
    assert_false(out->failed);
    assert_int_equal(right(sg_buf_slice(out)), SG_OK);
    assert_int_equal(wrong(sg_buf_slice(out)), SG_E_INVALID);
    for (size_t len = 0; len < out->len; len++) {
        uint8_t *part = malloc(len); /* exact, so that a sanitizer sees a read past it */
        if (len > 0)
            memcpy(part, out->ptr, len);
        assert_int_equal(right(sg_slice_of(part, len)), SG_E_INVALID);
        free(part);
    }
    sg_buf_add_u8(out, 0);
    assert_int_equal(right(sg_buf_slice(out)), SG_E_INVALID);
    sg_buf_done(out);
}

static void requests_survive_the_way_and_nothing_shorter_or_longer_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(requests); i++) {
        struct sg_buf out;
        struct sg_request back;
        print_message("  %s\n", requests[i].name);
        sg_buf_init(&out, SG_JOB_MESSAGE_MAX + 1);
        sg_request_encode(&requests[i].request, &out);
        assert_true(out.len <= SG_JOB_MESSAGE_MAX);
        assert_int_equal(sg_request_decode(sg_buf_slice(&out), &back, NULL), SG_OK);
        const struct sg_request *want = &requests[i].request;
        assert_int_equal(back.serial, want->serial);
        assert_int_equal(back.role, want->role);
        assert_int_equal(back.type, want->type);
        assert_int_equal(back.origin, want->origin);
        assert_int_equal(back.scheme, want->scheme);
        assert_int_equal(back.digest_alg, want->digest_alg);
        assert_int_equal(back.deadline_ns, want->deadline_ns);
        assert_slice_equal(back.id, want->id);
        assert_slice_equal(back.tbs, want->tbs);
        assert_slice_equal(back.evidence, want->evidence);
        assert_slice_equal(back.subject, want->subject);
        check(&out, decode_request, decode_answer);
    }
}

static void answers_survive_the_way_and_nothing_shorter_or_longer_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(answers); i++) {
        struct sg_buf out;
        struct sg_answer back;
        print_message("  %s\n", answers[i].name);
        sg_buf_init(&out, SG_JOB_MESSAGE_MAX + 1);
        sg_answer_encode(&answers[i].answer, &out);
        assert_int_equal(sg_answer_decode(sg_buf_slice(&out), &back, NULL), SG_OK);
        const struct sg_answer *want = &answers[i].answer;
        assert_int_equal(back.outcome, want->outcome);
        assert_int_equal(back.native, want->native);
        assert_int_equal(back.workers, want->workers);
        assert_int_equal(back.start_ns, want->start_ns);
        assert_slice_equal(back.signature, want->signature);
        assert_slice_equal(back.spki, want->spki);
        check(&out, decode_answer, decode_request);
    }
}

/* One byte of a good SIGN answer or request made bad. */
static void a_value_outside_its_enum_or_bound_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_answer;
        size_t at;
        uint8_t value;
    } cases[] = {
        {"the version before", false, 0, 1},
        {"kind zero", false, 1, 0},
        {"kind past the last", false, 1, SG_JOB_KIND_COUNT},
        {"direction", false, 2, 3},
        {"the zero byte", false, 3, 1},
        {"another length", false, 7, 0},
        {"scheme zero", false, 16, 0},
        {"scheme past the last", false, 16, SG_SCHEME_COUNT},
        {"digest past the last", false, 17, SG_DIGEST_COUNT},
        {"a deadline before the beginning of time", false, 18, 0x80},
        {"an empty id", false, 26, 0},
        {"outcome zero", true, 16, 0},
        {"outcome past the last", true, 16, SG_OUT_COUNT},
        {"success with a CKR", true, 24, 1},
        {"success with a reason", true, 25, 1},
        {"a negative time", true, 26, 0x80},
    };
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_buf out;
        print_message("  %s\n", cases[i].name);
        sg_buf_init(&out, SG_JOB_MESSAGE_MAX);
        if (cases[i].is_answer)
            sg_answer_encode(&answers[3].answer, &out);
        else
            sg_request_encode(&requests[3].request, &out);
        out.ptr[cases[i].at] = cases[i].value;
        assert_int_equal((cases[i].is_answer ? decode_answer : decode_request)(sg_buf_slice(&out)),
                         SG_E_INVALID);
        sg_buf_done(&out);
    }
}

static void a_reason_that_would_steer_a_terminal_is_refused(void **state)
{
    (void)state;
    struct sg_answer answer = {
        .kind = SG_JOB_SIGN, .outcome = SG_OUT_REQUEST, .text = SG_SLICE("no \x1b[2J")};
    struct sg_buf out;
    sg_buf_init(&out, SG_JOB_MESSAGE_MAX);
    sg_answer_encode(&answer, &out);
    assert_int_equal(decode_answer(sg_buf_slice(&out)), SG_E_INVALID);
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_survive_the_way_and_nothing_shorter_or_longer_does),
        cmocka_unit_test(answers_survive_the_way_and_nothing_shorter_or_longer_does),
        cmocka_unit_test(a_value_outside_its_enum_or_bound_is_refused),
        cmocka_unit_test(a_reason_that_would_steer_a_terminal_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
