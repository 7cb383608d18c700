#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/config/config.h"
#include "gateway/config/config_yaml_priv.h"
#include "tests/support/unit.h"

/* A folder of each test's own, with everything that the configuration names. */
static char folder[64];

static const char yaml[] = "tls_certificate_file: server.pem\n"
                           "tls_key_file: server.key\n"
                           "client_cas:\n"
                           "  - {name: main, file: ca.pem, crl_file: ca.crl}\n"
                           "tokens:\n"
                           "  - name: hsm\n"
                           "    module: module.so\n"
                           "    uri: 'pkcs11:token=t'\n"
                           "    pin_file: pin\n"
                           "    socket: hsm.sock\n"
                           "    state_dir: state\n"
                           "    user: root\n"
                           "keys:\n"
                           "  - {name: k, token: hsm, id: aa, type: ec-p256,\n"
                           "     public_key_file: k.pem}\n";

static const char *const files[] = {"server.pem", "server.key", "ca.pem", "ca.crl",
                                    "module.so",  "pin",        "k.pem"};

static const char *in_folder(const char *name)
{
    static char path[2][160];
    static unsigned turn;
    turn ^= 1;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
    return path[turn];
}

static void write_file(const char *name, const char *text, size_t len, mode_t mode)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
    assert_int_equal(chmod(in_folder(name), mode), 0);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/sealgate-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    for (size_t i = 0; i < SG_COUNT(files); i++)
        write_file(files[i], "x", 1, 0640);
    write_file("sealgate.yaml", yaml, strlen(yaml), 0644);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(files); i++) {
        unlink(in_folder(files[i]));
        rmdir(in_folder(files[i]));
    }
    unlink(in_folder("sealgate.yaml"));
    unlink(in_folder("state"));
    rmdir(in_folder("state"));
    return rmdir(folder);
}

static enum sg_rc load(const char *path, char *report, size_t room)
{
    const struct sg_config *config = NULL;
    struct sg_err err = {0};
    struct sg_buf buf;
    sg_buf_init(&buf, room);
    enum sg_rc rc = sg_config_load(path, &buf, &config, &err);
    snprintf(report, room, "%.*s", (int)buf.len, (const char *)buf.ptr);
    assert_int_equal(rc == SG_OK, config != NULL);
    if (rc != SG_OK)
        assert_true(err.rc == rc && err.msg[0] != '\0');
    sg_config_free(config);
    sg_buf_done(&buf);
    return rc;
}

static void everything_in_place_is_loaded(void **state)
{
    (void)state;
    const struct sg_config *config = NULL;
    char report[1024], expected[160];
    assert_int_equal(load(in_folder("sealgate.yaml"), report, sizeof(report)), SG_OK);
    assert_string_equal(report, "");
    assert_int_equal(sg_config_load(in_folder("sealgate.yaml"), NULL, &config, NULL), SG_OK);
    snprintf(expected, sizeof(expected), "%s/server.pem", folder);
    assert_string_equal(config->tls_certificate_file, expected);
    sg_config_free(config);
}

static void a_path_without_a_folder_is_taken_from_where_we_are(void **state)
{
    (void)state;
    char report[1024], before[4096];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(folder), 0);
    enum sg_rc rc = load("sealgate.yaml", report, sizeof(report));
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rc, SG_OK);
}

/* What is said of a missing file, by the line that names it. */
static const struct {
    const char *file, *at;
} missing[] = {
    {"server.pem", ":1:23: could not read"}, {"server.key", ":2:15: could not find"},
    {"ca.pem", ":4:24: could not read"},     {"ca.crl", ":4:42: could not read"},
    {"module.so", ":7:13: could not read"},  {"pin", ":9:15: could not find"},
    {"k.pem", ":15:23: could not read"},
};

static void a_missing_file_is_named_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(missing); i++) {
        char report[1024];
        print_message("  %s\n", missing[i].file);
        assert_int_equal(unlink(in_folder(missing[i].file)), 0);
        assert_int_equal(load(in_folder("sealgate.yaml"), report, sizeof(report)), SG_E_INVALID);
        if (strstr(report, missing[i].at) == NULL || strstr(report, missing[i].file) == NULL)
            fail_msg("%s", report);
        write_file(missing[i].file, "x", 1, 0640);
    }
}

static void a_folder_in_the_place_of_a_file_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(files); i++) {
        char report[1024];
        print_message("  %s\n", files[i]);
        assert_int_equal(unlink(in_folder(files[i])), 0);
        assert_int_equal(mkdir(in_folder(files[i]), 0700), 0);
        assert_int_equal(load(in_folder("sealgate.yaml"), report, sizeof(report)), SG_E_INVALID);
        assert_non_null(strstr(report, "is not a file"));
        assert_int_equal(rmdir(in_folder(files[i])), 0);
        write_file(files[i], "x", 1, 0640);
    }
}

static const struct {
    const char *file;
    mode_t mode;
    bool is_good;
} modes[] = {
    {"server.key", 0600, true},    {"server.key", 0640, true},
    {"server.key", 0644, false},   {"server.key", 0602, false},
    {"server.pem", 0644, true},    {"pin", 0400, true},
    {"pin", 0440, true},           {"pin", 0404, false},
    {"ca.pem", 0644, true},        {"ca.pem", 0646, false},
    {"module.so", 0755, true},     {"module.so", 0757, false},
    {"k.pem", 0644, true},         {"k.pem", 0666, false},
    {"sealgate.yaml", 0644, true}, {"sealgate.yaml", 0646, false},
};

static void permissions_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(modes); i++) {
        char report[1024];
        print_message("  %s %o\n", modes[i].file, (unsigned)modes[i].mode);
        assert_int_equal(chmod(in_folder(modes[i].file), modes[i].mode), 0);
        enum sg_rc rc = load(in_folder("sealgate.yaml"), report, sizeof(report));
        assert_int_equal(rc, modes[i].is_good ? SG_OK : SG_E_INVALID);
        if (!modes[i].is_good)
            assert_non_null(strstr(report, "everybody"));
        assert_int_equal(chmod(in_folder(modes[i].file), 0600), 0);
    }
}

/* Each role reads the whole file, but only one of them the server's key, and another the PIN. */
static void what_another_user_keeps_to_itself_is_that_users_own_affair(void **state)
{
    (void)state;
    enum { NOBODY = 65534 };
    static const char *const secrets[] = {"server.key", "pin"};
    const bool is_root = geteuid() == 0;
    char report[1024];
    assert_int_equal(chmod(folder, 0755), 0);
    for (size_t i = 0; i < SG_COUNT(files); i++)
        assert_int_equal(chmod(in_folder(files[i]), 0644), 0);
    for (size_t i = 0; i < SG_COUNT(secrets); i++)
        assert_int_equal(chmod(in_folder(secrets[i]), is_root ? 0600 : 0), 0);
    if (is_root)
        assert_int_equal(seteuid(NOBODY), 0);
    enum sg_rc rc = load(in_folder("sealgate.yaml"), report, sizeof(report));
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_string_equal(report, "");
    assert_int_equal(rc, SG_OK);
}

static void a_state_dir_that_is_a_file_is_refused(void **state)
{
    (void)state;
    char report[1024];
    write_file("state", "x", 1, 0600);
    assert_int_equal(load(in_folder("sealgate.yaml"), report, sizeof(report)), SG_E_INVALID);
    assert_non_null(strstr(report, "is not a folder"));
    assert_int_equal(unlink(in_folder("state")), 0);
    assert_int_equal(mkdir(in_folder("state"), 0700), 0);
    assert_int_equal(load(in_folder("sealgate.yaml"), report, sizeof(report)), SG_OK);
}

/* With links followed, whether or not the store is there yet. */
static void an_anchor_in_the_stores_folder_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *store, *anchor;
        bool is_good;
    } rows[] = {
        {"sqlite:state", "state/anchor", false},
        {"sqlite:state/", "state/anchor", false},
        {"sqlite:state", "state/deep/er/anchor", false},
        {"sqlite:state/deep", "state/deep/anchor", false},
        {"sqlite:state", "state/../state/anchor", false},
        {"sqlite:state", "state/../anchor", true},
        {"sqlite:state", "link/anchor", false},
        {"sqlite:link", "state/anchor", false},
        {"sqlite:link/deep", "state/deep/anchor", false},
        {"sqlite:none", "none/anchor", false},
        {"sqlite:state", "state-anchor/anchor", true},
        {"sqlite:state", "anchor", true},
        {"sqlite:state/deep", "state/anchor", true},
        {"sqlite:none", "anchor", true},
        {"postgresql://h/d", "state/anchor", true},
    };
    char report[1024], text[sizeof(yaml) + 200];

    assert_int_equal(mkdir(in_folder("state"), 0700), 0);
    assert_int_equal(symlink("state", in_folder("link")), 0);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s, %s\n", rows[i].store, rows[i].anchor);
        snprintf(text, sizeof(text), "store: %s\naudit_anchor_file: %s\n%s", rows[i].store,
                 rows[i].anchor, yaml);
        write_file("sealgate.yaml", text, strlen(text), 0644);
        enum sg_rc rc = load(in_folder("sealgate.yaml"), report, sizeof(report));
        if (rc != (rows[i].is_good ? SG_OK : SG_E_INVALID))
            fail_msg("%s", report);
        if (rc != SG_OK)
            assert_non_null(
                strstr(report, ":2:20: \"audit_anchor_file\" is in the store's folder"));
    }
    assert_int_equal(unlink(in_folder("link")), 0);
}

static void a_user_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    char report[1024], text[sizeof(yaml) + 64];
    const char *at = strstr(yaml, "root");
    snprintf(text, sizeof(text), "%.*sno-such-user-here%s", (int)(at - yaml), yaml, at + 4);
    write_file("sealgate.yaml", text, strlen(text), 0644);
    assert_int_equal(load(in_folder("sealgate.yaml"), report, sizeof(report)), SG_E_INVALID);
    assert_non_null(strstr(report, ":12:11: there is no user"));
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    char report[1024];
    assert_int_equal(load(in_folder("none.yaml"), report, sizeof(report)), SG_E_INVALID);
    assert_non_null(strstr(report, "No such file"));
    assert_int_equal(load("/nowhere/at/all.yaml", report, sizeof(report)), SG_E_INVALID);
    assert_int_equal(load(folder, report, sizeof(report)), SG_E_INVALID);
    assert_non_null(strstr(report, "it is not a file"));
    assert_int_equal(load("/dev/null", report, sizeof(report)), SG_E_INVALID);
}

static void a_file_over_the_limit_is_not_read(void **state)
{
    (void)state;
    char report[1024];
    assert_int_equal(truncate(in_folder("sealgate.yaml"), SG_YAML_BYTES_MAX + 1), 0);
    assert_int_equal(load(in_folder("sealgate.yaml"), report, sizeof(report)), SG_E_LIMIT);
    assert_non_null(strstr(report, "25165824"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(everything_in_place_is_loaded),
        TEST(a_path_without_a_folder_is_taken_from_where_we_are),
        TEST(a_missing_file_is_named_with_its_line),
        TEST(a_folder_in_the_place_of_a_file_is_refused),
        TEST(permissions_follow_the_table),
        TEST(what_another_user_keeps_to_itself_is_that_users_own_affair),
        TEST(a_state_dir_that_is_a_file_is_refused),
        TEST(an_anchor_in_the_stores_folder_is_refused),
        TEST(a_user_that_does_not_exist_is_refused),
        TEST(a_file_that_cannot_be_read_is_an_error),
        TEST(a_file_over_the_limit_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
