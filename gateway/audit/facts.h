#ifndef SG_GATEWAY_AUDIT_FACTS_H
#define SG_GATEWAY_AUDIT_FACTS_H

#include "formats/audit/record.h"
#include "gateway/store/store.h"

/* By what leaves are found. A fact is a hash of the kind and the value, so equal facts must be read
 * and compared. Pure. */
enum sg_audit_fact_kind {
    SG_AUDIT_FACT_UNSET = 0,
    SG_AUDIT_FACT_DIGEST, /* signed, or of the document */
    SG_AUDIT_FACT_SIGNATURE,
    SG_AUDIT_FACT_PUBLIC_KEY, /* SHA-256 of its SubjectPublicKeyInfo */
    SG_AUDIT_FACT_NUMBER,     /* of the document */
    SG_AUDIT_FACT_REQUEST,
};

enum { SG_AUDIT_FACTS_MAX = 6 }; /* of one record */

SG_MUST_USE enum sg_rc sg_audit_fact(enum sg_audit_fact_kind kind, struct sg_slice value,
                                     uint8_t ret[SG_STORE_FACT_BYTES], struct sg_err *err);

/* Of a record that is leaf `seq`: `ret` has room for SG_AUDIT_FACTS_MAX, and `*count` grows. */
SG_MUST_USE enum sg_rc sg_audit_facts_of(const struct sg_audit_record *record, uint64_t seq,
                                         struct sg_store_fact *ret, size_t *count,
                                         struct sg_err *err);

#endif
