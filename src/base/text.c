#include "base/text.h"

#include "base/mem.h"

#include <ctype.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* The tables of libc, for UTF-8, whatever the process's own locale is: made once, never changed. */
static locale_t utf8;
static pthread_once_t utf8_once = PTHREAD_ONCE_INIT;

static void open_utf8(void)
{
    static const char *const names[] = {"C.UTF-8", "en_US.UTF-8", "UTF-8"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !utf8; i++)
        utf8 = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
}

/* ------------------------------------------------------------------------------------------------------------- UTF-8 */

size_t text_next(const char *text, size_t n, uint32_t *code)
{
    const unsigned char *b = (const unsigned char *)text;
    *code = 0;
    if (n == 0)
        return 0;
    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    size_t length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    uint32_t value = b[0] & (0x7fu >> length), least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    *code = 0xfffd;
    if (b[0] < 0xc2 || b[0] > 0xf4 || length > n)
        return 1;
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (b[i] & 0x3f);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 1;
    *code = value;
    return length;
}

size_t text_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> length & 0xff) | code);
    return length;
}

int text_code_width(uint32_t code)
{
    if ((code >= 0x20 && code < 0x7f) || code == 0x2013) /* the dash stands in every other cell of a table */
        return 1;
    if (code < 0xa0)
        return -1;
    pthread_once(&utf8_once, open_utf8);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    int width = wcwidth((wchar_t)code);
    if (utf8)
        uselocale(before);
    return width;
}

static size_t plain_ascii(const char *bytes, size_t n)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t i = 0;
    for (uint64_t eight; i + sizeof eight <= n; i += sizeof eight) { /* a top bit appears where one is none */
        memcpy(&eight, bytes + i, sizeof eight);
        if ((eight | (eight + ones) | (eight - ones * 0x20)) & ones * 0x80)
            break;
    }
    while (i < n && bytes[i] >= 0x20 && bytes[i] < 0x7f)
        i++;
    return i;
}

int text_width(const char *text)
{
    size_t n = strlen(text), length = plain_ascii(text, n);
    int cells = (int)length;
    text += length, n -= length;
    for (uint32_t code; (length = text_next(text, n, &code)); text += length, n -= length) {
        int width = text_code_width(code);
        cells += width < 0 ? 0 : width;
    }
    return cells;
}

size_t text_fit(const char *text, int cells, int *used)
{
    size_t n = strlen(text), room = cells > 0 ? (size_t)cells : 0, at = plain_ascii(text, n < room ? n : room), length;
    int sum = (int)at;
    for (uint32_t code; (length = text_next(text + at, n - at, &code)); at += length) {
        int width = text_code_width(code);
        width = width < 0 ? 0 : width;
        if (sum + width > cells)
            break;
        sum += width;
    }
    if (used)
        *used = sum;
    return at;
}

void text_blanks(Buffer *out, int n)
{
    static const char blanks[] = "                                ";
    for (int some; n > 0; n -= some) {
        some = n < (int)sizeof blanks - 1 ? n : (int)sizeof blanks - 1;
        buffer_add(out, blanks, (size_t)some);
    }
}

void text_pad(Buffer *out, const char *text, int cells, bool right, bool ascii)
{
    int used = 0;
    if (cells <= 0)
        return;
    size_t fits = text_fit(text, cells, &used);
    bool cut = text[fits] != 0;
    if (cut)
        fits = text_fit(text, cells - 1, &used);
    int blank = cells - used - (cut ? 1 : 0);
    if (right)
        text_blanks(out, blank);
    buffer_add(out, text, fits);
    if (cut)
        buffer_text(out, ascii ? "~" : "…");
    if (!right)
        text_blanks(out, blank);
}

/* --------------------------------------------------------------------------------------------------------- the sanitiser */

/* What must not reach a terminal as it is, though libc may give it a width. */
static bool is_hostile(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
           (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe000 && code <= 0xf8ff) || code == 0x115f || code == 0x1160 ||
           code == 0x3164 || code == 0xffa0 || (code >= 0x180b && code <= 0x180f) || (code & 0xfffe) == 0xfffe || code >= 0xe0000;
}

static size_t clean_code(uint32_t code, char out[16])
{
    if (code == '\t') {
        out[0] = ' ';
        return 1;
    }
    /* variation selectors change how wide a terminal draws what libc counts as one cell */
    bool selector = code >= 0xfe00 && code <= 0xfe0f;
    if (!is_hostile(code) && !selector && (code < 0x7f || text_code_width(code) >= 0))
        return text_encode(code, out);
    int n = code < 0x100 ? snprintf(out, 16, "<%02X>", (unsigned)code) : snprintf(out, 16, "<U+%04X>", (unsigned)code);
    return (size_t)n;
}

bool text_is_clean(const char *bytes, size_t n)
{
    char out[16];
    for (size_t at = plain_ascii(bytes, n), length; at < n; at += length) {
        uint32_t code;
        length = text_next(bytes + at, n - at, &code);
        if (clean_code(code, out) != length || memcmp(out, bytes + at, length) != 0)
            return false;
    }
    return true;
}

void text_clean(Buffer *out, const char *bytes, size_t n, size_t max)
{
    static const char ellipsis[] = "…";
    size_t start = out->length, at = 0, keep = start; /* keep: where an ellipsis still fits behind */
    char piece[16];
    while (at < n) {
        size_t run = plain_ascii(bytes + at, n - at), used = out->length - start;
        if (run) {
            size_t fits = run < max - used ? run : max - used, from = out->length;
            buffer_add(out, bytes + at, fits);
            size_t limit = start + (max > 3 ? max - 3 : 0);
            if (out->length <= limit)
                keep = out->length;
            else if (from <= limit)
                keep = limit; /* within this run every byte is a character */
            at += fits;
            if (fits < run)
                break;
            continue;
        }
        uint32_t code;
        size_t length = text_next(bytes + at, n - at, &code), size = clean_code(code, piece);
        if (size > max - used)
            break;
        buffer_add(out, piece, size);
        at += length;
        if (out->length - start + 3 <= max)
            keep = out->length;
    }
    if (at < n && max >= 3) {
        out->length = keep;
        if (out->capacity) /* an empty buffer shows a byte that all threads share */
            out->bytes[keep] = 0;
        buffer_add(out, ellipsis, 3);
    }
}

char *text_clean_new(const char *bytes, size_t n, size_t max)
{
    Buffer out;
    if (!bytes)
        return NULL;
    buffer_init(&out, BUFFER_ANY);
    text_clean(&out, bytes, n, max);
    return buffer_take(&out);
}

bool text_is_ascii(const char *text)
{
    return text[plain_ascii(text, strlen(text))] == 0;
}

char *text_escaped(const char *text)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    size_t n = strlen(text), length;
    for (uint32_t code; (length = text_next(text, n, &code)); text += length, n -= length) {
        if (code >= 0x20 && code < 0x7f)
            buffer_char(&out, (char)code);
        else
            buffer_format(&out, "\\u{%x}", (unsigned)code);
    }
    return buffer_take(&out);
}

/* ------------------------------------------------------------------------------------------------------------- searching */

static uint32_t fold(uint32_t code)
{
    if (code < 0x80)
        return (uint32_t)tolower((int)code);
    pthread_once(&utf8_once, open_utf8);
    return utf8 ? (uint32_t)towlower_l((wint_t)code, utf8) : code;
}

/* Does text begin with word, case folded? */
static bool begins(const char *text, size_t n, const char *word, size_t m)
{
    while (m) {
        uint32_t a, b;
        size_t left = text_next(text, n, &a), right = text_next(word, m, &b);
        if (!left || fold(a) != fold(b))
            return false;
        text += left, n -= left;
        word += right, m -= right;
    }
    return true;
}

bool text_contains(const char *text, const char *word)
{
    if (!*word)
        return true;
    size_t n = strlen(text), m = strlen(word), length;
    for (uint32_t code; (length = text_next(text, n, &code)); text += length, n -= length)
        if (begins(text, n, word, m))
            return true;
    return false;
}

bool text_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *back = NULL;
    while (*text) {
        uint32_t a, b;
        size_t left = text_next(text, strlen(text), &a), right = text_next(pattern, strlen(pattern), &b);
        if (*pattern == '*') {
            star = ++pattern;
            back = text;
        } else if (right && (*pattern == '?' || fold(a) == fold(b))) {
            pattern += right;
            text += left;
        } else if (star) {
            pattern = star;
            back += text_next(back, strlen(back), &a);
            text = back;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* --------------------------------------------------------------------------------------------------------------- others */

static bool is_plain(char c, bool slash)
{
    return isascii((unsigned char)c) && (isalnum((unsigned char)c) || (c && strchr("._~:@+-", c)) || (c == '/' && slash));
}

void text_percent(Buffer *out, const char *bytes, bool keep_slash)
{
    for (;; bytes++) {
        size_t run = 0;
        while (is_plain(bytes[run], keep_slash))
            run++;
        buffer_add(out, bytes, run);
        bytes += run;
        if (!*bytes)
            return;
        buffer_format(out, "%%%02X", (unsigned)(unsigned char)*bytes);
    }
}

const char *text_bytes(int64_t bytes, char out[24])
{
    static const char *const units[] = {"kB", "MB", "GiB", "TiB", "PiB"};
    if (bytes < 1000) {
        snprintf(out, 24, "%lld B", (long long)bytes);
        return out;
    }
    /* small ones as Dask prints them in tables, from a GiB on as machines are sold */
    double value = bytes < 1000000 ? (double)bytes / 1000 : (double)bytes / 1000000;
    int unit = bytes < 1000000 ? 0 : 1;
    if (bytes >= (int64_t)1 << 30) {
        value = (double)bytes / ((int64_t)1 << 30);
        for (unit = 2; value >= 1024 && unit < 4; unit++)
            value /= 1024;
    }
    snprintf(out, 24, value < 10 && unit > 1 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

void text_shell_quote(Buffer *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (*word && word[strspn(word, plain)] == 0) {
        buffer_text(out, word);
        return;
    }
    buffer_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buffer_text(out, "'\\''");
        else
            buffer_char(out, *word);
    }
    buffer_char(out, '\'');
}

bool text_is_utf8(const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        while (i + sizeof eight <= n && (memcpy(&eight, bytes + i, sizeof eight), (eight & UINT64_C(0x8080808080808080)) == 0))
            i += sizeof eight;
        if (i >= n)
            break;
        uint32_t code;
        size_t length = text_next(bytes + i, n - i, &code);
        if (length == 1 && (unsigned char)bytes[i] >= 0x80)
            return false; /* text_next takes a bad byte as one */
        i += length ? length : 1; /* 0: a NUL, which is a character too */
    }
    return true;
}

const char *text_size(int64_t bytes, char out[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1023.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 24, unit && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}
