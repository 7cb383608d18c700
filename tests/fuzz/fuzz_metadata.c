#include <stdlib.h>

#include "proto/grpc/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The input is "name\0value". Properties: what we agree to send is read back the same, but for a
 * list of one; what was read is found; the arena's cap holds.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    if (zero == NULL)
        return 0;
    struct sg_slice name = {data, (size_t)(zero - data)};
    struct sg_slice value = {zero + 1, size - name.len - 1};
    struct sg_metadata wire = {0}, own = {0}, again = {0};
    struct sg_arena arena;
    sg_arena_init(&arena, 8192);

    if (sg_metadata_add_wire(&wire, &arena, name, value, NULL) == SG_OK) {
        if (wire.count == 0 || !sg_slice_eq(wire.first->name, name))
            abort();
        if (!sg_metadata_name_is_bin(name) && !sg_slice_eq(sg_metadata_find(&wire, name), value))
            abort();
    }
    if (sg_metadata_add_own(&own, &arena, name, value, NULL) == SG_OK) {
        if (!sg_metadata_value_is_valid(own.first->value) || sg_metadata_name_is_reserved(name))
            abort();
        if (sg_metadata_add_wire(&again, &arena, name, own.first->value, NULL) == SG_OK &&
            (again.count != 1 || !sg_slice_eq(again.first->value, value)))
            abort();
    }
    if (arena.taken > 8192)
        abort();
    sg_arena_done(&arena);
    return 0;
}
