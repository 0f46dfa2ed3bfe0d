/* One cluster, opened: what it does in one sentence, charts over the session, its workers, resources and tasks. Asked again at a
 * pace that costs its scheduler next to nothing. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 512, SHOW_MS = 30000, LEAST_PAUSE_MS = 2000, PAUSE_FACTOR = 20 };

typedef enum Tab { TAB_WORKERS, TAB_RESOURCES, TAB_TASKS, TAB_COUNT } Tab;

typedef struct Sample {
    double cpu, memory, tasks, workers; /* NAN: not known */
} Sample;

typedef struct DetailsPage {
    Task *task;
    Handle *handle;
    Description *description;
    Error error;
    int64_t next_ms, asked_ms;
    Sample samples[SAMPLES];
    size_t sample_count;
    Tab tab;
    size_t index, top;
    int height, list_row; /* of the list's first line on the page */
    char *cursor; /* name of the worker under the cursor */
} DetailsPage;

/* ------------------------------------------------------------------------------------------------------------- asking */

typedef struct DetailsTask {
    Task task;
    Record *record;
    Handle *handle;
    Description *description;
} DetailsTask;

static bool details_run(Task *task, Context *context, Error *error)
{
    DetailsTask *asked = (DetailsTask *)task;
    if (!asked->handle && !engine_reconstruct(task->app->engine, context, asked->record, &asked->handle, error))
        return false;
    if (!asked->handle->type->show)
        return error_set(error, ERROR_UNSUPPORTED, asked->record->is.name, NULL, "this kind of cluster cannot be looked into");
    asked->description = description_new();
    return asked->handle->type->show(asked->handle, context, asked->description, error);
}

static void details_sample(DetailsPage *details)
{
    const Description *is = details->description;
    const RecordFields *fields = is->record ? &is->record->is : NULL;
    if (details->sample_count == SAMPLES)
        memmove(details->samples, details->samples + 1, --details->sample_count * sizeof(Sample));
    Sample *sample = &details->samples[details->sample_count++];
    *sample = (Sample){NAN, NAN, NAN, (double)is->worker_count};
    double cpu = 0, memory = 0;
    bool known = false;
    for (size_t i = 0; i < is->worker_count; i++) {
        cpu += isnan(is->workers[i].cpu) ? 0 : is->workers[i].cpu;
        memory += is->workers[i].memory == NUMBER_UNKNOWN ? 0 : (double)is->workers[i].memory;
        known |= !isnan(is->workers[i].cpu);
    }
    sample->cpu = known ? cpu : NAN;
    sample->memory = is->worker_count ? memory : NAN;
    if (fields && fields->tasks.processing != NUMBER_UNKNOWN)
        sample->tasks = (double)fields->tasks.processing + (fields->tasks.waiting > 0 ? (double)fields->tasks.waiting : 0) +
                        (fields->tasks.queued > 0 ? (double)fields->tasks.queued : 0);
}

static void details_done(Task *task)
{
    DetailsTask *asked = (DetailsTask *)task;
    DetailsPage *details = task->owner;
    if (details) {
        int64_t now = clock_mono_ms(), took = now - details->asked_ms;
        details->task = NULL;
        details->handle = asked->handle;
        details->error = task->ok ? (Error){0} : task->error;
        asked->handle = NULL;
        if (task->ok) {
            if (details->description)
                description_free(details->description);
            details->description = asked->description;
            asked->description = NULL;
            details_sample(details);
        }
        details->next_ms = now + (took * PAUSE_FACTOR > LEAST_PAUSE_MS ? took * PAUSE_FACTOR : LEAST_PAUSE_MS);
        task->app->dirty = true;
    }
    if (asked->description)
        description_free(asked->description);
    task_close_handle(task->app, asked->handle);
    record_drop(asked->record);
}

static void details_ask(App *app, Page *page)
{
    DetailsPage *details = page->own;
    DetailsTask *task = task_new(app, sizeof *task, details, details_run, details_done);
    task->record = record_keep(page->record);
    task->handle = details->handle;
    details->handle = NULL;
    details->task = &task->task;
    details->asked_ms = clock_mono_ms();
    task_start(&task->task, NULL, SHOW_MS);
}

static bool details_turn(App *app, Page *page)
{
    DetailsPage *details = page->own;
    if (!details->task && clock_mono_ms() >= details->next_ms)
        details_ask(app, page);
    return false;
}

static int64_t details_due(App *app, Page *page)
{
    DetailsPage *details = page->own;
    int64_t due = details->task ? INT64_MAX : details->next_ms - app->now.mono_ms;
    return due < 0 ? 0 : due;
}

/* ----------------------------------------------------------------------------------------------------- what it is doing */

static void details_sentence(const RecordFields *is, Pen *pen)
{
    int64_t to_go = 0;
    bool known = is->tasks.processing != NUMBER_UNKNOWN;
    to_go += known ? is->tasks.processing : 0;
    to_go += is->tasks.waiting > 0 ? is->tasks.waiting : 0;
    to_go += is->tasks.queued > 0 ? is->tasks.queued : 0;
    if (is->status == STATUS_UNREACHABLE || is->status == STATUS_UNRESPONSIVE || is->status == STATUS_FAILED)
        pen_put(pen, ROLE_TEXT, "%s%s%s.", status_word(is->status), is->status_why ? ": " : "", is->status_why ? is->status_why : "");
    else if (!known)
        pen_put(pen, ROLE_TEXT, "%s; what it works on is not known.", status_word(is->status));
    else if (is->tasks.unrunnable > 0)
        pen_put(pen, ROLE_TEXT, "%lld tasks that no worker can run.", (long long)is->tasks.unrunnable);
    else if (to_go == 0)
        pen_put(pen, ROLE_TEXT, "Nothing to do.");
    else
        pen_put(pen, ROLE_TEXT, "%lld task%s to go, %lld running.", (long long)to_go, to_go == 1 ? "" : "s",
                (long long)is->tasks.processing);
    if (is->tasks.stored > 0)
        pen_put(pen, ROLE_TEXT, " Holds %lld result%s.", (long long)is->tasks.stored, is->tasks.stored == 1 ? "" : "s");
    if (is->tasks.erred > 0)
        pen_put(pen, ROLE_WARN, " %lld erred.", (long long)is->tasks.erred);
    if (is->workers_paused > 0)
        pen_put(pen, ROLE_WARN, " %lld workers paused.", (long long)is->workers_paused);
}

static void details_facts(App *app, const DetailsPage *details, const Record *record, Pen *pen)
{
    const RecordFields *is = &record->is;
    const Description *found = details->description;
    char words[TIME_TEXT];
    Cost cost = cost_of(record, engine_config(app->engine), app->now);
    if (is->resources != NUMBER_UNKNOWN)
        pen_put(pen, ROLE_DIM, "%lld resource%s · ", (long long)is->resources, is->resources == 1 ? "" : "s");
    if (!isnan(cost.per_hour))
        pen_put(pen, ROLE_DIM, "%.2f/h, %.2f so far · ", cost.per_hour, isnan(cost.so_far) ? 0 : cost.so_far);
    if (is->ends_at_ms != TIME_UNKNOWN)
        pen_put(pen, ROLE_DIM, "ends in %s · ", duration_words(is->ends_at_ms - app->now.wall_ms, words));
    if (is->clients != NUMBER_UNKNOWN)
        pen_put(pen, ROLE_DIM, "%lld client%s", (long long)is->clients, is->clients == 1 ? "" : "s");
    else
        pen_text(pen, ROLE_DIM, "clients not known");
    if (found && found->route)
        pen_put(pen, ROLE_DIM, " · route: %s", found->route);
    if (found && found->lost.count == 0)
        pen_text(pen, ROLE_DIM, " · nothing lost");
}

static void details_label(Canvas *canvas, int y, int cols, const char *label, Role role, const char *text)
{
    canvas_text(canvas, y, 1, 9, ROLE_DIM, label);
    canvas_text(canvas, y, 11, cols - 12, role, text);
}

static void details_sentences(Canvas *canvas, int y, int cols, const char *label, Role role, const List *sentences)
{
    Buffer line;
    buffer_init(&line, 4096);
    for (size_t i = 0; i < sentences->count; i++)
        buffer_format(&line, "%s%s", i ? " · " : "", sentences->items[i]);
    details_label(canvas, y, cols, label, role, line.bytes);
    buffer_done(&line);
}

/* Why it is called what it is called, what reconstruction found and what is lost, what it costs: a line each, where there is something
 * to say and room to say it. Returns how many. */
static int details_about(App *app, const DetailsPage *details, const ViewRow *row, const Record *record, Canvas *canvas, int y, Area area)
{
    const Description *found = details->description;
    const Config *config = engine_config(app->engine);
    Cost cost = cost_of(record, config, app->now);
    int first = y;
    if (row) {
        List evidence = {0};
        verdict_evidence(row->record, row->stale, row->verdict, app->now, (VerdictLimits){config->verdict.idle_ms, config->verdict.unattended_ms}, &evidence);
        if (evidence.count)
            details_sentences(canvas, y++, area.cols, "evidence", ROLE_TEXT, &evidence);
        list_done(&evidence);
    }
    if (found && found->found.count)
        details_sentences(canvas, y++, area.cols, "found", ROLE_TEXT, &found->found);
    if (found && found->lost.count)
        details_sentences(canvas, y++, area.cols, "lost", ROLE_WARN, &found->lost);
    if (*cost.basis)
        details_label(canvas, y++, area.cols, "cost", ROLE_TEXT, cost.basis);
    return y - first;
}

/* -------------------------------------------------------------------------------------------------------------- charts */

static double details_value(const Sample *sample, int which)
{
    const double values[] = {sample->cpu, sample->memory, sample->tasks, sample->workers};
    return values[which];
}

static void details_spark(const DetailsPage *details, Canvas *canvas, int y, int col, int width, int which, Role role, double most)
{
    size_t count = details->sample_count < (size_t)width ? details->sample_count : (size_t)width;
    for (size_t i = 0; i < count; i++) { /* the newest at the right */
        double value = details_value(&details->samples[details->sample_count - count + i], which);
        int eighth = isnan(value) || most <= 0 ? 0 : (int)ceil(value / most * 8);
        if (eighth > 0)
            canvas_code(canvas, y, col + width - (int)count + (int)i, role, 0x2580 + (uint32_t)(eighth > 8 ? 8 : eighth));
    }
}

static void details_charts(const DetailsPage *details, const RecordFields *is, Canvas *canvas, Area area)
{
    static const char *const labels[] = {"CPU", "memory", "tasks", "workers"};
    static const Role roles[] = {ROLE_BAR_CPU, ROLE_BAR_MEMORY, ROLE_BAR_TASKS, ROLE_BAR_WORKERS};
    int width = area.cols - 40 > 100 ? 100 : area.cols - 40;
    for (int i = 0; i < 4; i++) {
        double most = 0, last = NAN;
        char text[64] = "–", a[24], b[24];
        for (size_t k = 0; k < details->sample_count; k++) {
            last = details_value(&details->samples[k], i);
            most = !isnan(last) && last > most ? last : most;
        }
        if (i == 0 && is->threads > 0)
            most = 100.0 * (double)is->threads;
        if (i == 1 && is->memory > 0)
            most = (double)is->memory;
        canvas_text(canvas, area.row + i, 1, 9, ROLE_DIM, labels[i]);
        details_spark(details, canvas, area.row + i, 11, width, i, roles[i], most);
        if (i == 0 && !isnan(last))
            snprintf(text, sizeof text, "%.0f %%", is->threads > 0 ? last / (double)is->threads : last);
        else if (i == 1 && !isnan(last) && is->memory > 0)
            snprintf(text, sizeof text, "%s of %s", text_size((int64_t)last, a), text_size(is->memory, b));
        else if (i == 1 && !isnan(last))
            snprintf(text, sizeof text, "%s", text_size((int64_t)last, a));
        else if (!isnan(last))
            snprintf(text, sizeof text, i == 2 ? "%.0f to go" : "%.0f", last);
        canvas_text(canvas, area.row + i, 13 + width, 26, ROLE_TEXT, text);
    }
}

/* --------------------------------------------------------------------------------------------------------------- lists */

static void details_bar(Canvas *canvas, int y, int col, int width, double part, Role role, const char *text)
{
    canvas_bar(canvas, y, col, width, part, role);
    canvas_text(canvas, y, col + width + 1, 9, ROLE_TEXT, text);
}

typedef struct WorkerColumns {
    int name, host, cpu, memory, bar, spilled, tasks, state;
} WorkerColumns;

static WorkerColumns details_columns(int cols)
{
    bool wide = cols >= 116; /* what its columns take */
    WorkerColumns at = {2, wide ? 26 : 0, wide ? 44 : 22, 0, wide ? 12 : 6, 0, 0, 0};
    at.memory = at.cpu + at.bar + (wide ? 8 : 7);
    at.spilled = at.memory + at.bar + 11;
    at.tasks = at.spilled + (cols >= 80 ? 10 : 0);
    at.state = at.tasks + 8;
    return at;
}

static void details_number(Canvas *canvas, int y, int col, int width, int64_t value)
{
    char text[32];
    if (value == NUMBER_UNKNOWN)
        snprintf(text, sizeof text, "–");
    else
        snprintf(text, sizeof text, "%lld", (long long)value);
    canvas_right(canvas, y, col, width, value == NUMBER_UNKNOWN ? ROLE_DIM : ROLE_TEXT, text);
}

static void details_worker(Canvas *canvas, int y, const DescribedWorker *is, const WorkerColumns *at, int cols)
{
    char text[32];
    canvas_text(canvas, y, at->name, (at->host ? at->host : at->cpu) - at->name - 1, ROLE_STRONG, is->name ? is->name : is->address);
    if (at->host)
        canvas_text(canvas, y, at->host, at->cpu - at->host - 1, ROLE_DIM, is->host ? is->host : is->address);
    bool paused = is->status && strcmp(is->status, "paused") == 0;
    if (!isnan(is->cpu)) {
        snprintf(text, sizeof text, "%.0f %%", is->cpu);
        details_bar(canvas, y, at->cpu, at->bar, is->cpu / (is->threads > 0 ? 100.0 * (double)is->threads : 100), ROLE_BAR_CPU, text);
    }
    if (is->memory != NUMBER_UNKNOWN)
        details_bar(canvas, y, at->memory, at->bar, is->memory_limit > 0 ? (double)is->memory / (double)is->memory_limit : 0,
                    paused ? ROLE_BAR_TASKS : ROLE_BAR_MEMORY, text_size(is->memory, text));
    if (at->tasks > at->spilled && is->spilled > 0)
        canvas_right(canvas, y, at->spilled, 9, ROLE_WARN, text_size(is->spilled, text));
    else if (at->tasks > at->spilled)
        canvas_right(canvas, y, at->spilled, 9, ROLE_DIM, "–");
    details_number(canvas, y, at->tasks, 6, is->processing);
    canvas_text(canvas, y, at->state, cols - at->state, paused ? ROLE_WARN : ROLE_TEXT, is->status);
}

static void details_titles(Canvas *canvas, int y, const WorkerColumns *at, int cols)
{
    canvas_text(canvas, y, at->name, 12, ROLE_HEADING, "WORKER");
    if (at->host)
        canvas_text(canvas, y, at->host, 12, ROLE_HEADING, "HOST");
    canvas_text(canvas, y, at->cpu, 10, ROLE_HEADING, "CPU");
    canvas_text(canvas, y, at->memory, 10, ROLE_HEADING, "MEMORY");
    if (at->tasks > at->spilled)
        canvas_right(canvas, y, at->spilled, 9, ROLE_HEADING, "SPILLED");
    canvas_right(canvas, y, at->tasks, 6, ROLE_HEADING, "TASKS");
    canvas_text(canvas, y, at->state, cols - at->state, ROLE_HEADING, "STATE");
}

static void details_prefix(Canvas *canvas, int y, int col, int width, const DescribedPrefix *is)
{
    int numbers = col + width - 34;
    canvas_text(canvas, y, col, numbers - col - 1, ROLE_TEXT, is->name);
    details_number(canvas, y, numbers, 8, is->waiting);
    details_number(canvas, y, numbers + 8, 8, is->processing);
    details_number(canvas, y, numbers + 16, 8, is->stored);
    details_number(canvas, y, numbers + 24, 8, is->erred);
    if (is->erred > 0)
        canvas_role(canvas, y, numbers + 24, 8, ROLE_BAD);
}

static void details_prefix_titles(Canvas *canvas, int y, int col, int width)
{
    int numbers = col + width - 34;
    canvas_text(canvas, y, col, numbers - col - 1, ROLE_HEADING, "PREFIX");
    canvas_right(canvas, y, numbers, 8, ROLE_HEADING, "WAITING");
    canvas_right(canvas, y, numbers + 8, 8, ROLE_HEADING, "RUNNING");
    canvas_right(canvas, y, numbers + 16, 8, ROLE_HEADING, "HELD");
    canvas_right(canvas, y, numbers + 24, 8, ROLE_HEADING, "ERRED");
}

static size_t details_count(const DetailsPage *details)
{
    const Description *is = details->description;
    if (!is)
        return 0;
    return details->tab == TAB_WORKERS ? is->worker_count : details->tab == TAB_RESOURCES ? is->resource_count : is->prefix_count;
}

/* The cursor stays on its worker when others come and go. */
static void details_follow(DetailsPage *details)
{
    size_t count = details_count(details), height = (size_t)(details->height > 0 ? details->height : 1);
    if (details->tab == TAB_WORKERS && details->cursor)
        for (size_t i = 0; i < count; i++)
            if (details->description->workers[i].name && strcmp(details->description->workers[i].name, details->cursor) == 0)
                details->index = i;
    if (details->index >= count)
        details->index = count ? count - 1 : 0;
    if (details->index < details->top)
        details->top = details->index;
    if (details->index >= details->top + height)
        details->top = details->index - height + 1;
}

static int details_resource_depth(const Description *is, size_t i)
{
    int depth = 0;
    for (int parent = is->resources[i].parent; parent >= 0 && depth < 8; parent = is->resources[parent].parent)
        depth++;
    return depth;
}

static void details_row(const DetailsPage *details, Canvas *canvas, int y, size_t i, const WorkerColumns *at, int cols)
{
    const Description *is = details->description;
    if (details->tab == TAB_WORKERS) {
        details_worker(canvas, y, &is->workers[i], at, cols);
    } else if (details->tab == TAB_TASKS) {
        details_prefix(canvas, y, 2, cols - 3 > 90 ? 90 : cols - 3, &is->prefixes[i]);
    } else {
        const DescribedResource *resource = &is->resources[i];
        Pen pen = canvas_pen(canvas, y, 2 + 2 * details_resource_depth(is, i), cols - 1);
        pen_put(&pen, ROLE_DIM, "%-9s ", resource->kind ? resource->kind : "");
        pen_put(&pen, ROLE_STRONG, "%s  ", resource->name ? resource->name : "");
        pen_put(&pen, ROLE_TEXT, "%s  ", resource->status ? resource->status : "");
        pen_text(&pen, ROLE_DIM, resource->uid);
    }
}

static void details_list(DetailsPage *details, Canvas *canvas, Area area)
{
    const Description *is = details->description;
    bool beside = area.cols >= 130 && is->prefix_count && details->tab == TAB_WORKERS;
    int cols = beside ? area.cols - 48 : area.cols;
    WorkerColumns at = details_columns(cols);
    details->height = area.rows - 1;
    details_follow(details);
    if (details->tab == TAB_WORKERS)
        details_titles(canvas, area.row, &at, cols);
    else if (details->tab == TAB_TASKS)
        details_prefix_titles(canvas, area.row, 2, cols - 3 > 90 ? 90 : cols - 3);
    else
        canvas_text(canvas, area.row, 2, cols, ROLE_HEADING, "RESOURCES");
    for (int i = 0; i < details->height && details->top + (size_t)i < details_count(details); i++) {
        int y = area.row + 1 + i;
        details_row(details, canvas, y, details->top + (size_t)i, &at, cols);
        if (details->top + (size_t)i == details->index) {
            canvas_code(canvas, y, 0, ROLE_CURSOR, 0x258C);
            canvas_select(canvas, y, 1, cols - 2);
        }
    }
    if (details_count(details) == 0)
        canvas_text(canvas, area.row + 1, 2, cols - 3, ROLE_DIM,
                    details->tab == TAB_WORKERS && is->workers_note ? is->workers_note : "none");
    if (!beside)
        return;
    canvas_fill(canvas, (Area){area.row, cols, area.rows, 1}, ROLE_RULE, 0x2502);
    details_prefix_titles(canvas, area.row, cols + 2, 45);
    for (int i = 0; i < details->height && (size_t)i < is->prefix_count; i++)
        details_prefix(canvas, area.row + 1 + i, cols + 2, 45, &is->prefixes[i]);
}

static void details_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    DetailsPage *details = page->own;
    const ViewRow *row = app_row(app, page->record);
    const Record *record = details->description && details->description->record ? details->description->record
                         : row ? row->record : page->record;
    int y = area.row;
    Pen pen = canvas_pen(canvas, y++, 1, area.cols - 1);
    if (row) {
        chrome_verdict(app, row, &pen);
        pen.col += 3;
    } else {
        pen_text(&pen, ROLE_WARN, "no longer in the table   ");
    }
    details_sentence(&record->is, &pen);
    Pen facts = canvas_pen(canvas, y++, 1, area.cols - 1);
    details_facts(app, details, record, &facts);
    if (details->error.code != ERROR_OK) {
        char line[ERROR_LINE];
        canvas_text(canvas, y++, 1, area.cols - 2, ROLE_WARN, error_line(&details->error, line, sizeof line));
    }
    if (area.rows >= 17)
        y += details_about(app, details, row, record, canvas, y, area);
    else if (details->description && details->description->lost.count)
        details_sentences(canvas, y++, area.cols, "lost", ROLE_WARN, &details->description->lost);
    if (area.rows >= 14 && area.cols >= 70) {
        y++;
        details_charts(details, &record->is, canvas, (Area){y, 0, 4, area.cols});
        y += 4;
    }
    y += area.rows >= 14;
    details->list_row = y + 1 - area.row;
    if (details->description)
        details_list(details, canvas, (Area){y, 0, area.row + area.rows - y, area.cols});
    else if (details->task)
        canvas_text(canvas, y, 1, area.cols - 2, ROLE_DIM, "reconstructing…");
}

/* ------------------------------------------------------------------------------------------------------------- actions */

static const DescribedWorker *details_worker_at(const DetailsPage *details)
{
    bool there = details->description && details->tab == TAB_WORKERS && details->index < details->description->worker_count;
    return there ? &details->description->workers[details->index] : NULL;
}

static void details_move(DetailsPage *details, int64_t by)
{
    int64_t to = (int64_t)details->index + by, count = (int64_t)details_count(details);
    details->index = (size_t)(to < 0 || count == 0 ? 0 : to >= count ? count - 1 : to);
    const DescribedWorker *worker = details_worker_at(details);
    free(details->cursor);
    details->cursor = worker ? mem_text(worker->name) : NULL;
}

static bool details_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    DetailsPage *details = page->own;
    const DescribedWorker *worker = details_worker_at(details);
    int64_t height = details->height > 1 ? details->height - 1 : 1;
    (void)key;
    switch (info->action) {
    case ACTION_UP: details_move(details, -1); return true;
    case ACTION_DOWN: details_move(details, 1); return true;
    case ACTION_TOP: details_move(details, INT32_MIN); return true;
    case ACTION_BOTTOM: details_move(details, INT32_MAX); return true;
    case ACTION_PAGE_UP: details_move(details, -height); return true;
    case ACTION_PAGE_DOWN: details_move(details, height); return true;
    case ACTION_HALF_UP: details_move(details, -(height + 1) / 2); return true;
    case ACTION_HALF_DOWN: details_move(details, (height + 1) / 2); return true;
    case ACTION_COMPONENT:
        details->tab = (Tab)((details->tab + 1) % TAB_COUNT);
        details->index = details->top = 0;
        return true;
    case ACTION_OPEN:
    case ACTION_LOGS: log_open(app, page->record, worker && !argument ? worker->name : argument); return true;
    case ACTION_RETIRE:
        if (worker || argument)
            dialog_retire(app, page->record, argument ? argument : worker->address ? worker->address : worker->name);
        else
            app_say(app, ROLE_WARN, "no worker is selected; :delete deletes the cluster");
        return true;
    case ACTION_REFRESH: details->next_ms = 0; return false;
    default: return false;
    }
}

static bool details_click(App *app, Page *page, int row)
{
    DetailsPage *details = page->own;
    size_t was = details->index, to = details->top + (size_t)(row - details->list_row);
    (void)app;
    if (row < details->list_row || row >= details->list_row + details->height || to >= details_count(details))
        return false;
    details_move(details, (int64_t)to - (int64_t)details->index);
    return to == was;
}

static void details_title(App *app, Page *page, Pen *pen)
{
    const RecordFields *is = &page->record->is;
    (void)app;
    pen_put(pen, ROLE_STRONG, "%s", is->name);
    pen_put(pen, ROLE_DIM, "  %s", page->record->backend);
    if (is->owner)
        pen_put(pen, ROLE_DIM, " · %s", is->owner);
    if (is->address)
        pen_put(pen, ROLE_DIM, " · %s", is->address);
    if (is->distributed)
        pen_put(pen, ROLE_DIM, " · distributed %s", is->distributed);
}

static void details_status(App *app, Page *page, Pen *pen)
{
    DetailsPage *details = page->own;
    const DescribedWorker *worker = details_worker_at(details);
    const ViewRow *row = app_row(app, page->record);
    if (!worker) {
        if (row)
            chrome_evidence(app, row, pen);
        return;
    }
    pen_put(pen, ROLE_STRONG, "%s", worker->name ? worker->name : "");
    if (worker->host)
        pen_put(pen, ROLE_DIM, "  %s", worker->host);
    if (worker->address)
        pen_put(pen, ROLE_DIM, " · %s", worker->address);
    if (worker->pid != NUMBER_UNKNOWN && worker->pid > 0)
        pen_put(pen, ROLE_DIM, " · pid %lld", (long long)worker->pid);
    if (worker->threads != NUMBER_UNKNOWN)
        pen_put(pen, ROLE_DIM, " · %lld thread%s", (long long)worker->threads, worker->threads == 1 ? "" : "s");
    if (worker->resource)
        pen_put(pen, ROLE_DIM, " · %s", worker->resource);
}

static void details_close(App *app, Page *page)
{
    DetailsPage *details = page->own;
    task_leave(details->task);
    task_close_handle(app, details->handle);
    if (details->description)
        description_free(details->description);
    free(details->cursor);
    free(details);
}

static const PageType page_details = {
    .name = "details", .where = IN_DETAILS, .draw = details_draw, .act = details_act, .title = details_title,
    .status = details_status, .turn = details_turn, .due = details_due, .click = details_click, .close = details_close,
};

void details_open(App *app, const Record *record)
{
    DetailsPage *details = mem_new(sizeof *details);
    Page *page = app_push(app, &page_details, details, record);
    details_ask(app, page);
}
