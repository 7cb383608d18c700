#ifndef SG_TESTS_CLIENT_AUDIT_SCRIPT_H
#define SG_TESTS_CLIENT_AUDIT_SCRIPT_H

#include <protobuf-c/protobuf-c.h>

#include "tests/support/audit_maker.h"
#include "tests/unit/client/script.h"

/*
 * What the test server answers as an AuditService, by the name of the log:
 *
 *   audit/log-1        the truth: AUDIT_SCRIPT_LEAVES leaves, by audit_script_log()
 *   audit/echo         of a list: one leaf, whose detail says back what was asked
 *   audit/swapped      of a list: two leaves in each other's place
 *   audit/gap          of a list or watch: leaf 3 is missing
 *   audit/twice        of a list or watch: leaf 3 comes twice
 *   audit/no-record    of a list: what is no record
 *   audit/misnamed     of a list: a leaf by another's name
 *   audit/empty        of a watch: answers without a leaf
 *   audit/other-leaf   of a receipt: that of the next leaf
 *   audit/forged       receipts, checkpoints, proofs of a log of the same name by another key
 *   audit/split        the same by the right key: the log shows another tree
 *   audit/garbage      a checkpoint that is none, a proof of half hashes
 *   audit/long         a proof of too many hashes
 *   audit/ends         of a watch: seven leaves, and the end in order
 *   audit/away         of a watch: seven leaves, then UNAVAILABLE
 *   audit/cuts         of a watch: seven leaves, then the connection is closed
 *   audit/denied       PERMISSION_DENIED
 *
 * A watch of any other log stays open behind its last leaf. With a filter only leaves whose number
 * is divisible by three are told of.
 */
enum { AUDIT_SCRIPT_LEAVES = 300 };
#define AUDIT_SCRIPT_ORIGIN "sealgate.example/log-1"

/* The same log again, for who tests. */
struct audit_maker *audit_script_log(void);

/* False: the method is none of the AuditService. */
bool audit_script_answer(struct sg_call *call, const ProtobufCMessage *request);

#endif
