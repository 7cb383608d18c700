#include "base/notify.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/unit.h"

static void clear_environment(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv(SG_NOTIFY_FD);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

/* A socket at `name` (an abstract one when it begins with @), as systemd listens on. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    return fd;
}

static void assert_got(int fd, const char *text)
{
    char got[2 * SG_NOTIFY_BYTES_MAX];
    ssize_t len = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
    assert_true(len >= 0);
    got[len] = '\0';
    assert_string_equal(got, text);
}

static void without_a_watcher_nothing_happens(void **state)
{
    (void)state;
    struct sg_notify notify;
    clear_environment();
    assert_int_equal(sg_notify_open(&notify, NULL), SG_OK);
    assert_int_equal(notify.fd, -1);
    assert_int_equal(notify.watchdog_ns, 0);
    sg_notify(&notify, "READY=1");
    sg_notify_close(&notify);
}

static void systemd_is_told_by_path_and_by_abstract_name(void **state)
{
    (void)state;
    char path[64], abstract[64];
    snprintf(path, sizeof(path), "/tmp/sg-notify-%d", (int)getpid());
    snprintf(abstract, sizeof(abstract), "@sg-notify-%d", (int)getpid());
    const char *const names[] = {path, abstract};

    for (size_t i = 0; i < SG_COUNT(names); i++) {
        struct sg_notify notify;
        int fd = listen_at(names[i]);
        clear_environment();
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(sg_notify_open(&notify, NULL), SG_OK);
        assert_null(getenv("NOTIFY_SOCKET"));
        assert_int_not_equal(fcntl(notify.fd, F_GETFD) & FD_CLOEXEC, 0);
        sg_notify(&notify, "READY=1\nSTATUS=%s", "serving");
        assert_got(fd, "READY=1\nSTATUS=serving");
        sg_notify_reloading(&notify, INT64_C(1234567) * 1000 + 999);
        assert_got(fd, "RELOADING=1\nMONOTONIC_USEC=1234567");
        sg_notify_close(&notify);
        close(fd);
    }
    unlink(path);
}

static void the_launcher_is_told_by_the_socket_that_was_inherited(void **state)
{
    (void)state;
    struct sg_notify notify;
    int pair[2];
    char text[16];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    clear_environment();
    setenv("NOTIFY_SOCKET", "/nowhere", 1); /* it comes first */
    snprintf(text, sizeof(text), "%d", pair[1]);
    setenv(SG_NOTIFY_FD, text, 1);
    assert_int_equal(sg_notify_open(&notify, NULL), SG_OK);
    assert_null(getenv(SG_NOTIFY_FD));
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_int_not_equal(fcntl(pair[1], F_GETFD) & FD_CLOEXEC, 0);
    sg_notify(&notify, "WATCHDOG=1");
    assert_got(pair[0], "WATCHDOG=1");
    close(pair[0]);
    sg_notify(&notify, "WATCHDOG=1"); /* nobody is there: no signal, no wait */
    sg_notify_close(&notify);
}

static void a_message_that_is_too_long_is_cut(void **state)
{
    (void)state;
    struct sg_notify notify = {.fd = -1};
    char text[2 * SG_NOTIFY_BYTES_MAX], got[2 * SG_NOTIFY_BYTES_MAX];
    int pair[2];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    notify.fd = pair[1];
    sg_notify(&notify, "%s", text);
    assert_int_equal(recv(pair[0], got, sizeof(got), MSG_DONTWAIT), SG_NOTIFY_BYTES_MAX - 1);
    close(pair[0]);
    sg_notify_close(&notify);
}

/* A process must not hang because whoever watches over it does. */
static void a_watcher_that_takes_nothing_is_not_waited_for(void **state)
{
    (void)state;
    struct sg_notify notify;
    char text[16];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    clear_environment();
    snprintf(text, sizeof(text), "%d", pair[1]);
    setenv(SG_NOTIFY_FD, text, 1);
    assert_int_equal(sg_notify_open(&notify, NULL), SG_OK);
    while (send(pair[1], "x", 1, MSG_DONTWAIT) == 1)
        continue;
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);
    sg_notify(&notify, "WATCHDOG=1");
    assert_true(sg_mono_ns(&sg_clock_system) - begin_ns < 10 * SG_NS_PER_S);
    close(pair[0]);
    sg_notify_close(&notify);
}

static void the_environment_follows_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *name, *socket, *fd, *usec;
        bool is_ours; /* WATCHDOG_PID: this process, or another */
        enum sg_rc rc;
        int64_t watchdog_ns;
    } rows[] = {
        {"a watchdog", NULL, NULL, "2000000", true, SG_OK, 2 * SG_NS_PER_S},
        {"another's watchdog", NULL, NULL, "2000000", false, SG_OK, 0},
        {"the longest", NULL, NULL, "9223372036854775", true, SG_OK, INT64_C(9223372036854775000)},
        {"one longer", NULL, NULL, "9223372036854776", true, SG_E_INVALID, 0},
        {"far longer", NULL, NULL, "99999999999999999999999", true, SG_E_INVALID, 0},
        {"no time", NULL, NULL, "0", true, SG_E_INVALID, 0},
        {"empty", NULL, NULL, "", true, SG_E_INVALID, 0},
        {"negative", NULL, NULL, "-1", true, SG_E_INVALID, 0},
        {"a word behind", NULL, NULL, "1s", true, SG_E_INVALID, 0},
        {"a relative path", "notify", NULL, NULL, true, SG_E_INVALID, 0},
        {"no name", "@", NULL, NULL, true, SG_E_INVALID, 0},
        {"another kind of address", "vsock:2:1234", NULL, NULL, true, SG_E_INVALID, 0},
        {"a path that is too long",
         "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
         "5678901234567890123456789",
         NULL, NULL, true, SG_E_INVALID, 0},
        {"no descriptor", NULL, "", NULL, true, SG_E_INVALID, 0},
        {"one that is not open", NULL, "1000", NULL, true, SG_E_INVALID, 0},
        {"the standard output", NULL, "1", NULL, true, SG_E_INVALID, 0},
        {"a large number", NULL, "4294967299", NULL, true, SG_E_INVALID, 0},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_notify notify = {.fd = -1};
        char pid[16];
        print_message("  %s\n", rows[i].name);
        clear_environment();
        if (rows[i].socket != NULL)
            setenv("NOTIFY_SOCKET", rows[i].socket, 1);
        if (rows[i].fd != NULL)
            setenv(SG_NOTIFY_FD, rows[i].fd, 1);
        if (rows[i].usec != NULL)
            setenv("WATCHDOG_USEC", rows[i].usec, 1);
        snprintf(pid, sizeof(pid), "%d", (int)getpid() + !rows[i].is_ours);
        setenv("WATCHDOG_PID", pid, 1);
        assert_int_equal(sg_notify_open(&notify, NULL), rows[i].rc);
        assert_null(getenv("WATCHDOG_USEC"));
        assert_null(getenv("NOTIFY_SOCKET"));
        if (rows[i].rc == SG_OK)
            assert_int_equal(notify.watchdog_ns, rows[i].watchdog_ns);
        sg_notify_close(&notify);
    }
}

static void messages_are_judged_by_their_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_ready, is_watchdog;
    } rows[] = {
        {"", false, false},          {"\n", false, false},
        {"READY=1", true, false},    {"READY=1\n", true, false},
        {"WATCHDOG=1", false, true}, {"STATUS=READY=1", false, false},
        {"READY=10", false, false},  {"READY=", false, false},
        {"XREADY=1", false, false},  {"STATUS=serving\nREADY=1\nWATCHDOG=1", true, true},
        {"ready=1", false, false},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].text);
        struct sg_notice notice = sg_notice_read(sg_slice_str(rows[i].text));
        assert_int_equal(notice.is_ready, rows[i].is_ready);
        assert_int_equal(notice.is_watchdog, rows[i].is_watchdog);
    }
}

static void the_last_status_counts(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"STATUS=serving", "serving"},
        {"READY=1\nSTATUS=a b", "a b"},
        {"STATUS=one\nSTATUS=two\n", "two"},
        {"STATUS=one\nSTATUS=", ""},
        {"STATUS=READY=1\nREADY=1", "READY=1"},
        {"status=x", ""},
        {"XSTATUS=x", ""},
        {"READY=1", ""},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i][0]);
        const struct sg_notice notice = sg_notice_read(sg_slice_str(rows[i][0]));
        assert_true(sg_slice_is(notice.status, rows[i][1]));
    }
}

static void a_message_that_was_cut_says_only_what_is_whole(void **state)
{
    (void)state;
    static const char text[] = "WATCHDOG=1\nREADY=1";
    for (size_t len = 0; len < sizeof(text); len++) {
        struct sg_notice notice = sg_notice_read(sg_slice_of(text, len));
        assert_int_equal(notice.is_watchdog, len >= strlen("WATCHDOG=1"));
        assert_int_equal(notice.is_ready, len == strlen(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_watcher_nothing_happens),
        cmocka_unit_test(systemd_is_told_by_path_and_by_abstract_name),
        cmocka_unit_test(the_launcher_is_told_by_the_socket_that_was_inherited),
        cmocka_unit_test(a_message_that_is_too_long_is_cut),
        cmocka_unit_test(a_watcher_that_takes_nothing_is_not_waited_for),
        cmocka_unit_test(the_environment_follows_the_table),
        cmocka_unit_test(messages_are_judged_by_their_lines),
        cmocka_unit_test(the_last_status_counts),
        cmocka_unit_test(a_message_that_was_cut_says_only_what_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
