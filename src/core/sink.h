/* Where a backend puts what it finds, one cluster at a time. Used by the thread that runs discover or watch, only during it. */
#ifndef DASKTOP_CORE_SINK_H
#define DASKTOP_CORE_SINK_H

#include "core/record.h"

typedef struct Sink Sink;

/* Builds the record and shows it at once. A cluster that cannot be a record (no id, too long) is logged and left out; false then.
 * counts_ms: when clients and tasks were counted, TIME_UNKNOWN where they are not known. */
bool sink_put(Sink *sink, const RecordFields *fields, int64_t counts_ms);
/* Watching: it is gone for certain. `id` as in RecordFields. */
void sink_gone(Sink *sink, const char *id);
/* Watching: everything that is there has been put; what was not, is gone. Called again after a re-list (sink_restart before). */
void sink_restart(Sink *sink);
void sink_synced(Sink *sink);
/* Part of the system did not answer: the pass will not be complete. reason e.g. "namespace prod: forbidden". May be called often:
 * the first is shown, the others are counted and logged. */
void sink_partial(Sink *sink, const char *reason);
/* Watching: health between events (an error with code OK means well again). */
void sink_health(Sink *sink, const Error *error);
/* Readable when somebody asked for a refresh; a watching backend polls it and drains it by sink_refresh_asked. -1 in discover. */
int sink_refresh_fd(Sink *sink);
bool sink_refresh_asked(Sink *sink);
/* How old an answer may be that another dasktop of this user got of the same system, so that one question serves all: 0 for a look that was
 * asked for (a command, a refresh, the look after a change), the refresh interval for one at its time. */
int64_t sink_may_be_ms(const Sink *sink);
/* What this instance last said of a cluster (borrowed for the call of discover or watch), so that a dear fact need not be asked
 * again; NULL. `id` as in RecordFields. */
const Record *sink_last(Sink *sink, const char *id);

#endif
