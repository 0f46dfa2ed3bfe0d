/* A regular expression over log lines (PCRE2, compiled to machine code where that is possible). How much one match may cost is bounded:
 * a line that costs more does not match, and is counted. One thread at a time; each thread makes its own from the text. */
#ifndef DASKTOP_UI_LOG_PATTERN_H
#define DASKTOP_UI_LOG_PATTERN_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LogPattern LogPattern;

/* Without a capital letter it fits both cases, as `less -i` does. NULL with an error where it is none. */
LogPattern *log_pattern_new(const char *text, Error *error);
void log_pattern_free(LogPattern *pattern); /* NULL is allowed */
const char *log_pattern_text(const LogPattern *pattern);
uint64_t log_pattern_given_up(const LogPattern *pattern); /* lines that were too dear */

/* Its first match in a line, at or behind `from`. */
bool log_pattern_find(LogPattern *pattern, const char *line, size_t n, size_t from, size_t *begin, size_t *end);

/* Whether many lines may be looked through at once: no line that matches by itself is passed over then, but what is found must be
 * matched again by its line alone. `prefixed`: something stands in front of each line, that no pattern fits. */
bool log_pattern_by_block(const LogPattern *pattern, bool prefixed);
/* The offset of a place in a line that may match, at or behind `from`; n: there is none. SIZE_MAX: it gave up, look line by line. */
size_t log_pattern_candidate(LogPattern *pattern, const char *bytes, size_t n, size_t from);

#endif
