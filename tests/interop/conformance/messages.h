#ifndef SG_TESTS_CONFORMANCE_MESSAGES_H
#define SG_TESTS_CONFORMANCE_MESSAGES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "connectrpc/conformance/v1/client_compat.pb-c.h"
#include "connectrpc/conformance/v1/server_compat.pb-c.h"
#include "connectrpc/conformance/v1/service.pb-c.h"
#include "methods.h"

/* The messages of the conformance suite, by shorter names than protoc-gen-c gives them. */
#define CONF(name) Connectrpc__Conformance__V1__##name
#define CONF_DESC(name) (&connectrpc__conformance__v1__##name##__descriptor)

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: not %s\n", SG_WHERE, #cond);                                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* From the arena, cleared; aborts when it is full. */
static inline void *conf_alloc(struct sg_arena *arena, size_t len)
{
    void *ptr = sg_arena_zalloc(arena, len);
    REQUIRE(ptr != NULL);
    return ptr;
}

/* A message of the arena's, as its `init` leaves it. */
static inline void *conf_new(struct sg_arena *arena, const ProtobufCMessageDescriptor *desc)
{
    void *message = conf_alloc(arena, desc->sizeof_message);
    protobuf_c_message_init(desc, message);
    return message;
}
#define CONF_NEW(arena, Type, name) ((CONF(Type) *)conf_new(arena, CONF_DESC(name)))

static inline ProtobufCBinaryData conf_bytes(struct sg_arena *arena, struct sg_slice slice)
{
    ProtobufCBinaryData bytes = {.len = slice.len, .data = conf_alloc(arena, slice.len + 1)};
    if (slice.len > 0)
        memcpy(bytes.data, slice.ptr, slice.len);
    return bytes;
}

#endif
