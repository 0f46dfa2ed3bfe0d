/* HTTP through curl's multi. Redirects are followed only to the same host and scheme, and never carry credentials elsewhere;
 * environment proxies are obeyed only where the request says so; bodies are bounded. */
#ifndef DASKTOP_IO_HTTP_H
#define DASKTOP_IO_HTTP_H

#include "base/buffer.h"
#include "base/list.h"
#include "base/secret.h"
#include "io/cookies.h"
#include "io/io.h"
#include "io/tls.h"

typedef struct HttpRequest {
    const char *where;        /* for errors: "local", "prod/kind-dev" */
    const char *method;       /* NULL: GET */
    const char *url;
    const List *headers;      /* "Name: value", nothing secret; NULL */
    const char *secret_header;/* "Authorization: Bearer ", put in front of secret; NULL */
    const Secret *secret;
    const char *username;     /* basic; the password is `secret` (secret_header NULL) */
    bool negotiate;           /* Kerberos, by the ticket that is there */
    const void *body;         /* borrowed until it ends */
    size_t body_length;
    Cookies *cookies;         /* sent and kept; outlives the request; NULL: none */
    const char *unix_socket;  /* NULL */
    const char *connect_to;   /* curl's CONNECT_TO "::HOST:PORT"; NULL */
    const Tls *tls;           /* NULL: the system's authorities, hosts verified */
    const char *proxy;        /* its URL, which may hold a password; NULL */
    bool environment_proxy;   /* obeyed where proxy is NULL */
    bool http2;               /* over TLS, where the server and libcurl (7.88) speak it: all requests of an Io to it then share a connection */
    bool compressed;          /* gzip is welcome; not for streams that must come at once: it buffers */
    int64_t timeout_ms;       /* of the whole; 0: until the context ends */
    size_t most_bytes;        /* of the body; 0: 8 MiB */
    /* Streams the body of a 2xx instead of keeping it (others are kept; most_bytes 0: no limit); false ends the transfer with
     * `error` as set there. Runs inside of curl: may start and cancel, not wait. */
    bool (*chunk)(void *user, const char *bytes, size_t n, Error *error);
    void *user;
} HttpRequest;

typedef struct HttpReply {
    int status;               /* 0: none came */
    Buffer body;
    char content_type[96];
    int retry_after_s;        /* 0: not said */
    int64_t took_us;          /* from start to the last byte */
    int64_t date_ms;          /* the server's clock when it answered, to the second; TIME_UNKNOWN */
    char *location;           /* NULL */
} HttpReply;
void http_reply_done(HttpReply *reply);

typedef struct Http Http;
/* done is called exactly once, unless it is cancelled before; error has code OK where a reply came (whatever its status). The
 * reply is the callee's to http_reply_done. NULL: could not even start (error); done is not called then. */
typedef void (*HttpDone)(void *user, HttpReply *reply, const Error *error);
Http *http_start(Io *io, const HttpRequest *request, HttpDone done, void *user, Error *error);
void http_cancel(Http *http); /* NULL is allowed; not after done was called */

/* One request, waited for. True where a reply came; the caller looks at status, or uses http_status_error. */
bool http_run(Io *io, const Context *context, const HttpRequest *request, HttpReply *reply, Error *error);
/* 400, 413, 415 and 422 -> usage, 401 -> sign-in, 403 -> denied, 404 -> not-found, 409 and 410 -> conflict, 429 and 503 -> busy,
 * 504 -> timeout, others -> bad-reply. */
ErrorCode http_error_code(int status);
/* The same as an error, busy with retry_after_s. */
bool http_status_error(const HttpReply *reply, const char *where, const char *what, Error *error);

#endif
