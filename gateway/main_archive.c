#include "gateway/main_archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "gateway/audit/archive.h"
#include "gateway/audit/examine.h"
#include "gateway/main_store.h"

enum { DAY_S = 86400, AGE_DIGITS_MAX = 9 };

struct archiving {
    struct sg_audit_archiver *archiver;
    struct sg_audit_archive_options options;
    uint64_t taken;
};

/* "90d", "12h", "600s" before now, or a time. */
static bool read_time(const char *text, int64_t now_s, int64_t *ret_s)
{
    const size_t digits = strspn(text, "0123456789");
    struct tm tm = {0};

    if (digits > 0 && digits <= AGE_DIGITS_MAX && text[digits] != '\0' &&
        text[digits + 1] == '\0') {
        const int64_t unit = text[digits] == 'd'   ? DAY_S
                             : text[digits] == 'h' ? 3600
                             : text[digits] == 's' ? 1
                                                   : 0;
        *ret_s = now_s - (int64_t)strtoull(text, NULL, 10) * unit;
        return unit > 0;
    }
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    *ret_s = end == NULL ? 0 : (int64_t)timegm(&tm);
    return end != NULL && *end == '\0';
}

static bool read_count(const char *text, uint64_t *ret)
{
    const size_t digits = strspn(text, "0123456789");

    *ret = strtoull(text, NULL, 10);
    return digits > 0 && digits <= 18 && text[digits] == '\0';
}

/* Whoever repeats a request gets its first answer for so long: until then its leaf stays. */
static enum sg_rc read_options(const struct sg_config *config,
                               const struct sg_main_archive *archive,
                               struct sg_audit_archive_options *ret, struct sg_err *err)
{
    const int64_t now_s = sg_wall_ns(&sg_clock_system) / SG_NS_PER_S;
    const int64_t last_s = now_s - config->request_id_retention_s;
    int64_t before_s = last_s;

    *ret = (struct sg_audit_archive_options){.folder = archive->folder, .count_max = UINT64_MAX};
    if (archive->before != NULL && !read_time(archive->before, now_s, &before_s))
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "--before is a time in UTC, as 2027-01-31T00:00:00Z, or an age, as 90d, 12h "
                       "or 600s; not \"%.40s\"",
                       archive->before);
    if (archive->leaves != NULL && !read_count(archive->leaves, &ret->count_max))
        return SG_FAIL(err, SG_E_INVALID, 0, "--leaves is a number; not \"%.40s\"",
                       archive->leaves);
    if (before_s > last_s) {
        printf("leaves younger than request_id_retention_s, %" PRId64 " seconds, stay\n",
               config->request_id_retention_s);
        before_s = last_s;
    }
    ret->before_ns = before_s < 0 ? 0 : before_s * SG_NS_PER_S;
    return SG_OK;
}

static void on_file(void *arg, const char *path, uint64_t first, uint64_t end)
{
    struct archiving *archiving = arg;

    archiving->taken += end - first;
    printf("archived: leaves %" PRIu64 " to %" PRIu64 " in %s\n", first, end - 1, path);
}

static enum sg_rc archive_log(struct archiving *archiving, const struct sg_store_log *log,
                              const struct sg_note_key *key, struct sg_err *err)
{
    struct sg_audit_archive_options options = archiving->options;

    options.count_max -=
        archiving->taken < options.count_max ? archiving->taken : options.count_max;
    return sg_audit_archive(archiving->archiver, log, key, &options, on_file, archiving, err);
}

/* The epoch before `log`, and those before it: the oldest first. */
static enum sg_rc archive_before(struct archiving *archiving, const struct sg_store_log *log,
                                 struct sg_err *err)
{
    struct sg_store *store = sg_audit_archiver_store(archiving->archiver);
    struct sg_audit_ended ended;
    struct sg_store_log before;

    if (log->epoch <= 1)
        return SG_OK;
    SG_TRY(sg_audit_ended_read(store, log, &ended, err));
    enum sg_rc rc = sg_store_find_epoch(store, log->name, ended.epoch, &before, err);
    if (rc == SG_OK)
        rc = archive_before(archiving, &before, err);
    /* What is broken stays as it is. */
    if (rc == SG_OK && ended.state != SG_EPOCH_BROKEN)
        rc = archive_log(archiving, &before, ended.key, err);
    sg_note_key_free(ended.key);
    return rc;
}

static enum sg_rc archive_all(struct archiving *archiving, struct sg_err *err)
{
    const struct sg_store_log *log = sg_audit_archiver_log(archiving->archiver);

    SG_TRY(archive_before(archiving, log, err));
    return archive_log(archiving, log, sg_audit_archiver_key(archiving->archiver), err);
}

enum sg_rc sg_main_archive(const struct sg_config *config, const struct sg_main_archive *archive,
                           struct sg_err *err)
{
    const struct sg_audit_options options = {.clock = &sg_clock_system,
                                             .store = config->store,
                                             .log = config->audit_log,
                                             .key_file = config->audit_key_file,
                                             .anchor_file = config->audit_anchor_file};
    struct archiving archiving = {0};

    SG_TRY(read_options(config, archive, &archiving.options, err));
    SG_TRY(sg_main_become_gateway(config, err));
    SG_TRY(sg_audit_archiver_new(&options, &archiving.archiver, err));
    enum sg_rc rc = archive_all(&archiving, err);
    sg_audit_archiver_free(archiving.archiver);
    if (rc == SG_OK && archiving.taken == 0)
        printf("nothing to archive: no 256 leaves are old enough, beside the newest 256, which "
               "stay\n");
    return rc;
}
