#ifndef SG_TESTS_INTEGRATION_GATEWAY_NEWEST_H
#define SG_TESTS_INTEGRATION_GATEWAY_NEWEST_H

#include "tests/integration/gateway/rig.h"

/* The newest record of the rig's log: what tests compare of it. */
struct newest {
    uint64_t seq;
    enum sg_audit_event event;
    char caller[64], method[64], reason[64], token[16], detail[64], rule[32];
};

static inline void newest_copy(struct sg_slice from, char *to, size_t cap)
{
    snprintf(to, cap, "%.*s", (int)from.len, (const char *)from.ptr);
}

static inline enum sg_rc newest_leaf(void *arg, uint64_t seq, struct sg_slice bytes,
                                     struct sg_err *err)
{
    struct newest *newest = arg;
    struct sg_audit_record record;

    SG_TRY(sg_audit_record_parse(bytes, &record, err));
    newest->seq = seq;
    newest->event = record.event;
    newest_copy(record.caller, newest->caller, sizeof(newest->caller));
    newest_copy(record.method, newest->method, sizeof(newest->method));
    newest_copy(record.reason, newest->reason, sizeof(newest->reason));
    newest_copy(record.token, newest->token, sizeof(newest->token));
    newest_copy(record.detail, newest->detail, sizeof(newest->detail));
    newest_copy(record.rule, newest->rule, sizeof(newest->rule));
    return SG_OK;
}

static inline struct newest read_newest(const struct rig *rig)
{
    struct newest newest = {.event = SG_AUDIT_UNSET};
    struct sg_store_log log;
    struct sg_store *store;

    assert_int_equal(sg_store_open_read(rig->folder.url, &store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(store, "main", &log, NULL), SG_OK);
    assert_int_equal(
        sg_store_read_leaves(store, log.id, log.size - 1, 1, newest_leaf, &newest, NULL), SG_OK);
    sg_store_close(store);
    return newest;
}

#endif
