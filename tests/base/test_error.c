#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

static void the_line_leaves_out_what_is_empty(void **state)
{
    (void)state;
    Error error = {0};
    char line[ERROR_LINE];
    assert_false(error_set(&error, ERROR_DENIED, "prod", "ask ada", "port %d is closed", 7));
    assert_string_equal(error_line(&error, line, sizeof line), "prod: port 7 is closed: ask ada");
    error_set(&error, ERROR_DENIED, NULL, NULL, "no");
    assert_string_equal(error_line(&error, line, sizeof line), "no");
    error_set(&error, ERROR_DENIED, NULL, "try", "no");
    assert_string_equal(error_line(&error, line, sizeof line), "no: try");
    error = (Error){.code = ERROR_CONFLICT};
    assert_string_equal(error_line(&error, line, sizeof line), "conflict");
    assert_false(error_set(NULL, ERROR_DENIED, "prod", NULL, "nobody listens"));
    error_at(NULL, "prod");
}

static void parts_are_clean_and_bounded(void **state)
{
    (void)state;
    Error error = {0};
    char line[ERROR_LINE], small[20], large[5000];
    memset(large, 0, sizeof large);
    for (size_t i = 0; i + 2 < sizeof large; i += 2)
        memcpy(large + i, "\xc3\xa9", 2);
    error_set(&error, ERROR_BAD_REPLY, large, large, "x%s", large);
    assert_true(text_is_clean(error.where, strlen(error.where)) && strlen(error.where) < sizeof error.where);
    assert_true(text_is_clean(error.what, strlen(error.what)) && strlen(error.what) < sizeof error.what);
    assert_true(text_is_clean(error.hint, strlen(error.hint)) && strlen(error.hint) < sizeof error.hint);
    error_line(&error, line, sizeof line);
    assert_true(strlen(line) == strlen(error.where) + strlen(error.what) + strlen(error.hint) + 4);
    assert_true(strlen(error_line(&error, small, sizeof small)) == sizeof small - 1);
    error_set(&error, ERROR_BAD_REPLY, "a\033[2J", NULL, "said: %s", "\xe2\x80\xae\n\xff");
    assert_string_equal(error.where, "a<1B>[2J");
    assert_string_equal(error.what, "said: <U+202E><0A>\xef\xbf\xbd");
}

static void an_error_may_be_told_in_its_own_words(void **state)
{
    (void)state;
    Error error = {0};
    error_set(&error, ERROR_BUSY, "n1", "wait", "full");
    error.retry_after_s = 9;
    error_set(&error, ERROR_TIMEOUT, error.where, error.hint, "first %s", error.what);
    assert_string_equal(error.where, "n1");
    assert_string_equal(error.what, "first full");
    assert_string_equal(error.hint, "wait");
    assert_int_equal(error.retry_after_s, 0);
    error_at(&error, "prod");
    assert_string_equal(error.where, "prod: n1");
    error_at(&error, error.where);
    assert_string_equal(error.where, "prod: n1: prod: n1");
    assert_int_equal(error.code, ERROR_TIMEOUT);
}

static void system_errors_get_the_right_code(void **state)
{
    (void)state;
    Error error = {0};
    error_errno(&error, ENOENT, "/x", "it cannot be %s", "read");
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_string_equal(error.what, "it cannot be read: No such file or directory");
    error_errno(&error, EACCES, NULL, "x");
    assert_int_equal(error.code, ERROR_DENIED);
    error_errno(&error, EPERM, NULL, "x");
    assert_int_equal(error.code, ERROR_DENIED);
    error_errno(&error, EMFILE, NULL, "x");
    assert_int_equal(error.code, ERROR_INTERNAL);
}

/* The contract's table, to the letter. */
static void codes_are_those_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        ErrorCode code;
        int status, rpc;
    } wanted[] = {{ERROR_OK, 0, 0},
                  {ERROR_UNREACHABLE, 1, -32005},
                  {ERROR_BAD_REPLY, 1, -32005},
                  {ERROR_INTERNAL, 1, -32603},
                  {ERROR_USAGE, 2, -32602},
                  {ERROR_PARTIAL, 3, 0},
                  {ERROR_NOT_FOUND, 4, -32002},
                  {ERROR_AMBIGUOUS, 5, 0},
                  {ERROR_DENIED, 6, -32001},
                  {ERROR_UNSUPPORTED, 6, -32004},
                  {ERROR_CONFLICT, 6, -32003},
                  {ERROR_READ_ONLY, 6, -32001},
                  {ERROR_NOT_CONFIRMED, 6, 0},
                  {ERROR_TIMEOUT, 7, -32006},
                  {ERROR_BUSY, 7, -32006},
                  {ERROR_CANCELLED, 130, -32800}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_int_equal(error_exit(wanted[i].code), wanted[i].status);
        assert_int_equal(error_rpc(wanted[i].code), wanted[i].rpc);
    }
    for (int code = 0; code < ERROR_COUNT; code++) {
        assert_non_null(error_word((ErrorCode)code));
        if (error_rpc((ErrorCode)code)) /* what goes out and comes back ends the program in the same way */
            assert_int_equal(error_exit(error_from_rpc(error_rpc((ErrorCode)code))), error_exit((ErrorCode)code));
    }
    assert_int_equal(error_from_rpc(-32601), ERROR_UNSUPPORTED);
    assert_int_equal(error_from_rpc(0), ERROR_BAD_REPLY);
    assert_int_equal(error_from_rpc(17), ERROR_BAD_REPLY);
    assert_string_equal(error_word(ERROR_NOT_FOUND), "not-found");
    assert_string_equal(error_word((ErrorCode)99), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_leaves_out_what_is_empty), cmocka_unit_test(parts_are_clean_and_bounded),
        cmocka_unit_test(an_error_may_be_told_in_its_own_words), cmocka_unit_test(system_errors_get_the_right_code),
        cmocka_unit_test(codes_are_those_of_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
