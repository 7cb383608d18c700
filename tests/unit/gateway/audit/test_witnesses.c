#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "gateway/audit/audit_priv.h"
#include "gateway/audit/witnesses.h"
#include "gateway/witness/keeper.h"
#include "tests/support/https_script.h"
#include "tests/unit/gateway/audit/folder.h"

/*
 * The witnesses of a log in a real store, over real TLS. A good one is the keeper that `sealgated
 * witness` has; another says what the test wants.
 */
enum { PEERS = 2 };

static const int64_t begun_ns = INT64_C(1790000000) * SG_NS_PER_S;

static struct folder folder;
static struct https_script *script;
static struct sg_audit_writer writer; /* the test's, and the server's while the test waits for it */
static uint64_t written;
static struct sg_witness_keeper *keepers[PEERS];
static struct sg_note_signer *signers[PEERS]; /* the same keys */
static char keys[PEERS][512], log_key[512], cosigned[96];
static struct sg_witness_peer peers[PEERS];
static const char *const log_keys[] = {log_key};
static const struct sg_witness_trusted trusted = {
    .origin = "test.example/main/1", .keys = log_keys, .key_count = 1};

static atomic_uint requests, told;

static void write_leaf(void)
{
    struct sg_audit_record record = {.time_ns = begun_ns};
    struct sg_audit_entry entry, *group[] = {&entry};

    folder_sign(&record, ++written, &entry);
    assert_int_equal(sg_audit_write(&writer, group, 1, NULL), SG_OK);
    assert_int_equal(entry.outcome, SG_AUDIT_WRITTEN);
    sg_audit_entry_done(&entry);
}

static uint64_t size(void)
{
    return written + 1;
}

/* What a witness says ------------------------------------------------------------------------ */

/* Makes the answer to a request, whose checkpoint has this text. */
typedef void (*say_fn)(struct sg_slice text, struct sg_buf *ret_body);

/* An answer by hand; zeroed: the keeper's. The first of two is once. */
struct said {
    unsigned status;
    const char *body;
    say_fn say; /* in the place of `body` */
    enum https_script_end end;
};

static _Atomic(const struct said *) once, always; /* of the first witness */

static void put_answer(unsigned status, const char *type, struct sg_slice body,
                       struct https_script_answer *ret)
{
    sg_buf_printf(&ret->bytes, "HTTP/1.1 %u X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                  status, type, body.len);
    sg_buf_add_slice(&ret->bytes, body);
}

static void say(const struct said *said, struct sg_slice asked, struct https_script_answer *ret)
{
    struct sg_witness_request request;
    struct sg_buf body;

    sg_buf_init(&body, 1 << 20);
    assert_int_equal(sg_witness_request_parse(asked, &request, NULL), SG_OK);
    if (said->say != NULL)
        said->say(request.note.text, &body);
    else
        sg_buf_add_slice(&body, sg_slice_str(said->body));
    put_answer(said->status, "text/plain", sg_buf_slice(&body), ret);
    ret->end = said->end;
    if (said->end != HTTPS_SAYS_END)
        sg_buf_clear(&ret->bytes);
    sg_buf_done(&body);
}

static void answer(void *arg, struct sg_slice request, struct https_script_answer *ret)
{
    static const char blank[] = "\r\n\r\n";
    (void)arg;

    atomic_fetch_add(&requests, 1);
    assert_true(sg_slice_starts(request, SG_SLICE("POST /w")));
    const size_t peer = request.ptr[7] - (size_t)'0';
    const uint8_t *head = memmem(request.ptr, request.len, blank, 4);
    const struct sg_slice body =
        sg_slice_of(head + 4, request.len - (size_t)(head + 4 - request.ptr));
    const struct said *said = atomic_exchange(&once, NULL);
    if (said == NULL)
        said = atomic_load(&always);
    if (peer == 0 && said != NULL) {
        say(said, body, ret);
        return;
    }
    struct sg_witness_reply reply;
    sg_witness_keeper_answer(keepers[peer], body, 1700000000, &reply);
    put_answer(reply.status, reply.type, sg_slice_of((const uint8_t *)reply.body, reply.body_len),
               ret);
}

static void say_other_key(struct sg_slice text, struct sg_buf *ret)
{
    assert_int_equal(sg_note_cosign(signers[1], 1700000000, text, ret, NULL), SG_OK);
}

/* Of the same log as it was before, or never was. */
static void say_other_text(struct sg_slice text, struct sg_buf *ret)
{
    char other[512];
    snprintf(other, sizeof(other), "%.*s", (int)text.len, (const char *)text.ptr);
    other[text.len - 10] ^= 1;
    assert_int_equal(sg_note_cosign(signers[0], 1700000000, sg_slice_str(other), ret, NULL), SG_OK);
}

static void say_flipped(struct sg_slice text, struct sg_buf *ret)
{
    assert_int_equal(sg_note_cosign(signers[0], 1700000000, text, ret, NULL), SG_OK);
    ret->ptr[ret->len - 10] = ret->ptr[ret->len - 10] == 'A' ? 'B' : 'A';
}

static void say_log_line(struct sg_slice text, struct sg_buf *ret)
{
    struct sg_buf note;
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    assert_int_equal(sg_note_sign(writer.signer, text, &note, NULL), SG_OK);
    sg_buf_add(ret, note.ptr + text.len + 1, note.len - text.len - 1);
    sg_buf_done(&note);
}

static void say_and_more(struct sg_slice text, struct sg_buf *ret)
{
    assert_int_equal(sg_note_cosign(signers[0], 1700000000, text, ret, NULL), SG_OK);
    sg_buf_add_slice(ret, SG_SLICE("and more\n"));
}

static void say_much(struct sg_slice text, struct sg_buf *ret)
{
    while (ret->len <= SG_WITNESS_ANSWER_BYTES_MAX)
        assert_int_equal(sg_note_cosign(signers[0], 1700000000, text, ret, NULL), SG_OK);
}

/* Another size each time, which the log has. */
static void say_another_size(struct sg_slice text, struct sg_buf *ret)
{
    static unsigned times;
    (void)text;
    sg_buf_printf(ret, "%u\n", 1 + times++ % 2);
}

static void say_our_size(struct sg_slice text, struct sg_buf *ret)
{
    (void)text;
    sg_buf_printf(ret, "%llu\n", (unsigned long long)size());
}

static void say_more_than_ours(struct sg_slice text, struct sg_buf *ret)
{
    (void)text;
    sg_buf_printf(ret, "%llu\n", (unsigned long long)size() + 1);
}

/* It grows while it is asked. */
static void grow_and_say_size(struct sg_slice text, struct sg_buf *ret)
{
    write_leaf();
    say_our_size(text, ret);
}

static void grow_and_cosign(struct sg_slice text, struct sg_buf *ret)
{
    write_leaf();
    assert_int_equal(sg_note_cosign(signers[0], 1700000000, text, ret, NULL), SG_OK);
}

/* What there is to ask ----------------------------------------------------------------------- */

static void make_witness(size_t i)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    char name[32], key_file[96], state[96];
    struct sg_buf key;

    snprintf(name, sizeof(name), "witness.example/w%zu", i);
    snprintf(key_file, sizeof(key_file), "%s/w%zu.key", folder.path, i);
    snprintf(state, sizeof(state), "%s/w%zu", folder.path, i);
    assert_int_equal(sg_note_private_new(sg_slice_str(name), SG_NOTE_COSIGNATURE, &secret, NULL),
                     SG_OK);
    const struct sg_slice bytes = sg_secret_bytes(secret);
    const int fd = open(key_file, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
    close(fd);
    assert_int_equal(sg_note_signer_new(bytes, &signers[i], NULL), SG_OK);
    sg_buf_init(&key, sizeof(keys[i]) - 1);
    sg_note_key_write(sg_note_signer_key(signers[i]), &key);
    memcpy(keys[i], key.ptr, key.len);
    keys[i][key.len] = '\0';
    sg_buf_done(&key);
    assert_int_equal(sg_witness_keeper_open(key_file, state, &trusted, 1, &keepers[i], NULL),
                     SG_OK);
    static const char *const names[PEERS] = {"first", "second"};
    char url[64];
    peers[i] = (struct sg_witness_peer){
        .name = names[i], .key = keys[i], .fetch.ca_file = https_script_ca_file(script)};
    snprintf(url, sizeof(url), "%s/w%zu", https_script_url(script), i);
    assert_int_equal(sg_url_parse(url, &peers[i].fetch.url, NULL), SG_OK);
}

static int set_up(void **state)
{
    struct sg_buf key;
    (void)state;

    written = 0;
    folder_make(&folder, begun_ns);
    const struct sg_audit_options options = {
        .store = folder.url, .log = "main", .key_file = folder.key, .anchor_file = folder.anchor};
    assert_int_equal(sg_audit_writer_open(&writer, &options, NULL), SG_OK);
    for (int i = 0; i < 5; i++)
        write_leaf();
    snprintf(cosigned, sizeof(cosigned), "%s/cosigned", folder.path);
    sg_buf_init(&key, sizeof(log_key) - 1);
    sg_note_key_write(sg_note_signer_key(folder.signer), &key);
    memcpy(log_key, key.ptr, key.len);
    log_key[key.len] = '\0';
    sg_buf_done(&key);
    script = https_script_start(answer, NULL);
    for (size_t i = 0; i < PEERS; i++)
        make_witness(i);
    atomic_store(&requests, 0);
    atomic_store(&told, 0);
    atomic_store(&once, NULL);
    atomic_store(&always, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    https_script_stop(script);
    for (size_t i = 0; i < PEERS; i++) {
        sg_witness_keeper_close(keepers[i]);
        sg_note_signer_free(signers[i]);
    }
    sg_audit_writer_close(&writer);
    folder_remove(&folder);
    return 0;
}

static void on_told(void *arg, const struct sg_witness_news *news)
{
    (void)arg;
    atomic_fetch_add(&told, 1);
    assert_int_equal(news->err == NULL, news->state == SG_WITNESS_CURRENT);
}

static enum sg_rc open_witnesses(size_t count, struct sg_witnesses **ret, struct sg_err *err)
{
    const struct sg_witnesses_options options = {.clock = &sg_clock_system,
                                                 .store = folder.url,
                                                 .log = "main",
                                                 .key = sg_note_signer_key(folder.signer),
                                                 .cosigned_file = cosigned,
                                                 .peers = peers,
                                                 .peer_count = count,
                                                 .interval_ns = SG_NS_PER_S,
                                                 .told = on_told};
    return sg_witnesses_new(&options, ret, err);
}

static struct sg_witnesses *start(size_t count)
{
    struct sg_witnesses *witnesses = NULL;
    struct sg_err err = {0};
    if (open_witnesses(count, &witnesses, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return witnesses;
}

static struct sg_witness_stats stats(const struct sg_witnesses *witnesses, size_t peer)
{
    struct sg_witness_stats ret;
    sg_witnesses_stats(witnesses, peer, &ret);
    return ret;
}

/* How many witnesses have cosigned a note of this size. */
static size_t count_cosignatures(struct sg_slice bytes, uint64_t expected_size)
{
    struct sg_note_key *parsed[PEERS];
    struct sg_checkpoint checkpoint;
    struct sg_note note;
    size_t count = 0;

    assert_int_equal(sg_note_parse(bytes, &note, NULL), SG_OK);
    assert_int_equal(sg_checkpoint_parse(note.text, &checkpoint, NULL), SG_OK);
    assert_int_equal(checkpoint.head.size, expected_size);
    for (size_t i = 0; i < PEERS; i++)
        assert_int_equal(sg_note_key_parse(sg_slice_str(keys[i]), &parsed[i], NULL), SG_OK);
    assert_int_equal(sg_witness_count(&note, parsed, PEERS, &count, NULL), SG_OK);
    for (size_t i = 0; i < PEERS; i++)
        sg_note_key_free(parsed[i]);
    return count;
}

static size_t stored_cosignatures(void)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_buf note;

    assert_int_equal(sg_store_open_read(folder.url, &store, NULL), SG_OK);
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    assert_int_equal(sg_store_read_checkpoint(store, writer.log.id, &note, NULL), SG_OK);
    const size_t count = count_cosignatures(sg_buf_slice(&note), size());
    sg_buf_done(&note);
    return count;
}

static size_t kept_cosignatures(uint64_t expected_size)
{
    static uint8_t bytes[SG_NOTE_BYTES_MAX];
    const int fd = open(cosigned, O_RDONLY);
    const ssize_t len = read(fd, bytes, sizeof(bytes));
    assert_true(len > 0);
    close(fd);
    return count_cosignatures(sg_slice_of(bytes, (size_t)len), expected_size);
}

/* The tests ---------------------------------------------------------------------------------- */

static void what_a_witness_signs_is_added(void **state)
{
    (void)state;
    SG_AUTO(sg_witnesses_free) struct sg_witnesses *witnesses = start(PEERS);

    assert_int_equal(stored_cosignatures(), 0);
    for (int i = 0; i < 2; i++) { /* again, and there is nothing to add */
        assert_int_equal(sg_witnesses_check(witnesses, true, NULL), SG_OK);
        assert_int_equal(stored_cosignatures(), 2);
        assert_int_equal(kept_cosignatures(size()), 2);
    }
    write_leaf();
    assert_int_equal(stored_cosignatures(), 0);
    assert_int_equal(sg_witnesses_check(witnesses, true, NULL), SG_OK);
    assert_int_equal(stored_cosignatures(), 2);
    /* One that starts does not know how far they are, and is told. */
    SG_AUTO(sg_witnesses_free) struct sg_witnesses *later = start(PEERS);
    write_leaf();
    assert_int_equal(sg_witnesses_check(later, true, NULL), SG_OK);
    assert_int_equal(stored_cosignatures(), 2);
    for (size_t i = 0; i < PEERS; i++) {
        assert_int_equal(stats(later, i).state, SG_WITNESS_CURRENT);
        assert_int_equal(stats(later, i).size, size());
        assert_int_equal(stats(later, i).failures, 0);
    }
}

static void what_cannot_be_used_adds_nothing(void **state)
{
    static const struct {
        const char *name;
        struct said said;
        enum sg_witness_state state;
        unsigned requests; /* 0: any number */
    } cases[] = {
        {"nothing", {200, .body = ""}, SG_WITNESS_AWAY, 1},
        {"words", {200, .body = "thank you\n"}, SG_WITNESS_AWAY, 1},
        {"another witness's signature", {200, .say = say_other_key}, SG_WITNESS_AWAY, 1},
        {"a signature over another text", {200, .say = say_other_text}, SG_WITNESS_AWAY, 1},
        {"a signature with one letter changed", {200, .say = say_flipped}, SG_WITNESS_AWAY, 1},
        {"the log's own signature", {200, .say = say_log_line}, SG_WITNESS_AWAY, 1},
        {"a signature and more", {200, .say = say_and_more}, SG_WITNESS_AWAY, 1},
        {"more than an answer may have", {200, .say = say_much}, SG_WITNESS_AWAY, 1},
        {"201", {201, .body = ""}, SG_WITNESS_AWAY, 1},
        {"302", {302, .body = ""}, SG_WITNESS_AWAY, 1},
        {"429", {429, .body = ""}, SG_WITNESS_AWAY, 1},
        {"500", {500, .body = ""}, SG_WITNESS_AWAY, 1},
        {"503", {503, .body = "too many requests wait: try again\n"}, SG_WITNESS_AWAY, 1},
        {"no answer", {200, .body = "", .end = HTTPS_CUTS}, SG_WITNESS_AWAY, 1},
        {"none, ever", {200, .body = "", .end = HTTPS_HANGS}, SG_WITNESS_AWAY, 1},
        {"a size that is none", {409, .body = "five\n"}, SG_WITNESS_AWAY, 1},
        {"a negative size", {409, .body = "-1\n"}, SG_WITNESS_AWAY, 1},
        {"a size of 65 bits", {409, .body = "18446744073709551616\n"}, SG_WITNESS_AWAY, 1},
        {"two sizes", {409, .body = "1\n2\n"}, SG_WITNESS_AWAY, 1},
        {"no size", {409, .body = ""}, SG_WITNESS_AWAY, 1},
        {"the size that it was asked from", {409, .body = "0\n"}, SG_WITNESS_AWAY, 1},
        {"the same smaller one again", {409, .body = "2\n"}, SG_WITNESS_AWAY, 2},
        {"another size each time", {409, .say = say_another_size}, SG_WITNESS_AWAY, 4},
        {"400", {400, .body = "what?\n"}, SG_WITNESS_REFUSES, 1},
        {"403", {403, .body = ""}, SG_WITNESS_REFUSES, 1},
        {"404", {404, .body = ""}, SG_WITNESS_REFUSES, 1},
        {"422", {422, .body = ""}, SG_WITNESS_DENIES, 1},
        {"our size, and again", {409, .say = say_our_size}, SG_WITNESS_DENIES, 2},
        {"one more than we have", {409, .say = say_more_than_ours}, SG_WITNESS_DENIES, 1},
        {"the greatest number", {409, .body = "18446744073709551615\n"}, SG_WITNESS_DENIES, 1},
    };
    (void)state;

    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        SG_AUTO(sg_witnesses_free) struct sg_witnesses *witnesses = start(1);
        const bool is_denied = cases[i].state == SG_WITNESS_DENIES;
        struct sg_err err = {0};

        print_message("  %s\n", cases[i].name);
        atomic_store(&requests, 0);
        atomic_store(&told, 0);
        atomic_store(&always, &cases[i].said);
        assert_int_equal(sg_witnesses_check(witnesses, false, &err),
                         is_denied ? SG_E_CONFLICT : SG_OK);
        assert_int_equal(err.reason, is_denied ? SG_R_STORE_ROLLED_BACK : SG_R_NONE);
        assert_int_equal(stats(witnesses, 0).state, cases[i].state);
        assert_int_equal(stats(witnesses, 0).failures, 1);
        assert_int_equal(stats(witnesses, 0).size, 0);
        assert_int_equal(atomic_load(&requests), cases[i].requests);
        assert_int_equal(atomic_load(&told), 1);
        if (cases[i].said.end == HTTPS_SAYS_END)
            assert_int_equal(sg_witnesses_check(witnesses, true, NULL),
                             is_denied ? SG_E_CONFLICT : SG_E_UNAVAILABLE);
        assert_int_equal(stored_cosignatures(), 0);
        assert_int_not_equal(access(cosigned, F_OK), 0);
    }
    atomic_store(&always, NULL);
    SG_AUTO(sg_witnesses_free) struct sg_witnesses *witnesses = start(1);
    assert_int_equal(sg_witnesses_check(witnesses, true, NULL), SG_OK);
    assert_int_equal(stored_cosignatures(), 1);
}

static void one_that_is_bad_costs_the_others_nothing(void **state)
{
    static const struct said bad = {200, .say = say_flipped};
    (void)state;
    SG_AUTO(sg_witnesses_free) struct sg_witnesses *witnesses = start(PEERS);

    atomic_store(&always, &bad);
    assert_int_equal(sg_witnesses_check(witnesses, false, NULL), SG_OK);
    assert_int_equal(stats(witnesses, 0).state, SG_WITNESS_AWAY);
    assert_int_equal(stats(witnesses, 1).state, SG_WITNESS_CURRENT);
    assert_int_equal(stored_cosignatures(), 1);
    assert_int_equal(kept_cosignatures(size()), 1);
    assert_int_equal(sg_witnesses_check(witnesses, true, NULL), SG_E_UNAVAILABLE);
}

static void a_log_that_grows_meanwhile_keeps_its_newest_checkpoint(void **state)
{
    static const struct said grows = {200, .say = grow_and_cosign};
    (void)state;
    SG_AUTO(sg_witnesses_free) struct sg_witnesses *witnesses = start(1);

    const uint64_t before = size();
    atomic_store(&once, &grows);
    assert_int_equal(sg_witnesses_check(witnesses, true, NULL), SG_OK);
    assert_int_equal(size(), before + 1);
    assert_int_equal(stats(witnesses, 0).size, before);
    assert_int_equal(stored_cosignatures(), 0); /* of the size that it has now */
    assert_int_equal(kept_cosignatures(before), 1);
}

/* Another gateway has written, and sent it, while ours looked elsewhere. */
static void a_witness_that_is_further_is_followed_and_not_feared(void **state)
{
    static const struct said grows = {409, .say = grow_and_say_size};
    (void)state;
    SG_AUTO(sg_witnesses_free) struct sg_witnesses *witnesses = start(1);

    atomic_store(&once, &grows);
    assert_int_equal(sg_witnesses_check(witnesses, true, NULL), SG_OK);
    assert_int_equal(stats(witnesses, 0).state, SG_WITNESS_CURRENT);
    assert_int_equal(stats(witnesses, 0).size, size());
    assert_int_equal(stored_cosignatures(), 1);
}

static void wait_until_cosigned(const struct sg_witnesses *witnesses, uint64_t wanted)
{
    for (int i = 0; i < 2000 && stats(witnesses, 0).size < wanted; i++)
        usleep(10000);
    assert_int_equal(stats(witnesses, 0).size, wanted);
}

static void the_thread_sends_what_grows_and_ends_at_once(void **state)
{
    static const struct said silence = {200, .body = "", .end = HTTPS_HANGS};
    struct sg_witnesses *witnesses = start(1);
    (void)state;

    assert_int_equal(sg_witnesses_check(witnesses, true, NULL), SG_OK);
    assert_int_equal(sg_witnesses_start(witnesses, NULL), SG_OK);
    for (int i = 0; i < 2; i++) {
        write_leaf();
        wait_until_cosigned(witnesses, size());
        assert_int_equal(stored_cosignatures(), 1);
    }
    const unsigned before = atomic_load(&requests);
    atomic_store(&always, &silence);
    write_leaf();
    for (int i = 0; i < 2000 && atomic_load(&requests) == before; i++)
        usleep(10000);
    assert_true(atomic_load(&requests) > before);
    const int64_t begun = sg_mono_ns(&sg_clock_system);
    sg_witnesses_free(witnesses);
    assert_true(sg_mono_ns(&sg_clock_system) - begun < 5 * SG_NS_PER_S);
}

static void a_key_that_is_no_witnesss_is_refused(void **state)
{
    struct sg_witnesses *witnesses = NULL;
    struct sg_err err = {0};
    (void)state;

    peers[1].key = log_key;
    assert_int_equal(open_witnesses(2, &witnesses, &err), SG_E_INVALID);
    assert_non_null(strstr(err.msg, "second"));
    peers[1].key = "witness.example/w1+00000000+AAAA";
    assert_int_equal(open_witnesses(2, &witnesses, &err), SG_E_INVALID);
    assert_null(witnesses);
}

#define WITNESSES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WITNESSES_TEST(what_a_witness_signs_is_added),
        WITNESSES_TEST(what_cannot_be_used_adds_nothing),
        WITNESSES_TEST(one_that_is_bad_costs_the_others_nothing),
        WITNESSES_TEST(a_log_that_grows_meanwhile_keeps_its_newest_checkpoint),
        WITNESSES_TEST(a_witness_that_is_further_is_followed_and_not_feared),
        WITNESSES_TEST(the_thread_sends_what_grows_and_ends_at_once),
        WITNESSES_TEST(a_key_that_is_no_witnesss_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
