#include "backends/common/notebooks.h"

#include "backends/common/command.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST_BYTES = 64 << 10, FILES_MOST = 1000, ANSWER_MOST_BYTES = 16 << 20, SESSIONS_MS = 3000 };

void notebook_server_free(NotebookServer *server)
{
    if (!server)
        return;
    free(server->name);
    free(server->url);
    free(server->socket);
    free(server->connect_to);
    free(server->root);
    secret_free(server->token);
    free(server);
}

void notebook_servers_done(NotebookServers *list)
{
    for (size_t i = 0; i < list->count; i++)
        notebook_server_free(list->items[i]);
    free(list->items);
    *list = (NotebookServers){0};
}

const NotebookServer *notebook_servers_find(const NotebookServers *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i]->name, name) == 0)
            return list->items[i];
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------------------- addresses */

/* http(s)://HOST[:PORT]/BASE/ */
typedef struct Place {
    char *host;
    int port;
    const char *base;  /* from the first slash; "" */
} Place;

static bool read_place(const char *url, Place *out)
{
    bool secure = strncasecmp(url, "https://", 8) == 0;
    *out = (Place){.port = secure ? 443 : 80};
    if (!secure && strncasecmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + (secure ? 8 : 7), *end = host + strcspn(host, "/");
    bool six = *host == '[';
    const char *stop = six ? memchr(host, ']', (size_t)(end - host)) : memchr(host, ':', (size_t)(end - host));
    if (six && !stop)
        return false;
    stop = stop ? stop : end;
    const char *colon = six ? stop + 1 : stop;
    if (colon < end && *colon == ':')
        out->port = (int)strtol(colon + 1, NULL, 10);
    out->host = mem_text_n(host + six, (size_t)(stop - host - six));
    out->base = end;
    bool right = *out->host && out->port > 0 && out->port < 65536 && !strpbrk(out->host, "@ \\\"<>%");
    if (right)
        return true;
    free(out->host);
    *out = (Place){0};
    return false;
}

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 127)
            return false;
    return true;
}

static char *with_slash(const char *text)
{
    size_t n = strlen(text);
    return n && text[n - 1] == '/' ? mem_text(text) : mem_format("%s/", text);
}

/* ------------------------------------------------------------------------------------------------------------- runtime files */

char *notebook_runtime_directory(void)
{
    const char *runtime = getenv("JUPYTER_RUNTIME_DIR"), *data = getenv("JUPYTER_DATA_DIR"), *xdg = getenv("XDG_DATA_HOME");
    if (runtime && *runtime)
        return mem_text(runtime);
    if (data && *data)
        return file_join(data, "runtime");
    if (xdg && *xdg)
        return file_join(xdg, "jupyter/runtime");
#ifdef __APPLE__
    return file_expand_home("~/Library/Jupyter/runtime");
#else
    return file_expand_home("~/.local/share/jupyter/runtime");
#endif
}

/* One on this host is called the same whether its file led to it or an address in the config; its base tells apart what one proxy leads to. */
static char *local_name(int port, const char *base)
{
    size_t n = strlen(base);
    while (n && base[n - 1] == '/')
        n--;
    return mem_format("localhost:%d%.*s", port, (int)n, base);
}

static void take_place(const cJSON *json, NotebookServer *server)
{
    const char *url = json_text(json, "url"), *base = json_text(json, "base_url"), *socket = json_text(json, "sock");
    int64_t port = json_integer(json, "port");
    Place place;
    if (!base || *base != '/' || !is_one_line(base))
        base = "/";
    if (socket && *socket) {
        char *whole = mem_format("http://localhost%s", base);
        server->socket = mem_text(socket);
        server->name = mem_text(socket);
        server->url = with_slash(whole);
        free(whole);
    } else if (port > 0 && port < 65536 && url && is_one_line(url) && read_place(url, &place)) {
        server->port = (int)port;
        server->name = local_name(server->port, place.base);
        server->url = with_slash(url);
        free(place.host);
    }
}

NotebookServer *notebook_server_parse(const char *bytes, size_t n)
{
    cJSON *json = json_parse(bytes, n, NULL, NULL);
    NotebookServer *server = mem_new(sizeof *server);
    const char *token = json_text(json, "token"), *root = json_text(json, "root_dir");
    int64_t pid = json_integer(json, "pid");
    take_place(json, server);
    server->pid = pid > 0 && pid < INT32_MAX ? (pid_t)pid : 0;
    server->root = mem_text(root ? root : json_text(json, "notebook_dir")); /* as servers before 2021 called it */
    server->token = token && *token ? secret_new(token, strlen(token)) : NULL;
    server->has_password = json_truth(json, "password") == 1;
    if (token)
        secret_wipe(json_member(json, "token")->valuestring, strlen(token));
    cJSON_Delete(json);
    if (server->url && server->pid)
        return server;
    notebook_server_free(server);
    return NULL;
}

static bool is_server_file(const char *name)
{
    size_t n = strlen(name);
    bool begins = strncmp(name, "jpserver-", 9) == 0 || strncmp(name, "nbserver-", 9) == 0;
    return begins && n > 14 && strcmp(name + n - 5, ".json") == 0;
}

/* Ours, and no link: somebody else's could name a server that gets to see a token. */
static NotebookServer *read_file(int directory, const char *name)
{
    struct stat st;
    Buffer text;
    NotebookServer *server = NULL;
    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return NULL;
    buffer_init(&text, FILE_MOST_BYTES);
    if (file_read_at(directory, name, &text))
        server = notebook_server_parse(text.bytes, text.length);
    buffer_wipe(&text);
    return server;
}

static void read_files(const char *path, NotebookServers *out)
{
    DIR *directory = opendir(path);
    size_t files = 0;
    for (struct dirent *entry; directory && files < FILES_MOST && (entry = readdir(directory));) {
        NotebookServer *server = is_server_file(entry->d_name) ? read_file(dirfd(directory), entry->d_name) : NULL;
        files += is_server_file(entry->d_name);
        if (!server)
            continue;
        out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = server;
    }
    if (directory)
        closedir(directory);
}

static bool is_own_socket(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid();
}

/* Another program may have the pid by now, and homes may be shared by hosts: only who holds that very port is the server. */
static void check_running(NotebookServer *server, const Processes *processes, const Listeners *listeners)
{
    const Process *process = processes_find(processes, server->pid);
    if (!process)
        return;
    server->start = process->start;
    if (server->socket) {
        server->here = is_own_socket(server->socket);
        return;
    }
    for (size_t i = 0; i < listeners->count && !server->here; i++) {
        const Listener *listener = &listeners->items[i];
        const char *host = sockets_reach(listener);
        if (listener->port != server->port || listener->pid != server->pid)
            continue;
        server->here = true;
        server->connect_to = mem_format(strchr(host, ':') ? "::[%s]:%d" : "::%s:%d", host, server->port);
    }
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const Process *)a)->pid, y = ((const Process *)b)->pid;
    return x < y ? -1 : x > y;
}

static void read_processes(const NotebookServers *servers, Processes *out)
{
    *out = (Processes){0};
    for (size_t i = 0; i < servers->count; i++) {
        Process process = {0};
        if (!process_read(servers->items[i]->pid, &process) || process_uid(&process) != geteuid())
            continue;
        out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = process;
    }
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, by_pid);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(NotebookServer *const *)a)->name, (*(NotebookServer *const *)b)->name);
}

/* Two of one name: a port of IPv4 and of IPv6. Its pid tells them apart. */
static void tell_apart(NotebookServers *list)
{
    for (size_t i = 1; i < list->count; i++)
        if (strcmp(list->items[i]->name, list->items[i - 1]->name) == 0) {
            char *name = mem_format("%s:%ld", list->items[i]->name, (long)list->items[i]->pid);
            free(list->items[i]->name);
            list->items[i]->name = name;
        }
}

void notebook_servers_running(const char *directory, NotebookServers *out)
{
    Processes processes;
    Listeners listeners = {0};
    NotebookServers all = {0};
    *out = (NotebookServers){0};
    read_files(directory, &all);
    read_processes(&all, &processes);
    if (processes.count && sockets_listening(&listeners, NULL))
        process_owners(&processes, &listeners);
    for (size_t i = 0; i < all.count; i++) {
        check_running(all.items[i], &processes, &listeners);
        if (all.items[i]->here) {
            out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
            out->items[out->count++] = all.items[i];
        } else {
            notebook_server_free(all.items[i]);
        }
    }
    free(all.items);
    sockets_done(&listeners);
    processes_done(&processes);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, by_name);
    tell_apart(out);
}

/* ------------------------------------------------------------------------------------------------------------------ by URL */

/* "?token=…" of an address as Jupyter prints it. */
static Secret *token_in(const char *query)
{
    for (const char *at = query; at && *at; at = strchr(at, '&')) {
        at++;
        if (strncmp(at, "token=", 6) == 0)
            return secret_new(at + 6, strcspn(at + 6, "&#"));
    }
    return NULL;
}

static void cut_page(char *url)
{
    static const char *const pages[] = {"/lab", "/lab/", "/tree", "/tree/", "/notebooks/"};
    size_t n = strlen(url);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        size_t m = strlen(pages[i]);
        if (n > m && strcmp(url + n - m, pages[i]) == 0) {
            url[n - m + 1] = 0;
            return;
        }
    }
}

NotebookServer *notebook_server_at(const char *url, Secret *token, Error *error)
{
    NotebookServer *server = mem_new(sizeof *server);
    size_t n = strcspn(url, "?#");
    char *plain = mem_text_n(url, n);
    Place place;
    server->token = token ? token : token_in(url[n] == '?' ? url + n : NULL);
    cut_page(plain);
    server->url = with_slash(plain);
    free(plain);
    if (!is_one_line(server->url) || !read_place(server->url, &place)) {
        notebook_server_free(server);
        error_set(error, ERROR_USAGE, NULL, "write http(s)://HOST:PORT/", "the address of a Jupyter server cannot be understood");
        return NULL;
    }
    bool standard = place.port == (strncasecmp(server->url, "https", 5) == 0 ? 443 : 80), local = sockets_is_local(place.host);
    size_t base = strlen(place.base);
    server->port = place.port;
    if (local)
        server->name = local_name(place.port, place.base);
    else if (standard)
        server->name = mem_format("%s%.*s", place.host, (int)(base - 1), place.base);
    else
        server->name = mem_format(strchr(place.host, ':') ? "[%s]:%d%.*s" : "%s:%d%.*s", place.host, place.port, (int)(base - 1), place.base);
    free(place.host);
    return server;
}

/* ------------------------------------------------------------------------------------------------------------------- asking */

/* Who asks, and by which way. */
static void sign(const NotebookServer *server, HttpRequest *request)
{
    request->secret_header = server->token ? "Authorization: token " : NULL;
    request->secret = server->token;
    request->unix_socket = server->socket;
    request->connect_to = server->connect_to;
}

static bool say_no_entry(const NotebookServer *server, const char *where, Error *error)
{
    if (server->token)
        return error_set(error, ERROR_SIGN_IN, where, "see `servers` of this backend", "the Jupyter server does not take the token");
    if (server->has_password)
        return error_set(error, ERROR_SIGN_IN, where, "start it with a token, or give one in `servers` of this backend",
                         "the Jupyter server asks for a password and has no token: only a browser can sign in");
    return error_set(error, ERROR_SIGN_IN, where, "give a token in `servers` of this backend", "the Jupyter server takes no request without a token");
}

/* Its errors are {"message": "…"}; pages of HTML come from elsewhere, or for what it does not know. */
static bool say_failure(const NotebookServer *server, const char *where, const HttpReply *reply, Error *error)
{
    cJSON *json = strstr(reply->content_type, "json") ? json_parse(reply->body.bytes, reply->body.length, NULL, NULL) : NULL;
    const char *said = json_text(json, "message");
    int status = reply->status;
    ErrorCode code = status == 404 ? ERROR_NOT_FOUND : status == 403 ? ERROR_DENIED : status >= 500 ? ERROR_UNREACHABLE : ERROR_BAD_REPLY;
    if (status == 401 || (status == 403 && (!said || strcmp(said, "Forbidden") == 0)))
        say_no_entry(server, where, error);
    else if (status >= 300 && status < 400)
        error_set(error, ERROR_SIGN_IN, where, "is its address right, and its token?", "it answers with a redirect to somewhere else, as a sign-in page would: not followed");
    else if (said && *said)
        error_set(error, code, where, NULL, "the Jupyter server says: %s", said);
    else
        error_set(error, code, where, NULL, "the Jupyter server answers with status %d%s", status,
                  status == 502 || status == 503 || status == 504 || status == 424 ? ": what stands behind its proxy is down" : "");
    cJSON_Delete(json);
    return false;
}

bool notebook_ask(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *method, const char *path, const char *body,
                  int64_t timeout_ms, HttpReply *reply, int *status, Error *error)
{
    List headers = {0};
    char *url = mem_format("%s%s%s", server->url, path, method ? "" : "?no_track_activity=1");
    HttpRequest request = {.where = where, .method = method, .url = url, .headers = &headers, .body = body, .body_length = body ? strlen(body) : 0,
                           .timeout_ms = timeout_ms, .most_bytes = ANSWER_MOST_BYTES};
    sign(server, &request);
    if (body)
        list_add(&headers, "Content-Type: application/json");
    *status = 0;
    bool right = http_run(io, context, &request, reply, error);
    list_done(&headers);
    free(url);
    if (!right)
        return false;
    *status = reply->status;
    if (reply->status == 204 || (reply->status >= 200 && reply->status < 300 && strstr(reply->content_type, "json")))
        return true;
    if (reply->status >= 200 && reply->status < 300)
        error_set(error, ERROR_BAD_REPLY, where, "is its address right?", "it answers with %s, not with JSON: this is no Jupyter server, or a sign-in page",
                  *reply->content_type ? reply->content_type : "nothing");
    else
        say_failure(server, where, reply, error);
    http_reply_done(reply);
    return false;
}

static Http *start_proxied(void *user, Io *io, HttpRequest *request, const char *path, HttpDone done, void *done_user, Error *error)
{
    const NotebookServer *server = user;
    char *url = mem_format("%s%s", server->url, path);
    request->url = url;
    sign(server, request);
    Http *http = http_start(io, request, done, done_user, error);
    free(url);
    return http;
}

static void refuse_proxied(void *user, const HttpReply *reply, Error *error)
{
    say_failure(user, NULL, reply, error);
}

ProbeHttp notebook_http(const NotebookServer *server)
{
    return (ProbeHttp){start_proxied, refuse_proxied, (void *)server};
}

/* ------------------------------------------------------------------------------------------------------------------ sessions */

void notebook_sessions_done(NotebookSessions *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].name);
        free(list->items[i].kind);
        free(list->items[i].kernel);
    }
    free(list->items);
    *list = (NotebookSessions){0};
}

bool notebook_sessions_decode(const char *bytes, size_t n, const char *where, NotebookSessions *out, Error *error)
{
    cJSON *json = json_parse(bytes, n, where, error), *item;
    *out = (NotebookSessions){0};
    if (!json)
        return false;
    bool right = cJSON_IsArray(json);
    cJSON_ArrayForEach(item, json)
    {
        const char *path = json_text(item, "path"), *kernel = json_text(json_member(item, "kernel"), "id");
        if (!right || !path || !kernel)
            continue;
        out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = (NotebookSession){mem_text(path), mem_text(json_text(item, "name")), mem_text(json_text(item, "type")), mem_text(kernel)};
    }
    cJSON_Delete(json);
    return right || error_set(error, ERROR_BAD_REPLY, where, NULL, "its answer is no list of sessions");
}

bool notebook_sessions(const NotebookServer *server, const char *where, Io *io, const Context *context, NotebookSessions *out, Error *error)
{
    HttpReply reply;
    int status;
    *out = (NotebookSessions){0};
    if (!notebook_ask(server, where, io, context, NULL, "api/sessions", NULL, SESSIONS_MS, &reply, &status, error))
        return false;
    bool right = notebook_sessions_decode(reply.body.bytes, reply.body.length, where, out, error);
    http_reply_done(&reply);
    return right;
}

const NotebookSession *notebook_session_of(const NotebookSessions *list, const char *kernel)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].kernel, kernel) == 0)
            return &list->items[i];
    return NULL;
}

char *notebook_kernel_id(const List *argv)
{
    const char *path = command_option(argv, "-f"), *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path;
    size_t n = name ? strlen(name) : 0;
    if (n <= 12 || strncmp(name, "kernel-", 7) != 0 || strcmp(name + n - 5, ".json") != 0)
        return NULL;
    return mem_text_n(name + 7, n - 12);
}
