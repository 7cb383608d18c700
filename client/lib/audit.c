#include "client/lib/audit.h"

#include "client/lib/codec.h"
#include "sealgate/v1/audit.pb-c.h"

/* ListLeaves and WatchLeaves: records as the server tells them. */

enum sealgate_code sg_client_ask_audit(struct sealgate_client *client,
                                       const struct sg_client_method *method,
                                       const ProtobufCMessage *request, uint32_t timeout_ms,
                                       union sg_client_fn fn, void *user,
                                       struct sg_client_audit *audit, struct sealgate_call **ret,
                                       struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;

    if (audit == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a call: out of memory");
    enum sealgate_code code =
        sg_client_unary(client, method, request, timeout_ms, fn, user, &call, error);
    if (code != SEALGATE_OK) {
        free(audit);
        return code;
    }
    call->audit = audit;
    audit->request_len = call->request.len;
    call->is_repeatable = method->resume != NULL;
    if (ret != NULL)
        *ret = call;
    return SEALGATE_OK;
}

static enum sealgate_code no_memory(struct sealgate_error *error)
{
    return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                          "could not keep the answer: out of memory");
}

static bool ends_with_index(const char *name, uint64_t index)
{
    char end[32];
    int len = snprintf(end, sizeof(end), "/leaves/%llu", (unsigned long long)index);
    size_t name_len = strlen(name);

    return name_len >= (size_t)len && strcmp(name + name_len - len, end) == 0;
}

/* The record itself is read, never what the server says that it says. And it is in its place:
 * behind all that came before, and next to it where nothing was left out. */
static enum sealgate_code leaf_decode(const Sealgate__V1__AuditLeaf *in,
                                      struct sg_client_audit *audit, struct sg_arena *arena,
                                      struct sealgate_record *ret, struct sealgate_error *error)
{
    struct sg_slice bytes = sg_slice_of(in->record.data, in->record.len);
    bool is_next = audit->has_begun && !audit->is_filtered;
    struct sg_audit_record record;
    struct sg_err err;

    if (in->leaf_index < audit->next || (is_next && in->leaf_index != audit->next))
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "the server told of leaf %llu where leaf %llu comes",
                              (unsigned long long)in->leaf_index, (unsigned long long)audit->next);
    if (!ends_with_index(in->name, in->leaf_index))
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "the server calls leaf %llu \"%.100s\"",
                              (unsigned long long)in->leaf_index, in->name);
    if (sg_audit_record_parse(bytes, &record, &err) != SG_OK)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "leaf %llu: %s", (unsigned long long)in->leaf_index, err.msg);
    audit->next = in->leaf_index + 1;
    audit->has_begun = true;
    *ret = (struct sealgate_record){.name = in->name, .origin = "", .leaf_index = in->leaf_index};
    return sg_client_record_of(&record, bytes, arena, ret, error);
}

/* ---- What is asked -------------------------------------------------------------------------- */

/* A filter in the form of the contract, with what it points to. */
struct filter {
    Sealgate__V1__AuditFilter filter;
    Google__Protobuf__Timestamp since, until;
};

static void set_time(int64_t time_ns, Google__Protobuf__Timestamp *room,
                     Google__Protobuf__Timestamp **ret)
{
    google__protobuf__timestamp__init(room);
    if (time_ns <= 0)
        return;
    room->seconds = time_ns / SG_NS_PER_S;
    room->nanos = (int32_t)(time_ns % SG_NS_PER_S);
    *ret = room;
}

/* NULL: everything is meant. */
static Sealgate__V1__AuditFilter *filter_encode(const struct sealgate_leaf_query *query,
                                                struct filter *out)
{
    Sealgate__V1__AuditFilter *filter = &out->filter;

    sealgate__v1__audit_filter__init(filter);
    filter->event = (Sealgate__V1__AuditEvent)query->event;
    filter->caller = sg_client_text(query->caller);
    filter->key = sg_client_text(query->key);
    filter->request_id = sg_client_text(query->request_id);
    filter->digest = sg_client_data(query->hash);
    filter->signature = sg_client_data(query->signature);
    filter->public_key_sha256 = sg_client_data(query->public_key_sha256);
    filter->document_number = sg_client_text(query->document_number);
    set_time(query->since_ns, &out->since, &filter->since);
    set_time(query->until_ns, &out->until, &filter->until);
    return sealgate__v1__audit_filter__get_packed_size(filter) == 0 ? NULL : filter;
}

static struct sg_client_audit *audit_new(uint64_t first, bool is_filtered)
{
    struct sg_client_audit *audit = calloc(1, sizeof(*audit));

    if (audit != NULL) {
        audit->next = first;
        audit->is_filtered = is_filtered;
    }
    return audit;
}

/* ---- ListLeaves ----------------------------------------------------------------------------- */

static enum sealgate_code list_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                      struct sg_arena *arena, void *body,
                                      struct sealgate_error *error)
{
    const Sealgate__V1__ListLeavesResponse *in = (const Sealgate__V1__ListLeavesResponse *)answer;
    struct sealgate_record *records = sg_arena_alloc(arena, (in->n_leaves + 1) * sizeof(*records));
    struct sealgate_leaf_list *list = body;

    if (records == NULL)
        return no_memory(error);
    for (size_t i = 0; i < in->n_leaves; i++) {
        enum sealgate_code code =
            leaf_decode(in->leaves[i], call->audit, arena, &records[i], error);
        if (code != SEALGATE_OK)
            return code;
    }
    *list = (struct sealgate_leaf_list){records, in->n_leaves, in->next_page_token};
    return SEALGATE_OK;
}

static void list_deliver(struct sealgate_call *call, const struct sealgate_error *error, void *body)
{
    if (call->fn.leaves != NULL)
        call->fn.leaves(call->user, error, body);
}

static const struct sg_client_method list_method = {
    .path = "/sealgate.v1.AuditService/ListLeaves",
    .output = &sealgate__v1__list_leaves_response__descriptor,
    .body_len = sizeof(struct sealgate_leaf_list),
    .decode = list_decode,
    .deliver = list_deliver,
};

enum sealgate_code sealgate_list_leaves_start(struct sealgate_client *client,
                                              const struct sealgate_leaf_query *query,
                                              uint32_t timeout_ms, sealgate_list_leaves_fn *fn,
                                              void *user, struct sealgate_call **ret,
                                              struct sealgate_error *error)
{
    Sealgate__V1__ListLeavesRequest message;
    struct filter filter;
    bool is_first = query->page_token == NULL || query->page_token[0] == '\0';

    sealgate__v1__list_leaves_request__init(&message);
    message.filter = filter_encode(query, &filter);
    message.log = sg_client_text(query->log);
    message.page_size = query->page_size;
    message.page_token = sg_client_text(query->page_token);
    message.first = query->first;
    return sg_client_ask_audit(
        client, &list_method, &message.base, timeout_ms, (union sg_client_fn){.leaves = fn}, user,
        audit_new(is_first ? query->first : 0, message.filter != NULL), ret, error);
}

enum sealgate_code sealgate_list_leaves(struct sealgate_client *client,
                                        const struct sealgate_leaf_query *query,
                                        uint32_t timeout_ms, struct sealgate_leaf_list **ret,
                                        struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_list_leaves_start(client, query, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- WatchLeaves ---------------------------------------------------------------------------- */

static enum sealgate_code watch_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                       struct sg_arena *arena, void *body,
                                       struct sealgate_error *error)
{
    const Sealgate__V1__WatchLeavesResponse *in = (const Sealgate__V1__WatchLeavesResponse *)answer;

    if (in->leaf == NULL)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "the server told of no leaf");
    return leaf_decode(in->leaf, call->audit, arena, body, error);
}

static void watch_item(struct sealgate_call *call, void *body)
{
    call->retries = 0; /* it works: what fails next is something new */
    call->fn.leaf_watch.leaf(call->user, body);
}

static void watch_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                          void *body)
{
    struct sealgate_error ended;

    (void)body;
    if (error == NULL) { /* in order, but too late to go on */
        (void)sg_client_fail(&ended, SG_CLIENT_DEADLINE, SEALGATE_OUTCOME_ANSWERED,
                             "the time of the watch was up");
        error = &ended;
    }
    call->fn.leaf_watch.done(call->user, error);
}

/* `first` (field 2, a varint) is written behind the rest, where it can be replaced. */
static bool watch_resume(struct sealgate_call *call)
{
    struct sg_buf *request = &call->request;
    uint64_t first = call->audit->next;

    request->len = call->audit->request_len;
    if (first == 0)
        return true;
    sg_buf_add_u8(request, 2 << 3);
    for (; first >= 0x80; first >>= 7)
        sg_buf_add_u8(request, (uint8_t)(first | 0x80));
    sg_buf_add_u8(request, (uint8_t)first);
    return !request->failed;
}

static const struct sg_client_method watch_method = {
    .path = "/sealgate.v1.AuditService/WatchLeaves",
    .output = &sealgate__v1__watch_leaves_response__descriptor,
    .body_len = sizeof(struct sealgate_record),
    .decode = watch_decode,
    .deliver = watch_deliver,
    .item = watch_item,
    .sends_once = true,
    .resume = watch_resume,
};

enum sealgate_code
sealgate_watch_leaves_start(struct sealgate_client *client, const struct sealgate_leaf_query *query,
                            uint32_t timeout_ms, const struct sealgate_leaf_events *events,
                            void *user, struct sealgate_call **ret, struct sealgate_error *error)
{
    Sealgate__V1__WatchLeavesRequest message;
    struct sealgate_call *call = NULL;
    struct filter filter;

    if (events->leaf == NULL || events->done == NULL)
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "a watch needs its events `leaf` and `done`");
    sealgate__v1__watch_leaves_request__init(&message);
    message.filter = filter_encode(query, &filter);
    message.log = sg_client_text(query->log);
    enum sealgate_code code =
        sg_client_ask_audit(client, &watch_method, &message.base, timeout_ms,
                            (union sg_client_fn){.leaf_watch = *events}, user,
                            audit_new(query->first, message.filter != NULL), &call, error);
    if (code != SEALGATE_OK)
        return code;
    if (!watch_resume(call)) {
        sg_client_list_remove(&client->waiting, call);
        sg_client_call_free(call);
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a call: out of memory");
    }
    if (ret != NULL)
        *ret = call;
    return SEALGATE_OK;
}
