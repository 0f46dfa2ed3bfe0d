#include "core/columns.h"

#include "base/text.h"
#include "core/order.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------------------------------- texts */

static const RecordFields *is(const ViewRow *row)
{
    return &row->record->is;
}

#define TEXT_COLUMN(column, value)                                                                      \
    static void format_##column(Buffer *out, const ViewRow *row, Clock now, bool ascii)                 \
    {                                                                                                   \
        (void)now, (void)ascii;                                                                         \
        buffer_text(out, (value) ? (value) : "");                                                       \
    }                                                                                                   \
    static int compare_##column(const ViewRow *a, const ViewRow *b, Clock now)                          \
    {                                                                                                   \
        (void)now;                                                                                      \
        const ViewRow *row = a;                                                                         \
        const char *left = (value);                                                                     \
        row = b;                                                                                        \
        const char *right = (value);                                                                    \
        return compare_texts(left, right);                                                              \
    }

static int compare_texts(const char *a, const char *b)
{
    if (!a || !b)
        return !a - !b;
    int order = strcasecmp(a, b);
    return order ? order : strcmp(a, b);
}

TEXT_COLUMN(name, is(row)->name)
TEXT_COLUMN(backend, row->record->backend)
TEXT_COLUMN(instance, row->record->instance)
TEXT_COLUMN(owner, is(row)->owner)
TEXT_COLUMN(id, is(row)->id)
TEXT_COLUMN(uid, is(row)->uid)
TEXT_COLUMN(type, is(row)->type)
TEXT_COLUMN(address, is(row)->address)
TEXT_COLUMN(dashboard, is(row)->dashboard)
TEXT_COLUMN(python, is(row)->python)
TEXT_COLUMN(dask, is(row)->dask)
TEXT_COLUMN(distributed, is(row)->distributed)
TEXT_COLUMN(scheduler, is(row)->scheduler_id)

static void format_status(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)now, (void)ascii;
    if (is(row)->status != STATUS_UNKNOWN)
        buffer_text(out, status_word(is(row)->status));
}

static int compare_status(const ViewRow *a, const ViewRow *b, Clock now)
{
    (void)now;
    int left = is(a)->status == STATUS_UNKNOWN ? STATUS_COUNT : (int)is(a)->status;
    int right = is(b)->status == STATUS_UNKNOWN ? STATUS_COUNT : (int)is(b)->status;
    return left - right;
}

static void format_origin(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)now, (void)ascii;
    const RecordFields *fields = is(row);
    const char *what = fields->origin.path ? fields->origin.path : fields->origin.kind;
    if (what)
        buffer_text(out, what);
    if (fields->origin.host)
        buffer_format(out, "%s%s", what ? " on " : "", fields->origin.host);
    if (fields->origin.alive == 0 && (what || fields->origin.host))
        buffer_text(out, " (ended)");
}

static void format_labels(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)now, (void)ascii;
    for (size_t i = 0; i < is(row)->label_count; i++)
        buffer_format(out, "%s%s=%s", i ? ", " : "", is(row)->labels[i].key, is(row)->labels[i].value);
}

/* --------------------------------------------------------------------------------------------------------------- numbers */

static double known(int64_t number)
{
    return number == NUMBER_UNKNOWN ? NAN : (double)number;
}

static double add_known(double sum, int64_t number)
{
    if (number == NUMBER_UNKNOWN)
        return sum;
    return (isnan(sum) ? 0 : sum) + (double)number;
}

#define NUMBER(column, value)                                           \
    static double number_##column(const ViewRow *row, Clock now)        \
    {                                                                   \
        (void)now;                                                      \
        return (value);                                                 \
    }

NUMBER(workers, known(is(row)->workers_ready))
NUMBER(memory, isnan(known(is(row)->memory_used)) ? known(is(row)->memory) : known(is(row)->memory_used))
NUMBER(clients, known(is(row)->clients))
NUMBER(threads, known(is(row)->threads))
NUMBER(gpus, known(is(row)->gpus))
NUMBER(cost, row->per_hour)

/* What is still to do: what is done and held (stored) or failed is no work. */
static double number_tasks(const ViewRow *row, Clock now)
{
    (void)now;
    double sum = add_known(NAN, is(row)->tasks.processing);
    sum = add_known(sum, is(row)->tasks.waiting);
    sum = add_known(sum, is(row)->tasks.queued);
    return add_known(sum, is(row)->tasks.unrunnable);
}

static double ago(int64_t then_ms, Clock now)
{
    if (then_ms == TIME_UNKNOWN)
        return NAN;
    return then_ms < now.wall_ms ? (double)(now.wall_ms - then_ms) : 0;
}

static double number_age(const ViewRow *row, Clock now)
{
    return ago(is(row)->created_ms, now);
}

static double number_idle(const ViewRow *row, Clock now)
{
    if (is(row)->busy == 1 || (is(row)->tasks.processing > 0))
        return NAN;
    if (is(row)->last_active_ms == TIME_UNKNOWN && is(row)->busy == 0)
        return ago(is(row)->created_ms, now);
    return ago(is(row)->last_active_ms, now);
}

static double number_ends(const ViewRow *row, Clock now)
{
    int64_t at = is(row)->ends_at_ms;
    if (at == TIME_UNKNOWN)
        return NAN;
    return at > now.wall_ms ? (double)(at - now.wall_ms) : 0;
}

static double number_seen(const ViewRow *row, Clock now)
{
    return ago(atomic_load_explicit(&row->record->seen_ms, memory_order_relaxed), now);
}

static double number_keep(const ViewRow *row, Clock now)
{
    if (!row->kept.kept || row->kept.until_ms == TIME_UNKNOWN)
        return NAN;
    return row->kept.until_ms > now.wall_ms ? (double)(row->kept.until_ms - now.wall_ms) : 0;
}

static void add_count(Buffer *out, double number)
{
    if (!isnan(number))
        buffer_format(out, "%.0f", number);
}

static void add_duration(Buffer *out, double ms)
{
    char text[TIME_TEXT];
    if (!isnan(ms))
        buffer_text(out, duration_short((int64_t)ms, text));
}

#define FORMAT(column, how)                                                                             \
    static void format_##column(Buffer *out, const ViewRow *row, Clock now, bool ascii)                 \
    {                                                                                                   \
        (void)ascii;                                                                                    \
        how(out, number_##column(row, now));                                                            \
    }

FORMAT(tasks, add_count)
FORMAT(clients, add_count)
FORMAT(threads, add_count)
FORMAT(gpus, add_count)
FORMAT(age, add_duration)
FORMAT(idle, add_duration)
FORMAT(ends, add_duration)
FORMAT(seen, add_duration)

static void format_workers(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)now;
    int64_t ready = is(row)->workers_ready, wanted = is(row)->workers_wanted;
    if (ready == NUMBER_UNKNOWN && wanted == NUMBER_UNKNOWN)
        return;
    if (ready == NUMBER_UNKNOWN)
        buffer_text(out, ascii ? "-" : "–");
    else
        buffer_format(out, "%" PRId64, ready);
    if (wanted != NUMBER_UNKNOWN)
        buffer_format(out, "/%" PRId64, wanted);
}

static void add_size(Buffer *out, int64_t bytes, double unit, bool ascii)
{
    if (bytes == NUMBER_UNKNOWN) {
        buffer_text(out, ascii ? "-" : "–");
        return;
    }
    double size = (double)bytes / unit;
    double tenths = round(size * 10) / 10;
    bool whole = size >= 100 || tenths == floor(tenths);
    buffer_format(out, whole ? "%.0f" : "%.1f", size);
}

/* "12.1/24 GiB": both in the unit of the greater one. */
static void format_memory(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)now;
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int64_t used = is(row)->memory_used, limit = is(row)->memory;
    int64_t greater = used > limit ? used : limit; /* unknown is the least of all */
    if (greater == NUMBER_UNKNOWN)
        return;
    size_t i = 0;
    double unit = 1;
    for (; i + 1 < sizeof(units) / sizeof(units[0]) && (double)greater / unit >= 1000; i++)
        unit *= 1024;
    add_size(out, used, unit, ascii);
    if (limit != NUMBER_UNKNOWN) {
        buffer_char(out, '/');
        add_size(out, limit, unit, ascii);
    }
    buffer_format(out, " %s", units[i]);
}

static void format_cost(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)now, (void)ascii;
    if (!isnan(row->per_hour))
        buffer_format(out, row->per_hour >= 1000 ? "%.0f" : "%.2f", row->per_hour);
}

static void format_created(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)now, (void)ascii;
    char text[TIME_TEXT];
    if (is(row)->created_ms != TIME_UNKNOWN)
        buffer_text(out, time_text(is(row)->created_ms, false, text));
}

static double number_created(const ViewRow *row, Clock now)
{
    return number_age(row, now);
}

static void format_keep(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    (void)ascii;
    if (!row->kept.kept)
        return;
    char left[TIME_TEXT];
    double ms = number_keep(row, now);
    if (isnan(ms))
        buffer_text(out, "kept");
    else
        buffer_text(out, duration_short((int64_t)ms, left));
    if (row->kept.reason[0])
        buffer_format(out, " %s", row->kept.reason);
}

/* --------------------------------------------------------------------------------------------------------------- verdict */

static const char *const glyphs[VERDICT_COUNT] = {
    [VERDICT_ORPHANED] = "●", [VERDICT_STUCK] = "◆",    [VERDICT_UNATTENDED] = "◐", [VERDICT_IDLE] = "○",
    [VERDICT_UNKNOWN] = "?",  [VERDICT_STARTING] = "…", [VERDICT_ACTIVE] = "▶",
};

/* The word alone where scripts read it. */
static void format_verdict(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    char age[TIME_TEXT];
    if (ascii) {
        buffer_text(out, verdict_word(row->verdict.state));
        return;
    }
    buffer_format(out, "%s %s", glyphs[row->verdict.state], verdict_word(row->verdict.state));
    if (row->kept.kept)
        buffer_text(out, ", kept");
    double seen = number_seen(row, now);
    if (row->stale && isnan(seen))
        buffer_text(out, ", old");
    else if (row->stale)
        buffer_format(out, ", %s old", duration_short((int64_t)seen, age));
}

static int compare_verdict(const ViewRow *a, const ViewRow *b, Clock now)
{
    (void)now;
    return (int)a->verdict.state - (int)b->verdict.state;
}

static void format_evidence(Buffer *out, const ViewRow *row, Clock now, bool ascii)
{
    const Config *config = row->view ? row->view->config : NULL;
    VerdictLimits limits = {config ? config->verdict.idle_ms : 0, config ? config->verdict.unattended_ms : 0};
    List sentences = {0};
    verdict_evidence(row->record, row->stale, row->verdict, now, limits, &sentences);
    for (size_t i = 0; i < sentences.count; i++)
        buffer_format(out, "%s%s", i ? (ascii ? "; " : " · ") : "", sentences.items[i]);
    list_done(&sentences);
}

/* --------------------------------------------------------------------------------------------------------------- sorting */

/* Numbers of which the greatest asks for attention go first: memory, cost, age. */
#define COMPARE(column)                                                                                 \
    static int compare_##column(const ViewRow *a, const ViewRow *b, Clock now)                          \
    {                                                                                                   \
        return order_numbers_down(number_##column(a, now), number_##column(b, now));                    \
    }
COMPARE(workers)
COMPARE(memory)
COMPARE(tasks)
COMPARE(clients)
COMPARE(age)
COMPARE(idle)
COMPARE(cost)
COMPARE(threads)
COMPARE(gpus)
COMPARE(seen)
COMPARE(keep)

/* What ends first. */
static int compare_ends(const ViewRow *a, const ViewRow *b, Clock now)
{
    double left = number_ends(a, now), right = number_ends(b, now);
    return isnan(left) || isnan(right) ? isnan(left) - isnan(right) : (left > right) - (left < right);
}

static int compare_formatted(const Column *column, const ViewRow *a, const ViewRow *b, Clock now)
{
    Buffer left, right;
    buffer_init(&left, BUFFER_ANY);
    buffer_init(&right, BUFFER_ANY);
    column->format(&left, a, now, true);
    column->format(&right, b, now, true);
    int order = compare_texts(left.length ? left.bytes : NULL, right.length ? right.bytes : NULL);
    buffer_done(&left);
    buffer_done(&right);
    return order;
}

int column_compare(const Column *column, const ViewRow *a, const ViewRow *b, Clock now)
{
    return column->compare ? column->compare(a, b, now) : compare_formatted(column, a, b, now);
}

/* ----------------------------------------------------------------------------------------------------------------- table */

#define TEXT(column, title, least, most, importance, standard, wide) \
    {#column, title, least, most, importance, false, standard, wide, "–", format_##column, compare_##column, NULL}
#define FIGURE(column, title, least, most, importance, standard, wide) \
    {#column, title, least, most, importance, true, standard, wide, "–", format_##column, compare_##column, number_##column}

const Column columns[] = {
    TEXT(name, "NAME", 8, 40, 1, true, true),
    TEXT(backend, "BACKEND", 5, 16, 5, true, true),
    TEXT(owner, "OWNER", 5, 16, 8, true, true),
    TEXT(status, "STATUS", 7, 12, 4, true, true),
    FIGURE(workers, "WORKERS", 7, 11, 3, true, true),
    FIGURE(memory, "MEMORY", 8, 14, 7, true, true),
    FIGURE(tasks, "TASKS", 5, 9, 6, true, true),
    FIGURE(clients, "CLIENTS", 7, 7, 9, true, true),
    FIGURE(age, "AGE", 4, 5, 10, true, true),
    FIGURE(idle, "IDLE", 4, 5, 11, true, true),
    FIGURE(ends, "ENDS", 4, 5, 13, true, true),
    FIGURE(cost, "$/H", 6, 8, 12, true, true),
    TEXT(verdict, "VERDICT", 10, 24, 2, true, true),
    TEXT(type, "TYPE", 6, 20, 14, false, true),
    TEXT(instance, "INSTANCE", 8, 24, 15, false, true),
    FIGURE(threads, "THREADS", 7, 8, 16, false, true),
    FIGURE(gpus, "GPUS", 4, 6, 17, false, true),
    TEXT(address, "ADDRESS", 10, 48, 18, false, true),
    {"origin", "ORIGIN", 8, 48, 19, false, false, true, "–", format_origin, NULL, NULL},
    {"keep", "KEEP", 4, 32, 20, false, false, true, "–", format_keep, compare_keep, number_keep},
    FIGURE(seen, "SEEN", 4, 5, 21, false, true),
    TEXT(id, "ID", 10, 0, 22, false, true),
    TEXT(uid, "UID", 8, 40, 23, false, false),
    TEXT(dashboard, "DASHBOARD", 10, 56, 24, false, false),
    TEXT(python, "PYTHON", 6, 12, 25, false, false),
    TEXT(dask, "DASK", 6, 14, 26, false, false),
    TEXT(distributed, "DISTRIBUTED", 11, 14, 27, false, false),
    TEXT(scheduler, "SCHEDULER", 9, 48, 28, false, false),
    {"created", "CREATED", 20, 20, 29, false, false, false, "–", format_created, compare_age, number_created},
    {"evidence", "EVIDENCE", 10, 0, 30, false, false, false, "–", format_evidence, NULL, NULL},
    {"labels", "LABELS", 6, 0, 31, false, false, false, "–", format_labels, NULL, NULL},
    {NULL, NULL, 0, 0, 0, false, false, false, NULL, NULL, NULL, NULL},
};

const Column *column_find(const char *name)
{
    for (const Column *column = columns; name && column->name; column++)
        if (strcasecmp(column->name, name) == 0)
            return column;
    return NULL;
}

static void add_names(Buffer *out)
{
    for (const Column *column = columns; column->name; column++)
        buffer_format(out, "%s%s", column == columns ? "" : " ", column->name);
}

static const Column *find_part(const char *list, size_t n)
{
    while (n && *list == ' ')
        list++, n--;
    while (n && list[n - 1] == ' ')
        n--;
    for (const Column *column = columns; column->name; column++)
        if (strlen(column->name) == n && strncasecmp(column->name, list, n) == 0)
            return column;
    return NULL;
}

bool columns_parse(const char *list, const Column **out, size_t room, size_t *count, Error *error)
{
    *count = 0;
    for (const char *part = list;; part++) {
        size_t n = strcspn(part, ",");
        const Column *column = find_part(part, n);
        if (!column || *count == room) {
            *count = 0;
            if (column)
                return error_set(error, ERROR_USAGE, NULL, NULL, "more than %zu columns", room);
            Buffer names;
            buffer_init(&names, BUFFER_ANY);
            add_names(&names);
            error_set(error, ERROR_USAGE, NULL, NULL, "no column '%.*s'; there are: %s", (int)(n < 40 ? n : 40), part, names.bytes);
            buffer_done(&names);
            return false;
        }
        out[(*count)++] = column;
        part += n;
        if (!*part)
            return true;
    }
}
