#define PCRE2_CODE_UNIT_WIDTH 8
#include "ui/log_pattern.h"

#include "base/mem.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum { MATCH_LIMIT = 200000, DEPTH_LIMIT = 2000, HEAP_KIB = 4096, STACK_LEAST = 32 << 10, STACK_MOST = 512 << 10 };

struct LogPattern {
    pcre2_code *code, *block; /* block: the same with ^ and $ at each line end; NULL where lines must be looked at one by one */
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    bool anchors; /* a ^ somewhere */
    uint64_t given_up;
    char *text;
};

/* Constructs that see where a text begins or ends, or do not go back: over several lines they may miss what one line has. */
static bool pattern_is_simple(const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '\\') {
            if (!*++at || strchr("AzZGKRXCQEBNDSWHVhvscopPgkx0123456789", *at))
                return false;
        } else if (*at == '(' && (at[1] == '?' || at[1] == '*')) {
            return false;
        } else if ((*at == '+' || *at == '*' || *at == '?' || *at == '}') && at[1] == '+') {
            return false;
        }
    }
    return true;
}

static bool pattern_has_capital(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at >= 'A' && *at <= 'Z' && (at == text || at[-1] != '\\'))
            return true;
    return false;
}

/* Bytes are enough for words in ASCII, and quicker. */
static uint32_t pattern_options(const char *text)
{
    uint32_t options = pattern_has_capital(text) ? 0 : PCRE2_CASELESS;
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at >= 0x80 || strchr(".[]\\^$|()?*+{}", *at))
            return options | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
    return options;
}

LogPattern *log_pattern_new(const char *text, Error *error)
{
    int number;
    PCRE2_SIZE offset;
    uint32_t options = pattern_options(text);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &number, &offset, NULL);
    if (!code) {
        char why[128];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
        error_set(error, ERROR_USAGE, text, NULL, "%s", why);
        return NULL;
    }
    LogPattern *pattern = mem_new(sizeof *pattern);
    pattern->code = code;
    pattern->text = mem_text(text);
    pattern->anchors = strchr(text, '^') != NULL;
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    if (*text && pattern_is_simple(text)) {
        pattern->block = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options | PCRE2_MULTILINE, &number, &offset, NULL);
        if (pattern->block)
            pcre2_jit_compile(pattern->block, PCRE2_JIT_COMPLETE);
    }
    pattern->data = pcre2_match_data_create_from_pattern(code, NULL);
    pattern->context = pcre2_match_context_create(NULL);
    pattern->stack = pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL);
    if (!pattern->data || !pattern->context) {
        log_pattern_free(pattern);
        error_set(error, ERROR_INTERNAL, text, NULL, "there is no memory");
        return NULL;
    }
    pcre2_set_match_limit(pattern->context, MATCH_LIMIT);
    pcre2_set_depth_limit(pattern->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(pattern->context, HEAP_KIB);
    if (pattern->stack)
        pcre2_jit_stack_assign(pattern->context, NULL, pattern->stack);
    return pattern;
}

void log_pattern_free(LogPattern *pattern)
{
    if (!pattern)
        return;
    pcre2_match_data_free(pattern->data);
    pcre2_match_context_free(pattern->context);
    if (pattern->stack)
        pcre2_jit_stack_free(pattern->stack);
    pcre2_code_free(pattern->block);
    pcre2_code_free(pattern->code);
    free(pattern->text);
    free(pattern);
}

const char *log_pattern_text(const LogPattern *pattern)
{
    return pattern->text;
}

uint64_t log_pattern_given_up(const LogPattern *pattern)
{
    return pattern->given_up;
}

bool log_pattern_find(LogPattern *pattern, const char *line, size_t n, size_t from, size_t *begin, size_t *end)
{
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)line, n, from, 0, pattern->data, pattern->context);
    if (found <= 0) {
        pattern->given_up += found != PCRE2_ERROR_NOMATCH;
        return false;
    }
    const PCRE2_SIZE *where = pcre2_get_ovector_pointer(pattern->data);
    *begin = where[0];
    *end = where[1] < where[0] ? where[0] : where[1];
    return true;
}

bool log_pattern_by_block(const LogPattern *pattern, bool prefixed)
{
    return pattern->block && !(prefixed && pattern->anchors);
}

size_t log_pattern_candidate(LogPattern *pattern, const char *bytes, size_t n, size_t from)
{
    int found = pcre2_match(pattern->block, (PCRE2_SPTR)bytes, n, from, 0, pattern->data, pattern->context);
    if (found > 0)
        return pcre2_get_ovector_pointer(pattern->data)[0];
    return found == PCRE2_ERROR_NOMATCH ? n : SIZE_MAX;
}
