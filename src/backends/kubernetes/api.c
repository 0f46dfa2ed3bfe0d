#include "backends/kubernetes/api.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_MOST = 64 << 20, ASK_MS = 20000, RESTARTS_MOST = 3, ITEM_MOST = 4 << 20 };
static const char CHUNK[] = "500";

/* ------------------------------------------------------------------------------------------------------------------ paths */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
}

static void add_encoded(Buffer *out, const char *text)
{
    for (; *text; text++)
        if (is_plain(*text))
            buffer_char(out, *text);
        else
            buffer_format(out, "%%%02X", (unsigned char)*text);
}

static void add_part(Buffer *out, const char *text)
{
    if (!text)
        return;
    buffer_char(out, '/');
    add_encoded(out, text);
}

char *kube_path(const char *group, const char *version, const char *namespace, const char *plural, const char *name, const char *sub)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    buffer_text(&out, group && *group ? "/apis" : "/api");
    add_part(&out, group && *group ? group : NULL);
    add_part(&out, version);
    if (namespace) {
        buffer_text(&out, "/namespaces");
        add_part(&out, namespace);
    }
    add_part(&out, plural);
    add_part(&out, name);
    add_part(&out, sub);
    return buffer_take(&out);
}

void kube_query(char **path, const char *key, const char *value)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    buffer_text(&out, *path);
    buffer_char(&out, strchr(*path, '?') ? '&' : '?');
    add_encoded(&out, key);
    buffer_char(&out, '=');
    add_encoded(&out, value);
    free(*path);
    *path = buffer_take(&out);
}

/* --------------------------------------------------------------------------------------------------------------- refusals */

bool api_status(const char *where, const char *what, const cJSON *status, int code, Error *error)
{
    const char *message = json_text(status, "message");
    int64_t said = json_integer(status, "code"), wait = json_integer(json_member(status, "details"), "retryAfterSeconds");
    if (!code)
        code = said >= 100 && said < 600 ? (int)said : 500;
    error_set(error, http_error_code(code), where, NULL, "%s: %s", what, message && *message ? message : "refused without a reason");
    if (error && wait > 0)
        error->retry_after_s = wait < 86400 ? (int)wait : 86400;
    return false;
}

/* A balancer's own page for a server that is down is no sign-in page. */
bool api_is_page(const HttpReply *reply)
{
    bool ours = reply->status >= 400 && reply->status != 401 && reply->status != 403;
    return (strncmp(reply->content_type, "text/html", 9) == 0 && !ours) || (reply->status >= 300 && reply->status < 400);
}

bool api_refusal(const char *where, const char *what, const HttpReply *reply, Error *error)
{
    int status = reply->status;
    if (api_is_page(reply))
        return error_set(error, ERROR_BAD_REPLY, where, "sign in to what stands in front of the API server, or set `server` past it",
                         "%s: a web page came (HTTP %d), not Kubernetes' answer", what, status);
    cJSON *json = reply->body.bytes ? json_parse(reply->body.bytes, reply->body.length, where, NULL) : NULL;
    const char *kind = json_text(json, "kind");
    if (kind && strcmp(kind, "Status") == 0)
        api_status(where, what, json, status, error);
    else if (status == 404)
        error_set(error, ERROR_ABSENT, where, NULL, "%s: the server has no such kind", what);
    else
        error_set(error, http_error_code(status), where, NULL, "%s: HTTP status %d", what, status);
    cJSON_Delete(json);
    if (error && reply->retry_after_s > error->retry_after_s)
        error->retry_after_s = reply->retry_after_s;
    return false;
}

/* -------------------------------------------------------------------------------------------------------------- requests */

static const char *what_of(const ApiRequest *request)
{
    return request->what ? request->what : request->path;
}

static void fill_request(const Api *api, const ApiRequest *request, HttpRequest *http, List *headers)
{
    if (request->body)
        list_format(headers, "Content-Type: %s", request->content_type ? request->content_type : "application/json");
    list_format(headers, "Accept: %s", request->accept ? request->accept : "application/json");
    *http = (HttpRequest){
        .where = api->where, .method = request->method, .headers = headers, .body = request->body,
        .body_length = request->body ? strlen(request->body) : 0, .compressed = request->compressed, .timeout_ms = request->timeout_ms,
        .most_bytes = request->most_bytes || request->chunk ? request->most_bytes : ANSWER_MOST, .chunk = request->chunk, .user = request->user,
    };
}

Http *api_start(const Api *api, const ApiRequest *request, HttpDone done, void *user, unsigned *round, Error *error)
{
    HttpRequest http;
    List headers = {0};
    SignInHeld held = {0};
    fill_request(api, request, &http, &headers);
    sign_in_apply(api->sign_in, request->path, &http, &held);
    Http *started = http_start(api->io, &http, done, user, error);
    if (round)
        *round = held.round;
    sign_in_release(&held);
    list_done(&headers);
    return started;
}

static bool run_once(const Api *api, const Context *context, const ApiRequest *request, HttpReply *reply, unsigned *round, Error *error)
{
    HttpRequest http;
    List headers = {0};
    SignInHeld held = {0};
    *reply = (HttpReply){0};
    if (!sign_in_ready(api->sign_in, api->io, context, error))
        return false;
    fill_request(api, request, &http, &headers);
    sign_in_apply(api->sign_in, request->path, &http, &held);
    bool right = http_run(api->io, context, &http, reply, error);
    *round = held.round;
    sign_in_release(&held);
    list_done(&headers);
    return right;
}

bool api_run(const Api *api, const Context *context, const ApiRequest *request, HttpReply *reply, Error *error)
{
    HttpReply own;
    unsigned round;
    if (!reply)
        reply = &own;
    if (!run_once(api, context, request, reply, &round, error))
        return false;
    if (reply->status == 401 && sign_in_refused(api->sign_in, round)) {
        http_reply_done(reply);
        if (!run_once(api, context, request, reply, &round, error))
            return false;
    }
    int status = reply->status;
    bool right = status >= 200 && status < 300 && !api_is_page(reply);
    if (status == 401)
        sign_in_error(api->sign_in, error);
    else if (!right)
        api_refusal(api->where, what_of(request), reply, error);
    if (!right || reply == &own)
        http_reply_done(reply);
    reply->status = status;
    return right;
}

static bool ask(const Api *api, const Context *context, const ApiRequest *request, cJSON **answer, Error *error)
{
    HttpReply reply;
    if (answer)
        *answer = NULL;
    if (!api_run(api, context, request, &reply, error))
        return false;
    bool right = true;
    if (answer) {
        *answer = json_parse(reply.body.bytes ? reply.body.bytes : "", reply.body.length, api->where, error);
        right = *answer != NULL;
    }
    http_reply_done(&reply);
    return right;
}

bool api_get(const Api *api, const Context *context, const char *path, cJSON **answer, Error *error)
{
    ApiRequest request = {.path = path, .compressed = true, .timeout_ms = ASK_MS};
    return ask(api, context, &request, answer, error);
}

bool api_post(const Api *api, const Context *context, const char *path, const char *body, cJSON **answer, Error *error)
{
    ApiRequest request = {.method = "POST", .path = path, .body = body, .timeout_ms = ASK_MS};
    return ask(api, context, &request, answer, error);
}

bool api_patch(const Api *api, const Context *context, const char *path, ApiPatch kind, const char *body, cJSON **answer, Error *error)
{
    static const char *const types[] = {[PATCH_MERGE] = "application/merge-patch+json", [PATCH_JSON] = "application/json-patch+json",
                                        [PATCH_APPLY] = "application/apply-patch+yaml"};
    ApiRequest request = {.method = "PATCH", .path = path, .body = body, .content_type = types[kind], .timeout_ms = ASK_MS};
    return ask(api, context, &request, answer, error);
}

bool api_delete(const Api *api, const Context *context, const char *path, const ApiDelete *options, cJSON **answer, Error *error)
{
    Buffer body;
    JsonWriter json;
    buffer_init(&body, BUFFER_ANY);
    json_begin(&json, &body);
    json_object(&json, NULL);
    json_put_text(&json, "kind", "DeleteOptions");
    json_put_text(&json, "apiVersion", "v1");
    json_put_text(&json, "propagationPolicy", options->propagation ? options->propagation : "Foreground");
    if (options->grace_s != NUMBER_UNKNOWN)
        json_put_integer(&json, "gracePeriodSeconds", options->grace_s);
    if (options->dry_run) {
        json_array(&json, "dryRun");
        json_put_text(&json, NULL, "All");
        json_close(&json, ']');
    }
    json_object(&json, "preconditions");
    json_put_text(&json, "uid", options->uid);
    if (options->resource_version)
        json_put_text(&json, "resourceVersion", options->resource_version);
    json_close(&json, '}');
    json_close(&json, '}');
    ApiRequest request = {.method = "DELETE", .path = path, .body = body.bytes, .timeout_ms = ASK_MS};
    bool right = ask(api, context, &request, answer, error);
    buffer_done(&body);
    return right;
}

/* ----------------------------------------------------------------------------------------------------------------- lists */

typedef struct Page {
    JsonItems *items;
    char *next, *version;
} Page;

static bool take_bytes(void *user, const char *bytes, size_t n, Error *error)
{
    Page *page = user;
    return json_items_feed(page->items, bytes, n, error);
}

static bool one_page(const Api *api, const Context *context, const char *path, const char *next, JsonItem item, void *user, Page *page, int *status,
                     Error *error)
{
    HttpReply reply;
    cJSON *rest = NULL;
    char *whole = mem_text(path);
    *page = (Page){.items = json_items_new("items", ITEM_MOST, item, user)};
    kube_query(&whole, "limit", CHUNK);
    if (next)
        kube_query(&whole, "continue", next);
    ApiRequest request = {.path = whole, .what = path, .compressed = true, .timeout_ms = 3 * ASK_MS, .chunk = take_bytes, .user = page};
    bool right = api_run(api, context, &request, &reply, error);
    *status = reply.status;
    http_reply_done(&reply);
    right = right && json_items_end(page->items, &rest, error);
    if (right) {
        const cJSON *metadata = json_member(rest, "metadata");
        const char *more = json_text(metadata, "continue");
        page->next = more && *more ? mem_text(more) : NULL;
        page->version = mem_text(json_text(metadata, "resourceVersion"));
    } else
        error_at(error, api->where);
    cJSON_Delete(rest);
    json_items_free(page->items);
    free(whole);
    return right;
}

bool api_list(const Api *api, const Context *context, const char *path, JsonItem item, void (*restart)(void *user), void *user, char **version,
              Error *error)
{
    char *next = NULL, *last = NULL;
    int status, restarts = 0;
    bool right;
    do {
        Page page;
        right = one_page(api, context, path, next, item, user, &page, &status, error);
        bool again = !right && status == 410 && next && restarts++ < RESTARTS_MOST;
        free(next);
        next = page.next;
        if (right) {
            free(last);
            last = page.version;
        } else if (again) {
            if (restart)
                restart(user);
            right = true;
            continue;
        }
        if (right && !next)
            break;
    } while (right);
    free(next);
    if (right && version)
        *version = last;
    else
        free(last);
    return right;
}
