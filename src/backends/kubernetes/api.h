/* Requests to one API server: what they look like, and what its refusals mean.
 *
 * An Api is a few borrowed pointers, made where it is needed; it belongs to the thread of its Io. Paths begin below the server's
 * address and are encoded by whoever makes them (kube_path). Answers are the caller's. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_API_H
#define DASKTOP_BACKENDS_KUBERNETES_API_H

#include "backends/kubernetes/sign_in.h"
#include "base/json.h"

typedef struct Api {
    const char *where; /* for errors: "prod/kind-dev" */
    SignIn *sign_in;
    Io *io;
} Api;

typedef struct ApiRequest {
    const char *method;       /* NULL: GET */
    const char *path;         /* "/api/v1/pods?limit=500" */
    const char *what;         /* for errors: "pods of team-a"; NULL: the path */
    const char *content_type; /* of the body; NULL: application/json */
    const char *accept;       /* NULL: application/json */
    const char *body;         /* NULL */
    bool compressed;          /* may come compressed: lists; never what is streamed */
    int64_t timeout_ms;       /* 0: until the context ends */
    size_t most_bytes;        /* 0: 64 MiB; of a stream: no limit */
    /* Streams the body of a 2xx, as in HttpRequest. */
    bool (*chunk)(void *user, const char *bytes, size_t n, Error *error);
    void *user;
} ApiRequest;

/* One request, waited for. True only for a 2xx. A 401 renews the credentials and asks once more. reply may be NULL; where the answer was
 * a refusal it is empty but for its status. */
bool api_run(const Api *api, const Context *context, const ApiRequest *request, HttpReply *reply, Error *error);

/* The same without waiting, for streams. Credentials have to be ready (sign_in_ready, not from a callback). round: for sign_in_refused.
 * done gets what came; api_refusal says what it means. */
Http *api_start(const Api *api, const ApiRequest *request, HttpDone done, void *user, unsigned *round, Error *error);

/* What a reply that is no 2xx means, from its Status object where it is one: http_error_code, with the seconds that it asked for. A 404
 * without a Status object is a kind that the server does not have: absent. Returns false. */
bool api_refusal(const char *where, const char *what, const HttpReply *reply, Error *error);
/* It is a page for people, of something that stands in front of the API server and wants a sign-in. */
bool api_is_page(const HttpReply *reply);
/* The same of a Status object (a watch's ERROR line). status 0: as its code says. */
bool api_status(const char *where, const char *what, const cJSON *status, int code, Error *error);

/* Wrappers; the answer may be NULL. */
bool api_get(const Api *api, const Context *context, const char *path, cJSON **answer, Error *error);
bool api_post(const Api *api, const Context *context, const char *path, const char *body, cJSON **answer, Error *error);

typedef enum ApiPatch {
    PATCH_MERGE,    /* application/merge-patch+json */
    PATCH_JSON,     /* application/json-patch+json */
    PATCH_APPLY     /* server-side apply; the path names fieldManager (kube_path with manager) */
} ApiPatch;
bool api_patch(const Api *api, const Context *context, const char *path, ApiPatch kind, const char *body, cJSON **answer, Error *error);

typedef struct ApiDelete {
    const char *uid;              /* precondition; required */
    const char *resource_version; /* precondition; NULL: only the uid */
    const char *propagation;      /* "Foreground", "Background", "Orphan"; NULL: Foreground */
    int64_t grace_s;              /* NUMBER_UNKNOWN: the object's own */
    bool dry_run;
} ApiDelete;
/* answer: the object, where something still holds it, or the Status of success. */
bool api_delete(const Api *api, const Context *context, const char *path, const ApiDelete *options, cJSON **answer, Error *error);

/* All items of a collection, in chunks. path without limit and continue. item() gets the JSON of each as it comes, and may not wait. A
 * list that grows too old between two chunks is begun again: restart() then forgets what was given (NULL: items are only told).
 * version: the list's resourceVersion, the caller's; NULL. */
bool api_list(const Api *api, const Context *context, const char *path, JsonItem item, void (*restart)(void *user), void *user, char **version,
              Error *error);

/* A path, owned by the caller: "/apis/GROUP/VERSION/namespaces/NS/KIND/NAME/SUB". group "" or NULL: the core group ("/api/v1"). namespace,
 * name and sub may be NULL. Names are encoded. */
char *kube_path(const char *group, const char *version, const char *namespace, const char *plural, const char *name, const char *sub);
/* A query's part, encoded: kube_query(&path, "labelSelector", "a=b") replaces path by path?labelSelector=a%3Db. */
void kube_query(char **path, const char *key, const char *value);

#endif
