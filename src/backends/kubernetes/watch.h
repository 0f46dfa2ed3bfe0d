/* One collection, kept up to date: listed in chunks, then watched; listed again where the watch has become too old, asked at intervals
 * where it may not be watched.
 *
 * A Feed belongs to the thread of its Io and waits for nothing: it is moved by feed_step, called after each io_turn outside of
 * callbacks, and by curl's callbacks. What it learns it tells by FeedEvents, from within those. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_WATCH_H
#define DASKTOP_BACKENDS_KUBERNETES_WATCH_H

#include "backends/kubernetes/api.h"
#include "backends/kubernetes/objects.h"

typedef struct Feed Feed;

typedef enum FeedState {
    FEED_LISTING,   /* its first list is not complete yet */
    FEED_LIVE,      /* listed; events come, or it is asked at intervals */
    FEED_WAITING,   /* an error; it will be tried again */
    FEED_FORBIDDEN, /* it may not be listed; tried again seldom */
    FEED_ABSENT     /* the server has no such kind; tried again seldom */
} FeedState;

typedef struct FeedEvents {
    /* One object as it is now: of a list, added or modified. bytes: its JSON. */
    void (*item)(void *user, Feed *feed, const char *bytes, size_t n);
    void (*gone)(void *user, Feed *feed, const char *bytes, size_t n);
    /* A list is complete: what it has not named since feed_round became what it is now, is gone. */
    void (*listed)(void *user, Feed *feed);
    /* state or error have changed. */
    void (*changed)(void *user, Feed *feed);
    void *user;
} FeedEvents;

typedef struct FeedSpec {
    KubeKind kind;
    const char *path;          /* of the collection, with its selector; copied */
    const char *namespace;     /* for messages; NULL: all */
    int64_t poll_ms;           /* between lists where it may not be watched */
    bool watch;                /* false: listed once */
    bool poll_only;            /* asked at intervals, though it could be watched */
} FeedSpec;

Feed *feed_new(const Api *api, const FeedSpec *spec, const FeedEvents *events); /* api's pointers are borrowed for its life */
void feed_free(Feed *feed); /* NULL is allowed */
/* Starts what is due. False: somebody has to sign in, or the context ended. Waits only for credentials. */
bool feed_step(Feed *feed, const Context *context, Error *error);
/* Monotonic ms at which feed_step has something to do without an event; INT64_MAX: nothing. */
int64_t feed_due_ms(const Feed *feed);
void feed_again(Feed *feed); /* lists anew as soon as it can: a refresh was asked for */

bool feed_is_asking(const Feed *feed); /* a list is under way */
bool feed_was_listed(const Feed *feed); /* once at least, completely */
FeedState feed_state(const Feed *feed);
const Error *feed_error(const Feed *feed); /* of FEED_WAITING, FEED_FORBIDDEN, FEED_ABSENT; else code OK */
const FeedSpec *feed_spec(const Feed *feed);
unsigned feed_round(const Feed *feed);     /* grows with each list */
int64_t feed_ahead_ms(const Feed *feed);   /* by how much the server's clock is ahead of ours; 0: not known */

/* ------------------------------------------------------------------------------------------- the stream of a watch, pure */

typedef enum WatchLine { WATCH_ITEM, WATCH_GONE, WATCH_BOOKMARK, WATCH_ERROR } WatchLine;

/* Cuts a watch's bytes into its lines, which may be split anywhere, and takes each apart without building a tree of it. */
typedef struct WatchReader {
    Buffer line;
    /* object: the JSON of the line's object. False stops it. */
    bool (*take)(void *user, WatchLine line, const char *object, size_t n, Error *error);
    void *user;
} WatchReader;
void watch_reader_init(WatchReader *reader, bool (*take)(void *user, WatchLine line, const char *object, size_t n, Error *error), void *user);
void watch_reader_done(WatchReader *reader);
bool watch_feed(WatchReader *reader, const char *bytes, size_t n, Error *error);
/* The stream ended: what is left of a line was cut. */
bool watch_is_cut(const WatchReader *reader);

/* metadata.resourceVersion of an object's JSON, without a tree; the caller's, NULL. */
char *kube_version_of(const char *object, size_t n);

#endif
