#include "gateway/witness/keeper.h"

#include <dirent.h>
#include <sys/stat.h>

#include "tests/unit/gateway/witness/folder.h"

/* A witness over a folder: what it cosigns, what it remembers over its death, and what it refuses.
 */

#define ORIGIN "log.example/main/1"

enum { LEAVES = 40, NOW = 1700000000 };

static struct audit_maker *maker, *fork_maker, *stranger;
static struct folder folder;
static struct sg_buf text, checkpoint;

static int setup(void **unused)
{
    (void)unused;

    maker = audit_maker_new(ORIGIN, 7);
    audit_maker_grow(maker, LEAVES);
    fork_maker = audit_maker_new(ORIGIN, 7);
    audit_maker_grow(fork_maker, 10);
    audit_maker_add(fork_maker, SG_SLICE("something else"));
    audit_maker_grow(fork_maker, LEAVES - 11);
    stranger = audit_maker_new("stranger.example/1", 8);
    audit_maker_grow(stranger, 3);

    folder_make(&folder, ORIGIN, maker);
    sg_buf_init(&text, SG_WITNESS_REQUEST_BYTES_MAX);
    sg_buf_init(&checkpoint, SG_NOTE_BYTES_MAX);
    return 0;
}

static void forget(void)
{
    DIR *dir = opendir(folder.memory);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
}

static int teardown(void **unused)
{
    (void)unused;
    folder_remove(&folder);
    sg_buf_done(&text);
    sg_buf_done(&checkpoint);
    audit_maker_free(maker);
    audit_maker_free(fork_maker);
    audit_maker_free(stranger);
    return 0;
}

static int fresh(void **unused)
{
    (void)unused;
    forget();
    return 0;
}

static struct sg_witness_keeper *open_keeper(void)
{
    struct sg_witness_keeper *keeper = NULL;
    struct sg_err err = {0};
    if (sg_witness_keeper_open(folder.key, folder.memory, &folder.trusted, 1, &keeper, &err) !=
        SG_OK)
        fail_msg("%s", err.msg);
    return keeper;
}

static struct sg_witness_reply ask(struct sg_witness_keeper *keeper, struct audit_maker *of,
                                   uint64_t old, uint64_t size)
{
    struct sg_witness_request request = {.old_size = old};
    struct sg_witness_reply reply;

    if (old > 0 && old < size)
        audit_maker_growth(of, old, size, &request.proof);
    sg_buf_clear(&checkpoint);
    audit_maker_checkpoint(of, size, &checkpoint);
    request.checkpoint = sg_buf_slice(&checkpoint);
    sg_buf_clear(&text);
    sg_witness_request_write(&request, &text);
    sg_witness_keeper_answer(keeper, sg_buf_slice(&text), NOW, &reply);
    return reply;
}

/* Whether the reply is the keeper's signature over the checkpoint that was asked for. */
static bool is_cosigned(const struct sg_witness_keeper *keeper,
                        const struct sg_witness_reply *reply)
{
    struct sg_witness_answer answer = {0};
    assert_int_equal(sg_witness_answer_read(
                         reply->status, sg_slice_of(reply->body, reply->body_len),
                         sg_buf_slice(&checkpoint), sg_witness_keeper_key(keeper), &answer, NULL),
                     SG_OK);
    return answer.kind == SG_WITNESS_ANSWER_COSIGNED && answer.time == NOW;
}

static void assert_size(const struct sg_witness_reply *reply, const char *body)
{
    assert_int_equal(reply->status, 409);
    assert_string_equal(reply->type, "text/x.tlog.size");
    assert_int_equal(reply->body_len, strlen(body));
    assert_memory_equal(reply->body, body, reply->body_len);
}

static void it_cosigns_and_remembers_over_its_death(void **unused)
{
    struct sg_witness_keeper *keeper = open_keeper();
    struct sg_witness_reply reply;
    (void)unused;

    reply = ask(keeper, maker, 0, 20);
    assert_true(is_cosigned(keeper, &reply));
    sg_witness_keeper_close(keeper); /* nothing is written at the end, so it may be kill -9 too */
    keeper = open_keeper();
    reply = ask(keeper, maker, 0, 21);
    assert_size(&reply, "20\n");
    reply = ask(keeper, maker, 20, 33);
    assert_true(is_cosigned(keeper, &reply));
    reply = ask(keeper, maker, 33, 33);
    assert_true(is_cosigned(keeper, &reply));
    reply = ask(keeper, maker, 20, 21);
    assert_size(&reply, "33\n");
    sg_witness_keeper_close(keeper);
}

static void a_log_that_forked_is_refused_and_the_proof_is_kept(void **unused)
{
    SG_AUTO(sg_witness_keeper_close) struct sg_witness_keeper *keeper = open_keeper();
    struct sg_witness_reply reply;
    (void)unused;

    reply = ask(keeper, maker, 0, 20);
    assert_true(is_cosigned(keeper, &reply));
    reply = ask(keeper, fork_maker, 20, 20);
    assert_size(&reply, "20\n");
    assert_int_equal(reply.verdict, SG_WITNESS_FORKED);
    assert_int_equal(reply.err.rc, SG_OK);

    /* Both are in the folder; the first lie stays when there is another. */
    DIR *dir = opendir(folder.memory);
    struct dirent *entry;
    size_t forks = 0, known = 0;
    while ((entry = readdir(dir)) != NULL) {
        forks += strstr(entry->d_name, ".fork") != NULL;
        known += strlen(entry->d_name) == 64;
        assert_null(strstr(entry->d_name, ".new"));
    }
    closedir(dir);
    assert_int_equal(forks, 1);
    assert_int_equal(known, 1);
    reply = ask(keeper, fork_maker, 20, 20);
    assert_int_equal(reply.verdict, SG_WITNESS_FORKED);
    assert_int_equal(reply.err.rc, SG_OK);

    reply = ask(keeper, fork_maker, 20, 30);
    assert_int_equal(reply.status, 422);
    reply = ask(keeper, maker, 20, 30);
    assert_true(is_cosigned(keeper, &reply));
}

static void strangers_and_what_is_no_request_are_refused(void **unused)
{
    SG_AUTO(sg_witness_keeper_close) struct sg_witness_keeper *keeper = open_keeper();
    struct sg_witness_reply reply;
    (void)unused;

    reply = ask(keeper, stranger, 0, 3);
    assert_int_equal(reply.status, 404);
    assert_string_equal(reply.origin, "stranger.example/1");
    sg_witness_keeper_answer(keeper, SG_SLICE("old 0\n"), NOW, &reply);
    assert_int_equal(reply.status, 400);
    assert_int_equal(reply.err.rc, SG_E_INVALID);
    sg_witness_keeper_answer(keeper, (struct sg_slice){0}, NOW, &reply);
    assert_int_equal(reply.status, 400);

    /* The right origin, signed by somebody else. */
    struct audit_maker *thief = audit_maker_new(ORIGIN, 9);
    audit_maker_grow(thief, 3);
    reply = ask(keeper, thief, 0, 3);
    assert_int_equal(reply.status, 403);
    audit_maker_free(thief);
}

static void damage(size_t at, bool is_cut)
{
    char path[512];
    DIR *dir = opendir(folder.memory);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strlen(entry->d_name) != 64)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder.memory, entry->d_name);
        const int fd = open(path, O_RDWR);
        char byte;
        assert_true(fd >= 0);
        if (is_cut) {
            assert_int_equal(ftruncate(fd, (off_t)at), 0);
        } else {
            assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
            byte = (char)(byte ^ 1);
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        }
        close(fd);
    }
    closedir(dir);
}

/* One byte, or all behind some byte: the log is refused, and never begun anew. */
static void what_was_remembered_and_is_damaged_cosigns_nothing(void **unused)
{
    SG_AUTO(sg_witness_keeper_close) struct sg_witness_keeper *keeper = open_keeper();
    struct sg_witness_reply reply;
    (void)unused;

    for (size_t at = 0; at < 100; at += 7) {
        for (int is_cut = 0; is_cut < 2; is_cut++) {
            forget();
            reply = ask(keeper, maker, 0, 20);
            assert_true(is_cosigned(keeper, &reply));
            damage(at, is_cut != 0);
            reply = ask(keeper, maker, 0, 30);
            assert_int_equal(reply.status, 500);
            assert_int_equal(reply.err.reason, SG_R_STORE_BROKEN);
            assert_int_equal(reply.verdict, SG_WITNESS_MALFORMED);
        }
    }
}

static void what_cannot_be_remembered_is_not_cosigned(void **unused)
{
    SG_AUTO(sg_witness_keeper_close) struct sg_witness_keeper *keeper = open_keeper();
    struct sg_witness_reply reply;
    (void)unused;

    /* Its folder is gone from under it: root may write anywhere else. */
    forget();
    assert_int_equal(rmdir(folder.memory), 0);
    reply = ask(keeper, maker, 0, 20);
    assert_int_equal(reply.status, 500);
    assert_int_equal(reply.err.rc, SG_E_UNAVAILABLE);
    assert_null(memmem(reply.body, reply.body_len, "\xe2\x80\x94", 3));
}

static void two_processes_do_not_share_a_folder(void **unused)
{
    SG_AUTO(sg_witness_keeper_close) struct sg_witness_keeper *keeper = open_keeper();
    struct sg_witness_keeper *second = NULL;
    (void)unused;

    assert_non_null(keeper);
    assert_int_equal(
        sg_witness_keeper_open(folder.key, folder.memory, &folder.trusted, 1, &second, NULL),
        SG_E_CONFLICT);
}

static void a_key_of_the_other_kind_is_none(void **unused)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    struct sg_witness_keeper *keeper = NULL;
    char path[80];
    (void)unused;

    snprintf(path, sizeof(path), "%s/log.key", folder.path);
    assert_int_equal(sg_note_private_new(SG_SLICE(ORIGIN), SG_NOTE_ED25519, &secret, NULL), SG_OK);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    const struct sg_slice bytes = sg_secret_bytes(secret);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
    close(fd);
    assert_int_equal(sg_witness_keeper_open(path, folder.memory, &folder.trusted, 1, &keeper, NULL),
                     SG_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_cosigns_and_remembers_over_its_death, fresh),
        cmocka_unit_test_setup(a_log_that_forked_is_refused_and_the_proof_is_kept, fresh),
        cmocka_unit_test_setup(strangers_and_what_is_no_request_are_refused, fresh),
        cmocka_unit_test_setup(what_was_remembered_and_is_damaged_cosigns_nothing, fresh),
        cmocka_unit_test_setup(what_cannot_be_remembered_is_not_cosigned, fresh),
        cmocka_unit_test_setup(two_processes_do_not_share_a_folder, fresh),
        cmocka_unit_test_setup(a_key_of_the_other_kind_is_none, fresh),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
