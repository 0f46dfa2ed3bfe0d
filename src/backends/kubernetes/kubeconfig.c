/* Which files there are, how they are merged, what a context is made of. */
#include "backends/kubernetes/kubeconfig_inside.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES_MAX = 20000, TOKEN_MAX = 1 << 20 };

/* What is counted, and what contexts point to, stands behind the public part. */
typedef struct CountedConfig {
    Kubeconfig is;
    atomic_int holders;
    Map clusters, users; /* by name */
    Map names;           /* of contexts: their place in is.contexts, plus one */
    List cluster_names, user_names; /* of contexts, same places; "" where none is named */
    size_t capacity;
} CountedConfig;

KubeSources kubeconfig_sources(const char *file)
{
    return (KubeSources){.file = file, .list = getenv("KUBECONFIG"), .home = getenv("HOME"),
                         .service_account = "/var/run/secrets/kubernetes.io/serviceaccount",
                         .service_host = getenv("KUBERNETES_SERVICE_HOST"), .service_port = getenv("KUBERNETES_SERVICE_PORT")};
}

Kubeconfig *kubeconfig_keep(const Kubeconfig *config)
{
    CountedConfig *counted = (CountedConfig *)(uintptr_t)config;
    if (counted)
        atomic_fetch_add(&counted->holders, 1);
    return config ? &counted->is : NULL;
}

void kubeconfig_drop(Kubeconfig *config)
{
    CountedConfig *counted = (CountedConfig *)config;
    if (!counted || atomic_fetch_sub(&counted->holders, 1) != 1)
        return;
    for (size_t i = 0; i < config->count; i++) {
        free(config->contexts[i].name);
        free(config->contexts[i].namespace);
    }
    free(config->contexts);
    free(config->current);
    list_done(&config->files);
    list_done(&counted->cluster_names);
    list_done(&counted->user_names);
    map_done(&counted->names, NULL);
    map_done(&counted->clusters, kube_cluster_free);
    map_done(&counted->users, kube_user_free);
    free(counted);
}

static CountedConfig *new_config(void)
{
    CountedConfig *counted = mem_new(sizeof *counted);
    atomic_init(&counted->holders, 1);
    map_init(&counted->names);
    map_init(&counted->clusters);
    map_init(&counted->users);
    return counted;
}

/* --------------------------------------------------------------------------------------------------------------- one file */

typedef struct Reading {
    CountedConfig *config;
    const char *path;
    char *directory;
    Map seen; /* names of the list that is being read: twice in one file is an error */
    Error *error;
} Reading;

typedef void (*TakeEntry)(Reading *reading, const char *name, const Tree *map);

static bool refuse(const Reading *reading, const Tree *at, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool refuse(const Reading *reading, const Tree *at, const char *format, ...)
{
    char where[256];
    va_list args;
    va_start(args, format);
    char *what = mem_vformat(format, args);
    va_end(args);
    error_set(reading->error, ERROR_USAGE, at->line ? tree_where(at, where) : reading->path, NULL, "%s", what);
    free(what);
    return false;
}

static void take_cluster(Reading *reading, const char *name, const Tree *map)
{
    if (!map_has(&reading->config->clusters, name))
        map_put(&reading->config->clusters, name, kube_cluster_read(name, map, reading->directory));
}

static void take_user(Reading *reading, const char *name, const Tree *map)
{
    if (!map_has(&reading->config->users, name))
        map_put(&reading->config->users, name, kube_user_read(name, map, reading->directory));
}

static void take_context(Reading *reading, const char *name, const Tree *map)
{
    CountedConfig *config = reading->config;
    if (map_has(&config->names, name))
        return;
    config->is.contexts = mem_grow(config->is.contexts, config->is.count, &config->capacity, sizeof *config->is.contexts);
    KubeContext *context = &config->is.contexts[config->is.count++];
    *context = (KubeContext){.name = mem_text(name)};
    map_put(&config->names, name, (void *)(uintptr_t)config->is.count);
    const char *cluster = kube_text(map, "cluster", "a context", &context->problem), *user = kube_text(map, "user", "a context", &context->problem);
    context->namespace = mem_text(kube_text(map, "namespace", "a context", &context->problem));
    list_add(&config->cluster_names, cluster ? cluster : "");
    list_add(&config->user_names, user ? user : "");
}

/* clusters: [{name: N, cluster: {…}}] */
static bool read_entries(Reading *reading, const Tree *document, const char *plural, const char *word, TakeEntry take)
{
    const Tree *list = tree_get(document, plural);
    if (!list || list->kind == TREE_NULL)
        return true;
    if (list->kind != TREE_LIST)
        return refuse(reading, list, "%s must be a list", plural);
    if (list->count > ENTRIES_MAX)
        return refuse(reading, list, "too many %s", plural);
    bool right = true;
    map_init(&reading->seen);
    for (size_t i = 0; right && i < list->count; i++) {
        const Tree *item = list->items[i], *map = tree_get(item, word);
        const char *name = tree_text(tree_get(item, "name"));
        if (item->kind != TREE_MAP || !name)
            right = refuse(reading, item, "each of %s must have a name and a %s", plural, word);
        else if (map_has(&reading->seen, name))
            right = refuse(reading, item, "%s %s stands here twice", word, name);
        else if (map && map->kind != TREE_MAP && map->kind != TREE_NULL)
            right = refuse(reading, map, "%s %s must be a map", word, name);
        if (!right)
            break;
        map_put(&reading->seen, name, NULL);
        take(reading, name, map);
    }
    map_done(&reading->seen, NULL);
    return right;
}

static bool read_document(Reading *reading, const Tree *document)
{
    if (document->kind == TREE_NULL)
        return true;
    const char *kind = document->kind == TREE_MAP ? tree_text(tree_get(document, "kind")) : NULL;
    if (document->kind != TREE_MAP || (kind && *kind && strcmp(kind, "Config") != 0))
        return refuse(reading, document, "it is no kubeconfig");
    const Tree *current = tree_get(document, "current-context");
    const char *name = current && current->kind != TREE_NULL ? tree_text(current) : NULL;
    if (!reading->config->is.current && name && *name)
        reading->config->is.current = mem_text(name);
    return read_entries(reading, document, "clusters", "cluster", take_cluster) && read_entries(reading, document, "users", "user", take_user) &&
           read_entries(reading, document, "contexts", "context", take_context);
}

/* Relative paths of a file are meant from its own folder. */
static char *folder_of(const char *path)
{
    char here[PATH_MAX];
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_text_n(path, slash == path ? 1 : (size_t)(slash - path)) : mem_text(".");
    if (*folder == '/' || !getcwd(here, sizeof here))
        return folder;
    char *whole = file_join(here, folder);
    free(folder);
    return whole;
}

static void wipe_texts(Tree *tree)
{
    if (tree->text)
        secret_wipe(tree->text, strlen(tree->text));
    for (size_t i = 0; i < tree->count; i++)
        wipe_texts(tree->items[i]);
}

/* missing is set, and the answer true, where there is no such file. */
static bool read_file(CountedConfig *config, const char *path, bool *missing, Error *error)
{
    Error why = {0};
    Buffer bytes;
    buffer_init(&bytes, TREE_MAX_BYTES);
    bool right = file_read(path, &bytes, &why);
    *missing = !right && why.code == ERROR_NOT_FOUND;
    Tree *document = right ? tree_parse(path, bytes.bytes, bytes.length, &why) : NULL;
    buffer_wipe(&bytes);
    if (document) {
        Reading reading = {.config = config, .path = path, .directory = folder_of(path), .error = &why};
        right = read_document(&reading, document);
        free(reading.directory);
        wipe_texts(document);
        tree_free(document);
        list_add(&config->is.files, path);
    } else {
        right = *missing;
    }
    if (!right && error)
        *error = why;
    return right;
}

/* ---------------------------------------------------------------------------------------------------------------- a pod's */

/* As a pod sees its own cluster: https://HOST:PORT, the token and the authority in files that are renewed. */
static bool read_service_account(CountedConfig *config, const KubeSources *sources)
{
    const char *host = sources->service_host, *port = sources->service_port, *folder = sources->service_account;
    if (!host || !*host || !port || !*port || !folder)
        return false;
    KubeUser *user = mem_new(sizeof *user);
    KubeCluster *cluster = mem_new(sizeof *cluster);
    Buffer text;
    buffer_init(&text, TOKEN_MAX);
    user->name = mem_text("service account");
    user->token_file = file_join(folder, "token");
    cluster->name = mem_text("in-cluster");
    cluster->server = mem_format(strchr(host, ':') && *host != '[' ? "https://[%s]:%s" : "https://%s:%s", host, port);
    cluster->ca_file = file_join(folder, "ca.crt");
    map_put(&config->clusters, cluster->name, cluster);
    map_put(&config->users, user->name, user);
    if (access(user->token_file, R_OK) != 0)
        return false;
    if (access(cluster->ca_file, R_OK) != 0) { /* then the system's authorities have to do, as for kubectl */
        free(cluster->ca_file);
        cluster->ca_file = NULL;
    }
    Reading reading = {.config = config};
    take_context(&reading, "in-cluster", NULL);
    free(config->cluster_names.items[0]);
    free(config->user_names.items[0]);
    config->cluster_names.items[0] = mem_text(cluster->name);
    config->user_names.items[0] = mem_text(user->name);
    char *space = file_join(folder, "namespace");
    if (file_read(space, &text, NULL) && text.length)
        config->is.contexts[0].namespace = mem_text_n(text.bytes, strcspn(text.bytes, " \r\n"));
    buffer_done(&text);
    free(space);
    config->is.current = mem_text("in-cluster");
    config->is.in_cluster = true;
    return true;
}

/* ------------------------------------------------------------------------------------------------------------------ whole */

static void join_context(CountedConfig *config, size_t i)
{
    KubeContext *context = &config->is.contexts[i];
    const char *cluster = config->cluster_names.items[i], *user = config->user_names.items[i];
    const char *where = config->is.files.count == 1 ? config->is.files.items[0] : "kubeconfig";
    context->cluster = map_get(&config->clusters, cluster);
    context->user = *user ? map_get(&config->users, user) : NULL;
    if (context->problem.code != ERROR_OK)
        return;
    if (!*cluster)
        error_set(&context->problem, ERROR_USAGE, where, NULL, "context %s names no cluster", context->name);
    else if (!context->cluster)
        error_set(&context->problem, ERROR_USAGE, where, NULL, "context %s names cluster %s, which is not there", context->name, cluster);
    else if (*user && !context->user)
        error_set(&context->problem, ERROR_USAGE, where, NULL, "context %s names user %s, who is not there", context->name, user);
    else if (context->cluster->problem.code != ERROR_OK)
        context->problem = context->cluster->problem;
    else if (context->user && context->user->problem.code != ERROR_OK)
        context->problem = context->user->problem;
}

/* Files that are not there are passed over, as kubectl does. */
static bool read_list(CountedConfig *config, const char *list, Error *error)
{
    bool right = true, missing;
    for (const char *at = list; right && *at; at += strcspn(at, ":"), at += *at == ':') {
        char *path = mem_text_n(at, strcspn(at, ":"));
        right = !*path || read_file(config, path, &missing, error);
        free(path);
    }
    return right;
}

static bool read_sources(CountedConfig *config, const KubeSources *sources, Error *error)
{
    bool missing = false;
    if (sources->file) {
        char *path = file_expand_home(sources->file);
        bool right = read_file(config, path, &missing, error);
        if (missing)
            right = error_set(error, ERROR_ABSENT, path, NULL, "there is no such kubeconfig");
        free(path);
        return right;
    }
    if (sources->list && *sources->list)
        return read_list(config, sources->list, error);
    if (!sources->home || !*sources->home)
        return true;
    char *path = file_join(sources->home, ".kube/config");
    bool right = read_file(config, path, &missing, error);
    free(path);
    return right;
}

Kubeconfig *kubeconfig_read(const KubeSources *sources, Error *error)
{
    CountedConfig *config = new_config();
    bool right = read_sources(config, sources, error);
    if (right && config->is.count == 0 && !config->is.current && (sources->file || !read_service_account(config, sources))) {
        bool listed = sources->list && *sources->list;
        const char *where = config->is.files.count ? config->is.files.items[0] : listed ? "KUBECONFIG" : "~/.kube/config";
        right = error_set(error, ERROR_ABSENT, where, NULL, config->is.files.count ? "it has no contexts" : listed ? "none of its files is there" : "there is no kubeconfig");
    }
    if (!right) {
        kubeconfig_drop(&config->is);
        return NULL;
    }
    for (size_t i = 0; i < config->is.count; i++)
        join_context(config, i);
    return &config->is;
}

const KubeContext *kubeconfig_find(const Kubeconfig *config, const char *name, Error *error)
{
    const CountedConfig *counted = (const CountedConfig *)config;
    const char *wanted = name ? name : config->current, *where = config->files.count == 1 ? config->files.items[0] : "kubeconfig";
    size_t place = wanted ? (size_t)(uintptr_t)map_get(&counted->names, wanted) : 0;
    if (place)
        return &config->contexts[place - 1];
    if (!wanted)
        error_set(error, ERROR_ABSENT, where, "kubectl config use-context NAME, or `context: NAME` for this backend", "no context is the current one");
    else
        error_set(error, ERROR_USAGE, where, "kubectl config get-contexts lists them", "there is no context %s", wanted);
    return NULL;
}
