#include "gateway/main_store.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/lost.h"
#include "gateway/store/store.h"
#include "gateway/user.h"

static const char sqlite[] = "sqlite:";

static bool is_sqlite(const struct sg_config *config)
{
    return strncmp(config->store, sqlite, sizeof(sqlite) - 1) == 0;
}

static enum sg_rc owner_of(const char *folder, int64_t *ret_uid, int64_t *ret_gid,
                           struct sg_err *err)
{
    struct stat st;
    char parent[PATH_MAX];
    const char *path = folder;
    if (stat(folder, &st) != 0) {
        snprintf(parent, sizeof(parent), "%s", folder);
        path = dirname(parent);
        if (stat(path, &st) != 0)
            return SG_FAIL(err, SG_E_NOT_FOUND, (unsigned long)errno,
                           "could not find the folder \"%.100s\": %s", path, strerror(errno));
    }
    *ret_uid = st.st_uid;
    *ret_gid = st.st_gid;
    return SG_OK;
}

/* What root would make, the gateway could not write. */
enum sg_rc sg_main_become_gateway(const struct sg_config *config, struct sg_err *err)
{
    int64_t uid = -1, gid = -1;

    if (geteuid() != 0)
        return SG_OK;
    SG_TRY(sg_user_ids(config->gateway_user, &uid, &gid, err));
    if (uid < 0 && !is_sqlite(config))
        return SG_OK;
    if (uid < 0)
        SG_TRY(owner_of(config->store + sizeof(sqlite) - 1, &uid, &gid, err));
    if (uid == 0)
        return SG_OK;
    gid_t group = (gid_t)gid;
    if (setgroups(1, &group) != 0 || setgid(group) != 0 || setuid((uid_t)uid) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not become the user of the gateway: %s", strerror(errno));
    return SG_OK;
}

enum sg_rc sg_main_migrate(const struct sg_config *config, struct sg_err *err)
{
    unsigned from = 0;
    SG_TRY(sg_main_become_gateway(config, err));
    SG_TRY(sg_store_migrate(config->store, &from, err));
    if (from == SG_STORE_SCHEMA)
        printf("the store has version %d already\n", SG_STORE_SCHEMA);
    else if (from == 0)
        printf("the store was made, version %d\n", SG_STORE_SCHEMA);
    else
        printf("the store was brought from version %u to %d\n", from, SG_STORE_SCHEMA);
    return SG_OK;
}

static enum sg_rc print_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    (void)arg, (void)err;
    printf("  log %s, epoch %" PRIu32 ": %" PRIu64 " leaves\n", log->name, log->epoch, log->size);
    return SG_OK;
}

static enum sg_rc print_logs(const char *what, const char *where, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    SG_TRY(sg_store_open_read(where, &store, err));
    printf("%s:\n", what);
    return sg_store_each_log(store, print_log, NULL, err);
}

static enum sg_rc url_of(const char *folder, char **ret, struct sg_err *err)
{
    if (asprintf(ret, "%s%s", sqlite, folder) < 0) {
        *ret = NULL;
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory");
    }
    return SG_OK;
}

enum sg_rc sg_main_backup(const struct sg_config *config, const char *folder, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    char *url = NULL;

    if (!is_sqlite(config))
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0,
                       "a store in PostgreSQL is copied by pg_dump and put back by pg_restore");
    SG_TRY(sg_store_open_read(config->store, &store, err));
    SG_TRY(sg_store_backup(store, folder, err));
    SG_TRY(url_of(folder, &url, err));
    enum sg_rc rc = print_logs("the store was copied", url, err);
    free(url);
    return rc;
}

enum sg_rc sg_main_restore(const struct sg_config *config, const char *folder, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    char *url = NULL;

    if (!is_sqlite(config))
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0,
                       "a store in PostgreSQL is copied by pg_dump and put back by pg_restore");
    SG_TRY(url_of(folder, &url, err));
    enum sg_rc rc = sg_store_open_read(url, &store, err); /* as root, who may see it */
    free(url);
    if (rc == SG_OK)
        rc = sg_main_become_gateway(config, err);
    if (rc == SG_OK)
        rc = sg_store_backup(store, config->store + sizeof(sqlite) - 1, err);
    if (rc == SG_OK)
        rc = print_logs("the store was put back", config->store, err);
    return rc;
}

enum sg_rc sg_main_check_store(const struct sg_config *config, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_err why = {0};

    enum sg_rc rc = sg_store_open_read(config->store, &store, &why);
    if (rc == SG_OK)
        rc = sg_store_check_safe(store, &why);
    sg_lost_explain(config, &why);
    if (why.reason == SG_R_AUDIT_NOT_INITIALISED) {
        puts("there is no store yet: sealgated init makes it");
        return SG_OK;
    }
    if (rc == SG_E_UNAVAILABLE) {
        printf("the store could not be looked at: %s\n", why.msg);
        return SG_OK;
    }
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}
