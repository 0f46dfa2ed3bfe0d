#include "core/confirm.h"

#include "base/buffer.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How much has to be typed; the greater holds. */
typedef enum Rule { RULE_YES, RULE_NAME, RULE_OWNER } Rule;

static Rule stricter(Rule a, Rule b)
{
    return a > b ? a : b;
}

bool confirm_may_hold_results(const ViewRow *row)
{
    if (row->record->is.tasks.stored != NUMBER_UNKNOWN)
        return row->record->is.tasks.stored > 0;
    /* of what is orphaned nobody can ask, and what starts has none */
    return row->verdict.state == VERDICT_UNATTENDED || row->verdict.state == VERDICT_IDLE;
}

static Rule rule_of(const ViewRow *row, List *why)
{
    const RecordFields *is = &row->record->is;
    Rule rule = RULE_YES;
    VerdictState state = row->verdict.state;
    if (is->mine == 0) {
        rule = is->owner ? RULE_OWNER : RULE_NAME;
        list_format(why, is->owner ? "belongs to %s" : "belongs to somebody else", is->owner);
    } else if (is->mine != 1) {
        rule = RULE_NAME;
        list_add(why, "whose it is is not known");
    }
    if (state == VERDICT_ACTIVE || state == VERDICT_STUCK || state == VERDICT_UNKNOWN) {
        rule = stricter(rule, RULE_NAME);
        if (state == VERDICT_UNKNOWN)
            list_add(why, "whether it is used is not known");
        else
            list_format(why, "is %s", verdict_word(state));
    }
    if (row->stale) {
        rule = stricter(rule, RULE_NAME);
        list_add(why, "has not been confirmed by its backend of late");
    }
    if (confirm_may_hold_results(row)) {
        rule = stricter(rule, RULE_NAME);
        if (is->tasks.stored > 0)
            list_format(why, "holds %" PRId64 " result%s", is->tasks.stored, is->tasks.stored == 1 ? "" : "s");
        else
            list_add(why, "what it holds is not known");
    }
    return rule;
}

static void add_reason(Buffer *out, const char *reason)
{
    bool sentence = strncmp(reason, "wh", 2) == 0; /* "what it holds…": needs no "it" */
    buffer_format(out, "%s%s%s", out->length ? ", " : "", sentence || out->length ? "" : "it ", reason);
}

static char *join(const List *why)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    for (size_t i = 0; i < why->count; i++)
        add_reason(&out, why->items[i]);
    return buffer_take(&out);
}

static Confirm confirm_one(const ViewRow *row)
{
    List why = {0};
    Rule rule = rule_of(row, &why);
    const RecordFields *is = &row->record->is;
    Confirm confirm = {.kind = rule == RULE_YES ? CONFIRM_YES : CONFIRM_TYPED, .why = join(&why)};
    if (rule != RULE_YES)
        confirm.typed = mem_text(rule == RULE_OWNER ? is->owner : is->name);
    list_done(&why);
    return confirm;
}

/* Several: their number, and why each that is not harmless is not. */
Confirm confirm_delete(const ViewRow *const *rows, size_t count)
{
    if (count == 1)
        return confirm_one(rows[0]);
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    buffer_format(&out, "they are %zu clusters", count);
    size_t named = 0, others = 0;
    for (size_t i = 0; i < count; i++) {
        List why = {0};
        if (rule_of(rows[i], &why) != RULE_YES && named < 5) {
            char *reasons = join(&why);
            buffer_format(&out, "; %s: %s", rows[i]->record->is.name, reasons);
            free(reasons);
            named++;
        } else if (why.count) {
            others++;
        }
        list_done(&why);
    }
    if (others)
        buffer_format(&out, "; and %zu more that need care", others);
    return (Confirm){.kind = CONFIRM_TYPED, .typed = mem_format("%zu", count), .why = buffer_take(&out)};
}

void confirm_done(Confirm *confirm)
{
    free(confirm->typed);
    free(confirm->why);
    *confirm = (Confirm){0};
}
