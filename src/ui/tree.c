/* Backend, cluster, scheduler and workers as a tree; made anew when something changed. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct Node {
    const SnapshotPart *part;
    const ViewRow *row; /* NULL: the line of the backend */
    int below;          /* 1, 2: lines below a cluster: scheduler, workers */
} Node;

typedef struct TreePage {
    Node *nodes; /* borrowed from the view: only valid within one call after tree_build */
    size_t count, capacity, index, top;
    int height;
    char *cursor; /* id of the cluster under the cursor */
} TreePage;

static void tree_add(TreePage *tree, const SnapshotPart *part, const ViewRow *row, int below)
{
    tree->nodes = mem_grow(tree->nodes, tree->count, &tree->capacity, sizeof *tree->nodes);
    tree->nodes[tree->count++] = (Node){part, row, below};
}

static void tree_build(App *app, TreePage *tree)
{
    const Snapshot *snapshot = app->view->snapshot;
    tree->count = 0;
    for (size_t p = 0; snapshot && p < snapshot->part_count; p++) {
        const SnapshotPart *part = snapshot->parts[p];
        if (part->info.state == PART_ABSENT || part->info.state == PART_OFF)
            continue;
        tree_add(tree, part, NULL, 0);
        for (size_t i = 0; i < app->view->count; i++) {
            const ViewRow *row = &app->view->rows[i];
            if (row->part != part)
                continue;
            if (tree->cursor && strcmp(tree->cursor, row->record->is.id) == 0)
                tree->index = tree->count;
            tree_add(tree, part, row, 0);
            if (row->record->is.address)
                tree_add(tree, part, row, 1);
            tree_add(tree, part, row, 2);
        }
    }
    if (tree->index >= tree->count)
        tree->index = tree->count ? tree->count - 1 : 0;
}

/* No other cluster of its backend comes below it. */
static bool tree_is_last(const TreePage *tree, size_t index)
{
    const ViewRow *row = tree->nodes[index].row;
    while (index < tree->count && tree->nodes[index].row == row)
        index++;
    return index == tree->count || !tree->nodes[index].row;
}

static void tree_node(App *app, Canvas *canvas, int y, const Node *node, bool last)
{
    Pen pen = canvas_pen(canvas, y, 2, canvas->cols - 1);
    if (!node->row) {
        pen_put(&pen, ROLE_STRONG, "%s", node->part->info.backend);
        if (node->part->info.instance)
            pen_put(&pen, ROLE_STRONG, ":%s", node->part->info.instance);
        pen_put(&pen, ROLE_DIM, "  %s, %s, %zu cluster%s", node->part->info.type, part_state_word(node->part->info.state), node->part->count,
                node->part->count == 1 ? "" : "s");
        return;
    }
    const RecordFields *is = &node->row->record->is;
    char age[TIME_TEXT];
    if (node->below == 0) {
        pen_text(&pen, ROLE_RULE, last ? "└─ " : "├─ ");
        pen_put(&pen, ROLE_STRONG, "%s  ", is->name);
        pen_put(&pen, chrome_verdict_role(node->row->verdict.state), "%s", verdict_word(node->row->verdict.state));
        if (is->owner)
            pen_put(&pen, ROLE_DIM, "  %s", is->owner);
        if (is->created_ms != TIME_UNKNOWN)
            pen_put(&pen, ROLE_DIM, "  %s old", duration_short(app->now.wall_ms - is->created_ms, age));
    } else if (node->below == 1) {
        pen_text(&pen, ROLE_RULE, last ? "   ├─ " : "│  ├─ ");
        pen_put(&pen, ROLE_DIM, "scheduler %s  %s", is->address, status_word(is->status));
    } else {
        pen_text(&pen, ROLE_RULE, last ? "   └─ " : "│  └─ ");
        if (is->workers_ready != NUMBER_UNKNOWN)
            pen_put(&pen, ROLE_DIM, "%lld worker%s", (long long)is->workers_ready, is->workers_ready == 1 ? "" : "s");
        else
            pen_put(&pen, ROLE_DIM, "workers not known");
        if (is->resources != NUMBER_UNKNOWN)
            pen_put(&pen, ROLE_DIM, ", %lld resource%s", (long long)is->resources, is->resources == 1 ? "" : "s");
    }
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
        tree_node(app, canvas, area.row + i, &tree->nodes[tree->top + (size_t)i], tree_is_last(tree, tree->top + (size_t)i));
        if (tree->top + (size_t)i == tree->index) {
            canvas_code(canvas, area.row + i, 0, ROLE_CURSOR, 0x258C);
            canvas_select(canvas, area.row + i, 1, canvas->cols - 1);
        }
    }
}

static void tree_move(App *app, TreePage *tree, int64_t by)
{
    tree_build(app, tree);
    int64_t to = (int64_t)tree->index + by, last = tree->count ? (int64_t)tree->count - 1 : 0;
    tree->index = (size_t)(to < 0 ? 0 : to > last ? last : to);
    while (by > 0 && (int64_t)tree->index < last && tree->nodes[tree->index].below) /* from cluster to cluster */
        tree->index++;
    while (tree->index > 0 && tree->index < tree->count && tree->nodes[tree->index].below)
        tree->index--;
    free(tree->cursor);
    const ViewRow *row = tree->index < tree->count ? tree->nodes[tree->index].row : NULL;
    tree->cursor = row ? mem_text(row->record->is.id) : NULL;
}

static const Record *tree_subject(App *app, Page *page)
{
    TreePage *tree = page->own;
    const ViewRow *row = tree->cursor ? view_find(app->view, tree->cursor, NULL, NULL) : NULL;
    return row ? row->record : NULL;
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
    case ACTION_PAGE_UP:
    case ACTION_HALF_UP: tree_move(app, tree, -tree->height); return true;
    case ACTION_PAGE_DOWN:
    case ACTION_HALF_DOWN: tree_move(app, tree, tree->height); return true;
    default: return false;
    }
}

static void tree_title(App *app, Page *page, Pen *pen)
{
    (void)app;
    (void)page;
    pen_text(pen, ROLE_STRONG, "tree");
}

static void tree_status(App *app, Page *page, Pen *pen)
{
    TreePage *tree = page->own;
    const ViewRow *row = tree->cursor ? view_find(app->view, tree->cursor, NULL, NULL) : NULL;
    if (row)
        chrome_evidence(app, row, pen);
}

static void tree_close(App *app, Page *page)
{
    TreePage *tree = page->own;
    (void)app;
    free(tree->nodes);
    free(tree->cursor);
    free(tree);
}

static const PageType page_tree = {
    .name = "tree", .where = IN_TREE, .draw = tree_draw, .act = tree_act, .title = tree_title, .status = tree_status,
    .subject = tree_subject, .close = tree_close,
};

void tree_open(App *app)
{
    TreePage *tree = mem_new(sizeof *tree);
    const ViewRow *row = table_row(app);
    tree->cursor = row ? mem_text(row->record->is.id) : NULL;
    app_push(app, &page_tree, tree, NULL);
}
