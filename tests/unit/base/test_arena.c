#include "base/arena.h"

#include <stdalign.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

static void allocations_are_aligned_and_apart(void **state)
{
    (void)state;
    struct sg_arena arena;
    sg_arena_init(&arena, 1 << 20);
    uint8_t *last = NULL;
    for (size_t len = 0; len < 300; len++) {
        uint8_t *ptr = sg_arena_alloc(&arena, len);
        assert_non_null(ptr);
        assert_int_equal((uintptr_t)ptr % alignof(max_align_t), 0);
        assert_ptr_not_equal(ptr, last);
        memset(ptr, 0xAA, len);
        last = ptr;
    }
    sg_arena_done(&arena);
    assert_int_equal(arena.taken, 0);
}

static void the_cap_holds_whatever_is_asked(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 2047, 2048, 4097, 100000};
    for (size_t i = 0; i < SG_COUNT(sizes); i++) {
        struct sg_arena arena;
        sg_arena_init(&arena, 10000);
        size_t got = 0;
        while (sg_arena_alloc(&arena, sizes[i]) != NULL) {
            got += sizes[i];
            assert_true(got <= 10000);
        }
        assert_true(arena.taken <= 10000);
        sg_arena_done(&arena);
    }
}

static void a_length_near_the_top_does_not_wrap(void **state)
{
    (void)state;
    struct sg_arena arena;
    sg_arena_init(&arena, SIZE_MAX);
    assert_null(sg_arena_alloc(&arena, SIZE_MAX));
    assert_null(sg_arena_alloc(&arena, SIZE_MAX - 8));
    assert_null(sg_arena_strdup(&arena, (struct sg_slice){(const uint8_t *)"", SIZE_MAX}));
    sg_arena_done(&arena);
}

static void strdup_copies_and_ends_with_nul(void **state)
{
    (void)state;
    struct sg_arena arena;
    sg_arena_init(&arena, 4096);
    assert_string_equal(sg_arena_strdup(&arena, SG_SLICE("key")), "key");
    assert_string_equal(sg_arena_strdup(&arena, (struct sg_slice){0}), "");
    sg_arena_done(&arena);
}

static bool take_much(void *arg)
{
    (void)arg;
    struct sg_arena arena;
    bool is_ok = true;
    sg_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < 300; i++) /* until chunks no longer grow */
        is_ok = sg_arena_zalloc(&arena, 1000) != NULL && is_ok;
    sg_arena_done(&arena);
    return is_ok;
}

static void no_memory_is_told_and_the_arena_stays_whole(void **state)
{
    (void)state;
    assert_true(sg_failmalloc_each(take_much, NULL) > 2);
}

static void reset_forgets_all_and_keeps_one_chunk(void **state)
{
    (void)state;
    struct sg_arena arena;
    sg_arena_init(&arena, 100000);
    sg_arena_reset(&arena);
    assert_int_equal(arena.taken, 0);

    uint8_t *first = sg_arena_alloc(&arena, 10);
    size_t one_chunk = arena.taken;
    while (sg_arena_alloc(&arena, 3000) != NULL)
        ;
    assert_true(arena.taken > one_chunk);
    sg_arena_reset(&arena);
    assert_int_equal(arena.taken, one_chunk);
    assert_ptr_equal(sg_arena_alloc(&arena, 10), first);

    /* The cap is as before. */
    size_t got = 10;
    while (sg_arena_alloc(&arena, 1000) != NULL)
        got += 1000;
    assert_true(got > 90000 && got <= 100000);
    assert_true(arena.taken <= 100000);
    sg_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_apart),
        cmocka_unit_test(the_cap_holds_whatever_is_asked),
        cmocka_unit_test(a_length_near_the_top_does_not_wrap),
        cmocka_unit_test(reset_forgets_all_and_keeps_one_chunk),
        cmocka_unit_test(strdup_copies_and_ends_with_nul),
        cmocka_unit_test(no_memory_is_told_and_the_arena_stays_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
