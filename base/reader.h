#ifndef SG_BASE_READER_H
#define SG_BASE_READER_H

#include "base/slice.h"

/*
 * A bounds-checked cursor over borrowed bytes. Failure is sticky, as in sg_buf: a read past the
 * end sets `failed`, and that and every later read gives zeros or the empty slice.
 */
struct sg_reader {
    struct sg_slice rest;
    bool failed;
};

static inline struct sg_reader sg_reader_of(struct sg_slice bytes)
{
    return (struct sg_reader){bytes, false};
}

uint8_t sg_read_u8(struct sg_reader *reader);
uint16_t sg_read_be16(struct sg_reader *reader);
uint32_t sg_read_be32(struct sg_reader *reader);
uint64_t sg_read_be64(struct sg_reader *reader);
/* Borrows from the bytes the reader stands on. */
struct sg_slice sg_read_bytes(struct sg_reader *reader, size_t len);

/* Whether everything was read, nothing is left and nothing failed. */
static inline bool sg_reader_is_at_end(const struct sg_reader *reader)
{
    return !reader->failed && reader->rest.len == 0;
}

#endif
