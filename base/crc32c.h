#ifndef SG_BASE_CRC32C_H
#define SG_BASE_CRC32C_H

#include "base/slice.h"

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) of the bytes. Not a protection against people. */
uint32_t sg_crc32c(struct sg_slice bytes);

#endif
