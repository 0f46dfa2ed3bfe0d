/* The filter language: words (any column contains it), !not, field:value, age>1d, memory<2GiB; all must hold.
 * Fields are the columns' names (core/columns.h) and owner:me. Pure; a Filter is immutable. */
#ifndef DASKTOP_CORE_FILTER_H
#define DASKTOP_CORE_FILTER_H

#include "base/clock.h"
#include "base/error.h"

typedef struct Filter Filter;
struct ViewRow;

Filter *filter_parse(const char *expression, Error *error); /* "" gives one that holds for all */
void filter_free(Filter *filter);
const char *filter_text(const Filter *filter); /* the expression: two filters are told apart by it, not by their address */
bool filter_ages(const Filter *filter);        /* what it holds for changes as time passes */
bool filter_holds(const Filter *filter, const struct ViewRow *row, Clock now);

#endif
