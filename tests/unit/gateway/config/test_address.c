#include "gateway/config/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/support/unit.h"

static const struct {
    const char *name, *text;
    int family; /* 0: refused */
    unsigned port;
} cases[] = {
    {"IPv4", "127.0.0.1:8443", AF_INET, 8443},
    {"any IPv4", "0.0.0.0:1", AF_INET, 1},
    {"any free port", "127.0.0.1:0", AF_INET, 0},
    {"the last port", "127.0.0.1:65535", AF_INET, 65535},
    {"IPv6", "[::1]:8443", AF_INET6, 8443},
    {"any IPv6", "[::]:8443", AF_INET6, 8443},
    {"a long IPv6", "[2001:db8:1111:2222:3333:4444:5555:6666]:8443", AF_INET6, 8443},
    {"IPv4 in IPv6", "[::ffff:192.0.2.1]:8443", AF_INET6, 8443},
    {"nothing", "", 0, 0},
    {"a port alone", "8443", 0, 0},
    {"no host", ":8443", 0, 0},
    {"no port", "127.0.0.1", 0, 0},
    {"an empty port", "127.0.0.1:", 0, 0},
    {"a name", "localhost:8443", 0, 0},
    {"a star", "*:8443", 0, 0},
    {"IPv6 without brackets", "::1:8443", 0, 0},
    {"IPv6 without the second bracket", "[::1:8443", 0, 0},
    {"IPv6 without a port", "[::1]", 0, 0},
    {"IPv4 in brackets", "[127.0.0.1]:8443", 0, 0},
    {"IPv6 with a zone", "[fe80::1%eth0]:8443", 0, 0},
    {"a port over 65535", "127.0.0.1:65536", 0, 0},
    {"a port of six digits", "127.0.0.1:000080", 0, 0},
    {"a port with a leading zero", "127.0.0.1:080", 0, 0},
    {"a port with a sign", "127.0.0.1:+80", 0, 0},
    {"a port with a letter", "127.0.0.1:80a", 0, 0},
    {"a space in front", " 127.0.0.1:80", 0, 0},
    {"a space behind", "127.0.0.1:80 ", 0, 0},
    {"a short address", "127.1:80", 0, 0},
    {"two ports", "127.0.0.1:80:90", 0, 0},
    {"a host that is too long",
     "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80", 0, 0},
};

static void addresses_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sockaddr_storage address;
        struct sg_err err = {0};
        socklen_t len = 0;
        print_message("  %s\n", cases[i].name);
        enum sg_rc rc = sg_address_parse(cases[i].text, &address, &len, &err);
        assert_int_equal(rc, cases[i].family == 0 ? SG_E_INVALID : SG_OK);
        if (rc != SG_OK) {
            assert_int_equal(len, 0);
            continue;
        }
        assert_int_equal(address.ss_family, cases[i].family);
        if (cases[i].family == AF_INET) {
            struct sockaddr_in v4;
            assert_int_equal(len, sizeof(v4));
            memcpy(&v4, &address, sizeof(v4));
            assert_int_equal(ntohs(v4.sin_port), cases[i].port);
        } else {
            struct sockaddr_in6 v6;
            assert_int_equal(len, sizeof(v6));
            memcpy(&v6, &address, sizeof(v6));
            assert_int_equal(ntohs(v6.sin6_port), cases[i].port);
        }
    }
}

static const struct {
    const char *name, *network;
    bool is_good;
    const char *has, *has_not;
} networks[] = {
    {"a network", "192.0.2.0/24", true, "192.0.2.255", "192.0.3.0"},
    {"half a byte", "192.0.2.128/25", true, "192.0.2.129", "192.0.2.127"},
    {"one address", "192.0.2.7", true, "192.0.2.7", "192.0.2.6"},
    {"all of IPv4", "0.0.0.0/0", true, "203.0.113.9", "2001:db8::1"},
    {"IPv4 in IPv6", "192.0.2.0/24", true, "::ffff:192.0.2.7", "::192.0.2.7"},
    {"IPv6", "2001:db8::/33", true, "2001:db8:7fff::1", "2001:db8:8000::1"},
    {"one address of IPv6", "::1", true, "::1", "::2"},
    {"everything", "::/0", true, "192.0.2.1", NULL},
    {"nothing", "/8", false, NULL, NULL},
    {"no bits", "10.0.0.0/", false, NULL, NULL},
    {"too many bits", "10.0.0.0/33", false, NULL, NULL},
    {"too many bits of IPv6", "::/129", false, NULL, NULL},
    {"bits with a sign", "10.0.0.0/+8", false, NULL, NULL},
    {"bits with a leading zero", "10.0.0.0/08", false, NULL, NULL},
    {"a mask", "10.0.0.0/255.0.0.0", false, NULL, NULL},
    {"a host in a network", "10.0.0.1/8", false, NULL, NULL},
    {"a host in a network of IPv6", "2001:db8::1/32", false, NULL, NULL},
    {"a short address", "10/8", false, NULL, NULL},
    {"a name", "localhost", false, NULL, NULL},
    {"a port", "10.0.0.1:80", false, NULL, NULL},
};

static bool has(const struct sg_network *network, const char *text)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    const bool is_v6 = strchr(text, ':') != NULL;
    address.ss_family = is_v6 ? AF_INET6 : AF_INET;
    void *to = is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr;
    assert_int_equal(inet_pton(address.ss_family, text, to), 1);
    return sg_network_has(network, &address);
}

static void networks_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(networks); i++) {
        struct sg_slice list = sg_slice_str(networks[i].network);
        struct sg_network network;
        print_message("  %s\n", networks[i].name);
        assert_int_equal(sg_network_take(&list, &network, NULL),
                         networks[i].is_good ? SG_OK : SG_E_INVALID);
        assert_int_equal(list.len, 0);
        if (networks[i].has != NULL)
            assert_true(has(&network, networks[i].has));
        if (networks[i].has_not != NULL)
            assert_false(has(&network, networks[i].has_not));
    }
    struct sg_network network;
    struct sg_slice none = SG_SLICE("  ");
    assert_int_equal(sg_network_take(&none, &network, NULL), SG_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_follow_the_table),
        cmocka_unit_test(networks_follow_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
