#include <stdlib.h>

#include "formats/audit/witness.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/*
 * What is read as a request is written again as it was, and no witness cosigns for a key that
 * signed no checkpoint. What is read as a log's answer brings no line of a witness that signed
 * nothing; the first byte of the input is its status.
 */

/* Has signed a note that is no checkpoint. */
static const char trusted[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/* Has signed nothing. */
static const char cosigner[] =
    "witness.example/w+d0a590be+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
static const char checkpoint[] = "log.example/1\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
                                 "\n\xe2\x80\x94 log.example/1 AAAAAAAA\n";

static void read_request(struct sg_slice text, struct sg_tree_hasher *hasher,
                         const struct sg_note_key *key)
{
    const struct sg_witness_log log = {.keys = &key, .key_count = 1};
    enum sg_witness_verdict verdict = SG_WITNESS_COSIGN;
    struct sg_witness_request request;
    struct sg_slice line;
    struct sg_buf again;

    if (sg_witness_request_parse(text, &request, NULL) != SG_OK)
        return;
    require(request.proof.count <= SG_WITNESS_PROOF_MAX);
    sg_buf_init(&again, text.len);
    sg_witness_request_write(&request, &again);
    require(sg_slice_eq(sg_buf_slice(&again), text));
    sg_buf_done(&again);
    require(sg_witness_judge(hasher, &log, &request, &verdict, &line, NULL) == SG_OK);
    require(verdict == SG_WITNESS_NOT_SIGNED && line.len == 0);
}

static void read_answer(struct sg_slice body, const struct sg_note_key *key)
{
    static const unsigned statuses[] = {200, 400, 403, 404, 409, 422, 500};
    struct sg_witness_answer answer;

    if (body.len == 0)
        return;
    const unsigned status = statuses[body.ptr[0] % SG_COUNT(statuses)];
    (void)sg_slice_take(&body, 1);
    require(sg_witness_answer_read(status, body, sg_slice_str(checkpoint), key, &answer, NULL) ==
            SG_OK);
    require(answer.kind != SG_WITNESS_ANSWER_COSIGNED && answer.line.len == 0);
    require(answer.kind != SG_WITNESS_ANSWER_SIZE || status == 409);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sg_tree_hasher *hasher;
    static struct sg_note_key *log, *witness;

    if (log == NULL) {
        require(sg_tree_hasher_new(&hasher, NULL) == SG_OK);
        require(sg_note_key_parse(sg_slice_str(trusted), &log, NULL) == SG_OK);
        require(sg_note_key_parse(sg_slice_str(cosigner), &witness, NULL) == SG_OK);
    }
    read_request(sg_slice_of(data, size), hasher, log);
    read_answer(sg_slice_of(data, size), witness);
    return 0;
}
