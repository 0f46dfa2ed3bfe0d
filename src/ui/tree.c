/* Backends, their clusters, and of a cluster that is unfolded its scheduler, workers and resources. What lies below a cluster is asked
 * when it is unfolded, and again at a pace that costs its system next to nothing. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOW_MS = 30000, LEAST_PAUSE_MS = 10000, PAUSE_FACTOR = 50 };

typedef enum NodeKind { NODE_BACKEND, NODE_CLUSTER, NODE_SCHEDULER, NODE_WORKER, NODE_RESOURCE, NODE_NOTE } NodeKind;

/* A cluster that is unfolded. */
typedef struct Branch {
    Task *task;
    Description *description; /* NULL: not answered yet */
    Error error;
    int64_t asked_ms, next_ms;
} Branch;

typedef struct Node {
    NodeKind kind;
    int depth;               /* of resources below resources */
    const SnapshotPart *part;
    const ViewRow *row;      /* NULL: the line of the backend */
    const Branch *branch;
    size_t index;            /* of the worker or resource */
} Node;

typedef struct TreePage {
    Node *nodes; /* borrowed from view and branches: only valid within one call after tree_build */
    size_t count, capacity, index, top;
    int height;
    char *cursor; /* what the cursor is on, see node_key */
    Map branches; /* id -> Branch */
} TreePage;

/* -------------------------------------------------------------------------------------------------------------- asking */

typedef struct BranchTask {
    Task task;
    Record *record;
    Description *description;
} BranchTask;

static bool branch_run(Task *task, Context *context, Error *error)
{
    BranchTask *asked = (BranchTask *)task;
    Handle *handle = NULL;
    if (!engine_reconstruct(task->app->engine, context, asked->record, &handle, error))
        return false;
    asked->description = description_new();
    bool right = handle->type->show ? handle->type->show(handle, context, asked->description, error)
                                    : error_set(error, ERROR_UNSUPPORTED, asked->record->is.name, NULL, "this kind of cluster cannot be looked into");
    handle_close(handle);
    return right;
}

static void branch_done(Task *task)
{
    BranchTask *asked = (BranchTask *)task;
    Branch *branch = task->owner;
    if (branch) {
        int64_t now = clock_mono_ms(), pause = (now - branch->asked_ms) * PAUSE_FACTOR;
        branch->task = NULL;
        branch->error = task->ok ? (Error){0} : task->error;
        branch->next_ms = now + (pause > LEAST_PAUSE_MS ? pause : LEAST_PAUSE_MS);
        if (task->ok) {
            if (branch->description)
                description_free(branch->description);
            branch->description = asked->description;
            asked->description = NULL;
        }
        task->app->dirty = true;
    }
    if (asked->description)
        description_free(asked->description);
    record_drop(asked->record);
}

static void branch_ask(App *app, Branch *branch, const Record *record)
{
    BranchTask *task = task_new(app, sizeof *task, branch, branch_run, branch_done);
    task->record = record_keep(record);
    branch->task = &task->task;
    branch->asked_ms = clock_mono_ms();
    task_start(&task->task, NULL, SHOW_MS);
}

static void branch_free(void *value)
{
    Branch *branch = value;
    task_leave(branch->task);
    if (branch->description)
        description_free(branch->description);
    free(branch);
}

static void tree_unfold(App *app, TreePage *tree, const Record *record)
{
    if (map_has(&tree->branches, record->is.id))
        return;
    Branch *branch = mem_new(sizeof *branch);
    map_put(&tree->branches, record->is.id, branch);
    branch_ask(app, branch, record);
}

static void tree_fold(TreePage *tree, const char *id)
{
    Branch *branch = map_remove(&tree->branches, id);
    if (branch)
        branch_free(branch);
}

static bool tree_turn(App *app, Page *page)
{
    TreePage *tree = page->own;
    const MapEntry *entry;
    int64_t now = clock_mono_ms();
    for (size_t i = 0; (entry = map_next(&tree->branches, &i));) {
        Branch *branch = entry->value;
        const ViewRow *row = branch->task || branch->next_ms > now ? NULL : view_find(app->view, entry->key, NULL, NULL);
        if (row)
            branch_ask(app, branch, row->record);
    }
    return false;
}

static int64_t tree_due(App *app, Page *page)
{
    TreePage *tree = page->own;
    const MapEntry *entry;
    int64_t due = INT64_MAX;
    for (size_t i = 0; (entry = map_next(&tree->branches, &i));) {
        const Branch *branch = entry->value;
        int64_t left = branch->next_ms - app->now.mono_ms;
        if (!branch->task && view_find(app->view, entry->key, NULL, NULL) && left < due)
            due = left < 0 ? 0 : left;
    }
    return due;
}

/* --------------------------------------------------------------------------------------------------------------- lines */

static void tree_add(TreePage *tree, Node node)
{
    tree->nodes = mem_grow(tree->nodes, tree->count, &tree->capacity, sizeof *tree->nodes);
    tree->nodes[tree->count++] = node;
}

static void tree_add_resources(TreePage *tree, Node node, int parent)
{
    const Description *is = node.branch->description;
    node.kind = NODE_RESOURCE;
    for (size_t i = 0; i < is->resource_count; i++)
        if (is->resources[i].parent == parent) {
            node.index = i;
            tree_add(tree, node);
            if (node.depth < 8) {
                Node below = node;
                below.depth++;
                tree_add_resources(tree, below, (int)i);
            }
        }
}

static void tree_add_branch(TreePage *tree, Node node)
{
    const Description *is = node.branch->description;
    if (node.row->record->is.address) {
        node.kind = NODE_SCHEDULER;
        tree_add(tree, node);
    }
    node.kind = NODE_WORKER;
    for (size_t i = 0; is && i < is->worker_count; i++) {
        node.index = i;
        tree_add(tree, node);
    }
    if (is)
        tree_add_resources(tree, node, -1);
    node.kind = NODE_NOTE;
    if (!is || node.branch->error.code != ERROR_OK || is->workers_note || (is->worker_count == 0 && is->resource_count == 0))
        tree_add(tree, node);
}

/* What names a line for as long as it is there; owned by the caller. */
static char *node_key(const Node *node)
{
    const char *name = "";
    if (node->kind == NODE_WORKER)
        name = node->branch->description->workers[node->index].name;
    else if (node->kind == NODE_RESOURCE)
        name = node->branch->description->resources[node->index].name;
    if (!node->row)
        return mem_format("b%s:%s", node->part->info.backend, node->part->info.instance ? node->part->info.instance : "");
    return mem_format("%d%s\n%s", (int)node->kind, node->row->record->is.id, name ? name : "");
}

static bool tree_is_at(const TreePage *tree, size_t index)
{
    char *key = node_key(&tree->nodes[index]);
    bool same = strcmp(key, tree->cursor) == 0;
    free(key);
    return same;
}

static void tree_find_cursor(TreePage *tree)
{
    if (tree->cursor && tree->index < tree->count && tree_is_at(tree, tree->index))
        return;
    for (size_t i = 0; tree->cursor && i < tree->count; i++)
        if (tree_is_at(tree, i)) {
            tree->index = i;
            return;
        }
    if (tree->index >= tree->count)
        tree->index = tree->count ? tree->count - 1 : 0;
}

static void tree_build(App *app, TreePage *tree)
{
    const Snapshot *snapshot = app->view->snapshot;
    tree->count = 0;
    for (size_t p = 0; snapshot && p < snapshot->part_count; p++) {
        const SnapshotPart *part = snapshot->parts[p];
        if (part->info.state == PART_ABSENT || part->info.state == PART_OFF)
            continue;
        tree_add(tree, (Node){.kind = NODE_BACKEND, .part = part});
        for (size_t i = 0; i < app->view->count; i++) {
            const ViewRow *row = app->view->rows[i];
            if (row->part != part)
                continue;
            Node node = {.kind = NODE_CLUSTER, .part = part, .row = row, .branch = map_get(&tree->branches, row->record->is.id)};
            tree_add(tree, node);
            if (node.branch)
                tree_add_branch(tree, node);
        }
    }
    tree_find_cursor(tree);
}

/* No other cluster of its backend comes below it. */
static bool cluster_is_last_at(const TreePage *tree, size_t index)
{
    for (size_t i = index + 1; i < tree->count && tree->nodes[i].row; i++)
        if (tree->nodes[i].kind == NODE_CLUSTER)
            return false;
    return true;
}

/* Of what stands below a cluster: the line, or what it hangs below at that depth, has a sister further down. */
static bool has_sister(const TreePage *tree, size_t index, int depth)
{
    for (size_t i = index + 1; i < tree->count && tree->nodes[i].row == tree->nodes[index].row; i++)
        if (tree->nodes[i].depth <= depth)
            return tree->nodes[i].depth == depth;
    return false;
}

/* ---------------------------------------------------------------------------------------------------------------- draw */

static void draw_backend(Pen *pen, const PartInfo *info, size_t count)
{
    pen_put(pen, ROLE_STRONG, "%s", info->backend);
    if (info->instance)
        pen_put(pen, ROLE_STRONG, ":%s", info->instance);
    pen_put(pen, ROLE_DIM, "  %s, %s", info->type, part_state_word(info->state));
    if (count || part_clusters(info) != NUMBER_UNKNOWN)
        pen_put(pen, ROLE_DIM, ", %zu cluster%s", count, count == 1 ? "" : "s");
}

static void draw_cluster(App *app, Pen *pen, const Node *node)
{
    const RecordFields *is = &node->row->record->is;
    char age[TIME_TEXT];
    pen_put(pen, ROLE_STRONG, "%s  ", is->name);
    chrome_verdict(app, node->row, pen);
    if (is->owner)
        pen_put(pen, ROLE_DIM, "  %s", is->owner);
    if (is->created_ms != TIME_UNKNOWN)
        pen_put(pen, ROLE_DIM, "  %s old", duration_short(app->now.wall_ms - is->created_ms, age));
    if (node->branch)
        return;
    if (is->workers_ready != NUMBER_UNKNOWN)
        pen_put(pen, ROLE_DIM, "  %lld worker%s", (long long)is->workers_ready, is->workers_ready == 1 ? "" : "s");
    if (is->resources != NUMBER_UNKNOWN)
        pen_put(pen, ROLE_DIM, ", %lld resource%s", (long long)is->resources, is->resources == 1 ? "" : "s");
}

static void draw_worker(Pen *pen, const DescribedWorker *is)
{
    char used[24], limit[24];
    pen_put(pen, ROLE_TEXT, "worker %s", is->name ? is->name : is->address);
    if (is->host)
        pen_put(pen, ROLE_DIM, "  %s", is->host);
    if (is->status)
        pen_put(pen, strcmp(is->status, "running") == 0 ? ROLE_DIM : ROLE_WARN, "  %s", is->status);
    if (is->memory != NUMBER_UNKNOWN && is->memory_limit > 0)
        pen_put(pen, ROLE_DIM, "  %s of %s", text_size(is->memory, used), text_size(is->memory_limit, limit));
    if (is->processing != NUMBER_UNKNOWN)
        pen_put(pen, ROLE_DIM, "  %lld task%s", (long long)is->processing, is->processing == 1 ? "" : "s");
}

static void draw_note(Pen *pen, const Branch *branch)
{
    char line[ERROR_LINE];
    if (branch->error.code != ERROR_OK)
        pen_text(pen, ROLE_WARN, error_line(&branch->error, line, sizeof line));
    else if (!branch->description)
        pen_text(pen, ROLE_DIM, "asking…");
    else
        pen_text(pen, ROLE_DIM, branch->description->workers_note ? branch->description->workers_note : "no workers");
}

static void draw_below(Pen *pen, const Node *node)
{
    const RecordFields *is = &node->row->record->is;
    if (node->kind == NODE_SCHEDULER) {
        pen_put(pen, ROLE_TEXT, "scheduler %s", is->address);
        pen_put(pen, ROLE_DIM, "  %s", status_word(is->status));
    } else if (node->kind == NODE_WORKER) {
        draw_worker(pen, &node->branch->description->workers[node->index]);
    } else if (node->kind == NODE_RESOURCE) {
        const DescribedResource *resource = &node->branch->description->resources[node->index];
        pen_put(pen, ROLE_TEXT, "%s%s%s", resource->kind, *resource->kind ? " " : "", resource->name);
        if (resource->status)
            pen_put(pen, ROLE_DIM, "  %s", resource->status);
        if (resource->uid)
            pen_put(pen, ROLE_DIM, "  %s", resource->uid);
    } else {
        draw_note(pen, node->branch);
    }
}

static void draw_node(App *app, Canvas *canvas, int y, const TreePage *tree, size_t index, bool cluster_is_last)
{
    const Node *node = &tree->nodes[index];
    Pen pen = canvas_pen(canvas, y, 2, canvas->cols - 1);
    if (!node->row) {
        draw_backend(&pen, &node->part->info, node->part->count);
        return;
    }
    if (node->kind == NODE_CLUSTER) {
        pen_text(&pen, ROLE_RULE, cluster_is_last ? "└─ " : "├─ ");
        draw_cluster(app, &pen, node);
        return;
    }
    pen_text(&pen, ROLE_RULE, cluster_is_last ? "   " : "│  ");
    for (int i = 0; i < node->depth; i++)
        pen_text(&pen, ROLE_RULE, has_sister(tree, index, i) ? "│  " : "   ");
    pen_text(&pen, ROLE_RULE, has_sister(tree, index, node->depth) ? "├─ " : "└─ ");
    draw_below(&pen, node);
}

static bool cluster_of_is_last(const TreePage *tree, size_t index)
{
    while (index > 0 && tree->nodes[index].kind != NODE_CLUSTER)
        index--;
    return cluster_is_last_at(tree, index);
}

static void tree_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    TreePage *tree = page->own;
    tree->height = area.rows;
    tree_build(app, tree);
    if (tree->index < tree->top)
        tree->top = tree->index;
    if (tree->index >= tree->top + (size_t)area.rows)
        tree->top = tree->index - (size_t)area.rows + 1;
    for (int i = 0; i < area.rows && tree->top + (size_t)i < tree->count; i++) {
        size_t at = tree->top + (size_t)i;
        draw_node(app, canvas, area.row + i, tree, at, cluster_of_is_last(tree, at));
        if (at == tree->index) {
            canvas_code(canvas, area.row + i, 0, ROLE_CURSOR, 0x258C);
            canvas_select(canvas, area.row + i, 1, canvas->cols - 1);
        }
    }
    if (tree->count == 0)
        canvas_text(canvas, area.row, 2, area.cols - 3, ROLE_DIM, "no backend is there yet");
}

/* ------------------------------------------------------------------------------------------------------------- actions */

static void tree_put_cursor(TreePage *tree)
{
    free(tree->cursor);
    tree->cursor = tree->index < tree->count ? node_key(&tree->nodes[tree->index]) : NULL;
}

static void tree_move(App *app, TreePage *tree, int64_t by)
{
    tree_build(app, tree);
    int64_t to = (int64_t)tree->index + by, last = tree->count ? (int64_t)tree->count - 1 : 0;
    tree->index = (size_t)(to < 0 ? 0 : to > last ? last : to);
    tree_put_cursor(tree);
}

static const Node *tree_node(App *app, TreePage *tree)
{
    tree_build(app, tree);
    return tree->index < tree->count ? &tree->nodes[tree->index] : NULL;
}

static const Record *tree_subject(App *app, Page *page)
{
    const Node *node = tree_node(app, page->own);
    return node && node->row ? node->row->record : NULL;
}

static void tree_go_right(App *app, TreePage *tree)
{
    const Node *node = tree_node(app, tree);
    if (node && node->kind == NODE_CLUSTER && !node->branch)
        tree_unfold(app, tree, node->row->record);
    else
        tree_move(app, tree, 1);
}

/* From a line to its cluster, which is then folded; from there to its backend. */
static void tree_go_left(App *app, TreePage *tree)
{
    const Node *node = tree_node(app, tree);
    if (!node || !node->row)
        return;
    if (node->kind == NODE_CLUSTER && node->branch) {
        tree_fold(tree, node->row->record->is.id);
        return;
    }
    NodeKind wanted = node->kind == NODE_CLUSTER ? NODE_BACKEND : NODE_CLUSTER;
    while (tree->index > 0 && tree->nodes[tree->index].kind != wanted)
        tree->index--;
    tree_put_cursor(tree);
}

static bool tree_logs(App *app, TreePage *tree)
{
    const Node *node = tree_node(app, tree);
    if (!node || node->kind != NODE_WORKER)
        return false;
    log_open(app, node->row->record, node->branch->description->workers[node->index].name);
    return true;
}

static bool tree_refresh(TreePage *tree)
{
    const MapEntry *entry;
    for (size_t i = 0; (entry = map_next(&tree->branches, &i));)
        ((Branch *)entry->value)->next_ms = 0;
    return false; /* discovery too */
}

static bool tree_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    TreePage *tree = page->own;
    (void)key;
    (void)argument;
    switch (info->action) {
    case ACTION_UP: tree_move(app, tree, -1); return true;
    case ACTION_DOWN: tree_move(app, tree, 1); return true;
    case ACTION_TOP: tree_move(app, tree, INT32_MIN); return true;
    case ACTION_BOTTOM: tree_move(app, tree, INT32_MAX); return true;
    case ACTION_PAGE_UP: tree_move(app, tree, -tree->height); return true;
    case ACTION_PAGE_DOWN: tree_move(app, tree, tree->height); return true;
    case ACTION_HALF_UP: tree_move(app, tree, -tree->height / 2); return true;
    case ACTION_HALF_DOWN: tree_move(app, tree, tree->height / 2); return true;
    case ACTION_RIGHT: tree_go_right(app, tree); return true;
    case ACTION_LEFT: tree_go_left(app, tree); return true;
    case ACTION_LOGS: return tree_logs(app, tree);
    case ACTION_REFRESH: return tree_refresh(tree);
    default: return false;
    }
}

static bool tree_click(App *app, Page *page, int row)
{
    TreePage *tree = page->own;
    size_t was = tree->index, to = tree->top + (size_t)row;
    tree_build(app, tree);
    if (to >= tree->count)
        return false;
    tree->index = to;
    tree_put_cursor(tree);
    return to == was;
}

static void tree_title(App *app, Page *page, Pen *pen)
{
    (void)app;
    (void)page;
    pen_text(pen, ROLE_STRONG, "tree");
}

static void tree_status(App *app, Page *page, Pen *pen)
{
    const Node *node = tree_node(app, page->own);
    if (node && node->row)
        chrome_evidence(app, node->row, pen);
    else
        pen_text(pen, ROLE_DIM, "Right unfolds a cluster, Left folds it");
}

static void tree_close(App *app, Page *page)
{
    TreePage *tree = page->own;
    (void)app;
    map_done(&tree->branches, branch_free);
    free(tree->nodes);
    free(tree->cursor);
    free(tree);
}

static const PageType page_tree = {
    .name = "tree", .where = IN_TREE, .draw = tree_draw, .act = tree_act, .title = tree_title, .status = tree_status,
    .turn = tree_turn, .due = tree_due, .subject = tree_subject, .click = tree_click, .close = tree_close,
};

/* On the cluster that was looked at, which is unfolded. */
void tree_open(App *app)
{
    TreePage *tree = mem_new(sizeof *tree);
    const Record *subject = app_subject(app);
    const ViewRow *row = subject ? app_row(app, subject) : table_row(app);
    map_init(&tree->branches);
    if (row) {
        tree->cursor = mem_format("%d%s\n", (int)NODE_CLUSTER, row->record->is.id);
        tree_unfold(app, tree, row->record);
    }
    app_push(app, &page_tree, tree, NULL);
}
