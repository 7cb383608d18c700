#include "proto/pb/descriptors.h"

#include <stdlib.h>

/* As strcmp would order them: by bytes, the shorter first. */
static int compare(struct sg_slice wanted, const char *name)
{
    size_t len = strlen(name);
    size_t common = wanted.len < len ? wanted.len : len;
    int order = common == 0 ? 0 : memcmp(wanted.ptr, name, common);
    return order != 0 ? order : (wanted.len > len) - (wanted.len < len);
}

static int compare_file(const void *wanted, const void *file)
{
    return compare(*(const struct sg_slice *)wanted, ((const struct sg_proto_file *)file)->name);
}

static int compare_symbol(const void *wanted, const void *symbol)
{
    return compare(*(const struct sg_slice *)wanted,
                   ((const struct sg_proto_symbol *)symbol)->name);
}

const struct sg_proto_file *sg_descriptors_file(const struct sg_descriptor_set *set,
                                                struct sg_slice name)
{
    return bsearch(&name, set->files, set->file_count, sizeof(*set->files), compare_file);
}

const struct sg_proto_symbol *sg_descriptors_symbol(const struct sg_descriptor_set *set,
                                                    struct sg_slice name)
{
    return bsearch(&name, set->symbols, set->symbol_count, sizeof(*set->symbols), compare_symbol);
}

size_t sg_descriptors_closure(const struct sg_descriptor_set *set, const struct sg_proto_file *file,
                              sg_proto_file_set *sent, const struct sg_proto_file **ret)
{
    SG_ASSERT(set->file_count <= SG_PROTO_FILES_MAX);
    size_t count = 0;
    *sent |= (sg_proto_file_set)1 << (file - set->files);
    ret[count++] = file;
    /* `ret` is the queue as well: every file is in it once at most. */
    for (size_t next = 0; next < count; next++) {
        for (size_t i = 0; i < ret[next]->dep_count; i++) {
            uint16_t dep = ret[next]->deps[i];
            if ((*sent >> dep & 1) != 0)
                continue;
            *sent |= (sg_proto_file_set)1 << dep;
            ret[count++] = &set->files[dep];
        }
    }
    return count;
}
