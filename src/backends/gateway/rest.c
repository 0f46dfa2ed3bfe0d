#include "backends/gateway/rest.h"

#include "base/file.h"
#include "base/mem.h"
#include "io/child.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MOST = 256 << 20, ASK_MS = 20000 };

const ConfigKey gateway_auth_keys[] = {
    {.name = "type", .kind = KEY_WORD, .words = "basic|jupyterhub|kerberos", .standard = "basic", .help = "how it signs in"},
    {.name = "username", .kind = KEY_TEXT, .help = "for basic (default: you)"},
    {.name = "password", .kind = KEY_SECRET, .help = "for basic"},
    {.name = "api-token", .kind = KEY_SECRET, .help = "for jupyterhub (default: JUPYTERHUB_API_TOKEN)"},
    {0},
};

void gateway_free(Gateway *gateway)
{
    if (!gateway)
        return;
    free(gateway->where);
    free(gateway->address);
    free(gateway->public_address);
    free(gateway->proxy_host);
    free(gateway->user);
    secret_free(gateway->secret);
    free(gateway);
}

/* ---------------------------------------------------------------------------------------------------------------- config */

/* Dask's gateway values are Python format templates over the environment: "{JUPYTERHUB_USER}", "{{" is a brace. */
static char *expand(const char *template, const char *where, Error *error)
{
    Buffer out;
    buffer_init(&out, 1 << 16);
    for (const char *at = template; *at; at++) {
        if ((*at == '{' && at[1] == '{') || (*at == '}' && at[1] == '}')) {
            buffer_char(&out, *at++);
        } else if (*at == '{') {
            size_t n = strcspn(at + 1, "}");
            char *name = mem_text_n(at + 1, n);
            const char *value = getenv(name);
            if (!value || !at[1 + n]) {
                error_set(error, ERROR_ABSENT, where, NULL, "gateway config names the environment's %s, which is not set", name);
                free(name);
                buffer_wipe(&out);
                return NULL;
            }
            buffer_text(&out, value);
            free(name);
            at += n + 1;
        } else {
            buffer_char(&out, *at);
        }
    }
    return buffer_take(&out);
}

/* Ours, else Dask's; *missing is set where the environment lacks what it names. */
static char *setting(const BackendConfig *config, const char *key, bool *missing, Error *error)
{
    const char *own = config_text(config, key);
    if (own)
        return mem_text(own);
    const char *dask = tree_text(tree_get(tree_get(config->dask, "gateway"), key));
    char *text = dask && config_text(config, "address") == NULL ? expand(dask, config->key, error) : NULL;
    *missing = *missing || (dask && !text && config_text(config, "address") == NULL);
    return text;
}

typedef struct Place {
    char *host;
    int port;      /* 0: not said */
    bool secure;
} Place;

/* "http(s)://HOST[:PORT][/…]", "gateway://H:P", "tls://H:P", "H:P"; or a bare port, whose host is another's. */
static bool read_place(const char *text, Place *out)
{
    const char *scheme = strstr(text, "://"), *at = scheme ? scheme + 3 : text;
    *out = (Place){.secure = strncmp(text, "https", 5) == 0};
    size_t n = strcspn(at, "/");
    if (!scheme && n && strspn(at, "0123456789") == n) {
        out->port = (int)strtol(at, NULL, 10);
        return out->port > 0 && out->port < 65536;
    }
    const char *end = at + n, *host = at, *stop = end;
    if (*at == '[') {
        host = at + 1;
        stop = memchr(at, ']', n);
        if (!stop)
            return false;
        at = stop + 1;
    } else {
        stop = memchr(at, ':', n);
        stop = stop ? stop : end;
        at = stop;
    }
    out->port = at < end && *at == ':' ? (int)strtol(at + 1, NULL, 10) : 0;
    out->host = mem_text_n(host, (size_t)(stop - host));
    return *out->host && out->port >= 0 && out->port < 65536;
}

/* As the Python client picks it: the address's host, and its port, else its scheme's. */
static bool read_proxy(Gateway *gateway, const char *text, Error *error)
{
    Place own = {0}, proxy = {0};
    bool right = read_place(gateway->address, &own) && own.host && (!text || read_place(text, &proxy));
    if (right) {
        gateway->proxy_host = mem_text(proxy.host ? proxy.host : own.host);
        gateway->proxy_port = proxy.port ? proxy.port : proxy.host ? 8786 : own.port ? own.port : own.secure ? 443 : 80;
    }
    free(own.host);
    free(proxy.host);
    return right || error_set(error, ERROR_USAGE, gateway->where, "write http(s)://HOST:PORT, and gateway://HOST:PORT for its proxy",
                              "the gateway's address cannot be understood");
}

static void trim_slash(char *text)
{
    for (size_t n = strlen(text); n && text[n - 1] == '/'; n--)
        text[n - 1] = 0;
}

/* A scalar of Dask's own config, a template; or ours, which may be {env: …}, {file: …}, {command: […]}. */
static Secret *read_secret(const BackendConfig *config, const Tree *own, const Tree *dask, Io *io, const Context *context, Error *error)
{
    if (own)
        return child_secret(io, context, own, config->key, error);
    if (!tree_text(dask))
        return NULL;
    char *text = expand(tree_text(dask), config->key, error);
    Secret *secret = text ? secret_new(text, strlen(text)) : NULL;
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
    return secret;
}

static bool read_basic(Gateway *gateway, const BackendConfig *config, const Tree *own, const Tree *dask, Io *io, const Context *context, Error *error)
{
    char name[64];
    const char *user = tree_text(tree_get(own, "username")), *template = tree_text(tree_get(dask, "username"));
    gateway->user = user ? mem_text(user) : template ? expand(template, config->key, error) : mem_text(file_user_name(geteuid(), name));
    Error why = {0};
    gateway->secret = read_secret(config, tree_get(own, "password"), tree_get(dask, "password"), io, context, &why);
    if (!gateway->secret && why.code == ERROR_OK)
        gateway->secret = secret_new("", 0);
    if (!gateway->secret && error)
        *error = why;
    return gateway->user && gateway->secret;
}

static bool read_hub(Gateway *gateway, const BackendConfig *config, const Tree *own, const Tree *dask, Io *io, const Context *context, Error *error)
{
    const char *token = getenv("JUPYTERHUB_API_TOKEN"), *user = getenv("JUPYTERHUB_USER");
    Error why = {0};
    gateway->user = mem_text(user);
    gateway->secret = read_secret(config, tree_get(own, "api-token"), tree_get(dask, "api-token"), io, context, &why);
    if (!gateway->secret && why.code == ERROR_OK && token)
        gateway->secret = secret_new(token, strlen(token));
    if (!gateway->secret && why.code == ERROR_OK)
        error_set(&why, ERROR_SIGN_IN, config->key, "set `auth: {api-token: …}`", "there is no JUPYTERHUB_API_TOKEN");
    if (!gateway->secret && error)
        *error = why;
    return gateway->secret != NULL;
}

static bool read_sign_in(Gateway *gateway, const BackendConfig *config, Io *io, const Context *context, Error *error)
{
    const Tree *own = config_tree(config, "auth"), *dask = own || config_text(config, "address") ? NULL : tree_path(config->dask, "gateway.auth");
    const Tree *values = dask ? tree_get(dask, "kwargs") : NULL;
    const char *type = tree_text(tree_get(own ? own : dask, "type"));
    if (!type || strcmp(type, "basic") == 0)
        return read_basic(gateway, config, own, values, io, context, error);
    gateway->sign_in = strcmp(type, "kerberos") == 0 ? SIGN_KERBEROS : SIGN_JUPYTERHUB;
    if (gateway->sign_in == SIGN_KERBEROS)
        return true;
    if (strcmp(type, "jupyterhub") != 0)
        return error_set(error, ERROR_UNSUPPORTED, config->key, "give `auth` in dasktop's config", "gateway.auth.type %s is Python of its own", type);
    return read_hub(gateway, config, own, values, io, context, error);
}

Gateway *gateway_read(const BackendConfig *config, Io *io, const Context *context, Error *error)
{
    bool missing = false;
    Gateway *gateway = mem_new(sizeof *gateway);
    gateway->where = mem_text(config->key);
    gateway->address = setting(config, "address", &missing, error);
    if (!gateway->address || !*gateway->address) {
        if (!missing)
            error_set(error, ERROR_ABSENT, config->key, NULL, "no gateway is configured (gateway.address)");
        gateway_free(gateway);
        return NULL;
    }
    char *proxy = setting(config, "proxy-address", &missing, error);
    trim_slash(gateway->address);
    gateway->public_address = setting(config, "public-address", &missing, error);
    if (!gateway->public_address)
        gateway->public_address = mem_text(gateway->address);
    trim_slash(gateway->public_address);
    const Tree *through = tree_path(config->dask, "gateway.http-client.proxy");
    gateway->environment_proxy = !through || through->kind != TREE_BOOL || through->truth;
    bool right = !missing && read_proxy(gateway, proxy, error) && read_sign_in(gateway, config, io, context, error);
    free(proxy);
    if (right)
        return gateway;
    gateway_free(gateway);
    return NULL;
}

/* -------------------------------------------------------------------------------------------------------------- decoding */

void gateway_cluster_done(GatewayCluster *cluster)
{
    free(cluster->name);
    free(cluster->dashboard);
    free(cluster->http_base);
    free(cluster->address);
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

static GatewayStatus status_of(const char *word)
{
    static const char *const words[] = {"PENDING", "RUNNING", "STOPPING", "STOPPED", "FAILED"};
    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0)
            return (GatewayStatus)i;
    return GATEWAY_OTHER;
}

/* It becomes part of paths and of a TLS name. */
static bool is_name(const char *text)
{
    size_t n = text ? strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") : 0;
    return n > 0 && n <= 200 && !text[n] && strstr(text, "..") == NULL && text[0] != '.';
}

static void wipe_text(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);
    if (cJSON_IsString(item))
        secret_wipe(item->valuestring, strlen(item->valuestring));
}

static void decode_one(const Gateway *gateway, const cJSON *json, GatewayClusters *out)
{
    const char *name = json_text(json, "name"), *cert = json_text(json, "tls_cert"), *key = json_text(json, "tls_key");
    int64_t started = json_integer(json, "start_time");
    if (!is_name(name))
        return;
    out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
    GatewayCluster *cluster = &out->items[out->count++];
    *cluster = (GatewayCluster){.name = mem_text(name), .status = status_of(json_text(json, "status")),
                                .started_ms = started > 0 ? started : TIME_UNKNOWN};
    cluster->address = mem_format(strchr(gateway->proxy_host, ':') ? "gateway://[%s]:%d/%s" : "gateway://%s:%d/%s", gateway->proxy_host, gateway->proxy_port, name);
    if (cluster->status == GATEWAY_RUNNING) {
        cluster->dashboard = mem_format("%s/clusters/%s/status", gateway->public_address, name);
        cluster->http_base = mem_format("%s/clusters/%s", gateway->address, name);
        cluster->tls = cert && key ? tls_from_bytes(cert, cert, key, NULL) : NULL;
        if (cluster->tls)
            cluster->tls->verify_host = false; /* one certificate of its own for both sides, which names no host */
    }
}

bool gateway_decode(const Gateway *gateway, const char *bytes, size_t n, bool one, GatewayClusters *out, Error *error)
{
    cJSON *json = json_parse(bytes, n, gateway->where, error), *item;
    if (!json)
        return false;
    bool right = cJSON_IsObject(json);
    if (right && one)
        decode_one(gateway, json, out);
    else if (right)
        cJSON_ArrayForEach(item, json)
        {
            decode_one(gateway, item, out);
        }
    if (right && !one)
        cJSON_ArrayForEach(item, json)
        {
            wipe_text(item, "tls_key");
        }
    wipe_text(json, "tls_key");
    cJSON_Delete(json);
    return right || error_set(error, ERROR_BAD_REPLY, gateway->where, NULL, "its answer is not the clusters that were asked for");
}

/* ---------------------------------------------------------------------------------------------------------------- asking */

static void fill_request(const Gateway *gateway, const char *method, const char *url, const List *headers, const char *body, HttpRequest *request)
{
    *request = (HttpRequest){.where = gateway->where, .method = method, .url = url, .headers = headers, .body = body, .body_length = body ? strlen(body) : 0,
                             .environment_proxy = gateway->environment_proxy, .timeout_ms = ASK_MS, .most_bytes = ANSWER_MOST};
    if (gateway->sign_in == SIGN_BASIC)
        request->username = gateway->user;
    else if (gateway->sign_in == SIGN_JUPYTERHUB)
        request->secret_header = "Authorization: jupyterhub ";
    else
        request->negotiate = true;
    request->secret = gateway->secret;
}

/* Its errors are {"error": "…"}; a proxy in front of it may answer in HTML. */
static bool say_failure(const Gateway *gateway, const HttpReply *reply, Error *error)
{
    cJSON *json = strstr(reply->content_type, "json") ? json_parse(reply->body.bytes, reply->body.length, NULL, NULL) : NULL;
    const char *said = json_text(json, "error");
    ErrorCode code = reply->status == 404 ? ERROR_NOT_FOUND : reply->status == 403 ? ERROR_DENIED : reply->status == 409 ? ERROR_CONFLICT
                     : reply->status == 422 ? ERROR_USAGE : reply->status >= 500 ? ERROR_UNREACHABLE : ERROR_BAD_REPLY;
    if (reply->status == 401)
        error_set(error, ERROR_SIGN_IN, gateway->where, "see `auth` of this backend",
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

static bool run(const Gateway *gateway, Io *io, const Context *context, const char *method, const char *path, const char *body, HttpReply *reply, Error *error)
{
    List headers = {0};
    HttpRequest request;
    char *url = mem_format("%s/api/v1/%s", gateway->address, path);
    if (body)
        list_add(&headers, "Content-Type: application/json");
    fill_request(gateway, method, url, &headers, body, &request);
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
                  *reply->content_type ? reply->content_type : reply->status >= 300 ? "a redirect, as a sign-in page would" : "nothing");
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

bool gateway_list(const Gateway *gateway, Io *io, const Context *context, GatewayClusters *out, Error *error)
{
    HttpReply reply;
    *out = (GatewayClusters){0};
    if (!run(gateway, io, context, NULL, "clusters/", NULL, &reply, error))
        return false;
    bool right = gateway_decode(gateway, reply.body.bytes, reply.body.length, false, out, error);
    done_secretly(&reply);
    return right;
}

bool gateway_get(const Gateway *gateway, Io *io, const Context *context, const char *name, GatewayCluster *out, Error *error)
{
    HttpReply reply;
    GatewayClusters list = {0};
    *out = (GatewayCluster){0};
    if (!is_name(name))
        return error_set(error, ERROR_NOT_FOUND, gateway->where, NULL, "no cluster can have this name");
    char *path = mem_format("clusters/%s", name);
    bool right = run(gateway, io, context, NULL, path, NULL, &reply, error);
    free(path);
    if (!right)
        return false;
    right = gateway_decode(gateway, reply.body.bytes, reply.body.length, true, &list, error);
    done_secretly(&reply);
    if (right && list.count != 1)
        right = error_set(error, ERROR_BAD_REPLY, gateway->where, NULL, "its answer is not the cluster that was asked for");
    if (right)
        *out = list.items[0];
    free(list.items);
    return right;
}

bool gateway_ask(const Gateway *gateway, Io *io, const Context *context, const char *method, const char *path, const char *body, cJSON **answer,
                 char **clamped, Error *error)
{
    HttpReply reply;
    if (answer)
        *answer = NULL;
    if (!run(gateway, io, context, method, path, body, &reply, error))
        return false;
    cJSON *json = reply.status == 204 ? NULL : json_parse(reply.body.bytes, reply.body.length, gateway->where, NULL);
    if (clamped && json_truth(json, "ok") == 0)
        *clamped = mem_text(json_text(json, "msg"));
    http_reply_done(&reply);
    if (answer)
        *answer = json;
    else
        cJSON_Delete(json);
    return true;
}

char *gateway_sni(const char *name)
{
    return mem_format("daskgateway-%s", name);
}

char *gateway_connect_to(const Gateway *gateway)
{
    return mem_format(strchr(gateway->proxy_host, ':') ? "[%s]:%d" : "%s:%d", gateway->proxy_host, gateway->proxy_port);
}
