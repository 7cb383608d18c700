#include "gateway/net/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/support/unit.h"

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;

    if (inet_pton(AF_INET, text, &in->sin_addr) != 1) {
        address.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
    }
    return address;
}

static const struct {
    const char *a, *b;
    bool is_same;
} pairs[] = {
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"::ffff:192.0.2.1", "192.0.2.1", true},
    {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true}, /* one /64 */
    {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
    {"c000:201::", "192.0.2.1", false}, /* the same bytes of another family */
};

static void a_source_is_an_address_or_a_network_of_64(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(pairs); i++) {
        struct sg_sources sources = {0};
        struct sg_source *first, *second = NULL;
        struct sockaddr_storage a = address_of(pairs[i].a), b = address_of(pairs[i].b);

        assert_int_equal(sg_sources_enter(&sources, &a, 1, &first, NULL), SG_OK);
        assert_int_equal(sg_sources_enter(&sources, &b, 1, &second, NULL),
                         pairs[i].is_same ? SG_E_LIMIT : SG_OK);
        sg_sources_leave(&sources, first);
        sg_sources_leave(&sources, second);
        assert_null(sources.tree);
    }
}

static void a_place_given_back_is_a_place_again(void **state)
{
    enum { COUNT = 300 };
    (void)state;
    struct sg_sources sources = {0};
    struct sg_source *taken[COUNT], *over;
    char text[32];

    for (size_t i = 0; i < COUNT; i++) {
        snprintf(text, sizeof(text), "192.0.2.%zu", i % 100);
        struct sockaddr_storage address = address_of(text);
        assert_int_equal(sg_sources_enter(&sources, &address, 3, &taken[i], NULL), SG_OK);
    }
    struct sockaddr_storage address = address_of("192.0.2.7");
    assert_int_equal(sg_sources_enter(&sources, &address, 3, &over, NULL), SG_E_LIMIT);
    sg_sources_leave(&sources, taken[107]);
    assert_int_equal(sg_sources_enter(&sources, &address, 3, &taken[107], NULL), SG_OK);
    for (size_t i = 0; i < COUNT; i++)
        sg_sources_leave(&sources, taken[i]);
    assert_null(sources.tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_is_an_address_or_a_network_of_64),
        cmocka_unit_test(a_place_given_back_is_a_place_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
