#include "backends/gateway/rest.h"

#include "backends/gateway/options.h"
#include "base/json_walk.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_MOST = 256 << 20, CLUSTER_MOST = 1 << 20, ASK_MS = 20000, CHANGE_MS = 60000 /* it forwards them to a scheduler, which may be slow */ };

/* -------------------------------------------------------------------------------------------------------------- decoding */

void gateway_cluster_done(GatewayCluster *cluster)
{
    free(cluster->name);
    free(cluster->dashboard);
    free(cluster->http_base);
    free(cluster->address);
    list_done(&cluster->options);
    tls_drop(cluster->tls);
    *cluster = (GatewayCluster){0};
}

void gateway_clusters_done(GatewayClusters *list)
{
    for (size_t i = 0; i < list->count; i++)
        gateway_cluster_done(&list->items[i]);
    free(list->items);
    *list = (GatewayClusters){0};
}

static GatewayStatus status_of(JsonSpan word)
{
    static const char *const words[] = {"\"PENDING\"", "\"RUNNING\"", "\"STOPPING\"", "\"STOPPED\"", "\"FAILED\""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (json_span_is(word, words[i]))
            return (GatewayStatus)i;
    return GATEWAY_OTHER;
}

/* It becomes part of paths and of a TLS name. */
static bool is_name(const char *text)
{
    size_t n = text ? strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") : 0;
    return n > 0 && n <= 200 && !text[n] && strstr(text, "..") == NULL && text[0] != '.';
}

/* A lone value, as it is written; what holds others (an `environment`) and what is called like a secret may hold one. */
static void decode_options(JsonSpan options, List *out)
{
    JsonWalk walk = json_walk(options);
    while (json_walk_next(&walk)) {
        char *name = json_span_name(walk.key);
        char first = *walk.value.bytes, *text = first == '"' ? json_span_text(walk.value) : NULL;
        if (first != '{' && first != '[' && first != 'n' && name && !options_is_secret(name)) {
            Buffer line;
            buffer_init(&line, BUFFER_ANY);
            buffer_format(&line, text ? "%s: \"%s\"" : "%s: ", name, text);
            if (!text)
                buffer_add(&line, walk.value.bytes, walk.value.n);
            list_take(out, text_clean_new(line.bytes, line.length, TEXT_NAME_MAX));
            buffer_done(&line);
        }
        free(text);
        free(name);
    }
}

/* What of an answer makes a cluster, as it stands there. */
typedef struct Model {
    JsonSpan name, status, started, route, options, cert, key;
} Model;

static bool read_model(JsonSpan json, Model *model)
{
    JsonWalk walk = json_walk(json);
    *model = (Model){0};
    while (json_walk_next(&walk)) {
        static const char *const names[] = {"name", "status", "start_time", "dashboard_route", "options", "tls_cert", "tls_key"};
        JsonSpan *const spans[] = {&model->name, &model->status, &model->started, &model->route, &model->options, &model->cert, &model->key};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (json_span_is(walk.key, names[i])) {
                *spans[i] = walk.value;
                break;
            }
    }
    return json_walk_whole(&walk);
}

/* "gateway://HOST:PORT/" */
static char *address_of_proxy(const Gateway *gateway)
{
    char *to = gateway_connect_to(gateway), *address = mem_join("gateway://", to, "/", NULL);
    free(to);
    return address;
}

/* One certificate of its own for both sides, which names no host. */
static Tls *decode_tls(const Model *model)
{
    char *cert = json_span_text(model->cert), *key = json_span_text(model->key);
    Tls *tls = cert && key ? tls_from_bytes(cert, cert, key, NULL) : NULL;
    if (tls)
        tls->verify_host = false;
    if (key)
        secret_wipe(key, strlen(key));
    free(key);
    free(cert);
    return tls;
}

/* False: it has no name. */
static bool decode_cluster(const Gateway *gateway, const char *proxy, const Model *model, bool tls, GatewayCluster *out)
{
    char *name = json_span_text(model->name);
    if (!is_name(name)) {
        free(name);
        return false;
    }
    int64_t started = json_span_integer(model->started);
    *out = (GatewayCluster){.name = name, .status = status_of(model->status), .started_ms = started > 0 ? started : TIME_UNKNOWN,
                            .address = mem_join(proxy, name, NULL)};
    if (out->status != GATEWAY_RUNNING)
        return true;
    char *route = json_span_text(model->route);
    if (route && *route == '/') { /* else its scheduler has no dashboard */
        out->dashboard = mem_join(gateway->public_address, route, NULL);
        out->http_base = mem_join(gateway->address, "/clusters/", name, NULL);
    }
    free(route);
    if (tls)
        out->tls = decode_tls(model);
    return true;
}

void gateway_reading_begin(GatewayReading *reading, const Gateway *gateway, bool tls, GatewayClusters *out)
{
    *reading = (GatewayReading){.gateway = gateway, .tls = tls, .out = out, .right = true, .proxy = address_of_proxy(gateway)};
    *out = (GatewayClusters){.date_ms = TIME_UNKNOWN};
    json_feed_init(&reading->feed, CLUSTER_MOST);
}

static void take_cluster(GatewayReading *reading, JsonSpan json)
{
    GatewayClusters *out = reading->out;
    GatewayCluster cluster;
    Model model = {0};
    if (*json.bytes == '{' && !read_model(json, &model))
        reading->right = false;
    else if (!model.name.n || *model.name.bytes != '"')
        reading->odd = true;
    else if (decode_cluster(reading->gateway, reading->proxy, &model, reading->tls, &cluster)) {
        out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = cluster;
    }
}

bool gateway_reading_take(void *user, const char *bytes, size_t n, Error *error)
{
    GatewayReading *reading = user;
    (void)error; /* what is wrong with it is said at its end */
    json_feed(&reading->feed, bytes, n);
    while (json_feed_next(&reading->feed))
        take_cluster(reading, reading->feed.walk.value);
    return true;
}

bool gateway_reading_end(GatewayReading *reading, Error *error)
{
    const char *where = reading->gateway->where;
    gateway_reading_take(reading, "", 0, NULL);
    bool ours = reading->feed.walk.at && (reading->out->count || !reading->odd), large = ours && reading->feed.rest.full;
    bool right = ours && reading->right && json_feed_whole(&reading->feed);
    json_feed_done(&reading->feed);
    free(reading->proxy);
    if (right)
        return true;
    gateway_clusters_done(reading->out);
    return error_set(error, ERROR_BAD_REPLY, where, NULL, large ? "one of its clusters has more than a megabyte of JSON"
                                                          : ours ? "an answer that is not JSON" : "its answer is not the clusters that were asked for");
}

bool gateway_decode_one(const Gateway *gateway, const char *bytes, size_t n, GatewayCluster *out, Error *error)
{
    Model model;
    *out = (GatewayCluster){0};
    if (!read_model((JsonSpan){bytes, n}, &model))
        return error_set(error, ERROR_BAD_REPLY, gateway->where, NULL, "an answer that is not JSON");
    char *proxy = address_of_proxy(gateway);
    bool right = decode_cluster(gateway, proxy, &model, true, out);
    free(proxy);
    if (!right)
        return error_set(error, ERROR_BAD_REPLY, gateway->where, NULL, "its answer is not the cluster that was asked for");
    decode_options(model.options, &out->options);
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------- asking */

static const char *http_proxy(const Gateway *gateway)
{
    return gateway->http_proxy ? secret_reveal(gateway->http_proxy) : NULL;
}

static void fill_request(const Gateway *gateway, const char *method, const char *url, const List *headers, const char *body, HttpRequest *request)
{
    *request = (HttpRequest){.where = gateway->where, .method = method, .url = url, .headers = headers, .body = body, .body_length = body ? strlen(body) : 0,
                             .environment_proxy = gateway->environment_proxy,
                             .proxy = http_proxy(gateway), .cookies = gateway->cookies, .timeout_ms = method ? CHANGE_MS : ASK_MS, .most_bytes = ANSWER_MOST};
    if (gateway->sign_in == SIGN_BASIC)
        request->username = gateway->user;
    else if (gateway->sign_in == SIGN_JUPYTERHUB)
        request->secret_header = "Authorization: jupyterhub ";
    else
        request->negotiate = true;
    request->secret = gateway->secret;
}

/* The Hub does not know a token that has expired, which the gateway passes on as an error 500 of its own. */
#define NO_SUCH_TOKEN "Permission failure verifying user's JupyterHub API token"

/* Its errors are {"error": "…"}; a proxy in front of it may answer in HTML. */
static bool say_failure(const Gateway *gateway, const HttpReply *reply, Error *error)
{
    cJSON *json = strstr(reply->content_type, "json") ? json_parse(reply->body.bytes, reply->body.length, NULL, NULL) : NULL;
    const char *said = json_text(json, "error");
    ErrorCode code = reply->status == 404 ? ERROR_NOT_FOUND : reply->status == 403 ? ERROR_DENIED : reply->status == 409 ? ERROR_CONFLICT
                     : reply->status == 422 ? ERROR_USAGE : reply->status >= 500 ? ERROR_UNREACHABLE : ERROR_BAD_REPLY;
    if (reply->status == 401 || (gateway->sign_in == SIGN_JUPYTERHUB && said && strstr(said, NO_SUCH_TOKEN)))
        error_set(error, ERROR_SIGN_IN, gateway->where, "see `auth` of this backend, or Dask's gateway.auth",
                  gateway->sign_in == SIGN_BASIC ? "the gateway does not take this user and password"
                  : gateway->sign_in == SIGN_KERBEROS ? "the gateway does not take your Kerberos ticket: run kinit" : "the gateway does not take the JupyterHub token: it may have expired");
    else if (said)
        error_set(error, code, gateway->where, NULL, "the gateway says: %s", said);
    else
        error_set(error, code, gateway->where, NULL, "the gateway answers with status %d%s", reply->status,
                  reply->status == 404 ? ": is its address right?" : reply->status == 502 || reply->status == 503 ? ": what stands behind its proxy is down" : "");
    cJSON_Delete(json);
    return false;
}

/* reading: takes what it answers as it comes; NULL. */
static bool run(const Gateway *gateway, Io *io, const Context *context, const char *method, const char *path, const char *body, GatewayReading *reading,
                HttpReply *reply, Error *error)
{
    List headers = {0};
    HttpRequest request;
    char *url = mem_format("%s/api/v1/%s", gateway->address, path);
    if (body)
        list_add(&headers, "Content-Type: application/json");
    fill_request(gateway, method, url, &headers, body, &request);
    request.chunk = reading ? gateway_reading_take : NULL;
    request.user = reading;
    bool right = http_run(io, context, &request, reply, error);
    list_done(&headers);
    free(url);
    if (!right)
        return false;
    bool json = reply->status == 204 || strstr(reply->content_type, "json");
    if (reply->status >= 200 && reply->status < 300 && json)
        return true;
    if (reply->status >= 200 && reply->status < 400)
        error_set(error, ERROR_BAD_REPLY, gateway->where, "is `address` that of the gateway?", "it answers with %s, not with the gateway's JSON",
                  reply->status >= 300 ? "a redirect, as a sign-in page would" : *reply->content_type ? reply->content_type : "nothing");
    else
        say_failure(gateway, reply, error);
    http_reply_done(reply);
    return false;
}

static void done_secretly(HttpReply *reply)
{
    buffer_wipe(&reply->body);
    reply->body = (Buffer){0};
    http_reply_done(reply);
}

bool gateway_list(const Gateway *gateway, Io *io, const Context *context, bool tls, GatewayClusters *out, Error *error)
{
    HttpReply reply;
    GatewayReading reading;
    gateway_reading_begin(&reading, gateway, tls, out);
    bool came = run(gateway, io, context, NULL, "clusters/?status=pending,running,stopping", NULL, &reading, &reply, error);
    bool right = gateway_reading_end(&reading, came ? error : NULL) && came;
    if (right)
        out->date_ms = reply.date_ms;
    else
        gateway_clusters_done(out);
    if (came)
        http_reply_done(&reply);
    return right;
}

bool gateway_get(const Gateway *gateway, Io *io, const Context *context, const char *name, GatewayCluster *out, Error *error)
{
    HttpReply reply;
    *out = (GatewayCluster){0};
    if (!is_name(name))
        return error_set(error, ERROR_NOT_FOUND, gateway->where, NULL, "no cluster can have this name");
    char *path = mem_format("clusters/%s", name);
    bool right = run(gateway, io, context, NULL, path, NULL, NULL, &reply, error);
    free(path);
    if (!right)
        return false;
    right = gateway_decode_one(gateway, reply.body.bytes, reply.body.length, out, error);
    if (right && strcmp(out->name, name) != 0) {
        gateway_cluster_done(out);
        right = error_set(error, ERROR_BAD_REPLY, gateway->where, NULL, "its answer is not the cluster that was asked for");
    }
    done_secretly(&reply);
    return right;
}

bool gateway_ask(const Gateway *gateway, Io *io, const Context *context, const char *method, const char *path, const char *body, cJSON **answer,
                 char **clamped, Error *error)
{
    HttpReply reply;
    if (answer)
        *answer = NULL;
    if (!run(gateway, io, context, method, path, body, NULL, &reply, error))
        return false;
    cJSON *json = reply.status == 204 ? NULL : json_parse(reply.body.bytes, reply.body.length, gateway->where, NULL);
    if (clamped && json_truth(json, "ok") == 0)
        *clamped = mem_text(json_text(json, "msg") ? json_text(json, "msg") : "the gateway has a limit, which it does not name");
    http_reply_done(&reply);
    if (answer)
        *answer = json;
    else
        cJSON_Delete(json);
    return true;
}

Http *gateway_look(void *user, Io *io, HttpRequest *request, const char *url, HttpDone done, void *done_user, Error *error)
{
    const Gateway *gateway = user;
    request->url = url;
    request->proxy = http_proxy(gateway);
    request->environment_proxy = gateway->environment_proxy;
    return http_start(io, request, done, done_user, error);
}

char *gateway_sni(const char *name)
{
    return mem_format("daskgateway-%s", name);
}

char *gateway_connect_to(const Gateway *gateway)
{
    return mem_format(strchr(gateway->proxy_host, ':') ? "[%s]:%d" : "%s:%d", gateway->proxy_host, gateway->proxy_port);
}
