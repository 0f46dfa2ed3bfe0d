#include "backends/kubernetes/sign_in.h"

#include "backends/kubernetes/exec_plugin.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MS = 60000, AGAIN_MS = 10000, EARLY_MS = 30000, TOKEN_MAX = 1 << 20 };

/* What requests carry: counted, constant. */
typedef struct Credentials {
    atomic_int holders;
    unsigned round;
    Kubeconfig *config; /* keeps the next two */
    const KubeCluster *cluster;
    const KubeUser *user; /* NULL */
    Secret *token;
    Tls *tls;
    int64_t look_ms;    /* monotonic: when its files are read again; NO_DEADLINE */
    int64_t expires_ms; /* Unix ms; TIME_UNKNOWN */
} Credentials;

/* One attempt to get them, of which others wait for the end. */
typedef struct Attempt {
    int holders;    /* under the lock */
    Cancel over;    /* its descriptor wakes them */
    bool abandoned; /* whoever made it was called off: that says nothing of the credentials */
    Error error;    /* constant once it is over */
} Attempt;

struct SignIn {
    char *where, *context_name, *file;
    char *server;     /* as the user wrote it */
    char *base;       /* what URLs begin with: the TLS name in the host's place where there is one */
    char *connect_to, *host_header; /* NULL without a TLS name */
    bool insecure;
    pthread_mutex_t lock; /* guards what follows */
    Kubeconfig *config;
    const KubeContext *context;
    Credentials *current; /* NULL before the first */
    bool forgotten;       /* the server refused them */
    Attempt *attempt;     /* under way; NULL */
    unsigned rounds;
};

static void credentials_drop(Credentials *credentials)
{
    if (!credentials || atomic_fetch_sub(&credentials->holders, 1) != 1)
        return;
    secret_free(credentials->token);
    tls_drop(credentials->tls);
    kubeconfig_drop(credentials->config);
    free(credentials);
}

/* ------------------------------------------------------------------------------------------------------------ the address */

typedef struct Address {
    char *scheme, *host, *port, *rest; /* host with the brackets that it came with; port never empty */
} Address;

static Address take_apart(const char *server)
{
    const char *at = strstr(server, "://") + 3, *end = at + strcspn(at, "/");
    const char *after = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
    const char *colon = memchr(after ? after : at, ':', (size_t)(end - (after ? after : at)));
    Address address = {.scheme = mem_text_n(server, (size_t)(at - 3 - server)), .rest = mem_text(end)};
    address.host = mem_text_n(at, (size_t)((colon ? colon : end) - at));
    address.port = colon && colon + 1 < end ? mem_text_n(colon + 1, (size_t)(end - colon - 1)) : mem_text(strcmp(address.scheme, "http") == 0 ? "80" : "443");
    return address;
}

/* curl takes the name that a certificate must have from the URL: so the name goes there, and the real host to where it connects. */
static void set_address(SignIn *sign_in, const KubeCluster *cluster)
{
    sign_in->server = mem_text(cluster->server);
    if (!cluster->tls_server_name || strncmp(cluster->server, "https://", 8) != 0) {
        sign_in->base = mem_text(cluster->server);
        return;
    }
    Address address = take_apart(cluster->server);
    const char *name = cluster->tls_server_name;
    sign_in->base = mem_format("%s://%s:%s%s", address.scheme, name, address.port, address.rest);
    sign_in->connect_to = mem_format("%s:%s:%s:%s", name, address.port, address.host, address.port);
    sign_in->host_header = mem_format("Host: %s:%s", address.host, address.port);
    free(address.scheme);
    free(address.host);
    free(address.port);
    free(address.rest);
}

SignIn *sign_in_new(const Kubeconfig *config, const KubeContext *context, const char *file, const char *where)
{
    SignIn *sign_in = mem_new(sizeof *sign_in);
    sign_in->where = mem_text(where);
    sign_in->context_name = mem_text(context->name);
    sign_in->file = mem_text(file);
    sign_in->config = kubeconfig_keep(config);
    sign_in->context = context;
    sign_in->insecure = context->cluster->insecure;
    set_address(sign_in, context->cluster);
    pthread_mutex_init(&sign_in->lock, NULL);
    return sign_in;
}

void sign_in_free(SignIn *sign_in)
{
    if (!sign_in)
        return;
    credentials_drop(sign_in->current);
    kubeconfig_drop(sign_in->config);
    pthread_mutex_destroy(&sign_in->lock);
    free(sign_in->where);
    free(sign_in->context_name);
    free(sign_in->file);
    free(sign_in->server);
    free(sign_in->base);
    free(sign_in->connect_to);
    free(sign_in->host_header);
    free(sign_in);
}

/* ----------------------------------------------------------------------------------------------------------- getting them */

static bool read_secret(const char *path, Secret **out, Error *error)
{
    Buffer bytes;
    buffer_init(&bytes, TOKEN_MAX);
    bool right = file_read(path, &bytes, error);
    if (right)
        *out = secret_new(bytes.bytes, bytes.length);
    buffer_wipe(&bytes);
    return right;
}

/* Without the line end that editors leave. */
static bool read_token(const char *path, Secret **out, Error *error)
{
    Secret *whole = NULL;
    if (!read_secret(path, &whole, error))
        return false;
    const char *text = secret_reveal(whole), *start = text + strspn(text, " \t\r\n");
    size_t n = strlen(start);
    while (n && strchr(" \t\r\n", start[n - 1]))
        n--;
    *out = n ? secret_new(start, n) : NULL;
    secret_free(whole);
    return n > 0 || error_set(error, ERROR_SIGN_IN, path, NULL, "the token's file is empty");
}

static const char *reveal(const Secret *secret)
{
    return secret ? secret_reveal(secret) : NULL;
}

/* The certificate of a plugin comes before the entry's own. */
static bool make_tls(const KubeCluster *cluster, const KubeUser *user, const ExecGiven *given, Tls **out, Error *error)
{
    Secret *ca = NULL, *cert = NULL, *key = NULL;
    bool own = user && !given->cert;
    bool right = (!cluster->ca_file || read_secret(cluster->ca_file, &ca, error)) && (!own || !user->cert_file || read_secret(user->cert_file, &cert, error)) &&
                 (!own || !user->key_file || read_secret(user->key_file, &key, error));
    const Secret *which_cert = given->cert ? given->cert : cert ? cert : own ? user->cert : NULL;
    const Secret *which_key = given->cert ? given->key : key ? key : own ? user->key : NULL;
    if (right)
        *out = tls_from_bytes(ca ? secret_reveal(ca) : cluster->ca, reveal(which_cert), which_cert ? reveal(which_key) : NULL, error);
    if (right && *out)
        (*out)->insecure = cluster->insecure;
    secret_free(ca);
    secret_free(cert);
    secret_free(key);
    return right && *out;
}

static bool has_files(const KubeCluster *cluster, const KubeUser *user)
{
    return cluster->ca_file || (user && (user->token_file || user->cert_file || user->key_file));
}

/* That somebody has signed in at a terminal is remembered by a file: it may have been another dasktop. NULL: there is no place for it. */
static char *mark_path(const SignIn *sign_in, const KubeExec *exec)
{
    char *state = file_state_home(), name[48];
    uint64_t hash = hash_text(sign_in->context_name);
    for (size_t i = 0; i < exec->command.count; i++)
        hash = hash_bytes(exec->command.items[i], strlen(exec->command.items[i]) + 1, hash);
    snprintf(name, sizeof name, "signed-in-%016llx", (unsigned long long)hash);
    char *path = state ? file_join(state, name) : NULL;
    free(state);
    return path;
}

/* A program that insists on a terminal gets none here; once it had one, it may have kept what was said there. */
static bool may_run(const SignIn *sign_in, const KubeExec *exec, Error *error)
{
    char *path = exec->wants_terminal ? mark_path(sign_in, exec) : NULL;
    bool may = !exec->wants_terminal || (path && access(path, F_OK) == 0);
    free(path);
    return may || error_set(error, ERROR_SIGN_IN, sign_in->where, "`:login` with this backend's name runs it there", "sign-in by %s wants to ask at a terminal",
                            exec->command.items[0]);
}

/* Whether the entry's own token does, or its user name, kubectl runs no plugin beside it. */
static bool needs_exec(const KubeUser *user)
{
    return user && user->exec && !user->token && !user->token_file && !user->username;
}

static bool make_token(const KubeUser *user, ExecGiven *given, Secret **out, Error *error)
{
    *out = given->token;
    given->token = NULL;
    if (!user || *out)
        return true;
    if (user->token_file && read_token(user->token_file, out, user->token ? NULL : error))
        return true;
    if (user->token)
        *out = secret_new(secret_reveal(user->token), secret_length(user->token));
    return user->token || !user->token_file;
}

/* A little before they expire. Where they already have (by our clock) the server may still take them. */
static int64_t renewal_ms(int64_t expires_ms, int64_t now_ms)
{
    if (expires_ms == TIME_UNKNOWN)
        return TIME_UNKNOWN;
    int64_t left = expires_ms - now_ms;
    return left <= 0 ? now_ms + AGAIN_MS : expires_ms - (left / 10 < EARLY_MS ? left / 10 : EARLY_MS);
}

/* Waits; the lock is not held. */
static Credentials *make(SignIn *sign_in, Kubeconfig *config, const KubeContext *context, Io *io, const Context *until, Error *error)
{
    ExecGiven given = {.expires_ms = TIME_UNKNOWN};
    const KubeCluster *cluster = context->cluster;
    const KubeUser *user = context->user;
    if (needs_exec(user) && (!may_run(sign_in, user->exec, error) || !exec_plugin_run(user->exec, cluster, sign_in->where, io, until, &given, error)))
        return NULL;
    Credentials *made = mem_new(sizeof *made);
    atomic_init(&made->holders, 1);
    made->config = kubeconfig_keep(config);
    made->cluster = cluster;
    made->user = user;
    made->expires_ms = renewal_ms(given.expires_ms, clock_wall_ms());
    made->look_ms = has_files(cluster, user) ? clock_mono_ms() + FILES_MS : NO_DEADLINE;
    bool right = make_token(user, &given, &made->token, error) && make_tls(cluster, user, &given, &made->tls, error);
    exec_given_done(&given);
    if (right)
        return made;
    error_at(error, sign_in->where);
    credentials_drop(made);
    return NULL;
}

/* A login elsewhere may have written the kubeconfig anew. The server stays: another one would be another system. */
static void read_again(SignIn *sign_in)
{
    KubeSources sources = kubeconfig_sources(sign_in->file);
    Kubeconfig *config = kubeconfig_read(&sources, NULL);
    const KubeContext *context = config ? kubeconfig_find(config, sign_in->context_name, NULL) : NULL;
    bool same = context && context->problem.code == ERROR_OK && strcmp(context->cluster->server, sign_in->server) == 0;
    pthread_mutex_lock(&sign_in->lock);
    if (same) {
        Kubeconfig *old = sign_in->config;
        sign_in->config = config;
        sign_in->context = context;
        config = old;
    }
    pthread_mutex_unlock(&sign_in->lock);
    kubeconfig_drop(config);
}

/* --------------------------------------------------------------------------------------------------------- one for all */

static void attempt_drop(Attempt *attempt) /* under the lock */
{
    if (--attempt->holders)
        return;
    cancel_done(&attempt->over);
    free(attempt);
}

static bool is_due(const SignIn *sign_in) /* under the lock */
{
    const Credentials *now = sign_in->current;
    return !now || sign_in->forgotten || clock_mono_ms() >= now->look_ms || (now->expires_ms != TIME_UNKNOWN && clock_wall_ms() >= now->expires_ms);
}

/* What is only looked at again still serves where that look fails. */
static bool still_serves(SignIn *sign_in, const Error *why) /* under the lock */
{
    Credentials *now = sign_in->current;
    bool expired = now && now->expires_ms != TIME_UNKNOWN && clock_wall_ms() >= now->expires_ms;
    if (!now || sign_in->forgotten || expired || why->code == ERROR_CANCELLED)
        return false;
    now->look_ms = clock_mono_ms() + AGAIN_MS;
    return true;
}

static bool make_for_all(SignIn *sign_in, Attempt *attempt, Io *io, const Context *context, Error *error)
{
    pthread_mutex_lock(&sign_in->lock);
    bool again = sign_in->forgotten;
    pthread_mutex_unlock(&sign_in->lock);
    if (again)
        read_again(sign_in);
    pthread_mutex_lock(&sign_in->lock);
    Kubeconfig *config = kubeconfig_keep(sign_in->config);
    const KubeContext *from = sign_in->context;
    pthread_mutex_unlock(&sign_in->lock);
    Credentials *made = make(sign_in, config, from, io, context, &attempt->error), *old = NULL;
    kubeconfig_drop(config);
    pthread_mutex_lock(&sign_in->lock);
    if (made) {
        made->round = ++sign_in->rounds;
        old = sign_in->current;
        sign_in->current = made;
        sign_in->forgotten = false;
    }
    attempt->abandoned = !made && !context_check(context, NULL, NULL);
    bool right = made || still_serves(sign_in, &attempt->error);
    if (right)
        attempt->error = (Error){0};
    else if (error)
        *error = attempt->error;
    sign_in->attempt = NULL;
    cancel_ask(&attempt->over);
    attempt_drop(attempt);
    pthread_mutex_unlock(&sign_in->lock);
    credentials_drop(old);
    return right;
}

static void set_over(void *user, int fd, short events)
{
    (void)fd;
    (void)events;
    *(bool *)user = true;
}

typedef enum Waited { WAITED_GOOD, WAITED_BAD, WAITED_AGAIN } Waited;

static Waited wait_for_other(SignIn *sign_in, Attempt *attempt, Io *io, const Context *context, Error *error)
{
    bool over = false;
    IoWatch *watch = io_watch(io, attempt->over.wake.read_fd, POLLIN, set_over, &over);
    bool right = io_until(io, context, &over, error);
    io_unwatch(watch);
    pthread_mutex_lock(&sign_in->lock);
    Waited waited = !right ? WAITED_BAD : attempt->abandoned ? WAITED_AGAIN : attempt->error.code == ERROR_OK ? WAITED_GOOD : WAITED_BAD;
    if (right && waited == WAITED_BAD && error)
        *error = attempt->error;
    attempt_drop(attempt);
    pthread_mutex_unlock(&sign_in->lock);
    return waited;
}

bool sign_in_ready(SignIn *sign_in, Io *io, const Context *context, Error *error)
{
    Waited waited = WAITED_AGAIN;
    while (waited == WAITED_AGAIN) {
        pthread_mutex_lock(&sign_in->lock);
        bool due = is_due(sign_in), first = due && !sign_in->attempt;
        Attempt *attempt = sign_in->attempt;
        if (first) {
            attempt = sign_in->attempt = mem_new(sizeof *attempt);
            attempt->holders = 1;
            if (!cancel_init(&attempt->over)) {
                sign_in->attempt = NULL;
                free(attempt);
                attempt = NULL;
            }
        } else if (due) {
            attempt->holders++;
        }
        pthread_mutex_unlock(&sign_in->lock);
        if (!due)
            return true;
        if (!attempt)
            return error_set(error, ERROR_INTERNAL, sign_in->where, NULL, "no descriptors are left");
        if (first)
            return make_for_all(sign_in, attempt, io, context, error);
        waited = wait_for_other(sign_in, attempt, io, context, error);
    }
    return waited == WAITED_GOOD;
}

/* ---------------------------------------------------------------------------------------------------------------- use */

static void add_headers(const SignIn *sign_in, const KubeUser *user, const List *from, List *to)
{
    if (from)
        list_copy(to, from);
    if (user)
        list_copy(to, &user->impersonate);
    if (sign_in->host_header)
        list_add(to, sign_in->host_header);
}

void sign_in_apply(SignIn *sign_in, const char *path, HttpRequest *request, SignInHeld *held)
{
    pthread_mutex_lock(&sign_in->lock);
    Credentials *now = sign_in->current;
    if (now)
        atomic_fetch_add(&now->holders, 1);
    pthread_mutex_unlock(&sign_in->lock);
    const KubeUser *user = now ? now->user : NULL;
    *held = (SignInHeld){.round = now ? now->round : 0, .credentials = now, .url = mem_format("%s%s", sign_in->base, path)};
    add_headers(sign_in, user, request->headers, &held->headers);
    request->url = held->url;
    request->headers = &held->headers;
    request->connect_to = sign_in->connect_to;
    request->http2 = strncmp(sign_in->base, "https://", 8) == 0;
    request->environment_proxy = true;
    if (!now)
        return;
    request->tls = now->tls;
    request->proxy = reveal(now->cluster->proxy);
    request->compressed = request->compressed && !now->cluster->uncompressed;
    if (now->token) {
        request->secret_header = "Authorization: Bearer ";
        request->secret = now->token;
    } else if (user && user->username) {
        request->username = user->username;
        request->secret = user->password;
    }
}

void sign_in_release(SignInHeld *held)
{
    free(held->url);
    list_done(&held->headers);
    credentials_drop(held->credentials);
    *held = (SignInHeld){.round = held->round};
}

bool sign_in_refused(SignIn *sign_in, unsigned round)
{
    pthread_mutex_lock(&sign_in->lock);
    Credentials *now = sign_in->current;
    bool signs_in = !now || now->user;
    if (now && now->round == round)
        sign_in->forgotten = true;
    pthread_mutex_unlock(&sign_in->lock);
    return signs_in;
}

bool sign_in_error(SignIn *sign_in, Error *error)
{
    pthread_mutex_lock(&sign_in->lock);
    Kubeconfig *config = kubeconfig_keep(sign_in->config);
    const KubeUser *user = sign_in->context->user;
    pthread_mutex_unlock(&sign_in->lock);
    const char *where = sign_in->where;
    if (!user)
        error_set(error, ERROR_SIGN_IN, where, "give the context a user", "the server wants a sign-in and context %s has no user", sign_in->context_name);
    else if (needs_exec(user))
        error_set(error, ERROR_SIGN_IN, where, "`:login` with this backend's name runs it at the terminal", "the server does not take what %s gives for user %s",
                  user->exec->command.items[0], user->name);
    else if (user->token_file)
        error_set(error, ERROR_SIGN_IN, where, "renew it: it is read again", "the server does not take the token in %s: it may have expired", user->token_file);
    else if (user->token)
        error_set(error, ERROR_SIGN_IN, where, "sign in by the tool that wrote it: the kubeconfig is read again",
                  "the server does not take the token of user %s: it may have expired", user->name);
    else if (user->username)
        error_set(error, ERROR_SIGN_IN, where, NULL, "the server does not take the user name and password of user %s", user->name);
    else
        error_set(error, ERROR_SIGN_IN, where, "renew it: the kubeconfig is read again",
                  "the server does not take the client certificate of user %s: it may have expired", user->name);
    kubeconfig_drop(config);
    return false;
}

static void leave_mark(const SignIn *sign_in, const KubeExec *exec)
{
    char *path = exec->wants_terminal ? mark_path(sign_in, exec) : NULL, *state = file_state_home();
    if (path && file_make_directory(state, NULL))
        file_replace_cache(path, "", 0);
    free(path);
    free(state);
}

/* kubectl's own sign-in: the plugin itself would print the token to the screen. */
bool sign_in_login(SignIn *sign_in, List *command, Error *error)
{
    pthread_mutex_lock(&sign_in->lock);
    Kubeconfig *config = kubeconfig_keep(sign_in->config);
    const KubeUser *user = sign_in->context->user;
    pthread_mutex_unlock(&sign_in->lock);
    bool by_exec = needs_exec(user);
    if (by_exec)
        leave_mark(sign_in, user->exec);
    kubeconfig_drop(config);
    if (!by_exec)
        return error_set(error, ERROR_UNSUPPORTED, sign_in->where, "sign in as you do for kubectl: the kubeconfig is read again",
                         "its user signs in without a program that could ask");
    list_add(command, "kubectl");
    if (sign_in->file)
        list_format(command, "--kubeconfig=%s", sign_in->file);
    list_format(command, "--context=%s", sign_in->context_name);
    list_add(command, "version");
    return true;
}

bool sign_in_unverified(const SignIn *sign_in)
{
    return sign_in->insecure;
}

const char *sign_in_server(const SignIn *sign_in)
{
    return sign_in->server;
}
