#include "backends/kubernetes/discovering.h"

#include "backends/kubernetes/ask.h"
#include "backends/kubernetes/past.h"
#include "backends/kubernetes/unmanned.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    PROBES_ROUND = 100,     /* schedulers that are asked in one round, beside those that never were */
    LOGS_ONCE = 64,
    ROUND_MS = 5000,
    PROBE_MS = 15000,       /* no scheduler is asked more often */
    STARTING_MS = 2000,     /* but one that has just been started, and does not answer yet */
    DENIED_MS = 300000,     /* one that may not be asked */
    NODES_MS = 60000,       /* no sooner are nodes read again */
};

/* ---------------------------------------------------------------------------------------------------------- machines */

bool rounds_have_prices(const BackendConfig *config)
{
    const Tree *prices = config->dask ? tree_path(config->dask, "dasktop.cost.prices") : NULL;
    for (size_t i = 0; prices && prices->kind == TREE_MAP && i < prices->count; i++)
        if (!strstr(prices->items[i]->key, "-hour"))
            return true;
    return false;
}

static bool has_unknown_node(const Discovering *all)
{
    KubeRow *row;
    for (size_t i = 0; (row = join_next(all->join, &i));)
        for (size_t k = 0; k < row->of[KUBE_POD].count; k++) {
            const KubeObject *pod = row->of[KUBE_POD].items[k];
            if (pod->node && !pod->ended && !nodes_know(&all->nodes, pod->node))
                return true;
        }
    return false;
}

static bool take_node(void *user, const char *bytes, size_t n, Error *error)
{
    (void)error;
    nodes_take(&((Discovering *)user)->nodes, bytes, n);
    return true;
}

/* Once, and again where a pod runs on one that is new. Whoever may not list nodes sees no costs by machine, and nothing else is missing. */
static void read_nodes(Discovering *all, const Context *context)
{
    Error error = {0};
    KubeRow *row;
    int64_t now = clock_mono_ms();
    if (!all->prices || all->nodes_refused || (all->nodes_ms && now - all->nodes_ms < NODES_MS) || !has_unknown_node(all))
        return;
    all->nodes_ms = now;
    all->nodes_refused = !api_list(&all->api, context, "/api/v1/nodes", take_node, NULL, all, NULL, &error) && error.code == ERROR_DENIED;
    for (size_t i = 0; (row = join_next(all->join, &i));)
        join_touch(all->join, row);
    rows_flush_soon(all);
}

/* -------------------------------------------------------------------------------------------------------- schedulers */

static void told(void *user, KubeRow *row)
{
    Discovering *all = user;
    join_touch(all->join, row);
    rows_flush_soon(all);
}

static int by_age(const void *a, const void *b)
{
    int64_t one = (*(KubeRow *const *)a)->probed_ms, two = (*(KubeRow *const *)b)->probed_ms;
    return one < two ? -1 : one > two;
}

/* One that was never asked, or has just been started, is not left until the next round. */
static bool is_urgent(const KubeRow *row, int64_t wall_ms)
{
    const KubeObject *pod = row_scheduler_pod(row);
    bool another = row->facts_uid && strcmp(row->facts_uid, pod->uid) != 0;
    bool silent = row->facts && row->facts->result != PROBE_ANSWERED && row->facts->error.code != ERROR_DENIED;
    return !row->probed_ms || another || (silent && row_is_young(pod, wall_ms));
}

/* Monotonic: when a scheduler may be asked again. */
static int64_t ask_due(const KubeRow *row, int64_t wall_ms)
{
    const KubeObject *pod = row_scheduler_pod(row);
    bool another = row->facts_uid && strcmp(row->facts_uid, pod->uid) != 0;
    if (!row->probed_ms || another)
        return 0;
    if (row->facts && row->facts->error.code == ERROR_DENIED)
        return row->probed_ms + DENIED_MS;
    return row->probed_ms + (is_urgent(row, wall_ms) ? STARTING_MS : PROBE_MS);
}

static bool read_past(Discovering *all, const Context *context, KubeRow *const *rows, size_t count, Error *error)
{
    KubeRow *due[LOGS_ONCE];
    int64_t now = clock_mono_ms();
    bool right = true;
    for (size_t i = 0; right && i < count;) {
        size_t some = 0;
        for (; i < count && some < LOGS_ONCE; i++)
            if (past_is_due(rows[i], now))
                due[some++] = rows[i];
        right = !some || past_read(&all->api, context, all->own->backend.config->timeout_ms, due, some, error);
        for (size_t k = 0; k < some; k++)
            join_touch(all->join, due[k]);
    }
    rows_flush_soon(all);
    return right;
}

/* Those that were not asked for longest; all that were never asked. */
bool rounds_probe(Discovering *all, const Context *context, bool everything, Error *error)
{
    KubeRow *row, **rows = mem_new((join_rows(all->join) + 1) * sizeof *rows);
    size_t count = 0, news = 0;
    int64_t now = clock_mono_ms(), wall = clock_wall_ms() + listing_ahead_ms(all);
    bool right = true;
    for (size_t i = 0; (row = join_next(all->join, &i));)
        if (row_can_be_probed(row) && (everything || ask_due(row, wall) <= now))
            rows[count++] = row;
    qsort(rows, count, sizeof *rows, by_age);
    while (news < count && !rows[news]->probed_ms)
        news++;
    size_t most = news > PROBES_ROUND ? news : PROBES_ROUND;
    count = everything || count < most ? count : most;
    all->probing = true;
    if (count)
        right = ask_schedulers(all->prober, &all->api, context, all->own->backend.config, rows, count, false, told, all, error) &&
                read_past(all, context, rows, count, error);
    read_nodes(all, context);
    if (unmanned_read(&all->api, context, all->join))
        rows_flush_soon(all);
    all->probing = false;
    all->round_ms = clock_mono_ms();
    free(rows);
    return right;
}

static int64_t round_due(const Discovering *all)
{
    KubeRow *row;
    int64_t due = all->round_ms + ROUND_MS, wall = clock_wall_ms() + listing_ahead_ms(all);
    for (size_t i = 0; (row = join_next(all->join, &i));)
        if (row_can_be_probed(row) && is_urgent(row, wall) && ask_due(row, wall) < due)
            due = ask_due(row, wall);
    return due;
}

/* ---------------------------------------------------------------------------------------------------------- the rest */

/* Rows that say something else by now. Returns when the next one will. */
static int64_t renew(Discovering *all)
{
    KubeRow *row;
    int64_t now = clock_wall_ms(), next = INT64_MAX;
    for (size_t i = 0; (row = join_next(all->join, &i));) {
        if (row->again_ms <= now) {
            row->again_ms = INT64_MAX;
            join_touch(all->join, row);
            rows_flush_soon(all);
        } else if (row->again_ms < next)
            next = row->again_ms;
    }
    return next == INT64_MAX ? INT64_MAX : clock_mono_ms() + (next - now);
}

bool rounds_look_through(Discovering *all, const Context *context, Error *error)
{
    int64_t now = clock_mono_ms();
    if (now < all->plan_ms && !(all->moved && now >= all->planned_ms + PLAN_MS))
        return true;
    if (round_due(all) <= now && !rounds_probe(all, context, false, error))
        return false;
    int64_t again = renew(all), round = round_due(all);
    all->planned_ms = clock_mono_ms();
    all->plan_ms = again < round ? again : round;
    all->moved = false;
    return true;
}
