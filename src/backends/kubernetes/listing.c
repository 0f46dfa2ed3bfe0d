#include "backends/kubernetes/discovering.h"

#include "base/json_walk.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    POLL_MS = 30000,        /* between lists, at the least, where there are too many to be watched */
    WATCHES_MOST = 100,     /* streams of one connection; what is beyond is asked at intervals */
    EACH_MS = 150,          /* of these there is no more than one list in so long a time */
    LISTS_MOST = 32,        /* at the same time */
    NAMESPACES_MOST = 1000,
};

/* What is listed, and watched. */
typedef struct Role {
    KubeKind kind;
    const char *selector; /* NULL */
    int after;            /* only where this one has found something; -1 */
    bool essential;       /* where it is refused something is missing on the screen */
} Role;

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

/* ------------------------------------------------------------------------------------------------------------- slots */

static bool is_settled(const Slot *slot)
{
    return slot->split || (slot->feed && feed_state(slot->feed) != FEED_LISTING);
}

/* "": only one that sees all namespaces. */
static const Slot *slot_of(const Discovering *all, int role, const char *namespace)
{
    const Slot *whole = all->whole[role];
    return whole && !whole->split ? whole : map_get(&all->single[role], namespace);
}

bool listing_is_fresh(const Discovering *all, int role, const char *namespace)
{
    const Slot *slot = slot_of(all, role, namespace);
    FeedState state = slot && slot->feed ? feed_state(slot->feed) : FEED_LISTING;
    return state == FEED_LIVE || state == FEED_ABSENT;
}

bool listing_knows(const Discovering *all, int role, const char *namespace)
{
    const Slot *slot = slot_of(all, role, namespace);
    bool waits = slot && slot->feed && feed_state(slot->feed) == FEED_WAITING && feed_was_listed(slot->feed);
    return waits || listing_is_fresh(all, role, namespace);
}

bool listing_is_forbidden(const Discovering *all, int role, const char *namespace)
{
    const Slot *slot = slot_of(all, role, namespace);
    return slot && slot->feed && feed_state(slot->feed) == FEED_FORBIDDEN;
}

int64_t listing_ahead_ms(const Discovering *all)
{
    for (size_t i = 0; i < all->slot_count; i++)
        if (all->slots[i]->feed && feed_state(all->slots[i]->feed) == FEED_LIVE)
            return feed_ahead_ms(all->slots[i]->feed);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------ events */

static void on_item(void *user, Feed *feed, const char *bytes, size_t n)
{
    Slot *slot = user;
    Error error;
    KubeObject *object = kube_object_parse(roles[slot->role].kind, bytes, n, &error);
    if (!object) {
        log_line(slot->all->own->where, "an object was left out: %s", error.what);
        return;
    }
    object->feed = slot->number;
    object->round = feed_round(feed);
    slot->all->found[slot->role] = true;
    join_put(slot->all->join, object);
    rows_flush_soon(slot->all);
}

static void on_gone(void *user, Feed *feed, const char *bytes, size_t n)
{
    Slot *slot = user;
    (void)feed;
    KubeObject *object = kube_object_parse(roles[slot->role].kind, bytes, n, NULL);
    if (object)
        join_gone(slot->all->join, object->uid);
    kube_object_free(object);
    rows_flush_soon(slot->all);
}

static void on_listed(void *user, Feed *feed)
{
    Slot *slot = user;
    join_sweep(slot->all->join, slot->number, feed_round(feed));
    slot->all->changed = true;
    rows_flush_soon(slot->all);
}

static void on_changed(void *user, Feed *feed)
{
    Slot *slot = user;
    KubeRow *row;
    (void)feed;
    slot->all->changed = true;
    for (size_t i = 0; (row = join_next(slot->all->join, &i));) /* what is known of them is another now */
        join_touch(slot->all->join, row);
    rows_flush_soon(slot->all);
}

/* ------------------------------------------------------------------------------------------------------------- feeds */

static void add_slot(Discovering *all, int role, const char *namespace)
{
    Slot *slot = mem_new(sizeof *slot);
    *slot = (Slot){.all = all, .role = role, .namespace = mem_text(namespace), .number = (unsigned)all->slot_count};
    all->slots = mem_grow(all->slots, all->slot_count, &all->slot_capacity, sizeof *all->slots);
    all->slots[all->slot_count++] = slot;
    if (namespace)
        map_put(&all->single[role], slot->namespace, slot);
    else
        all->whole[role] = slot;
}

static void begin_feed(Discovering *all, Slot *slot)
{
    const Role *role = &roles[slot->role];
    const KubeKindInfo *kind = &kube_kinds[role->kind];
    char *path = kube_path(kind->group, kind->version, slot->namespace, kind->plural, NULL, NULL);
    if (role->selector)
        kube_query(&path, "labelSelector", role->selector);
    bool many = all->slot_count > WATCHES_MOST;
    int64_t refresh = all->own->backend.config->refresh_ms, seldom = (int64_t)all->slot_count * EACH_MS > POLL_MS ? (int64_t)all->slot_count * EACH_MS : POLL_MS;
    int64_t poll_ms = !many || refresh > seldom ? refresh : seldom;
    FeedSpec spec = {.kind = role->kind, .path = path, .namespace = slot->namespace, .poll_ms = poll_ms, .watch = all->watch, .poll_only = many};
    FeedEvents events = {on_item, on_gone, on_listed, on_changed, slot};
    slot->feed = feed_new(&all->api, &spec, &events);
    free(path);
}

/* What an earlier one found decides whether this one is of any use. */
static bool is_wanted(const Discovering *all, const Slot *slot)
{
    int after = roles[slot->role].after;
    return after < 0 || all->found[after];
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
        list_copy(&all->namespaces, &all->own->fallbacks);
        all->only_own = true;
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

static size_t count_asking(const Discovering *all)
{
    size_t asking = 0;
    for (size_t i = 0; i < all->slot_count; i++)
        asking += all->slots[i]->feed && feed_is_asking(all->slots[i]->feed);
    return asking;
}

bool listing_step(Discovering *all, const Context *context, Error *error)
{
    size_t asking = count_asking(all);
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
        bool asks = feed_is_asking(slot->feed);
        if (!asks && asking >= LISTS_MOST)
            continue;
        if (!feed_step(slot->feed, context, error))
            return false;
        asking += !asks && feed_is_asking(slot->feed);
    }
    return true;
}

bool listing_is_settled(const Discovering *all)
{
    for (size_t i = 0; i < all->slot_count; i++)
        if (!is_settled(all->slots[i]) && (all->slots[i]->feed || is_wanted(all, all->slots[i])))
            return false;
    return true;
}

void listing_begin(Discovering *all)
{
    const List *named = &all->own->namespaces;
    for (int role = 0; role < ROLES; role++)
        all->single[role].borrows = true;
    for (size_t i = 0; i < (named->count ? named->count : 1); i++)
        for (int role = 0; role < ROLES; role++)
            add_slot(all, role, named->count ? named->items[i] : NULL);
}

int64_t listing_due_ms(const Discovering *all)
{
    int64_t due = INT64_MAX;
    if (count_asking(all) >= LISTS_MOST) /* the end of one makes room for the next */
        return due;
    for (size_t i = 0; i < all->slot_count; i++)
        if (all->slots[i]->feed && feed_due_ms(all->slots[i]->feed) < due)
            due = feed_due_ms(all->slots[i]->feed);
    return due;
}

void listing_again(Discovering *all)
{
    list_done(&all->namespaces);
    all->names_read = all->only_own = false;
    for (size_t i = 0; i < all->slot_count; i++)
        if (all->slots[i]->feed)
            feed_again(all->slots[i]->feed);
}

void listing_end(Discovering *all)
{
    for (int role = 0; role < ROLES; role++) {
        map_done(&all->single[role], NULL);
        all->whole[role] = NULL;
    }
    for (size_t i = 0; i < all->slot_count; i++) {
        feed_free(all->slots[i]->feed);
        free(all->slots[i]->namespace);
        free(all->slots[i]);
    }
    free(all->slots);
    all->slots = NULL;
    all->slot_count = all->slot_capacity = 0;
    list_done(&all->namespaces);
    all->names_read = all->only_own = false;
}

/* ------------------------------------------------------------------------------------------------------------ health */

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
    if (all->only_own && all->own->wants_all)
        list_format(&health.reasons, "only namespace %s%s is seen: all may not be listed", all->own->namespace,
                    all->own->fallbacks.count > 1 ? " and those of its other contexts" : "");
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
        error_set(error, ERROR_PARTIAL, all->own->where, health->denial ? "name those that you may see: `namespace: [..]`" : NULL, "%s", health->reasons.items[0]);
    else if (join_rows(all->join) == 0 && listing_is_fresh(all, R_CLUSTERS, "") && slot_of(all, R_CLUSTERS, "") && feed_state(slot_of(all, R_CLUSTERS, "")->feed) == FEED_ABSENT)
        error_set(error, ERROR_ABSENT, all->own->where, NULL, "Dask's operator is not installed there, and no pods of Dask are");
}

bool listing_settle(Discovering *all, Error *error)
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
        rows_flush(all);
        for (size_t i = 0; i < health.reasons.count; i++)
            sink_partial(all->sink, health.reasons.items[i]);
    } else if (error)
        *error = all->said;
    list_done(&health.reasons);
    return right;
}

void listing_check_health(Discovering *all)
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
}
