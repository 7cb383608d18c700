#include "gateway/sockets/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/slice.h"
#include "gateway/config/address.h"

const char *const sg_socket_names[SG_SOCKET_COUNT] = {"services", "bearer", "metrics"};

/* Of all scrapers of metrics sixteen are served at once; the others need not wait long. */
static const int backlogs[SG_SOCKET_COUNT] = {4096, 4096, 16};

void sg_sockets_close(struct sg_sockets *sockets)
{
    for (size_t i = 0; i < SG_SOCKET_COUNT; i++) {
        if (sockets->fds[i] >= 0)
            close(sockets->fds[i]);
        sockets->fds[i] = -1;
    }
}

/* Inheriting ------------------------------------------------------------------------------- */

static bool has_option(int fd, int option, int *ret)
{
    socklen_t len = sizeof(*ret);
    return getsockopt(fd, SOL_SOCKET, option, ret, &len) == 0;
}

static enum sg_rc adopt(int fd, const char *name, struct sg_err *err)
{
    int domain, type, is_listening;

    if (!has_option(fd, SO_DOMAIN, &domain) || !has_option(fd, SO_TYPE, &type) ||
        !has_option(fd, SO_ACCEPTCONN, &is_listening) || type != SOCK_STREAM || is_listening == 0 ||
        (domain != AF_INET && domain != AF_INET6))
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not serve on the inherited descriptor %d (\"%.64s\"): it is no "
                       "listening TCP socket; a socket unit needs ListenStream= and Accept=no",
                       fd, name);
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not keep an inherited socket");
    return SG_OK;
}

static bool parse_count(const char *text, long max, long *ret)
{
    char *end;

    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && *ret <= max;
}

/* Cuts the next name off: they stand with colons between them. */
static struct sg_slice next_name(const char **names)
{
    const size_t len = strcspn(*names, ":");
    const struct sg_slice name = sg_slice_of(*names, len);
    *names += len + ((*names)[len] == ':');
    return name;
}

static enum sg_rc find_place(const struct sg_sockets *sockets, struct sg_slice name, size_t *ret,
                             struct sg_err *err)
{
    for (*ret = 0; *ret < SG_SOCKET_COUNT; (*ret)++)
        if (sg_slice_is(name, sg_socket_names[*ret]) && sockets->fds[*ret] < 0)
            return SG_OK;
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "could not serve on an inherited socket called \"%.*s\": give each socket unit "
                   "another FileDescriptorName= of services, bearer, metrics",
                   (int)(name.len < 32 ? name.len : 32), (const char *)name.ptr);
}

static enum sg_rc inherit(struct sg_sockets *sockets, struct sg_err *err)
{
    const char *count_text = getenv("LISTEN_FDS"), *pid_text = getenv("LISTEN_PID");
    const char *names = getenv("LISTEN_FDNAMES");
    long count, pid;

    if (count_text == NULL || pid_text == NULL)
        return SG_OK;
    if (!parse_count(pid_text, INT32_MAX, &pid))
        return SG_FAIL(err, SG_E_INVALID, 0, "LISTEN_PID is no process: \"%.64s\"", pid_text);
    if (pid != getpid())
        return SG_OK; /* meant for another */
    if (!parse_count(count_text, SG_SOCKET_COUNT, &count))
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "LISTEN_FDS is \"%.64s\": at most three sockets can be served on",
                       count_text);
    if (names == NULL && count > 1)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not tell %ld inherited sockets apart: LISTEN_FDNAMES is missing",
                       count);
    for (int i = 0; i < (int)count; i++) {
        size_t which = SG_SOCKET_SERVICES;
        if (names != NULL)
            SG_TRY(find_place(sockets, next_name(&names), &which, err));
        sockets->fds[which] = SG_SOCKETS_FIRST_FD + i;
        SG_TRY(adopt(SG_SOCKETS_FIRST_FD + i, sg_socket_names[which], err));
    }
    return SG_OK;
}

enum sg_rc sg_sockets_inherit(struct sg_sockets *ret, struct sg_err *err)
{
    struct sg_sockets sockets = SG_SOCKETS_NONE;

    enum sg_rc rc = inherit(&sockets, err);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    if (rc == SG_OK)
        *ret = sockets;
    return rc; /* after a failure the process ends, and what it inherited with it */
}

/* Opening ---------------------------------------------------------------------------------- */

const char *sg_socket_wanted(const struct sg_config *config, enum sg_socket which)
{
    switch (which) {
    case SG_SOCKET_SERVICES:
        return config->listen;
    case SG_SOCKET_BEARER:
        return config->listen_bearer;
    case SG_SOCKET_METRICS:
        return config->metrics_listen;
    case SG_SOCKET_COUNT:
        break;
    }
    return "";
}

enum sg_rc sg_socket_open(enum sg_socket which, const char *address, int *ret_fd,
                          struct sg_err *err)
{
    struct sockaddr_storage bound;
    socklen_t len;
    const int on = 1;

    SG_TRY(sg_address_parse(address, &bound, &len, err));
    int fd = socket(bound.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open a socket: %s",
                       strerrordesc_np(errno));
    /* "[::]" is both families for callers; the metrics' address is meant as it stands. */
    const bool is_v6_only = which == SG_SOCKET_METRICS && bound.ss_family == AF_INET6;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (is_v6_only && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(fd, (const struct sockaddr *)&bound, len) != 0 || listen(fd, backlogs[which]) != 0) {
        enum sg_rc rc = SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno,
                                "could not listen on %.64s for the %s: %s", address,
                                sg_socket_names[which], strerrordesc_np(errno));
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return SG_OK;
}

void sg_socket_text(int fd, char ret[SG_SOCKET_TEXT_MAX])
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    char host[INET6_ADDRSTRLEN] = "?";

    if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0 && bound.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&bound;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(ret, SG_SOCKET_TEXT_MAX, "%s:%u", host, ntohs(v4->sin_port));
    } else if (bound.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&bound;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(ret, SG_SOCKET_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        snprintf(ret, SG_SOCKET_TEXT_MAX, "?");
    }
}
