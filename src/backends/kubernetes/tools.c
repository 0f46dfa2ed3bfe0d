#include "backends/kubernetes/tools.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

char *tool_find(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *at = path; at && *at;) {
        size_t n = strcspn(at, ":");
        char *file = n ? mem_format("%.*s/%s", (int)n, at, name) : NULL;
        if (file && access(file, X_OK) == 0)
            return file;
        free(file);
        at += n + (at[n] == ':');
    }
    return NULL;
}

/* In a pod there is no kubeconfig: both programs find the service account by themselves, as we did. */
void tool_context(const KubeBackend *own, const char *option, List *command, List *environment)
{
    const Kubeconfig *config = own->kubeconfig;
    for (char **item = environ; *item; item++)
        if (strncmp(*item, "KUBECONFIG=", 11) != 0)
            list_add(environment, *item);
    if (config->in_cluster)
        return;
    Buffer files;
    buffer_init(&files, BUFFER_ANY);
    for (size_t i = 0; i < config->files.count; i++)
        buffer_format(&files, "%s%s", i ? ":" : "KUBECONFIG=", config->files.items[i]);
    if (files.length)
        list_add(environment, files.bytes);
    buffer_done(&files);
    list_add(command, option);
    list_add(command, own->context->name);
}

const char *tool_last_line(Buffer *output)
{
    while (output->length && strchr("\r\n ", output->bytes[output->length - 1]))
        output->bytes[--output->length] = 0;
    char *line = strrchr(output->bytes, '\n');
    return line ? line + 1 : output->bytes;
}
