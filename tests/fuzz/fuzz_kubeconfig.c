/* A kubeconfig, and what a credential plugin printed. */
#include "backends/kubernetes/exec_plugin.h"
#include "backends/kubernetes/sign_in.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_output(const uint8_t *data, size_t size)
{
    static char version[] = "client.authentication.k8s.io/v1", name[] = "plugin", *items[] = {name, NULL};
    const KubeExec exec = {.version = version, .command = {.items = items, .count = 1}};
    ExecGiven given;
    Error error = {0};
    if (exec_plugin_read(&exec, (const char *)data, size, "here", &given, &error))
        assert((given.token || given.cert) && !given.cert == !given.key);
    else
        assert(*error.what && !given.token && !given.cert && !given.key);
    exec_given_done(&given);
}

static void use(const Kubeconfig *config, const KubeContext *context)
{
    HttpRequest request = {0};
    SignInHeld held;
    if (context->problem.code != ERROR_OK) {
        assert(*context->problem.what && !strchr(context->problem.what, '\n'));
        return;
    }
    assert(context->cluster && strncmp(context->cluster->server, "http", 4) == 0);
    SignIn *sign_in = sign_in_new(config, context, NULL, "here");
    sign_in_apply(sign_in, "/api", &request, &held);
    assert(strstr(request.url, "/api"));
    sign_in_release(&held);
    sign_in_free(sign_in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/dasktop-fuzz-kube-%ld", (long)getpid());
    FILE *file = fopen(path, "wb");
    if (!file)
        abort();
    fwrite(data, 1, size, file);
    fclose(file);
    Error error = {0};
    KubeSources sources = {.file = path};
    Kubeconfig *config = kubeconfig_read(&sources, &error);
    assert(config || *error.what);
    for (size_t i = 0; config && i < config->count; i++)
        use(config, &config->contexts[i]);
    if (config)
        kubeconfig_find(config, NULL, &error);
    kubeconfig_drop(config);
    unlink(path);
    read_output(data, size);
    return 0;
}
