#include <stdlib.h>

#include "proto/h1/answer.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* An answer is the same however its bytes arrive, and never longer than it may be. */

enum { HEAD_MAX = 1024, BODY_MAX = 512 };

static enum sg_rc feed(struct sg_h1_answer *answer, struct sg_slice text, size_t step)
{
    enum sg_rc rc = SG_E_AGAIN;
    sg_h1_answer_init(answer, HEAD_MAX, BODY_MAX);
    while (text.len > 0 && rc == SG_E_AGAIN) {
        const size_t len = text.len < step ? text.len : step;
        rc = sg_h1_answer_feed(answer, sg_slice_take(&text, len), NULL);
    }
    return rc == SG_E_AGAIN ? sg_h1_answer_end(answer, NULL) : rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice input = sg_slice_of(data, size);
    struct sg_h1_answer whole, bytes;

    const enum sg_rc rc = feed(&whole, input, size == 0 ? 1 : size);
    const enum sg_rc again = feed(&bytes, input, 1);
    require((rc == SG_OK) == (again == SG_OK));
    if (rc == SG_OK) {
        require(whole.status == bytes.status && whole.status >= 200 && whole.status < 600);
        require(whole.body.len <= BODY_MAX);
        require(sg_slice_eq(sg_buf_slice(&whole.body), sg_buf_slice(&bytes.body)));
    }
    sg_h1_answer_done(&whole);
    sg_h1_answer_done(&bytes);
    return 0;
}
