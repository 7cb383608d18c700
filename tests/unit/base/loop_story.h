#ifndef SG_TESTS_UNIT_BASE_LOOP_STORY_H
#define SG_TESTS_UNIT_BASE_LOOP_STORY_H

/* What test_loop.c and test_watch.c share: a loop by a clock that stands, and a story of what
 * happened. Each has its own. */
#include "base/loop.h"
#include "tests/support/unit.h"

/* A clock that stands until it is moved. */
static int64_t fake_ns;

static int64_t fake_mono(const struct sg_clock *clock)
{
    (void)clock;
    return fake_ns;
}

static const struct sg_clock fake_clock = {fake_mono, fake_mono};

/* What happened, in order: a letter each. */
static char story[64];
static size_t story_len;

static void tell(char letter)
{
    assert_true(story_len < sizeof(story) - 1);
    story[story_len++] = letter;
    story[story_len] = '\0';
}

static struct sg_loop *loop;

static int set_up(void **state)
{
    (void)state;
    fake_ns = 1000;
    story_len = 0;
    story[0] = '\0';
    return sg_loop_new(&fake_clock, &loop, NULL) == SG_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sg_loop_free(loop);
    return 0;
}

static void one_turn(void)
{
    assert_int_equal(sg_loop_turn(loop, 0, NULL), SG_OK);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
