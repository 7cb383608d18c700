#include "base/reader.h"

struct sg_slice sg_read_bytes(struct sg_reader *reader, size_t len)
{
    if (reader->failed || reader->rest.len < len) {
        reader->failed = true;
        return (struct sg_slice){0};
    }
    return sg_slice_take(&reader->rest, len);
}

/* `len` ≤ 8 bytes as a big-endian number; 0 past the end. */
static uint64_t read_be(struct sg_reader *reader, size_t len)
{
    struct sg_slice bytes = sg_read_bytes(reader, len);
    uint64_t v = 0;

    for (size_t i = 0; i < bytes.len; i++)
        v = v << 8 | bytes.ptr[i];
    return v;
}

uint8_t sg_read_u8(struct sg_reader *reader)
{
    return (uint8_t)read_be(reader, 1);
}

uint16_t sg_read_be16(struct sg_reader *reader)
{
    return (uint16_t)read_be(reader, 2);
}

uint32_t sg_read_be32(struct sg_reader *reader)
{
    return (uint32_t)read_be(reader, 4);
}

uint64_t sg_read_be64(struct sg_reader *reader)
{
    return read_be(reader, 8);
}
