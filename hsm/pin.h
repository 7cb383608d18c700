#ifndef SG_HSM_PIN_H
#define SG_HSM_PIN_H

#include "base/err.h"
#include "base/secret.h"

/*
 * Where the token process's PIN comes from, and the latch that keeps a wrong one from being tried
 * again: real tokens lock after a few wrong tries, and unlocking one takes a ceremony.
 *
 * The latch is a small file in the state folder. It is written durably before C_Login is called,
 * so that a process that dies with the token's answer unread has still counted its try, and it is
 * removed by success. It is keyed to the credential by a salted, slow hash: another PIN in the
 * file opens it again, the same one does not, also not after a restart.
 *
 * One try is all that a PIN gets which the token has never accepted, whatever became of that
 * try. A PIN that it has accepted is most likely still right, and a right one locks nothing: it is
 * let through after one try whose outcome nobody saw (the process was killed inside C_Login), or
 * each unlucky kill would need an operator; and as often as the token answers that it failed.
 *
 * That a PIN was accepted is kept in a second file, by eight bits of its hash: enough to tell that
 * it is most likely the same, and too little to find a PIN of six digits by who reads a backup.
 */
enum { SG_PIN_BYTES_MAX = 256 };

/*
 * Has the C library give back what hashing a PIN takes for a moment, 16 MiB. Left to itself it
 * keeps as much, or twice that, for every thread that ever logged in. Thread: main, before others.
 */
void sg_pin_setup(void);

/*
 * Reads the PIN from the file `source`, or with "credential:NAME" from that systemd credential
 * (the folder named by CREDENTIALS_DIRECTORY).
 */
SG_MUST_USE enum sg_rc sg_pin_read(const char *source, struct sg_secret **ret, struct sg_err *err);

/* What became of a try. */
enum sg_pin_verdict {
    SG_PIN_VERDICT_UNSET = 0,
    SG_PIN_VERDICT_RIGHT,
    SG_PIN_VERDICT_REFUSED, /* latched from now on */
    SG_PIN_VERDICT_UNASKED, /* the PIN was certainly not judged: no try at all */
    SG_PIN_VERDICT_UNCLEAR, /* it failed, and the token may have judged the PIN before it did */
    SG_PIN_VERDICT_COUNT,
};

/*
 * Writes down that this PIN is about to be tried. Blocks: a slow hash and two fsyncs.
 *
 * Errors: SG_E_UNAVAILABLE  TOKEN_PIN: latched, do not call C_Login; `err->native` is what the
 *                           token refused it with, 0 when it is not known how the last try ended
 *         SG_E_INTERNAL     the latch could not be read or written: do not call C_Login either
 */
SG_MUST_USE enum sg_rc sg_pin_begin(const char *state_dir, struct sg_slice pin, struct sg_err *err);
/*
 * Tells how the try went that sg_pin_begin() allowed. When this fails it still counts as one
 * whose outcome nobody saw. `native` is the CK_RV, for whoever looks.
 */
SG_MUST_USE enum sg_rc sg_pin_end(const char *state_dir, enum sg_pin_verdict verdict,
                                  unsigned long native, struct sg_err *err);

#endif
