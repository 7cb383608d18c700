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
 * A try whose outcome nobody saw (the process was killed inside C_Login) is not a refusal. One
 * such try is forgiven, or each unlucky kill would need an operator; so at most two wrong
 * tries ever reach a token by themselves, and tokens allow three or more.
 */
enum { SG_PIN_BYTES_MAX = 256 };

/*
 * Reads the PIN from the file `source`, or with "credential:NAME" from that systemd credential
 * (the folder named by CREDENTIALS_DIRECTORY).
 */
SG_MUST_USE enum sg_rc sg_pin_read(const char *source, struct sg_secret **ret, struct sg_err *err);

/*
 * Writes down that this PIN is about to be tried. Blocks: a slow hash and two fsyncs.
 *
 * Errors: SG_E_UNAVAILABLE  TOKEN_PIN: latched, do not call C_Login
 *         SG_E_INTERNAL     the latch could not be read or written: do not call C_Login either
 */
SG_MUST_USE enum sg_rc sg_pin_begin(const char *state_dir, struct sg_slice pin, struct sg_err *err);
/* The token refused the PIN: latched from now on. `native` is the CK_RV, for whoever looks. */
SG_MUST_USE enum sg_rc sg_pin_refused(const char *state_dir, unsigned long native,
                                      struct sg_err *err);
/* The token accepted it, or failed before it judged it: the try is forgotten. */
SG_MUST_USE enum sg_rc sg_pin_clear(const char *state_dir, struct sg_err *err);

#endif
