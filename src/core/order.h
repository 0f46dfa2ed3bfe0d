/* Putting rows in order: the standard order of the table, and a stable sort that costs little where little changed. Pure. */
#ifndef DASKTOP_CORE_ORDER_H
#define DASKTOP_CORE_ORDER_H

#include "core/view.h"

/* Verdict, then cost (the dearest first, unknown last). */
int order_standard(const ViewRow *a, const ViewRow *b);
/* The greater first; NAN last. */
int order_numbers_down(double a, double b);

typedef int (*OrderCompare)(const void *a, const void *b, const void *user);
/* Sorts count items of size bytes, of which the first `sorted` are in order most likely; scratch has room for as many. */
void order_sort_tail(void *items, void *scratch, size_t count, size_t sorted, size_t size, OrderCompare compare,
                     const void *user);

#endif
