#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

static void past_the_maximum_nothing_is_added(void **state)
{
    (void)state;
    Buffer buffer;
    buffer_init(&buffer, 10);
    assert_string_equal(buffer.bytes, "");
    assert_true(buffer_text(&buffer, "0123456789")); /* the 0 behind is not counted */
    assert_false(buffer.full);
    assert_false(buffer_char(&buffer, 'x'));
    assert_true(buffer.full);
    assert_string_equal(buffer.bytes, "0123456789");
    buffer_clear(&buffer);
    assert_false(buffer.full);
    assert_string_equal(buffer.bytes, "");
    assert_false(buffer_format(&buffer, "%011d", 1));
    assert_true(buffer.full && buffer.length == 0);
    assert_true(buffer_format(&buffer, "%05d", 1));
    assert_false(buffer_format(&buffer, "%06d", 2)); /* half of it may be written, none of it is there */
    assert_string_equal(buffer.bytes, "00001");
    assert_true(buffer_format(&buffer, "%05d", 2));
    assert_string_equal(buffer.bytes, "0000100002");
    assert_null(buffer_room(&buffer, 1));
    assert_non_null(buffer_room(&buffer, 0));
    assert_null(buffer_room(&buffer, (size_t)-1));
    buffer_done(&buffer);
    assert_string_equal(buffer.bytes, "");
    buffer_init(&buffer, 0);
    assert_true(buffer_text(&buffer, ""));
    assert_false(buffer_char(&buffer, 'x'));
    buffer_done(&buffer);
}

static void what_grows_keeps_its_bytes(void **state)
{
    (void)state;
    Buffer buffer;
    buffer_init(&buffer, BUFFER_ANY);
    for (int i = 0; i < 200000; i++) /* across the border up to which old places are wiped */
        buffer_char(&buffer, (char)(i % 251));
    assert_int_equal(buffer.length, 200000);
    for (int i = 0; i < 200000; i++)
        if (buffer.bytes[i] != (char)(i % 251))
            fail_msg("byte %d", i);
    assert_int_equal(buffer.bytes[200000], 0);
    buffer_cut_front(&buffer, 199998);
    assert_int_equal(buffer.length, 2);
    assert_int_equal(buffer.bytes[0], (char)(199998 % 251));
    buffer_cut_front(&buffer, 3);
    assert_string_equal(buffer.bytes, "");
    buffer_wipe(&buffer);
    assert_int_equal(buffer.capacity, 0);
    buffer_cut_front(&buffer, 1);
    buffer_clear(&buffer);
    buffer_wipe(&buffer);
}

static void the_text_can_be_taken(void **state)
{
    (void)state;
    Buffer buffer;
    buffer_init(&buffer, 5);
    char *text = buffer_take(&buffer);
    assert_string_equal(text, "");
    free(text);
    buffer_text(&buffer, "abc");
    text = buffer_take(&buffer);
    assert_true(buffer.length == 0 && buffer.maximum == 5);
    assert_true(buffer_text(&buffer, "xyz"));
    assert_string_equal(text, "abc");
    free(text);
    buffer_done(&buffer);
}

static void a_list_is_an_argv(void **state)
{
    (void)state;
    List list = {0}, copy = {0};
    assert_false(list_has(&list, "x"));
    for (int i = 0; i < 100; i++) {
        list_format(&list, "%d", i);
        assert_null(list.items[list.count]);
    }
    list_copy(&copy, &list);
    list_done(&list);
    assert_true(list.count == 0 && !list.items);
    assert_int_equal(copy.count, 100);
    assert_true(list_has(&copy, "99") && !list_has(&copy, "100"));
    list_done(&copy);
    list_done(&copy);
}

static void a_secret_keeps_all_of_its_bytes(void **state)
{
    (void)state;
    char bytes[] = "a\0b";
    Secret *secret = secret_new(bytes, 3);
    secret_wipe(bytes, sizeof bytes);
    assert_memory_equal(bytes, "\0\0\0\0", 4);
    assert_int_equal(secret_length(secret), 3);
    assert_memory_equal(secret_reveal(secret), "a\0b\0", 4);
    secret_free(secret);
    secret_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(past_the_maximum_nothing_is_added), cmocka_unit_test(what_grows_keeps_its_bytes),
        cmocka_unit_test(the_text_can_be_taken), cmocka_unit_test(a_list_is_an_argv),
        cmocka_unit_test(a_secret_keeps_all_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
