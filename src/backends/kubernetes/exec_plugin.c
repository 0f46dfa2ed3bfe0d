#include "backends/kubernetes/exec_plugin.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "io/child.h"

#include <stdlib.h>
#include <string.h>

enum { OUTPUT_MAX = 1 << 20, AUTHORITY_MAX = 1 << 20 };

extern char **environ;

void exec_given_done(ExecGiven *given)
{
    secret_free(given->token);
    secret_free(given->cert);
    secret_free(given->key);
    *given = (ExecGiven){.expires_ms = TIME_UNKNOWN};
}

/* -------------------------------------------------------------------------------------------------------- what it printed */

static Secret *take_secret(const cJSON *status, const char *key)
{
    const cJSON *item = json_member(status, key);
    if (!cJSON_IsString(item) || !*item->valuestring)
        return NULL;
    Secret *secret = secret_new(item->valuestring, strlen(item->valuestring));
    secret_wipe(item->valuestring, strlen(item->valuestring));
    return secret;
}

static bool take_status(const cJSON *json, const char *name, const char *where, ExecGiven *given, Error *error)
{
    const cJSON *status = json_member(json, "status");
    const char *expires = json_text(status, "expirationTimestamp");
    given->token = take_secret(status, "token");
    given->cert = take_secret(status, "clientCertificateData");
    given->key = take_secret(status, "clientKeyData");
    given->expires_ms = time_parse(expires);
    if (expires && *expires && given->expires_ms == TIME_UNKNOWN)
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "sign-in by %s: it printed an expirationTimestamp that is no time", name);
    if (!given->cert != !given->key)
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "sign-in by %s: it printed a certificate without its key, or a key without it", name);
    if (!given->token && !given->cert)
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "sign-in by %s: it printed neither a token nor a certificate", name);
    return true;
}

bool exec_plugin_read(const KubeExec *exec, const char *bytes, size_t n, const char *where, ExecGiven *given, Error *error)
{
    const char *name = exec->command.items[0];
    cJSON *json = json_parse(bytes, n, where, NULL);
    const char *kind = json_text(json, "kind"), *version = json_text(json, "apiVersion");
    *given = (ExecGiven){.expires_ms = TIME_UNKNOWN};
    bool right = kind && strcmp(kind, "ExecCredential") == 0;
    if (!right)
        error_set(error, ERROR_BAD_REPLY, where, "run it by hand to see what it prints", "sign-in by %s: what it printed is no ExecCredential", name);
    else if (!version || strcmp(version, exec->version) != 0)
        right = error_set(error, ERROR_BAD_REPLY, where, NULL, "sign-in by %s: it speaks %s, the kubeconfig says %s", name, version ? version : "no version",
                          exec->version);
    else
        right = take_status(json, name, where, given, error);
    cJSON_Delete(json);
    if (!right)
        exec_given_done(given);
    return right;
}

/* ------------------------------------------------------------------------------------------------------- what it is told */

static void put_authority(JsonWriter *json, const KubeCluster *cluster)
{
    Buffer pem, text;
    buffer_init(&pem, AUTHORITY_MAX);
    buffer_init(&text, BUFFER_ANY);
    if (cluster->ca)
        buffer_text(&pem, cluster->ca);
    else if (cluster->ca_file)
        file_read(cluster->ca_file, &pem, NULL);
    base64_encode(pem.bytes, pem.length, &text);
    if (text.length)
        json_put_text(json, "certificate-authority-data", text.bytes);
    buffer_done(&pem);
    buffer_done(&text);
}

static void put_cluster(JsonWriter *json, const KubeCluster *cluster)
{
    json_object(json, "cluster");
    json_put_text(json, "server", cluster->server);
    if (cluster->tls_server_name)
        json_put_text(json, "tls-server-name", cluster->tls_server_name);
    if (cluster->insecure)
        json_put_truth(json, "insecure-skip-tls-verify", 1);
    put_authority(json, cluster);
    if (cluster->proxy)
        json_put_text(json, "proxy-url", secret_reveal(cluster->proxy));
    if (cluster->uncompressed)
        json_put_truth(json, "disable-compression", 1);
    cJSON *config = cluster->exec_config ? json_parse(cluster->exec_config, strlen(cluster->exec_config), NULL, NULL) : NULL;
    if (config)
        json_put_tree(json, "config", config);
    cJSON_Delete(config);
    json_close(json, '}');
}

static char *exec_info(const KubeExec *exec, const KubeCluster *cluster)
{
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    buffer_text(&out, "KUBERNETES_EXEC_INFO=");
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "apiVersion", exec->version);
    json_put_text(&json, "kind", "ExecCredential");
    json_object(&json, "spec");
    if (exec->wants_cluster)
        put_cluster(&json, cluster);
    json_put_truth(&json, "interactive", 0);
    json_close(&json, '}');
    json_close(&json, '}');
    return buffer_take(&out);
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* Of two values of one name a program would read the first. */
static void fill_environment(const KubeExec *exec, const KubeCluster *cluster, List *out)
{
    list_take(out, exec_info(exec, cluster));
    for (size_t i = 0; i < exec->environment.count; i++)
        if (!same_name("KUBERNETES_EXEC_INFO=", exec->environment.items[i]))
            list_add(out, exec->environment.items[i]);
    size_t own = out->count;
    for (char **ours = environ; *ours; ours++) {
        bool replaced = false;
        for (size_t i = 0; i < own && !replaced; i++)
            replaced = same_name(*ours, out->items[i]);
        if (!replaced)
            list_add(out, *ours);
    }
}

static void wipe_environment(List *list)
{
    for (size_t i = 0; i < list->count; i++)
        secret_wipe(list->items[i], strlen(list->items[i]));
    list_done(list);
}

/* ------------------------------------------------------------------------------------------------------------- running it */

/* The last line that holds something: programs explain themselves at the end. */
static char *last_line(const Buffer *text)
{
    size_t end = text->length;
    while (end && strchr(" \t\r\n", text->bytes[end - 1]))
        end--;
    size_t start = end;
    while (start && text->bytes[start - 1] != '\n')
        start--;
    return mem_text_n(text->bytes + start, end - start);
}

static bool say_failure(const KubeExec *exec, const ChildResult *result, const char *where, Error *error)
{
    char *said = last_line(&result->errors);
    error_set(error, ERROR_SIGN_IN, where, NULL, "sign-in by %s ended with status %d%s%s", exec->command.items[0], result->status, *said ? ": " : "", said);
    free(said);
    return false;
}

/* Why it did not come to an end: it is not there, writes without end, waits for somebody, or we were called off. */
static bool say_trouble(const KubeExec *exec, const char *where, const Context *context, const Error *why, Error *error)
{
    const char *name = exec->command.items[0];
    if (!context_check(context, where, error))
        return false;
    if (why->code == ERROR_TIMEOUT)
        return error_set(error, ERROR_TIMEOUT, where, "run it by hand: it may want to ask you something", "sign-in by %s: no answer in %d s", name,
                         EXEC_PLUGIN_MS / 1000);
    if (why->code == ERROR_NOT_FOUND)
        return error_set(error, ERROR_ABSENT, where, exec->install_hint ? exec->install_hint : "install it, or put its folder into PATH",
                         "sign-in by %s: there is no such program", name);
    return error_set(error, why->code, where, why->hint, "sign-in by %s: %s", name, why->what);
}

bool exec_plugin_run(const KubeExec *exec, const KubeCluster *cluster, const char *where, Io *io, const Context *context, ExecGiven *given, Error *error)
{
    List environment = {0};
    ChildResult result;
    Error why = {0};
    Context within = context_within(context, EXEC_PLUGIN_MS);
    ChildSpec spec = {.command = &exec->command, .environment = &environment, .most_bytes = OUTPUT_MAX};
    *given = (ExecGiven){.expires_ms = TIME_UNKNOWN};
    fill_environment(exec, cluster, &environment);
    bool ran = child_run(io, &within, &spec, &result, &why), right = false;
    wipe_environment(&environment);
    if (!ran)
        return say_trouble(exec, where, context, &why, error);
    if (result.status == 0)
        right = exec_plugin_read(exec, result.output.bytes ? result.output.bytes : "", result.output.length, where, given, error);
    else
        say_failure(exec, &result, where, error);
    child_result_done(&result);
    return right;
}
