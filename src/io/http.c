#include "io/http.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/inside.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BODY_DEFAULT = 8 << 20, BODY_LARGE = 32 << 20, READ_LARGE = 100 << 10, REDIRECTS_MAX = 5 };

struct Http {
    Io *io;
    IoPart part;
    IoTransfer transfer;
    CURLU *url;
    struct curl_slist *headers, *connect_to;
    Tls *tls;
    Cookies *cookies;
    char *where, *target; /* target: HOST:PORT for people */
    HttpReply reply;
    HttpDone done;
    bool (*chunk)(void *user, const char *bytes, size_t n, Error *error);
    void *chunk_user, *user;
    size_t most_bytes, streamed;
    curl_off_t taken; /* of its body, as it came */
    Error chunk_error; /* what ended it from our side */
    bool stopped, cancelled, has_body;
    int redirects;
    int64_t started_us, due_ms; /* due_ms: 0 where there is no limit */
    char detail[CURL_ERROR_SIZE];
};

void http_reply_done(HttpReply *reply) {
    if (reply->body.bytes)
        buffer_done(&reply->body);
    free(reply->location);
    *reply = (HttpReply){.date_ms = TIME_UNKNOWN};
}

static void wipe_list(struct curl_slist *list) {
    for (struct curl_slist *item = list; item; item = item->next)
        secret_wipe(item->data, strlen(item->data));
    curl_slist_free_all(list);
}

static void http_free(void *owner) {
    Http *http = owner;
    io_part_remove(&http->part);
    http_reply_done(&http->reply);
    wipe_list(http->headers);
    curl_slist_free_all(http->connect_to);
    curl_url_cleanup(http->url);
    tls_drop(http->tls);
    free(http->where);
    free(http->target);
    free(http);
}

/* The body */

static long status_now(const Http *http) {
    long status = 0;
    curl_easy_getinfo(http->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool stop(Http *http) {
    http->stopped = true;
    return false;
}

static bool too_big(Http *http) {
    error_set(&http->chunk_error, ERROR_BAD_REPLY, http->where, NULL, "%s: the reply is larger than %zu bytes", http->target,
              http->most_bytes);
    return stop(http);
}

static bool take(Http *http, const char *bytes, size_t n) {
    long status = status_now(http);
    /* A refusal's text is no part of the stream that the caller waits for. */
    if (!http->chunk || status < 200 || status > 299)
        return buffer_add(&http->reply.body, bytes, n) || too_big(http);
    if (http->most_bytes && n > http->most_bytes - http->streamed)
        return too_big(http);
    http->streamed += n;
    if (http->chunk(http->chunk_user, bytes, n, &http->chunk_error))
        return true;
    if (http->chunk_error.code == ERROR_OK)
        error_set(&http->chunk_error, ERROR_BAD_REPLY, http->where, NULL, "%s: the reply could not be read", http->target);
    return stop(http);
}

static size_t write_body(char *bytes, size_t size, size_t count, void *user) {
    Http *http = user;
    size_t n = size * count;
    if (http->cancelled || http->stopped || !take(http, bytes, n) || http->cancelled)
        return n ? 0 : 1; /* another number than n ends the transfer */
    return n;
}

/* Only its Date: the newest counts, where a proxy answered before. */
static size_t take_header(char *bytes, size_t size, size_t count, void *user) {
    static const char name[] = "date:";
    Http *http = user;
    size_t n = size * count, m = sizeof name - 1;
    char text[64];
    if (n > m && n - m < sizeof text && strncasecmp(bytes, name, m) == 0) {
        memcpy(text, bytes + m, n - m);
        text[n - m] = 0;
        time_t date = curl_getdate(text, NULL);
        http->reply.date_ms = date > 0 ? (int64_t)date * 1000 : TIME_UNKNOWN;
    }
    return n;
}

/* Its end */

static void finish(Http *http, const Error *error) {
    HttpReply reply = http->reply;
    HttpDone done = http->done;
    void *user = http->user;
    Error result = *error;
    http->reply = (HttpReply){.date_ms = TIME_UNKNOWN};
    io_part_remove(&http->part);
    io_transfer_end(http->io, &http->transfer, http_free);
    reply.took_us = reply.took_us ? reply.took_us : 1;
    done(user, &reply, &result);
}

static void fill_reply(Http *http) {
    CURL *easy = http->transfer.easy;
    HttpReply *reply = &http->reply;
    char *type = NULL, *location = NULL;
    curl_off_t wait = 0;
    reply->status = (int)status_now(http);
    reply->took_us = clock_mono_us() - http->started_us;
    if (curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type) {
        size_t n = strnlen(type, sizeof reply->content_type - 1);
        memcpy(reply->content_type, type, n);
        reply->content_type[n] = 0;
    }
    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
        reply->retry_after_s = wait > 86400 ? 86400 : (int)wait;
    if (http->cookies && reply->status)
        cookies_take(http->cookies, easy);
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location);
    free(reply->location);
    reply->location = mem_text(location);
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part) {
    char *one = NULL, *two = NULL;
    bool same = curl_url_get(a, part, &one, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(b, part, &two, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(one, two) == 0;
    curl_free(one);
    curl_free(two);
    return same;
}

/* Another port of the same host may be another user's server. */
static bool stays(Http *http) {
    CURLU *to = curl_url();
    char *user = NULL;
    bool same = to && curl_url_set(to, CURLUPART_URL, http->reply.location, 0) == CURLUE_OK &&
                same_part(http->url, to, CURLUPART_SCHEME) && same_part(http->url, to, CURLUPART_HOST) &&
                same_part(http->url, to, CURLUPART_PORT) && curl_url_get(to, CURLUPART_USER, &user, 0) != CURLUE_OK;
    curl_free(user);
    curl_url_cleanup(to);
    return same;
}

static bool set_time(Http *http) {
    int64_t left = http->due_ms ? http->due_ms - clock_mono_ms() : 0;
    if (http->due_ms && left <= 0)
        return false;
    curl_easy_setopt(http->transfer.easy, CURLOPT_TIMEOUT_MS, (long)left);
    return true;
}

/* True where the same handle is under way again. */
static bool redirected(Http *http) {
    int status = http->reply.status;
    bool again = status == 307 || status == 308 || (!http->has_body && (status == 301 || status == 302 || status == 303));
    if (!again || !http->reply.location || http->redirects >= REDIRECTS_MAX || !stays(http))
        return false;
    io_transfer_remove(http->io, &http->transfer);
    if (!set_time(http))
        return false;
    http->redirects++;
    curl_easy_setopt(http->transfer.easy, CURLOPT_URL, http->reply.location);
    buffer_clear(&http->reply.body);
    return io_transfer_add(http->io, &http->transfer, NULL);
}

/* A proxy that opens no tunnel: what curl says of it is that the connection broke. */
static bool proxy_refused(Http *http, Error *error) {
    long status = 0;
    if (curl_easy_getinfo(http->transfer.easy, CURLINFO_HTTP_CONNECTCODE, &status) != CURLE_OK || status < 300)
        return false;
    error_set(error, ERROR_DENIED, http->where, NULL, "%s: the proxy refuses to connect to it (HTTP status %ld)", http->target, status);
    return true;
}

/* Where an authority of its own is configured, another one would be no help. */
static void say_how_to_trust(const Http *http, CURLcode code, Error *error) {
    bool unknown = strstr(http->detail, "self") || strstr(http->detail, "issuer");
    if (code == CURLE_PEER_FAILED_VERIFICATION && unknown && !(http->tls && http->tls->ca))
        error_set(error, error->code, error->where, "name a file with its certificate, or its authority's, in SSL_CERT_FILE", "%s", error->what);
}

static void transfer_done(void *owner, CURLcode code) {
    Http *http = owner;
    Error error = {0};
    fill_reply(http);
    if (http->stopped)
        error = http->chunk_error;
    else if (code == CURLE_FILESIZE_EXCEEDED) {
        too_big(http);
        error = http->chunk_error;
    } else if (code != CURLE_OK && !proxy_refused(http, &error)) {
        io_curl_error(&error, code, http->where, http->target, http->detail);
        say_how_to_trust(http, code, &error);
    } else if (code == CURLE_OK && redirected(http))
        return;
    if (error.code != ERROR_OK) /* half a body is no body */
        buffer_clear(&http->reply.body);
    finish(http, &error);
}

/* Its beginning */

static bool is_one_line(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            return false;
    return true;
}

static bool add_header(struct curl_slist **list, const char *line) {
    struct curl_slist *longer = is_one_line(line) ? curl_slist_append(*list, line) : NULL;
    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool add_secret_header(Http *http, const HttpRequest *request) {
    if (!request->secret_header || !request->secret)
        return true;
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    /* In one go: growing would leave a copy of the secret in memory. */
    buffer_room(&line, strlen(request->secret_header) + secret_length(request->secret) + 1);
    buffer_text(&line, request->secret_header);
    buffer_add(&line, secret_reveal(request->secret), secret_length(request->secret));
    bool good = strlen(line.bytes) == line.length && add_header(&http->headers, line.bytes);
    buffer_wipe(&line);
    return good;
}

static bool set_headers(Http *http, const HttpRequest *request, Error *error) {
    bool has_type = false, good = add_secret_header(http, request);
    for (size_t i = 0; good && request->headers && i < request->headers->count; i++) {
        const char *line = request->headers->items[i];
        has_type = has_type || strncasecmp(line, "content-type:", 13) == 0;
        good = add_header(&http->headers, line);
    }
    /* curl's own ideas: a form's type, and waiting a second for "100 Continue". */
    good = good && add_header(&http->headers, "Expect:") && (has_type || add_header(&http->headers, "Content-Type:"));
    if (!good)
        return error_set(error, ERROR_USAGE, http->where, NULL, "a header holds characters that no header may hold");
    curl_easy_setopt(http->transfer.easy, CURLOPT_HTTPHEADER, http->headers);
    return true;
}

static void set_method(Http *http, const HttpRequest *request) {
    CURL *easy = http->transfer.easy;
    http->has_body = request->body != NULL;
    if (request->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)request->body);
    }
    if (!request->method)
        return;
    /* Without a body servers still want to hear its length. */
    if (!request->body && (strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0)) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    http->has_body = http->has_body || (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0);
}

static void set_who(Http *http, const HttpRequest *request) {
    CURL *easy = http->transfer.easy;
    if (request->negotiate) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_NEGOTIATE);
        curl_easy_setopt(easy, CURLOPT_USERNAME, ""); /* whoever has the ticket */
    }
    http->cookies = request->cookies;
    if (http->cookies)
        cookies_give(http->cookies, easy);
    if (!request->username)
        return;
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_USERNAME, request->username);
    if (request->secret && !request->secret_header)
        curl_easy_setopt(easy, CURLOPT_PASSWORD, secret_reveal(request->secret));
}

/* Below 7.88 nobody has tried it: a connection for each transfer. */
static bool streams_share(void) {
    return curl_version_info(CURLVERSION_NOW)->version_num >= 0x075800;
}

/* Before 8.2 curl may keep frames that it has read and not taken apart (because a stream's buffer was full, or its transfer ended), and
 * forget that it has them: nothing comes from the socket any more, and the other streams stand still. That is only so after bytes were
 * taken: then it is made to look once more. */
static int was_moved(void *user, curl_off_t total, curl_off_t taken, curl_off_t up_total, curl_off_t up) {
    Http *http = user;
    (void)total;
    (void)up_total;
    (void)up;
    if (taken != http->taken)
        io_push(http->io);
    http->taken = taken;
    return 0;
}

/* PIPEWAIT: those that start together wait for the first one's handshake instead of making one each. */
static void set_version(Http *http, bool http2) {
    CURL *easy = http->transfer.easy;
    if (!http2 || !streams_share() || curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) != CURLE_OK) {
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    if (curl_version_info(CURLVERSION_NOW)->version_num >= 0x080200)
        return;
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, was_moved);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, http);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    http->transfer.pushed = true;
}

/* NULL: as curl finds it in the environment. It leaves out HTTP_PROXY, for the sake of CGI programs; Go and Python do not. */
static const char *proxy_of(const HttpRequest *request) {
    if (request->proxy || !request->environment_proxy)
        return request->proxy ? request->proxy : "";
    bool plain = strncasecmp(request->url, "http:", 5) == 0;
    return plain && !getenv("http_proxy") && !getenv("all_proxy") ? getenv("HTTP_PROXY") : NULL;
}

static void set_way(Http *http, const HttpRequest *request) {
    CURL *easy = http->transfer.easy;
    const char *proxy = proxy_of(request);
    if (proxy)
        curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
    if (request->proxy)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* the environment's exceptions are those of the environment's proxy */
    if (request->unix_socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    if (request->connect_to) {
        http->connect_to = curl_slist_append(NULL, request->connect_to);
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO, http->connect_to);
    }
    set_version(http, request->http2);
    if (request->compressed)
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* done here: curl would follow to other hosts */
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L); /* a stream that is silent for minutes must notice a host that is gone */
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 15L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "dasktop/" DASKTOP_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->detail);
}

static void set_body(Http *http, const HttpRequest *request) {
    CURL *easy = http->transfer.easy;
    http->chunk = request->chunk;
    http->chunk_user = request->user;
    http->most_bytes = request->most_bytes || request->chunk ? request->most_bytes : BODY_DEFAULT;
    buffer_init(&http->reply.body, http->most_bytes ? http->most_bytes : BODY_DEFAULT);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
    if (http->most_bytes)
        curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)http->most_bytes);
    if (http->most_bytes > BODY_LARGE) /* curl's own is 16 KiB: 40 reads, with a poll each, of the list of 200 clusters */
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)READ_LARGE);
}

/* The rest of text after its n-th colon. */
static const char *after_colons(const char *text, int n) {
    for (const char *colon; n > 0 && (colon = strchr(text, ':')); n--)
        text = colon + 1;
    return text;
}

/* A URL may hold a password or a token: messages have its host and port only. */
static bool set_url(Http *http, const HttpRequest *request, Error *error) {
    char *scheme = NULL, *host = NULL, *port = NULL;
    http->url = curl_url();
    bool good = http->url && request->url && is_one_line(request->url) &&
                curl_url_set(http->url, CURLUPART_URL, request->url, 0) == CURLUE_OK &&
                curl_url_get(http->url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                curl_url_get(http->url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(http->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (good) {
        http->target = request->unix_socket ? mem_text(request->unix_socket)
                       : request->connect_to ? mem_text(after_colons(request->connect_to, 2))
                                             : mem_format("%s:%s", host, port);
        curl_easy_setopt(http->transfer.easy, CURLOPT_URL, request->url);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return good || error_set(error, ERROR_USAGE, http->where, NULL, "the address is no URL that can be used");
}

static bool set_up(Http *http, const HttpRequest *request, Error *error) {
    http->transfer.easy = io_easy(http->tls, error);
    if (!http->transfer.easy || !set_url(http, request, error) || !set_headers(http, request, error))
        return false;
    if (request->method && (!is_one_line(request->method) || strchr(request->method, ' ')))
        return error_set(error, ERROR_USAGE, http->where, NULL, "%s is no method", request->method);
    set_method(http, request);
    set_who(http, request);
    set_way(http, request);
    set_body(http, request);
    http->started_us = clock_mono_us();
    http->due_ms = request->timeout_ms > 0 ? clock_mono_ms() + request->timeout_ms : 0;
    set_time(http);
    return io_transfer_add(http->io, &http->transfer, error);
}

static void http_drop(void *owner) {
    http_cancel(owner);
}

Http *http_start(Io *io, const HttpRequest *request, HttpDone done, void *user, Error *error) {
    Http *http = mem_new(sizeof *http);
    http->io = io;
    http->reply.date_ms = TIME_UNKNOWN;
    http->done = done;
    http->user = user;
    http->where = mem_text(request->where);
    http->tls = request->tls ? tls_keep((Tls *)(uintptr_t)request->tls) : NULL;
    http->transfer.owner = http;
    http->transfer.done = transfer_done;
    if (set_up(http, request, error)) {
        io_part_add(io, &http->part, http_drop, http);
        return http;
    }
    io_transfer_end(io, &http->transfer, http_free);
    return NULL;
}

void http_cancel(Http *http) {
    if (!http || http->cancelled)
        return;
    http->cancelled = true;
    io_part_remove(&http->part);
    io_transfer_end(http->io, &http->transfer, http_free);
}

/* Waited for */

typedef struct Run {
    bool over;
    HttpReply reply;
    Error error;
} Run;

static void run_done(void *user, HttpReply *reply, const Error *error) {
    Run *run = user;
    run->over = true;
    run->reply = *reply;
    run->error = *error;
}

bool http_run(Io *io, const Context *context, const HttpRequest *request, HttpReply *reply, Error *error) {
    Run run = {0};
    *reply = (HttpReply){.date_ms = TIME_UNKNOWN};
    Http *http = http_start(io, request, run_done, &run, error);
    if (!http)
        return false;
    if (!io_until(io, context, &run.over, error)) {
        if (error && request->where)
            error_at(error, request->where);
        http_cancel(http);
        return false;
    }
    if (run.error.code == ERROR_OK) {
        *reply = run.reply;
        return true;
    }
    http_reply_done(&run.reply);
    if (error)
        *error = run.error;
    return false;
}

ErrorCode http_error_code(int status) {
    switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
        return ERROR_USAGE;
    case 401:
        return ERROR_SIGN_IN;
    case 403:
        return ERROR_DENIED;
    case 404:
        return ERROR_NOT_FOUND;
    case 409:
    case 410:
        return ERROR_CONFLICT;
    case 429:
    case 503:
        return ERROR_BUSY;
    case 504:
        return ERROR_TIMEOUT;
    default:
        return ERROR_BAD_REPLY;
    }
}

bool http_status_error(const HttpReply *reply, const char *where, const char *what, Error *error) {
    ErrorCode code = http_error_code(reply->status);
    error_set(error, code, where, NULL, "%s: HTTP status %d", what, reply->status);
    if (error && code == ERROR_BUSY)
        error->retry_after_s = reply->retry_after_s;
    return false;
}
