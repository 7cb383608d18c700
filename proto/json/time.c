#include <inttypes.h>
#include <stdio.h>

#include "proto/json/json_priv.h"

enum { NANOS_PER_S = 1000000000 };

/* 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, and 10,000 years: timestamp.proto, duration.proto
 */
#define TIMESTAMP_MIN INT64_C(-62135596800)
#define TIMESTAMP_MAX INT64_C(253402300799)
#define DURATION_MAX INT64_C(315576000000)

/* Exactly `digits` digits. */
static bool take_number(struct sg_slice *in, size_t digits, int *ret)
{
    int value = 0;
    if (in->len < digits)
        return false;
    for (struct sg_slice text = sg_slice_take(in, digits); text.len > 0;) {
        uint8_t c = sg_slice_take(&text, 1).ptr[0];
        if (c < '0' || c > '9')
            return false;
        value = 10 * value + (c - '0');
    }
    *ret = value;
    return true;
}

static bool take_char(struct sg_slice *in, char c)
{
    return in->len > 0 && sg_slice_take(in, 1).ptr[0] == (uint8_t)c;
}

/* Nothing, or a point and one to nine digits. */
static bool take_fraction(struct sg_slice *in, int32_t *ret_nanos)
{
    int32_t nanos = 0, unit = NANOS_PER_S / 10;
    *ret_nanos = 0;
    if (in->len == 0 || in->ptr[0] != '.')
        return true;
    (void)sg_slice_take(in, 1);
    for (; unit > 0 && in->len > 0 && in->ptr[0] >= '0' && in->ptr[0] <= '9'; unit /= 10)
        nanos += (sg_slice_take(in, 1).ptr[0] - '0') * unit;
    *ret_nanos = nanos;
    return unit < NANOS_PER_S / 10;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to the first day of a year, in the Gregorian calendar. */
static int64_t days_before_year(int year)
{
    int64_t y = year - 1;
    return 365 * y + y / 4 - y / 100 + y / 400 - 719162;
}

/* Seconds from 1970 on, without the offset. */
static bool take_date_time(struct sg_slice *in, int64_t *ret)
{
    int year, month, day, hour, minute, second;
    if (!take_number(in, 4, &year) || !take_char(in, '-') || !take_number(in, 2, &month) ||
        !take_char(in, '-') || !take_number(in, 2, &day) || !take_char(in, 'T') ||
        !take_number(in, 2, &hour) || !take_char(in, ':') || !take_number(in, 2, &minute) ||
        !take_char(in, ':') || !take_number(in, 2, &second))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t days = days_before_year(year) + day - 1;
    for (int m = 1; m < month; m++)
        days += days_of_month(year, m);
    *ret = days * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

/* "Z", or the seconds that "+07:00" is ahead. */
static bool take_offset(struct sg_slice *in, int64_t *ret)
{
    int hour, minute;
    *ret = 0;
    if (in->len == 0)
        return false;
    uint8_t sign = sg_slice_take(in, 1).ptr[0];
    if (sign == 'Z')
        return true;
    if ((sign != '+' && sign != '-') || !take_number(in, 2, &hour) || !take_char(in, ':') ||
        !take_number(in, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *ret = (sign == '+' ? 1 : -1) * (hour * 3600 + minute * 60);
    return true;
}

bool sg_json_timestamp_parse(struct sg_slice text, struct sg_json_time *ret)
{
    int64_t seconds, offset;
    int32_t nanos;
    if (!take_date_time(&text, &seconds) || !take_fraction(&text, &nanos) ||
        !take_offset(&text, &offset) || text.len > 0)
        return false;
    seconds -= offset;
    if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX)
        return false;
    *ret = (struct sg_json_time){seconds, nanos};
    return true;
}

bool sg_json_duration_parse(struct sg_slice text, struct sg_json_time *ret)
{
    int64_t seconds = 0;
    int32_t nanos;
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    if (is_negative)
        (void)sg_slice_take(&text, 1);
    size_t digits = 0;
    for (; text.len > 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9'; digits++) {
        seconds = 10 * seconds + (sg_slice_take(&text, 1).ptr[0] - '0');
        if (seconds > DURATION_MAX)
            return false;
    }
    if (digits == 0 || !take_fraction(&text, &nanos) || !sg_slice_is(text, "s") ||
        (seconds == DURATION_MAX && nanos > 0))
        return false;
    *ret = is_negative ? (struct sg_json_time){-seconds, -nanos}
                       : (struct sg_json_time){seconds, nanos};
    return true;
}

/* A point and as many digits as are needed, by three; nothing for none. */
static void put_fraction(struct sg_buf *out, int32_t nanos)
{
    if (nanos == 0)
        return;
    if (nanos % 1000000 == 0)
        sg_buf_printf(out, ".%03d", nanos / 1000000);
    else if (nanos % 1000 == 0)
        sg_buf_printf(out, ".%06d", nanos / 1000);
    else
        sg_buf_printf(out, ".%09d", nanos);
}

bool sg_json_timestamp_put(struct sg_buf *out, struct sg_json_time time)
{
    if (time.seconds < TIMESTAMP_MIN || time.seconds > TIMESTAMP_MAX || time.nanos < 0 ||
        time.nanos >= NANOS_PER_S)
        return false;

    int64_t from_first = time.seconds - TIMESTAMP_MIN, days = from_first / 86400;
    int seconds = (int)(from_first % 86400);
    int year = (int)(days / 366) + 1, month = 1; /* no later than the year that it is */
    const int64_t first = days_before_year(1);
    while (days_before_year(year + 1) - first <= days)
        year++;
    int day = (int)(days - (days_before_year(year) - first));
    for (; day >= days_of_month(year, month); month++)
        day -= days_of_month(year, month);

    sg_buf_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d", year, month, day + 1, seconds / 3600,
                  seconds / 60 % 60, seconds % 60);
    put_fraction(out, time.nanos);
    sg_buf_add_str(out, "Z\"");
    return true;
}

bool sg_json_duration_put(struct sg_buf *out, struct sg_json_time time)
{
    bool is_negative = time.seconds < 0 || time.nanos < 0;
    if (time.seconds < -DURATION_MAX || time.seconds > DURATION_MAX || time.nanos <= -NANOS_PER_S ||
        time.nanos >= NANOS_PER_S || (is_negative && (time.seconds > 0 || time.nanos > 0)) ||
        ((time.seconds == DURATION_MAX || time.seconds == -DURATION_MAX) && time.nanos != 0))
        return false;
    sg_buf_printf(out, "\"%s%" PRId64, is_negative ? "-" : "",
                  is_negative ? -time.seconds : time.seconds);
    put_fraction(out, is_negative ? -time.nanos : time.nanos);
    sg_buf_add_str(out, "s\"");
    return true;
}
