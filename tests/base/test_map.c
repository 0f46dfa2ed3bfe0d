#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 40 };

/* Against a plain array, with so few keys that places collide and holes are closed all the time. */
static void any_order_of_changes_is_right(void **state)
{
    (void)state;
    void *wanted[KEYS] = {0};
    Map map;
    char key[16];
    uint32_t random = 7;
    map_init(&map);
    for (intptr_t step = 1; step < 100000; step++) {
        random = random * 1664525u + 1013904223u;
        int i = (int)(random >> 8) % KEYS;
        snprintf(key, sizeof key, "key-%d", i);
        if (random >> 31) {
            assert_ptr_equal(map_put(&map, key, (void *)step), wanted[i]);
            wanted[i] = (void *)step;
        } else {
            assert_ptr_equal(map_remove(&map, key), wanted[i]);
            wanted[i] = NULL;
        }
        size_t used = 0, seen = 0, at = 0;
        for (int k = 0; k < KEYS; k++) {
            snprintf(key, sizeof key, "key-%d", k);
            if (map_get(&map, key) != wanted[k])
                fail_msg("%s after %d steps", key, (int)step);
            used += wanted[k] != NULL;
        }
        for (const MapEntry *entry; (entry = map_next(&map, &at)); seen++)
            assert_ptr_equal(entry->value, wanted[strtol(entry->key + 4, NULL, 10)]);
        assert_true(map.used == used && seen == used);
    }
    map_done(&map, NULL);
}

static void an_empty_value_is_not_an_absent_key(void **state)
{
    (void)state;
    Map map;
    map_init(&map);
    assert_false(map_has(&map, ""));
    assert_null(map_remove(&map, ""));
    map_put(&map, "", NULL);
    assert_true(map_has(&map, ""));
    assert_null(map_get(&map, ""));
    assert_int_equal(map.used, 1);
    map_remove(&map, "");
    assert_false(map_has(&map, ""));
    map_put(&map, "a", mem_text("x"));
    free(map_put(&map, "a", mem_text("y")));
    map_done(&map, free);
    map_done(&map, free);
    assert_true(hash_bytes("ab", 2, 0) != hash_bytes("ab", 2, 1) && hash_bytes("", 0, 0) == hash_text(""));
}

static void borrowed_keys_are_those_of_the_values(void **state)
{
    (void)state;
    Map map;
    char first[] = "key", second[] = "key";
    map_init(&map);
    map.borrows = true;
    map_put(&map, first, first);
    assert_ptr_equal(map_put(&map, second, second), first);
    first[0] = 'x'; /* it went with its value */
    for (int i = 0; i < 20; i++) {
        static char names[20][4];
        snprintf(names[i], sizeof names[i], "%d", i);
        map_put(&map, names[i], names[i]); /* it grows */
    }
    assert_ptr_equal(map_get(&map, "key"), second);
    assert_ptr_equal(map_remove(&map, "key"), second);
    assert_false(map_has(&map, "key"));
    map_done(&map, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_order_of_changes_is_right), cmocka_unit_test(an_empty_value_is_not_an_absent_key), cmocka_unit_test(borrowed_keys_are_those_of_the_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
