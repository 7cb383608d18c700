#include "gateway/sockets/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/unit.h"

enum kind { LISTENING, CONNECTING, DATAGRAMS, LOCAL, A_FILE };

static int make(enum kind kind)
{
    int fd = kind == A_FILE      ? open("/dev/null", O_RDONLY)
             : kind == DATAGRAMS ? socket(AF_INET, SOCK_DGRAM, 0)
             : kind == LOCAL     ? socket(AF_UNIX, SOCK_STREAM, 0)
                                 : socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (kind == LISTENING || kind == LOCAL) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr local = {.sa_family = AF_UNIX}; /* the kernel finds a name */
        if (kind == LISTENING)
            assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        else
            assert_int_equal(bind(fd, &local, sizeof(local.sa_family)), 0);
        assert_int_equal(listen(fd, 5), 0);
    }
    return fd;
}

static void set_environment(const char *count, const char *pid, const char *names)
{
    char own[16];
    snprintf(own, sizeof(own), "%d", (int)getpid());
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_PID", pid != NULL ? pid : own, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
    else
        unsetenv("LISTEN_FDNAMES");
}

/* Puts two sockets where they are inherited. */
static void lay_out(enum kind first, enum kind second)
{
    int fds[] = {make(first), make(second)};
    int aside[] = {fcntl(fds[0], F_DUPFD, 20), fcntl(fds[1], F_DUPFD, 20)};
    close(fds[0]);
    close(fds[1]);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dup2(aside[i], SG_SOCKETS_FIRST_FD + i), SG_SOCKETS_FIRST_FD + i);
        close(aside[i]);
    }
}

static void what_is_inherited_follows_the_table(void **state)
{
    (void)state;
    enum { NONE = -1 };
    static const struct {
        const char *name, *count, *pid, *names;
        enum kind first, second;
        enum sg_rc rc;
        int services, metrics;
    } rows[] = {
        {"two without names", "2", NULL, NULL, LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"one", "1", NULL, NULL, LISTENING, A_FILE, SG_OK, 3, NONE},
        {"none", "0", NULL, NULL, A_FILE, A_FILE, SG_OK, NONE, NONE},
        {"by name", "2", NULL, "metrics:services", LISTENING, LISTENING, SG_OK, 4, 3},
        {"the metrics alone", "1", NULL, "metrics", LISTENING, A_FILE, SG_OK, NONE, 3},
        {"meant for another", "2", "1", NULL, LISTENING, LISTENING, SG_OK, NONE, NONE},
        {"twice", "2", NULL, "services:services", LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"too few names", "2", NULL, "services", LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"a unit's own name", "1", NULL, "sealgate.socket", LISTENING, A_FILE, SG_E_INVALID, 0, 0},
        {"no name", "1", NULL, "", LISTENING, A_FILE, SG_E_INVALID, 0, 0},
        {"four", "4", NULL, NULL, LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"no number", "two", NULL, NULL, LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"a negative number", "-1", NULL, NULL, LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"a number and more", "1x", NULL, NULL, LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"a number that is too large", "99999999999999999999", NULL, NULL, LISTENING, LISTENING,
         SG_E_INVALID, 0, 0},
        {"no process", "1", "x", NULL, LISTENING, LISTENING, SG_E_INVALID, 0, 0},
        {"does not listen", "1", NULL, NULL, CONNECTING, A_FILE, SG_E_INVALID, 0, 0},
        {"datagrams", "1", NULL, NULL, DATAGRAMS, A_FILE, SG_E_INVALID, 0, 0},
        {"a unix socket", "1", NULL, NULL, LOCAL, A_FILE, SG_E_INVALID, 0, 0},
        {"no socket", "1", NULL, NULL, A_FILE, A_FILE, SG_E_INVALID, 0, 0},
        {"the second is none", "2", NULL, "services:bearer", LISTENING, A_FILE, SG_E_INVALID, 0, 0},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_sockets sockets = SG_SOCKETS_NONE;
        struct sg_err err = {0};
        print_message("  %s\n", rows[i].name);
        lay_out(rows[i].first, rows[i].second);
        set_environment(rows[i].count, rows[i].pid, rows[i].names);
        assert_int_equal(sg_sockets_inherit(&sockets, &err), rows[i].rc);
        assert_null(getenv("LISTEN_FDS"));
        assert_null(getenv("LISTEN_PID"));
        assert_null(getenv("LISTEN_FDNAMES"));
        if (rows[i].rc != SG_OK) {
            assert_int_equal(err.rc, rows[i].rc);
            continue;
        }
        assert_int_equal(sockets.fds[SG_SOCKET_SERVICES], rows[i].services);
        assert_int_equal(sockets.fds[SG_SOCKET_METRICS], rows[i].metrics);
        for (size_t n = 0; n < SG_SOCKET_COUNT; n++) {
            if (sockets.fds[n] < 0)
                continue;
            assert_int_not_equal(fcntl(sockets.fds[n], F_GETFD) & FD_CLOEXEC, 0);
            assert_int_not_equal(fcntl(sockets.fds[n], F_GETFL) & O_NONBLOCK, 0);
        }
        sg_sockets_close(&sockets);
        assert_int_equal(sockets.fds[SG_SOCKET_SERVICES], NONE);
    }
    close(SG_SOCKETS_FIRST_FD);
    close(SG_SOCKETS_FIRST_FD + 1);
}

static void without_the_variables_nothing_is_inherited(void **state)
{
    (void)state;
    struct sg_sockets sockets = {{5, 5}};
    assert_int_equal(sg_sockets_inherit(&sockets, NULL), SG_OK);
    assert_int_equal(sockets.fds[SG_SOCKET_SERVICES], -1);
    assert_int_equal(sockets.fds[SG_SOCKET_METRICS], -1);
}

static void an_address_is_listened_on_and_told(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < SG_COUNT(addresses); i++) {
        char text[SG_SOCKET_TEXT_MAX], host[SG_SOCKET_TEXT_MAX];
        int fd, again;
        struct sg_err err;
        assert_int_equal(sg_socket_open(SG_SOCKET_SERVICES, addresses[i], &fd, NULL), SG_OK);
        sg_socket_text(fd, text);
        snprintf(host, sizeof(host), "%s", addresses[i]);
        host[strlen(host) - 1] = '\0';
        assert_memory_equal(text, host, strlen(host));
        assert_string_not_equal(text, addresses[i]);
        /* It is taken now. */
        assert_int_equal(sg_socket_open(SG_SOCKET_METRICS, text, &again, &err), SG_E_UNAVAILABLE);
        assert_non_null(strstr(err.msg, "could not listen on"));
        close(fd);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    int fd;
    assert_int_equal(sg_socket_open(SG_SOCKET_SERVICES, "localhost:1", &fd, NULL), SG_E_INVALID);
}

static void a_descriptor_that_is_no_socket_is_nowhere(void **state)
{
    (void)state;
    char text[SG_SOCKET_TEXT_MAX];
    sg_socket_text(-1, text);
    assert_string_equal(text, "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_variables_nothing_is_inherited),
        cmocka_unit_test(what_is_inherited_follows_the_table),
        cmocka_unit_test(an_address_is_listened_on_and_told),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_descriptor_that_is_no_socket_is_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
