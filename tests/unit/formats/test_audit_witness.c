#include "formats/audit/witness.h"

#include "tests/support/audit_maker.h"
#include "tests/unit/formats/audit_log.h"

/* Logs and witnesses: requests, what a witness answers to them, and what a log reads from that. */

enum { LEAVES = 40 };

static struct audit_maker *maker, *fork_maker;
static struct sg_tree_hasher *hasher;
static struct test_signer witness;
static struct sg_buf text, checkpoint;

static int setup(void **state)
{
    (void)state;
    maker = audit_maker_new("log.example/main/1", 7);
    audit_maker_grow(maker, LEAVES);
    /* The same log by the same key, with another leaf in the middle: the lie. */
    fork_maker = audit_maker_new("log.example/main/1", 7);
    audit_maker_grow(fork_maker, 10);
    audit_maker_add(fork_maker, SG_SLICE("something else"));
    audit_maker_grow(fork_maker, LEAVES - 11);
    assert_int_equal(sg_tree_hasher_new(&hasher, NULL), SG_OK);
    test_signer_init(&witness, "witness.example/w1", SG_NOTE_COSIGNATURE, 9);
    sg_buf_init(&text, SG_WITNESS_REQUEST_BYTES_MAX);
    sg_buf_init(&checkpoint, SG_NOTE_BYTES_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sg_buf_done(&text);
    sg_buf_done(&checkpoint);
    test_signer_done(&witness);
    sg_tree_hasher_free(hasher);
    audit_maker_free(maker);
    audit_maker_free(fork_maker);
    return 0;
}

/* Into `text` and `checkpoint`; parsed again. */
static void make_request(struct audit_maker *of, uint64_t old, uint64_t size,
                         struct sg_witness_request *ret)
{
    struct sg_witness_request request = {.old_size = old};

    if (old > 0 && old < size)
        audit_maker_growth(of, old, size, &request.proof);
    sg_buf_clear(&checkpoint);
    audit_maker_checkpoint(of, size, &checkpoint);
    request.checkpoint = sg_buf_slice(&checkpoint);
    sg_buf_clear(&text);
    sg_witness_request_write(&request, &text);
    assert_int_equal(sg_witness_request_parse(sg_buf_slice(&text), ret, NULL), SG_OK);
    assert_int_equal(ret->old_size, old);
    assert_int_equal(ret->proof.count, request.proof.count);
    assert_true(ret->claimed.head.size == size);
    assert_true(sg_slice_eq(ret->checkpoint, request.checkpoint));
}

static struct sg_tree_head head_of(struct audit_maker *of, uint64_t size)
{
    struct sg_witness_request request;
    if (size == 0)
        return (struct sg_tree_head){0};
    make_request(of, 0, size, &request);
    return request.claimed.head;
}

static enum sg_witness_verdict judge(struct sg_tree_head known,
                                     const struct sg_witness_request *request)
{
    const struct sg_note_key *keys[] = {witness.key, audit_maker_key(maker)};
    const struct sg_witness_log log = {.keys = keys, .key_count = 2, .known = known};
    enum sg_witness_verdict verdict = SG_WITNESS_MALFORMED;
    struct sg_slice line;

    assert_int_equal(sg_witness_judge(hasher, &log, request, &verdict, &line, NULL), SG_OK);
    assert_int_equal(line.len > 0, verdict == SG_WITNESS_COSIGN);
    return verdict;
}

static void every_growth_is_cosigned_and_from_nothing_else(void **state)
{
    struct sg_witness_request request;
    (void)state;

    for (uint64_t known = 0; known <= LEAVES; known++) {
        const struct sg_tree_head head = head_of(maker, known);
        for (uint64_t size = known > 0 ? known : 1; size <= LEAVES; size++) {
            make_request(maker, known, size, &request);
            assert_int_equal(judge(head, &request), SG_WITNESS_COSIGN);
        }
    }
}

/* The checks in the order that the protocol has them in. */
static void refusals_follow_the_table(void **state)
{
    static const struct {
        const char *name;
        bool by_fork;
        uint64_t known, old, size;
        enum sg_witness_verdict verdict;
        unsigned status;
    } rows[] = {
        {"the first is taken", false, 0, 0, 20, SG_WITNESS_COSIGN, 200},
        {"the same again is taken", false, 20, 20, 20, SG_WITNESS_COSIGN, 200},
        {"old is behind", false, 20, 10, 30, SG_WITNESS_CONFLICT, 409},
        {"old is nothing", false, 20, 0, 30, SG_WITNESS_CONFLICT, 409},
        {"old is ahead", false, 20, 25, 30, SG_WITNESS_CONFLICT, 409},
        {"it has shrunk", false, 20, 10, 15, SG_WITNESS_CONFLICT, 409},
        {"old is over the new", false, 20, 20, 15, SG_WITNESS_MALFORMED, 400},
        {"a fork of the same size", true, 20, 20, 20, SG_WITNESS_FORKED, 409},
        {"a fork that grew", true, 20, 20, 30, SG_WITNESS_NOT_PROVED, 422},
        {"a fork behind what is known is none yet", true, 10, 10, 30, SG_WITNESS_COSIGN, 200},
    };
    struct sg_witness_request request;
    (void)state;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        const struct sg_tree_head known = head_of(maker, rows[i].known);
        if (rows[i].old > rows[i].size) {
            make_request(maker, 0, rows[i].size, &request);
            request.old_size = rows[i].old;
        } else {
            make_request(rows[i].by_fork ? fork_maker : maker, rows[i].old, rows[i].size, &request);
        }
        const enum sg_witness_verdict verdict = judge(known, &request);
        assert_int_equal(verdict, rows[i].verdict);
        assert_int_equal(sg_witness_status(verdict), rows[i].status);
    }
    assert_int_equal(sg_witness_status(SG_WITNESS_UNKNOWN_LOG), 404);
    assert_int_equal(sg_witness_status(SG_WITNESS_NOT_SIGNED), 403);
}

static void a_proof_that_is_changed_or_not_empty_proves_nothing(void **state)
{
    struct sg_witness_request request;
    (void)state;

    const struct sg_tree_head known = head_of(maker, 21);
    make_request(maker, 21, 37, &request);
    const struct sg_witness_request good = request;
    for (size_t i = 0; i < good.proof.count; i++) {
        request = good;
        request.proof.hashes[i].bytes[i] ^= 1;
        assert_int_equal(judge(known, &request), SG_WITNESS_NOT_PROVED);
    }
    request = good;
    request.proof.count--;
    assert_int_equal(judge(known, &request), SG_WITNESS_NOT_PROVED);
    make_request(maker, 0, 37, &request);
    request.proof.count = 1;
    assert_int_equal(judge((struct sg_tree_head){0}, &request), SG_WITNESS_NOT_PROVED);
    /* A tree of nothing with the root of something. */
    make_request(maker, 0, 37, &request);
    request.claimed.head.size = 0;
    assert_int_equal(judge((struct sg_tree_head){0}, &request), SG_WITNESS_NOT_PROVED);
}

static void only_the_logs_own_signature_counts(void **state)
{
    const struct sg_note_key *other[] = {witness.key};
    const struct sg_witness_log log = {.keys = other, .key_count = 1};
    enum sg_witness_verdict verdict = SG_WITNESS_COSIGN;
    struct sg_witness_request request, bad;
    struct sg_slice line;
    (void)state;

    make_request(maker, 0, 20, &request);
    assert_int_equal(sg_witness_judge(hasher, &log, &request, &verdict, &line, NULL), SG_OK);
    assert_int_equal(verdict, SG_WITNESS_NOT_SIGNED);
    assert_int_equal(sg_witness_judge(hasher, NULL, &request, &verdict, &line, NULL), SG_OK);
    assert_int_equal(verdict, SG_WITNESS_UNKNOWN_LOG);
    assert_int_equal(line.len, 0);

    /* One digit of the root: the signature is not over this. */
    struct sg_slice root = SG_SLICE("=\n\n");
    uint8_t *at = memmem(text.ptr, text.len, root.ptr, root.len);
    assert_non_null(at);
    at[-2] = at[-2] == 'A' ? 'B' : 'A';
    assert_int_equal(sg_witness_request_parse(sg_buf_slice(&text), &bad, NULL), SG_OK);
    assert_int_equal(judge((struct sg_tree_head){0}, &bad), SG_WITNESS_NOT_SIGNED);
}

/* Cut anywhere it is no request, but where only signatures are gone. */
static void requests_are_whole(void **state)
{
    struct sg_witness_request request;
    struct sg_buf longer;
    (void)state;

    make_request(maker, 21, 37, &request);
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(sg_witness_request_parse(sg_slice_of(text.ptr, len), &request, NULL),
                         SG_E_INVALID);

    static const char *const bad[] = {
        "",
        "old 1",
        "old 01\n\n",
        "old -1\n\n",
        "old 18446744073709551616\n\n",
        "old  1\n\n",
        "Old 1\n\n",
        "old 1\nnothash\n\n",
        "old 1\n\nlog.example\n1\n",
    };
    for (size_t i = 0; i < SG_COUNT(bad); i++)
        assert_int_equal(sg_witness_request_parse(sg_slice_str(bad[i]), &request, NULL),
                         SG_E_INVALID);

    sg_buf_init(&longer, 2 * SG_WITNESS_REQUEST_BYTES_MAX);
    sg_buf_add_str(&longer, "old 1\n");
    for (int i = 0; i <= SG_WITNESS_PROOF_MAX; i++)
        sg_buf_add_str(&longer, "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
    sg_buf_add_str(&longer, "\n");
    audit_maker_checkpoint(maker, 5, &longer);
    assert_int_equal(sg_witness_request_parse(sg_buf_slice(&longer), &request, NULL), SG_E_LIMIT);
    sg_buf_clear(&longer);
    while (longer.len <= SG_WITNESS_REQUEST_BYTES_MAX)
        sg_buf_add_str(&longer, "old 1\n");
    assert_int_equal(sg_witness_request_parse(sg_buf_slice(&longer), &request, NULL), SG_E_LIMIT);
    sg_buf_done(&longer);
}

/* Answers ------------------------------------------------------------------------------------ */

static struct sg_witness_answer answer_to(unsigned status, struct sg_slice body)
{
    struct sg_witness_answer answer = {0};
    assert_int_equal(
        sg_witness_answer_read(status, body, sg_buf_slice(&checkpoint), witness.key, &answer, NULL),
        SG_OK);
    return answer;
}

static void a_log_takes_the_line_of_the_witness_it_knows(void **state)
{
    struct test_signer stranger;
    struct sg_witness_request request;
    struct sg_buf body;
    (void)state;

    make_request(maker, 0, 20, &request);
    test_signer_init(&stranger, "witness.example/w2", SG_NOTE_COSIGNATURE, 3);
    sg_buf_init(&body, SG_WITNESS_ANSWER_BYTES_MAX);
    test_signer_sign(&stranger, SG_NOTE_COSIGNATURE, 5, request.note.text, &body);
    assert_int_equal(answer_to(200, sg_buf_slice(&body)).kind, SG_WITNESS_ANSWER_NONE);
    const size_t before = body.len;
    test_signer_sign(&witness, SG_NOTE_COSIGNATURE, 1700000000, request.note.text, &body);
    const struct sg_witness_answer answer = answer_to(200, sg_buf_slice(&body));
    assert_int_equal(answer.kind, SG_WITNESS_ANSWER_COSIGNED);
    assert_true(answer.time == 1700000000);
    assert_true(sg_slice_eq(answer.line, sg_slice_of(body.ptr + before, body.len - before)));
    assert_ptr_equal(answer.line.ptr, body.ptr + before);

    /* Cut anywhere, or with one letter of the signature changed, it is no answer. */
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(answer_to(200, sg_slice_of(body.ptr, len)).kind, SG_WITNESS_ANSWER_NONE);
    body.ptr[body.len - 10] ^= 1;
    assert_int_equal(answer_to(200, sg_buf_slice(&body)).kind, SG_WITNESS_ANSWER_NONE);
    /* A signature over another checkpoint; and one that brings a text of its own. */
    sg_buf_clear(&body);
    test_signer_sign(&witness, SG_NOTE_COSIGNATURE, 5, SG_SLICE("another\n"), &body);
    assert_int_equal(answer_to(200, sg_buf_slice(&body)).kind, SG_WITNESS_ANSWER_NONE);
    sg_buf_clear(&body);
    sg_buf_add_str(&body, "more text\n\n");
    test_signer_sign(&witness, SG_NOTE_COSIGNATURE, 5, request.note.text, &body);
    assert_int_equal(answer_to(200, sg_buf_slice(&body)).kind, SG_WITNESS_ANSWER_NONE);
    sg_buf_done(&body);
    test_signer_done(&stranger);
}

static void other_answers_follow_the_table(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        enum sg_witness_answer_kind kind;
        uint64_t size;
    } rows[] = {
        {200, "", SG_WITNESS_ANSWER_NONE, 0},           {200, "ok\n", SG_WITNESS_ANSWER_NONE, 0},
        {409, "17\n", SG_WITNESS_ANSWER_SIZE, 17},      {409, "0\n", SG_WITNESS_ANSWER_SIZE, 0},
        {409, "17", SG_WITNESS_ANSWER_SIZE, 17},        {409, "", SG_WITNESS_ANSWER_NONE, 0},
        {409, "\n", SG_WITNESS_ANSWER_NONE, 0},         {409, "017\n", SG_WITNESS_ANSWER_NONE, 0},
        {409, "17\n\n", SG_WITNESS_ANSWER_NONE, 0},     {409, "17\r\n", SG_WITNESS_ANSWER_NONE, 0},
        {409, "conflict\n", SG_WITNESS_ANSWER_NONE, 0}, {422, "", SG_WITNESS_ANSWER_FORKED, 0},
        {400, "", SG_WITNESS_ANSWER_REFUSED, 0},        {403, "", SG_WITNESS_ANSWER_REFUSED, 0},
        {404, "", SG_WITNESS_ANSWER_REFUSED, 0},        {500, "", SG_WITNESS_ANSWER_NONE, 0},
        {302, "", SG_WITNESS_ANSWER_NONE, 0},           {0, "", SG_WITNESS_ANSWER_NONE, 0},
    };
    struct sg_witness_request request;
    struct sg_buf body;
    (void)state;

    make_request(maker, 0, 20, &request);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        const struct sg_witness_answer answer =
            answer_to(rows[i].status, sg_slice_str(rows[i].body));
        assert_int_equal(answer.kind, rows[i].kind);
        assert_true(answer.size == rows[i].size);
    }
    sg_buf_init(&body, SG_WITNESS_ANSWER_BYTES_MAX + 1);
    while (body.len <= SG_WITNESS_ANSWER_BYTES_MAX)
        sg_buf_add_u8(&body, '1');
    assert_int_equal(answer_to(422, sg_buf_slice(&body)).kind, SG_WITNESS_ANSWER_NONE);
    sg_buf_done(&body);
}

static void witnesses_are_counted_once_each(void **state)
{
    struct test_signer second, stranger, log;
    struct sg_buf note;
    struct sg_note parts;
    size_t count = 9;
    (void)state;

    test_signer_init(&second, "witness.example/w2", SG_NOTE_COSIGNATURE, 3);
    test_signer_init(&stranger, "witness.example/w3", SG_NOTE_COSIGNATURE, 4);
    test_signer_init(&log, "log.example/2", SG_NOTE_ED25519, 5);
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    sg_buf_add_str(&note, "text\n\n");
    test_signer_sign(&log, SG_NOTE_ED25519, 0, SG_SLICE("text\n"), &note);
    test_signer_sign(&witness, SG_NOTE_COSIGNATURE, 5, SG_SLICE("text\n"), &note);
    test_signer_sign(&witness, SG_NOTE_COSIGNATURE, 6, SG_SLICE("text\n"), &note);
    test_signer_sign(&second, SG_NOTE_COSIGNATURE, 7, SG_SLICE("text\n"), &note);
    assert_int_equal(sg_note_parse(sg_buf_slice(&note), &parts, NULL), SG_OK);

    struct sg_note_key *const all[] = {witness.key, stranger.key, second.key, witness.key};
    assert_int_equal(sg_witness_count(&parts, all, 4, &count, NULL), SG_OK);
    assert_int_equal(count, 2);
    assert_int_equal(sg_witness_count(&parts, all + 1, 1, &count, NULL), SG_OK);
    assert_int_equal(count, 0);
    assert_int_equal(sg_witness_count(&parts, NULL, 0, &count, NULL), SG_OK);
    assert_int_equal(count, 0);
    assert_int_equal(sg_witness_count(&parts, &log.key, 1, &count, NULL), SG_E_INVALID);
    test_signer_sign(&stranger, SG_NOTE_COSIGNATURE, 7, SG_SLICE("another\n"), &note);
    assert_int_equal(sg_note_parse(sg_buf_slice(&note), &parts, NULL), SG_OK);
    assert_int_equal(sg_witness_count(&parts, all, 4, &count, NULL), SG_E_INVALID);

    sg_buf_done(&note);
    test_signer_done(&second);
    test_signer_done(&stranger);
    test_signer_done(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_growth_is_cosigned_and_from_nothing_else),
        cmocka_unit_test(refusals_follow_the_table),
        cmocka_unit_test(a_proof_that_is_changed_or_not_empty_proves_nothing),
        cmocka_unit_test(only_the_logs_own_signature_counts),
        cmocka_unit_test(requests_are_whole),
        cmocka_unit_test(a_log_takes_the_line_of_the_witness_it_knows),
        cmocka_unit_test(other_answers_follow_the_table),
        cmocka_unit_test(witnesses_are_counted_once_each),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
