#include "backends/kubernetes/discovering.h"

#include "backends/common/facts.h"
#include "base/file.h"
#include "base/mem.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FLUSH_MS = 15,          /* what changes within so short a time is shown at once */
    RIGHTS_MS = 50,         /* the table is on the screen before what may be done with it is asked */
};

/* ------------------------------------------------------------------------------------------------------------------ rows */

static KubeView view_of(const Discovering *all, const KubeRow *row)
{
    static const int pods[] = {[ROW_OPERATOR] = R_PODS, [ROW_LEFT] = R_PODS, [ROW_CLASSIC] = R_PODS, [ROW_HELM] = R_HELM_PODS, [ROW_GATEWAY] = R_GATEWAY_PODS};
    KubeRowKind kind = row_kind(row);
    return (KubeView){
        .owner_labels = &all->own->owner_labels, .nodes = all->nodes_ms ? &all->nodes : NULL, .user = *all->user ? all->user : NULL,
        .clusters_known = listing_is_fresh(all, kind == ROW_GATEWAY ? R_GATEWAY : R_CLUSTERS, row->namespace),
        .pods_known = listing_knows(all, pods[kind], row->namespace), .pods_stale = !listing_is_fresh(all, pods[kind], row->namespace),
        .pods_forbidden = listing_is_forbidden(all, pods[kind], row->namespace),
        .now_ms = clock_wall_ms(), .ahead_ms = listing_ahead_ms(all),
    };
}

/* What may be done there is known by now: its rows say it. */
static void on_rights(void *user, const char *namespace)
{
    Discovering *all = user;
    KubeRow *row;
    for (size_t i = 0; (row = join_next(all->join, &i));)
        if (strcmp(row->namespace, namespace) == 0)
            join_touch(all->join, row);
    rows_flush_soon(all);
}

/* From now on of each row that is shown. */
static void ask_rights(void *user)
{
    Discovering *all = user;
    KubeRow *row;
    all->rights_due = NULL;
    all->asks_rights = true;
    for (size_t i = 0; (row = join_next(all->join, &i));)
        if (row->shown_uid)
            rights_ask(all->own->rights, &all->api, row->namespace, on_rights, all);
}

static void gone(Discovering *all, KubeRow *row)
{
    if (row->shown_uid)
        sink_gone(all->sink, row->key);
    free(row->shown_uid);
    row->shown_uid = NULL;
}

static void show(Discovering *all, KubeRow *row)
{
    RecordFields fields;
    KubeView view = view_of(all, row);
    if (!row_fields(row, &view, &all->text, &fields)) {
        gone(all, row);
    } else {
        const char *uid = fields.uid ? fields.uid : "";
        if (row->shown_uid && *row->shown_uid && strcmp(row->shown_uid, uid) != 0)
            gone(all, row); /* another one of this name */
        bool counted = row->facts && row->facts->result == PROBE_ANSWERED;
        if (all->asks_rights)
            rights_ask(all->own->rights, &all->api, row->namespace, on_rights, all);
        rights_limit(all->own->rights, row, &all->text.texts, &fields);
        sink_put(all->sink, &fields, counted ? row->facts->counts_ms : TIME_UNKNOWN);
        if (!row->shown_uid || strcmp(row->shown_uid, uid) != 0) {
            free(row->shown_uid);
            row->shown_uid = mem_text(uid);
        }
    }
    row_text_done(&all->text);
}

/* Before all lists are complete only what is new is shown, as soon as it is named; what it is made of follows when all is there. */
void rows_flush(Discovering *all)
{
    KubeRow *row, *later = NULL;
    while ((row = join_next_dirty(all->join))) {
        if (!all->synced) {
            if (row_cluster(row) && !row->shown_uid)
                show(all, row);
            row->next_dirty = later;
            later = row;
            continue;
        }
        if (!row_is_empty(row)) {
            show(all, row);
        } else {
            gone(all, row);
            if (all->probing) { /* somebody holds it */
                row->next_dirty = later;
                later = row;
            } else
                join_forget(all->join, row);
        }
    }
    while (later) {
        KubeRow *next = later->next_dirty;
        later->next_dirty = NULL;
        join_touch(all->join, later);
        later = next;
    }
    all->flushed_ms = clock_mono_ms();
}

static void flush_due(void *user)
{
    Discovering *all = user;
    all->flush = NULL;
    rows_flush(all);
}

void rows_flush_soon(Discovering *all)
{
    all->moved = true;
    int64_t since = clock_mono_ms() - all->flushed_ms;
    if (!all->flush)
        all->flush = io_after(all->api.io, since >= FLUSH_MS ? 0 : FLUSH_MS - since, flush_due, all);
}

/* ------------------------------------------------------------------------------------------------------------------ life */

static void end_feeds(Discovering *all)
{
    listing_end(all);
    io_timer_cancel(all->flush);
    io_timer_cancel(all->wake);
    io_timer_cancel(all->rights_due);
    all->flush = all->wake = all->rights_due = NULL;
    rights_stop(all->own->rights);
    join_free(all->join);
    all->join = NULL;
}

void discovering_free(Discovering *all)
{
    if (!all)
        return;
    end_feeds(all);
    row_text_done(&all->text);
    nodes_done(&all->nodes);
    prober_free(all->prober);
    if (all->api.io)
        io_free(all->api.io);
    free(all);
}

static Discovering *discovering_new(KubeBackend *own, Error *error)
{
    Discovering *all = mem_new(sizeof *all);
    char *path = facts_memory_path();
    all->own = own;
    all->prices = rounds_have_prices(own->backend.config);
    nodes_init(&all->nodes);
    file_user_name(getuid(), all->user);
    if (kube_api(own, &all->api, error))
        all->prober = prober_new(all->api.io, path, own->backend.config->key);
    free(path);
    if (all->prober)
        return all;
    discovering_free(all);
    return NULL;
}

static void begin(Discovering *all, Sink *sink, bool watch)
{
    all->sink = sink;
    all->watch = watch;
    all->synced = all->changed = all->refresh = all->asks_rights = false;
    all->said = (Error){0};
    memset(all->found, 0, sizeof all->found);
    all->round_ms = all->flushed_ms = all->planned_ms = all->plan_ms = 0;
    all->join = join_new();
    listing_begin(all);
}

static void on_refresh(void *user, int fd, short events)
{
    Discovering *all = user;
    (void)fd;
    (void)events;
    if (sink_refresh_asked(all->sink))
        all->refresh = true;
}

/* Everything is listed anew, beside the rows that stand there. */
static void refresh(Discovering *all)
{
    all->refresh = false;
    all->synced = false;
    sink_restart(all->sink);
    listing_again(all);
}

static void awake(void *user)
{
    ((Discovering *)user)->wake = NULL;
}

/* Waits for whatever comes first. */
static bool turn(Discovering *all, const Context *context, int64_t due_ms, Error *error)
{
    int64_t listed = listing_due_ms(all);
    due_ms = listed < due_ms ? listed : due_ms;
    int64_t now = clock_mono_ms();
    if (all->synced && all->moved && all->planned_ms + PLAN_MS < due_ms)
        due_ms = all->planned_ms + PLAN_MS;
    if (due_ms != INT64_MAX)
        all->wake = io_after(all->api.io, due_ms > now ? due_ms - now : 0, awake, all);
    bool right = io_turn(all->api.io, context, error);
    io_timer_cancel(all->wake);
    all->wake = NULL;
    return right;
}

static bool first_look(Discovering *all, const Context *context, Error *error)
{
    while (!all->synced) {
        if (!listing_step(all, context, error))
            return false;
        if (listing_is_settled(all))
            return listing_settle(all, error);
        if (!turn(all, context, INT64_MAX, error))
            return false;
    }
    return true;
}

static bool hear_rights(Discovering *all, const Context *context, Error *error)
{
    rows_flush(all);
    while (rights_asking(all->own->rights))
        if (!turn(all, context, INT64_MAX, error))
            return false;
    return true;
}

/* What may not be done is said at once. */
static bool look_once(Discovering *all, const Context *context, Error *error)
{
    if (!first_look(all, context, error))
        return false;
    ask_rights(all);
    return rounds_probe(all, context, true, error) && hear_rights(all, context, error);
}

static bool go_on(Discovering *all, Context *context, Error *error)
{
    while (true) {
        if (all->refresh)
            refresh(all);
        if (!all->synced && listing_is_settled(all)) { /* before anything else is asked: somebody waits for it */
            if (!listing_settle(all, error))
                return false;
            sink_synced(all->sink);
            if (!all->asks_rights && !all->rights_due)
                all->rights_due = io_after(all->api.io, RIGHTS_MS, ask_rights, all);
        }
        if (!listing_step(all, context, error))
            return false;
        if (all->synced && all->changed)
            listing_check_health(all);
        if (all->synced && !rounds_look_through(all, context, error))
            return false;
        if (!turn(all, context, all->synced ? all->plan_ms : INT64_MAX, error))
            return false;
    }
}

bool kube_discover(KubeBackend *own, Context *context, Sink *sink, bool watch, Error *error)
{
    if (!kube_usable(own, error))
        return false;
    if (!own->discovering)
        own->discovering = discovering_new(own, error);
    Discovering *all = own->discovering;
    if (!all)
        return false;
    begin(all, sink, watch);
    IoWatch *asked = watch && sink_refresh_fd(sink) >= 0 ? io_watch(all->api.io, sink_refresh_fd(sink), POLLIN, on_refresh, all) : NULL;
    bool right = watch ? go_on(all, context, error) : look_once(all, context, error);
    if (right)
        rows_flush(all);
    io_unwatch(asked);
    end_feeds(all);
    all->sink = NULL;
    return right;
}
