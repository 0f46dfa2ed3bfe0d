/* Dask Gateway's REST API (2023 to 2026.3 as seen; /api/v1): where it is, how one signs in, its clusters. Their TLS keys come with every answer: they
 * live in Tls only (io/tls.h), and answers are overwritten before they are freed. */
#ifndef DASKTOP_BACKENDS_GATEWAY_REST_H
#define DASKTOP_BACKENDS_GATEWAY_REST_H

#include "base/clock.h"
#include "base/json.h"
#include "base/json_walk.h"
#include "core/config.h"
#include "io/http.h"

typedef enum SignIn { SIGN_BASIC, SIGN_JUPYTERHUB, SIGN_KERBEROS } SignIn;

/* One gateway, by the config. Constant after gateway_read, but for the cookies, which guard themselves: any thread. */
typedef struct Gateway {
    char *where;         /* the config's key */
    char *address;       /* "https://gateway.example.org/prefix", without a slash at its end */
    char *public_address;/* of links for people's browsers */
    char *proxy_host;    /* of its schedulers' TLS */
    int proxy_port;
    SignIn sign_in;
    char *user;          /* whose clusters one sees; NULL: not known */
    Secret *secret;      /* password or token; NULL */
    bool environment_proxy;
    Secret *http_proxy;  /* its URL; NULL */
    const Tree *options; /* Dask's defaults for new clusters: templates, borrowed; NULL */
    Cookies *cookies;    /* of its sign-in: for 5 minutes it asks nobody else who we are */
} Gateway;

/* ERROR_ABSENT: neither our config nor Dask's names a gateway. ERROR_SIGN_IN: a secret is missing. */
Gateway *gateway_read(const BackendConfig *config, Io *io, const Context *context, Error *error);
void gateway_free(Gateway *gateway); /* NULL is allowed */
/* Dask's gateway values are Python format templates over the environment: "{JUPYTERHUB_USER}", "{{" is a brace. The caller's; NULL with
 * ERROR_ABSENT where the environment lacks what it names. */
char *gateway_template(const char *template, const char *where, Error *error);

typedef enum GatewayStatus { GATEWAY_PENDING, GATEWAY_RUNNING, GATEWAY_STOPPING, GATEWAY_STOPPED, GATEWAY_FAILED, GATEWAY_OTHER } GatewayStatus;

typedef struct GatewayCluster {
    char *name;          /* 32 hex digits */
    GatewayStatus status;
    int64_t started_ms;  /* of the gateway's clock; TIME_UNKNOWN */
    char *dashboard;     /* for browsers; NULL unless it runs and has one */
    char *http_base;     /* its scheduler's HTTP through the gateway; NULL as above */
    char *address;       /* "gateway://HOST:PORT/NAME" */
    List options;        /* "worker_cores: 1": what it was made with, without what may be secret; not in a list */
    Tls *tls;            /* CA, certificate and key at once; NULL unless it runs */
} GatewayCluster;
void gateway_cluster_done(GatewayCluster *cluster);

typedef struct GatewayClusters {
    GatewayCluster *items;
    size_t count, capacity;
    int64_t date_ms; /* the gateway's clock as it answered; TIME_UNKNOWN */
} GatewayClusters;
void gateway_clusters_done(GatewayClusters *list);
/* The answer to the list, as it comes: two thirds of it are keys and certificates, of which only who asks schedulers has a use. What has no name,
 * or none that can be used, is left out; where nothing has one, it is another's answer. Pure. take is an HttpRequest's chunk and always true; end
 * frees, and says what was wrong (`out` is empty then). */
typedef struct GatewayReading {
    const Gateway *gateway;
    GatewayClusters *out;
    JsonFeed feed;
    char *proxy;
    bool tls, right, odd; /* odd: what is no cluster was among them; a name that nobody may use is one's all the same */
} GatewayReading;
void gateway_reading_begin(GatewayReading *reading, const Gateway *gateway, bool tls, GatewayClusters *out);
bool gateway_reading_take(void *reading, const char *bytes, size_t n, Error *error);
bool gateway_reading_end(GatewayReading *reading, Error *error);
/* An answer to one. Pure. */
bool gateway_decode_one(const Gateway *gateway, const char *bytes, size_t n, GatewayCluster *out, Error *error);

/* Those that are starting, running or being stopped; tls: with their TLS. */
bool gateway_list(const Gateway *gateway, Io *io, const Context *context, bool tls, GatewayClusters *out, Error *error);
/* With its TLS. ERROR_NOT_FOUND, ERROR_DENIED (somebody else's). */
bool gateway_get(const Gateway *gateway, Io *io, const Context *context, const char *name, GatewayCluster *out, Error *error);
/* A request beyond reading clusters: method (GET: "GET"), path below /api/v1/, body (NULL: none). *answer may be NULL, is the caller's cJSON else. clamped gets
 * the sentence in which the gateway imposes a limit; the caller's, NULL. */
bool gateway_ask(const Gateway *gateway, Io *io, const Context *context, const char *method, const char *path, const char *body, cJSON **answer,
                 char **clamped, Error *error);

/* ProbeHttp.start: of a dashboard below it, which asks nobody who they are. user: the Gateway. */
Http *gateway_look(void *user, Io *io, HttpRequest *request, const char *url, HttpDone done, void *done_user, Error *error);

/* The host by which its schedulers are reached through the proxy: the TLS name; the caller's. */
char *gateway_sni(const char *name);
char *gateway_connect_to(const Gateway *gateway);

extern const ConfigKey gateway_auth_keys[];

#endif
