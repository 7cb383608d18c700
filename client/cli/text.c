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

/* So many digits; moves behind them. */
static bool take_digits(const char **text, unsigned count, int *ret)
{
    *ret = 0;
    for (; count > 0; count--, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *ret = *ret * 10 + (**text - '0');
    }
    return true;
}

static bool take_char(const char **text, char wanted)
{
    if (**text != wanted)
        return false;
    (*text)++;
    return true;
}

/* "2026-01-31". A day that its month does not have comes out as another. */
static bool take_date(const char **text, struct tm *date)
{
    struct tm checked;

    if (!take_digits(text, 4, &date->tm_year) || !take_char(text, '-') ||
        !take_digits(text, 2, &date->tm_mon) || !take_char(text, '-') ||
        !take_digits(text, 2, &date->tm_mday))
        return false;
    date->tm_year -= 1900;
    date->tm_mon -= 1;
    checked = *date;
    return date->tm_year >= 70 && date->tm_year <= 300 && timegm(&checked) >= 0 &&
           checked.tm_mon == date->tm_mon && checked.tm_mday == date->tm_mday;
}

/* "09:05", and ":07.25" perhaps. */
static bool take_clock(const char **text, struct tm *date, int64_t *ret_ns)
{
    int64_t unit = 100000000;

    *ret_ns = 0;
    if (!take_digits(text, 2, &date->tm_hour) || !take_char(text, ':') ||
        !take_digits(text, 2, &date->tm_min) || date->tm_hour > 23 || date->tm_min > 59)
        return false;
    if (!take_char(text, ':'))
        return true;
    if (!take_digits(text, 2, &date->tm_sec) || date->tm_sec > 59)
        return false;
    if (!take_char(text, '.'))
        return true;
    if (**text < '0' || **text > '9')
        return false;
    for (int digit; unit > 0 && take_digits(text, 1, &digit); unit /= 10)
        *ret_ns += digit * unit;
    return true;
}

/* "Z", "+07:00" or nothing; seconds east of UTC. */
static bool take_zone(const char **text, int64_t *ret_s)
{
    int hours, minutes, sign = **text == '-' ? -1 : 1;

    *ret_s = 0;
    if (**text == '\0' || take_char(text, 'Z'))
        return true;
    if (!(take_char(text, '+') || take_char(text, '-')) || !take_digits(text, 2, &hours) ||
        !take_char(text, ':') || !take_digits(text, 2, &minutes) || hours > 14 || minutes > 59)
        return false;
    *ret_s = (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

bool sg_cli_read_time(const char *text, int64_t *ret_ns)
{
    struct tm date = {0};
    int64_t ns = 0, zone_s = 0, s;

    if (!take_date(&text, &date))
        return false;
    if (*text != '\0' && (!(take_char(&text, 'T') || take_char(&text, ' ')) ||
                          !take_clock(&text, &date, &ns) || !take_zone(&text, &zone_s)))
        return false;
    s = (int64_t)timegm(&date) - zone_s;
    if (*text != '\0' || s < 0 || s > INT64_MAX / SG_NS_PER_S - 1)
        return false;
    *ret_ns = s * SG_NS_PER_S + ns;
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
    static const char *const names[] = {"unset",       "up",      "down",    "probing",
                                        "pin-latched", "suspect", "draining"};
    return pick(names, SG_COUNT(names), state);
}

const char *sg_cli_health_name(int health)
{
    static const char *const names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    return pick(names, SG_COUNT(names), health);
}
