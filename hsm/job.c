#include "hsm/job.h"

#include "base/reader.h"

enum direction { REQUEST = 1, ANSWER = 2 };

/* What the token tells of itself is bounded by CK_TOKEN_INFO's fields. */
enum { LABEL_MAX = 32, MODEL_MAX = 16, NUMBER_MAX = 16, WORKERS_MAX = 4096 };

static void put_be16(struct sg_buf *out, size_t v)
{
    sg_buf_add_u8(out, (uint8_t)(v >> 8));
    sg_buf_add_u8(out, (uint8_t)v);
}

static void put_be64(struct sg_buf *out, uint64_t v)
{
    sg_buf_add_be32(out, (uint32_t)(v >> 32));
    sg_buf_add_be32(out, (uint32_t)v);
}

static void put_bytes8(struct sg_buf *out, struct sg_slice bytes, size_t max)
{
    SG_ASSERT(bytes.len <= max && max <= UINT8_MAX);
    sg_buf_add_u8(out, (uint8_t)bytes.len);
    sg_buf_add_slice(out, bytes);
}

static void put_bytes16(struct sg_buf *out, struct sg_slice bytes, size_t max)
{
    SG_ASSERT(bytes.len <= max && max <= UINT16_MAX);
    put_be16(out, bytes.len);
    sg_buf_add_slice(out, bytes);
}

/* The length is filled in by put_length() when it is known. */
static size_t put_header(struct sg_buf *out, enum sg_job_kind kind, enum direction direction,
                         uint64_t serial)
{
    size_t start = out->len;
    sg_buf_add_u8(out, SG_JOB_VERSION);
    sg_buf_add_u8(out, (uint8_t)kind);
    sg_buf_add_u8(out, (uint8_t)direction);
    sg_buf_add_u8(out, 0);
    sg_buf_add_be32(out, 0);
    put_be64(out, serial);
    return start;
}

static void put_length(struct sg_buf *out, size_t start)
{
    if (!out->failed)
        sg_put_be32(out->ptr + start + 4, (uint32_t)(out->len - start));
}

struct sg_slice sg_job_cut(struct sg_slice packet, struct sg_slice *rest)
{
    size_t len = packet.len < SG_JOB_HEADER_LEN ? 0 : sg_be32(packet.ptr + 4);

    *rest = packet;
    if (len < SG_JOB_HEADER_LEN || len > packet.len)
        return sg_slice_of(packet.ptr, 0);
    *rest = sg_slice_of(packet.ptr + len, packet.len - len);
    return sg_slice_of(packet.ptr, len);
}

void sg_request_encode(const struct sg_request *request, struct sg_buf *out)
{
    size_t start = put_header(out, request->kind, REQUEST, request->serial);

    switch (request->kind) {
    case SG_JOB_HELLO:
        sg_buf_add_u8(out, (uint8_t)request->role);
        break;
    case SG_JOB_PROBE:
        break;
    case SG_JOB_LOAD_KEY:
        sg_buf_add_u8(out, (uint8_t)request->type);
        sg_buf_add_u8(out, (uint8_t)request->origin);
        put_bytes8(out, request->id, SG_JOB_ID_MAX);
        break;
    case SG_JOB_SIGN:
        sg_buf_add_u8(out, (uint8_t)request->scheme);
        sg_buf_add_u8(out, (uint8_t)request->digest_alg);
        put_be64(out, (uint64_t)request->deadline_ns);
        put_bytes8(out, request->id, SG_JOB_ID_MAX);
        put_bytes16(out, request->tbs, SG_TBS_BYTES_MAX);
        put_bytes16(out, request->evidence, SG_JOB_EVIDENCE_MAX);
        break;
    case SG_JOB_CSR:
        sg_buf_add_u8(out, (uint8_t)request->digest_alg);
        put_be64(out, (uint64_t)request->deadline_ns);
        put_bytes8(out, request->id, SG_JOB_ID_MAX);
        put_bytes16(out, request->subject, SG_JOB_NAME_MAX);
        put_bytes16(out, request->alt_names, SG_JOB_NAME_MAX);
        break;
    case SG_JOB_UNSET:
    case SG_JOB_KIND_COUNT:
        sg_assert_failed("a request has a kind", SG_WHERE);
    }
    put_length(out, start);
}

static void put_token(const struct sg_answer *answer, struct sg_buf *out)
{
    SG_ASSERT(answer->workers <= WORKERS_MAX);
    put_be16(out, answer->workers);
    sg_buf_add_u8(out, (uint8_t)answer->pin);
    put_bytes8(out, answer->label, LABEL_MAX);
    put_bytes8(out, answer->model, MODEL_MAX);
    put_bytes8(out, answer->number, NUMBER_MAX);
}

void sg_answer_encode(const struct sg_answer *answer, struct sg_buf *out)
{
    size_t start = put_header(out, answer->kind, ANSWER, answer->serial);
    sg_buf_add_u8(out, (uint8_t)answer->outcome);
    put_be64(out, answer->native);
    put_bytes8(out, answer->text, SG_JOB_TEXT_MAX);

    switch (answer->outcome == SG_OUT_OK ? answer->kind : SG_JOB_UNSET) {
    case SG_JOB_HELLO:
    case SG_JOB_PROBE:
        put_token(answer, out);
        break;
    case SG_JOB_LOAD_KEY:
        sg_buf_add_u8(out, (uint8_t)answer->type);
        put_bytes16(out, answer->spki, SG_JOB_SPKI_MAX);
        break;
    case SG_JOB_SIGN:
        put_be64(out, (uint64_t)answer->start_ns);
        put_be64(out, (uint64_t)answer->hsm_ns);
        SG_ASSERT(answer->workers <= WORKERS_MAX);
        put_be16(out, answer->workers);
        put_bytes16(out, answer->signature, SG_SIGNATURE_BYTES_MAX);
        break;
    case SG_JOB_CSR:
        put_bytes16(out, answer->csr, SG_SIGNATURE_BYTES_MAX);
        break;
    case SG_JOB_UNSET:
    case SG_JOB_KIND_COUNT:
        break;
    }
    put_length(out, start);
}

/* The four below mark the reader as failed for a value the encoder would not write. */
static unsigned read_enum(struct sg_reader *reader, unsigned first, unsigned count)
{
    unsigned v = sg_read_u8(reader);
    if (v < first || v >= count)
        reader->failed = true;
    return v;
}

static int64_t read_time(struct sg_reader *reader)
{
    uint64_t v = sg_read_be64(reader);
    if (v > INT64_MAX)
        reader->failed = true;
    return (int64_t)v;
}

static struct sg_slice read_bytes8(struct sg_reader *reader, size_t min, size_t max)
{
    size_t len = sg_read_u8(reader);
    if (len < min || len > max)
        reader->failed = true;
    return sg_read_bytes(reader, len);
}

static struct sg_slice read_bytes16(struct sg_reader *reader, size_t min, size_t max)
{
    size_t len = sg_read_be16(reader);
    if (len < min || len > max)
        reader->failed = true;
    return sg_read_bytes(reader, len);
}

static enum sg_job_kind read_header(struct sg_reader *reader, enum direction direction,
                                    uint64_t *ret_serial)
{
    size_t whole = reader->rest.len;
    if (sg_read_u8(reader) != SG_JOB_VERSION)
        reader->failed = true;
    enum sg_job_kind kind = (enum sg_job_kind)read_enum(reader, SG_JOB_HELLO, SG_JOB_KIND_COUNT);
    if (sg_read_u8(reader) != direction || sg_read_u8(reader) != 0 || sg_read_be32(reader) != whole)
        reader->failed = true;
    *ret_serial = sg_read_be64(reader);
    return reader->failed ? SG_JOB_UNSET : kind;
}

enum sg_rc sg_request_decode(struct sg_slice message, struct sg_request *ret, struct sg_err *err)
{
    struct sg_reader reader = sg_reader_of(message);
    struct sg_request request = {0};

    request.kind = read_header(&reader, REQUEST, &request.serial);
    switch (request.kind) {
    case SG_JOB_HELLO:
        request.role = (enum sg_job_role)read_enum(&reader, SG_JOB_ROLE_SIGN, SG_JOB_ROLE_COUNT);
        break;
    case SG_JOB_PROBE:
        break;
    case SG_JOB_LOAD_KEY:
        request.type = (enum sg_key_type)read_enum(&reader, SG_KEY_RSA_2048, SG_KEY_TYPE_COUNT);
        request.origin =
            (enum sg_key_origin)read_enum(&reader, SG_ORIGIN_GENERATED, SG_ORIGIN_COUNT);
        request.id = read_bytes8(&reader, 1, SG_JOB_ID_MAX);
        break;
    case SG_JOB_SIGN:
        request.scheme = (enum sg_scheme)read_enum(&reader, SG_SCHEME_RSA_PKCS1, SG_SCHEME_COUNT);
        request.digest_alg =
            (enum sg_digest_alg)read_enum(&reader, SG_DIGEST_UNSET, SG_DIGEST_COUNT);
        request.deadline_ns = read_time(&reader);
        request.id = read_bytes8(&reader, 1, SG_JOB_ID_MAX);
        request.tbs = read_bytes16(&reader, 0, SG_TBS_BYTES_MAX);
        request.evidence = read_bytes16(&reader, 0, SG_JOB_EVIDENCE_MAX);
        break;
    case SG_JOB_CSR:
        request.digest_alg =
            (enum sg_digest_alg)read_enum(&reader, SG_DIGEST_SHA256, SG_DIGEST_COUNT);
        request.deadline_ns = read_time(&reader);
        request.id = read_bytes8(&reader, 1, SG_JOB_ID_MAX);
        request.subject = read_bytes16(&reader, 0, SG_JOB_NAME_MAX);
        request.alt_names = read_bytes16(&reader, 0, SG_JOB_NAME_MAX);
        break;
    case SG_JOB_UNSET:
    case SG_JOB_KIND_COUNT:
        reader.failed = true;
    }
    if (!sg_reader_is_at_end(&reader))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read a request of %zu bytes: malformed",
                       message.len);
    *ret = request;
    return SG_OK;
}

static size_t read_workers(struct sg_reader *reader)
{
    const size_t workers = sg_read_be16(reader);
    if (workers > WORKERS_MAX)
        reader->failed = true;
    return workers;
}

static void read_token(struct sg_reader *reader, struct sg_answer *answer)
{
    answer->workers = read_workers(reader);
    answer->pin = (enum sg_pin_state)read_enum(reader, SG_PIN_UNKNOWN, SG_PIN_STATE_COUNT);
    answer->label = read_bytes8(reader, 0, LABEL_MAX);
    answer->model = read_bytes8(reader, 0, MODEL_MAX);
    answer->number = read_bytes8(reader, 0, NUMBER_MAX);
}

/* The text goes into logs and errors, so it may not steer a terminal. */
static bool is_printable(struct sg_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e)
            return false;
    return true;
}

enum sg_rc sg_answer_decode(struct sg_slice message, struct sg_answer *ret, struct sg_err *err)
{
    struct sg_reader reader = sg_reader_of(message);
    struct sg_answer answer = {0};

    answer.kind = read_header(&reader, ANSWER, &answer.serial);
    answer.outcome = (enum sg_outcome)read_enum(&reader, SG_OUT_OK, SG_OUT_COUNT);
    answer.native = (unsigned long)sg_read_be64(&reader);
    answer.text = read_bytes8(&reader, 0, SG_JOB_TEXT_MAX);
    if (!is_printable(answer.text) || answer.kind == SG_JOB_UNSET ||
        (answer.outcome == SG_OUT_OK && (answer.text.len > 0 || answer.native != 0)))
        reader.failed = true;

    switch (answer.outcome == SG_OUT_OK ? answer.kind : SG_JOB_UNSET) {
    case SG_JOB_HELLO:
    case SG_JOB_PROBE:
        read_token(&reader, &answer);
        break;
    case SG_JOB_LOAD_KEY:
        answer.type = (enum sg_key_type)read_enum(&reader, SG_KEY_RSA_2048, SG_KEY_TYPE_COUNT);
        answer.spki = read_bytes16(&reader, 1, SG_JOB_SPKI_MAX);
        break;
    case SG_JOB_SIGN:
        answer.start_ns = read_time(&reader);
        answer.hsm_ns = read_time(&reader);
        answer.workers = read_workers(&reader);
        answer.signature = read_bytes16(&reader, 1, SG_SIGNATURE_BYTES_MAX);
        break;
    case SG_JOB_CSR:
        answer.csr = read_bytes16(&reader, 1, SG_SIGNATURE_BYTES_MAX);
        break;
    case SG_JOB_UNSET:
    case SG_JOB_KIND_COUNT:
        break;
    }
    if (!sg_reader_is_at_end(&reader))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read an answer of %zu bytes: malformed",
                       message.len);
    *ret = answer;
    return SG_OK;
}

const char *sg_outcome_name(enum sg_outcome outcome)
{
    switch (outcome) {
    case SG_OUT_OK:
        return "ok";
    case SG_OUT_SESSION:
        return "session";
    case SG_OUT_HANDLE:
        return "handle";
    case SG_OUT_LOGIN:
        return "login";
    case SG_OUT_TOKEN:
        return "token";
    case SG_OUT_CAPACITY:
        return "capacity";
    case SG_OUT_PIN:
        return "pin";
    case SG_OUT_KEY:
        return "key";
    case SG_OUT_NOT_LOADED:
        return "not_loaded";
    case SG_OUT_UNSUPPORTED:
        return "unsupported";
    case SG_OUT_EXPIRED:
        return "expired";
    case SG_OUT_REQUEST:
        return "request";
    case SG_OUT_UNSET:
    case SG_OUT_COUNT:
        break;
    }
    return "unset";
}
