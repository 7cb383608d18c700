#include "gateway/rpc/sign_message.h"

#include "base/crc32c.h"
#include "formats/audit/request.h"
#include "formats/raw/digest.h"
#include "gateway/rpc/receipt_message.h"

const char sg_rpc_rule_set[] = "configured-list";

enum { PURPOSE_LEN_MAX = 1024 };

/* Passes `rc` on; a failure is blamed on the field. */
static enum sg_rc fail_field(struct sg_rpc_error *error, const char *field, enum sg_rc rc)
{
    if (rc != SG_OK)
        error->field = field;
    return rc;
}

/* Fields that later capabilities act on: set means asked for, so ignoring one would be a lie. */
static enum sg_rc refuse_unserved(const struct sg_rpc *rpc,
                                  const Sealgate__V1__SignRequest *message,
                                  struct sg_rpc_error *error)
{
    const bool is_recorded = rpc->deps.audit != NULL;
    const struct {
        const char *name;
        bool is_set;
    } fields[] = {
        {"document_digest", !is_recorded && message->document_digest != NULL},
        {"request_id", !is_recorded && message->request_id[0] != '\0'},
        {"capacity", message->capacity != 0},
        {"post", message->post[0] != '\0'},
        {"on_behalf_of", message->on_behalf_of != NULL},
        {"document", message->document != NULL},
        {"activation", message->activation[0] != '\0'},
        {"purpose", !is_recorded && message->purpose[0] != '\0'},
    };
    for (size_t i = 0; i < SG_COUNT(fields); i++) {
        if (fields[i].is_set)
            return fail_field(error, fields[i].name,
                              SG_REFUSE(&error->err, SG_R_FIELD_NOT_SERVED,
                                        "field \"%s\" is not served yet", fields[i].name));
    }
    return SG_OK;
}

static enum sg_rc read_content(const Sealgate__V1__SignRequest *message,
                               struct sg_sign_request *request, struct sg_rpc_error *error)
{
    switch (message->content_case) {
    case SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST:
        request->content = sg_slice_of(message->digest->value.data, message->digest->value.len);
        return fail_field(
            error, "digest.algorithm",
            sg_rpc_digest_alg((int)message->digest->algorithm, &request->digest_alg, &error->err));
    case SEALGATE__V1__SIGN_REQUEST__CONTENT_MESSAGE:
        request->digest_alg = SG_DIGEST_UNSET;
        request->content = sg_slice_of(message->message.data, message->message.len);
        return SG_OK;
    case SEALGATE__V1__SIGN_REQUEST__CONTENT__NOT_SET:
    case _SEALGATE__V1__SIGN_REQUEST__CONTENT__CASE_IS_INT_SIZE:
        break;
    }
    return fail_field(error, "content",
                      SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED,
                                "there is nothing to sign: send `digest` or `message`"));
}

static enum sg_rc check_crc(const Sealgate__V1__SignRequest *message,
                            const struct sg_sign_request *request, bool *ret_checked,
                            struct sg_rpc_error *error)
{
    *ret_checked = message->content_crc32c_presence_case ==
                   SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    if (*ret_checked && sg_crc32c(request->content) != message->content_crc32c)
        return fail_field(
            error, "content_crc32c",
            SG_REFUSE(&error->err, SG_R_CRC_MISMATCH, "content_crc32c is not that of the content"));
    return SG_OK;
}

static enum sg_rc read_choices(const Sealgate__V1__SignRequest *message,
                               struct sg_sign_request *request, struct sg_rpc_error *error)
{
    error->field = "scheme";
    SG_TRY(sg_rpc_scheme((int)message->scheme, &request->scheme, &error->err));
    error->field = "encoding";
    SG_TRY(sg_rpc_encoding((int)message->encoding, &request->encoding, &error->err));
    error->field = NULL;
    return SG_OK;
}

/* By a tally that most connections, which ask for health or keys alone, never need. */
static enum sg_rc count_on(struct sg_rpc_connection *connection, const struct sg_config *config,
                           struct sg_sign_request *request, struct sg_rpc_error *error)
{
    if (connection->tally == NULL)
        SG_TRY(sg_sign_tally_new((size_t)config->connection_jobs_max, &connection->tally,
                                 &error->err));
    request->tally = connection->tally;
    return SG_OK;
}

/* Whose turn it takes at the token: the row's, by FNV-1a over its name, so that a caller has one
 * and no more by whichever connection, certificate or bearer token it comes. */
static uint64_t turn_of(const char *row)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = row; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    return hash;
}

/* The hash of the file, where it is not what is signed. */
static enum sg_rc read_document_digest(const Sealgate__V1__SignRequest *message,
                                       struct sg_audit_record *record, struct sg_rpc_error *error)
{
    const Sealgate__V1__Digest *digest = message->document_digest;

    if (digest == NULL)
        return SG_OK;
    error->field = "document_digest";
    SG_TRY(sg_rpc_digest_alg((int)digest->algorithm, &record->document_digest_alg, &error->err));
    if (digest->value.len != sg_digest_len(record->document_digest_alg))
        return SG_REFUSE(&error->err, SG_R_DIGEST_LENGTH, "a %s digest has %zu bytes, this has %zu",
                         sg_digest_name(record->document_digest_alg),
                         sg_digest_len(record->document_digest_alg), digest->value.len);
    record->document_digest = sg_slice_of(digest->value.data, digest->value.len);
    error->field = NULL;
    return SG_OK;
}

/* What was signed, where it is a message: the record has its SHA-256. */
static enum sg_rc read_digest(struct sg_call *call, const struct sg_sign_request *request,
                              struct sg_audit_record *record, struct sg_rpc_error *error)
{
    record->digest = request->content;
    if (request->digest_alg != SG_DIGEST_UNSET)
        return SG_OK;
    uint8_t *hash = sg_arena_alloc(sg_call_arena(call), SG_DIGEST_BYTES_MAX);
    if (hash == NULL)
        return SG_FAIL(&error->err, SG_E_LIMIT, 0, "no memory for a digest");
    record->digest = sg_slice_of(hash, sg_digest_len(SG_DIGEST_SHA256));
    return sg_digest_of(SG_DIGEST_SHA256, request->content, hash, &error->err);
}

static enum sg_rc read_id(const Sealgate__V1__SignRequest *message, struct sg_sign_plan *plan,
                          struct sg_rpc_error *error)
{
    struct sg_audit_record *record = &plan->record;

    record->request_id = sg_slice_str(message->request_id);
    if (record->request_id.len == 0)
        return SG_OK;
    plan->has_id = true;
    return fail_field(error, "request_id",
                      sg_request_id_read(record->request_id, record->authority, record->caller,
                                         record->method, &plan->id, &error->err));
}

/* What the record says of the request, and by what it is known again. */
static enum sg_rc read_evidence(struct sg_rpc *rpc, struct sg_call *call,
                                const Sealgate__V1__SignRequest *message, struct sg_sign_plan *plan,
                                struct sg_rpc_error *error)
{
    const struct sg_sign_request *request = &plan->request;
    struct sg_audit_record *record = &plan->record;
    const size_t token = request->key->token;

    SG_TRY(read_id(message, plan, error));
    SG_TRY(read_document_digest(message, record, error));
    SG_TRY(read_digest(call, request, record, error));
    record->purpose = sg_slice_str(message->purpose);
    if (record->purpose.len > PURPOSE_LEN_MAX)
        return fail_field(error, "purpose",
                          SG_REFUSE(&error->err, SG_R_MESSAGE_TOO_LARGE,
                                    "a purpose has at most %d bytes", PURPOSE_LEN_MAX));
    record->rule_set = sg_slice_str(sg_rpc_rule_set);
    record->rule = sg_slice_str(plan->rule);
    record->public_key_sha256 =
        sg_slice_of(request->key->public_key_sha256, sizeof(request->key->public_key_sha256));
    record->token = sg_slice_str(rpc->deps.config->tokens[token].name);

    const struct sg_audit_request asked = {
        .key = sg_slice_str(message->key),
        .scheme = request->scheme,
        .encoding = request->encoding,
        .digest_alg = request->digest_alg,
        .content = request->content,
        .document_digest_alg = record->document_digest_alg,
        .document_digest = record->document_digest,
        .purpose = record->purpose,
    };
    record->request_sha256 = sg_slice_of(plan->request_sha256, sizeof(plan->request_sha256));
    return sg_audit_request_sha256(&asked, plan->request_sha256, &error->err);
}

enum sg_rc sg_sign_plan_read(struct sg_rpc *rpc, struct sg_call *call,
                             const Sealgate__V1__SignRequest *message, struct sg_sign_plan *ret,
                             struct sg_rpc_error *error)
{
    *ret = (struct sg_sign_plan){.is_dry_run = message->dry_run};
    ret->request.deadline_ns = sg_call_deadline(call);

    SG_TRY(refuse_unserved(rpc, message, error));
    sg_rpc_begin_record(call, &ret->record);
    SG_TRY(count_on(sg_rpc_connection(call), rpc->deps.config, &ret->request, error));
    enum sg_rc rc =
        sg_rpc_find_key(rpc, call, message->key, &ret->request.key, ret->rule, &error->err);
    if (rc != SG_OK) {
        error->resource = message->key;
        return rc == SG_E_INVALID ? fail_field(error, "key", rc) : rc;
    }
    ret->request.caller = turn_of(ret->rule);
    SG_TRY(read_content(message, &ret->request, error));
    SG_TRY(check_crc(message, &ret->request, &ret->is_crc_checked, error));
    SG_TRY(read_choices(message, &ret->request, error));
    return rpc->deps.audit == NULL ? SG_OK : read_evidence(rpc, call, message, ret, error);
}

enum sg_rc sg_sign_plan_start(struct sg_rpc *rpc, const struct sg_sign_plan *plan,
                              struct sg_signing *signing, struct sg_rpc_error *error)
{
    enum sg_rc rc = sg_signing_start(rpc->deps.signings, &plan->request, &plan->record,
                                     plan->has_id ? &plan->id : NULL, signing, &error->err);
    error->retry_ms = signing->retry_ms;
    return rc;
}

bool sg_sign_plan_deny(struct sg_rpc *rpc, const struct sg_sign_plan *plan,
                       struct sg_signing *signing, const struct sg_rpc_error *error)
{
    return sg_rpc_is_denial(&error->err) &&
           sg_signing_deny(rpc->deps.signings, &plan->record, &error->err, signing);
}

struct sg_rpc_error sg_signing_error(const struct sg_signing *signing)
{
    return (struct sg_rpc_error){
        .err = signing->err, .retry_ms = signing->retry_ms, .is_recorded = true};
}

enum sg_rc sg_sign_plan_try(struct sg_rpc *rpc, const struct sg_sign_plan *plan,
                            struct sg_sign_op *op, struct sg_rpc_error *error)
{
    struct sg_hsm_key_info info;

    SG_TRY(sg_sign_check(&plan->request, op, &error->err));
    sg_keys_info(rpc->deps.keys, plan->request.key, &info);
    if (info.state == SG_KEY_READY)
        return SG_OK;
    if (info.state == SG_KEY_LOADING)
        return SG_REFUSE(&error->err, SG_R_TOKEN_LOST, "token \"%s\" has not told of the key yet",
                         info.token);
    if (info.err.rc == SG_OK)
        return SG_REFUSE(&error->err, SG_R_KEY_UNUSABLE, "key \"%s\" cannot be used", info.name);
    error->err = info.err;
    return info.err.rc;
}

void sg_sign_count(struct sg_rpc *rpc, const struct sg_signing *signing)
{
    struct sg_metrics *metrics = rpc->deps.metrics;
    const struct sg_sign_op *op = &signing->op;

    if (metrics == NULL || op->key == NULL)
        return;
    if (signing->is_replayed) {
        sg_metrics_add(metrics, SG_METRIC_REPLAYS, 0, 0, 1);
        return;
    }
    const size_t token = op->token;
    if (signing->is_signed) {
        sg_metrics_add(metrics, SG_METRIC_SIGNATURES, op->scheme, 0, 1);
        sg_metrics_observe(metrics, SG_METRIC_SIGN_QUEUE_SECONDS, token, 0, op->queue_ns);
        sg_metrics_observe(metrics, SG_METRIC_SIGN_HSM_SECONDS, token, 0, op->hsm_ns);
    }
}

static Sealgate__V1__DecisionSummary *decision_new(struct sg_arena *arena, const char *rule)
{
    Sealgate__V1__DecisionSummary *decision = sg_arena_alloc(arena, sizeof(*decision));
    if (decision == NULL)
        return NULL;
    sealgate__v1__decision_summary__init(decision);
    /* protobuf-c declares strings without const; packing only reads them. */
    decision->rule_set = (char *)(uintptr_t)sg_rpc_rule_set;
    decision->rule = (char *)(uintptr_t)rule;
    return decision;
}

static uint32_t microseconds(int64_t ns)
{
    int64_t us = ns / 1000;
    return us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static Sealgate__V1__Timing *timing_new(struct sg_arena *arena, const struct sg_sign_op *op,
                                        int64_t total_ns)
{
    Sealgate__V1__Timing *timing = sg_arena_alloc(arena, sizeof(*timing));
    if (timing == NULL)
        return NULL;
    sealgate__v1__timing__init(timing);
    timing->queue_us = microseconds(op->queue_ns);
    timing->hsm_us = microseconds(op->hsm_ns);
    timing->total_us = microseconds(total_ns);
    return timing;
}

Sealgate__V1__SignResponse *sg_sign_response_new(struct sg_rpc *rpc, struct sg_arena *arena,
                                                 const struct sg_sign_plan *plan,
                                                 const struct sg_signing *signing,
                                                 int64_t started_ns)
{
    const struct sg_sign_op *op = &signing->op;
    Sealgate__V1__SignResponse *response = sg_arena_alloc(arena, sizeof(*response));
    Sealgate__V1__SignatureAlgorithm *algorithm = sg_arena_alloc(arena, sizeof(*algorithm));
    if (response == NULL || algorithm == NULL)
        return NULL;

    sealgate__v1__sign_response__init(response);
    sealgate__v1__signature_algorithm__init(algorithm);
    algorithm->scheme = (Sealgate__V1__SignatureScheme)op->scheme;
    algorithm->digest = (Sealgate__V1__DigestAlgorithm)op->digest_alg;
    response->algorithm = algorithm;
    response->encoding = (Sealgate__V1__SignatureEncoding)op->encoding;
    response->key_version = signing->is_replayed ? sg_arena_strdup(arena, signing->key_version)
                                                 : plan->request.key->version_name;
    response->replayed = signing->is_replayed;
    if (signing->receipt != NULL &&
        (response->receipt = sg_rpc_receipt_new(arena, signing->receipt)) == NULL)
        return NULL;
    response->decision = decision_new(arena, plan->rule);
    response->verified_content_crc32c = plan->is_crc_checked;
    if (signing->is_signed) {
        response->signature.data = sg_arena_alloc(arena, op->signature.len);
        if (response->signature.data == NULL)
            return NULL;
        memcpy(response->signature.data, op->signature.ptr, op->signature.len);
        response->signature.len = op->signature.len;
        response->signature_crc32c = sg_crc32c(op->signature);
        response->sign_time = sg_rpc_timestamp(arena, op->sign_wall_ns);
    }
    response->timing = timing_new(arena, op, sg_mono_ns(rpc->deps.clock) - started_ns);
    if (response->key_version == NULL || response->decision == NULL || response->timing == NULL ||
        (signing->is_signed && response->sign_time == NULL))
        return NULL;
    return response;
}
