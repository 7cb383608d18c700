#ifndef SG_CLIENT_AUDIT_H
#define SG_CLIENT_AUDIT_H

#include "client/lib/client_priv.h"

/* What calls of the AuditService have that others have not. */

/* What has to be known of a question to the audit log when its answer comes. */
struct sg_client_audit {
    uint64_t next;             /* the first leaf that may come; of a receipt, the leaf */
    bool is_filtered;          /* leaves may be left out */
    bool has_begun;            /* of a watch: `next` comes next */
    size_t request_len;        /* of a watch: what stands before `first` */
    struct sg_client_head old; /* of growth: from where */
};

/* One request, one answer, or a stream of them: sg_client_unary() of a question to the audit log;
 * takes `audit`, which malloc() gave (NULL: there was no memory). */
enum sealgate_code sg_client_ask_audit(struct sealgate_client *client,
                                       const struct sg_client_method *method,
                                       const ProtobufCMessage *request, uint32_t timeout_ms,
                                       union sg_client_fn fn, void *user,
                                       struct sg_client_audit *audit, struct sealgate_call **ret,
                                       struct sealgate_error *error);

#endif
