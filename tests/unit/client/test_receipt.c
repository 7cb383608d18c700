#include "client/lib/receipt.h"

#include "tests/support/audit_maker.h"
#include "tests/support/unit.h"

/* Receipts of answers: right ones are taken, and nothing that is wrong with one goes unseen. */

static const char origin[] = "sealgate.example/log-1";
static const uint8_t digest[32] = {1, 2, 3}, signature[64] = {9, 8, 7};
static struct audit_maker *maker, *forger;
static char log_key[512], forger_key[512];
enum { LEAF = 5, LEAVES = 11 };

static const struct sealgate_sign_request asked = {
    .key = "keys/thue",
    .content = {digest, sizeof(digest)},
    .digest = SEALGATE_DIGEST_SHA256,
    .request_id = "0193526e-8c00-7abc-8def-0123456789ab",
    .purpose = "notice",
};

static void write_key(const struct audit_maker *from, char out[512])
{
    struct sg_buf text;
    sg_buf_init(&text, 512);
    sg_note_key_write(audit_maker_key(from), &text);
    snprintf(out, 512, "%.*s", (int)text.len, (const char *)text.ptr);
    sg_buf_done(&text);
}

/* What a server that does as it should writes down. */
static struct sg_audit_record record_of(struct sg_client_asked *hashed)
{
    assert_int_equal(sg_client_asked_of(&asked, hashed, NULL), SEALGATE_OK);
    return (struct sg_audit_record){
        .event = SG_AUDIT_SIGNATURE,
        .time_ns = 1795388400000000000,
        .caller = SG_SLICE("spiffe://example.vn/back-office"),
        .request_id = sg_slice_str(asked.request_id),
        .request_sha256 = sg_slice_of(hashed->request_sha256, 32),
        .key_version = SG_SLICE("keys/thue/versions/1"),
        .scheme = SG_SCHEME_ECDSA,
        .digest_alg = SG_DIGEST_SHA256,
        .digest = sg_slice_of(digest, sizeof(digest)),
        .purpose = SG_SLICE("notice"),
        .signature = sg_slice_of(signature, sizeof(signature)),
    };
}

/* A log whose leaf LEAF is this record. */
static struct audit_maker *make_log(uint8_t seed, const struct sg_audit_record *record)
{
    struct audit_maker *log = audit_maker_new(origin, seed);
    struct sg_buf bytes;
    sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
    sg_audit_record_write(record, &bytes);
    assert_false(bytes.failed);
    audit_maker_grow(log, LEAF);
    audit_maker_add(log, sg_buf_slice(&bytes));
    audit_maker_grow(log, LEAVES - LEAF - 1);
    sg_buf_done(&bytes);
    return log;
}

static int setup(void **state)
{
    struct sg_client_asked hashed;
    struct sg_audit_record record = record_of(&hashed);
    (void)state;
    maker = make_log(1, &record);
    forger = make_log(2, &record);
    write_key(maker, log_key);
    write_key(forger, forger_key);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    audit_maker_free(maker);
    audit_maker_free(forger);
    return 0;
}

/* An answer with the receipt of leaf LEAF, in messages of the contract. */
struct answer {
    struct sg_buf text;
    struct sg_receipt parts;
    struct sg_tree_hash leaf;
    ProtobufCBinaryData proof[SG_TREE_LEVELS_MAX];
    Sealgate__V1__AuditReceipt receipt;
    Sealgate__V1__SignResponse response;
};

static ProtobufCBinaryData data_of(struct sg_slice slice)
{
    return (ProtobufCBinaryData){slice.len, (uint8_t *)(uintptr_t)slice.ptr};
}

static void answer_init(struct answer *answer, struct audit_maker *log, uint64_t size)
{
    struct sg_tree_hasher *hasher;
    struct sg_slice record = audit_maker_record(log, LEAF);
    memset(answer, 0, sizeof(*answer));
    sg_buf_init(&answer->text, SG_RECEIPT_BYTES_MAX);
    audit_maker_receipt(log, LEAF, size, &answer->text);
    assert_int_equal(sg_receipt_parse(sg_buf_slice(&answer->text), &answer->parts, NULL), SG_OK);
    assert_int_equal(sg_tree_hasher_new(&hasher, NULL), SG_OK);
    sg_tree_hash_leaf(hasher, record, &answer->leaf);
    sg_tree_hasher_free(hasher);
    sealgate__v1__audit_receipt__init(&answer->receipt);
    answer->receipt.log = (char *)(uintptr_t) "audit/log-1";
    answer->receipt.leaf_index = LEAF;
    answer->receipt.leaf_hash = data_of(sg_slice_of(answer->leaf.bytes, 32));
    answer->receipt.n_inclusion_proof = answer->parts.proof.count;
    answer->receipt.inclusion_proof = answer->proof;
    for (size_t i = 0; i < answer->parts.proof.count; i++)
        answer->proof[i] = data_of(sg_slice_of(answer->parts.proof.hashes[i].bytes, 32));
    answer->receipt.checkpoint = data_of(answer->parts.checkpoint);
    answer->receipt.record = data_of(record);
    sealgate__v1__sign_response__init(&answer->response);
    answer->response.signature = data_of(sg_slice_of(signature, sizeof(signature)));
    answer->response.key_version = (char *)(uintptr_t) "keys/thue/versions/1";
    answer->response.receipt = &answer->receipt;
}

static struct sg_client_receipts *pin(const char *keys, enum sealgate_receipts policy)
{
    struct sg_client_receipts *receipts = NULL;
    assert_int_equal(sg_client_receipts_new(keys, policy, &receipts, NULL), SEALGATE_OK);
    return receipts;
}

/* The reason; "" for taken. */
static const char *judge(struct sg_client_receipts *receipts, const struct answer *answer,
                         const struct sealgate_sign_request *request)
{
    static struct sealgate_error error;
    const struct sealgate_receipt *receipt;
    struct sg_client_asked hashed;
    struct sg_arena arena;
    sg_arena_init(&arena, 1 << 20);
    assert_int_equal(sg_client_asked_of(request, &hashed, NULL), SEALGATE_OK);
    memset(&error, 0, sizeof(error));
    enum sealgate_code code =
        sg_client_receipt_decode(receipts, &answer->response, &hashed, &arena, &receipt, &error);
    assert_int_equal(code == SEALGATE_OK, error.reason[0] == '\0');
    if (code == SEALGATE_OK && receipt != NULL) {
        assert_int_equal(receipt->leaf_index, LEAF);
        assert_slice_equal(sg_slice_of(receipt->file.ptr, receipt->file.len),
                           sg_buf_slice(&answer->text));
    } else if (code != SEALGATE_OK) {
        print_message("    %s\n", error.message);
        assert_int_equal(code, SEALGATE_DATA_LOSS);
    }
    sg_arena_done(&arena);
    return error.reason;
}

static void a_right_receipt_is_taken_with_and_without_a_key(void **state)
{
    char both[1100];
    const char *const keys[] = {NULL, log_key, both};
    (void)state;
    snprintf(both, sizeof(both), " %s  %s\n", forger_key, log_key);
    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        struct sg_client_receipts *receipts = pin(keys[i], SEALGATE_RECEIPTS_UNSET);
        struct answer answer;
        for (uint64_t size = LEAF + 1; size <= LEAVES; size++) {
            answer_init(&answer, maker, size);
            assert_string_equal(judge(receipts, &answer, &asked), "");
            assert_string_equal(judge(receipts, &answer, &asked), ""); /* the same note again */
            sg_buf_done(&answer.text);
        }
        sg_client_receipts_free(receipts);
    }
}

static void no_part_of_a_receipt_may_differ(void **state)
{
    struct answer answer;
    const ProtobufCBinaryData *parts[4];
    (void)state;
    answer_init(&answer, maker, LEAVES);
    parts[0] = &answer.receipt.leaf_hash;
    parts[1] = &answer.receipt.checkpoint;
    parts[2] = &answer.receipt.record;
    parts[3] = &answer.proof[1];
    for (size_t i = 0; i < SG_COUNT(parts); i++) {
        ProtobufCBinaryData whole = *parts[i], *part = (ProtobufCBinaryData *)(uintptr_t)parts[i];
        uint8_t *copy = malloc(whole.len);
        memcpy(copy, whole.data, whole.len);
        part->data = copy;
        for (size_t at = 0; at < whole.len; at++) {
            struct sg_client_receipts *receipts = pin(log_key, SEALGATE_RECEIPTS_UNSET);
            copy[at] ^= 0x10;
            assert_string_equal(judge(receipts, &answer, &asked), "RECEIPT_WRONG");
            copy[at] ^= 0x10;
            sg_client_receipts_free(receipts);
        }
        *part = whole;
        free(copy);
    }
    struct sg_client_receipts *receipts = pin(log_key, SEALGATE_RECEIPTS_UNSET);
    answer.receipt.leaf_index++;
    assert_string_equal(judge(receipts, &answer, &asked), "RECEIPT_WRONG");
    answer.receipt.leaf_index--;
    answer.receipt.n_inclusion_proof--;
    assert_string_equal(judge(receipts, &answer, &asked), "RECEIPT_WRONG");
    answer.receipt.n_inclusion_proof = SG_TREE_LEVELS_MAX + 1;
    assert_string_equal(judge(receipts, &answer, &asked), "RECEIPT_WRONG");
    answer.receipt.n_inclusion_proof = answer.parts.proof.count;
    assert_string_equal(judge(receipts, &answer, &asked), "");
    sg_client_receipts_free(receipts);
    sg_buf_done(&answer.text);
}

static void a_receipt_of_something_else_is_refused(void **state)
{
    static const uint8_t other[64] = {1};
    struct sealgate_sign_request requests[6];
    struct sg_client_receipts *receipts = pin(log_key, SEALGATE_RECEIPTS_UNSET);
    struct answer answer;
    (void)state;
    answer_init(&answer, maker, LEAVES);
    for (size_t i = 0; i < SG_COUNT(requests); i++)
        requests[i] = asked;
    requests[0].key = "keys/other";
    requests[1].content.ptr = other;
    requests[2].digest = SEALGATE_DIGEST_SHA3_256;
    requests[3].request_id = "0193526e-8c00-7abc-8def-0123456789ac";
    requests[4].purpose = "another";
    requests[5].scheme = SEALGATE_SCHEME_ECDSA;
    for (size_t i = 0; i < SG_COUNT(requests); i++)
        assert_string_equal(judge(receipts, &answer, &requests[i]), "RECEIPT_WRONG");

    answer.response.signature.data = (uint8_t *)(uintptr_t)other;
    assert_string_equal(judge(receipts, &answer, &asked), "RECEIPT_WRONG");
    answer.response.signature.data = (uint8_t *)(uintptr_t)signature;
    answer.response.key_version = (char *)(uintptr_t) "keys/thue/versions/2";
    assert_string_equal(judge(receipts, &answer, &asked), "RECEIPT_WRONG");
    sg_client_receipts_free(receipts);
    sg_buf_done(&answer.text);
}

static void a_strangers_log_is_refused_where_a_key_is_pinned(void **state)
{
    struct sg_client_receipts *receipts = pin(log_key, SEALGATE_RECEIPTS_UNSET);
    struct answer answer;
    (void)state;
    answer_init(&answer, forger, LEAVES);
    assert_string_equal(judge(receipts, &answer, &asked), "RECEIPT_WRONG");
    sg_client_receipts_free(receipts);
    receipts = pin(NULL, SEALGATE_RECEIPTS_UNSET);
    assert_string_equal(judge(receipts, &answer, &asked), "");
    sg_client_receipts_free(receipts);
    sg_buf_done(&answer.text);
}

/* Signed by the right key both times: only who remembers can see it. */
static void a_log_with_two_trees_of_one_size_is_caught(void **state)
{
    struct sg_client_asked hashed;
    struct sg_audit_record record = record_of(&hashed);
    struct sg_client_receipts *receipts = pin(log_key, SEALGATE_RECEIPTS_UNSET);
    struct answer first, second;
    (void)state;
    record.time_ns++;
    struct audit_maker *split = make_log(1, &record);
    answer_init(&first, maker, LEAVES);
    answer_init(&second, split, LEAVES);
    assert_string_equal(judge(receipts, &first, &asked), "");
    assert_string_equal(judge(receipts, &second, &asked), "RECEIPT_WRONG");
    assert_string_equal(judge(receipts, &first, &asked), "");
    sg_client_receipts_free(receipts);
    sg_buf_done(&first.text);
    sg_buf_done(&second.text);
    audit_maker_free(split);
}

/* Two gateways may be given one name by mistake; as long as their keys differ, neither lies. */
static void logs_of_one_name_are_told_apart_by_their_keys(void **state)
{
    char both[1100];
    const char *const keys[] = {NULL, both};
    (void)state;
    snprintf(both, sizeof(both), "%s %s", log_key, forger_key);
    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        struct sg_client_receipts *receipts = pin(keys[i], SEALGATE_RECEIPTS_UNSET);
        struct sg_client_asked hashed;
        struct sg_audit_record record = record_of(&hashed);
        struct answer one, two;
        record.time_ns += 7;
        struct audit_maker *other = make_log(2, &record);
        answer_init(&one, maker, LEAVES);
        answer_init(&two, other, LEAVES);
        for (int round = 0; round < 3; round++) {
            assert_string_equal(judge(receipts, &one, &asked), "");
            assert_string_equal(judge(receipts, &two, &asked), "");
        }
        sg_client_receipts_free(receipts);
        sg_buf_done(&one.text);
        sg_buf_done(&two.text);
        audit_maker_free(other);
    }
}

static void an_answer_without_a_receipt_is_as_the_options_say(void **state)
{
    const struct {
        const char *name, *key;
        enum sealgate_receipts policy;
        const char *reason;
    } rows[] = {
        {"no key", NULL, SEALGATE_RECEIPTS_UNSET, ""},
        {"a key", log_key, SEALGATE_RECEIPTS_UNSET, "RECEIPT_MISSING"},
        {"no key, required", NULL, SEALGATE_RECEIPTS_REQUIRED, "RECEIPT_MISSING"},
        {"a key, checked", log_key, SEALGATE_RECEIPTS_CHECKED, ""},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_client_receipts *receipts = pin(rows[i].key, rows[i].policy);
        struct answer answer;
        print_message("  %s\n", rows[i].name);
        answer_init(&answer, maker, LEAVES);
        answer.response.receipt = NULL;
        assert_string_equal(judge(receipts, &answer, &asked), rows[i].reason);
        sg_client_receipts_free(receipts);
        sg_buf_done(&answer.text);
    }
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const rows[] = {"a", "a+b+c", "sealgate.example/log-1+00000000+AYqI4910"};
    struct sg_client_receipts *receipts = NULL;
    char many[17 * 520] = "";
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++)
        assert_int_equal(sg_client_receipts_new(rows[i], SEALGATE_RECEIPTS_UNSET, &receipts, NULL),
                         SEALGATE_INVALID_ARGUMENT);
    for (size_t i = 0; i < SG_CLIENT_LOG_KEYS_MAX; i++) {
        size_t len = strlen(many);
        snprintf(many + len, sizeof(many) - len, "%s ", log_key);
    }
    receipts = pin(many, SEALGATE_RECEIPTS_UNSET);
    sg_client_receipts_free(receipts);
    size_t len = strlen(many);
    snprintf(many + len, sizeof(many) - len, "%s", log_key);
    assert_int_equal(sg_client_receipts_new(many, SEALGATE_RECEIPTS_UNSET, &receipts, NULL),
                     SEALGATE_INVALID_ARGUMENT);
}

static void a_file_is_verified_in_one_call(void **state)
{
    struct sealgate_record *record = NULL;
    struct sealgate_error error;
    struct answer answer;
    (void)state;
    answer_init(&answer, maker, LEAVES);
    struct sealgate_bytes file = {answer.text.ptr, answer.text.len};
    assert_int_equal(sealgate_receipt_verify(file, log_key, &record, &error), SEALGATE_OK);
    assert_string_equal(record->origin, origin);
    assert_int_equal(record->leaf_index, LEAF);
    assert_int_equal(record->tree_size, LEAVES);
    assert_true(record->is_signed);
    assert_int_equal(record->event, SEALGATE_EVENT_SIGNATURE);
    assert_string_equal(record->request_id, asked.request_id);
    assert_string_equal(record->purpose, "notice");
    assert_string_equal(record->reason, "");
    assert_int_equal(record->signature.len, sizeof(signature));
    sealgate_free(record);
    assert_int_equal(sealgate_receipt_verify(file, NULL, &record, &error), SEALGATE_OK);
    assert_false(record->is_signed);
    sealgate_free(record);
    assert_int_equal(sealgate_receipt_verify(file, log_key, NULL, &error), SEALGATE_OK);
    assert_int_equal(sealgate_receipt_verify(file, forger_key, &record, &error),
                     SEALGATE_DATA_LOSS);
    assert_string_equal(error.reason, "RECEIPT_WRONG");
    for (file.len = 0; file.len < answer.text.len; file.len += 7)
        assert_int_equal(sealgate_receipt_verify(file, log_key, &record, &error),
                         SEALGATE_DATA_LOSS);
    sg_buf_done(&answer.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_receipt_is_taken_with_and_without_a_key),
        cmocka_unit_test(no_part_of_a_receipt_may_differ),
        cmocka_unit_test(a_receipt_of_something_else_is_refused),
        cmocka_unit_test(a_strangers_log_is_refused_where_a_key_is_pinned),
        cmocka_unit_test(a_log_with_two_trees_of_one_size_is_caught),
        cmocka_unit_test(logs_of_one_name_are_told_apart_by_their_keys),
        cmocka_unit_test(an_answer_without_a_receipt_is_as_the_options_say),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(a_file_is_verified_in_one_call),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
