#include "gateway/audit/facts.h"

#include "formats/raw/digest.h"

enum sg_rc sg_audit_fact(enum sg_audit_fact_kind kind, struct sg_slice value,
                         uint8_t ret[SG_STORE_FACT_BYTES], struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];

    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, value, hash, err));
    memcpy(ret, hash, SG_STORE_FACT_BYTES);
    ret[0] = (uint8_t)kind; /* one kind's are neighbours */
    return SG_OK;
}

enum sg_rc sg_audit_facts_of(const struct sg_audit_record *record, uint64_t seq,
                             struct sg_store_fact *ret, size_t *count, struct sg_err *err)
{
    const struct {
        enum sg_audit_fact_kind kind;
        struct sg_slice value;
    } facts[SG_AUDIT_FACTS_MAX] = {
        {SG_AUDIT_FACT_DIGEST, record->digest},
        {SG_AUDIT_FACT_DIGEST, record->document_digest},
        {SG_AUDIT_FACT_SIGNATURE, record->signature},
        {SG_AUDIT_FACT_PUBLIC_KEY, record->public_key_sha256},
        {SG_AUDIT_FACT_NUMBER, record->document_number},
        {SG_AUDIT_FACT_REQUEST, record->request_id},
    };
    size_t added = 0;

    for (size_t i = 0; i < SG_COUNT(facts); i++) {
        if (facts[i].value.len == 0)
            continue;
        SG_TRY(sg_audit_fact(facts[i].kind, facts[i].value, ret[added].bytes, err));
        ret[added++].seq = seq;
    }
    *count += added;
    return SG_OK;
}
