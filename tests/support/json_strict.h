#ifndef SG_TESTS_SUPPORT_JSON_STRICT_H
#define SG_TESTS_SUPPORT_JSON_STRICT_H

#include "base/slice.h"

/* Whether the text is one JSON value and nothing else (RFC 8259), well-formed UTF-8, nested at
 * most 32 deep. Knows no extension: no comments, no trailing commas, no leading zeros. */
bool sg_json_is_strict(struct sg_slice text);

#endif
