#ifndef SG_TESTS_SUPPORT_PROM_STRICT_H
#define SG_TESTS_SUPPORT_PROM_STRICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/*
 * A strict reader of Prometheus' text format 0.0.4, with the rules of `promtool check metrics`
 * that are about names: so that pages are judged by other code than wrote them.
 */

/* Whether the page is well-formed; if not, `why` tells the line and the fault. */
bool sg_prom_is_valid(struct sg_slice page, char *why, size_t room);

/* The value of the series written as `series`, such as x_total{a="b"}; -1 when there is none. */
double sg_prom_value(struct sg_slice page, const char *series);

#endif
