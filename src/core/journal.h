/* Every change that dasktop made: journal.jsonl in the state directory (or where `journal.path` says), JSON lines, one write per
 * line under a lock, synced. `begin` before an operation starts, `end` after; joined by an operation id. Any thread. */
#ifndef DASKTOP_CORE_JOURNAL_H
#define DASKTOP_CORE_JOURNAL_H

#include "core/change.h"
#include "core/config.h"

typedef struct Journal Journal;

Journal *journal_open(const Config *config, const char *state_directory); /* errors show at journal_begin */
void journal_free(Journal *journal);
/* Refuses (ERROR_DENIED) where it cannot be written: then the change must not happen. operation gets the id. */
bool journal_begin(Journal *journal, const Plan *plan, char operation[40], Error *error);
bool journal_end(Journal *journal, const char *operation, const Plan *plan, Phase phase, const Outcome *outcome, const Error *why,
                 Error *error);

typedef struct JournalEntry {
    char *operation, *change, *id, *uid, *name, *user, *host;
    int64_t begin_ms, end_ms; /* end_ms TIME_UNKNOWN and phase PHASE_UNKNOWN: outcome unknown */
    Phase phase;
    char *error;              /* line, NULL */
    List left_over;
} JournalEntry;
/* Oldest first; since_ms TIME_UNKNOWN: all. Bad lines are skipped and counted. */
bool journal_read(Journal *journal, int64_t since_ms, JournalEntry **entries, size_t *count, size_t *bad, Error *error);
void journal_entries_free(JournalEntry *entries, size_t count);

#endif
