/* Contract section 2, verdict.state: pure functions of a record, a clock and the limits. */
#ifndef DASKTOP_CORE_VERDICT_H
#define DASKTOP_CORE_VERDICT_H

#include "base/list.h"
#include "core/record.h"

/* In the order of the table on screen. */
typedef enum VerdictState {
    VERDICT_ORPHANED,
    VERDICT_STUCK,
    VERDICT_UNATTENDED,
    VERDICT_IDLE,
    VERDICT_UNKNOWN,
    VERDICT_STARTING,
    VERDICT_ACTIVE,
    VERDICT_COUNT
} VerdictState;
const char *verdict_word(VerdictState state);

typedef struct VerdictLimits {
    int64_t idle_ms, unattended_ms;
} VerdictLimits;

typedef struct Verdict {
    VerdictState state;
    int64_t since_ms; /* TIME_UNKNOWN */
} Verdict;

Verdict verdict_of(const Record *record, Clock now, VerdictLimits limits);
/* Sentences for people, each with time and source; adds to out. */
void verdict_evidence(const Record *record, bool stale, Verdict verdict, Clock now, VerdictLimits limits, List *out);
/* orphaned, unattended or idle. What is kept is not counted: that is the caller's. */
bool verdict_unused(VerdictState state);
/* When the verdict may change by the passing of time alone; monotonic distance in ms, INT64_MAX: never. For idle waking. */
int64_t verdict_changes_in_ms(const Record *record, Clock now, VerdictLimits limits);

#endif
