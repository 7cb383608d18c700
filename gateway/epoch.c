#include "gateway/epoch.h"

#include <stdio.h>

#include "base/clock.h"
#include "formats/audit/checkpoint.h"
#include "formats/audit/epoch.h"
#include "formats/audit/signer.h"
#include "formats/raw/digest.h"
#include "formats/raw/pem.h"
#include "formats/raw/spki_file.h"
#include "gateway/administrators.h"
#include "gateway/audit/create.h"
#include "gateway/audit/examine.h"
#include "gateway/certify.h"
#include "gateway/key_file.h"
#include "gateway/trust.h"

enum { PATH_BYTES_MAX = 4096, CERTIFICATE_BYTES_MAX = SG_AUDIT_TEXT_BYTES_MAX, TRIES_MAX = 200 };

/* The log as it is. */
struct old {
    struct sg_store *store;
    struct sg_store_log log;
    struct sg_note_key *key;
    struct sg_buf key_text;
    struct sg_buf beginning; /* what its leaf 0 says; empty where that does not prove itself */
    struct sg_audit_found found;
};

static void old_done(struct old *old)
{
    sg_buf_done(&old->beginning);
    sg_buf_done(&old->key_text);
    sg_note_key_free(old->key);
    sg_store_close(old->store);
}

static enum sg_rc name_file(const char *path, uint32_t epoch, char ret[PATH_BYTES_MAX],
                            struct sg_err *err)
{
    if ((size_t)snprintf(ret, PATH_BYTES_MAX, "%s.epoch-%u", path, (unsigned)epoch) >=
        PATH_BYTES_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is too long a path", path);
    return SG_OK;
}

/* The old log ------------------------------------------------------------------------------ */

static enum sg_rc on_first_leaf(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct sg_audit_record record;

    SG_TRY(sg_audit_record_parse(bytes, &record, err));
    if (seq == 0)
        sg_buf_add_slice(arg, sg_audit_detail_find(record.detail, "log key"));
    return SG_OK;
}

/* By the log's own key; where that is lost, as the log says it: the statement shows the key, and
 * who approves compares it with what was published. */
static enum sg_rc find_key(struct old *old, const char *path, struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;

    enum sg_rc rc = sg_key_file_read(path, &signer, err);
    if (rc == SG_OK)
        sg_note_key_write(sg_note_signer_key(signer), &old->key_text);
    else if (rc == SG_E_NOT_FOUND)
        rc =
            sg_store_read_leaves(old->store, old->log.id, 0, 1, on_first_leaf, &old->key_text, err);
    SG_TRY(rc);
    SG_TRY(sg_note_key_parse(sg_buf_slice(&old->key_text), &old->key, err));
    if (!sg_slice_is(sg_note_key_name(old->key), old->log.origin))
        return SG_FAIL(err, SG_E_CONFLICT, 0, "\"%s\" holds the key of another log than \"%s\"",
                       path, old->log.origin);
    return SG_OK;
}

static enum sg_rc open_log(const struct sg_config *config, struct old *old, struct sg_err *err)
{
    *old = (struct old){0};
    sg_buf_init(&old->key_text, SG_EPOCH_KEY_BYTES_MAX);
    sg_buf_init(&old->beginning, SG_AUDIT_TEXT_BYTES_MAX);
    SG_TRY(sg_store_open(config->store, &old->store, err));
    SG_TRY(sg_store_check_safe(old->store, err));
    return sg_store_find_log(old->store, config->audit_log, &old->log, err);
}

static enum sg_rc examine(const struct sg_config *config, struct old *old, struct sg_err *err)
{
    SG_TRY(find_key(old, config->audit_key_file, err));
    SG_TRY(sg_audit_examine(old->store, &old->log, old->key, config->audit_anchor_file, &old->found,
                            err));
    struct sg_err why = {0};
    enum sg_rc rc = sg_audit_beginning_read(old->store, &old->log, old->key, &old->beginning, &why);
    if (rc == SG_E_INTERNAL)
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "the log is so broken that its leaf 0, which names the administrators, "
                         "cannot be proved (%s): put a backup in its place, and state that",
                         why.msg);
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

/* Stating ---------------------------------------------------------------------------------- */

/* "NAME/main/1" goes on as "NAME/main/2". */
static enum sg_rc name_origin(const struct sg_store_log *log, char ret[SG_STORE_ORIGIN_LEN_MAX + 1],
                              struct sg_err *err)
{
    char suffix[16];
    size_t len = strlen(log->origin);
    const size_t cut = (size_t)snprintf(suffix, sizeof(suffix), "/%u", (unsigned)log->epoch);

    if (len > cut && strcmp(log->origin + len - cut, suffix) == 0)
        len -= cut;
    const int wanted = snprintf(ret, SG_STORE_ORIGIN_LEN_MAX + 1, "%.*s/%u", (int)len, log->origin,
                                (unsigned)log->epoch + 1);
    if (wanted < 0 || wanted > SG_STORE_ORIGIN_LEN_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is too long an origin to have a new epoch",
                       log->origin);
    return SG_OK;
}

static void report_state(const struct old *old, const struct sg_epoch_statement *statement,
                         struct sg_buf *report)
{
    sg_buf_printf(report, "log \"%s\", epoch %u, is %s: %s\n", old->log.name,
                  (unsigned)old->log.epoch, sg_epoch_state_name(statement->state),
                  sg_epoch_state_meaning(statement->state));
    if (statement->state == SG_EPOCH_BROKEN)
        sg_buf_printf(report, "found: %s\n", old->found.why.msg);
    if (statement->state == SG_EPOCH_BEHIND)
        sg_buf_printf(report, "lost: %llu leaves, from %llu on\n",
                      (unsigned long long)(statement->anchor.size - statement->store.size),
                      (unsigned long long)statement->store.size);
    sg_buf_add_str(report, "two of its administrators must approve of the statement, each with the "
                           "key of their\nclient certificate: sealgate audit approve\n");
    sg_administrators_copy(sg_buf_slice(&old->beginning), report);
    if (statement->administrators.len > 0) {
        sg_buf_add_str(report, "from then on the administrators are these, and no others:\n");
        sg_buf_add_slice(report, statement->administrators);
    }
}

static enum sg_rc add_administrators(const struct sg_config *config,
                                     const struct sg_epoch_wish *wish, struct sg_buf *out,
                                     struct sg_err *err)
{
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *trust = NULL;
    struct sg_err why = {0};

    if (wish->administrator_count == 0)
        return SG_OK;
    SG_TRY(sg_trust_of(config, &trust, err));
    for (size_t i = 0; i < wish->administrator_count; i++) {
        enum sg_rc rc = sg_administrator_add(wish->administrators[i], trust, out, &why);
        if (rc != SG_OK)
            return SG_FAIL(err, rc, 0, "administrator %zu: %s", i + 1, why.msg);
    }
    SG_TRY(sg_buf_check(out, err));
    return sg_epoch_administrators_check(sg_buf_slice(out), err);
}

static enum sg_rc state(const struct sg_config *config, struct old *old,
                        const struct sg_epoch_wish *wish, struct sg_slice administrators,
                        struct sg_buf *text, struct sg_buf *report, struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    char origin[SG_STORE_ORIGIN_LEN_MAX + 1], path[PATH_BYTES_MAX];
    struct sg_buf new_key;

    SG_TRY(examine(config, old, err));
    SG_TRY(name_origin(&old->log, origin, err));
    SG_TRY(name_file(config->audit_key_file, old->log.epoch + 1, path, err));
    SG_TRY(sg_key_file_make(path, origin, SG_NOTE_ED25519, &signer, err));
    sg_buf_init(&new_key, SG_EPOCH_KEY_BYTES_MAX);
    sg_note_key_write(sg_note_signer_key(signer), &new_key);
    const struct sg_epoch_statement statement = {
        .old_key = sg_buf_slice(&old->key_text),
        .new_key = sg_buf_slice(&new_key),
        .old_epoch = old->log.epoch,
        .new_epoch = old->log.epoch + 1,
        .is_anchored = old->found.is_anchored,
        .is_stored = old->found.is_stored,
        .anchor = old->found.anchor,
        .store = old->found.store,
        .state = old->found.state,
        .administrators = administrators,
        .time_s = sg_wall_ns(&sg_clock_system) / SG_NS_PER_S,
        .why = sg_slice_str(wish->why),
    };
    sg_epoch_statement_write(&statement, text);
    report_state(old, &statement, report);
    sg_buf_done(&new_key);
    if (text->failed)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "the reason is one line of at most %d bytes: --why TEXT",
                       SG_EPOCH_WHY_BYTES_MAX);
    return sg_buf_check(report, err);
}

enum sg_rc sg_epoch_state(const struct sg_config *config, const struct sg_epoch_wish *wish,
                          struct sg_buf *statement, struct sg_buf *report, struct sg_err *err)
{
    struct sg_buf administrators;
    struct old old;

    sg_buf_init(&administrators, SG_AUDIT_TEXT_BYTES_MAX);
    enum sg_rc rc = open_log(config, &old, err);
    if (rc == SG_OK)
        rc = add_administrators(config, wish, &administrators, err);
    if (rc == SG_OK)
        rc = state(config, &old, wish, sg_buf_slice(&administrators), statement, report, err);
    old_done(&old);
    sg_buf_done(&administrators);
    return rc;
}

/* Whether it is still so ------------------------------------------------------------------- */

static bool same_head(bool is_known, const struct sg_tree_head *head, bool is_stated,
                      const struct sg_tree_head *stated)
{
    return is_known == is_stated && (!is_known || memcmp(head, stated, sizeof(*head)) == 0);
}

static enum sg_rc check_state(const struct old *old, const struct sg_epoch_statement *statement,
                              struct sg_err *err)
{
    const struct sg_audit_found *found = &old->found;

    if (!sg_slice_eq(statement->old_key, sg_buf_slice(&old->key_text)) ||
        statement->old_epoch != old->log.epoch || statement->new_epoch != old->log.epoch + 1)
        return SG_FAIL(err, SG_E_CONFLICT, 0,
                       "the statement is of another log, or of another epoch of it, than \"%s\"",
                       old->log.origin);
    if (statement->state != found->state)
        return SG_FAIL(err, SG_E_CONFLICT, 0,
                       "the statement says that the log is %s, and it is %s: state it anew",
                       sg_epoch_state_name(statement->state), sg_epoch_state_name(found->state));
    if (found->state == SG_EPOCH_SOUND) /* it may have grown until now */
        return sg_audit_grew_from(old->store, &old->log, found->store.size, &statement->store, err);
    if (!same_head(found->is_anchored, &found->anchor, statement->is_anchored,
                   &statement->anchor) ||
        !same_head(found->is_stored, &found->store, statement->is_stored, &statement->store))
        return SG_FAIL(err, SG_E_CONFLICT, 0,
                       "the store or its anchor is not what the statement says any more: state it "
                       "anew");
    return SG_OK;
}

/* Approvals -------------------------------------------------------------------------------- */

/* One that counts. */
struct approved {
    struct sg_approval approval;
    struct sg_tls_peer peer;
    struct sg_key_hash key;
    size_t administrator;
    struct sg_buf certificate; /* PEM, that one certificate and nothing else */
};

static enum sg_rc judge_approval(struct sg_slice file, struct sg_slice statement,
                                 struct sg_slice beginning, const struct sg_tls_trust *trust,
                                 struct approved *ret, struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    struct sg_buf der, spki;

    sg_buf_init(&der, SG_APPROVAL_BYTES_MAX);
    sg_buf_init(&spki, SG_APPROVAL_BYTES_MAX);
    enum sg_rc rc = sg_approval_parse(file, &ret->approval, err);
    if (rc == SG_OK)
        rc = sg_pem_decode("CERTIFICATE", ret->approval.certificate, &der, err);
    if (rc == SG_OK)
        rc = sg_spki_of_certificate(sg_buf_slice(&der), &spki, err);
    if (rc == SG_OK)
        rc = sg_approval_check(&ret->approval, statement, sg_buf_slice(&spki), err);
    if (rc == SG_OK)
        rc = sg_tls_trust_judge(trust, sg_buf_slice(&der), &ret->peer, err);
    if (rc == SG_OK)
        rc = sg_tls_peer_check(trust, &ret->peer, sg_wall_ns(&sg_clock_system), err);
    if (rc == SG_OK)
        rc = sg_digest_of(SG_DIGEST_SHA256, sg_buf_slice(&spki), hash, err);
    if (rc == SG_OK) {
        memcpy(ret->key.bytes, hash, sizeof(ret->key.bytes));
        rc = sg_administrators_find(beginning, &ret->key, &ret->peer, &ret->administrator, err);
    }
    sg_pem_encode("CERTIFICATE", sg_buf_slice(&der), &ret->certificate);
    sg_buf_done(&spki);
    sg_buf_done(&der);
    SG_TRY(rc);
    return sg_buf_check(&ret->certificate, err);
}

/* Nobody approves twice: not as one administrator, not by one identity, not by one key. */
static enum sg_rc check_distinct(const struct approved approved[SG_EPOCH_APPROVALS],
                                 struct sg_err *err)
{
    const struct approved *first = &approved[0], *second = &approved[1];

    if (first->administrator == second->administrator ||
        memcmp(&first->key, &second->key, sizeof(first->key)) == 0 ||
        (strcmp(first->peer.ca, second->peer.ca) == 0 &&
         strcmp(first->peer.uri, second->peer.uri) == 0))
        return SG_FAIL(err, SG_E_DENIED, 0,
                       "both approvals are of one administrator, \"%s\": another one must approve "
                       "too",
                       first->peer.uri);
    return SG_OK;
}

static enum sg_rc judge_approvals(const struct sg_config *config, const struct old *old,
                                  struct sg_slice statement, const struct sg_slice *files,
                                  struct approved *ret, struct sg_err *err)
{
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *trust = NULL;
    struct sg_err why = {0};

    SG_TRY(sg_trust_of(config, &trust, err));
    for (size_t i = 0; i < SG_EPOCH_APPROVALS; i++) {
        enum sg_rc rc = judge_approval(files[i], statement, sg_buf_slice(&old->beginning), trust,
                                       &ret[i], &why);
        if (rc != SG_OK)
            return SG_FAIL(err, rc, 0, "approval %zu does not count: %s", i + 1, why.msg);
    }
    return check_distinct(ret, err);
}

/* The new log ------------------------------------------------------------------------------ */

/* The newest checkpoint, with the log's own signature and without those of witnesses, so that it
 * fits. A log that was proved may have grown since: then it is shown to have, and `ends` with it.
 */
static enum sg_rc add_checkpoint(const struct old *old, struct sg_store_log *ends,
                                 struct sg_buf *out, struct sg_err *err)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_checkpoint checkpoint;
    struct sg_buf text;
    struct sg_note note;
    uint64_t time;

    sg_buf_init(&text, SG_NOTE_BYTES_MAX);
    enum sg_rc rc = sg_store_read_checkpoint(old->store, old->log.id, &text, err);
    if (rc == SG_OK)
        rc = sg_note_parse(sg_buf_slice(&text), &note, err);
    if (rc == SG_OK)
        rc = sg_note_judge(&note, old->key, &verdict, &time, err);
    if (rc == SG_OK)
        rc = sg_checkpoint_parse(note.text, &checkpoint, err);
    if (rc == SG_OK && verdict != SG_NOTE_SIGNED)
        rc = SG_REFUSE(err, SG_R_STORE_BROKEN, "the log's key did not sign its checkpoint");
    if (rc == SG_OK) {
        const uint8_t *end = memchr(note.signatures.ptr, '\n', note.signatures.len);
        sg_buf_add_slice(out, note.text);
        sg_buf_add_u8(out, '\n');
        if (end != NULL)
            sg_buf_add(out, note.signatures.ptr, (size_t)(end - note.signatures.ptr) + 1);
        ends->size = checkpoint.head.size;
    }
    if (rc == SG_OK && checkpoint.head.size != old->found.store.size)
        rc = sg_audit_grew_from(old->store, ends, ends->size, &old->found.store, err);
    if (rc == SG_OK && checkpoint.head.size != old->found.store.size)
        rc = sg_audit_grew_from(old->store, ends, ends->size, &checkpoint.head, err);
    sg_buf_done(&text);
    return rc;
}

static void describe(const struct sg_config *config, const struct old *old,
                     const struct sg_epoch_statement *statement, const struct sg_note_key *key,
                     const struct sg_certification *certification, struct sg_buf *out)
{
    sg_buf_add_str(out, "log key: ");
    sg_note_key_write(key, out);
    sg_buf_add_str(out, "\n");
    if (certification != NULL)
        sg_certification_describe(certification, out);
    sg_administrators_copy(statement->administrators.len > 0 ? statement->administrators
                                                             : sg_buf_slice(&old->beginning),
                           out);
    for (size_t i = 0; i < config->token_count; i++)
        sg_buf_printf(out, "token: %s %s\n", config->tokens[i].name, config->tokens[i].uri);
}

static struct sg_audit_record approval_record(const struct approved *approved,
                                              struct sg_slice digest, int64_t now_ns)
{
    return (struct sg_audit_record){
        .event = SG_AUDIT_EPOCH_APPROVED,
        .time_ns = now_ns,
        .authority = sg_slice_str(approved->peer.ca),
        .caller = sg_slice_str(approved->peer.uri),
        .public_key_sha256 = sg_slice_of(approved->key.bytes, sizeof(approved->key.bytes)),
        .digest_alg = SG_DIGEST_SHA256,
        .digest = digest,
        .signature = sg_slice_of(approved->approval.signature, approved->approval.signature_len),
        .detail = sg_buf_slice(&approved->certificate),
    };
}

/* `certification` NULL: the new key has none. */
static enum sg_rc begin(const struct sg_config *config, struct old *old, struct sg_slice text,
                        const struct sg_epoch_statement *statement, const struct approved *approved,
                        const struct sg_certification *certification, struct sg_note_signer *signer,
                        const char *anchor, struct sg_err *err)
{
    const int64_t now_ns = sg_wall_ns(&sg_clock_system);
    struct sg_store_log log = {.epoch = old->log.epoch + 1}, ends = old->log;
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    struct sg_buf start, stated;

    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, text, hash, err));
    SG_TRY(name_origin(&old->log, log.origin, err));
    memcpy(log.name, old->log.name, sizeof(log.name));
    sg_buf_init(&start, SG_AUDIT_TEXT_BYTES_MAX);
    sg_buf_init(&stated, SG_AUDIT_TEXT_BYTES_MAX);
    describe(config, old, statement, sg_note_signer_key(signer), certification, &start);
    sg_buf_add_slice(&stated, text);
    enum sg_rc rc = old->found.is_stored ? add_checkpoint(old, &ends, &stated, err) : SG_OK;
    const struct sg_slice digest = sg_slice_of(hash, sg_digest_len(SG_DIGEST_SHA256));
    struct sg_audit_record records[] = {
        {.event = SG_AUDIT_LOG_STARTED, .time_ns = now_ns, .detail = sg_buf_slice(&start)},
        {.event = SG_AUDIT_EPOCH_STATED,
         .time_ns = now_ns,
         .digest_alg = SG_DIGEST_SHA256,
         .digest = digest,
         .detail = sg_buf_slice(&stated)},
        approval_record(&approved[0], digest, now_ns),
        approval_record(&approved[1], digest, now_ns),
    };
    if (certification != NULL)
        sg_certification_put(certification, &records[0]);
    const struct sg_audit_beginning beginning = {
        .records = records, .count = SG_COUNT(records), .ends = &ends};
    if (rc == SG_OK)
        rc = sg_buf_check(&start, err);
    if (rc == SG_OK)
        rc = sg_buf_check(&stated, err);
    if (rc == SG_OK)
        rc = sg_audit_create(old->store, &log, signer, anchor, &beginning, err);
    sg_buf_done(&stated);
    sg_buf_done(&start);
    return rc;
}

/* Accepting -------------------------------------------------------------------------------- */

/* The files of the new epoch, which lie beside those of the old one until it has begun. */
struct files {
    char key[PATH_BYTES_MAX], anchor[PATH_BYTES_MAX];
    char old_key[PATH_BYTES_MAX], old_anchor[PATH_BYTES_MAX];
};

static enum sg_rc name_files(const struct sg_config *config,
                             const struct sg_epoch_statement *statement, struct files *ret,
                             struct sg_err *err)
{
    SG_TRY(name_file(config->audit_key_file, statement->new_epoch, ret->key, err));
    SG_TRY(name_file(config->audit_key_file, statement->old_epoch, ret->old_key, err));
    SG_TRY(name_file(config->audit_anchor_file, statement->new_epoch, ret->anchor, err));
    return name_file(config->audit_anchor_file, statement->old_epoch, ret->old_anchor, err);
}

static bool is_key_of(const struct sg_note_key *key, struct sg_slice text)
{
    struct sg_buf own;

    sg_buf_init(&own, SG_EPOCH_KEY_BYTES_MAX);
    sg_note_key_write(key, &own);
    const bool is_same = !own.failed && sg_slice_eq(sg_buf_slice(&own), text);
    sg_buf_done(&own);
    return is_same;
}

static enum sg_rc begin_approved(const struct sg_config *config, struct old *old,
                                 struct sg_slice text, const struct sg_epoch_statement *statement,
                                 const struct sg_slice *approvals, const struct files *files,
                                 struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    const bool is_certified = sg_certify_token(config) != NULL;
    struct approved approved[SG_EPOCH_APPROVALS] = {0};
    struct sg_certification certification;

    SG_TRY(examine(config, old, err));
    SG_TRY(check_state(old, statement, err));
    SG_TRY(sg_key_file_read(files->key, &signer, err));
    if (!is_key_of(sg_note_signer_key(signer), statement->new_key))
        return SG_FAIL(err, SG_E_CONFLICT, 0, "\"%s\" holds another key than the statement says",
                       files->key);
    for (size_t i = 0; i < SG_EPOCH_APPROVALS; i++)
        sg_buf_init(&approved[i].certificate, CERTIFICATE_BYTES_MAX);
    enum sg_rc rc = judge_approvals(config, old, text, approvals, approved, err);
    if (rc == SG_OK && is_certified)
        rc = sg_certify(config, sg_note_signer_key(signer), &certification, err);
    /* Where a gateway signs meanwhile, its next commit may come in between. */
    for (unsigned tries = 0; rc == SG_OK && tries < TRIES_MAX; tries++) {
        rc = begin(config, old, text, statement, approved, is_certified ? &certification : NULL,
                   signer, files->anchor, err);
        if (rc != SG_E_CONFLICT || old->found.state != SG_EPOCH_SOUND)
            break;
        if (tries + 1 < TRIES_MAX)
            rc = SG_OK;
    }
    for (size_t i = 0; i < SG_EPOCH_APPROVALS; i++)
        sg_buf_done(&approved[i].certificate);
    return rc;
}

/* By which key the new log's is certified. */
static enum sg_rc report_certifier(const struct old *old, struct sg_buf *report, struct sg_err *err)
{
    struct sg_store_log log;

    SG_TRY(sg_store_find_log(old->store, old->log.name, &log, err));
    return sg_certify_report(old->store, &log, report, err);
}

static enum sg_rc accept(const struct sg_config *config, struct old *old, struct sg_slice text,
                         const struct sg_slice *approvals, struct sg_buf *report,
                         struct sg_err *err)
{
    SG_AUTO(sg_note_key_free) struct sg_note_key *new_key = NULL;
    struct sg_epoch_statement statement;
    struct files files;

    SG_TRY(sg_epoch_statement_parse(text, &statement, NULL, err));
    SG_TRY(sg_note_key_parse(statement.new_key, &new_key, err));
    SG_TRY(name_files(config, &statement, &files, err));
    /* It has begun, and whoever ran this before was stopped between that and the files. */
    const bool has_begun = old->log.epoch == statement.new_epoch &&
                           sg_slice_is(sg_note_key_name(new_key), old->log.origin);
    if (!has_begun)
        SG_TRY(begin_approved(config, old, text, &statement, approvals, &files, err));
    SG_TRY(sg_file_replace(files.anchor, config->audit_anchor_file, files.old_anchor, err));
    SG_TRY(sg_file_replace(files.key, config->audit_key_file, files.old_key, err));
    sg_buf_printf(report, "log \"%s\" %s with epoch %u\nits key, for those who verify: %.*s\n",
                  old->log.name, has_begun ? "has begun" : "goes on", (unsigned)statement.new_epoch,
                  (int)statement.new_key.len, (const char *)statement.new_key.ptr);
    SG_TRY(report_certifier(old, report, err));
    sg_buf_printf(report, "the old key is \"%s\": nothing needs it any more, destroy it\n",
                  files.old_key);
    return sg_buf_check(report, err);
}

enum sg_rc sg_epoch_accept(const struct sg_config *config, struct sg_slice statement,
                           const struct sg_slice approvals[SG_EPOCH_APPROVALS],
                           struct sg_buf *report, struct sg_err *err)
{
    struct old old;

    enum sg_rc rc = open_log(config, &old, err);
    if (rc == SG_OK)
        rc = accept(config, &old, statement, approvals, report, err);
    old_done(&old);
    return rc;
}
