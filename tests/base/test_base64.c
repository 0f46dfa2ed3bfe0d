#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct Pair {
    const char *plain, *coded;
} Pair;

/* RFC 4648, section 10. */
static const Pair pairs[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
                             {"\xff\xfe\xfb", "//77"}};

static void both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        Buffer out;
        buffer_init(&out, 1000);
        base64_encode(pairs[i].plain, strlen(pairs[i].plain), &out);
        assert_string_equal(out.bytes, pairs[i].coded);
        buffer_clear(&out);
        assert_true(base64_decode(pairs[i].coded, &out));
        assert_string_equal(out.bytes, pairs[i].plain);
        buffer_done(&out);
    }
}

static bool decodes(const char *text, const char *to, size_t most)
{
    Buffer out;
    buffer_init(&out, most);
    bool right = base64_decode(text, &out) && strcmp(out.bytes, to) == 0;
    buffer_done(&out);
    return right;
}

static void line_breaks_and_mistakes(void **state)
{
    (void)state;
    assert_true(decodes(" Zm9v\n Ym\r\nE= \n", "fooba", 100));
    const char *const wrong[] = {"Z", "Zg", "Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v====", "Zm9v-", "=", "Zg==Zg==", "Z\x80g="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (decodes(wrong[i], "f", 100) || decodes(wrong[i], "fo", 100) || decodes(wrong[i], "foo", 100))
            fail_msg("%s was taken", wrong[i]);
    assert_false(decodes("Zm9vYmFy", "foobar", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways), cmocka_unit_test(line_breaks_and_mistakes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
