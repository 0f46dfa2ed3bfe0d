/* Inside of an instance's discovery: discover.c (its rows and its life), listing.c (what is listed and watched), rounds.c (what is due by
 * time: schedulers, machines). Of the discovery's thread. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_DISCOVERING_H
#define DASKTOP_BACKENDS_KUBERNETES_DISCOVERING_H

#include "backends/kubernetes/discover.h"

enum { R_CLUSTERS, R_PODS, R_GROUPS, R_SERVICES, R_SCALERS, R_JOBS, R_HELM_PODS, R_HELM_SERVICES, R_HELM_DEPLOYMENTS, R_GATEWAY, R_GATEWAY_PODS, R_GATEWAY_SERVICES, ROLES };

typedef struct Slot {
    Discovering *all;
    int role;
    char *namespace; /* NULL: all */
    Feed *feed;      /* NULL: not begun */
    unsigned number; /* its place among all */
    bool split;      /* forbidden for all namespaces: slots of single ones stand in its place */
} Slot;

struct Discovering {
    KubeBackend *own;
    Api api;
    Prober *prober;
    KubeJoin *join;
    Slot **slots;
    size_t slot_count, slot_capacity;
    Slot *whole[ROLES];     /* of all namespaces; NULL */
    Map single[ROLES];      /* namespace -> Slot, which has the key */
    List namespaces;        /* by which it is split */
    bool names_read, only_own; /* only_own: namespaces may not be listed */
    bool found[ROLES];      /* anything, in any namespace */
    KubeNodes nodes;
    bool prices;            /* machines have prices: only then they are asked for */
    bool nodes_refused;
    int64_t nodes_ms;       /* monotonic: when nodes were read last; 0: never */
    RowText text;
    char user[64];
    /* of one call */
    Sink *sink;
    bool watch, synced, changed, refresh, probing, ended_badly;
    Error said;             /* the health that was told last */
    int64_t flushed_ms, round_ms;
    int64_t planned_ms, plan_ms; /* monotonic: when what is due was looked through, and when something will be */
    bool moved;             /* a row has changed since */
    bool asks_rights;       /* of what is shown */
    IoTimer *flush, *wake, *rights_due;
};

enum { PLAN_MS = 100 }; /* all rows are looked through for what is due no more often */

/* discover.c */
void rows_flush(Discovering *all);      /* shows what has changed */
void rows_flush_soon(Discovering *all); /* the same within some milliseconds; from callbacks too */

/* listing.c */
void listing_begin(Discovering *all);
/* Starts what is due; false: somebody has to sign in, or the context ended. */
bool listing_step(Discovering *all, const Context *context, Error *error);
bool listing_is_settled(const Discovering *all); /* each has answered, well or not */
/* All is there, for the first time or after a refresh: shows it. False where nothing could be seen. */
bool listing_settle(Discovering *all, Error *error);
void listing_check_health(Discovering *all);     /* between two of these */
bool listing_knows(const Discovering *all, int role, const char *namespace); /* it was listed, if not lately */
bool listing_is_fresh(const Discovering *all, int role, const char *namespace); /* knows it as it is now */
bool listing_is_forbidden(const Discovering *all, int role, const char *namespace);
int64_t listing_ahead_ms(const Discovering *all); /* of the server's clock */
int64_t listing_due_ms(const Discovering *all);   /* monotonic */
void listing_again(Discovering *all);
void listing_end(Discovering *all);

/* rounds.c */
bool rounds_have_prices(const BackendConfig *config); /* of machines */
/* Asks schedulers: all, or those whose turn it is. */
bool rounds_probe(Discovering *all, const Context *context, bool everything, Error *error);
/* Whatever is due by now; sets all->plan_ms. */
bool rounds_look_through(Discovering *all, const Context *context, Error *error);

#endif
