/* `X`: what the sweep rules would delete, of what is shown, put into the dialog that asks before deletions. */
#include "ui/app.h"

#include "base/mem.h"
#include "core/sweep.h"

#include <stdlib.h>
#include <string.h>

/* "orphaned", "unattended 2h", "idle 1d" take the place of the config's rules. False: said. */
static bool sweep_argument(App *app, SweepRules *rules, const char *text)
{
    static const char *const words[] = {"unattended", "idle"};
    int64_t *lengths[] = {&rules->unattended_ms, &rules->idle_ms};
    sweep_rules_none(rules);
    rules->orphaned = strcmp(text, "orphaned") == 0;
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);
        int64_t ms;
        if (strncmp(text, words[i], n) == 0 && text[n] == ' ' && duration_parse(text + n + 1, &ms))
            *lengths[i] = ms;
    }
    if (!sweep_rules_any(rules))
        app_say(app, ROLE_WARN, ":sweep orphaned, :sweep unattended DUR or :sweep idle DUR, as in :sweep idle 2h");
    return sweep_rules_any(rules);
}

static bool sweep_rules(App *app, SweepRules *rules, const char *argument)
{
    const Config *config = engine_config(app->engine);
    if (config->problems.count) {
        /* what protects clusters may be in the part that could not be read */
        app_say(app, ROLE_BAD, "no sweep while the config is wrong: %s", config->problems.items[0]);
        return false;
    }
    sweep_rules_read(rules, config);
    rules->tell = false; /* who sees the question has been told */
    if (argument && *argument)
        return sweep_argument(app, rules, argument);
    if (!sweep_rules_any(rules))
        rules->orphaned = true;
    return true;
}

/* Why nothing, or not all, is asked about. */
static void sweep_say(App *app, const Sweep *sweep, size_t hidden, const char *rules)
{
    const SweepItem *stays = NULL;
    for (size_t i = 0; i < sweep->count && !stays; i++)
        if (sweep->items[i].fate == SWEEP_STAYS)
            stays = &sweep->items[i];
    if (hidden)
        app_say(app, ROLE_WARN, "%zu more that the rules fit (%s) are hidden by the filter (:all)", hidden, rules);
    else if (stays)
        app_say(app, ROLE_TEXT, "rules: %s. %zu stay, as %s: %s", rules, sweep->counts[SWEEP_STAYS], stays->row->record->is.name, stays->why);
    else if (!sweep->counts[SWEEP_GOES])
        app_say(app, ROLE_TEXT, "nothing to sweep: no cluster is %s", rules);
}

static void sweep_ask(App *app, const Sweep *sweep, const SweepRules *rules, const char *words)
{
    const ViewRow **rows = mem_new((sweep->counts[SWEEP_GOES] + 1) * sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const ViewRow *row = sweep->items[i].fate == SWEEP_GOES ? app_row(app, sweep->items[i].row->record) : NULL;
        if (row)
            rows[count++] = row; /* what cannot be seen is not deleted */
    }
    if (count > (size_t)rules->max) {
        app_say(app, ROLE_WARN, "%zu clusters are more than sweep.max allows in one run (%lld): narrow the rules, or raise it", count,
                (long long)rules->max);
    } else {
        sweep_say(app, sweep, sweep->counts[SWEEP_GOES] - count, words);
        if (count)
            dialog_delete_rows(app, rows, count);
    }
    free(rows);
}

void sweep_open(App *app, const char *argument)
{
    SweepRules rules = {0};
    if (!sweep_rules(app, &rules, argument)) {
        sweep_rules_done(&rules);
        return;
    }
    Buffer words;
    buffer_init(&words, BUFFER_ANY);
    sweep_rules_text(&rules, &words);
    Sweep sweep = sweep_decide(app->view, &rules, NULL, app->now);
    sweep_ask(app, &sweep, &rules, words.bytes);
    sweep_done(&sweep);
    sweep_rules_done(&rules);
    buffer_done(&words);
}
