#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void only_times_that_exist_are_times(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "2026-02-30T00:00:00Z",
                                        "2026-02-29T00:00:00Z",
                                        "2026-04-31T00:00:00Z",
                                        "2026-00-10T00:00:00Z",
                                        "2026-01-00T00:00:00Z",
                                        "2026-01-01T24:00:00Z",
                                        "2026-01-01T00:60:00Z",
                                        "2026-01-01T00:00:00",
                                        "2026-01-01T00:00:00Zx",
                                        "2026-01-01T00:00:00+1:00",
                                        "2026-01-01T00:00:00+24:00",
                                        "2026-1-01T00:00:00Z",
                                        "+026-01-01T00:00:00Z",
                                        "2026-01-01",
                                        "2026-01-01T0\xc2\xb2:00:00Z"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_true(time_parse(wrong[i]) == TIME_UNKNOWN);
    assert_true(time_parse("2024-02-29T00:00:00Z") == 1709164800000);
    assert_true(time_parse("2016-12-31T23:59:60Z") == 1483228800000); /* a leap second */
    assert_true(time_parse("1969-12-31T23:59:59.999999999Z") == -1);
    assert_true(time_parse("2026-11-23 06:30:00-0530") == time_parse("2026-11-23t12:00:00z"));
}

static void times_are_written_as_they_are_read(void **state)
{
    (void)state;
    char text[TIME_TEXT];
    static const int64_t times[] = {0, -1, 1, 999, -86400001, 253402300799999, -30610224000000, 1795415400250};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        assert_true(time_parse(time_text(times[i], true, text)) == times[i]);
    assert_string_equal(time_text(-1, true, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(time_text(-1, false, text), "1969-12-31T23:59:59Z");
    /* beyond four digits there is no such stamp: Go's zero time, a driver's garbage */
    static const int64_t nonsense[] = {TIME_UNKNOWN, INT64_MAX, INT64_MIN + 1, 253402300800000, -62135596800000, -30610224000001};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        assert_string_equal(time_text(nonsense[i], true, text), "");
        assert_string_equal(time_short(nonsense[i], 0, text), "");
    }
}

static void evidence_names_the_day_where_it_is_not_today(void **state)
{
    (void)state;
    char text[TIME_TEXT];
    setenv("TZ", "UTC0", 1);
    tzset();
    int64_t now = time_parse("2026-11-23T13:02:00Z");
    assert_string_equal(time_short(now - 60000, now, text), "13:01");
    assert_string_equal(time_short(time_parse("2026-11-22T23:59:00Z"), now, text), "Nov 22 23:59");
    assert_string_equal(time_short(time_parse("2025-11-23T13:02:00Z"), now, text), "2025-11-23");
}

static void durations_are_those_of_the_contract(void **state)
{
    (void)state;
    int64_t ms = -7;
    static const char *const wrong[] = {"", "s", "1", "-1s", "+1s", "1 s", "1S", "1w", "1s2", "1h30m", "0x1s", ".5s", "1.s", "1e3s", " 1s", "99999999999999d"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(duration_parse(wrong[i], &ms));
    assert_false(duration_parse(NULL, &ms));
    assert_true(ms == -7);
    assert_true(duration_parse("3d", &ms) && ms == 3 * 86400000);
    assert_true(duration_parse("250ms", &ms) && ms == 250);
    assert_true(duration_parse("0s", &ms) && ms == 0);
    assert_true(duration_parse("0.0000000001s", &ms) && ms == 0);
}

static void durations_fit_their_columns(void **state)
{
    (void)state;
    char text[TIME_TEXT];
    static const int64_t borders[] = {0, 999, 1000, 59999, 60000, 3599999, 86399999, 86400000, 31535999999, 31536000000, INT64_MAX};
    for (size_t i = 0; i < sizeof borders / sizeof *borders; i++)
        assert_in_range(strlen(duration_short(borders[i], text)), 2, 5);
    assert_string_equal(duration_short(59999, text), "59s");
    assert_string_equal(duration_short(364ll * 86400000, text), "364d");
    assert_string_equal(duration_short(-5, text), "0s"); /* clocks of two machines */
    assert_string_equal(duration_short(TIME_UNKNOWN, text), "");
    assert_string_equal(duration_words(TIME_UNKNOWN, text), "");
    assert_string_equal(duration_words(0, text), "0 s");
    assert_string_equal(duration_words(7200000, text), "2 h");
    assert_string_equal(duration_words(2 * 86400000 + 3600000, text), "2 d 1 h");
    duration_words(INT64_MAX, text);
}

static void clocks_of_two_machines(void **state)
{
    (void)state;
    int64_t now = clock_wall_ms();
    assert_int_equal(clock_ahead_ms(now - 900, 0), 0); /* Date has whole seconds */
    assert_int_equal(clock_ahead_ms(TIME_UNKNOWN, 7), 7);
    assert_int_equal(clock_ahead_ms(INT64_MAX, 7), 7);
    int64_t ahead = clock_ahead_ms(now + 3600000, 0);
    assert_in_range(ahead, 3590000, 3600000);
    assert_int_equal(clock_ahead_ms(now + 3600000 + 1000, ahead), ahead);
    assert_int_equal(clock_ahead_ms(now, ahead), 0);
    assert_int_equal(clock_here_ms(now + ahead, ahead), now);
    assert_int_equal(clock_here_ms(TIME_UNKNOWN, ahead), TIME_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_times_that_exist_are_times), cmocka_unit_test(times_are_written_as_they_are_read),
        cmocka_unit_test(evidence_names_the_day_where_it_is_not_today), cmocka_unit_test(durations_are_those_of_the_contract),
        cmocka_unit_test(durations_fit_their_columns), cmocka_unit_test(clocks_of_two_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
