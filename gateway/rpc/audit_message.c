#include "gateway/rpc/audit_message.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gateway/rpc/receipt_message.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/pb/unpack.h"

enum {
    EPOCH_DIGITS_MAX = 9,
    SEQ_DIGITS_MAX = 18,
    NAME_BYTES_MAX = SG_STORE_NAME_LEN_MAX + sizeof("audit//epochs//leaves/") + 10 + 20,
};

/* Names ------------------------------------------------------------------------------------ */

static enum sg_rc bad_name(const char *name, struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_BAD_NAME, "\"%.80s\" is no audit/{log} and no leaf of one", name);
}

/* A number behind `prefix`, up to `end` or the next slash. */
static bool take_number(const char **at, const char *prefix, size_t digits_max, uint64_t *ret)
{
    const size_t len = strlen(prefix);

    if (strncmp(*at, prefix, len) != 0)
        return false;
    const size_t digits = strspn(*at + len, "0123456789");
    if (digits == 0 || digits > digits_max)
        return false;
    *ret = strtoull(*at + len, NULL, 10);
    *at += len + digits;
    return true;
}

enum sg_rc sg_audit_name_read(const char *name, struct sg_audit_name *ret, uint64_t *ret_seq,
                              struct sg_err *err)
{
    static const char prefix[] = "audit/";
    uint64_t epoch = 0, seq = 0;

    *ret = (struct sg_audit_name){0};
    if (name[0] == '\0' && ret_seq == NULL)
        return SG_OK;
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        return bad_name(name, err);
    const char *at = name + sizeof(prefix) - 1;
    const size_t len = strcspn(at, "/");
    if (len == 0 || len > SG_STORE_NAME_LEN_MAX)
        return bad_name(name, err);
    memcpy(ret->log, at, len);
    at += len;
    if (take_number(&at, "/epochs/", EPOCH_DIGITS_MAX, &epoch) && epoch == 0)
        return bad_name(name, err); /* they begin with 1 */
    if ((ret_seq != NULL && !take_number(&at, "/leaves/", SEQ_DIGITS_MAX, &seq)) || *at != '\0')
        return bad_name(name, err);
    ret->epoch = (uint32_t)epoch;
    if (ret_seq != NULL)
        *ret_seq = seq;
    return SG_OK;
}

char *sg_audit_name_new(struct sg_arena *arena, const char *log, uint32_t epoch)
{
    char *name = sg_arena_alloc(arena, NAME_BYTES_MAX);
    if (name != NULL)
        snprintf(name, NAME_BYTES_MAX, "audit/%s/epochs/%u", log, (unsigned)epoch);
    return name;
}

enum sg_rc sg_audit_log_find(struct sg_audit_reader *reader, const struct sg_audit_name *name,
                             struct sg_store_log *ret, struct sg_err *err)
{
    const char *log = name->log[0] == '\0' ? reader->log->name : name->log;
    enum sg_rc rc = sg_store_find_epoch(reader->store, log, name->epoch, ret, err);

    if (rc == SG_E_NOT_FOUND && name->epoch > 0)
        return SG_REFUSE(err, SG_R_LEAF_NOT_FOUND, "there is no epoch %u of a log \"%s\"",
                         (unsigned)name->epoch, log);
    if (rc == SG_E_NOT_FOUND)
        return SG_REFUSE(err, SG_R_LEAF_NOT_FOUND, "there is no log \"%s\"", log);
    return rc;
}

/* Filters ---------------------------------------------------------------------------------- */

static int64_t ns_of(const Google__Protobuf__Timestamp *time)
{
    if (time == NULL || time->seconds < 0 || time->seconds > INT64_MAX / SG_NS_PER_S - 1)
        return 0;
    return time->seconds * SG_NS_PER_S + time->nanos;
}

static struct sg_slice bytes_of(ProtobufCBinaryData bytes)
{
    return sg_slice_of(bytes.data, bytes.len);
}

/* All of a filter must be in one record, so no filter has to be longer. */
static enum sg_rc keep(struct sg_leaves_filter *filter, struct sg_buf *kept, struct sg_err *err)
{
    struct sg_slice *fields[] = {
        &filter->caller,          &filter->key,       &filter->request_id,
        &filter->digest,          &filter->signature, &filter->public_key_sha256,
        &filter->document_number,
    };
    size_t at = 0, len = 0;

    for (size_t i = 0; i < SG_COUNT(fields); i++) {
        if (fields[i]->len > SG_AUDIT_RECORD_BYTES_MAX)
            return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "the filter is longer than any record");
        len += fields[i]->len;
    }
    if (len > SG_AUDIT_RECORD_BYTES_MAX)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "the filter is longer than any record");
    sg_buf_init(kept, SG_AUDIT_RECORD_BYTES_MAX);
    for (size_t i = 0; i < SG_COUNT(fields); i++)
        sg_buf_add_slice(kept, *fields[i]);
    SG_TRY(sg_buf_check(kept, err));
    for (size_t i = 0; i < SG_COUNT(fields); i++) { /* the buffer has moved for the last time */
        if (fields[i]->len > 0)
            *fields[i] = sg_slice_of(kept->ptr + at, fields[i]->len);
        at += fields[i]->len;
    }
    return SG_OK;
}

enum sg_rc sg_audit_filter_read(const Sealgate__V1__AuditFilter *filter,
                                struct sg_leaves_filter *ret, struct sg_buf *kept,
                                struct sg_err *err)
{
    *ret = (struct sg_leaves_filter){0};
    if (filter == NULL)
        return SG_OK;
    *ret = (struct sg_leaves_filter){
        .event = (enum sg_audit_event)filter->event,
        .caller = sg_slice_str(filter->caller),
        .key = sg_slice_str(filter->key),
        .request_id = sg_slice_str(filter->request_id),
        .digest = bytes_of(filter->digest),
        .signature = bytes_of(filter->signature),
        .public_key_sha256 = bytes_of(filter->public_key_sha256),
        .document_number = sg_slice_str(filter->document_number),
        .since_ns = ns_of(filter->since),
        .until_ns = ns_of(filter->until),
    };
    return keep(ret, kept, err);
}

/* Leaves ----------------------------------------------------------------------------------- */

/* A record is the encoding of its message, so reading it is unpacking it. */
Sealgate__V1__AuditLeaf *sg_audit_leaf_new(struct sg_arena *arena, const struct sg_store_log *log,
                                           uint64_t seq, struct sg_slice record)
{
    Sealgate__V1__AuditLeaf *leaf = sg_arena_alloc(arena, sizeof(*leaf));
    char *name = sg_arena_alloc(arena, NAME_BYTES_MAX);
    ProtobufCMessage *content = NULL;

    if (leaf == NULL || name == NULL)
        return NULL;
    sealgate__v1__audit_leaf__init(leaf);
    leaf->leaf_index = seq;
    snprintf(name, NAME_BYTES_MAX, "audit/%s/epochs/%u/leaves/%llu", log->name,
             (unsigned)log->epoch, (unsigned long long)seq);
    leaf->name = name;
    if (!sg_rpc_copy_bytes(arena, record, &leaf->record) ||
        sg_pb_unpack(&sealgate__v1__audit_record__descriptor,
                     sg_slice_of(leaf->record.data, leaf->record.len), arena, SG_PB_LENIENT,
                     &content, NULL) != SG_OK)
        return NULL;
    leaf->content = (Sealgate__V1__AuditRecord *)(void *)content;
    return leaf;
}
