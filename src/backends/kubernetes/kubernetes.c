/* Kubernetes: each context that the config names is an instance, whose Dask clusters are watched (discover.c). */
#include "backends/kubernetes/kubernetes.h"

#include "backends/kubernetes/discover.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------------ open */

static bool is_same_but_namespace(const KubeContext *a, const KubeContext *b)
{
    return a->problem.code == ERROR_OK && b->problem.code == ERROR_OK && a->cluster == b->cluster && a->user == b->user;
}

/* with_doubles: it stands for all contexts that differ from it by their namespace alone. */
static void add_instance(const BackendConfig *config, const Kubeconfig *kubeconfig, const KubeContext *context, bool with_doubles, Opened *opened)
{
    KubeBackend *own = mem_new(sizeof *own);
    own->backend = (Backend){.type = config->type, .config = config, .instance = mem_text(context->name)};
    own->kubeconfig = kubeconfig_keep(kubeconfig);
    own->context = context;
    own->where = mem_format("%s/%s", config->key, context->name);
    own->namespace = mem_text(context->namespace ? context->namespace : "default");
    list_add(&own->fallbacks, own->namespace);
    for (size_t i = 0; with_doubles && i < kubeconfig->count; i++) {
        const KubeContext *other = &kubeconfig->contexts[i];
        const char *namespace = other->namespace ? other->namespace : "default";
        if (is_same_but_namespace(context, other) && !list_has(&own->fallbacks, namespace))
            list_add(&own->fallbacks, namespace);
    }
    config_texts(config, "owner-labels", &own->owner_labels);
    config_texts(config, "namespace", &own->namespaces);
    own->wants_all = list_has(&own->namespaces, "*");
    if (own->wants_all)
        list_done(&own->namespaces);
    own->rights = rights_new(getenv("KUBERNETES_SERVICE_HOST") != NULL);
    if (context->problem.code == ERROR_OK)
        own->sign_in = sign_in_new(kubeconfig, context, config_text(config, "kubeconfig"), own->where);
    if (own->sign_in && sign_in_unverified(own->sign_in))
        own->backend.caution = "TLS not verified";
    opened_add(opened, &own->backend);
}

/* Two contexts of one server and one user see the same things, unless they are for different namespaces by the config. */
static bool is_double(const Kubeconfig *kubeconfig, const KubeContext *context)
{
    const KubeContext *current = kubeconfig->current ? kubeconfig_find(kubeconfig, NULL, NULL) : NULL;
    if (context == current)
        return false;
    if (current && is_same_but_namespace(current, context))
        return true;
    for (const KubeContext *other = kubeconfig->contexts; other < context; other++)
        if (is_same_but_namespace(other, context))
            return true;
    return false;
}

static bool open_contexts(const BackendConfig *config, const Kubeconfig *kubeconfig, Opened *opened, Error *error)
{
    List names = {0};
    bool right = true;
    config_texts(config, "context", &names);
    if (list_has(&names, "*")) {
        for (size_t i = 0; i < kubeconfig->count; i++)
            if (!is_double(kubeconfig, &kubeconfig->contexts[i]))
                add_instance(config, kubeconfig, &kubeconfig->contexts[i], true, opened);
        right = kubeconfig->count > 0 || error_set(error, ERROR_ABSENT, config->key, NULL, "the kubeconfig has no context");
    } else {
        for (size_t i = 0; right && i < (names.count ? names.count : 1); i++) {
            const KubeContext *context = kubeconfig_find(kubeconfig, names.count ? names.items[i] : NULL, error);
            right = context != NULL;
            if (right)
                add_instance(config, kubeconfig, context, false, opened);
        }
    }
    list_done(&names);
    return right;
}

static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    (void)context;
    KubeSources sources = kubeconfig_sources(config_text(config, "kubeconfig"));
    Kubeconfig *kubeconfig = kubeconfig_read(&sources, error);
    if (!kubeconfig)
        return false;
    bool right = open_contexts(config, kubeconfig, opened, error);
    kubeconfig_drop(kubeconfig);
    return right;
}

static void close_backend(Backend *backend)
{
    KubeBackend *own = kube_of(backend);
    discovering_free(own->discovering);
    if (own->sign_in)
        sign_in_free(own->sign_in);
    rights_free(own->rights);
    kubeconfig_drop(own->kubeconfig);
    list_done(&own->fallbacks);
    list_done(&own->namespaces);
    list_done(&own->owner_labels);
    free(own->where);
    free(own->namespace);
    backend_done(backend);
    free(own);
}

static bool discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    return kube_discover(kube_of(backend), context, sink, false, error);
}

static bool watch(Backend *backend, Context *context, Sink *sink, Error *error)
{
    return kube_discover(kube_of(backend), context, sink, true, error);
}

static bool login(const BackendConfig *config, List *command, Error *error)
{
    List names = {0};
    const char *file = config_text(config, "kubeconfig");
    KubeSources sources = kubeconfig_sources(file);
    Kubeconfig *kubeconfig = kubeconfig_read(&sources, error);
    config_texts(config, "context", &names);
    const char *name = names.count && strcmp(names.items[0], "*") != 0 ? names.items[0] : NULL;
    const KubeContext *context = kubeconfig ? kubeconfig_find(kubeconfig, name, error) : NULL;
    bool usable = context && context->problem.code == ERROR_OK;
    SignIn *sign_in = usable ? sign_in_new(kubeconfig, context, file, config->key) : NULL;
    bool right = sign_in && sign_in_login(sign_in, command, error);
    if (context && !usable && error)
        *error = context->problem;
    sign_in_free(sign_in);
    kubeconfig_drop(kubeconfig);
    list_done(&names);
    return right;
}

static void offer(List *sentences)
{
    KubeSources sources = kubeconfig_sources(NULL);
    Kubeconfig *kubeconfig = kubeconfig_read(&sources, NULL);
    if (!kubeconfig)
        return;
    const KubeContext *current = kubeconfig_find(kubeconfig, NULL, NULL);
    for (size_t i = 0; i < kubeconfig->count; i++)
        if (&kubeconfig->contexts[i] != current && !is_double(kubeconfig, &kubeconfig->contexts[i]))
            list_format(sentences, "Kubernetes context %s: `kubernetes: {context: %s}` below `dasktop: backends:` (\"*\" for all)",
                        kubeconfig->contexts[i].name, kubeconfig->contexts[i].name);
    kubeconfig_drop(kubeconfig);
}

/* ------------------------------------------------------------------------------------------------------------- for handles */

bool kube_usable(const KubeBackend *own, Error *error)
{
    if (own->sign_in)
        return true;
    if (error) {
        *error = own->context->problem;
        error_at(error, own->where);
    }
    return false;
}

bool kube_api(const KubeBackend *own, Api *api, Error *error)
{
    *api = (Api){.where = own->where, .sign_in = own->sign_in};
    if (!kube_usable(own, error))
        return false;
    api->io = io_new(error);
    return api->io != NULL;
}

void kube_api_done(Api *api)
{
    if (api->io)
        io_free(api->io);
    *api = (Api){0};
}

/* ------------------------------------------------------------------------------------------------------------------ type */

static const ConfigKey keys[] = {
    {.name = "kubeconfig", .kind = KEY_TEXT, .help = "its path (default: KUBECONFIG, ~/.kube/config, a pod's service account)"},
    {.name = "context", .kind = KEY_TEXTS, .help = "which contexts (default: the current one; \"*\": all)"},
    {.name = "namespace", .kind = KEY_TEXTS, .help = "which namespaces (default: all that you may list)"},
    {.name = "owner-labels", .kind = KEY_TEXTS, .help = "labels or annotations that name a cluster's owner"},
    {0},
};

const BackendType kubernetes_backend = {
    .name = "kubernetes",
    .summary = "Dask on Kubernetes: the operator's clusters, classic ones, Helm releases, Dask Gateway's",
    .signs_in = "as kubectl does: kubeconfig, exec plugins, service accounts",
    .rank = 30,
    .many = true,
    .automatic = true,
    .labels = true,
    .can = 1u << CAN_SCALE | 1u << CAN_ADAPT | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .creates = kube_creates,
    .open = open_backend,
    .close = close_backend,
    .discover = discover,
    .watch = watch,
    .offer = offer,
    .login = login,
    .create = kube_create,
    .reconstruct = kube_reconstruct,
};
