/* The last table, last.jsonl in the state directory: a cache for the first frame, in the order in which rows were shown.
 * Written atomically by the dashboard when it ends and every minute when something changed; never read by `list`. */
#ifndef DASKTOP_CORE_LAST_H
#define DASKTOP_CORE_LAST_H

#include "core/view.h"

typedef struct Last Last;
/* Reads at most `most` rows from where the last call ended; 0: all the rest. Records go to put() (which takes them). Quiet on damage:
 * a bad line is skipped. */
Last *last_open(const char *state_directory); /* NULL: there is none */
size_t last_read(Last *last, size_t most, void (*put)(void *user, Record *record), void *user);
int64_t last_written_ms(const Last *last);
void last_close(Last *last);
bool last_write(const char *state_directory, const View *view, Error *error);

#endif
