#include "base/crc32c_priv.h"

#include "base/err.h"

/* Of each four bits, for the reflected polynomial 0x82F63B78. Sixteen numbers and not 256: it
 * serves processors that have no instruction for it, on messages of a few kilobytes. */
static const uint32_t of_nibble[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t sg_crc32c_table(struct sg_slice bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.ptr[i];
        crc = crc >> 4 ^ of_nibble[crc & 15];
        crc = crc >> 4 ^ of_nibble[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)

bool sg_crc32c_has_sse42(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) uint32_t sg_crc32c_sse42(struct sg_slice bytes)
{
    uint64_t crc = UINT32_MAX;
    size_t i = 0;
    for (; bytes.len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, bytes.ptr + i, sizeof(word));
        crc = __builtin_ia32_crc32di(crc, word);
    }
    uint32_t low = (uint32_t)crc;
    for (; i < bytes.len; i++)
        low = __builtin_ia32_crc32qi(low, bytes.ptr[i]);
    return ~low;
}

#else

bool sg_crc32c_has_sse42(void)
{
    return false;
}

uint32_t sg_crc32c_sse42(struct sg_slice bytes)
{
    (void)bytes;
    SG_ASSERT(false);
}

#endif

uint32_t sg_crc32c(struct sg_slice bytes)
{
    return sg_crc32c_has_sse42() ? sg_crc32c_sse42(bytes) : sg_crc32c_table(bytes);
}
