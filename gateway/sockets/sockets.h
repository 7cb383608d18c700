#ifndef SG_GATEWAY_SOCKETS_SOCKETS_H
#define SG_GATEWAY_SOCKETS_SOCKETS_H

#include "base/err.h"
#include "gateway/config/config.h"

/*
 * The sockets that the gateway listens on: opened here, or inherited from whoever starts the
 * process (systemd's socket activation, sd_listen_fds(3)). Our launcher opens them and hands them
 * to each gateway that it starts in the same way, so that callers find them while one gateway
 * takes over from another.
 */
enum sg_socket { SG_SOCKET_SERVICES, SG_SOCKET_BEARER, SG_SOCKET_METRICS, SG_SOCKET_COUNT };

/* FileDescriptorName= in a socket unit: "services", "bearer", "metrics". */
extern const char *const sg_socket_names[SG_SOCKET_COUNT];

struct sg_sockets {
    int fds[SG_SOCKET_COUNT]; /* -1: there is none */
};

#define SG_SOCKETS_NONE ((struct sg_sockets){{-1, -1, -1}})

enum {
    SG_SOCKETS_FIRST_FD = 3, /* SD_LISTEN_FDS_START */
    SG_SOCKET_TEXT_MAX = 64,
};

/*
 * Takes what LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES say was inherited, if it was meant for this
 * process, and removes them from the environment. Without LISTEN_FDNAMES there may be but one,
 * that of the services. Thread: main, before any other exists.
 *
 * Errors: SG_E_INVALID, what was inherited is not what we can serve on.
 */
SG_MUST_USE enum sg_rc sg_sockets_inherit(struct sg_sockets *ret, struct sg_err *err);
void sg_sockets_close(struct sg_sockets *sockets);

/* Binds and listens; `address` as in the configuration. Errors: SG_E_UNAVAILABLE, it is taken. */
SG_MUST_USE enum sg_rc sg_socket_open(enum sg_socket which, const char *address, int *ret_fd,
                                      struct sg_err *err);
/* Where the configuration wants it; "": nowhere. */
const char *sg_socket_wanted(const struct sg_config *config, enum sg_socket which);
/* Where it listens, as in the configuration; "?" where the kernel does not say. */
void sg_socket_text(int fd, char ret[SG_SOCKET_TEXT_MAX]);

#endif
