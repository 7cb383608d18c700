#include "formats/audit/export.h"

#include <stdlib.h>

#include "tests/support/audit_maker.h"
#include "tests/support/unit.h"

/* Exports: pieces of a log that prove themselves, and say what is wrong when they do not. */

enum { LEAVES = 23 };
static const char origin[] = "sealgate.example/log-1";
static struct audit_maker *maker, *other;

static int setup(void **state)
{
    (void)state;
    maker = audit_maker_new(origin, 1);
    other = audit_maker_new(origin, 2);
    audit_maker_grow(maker, LEAVES);
    audit_maker_grow(other, 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    audit_maker_free(maker);
    audit_maker_free(other);
    return 0;
}

struct seen {
    uint64_t next, count;
};

static enum sg_rc see(void *arg, uint64_t index, struct sg_slice bytes,
                      const struct sg_audit_record *record, struct sg_err *err)
{
    struct seen *seen = arg;
    (void)err;
    if (seen->count == 0)
        seen->next = index;
    assert_int_equal(index, seen->next);
    assert_slice_equal(bytes, audit_maker_record(maker, index));
    assert_int_not_equal(record->event, SG_AUDIT_UNSET);
    seen->next++;
    seen->count++;
    return SG_OK;
}

/* In pieces of `step` bytes, each of its own memory. */
static struct sg_export_result judge(struct sg_slice file, size_t step,
                                     const struct sg_note_key *key, sg_export_leaf_fn fn, void *arg)
{
    struct sg_export_reader *reader;
    struct sg_export_result result;
    enum sg_rc rc = SG_OK;

    assert_int_equal(sg_export_reader_new(key, fn, arg, &reader, NULL), SG_OK);
    while (rc == SG_OK && file.len > 0) {
        struct sg_slice part = sg_slice_take(&file, file.len < step ? file.len : step);
        uint8_t *exact = malloc(part.len);
        memcpy(exact, part.ptr, part.len);
        rc = sg_export_read(reader, sg_slice_of(exact, part.len), NULL);
        free(exact);
    }
    if (rc == SG_OK)
        rc = sg_export_finish(reader, NULL);
    else
        assert_int_not_equal(sg_export_finish(reader, NULL), SG_OK);
    sg_export_result(reader, &result);
    assert_int_equal(rc == SG_OK, result.verdict == SG_EXPORT_PROVED);
    if (rc == SG_OK)
        assert_true(sg_slice_is(sg_export_reader_head(reader)->origin, origin));
    sg_export_reader_free(reader);
    return result;
}

static enum sg_export_verdict verdict_of(struct sg_slice file)
{
    return judge(file, SIZE_MAX, audit_maker_key(maker), NULL, NULL).verdict;
}

static void every_piece_of_a_log_proves_itself(void **state)
{
    (void)state;
    for (uint64_t size = 0; size <= LEAVES; size++) {
        for (uint64_t end = 0; end <= size; end++) {
            for (uint64_t first = 0; first <= end; first++) {
                struct seen seen = {0};
                struct sg_buf file;
                sg_buf_init(&file, 1 << 20);
                audit_maker_export(maker, first, end, size, &file);
                struct sg_export_result result =
                    judge(sg_buf_slice(&file), 4096, audit_maker_key(maker), see, &seen);
                assert_int_equal(result.verdict, SG_EXPORT_PROVED);
                assert_true(result.is_signed);
                assert_int_equal(result.head.size, size);
                assert_int_equal(seen.count, end - first);
                sg_buf_done(&file);
            }
        }
    }
}

static void pieces_may_be_of_any_size(void **state)
{
    struct sg_buf file;
    (void)state;
    sg_buf_init(&file, 1 << 20);
    audit_maker_export(maker, 5, 19, LEAVES, &file);
    for (size_t step = 1; step < 600; step++) {
        struct seen seen = {0};
        assert_int_equal(
            judge(sg_buf_slice(&file), step, audit_maker_key(maker), see, &seen).verdict,
            SG_EXPORT_PROVED);
        assert_int_equal(seen.count, 14);
    }
    sg_buf_done(&file);
}

static void a_file_that_ends_anywhere_is_cut(void **state)
{
    struct sg_buf file;
    (void)state;
    sg_buf_init(&file, 1 << 20);
    audit_maker_export(maker, 5, 9, LEAVES, &file);
    for (size_t len = 0; len < file.len; len++) {
        struct sg_slice cut = sg_slice_of(file.ptr, len);
        struct sg_export_result result = judge(cut, 100, audit_maker_key(maker), NULL, NULL);
        assert_int_equal(result.verdict, SG_EXPORT_CUT);
        assert_in_range(result.leaf, 0, 8);
    }
    sg_buf_done(&file);
}

/* Where each leaf begins. */
static size_t find_leaf(const struct sg_buf *file, uint64_t first, uint64_t index)
{
    size_t at = file->len;
    for (uint64_t i = 8; i >= first && i != UINT64_MAX; i--) {
        at -= 12 + 32 + audit_maker_record(maker, i).len;
        if (i == index)
            return at;
    }
    return 0;
}

static void no_bit_may_differ_and_a_leaf_is_named(void **state)
{
    struct sg_buf file;
    (void)state;
    sg_buf_init(&file, 1 << 20);
    audit_maker_export(maker, 5, 9, LEAVES, &file);
    for (size_t at = 0; at < file.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            file.ptr[at] ^= (uint8_t)(1U << bit);
            struct sg_export_result result =
                judge(sg_buf_slice(&file), SIZE_MAX, audit_maker_key(maker), NULL, NULL);
            assert_int_not_equal(result.verdict, SG_EXPORT_PROVED);
            for (uint64_t leaf = 5; leaf <= 8; leaf++) {
                size_t begin = find_leaf(&file, 5, leaf);
                size_t len = 12 + 32 + audit_maker_record(maker, leaf).len;
                /* In the length a leaf may seem to be longer than the file. */
                if (at >= begin && at < begin + len)
                    assert_int_equal(result.leaf, leaf);
            }
            file.ptr[at] ^= (uint8_t)(1U << bit);
        }
    }
    assert_int_equal(verdict_of(sg_buf_slice(&file)), SG_EXPORT_PROVED);
    sg_buf_done(&file);
}

/* The file in which one leaf is what somebody wants, with its hash computed anew. */
static void forge(uint64_t index, struct sg_slice record, struct sg_buf *out)
{
    struct sg_tree_hasher *hasher;
    struct sg_buf file;
    assert_int_equal(sg_tree_hasher_new(&hasher, NULL), SG_OK);
    sg_buf_init(&file, 1 << 20);
    audit_maker_export(maker, 5, 9, LEAVES, &file);
    sg_buf_add(out, file.ptr, find_leaf(&file, 5, 5));
    for (uint64_t i = 5; i < 9; i++)
        sg_export_write_leaf(hasher, i, i == index ? record : audit_maker_record(maker, i), out);
    sg_buf_done(&file);
    sg_tree_hasher_free(hasher);
}

static void a_forged_leaf_has_another_root(void **state)
{
    struct sg_buf file, record;
    (void)state;
    sg_buf_init(&file, 1 << 20);
    forge(7, audit_maker_record(maker, 12), &file);
    assert_int_equal(verdict_of(sg_buf_slice(&file)), SG_EXPORT_WRONG_ROOT);

    sg_buf_init(&record, SG_AUDIT_RECORD_BYTES_MAX + 1);
    while (record.len < SG_AUDIT_RECORD_BYTES_MAX)
        sg_buf_add_u8(&record, 'a');
    for (unsigned over = 0; over <= 1; over++) {
        sg_buf_clear(&file);
        forge(7, sg_buf_slice(&record), &file);
        struct sg_export_result result =
            judge(sg_buf_slice(&file), SIZE_MAX, audit_maker_key(maker), NULL, NULL);
        assert_int_equal(result.verdict, SG_EXPORT_WRONG_LEAF);
        assert_int_equal(result.leaf, 7);
        sg_buf_add_u8(&record, 'a');
    }
    sg_buf_done(&record);
    sg_buf_done(&file);
}

static void leaves_that_are_swapped_or_dropped_are_named(void **state)
{
    struct sg_buf file, changed;
    (void)state;
    sg_buf_init(&file, 1 << 20);
    sg_buf_init(&changed, 1 << 20);
    audit_maker_export(maker, 5, 9, LEAVES, &file);
    size_t at[] = {find_leaf(&file, 5, 5), find_leaf(&file, 5, 6), find_leaf(&file, 5, 7),
                   find_leaf(&file, 5, 8)};

    sg_buf_add(&changed, file.ptr, at[1]);
    sg_buf_add(&changed, file.ptr + at[2], at[3] - at[2]);
    sg_buf_add(&changed, file.ptr + at[1], at[2] - at[1]);
    sg_buf_add(&changed, file.ptr + at[3], file.len - at[3]);
    struct sg_export_result result =
        judge(sg_buf_slice(&changed), SIZE_MAX, audit_maker_key(maker), NULL, NULL);
    assert_int_equal(result.verdict, SG_EXPORT_WRONG_ORDER);
    assert_int_equal(result.leaf, 6);

    sg_buf_clear(&changed);
    sg_buf_add(&changed, file.ptr, at[2]);
    sg_buf_add(&changed, file.ptr + at[3], file.len - at[3]);
    result = judge(sg_buf_slice(&changed), SIZE_MAX, audit_maker_key(maker), NULL, NULL);
    assert_int_equal(result.verdict, SG_EXPORT_WRONG_ORDER);
    assert_int_equal(result.leaf, 7);

    sg_buf_add_u8(&file, 0);
    assert_int_equal(verdict_of(sg_buf_slice(&file)), SG_EXPORT_MALFORMED);
    sg_buf_done(&changed);
    sg_buf_done(&file);
}

static void the_part_that_fails_is_named(void **state)
{
    static const struct {
        const char *name;
        const char *field; /* whose next line is that of another file */
        enum sg_export_verdict verdict;
    } rows[] = {
        {"nothing", NULL, SG_EXPORT_PROVED},
        {"the magic line", "sealgate-audit", SG_EXPORT_MALFORMED},
        {"the root", "end ", SG_EXPORT_NOT_GROWN},
        {"the edge", "edge ", SG_EXPORT_WRONG_ROOT},
        {"the growth", "growth ", SG_EXPORT_NOT_GROWN},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_buf file;
        print_message("  %s\n", rows[i].name);
        sg_buf_init(&file, 1 << 20);
        audit_maker_export(maker, 5, 9, LEAVES, &file);
        if (rows[i].field != NULL) {
            char *line = memmem(file.ptr, file.len, rows[i].field, strlen(rows[i].field));
            char *value = strchr(line, '\n') + 10;
            *value = *value == 'A' ? 'B' : 'A';
        }
        assert_int_equal(verdict_of(sg_buf_slice(&file)), rows[i].verdict);
        sg_buf_done(&file);
    }
}

static void a_stranger_vouches_for_nothing(void **state)
{
    struct sg_export_result result;
    struct sg_buf file;
    (void)state;
    sg_buf_init(&file, 1 << 20);
    audit_maker_export(other, 0, 3, 3, &file);
    assert_int_equal(verdict_of(sg_buf_slice(&file)), SG_EXPORT_NOT_SIGNED);
    result = judge(sg_buf_slice(&file), SIZE_MAX, NULL, NULL, NULL);
    assert_int_equal(result.verdict, SG_EXPORT_PROVED);
    assert_false(result.is_signed);
    sg_buf_done(&file);
}

static enum sg_rc refuse(void *arg, uint64_t index, struct sg_slice bytes,
                         const struct sg_audit_record *record, struct sg_err *err)
{
    (void)arg;
    (void)bytes;
    (void)record;
    return index < 7 ? SG_OK : SG_FAIL(err, SG_E_UNAVAILABLE, 0, "enough");
}

static void who_is_told_may_end_it(void **state)
{
    struct sg_export_reader *reader;
    struct sg_export_result result;
    struct sg_buf file;
    (void)state;
    sg_buf_init(&file, 1 << 20);
    audit_maker_export(maker, 5, 9, LEAVES, &file);
    assert_int_equal(sg_export_reader_new(NULL, refuse, NULL, &reader, NULL), SG_OK);
    assert_int_equal(sg_export_read(reader, sg_buf_slice(&file), NULL), SG_E_UNAVAILABLE);
    assert_int_not_equal(sg_export_finish(reader, NULL), SG_OK);
    sg_export_result(reader, &result);
    assert_int_equal(result.verdict, SG_EXPORT_UNJUDGED);
    sg_export_reader_free(reader);
    sg_buf_done(&file);
}

static void heads_have_limits(void **state)
{
    static const struct {
        const char *name;
        const char *head;
        enum sg_export_verdict verdict;
    } rows[] = {
        {"another version", "sealgate-audit-export@v2\n", SG_EXPORT_MALFORMED},
        {"no origin", "sealgate-audit-export@v1\norigin \n", SG_EXPORT_MALFORMED},
        {"an origin with a space", "sealgate-audit-export@v1\norigin a b\n", SG_EXPORT_MALFORMED},
        {"first behind the end", "sealgate-audit-export@v1\norigin a\nfirst 2\nend 1\n",
         SG_EXPORT_MALFORMED},
        {"a zero before", "sealgate-audit-export@v1\norigin a\nfirst 02\n", SG_EXPORT_MALFORMED},
        {"an edge that is too long",
         "sealgate-audit-export@v1\norigin a\nfirst 1\nend 1\n"
         "root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nedge 2\n",
         SG_EXPORT_MALFORMED},
        {"64 hashes of growth",
         "sealgate-audit-export@v1\norigin a\nfirst 0\nend 1\n"
         "root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nedge 0\ngrowth 64\n",
         SG_EXPORT_CUT},
        {"65 hashes of growth",
         "sealgate-audit-export@v1\norigin a\nfirst 0\nend 1\n"
         "root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nedge 0\ngrowth 65\n",
         SG_EXPORT_MALFORMED},
        {"the longest checkpoint",
         "sealgate-audit-export@v1\norigin a\nfirst 0\nend 1\n"
         "root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nedge 0\ngrowth 0\n"
         "checkpoint 131072\n",
         SG_EXPORT_CUT},
        {"one longer",
         "sealgate-audit-export@v1\norigin a\nfirst 0\nend 1\n"
         "root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nedge 0\ngrowth 0\n"
         "checkpoint 131073\n",
         SG_EXPORT_MALFORMED},
        {"no checkpoint",
         "sealgate-audit-export@v1\norigin a\nfirst 0\nend 1\n"
         "root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nedge 0\ngrowth 0\n"
         "checkpoint 0\n",
         SG_EXPORT_MALFORMED},
    };
    char line[1000];
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        for (size_t step = 1; step < 200; step += 99)
            assert_int_equal(judge(sg_slice_str(rows[i].head), step, NULL, NULL, NULL).verdict,
                             rows[i].verdict);
    }
    memset(line, 'a', sizeof(line));
    for (size_t step = 1; step < 200; step += 99) /* a line without an end is not kept */
        assert_int_equal(judge(sg_slice_of(line, sizeof(line)), step, NULL, NULL, NULL).verdict,
                         SG_EXPORT_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_of_a_log_proves_itself),
        cmocka_unit_test(pieces_may_be_of_any_size),
        cmocka_unit_test(a_file_that_ends_anywhere_is_cut),
        cmocka_unit_test(no_bit_may_differ_and_a_leaf_is_named),
        cmocka_unit_test(a_forged_leaf_has_another_root),
        cmocka_unit_test(leaves_that_are_swapped_or_dropped_are_named),
        cmocka_unit_test(the_part_that_fails_is_named),
        cmocka_unit_test(a_stranger_vouches_for_nothing),
        cmocka_unit_test(who_is_told_may_end_it),
        cmocka_unit_test(heads_have_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
