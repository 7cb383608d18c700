#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/unit.h"
/* cmocka's header comes first */
#include "tests/unit/gateway/store/suite.h"

static const char *folder; /* of the server's socket */

/* By a connection of its own; what fails fails the test. */
static char *ask(const char *database, const char *sql)
{
    char info[256];
    snprintf(info, sizeof(info), "host=%s user=sealgate dbname=%s", folder, database);
    PGconn *conn = PQconnectdb(info);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    char *answer = PQntuples(result) == 1 ? strdup(PQgetvalue(result, 0, 0)) : NULL;
    PQclear(result);
    PQfinish(conn);
    return answer;
}

static void tell(const char *database, const char *sql)
{
    free(ask(database, sql));
}

char *suite_backend_new(void)
{
    static int count;
    char sql[64];
    char *url = NULL;
    snprintf(sql, sizeof(sql), "CREATE DATABASE test%d", ++count);
    tell("postgres", sql);
    assert_true(asprintf(&url, "postgresql:///test%d?host=%s&user=sealgate", count, folder) > 0);
    return url;
}

static void name_of(const char *url, char ret[32])
{
    snprintf(ret, 32, "%.*s", (int)strcspn(url + 14, "?"), url + 14);
}

void suite_backend_drop(const char *url)
{
    char name[32], sql[96];
    name_of(url, name);
    snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", name);
    tell("postgres", sql);
}

static pid_t server(void)
{
    char path[256];
    int pid = 0;
    snprintf(path, sizeof(path), "%s/data/postmaster.pid", folder);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    fclose(file);
    return pid;
}

static void set_down(bool is_down)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/down", folder);
    FILE *file = is_down ? fopen(path, "w") : NULL;
    if (file != NULL)
        fclose(file);
    if (!is_down)
        unlink(path);
}

static void kill_server(void)
{
    pid_t pid = server();
    assert_true(pid > 1);
    kill(pid, SIGKILL);
}

static void wait_for_server(void)
{
    char info[256];
    snprintf(info, sizeof(info), "host=%s user=sealgate dbname=postgres", folder);
    for (int i = 0; i < 400; i++) {
        PGPing ping = PQping(info);
        if (ping == PQPING_OK)
            return;
        usleep(25000);
    }
    fail_msg("the server did not come back");
}

static void a_server_that_is_killed_and_comes_back_is_found_again(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_err err = {0};

    suite_append(suite, suite->store, 3, 0);
    set_down(true);
    kill_server();
    usleep(200000);
    struct sg_store_group *group = suite_group(&suite->log, 4, 1, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sg_store_append(suite->store, group, &outcome, &err), SG_E_UNAVAILABLE);
        assert_int_equal(err.reason, SG_R_STORE_UNAVAILABLE);
    }
    set_down(false);
    wait_for_server();
    assert_int_equal(sg_store_append(suite->store, group, &outcome, &err), SG_OK);
    assert_int_equal(outcome, SG_STORE_WRITTEN);
    suite_check(suite->store, &suite->log, 0, 5);
}

static void a_server_that_is_killed_loses_nothing_that_was_acknowledged(void **state)
{
    struct store_suite *suite = *state;
    for (uint64_t round = 0; round < 5; round++) {
        int fd;
        uint64_t first;
        pid_t child = suite_appender(suite->url, (round + 1) << 32, &fd);
        assert_int_equal(read(fd, &first, sizeof(first)), sizeof(first)); /* it has begun */
        usleep((useconds_t)(50000 + 7919 * round));
        kill_server();
        usleep(50000);
        wait_for_server();
        usleep(100000); /* and it goes on by itself */
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        int64_t last = suite_last_told(fd);
        if (last < 0)
            last = (int64_t)first;
        struct sg_store *store = suite_open(suite->url);
        /* The server may yet be at what the killed one sent last. */
        uint64_t before = suite_size(store);
        uint64_t count = suite_check_leaves(store, &suite->log, 0);
        assert_true((int64_t)before > last);
        assert_in_range(count, before, suite_size(store));
        sg_store_close(store);
    }
}

static void a_server_that_was_started_anew_costs_no_call(void **state)
{
    struct store_suite *suite = *state;
    suite_append(suite, suite->store, 1, 0);
    kill_server();
    usleep(100000);
    wait_for_server();
    suite_append(suite, suite->store, 1, 0);
}

static void a_frozen_server_is_not_waited_for_for_ever(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_err err = {0};
    char name[32], sql[128];
    name_of(suite->url, name);
    suite_append(suite, suite->store, 1, 0);
    snprintf(sql, sizeof(sql), "SELECT pid FROM pg_stat_activity WHERE datname = '%s'", name);
    char *answer = ask("postgres", sql);
    assert_non_null(answer);
    pid_t pid = (pid_t)strtol(answer, NULL, 10);
    free(answer);
    kill(pid, SIGSTOP);
    enum sg_rc rc =
        sg_store_append(suite->store, suite_group(&suite->log, 2, 1, 0), &outcome, &err);
    kill(pid, SIGCONT);
    assert_int_equal(rc, SG_E_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "no answer in time"));
    /* Nobody knows whether it was written; whoever looks at the size does. */
    usleep(200000);
    uint64_t size = suite_size(suite->store);
    assert_true(size == 2 || size == 3);
    suite_append(suite, suite->store, 1, 0);
    suite_check(suite->store, &suite->log, 0, size + 1);
}

static void settings_that_lose_what_was_acknowledged_are_refused(void **state)
{
    struct store_suite *suite = *state;
    static const char *const names[] = {"fsync", "full_page_writes"};
    struct sg_err err = {0};
    char sql[128], name[32];

    for (size_t i = 0; i < SG_COUNT(names); i++) {
        snprintf(sql, sizeof(sql), "ALTER SYSTEM SET %s = off", names[i]);
        tell("postgres", sql);
        tell("postgres", "SELECT pg_reload_conf()");
        usleep(300000);
        assert_int_equal(sg_store_check_safe(suite->store, &err), SG_E_CONFLICT);
        assert_int_equal(err.reason, SG_R_STORE_UNSAFE);
        assert_non_null(strstr(err.msg, names[i]));
        snprintf(sql, sizeof(sql), "ALTER SYSTEM RESET %s", names[i]);
        tell("postgres", sql);
        tell("postgres", "SELECT pg_reload_conf()");
        usleep(300000);
        assert_int_equal(sg_store_check_safe(suite->store, &err), SG_OK);
    }
    /* This one is ours to set, whatever the database says. */
    name_of(suite->url, name);
    snprintf(sql, sizeof(sql), "ALTER DATABASE %s SET synchronous_commit = off", name);
    tell("postgres", sql);
    struct sg_store *store = suite_open(suite->url);
    assert_int_equal(sg_store_check_safe(store, &err), SG_OK);
    sg_store_close(store);
}

static void a_store_of_the_future_is_used_where_it_serves_us(void **state)
{
    struct store_suite *suite = *state;
    struct sg_store *store = NULL;
    struct sg_err err = {0};
    unsigned from;
    char name[32];

    name_of(suite->url, name);
    tell(name, "UPDATE sealgate.meta SET schema = 1000");
    store = suite_open(suite->url);
    suite_append(suite, store, 1, 0);
    sg_store_close(store);
    tell(name, "UPDATE sealgate.meta SET schema = 1001, serves = 1000");
    assert_int_equal(sg_store_open(suite->url, &store, &err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_STORE_SCHEMA);
    assert_int_equal(sg_store_migrate(suite->url, &from, &err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_STORE_SCHEMA);
    tell(name, "UPDATE sealgate.meta SET schema = 0");
    assert_int_equal(sg_store_open(suite->url, &store, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
}

static void a_table_that_is_gone_is_a_broken_store(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_err err = {0};
    char name[32];
    name_of(suite->url, name);
    tell(name, "DROP TABLE sealgate.leaves");
    assert_int_equal(
        sg_store_append(suite->store, suite_group(&suite->log, 1, 1, 0), &outcome, &err),
        SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
}

static void no_password_is_told(void **state)
{
    static const char *const urls[] = {
        "postgresql://user:pa$$word@127.0.0.1:1/db",   "postgresql://user:pa$$@word@127.0.0.1:1/db",
        "postgresql://user:pa$$/word@127.0.0.1:1/db",  "postgresql://user:pa$$?word@127.0.0.1:1/db",
        "postgresql://user:pa$$#word@127.0.0.1:1/db",  "postgresql://user:pa$$%word@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?password=pa$$wo", "postgresql://127.0.0.1:1/db?passwrd=pa$$wo",
        "postgresql://u:pa$$word@nowhere.invalid/db",
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(urls); i++) {
        struct sg_store *store = NULL;
        struct sg_err err = {0};
        assert_int_not_equal(sg_store_open(urls[i], &store, &err), SG_OK);
        assert_null(strstr(err.msg, "pa$$"));
        assert_null(strstr(err.msg, "word@"));
        assert_null(strstr(err.msg, "\"word"));
    }
}

static void copies_are_made_by_its_own_tools(void **state)
{
    struct store_suite *suite = *state;
    uint64_t room = 0;
    struct sg_err err = {0};
    assert_int_equal(sg_store_backup(suite->store, "/tmp/none", &err), SG_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "pg_dump"));
    assert_int_equal(sg_store_room(suite->store, &room, &err), SG_OK);
    assert_true(room == UINT64_MAX);
}

static char *read_text(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("there is no %s: each version has a dump", path);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    return text;
}

/* Every column, constraint and index of ours, by what the server says of them. */
static char *tables_of(const char *database)
{
    return ask(database,
               "SELECT string_agg(line, E'\n' ORDER BY line) FROM ("
               "SELECT concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),"
               " a.attnotnull, a.attstorage, a.attidentity, c.reloptions) AS line"
               " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
               " WHERE c.relnamespace = 'sealgate'::regnamespace AND c.relkind = 'r'"
               " AND a.attnum > 0 AND NOT a.attisdropped"
               " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'sealgate'"
               " UNION ALL SELECT concat_ws(' ', conname, pg_get_constraintdef(oid))"
               " FROM pg_constraint WHERE connamespace = 'sealgate'::regnamespace) AS lines");
}

/* tests/golden/store/pg-N.sql is what `pg_dump --inserts` said when N was the newest. */
static void every_earlier_version_becomes_this_one(void **state)
{
    struct store_suite *suite = *state;
    char own[32];
    name_of(suite->url, own);
    char *expected = tables_of(own);
    assert_non_null(expected);
    for (unsigned version = 1; version <= SG_STORE_SCHEMA; version++) {
        char dump[64], name[32];
        char *url = suite_backend_new();
        unsigned from = 99;
        name_of(url, name);
        snprintf(dump, sizeof(dump), "tests/golden/store/pg-%u.sql", version);
        tell(name, read_text(dump));
        assert_ok(sg_store_migrate(url, &from, &suite_err));
        assert_int_equal(from, version);
        char *tables = tables_of(name);
        assert_string_equal(tables, expected);
        free(tables);
        suite_check_made(url);
        suite_backend_drop(url);
        free(url);
    }
    free(expected);
}

/* Two processes put the same keys in by opposite orders, again and again: without an order of our
 * own PostgreSQL would end one of them by deadlock_timeout. */
static void the_same_keys_at_once_do_not_lock_each_other_out(void **state)
{
    struct store_suite *suite = *state;
    struct sg_store_log logs[2];
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        logs[i] = (struct sg_store_log){.origin = "sealgate.test/own", .epoch = 1};
        snprintf(logs[i].name, sizeof(logs[i].name), "own%d", i);
        assert_int_equal(
            sg_store_create_log(suite->store, &logs[i], NULL, suite_group(&logs[i], 0, 1, 0), NULL),
            SG_OK);
    }
    sg_store_close(SG_STEAL(suite->store));
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        struct sg_store *store = NULL;
        if (sg_store_open(suite->url, &store, NULL) != SG_OK)
            _exit(1);
        uint64_t size = 1;
        for (uint64_t round = 0; round < 60; round++) {
            enum sg_store_outcome outcome = SG_STORE_UNSET;
            struct sg_store_group *group = suite_group(&logs[i], size, 200, 1000 * (round + 1));
            for (size_t j = 0; i == 1 && j < 100; j++) {
                struct sg_store_leaf swap = group->leaves[j];
                group->leaves[j] = group->leaves[199 - j];
                group->leaves[199 - j] = swap;
            }
            if (sg_store_append(store, group, &outcome, NULL) != SG_OK)
                _exit(2);
            if (outcome == SG_STORE_WRITTEN)
                size += 200;
            else if (outcome != SG_STORE_TAKEN || !group->leaves[0].is_taken)
                _exit(3);
        }
        sg_store_close(store);
        _exit(0);
    }
    for (int i = 0; i < 2; i++) {
        int status;
        waitpid(children[i], &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    suite->store = suite_open(suite->url);
    uint64_t sizes = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sg_store_find_log(suite->store, logs[i].name, &logs[i], NULL), SG_OK);
        sizes += logs[i].size;
    }
    assert_int_equal(sizes, 2 + 60 * 200);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest own[] = {
        SUITE_TEST(a_server_that_is_killed_and_comes_back_is_found_again),
        SUITE_TEST(a_server_that_is_killed_loses_nothing_that_was_acknowledged),
        SUITE_TEST(a_server_that_was_started_anew_costs_no_call),
        SUITE_TEST(a_frozen_server_is_not_waited_for_for_ever),
        SUITE_TEST(settings_that_lose_what_was_acknowledged_are_refused),
        SUITE_TEST(a_store_of_the_future_is_used_where_it_serves_us),
        SUITE_TEST(a_table_that_is_gone_is_a_broken_store),
        cmocka_unit_test(no_password_is_told),
        SUITE_TEST(every_earlier_version_becomes_this_one),
        SUITE_TEST(copies_are_made_by_its_own_tools),
        SUITE_TEST(the_same_keys_at_once_do_not_lock_each_other_out),
    };
    folder = getenv("SG_TEST_PG");
    if (folder == NULL) {
        puts("no server: run it by tests/support/postgres");
        return 1;
    }
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    if (argc == 3 && strcmp(argv[1], "--make") == 0) { /* for tests/golden/store */
        suite_make(argv[2]);
        return 0;
    }
    int failed = _cmocka_run_group_tests("store.pg", suite_tests, suite_test_count, NULL, NULL);
    return failed + cmocka_run_group_tests_name("store.pg.own", own, NULL, NULL);
}
