/* What the dashboard's parts share: the pages on their stack, the dialog, the prompt, the message line, background tasks.
 *
 * Everything here belongs to the UI thread. What waits runs as a Task (an engine job) or on the log view's own thread, and comes
 * back through the one wake-up descriptor. */
#ifndef DASKTOP_UI_APP_H
#define DASKTOP_UI_APP_H

#include "core/confirm.h"
#include "core/columns.h"
#include "core/engine.h"
#include "base/map.h"
#include "core/last.h"
#include "ui/canvas.h"
#include "ui/edit.h"
#include "ui/keys.h"
#include "ui/screen.h"
#include "ui/ui.h"

typedef struct App App;
typedef struct Page Page;
typedef struct Dialog Dialog;
typedef struct Task Task;

/* ------------------------------------------------------------------------------------------------------------- pages */

typedef struct PageType {
    const char *name;
    unsigned where; /* IN_… */
    void (*draw)(App *app, Page *page, Canvas *canvas, Area area);
    bool (*act)(App *app, Page *page, const KeyInfo *info, Key key, const char *argument); /* true: done with it */
    void (*title)(App *app, Page *page, Pen *pen);  /* beside the badge; NULL: the table's sums */
    void (*status)(App *app, Page *page, Pen *pen); /* the line above the hints */
    bool (*turn)(App *app, Page *page);             /* a slice of background work; true: there is more */
    const Record *(*subject)(App *app, Page *page); /* what keys are about, where that is not page->record; NULL */
    int64_t (*due)(App *app, Page *page);           /* ms until what it prints changes by time alone; INT64_MAX */
    /* A click on a line of its area, from 0: the cursor goes there; true where it was there already, which opens it. NULL: nothing */
    bool (*click)(App *app, Page *page, int row);
    void (*close)(App *app, Page *page);            /* frees own */
} PageType;

struct Page {
    const PageType *type;
    void *own;
    const Record *record; /* counted; of the cluster that it is about; NULL */
    int top;              /* row of the screen at which it was drawn */
    bool changed;         /* a newer snapshot or result came in since it was drawn */
};

enum { PAGES_MAX = 12 };

/* ------------------------------------------------------------------------------------------------------------- table */

enum { TABLE_COLUMNS = 32 };

typedef struct Table {
    char *cursor_id, *cursor_uid; /* the cluster under the cursor; NULL: none yet */
    size_t index, top;            /* where it was drawn last */
    int height;                   /* rows on screen */
    Map marks;                    /* id -> uid ("" for none), owned texts */
    const Column *columns[TABLE_COLUMNS];
    size_t column_count;
    bool chosen;                  /* by `:columns`: kept for the next time */
    bool blank[TABLE_COLUMNS];    /* nothing on this screen has a value there: goes first where room is short */
    int widths[TABLE_COLUMNS];    /* grow only, so that nothing jitters; anew when the width of the screen changes */
    int for_cols;
    char *only_backend;
} Table;

/* ------------------------------------------------------------------------------------------------------------- routes */

typedef struct HeldRoute {
    Handle *handle;
    Route route;
    char *id, *name;
} HeldRoute;

/* ------------------------------------------------------------------------------------------------------------- prompt */

typedef struct Prompt {
    const KeyInfo *info; /* what is done with the text; NULL: no prompt is open */
    char label[32];
    Edit edit;
    char *before; /* filter: what it was, for Esc */
    List *history;
    size_t history_at;
} Prompt;

struct App {
    Engine *engine;
    const UiOptions *options;
    Screen *screen; /* NULL in tests */
    Canvas *canvas;
    View *view;
    Keys keys;
    const Theme *theme;
    const Theme *theme_chosen; /* by `:theme`: kept for the next time; NULL */
    bool theme_by_itself; /* until the terminal has said how bright it is */
    Clock now;
    Wake wake;
    Page pages[PAGES_MAX];
    int depth; /* pages[depth - 1] is shown; pages[0] is the table */
    Dialog *dialog;
    Prompt prompt;
    Table table;
    Filter *filter;
    char *filter_text;
    bool filter_by_itself; /* owner:me was set because others' clusters were seen */
    char message[640];
    Role message_role;
    HeldRoute *routes;
    size_t route_count, route_capacity;
    Operation **operations; /* that this dashboard began, until their end was told */
    size_t operation_count, operation_capacity;
    List offers;            /* what backends saw and did not open: sentences for the empty table */
    bool offers_asked;
    List history_commands, history_filters, history_searches;
    int task_count;         /* that are not done yet */
    atomic_int streams;     /* log threads that still live */
    bool read_only;
    bool key_seen;          /* the user has done something */
    bool data;              /* something came in that is not shown yet */
    int64_t data_ms;        /* how long after the last frame: by what it is */
    bool dirty;             /* the picture is to be drawn */
    bool more;              /* the page has more background work */
    bool quit, from_last;   /* from_last: rows of the last run stand there */
    int64_t begun_ms;       /* monotonic: when the dashboard was opened */
    int64_t last_ms;        /* when the last table was written */
    int64_t key_ms;         /* monotonic, of the last key */
    int64_t frame_ms;       /* monotonic, of the last frame with data */
    int64_t verdict_due_ms; /* monotonic: a verdict may change by then */
    int64_t saved_ms;       /* monotonic: the last table was written in this run */
    uint64_t saved_generation;
    Last *last;
    int status;
};

/* app.c */
App *app_new(Engine *engine, const UiOptions *options, int rows, int cols);
void app_free(App *app);
void app_key(App *app, Key key, bool pasted);
void app_update(App *app, Clock now); /* takes the newest snapshot */
void app_draw(App *app, Clock now);   /* the whole picture on the canvas */
Page *app_page(App *app);
Page *app_push(App *app, const PageType *type, void *own, const Record *record);
void app_pop(App *app);
unsigned app_where(App *app);
void app_say(App *app, Role role, const char *format, ...) __attribute__((format(printf, 3, 4)));
void app_error(App *app, const Error *error);
void app_act(App *app, const KeyInfo *info, Key key, const char *argument);
void app_prompt(App *app, const KeyInfo *info, const char *label, const char *text, List *history);
/* Whether an action can be done now; the reason where not. */
bool app_can(App *app, const KeyInfo *info, Error *why);
const Record *app_subject(App *app);
bool app_set_filter(App *app, const char *expression, Error *error);
int64_t app_due_ms(App *app); /* until the picture changes by time alone */
void app_copy(App *app, const char *text);

/* task.c: work that waits. run on an engine thread, done on this one, exactly once; `owner` is NULL in done when it has gone. */
struct Task {
    App *app;
    Cancel cancel;
    void *owner;
    bool (*run)(Task *task, Context *context, Error *error);
    void (*done)(Task *task); /* frees what is its own, not the task itself */
    bool ok;
    Error error;
};
/* size: of the struct that begins with a Task. */
void *task_new(App *app, size_t size, void *owner, bool (*run)(Task *, Context *, Error *), void (*done)(Task *));
void task_start(Task *task, const void *lane, int64_t timeout_ms);
void task_leave(Task *task); /* the owner goes: cancelled, done is called without it; NULL is allowed */
/* Closing a handle may wait. */
void task_close_handle(App *app, Handle *handle);

/* chrome.c: what surrounds every page */
void chrome_header(App *app, Canvas *canvas);
void chrome_sums(App *app, Pen *pen);
void chrome_bottom(App *app, Canvas *canvas, int row);
int chrome_bottom_rows(const Canvas *canvas);
void chrome_evidence(App *app, const ViewRow *row, Pen *pen);
void chrome_origin(const RecordFields *is, Buffer *out);
Role chrome_verdict_role(VerdictState state);
void chrome_verdict(App *app, const ViewRow *row, Pen *pen);
int64_t chrome_age_due(int64_t age_ms); /* until a duration of this age prints differently */

/* table.c */
extern const PageType page_table;
void table_init(App *app);
void table_done(App *app);
void table_follow(App *app); /* after view_update: the cursor stays on its cluster */
const ViewRow *table_row(App *app); /* NULL: nothing there */
size_t table_targets(App *app, const ViewRow ***rows); /* the marked ones or the cursor's; free the array */
const ViewRow *app_row(App *app, const Record *record); /* its row now, NULL */

/* prompt.c: app_prompt, and */
void prompt_key(App *app, Key key, bool pasted);
void prompt_end(App *app, bool accepted);

/* habits.c: columns, theme and histories between runs */
void habits_read(App *app);
void habits_write(App *app);

/* empty.c: the table with nothing in it */
void empty_draw(App *app, Canvas *canvas, Area area);

/* commands.c */
void command_run(App *app, const char *line);
void command_complete(App *app, Edit *edit);
void command_do(App *app, const KeyInfo *info, Key key, const char *argument); /* what no page does itself */

/* text_page.c: lines to read and search */
typedef struct TextPage TextPage;
TextPage *text_page_open(App *app, const char *title, const Record *record); /* pushed */
void text_page_line(TextPage *page, Role role, const char *format, ...) __attribute__((format(printf, 3, 4)));
void text_page_block(TextPage *page, Role role, const char *text); /* cut at its line ends */
void text_page_clear(TextPage *page);
void text_page_task(TextPage *page, Task *task); /* left when the page closes */
void text_page_forget(TextPage *page);           /* that task is done */
void help_open(App *app);
void describe_open(App *app, const Record *record, bool reconstruct);
void raw_open(App *app, const Record *record);
void describe_into(TextPage *page, const Description *description);

/* details.c, log_page.c, lists.c, tree.c */
void details_open(App *app, const Record *record);
void log_open(App *app, const Record *record, const char *component);
void backends_open(App *app);
void operations_open(App *app);
void tree_open(App *app);

/* sweep.c: by the config's rules, or by one that is given */
void sweep_open(App *app, const char *argument);

/* route.c */
void route_connect(App *app, const Record *record);
void route_browse(App *app, const Record *record);
void route_shell(App *app, const Record *record, bool python);
void route_disconnect(App *app, const char *which);
void route_done_all(App *app);
size_t route_poll_fds(App *app, int *fds, size_t room);
void route_lost(App *app); /* looks which ones ended */
void snippet_open(App *app, const Record *record);

/* shell.c: gives the terminal to a shell, or to Python with `client` ready */
void shell_run(App *app, const Record *record, const Route *route, bool python);

/* dialog.c */
void dialog_close(App *app);
void dialog_draw(App *app, Canvas *canvas);
void dialog_drawn(App *app); /* after its frame has gone out */
void dialog_key(App *app, Key key, bool pasted, bool more);
bool dialog_arming(const App *app);
void dialog_delete(App *app);
void dialog_delete_rows(App *app, const ViewRow *const *rows, size_t count);
void dialog_scale(App *app, const Record *record, const char *argument);
void dialog_retire(App *app, const Record *record, const char *worker);
void dialog_keep(App *app, const char *argument);
void dialog_create(App *app, const char *argument); /* argument: a spec file or a backend's key; NULL: they are offered */
void dialog_sort(App *app);
void dialog_shell(App *app, const Record *record); /* a shell or Python */
void dialog_lines(App *app, const char *title, const List *lines);
void operations_watch(App *app); /* tells the ends of what was begun here */

#endif
