#include "core/order.h"

#include <math.h>
#include <string.h>

int order_numbers_down(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return (a < b) - (a > b);
}

int order_standard(const ViewRow *a, const ViewRow *b)
{
    if (a->verdict.state != b->verdict.state)
        return a->verdict.state < b->verdict.state ? -1 : 1;
    return order_numbers_down(a->per_hour, b->per_hour);
}

typedef struct Sort {
    size_t size;
    OrderCompare compare;
    const void *user;
} Sort;

static bool in_order(const Sort *sort, const char *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (sort->compare(items + (i - 1) * sort->size, items + i * sort->size, sort->user) > 0)
            return false;
    return true;
}

/* Two sorted runs that lie one after the other. */
static void merge(const Sort *sort, char *items, char *scratch, size_t left, size_t count)
{
    if (left == 0 || left == count)
        return;
    size_t size = sort->size;
    memcpy(scratch, items, left * size);
    size_t i = 0, j = left;
    for (size_t k = 0; i < left; k++) {
        bool first = j == count || sort->compare(scratch + i * size, items + j * size, sort->user) <= 0;
        memmove(items + k * size, first ? scratch + i * size : items + j * size, size);
        *(first ? &i : &j) += 1;
    }
}

static void sort_run(const Sort *sort, char *items, char *scratch, size_t count)
{
    if (count < 2)
        return;
    size_t left = count / 2;
    sort_run(sort, items, scratch, left);
    sort_run(sort, items + left * sort->size, scratch, count - left);
    if (sort->compare(items + (left - 1) * sort->size, items + left * sort->size, sort->user) > 0)
        merge(sort, items, scratch, left, count);
}

void order_sort_tail(void *items, void *scratch, size_t count, size_t sorted, size_t size, OrderCompare compare,
                     const void *user)
{
    Sort sort = {size, compare, user};
    char *bytes = items;
    /* what a column prints may have moved without its record: stamps do */
    if (!in_order(&sort, bytes, sorted))
        sort_run(&sort, bytes, scratch, sorted);
    sort_run(&sort, bytes + sorted * size, scratch, count - sorted);
    merge(&sort, bytes, scratch, sorted, count);
}
