#include "core/make.h"

#include "core/order.h"

#include <math.h>

typedef struct Item {
    int key, number;
} Item;

static int by_key(const void *a, const void *b, const void *user)
{
    ++*(size_t *)(uintptr_t)user;
    const Item *left = a, *right = b;
    return (left->key > right->key) - (left->key < right->key);
}

/* Sorted and stable, whatever was said of the beginning. */
static void any_beginning(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (size_t count = 0; count < 70; count++) {
        Item items[70], scratch[70];
        size_t compared = 0, sorted = count ? seed % (count + 1) : 0;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1103515245u + 12345u;
            items[i] = (Item){(int)(seed >> 16) % 9, (int)i};
        }
        order_sort_tail(items, scratch, count, sorted, sizeof(Item), by_key, &compared);
        for (size_t i = 1; i < count; i++)
            assert_true(items[i - 1].key < items[i].key ||
                        (items[i - 1].key == items[i].key && items[i - 1].number < items[i].number));
    }
}

static void few_changes_cost_little(void **state)
{
    (void)state;
    enum { COUNT = 10000, CHANGED = 10 };
    Item *items = mem_new(COUNT * sizeof(Item)), *scratch = mem_new(COUNT * sizeof(Item));
    for (int i = 0; i < COUNT; i++)
        items[i] = (Item){i < COUNT - CHANGED ? i : (i * 7919) % COUNT, i};
    size_t compared = 0;
    order_sort_tail(items, scratch, COUNT, COUNT - CHANGED, sizeof(Item), by_key, &compared);
    assert_true(compared < 2 * COUNT + 100);
    for (int i = 1; i < COUNT; i++)
        assert_true(items[i - 1].key <= items[i].key);
    free(items);
    free(scratch);
}

static void unknown_goes_last(void **state)
{
    (void)state;
    assert_true(order_numbers_down(2, 1) < 0);
    assert_true(order_numbers_down(NAN, 1) > 0);
    assert_true(order_numbers_down(0, NAN) < 0);
    assert_int_equal(order_numbers_down(NAN, NAN), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_beginning),
        cmocka_unit_test(few_changes_cost_little),
        cmocka_unit_test(unknown_goes_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
