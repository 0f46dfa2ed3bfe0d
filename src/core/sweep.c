#include "core/sweep.h"

#include "base/mem.h"
#include "base/text.h"
#include "core/confirm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { YOUNG_MS = 10 * 60000, MAX_STANDARD = 10 };

static const char *const fate_words[SWEEP_FATES] = {"goes", "told", "waits", "stays", "no rule"};

const char *sweep_fate_word(SweepFate fate)
{
    return fate_words[fate];
}

/* ----------------------------------------------------------------------------------------------------------------- rules */

static int64_t duration_of(const Tree *map, const char *key)
{
    int64_t ms;
    const char *text = tree_text(tree_get(map, key));
    return text && duration_parse(text, &ms) ? ms : NUMBER_UNKNOWN;
}

void sweep_rules_none(SweepRules *rules)
{
    rules->orphaned = false;
    rules->unattended_ms = rules->idle_ms = NUMBER_UNKNOWN;
}

void sweep_rules_read(SweepRules *rules, const Config *config)
{
    const Tree *map = config->sweep, *orphaned = tree_get(map, "orphaned"), *max = tree_get(map, "max");
    *rules = (SweepRules){.older_ms = NUMBER_UNKNOWN, .max = MAX_STANDARD, .protect = tree_get(map, "protect")};
    rules->orphaned = orphaned && orphaned->kind == TREE_BOOL && orphaned->truth;
    rules->unattended_ms = duration_of(map, "unattended");
    rules->idle_ms = duration_of(map, "idle");
    if (max && max->kind == TREE_NUMBER)
        rules->max = (int64_t)max->number;
    rules->grace_ms = duration_of(map, "grace");
    rules->tell = rules->grace_ms != NUMBER_UNKNOWN;
    if (!rules->tell)
        rules->grace_ms = 0;
}

void sweep_rules_done(SweepRules *rules)
{
    list_done(&rules->backends);
    list_done(&rules->owners);
}

bool sweep_rules_any(const SweepRules *rules)
{
    return rules->orphaned || rules->unattended_ms != NUMBER_UNKNOWN || rules->idle_ms != NUMBER_UNKNOWN;
}

static void add_rule(Buffer *out, const char *word, int64_t ms)
{
    char length[TIME_TEXT];
    buffer_format(out, "%s%s for %s", out->length ? ", or " : "", word, duration_words(ms, length));
}

void sweep_rules_text(const SweepRules *rules, Buffer *out)
{
    if (rules->orphaned)
        buffer_text(out, "orphaned");
    if (rules->unattended_ms != NUMBER_UNKNOWN)
        add_rule(out, "unattended", rules->unattended_ms);
    if (rules->idle_ms != NUMBER_UNKNOWN)
        add_rule(out, "idle", rules->idle_ms);
}

/* What an item gets; a NULL `why` is no objection. */
static char *no(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *no(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *why = mem_vformat(format, args);
    va_end(args);
    return why;
}

/* ------------------------------------------------------------------------------------------------------- does a rule fit? */

static char *rested(const ViewRow *row, int64_t rule_ms, Clock now)
{
    const char *word = verdict_word(row->verdict.state);
    char length[TIME_TEXT], wanted[TIME_TEXT];
    if (rule_ms == NUMBER_UNKNOWN)
        return no("it is %s: there is no rule for that", word);
    if (row->verdict.since_ms == TIME_UNKNOWN)
        return no("since when it is %s is not known", word);
    int64_t ms = now.wall_ms - row->verdict.since_ms;
    if (ms > rule_ms)
        return NULL;
    return no("it is %s for %s, the rule says %s", word, duration_words(ms < 0 ? 0 : ms, length), duration_words(rule_ms, wanted));
}

static char *unruled(const ViewRow *row, const SweepRules *rules, Clock now)
{
    switch (row->verdict.state) {
    case VERDICT_ORPHANED:
        return rules->orphaned ? NULL : no("it is orphaned: there is no rule for that");
    case VERDICT_UNATTENDED:
        return rested(row, rules->unattended_ms, now);
    case VERDICT_IDLE:
        return rested(row, rules->idle_ms, now);
    case VERDICT_UNKNOWN:
        return no("whether it is used is not known");
    default:
        return no("it is %s", verdict_word(row->verdict.state));
    }
}

/* At least so long it is there; TIME_UNKNOWN where that is not known. What rests since then was there then. */
static int64_t age_ms(const ViewRow *row, Clock now)
{
    int64_t created = row->record->is.created_ms;
    if (created == TIME_UNKNOWN)
        created = row->verdict.since_ms;
    return created == TIME_UNKNOWN ? TIME_UNKNOWN : now.wall_ms - created;
}

static bool is_of(const ViewRow *row, const List *owners)
{
    const RecordFields *is = &row->record->is;
    return (is->owner && list_has(owners, is->owner)) || (is->mine == 1 && list_has(owners, "me"));
}

static char *narrowed(const ViewRow *row, const SweepRules *rules, Clock now)
{
    char wanted[TIME_TEXT];
    int64_t age = age_ms(row, now);
    if (rules->backends.count && !list_has(&rules->backends, row->record->backend))
        return no("another backend's");
    if (rules->owners.count && !is_of(row, &rules->owners))
        return no("another owner's");
    if (rules->older_ms != NUMBER_UNKNOWN && (age == TIME_UNKNOWN || age <= rules->older_ms))
        return no(age == TIME_UNKNOWN ? "its age is not known (--older %s)" : "it is not older than %s", duration_words(rules->older_ms, wanted));
    if (rules->filter && !filter_holds(rules->filter, row, now))
        return no("the filter does not hold for it");
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------ never swept */

static char *kept(const ViewRow *row)
{
    char until[TIME_TEXT];
    if (!row->kept.kept)
        return NULL;
    time_text(row->kept.until_ms, false, until);
    return no("kept until %s%s%s", until, *row->kept.reason ? ": " : "", row->kept.reason);
}

static bool is_named(const Tree *list, const char *text, bool glob)
{
    size_t count = !list ? 0 : list->kind == TREE_LIST ? list->count : 1;
    for (size_t i = 0; text && i < count; i++) {
        const char *wanted = tree_text(list->kind == TREE_LIST ? list->items[i] : list);
        if (wanted && (glob ? text_glob(wanted, text) : strcmp(wanted, text) == 0))
            return true;
    }
    return false;
}

/* A label without a value in the config protects whatever its value is. */
static bool is_label(const Tree *wanted, const Pair *label)
{
    const char *text = wanted->kind == TREE_NULL ? "*" : tree_text(wanted);
    return strcmp(wanted->key, label->key) == 0 && text && text_glob(text, label->value);
}

static char *protected_by(const ViewRow *row, const Tree *protect)
{
    const RecordFields *is = &row->record->is;
    const Tree *labels = tree_get(protect, "labels");
    if (is_named(tree_get(protect, "names"), is->name, true))
        return no("protected by its name (sweep.protect)");
    if (is_named(tree_get(protect, "owners"), is->owner, false))
        return no("protected: it is %s's (sweep.protect)", is->owner);
    for (size_t i = 0; labels && labels->kind == TREE_MAP && i < labels->count; i++)
        for (size_t k = 0; k < is->label_count; k++)
            if (is_label(labels->items[i], &is->labels[k]))
                return no("protected by its label %s=%s (sweep.protect)", is->labels[k].key, is->labels[k].value);
    return NULL;
}

/* The same scheduler as another backend sees it: what protects one of them protects the cluster. */
static char *protected_as_another(const View *view, const ViewRow *row, const SweepRules *rules)
{
    for (size_t i = 0; i < view->folded_count; i++) {
        const ViewRow *other = view->folded[i];
        if (!other->same_as || other->same_as->record != row->record)
            continue;
        char *why = kept(other);
        why = why ? why : protected_by(other, rules->protect);
        if (why) {
            char *whole = no("%s, as %s", why, other->record->is.id);
            free(why);
            return whole;
        }
    }
    return NULL;
}

static char *not_ours_to_take(const View *view, const ViewRow *row, const SweepRules *rules)
{
    const RecordFields *is = &row->record->is;
    if (is->mine != 1 && !(rules->owners.count && is_of(row, &rules->owners)))
        return is->owner ? no("it belongs to %s (--owner)", is->owner) : no(is->mine == 0 ? "it belongs to somebody else" : "whose it is is not known");
    for (size_t i = 0; !view->config->read_only && i < view->config->backend_count; i++)
        if (strcmp(view->config->backends[i].key, row->record->backend) == 0 && view->config->backends[i].read_only)
            return no("its backend is read-only");
    if (!(is->can & (1 << CAN_DELETE)) && is->cannot[CAN_DELETE])
        return no("it cannot be deleted: %s", is->cannot[CAN_DELETE]);
    return is->uid ? NULL : no("it has no identity yet");
}

static char *too_dear(const ViewRow *row, const SweepRules *rules, Clock now)
{
    const RecordFields *is = &row->record->is;
    int64_t age = age_ms(row, now);
    if (age == TIME_UNKNOWN)
        return no("its age is not known");
    if (age < YOUNG_MS)
        return no("it is younger than 10 minutes");
    if (rules->with_data || !confirm_may_hold_results(row))
        return NULL;
    if (is->tasks.stored > 0)
        return no("it holds %" PRId64 " result%s (--with-data)", is->tasks.stored, is->tasks.stored == 1 ? "" : "s");
    return no("what it holds is not known (--with-data)");
}

static char *spared(const View *view, const ViewRow *row, const SweepRules *rules, Clock now)
{
    if (row->stale)
        return no("its backend has not confirmed it");
    char *why = kept(row);
    why = why ? why : protected_by(row, rules->protect);
    why = why ? why : protected_as_another(view, row, rules);
    why = why ? why : not_ours_to_take(view, row, rules);
    return why ? why : too_dear(row, rules, now);
}

/* --------------------------------------------------------------------------------------------------------------- deciding */

static char *reason(const ViewRow *row, Clock now)
{
    char length[TIME_TEXT];
    Verdict verdict = row->verdict;
    if (verdict.state == VERDICT_ORPHANED && row->record->is.gone_why)
        return no("its %s is gone: %s", row->record->is.gone, row->record->is.gone_why);
    if (verdict.since_ms == TIME_UNKNOWN || verdict.since_ms > now.wall_ms)
        return no("it is %s", verdict_word(verdict.state));
    return no("it is %s for %s", verdict_word(verdict.state), duration_words(now.wall_ms - verdict.since_ms, length));
}

static void decide_time(SweepItem *item, const SweepRules *rules, const Told *told, Clock now)
{
    item->fate = SWEEP_GOES;
    item->why = reason(item->row, now);
    if (!rules->tell)
        return;
    int64_t at = told_when(told, item->row, now);
    if (at == TIME_UNKNOWN) {
        item->fate = SWEEP_TELLS;
    } else if (now.wall_ms < at || now.wall_ms - at < rules->grace_ms) {
        item->fate = SWEEP_WAITS;
        item->goes_ms = at + rules->grace_ms;
    }
}

static SweepItem decide(const View *view, const ViewRow *row, const SweepRules *rules, const Told *told, Clock now)
{
    SweepItem item = {.row = row, .fate = SWEEP_APART, .goes_ms = TIME_UNKNOWN};
    item.why = unruled(row, rules, now);
    item.why = item.why ? item.why : narrowed(row, rules, now);
    if (item.why)
        return item;
    item.fate = SWEEP_STAYS;
    item.why = spared(view, row, rules, now);
    if (!item.why)
        decide_time(&item, rules, told, now);
    return item;
}

Sweep sweep_decide(const View *view, const SweepRules *rules, const Told *told, Clock now)
{
    const ViewRow *const *rows;
    size_t count = view_all(view, &rows);
    Sweep sweep = {.items = mem_new(count * sizeof *sweep.items)};
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->same_as)
            continue;
        SweepItem item = decide(view, rows[i], rules, told, now);
        sweep.items[sweep.count++] = item;
        sweep.counts[item.fate]++;
    }
    sweep.too_many = sweep.counts[SWEEP_GOES] > (size_t)rules->max;
    return sweep;
}

void sweep_done(Sweep *sweep)
{
    for (size_t i = 0; i < sweep->count; i++)
        free(sweep->items[i].why);
    free(sweep->items);
    *sweep = (Sweep){0};
}
