/* Jupyter servers: those of this user that run on this host, by the files that they leave in the runtime directory; requests to them; which
 * notebook belongs to which of their kernels.
 *
 * A server's token lets one run code as its user: it lives in a Secret only, goes to that server alone, and to no redirect. Looking does
 * not count as activity there (no_track_activity): a server that ends when it is idle still does. One thread, but for what is constant. */
#ifndef DASKTOP_BACKENDS_COMMON_NOTEBOOKS_H
#define DASKTOP_BACKENDS_COMMON_NOTEBOOKS_H

#include "backends/common/process.h"
#include "dask/probe.h"

/* Constant once it is made. */
typedef struct NotebookServer {
    char *name;        /* what people call it: "localhost:8888", "hub.example.org/user/ada", the path of its UNIX socket */
    char *url;         /* with a slash at its end */
    char *socket;      /* its UNIX socket; NULL */
    char *connect_to;  /* where it really listens on this host, as HttpRequest has it; NULL: as the url says */
    char *root;        /* the directory below which its notebooks lie; NULL */
    Secret *token;     /* NULL: none */
    bool has_password; /* and no token: nobody but a person signs in */
    int port;          /* 0: a UNIX socket */
    bool here;         /* its process is on this host, of this user, and holds that port or socket; */
    pid_t pid;         /* this one, */
    uint64_t start;    /* and this incarnation of it */
} NotebookServer;
void notebook_server_free(NotebookServer *server); /* NULL is allowed */

typedef struct NotebookServers {
    NotebookServer **items;
    size_t count, capacity;
} NotebookServers;
void notebook_servers_done(NotebookServers *list);
const NotebookServer *notebook_servers_find(const NotebookServers *list, const char *name);

/* $JUPYTER_RUNTIME_DIR, else below Jupyter's data directory; the caller's, NULL where there is no home. */
char *notebook_runtime_directory(void);
/* Those of that directory whose process lives and holds its port: files of dead ones stay behind. By name. */
void notebook_servers_running(const char *directory, NotebookServers *out);
/* Of a file's text. Pure, but for the name of this host; whether it runs is not looked at. NULL: it is none. */
NotebookServer *notebook_server_parse(const char *bytes, size_t n);
/* By its URL, as people have it in their browser: what follows a '?', and /lab or /tree, is cut; a token in it is taken. token is taken;
 * NULL: none. ERROR_USAGE. */
NotebookServer *notebook_server_at(const char *url, Secret *token, Error *error);

/* For probes of schedulers whose pages are reached through it: their http_base is a path below its url. Borrows it. */
ProbeHttp notebook_http(const NotebookServer *server);
/* A request for path, below its url, waited for. True: its answer is a 2xx and JSON, or nothing (204). Else the error says why, in words for
 * people; *status is the answer's then, too (0: none came). reply is the caller's on true only. */
bool notebook_ask(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *method, const char *path, const char *body,
                  int64_t timeout_ms, HttpReply *reply, int *status, Error *error);

/* Which notebook has which kernel. */
typedef struct NotebookSession {
    char *path;        /* relative to the server's root, as it is called now */
    char *name;
    char *kind;        /* "notebook", "console", "file" */
    char *kernel;      /* its id */
} NotebookSession;
typedef struct NotebookSessions {
    NotebookSession *items;
    size_t count, capacity;
} NotebookSessions;
void notebook_sessions_done(NotebookSessions *list);
bool notebook_sessions_decode(const char *bytes, size_t n, const char *where, NotebookSessions *out, Error *error); /* pure */
bool notebook_sessions(const NotebookServer *server, const char *where, Io *io, const Context *context, NotebookSessions *out, Error *error);
const NotebookSession *notebook_session_of(const NotebookSessions *list, const char *kernel); /* NULL */

/* The id of a kernel, from its command line ("… -f …/kernel-ID.json"); the caller's, NULL where it is none of a server's. */
char *notebook_kernel_id(const List *argv);

#endif
