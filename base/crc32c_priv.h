#ifndef SG_BASE_CRC32C_PRIV_H
#define SG_BASE_CRC32C_PRIV_H

#include "base/crc32c.h"

/* The two ways sg_crc32c() chooses from, apart for tests. The second may be called only where
 * sg_crc32c_has_sse42() says so. */
uint32_t sg_crc32c_table(struct sg_slice bytes);
bool sg_crc32c_has_sse42(void);
uint32_t sg_crc32c_sse42(struct sg_slice bytes);

#endif
