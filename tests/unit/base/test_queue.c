#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

struct item {
    int before; /* so that the node is not where the item begins */
    struct sg_queue_node node;
    unsigned number;
};

static unsigned number_of(struct sg_queue_node *node)
{
    return SG_CONTAINER(node, struct item, node)->number;
}

static struct sg_queue *new_queue(size_t max)
{
    struct sg_queue *queue;
    assert_int_equal(sg_queue_new(max, &queue, NULL), SG_OK);
    return queue;
}

static void nodes_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(10);
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(sg_queue_push(queue, &items[i].node), SG_OK);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(number_of(sg_queue_pop(queue)), i);
    }
    sg_queue_free(queue);
}

static void take_all_gives_the_chain_and_leaves_nothing(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(10);
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    assert_null(sg_queue_take_all(queue));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(sg_queue_push(queue, &items[i].node), SG_OK);

    struct sg_queue_node *node = sg_queue_take_all(queue);
    for (unsigned i = 0; i < 3; i++, node = node->next)
        assert_int_equal(number_of(node), i);
    assert_null(node);
    assert_null(sg_queue_take_all(queue));

    /* The queue still works: its tail did not stay behind. */
    assert_int_equal(sg_queue_push(queue, &items[2].node), SG_OK);
    assert_int_equal(number_of(sg_queue_pop(queue)), 2);
    sg_queue_free(queue);
}

static void a_full_queue_refuses_and_leaves_the_node_with_the_caller(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(2);
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    assert_int_equal(sg_queue_push(queue, &items[0].node), SG_OK);
    assert_int_equal(sg_queue_push(queue, &items[1].node), SG_OK);
    assert_int_equal(sg_queue_push(queue, &items[2].node), SG_E_LIMIT);
    assert_int_equal(number_of(sg_queue_pop(queue)), 0);
    assert_int_equal(sg_queue_push(queue, &items[2].node), SG_OK);
    assert_int_equal(sg_queue_push(queue, &items[0].node), SG_E_LIMIT);

    assert_non_null(sg_queue_take_all(queue));
    assert_int_equal(sg_queue_push(queue, &items[0].node), SG_OK);
    assert_int_equal(number_of(sg_queue_pop(queue)), 0);
    sg_queue_free(queue);
}

static void link_all(struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        items[i].node.next = i + 1 < count ? &items[i + 1].node : NULL;
}

static void a_list_goes_in_whole_and_in_its_order(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(5);
    struct item items[5] = {
        {.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    assert_int_equal(sg_queue_push(queue, &items[0].node), SG_OK);
    link_all(&items[1], 3);
    assert_int_equal(sg_queue_push_all(queue, &items[1].node), SG_OK);
    assert_int_equal(sg_queue_push(queue, &items[4].node), SG_OK);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(number_of(sg_queue_pop(queue)), i);
    sg_queue_free(queue);
}

static void of_a_list_that_does_not_fit_nothing_is_taken(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(3);
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    assert_int_equal(sg_queue_push(queue, &items[0].node), SG_OK);
    link_all(&items[1], 3);
    assert_int_equal(sg_queue_push_all(queue, &items[1].node), SG_E_LIMIT);
    link_all(&items[1], 2);
    assert_int_equal(sg_queue_push_all(queue, &items[1].node), SG_OK);
    assert_int_equal(sg_queue_push(queue, &items[3].node), SG_E_LIMIT);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(number_of(sg_queue_pop(queue)), i);
    sg_queue_close(queue);
    assert_int_equal(sg_queue_push_all(queue, &items[3].node), SG_E_UNAVAILABLE);
    sg_queue_free(queue);
}

static void who_only_tries_does_not_wait(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(2);
    struct item item = {.number = 7};
    assert_null(sg_queue_try_pop(queue));
    assert_int_equal(sg_queue_push(queue, &item.node), SG_OK);
    assert_int_equal(number_of(sg_queue_try_pop(queue)), 7);
    assert_null(sg_queue_try_pop(queue));
    sg_queue_close(queue);
    assert_null(sg_queue_try_pop(queue));
    sg_queue_free(queue);
}

static void a_closed_queue_gives_what_is_left_and_then_null(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(2);
    struct item items[2] = {{.number = 0}, {.number = 1}};
    assert_int_equal(sg_queue_push(queue, &items[0].node), SG_OK);
    sg_queue_close(queue);
    assert_int_equal(sg_queue_push(queue, &items[1].node), SG_E_UNAVAILABLE);
    assert_int_equal(number_of(sg_queue_pop(queue)), 0);
    assert_null(sg_queue_pop(queue));
    assert_null(sg_queue_pop(queue));
    sg_queue_free(queue);
}

static void *pop_one(void *queue)
{
    return sg_queue_pop(queue);
}

static void a_list_wakes_as_many_as_it_has_work_for(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(4);
    struct item items[4] = {0};
    pthread_t threads[4];
    for (size_t i = 0; i < SG_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pop_one, queue), 0);
    usleep(20000); /* most of them wait by now */
    link_all(items, 4);
    assert_int_equal(sg_queue_push_all(queue, &items[0].node), SG_OK);
    for (size_t i = 0; i < SG_COUNT(threads); i++) {
        void *node;
        assert_int_equal(pthread_join(threads[i], &node), 0);
        assert_non_null(node);
    }
    sg_queue_free(queue);
}

static void the_close_wakes_all_who_wait(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(1);
    pthread_t threads[4];
    for (size_t i = 0; i < SG_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pop_one, queue), 0);
    sg_queue_close(queue);
    for (size_t i = 0; i < SG_COUNT(threads); i++) {
        void *node;
        assert_int_equal(pthread_join(threads[i], &node), 0);
        assert_null(node);
    }
    sg_queue_free(queue);
}

/* Many to many, through a queue so short that both sides wait for each other. */
enum { PRODUCERS = 3, CONSUMERS = 3, ITEMS = 5000 };

struct traffic {
    struct sg_queue *queue;
    struct item *items; /* ITEMS per producer */
    unsigned first;
};

static void *produce(void *arg)
{
    struct traffic *traffic = arg;
    for (unsigned i = 0; i < ITEMS; i++) {
        struct item *item = &traffic->items[traffic->first + i];
        item->number = traffic->first + i;
        while (sg_queue_push(traffic->queue, &item->node) != SG_OK)
            sched_yield();
    }
    return NULL;
}

static void *consume(void *arg)
{
    struct traffic *traffic = arg;
    for (struct sg_queue_node *node; (node = sg_queue_pop(traffic->queue)) != NULL;)
        SG_CONTAINER(node, struct item, node)->before++; /* no lock: the item is ours now */
    return NULL;
}

static void under_load_every_node_arrives_once(void **state)
{
    (void)state;
    struct sg_queue *queue = new_queue(7);
    struct item *items = calloc(PRODUCERS * ITEMS, sizeof(*items));
    struct traffic traffic[PRODUCERS];
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    assert_non_null(items);

    for (unsigned i = 0; i < PRODUCERS; i++) {
        traffic[i] = (struct traffic){queue, items, i * ITEMS};
        assert_int_equal(pthread_create(&producers[i], NULL, produce, &traffic[i]), 0);
    }
    for (unsigned i = 0; i < CONSUMERS; i++)
        assert_int_equal(pthread_create(&consumers[i], NULL, consume, &traffic[0]), 0);
    for (unsigned i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_join(producers[i], NULL), 0);
    sg_queue_close(queue);
    for (unsigned i = 0; i < CONSUMERS; i++)
        assert_int_equal(pthread_join(consumers[i], NULL), 0);

    for (unsigned i = 0; i < PRODUCERS * ITEMS; i++)
        assert_int_equal(items[i].before, 1);
    free(items);
    sg_queue_free(queue);
}

static bool make(void *arg)
{
    (void)arg;
    struct sg_queue *queue = NULL;
    struct sg_err err;
    enum sg_rc rc = sg_queue_new(1, &queue, &err);
    sg_queue_free(queue);
    return rc == SG_OK;
}

static void without_memory_there_is_no_queue(void **state)
{
    (void)state;
    assert_int_equal(sg_failmalloc_each(make, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(take_all_gives_the_chain_and_leaves_nothing),
        cmocka_unit_test(a_full_queue_refuses_and_leaves_the_node_with_the_caller),
        cmocka_unit_test(a_list_goes_in_whole_and_in_its_order),
        cmocka_unit_test(of_a_list_that_does_not_fit_nothing_is_taken),
        cmocka_unit_test(a_list_wakes_as_many_as_it_has_work_for),
        cmocka_unit_test(who_only_tries_does_not_wait),
        cmocka_unit_test(a_closed_queue_gives_what_is_left_and_then_null),
        cmocka_unit_test(the_close_wakes_all_who_wait),
        cmocka_unit_test(under_load_every_node_arrives_once),
        cmocka_unit_test(without_memory_there_is_no_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
