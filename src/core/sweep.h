/* Deletion by rule: contract section 6. Pure functions of a view, rules, what was told of, and a clock: what would go, and for
 * everything that a rule fits and that stays, why. */
#ifndef DASKTOP_CORE_SWEEP_H
#define DASKTOP_CORE_SWEEP_H

#include "core/told.h"
#include "core/view.h"

/* `orphaned`, `unattended_ms` and `idle_ms` are alternatives; what follows them only narrows. Zeroed is not a valid one:
 * sweep_rules_read. */
typedef struct SweepRules {
    bool orphaned;
    int64_t unattended_ms, idle_ms; /* NUMBER_UNKNOWN: no such rule */
    int64_t older_ms;               /* NUMBER_UNKNOWN: of any age */
    List backends;                  /* empty: all */
    List owners;                    /* empty: only one's own */
    const Filter *filter;           /* borrowed; NULL */
    bool with_data;                 /* also what holds results */
    bool tell;                      /* tell first: only what was told of for longer than grace_ms goes */
    int64_t grace_ms;
    int64_t max;                    /* more in one run: nothing is done */
    const Tree *protect;            /* borrowed from the config; NULL */
} SweepRules;

/* The config's rules, protection, grace and max. */
void sweep_rules_read(SweepRules *rules, const Config *config);
void sweep_rules_done(SweepRules *rules);
bool sweep_rules_any(const SweepRules *rules); /* there is a rule: else nothing may be done */
void sweep_rules_none(SweepRules *rules);      /* takes the alternatives away, nothing else: flags replace the config's */
void sweep_rules_text(const SweepRules *rules, Buffer *out); /* "orphaned, or unattended for 2 h" */

typedef enum SweepFate {
    SWEEP_GOES,
    SWEEP_TELLS, /* would be told of now, and go in a later run */
    SWEEP_WAITS, /* was told of; goes when its grace is over */
    SWEEP_STAYS, /* a rule fits, and something forbids it */
    SWEEP_APART, /* no rule fits */
    SWEEP_FATES
} SweepFate;
const char *sweep_fate_word(SweepFate fate);

typedef struct SweepItem {
    const ViewRow *row;
    SweepFate fate;
    char *why;       /* one sentence without its end */
    int64_t goes_ms; /* WAITS: when its grace is over; Unix ms. TIME_UNKNOWN */
} SweepItem;

typedef struct Sweep {
    SweepItem *items; /* all rows of the view, filter or not, in its order, but those that are folded */
    size_t count;
    size_t counts[SWEEP_FATES];
    bool too_many;    /* more would go than `max`: nothing may be done */
} Sweep;

/* Borrows the view's rows: valid until the view's next update. told may be NULL. */
Sweep sweep_decide(const View *view, const SweepRules *rules, const Told *told, Clock now);
void sweep_done(Sweep *sweep);

#endif
