/* Clusters that are to be left alone: keep.json in the state directory, by uid (by id while the uid is not known), with an end
 * and a reason. Shared by all dasktops of a user: read again when the file has changed, written under a lock. Any thread. */
#ifndef DASKTOP_CORE_KEEP_H
#define DASKTOP_CORE_KEEP_H

#include "core/record.h"

typedef struct Keep Keep;
typedef struct Kept {
    bool kept;
    int64_t until_ms; /* Unix ms */
    char reason[128];
} Kept;

Keep *keep_open(const char *state_directory); /* NULL directory: nothing is kept, keep_set fails */
void keep_free(Keep *keep);
/* Also the system's own label (record->is.kept_until_ms). Ends are respected. */
Kept keep_get(Keep *keep, const Record *record, Clock now);
/* Of this user alone (engine_leave_alone also sets the label). until_ms 0: no longer. */
bool keep_set(Keep *keep, const Record *record, int64_t until_ms, const char *reason, Error *error);
uint64_t keep_generation(Keep *keep); /* moves when something changed; re-reads the file when it is newer */

#endif
