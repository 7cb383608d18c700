#include "client/cli/text.h"

#include <time.h>

#include "base/clock.h"
#include "base/utf8.h"

/* C0, DEL, and C1 (U+0080 to U+009F), which old terminals obey too. */
static bool is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

void sg_cli_clean(struct sg_slice text, struct sg_buf *out)
{
    while (text.len > 0) {
        uint32_t character;
        size_t len = sg_utf8_next(text, &character);
        struct sg_slice bytes = sg_slice_take(&text, len == 0 ? 1 : len);

        if (len > 0 && !is_control(character)) {
            sg_buf_add_slice(out, bytes);
            continue;
        }
        for (size_t i = 0; i < bytes.len; i++)
            sg_buf_printf(out, "\\x%02x", bytes.ptr[i]);
    }
}

void sg_cli_put(FILE *file, const char *text)
{
    struct sg_slice bytes = sg_slice_str(text);
    struct sg_buf clean;

    sg_buf_init(&clean, bytes.len * 4 + 1);
    sg_cli_clean(bytes, &clean);
    if (clean.len > 0)
        (void)fwrite(clean.ptr, 1, clean.len, file);
    sg_buf_done(&clean);
}

void sg_cli_hex(struct sg_slice bytes, struct sg_buf *out)
{
    for (size_t i = 0; i < bytes.len; i++)
        sg_buf_printf(out, "%02x", bytes.ptr[i]);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum sg_rc sg_cli_unhex(const char *text, struct sg_buf *out, struct sg_err *err)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (hex_digit(text[i]) < 0 || len % 2 != 0)
            return SG_FAIL(err, SG_E_INVALID, 0, "could not read \"%.80s\": it is not hex", text);
    for (size_t i = 0; i < len; i += 2)
        sg_buf_add_u8(out, (uint8_t)(hex_digit(text[i]) << 4 | hex_digit(text[i + 1])));
    return sg_buf_check(out, err);
}

const char *sg_cli_time(int64_t time_ns, char out[SG_CLI_TIME_BYTES])
{
    time_t seconds = (time_t)(time_ns / SG_NS_PER_S);
    struct tm utc;
    size_t len;

    if (time_ns <= 0 || gmtime_r(&seconds, &utc) == NULL)
        return "-";
    len = strftime(out, SG_CLI_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out + len, SG_CLI_TIME_BYTES - len, ".%06uZ",
                   (unsigned)(time_ns % SG_NS_PER_S / 1000));
    return out;
}

bool sg_cli_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    if (value < min || value > max)
        return false;
    *ret = value;
    return true;
}

bool sg_cli_seconds(const char *text, uint32_t *ret_ms)
{
    const char *point = strchr(text, '.');
    char whole[8], decimals[4] = "000";
    size_t whole_len = point == NULL ? strlen(text) : (size_t)(point - text);
    size_t decimals_len = point == NULL ? 0 : strlen(point + 1);
    uint64_t seconds, ms;

    if (whole_len >= sizeof(whole) || decimals_len > 3 || (point != NULL && decimals_len == 0))
        return false;
    memcpy(whole, text, whole_len);
    whole[whole_len] = '\0';
    if (decimals_len > 0)
        memcpy(decimals, point + 1, decimals_len);
    if (!sg_cli_number(whole, 0, 86400, &seconds) || !sg_cli_number(decimals, 0, 999, &ms))
        return false;
    ms += seconds * 1000;
    if (ms < 1 || ms > 86400000)
        return false;
    *ret_ms = (uint32_t)ms;
    return true;
}

static const char *pick(const char *const *names, size_t count, int number)
{
    return number >= 0 && (size_t)number < count ? names[number] : "unset";
}

const char *sg_cli_encoding_name(int encoding)
{
    static const char *const names[] = {"unset", "der", "raw"};
    return pick(names, SG_COUNT(names), encoding);
}

const char *sg_cli_key_state_name(int state)
{
    static const char *const names[] = {"unset", "active", "loading", "unusable", "quarantined"};
    return pick(names, SG_COUNT(names), state);
}

const char *sg_cli_token_state_name(int state)
{
    static const char *const names[] = {"unset", "up", "down", "probing", "pin-latched"};
    return pick(names, SG_COUNT(names), state);
}

const char *sg_cli_health_name(int health)
{
    static const char *const names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    return pick(names, SG_COUNT(names), health);
}
