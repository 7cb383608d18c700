#ifndef SG_PROTO_PB_DESCRIPTORS_H
#define SG_PROTO_PB_DESCRIPTORS_H

#include "base/err.h"
#include "base/slice.h"

/*
 * The .proto files as data, for server reflection. protobuf-c keeps no FileDescriptorProto, so
 * the build embeds them (ops/build/gen_methods.py makes generated/descriptors.[ch]); the table
 * has no comments in it. Everything is constant and lives as long as the program.
 *
 * Thread: any.
 */
struct sg_proto_file {
    const char *name;      /* "sealgate/v1/signing.proto" */
    struct sg_slice bytes; /* google.protobuf.FileDescriptorProto, encoded */
    const uint16_t *deps;  /* indexes of the files it imports, in the order of its imports */
    size_t dep_count;
};

struct sg_proto_symbol {
    const char *name; /* full name without a leading dot */
    uint16_t file;    /* index of the file that declares it */
    bool is_message;
};

struct sg_descriptor_set {
    const struct sg_proto_file *files; /* sorted by name */
    size_t file_count;
    const struct sg_proto_symbol *symbols; /* sorted by name */
    size_t symbol_count;
    const char *const *services; /* full names, sorted */
    size_t service_count;
};

/* More files than this are not in any set of ours; the generator checks it. */
enum { SG_PROTO_FILES_MAX = 64 };

/* A set of files by their index: what a reflection stream has sent already, for one. */
typedef uint64_t sg_proto_file_set;

/* By exact name, or NULL. */
const struct sg_proto_file *sg_descriptors_file(const struct sg_descriptor_set *set,
                                                struct sg_slice name);
/* The declaration of a message, enum, enum value, field, oneof, service or method, or NULL. */
const struct sg_proto_symbol *sg_descriptors_symbol(const struct sg_descriptor_set *set,
                                                    struct sg_slice name);

/*
 * Writes `file` and, behind it, every file it imports at any depth and that is not in `*sent`;
 * adds them to `*sent`. `ret` has room for SG_PROTO_FILES_MAX. Returns how many. The file itself
 * comes always, first, as clients of reflection expect; the others come in the order in which
 * they are met.
 */
size_t sg_descriptors_closure(const struct sg_descriptor_set *set, const struct sg_proto_file *file,
                              sg_proto_file_set *sent, const struct sg_proto_file **ret);

#endif
