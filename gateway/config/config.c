#include "gateway/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/raw/digest.h"
#include "gateway/config/bind_priv.h"

/* What a file of SG_YAML_BYTES_MAX can become: nodes are larger than what they stand for. */
enum { ARENA_BYTES_MAX = 384 << 20 };

/* A config and all that it points at. `config` is first: the pointer is that of the whole. */
struct holder {
    struct sg_config config;
    struct sg_arena arena;
};

void sg_config_free(const struct sg_config *config)
{
    struct holder *holder = NULL;
    memcpy(&holder, &config, sizeof(void *)); /* const for all but its end */
    if (holder == NULL)
        return;
    sg_arena_done(&holder->arena);
    free(holder);
}

/* Reads `yaml` into `config`; everything wrong with it is said. */
static enum sg_rc fill(struct sg_config_bind *bind, struct sg_slice yaml, bool look_at_files,
                       struct sg_config *config, struct sg_err *err)
{
    const struct sg_yaml_node *root = NULL;
    struct sg_yaml_pos pos = {1, 1};
    struct sg_err problem = {0};

    enum sg_rc rc = sg_yaml_parse(yaml, bind->scratch, &root, &pos, &problem);
    if (rc != SG_OK) {
        sg_config_complain(bind, pos, "%s", problem.msg);
        if (err != NULL)
            err->rc = rc;
        return rc;
    }
    sg_config_bind(bind, root, config);
    if (!bind->no_memory)
        sg_config_check(bind, root, config);
    if (!bind->no_memory && bind->complaints == 0 && look_at_files)
        sg_config_check_files(bind, root, config);
    if (bind->no_memory)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not keep the configuration: no memory");
    if (bind->report != NULL && bind->complaints > SG_CONFIG_REPORT_MAX)
        sg_buf_printf(bind->report, "%s: and %zu more\n", bind->shown,
                      bind->complaints - SG_CONFIG_REPORT_MAX);
    return bind->complaints == 0 ? SG_OK : SG_E_INVALID;
}

static enum sg_rc parse(struct sg_slice yaml, const char *shown, const char *folder,
                        bool look_at_files, struct sg_buf *report, const struct sg_config **ret,
                        struct sg_err *err)
{
    struct holder *holder = calloc(1, sizeof(*holder));
    if (holder == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not keep the configuration: no memory");
    struct sg_arena scratch;
    sg_arena_init(&scratch, ARENA_BYTES_MAX);
    sg_arena_init(&holder->arena, ARENA_BYTES_MAX);
    struct sg_config_bind bind = {.shown = shown,
                                  .folder = folder,
                                  .arena = &holder->arena,
                                  .scratch = &scratch,
                                  .report = report,
                                  .err = err};
    enum sg_rc rc = fill(&bind, yaml, look_at_files, &holder->config, err);
    sg_arena_done(&scratch);
    if (rc == SG_OK)
        rc = sg_digest_of(SG_DIGEST_SHA256, yaml, holder->config.sha256, err);
    if (rc == SG_OK)
        *ret = &holder->config;
    else
        sg_config_free(&holder->config);
    return rc;
}

enum sg_rc sg_config_parse(struct sg_slice yaml, const char *folder, struct sg_buf *report,
                           const struct sg_config **ret, struct sg_err *err)
{
    return parse(yaml, "config", folder, false, report, ret, err);
}

/* Whoever may write this file decides who may sign, so it must be nobody but its owner's group. */
static enum sg_rc check_open_file(int fd, const char *path, struct sg_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return SG_FAIL(err, SG_E_INVALID, (unsigned long)errno, "could not read \"%s\": %s", path,
                       strerror(errno));
    if (!S_ISREG(st.st_mode))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read \"%s\": it is not a file", path);
    if ((st.st_mode & S_IWOTH) != 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "everybody may write to \"%s\": use chmod o-w", path);
    if (st.st_size > SG_YAML_BYTES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not read \"%s\": it has more than %d bytes", path,
                       SG_YAML_BYTES_MAX);
    return SG_OK;
}

static enum sg_rc read_all(int fd, const char *path, struct sg_buf *text, struct sg_err *err)
{
    SG_TRY(check_open_file(fd, path, err));
    for (;;) {
        uint8_t *room = sg_buf_room(text, 16384);
        if (room == NULL)
            return SG_FAIL(err, SG_E_LIMIT, 0, "could not read \"%s\": it is too large", path);
        ssize_t len = read(fd, room, 16384);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return SG_FAIL(err, SG_E_INVALID, (unsigned long)errno, "could not read \"%s\": %s",
                           path, strerror(errno));
        if (len == 0)
            return SG_OK;
        sg_buf_claim(text, (size_t)len);
    }
}

static enum sg_rc read_file(const char *path, struct sg_buf *text, struct sg_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return SG_FAIL(err, SG_E_INVALID, (unsigned long)errno, "could not read \"%s\": %s", path,
                       strerror(errno));
    enum sg_rc rc = read_all(fd, path, text, err);
    close(fd);
    return rc;
}

/* The folder of a file, absolute; the links on the way to it are followed. */
static enum sg_rc folder_of(const char *path, char *folder, struct sg_err *err)
{
    char copy[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (snprintf(copy, sizeof(copy), "%.*s", slash == NULL ? 1 : (int)(slash - path + 1),
                 slash == NULL ? "." : path) >= (int)sizeof(copy) ||
        realpath(copy, folder) == NULL)
        return SG_FAIL(err, SG_E_INVALID, (unsigned long)errno,
                       "could not find the folder of \"%s\"", path);
    return SG_OK;
}

enum sg_rc sg_config_load(const char *path, struct sg_buf *report, const struct sg_config **ret,
                          struct sg_err *err)
{
    char folder[PATH_MAX];
    struct sg_buf text;
    struct sg_err own = {0};
    if (err == NULL)
        err = &own;
    /* One more read than the limit, so that a file that grows meanwhile is seen to. */
    sg_buf_init(&text, SG_YAML_BYTES_MAX + 2 * 16384);
    enum sg_rc rc = folder_of(path, folder, err);
    if (rc == SG_OK)
        rc = read_file(path, &text, err);
    if (rc != SG_OK && report != NULL)
        sg_buf_printf(report, "%s\n", err->msg);
    if (rc == SG_OK)
        rc = parse(sg_buf_slice(&text), path, folder, true, report, ret, err);
    sg_buf_done(&text);
    return rc;
}
