#ifndef SG_CLI_TEXT_H
#define SG_CLI_TEXT_H

#include <stdio.h>

#include "base/buf.h"

/* Small forms of text: what people and terminals read. */

/*
 * Text from a server or a file onto a terminal: control characters (which could move the cursor or
 * rename the window) and bytes that are not UTF-8 become \xNN.
 */
void sg_cli_clean(struct sg_slice text, struct sg_buf *out);
/* The same, printed. */
void sg_cli_put(FILE *file, const char *text);

/* Lower-case hex. */
void sg_cli_hex(struct sg_slice bytes, struct sg_buf *out);
/* Both cases; an odd number of digits or any other character: SG_E_INVALID. */
SG_MUST_USE enum sg_rc sg_cli_unhex(const char *text, struct sg_buf *out, struct sg_err *err);

/* "2026-01-31T09:05:07.123456Z" into `out`, which it returns; "-" for 0. */
enum { SG_CLI_TIME_BYTES = 40 };
const char *sg_cli_time(int64_t time_ns, char out[SG_CLI_TIME_BYTES]);

/*
 * A moment: "2026-01-31", which is when that day began, "2026-01-31T09:05", or with seconds and a
 * fraction of them; behind the time "Z" or "+07:00" may say the zone, which is UTC otherwise. Not
 * before 1970.
 */
bool sg_cli_read_time(const char *text, int64_t *ret_ns);

/* A whole number from `min` to `max`, digits only. */
bool sg_cli_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
/* Seconds with at most three decimals, as milliseconds: "5", "0.25". From 1 ms to one day. */
bool sg_cli_seconds(const char *text, uint32_t *ret_ms);

/* The enums by name; "unset" for a number that is none. */
const char *sg_cli_encoding_name(int encoding); /* "der", "raw" */
const char *sg_cli_key_state_name(int state);   /* "active", ... */
const char *sg_cli_token_state_name(int state); /* "up", ... */
const char *sg_cli_health_name(int health);     /* "SERVING", as grpc.health.v1 has it */

#endif
