/*
 * What a record costs in the store alone: appends groups of one size for some time, and prints one
 * line of name=value. Syncs are counted by standing in front of libc's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/store/store.h"

enum { RECORD_BYTES = 400, CHECKPOINT_BYTES = 300 };

static unsigned long syncs;

__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fsync(int fd);

int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fsync, fd);
}

static struct sg_store_leaf leaves[SG_STORE_GROUP_MAX];
static struct sg_store_tile tiles[8];
static uint8_t record[RECORD_BYTES], checkpoint[CHECKPOINT_BYTES];

/* As requests of UUIDv7 come: time first, then random. */
static void set_key(uint8_t *key, uint64_t number)
{
    for (int i = 0; i < 6; i++)
        key[i] = (uint8_t)((number / 64) >> (40 - 8 * i));
    uint64_t random = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 6; i < SG_STORE_REQUEST_KEY_BYTES; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        key[i] = (uint8_t)(random >> 24);
    }
}

static void fill_group(struct sg_store_group *group, const struct sg_store_log *log, uint64_t size,
                       size_t count)
{
    *group = (struct sg_store_group){.log_id = log->id,
                                     .old_size = size,
                                     .leaves = leaves,
                                     .leaf_count = count,
                                     .tiles = tiles,
                                     .checkpoint = sg_slice_of(checkpoint, sizeof(checkpoint))};
    for (size_t i = 0; i < count; i++) {
        leaves[i].record = sg_slice_of(record, sizeof(record));
        set_key(leaves[i].request_key, size + i);
    }
    for (uint64_t full = size / 256; full < (size + count) / 256; full++)
        tiles[group->tile_count++] = (struct sg_store_tile){.index = full};
}

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int fail(const struct sg_err *err)
{
    fprintf(stderr, "bench_store: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    struct sg_store *store = NULL;
    struct sg_store_log log = {.name = "bench", .origin = "bench", .epoch = 1};
    struct sg_store_group group;
    struct sg_err err = {0};
    unsigned from;

    if (argc != 4) {
        fputs("usage: bench_store STORE GROUP MS\n", stderr);
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10);
    int64_t ms = strtoll(argv[3], NULL, 10);
    if (count < 1 || count > SG_STORE_GROUP_MAX || ms < 1)
        return 2;
    for (size_t i = 0; i < sizeof(record); i++)
        record[i] = (uint8_t)(i * 131 + i * i);
    fill_group(&group, &log, 0, 1);
    if (sg_store_migrate(argv[1], &from, &err) != SG_OK ||
        sg_store_open(argv[1], &store, &err) != SG_OK ||
        sg_store_create_log(store, &log, NULL, &group, &err) != SG_OK)
        return fail(&err);

    uint64_t size = log.size, records = 0, commits = 0;
    int64_t begin = sg_mono_ns(&sg_clock_system), end = begin + ms * SG_NS_PER_MS, now = begin;
    double before = cpu_us();
    syncs = 0;
    while (now < end) {
        enum sg_store_outcome outcome = SG_STORE_UNSET;
        fill_group(&group, &log, size, count);
        if (sg_store_append(store, &group, &outcome, &err) != SG_OK)
            return fail(&err);
        if (outcome != SG_STORE_WRITTEN)
            return 3;
        size += count;
        records += count;
        commits++;
        now = sg_mono_ns(&sg_clock_system);
    }
    double spent = cpu_us() - before, seconds = (double)(now - begin) / 1e9;
    printf("records=%llu commits=%llu per_s=%.0f cpu_us=%.0f us_per_record=%.2f "
           "syncs_per_commit=%.3f\n",
           (unsigned long long)records, (unsigned long long)commits, (double)records / seconds,
           spent, spent / (double)records, (double)syncs / (double)commits);
    sg_store_close(store);
    return 0;
}
