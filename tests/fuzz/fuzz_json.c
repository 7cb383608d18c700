#include <stdlib.h>

#include "proto/json/json.h"
#include "proto/pb/unpack.h"
#include "tests/support/all_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const desc = &test__all_types__descriptor;

enum { SCRATCH = 1 << 20, BYTES_MAX = 1 << 20 };

/* As protobuf-c packs what these bytes mean. False: they mean nothing. */
static bool repack(struct sg_slice wire, struct sg_buf *out)
{
    struct sg_arena arena;
    ProtobufCMessage *message;
    sg_arena_init(&arena, 16 << 20);
    bool ok = sg_pb_unpack(desc, wire, &arena, SG_PB_STRICT, &message, NULL) == SG_OK;
    if (ok)
        sg_pb_pack(message, out);
    sg_arena_done(&arena);
    return ok && !out->failed;
}

/* JSON of packed bytes, what that means, and its JSON: the same text. */
static void check_round_trip(struct sg_slice packed)
{
    struct sg_buf text, wire, repacked, again;
    struct sg_err err;
    sg_buf_init(&text, 8 * BYTES_MAX);
    sg_buf_init(&wire, BYTES_MAX);
    sg_buf_init(&repacked, BYTES_MAX);
    sg_buf_init(&again, 8 * BYTES_MAX);
    /* Some have no JSON: a time out of range, an Any of an unknown type. */
    if (sg_json_encode(&all_types, desc, packed, &text, NULL) == SG_OK) {
        enum sg_rc rc = sg_json_decode(&all_types, desc, sg_buf_slice(&text), SCRATCH, &wire, &err);
        if (rc == SG_OK &&
            (!repack(sg_buf_slice(&wire), &repacked) ||
             sg_json_encode(&all_types, desc, sg_buf_slice(&repacked), &again, NULL) != SG_OK ||
             !sg_slice_eq(sg_buf_slice(&again), sg_buf_slice(&text))))
            abort();
        /* Maps from the wire may hold a key twice, and an Any is not read. */
        if (rc != SG_OK && strstr(err.msg, "duplicate") == NULL && strstr(err.msg, "Any") == NULL &&
            err.reason != SG_R_MESSAGE_TOO_LARGE)
            abort();
    }
    sg_buf_done(&text);
    sg_buf_done(&wire);
    sg_buf_done(&repacked);
    sg_buf_done(&again);
}

/*
 * JSON if it begins with '{', else wire bytes. Properties: what is read as JSON is a strictly right
 * message, and what has a JSON comes back from it as it was.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_buf wire, packed;
    if (size > 10000)
        return 0;
    sg_buf_init(&wire, BYTES_MAX);
    sg_buf_init(&packed, BYTES_MAX);
    if (size > 0 && data[0] == '{') {
        if (sg_json_decode(&all_types, desc, sg_slice_of(data, size), SCRATCH, &wire, NULL) ==
            SG_OK) {
            if (!repack(sg_buf_slice(&wire), &packed))
                abort();
            check_round_trip(sg_buf_slice(&packed));
        }
    } else if (repack(sg_slice_of(data, size), &packed)) {
        check_round_trip(sg_buf_slice(&packed));
    }
    sg_buf_done(&wire);
    sg_buf_done(&packed);
    return 0;
}
