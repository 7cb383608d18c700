#include "proto/grpc/web_text.h"

#include "tests/support/unit.h"

static const struct {
    const char *name, *text;
    enum sg_rc rc; /* at the latest when all of it has come */
    const char *bytes;
    bool is_between; /* at its end */
} cases[] = {
    {"nothing", "", SG_OK, "", true},
    {"one segment without padding", "Zm9v", SG_OK, "foo", true},
    {"one segment with padding", "Zm9vYg==", SG_OK, "foob", true},
    {"a segment behind a padded one", "Zg==Zm8=Zm9v", SG_OK, "ffofoo", true},
    {"many segments of one byte", "Zg==bw==bw==", SG_OK, "foo", true},
    {"cut inside a group", "Zm9vYm", SG_OK, "foo", false},
    {"cut before the padding", "Zg", SG_OK, "", false},
    {"cut inside the padding", "Zg=", SG_OK, "", false},
    {"a letter of the URL alphabet", "_-_-", SG_E_INVALID, NULL, false},
    {"a line feed", "Zm9v\nZm9", SG_E_INVALID, NULL, false},
    {"padding in front", "=Zm9", SG_E_INVALID, NULL, false},
    {"padding in the middle of a group", "Zg=vZm9v", SG_E_INVALID, NULL, false},
    {"a group of padding", "Zm9v====", SG_E_INVALID, NULL, false},
    {"bits left over", "Zh==", SG_E_INVALID, NULL, false},
};

/* Feeds `text` in pieces of `step`. */
static enum sg_rc decode(struct sg_web_text *state, struct sg_slice text, size_t step,
                         struct sg_buf *out, struct sg_err *err)
{
    while (text.len > 0)
        SG_TRY(sg_web_text_decode(state, sg_slice_take(&text, step < text.len ? step : text.len),
                                  out, err));
    return SG_OK;
}

static void decode_follows_the_table_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++)
        for (size_t step = 1; step < 14; step++) {
            struct sg_web_text text = {0};
            struct sg_buf out;
            struct sg_err err = {0};
            print_message("  %s, step %zu\n", cases[i].name, step);
            sg_buf_init(&out, 100);
            assert_int_equal(decode(&text, sg_slice_str(cases[i].text), step, &out, &err),
                             cases[i].rc);
            if (cases[i].rc == SG_OK) {
                assert_slice_equal(sg_buf_slice(&out), sg_slice_str(cases[i].bytes));
                assert_int_equal(sg_web_text_is_between(&text), cases[i].is_between);
            } else {
                assert_int_equal(err.reason, SG_R_MALFORMED_REQUEST);
            }
            sg_buf_done(&out);
        }
}

static void no_more_comes_out_than_there_is_room_for(void **state)
{
    (void)state;
    for (size_t room = 3; room < 6; room += 2) {
        struct sg_web_text text = {0};
        struct sg_buf out;
        sg_buf_init(&out, room);
        assert_int_equal(sg_web_text_decode(&text, SG_SLICE("Zm9vYg=="), &out, NULL),
                         room == 3 ? SG_E_LIMIT : SG_OK);
        sg_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_follows_the_table_however_it_is_cut),
        cmocka_unit_test(no_more_comes_out_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
