/* A page of lines to read: help, description, raw record, snippet. Scrolls, wraps, searches, saves. */
#include "ui/app.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/record_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct TextLine {
    Role role;
    char *text;
} TextLine;

struct TextPage {
    char *title;
    TextLine *lines;
    size_t count, capacity, top;
    int left, height, width;
    bool nowrap;
    char *search;
    Task *task;
};

static void text_page_add(TextPage *page, Role role, char *text)
{
    page->lines = mem_grow(page->lines, page->count, &page->capacity, sizeof *page->lines);
    page->lines[page->count++] = (TextLine){role, text};
}

void text_page_line(TextPage *page, Role role, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_page_add(page, role, mem_vformat(format, args));
    va_end(args);
}

void text_page_block(TextPage *page, Role role, const char *text)
{
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        text_page_add(page, role, mem_text_n(text, n));
        text += n + (text[n] == '\n');
    }
}

void text_page_clear(TextPage *page)
{
    for (size_t i = 0; i < page->count; i++)
        free(page->lines[i].text);
    page->count = 0;
}

void text_page_task(TextPage *page, Task *task)
{
    page->task = task;
}

void text_page_forget(TextPage *page)
{
    page->task = NULL;
}

static void text_page_close(App *app, Page *page)
{
    TextPage *text = page->own;
    (void)app;
    task_leave(text->task);
    text_page_clear(text);
    free(text->lines);
    free(text->title);
    free(text->search);
    free(text);
}

/* Long lines go on below, two cells in. */
static int text_page_draw_line(const TextPage *page, Canvas *canvas, Area area, int y, const TextLine *line)
{
    const char *at = line->text;
    int indent = 0, drawn = 0, width = area.cols - 2;
    if (page->nowrap) {
        for (int skip = page->left; skip > 0 && *at; skip--) {
            uint32_t code;
            at += text_next(at, strlen(at), &code);
        }
        canvas_text(canvas, y, 1, width, line->role, at);
        return 1;
    }
    do {
        size_t n = text_fit(at, width - indent, NULL);
        if (n == 0 && *at)
            break;
        if (at[n]) { /* between words where there is one not too far back */
            size_t back = n;
            while (back > 0 && at[back - 1] != ' ')
                back--;
            n = back > n / 2 ? back : n;
        }
        if (y + drawn < area.row + area.rows)
            canvas_text_n(canvas, y + drawn, 1 + indent, width - indent, line->role, at, n);
        at += n;
        indent = 2;
        drawn++;
    } while (*at && y + drawn < area.row + area.rows);
    return drawn;
}

static void text_page_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    TextPage *text = page->own;
    (void)app;
    text->height = area.rows;
    text->width = area.cols;
    if (text->top >= text->count)
        text->top = text->count ? text->count - 1 : 0;
    int y = area.row;
    for (size_t i = text->top; i < text->count && y < area.row + area.rows; i++) {
        bool found = text->search && *text->search && text_contains(text->lines[i].text, text->search);
        TextLine line = text->lines[i];
        int drawn = text_page_draw_line(text, canvas, area, y, &line);
        for (int k = 0; found && k < drawn; k++)
            canvas_select(canvas, y + k, 0, canvas->cols);
        y += drawn;
    }
}

static void text_page_scroll(TextPage *text, int64_t by)
{
    int64_t last = (int64_t)text->count - text->height, to = (int64_t)text->top + by;
    if (!text->nowrap)
        last = (int64_t)text->count - 1; /* wrapped lines take more than one row */
    if (last < 0 || (int64_t)text->count <= text->height / 2)
        last = 0;
    text->top = (size_t)(to < 0 ? 0 : to > last ? last : to);
}

static void text_page_search(App *app, TextPage *text, int step)
{
    for (size_t n = 1, at = text->top; n <= text->count && text->search; n++) {
        at = (at + text->count + (size_t)(step > 0 ? 1 : -1)) % text->count;
        if (text_contains(text->lines[at].text, text->search)) {
            text->top = at;
            return;
        }
    }
    app_say(app, ROLE_WARN, "not found: %s", text->search ? text->search : "");
}

typedef struct SaveTask {
    Task task;
    char *path;
    Buffer text;
} SaveTask;

static bool text_page_save_run(Task *task, Context *context, Error *error)
{
    SaveTask *save = (SaveTask *)task;
    (void)context;
    struct stat about;
    if (lstat(save->path, &about) == 0)
        return error_set(error, ERROR_CONFLICT, save->path, "give another name", "it is there already: nothing was written");
    return file_replace(save->path, save->text.bytes, save->text.length, error);
}

static void text_page_save_done(Task *task)
{
    SaveTask *save = (SaveTask *)task;
    if (task->owner && task->ok)
        app_say(task->app, ROLE_GOOD, "saved to %s", save->path);
    else if (task->owner)
        app_error(task->app, &task->error);
    free(save->path);
    buffer_done(&save->text);
}

static void text_page_save(App *app, TextPage *text, const KeyInfo *info, const char *path)
{
    if (!path) {
        app_prompt(app, info, "save to: ", "", NULL);
        return;
    }
    SaveTask *task = task_new(app, sizeof *task, app, text_page_save_run, text_page_save_done);
    task->path = file_expand_home(path);
    buffer_init(&task->text, BUFFER_ANY);
    for (size_t i = 0; i < text->count; i++)
        buffer_format(&task->text, "%s\n", text->lines[i].text);
    task_start(&task->task, NULL, 30000);
}

static bool text_page_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    TextPage *text = page->own;
    (void)key;
    switch (info->action) {
    case ACTION_UP: text_page_scroll(text, -1); return true;
    case ACTION_DOWN: text_page_scroll(text, 1); return true;
    case ACTION_TOP: text->top = 0; return true;
    case ACTION_BOTTOM: text_page_scroll(text, (int64_t)text->count - text->height - (int64_t)text->top); return true;
    case ACTION_PAGE_UP: text_page_scroll(text, -(text->height - 1)); return true;
    case ACTION_PAGE_DOWN: text_page_scroll(text, text->height - 1); return true;
    case ACTION_HALF_UP: text_page_scroll(text, -text->height / 2); return true;
    case ACTION_HALF_DOWN: text_page_scroll(text, text->height / 2); return true;
    case ACTION_LEFT: text->left = text->left > 8 ? text->left - 8 : 0; return true;
    case ACTION_RIGHT: text->left += text->nowrap ? 8 : 0; return true;
    case ACTION_WRAP: text->nowrap = !text->nowrap; text->left = 0; return true;
    case ACTION_SEARCH:
        if (!argument) {
            app_prompt(app, info, "/", "", &app->history_searches);
            return true;
        }
        free(text->search);
        text->search = mem_text(argument);
        text_page_search(app, text, 1);
        return true;
    case ACTION_SEARCH_NEXT: text_page_search(app, text, 1); return true;
    case ACTION_SEARCH_BACK: text_page_search(app, text, -1); return true;
    case ACTION_SAVE: text_page_save(app, text, info, argument); return true;
    default: return false;
    }
}

static void text_page_title(App *app, Page *page, Pen *pen)
{
    TextPage *text = page->own;
    (void)app;
    pen_text(pen, ROLE_STRONG, text->title);
}

static void text_page_status(App *app, Page *page, Pen *pen)
{
    TextPage *text = page->own;
    (void)app;
    size_t end = text->top + (size_t)text->height;
    if (text->task)
        pen_text(pen, ROLE_STARTING, "asking…  ");
    pen_put(pen, ROLE_DIM, "lines %zu – %zu of %zu", text->count ? text->top + 1 : 0, end < text->count ? end : text->count, text->count);
    if (text->search)
        pen_put(pen, ROLE_DIM, " · /%s", text->search);
}

static const PageType page_text = {
    .name = "text", .where = IN_TEXT, .draw = text_page_draw, .act = text_page_act, .title = text_page_title,
    .status = text_page_status, .close = text_page_close,
};

TextPage *text_page_open(App *app, const char *title, const Record *record)
{
    TextPage *text = mem_new(sizeof *text);
    text->title = mem_text(title);
    app_push(app, &page_text, text, record);
    return text;
}

/* --------------------------------------------------------------------------------------------------------------- help */

static void help_section(App *app, TextPage *page, const char *title, unsigned where, unsigned except)
{
    bool titled = false;
    for (const KeyInfo *info = key_table; info->action; info++) {
        bool general = (info->where & IN_ALL) == IN_ALL;
        bool here = where == IN_ALL ? general : !general && (info->where & where);
        if (!here || (info->where & except) == where || ((info->needs & NEED_WRITABLE) && app->read_only))
            continue;
        if (!titled) {
            text_page_line(page, ROLE_TEXT, "%s", "");
            text_page_line(page, ROLE_HEADING, "%s", title);
        }
        titled = true;
        Buffer keys, line;
        buffer_init(&keys, 200);
        buffer_init(&line, 400);
        keys_all(&app->keys, info, &keys);
        text_pad(&line, keys.bytes, 20, false, app->canvas->ascii);
        buffer_format(&line, "  %s  ", info->help);
        buffer_format(&line, "(:%s%s%s)", info->name, info->argument ? " " : "", info->argument ? info->argument : "");
        text_page_line(page, ROLE_TEXT, "%s", line.bytes);
        buffer_done(&keys);
        buffer_done(&line);
    }
}

static void help_verdicts(TextPage *page)
{
    text_page_line(page, ROLE_TEXT, "%s", "");
    text_page_line(page, ROLE_HEADING, "Verdicts");
    text_page_line(page, ROLE_ORPHANED, "orphaned    no client, and its scheduler or controller is provably gone while something of it remains");
    text_page_line(page, ROLE_STUCK, "stuck       tasks wait and none can run");
    text_page_line(page, ROLE_UNATTENDED, "unattended  no client and no work for longer than verdict.unattended");
    text_page_line(page, ROLE_IDLE, "idle        clients, but no work for longer than verdict.idle");
    text_page_line(page, ROLE_UNKNOWN, "unknown     a fact that this needs is missing or old");
    text_page_line(page, ROLE_STARTING, "starting    pending, and no worker was ever there");
    text_page_line(page, ROLE_ACTIVE, "active      a task runs, or ran within the limit");
    text_page_line(page, ROLE_DIM, "Unused = orphaned + unattended + idle, less what is kept. After a kill -9 of dasktop: `reset` mends the terminal.");
}

void help_open(App *app)
{
    static const struct {
        unsigned where;
        const char *title;
    } sections[] = {
        {IN_TABLE, "Table"}, {IN_DETAILS, "Details of a cluster"}, {IN_LOGS, "Logs"}, {IN_TEXT, "Text"},
        {IN_LIST, "Backends"}, {IN_OPERATIONS, "Operations"}, {IN_TREE, "Tree"},
    };
    unsigned where = app_where(app);
    TextPage *page = text_page_open(app, "help", NULL);
    text_page_line(page, ROLE_STRONG, "Lower-case looks and never changes a system. Upper-case changes, and asks before.");
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (sections[i].where == where)
            help_section(app, page, sections[i].title, where, 0);
    help_section(app, page, "Everywhere", IN_ALL, 0);
    help_verdicts(page);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (sections[i].where != where)
            help_section(app, page, sections[i].title, sections[i].where, 0);
}

/* ------------------------------------------------------------------------------------------------ describe, raw record */

static const char *describe_count(int64_t value, char out[32])
{
    if (value == NUMBER_UNKNOWN)
        return "–";
    snprintf(out, 32, "%lld", (long long)value);
    return out;
}

static void describe_pair(TextPage *page, const char *key, const char *value)
{
    if (value)
        text_page_line(page, ROLE_TEXT, "%-14s %s", key, value);
}

static void describe_time(TextPage *page, const char *key, int64_t stamp, Clock now)
{
    char when[TIME_TEXT], words[TIME_TEXT];
    if (stamp != TIME_UNKNOWN)
        text_page_line(page, ROLE_TEXT, "%-14s %s (%s%s)", key, time_short(stamp, now.wall_ms, when),
                       duration_words(stamp > now.wall_ms ? stamp - now.wall_ms : now.wall_ms - stamp, words),
                       stamp > now.wall_ms ? " from now" : " ago");
}

static void describe_sizes(TextPage *page, const RecordFields *is)
{
    char a[32], b[32], c[32], d[32], e[32], f[32];
    text_page_line(page, ROLE_TEXT, "%-14s %s ready of %s wanted, %s resources", "workers", describe_count(is->workers_ready, a),
                   describe_count(is->workers_wanted, b), describe_count(is->resources, c));
    text_page_line(page, ROLE_TEXT, "%-14s %s running, %s waiting, %s queued, %s held, %s erred, %s that no worker can run", "tasks",
                   describe_count(is->tasks.processing, a), describe_count(is->tasks.waiting, b), describe_count(is->tasks.queued, c),
                   describe_count(is->tasks.stored, d), describe_count(is->tasks.erred, e), describe_count(is->tasks.unrunnable, f));
    text_page_line(page, ROLE_TEXT, "%-14s %s", "clients", describe_count(is->clients, a));
    char used[24], all[24];
    text_page_line(page, ROLE_TEXT, "%-14s %s threads, %s of %s memory", "size", describe_count(is->threads, a),
                   is->memory_used == NUMBER_UNKNOWN ? "–" : text_size(is->memory_used, used),
                   is->memory == NUMBER_UNKNOWN ? "–" : text_size(is->memory, all));
}

static void describe_can(TextPage *page, const RecordFields *is)
{
    text_page_line(page, ROLE_TEXT, "%s", "");
    for (int i = 0; i < CAN_COUNT; i++) {
        bool can = is->can & (1u << i);
        text_page_line(page, can ? ROLE_GOOD : ROLE_DIM, "%-14s %s", capability_word((Capability)i),
                       can ? "possible" : is->cannot[i] ? is->cannot[i] : "not known before it is reconstructed (r)");
    }
}

static void describe_record(TextPage *page, const Record *record, Clock now)
{
    const RecordFields *is = &record->is;
    describe_pair(page, "name", is->name);
    describe_pair(page, "type", is->type);
    describe_pair(page, "id", is->id);
    describe_pair(page, "uid", is->uid);
    describe_pair(page, "owner", is->owner);
    Buffer origin;
    buffer_init(&origin, 2048);
    chrome_origin(is, &origin);
    describe_pair(page, "made by", origin.length ? origin.bytes : NULL);
    buffer_done(&origin);
    text_page_line(page, ROLE_TEXT, "%-14s %s%s%s", "status", status_word(is->status), is->status_why ? ": " : "",
                   is->status_why ? is->status_why : "");
    describe_pair(page, "scheduler", is->address);
    describe_pair(page, "scheduler id", is->scheduler_id);
    describe_pair(page, "dashboard", is->dashboard);
    describe_sizes(page, is);
    describe_pair(page, "python", is->python);
    describe_pair(page, "dask", is->dask);
    describe_pair(page, "distributed", is->distributed);
    describe_time(page, "created", is->created_ms, now);
    describe_time(page, "last active", is->last_active_ms, now);
    describe_time(page, "ends", is->ends_at_ms, now);
    describe_pair(page, "ends why", is->ends_why);
    describe_time(page, "seen", atomic_load(&record->seen_ms), now);
    for (size_t i = 0; i < is->label_count; i++)
        text_page_line(page, ROLE_DIM, "%-14s %s = %s", i ? "" : "labels", is->labels[i].key, is->labels[i].value);
    describe_can(page, is);
}

static void describe_verdict(App *app, TextPage *page, const ViewRow *row)
{
    List evidence = {0};
    const Config *config = engine_config(app->engine);
    VerdictLimits limits = {config->verdict.idle_ms, config->verdict.unattended_ms};
    verdict_evidence(row->record, row->stale, row->verdict, app->now, limits, &evidence);
    text_page_line(page, chrome_verdict_role(row->verdict.state), "%s", verdict_word(row->verdict.state));
    for (size_t i = 0; i < evidence.count; i++)
        text_page_line(page, ROLE_TEXT, "  %s", evidence.items[i]);
    list_done(&evidence);
    Cost cost = cost_of(row->record, config, app->now);
    if (!isnan(cost.per_hour))
        text_page_line(page, ROLE_TEXT, "  %.2f %s/h%s%s", cost.per_hour, config->cost.currency ? config->cost.currency : "",
                       *cost.basis ? ": " : "", cost.basis);
    text_page_line(page, ROLE_TEXT, "%s", "");
}

static void describe_list(TextPage *page, const char *title, const List *list, Role role)
{
    if (list->count) {
        text_page_line(page, ROLE_TEXT, "%s", "");
        text_page_line(page, ROLE_HEADING, "%s", title);
    }
    for (size_t i = 0; i < list->count; i++)
        text_page_line(page, role, "  %s", list->items[i]);
}

void describe_into(TextPage *page, const Description *description)
{
    describe_list(page, "Reconstructed", &description->found, ROLE_TEXT);
    describe_list(page, "Lost", &description->lost, ROLE_WARN);
    if (description->route)
        text_page_line(page, ROLE_TEXT, "  route: %s", description->route);
    describe_list(page, "One more worker", &description->worker_spec, ROLE_TEXT);
    if (description->resource_count) {
        text_page_line(page, ROLE_TEXT, "%s", "");
        text_page_line(page, ROLE_HEADING, "Resources");
    }
    for (size_t i = 0; i < description->resource_count; i++) {
        const DescribedResource *is = &description->resources[i];
        text_page_line(page, ROLE_TEXT, "  %-10s %s  %s  %s", is->kind ? is->kind : "", is->name ? is->name : "",
                       is->status ? is->status : "", is->uid ? is->uid : "");
    }
    if (description->workers_note)
        text_page_line(page, ROLE_DIM, "  %s", description->workers_note);
}

typedef struct DescribeTask {
    Task task;
    Record *record;
    Description *description;
    TextPage *page;
} DescribeTask;

static bool describe_run(Task *task, Context *context, Error *error)
{
    DescribeTask *asked = (DescribeTask *)task;
    Handle *handle = NULL;
    if (!engine_reconstruct(task->app->engine, context, asked->record, &handle, error))
        return false;
    bool ok = handle->type->show != NULL;
    if (ok) {
        asked->description = description_new();
        ok = handle->type->show(handle, context, asked->description, error);
    } else {
        error_set(error, ERROR_UNSUPPORTED, NULL, NULL, "this kind of cluster cannot be described further");
    }
    handle_close(handle);
    return ok;
}

static void describe_done(Task *task)
{
    DescribeTask *asked = (DescribeTask *)task;
    if (task->owner) {
        char line[ERROR_LINE];
        text_page_forget(asked->page);
        if (task->ok)
            describe_into(asked->page, asked->description);
        else
            text_page_line(asked->page, ROLE_WARN, "%s", error_line(&task->error, line, sizeof line));
        text_page_line(asked->page, ROLE_TEXT, "%s", "");
        describe_record(asked->page, task->ok && asked->description->record ? asked->description->record : asked->record,
                        task->app->now);
        task->app->dirty = true;
    }
    if (asked->description)
        description_free(asked->description);
    record_drop(asked->record);
}

void describe_open(App *app, const Record *record, bool reconstruct)
{
    const ViewRow *row = app_row(app, record);
    char *title = mem_format("%s  %s", record->is.name, reconstruct ? "reconstructed" : "described");
    TextPage *page = text_page_open(app, title, record);
    free(title);
    if (row)
        describe_verdict(app, page, row);
    if (!reconstruct) {
        describe_record(page, record, app->now);
        return;
    }
    DescribeTask *task = task_new(app, sizeof *task, page, describe_run, describe_done);
    task->record = record_keep(record);
    task->page = page;
    text_page_task(page, &task->task);
    task_start(&task->task, page, 30000);
}

void raw_open(App *app, const Record *record)
{
    char *title = mem_format("%s  raw record", record->is.name);
    TextPage *page = text_page_open(app, title, record);
    free(title);
    const ViewRow *row = app_row(app, record);
    if (!row) {
        text_page_line(page, ROLE_WARN, "it is no longer in the table");
        return;
    }
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    JsonWriter json;
    json_begin(&json, &out);
    record_json_row(&json, NULL, row);
    cJSON *tree = cJSON_Parse(out.bytes);
    char *pretty = tree ? cJSON_Print(tree) : NULL;
    for (char *at = pretty; at && *at; at++)
        if (*at == '\t')
            *at = ' ';
    text_page_block(page, ROLE_TEXT, pretty ? pretty : out.bytes);
    free(pretty);
    cJSON_Delete(tree);
    buffer_done(&out);
}
