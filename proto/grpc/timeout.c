#include "proto/grpc/timeout.h"

#include <stdio.h>

static const struct unit {
    char letter;
    int64_t ns;
} units[] = {
    {'n', 1},
    {'u', 1000},
    {'m', 1000000},
    {'S', 1000000000},
    {'M', 60 * INT64_C(1000000000)},
    {'H', 3600 * INT64_C(1000000000)},
};

enum { DIGITS_MAX = 8, VALUE_MAX = 99999999 };

static const struct unit *unit_find(uint8_t letter)
{
    for (size_t i = 0; i < SG_COUNT(units); i++)
        if (letter == (uint8_t)units[i].letter)
            return &units[i];
    return NULL;
}

enum sg_rc sg_timeout_parse(struct sg_slice text, int64_t *ret_ns, struct sg_err *err)
{
    const struct unit *unit = text.len == 0 ? NULL : unit_find(text.ptr[text.len - 1]);
    if (unit == NULL || text.len < 2 || text.len > DIGITS_MAX + 1)
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST,
                         "grpc-timeout is not one to eight digits and a unit");

    int64_t value = 0;
    for (size_t i = 0; i < text.len - 1; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return SG_REFUSE(err, SG_R_MALFORMED_REQUEST,
                             "grpc-timeout has a byte that is no digit");
        value = value * 10 + (text.ptr[i] - '0');
    }

    *ret_ns = value > INT64_MAX / unit->ns ? INT64_MAX : value * unit->ns;
    return SG_OK;
}

size_t sg_timeout_format(int64_t ns, char text[SG_TIMEOUT_TEXT_MAX])
{
    if (ns < 1)
        ns = 1;

    const struct unit *unit = units;
    int64_t value = ns;
    while (value > VALUE_MAX && unit < &units[SG_COUNT(units) - 1]) {
        unit++;
        value = ns / unit->ns + (ns % unit->ns != 0);
    }
    return (size_t)snprintf(text, SG_TIMEOUT_TEXT_MAX, "%d%c", (int)value, unit->letter);
}
