/* Text from outside is hostile until it has passed text_clean, the one sanitiser; text on screen is measured in cells.
 *
 * The width tables are libc's for UTF-8, whatever the locale of the process is. Pure functions, any thread. */
#ifndef DASKTOP_BASE_TEXT_H
#define DASKTOP_BASE_TEXT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_NAME_MAX = 1024, TEXT_LINE_MAX = 16384, TEXT_LABEL_MAX = 4096 };

/* Adds n bytes to out as clean UTF-8 of at most max bytes (cut at a character, with an ellipsis):
 *   C0, DEL, C1, bidirectional marks and overrides, zero width, tags, private use, unassigned -> <1B>, <U+202E>
 *   bad UTF-8 -> U+FFFD;  tab -> one blank;  CR and LF -> <0A> (callers split lines before).
 * Text that is clean already passes unchanged and is idempotent. What a terminal draws of the result has no effect but glyphs. */
void text_clean(Buffer *out, const char *bytes, size_t n, size_t max);
char *text_clean_new(const char *bytes, size_t n, size_t max); /* owned by the caller; NULL gives NULL */
bool text_is_clean(const char *bytes, size_t n);

/* The same with everything beyond printable ASCII as \u{…}: for names in dialogs, so that look-alikes cannot fool anyone. */
char *text_escaped(const char *text);
bool text_is_ascii(const char *text);
bool text_is_utf8(const char *bytes, size_t n); /* as RFC 3629 has it: no surrogates, nothing overlong */

/* Next code point and its length in bytes (1 and U+FFFD for a bad byte; 0 at the end). */
size_t text_next(const char *text, size_t n, uint32_t *code);
size_t text_encode(uint32_t code, char out[4]);
int text_code_width(uint32_t code); /* 0, 1, 2; -1: not drawable */
int text_width(const char *text);   /* cells */

/* Bytes of the longest beginning of text that fits `cells`, cut between graphemes; *used gets its width. */
size_t text_fit(const char *text, int cells, int *used);

/* Adds text in exactly `cells` cells: cut with an ellipsis ("~" where ascii), padded left or right. */
void text_pad(Buffer *out, const char *text, int cells, bool right, bool ascii);
void text_blanks(Buffer *out, int n); /* none where n is not above 0 */

/* Case-insensitive search (ASCII and simple Unicode folding); glob with * and ?. */
bool text_contains(const char *text, const char *word);
bool text_glob(const char *pattern, const char *text);

/* Percent-encoding of ids: bytes outside A-Za-z0-9._~:/@+- become %XX; keep_slash false encodes "/" too (an instance). */
void text_percent(Buffer *out, const char *bytes, bool keep_slash);

/* "1.2 GiB", "912 MiB": memory as the table has it. out needs 24 bytes. */
const char *text_size(int64_t bytes, char out[24]);

/* "1.2 GiB", "912 MB" in sentences; sizes in columns: text_bytes. out needs 24 bytes. */
const char *text_bytes(int64_t bytes, char out[24]);

/* One word for a shell, quoted where needed: only for what is shown to people to paste. */
void text_shell_quote(Buffer *out, const char *word);

#endif
