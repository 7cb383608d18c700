#include <stdio.h>
#include <stdlib.h>

#include "tests/support/audit_maker.h"

/*
 * write FOLDER: a log of 300 leaves, of which receipts and exports are written into the folder for
 * judges that are not ours; and, beside them, files that somebody forged who could compute hashes
 * but had not the log's key.
 */

enum { LEAVES = 300 };
static const char origin[] = "sealgate.example/log-1";

static void save(const char *folder, const char *name, struct sg_buf *bytes)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (bytes->failed || file == NULL || fwrite(bytes->ptr, 1, bytes->len, file) != bytes->len ||
        fclose(file) != 0) {
        fprintf(stderr, "could not write \"%s\"\n", path);
        exit(1);
    }
    sg_buf_clear(bytes);
}

static void save_receipt(struct audit_maker *maker, const char *folder, uint64_t index,
                         uint64_t size, struct sg_buf *bytes)
{
    char name[64];
    audit_maker_receipt(maker, index, size, bytes);
    snprintf(name, sizeof(name), "good-%llu-%llu.receipt", (unsigned long long)index,
             (unsigned long long)size);
    save(folder, name, bytes);
}

static void save_export(struct audit_maker *maker, const char *folder, uint64_t first, uint64_t end,
                        uint64_t size, struct sg_buf *bytes)
{
    char name[96];
    audit_maker_export(maker, first, end, size, bytes);
    snprintf(name, sizeof(name), "good-%llu-%llu-%llu.export", (unsigned long long)first,
             (unsigned long long)end, (unsigned long long)size);
    save(folder, name, bytes);
}

/* The kept checkpoint, and how the log grew from it. */
static void save_growth(struct audit_maker *maker, const char *folder, uint64_t old_size,
                        uint64_t size, struct sg_buf *bytes)
{
    char name[96];
    audit_maker_checkpoint(maker, old_size, bytes);
    snprintf(name, sizeof(name), "kept-%llu.checkpoint", (unsigned long long)old_size);
    save(folder, name, bytes);
    audit_maker_growth_file(maker, old_size, size, bytes);
    snprintf(name, sizeof(name), "grown-%llu-%llu.growth", (unsigned long long)old_size,
             (unsigned long long)size);
    save(folder, name, bytes);
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = {1, 2, 3, 7, 8, 9, 64, 65, 255, 256, 257, LEAVES};
    struct sg_buf bytes;
    if (argc != 2)
        return 2;
    sg_buf_init(&bytes, 16 * 1024 * 1024);
    struct audit_maker *maker = audit_maker_new(origin, 1), *forger = audit_maker_new(origin, 2);
    audit_maker_grow(maker, LEAVES);

    sg_note_key_write(audit_maker_key(maker), &bytes);
    save(argv[1], "key", &bytes);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t size = sizes[i];
        save_receipt(maker, argv[1], 0, size, &bytes);
        save_receipt(maker, argv[1], size / 2, size, &bytes);
        save_receipt(maker, argv[1], size - 1, LEAVES, &bytes);
        save_export(maker, argv[1], 0, size, size, &bytes);
        save_export(maker, argv[1], 0, size, LEAVES, &bytes);
        save_export(maker, argv[1], size / 3, size, LEAVES, &bytes);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        save_growth(maker, argv[1], sizes[i], LEAVES, &bytes);
    save_growth(maker, argv[1], 7, 8, &bytes);
    save_export(maker, argv[1], 0, 0, LEAVES, &bytes);
    save_export(maker, argv[1], 7, 7, LEAVES, &bytes);

    audit_maker_grow(forger, LEAVES);
    audit_maker_receipt(forger, 5, LEAVES, &bytes);
    save(argv[1], "forged.receipt", &bytes);
    audit_maker_export(forger, 0, 9, LEAVES, &bytes);
    save(argv[1], "forged.export", &bytes);
    audit_maker_free(maker);
    audit_maker_free(forger);
    sg_buf_done(&bytes);
    return 0;
}
