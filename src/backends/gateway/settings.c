/* Where a gateway is and how one signs in: by dasktop's config, else as Dask's own `gateway` config and environment say. */
#include "backends/gateway/rest.h"

#include "base/file.h"
#include "base/mem.h"
#include "io/child.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const ConfigKey gateway_auth_keys[] = {
    {.name = "type", .kind = KEY_WORD, .words = "basic|jupyterhub|kerberos", .standard = "basic", .help = "how it signs in"},
    {.name = "username", .kind = KEY_TEXT, .help = "for basic (default: you)"},
    {.name = "password", .kind = KEY_SECRET, .help = "for basic"},
    {.name = "api-token", .kind = KEY_SECRET, .help = "for jupyterhub (default: JUPYTERHUB_API_TOKEN)"},
    {0},
};

enum { VALUE_MOST = 1 << 16, PORT_STANDARD = 8786 };

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
    secret_free(gateway->http_proxy);
    cookies_free(gateway->cookies);
    free(gateway);
}

/* ------------------------------------------------------------------------------------------------------- Dask's templates */

char *gateway_template(const char *template, const char *where, Error *error)
{
    Buffer out;
    buffer_init(&out, VALUE_MOST);
    for (const char *at = template; *at; at++) {
        if ((*at == '{' && at[1] == '{') || (*at == '}' && at[1] == '}')) {
            buffer_char(&out, *at++);
        } else if (*at == '{') {
            size_t n = strcspn(at + 1, "}");
            char *name = mem_text_n(at + 1, n);
            const char *value = getenv(name);
            if (!value || !at[1 + n]) {
                error_set(error, ERROR_ABSENT, where, NULL, "Dask's gateway config names the environment's %s, which is not set", name);
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

/* NULL also where `null` is written, as Dask's own files do for what is not configured. */
static const char *text_of(const Tree *tree)
{
    return tree && tree->kind != TREE_NULL ? tree_text(tree) : NULL;
}

/* What is read while a gateway's settings are put together. */
typedef struct Reading {
    const BackendConfig *config;
    bool only_ours;  /* our config names another gateway than Dask's: Dask's other values, secrets among them, are not for it */
    Io *io;
    const Context *context;
    Error *error;
} Reading;

/* Dask's value of a key below `gateway`; *text NULL where there is none. False: the environment lacks what it names. */
static bool read_dask(const Reading *reading, const char *key, char **text)
{
    const char *template = text_of(tree_path(tree_get(reading->config->dask, "gateway"), key));
    *text = template && *template ? gateway_template(template, reading->config->key, reading->error) : NULL;
    return *text || !template || !*template;
}

/* Ours, else Dask's. */
static bool read_text(const Reading *reading, const char *key, char **text)
{
    const char *own = text_of(config_tree(reading->config, key));
    *text = mem_text(own);
    return own || reading->only_ours || read_dask(reading, key, text);
}

/* ----------------------------------------------------------------------------------------------------------------- places */

typedef struct Place {
    char *host;    /* NULL: a bare port was given */
    int port;      /* 0: not said */
    bool secure;
} Place;

static int read_port(const char *text, size_t n)
{
    char digits[8] = "";
    if (n == 0 || n > 5 || strspn(text, "0123456789") < n)
        return -1;
    memcpy(digits, text, n);
    long port = strtol(digits, NULL, 10);
    return port > 0 && port < 65536 ? (int)port : -1;
}

/* "http(s)://HOST[:PORT][/…]", "gateway://H:P", "tls://H:P", "H:P"; or a bare port, whose host is another's. */
static bool read_place(const char *text, Place *out)
{
    const char *scheme = strstr(text, "://"), *at = scheme ? scheme + 3 : text, *end = at + strcspn(at, "/?#");
    *out = (Place){.secure = strncmp(text, "https://", 8) == 0};
    if (!scheme && end > at && strspn(at, "0123456789") == (size_t)(end - at))
        return (out->port = read_port(at, (size_t)(end - at))) > 0;
    bool bracket = *at == '[';
    const char *host = at + bracket, *stop = memchr(host, bracket ? ']' : ':', (size_t)(end - host));
    if (bracket && !stop)
        return false;
    stop = stop ? stop : end;
    const char *rest = stop + bracket;
    out->port = rest == end ? 0 : *rest == ':' ? read_port(rest + 1, (size_t)(end - rest - 1)) : -1;
    if (stop == host || out->port < 0 || memchr(host, '@', (size_t)(end - host)))
        return false;
    out->host = mem_text_n(host, (size_t)(stop - host));
    return true;
}

static void trim_slash(char *text)
{
    for (size_t n = strlen(text); n && text[n - 1] == '/'; n--)
        text[n - 1] = 0;
}

/* The port as Dask's client picks it: the address's own, else its scheme's. What was written is not repeated: it may hold a password. */
static bool place_schedulers(Gateway *gateway, const char *text, Error *error)
{
    Place own = {0}, proxy = {0};
    bool http = strncmp(gateway->address, "http://", 7) == 0 || strncmp(gateway->address, "https://", 8) == 0;
    bool right = http && read_place(gateway->address, &own) && own.host;
    if (!right)
        error_set(error, ERROR_USAGE, gateway->where, "write http(s)://HOST[:PORT][/PREFIX], users and passwords below `auth`",
                  "the gateway's address cannot be understood");
    else if (text && !(right = read_place(text, &proxy)))
        error_set(error, ERROR_USAGE, gateway->where, "write gateway://HOST:PORT or a port", "the gateway's proxy-address cannot be understood");
    if (right) {
        gateway->proxy_host = mem_text(proxy.host ? proxy.host : own.host);
        gateway->proxy_port = proxy.port ? proxy.port : proxy.host ? PORT_STANDARD : own.port ? own.port : own.secure ? 443 : 80;
    }
    free(own.host);
    free(proxy.host);
    return right;
}

/* `true` (also where nothing is said): as the environment says; `false`: none; else its URL. */
static bool read_http_proxy(Gateway *gateway, const Reading *reading)
{
    const Tree *said = tree_path(reading->config->dask, "gateway.http-client.proxy");
    char *url = NULL;
    gateway->environment_proxy = !said || said->kind == TREE_NULL || (said->kind == TREE_BOOL && said->truth);
    if (!said || said->kind != TREE_TEXT)
        return true;
    bool right = read_dask(reading, "http-client.proxy", &url);
    if (url) {
        gateway->http_proxy = secret_new(url, strlen(url)); /* it may hold a password */
        secret_wipe(url, strlen(url));
    }
    free(url);
    return right;
}

/* ---------------------------------------------------------------------------------------------------------------- sign-in */

/* A template of Dask's; or ours, which may be {env: …}, {file: …}, {command: […]}. False with error; *secret NULL: none is given. */
static bool read_secret(const Reading *reading, const Tree *own, const Tree *dask, Secret **secret)
{
    const char *template = text_of(dask);
    *secret = NULL;
    if (own) {
        *secret = child_secret(reading->io, reading->context, own, reading->config->key, reading->error);
        return *secret != NULL;
    }
    if (!template)
        return true;
    char *text = gateway_template(template, reading->config->key, reading->error);
    if (!text)
        return false;
    *secret = secret_new(text, strlen(text));
    secret_wipe(text, strlen(text));
    free(text);
    return true;
}

static bool read_basic(Gateway *gateway, const Reading *reading, const Tree *own, const Tree *dask)
{
    char name[64];
    const char *user = text_of(tree_get(own, "username")), *template = text_of(tree_get(dask, "username"));
    gateway->user = user ? mem_text(user) : template ? gateway_template(template, reading->config->key, reading->error) : mem_text(file_user_name(geteuid(), name));
    if (!gateway->user || !read_secret(reading, tree_get(own, "password"), tree_get(dask, "password"), &gateway->secret))
        return false;
    if (!gateway->secret)
        gateway->secret = secret_new("", 0);
    return true;
}

/* Whose token it is, only the Hub could say; its own variables belong together. */
static bool read_hub(Gateway *gateway, const Reading *reading, const Tree *own, const Tree *dask)
{
    const char *token = getenv("JUPYTERHUB_API_TOKEN");
    if (!read_secret(reading, tree_get(own, "api-token"), tree_get(dask, "api-token"), &gateway->secret))
        return false;
    if (token && (!gateway->secret || strcmp(secret_reveal(gateway->secret), token) == 0))
        gateway->user = mem_text(getenv("JUPYTERHUB_USER"));
    if (!gateway->secret && token)
        gateway->secret = secret_new(token, strlen(token));
    return gateway->secret || error_set(reading->error, ERROR_SIGN_IN, reading->config->key, "set `auth: {api-token: …}`", "there is no JUPYTERHUB_API_TOKEN");
}

static bool read_sign_in(Gateway *gateway, const Reading *reading)
{
    const Tree *own = config_tree(reading->config, "auth"), *dask = own || reading->only_ours ? NULL : tree_path(reading->config->dask, "gateway.auth");
    const Tree *values = tree_get(dask, "kwargs");
    const char *type = text_of(tree_get(own ? own : dask, "type"));
    if (!type || strcmp(type, "basic") == 0)
        return read_basic(gateway, reading, own, values);
    if (strcmp(type, "jupyterhub") == 0) {
        gateway->sign_in = SIGN_JUPYTERHUB;
        return read_hub(gateway, reading, own, values);
    }
    gateway->sign_in = SIGN_KERBEROS;
    return strcmp(type, "kerberos") == 0 || error_set(reading->error, ERROR_UNSUPPORTED, reading->config->key, "give `auth` in dasktop's config",
                                                      "Dask's gateway.auth.type is the Python class %s, which dasktop cannot run", type);
}

/* ------------------------------------------------------------------------------------------------------------------ whole */

static bool read_addresses(Gateway *gateway, Reading *reading)
{
    char *dask = NULL, *proxy = NULL;
    const char *own = text_of(config_tree(reading->config, "address"));
    Error why = {0}, *error = reading->error;
    reading->error = &why;
    bool known = read_dask(reading, "address", &dask);
    reading->error = error;
    gateway->address = own ? mem_text(own) : dask;
    if (!gateway->address) {
        if (known)
            return error_set(error, ERROR_ABSENT, reading->config->key, NULL, "no gateway is configured (gateway.address)");
        if (error)
            *error = why;
        return false;
    }
    trim_slash(gateway->address);
    if (own) {
        if (dask)
            trim_slash(dask);
        reading->only_ours = !dask || strcmp(dask, gateway->address) != 0;
        free(dask);
    }
    bool right = read_text(reading, "proxy-address", &proxy) && place_schedulers(gateway, proxy, error) &&
                 read_text(reading, "public-address", &gateway->public_address);
    free(proxy);
    const Tree *options = reading->only_ours ? NULL : tree_path(reading->config->dask, "gateway.cluster.options");
    gateway->options = options && options->kind == TREE_MAP ? options : NULL;
    if (right && !gateway->public_address)
        gateway->public_address = mem_text(gateway->address);
    if (right)
        trim_slash(gateway->public_address);
    return right;
}

Gateway *gateway_read(const BackendConfig *config, Io *io, const Context *context, Error *error)
{
    Reading reading = {.config = config, .io = io, .context = context, .error = error};
    Gateway *gateway = mem_new(sizeof *gateway);
    gateway->where = mem_text(config->key);
    gateway->cookies = cookies_new();
    if (read_addresses(gateway, &reading) && read_http_proxy(gateway, &reading) && read_sign_in(gateway, &reading))
        return gateway;
    gateway_free(gateway);
    return NULL;
}
