#ifndef SG_GATEWAY_CONFIG_CALLERS_H
#define SG_GATEWAY_CONFIG_CALLERS_H

#include "authz/authz.h"
#include "base/loop.h"
#include "gateway/config/config.h"

/* The list of callers of a configuration, compiled. Thread: any. Errors: those of sg_authz_new().
 */
SG_MUST_USE enum sg_rc sg_callers_of(const struct sg_config *config, struct sg_authz **ret,
                                     struct sg_err *err);

/*
 * Reads the list anew while the loop goes on: a configuration of 100,000 keys takes the better part
 * of a second, in which the loop would serve nobody. A thread that lives as long as it reads makes
 * the list; what comes of it is told on the loop.
 *
 * There is one reading at a time. Who asks meanwhile asks for one more behind it, once for all,
 * since the file may have changed after it was read.
 */
struct sg_callers_reader;

struct sg_callers_reading {
    enum sg_rc rc;
    struct sg_err err;      /* why there is no list */
    struct sg_authz *authz; /* on SG_OK */
    bool is_last;           /* no other reading is under way */
};

struct sg_callers_reader_options {
    struct sg_loop *loop;
    const char *path; /* outlives the reader */
    /* On the loop, once for each reading. Owns: takes the list. */
    void (*told)(void *arg, const struct sg_callers_reading *reading);
    void *arg;
    /* On the thread; NULL: the file is read, and what it says of callers compiled. For tests. */
    enum sg_rc (*read)(const char *path, struct sg_authz **ret, struct sg_err *err);
};

SG_MUST_USE enum sg_rc sg_callers_reader_new(const struct sg_callers_reader_options *options,
                                             struct sg_callers_reader **ret, struct sg_err *err);
/* Waits for the end of a reading, and tells nobody of it. */
void sg_callers_reader_free(struct sg_callers_reader *reader);
SG_DEFINE_AUTO(struct sg_callers_reader, sg_callers_reader_free);

/* What becomes of it is told later, never from here. Errors: SG_E_UNAVAILABLE: there is no thread
 * to be had; `told` is not called. */
SG_MUST_USE enum sg_rc sg_callers_reader_ask(struct sg_callers_reader *reader, struct sg_err *err);

#endif
