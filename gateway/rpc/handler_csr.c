#include <stdlib.h>

#include "formats/raw/digest.h"
#include "formats/raw/pem.h"
#include "formats/x509/csr.h"
#include "formats/x509/name.h"
#include "gateway/rpc/rpc_priv.h"
#include "sealgate/v1/keys.pb-c.h"

enum { ALT_NAMES_MAX = 16, DER_BYTES_MAX = 32768 };

/* One CreateCsr. Lives until the token process has answered, that is judged, and the call is
 * closed. */
struct csr {
    struct sg_rpc *rpc;
    struct sg_call *call; /* NULL once closed */
    struct sg_key *key;
    bool is_running;
    struct sg_buf subject, alt_names; /* what was asked for */

    struct sg_buf der; /* what came; not released before `verdict` says so */
    struct sg_csr_question question;
    struct sg_crypto_task task;
    enum sg_rc verdict;
    struct sg_err err; /* when it is not SG_OK */
    struct sg_audit_entry entry;
    char rule[SG_RULE_LEN_MAX + 1]; /* the row that allowed it */
};

static struct csr *csr_new(struct sg_rpc *rpc, struct sg_call *call)
{
    struct csr *csr = calloc(1, sizeof(*csr));
    if (csr == NULL)
        return NULL;
    csr->rpc = rpc;
    csr->call = call;
    csr->verdict = SG_E_INVALID;
    sg_buf_init(&csr->subject, DER_BYTES_MAX);
    sg_buf_init(&csr->alt_names, DER_BYTES_MAX);
    sg_buf_init(&csr->der, DER_BYTES_MAX);
    return csr;
}

static void csr_free(struct csr *csr)
{
    sg_buf_done(&csr->subject);
    sg_buf_done(&csr->alt_names);
    sg_buf_done(&csr->der);
    sg_audit_entry_done(&csr->entry);
    free(csr);
}

static void fail_with(struct csr *csr, const struct sg_err *err)
{
    const struct sg_rpc_error error = {.err = *err};
    sg_rpc_fail(csr->rpc, csr->call, &error);
}

static void reply(struct csr *csr)
{
    Sealgate__V1__CreateCsrResponse response = SEALGATE__V1__CREATE_CSR_RESPONSE__INIT;
    struct sg_arena *arena = sg_call_arena(csr->call);
    struct sg_buf pem;

    sg_buf_init(&pem, 2 * DER_BYTES_MAX);
    sg_pem_encode("CERTIFICATE REQUEST", sg_buf_slice(&csr->der), &pem);
    response.csr.data = csr->der.ptr;
    response.csr.len = csr->der.len;
    response.key_version = csr->key->version_name;
    response.pem = pem.failed ? NULL : sg_arena_strdup(arena, sg_buf_slice(&pem));
    sg_buf_done(&pem);
    if (response.pem != NULL)
        sg_rpc_reply(csr->rpc, csr->call, &response.base, true);
    else
        sg_rpc_fail_memory(csr->rpc, csr->call);
}

static void on_recorded(struct sg_audit_entry *entry)
{
    struct csr *csr = SG_CONTAINER(entry, struct csr, entry);

    csr->is_running = false;
    if (csr->call == NULL)
        csr_free(csr);
    else if (entry->outcome == SG_AUDIT_WRITTEN)
        reply(csr);
    else
        fail_with(csr, &entry->err);
}

/* It is a signature by the key, so it is in the log before it is released. */
static enum sg_rc record(struct csr *csr, struct sg_err *err)
{
    const struct sg_rpc_deps *deps = &csr->rpc->deps;
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    struct sg_audit_record record = {.event = SG_AUDIT_CSR,
                                     .time_ns = sg_wall_ns(deps->clock),
                                     .rule_set = sg_slice_str(sg_rpc_rule_set),
                                     .rule = sg_slice_str(csr->rule)};

    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, sg_buf_slice(&csr->der), hash, err));
    sg_rpc_begin_record(csr->call, &record);
    record.key_version = sg_slice_str(csr->key->version_name);
    record.public_key_sha256 =
        sg_slice_of(csr->key->public_key_sha256, sizeof(csr->key->public_key_sha256));
    record.document_digest_alg = SG_DIGEST_SHA256;
    record.document_digest = sg_slice_of(hash, sg_digest_len(SG_DIGEST_SHA256));
    record.token = sg_slice_str(deps->config->tokens[csr->key->token].name);
    csr->entry.done = on_recorded;
    return sg_audit_submit(deps->audit, &record, &csr->entry, err);
}

/* What was judged to be right. */
static void release(struct csr *csr)
{
    struct sg_err err;

    if (csr->rpc->deps.audit == NULL)
        reply(csr);
    else if (record(csr, &err) == SG_OK)
        csr->is_running = true;
    else
        fail_with(csr, &err);
}

static void judge_run(struct sg_crypto_task *task)
{
    struct csr *csr = SG_CONTAINER(task, struct csr, task);
    csr->verdict = sg_csr_check(sg_buf_slice(&csr->der), &csr->question, &csr->err);
}

static void judge_done(struct sg_crypto_task *task)
{
    struct csr *csr = SG_CONTAINER(task, struct csr, task);
    struct sg_err err;

    csr->is_running = false;
    if (csr->call == NULL) {
        csr_free(csr);
    } else if (csr->verdict == SG_OK) {
        release(csr);
    } else {
        SG_IGNORE(SG_REFUSE(&err, SG_R_HSM_FAULT, /* handed over */
                            "the token's answer for key \"%s\" was not released: %s",
                            csr->key->name, csr->err.msg));
        fail_with(csr, &err);
    }
}

/* The answer is copied, because it lives for this call only; the public key lives as long as the
 * engine. */
static enum sg_rc judge(struct csr *csr, struct sg_slice der, struct sg_err *err)
{
    struct sg_hsm_key_info info;

    sg_keys_info(csr->rpc->deps.keys, csr->key, &info);
    if (sg_key_public_key(csr->key) == NULL || info.spki.len == 0)
        return SG_REFUSE(err, SG_R_KEY_UNUSABLE, "key \"%s\" has no public key to verify with",
                         csr->key->name);
    sg_buf_add_slice(&csr->der, der);
    if (csr->der.failed)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for a certificate request");
    csr->question.spki = info.spki;
    csr->question.subject = sg_buf_slice(&csr->subject);
    csr->question.alt_names = sg_buf_slice(&csr->alt_names);
    csr->task = (struct sg_crypto_task){.run = judge_run, .done = judge_done};
    return sg_crypto_submit(csr->rpc->deps.crypto, &csr->task, err);
}

static void on_csr(void *arg, uint64_t tag, struct sg_slice der, const struct sg_err *err)
{
    (void)tag;
    struct csr *csr = arg;
    struct sg_err why;

    csr->is_running = false;
    if (csr->call == NULL)
        csr_free(csr);
    else if (err != NULL && err->rc != SG_OK)
        fail_with(csr, err);
    else if (judge(csr, der, &why) == SG_OK)
        csr->is_running = true;
    else
        fail_with(csr, &why);
}

static enum sg_rc encode_subject(const Sealgate__V1__CreateCsrRequest *request, struct sg_buf *out,
                                 struct sg_rpc_error *error)
{
    struct sg_name_attribute attributes[SG_NAME_ATTRIBUTES_MAX];

    error->field = "subject";
    if (request->n_subject > SG_COUNT(attributes))
        return SG_REFUSE(&error->err, SG_R_BAD_SUBJECT, "a subject has at most %zu attributes",
                         SG_COUNT(attributes));
    for (size_t i = 0; i < request->n_subject; i++)
        attributes[i] =
            (struct sg_name_attribute){request->subject[i]->type, request->subject[i]->value};
    return sg_name_encode(attributes, request->n_subject, out, &error->err);
}

static enum sg_rc encode_alt_names(const Sealgate__V1__CreateCsrRequest *request,
                                   struct sg_buf *out, struct sg_rpc_error *error)
{
    const struct {
        const char *field;
        enum sg_alt_name_kind kind;
        size_t count;
        char **values;
    } lists[] = {
        {"dns_names", SG_ALT_DNS, request->n_dns_names, request->dns_names},
        {"uris", SG_ALT_URI, request->n_uris, request->uris},
        {"emails", SG_ALT_EMAIL, request->n_emails, request->emails},
    };
    struct sg_alt_name names[ALT_NAMES_MAX];
    size_t count = 0;

    for (size_t i = 0; i < SG_COUNT(lists); i++) {
        error->field = lists[i].field;
        for (size_t j = 0; j < lists[i].count; j++) {
            if (count == SG_COUNT(names))
                return SG_REFUSE(&error->err, SG_R_BAD_SUBJECT,
                                 "there are at most %zu alternative names", SG_COUNT(names));
            names[count++] = (struct sg_alt_name){lists[i].kind, lists[i].values[j]};
        }
    }
    return count == 0 ? SG_OK : sg_alt_names_encode(names, count, out, &error->err);
}

static enum sg_rc read_digest(const Sealgate__V1__CreateCsrRequest *request,
                              const struct sg_key *key, enum sg_digest_alg *ret,
                              struct sg_rpc_error *error)
{
    error->field = "digest";
    if (key->type == SG_KEY_ED25519)
        return SG_REFUSE(&error->err, SG_R_CSR_NOT_SUPPORTED,
                         "key \"%s\" is Ed25519, for which no request can be made here", key->name);
    *ret = key->type == SG_KEY_EC_P384 ? SG_DIGEST_SHA384 : SG_DIGEST_SHA256;
    if (request->digest != 0)
        SG_TRY(sg_rpc_digest_alg((int)request->digest, ret, &error->err));
    if ((key->digests & 1u << *ret) == 0)
        return SG_REFUSE(&error->err, SG_R_ALGORITHM_NOT_ALLOWED,
                         "key \"%s\" does not sign %s digests", key->name, sg_digest_name(*ret));
    error->field = NULL;
    return SG_OK;
}

static enum sg_rc start(struct csr *csr, const Sealgate__V1__CreateCsrRequest *request,
                        struct sg_rpc_error *error)
{
    struct sg_key *key;

    error->field = "name";
    error->resource = request->name;
    SG_TRY(sg_rpc_find_key(csr->rpc, csr->call, request->name, &key, csr->rule, &error->err));
    csr->key = key;
    SG_TRY(encode_subject(request, &csr->subject, error));
    SG_TRY(encode_alt_names(request, &csr->alt_names, error));
    SG_TRY(read_digest(request, key, &csr->question.digest_alg, error));
    SG_TRY(sg_hsm_csr(csr->rpc->deps.hsm, key->hsm, sg_buf_slice(&csr->subject),
                      sg_buf_slice(&csr->alt_names), csr->question.digest_alg,
                      sg_call_deadline(csr->call), 0, on_csr, csr, &error->err));
    csr->is_running = true;
    return SG_OK;
}

static void on_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct sg_rpc_error error = {0};
    const Sealgate__V1__CreateCsrRequest *request = sg_rpc_read(rpc, call, message, true);
    if (request == NULL)
        return;

    struct csr *csr = csr_new(rpc, call);
    if (csr == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    sg_rpc_set_user(call, csr);
    if (start(csr, request, &error) != SG_OK)
        sg_rpc_fail(rpc, call, &error);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct csr *csr = sg_rpc_user(call);
    if (csr == NULL)
        return;
    csr->call = NULL;
    if (!csr->is_running)
        csr_free(csr);
}

const struct sg_handler sg_handle_create_csr = {.message = on_message, .closed = on_closed};
