#include "backends/kubernetes/discover.h"

#include "backends/common/facts.h"
#include "backends/kubernetes/ask.h"
#include "backends/kubernetes/past.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    POLL_MS = 30000,        /* between lists of what may not be watched */
    WATCHES_MOST = 100,     /* streams of one connection; what is beyond is asked at intervals */
    NAMESPACES_MOST = 1000,
    FLUSH_MS = 15,          /* what changes within so short a time is shown at once */
    PROBES_ONCE = 64,       /* schedulers that are asked at the same time */
    PROBES_ROUND = 100,     /* and within one round */
    ROUND_MS = 5000,
    PROBE_MS = 15000,       /* no scheduler is asked more often */
    DENIED_MS = 300000,     /* one that may not be asked */
    PLAN_MS = 100,          /* all rows are looked through for what is due no more often */
    STARTING_MS = 2000,     /* but one that has just been started, and does not answer yet */
};

/* What is listed, and watched. */
typedef struct Role {
    KubeKind kind;
    const char *selector; /* NULL */
    int after;            /* only where this one has found something; -1 */
    bool essential;       /* where it is refused something is missing on the screen */
} Role;

enum { R_CLUSTERS, R_PODS, R_GROUPS, R_SERVICES, R_SCALERS, R_JOBS, R_HELM_PODS, R_HELM_SERVICES, R_HELM_DEPLOYMENTS, R_GATEWAY, R_GATEWAY_PODS, R_GATEWAY_SERVICES, ROLES };

static const Role roles[ROLES] = {
    [R_CLUSTERS] = {KUBE_CLUSTER, NULL, -1, true},
    [R_PODS] = {KUBE_POD, "dask.org/cluster-name", -1, true},
    [R_GROUPS] = {KUBE_GROUP, NULL, -1, true},
    [R_SERVICES] = {KUBE_SERVICE, "dask.org/cluster-name", -1, false},
    [R_SCALERS] = {KUBE_SCALER, NULL, -1, false},
    [R_JOBS] = {KUBE_JOB, NULL, -1, false},
    [R_HELM_PODS] = {KUBE_POD, "app=dask,!dask.org/cluster-name", -1, false},
    [R_HELM_SERVICES] = {KUBE_SERVICE, "app=dask,!dask.org/cluster-name", R_HELM_PODS, false},
    [R_HELM_DEPLOYMENTS] = {KUBE_DEPLOYMENT, "app=dask,!dask.org/cluster-name", R_HELM_PODS, false},
    [R_GATEWAY] = {KUBE_GATEWAY_CLUSTER, NULL, -1, false},
    [R_GATEWAY_PODS] = {KUBE_POD, "gateway.dask.org/cluster", R_GATEWAY, false},
    [R_GATEWAY_SERVICES] = {KUBE_SERVICE, "gateway.dask.org/cluster", R_GATEWAY, false},
};

typedef struct Slot {
    Discovering *all;
    int role;
    char *namespace; /* NULL: all */
    Feed *feed;      /* NULL: not begun */
    bool split;      /* forbidden for all namespaces: slots of single ones stand in its place */
    size_t items;    /* that it has given in its life */
} Slot;

struct Discovering {
    KubeBackend *own;
    Api api;
    Prober *prober;
    KubeJoin *join;
    Slot **slots;
    size_t slot_count, slot_capacity;
    List namespaces;        /* by which it is split */
    bool names_read;
    RowText text;
    char user[64];
    /* of one call */
    Sink *sink;
    bool watch, synced, changed, refresh, probing, ended_badly;
    Error said;             /* the health that was told last */
    int64_t flushed_ms, round_ms;
    int64_t planned_ms, plan_ms; /* monotonic: when what is due was looked through, and when something will be */
    bool moved;             /* a row has changed since */
    IoTimer *flush, *wake;
};

/* ------------------------------------------------------------------------------------------------------------------ slots */

static bool is_settled(const Slot *slot)
{
    return slot->split || (slot->feed && feed_state(slot->feed) != FEED_LISTING);
}

static bool covers(const Slot *slot, const char *namespace)
{
    return !slot->split && (!slot->namespace || strcmp(slot->namespace, namespace) == 0);
}

static const Slot *slot_of(const Discovering *all, int role, const char *namespace)
{
    for (size_t i = 0; i < all->slot_count; i++)
        if (all->slots[i]->role == role && covers(all->slots[i], namespace))
            return all->slots[i];
    return NULL;
}

static bool is_known(const Discovering *all, int role, const char *namespace)
{
    const Slot *slot = slot_of(all, role, namespace);
    FeedState state = slot && slot->feed ? feed_state(slot->feed) : FEED_LISTING;
    return state == FEED_LIVE || state == FEED_ABSENT;
}

static bool is_forbidden(const Discovering *all, int role, const char *namespace)
{
    const Slot *slot = slot_of(all, role, namespace);
    return slot && slot->feed && feed_state(slot->feed) == FEED_FORBIDDEN;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static int64_t ahead_of(const Discovering *all)
{
    for (size_t i = 0; i < all->slot_count; i++)
        if (all->slots[i]->feed && feed_state(all->slots[i]->feed) == FEED_LIVE)
            return feed_ahead_ms(all->slots[i]->feed);
    return 0;
}

static KubeView view_of(const Discovering *all, const KubeRow *row)
{
    static const int pods[] = {[ROW_OPERATOR] = R_PODS, [ROW_LEFT] = R_PODS, [ROW_CLASSIC] = R_PODS, [ROW_HELM] = R_HELM_PODS, [ROW_GATEWAY] = R_GATEWAY_PODS};
    KubeRowKind kind = row_kind(row);
    return (KubeView){
        .owner_labels = &all->own->owner_labels, .user = *all->user ? all->user : NULL,
        .clusters_known = is_known(all, kind == ROW_GATEWAY ? R_GATEWAY : R_CLUSTERS, row->namespace),
        .pods_known = is_known(all, pods[kind], row->namespace), .pods_forbidden = is_forbidden(all, pods[kind], row->namespace),
        .now_ms = clock_wall_ms(), .ahead_ms = ahead_of(all),
    };
}

static void flush_soon(Discovering *all);

/* What may be done there is known by now: its rows say it. */
static void on_rights(void *user, const char *namespace)
{
    Discovering *all = user;
    KubeRow *row;
    for (size_t i = 0; (row = join_next(all->join, &i));)
        if (strcmp(row->namespace, namespace) == 0)
            join_touch(all->join, row);
    flush_soon(all);
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
static void flush(Discovering *all)
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
    flush(all);
}

static void flush_soon(Discovering *all)
{
    all->moved = true;
    int64_t since = clock_mono_ms() - all->flushed_ms;
    if (!all->flush)
        all->flush = io_after(all->api.io, since >= FLUSH_MS ? 0 : FLUSH_MS - since, flush_due, all);
}

/* ----------------------------------------------------------------------------------------------------------------- events */

static unsigned feed_number(const Slot *slot)
{
    for (size_t i = 0; i < slot->all->slot_count; i++)
        if (slot->all->slots[i] == slot)
            return (unsigned)i;
    return 0;
}

static void on_item(void *user, Feed *feed, const char *bytes, size_t n)
{
    Slot *slot = user;
    Error error;
    KubeObject *object = kube_object_parse(roles[slot->role].kind, bytes, n, &error);
    if (!object) {
        log_line(slot->all->own->where, "an object was left out: %s", error.what);
        return;
    }
    object->feed = feed_number(slot);
    object->round = feed_round(feed);
    slot->items++;
    join_put(slot->all->join, object);
    flush_soon(slot->all);
}

static void on_gone(void *user, Feed *feed, const char *bytes, size_t n)
{
    Slot *slot = user;
    (void)feed;
    KubeObject *object = kube_object_parse(roles[slot->role].kind, bytes, n, NULL);
    if (object)
        join_gone(slot->all->join, object->uid);
    kube_object_free(object);
    flush_soon(slot->all);
}

static void on_listed(void *user, Feed *feed)
{
    Slot *slot = user;
    join_sweep(slot->all->join, feed_number(slot), feed_round(feed));
    slot->all->changed = true;
    flush_soon(slot->all);
}

static void on_changed(void *user, Feed *feed)
{
    Slot *slot = user;
    (void)feed;
    slot->all->changed = true;
}

/* ---------------------------------------------------------------------------------------------------------------- feeds */

static Slot *add_slot(Discovering *all, int role, const char *namespace)
{
    Slot *slot = mem_new(sizeof *slot);
    *slot = (Slot){.all = all, .role = role, .namespace = mem_text(namespace)};
    all->slots = mem_grow(all->slots, all->slot_count, &all->slot_capacity, sizeof *all->slots);
    all->slots[all->slot_count++] = slot;
    return slot;
}

static void begin_feed(Discovering *all, Slot *slot)
{
    const Role *role = &roles[slot->role];
    const KubeKindInfo *kind = &kube_kinds[role->kind];
    char *path = kube_path(kind->group, kind->version, slot->namespace, kind->plural, NULL, NULL);
    if (role->selector)
        kube_query(&path, "labelSelector", role->selector);
    bool many = all->slot_count > WATCHES_MOST;
    FeedSpec spec = {.kind = role->kind, .path = path, .namespace = slot->namespace, .poll_ms = POLL_MS, .watch = all->watch, .poll_only = many};
    FeedEvents events = {on_item, on_gone, on_listed, on_changed, slot};
    slot->feed = feed_new(&all->api, &spec, &events);
    free(path);
}

/* What an earlier one found decides whether this one is of any use. */
static bool is_wanted(const Discovering *all, const Slot *slot)
{
    int after = roles[slot->role].after;
    if (after < 0)
        return true;
    for (size_t i = 0; i < all->slot_count; i++) {
        const Slot *other = all->slots[i];
        bool same = !other->namespace || !slot->namespace || strcmp(other->namespace, slot->namespace) == 0;
        if (other->role == after && same && other->items)
            return true;
    }
    return false;
}

static bool take_namespace(void *user, const char *bytes, size_t n, Error *error)
{
    Discovering *all = user;
    size_t metadata_n = 0, name_n = 0;
    const char *metadata = json_raw(bytes, n, "metadata", &metadata_n), *name = metadata ? json_raw(metadata, metadata_n, "name", &name_n) : NULL;
    (void)error;
    if (name && name_n > 2 && all->namespaces.count < NAMESPACES_MOST)
        list_take(&all->namespaces, mem_text_n(name + 1, name_n - 2));
    return true;
}

static void forget_namespaces(void *user)
{
    list_done(&((Discovering *)user)->namespaces);
}

/* The namespaces to look into where not all can be looked at together: all that there are where they may be listed, else one's own. */
static bool read_namespaces(Discovering *all, const Context *context)
{
    Error error = {0};
    if (all->names_read)
        return true;
    if (!api_list(&all->api, context, "/api/v1/namespaces", take_namespace, forget_namespaces, all, NULL, &error)) {
        list_done(&all->namespaces);
        if (error.code != ERROR_DENIED)
            return false;
        list_add(&all->namespaces, all->own->namespace);
    }
    all->names_read = true;
    return true;
}

/* Not all at once, then one by one. */
static void split(Discovering *all, Slot *slot, const Context *context)
{
    if (!read_namespaces(all, context))
        return; /* seldom, and again */
    feed_free(slot->feed);
    slot->feed = NULL;
    slot->split = true;
    for (size_t i = 0; i < all->namespaces.count; i++)
        add_slot(all, slot->role, all->namespaces.items[i]);
}

static bool step(Discovering *all, const Context *context, Error *error)
{
    for (size_t i = 0; i < all->slot_count; i++) { /* it may grow on the way */
        Slot *slot = all->slots[i];
        if (slot->split)
            continue;
        if (!slot->feed && is_wanted(all, slot))
            begin_feed(all, slot);
        if (!slot->feed)
            continue;
        if (!slot->namespace && feed_state(slot->feed) == FEED_FORBIDDEN) {
            split(all, slot, context);
            continue;
        }
        if (!feed_step(slot->feed, context, error))
            return false;
    }
    return true;
}

static bool all_settled(const Discovering *all)
{
    for (size_t i = 0; i < all->slot_count; i++)
        if (!is_settled(all->slots[i]) && (all->slots[i]->feed || is_wanted(all, all->slots[i])))
            return false;
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------- health */

static bool is_first_of_namespace(const Discovering *all, size_t at)
{
    const char *namespace = all->slots[at]->namespace;
    for (size_t i = 0; i < at; i++) {
        const Slot *slot = all->slots[i];
        bool same = namespace ? slot->namespace && strcmp(slot->namespace, namespace) == 0 : !slot->namespace;
        if (same && roles[slot->role].essential && slot->feed && feed_error(slot->feed)->code != ERROR_OK && feed_state(slot->feed) != FEED_ABSENT)
            return false;
    }
    return true;
}

/* Why part of it is not seen; the caller's, NULL. */
static char *reason_of(const Slot *slot)
{
    const Error *error = feed_error(slot->feed);
    const char *plural = kube_kinds[roles[slot->role].kind].plural;
    if (feed_state(slot->feed) == FEED_FORBIDDEN)
        return mem_format("namespace %s: %s: forbidden", slot->namespace ? slot->namespace : "(all)", plural);
    return mem_format("%s%s%s", slot->namespace ? "namespace " : "", slot->namespace ? slot->namespace : "", error->what);
}

typedef struct Health {
    size_t live, absent, forbidden, failing, partial;
    const Error *failure, *denial;
    List reasons;
} Health;

static Health health_of(const Discovering *all)
{
    Health health = {0};
    for (size_t i = 0; i < all->slot_count; i++) {
        const Slot *slot = all->slots[i];
        FeedState state = slot->feed ? feed_state(slot->feed) : FEED_LISTING;
        if (!slot->feed || slot->split || state == FEED_LISTING)
            continue;
        health.live += state == FEED_LIVE;
        health.absent += state == FEED_ABSENT;
        health.forbidden += state == FEED_FORBIDDEN;
        health.failing += state == FEED_WAITING;
        if (state == FEED_WAITING && !health.failure)
            health.failure = feed_error(slot->feed);
        if (state == FEED_FORBIDDEN && !health.denial)
            health.denial = feed_error(slot->feed);
        if ((state == FEED_FORBIDDEN || state == FEED_WAITING) && roles[slot->role].essential && is_first_of_namespace(all, i))
            list_take(&health.reasons, reason_of(slot));
    }
    return health;
}

/* Code OK: all is seen; partial: a part; else nothing is. */
static void judge(const Discovering *all, const Health *health, Error *error)
{
    *error = (Error){0};
    if (!health->live && health->failing)
        *error = *health->failure;
    else if (!health->live && health->forbidden)
        *error = *health->denial;
    else if (health->reasons.count)
        error_set(error, ERROR_PARTIAL, all->own->where, "name those that you may see: `namespace: [..]`", "%s", health->reasons.items[0]);
    else if (join_rows(all->join) == 0 && is_known(all, R_CLUSTERS, "") && slot_of(all, R_CLUSTERS, "") && feed_state(slot_of(all, R_CLUSTERS, "")->feed) == FEED_ABSENT)
        error_set(error, ERROR_ABSENT, all->own->where, NULL, "Dask's operator is not installed there, and no pods of Dask are");
}

/* All lists are there, for the first time or after a refresh. */
static bool settle(Discovering *all, Error *error)
{
    Health health = health_of(all);
    judge(all, &health, &all->said);
    bool right = all->said.code == ERROR_OK || all->said.code == ERROR_PARTIAL;
    all->synced = true;
    all->changed = false;
    if (right) {
        KubeRow *row;
        for (size_t i = 0; (row = join_next(all->join, &i));)
            join_touch(all->join, row);
        flush(all);
        for (size_t i = 0; i < health.reasons.count; i++)
            sink_partial(all->sink, health.reasons.items[i]);
    } else if (error)
        *error = all->said;
    list_done(&health.reasons);
    return right;
}

/* Between two syncs: what is well and what is not any more. False: nothing is there any more, which core retries. */
static bool check_health(Discovering *all, Error *error)
{
    Health health = health_of(all);
    Error now;
    judge(all, &health, &now);
    list_done(&health.reasons);
    all->changed = false;
    if (now.code == ERROR_ABSENT)
        now = (Error){0}; /* it was there: an operator that is taken away leaves a row of zero clusters */
    if (now.code != all->said.code || strcmp(now.what, all->said.what) != 0)
        sink_health(all->sink, &now);
    all->said = now;
    (void)error;
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------- probes */

static void told(void *user, KubeRow *row)
{
    Discovering *all = user;
    join_touch(all->join, row);
    flush_soon(all);
}

static int by_age(const void *a, const void *b)
{
    int64_t one = (*(KubeRow *const *)a)->probed_ms, two = (*(KubeRow *const *)b)->probed_ms;
    return one < two ? -1 : one > two;
}

/* Monotonic: when a scheduler may be asked again. One that has just been started is waited for. */
static int64_t ask_due(const KubeRow *row, int64_t wall_ms)
{
    const KubeObject *pod = row_scheduler_pod(row);
    bool another = row->facts_uid && strcmp(row->facts_uid, pod->uid) != 0;
    if (!row->probed_ms || another)
        return 0;
    if (row->facts && row->facts->error.code == ERROR_DENIED)
        return row->probed_ms + DENIED_MS;
    bool starting = row->facts && row->facts->result != PROBE_ANSWERED && row_is_young(pod, wall_ms);
    return row->probed_ms + (starting ? STARTING_MS : PROBE_MS);
}

static bool read_past(Discovering *all, const Context *context, KubeRow *const *rows, size_t count, Error *error)
{
    KubeRow *due[PROBES_ONCE];
    size_t some = 0;
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < count && some < PROBES_ONCE; i++)
        if (past_is_due(rows[i], now))
            due[some++] = rows[i];
    if (!some)
        return true;
    bool right = past_read(&all->api, context, all->own->backend.config->timeout_ms, due, some, error);
    for (size_t i = 0; i < some; i++)
        join_touch(all->join, due[i]);
    flush_soon(all);
    return right;
}

/* Those that were not asked for longest; all that were never asked. */
static bool probe_round(Discovering *all, const Context *context, bool everything, Error *error)
{
    KubeRow *row, **rows = mem_new((join_rows(all->join) + 1) * sizeof *rows);
    size_t count = 0, at = 0;
    int64_t now = clock_mono_ms(), wall = clock_wall_ms() + ahead_of(all);
    bool right = true;
    for (size_t i = 0; (row = join_next(all->join, &i));)
        if (row_can_be_probed(row) && (everything || ask_due(row, wall) <= now))
            rows[count++] = row;
    qsort(rows, count, sizeof *rows, by_age);
    all->probing = true;
    while (right && at < count && (everything || !rows[at]->probed_ms || at < PROBES_ROUND)) {
        size_t some = count - at < PROBES_ONCE ? count - at : PROBES_ONCE;
        right = ask_schedulers(all->prober, &all->api, context, all->own->backend.config, rows + at, some, false, told, all, error) && read_past(all, context, rows + at, some, error);
        at += some;
    }
    all->probing = false;
    all->round_ms = clock_mono_ms();
    free(rows);
    return right;
}

/* One that was never asked, or is just starting, is not left until the next round. Monotonic. */
static int64_t round_due(const Discovering *all)
{
    KubeRow *row;
    int64_t due = all->round_ms + ROUND_MS, wall = clock_wall_ms() + ahead_of(all);
    for (size_t i = 0; (row = join_next(all->join, &i));)
        if (row_can_be_probed(row) && ask_due(row, wall) < due)
            due = ask_due(row, wall);
    return due;
}

/* ------------------------------------------------------------------------------------------------------------------ life */

static void end_feeds(Discovering *all)
{
    for (size_t i = 0; i < all->slot_count; i++) {
        feed_free(all->slots[i]->feed);
        free(all->slots[i]->namespace);
        free(all->slots[i]);
    }
    free(all->slots);
    all->slots = NULL;
    all->slot_count = all->slot_capacity = 0;
    list_done(&all->namespaces);
    all->names_read = false;
    io_timer_cancel(all->flush);
    io_timer_cancel(all->wake);
    all->flush = all->wake = NULL;
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
    all->synced = all->changed = all->refresh = false;
    all->said = (Error){0};
    all->round_ms = all->flushed_ms = all->planned_ms = all->plan_ms = 0;
    all->join = join_new();
    const List *named = &all->own->namespaces;
    for (size_t i = 0; i < (named->count ? named->count : 1); i++)
        for (int role = 0; role < ROLES; role++)
            add_slot(all, role, named->count ? named->items[i] : NULL);
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
    list_done(&all->namespaces);
    all->names_read = false;
    sink_restart(all->sink);
    for (size_t i = 0; i < all->slot_count; i++)
        if (all->slots[i]->feed)
            feed_again(all->slots[i]->feed);
}

static void awake(void *user)
{
    ((Discovering *)user)->wake = NULL;
}

/* Rows that say something else by now. Returns when the next one will. */
static int64_t renew(Discovering *all)
{
    KubeRow *row;
    int64_t now = clock_wall_ms(), next = INT64_MAX;
    for (size_t i = 0; (row = join_next(all->join, &i));) {
        if (row->again_ms <= now) {
            row->again_ms = INT64_MAX;
            join_touch(all->join, row);
            flush_soon(all);
        } else if (row->again_ms < next)
            next = row->again_ms;
    }
    return next == INT64_MAX ? INT64_MAX : clock_mono_ms() + (next - now);
}

/* Waits for whatever comes first. */
static bool turn(Discovering *all, const Context *context, int64_t due_ms, Error *error)
{
    for (size_t i = 0; i < all->slot_count; i++) {
        int64_t due = all->slots[i]->feed ? feed_due_ms(all->slots[i]->feed) : INT64_MAX;
        due_ms = due < due_ms ? due : due_ms;
    }
    int64_t now = clock_mono_ms(), planned = all->planned_ms + PLAN_MS;
    if (all->synced && all->moved && planned < due_ms)
        due_ms = planned;
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
        if (!step(all, context, error))
            return false;
        if (all_settled(all))
            return settle(all, error);
        if (!turn(all, context, INT64_MAX, error))
            return false;
    }
    return true;
}

/* What is due by time: rows that say something else by now, schedulers. */
static bool look_through(Discovering *all, const Context *context, Error *error)
{
    int64_t now = clock_mono_ms();
    if (now < all->plan_ms && !(all->moved && now >= all->planned_ms + PLAN_MS))
        return true;
    if (round_due(all) <= now && !probe_round(all, context, false, error))
        return false;
    int64_t again = renew(all), round = round_due(all);
    all->planned_ms = clock_mono_ms();
    all->plan_ms = again < round ? again : round;
    all->moved = false;
    return true;
}

/* One look says at once what may not be done. */
static bool hear_rights(Discovering *all, const Context *context, Error *error)
{
    flush(all);
    while (rights_asking(all->own->rights))
        if (!turn(all, context, INT64_MAX, error))
            return false;
    return true;
}

static bool go_on(Discovering *all, Context *context, Error *error)
{
    while (true) {
        if (!step(all, context, error))
            return false;
        if (all->refresh)
            refresh(all);
        if (!all->synced && all_settled(all)) {
            if (!settle(all, error))
                return false;
            sink_synced(all->sink);
        }
        if (all->synced && all->changed && !check_health(all, error))
            return false;
        if (all->synced && !look_through(all, context, error))
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
    bool right;
    if (watch)
        right = go_on(all, context, error);
    else
        right = first_look(all, context, error) && probe_round(all, context, true, error) && hear_rights(all, context, error);
    if (right)
        flush(all);
    io_unwatch(asked);
    end_feeds(all);
    all->sink = NULL;
    return right;
}
