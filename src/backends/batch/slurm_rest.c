/* Slurm through slurmrestd, for machines without its clients: a second choice, which is slower and tells no scripts. A field may be a number,
 * null or {"set", "infinite", "number"}, a state a text or a list, whichever of its versions v0.0.36 to v0.0.44 writes it. */
#include "backends/batch/slurm.h"

#include "base/mem.h"
#include "io/http.h"

#include <stdlib.h>
#include <string.h>

enum { JOB_MOST = 4 << 20, ANSWER_MOST = 512 << 20, ASK_MS = 60000 };

typedef struct Rest {
    char *url;       /* without a slash at its end */
    char *socket;
    char *user;
    char *version;   /* "v0.0.38" */
    Secret *token;
} Rest;

void slurm_rest_end(Queue *queue)
{
    Rest *rest = queue->own;
    if (!rest)
        return;
    free(rest->url);
    free(rest->socket);
    free(rest->user);
    free(rest->version);
    secret_free(rest->token);
    free(rest);
    queue->own = NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- asking */

static void fill_request(const Queue *queue, const char *url, const char *method, List *headers, HttpRequest *request)
{
    const Rest *rest = queue->own;
    if (rest->token)
        list_format(headers, "X-SLURM-USER-NAME: %s", rest->user);
    *request = (HttpRequest){.where = queue->config->key, .method = method, .url = url, .headers = headers, .unix_socket = rest->socket,
                             .secret_header = rest->token ? "X-SLURM-USER-TOKEN: " : NULL, .secret = rest->token, .timeout_ms = ASK_MS};
}

static char *url_of(const Queue *queue, const char *path)
{
    const Rest *rest = queue->own;
    return mem_format("%s/%s", rest->url, path);
}

/* It answers 500 to everything that is wrong; what it was stands in `errors`. */
static bool say_failure(const Queue *queue, const HttpReply *reply, Error *error)
{
    cJSON *json = json_parse(reply->body.bytes, reply->body.length, NULL, NULL);
    const cJSON *first = cJSON_GetArrayItem(json_member(json, "errors"), 0);
    int64_t number = json_integer(first, "error_number");
    const char *said = json_text(first, "error");
    if (reply->status == 401 || reply->status == 403)
        error_set(error, ERROR_SIGN_IN, queue->config->key, "make a new token: scontrol token", "slurmrestd does not take the token");
    else if (first)
        error_set(error, number == 2002 ? ERROR_DENIED : number == 2017 ? ERROR_NOT_FOUND : ERROR_BAD_REPLY, queue->config->key, NULL, "slurmrestd: %s",
                  said ? said : "it failed without a word");
    else
        http_status_error(reply, queue->config->key, "slurmrestd", error);
    cJSON_Delete(json);
    return false;
}

/* The newest of the paths /slurm/v0.0.N/…; 0: there is none. */
static int find_version(const cJSON *paths)
{
    static const char mark[] = "/slurm/v0.0.";
    int best = 0;
    const cJSON *path;
    cJSON_ArrayForEach(path, paths)
    {
        int number = strncmp(path->string, mark, strlen(mark)) == 0 ? (int)strtol(path->string + strlen(mark), NULL, 10) : 0;
        if (number > best && number < 1000)
            best = number;
    }
    return best;
}

static bool pick_version(Queue *queue, Io *io, const Context *context, Error *error)
{
    Rest *rest = queue->own;
    List headers = {0};
    HttpRequest request;
    HttpReply reply;
    char *url = url_of(queue, "openapi/v3");
    fill_request(queue, url, NULL, &headers, &request);
    bool right = http_run(io, context, &request, &reply, error);
    list_done(&headers);
    free(url);
    if (!right)
        return false;
    cJSON *json = reply.status == 200 ? json_parse(reply.body.bytes, reply.body.length, queue->config->key, NULL) : NULL;
    int number = find_version(json_member(json, "paths"));
    cJSON_Delete(json);
    if (reply.status != 200)
        right = say_failure(queue, &reply, error);
    else if (!number)
        right = error_set(error, ERROR_BAD_REPLY, queue->config->key, "is `url` that of slurmrestd?", "its answer names no version of Slurm's API");
    else
        rest->version = mem_format("v0.0.%d", number);
    http_reply_done(&reply);
    return right;
}

bool slurm_rest_begin(Queue *queue, Io *io, const Context *context, Error *error)
{
    const Tree *tree = config_tree(queue->config, "rest"), *token = tree_get(tree, "token");
    const char *url = tree_text(tree_get(tree, "url")), *socket = tree_text(tree_get(tree, "socket")), *user = tree_text(tree_get(tree, "user"));
    const char *version = tree_text(tree_get(tree, "version"));
    if (!url && !socket)
        return error_set(error, ERROR_USAGE, queue->config->key, "give `rest: {url: …}` or `rest: {socket: …}`", "rest has no address");
    Rest *rest = mem_new(sizeof *rest);
    queue->own = rest;
    rest->url = mem_text(url ? url : "http://localhost");
    for (size_t n = strlen(rest->url); n && rest->url[n - 1] == '/'; n--)
        rest->url[n - 1] = 0;
    rest->socket = mem_text(socket);
    rest->user = mem_text(user ? user : queue->me);
    rest->version = mem_text(version);
    rest->token = token ? child_secret(io, context, token, queue->config->key, error) : NULL;
    if (token && !rest->token)
        return false;
    return rest->version || pick_version(queue, io, context, error);
}

/* ---------------------------------------------------------------------------------------------------------------- reading */

static int64_t number_of(const cJSON *object, const char *key)
{
    const cJSON *item = json_member(object, key);
    if (!cJSON_IsObject(item))
        return json_integer(object, key);
    bool set = json_truth(item, "set") != 0 && json_truth(item, "infinite") != 1;
    return set ? json_integer(item, "number") : NUMBER_UNKNOWN;
}

static int64_t stamp_of(const cJSON *object, const char *key)
{
    int64_t seconds = number_of(object, key);
    return seconds > 0 ? seconds * 1000 : TIME_UNKNOWN;
}

/* Newer ones give the state and its flags; the last flag is the more telling: RUNNING, COMPLETING. */
static bool read_state(const cJSON *object, const char *reason, JobState *state)
{
    const cJSON *item = json_member(object, "job_state"), *one;
    if (!cJSON_IsArray(item))
        return cJSON_IsString(item) && slurm_state(item->valuestring, reason, state);
    bool any = false;
    cJSON_ArrayForEach(one, item)
    {
        JobState now;
        if (!cJSON_IsString(one) || !slurm_state(one->valuestring, reason, &now))
            continue;
        *state = now;
        any = true;
    }
    return any;
}

static const char *keep(JobList *list, const char *text)
{
    return text && queue_says(text) ? job_list_text(list, text, strlen(text)) : NULL;
}

typedef struct Reading {
    const Queue *queue;
    const JobQuery *query;
    JobList *list;
    JsonItems *items;
} Reading;

static bool is_asked(const Reading *reading, const char *owner, const char *id)
{
    if (reading->query->ids && !list_has(reading->query->ids, id))
        return false;
    return !reading->query->owner || strcmp(reading->query->owner, owner) == 0;
}

static bool read_job(void *user, const char *bytes, size_t n, Error *error)
{
    Reading *reading = user;
    JobList *list = reading->list;
    cJSON *json = json_parse(bytes, n, NULL, error);
    if (!json)
        return false;
    const char *reason = json_text(json, "state_reason"), *owner = json_text(json, "user_name");
    int64_t number = number_of(json, "job_id");
    JobState state;
    char *id = mem_format("%lld", (long long)number);
    if (number != NUMBER_UNKNOWN && owner && read_state(json, reason, &state) && is_asked(reading, owner, id)) {
        Job *job = job_list_add(list);
        bool runs = state > JOB_HELD;
        job->id = keep(list, id);
        job->name = keep(list, json_text(json, "name"));
        job->owner = keep(list, owner);
        job->account = keep(list, json_text(json, "account"));
        job->queue = keep(list, json_text(json, "partition"));
        job->state = state;
        job->reason = reason && strcmp(reason, "None") != 0 ? keep(list, reason) : NULL;
        job->submitted_ms = stamp_of(json, "submit_time");
        job->started_ms = runs ? stamp_of(json, "start_time") : TIME_UNKNOWN;
        job->ends_ms = runs ? stamp_of(json, "end_time") : TIME_UNKNOWN;
        job->cpus = number_of(json, "cpus");
        job->memory = slurm_memory(json_text(json, "tres_alloc_str"));
        job->gpus = slurm_gpus(json_text(json, "tres_alloc_str"), json_text(json, "tres_per_node"));
        job->node = keep(list, json_text(json, "nodes"));
        job->directory = keep(list, json_text(json, "current_working_directory"));
        job->output = slurm_log(list, job, json_text(json, "standard_output"), job->id, NULL);
        job->errors = slurm_log(list, job, json_text(json, "standard_error"), job->id, NULL);
    }
    free(id);
    cJSON_Delete(json);
    return true;
}

static bool take_chunk(void *user, const char *bytes, size_t n, Error *error)
{
    return json_items_feed(((Reading *)user)->items, bytes, n, error);
}

bool slurm_rest_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error)
{
    const Rest *rest = queue->own;
    Reading reading = {.queue = queue, .query = query, .list = out};
    List headers = {0};
    HttpRequest request;
    HttpReply reply;
    char *path = mem_format("slurm/%s/jobs", rest->version), *url = url_of(queue, path);
    fill_request(queue, url, NULL, &headers, &request);
    reading.items = json_items_new("jobs", JOB_MOST, read_job, &reading);
    request.chunk = take_chunk;
    request.user = &reading;
    bool right = http_run(io, context, &request, &reply, error);
    if (right && reply.status != 200)
        right = say_failure(queue, &reply, error);
    else if (right && !json_items_end(reading.items, NULL, error))
        right = false;
    if (!right && error && !*error->where)
        error_at(error, queue->config->key);
    json_items_free(reading.items);
    http_reply_done(&reply);
    list_done(&headers);
    free(path);
    free(url);
    return right;
}

bool slurm_rest_cancel(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error)
{
    const Rest *rest = queue->own;
    for (size_t i = 0; i < ids->count; i++) {
        List headers = {0};
        HttpRequest request;
        HttpReply reply;
        char *path = mem_format("slurm/%s/job/%s", rest->version, ids->items[i]), *url = url_of(queue, path);
        Error why = {0};
        fill_request(queue, url, "DELETE", &headers, &request);
        bool came = http_run(io, context, &request, &reply, error);
        if (came && reply.status != 200 && !say_failure(queue, &reply, &why) && why.code != ERROR_NOT_FOUND)
            list_format(failures, "job %s: %s", ids->items[i], why.what);
        if (came)
            http_reply_done(&reply);
        list_done(&headers);
        free(path);
        free(url);
        if (!came)
            return false;
    }
    return true;
}
