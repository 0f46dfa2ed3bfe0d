#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Role chrome_verdict_role(VerdictState state)
{
    switch (state) {
    case VERDICT_ORPHANED: return ROLE_ORPHANED;
    case VERDICT_STUCK: return ROLE_STUCK;
    case VERDICT_UNATTENDED: return ROLE_UNATTENDED;
    case VERDICT_IDLE: return ROLE_IDLE;
    case VERDICT_STARTING: return ROLE_STARTING;
    case VERDICT_ACTIVE: return ROLE_ACTIVE;
    default: return ROLE_UNKNOWN;
    }
}

void chrome_verdict(App *app, const ViewRow *row, Pen *pen)
{
    Buffer out;
    buffer_init(&out, 200);
    column_find("verdict")->format(&out, row, app->now, app->canvas->ascii);
    pen_text(pen, chrome_verdict_role(row->verdict.state), out.bytes);
    buffer_done(&out);
}

int64_t chrome_age_due(int64_t age_ms)
{
    int64_t unit = age_ms < 60000 ? 1000 : age_ms < 3600000 ? 60000 : 3600000;
    return age_ms < 0 ? 1000 : unit - age_ms % unit + 1;
}

/* ------------------------------------------------------------------------------------------------------------- header */

static const char *chrome_money(App *app, double value, char out[48])
{
    const char *currency = engine_config(app->engine)->cost.currency;
    Buffer text;
    buffer_init(&text, 40);
    if (!currency || strcmp(currency, "USD") == 0)
        buffer_format(&text, "$%.2f", value);
    else if (strcmp(currency, "EUR") == 0 && !app->canvas->ascii)
        buffer_format(&text, "€%.2f", value);
    else
        buffer_format(&text, "%.2f %s", value, currency);
    memcpy(out, text.bytes, text.length + 1);
    buffer_done(&text);
    return out;
}

static void chrome_amount(Pen *pen, int64_t threads, int64_t memory, Role role)
{
    char bytes[24];
    if (threads > 0)
        pen_put(pen, role, "%lld CPU", (long long)threads);
    if (memory > 0)
        pen_put(pen, role, "%s%s", threads > 0 ? ", " : "", text_size(memory, bytes));
}

/* Whole items only: half a word helps nobody. */
static void chrome_item(Pen *pen, Role role, const char *before, const char *text)
{
    if (pen_left(pen) < text_width(before) + text_width(text)) {
        pen->end = pen->col;
        return;
    }
    pen_text(pen, ROLE_DIM, before);
    pen_text(pen, role, text);
}

static void chrome_verdicts(App *app, Pen *pen)
{
    const ViewSums *sums = &app->view->sums;
    const char *between = "  ";
    for (int state = 0; state < VERDICT_COUNT; state++) {
        char text[64];
        bool told = state == VERDICT_ORPHANED || state == VERDICT_STUCK || state == VERDICT_UNATTENDED || state == VERDICT_IDLE;
        if (!told || sums->verdicts[state] == 0)
            continue;
        snprintf(text, sizeof text, "%zu %s", sums->verdicts[state], verdict_word((VerdictState)state));
        chrome_item(pen, chrome_verdict_role((VerdictState)state), between, text);
        between = " · ";
    }
}

/* Where it is narrow, what is wasted comes before the counts: the rows say the rest. */
static void chrome_cost(App *app, Pen *pen)
{
    const ViewSums *sums = &app->view->sums;
    bool priced = !isnan(sums->per_hour), wasted = priced && sums->per_hour_unused > 0, narrow = app->canvas->cols < 110;
    char money[48], text[80];
    snprintf(text, sizeof text, "%zu cluster%s", sums->clusters, sums->clusters == 1 ? "" : "s");
    chrome_item(pen, ROLE_STRONG, "", text);
    if (narrow && wasted) {
        snprintf(text, sizeof text, "%s/h unused", chrome_money(app, sums->per_hour_unused, money));
        chrome_item(pen, ROLE_UNATTENDED, "  ", text);
    }
    chrome_verdicts(app, pen);
    if (narrow || !priced)
        return;
    snprintf(text, sizeof text, "%s/h", chrome_money(app, sums->per_hour, money));
    chrome_item(pen, ROLE_TEXT, "   ", text);
    snprintf(text, sizeof text, "%s unused", chrome_money(app, sums->per_hour_unused, money));
    if (wasted)
        chrome_item(pen, ROLE_UNATTENDED, ", ", text);
}

void chrome_sums(App *app, Pen *pen)
{
    const ViewSums *sums = &app->view->sums;
    chrome_cost(app, pen);
    if (pen_left(pen) > 24 && (sums->threads > 0 || sums->memory > 0)) {
        pen_text(pen, ROLE_DIM, "   ");
        chrome_amount(pen, sums->threads, sums->memory, ROLE_DIM);
        if (sums->threads_unused > 0 && pen_left(pen) > 20)
            pen_put(pen, ROLE_UNATTENDED, ", %lld CPU unused", (long long)sums->threads_unused);
    }
}

typedef struct Badge {
    char text[80];
    const char *mark;
    char age[TIME_TEXT + 8];
    const char *caution; /* NULL */
    Role role;
    int weight; /* what is not well is shown first where room is short */
} Badge;

static void chrome_badge(App *app, const PartInfo *info, Badge *badge)
{
    bool plain = app->canvas->ascii || app->canvas->simple;
    const char *instance = info->instance ? info->instance : "";
    Buffer name;
    buffer_init(&name, sizeof badge->text - 1);
    buffer_format(&name, "%.40s%s%.30s", info->backend, *instance ? ":" : "", instance);
    memcpy(badge->text, name.bytes, name.length + 1);
    buffer_done(&name);
    badge->age[0] = 0;
    badge->role = ROLE_BAD;
    badge->weight = 1;
    switch (info->state) {
    case PART_OK: badge->mark = plain ? "ok" : "✓", badge->role = ROLE_GOOD, badge->weight = 0; break;
    case PART_WAITING: badge->mark = "…", badge->role = ROLE_DIM; break;
    case PART_PARTIAL: badge->mark = "partial", badge->role = ROLE_WARN; break;
    case PART_SLOW: badge->mark = "slow", badge->role = ROLE_WARN; break;
    case PART_SIGN_IN: badge->mark = "needs sign-in", badge->role = ROLE_WARN; break;
    case PART_DENIED: badge->mark = "denied"; break;
    default: badge->mark = plain ? "failed" : "✗";
    }
    badge->caution = info->caution;
    badge->weight = badge->weight || info->caution;
    int64_t age = info->answered_ms == TIME_UNKNOWN ? -1 : app->now.wall_ms - info->answered_ms;
    if (info->state != PART_OK && info->state != PART_WAITING && info->state != PART_SIGN_IN && age > 0) {
        char words[TIME_TEXT];
        Buffer out;
        buffer_init(&out, sizeof badge->age - 1);
        buffer_format(&out, " %s old", duration_short(age, words));
        memcpy(badge->age, out.bytes, out.length + 1);
        buffer_done(&out);
    }
}

static int chrome_badge_width(const Badge *badge)
{
    return text_width(badge->text) + 1 + text_width(badge->mark) + text_width(badge->age) + (badge->caution ? text_width(badge->caution) + 1 : 0) + 2;
}

/* Health of the backends at the right; those that are absent or off are no news. Returns the column where it begins. */
static int chrome_health(App *app, Canvas *canvas, int row, int most)
{
    const Snapshot *snapshot = app->view->snapshot;
    Badge badges[24];
    int count = 0, hidden = 0, width = 0;
    for (size_t i = 0; snapshot && i < snapshot->part_count; i++) {
        const PartInfo *info = &snapshot->parts[i]->info;
        if (info->state == PART_ABSENT || info->state == PART_OFF || count >= 24)
            continue;
        chrome_badge(app, info, &badges[count++]);
    }
    for (int i = 0; i < count; i++)
        width += chrome_badge_width(&badges[i]);
    for (int i = count; i-- > 0 && width > most;) /* the well ones go first */
        if (badges[i].weight == 0) {
            width -= chrome_badge_width(&badges[i]);
            badges[i].weight = -1;
            hidden++;
        }
    for (int i = count; i-- > 0 && width > most;)
        if (badges[i].weight > 0) {
            width -= chrome_badge_width(&badges[i]);
            badges[i].weight = -1;
            hidden++;
        }
    char *more = hidden ? mem_format("+%d", hidden) : NULL;
    int begin = canvas->cols - width - (more ? text_width(more) + 1 : 0);
    Pen pen = canvas_pen(canvas, row, begin, canvas->cols);
    for (int i = 0; i < count; i++) {
        if (badges[i].weight < 0)
            continue;
        pen_put(&pen, ROLE_TEXT, "%s ", badges[i].text);
        pen_text(&pen, badges[i].role, badges[i].mark);
        pen_text(&pen, ROLE_WARN, badges[i].age);
        if (badges[i].caution)
            pen_put(&pen, ROLE_WARN, " %s", badges[i].caution);
        pen_text(&pen, ROLE_TEXT, "  ");
    }
    if (more)
        pen_text(&pen, ROLE_DIM, more);
    free(more);
    return begin;
}

static void chrome_modes(App *app, Pen *pen)
{
    char words[TIME_TEXT];
    if (app->read_only)
        pen_text(pen, ROLE_WARN, "  read-only");
    if (app->view->only_unused)
        pen_text(pen, ROLE_KEY, "  only unused");
    if (app->table.only_backend)
        pen_put(pen, ROLE_KEY, "  backend %s", app->table.only_backend);
    if (app->filter_text && *app->filter_text)
        pen_put(pen, ROLE_KEY, "  /%s", app->filter_text);
    if (app->route_count)
        pen_put(pen, ROLE_GOOD, "  %zu route%s", app->route_count, app->route_count == 1 ? "" : "s");
    size_t running = operations_running(engine_operations(app->engine));
    if (running)
        pen_put(pen, ROLE_STARTING, "  %zu change%s under way", running, running == 1 ? "" : "s");
    if (app->from_last && app->last_ms != TIME_UNKNOWN)
        pen_put(pen, ROLE_WARN, "  as of %s ago", duration_short(app->now.wall_ms - app->last_ms, words));
}

/* How many cells the left side would take if there were no end. */
static int chrome_measure(App *app, Canvas *canvas, void (*draw)(App *, Pen *))
{
    Canvas *scratch = canvas_new(1, 300);
    scratch->ascii = canvas->ascii;
    Pen pen = canvas_pen(scratch, 0, 0, 300);
    draw(app, &pen);
    canvas_free(scratch);
    return pen.col;
}

void chrome_header(App *app, Canvas *canvas)
{
    Page *page = app_page(app);
    int badge = canvas->cols >= 90 ? 11 : 0, third = canvas->cols / 3;
    int modes = page->type->title ? 0 : chrome_measure(app, canvas, chrome_modes);
    int counts = page->type->title ? canvas->cols / 2 : chrome_measure(app, canvas, chrome_cost);
    int most = canvas->cols - badge - modes - counts - 4;
    int end = chrome_health(app, canvas, 0, most > third || canvas->cols < 60 ? most : third);
    Pen pen = canvas_pen(canvas, 0, 1, end - 1);
    if (badge) {
        pen.col = 0;
        pen_text(&pen, ROLE_BADGE, " dasktop ");
        pen.col += 2;
    }
    if (page->type->title) {
        page->type->title(app, page, &pen);
        return;
    }
    /* What narrows the view must not be cut off by numbers. */
    Pen sums = canvas_pen(canvas, 0, pen.col, pen.end - modes);
    chrome_sums(app, &sums);
    pen.col = sums.col;
    chrome_modes(app, &pen);
}

/* ------------------------------------------------------------------------------------------------------------- bottom */

static void chrome_path(const char *path, Buffer *out)
{
    const char *home = getenv("HOME");
    size_t n = home ? strlen(home) : 0;
    if (n > 1 && strncmp(path, home, n) == 0 && (path[n] == '/' || path[n] == 0))
        buffer_format(out, "~%s", path + n);
    else
        buffer_text(out, path);
}

void chrome_origin(const RecordFields *is, Buffer *out)
{
    if (is->origin.kind)
        buffer_text(out, is->origin.kind);
    if (is->origin.path) {
        buffer_text(out, out->length ? " " : "");
        chrome_path(is->origin.path, out);
    }
    if (is->origin.host)
        buffer_format(out, " on %s", is->origin.host);
    if (is->origin.how)
        buffer_format(out, ", %s", is->origin.how);
    if (is->origin.alive == 0)
        buffer_text(out, " (process gone)");
}

void chrome_evidence(App *app, const ViewRow *row, Pen *pen)
{
    List evidence = {0};
    VerdictLimits limits = {engine_config(app->engine)->verdict.idle_ms, engine_config(app->engine)->verdict.unattended_ms};
    verdict_evidence(row->record, row->stale, row->verdict, app->now, limits, &evidence);
    pen_put(pen, ROLE_STRONG, "%s", row->record->is.name);
    pen_text(pen, ROLE_TEXT, "  ");
    if (row->kept.kept)
        pen_put(pen, ROLE_GOOD, "kept%s%s  ", *row->kept.reason ? ": " : "", row->kept.reason);
    for (size_t i = 0; i < evidence.count; i++) {
        pen_text(pen, ROLE_DIM, i ? " · " : "");
        pen_text(pen, ROLE_DIM, evidence.items[i]);
    }
    if (row->record->is.status_why)
        pen_put(pen, ROLE_DIM, "%s%s", evidence.count ? " · " : "", row->record->is.status_why);
    list_done(&evidence);
    Buffer origin;
    buffer_init(&origin, 2048);
    chrome_origin(&row->record->is, &origin);
    if (origin.length)
        pen_put(pen, ROLE_DIM, " · %s", origin.bytes);
    buffer_done(&origin);
}

enum { HINTS_MAX = 40 };

static int chrome_hint_order(const void *a, const void *b)
{
    const KeyInfo *x = *(const KeyInfo *const *)a, *y = *(const KeyInfo *const *)b;
    return x->order != y->order ? (x->order < y->order ? -1 : 1) : (x < y ? -1 : x > y);
}

static int chrome_hint_width(App *app, const KeyInfo *info)
{
    char key[24];
    return text_width(keys_first(&app->keys, info, key)) + 1 + text_width(info->hint) + 2;
}

static void chrome_hint(App *app, Pen *pen, const KeyInfo *info)
{
    char key[24];
    Error why;
    bool can = app_can(app, info, &why);
    if (pen_left(pen) < chrome_hint_width(app, info) - 2)
        return;
    pen_text(pen, can ? ROLE_KEY : ROLE_DIM, keys_first(&app->keys, info, key));
    pen_put(pen, ROLE_DIM, can ? " %s" : " (%s)", info->hint);
    pen->col += 2;
}

/* Of the main ones among these that can be done now. */
static int chrome_possible_width(App *app, const KeyInfo *const *hints, size_t count)
{
    int width = 0;
    for (size_t i = 0; i < count; i++)
        width += hints[i]->order < 10 && app_can(app, hints[i], NULL) ? chrome_hint_width(app, hints[i]) : 0;
    return width;
}

/* The keys that fit what is selected; help and the way out are always there, at the end. */
static void chrome_hints(App *app, Canvas *canvas, int row)
{
    const KeyInfo *hints[HINTS_MAX];
    size_t count = 0;
    unsigned where = app_where(app);
    int kept = 0;
    for (const KeyInfo *info = key_table; info->action; info++) {
        char key[24];
        bool absent = ((info->needs & NEED_WRITABLE) && app->read_only) || ((info->needs & NEED_CLUSTER) && !app_subject(app));
        if (info->hint && (info->where & where) && !absent && count < HINTS_MAX && *keys_first(&app->keys, info, key))
            hints[count++] = info;
    }
    qsort(hints, count, sizeof *hints, chrome_hint_order);
    for (size_t i = 0; i < count; i++)
        kept += hints[i]->order >= 40 ? chrome_hint_width(app, hints[i]) : 0;
    Pen pen = canvas_pen(canvas, row, 1, canvas->cols - 1);
    for (size_t i = 0; i < count; i++) {
        /* what cannot be done is only said where it takes no room from what can */
        int wanted = app_can(app, hints[i], NULL) ? 0 : 2 + chrome_possible_width(app, hints + i + 1, count - i - 1);
        if (hints[i]->order < 40 && pen_left(&pen) < chrome_hint_width(app, hints[i]) + wanted + kept - 2)
            continue;
        chrome_hint(app, &pen, hints[i]);
    }
}

int chrome_bottom_rows(const Canvas *canvas)
{
    return canvas->rows >= 12 ? 3 : 2;
}

static void chrome_prompt(App *app, Canvas *canvas, int row)
{
    Pen pen = canvas_pen(canvas, row, 1, canvas->cols);
    pen_text(&pen, ROLE_KEY, app->prompt.label);
    edit_draw(&app->prompt.edit, canvas, row, pen.col, pen_left(&pen) - 1, ROLE_INPUT);
}

void chrome_bottom(App *app, Canvas *canvas, int row)
{
    Page *page = app_page(app);
    if (chrome_bottom_rows(canvas) == 3)
        canvas_rule(canvas, row++, 0, canvas->cols);
    Pen pen = canvas_pen(canvas, row, 1, canvas->cols - 1);
    if (*app->message)
        pen_text(&pen, app->message_role, app->message);
    else if (page->type->status)
        page->type->status(app, page, &pen);
    if (app->prompt.info)
        chrome_prompt(app, canvas, row + 1);
    else
        chrome_hints(app, canvas, row + 1);
}
