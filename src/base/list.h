/* A list of texts that it owns: arguments, components, left-overs. One owner, one thread. */
#ifndef DASKTOP_BASE_LIST_H
#define DASKTOP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct List {
    char **items; /* items[count] is NULL once something was added: usable as argv */
    size_t count, capacity;
} List;

void list_done(List *list);                      /* a zeroed List is an empty one */
void list_add(List *list, const char *text);     /* copied */
void list_take(List *list, char *text);          /* owned from now on */
void list_format(List *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool list_has(const List *list, const char *text);
void list_copy(List *to, const List *from);      /* `to` is empty before */

#endif
