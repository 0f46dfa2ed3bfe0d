#include "backends/kubernetes/rights.h"

#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_MS = 300000, ASK_MS = 10000, UNDER_WAY_MOST = 1 + NEED_COUNT };

typedef struct NeedInfo {
    const char *verb, *group, *resource, *sub;
} NeedInfo;

static const NeedInfo needs[NEED_COUNT] = {
    [NEED_DELETE_CLUSTER] = {"delete", "kubernetes.dask.org", "daskclusters", NULL},
    [NEED_DELETE_JOB] = {"delete", "kubernetes.dask.org", "daskjobs", NULL},
    [NEED_PATCH_CLUSTER] = {"patch", "kubernetes.dask.org", "daskclusters", NULL},
    [NEED_CREATE_CLUSTER] = {"create", "kubernetes.dask.org", "daskclusters", NULL},
    [NEED_PATCH_GROUP] = {"patch", "kubernetes.dask.org", "daskworkergroups", NULL},
    [NEED_CREATE_SCALER] = {"create", "kubernetes.dask.org", "daskautoscalers", NULL},
    [NEED_PATCH_SCALER] = {"patch", "kubernetes.dask.org", "daskautoscalers", NULL},
    [NEED_DELETE_SCALER] = {"delete", "kubernetes.dask.org", "daskautoscalers", NULL},
    [NEED_READ_LOGS] = {"get", "", "pods", "log"},
    [NEED_FORWARD] = {"create", "", "pods", "portforward"},
    [NEED_PROXY] = {"get", "", "services", "proxy"},
    [NEED_DELETE_PODS] = {"delete", "", "pods", NULL},
    [NEED_SCALE_DEPLOYMENT] = {"patch", "apps", "deployments", "scale"},
    [NEED_DELETE_DEPLOYMENT] = {"delete", "apps", "deployments", NULL},
    [NEED_STOP_GATEWAY] = {"patch", "gateway.dask.org", "daskclusters", NULL},
};

/* One namespace. */
typedef struct Known {
    int8_t may[NEED_COUNT];
    int64_t since_ms; /* monotonic; 0: never */
    bool asking;      /* by rights_ask */
} Known;

struct Rights {
    bool inside;    /* constant */
    pthread_mutex_t lock;
    Map namespaces; /* name -> Known; guarded by lock */
    /* of the thread of rights_ask's loop */
    struct Question *questions;
};

Rights *rights_new(bool inside)
{
    Rights *rights = mem_new(sizeof *rights);
    rights->inside = inside;
    pthread_mutex_init(&rights->lock, NULL);
    map_init(&rights->namespaces);
    return rights;
}

void rights_free(Rights *rights)
{
    if (!rights)
        return;
    map_done(&rights->namespaces, free);
    pthread_mutex_destroy(&rights->lock);
    free(rights);
}

/* Under the lock. */
static Known *known_of(Rights *rights, const char *namespace)
{
    Known *known = map_get(&rights->namespaces, namespace);
    if (!known) {
        known = mem_new(sizeof *known);
        memset(known->may, -1, sizeof known->may);
        map_put(&rights->namespaces, namespace, known);
    }
    return known;
}

static bool is_fresh(const Known *known)
{
    return known->since_ms && clock_mono_ms() - known->since_ms < KEEP_MS;
}

int rights_may(Rights *rights, const char *namespace, Need need)
{
    pthread_mutex_lock(&rights->lock);
    int may = known_of(rights, namespace)->may[need];
    pthread_mutex_unlock(&rights->lock);
    return may;
}

static bool take(Rights *rights, const char *namespace, const int8_t may[NEED_COUNT])
{
    pthread_mutex_lock(&rights->lock);
    Known *known = known_of(rights, namespace);
    bool news = memcmp(known->may, may, sizeof known->may) != 0;
    memcpy(known->may, may, sizeof known->may);
    known->since_ms = clock_mono_ms();
    pthread_mutex_unlock(&rights->lock);
    return news;
}

void rights_refused(Rights *rights, const char *namespace, Need need)
{
    pthread_mutex_lock(&rights->lock);
    known_of(rights, namespace)->may[need] = 0;
    pthread_mutex_unlock(&rights->lock);
}

const char *rights_why(const char *namespace, Need need, char why[160])
{
    const NeedInfo *info = &needs[need];
    snprintf(why, 160, "not permitted: %s %s%s%s%s%s in %s", info->verb, info->resource, *info->group ? "." : "", info->group, info->sub ? "/" : "",
             info->sub ? info->sub : "", namespace);
    return why;
}

/* --------------------------------------------------------------------------------------------------------------- reviews */

static bool has(const cJSON *list, const char *word, const char *sub)
{
    const cJSON *item;
    char whole[128];
    if (sub)
        snprintf(whole, sizeof whole, "%s/%s", word, sub);
    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_IsString(item) ? item->valuestring : "";
        bool any_sub = sub && strncmp(text, "*/", 2) == 0 && strcmp(text + 2, sub) == 0;
        if (strcmp(text, "*") == 0 || strcmp(text, sub ? whole : word) == 0 || any_sub)
            return true;
    }
    return false;
}

static bool allows(const cJSON *rule, const NeedInfo *need)
{
    const cJSON *names = json_member(rule, "resourceNames");
    bool all_names = !cJSON_IsArray(names) || cJSON_GetArraySize(names) == 0; /* a rule for some names only is no general permission */
    return all_names && has(json_member(rule, "verbs"), need->verb, NULL) && has(json_member(rule, "apiGroups"), need->group, NULL) &&
           has(json_member(rule, "resources"), need->resource, need->sub);
}

bool rights_of_review(const cJSON *review, int8_t may[NEED_COUNT])
{
    const cJSON *status = json_member(review, "status"), *rule;
    bool complete = cJSON_IsObject(status) && json_truth(status, "incomplete") != 1;
    for (int i = 0; i < NEED_COUNT; i++) {
        may[i] = complete ? 0 : -1;
        cJSON_ArrayForEach(rule, json_member(status, "resourceRules"))
        {
            if (allows(rule, &needs[i]))
                may[i] = 1;
        }
    }
    return complete;
}

static char *rules_body(const char *namespace)
{
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "kind", "SelfSubjectRulesReview");
    json_put_text(&json, "apiVersion", "authorization.k8s.io/v1");
    json_object(&json, "spec");
    json_put_text(&json, "namespace", namespace);
    json_close(&json, '}');
    json_close(&json, '}');
    return buffer_take(&out);
}

static char *access_body(const char *namespace, const NeedInfo *need)
{
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "kind", "SelfSubjectAccessReview");
    json_put_text(&json, "apiVersion", "authorization.k8s.io/v1");
    json_object(&json, "spec");
    json_object(&json, "resourceAttributes");
    json_put_text(&json, "namespace", namespace);
    json_put_text(&json, "verb", need->verb);
    json_put_text(&json, "group", need->group);
    json_put_text(&json, "resource", need->resource);
    if (need->sub)
        json_put_text(&json, "subresource", need->sub);
    json_close(&json, '}');
    json_close(&json, '}');
    json_close(&json, '}');
    return buffer_take(&out);
}

static const char rules_path[] = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
static const char access_path[] = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

bool rights_ready(Rights *rights, const Api *api, const Context *context, const char *namespace, Error *error)
{
    int8_t may[NEED_COUNT];
    cJSON *answer;
    pthread_mutex_lock(&rights->lock);
    bool fresh = is_fresh(known_of(rights, namespace));
    pthread_mutex_unlock(&rights->lock);
    if (fresh)
        return true;
    Context part = context_within(context, ASK_MS);
    char *body = rules_body(namespace);
    bool right = api_post(api, &part, rules_path, body, &answer, error);
    free(body);
    if (!right)
        return false;
    bool complete = rights_of_review(answer, may);
    cJSON_Delete(answer);
    for (int i = 0; i < NEED_COUNT && !complete && right; i++) {
        if (may[i] == 1)
            continue;
        body = access_body(namespace, &needs[i]);
        right = api_post(api, &part, access_path, body, &answer, error);
        free(body);
        if (right) {
            may[i] = (int8_t)json_truth(json_member(answer, "status"), "allowed");
            cJSON_Delete(answer);
        }
    }
    if (right)
        take(rights, namespace, may);
    return right;
}

/* -------------------------------------------------------------------------------------------------------- without waiting */

/* The questions about one namespace. */
typedef struct Question {
    Rights *rights;
    Api api;
    char *namespace;
    int8_t may[NEED_COUNT];
    struct Ask {
        struct Question *question;
        Http *http;
        char *body;
        int need; /* -1: the rules */
    } asks[UNDER_WAY_MOST];
    int out;
    bool failed;
    void (*told)(void *user, const char *namespace);
    void *user;
    struct Question *next;
} Question;

static void question_free(Question *question)
{
    for (int i = 0; i < UNDER_WAY_MOST; i++) {
        http_cancel(question->asks[i].http);
        free(question->asks[i].body);
    }
    free(question->namespace);
    free(question);
}

static void question_done(Question *question)
{
    Rights *rights = question->rights;
    bool news = !question->failed && take(rights, question->namespace, question->may);
    pthread_mutex_lock(&rights->lock);
    Known *known = known_of(rights, question->namespace);
    known->asking = false;
    known->since_ms = clock_mono_ms(); /* where it failed too: asked again later, not at once */
    pthread_mutex_unlock(&rights->lock);
    for (Question **at = &rights->questions; *at; at = &(*at)->next)
        if (*at == question) {
            *at = question->next;
            break;
        }
    if (news && question->told)
        question->told(question->user, question->namespace);
    question_free(question);
}

static void answered(void *user, HttpReply *reply, const Error *error);

static void start(Question *question, int place, int need)
{
    struct Ask *ask = &question->asks[place];
    ApiRequest request = {.method = "POST", .path = need < 0 ? rules_path : access_path, .what = "what is permitted", .timeout_ms = ASK_MS};
    ask->question = question;
    ask->need = need;
    ask->body = need < 0 ? rules_body(question->namespace) : access_body(question->namespace, &needs[need]);
    request.body = ask->body;
    unsigned round;
    ask->http = api_start(&question->api, &request, answered, ask, &round, NULL);
    question->out += ask->http != NULL;
    question->failed = question->failed || !ask->http;
}

static void answered(void *user, HttpReply *reply, const Error *error)
{
    struct Ask *ask = user;
    Question *question = ask->question;
    ask->http = NULL;
    question->out--;
    bool right = error->code == ERROR_OK && reply->status >= 200 && reply->status < 300;
    cJSON *answer = right ? json_parse(reply->body.bytes, reply->body.length, NULL, NULL) : NULL;
    question->failed = question->failed || !answer;
    if (answer && ask->need >= 0)
        question->may[ask->need] = (int8_t)json_truth(json_member(answer, "status"), "allowed");
    else if (answer && !rights_of_review(answer, question->may))
        for (int i = 0; i < NEED_COUNT; i++)
            if (question->may[i] != 1)
                start(question, 1 + i, i);
    cJSON_Delete(answer);
    http_reply_done(reply);
    if (question->out == 0)
        question_done(question);
}

void rights_ask(Rights *rights, const Api *api, const char *namespace, void (*told)(void *user, const char *namespace), void *user)
{
    pthread_mutex_lock(&rights->lock);
    Known *known = known_of(rights, namespace);
    bool due = !known->asking && !is_fresh(known);
    known->asking = known->asking || due;
    pthread_mutex_unlock(&rights->lock);
    if (!due)
        return;
    Question *question = mem_new(sizeof *question);
    *question = (Question){.rights = rights, .api = *api, .namespace = mem_text(namespace), .told = told, .user = user, .next = rights->questions};
    rights->questions = question;
    start(question, 0, -1);
    if (question->out == 0)
        question_done(question);
}

bool rights_asking(const Rights *rights)
{
    return rights->questions != NULL;
}

void rights_stop(Rights *rights)
{
    while (rights->questions) {
        Question *question = rights->questions;
        rights->questions = question->next;
        pthread_mutex_lock(&rights->lock);
        known_of(rights, question->namespace)->asking = false;
        pthread_mutex_unlock(&rights->lock);
        question_free(question);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

/* What each capability needs of each kind of row; -1: nothing that is asked here. */
static int need_of(const Rights *rights, const KubeRow *row, Capability capability)
{
    KubeRowKind kind = row_kind(row);
    switch (capability) {
    case CAN_LOGS:
        return NEED_READ_LOGS;
    case CAN_CONNECT:
        return rights->inside ? -1 : NEED_FORWARD;
    case CAN_SCALE:
        return kind == ROW_OPERATOR ? NEED_PATCH_GROUP : kind == ROW_HELM ? NEED_SCALE_DEPLOYMENT : -1;
    case CAN_ADAPT:
        return kind != ROW_OPERATOR ? -1 : row_scaler(row) ? NEED_PATCH_SCALER : NEED_CREATE_SCALER;
    case CAN_DELETE:
        if (kind == ROW_OPERATOR)
            return row_job(row) ? NEED_DELETE_JOB : NEED_DELETE_CLUSTER;
        return kind == ROW_GATEWAY && row_cluster(row) ? NEED_STOP_GATEWAY : kind == ROW_HELM ? NEED_DELETE_DEPLOYMENT : NEED_DELETE_PODS;
    default:
        return -1;
    }
}

void rights_limit(Rights *rights, const KubeRow *row, List *text, RecordFields *fields)
{
    for (int c = 0; c < CAN_COUNT; c++) {
        int need = need_of(rights, row, (Capability)c);
        char why[160];
        if (c == CAN_SCALE && row_scaler(row) && rights_may(rights, row->namespace, NEED_DELETE_SCALER) == 0)
            need = NEED_DELETE_SCALER; /* which would soon undo it */
        if (need < 0 || !(fields->can & 1u << c) || rights_may(rights, row->namespace, (Need)need) != 0)
            continue;
        fields->can &= (uint8_t)~(1u << c);
        list_add(text, rights_why(row->namespace, (Need)need, why));
        fields->cannot[c] = text->items[text->count - 1];
    }
}
