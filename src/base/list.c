#include "base/list.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void list_done(List *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (List){0};
}

void list_take(List *list, char *text)
{
    /* one more than is used, for the NULL that makes it an argv */
    list->items = mem_grow(list->items, list->count + 1, &list->capacity, sizeof *list->items);
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
}

void list_add(List *list, const char *text)
{
    list_take(list, mem_text(text));
}

void list_format(List *list, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    list_take(list, mem_vformat(format, args));
    va_end(args);
}

bool list_has(const List *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

void list_copy(List *to, const List *from)
{
    for (size_t i = 0; i < from->count; i++)
        list_add(to, from->items[i]);
}
