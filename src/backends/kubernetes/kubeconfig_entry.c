/* The entries of a kubeconfig: what is said of one cluster and of one user. */
#include "backends/kubernetes/kubeconfig_inside.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { PEM_MAX = 1 << 20 };

/* The entry that is being read. */
typedef struct Entry {
    const Tree *map;
    const char *what, *name; /* "cluster", "prod" */
    const char *directory;
    Error *problem;
} Entry;

/* ----------------------------------------------------------------------------------------------------------------- values */

/* The first one counts: it is what a person mends first. `at` may be NULL. */
static bool spoil(const Entry *entry, const Tree *at, const char *hint, const char *what)
{
    char where[256];
    at = at ? at : entry->map;
    if (entry->problem->code == ERROR_OK)
        error_set(entry->problem, ERROR_USAGE, at ? tree_where(at, where) : NULL, hint, "%s %s: %s", entry->what, entry->name, what);
    return false;
}

const char *kube_text(const Tree *map, const char *key, const char *what, Error *problem)
{
    char where[256];
    const Tree *value = tree_get(map, key);
    if (!value || value->kind == TREE_NULL)
        return NULL;
    const char *text = tree_text(value);
    if (!text && problem->code == ERROR_OK)
        error_set(problem, ERROR_USAGE, tree_where(value, where), NULL, "%s: %s must be a text", what, key);
    return text && *text ? text : NULL;
}

static const char *text_of(const Entry *entry, const char *key)
{
    char *what = mem_format("%s %s", entry->what, entry->name);
    const char *text = kube_text(entry->map, key, what, entry->problem);
    free(what);
    return text;
}

static Secret *secret_of(const Entry *entry, const char *key)
{
    const char *text = text_of(entry, key);
    return text ? secret_new(text, strlen(text)) : NULL;
}

static bool truth_of(const Entry *entry, const char *key)
{
    const Tree *value = tree_get(entry->map, key);
    if (!value || value->kind == TREE_NULL)
        return false;
    if (value->kind == TREE_BOOL)
        return value->truth;
    char *what = mem_format("%s must be true or false", key);
    spoil(entry, value, NULL, what);
    free(what);
    return false;
}

static char *path_of(const Entry *entry, const char *key)
{
    const char *path = text_of(entry, key);
    return !path ? NULL : *path == '/' ? mem_text(path) : file_join(entry->directory, path);
}

/* Base64 of PEM. */
static Secret *pem_of(const Entry *entry, const char *key)
{
    Buffer pem;
    const char *text = text_of(entry, key);
    if (!text)
        return NULL;
    buffer_init(&pem, PEM_MAX);
    Secret *secret = NULL;
    if (base64_decode(text, &pem) && memmem(pem.bytes, pem.length, "-----BEGIN ", 11) && !memchr(pem.bytes, 0, pem.length)) {
        secret = secret_new(pem.bytes, pem.length);
    } else {
        char *what = mem_format("%s is no base64 of a PEM text", key);
        spoil(entry, tree_get(entry->map, key), NULL, what);
        free(what);
    }
    buffer_wipe(&pem);
    return secret;
}

/* Calls take() with each text of a list. */
static void each_text(const Entry *entry, const Tree *list, void (*take)(void *user, const char *text), void *user)
{
    bool right = !list || list->kind == TREE_LIST || list->kind == TREE_NULL;
    for (size_t i = 0; right && list && i < list->count; i++) {
        const char *text = tree_text(list->items[i]);
        right = text != NULL;
        if (right)
            take(user, text);
    }
    if (!right)
        spoil(entry, list, NULL, "this must be a list of texts");
}

/* ---------------------------------------------------------------------------------------------------------------- cluster */

static bool is_address(const char *text)
{
    const char *end = text + strcspn(text, "/");
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 127 || *c == '?' || *c == '#' || *c == '\\')
            return false;
    return end > text && *text != ':';
}

/* kubectl's rule where the scheme is not written: TLS is meant where something of TLS is. */
static char *read_server(const Entry *entry, bool has_tls)
{
    const char *text = text_of(entry, "server"), *scheme = text ? strstr(text, "://") : NULL, *rest = scheme ? scheme + 3 : text;
    const Tree *at = tree_get(entry->map, "server");
    if (!text)
        return spoil(entry, NULL, NULL, "it has no server"), NULL;
    if (scheme && strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0)
        return spoil(entry, at, "write https://HOST:PORT", "its server is neither http nor https"), NULL;
    if (!is_address(rest))
        return spoil(entry, at, "write https://HOST:PORT", "its server cannot be understood"), NULL;
    if (memchr(rest, '@', strcspn(rest, "/")))
        return spoil(entry, at, "put it into the user's entry", "its server holds a password"), NULL;
    char *server = scheme ? mem_text(text) : mem_format("%s://%s", has_tls ? "https" : "http", text);
    for (size_t n = strlen(server); n && server[n - 1] == '/'; n--)
        server[n - 1] = 0;
    return server;
}

/* kubectl lets the proxy resolve names, whichever socks5 is written. */
static Secret *read_proxy(const Entry *entry)
{
    static const char *const schemes[][2] = {{"http://", "http://"}, {"https://", "https://"}, {"socks5://", "socks5h://"}, {"socks5h://", "socks5h://"}};
    const char *text = text_of(entry, "proxy-url");
    for (size_t i = 0; text && i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i][0]);
        if (strncmp(text, schemes[i][0], n) != 0 || !is_address(text + n))
            continue;
        char *url = mem_format("%s%s", schemes[i][1], text + n);
        Secret *secret = secret_new(url, strlen(url));
        secret_wipe(url, strlen(url));
        free(url);
        return secret;
    }
    if (text)
        spoil(entry, tree_get(entry->map, "proxy-url"), "write http://, https:// or socks5://HOST:PORT", "its proxy-url cannot be used");
    return NULL;
}

/* What a cloud's plugin wants to know of a cluster stands in an extension of this name. */
static char *read_exec_config(const Entry *entry)
{
    const Tree *list = tree_get(entry->map, "extensions");
    for (size_t i = 0; list && list->kind == TREE_LIST && i < list->count; i++) {
        const char *name = tree_text(tree_get(list->items[i], "name"));
        const Tree *own = tree_get(list->items[i], "extension");
        if (!name || !own || strcmp(name, "client.authentication.k8s.io/exec") != 0)
            continue;
        cJSON *json = tree_json(own);
        char *printed = cJSON_PrintUnformatted(json), *text = mem_text(printed);
        cJSON_free(printed);
        cJSON_Delete(json);
        return text;
    }
    return NULL;
}

KubeCluster *kube_cluster_read(const char *name, const Tree *map, const char *directory)
{
    KubeCluster *cluster = mem_new(sizeof *cluster);
    Entry entry = {.map = map, .what = "cluster", .name = name, .directory = directory, .problem = &cluster->problem};
    cluster->name = mem_text(name);
    cluster->insecure = truth_of(&entry, "insecure-skip-tls-verify");
    cluster->uncompressed = truth_of(&entry, "disable-compression");
    Secret *ca = pem_of(&entry, "certificate-authority-data");
    cluster->ca = ca ? mem_text(secret_reveal(ca)) : NULL;
    secret_free(ca);
    cluster->ca_file = cluster->ca ? NULL : path_of(&entry, "certificate-authority");
    bool has_ca = cluster->ca || cluster->ca_file;
    if (has_ca && cluster->insecure)
        spoil(&entry, tree_get(map, "insecure-skip-tls-verify"), "take one of them out", "it has an authority and is not to be verified");
    cluster->server = read_server(&entry, has_ca || cluster->insecure);
    cluster->tls_server_name = mem_text(text_of(&entry, "tls-server-name"));
    if (cluster->tls_server_name && (!is_address(cluster->tls_server_name) || strpbrk(cluster->tls_server_name, "/:@[]")))
        spoil(&entry, tree_get(map, "tls-server-name"), NULL, "its tls-server-name is no host name");
    cluster->proxy = read_proxy(&entry);
    cluster->exec_config = read_exec_config(&entry);
    return cluster;
}

void kube_cluster_free(void *of)
{
    KubeCluster *cluster = of;
    if (!cluster)
        return;
    free(cluster->name);
    free(cluster->server);
    free(cluster->tls_server_name);
    secret_free(cluster->proxy);
    free(cluster->ca);
    free(cluster->ca_file);
    free(cluster->exec_config);
    free(cluster);
}

/* ------------------------------------------------------------------------------------------------------------------- user */

/* What may not stand in a header's name is %XX there. */
static void put_header_key(Buffer *out, const char *key)
{
    static const char legal[] = "!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (; *key; key++)
        if (strchr(legal, *key))
            buffer_char(out, *key);
        else
            buffer_format(out, "%%%02X", (unsigned char)*key);
}

typedef struct HeaderList {
    const char *name;
    List *out;
} HeaderList;

static void add_header(void *user, const char *text)
{
    HeaderList *headers = user;
    list_format(headers->out, "%s: %s", headers->name, text);
}

static void read_extra(const Entry *entry, List *out)
{
    const Tree *map = tree_get(entry->map, "as-user-extra");
    if (map && map->kind != TREE_MAP && map->kind != TREE_NULL)
        spoil(entry, map, NULL, "as-user-extra must be a map of lists");
    for (size_t i = 0; map && map->kind == TREE_MAP && i < map->count; i++) {
        Buffer name;
        buffer_init(&name, 1 << 16);
        buffer_text(&name, "Impersonate-Extra-");
        put_header_key(&name, map->items[i]->key);
        each_text(entry, map->items[i], add_header, &(HeaderList){name.bytes, out});
        buffer_done(&name);
    }
}

static void read_impersonation(const Entry *entry, List *out)
{
    const char *as = text_of(entry, "as"), *uid = text_of(entry, "as-uid");
    if (as)
        list_format(out, "Impersonate-User: %s", as);
    if (uid)
        list_format(out, "Impersonate-Uid: %s", uid);
    each_text(entry, tree_get(entry->map, "as-groups"), add_header, &(HeaderList){"Impersonate-Group", out});
    read_extra(entry, out);
    if (!as && out->count)
        spoil(entry, NULL, "add `as`", "it says as which groups or uid to act, but not as whom");
    for (size_t i = 0; i < out->count; i++)
        for (const char *c = out->items[i]; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 127) {
                spoil(entry, NULL, NULL, "a name to act as holds characters that no header may hold");
                return;
            }
}

static void free_exec(KubeExec *exec)
{
    if (!exec)
        return;
    for (size_t i = 0; i < exec->environment.count; i++)
        secret_wipe(exec->environment.items[i], strlen(exec->environment.items[i]));
    free(exec->version);
    list_done(&exec->command);
    list_done(&exec->environment);
    free(exec->install_hint);
    free(exec);
}

static void add_text(void *user, const char *text)
{
    list_add(user, text);
}

static void read_exec_environment(const Entry *entry, List *out)
{
    const Tree *list = tree_get(entry->map, "env");
    bool right = !list || list->kind == TREE_LIST || list->kind == TREE_NULL;
    for (size_t i = 0; right && list && i < list->count; i++) {
        const char *name = tree_text(tree_get(list->items[i], "name")), *value = tree_text(tree_get(list->items[i], "value"));
        right = name && *name && !strchr(name, '=');
        if (right)
            list_format(out, "%s=%s", name, value ? value : "");
    }
    if (!right)
        spoil(entry, list, "write {name: N, value: V} for each", "env of its exec cannot be understood");
}

/* A name without a slash is looked for in PATH, anything else from the file's own folder. */
static void read_exec_command(const Entry *entry, List *out)
{
    const char *command = text_of(entry, "command");
    if (!command)
        spoil(entry, NULL, NULL, "its exec has no command");
    else if (*command != '/' && strchr(command, '/'))
        list_take(out, file_join(entry->directory, command));
    else
        list_add(out, command);
    if (command)
        each_text(entry, tree_get(entry->map, "args"), add_text, out);
}

static KubeExec *read_exec(const Entry *user)
{
    const Tree *map = tree_get(user->map, "exec");
    if (!map || map->kind == TREE_NULL)
        return NULL;
    Entry entry = *user;
    entry.map = map;
    KubeExec *exec = mem_new(sizeof *exec);
    const char *version = text_of(&entry, "apiVersion"), *mode = text_of(&entry, "interactiveMode");
    if (map->kind != TREE_MAP)
        spoil(&entry, map, NULL, "its exec must be a map");
    else if (!version || (strcmp(version, "client.authentication.k8s.io/v1") != 0 && strcmp(version, "client.authentication.k8s.io/v1beta1") != 0))
        spoil(&entry, tree_get(map, "apiVersion"), "renew the entry by the tool that made it",
              "apiVersion of its exec must be client.authentication.k8s.io/v1 or v1beta1");
    else if (mode && strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0 && strcmp(mode, "Always") != 0)
        spoil(&entry, tree_get(map, "interactiveMode"), NULL, "interactiveMode of its exec must be Never, IfAvailable or Always");
    exec->version = mem_text(version);
    exec->wants_terminal = mode && strcmp(mode, "Always") == 0;
    exec->wants_cluster = truth_of(&entry, "provideClusterInfo");
    exec->install_hint = mem_text(text_of(&entry, "installHint"));
    read_exec_command(&entry, &exec->command);
    read_exec_environment(&entry, &exec->environment);
    return exec;
}

static void refuse_provider(const Entry *entry)
{
    const Tree *provider = tree_get(entry->map, "auth-provider");
    if (!provider || provider->kind == TREE_NULL)
        return;
    const char *name = tree_text(tree_get(provider, "name"));
    char *what = mem_format("auth-provider %s is not supported, by kubectl neither", name ? name : "");
    spoil(entry, provider, "sign in by an exec plugin: the cluster's own tool writes such an entry", what);
    free(what);
}

KubeUser *kube_user_read(const char *name, const Tree *map, const char *directory)
{
    KubeUser *user = mem_new(sizeof *user);
    Entry entry = {.map = map, .what = "user", .name = name, .directory = directory, .problem = &user->problem};
    user->name = mem_text(name);
    refuse_provider(&entry);
    user->token = secret_of(&entry, "token");
    user->token_file = path_of(&entry, "tokenFile");
    user->username = mem_text(text_of(&entry, "username"));
    user->password = secret_of(&entry, "password");
    user->cert = pem_of(&entry, "client-certificate-data");
    user->cert_file = user->cert ? NULL : path_of(&entry, "client-certificate");
    user->key = pem_of(&entry, "client-key-data");
    user->key_file = user->key ? NULL : path_of(&entry, "client-key");
    if ((user->cert || user->cert_file) && !user->key && !user->key_file)
        spoil(&entry, NULL, "add client-key or client-key-data", "it has a client certificate without its key");
    if (user->username && (user->token || user->token_file))
        spoil(&entry, NULL, "take one of them out", "it has both a token and a user name");
    read_impersonation(&entry, &user->impersonate);
    user->exec = read_exec(&entry);
    return user;
}

void kube_user_free(void *of)
{
    KubeUser *user = of;
    if (!user)
        return;
    free(user->name);
    secret_free(user->token);
    free(user->token_file);
    free(user->username);
    secret_free(user->password);
    secret_free(user->cert);
    secret_free(user->key);
    free(user->cert_file);
    free(user->key_file);
    list_done(&user->impersonate);
    free_exec(user->exec);
    free(user);
}
