/* The table with nothing in it, and the first screen: what was looked at, what was found, what was not and why, what to do next. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { OFFER_MS = 10000 };

/* ------------------------------------------------------------------------------------------------- what could be opened */

typedef struct OfferTask {
    Task task;
    List sentences;
} OfferTask;

static bool offer_run(Task *task, Context *context, Error *error)
{
    OfferTask *asked = (OfferTask *)task;
    for (const BackendType *const *type = engine_types(task->app->engine); *type && context_check(context, NULL, error); type++)
        if ((*type)->offer)
            (*type)->offer(&asked->sentences);
    return true;
}

static void offer_done(Task *task)
{
    OfferTask *asked = (OfferTask *)task;
    for (size_t i = 0; task->owner && i < asked->sentences.count; i++)
        list_take(&task->app->offers, text_clean_new(asked->sentences.items[i], strlen(asked->sentences.items[i]), TEXT_NAME_MAX));
    task->app->dirty = true;
    list_done(&asked->sentences);
}

/* Once, when there is nothing else to show. */
static void empty_ask(App *app)
{
    if (app->offers_asked || !app->screen)
        return;
    app->offers_asked = true;
    OfferTask *task = task_new(app, sizeof *task, app, offer_run, offer_done);
    task_start(&task->task, NULL, OFFER_MS);
}

/* ---------------------------------------------------------------------------------------------------------------- draw */

static void empty_part(Canvas *canvas, int y, const PartInfo *info)
{
    Pen pen = canvas_pen(canvas, y, 4, canvas->cols - 1);
    bool quiet = info->state == PART_ABSENT || info->state == PART_OFF;
    char took[TIME_TEXT];
    pen_put(&pen, quiet ? ROLE_DIM : ROLE_TEXT, "%-12s ", info->backend);
    if (info->instance)
        pen_put(&pen, ROLE_DIM, "%s ", info->instance);
    if (info->state == PART_OK && info->took_ms != NUMBER_UNKNOWN)
        pen_put(&pen, ROLE_GOOD, "looked everywhere in %s: none", duration_short(info->took_ms, took));
    else if (info->state == PART_WAITING)
        pen_text(&pen, ROLE_DIM, "is being asked…");
    else
        pen_put(&pen, quiet ? ROLE_DIM : ROLE_WARN, "%s", part_state_word(info->state));
    if (info->error.code != ERROR_OK) {
        pen_put(&pen, ROLE_DIM, ": %s", info->error.what);
        if (*info->error.hint)
            pen_put(&pen, ROLE_DIM, " (%s)", info->error.hint);
    }
}

static void empty_end(Canvas *canvas, int y, bool hidden)
{
    Pen pen = canvas_pen(canvas, y, 2, canvas->cols - 1);
    if (hidden) {
        pen_text(&pen, ROLE_KEY, "Esc");
        pen_text(&pen, ROLE_DIM, " clears the filter   ");
        pen_text(&pen, ROLE_KEY, ":all");
        pen_text(&pen, ROLE_DIM, " shows everybody's");
        return;
    }
    pen_text(&pen, ROLE_KEY, "F5");
    pen_text(&pen, ROLE_DIM, " looks again   ");
    pen_text(&pen, ROLE_KEY, "b");
    pen_text(&pen, ROLE_DIM, " says more   ");
    pen_text(&pen, ROLE_KEY, "?");
    pen_text(&pen, ROLE_DIM, " keys");
    pen = canvas_pen(canvas, y + 1, 2, canvas->cols - 1);
    pen_text(&pen, ROLE_KEY, "N");
    pen_text(&pen, ROLE_DIM, " makes one   ");
    pen_text(&pen, ROLE_KEY, "scripts/run --demo");
    pen_text(&pen, ROLE_DIM, " makes real ones to look at");
}

static bool all_answered(const Snapshot *snapshot)
{
    for (size_t i = 0; snapshot && i < snapshot->part_count; i++)
        if (snapshot->parts[i]->info.state == PART_WAITING)
            return false;
    return snapshot && snapshot->part_count > 0;
}

void empty_draw(App *app, Canvas *canvas, Area area)
{
    const Snapshot *snapshot = app->view->snapshot;
    int y = area.row;
    bool hidden = app->view->sums.clusters > 0;
    if (hidden) {
        Pen pen = canvas_pen(canvas, y, 2, canvas->cols - 1);
        pen_put(&pen, ROLE_STRONG, "None of %zu clusters fits", app->view->sums.clusters);
        if (app->filter_text && *app->filter_text)
            pen_put(&pen, ROLE_TEXT, " the filter %s", app->filter_text);
        if (app->view->only_unused)
            pen_text(&pen, ROLE_TEXT, "; only unused ones are shown");
        empty_end(canvas, y + 2, true);
        return;
    }
    canvas_text(canvas, y, 2, canvas->cols - 3, ROLE_STRONG,
                all_answered(snapshot) ? "No Dask cluster was found. What was looked at:" : "Looking for Dask clusters…");
    y += area.rows > 6 ? 2 : 1;
    for (size_t i = 0; snapshot && i < snapshot->part_count && y < area.row + area.rows - 2; i++)
        empty_part(canvas, y++, &snapshot->parts[i]->info);
    empty_ask(app);
    if (app->offers.count && y + 2 < area.row + area.rows - 2) {
        y++;
        canvas_text(canvas, y++, 2, canvas->cols - 3, ROLE_TEXT, "Seen, and not opened unasked:");
        for (size_t i = 0; i < app->offers.count && y < area.row + area.rows - 3; i++)
            canvas_text(canvas, y++, 4, canvas->cols - 5, ROLE_DIM, app->offers.items[i]);
    }
    empty_end(canvas, y + (area.rows > 6 ? 1 : 0), false);
}
