#include "proto/h1/answer.h"

#include <stdio.h>

#include "tests/support/unit.h"

/* Answers to requests of ours: whole, byte by byte, and cut at every length. */

#define HEAD_MAX 200
#define BODY_MAX 20

static const struct {
    const char *name, *text;
    enum sg_rc rc;   /* of the whole; SG_E_AGAIN: it ends with the connection */
    unsigned status; /* of what is an answer */
    const char *body;
} rows[] = {
    {"a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", SG_OK, 200, "abc"},
    {"a length of nothing", "HTTP/1.1 422 \r\ncontent-length: 0\r\n\r\n", SG_OK, 422, ""},
    {"no reason and no space", "HTTP/1.1 409\r\ncontent-length: 2\r\n\r\n1\n", SG_OK, 409, "1\n"},
    {"chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", SG_OK,
     200, "abc"},
    {"the end of the connection", "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nabc", SG_E_AGAIN, 200,
     "abc"},
    {"one that has no body", "HTTP/1.1 204 No Content\r\n\r\n", SG_OK, 204, ""},
    {"what is not final goes before",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
     SG_OK, 200, "a"},
    {"as much as may be", "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n12345678901234567890",
     SG_OK, 200, "12345678901234567890"},
    {"identity is no coding",
     "HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 1\r\n\r\na", SG_OK, 200,
     "a"},

    {"one byte more", "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n1", SG_E_LIMIT, 0, NULL},
    {"one byte more, in chunks",
     "HTTP/1.1 200 OK\r\ntransfer-encoding: "
     "chunked\r\n\r\n15\r\n123456789012345678901\r\n0\r\n\r\n",
     SG_E_LIMIT, 0, NULL},
    {"one byte more, to the end", "HTTP/1.1 200 OK\r\n\r\n123456789012345678901", SG_E_LIMIT, 0,
     NULL},
    {"another version", "HTTP/1.0 200 OK\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"HTTP/2", "HTTP/2 200\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"a status that is none", "HTTP/1.1 20x OK\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"a status too high", "HTTP/1.1 600 Huh\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"another protocol", "HTTP/1.1 101 Switching\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
     SG_E_INVALID, 0, NULL},
    {"a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na", SG_E_INVALID, 0,
     NULL},
    {"a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\na", SG_E_INVALID, 0, NULL},
    {"a length and chunks",
     "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
     SG_E_INVALID, 0, NULL},
    {"another transfer coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
     SG_E_INVALID, 0, NULL},
    {"a coding that was not asked for", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
     SG_E_INVALID, 0, NULL},
    {"a folded field", "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", SG_E_INVALID, 0, NULL},
    {"a bare line feed", "HTTP/1.1 200 OK\ncontent-length: 0\n\n", SG_E_INVALID, 0, NULL},
    {"chunks that are none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
     SG_E_INVALID, 0, NULL},
};

static enum sg_rc feed(struct sg_h1_answer *answer, struct sg_slice text, size_t step)
{
    enum sg_rc rc = SG_E_AGAIN;
    while (text.len > 0 && rc == SG_E_AGAIN) {
        const size_t len = text.len < step ? text.len : step;
        rc = sg_h1_answer_feed(answer, sg_slice_take(&text, len), NULL);
    }
    return rc;
}

static void answers_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        const struct sg_slice text = sg_slice_str(rows[i].text);
        for (size_t step = 1; step <= text.len; step += step == 1 ? 6 : text.len) {
            struct sg_h1_answer answer;
            sg_h1_answer_init(&answer, HEAD_MAX, BODY_MAX);
            assert_int_equal(feed(&answer, text, step), rows[i].rc);
            if (rows[i].body != NULL) {
                assert_int_equal(sg_h1_answer_end(&answer, NULL), SG_OK);
                assert_int_equal(answer.status, rows[i].status);
                assert_true(sg_slice_is(sg_buf_slice(&answer.body), rows[i].body));
            }
            sg_h1_answer_done(&answer);
        }
    }
}

/* What ends with the connection may be cut anywhere behind its head; the others nowhere. */
static void what_is_cut_is_not_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        if (rows[i].rc != SG_OK)
            continue;
        for (size_t len = 0; len < strlen(rows[i].text); len++) {
            struct sg_h1_answer answer;
            sg_h1_answer_init(&answer, HEAD_MAX, BODY_MAX);
            assert_int_equal(feed(&answer, sg_slice_of(rows[i].text, len), 1000), SG_E_AGAIN);
            assert_int_equal(sg_h1_answer_end(&answer, NULL), SG_E_INVALID);
            sg_h1_answer_done(&answer);
        }
    }
}

static void what_follows_an_answer_is_left_alone(void **state)
{
    struct sg_h1_answer answer;
    (void)state;

    sg_h1_answer_init(&answer, HEAD_MAX, BODY_MAX);
    assert_int_equal(
        feed(&answer, SG_SLICE("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabcdef"), 1000), SG_OK);
    assert_true(sg_slice_is(sg_buf_slice(&answer.body), "a"));
    assert_int_equal(sg_h1_answer_feed(&answer, SG_SLICE("x"), NULL), SG_OK);
    assert_true(sg_slice_is(sg_buf_slice(&answer.body), "a"));
    sg_h1_answer_done(&answer);
}

static void a_head_has_a_limit(void **state)
{
    char text[HEAD_MAX + 64];
    (void)state;

    for (size_t more = 0; more < 2; more++) {
        struct sg_h1_answer answer;
        const int begun = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\na: ");
        const size_t fill = HEAD_MAX + more - (size_t)begun - 4;
        memset(text + begun, 'b', fill);
        memcpy(text + begun + fill, "\r\n\r\n", 5);
        sg_h1_answer_init(&answer, HEAD_MAX, BODY_MAX);
        assert_int_equal(feed(&answer, sg_slice_str(text), 1000),
                         more == 0 ? SG_E_AGAIN : SG_E_LIMIT);
        sg_h1_answer_done(&answer);
        sg_h1_answer_init(&answer, HEAD_MAX, BODY_MAX);
        assert_int_equal(feed(&answer, sg_slice_str(text), 1), more == 0 ? SG_E_AGAIN : SG_E_LIMIT);
        sg_h1_answer_done(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_follow_the_table),
        cmocka_unit_test(what_is_cut_is_not_whole),
        cmocka_unit_test(what_follows_an_answer_is_left_alone),
        cmocka_unit_test(a_head_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
