#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*restore_terminal)(void);

void mem_on_failure(void (*restore)(void))
{
    restore_terminal = restore;
}

static _Noreturn void fail(void)
{
    static const char words[] = "dasktop: out of memory: close something or raise the limit (ulimit -v)\n";
    if (restore_terminal)
        restore_terminal();
    ssize_t ignored = write(STDERR_FILENO, words, sizeof words - 1);
    (void)ignored;
    _exit(1);
}

void *mem_new(size_t n)
{
    void *bytes = calloc(1, n ? n : 1);
    if (!bytes)
        fail();
    return bytes;
}

void *mem_resize(void *old, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        fail();
    void *bytes = realloc(old, count && size ? count * size : 1);
    if (!bytes)
        fail();
    return bytes;
}

void *mem_grow(void *items, size_t used, size_t *capacity, size_t size)
{
    if (used < *capacity)
        return items;
    if (*capacity > SIZE_MAX / 4)
        fail();
    *capacity = *capacity ? *capacity * 2 : 8;
    return mem_resize(items, *capacity, size);
}

char *mem_text_n(const char *text, size_t n)
{
    if (!text)
        return NULL;
    size_t length = strnlen(text, n);
    char *copy = mem_resize(NULL, length + 1, 1);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

char *mem_text(const char *text)
{
    return text ? mem_text_n(text, strlen(text)) : NULL;
}

char *mem_join(const char *first, ...)
{
    va_list texts, again;
    size_t length = 0;
    va_start(texts, first);
    va_copy(again, texts);
    for (const char *text = first; text; text = va_arg(texts, const char *))
        length += strlen(text);
    va_end(texts);
    char *joined = mem_resize(NULL, length + 1, 1), *end = joined;
    for (const char *text = first; text; text = va_arg(again, const char *))
        end = stpcpy(end, text);
    va_end(again);
    *end = 0;
    return joined;
}

char *mem_vformat(const char *format, va_list args)
{
    char local[256], *text = NULL; /* most are short: vasprintf makes a stream of each */
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(local, sizeof local, format, args);
    if (n >= 0 && (size_t)n < sizeof local)
        text = mem_text_n(local, (size_t)n);
    else if (n < 0 || vasprintf(&text, format, again) < 0)
        fail();
    va_end(again);
    return text;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vformat(format, args);
    va_end(args);
    return text;
}
