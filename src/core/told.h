/* What a sweep has told of and not deleted yet: told.json in the state directory, by uid and machine.
 *
 * Stamps count only on the machine that wrote them: a home may be shared by hosts whose clocks disagree. Whoever writes it holds
 * the sweep's lock (one sweep at a time); one owner, one thread. */
#ifndef DASKTOP_CORE_TOLD_H
#define DASKTOP_CORE_TOLD_H

#include "core/view.h"

typedef struct Told Told;

Told *told_open(const char *state_directory); /* NULL directory: nothing was told, told_save fails */
void told_free(Told *told);
/* When this cluster was told of, if it is still so: the same incarnation, the same verdict, no work since. TIME_UNKNOWN: it was not.
 * told may be NULL. */
int64_t told_when(const Told *told, const ViewRow *row, Clock now);
void told_set(Told *told, const ViewRow *row, Clock now); /* only a row with a uid */
void told_forget(Told *told, const char *uid);
/* Writes what is still so, and what was not seen now, for at most 30 days. rows: all that were seen. */
bool told_save(Told *told, const ViewRow *const *rows, size_t count, Clock now, Error *error);

#endif
