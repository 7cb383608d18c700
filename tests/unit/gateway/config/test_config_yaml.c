#include "gateway/config/config_yaml_priv.h"

#include "base/buf.h"
#include "tests/support/unit.h"

static const struct {
    const char *name;
    struct sg_slice text;
    enum sg_rc rc;
    size_t line, column;
    const char *says; /* part of the message */
} cases[] = {
    {"nothing", SG_SLICE(""), SG_OK, 0, 0, NULL},
    {"comments alone", SG_SLICE("# a\n# b\n"), SG_OK, 0, 0, NULL},
    {"a document mark alone", SG_SLICE("---\n"), SG_OK, 0, 0, NULL},
    {"an option", SG_SLICE("a: b\n"), SG_OK, 0, 0, NULL},
    {"without a line end", SG_SLICE("a: b"), SG_OK, 0, 0, NULL},
    {"with Windows line ends", SG_SLICE("a: b\r\nc: d\r\n"), SG_OK, 0, 0, NULL},
    {"with document marks", SG_SLICE("---\na: b\n...\n"), SG_OK, 0, 0, NULL},
    {"in Vietnamese", SG_SLICE("tên: \"Chữ ký số\"\n"), SG_OK, 0, 0, NULL},
    {"lists and maps in one line", SG_SLICE("a: [b, {c: d}]\n"), SG_OK, 0, 0, NULL},

    {"a scalar", SG_SLICE("word\n"), SG_E_INVALID, 1, 1, "options"},
    {"a list", SG_SLICE("\n- a\n"), SG_E_INVALID, 2, 1, "options"},
    {"an anchor", SG_SLICE("a: &x b\n"), SG_E_INVALID, 1, 4, "anchors"},
    {"an anchor on a map", SG_SLICE("a:\n  b: &x {c: d}\n"), SG_E_INVALID, 2, 6, "anchors"},
    {"an alias", SG_SLICE("a: b\nc: *x\n"), SG_E_INVALID, 2, 4, "aliases"},
    {"an alias as a key", SG_SLICE("*x : b\n"), SG_E_INVALID, 1, 1, "aliases"},
    {"a tag", SG_SLICE("a: !!str b\n"), SG_E_INVALID, 1, 4, "tags"},
    {"a tag of one's own", SG_SLICE("a: !x [b]\n"), SG_E_INVALID, 1, 4, "tags"},
    {"the tag that says nothing", SG_SLICE("a: ! b\n"), SG_E_INVALID, 1, 4, "tags"},
    {"a merge key", SG_SLICE("a:\n  <<: {b: c}\n"), SG_E_INVALID, 2, 3, "merge"},
    {"a directive", SG_SLICE("%YAML 1.1\n---\na: b\n"), SG_E_INVALID, 1, 1, "directives"},
    {"a tag directive", SG_SLICE("%TAG ! tag:x,2000:\n---\na: b\n"), SG_E_INVALID, 1, 1,
     "directives"},
    {"a second document", SG_SLICE("a: b\n---\nc: d\n"), SG_E_INVALID, 2, 1, "second document"},
    {"a key twice", SG_SLICE("a: b\nc: d\na: e\n"), SG_E_INVALID, 3, 1, "first in line 1"},
    {"a key twice, once in quotes", SG_SLICE("a: b\n\"a\": c\n"), SG_E_INVALID, 2, 1, "twice"},
    {"a key twice inside", SG_SLICE("x:\n  - {a: b, a: c}\n"), SG_E_INVALID, 2, 12, "twice"},
    {"a list as a key", SG_SLICE("[a]: b\n"), SG_E_INVALID, 1, 1, "must be a word"},
    {"a map as a key", SG_SLICE("? {a: b}\n: c\n"), SG_E_INVALID, 1, 3, "must be a word"},

    {"a tab that indents", SG_SLICE("a:\n\tb: c\n"), SG_E_INVALID, 2, 1, "cannot start any token"},
    {"a bracket left open", SG_SLICE("a: [b\n"), SG_E_INVALID, 2, 1, "did not find"},
    {"a quote left open", SG_SLICE("a: \"b\n"), SG_E_INVALID, 2, 1, "unexpected end of stream"},
    {"two values in a line", SG_SLICE("a: b: c\n"), SG_E_INVALID, 1, 5, "not allowed"},
    {"a map that falls back", SG_SLICE("a:\n    b: c\n  d: e\n"), SG_E_INVALID, 3, 3,
     "did not find expected key"},

    {"a byte that is no UTF-8", SG_SLICE("a: b\nc: \"x\xff\"\n"), SG_E_INVALID, 2, 6, "0xff"},
    {"no UTF-8, counted in characters", SG_SLICE("tên: ữ\xc3(\n"), SG_E_INVALID, 1, 7, "0xc3"},
    {"a surrogate", SG_SLICE("a: \xed\xa0\x80\n"), SG_E_INVALID, 1, 4, "0xed"},
    {"an overlong slash", SG_SLICE("a: \xc0\xaf\n"), SG_E_INVALID, 1, 4, "0xc0"},
    {"UTF-16",
     SG_SLICE("\xff\xfe"
              "a\0:\0 \0b\0"),
     SG_E_INVALID, 1, 1, "0xff"},
    {"a byte order mark",
     SG_SLICE("\xef\xbb\xbf"
              "a: b\n"),
     SG_E_INVALID, 1, 1, "byte order mark"},
    {"a NUL", SG_SLICE("a: b\0c\n"), SG_E_INVALID, 1, 5, "U+0000"},
    {"a NUL by escape", SG_SLICE("a: \"b\\0c\"\n"), SG_E_INVALID, 1, 4, "U+0000"},
    {"an escape character", SG_SLICE("a: \"\\e[31m\"\n"), SG_E_INVALID, 1, 4, "U+001B"},
    {"a C1 control character", SG_SLICE("a: \"\xc2\x9b\"\n"), SG_E_INVALID, 1, 5, "U+009B"},
    {"a C1 control character by escape", SG_SLICE("a: \"\\x9b\"\n"), SG_E_INVALID, 1, 4, "U+009B"},
    {"a line separator",
     SG_SLICE("a: b\xe2\x80\xa8"
              "c: d\n"),
     SG_E_INVALID, 1, 5, "U+2028"},
    {"no character at all", SG_SLICE("a: \xef\xbf\xbf\n"), SG_E_INVALID, 1, 4, "U+FFFF"},
    {"two lines in a value", SG_SLICE("a: |\n  b\n  c\n"), SG_E_INVALID, 1, 4, "U+000A"},
    {"a control character in a key", SG_SLICE("\"a\\tb\": c\n"), SG_E_INVALID, 1, 1, "U+0009"},
    {"a surrogate by escape", SG_SLICE("a: \"\\ud800\"\n"), SG_E_INVALID, 1, 7,
     "invalid Unicode character"},
};

/* From an exact copy on the heap, so that a sanitizer sees a read one past the end. */
static enum sg_rc parse(struct sg_slice text, struct sg_arena *arena,
                        const struct sg_yaml_node **ret, struct sg_yaml_pos *pos,
                        struct sg_err *err)
{
    uint8_t *exact = malloc(text.len == 0 ? 1 : text.len);
    assert_non_null(exact);
    if (text.len > 0)
        memcpy(exact, text.ptr, text.len);
    enum sg_rc rc = sg_yaml_parse(sg_slice_of(exact, text.len), arena, ret, pos, err);
    free(exact);
    return rc;
}

static void parse_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        const struct sg_yaml_node *root = NULL;
        struct sg_yaml_pos pos = {0};
        struct sg_err err = {0};
        struct sg_arena arena;
        sg_arena_init(&arena, 1 << 20);
        print_message("  %s\n", cases[i].name);
        enum sg_rc rc = parse(cases[i].text, &arena, &root, &pos, &err);
        if (rc != cases[i].rc ||
            (rc != SG_OK && (pos.line != cases[i].line || pos.column != cases[i].column ||
                             strstr(err.msg, cases[i].says) == NULL)))
            fail_msg("%d at %zu:%zu: %s", (int)rc, pos.line, pos.column, err.msg);
        assert_int_equal(root != NULL, rc == SG_OK);
        if (rc == SG_OK)
            assert_int_equal(root->kind, SG_YAML_MAP);
        sg_arena_done(&arena);
    }
}

static void the_tree_has_what_the_text_says_and_where(void **state)
{
    (void)state;
    static const char text[] = "# first\n"
                               "one: 'plain'\n"
                               "danh sách:\n"
                               "  - a\n"
                               "  - {b: c,  d: \"é\"}\n";
    const struct sg_yaml_node *root = NULL;
    struct sg_yaml_pos pos = {0};
    struct sg_err err = {0};
    struct sg_arena arena;
    sg_arena_init(&arena, 1 << 20);
    assert_int_equal(parse(sg_slice_str(text), &arena, &root, &pos, &err), SG_OK);

    assert_int_equal(root->count, 2);
    const struct sg_yaml_node *one = root->children, *list = one->next;
    assert_string_equal(one->key, "one");
    assert_string_equal(one->text, "plain");
    assert_false(one->is_plain);
    assert_int_equal(one->key_pos.line, 2);
    assert_int_equal(one->pos.column, 6);
    assert_ptr_equal(sg_yaml_get(root, "danh sách"), list);
    assert_null(sg_yaml_get(root, "two"));
    assert_int_equal(list->kind, SG_YAML_LIST);
    assert_int_equal(list->count, 2);
    assert_ptr_equal(sg_yaml_items(root, "danh sách"), list->children);
    assert_null(sg_yaml_items(root, "one"));
    assert_true(list->children->is_plain);
    const struct sg_yaml_node *d = sg_yaml_get(list->children->next, "d");
    assert_non_null(d);
    assert_string_equal(d->text, "é");
    assert_int_equal(d->pos.line, 5);
    assert_int_equal(d->pos.column, 16);
    assert_int_equal(sg_yaml_pos_of(root, "one").column, 6);
    assert_int_equal(sg_yaml_pos_of(root, "two").line, root->pos.line);
    sg_arena_done(&arena);
}

static enum sg_rc parse_buf(struct sg_buf *text, struct sg_err *err)
{
    const struct sg_yaml_node *root = NULL;
    struct sg_yaml_pos pos = {0};
    struct sg_arena arena;
    sg_arena_init(&arena, 384 << 20);
    assert_int_equal(sg_buf_check(text, NULL), SG_OK);
    enum sg_rc rc = parse(sg_buf_slice(text), &arena, &root, &pos, err);
    sg_buf_done(text);
    sg_arena_done(&arena);
    return rc;
}

static enum sg_rc parse_depth(size_t depth, struct sg_err *err)
{
    struct sg_buf text;
    sg_buf_init(&text, 64 << 20);
    sg_buf_add_str(&text, "a: ");
    for (size_t i = 0; i < depth; i++)
        sg_buf_add_u8(&text, '[');
    for (size_t i = 0; i < depth; i++)
        sg_buf_add_u8(&text, ']');
    return parse_buf(&text, err);
}

static void depth_is_limited(void **state)
{
    (void)state;
    struct sg_err err = {0};
    assert_int_equal(parse_depth(SG_YAML_DEPTH_MAX - 1, &err), SG_OK);
    assert_int_equal(parse_depth(SG_YAML_DEPTH_MAX, &err), SG_E_LIMIT);
    assert_int_equal(parse_depth(500000, &err), SG_E_LIMIT);
}

static enum sg_rc parse_keys(size_t count, struct sg_err *err)
{
    struct sg_buf text;
    sg_buf_init(&text, 64 << 20);
    for (size_t i = 0; i < count; i++)
        sg_buf_printf(&text, "k%zu: v\n", i);
    return parse_buf(&text, err);
}

static void keys_of_a_map_are_limited(void **state)
{
    (void)state;
    struct sg_err err = {0};
    assert_int_equal(parse_keys(SG_YAML_KEYS_MAX, &err), SG_OK);
    assert_int_equal(parse_keys(SG_YAML_KEYS_MAX + 1, &err), SG_E_LIMIT);
}

static enum sg_rc parse_values(size_t count, struct sg_err *err)
{
    struct sg_buf text;
    sg_buf_init(&text, 64 << 20);
    sg_buf_add_str(&text, "a:\n");
    for (size_t i = 0; i < count; i++)
        sg_buf_add_str(&text, "- x\n");
    return parse_buf(&text, err);
}

static void values_are_limited(void **state)
{
    (void)state;
    struct sg_err err = {0};
    /* the map, its key and the list are values too */
    assert_int_equal(parse_values(SG_YAML_NODES_MAX - 3, &err), SG_OK);
    assert_int_equal(parse_values(SG_YAML_NODES_MAX - 2, &err), SG_E_LIMIT);
}

static enum sg_rc parse_bytes(size_t len, struct sg_err *err)
{
    struct sg_buf text;
    sg_buf_init(&text, 64 << 20);
    sg_buf_add_str(&text, "a: ");
    while (text.len < len)
        sg_buf_add_u8(&text, 'x');
    return parse_buf(&text, err);
}

static void bytes_are_limited(void **state)
{
    (void)state;
    struct sg_err err = {0};
    assert_int_equal(parse_bytes(SG_YAML_BYTES_MAX, &err), SG_OK);
    assert_int_equal(parse_bytes(SG_YAML_BYTES_MAX + 1, &err), SG_E_LIMIT);
}

static void memory_is_limited_by_the_arena(void **state)
{
    (void)state;
    static const char text[] = "a: [b, c, d, {e: f}]\ng: h\n";
    bool has_passed = false;
    for (size_t max = 0; max < 4096; max += 16) {
        const struct sg_yaml_node *root = NULL;
        struct sg_yaml_pos pos = {0};
        struct sg_arena arena;
        sg_arena_init(&arena, max);
        enum sg_rc rc = parse(sg_slice_str(text), &arena, &root, &pos, NULL);
        assert_true(rc == SG_OK || rc == SG_E_LIMIT);
        assert_true(!has_passed || rc == SG_OK);
        has_passed = rc == SG_OK;
        sg_arena_done(&arena);
    }
    assert_true(has_passed);
}

/* An alias bomb is refused at its first anchor, long before anything grows. */
static void an_alias_bomb_is_refused_at_once(void **state)
{
    (void)state;
    struct sg_buf text;
    struct sg_err err = {0};
    sg_buf_init(&text, 1 << 20);
    sg_buf_add_str(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 30; i++)
        sg_buf_printf(&text, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
                      i - 1, i - 1, i - 1);
    assert_int_equal(parse_buf(&text, &err), SG_E_INVALID);
    assert_non_null(strstr(err.msg, "anchors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_follows_the_table),
        cmocka_unit_test(the_tree_has_what_the_text_says_and_where),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(keys_of_a_map_are_limited),
        cmocka_unit_test(values_are_limited),
        cmocka_unit_test(bytes_are_limited),
        cmocka_unit_test(memory_is_limited_by_the_arena),
        cmocka_unit_test(an_alias_bomb_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
