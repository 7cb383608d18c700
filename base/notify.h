#ifndef SG_BASE_NOTIFY_H
#define SG_BASE_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/slice.h"

/*
 * Telling whoever watches over a process how it is, in systemd's words (sd_notify(3)): READY=1,
 * RELOADING=1, STOPPING=1, STATUS=, WATCHDOG=1. The watcher is systemd, by NOTIFY_SOCKET, or our
 * own launcher, by a socket that the child inherits; a process need not know which.
 *
 * Our own lines instead of libsystemd: the protocol is a datagram, and the library would bring
 * compression and cryptography into the process that faces the network.
 */
struct sg_notify {
    int fd;                     /* -1: nobody watches */
    struct sockaddr_un address; /* of systemd's socket */
    socklen_t address_len;      /* 0: `fd` is connected, by our launcher */
    int64_t watchdog_ns;        /* silence that the watcher takes for a hang; 0: it does not look */
};

/* The variable by which the launcher names the inherited socket. */
#define SG_NOTIFY_FD "SEALGATED_NOTIFY_FD"

/* No message is longer; the rest of a longer one is left out. */
enum { SG_NOTIFY_BYTES_MAX = 512 };

/*
 * Reads NOTIFY_SOCKET, SEALGATED_NOTIFY_FD, WATCHDOG_USEC and WATCHDOG_PID, and removes them from
 * the environment: they are for this process and not for its children. Thread: main, before any
 * other exists.
 *
 * Errors: SG_E_INVALID, one of them is no such thing; somebody waits for words that could not come.
 */
SG_MUST_USE enum sg_rc sg_notify_open(struct sg_notify *ret, struct sg_err *err);
void sg_notify_close(struct sg_notify *notify);

/* Lines of NAME=VALUE. A watcher that does not take them is not waited for long, and not told. */
void sg_notify(const struct sg_notify *notify, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* RELOADING=1, with the time that systemd asks for; READY=1 ends it. */
void sg_notify_reloading(const struct sg_notify *notify, int64_t mono_ns);

/* What a message says, of that which the launcher heeds. */
struct sg_notice {
    bool is_ready, is_watchdog;
    struct sg_slice status; /* the last line of it, within the message; may hold any bytes */
};

/* Judges a message. Lines that are not known are no error, as they are none to systemd. */
struct sg_notice sg_notice_read(struct sg_slice message);

#endif
