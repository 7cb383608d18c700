#include "formats/audit/witness.h"

#include "formats/audit/note_priv.h"

enum {
    OK = 200,
    BAD_REQUEST = 400,
    FORBIDDEN = 403,
    NOT_FOUND = 404,
    CONFLICT = 409,
    UNPROVED = 422
};

const char sg_witness_size_type[] = "text/x.tlog.size";

/* Requests ----------------------------------------------------------------------------------- */

void sg_witness_request_write(const struct sg_witness_request *request, struct sg_buf *out)
{
    sg_buf_printf(out, "old %llu\n", (unsigned long long)request->old_size);
    for (size_t i = 0; i < request->proof.count; i++)
        sg_note_add_hash(&request->proof.hashes[i], out);
    sg_buf_add_u8(out, '\n');
    sg_buf_add_slice(out, request->checkpoint);
}

static enum sg_rc malformed(struct sg_err *err, const char *what)
{
    return SG_FAIL(err, SG_E_INVALID, 0, "could not read a witness's request: %s", what);
}

/* Up to the empty line, which is cut off too. */
static enum sg_rc take_proof(struct sg_slice *text, struct sg_tree_proof *ret, struct sg_err *err)
{
    struct sg_slice line;

    ret->count = 0;
    while (sg_note_take_line(text, &line)) {
        if (line.len == 0)
            return SG_OK;
        if (ret->count == SG_WITNESS_PROOF_MAX)
            return SG_FAIL(err, SG_E_LIMIT, 0, "a witness's request has over %d hashes",
                           SG_WITNESS_PROOF_MAX);
        if (!sg_note_is_hash(line, &ret->hashes[ret->count++]))
            return malformed(err, "a line of its proof is no hash");
    }
    return malformed(err, "there is no empty line behind its proof");
}

enum sg_rc sg_witness_request_parse(struct sg_slice text, struct sg_witness_request *ret,
                                    struct sg_err *err)
{
    struct sg_witness_request request = {0};
    struct sg_slice line;

    if (text.len > SG_WITNESS_REQUEST_BYTES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "a witness's request is over %d bytes long",
                       SG_WITNESS_REQUEST_BYTES_MAX);
    if (!sg_note_take_line(&text, &line) || !sg_note_is_field(&line, "old ") ||
        !sg_note_is_number(line, &request.old_size))
        return malformed(err, "it does not begin with an old size");
    SG_TRY(take_proof(&text, &request.proof, err));
    request.checkpoint = text;
    SG_TRY(sg_note_parse(text, &request.note, err));
    SG_TRY(sg_checkpoint_parse(request.note.text, &request.claimed, err));
    *ret = request;
    return SG_OK;
}

/* The witness -------------------------------------------------------------------------------- */

/* A signature that claims to be a trusted key's and is wrong spoils the note (signed-note). */
static enum sg_rc find_signature(const struct sg_witness_log *log, const struct sg_note *note,
                                 struct sg_slice *ret, struct sg_err *err)
{
    struct sg_slice found = {0};

    for (size_t i = 0; i < log->key_count; i++) {
        enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
        struct sg_slice line;
        SG_TRY(sg_note_find(note, log->keys[i], &verdict, &line, err));
        if (verdict == SG_NOTE_WRONG) {
            *ret = (struct sg_slice){0};
            return SG_OK;
        }
        if (verdict == SG_NOTE_SIGNED && found.len == 0)
            found = line;
    }
    *ret = found;
    return SG_OK;
}

/* The claim against what is known; it is signed. */
static enum sg_witness_verdict compare(struct sg_tree_hasher *hasher,
                                       const struct sg_tree_head *known,
                                       const struct sg_witness_request *request)
{
    const struct sg_tree_head *head = &request->claimed.head;
    struct sg_tree_edge nothing = {0};
    struct sg_tree_head old = *known;

    if (request->old_size != known->size)
        return SG_WITNESS_CONFLICT;
    if (old.size == 0)
        sg_tree_root(hasher, &nothing, &old.root);
    if (old.size > 0 && old.size == head->size && !sg_tree_hash_eq(&old.root, &head->root))
        return SG_WITNESS_FORKED;
    /* The empty tree is the beginning of every other, and has one root only. */
    if (head->size == 0 && !sg_tree_hash_eq(&old.root, &head->root))
        return SG_WITNESS_NOT_PROVED;
    return sg_tree_check_growth(hasher, &old, head, &request->proof, NULL) == SG_OK
               ? SG_WITNESS_COSIGN
               : SG_WITNESS_NOT_PROVED;
}

enum sg_rc sg_witness_judge(struct sg_tree_hasher *hasher, const struct sg_witness_log *log,
                            const struct sg_witness_request *request, enum sg_witness_verdict *ret,
                            struct sg_slice *ret_signed, struct sg_err *err)
{
    struct sg_slice line = {0};

    *ret_signed = line;
    *ret = SG_WITNESS_MALFORMED;
    if (log == NULL) {
        *ret = SG_WITNESS_UNKNOWN_LOG;
        return SG_OK;
    }
    SG_TRY(find_signature(log, &request->note, &line, err));
    if (line.len == 0)
        *ret = SG_WITNESS_NOT_SIGNED;
    else if (request->old_size <= request->claimed.head.size)
        *ret = compare(hasher, &log->known, request);
    if (*ret == SG_WITNESS_COSIGN)
        *ret_signed = line;
    return SG_OK;
}

unsigned sg_witness_status(enum sg_witness_verdict verdict)
{
    switch (verdict) {
    case SG_WITNESS_COSIGN:
        return OK;
    case SG_WITNESS_UNKNOWN_LOG:
        return NOT_FOUND;
    case SG_WITNESS_NOT_SIGNED:
        return FORBIDDEN;
    case SG_WITNESS_CONFLICT:
    case SG_WITNESS_FORKED:
        return CONFLICT;
    case SG_WITNESS_NOT_PROVED:
        return UNPROVED;
    case SG_WITNESS_MALFORMED:
        break;
    }
    return BAD_REQUEST;
}

/* The log ------------------------------------------------------------------------------------ */

/* As the protocol proposes: the lines become part of the checkpoint, and are judged as such. */
static enum sg_rc read_lines(struct sg_slice body, struct sg_slice checkpoint,
                             const struct sg_note_key *witness, struct sg_witness_answer *ret,
                             struct sg_err *err)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_note ours, whole;
    struct sg_slice line = {0};
    uint64_t time = 0;
    struct sg_buf text;

    if (sg_note_parse(checkpoint, &ours, NULL) != SG_OK)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "the checkpoint that was witnessed is no note");
    sg_buf_init(&text, SG_NOTE_BYTES_MAX);
    sg_buf_add_slice(&text, ours.text);
    sg_buf_add_u8(&text, '\n');
    const size_t head = text.len;
    sg_buf_add_slice(&text, body);
    enum sg_rc rc = sg_buf_check(&text, err);
    if (rc == SG_OK && sg_note_parse(sg_buf_slice(&text), &whole, NULL) == SG_OK &&
        whole.text.len == ours.text.len) {
        rc = sg_note_find(&whole, witness, &verdict, &line, err);
        if (rc == SG_OK)
            rc = sg_note_judge(&whole, witness, &verdict, &time, err);
    }
    if (rc == SG_OK && verdict == SG_NOTE_SIGNED) {
        ret->kind = SG_WITNESS_ANSWER_COSIGNED;
        ret->line = sg_slice_of(body.ptr + (line.ptr - text.ptr) - head, line.len);
        ret->time = time;
    }
    sg_buf_done(&text);
    return rc;
}

/* One newline is the protocol's; some write none, and nothing is lost by that. */
static bool read_size(struct sg_slice body, uint64_t *ret)
{
    struct sg_slice line;
    if (!sg_note_take_line(&body, &line))
        return sg_note_is_number(body, ret);
    return body.len == 0 && sg_note_is_number(line, ret);
}

enum sg_rc sg_witness_answer_read(unsigned status, struct sg_slice body, struct sg_slice checkpoint,
                                  const struct sg_note_key *witness, struct sg_witness_answer *ret,
                                  struct sg_err *err)
{
    struct sg_witness_answer answer = {0};

    if (body.len > SG_WITNESS_ANSWER_BYTES_MAX)
        status = 0;
    switch (status) {
    case OK:
        SG_TRY(read_lines(body, checkpoint, witness, &answer, err));
        break;
    case CONFLICT:
        if (read_size(body, &answer.size))
            answer.kind = SG_WITNESS_ANSWER_SIZE;
        break;
    case UNPROVED:
        answer.kind = SG_WITNESS_ANSWER_FORKED;
        break;
    case BAD_REQUEST:
    case FORBIDDEN:
    case NOT_FOUND:
        answer.kind = SG_WITNESS_ANSWER_REFUSED;
        break;
    default:
        break;
    }
    *ret = answer;
    return SG_OK;
}

/* The reader of a checkpoint ------------------------------------------------------------------ */

static bool is_listed(struct sg_note_key *const *witnesses, size_t count,
                      const struct sg_note_key *key)
{
    for (size_t i = 0; i < count; i++)
        if (sg_note_key_is_same(witnesses[i], key))
            return true;
    return false;
}

enum sg_rc sg_witness_count(const struct sg_note *note, struct sg_note_key *const *witnesses,
                            size_t count, size_t *ret, struct sg_err *err)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
        const struct sg_slice name = sg_note_key_name(witnesses[i]);
        uint64_t time;
        if (sg_note_key_kind(witnesses[i]) != SG_NOTE_COSIGNATURE)
            return SG_FAIL(err, SG_E_INVALID, 0, "the key of \"%.*s\" is no witness's",
                           (int)name.len, (const char *)name.ptr);
        SG_TRY(sg_note_judge(note, witnesses[i], &verdict, &time, err));
        if (verdict == SG_NOTE_WRONG)
            return SG_FAIL(err, SG_E_INVALID, 0, "what should be the signature of \"%.*s\" is none",
                           (int)name.len, (const char *)name.ptr);
        /* One key given twice is one witness. */
        found += verdict == SG_NOTE_SIGNED && !is_listed(witnesses, i, witnesses[i]);
    }
    *ret = found;
    return SG_OK;
}
