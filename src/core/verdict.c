#include "core/verdict.h"

#include "base/text.h"

#include <inttypes.h>

/* Clocks of two machines are said to disagree when a stamp lies further ahead than this. */
enum { SKEW_MS = 60000 };

static const char *const words[VERDICT_COUNT] = {"orphaned", "stuck", "unattended", "idle", "unknown", "starting", "active"};

const char *verdict_word(VerdictState state)
{
    return state >= 0 && state < VERDICT_COUNT ? words[state] : words[VERDICT_UNKNOWN];
}

bool verdict_unused(VerdictState state)
{
    return state == VERDICT_ORPHANED || state == VERDICT_UNATTENDED || state == VERDICT_IDLE;
}

/* ------------------------------------------------------------------------------------------------------------- judging */

/* Numbers that are not known count as none where a sum of what is known is asked for. */
static int64_t known(int64_t number)
{
    return number == NUMBER_UNKNOWN ? 0 : number;
}

static int64_t waiting_tasks(const RecordFields *is)
{
    return known(is->tasks.waiting) + known(is->tasks.queued) + known(is->tasks.unrunnable);
}

static bool is_busy(const RecordFields *is)
{
    return is->busy == 1 || known(is->tasks.processing) > 0;
}

static bool is_orphaned(const RecordFields *is)
{
    return is->gone && known(is->clients) == 0 && (is->resources != 0 || known(is->workers_ready) > 0);
}

static bool is_starting(const RecordFields *is)
{
    return is->status == STATUS_PENDING && known(is->workers_ready) == 0 && is->last_active_ms == TIME_UNKNOWN && !is_busy(is);
}

typedef enum Stuck { NOT_STUCK, NO_WORKER, ALL_PAUSED, NONE_FITS } Stuck;

static Stuck stuck_why(const RecordFields *is)
{
    int64_t processing = known(is->tasks.processing), waiting = waiting_tasks(is);
    if (is->workers_ready == 0)
        return waiting + processing > 0 ? NO_WORKER : NOT_STUCK;
    if (is->workers_ready > 0 && is->workers_paused >= is->workers_ready)
        return waiting + processing > 0 ? ALL_PAUSED : NOT_STUCK;
    /* with the number of processing tasks unknown nothing is said: some may run */
    return is->tasks.unrunnable > 0 && is->tasks.processing == 0 ? NONE_FITS : NOT_STUCK;
}

/* Since when there is no work: the end of the last one, or the start of a cluster that never worked. A cluster whose
 * scheduler does not say whether it works, and no stamp of the last work: not known. */
static int64_t rest_began(const RecordFields *is)
{
    if (is->last_active_ms != TIME_UNKNOWN)
        return is->last_active_ms;
    return is->busy == 0 ? is->created_ms : TIME_UNKNOWN;
}

/* How long it may rest before it is called idle or unattended; with clients unknown the shorter one is sure. */
static int64_t rest_limit(const RecordFields *is, VerdictLimits limits)
{
    if (is->clients == NUMBER_UNKNOWN)
        return limits.idle_ms < limits.unattended_ms ? limits.idle_ms : limits.unattended_ms;
    return is->clients > 0 ? limits.idle_ms : limits.unattended_ms;
}

static Verdict verdict_of_rest(const RecordFields *is, Clock now, VerdictLimits limits)
{
    int64_t began = rest_began(is);
    if (began == TIME_UNKNOWN || began > now.wall_ms + SKEW_MS)
        return (Verdict){VERDICT_UNKNOWN, TIME_UNKNOWN};
    if (now.wall_ms - began <= rest_limit(is, limits))
        return (Verdict){VERDICT_ACTIVE, TIME_UNKNOWN};
    if (is->clients == NUMBER_UNKNOWN)
        return (Verdict){VERDICT_UNKNOWN, TIME_UNKNOWN};
    return (Verdict){is->clients > 0 ? VERDICT_IDLE : VERDICT_UNATTENDED, began};
}

Verdict verdict_of(const Record *record, Clock now, VerdictLimits limits)
{
    const RecordFields *is = &record->is;
    if (is_orphaned(is))
        return (Verdict){VERDICT_ORPHANED, is->gone_since_ms};
    if (is_starting(is))
        return (Verdict){VERDICT_STARTING, is->created_ms};
    if (stuck_why(is) != NOT_STUCK)
        return (Verdict){VERDICT_STUCK, is->last_active_ms};
    if (is_busy(is))
        return (Verdict){VERDICT_ACTIVE, TIME_UNKNOWN};
    return verdict_of_rest(is, now, limits);
}

int64_t verdict_changes_in_ms(const Record *record, Clock now, VerdictLimits limits)
{
    const RecordFields *is = &record->is;
    if (is_orphaned(is) || is_starting(is) || stuck_why(is) != NOT_STUCK || is_busy(is))
        return INT64_MAX;
    int64_t began = rest_began(is);
    if (began == TIME_UNKNOWN)
        return INT64_MAX;
    if (began > now.wall_ms + SKEW_MS)
        return began - SKEW_MS - now.wall_ms;
    int64_t left = rest_limit(is, limits) - (now.wall_ms - began);
    return left >= 0 ? left + 1 : INT64_MAX;
}

/* ------------------------------------------------------------------------------------------------------------- evidence */

static int64_t since(int64_t then_ms, Clock now)
{
    return now.wall_ms > then_ms ? now.wall_ms - then_ms : 0;
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

/* " (scheduler, 20 s ago)": whose number it is and of when. */
static const char *source(const Record *record, Clock now, char out[64])
{
    char age[TIME_TEXT];
    Buffer text;
    int64_t counted = atomic_load_explicit(&record->counts_ms, memory_order_relaxed);
    buffer_init(&text, 63);
    if (counted == TIME_UNKNOWN)
        buffer_text(&text, " (age not known)");
    else
        buffer_format(&text, " (scheduler, %s ago)", duration_words(since(counted, now), age));
    for (size_t i = 0; i <= text.length && i < 64; i++)
        out[i] = text.bytes[i];
    buffer_done(&text);
    return out;
}

static void say_clients(const Record *record, Clock now, List *out)
{
    char from[64];
    int64_t clients = record->is.clients;
    if (clients == 0)
        list_format(out, "no client%s", source(record, now, from));
    else if (clients > 0)
        list_format(out, "%" PRId64 " client%s%s", clients, plural(clients), source(record, now, from));
}

static void say_rest(const RecordFields *is, Clock now, List *out)
{
    char age[TIME_TEXT];
    if (is->last_active_ms != TIME_UNKNOWN)
        list_format(out, "no task ran for %s", duration_words(since(is->last_active_ms, now), age));
    else if (is->busy == 0 && is->created_ms != TIME_UNKNOWN)
        list_format(out, "never ran a task since it was made %s ago", duration_words(since(is->created_ms, now), age));
}

static void say_results(const RecordFields *is, List *out)
{
    char size[24];
    if (is->tasks.stored <= 0)
        return;
    if (is->memory_used > 0)
        list_format(out, "holds %" PRId64 " result%s, %s", is->tasks.stored, plural(is->tasks.stored),
                    text_bytes(is->memory_used, size));
    else
        list_format(out, "holds %" PRId64 " result%s", is->tasks.stored, plural(is->tasks.stored));
}

static void say_orphaned(const Record *record, Clock now, List *out)
{
    const RecordFields *is = &record->is;
    char at[TIME_TEXT];
    bool when = is->gone_since_ms != TIME_UNKNOWN;
    list_format(out, "%s is gone%s%s%s%s", is->gone, when ? " since " : "",
                when ? time_short(is->gone_since_ms, now.wall_ms, at) : "", is->gone_why ? ": " : "",
                is->gone_why ? is->gone_why : "");
    if (is->resources > 0)
        list_format(out, "%" PRId64 " resource%s %s", is->resources, plural(is->resources),
                    is->resources == 1 ? "remains" : "remain");
    else if (is->workers_ready > 0)
        list_format(out, "%" PRId64 " worker%s %s", is->workers_ready, plural(is->workers_ready),
                    is->workers_ready == 1 ? "remains" : "remain");
    if (is->origin.alive == 0)
        list_add(out, "the process that made it has ended");
}

static void say_starting(const RecordFields *is, Clock now, List *out)
{
    char age[TIME_TEXT];
    if (is->created_ms != TIME_UNKNOWN)
        list_format(out, "pending for %s", duration_words(since(is->created_ms, now), age));
    else
        list_add(out, "pending");
    if (is->workers_wanted > 0)
        list_format(out, "no worker yet, %" PRId64 " wanted", is->workers_wanted);
    else
        list_add(out, "no worker yet");
    if (is->status_why)
        list_add(out, is->status_why);
}

static void say_stuck(const Record *record, Clock now, List *out)
{
    const RecordFields *is = &record->is;
    char from[64];
    int64_t wait = waiting_tasks(is) + known(is->tasks.processing);
    list_format(out, "%" PRId64 " task%s %s%s", wait, plural(wait), wait == 1 ? "waits" : "wait", source(record, now, from));
    switch (stuck_why(is)) {
    case NO_WORKER:
        if (is->workers_wanted > 0)
            list_format(out, "no worker is there, %" PRId64 " wanted", is->workers_wanted);
        else
            list_add(out, "no worker is there");
        break;
    case ALL_PAUSED:
        list_format(out, is->workers_ready == 1 ? "its only worker is paused" : "all %" PRId64 " workers are paused",
                    is->workers_ready);
        break;
    case NONE_FITS:
        list_format(out, "no worker can run %" PRId64 " of them (resources, hosts or names that none has), and none runs",
                    is->tasks.unrunnable);
        break;
    case NOT_STUCK:
        break;
    }
    say_clients(record, now, out);
}

static void say_active(const Record *record, Clock now, VerdictLimits limits, List *out)
{
    const RecordFields *is = &record->is;
    char from[64], limit[TIME_TEXT], age[TIME_TEXT];
    if (is->tasks.processing > 0)
        list_format(out, "%" PRId64 " task%s run%s%s", is->tasks.processing, plural(is->tasks.processing),
                    is->tasks.processing == 1 ? "s" : "", source(record, now, from));
    else if (is->busy == 1)
        list_add(out, "its scheduler has work");
    else if (is->last_active_ms != TIME_UNKNOWN)
        list_format(out, "a task ran %s ago, the limit is %s", duration_words(since(is->last_active_ms, now), age),
                    duration_words(rest_limit(is, limits), limit));
    else
        list_format(out, "made %s ago, has not worked yet, the limit is %s",
                    duration_words(since(is->created_ms, now), age), duration_words(rest_limit(is, limits), limit));
    say_clients(record, now, out);
}

static void say_unknown(const Record *record, Clock now, List *out)
{
    const RecordFields *is = &record->is;
    char ahead[TIME_TEXT];
    if (is->status != STATUS_RUNNING)
        list_format(out, "status: %s%s%s%s", is->status == STATUS_UNKNOWN ? "not known" : status_word(is->status),
                    is->status_why ? " (" : "", is->status_why ? is->status_why : "", is->status_why ? ")" : "");
    int64_t began = rest_began(is);
    if (began != TIME_UNKNOWN && began > now.wall_ms + SKEW_MS)
        list_format(out, "the clocks disagree: it %s %s from now", is->last_active_ms == began ? "last worked" : "was made",
                    duration_words(began - now.wall_ms, ahead));
    else if (began == TIME_UNKNOWN && is->busy == 0)
        list_add(out, "it has never worked, and when it was made is not known");
    else if (began == TIME_UNKNOWN)
        list_add(out, "when it last worked is not known");
    else
        say_rest(is, now, out);
    if (is->clients == NUMBER_UNKNOWN)
        list_add(out, "its clients cannot be seen");
    else
        say_clients(record, now, out);
}

void verdict_evidence(const Record *record, bool stale, Verdict verdict, Clock now, VerdictLimits limits, List *out)
{
    char age[TIME_TEXT];
    int64_t seen = atomic_load_explicit(&record->seen_ms, memory_order_relaxed);
    switch (verdict.state) {
    case VERDICT_ORPHANED: say_orphaned(record, now, out); break;
    case VERDICT_STARTING: say_starting(&record->is, now, out); break;
    case VERDICT_STUCK: say_stuck(record, now, out); break;
    case VERDICT_ACTIVE: say_active(record, now, limits, out); break;
    case VERDICT_UNATTENDED:
    case VERDICT_IDLE:
        say_clients(record, now, out);
        say_rest(&record->is, now, out);
        break;
    default: say_unknown(record, now, out); break;
    }
    if (verdict.state != VERDICT_STARTING)
        say_results(&record->is, out);
    if (stale && seen != TIME_UNKNOWN)
        list_format(out, "its backend last confirmed it %s ago", duration_words(since(seen, now), age));
    else if (stale)
        list_add(out, "its backend has not confirmed it");
}
