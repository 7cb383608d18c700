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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_follow_the_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
