#include "backends/kubernetes/watch.h"

#include "base/json_walk.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    ITEM_MOST = 4 << 20,       /* etcd's own limit is below 2 MiB */
    LINE_MOST = 8 << 20,
    WATCH_S = 290,             /* the server ends a watch after so long; a client's usual share of its patience */
    LATE_S = 15,               /* and is given up so long after that */
    LIST_MS = 60000,
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MOST_MS = 30000,
    REST = 4,                  /* a list that is asked for at intervals: so many times what it took lie between two */
    SELDOM_MS = 300000,        /* what is forbidden or absent is asked for again */
    RESTARTS_MOST = 4,
    SHORT_MS = 1000,           /* a watch that ended sooner was refused by somebody in between */
};

static const char CHUNK[] = "500";

struct Feed {
    Api api;
    FeedSpec spec;
    char *path, *namespace;
    FeedEvents events;
    FeedState state;
    Error error;
    unsigned round, sign_round, random;
    Http *http;
    bool watching;      /* http is a watch */
    bool no_watch;      /* it may be listed and not be watched */
    bool listed;        /* once at least, completely */
    bool had_line;      /* on this watch */
    bool refused_once;  /* credentials were renewed, and nothing has gone well since */
    JsonItems *items;   /* of the page that is coming */
    WatchReader reader; /* of the watch */
    bool reader_open;
    char *version;      /* where a watch goes on; NULL: a list is due */
    char *next;         /* the list's next chunk */
    int failures;
    int restarts;       /* lists that were made anew since a watch last told anything */
    int64_t ahead_ms;   /* the server's clock before ours */
    int64_t list_ms;    /* monotonic: when the list began */
    int64_t begun_ms, due_ms; /* monotonic; due_ms INT64_MAX: something is under way, or it was to be listed once */
};

/* ---------------------------------------------------------------------------------------------------------------- stream */

void watch_reader_init(WatchReader *reader, bool (*take)(void *user, WatchLine line, const char *object, size_t n, Error *error), void *user)
{
    *reader = (WatchReader){.take = take, .user = user};
    buffer_init(&reader->line, LINE_MOST);
}

void watch_reader_done(WatchReader *reader)
{
    buffer_done(&reader->line);
}

static bool type_is(const char *type, size_t n, const char *word)
{
    return n == strlen(word) + 2 && *type == '"' && memcmp(type + 1, word, n - 2) == 0;
}

static bool take_line(WatchReader *reader, const char *line, size_t n, Error *error)
{
    size_t type_n = 0, object_n = 0;
    while (n && (line[n - 1] == '\r' || line[n - 1] == ' '))
        n--;
    if (!n)
        return true;
    const char *type = json_raw(line, n, "type", &type_n), *object = json_raw(line, n, "object", &object_n);
    if (!type || !object || *object != '{')
        return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "a watch's line is no event");
    if (type_is(type, type_n, "ADDED") || type_is(type, type_n, "MODIFIED"))
        return reader->take(reader->user, WATCH_ITEM, object, object_n, error);
    if (type_is(type, type_n, "DELETED"))
        return reader->take(reader->user, WATCH_GONE, object, object_n, error);
    if (type_is(type, type_n, "BOOKMARK"))
        return reader->take(reader->user, WATCH_BOOKMARK, object, object_n, error);
    if (type_is(type, type_n, "ERROR"))
        return reader->take(reader->user, WATCH_ERROR, object, object_n, error);
    return true; /* a kind of event that came after us */
}

bool watch_feed(WatchReader *reader, const char *bytes, size_t n, Error *error)
{
    while (n) {
        const char *end = memchr(bytes, '\n', n);
        size_t piece = end ? (size_t)(end - bytes) : n;
        bool whole = end && reader->line.length == 0;
        if (!whole && !buffer_add(&reader->line, bytes, piece))
            return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "a watch's line is larger than %d bytes", LINE_MOST);
        if (!end)
            return true;
        bool right = whole ? take_line(reader, bytes, piece, error) : take_line(reader, reader->line.bytes, reader->line.length, error);
        buffer_clear(&reader->line);
        if (!right)
            return false;
        bytes += piece + 1;
        n -= piece + 1;
    }
    return true;
}

bool watch_is_cut(const WatchReader *reader)
{
    return reader->line.length > 0;
}

char *kube_version_of(const char *object, size_t n)
{
    size_t metadata_n = 0, version_n = 0;
    const char *metadata = json_raw(object, n, "metadata", &metadata_n);
    const char *version = metadata ? json_raw(metadata, metadata_n, "resourceVersion", &version_n) : NULL;
    return version && version_n > 2 && version_n < 128 && *version == '"' ? mem_text_n(version + 1, version_n - 2) : NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- state */

static int64_t jittered(Feed *feed, int64_t ms)
{
    return ms - ms / 10 + (int64_t)(rand_r(&feed->random) % 1000) * (ms / 5) / 1000;
}

static void set_state(Feed *feed, FeedState state, const Error *error)
{
    bool same = feed->state == state && feed->error.code == (error ? error->code : ERROR_OK);
    feed->state = state;
    feed->error = error ? *error : (Error){0};
    if (!same)
        feed->events.changed(feed->events.user, feed);
}

static void end_transfer(Feed *feed)
{
    json_items_free(feed->items);
    feed->items = NULL;
    if (feed->reader_open)
        watch_reader_done(&feed->reader);
    feed->reader_open = feed->watching = false;
    feed->http = NULL;
}

static void forget_version(Feed *feed)
{
    free(feed->version);
    free(feed->next);
    feed->version = feed->next = NULL;
}

/* It is tried again: soon, then ever later. The first failure of a watch is no news: connections end. */
static void back_off(Feed *feed, const Error *error)
{
    int64_t ms = BACKOFF_FIRST_MS;
    for (int i = 0; i < feed->failures && ms < BACKOFF_MOST_MS; i++)
        ms *= 2;
    ms = jittered(feed, ms < BACKOFF_MOST_MS ? ms : BACKOFF_MOST_MS);
    int64_t asked = error->retry_after_s * INT64_C(1000);
    feed->due_ms = clock_mono_ms() + (ms > asked ? ms : asked);
    if (feed->failures++ > 0 || !feed->version) {
        forget_version(feed); /* a list tells that it is well again; a quiet watch would not */
        set_state(feed, FEED_WAITING, error);
    }
    log_line(feed->api.where, "%s: %s", kube_kinds[feed->spec.kind].plural, error->what);
}

/* A watch cannot go on: everything is listed again, at once, then ever later; a server that always does so is asked at intervals. */
static void start_again(Feed *feed)
{
    int restarts = feed->restarts++;
    forget_version(feed);
    feed->due_ms = restarts ? clock_mono_ms() + jittered(feed, (int64_t)BACKOFF_FIRST_MS << (restarts < 5 ? restarts : 5)) : 0;
    feed->no_watch = feed->no_watch || restarts >= RESTARTS_MOST;
}

static void went_well(Feed *feed)
{
    feed->failures = 0;
    feed->refused_once = false;
}

/* ----------------------------------------------------------------------------------------------------------- what fails */

/* A reply that is no 2xx, or none at all. */
static void fail(Feed *feed, const HttpReply *reply, const Error *error, bool watching)
{
    Error why = *error;
    int status = error->code == ERROR_OK ? reply->status : 0;
    if (status)
        api_refusal(feed->api.where, kube_kinds[feed->spec.kind].plural, reply, &why);
    if (status == 401 && !feed->refused_once && sign_in_refused(feed->api.sign_in, feed->sign_round)) {
        feed->refused_once = true;
        feed->due_ms = 0;
        return;
    }
    if (status == 401)
        sign_in_error(feed->api.sign_in, &why);
    if (status == 410 || (watching && status == 400)) { /* too old, or a version that this server never gave */
        start_again(feed);
        return;
    }
    if (watching && (status == 403 || status == 405)) {
        feed->no_watch = true;
        forget_version(feed);
        feed->due_ms = clock_mono_ms() + feed->spec.poll_ms;
        return;
    }
    if (status == 403 || (status == 404 && why.code == ERROR_ABSENT)) {
        forget_version(feed);
        feed->due_ms = clock_mono_ms() + jittered(feed, SELDOM_MS);
        set_state(feed, status == 403 ? FEED_FORBIDDEN : FEED_ABSENT, &why);
        return;
    }
    if (!watching) { /* a chunk that is missing spoils the list */
        free(feed->next);
        feed->next = NULL;
    }
    back_off(feed, &why);
}

/* ----------------------------------------------------------------------------------------------------------------- watch */

static bool take_event(void *user, WatchLine line, const char *object, size_t n, Error *error)
{
    Feed *feed = user;
    if (line == WATCH_ERROR) {
        cJSON *status = json_parse(object, n, feed->api.where, NULL);
        int64_t code = json_integer(status, "code");
        bool old = code == 410 || code == 504 || code == 500;
        api_status(feed->api.where, kube_kinds[feed->spec.kind].plural, status, code == NUMBER_UNKNOWN ? 500 : (int)code, error);
        cJSON_Delete(status);
        if (old)
            forget_version(feed);
        return false;
    }
    char *version = kube_version_of(object, n);
    if (!version)
        return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "a watch's event has no version");
    if (line == WATCH_ITEM)
        feed->events.item(feed->events.user, feed, object, n);
    else if (line == WATCH_GONE)
        feed->events.gone(feed->events.user, feed, object, n);
    free(feed->version); /* only behind what was taken: a stream that is cut goes on where it was */
    feed->version = version;
    if (!feed->had_line) {
        feed->had_line = true;
        feed->restarts = 0;
        went_well(feed);
        set_state(feed, FEED_LIVE, NULL);
    }
    return true;
}

static bool watch_chunk(void *user, const char *bytes, size_t n, Error *error)
{
    Feed *feed = user;
    return watch_feed(&feed->reader, bytes, n, error);
}

static void watch_done(void *user, HttpReply *reply, const Error *error)
{
    Feed *feed = user;
    bool cut = watch_is_cut(&feed->reader), right = error->code == ERROR_OK && reply->status >= 200 && reply->status < 300;
    bool brief = !feed->had_line && clock_mono_ms() - feed->begun_ms < SHORT_MS, expired = !feed->version;
    end_transfer(feed);
    if (expired || (right && brief && !cut)) {
        start_again(feed);
    } else if (right && !cut) {
        went_well(feed);
        feed->restarts = 0;
        feed->due_ms = 0;
    } else if (right) {
        Error why;
        error_set(&why, ERROR_UNREACHABLE, feed->api.where, NULL, "the watch ended in the middle of an event");
        back_off(feed, &why);
    } else {
        fail(feed, reply, error, true);
    }
    if (error->code == ERROR_OK)
        http_reply_done(reply);
}

static bool start_watch(Feed *feed, Error *error)
{
    int timeout_s = (int)jittered(feed, WATCH_S);
    char *path = mem_text(feed->path), *seconds = mem_format("%d", timeout_s);
    kube_query(&path, "watch", "1");
    kube_query(&path, "allowWatchBookmarks", "true");
    kube_query(&path, "resourceVersion", feed->version);
    kube_query(&path, "timeoutSeconds", seconds);
    free(seconds);
    watch_reader_init(&feed->reader, take_event, feed);
    feed->reader_open = feed->watching = true;
    feed->had_line = false;
    ApiRequest request = {.path = path, .timeout_ms = (timeout_s + LATE_S) * INT64_C(1000), .chunk = watch_chunk, .user = feed};
    feed->http = api_start(&feed->api, &request, watch_done, feed, &feed->sign_round, error);
    free(path);
    return feed->http != NULL;
}

/* ------------------------------------------------------------------------------------------------------------------ list */

static bool start_page(Feed *feed, Error *error);

static bool take_item(void *user, const char *bytes, size_t n, Error *error)
{
    Feed *feed = user;
    (void)error;
    feed->events.item(feed->events.user, feed, bytes, n);
    return true;
}

static bool list_chunk(void *user, const char *bytes, size_t n, Error *error)
{
    Feed *feed = user;
    return json_items_feed(feed->items, bytes, n, error);
}

static void is_listed(Feed *feed)
{
    feed->listed = true;
    went_well(feed);
    feed->events.listed(feed->events.user, feed);
    set_state(feed, FEED_LIVE, NULL);
    int64_t now = clock_mono_ms(), rest = REST * (now - feed->list_ms), pause = feed->spec.poll_ms > rest ? feed->spec.poll_ms : rest;
    feed->due_ms = !feed->spec.watch ? INT64_MAX : feed->no_watch ? now + jittered(feed, pause) : 0;
    if (feed->no_watch)
        forget_version(feed);
}

static void page_done(void *user, HttpReply *reply, const Error *error)
{
    Feed *feed = user;
    Error why = *error;
    cJSON *rest = NULL;
    int status = error->code == ERROR_OK ? reply->status : 0;
    bool page = reply->status < 300 && api_is_page(reply), right = status >= 200 && status < 300 && !page;
    if (page)
        api_refusal(feed->api.where, kube_kinds[feed->spec.kind].plural, reply, &why);
    if (right && !json_items_end(feed->items, &rest, &why)) {
        right = false;
        error_at(&why, feed->api.where);
    }
    end_transfer(feed);
    if (status)
        feed->ahead_ms = clock_ahead_ms(reply->date_ms, feed->ahead_ms);
    if (right) {
        const cJSON *metadata = json_member(rest, "metadata");
        const char *more = json_text(metadata, "continue");
        forget_version(feed);
        feed->version = mem_text(json_text(metadata, "resourceVersion"));
        feed->next = more && *more ? mem_text(more) : NULL;
        feed->due_ms = 0;
        if (!feed->next)
            is_listed(feed);
        else if (start_page(feed, &why))
            feed->due_ms = INT64_MAX;
        else
            back_off(feed, &why);
    } else if (!page && (why.code == ERROR_OK || status < 200 || status > 299)) {
        fail(feed, reply, error, false);
    } else {
        forget_version(feed);
        back_off(feed, &why);
    }
    cJSON_Delete(rest);
    if (error->code == ERROR_OK)
        http_reply_done(reply);
}

static bool start_page(Feed *feed, Error *error)
{
    char *path = mem_text(feed->path);
    kube_query(&path, "limit", CHUNK);
    if (feed->next) {
        kube_query(&path, "continue", feed->next);
    } else {
        feed->list_ms = clock_mono_ms();
        feed->round++;
    }
    feed->items = json_items_new("items", ITEM_MOST, take_item, feed);
    ApiRequest request = {.path = path, .compressed = true, .timeout_ms = LIST_MS, .chunk = list_chunk, .user = feed};
    feed->http = api_start(&feed->api, &request, page_done, feed, &feed->sign_round, error);
    free(path);
    return feed->http != NULL;
}

/* ------------------------------------------------------------------------------------------------------------------ life */

Feed *feed_new(const Api *api, const FeedSpec *spec, const FeedEvents *events)
{
    Feed *feed = mem_new(sizeof *feed);
    feed->api = *api;
    feed->spec = *spec;
    feed->spec.path = feed->path = mem_text(spec->path);
    feed->spec.namespace = feed->namespace = mem_text(spec->namespace);
    feed->events = *events;
    feed->no_watch = spec->poll_only;
    feed->random = (unsigned)clock_mono_us() ^ (unsigned)(uintptr_t)feed;
    return feed;
}

void feed_free(Feed *feed)
{
    if (!feed)
        return;
    http_cancel(feed->http);
    end_transfer(feed);
    forget_version(feed);
    free(feed->path);
    free(feed->namespace);
    free(feed);
}

bool feed_step(Feed *feed, const Context *context, Error *error)
{
    if (feed->http || feed->due_ms > clock_mono_ms())
        return true;
    if (!sign_in_ready(feed->api.sign_in, feed->api.io, context, error))
        return false;
    if (feed->http)
        return true; /* credentials were waited for, and callbacks ran */
    Error why = {0};
    feed->begun_ms = clock_mono_ms();
    feed->due_ms = INT64_MAX;
    bool watch = feed->version && !feed->next && feed->spec.watch && !feed->no_watch;
    if (!(watch ? start_watch(feed, &why) : start_page(feed, &why))) {
        end_transfer(feed);
        back_off(feed, &why);
    }
    return true;
}

int64_t feed_due_ms(const Feed *feed)
{
    return feed->http ? INT64_MAX : feed->due_ms;
}

void feed_again(Feed *feed)
{
    if (feed->http && feed->watching) {
        http_cancel(feed->http);
        end_transfer(feed);
    }
    feed->state = FEED_LISTING;
    if (feed->http) /* a list is coming already */
        return;
    forget_version(feed);
    feed->due_ms = 0;
}

bool feed_is_asking(const Feed *feed)
{
    return feed->http && !feed->watching;
}

bool feed_was_listed(const Feed *feed)
{
    return feed->listed;
}

FeedState feed_state(const Feed *feed)
{
    return feed->state;
}

const Error *feed_error(const Feed *feed)
{
    return &feed->error;
}

const FeedSpec *feed_spec(const Feed *feed)
{
    return &feed->spec;
}

int64_t feed_ahead_ms(const Feed *feed)
{
    return feed->ahead_ms;
}

unsigned feed_round(const Feed *feed)
{
    return feed->round;
}
