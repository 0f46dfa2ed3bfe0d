/* OAR by oarstat and oardel; tried on 2.5.9. dask-jobqueue gives it the script inline, so that it is the job's command, which oarstat tells. */
#include "backends/batch/batch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool is_state(const char *word, JobState *state)
{
    static const struct {
        const char *word;
        JobState state;
    } words[] = {{"Waiting", JOB_PENDING}, {"toLaunch", JOB_PENDING}, {"toAckReservation", JOB_PENDING}, {"Hold", JOB_HELD}, {"Launching", JOB_RUNNING},
                 {"Running", JOB_RUNNING}, {"Resuming", JOB_RUNNING}, {"Suspended", JOB_SUSPENDED}, {"Finishing", JOB_LEAVING}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0) {
            *state = words[i].state;
            return true;
        }
    return false; /* Terminated, Error, toError */
}

static const char *keep(JobList *list, const char *text)
{
    return text && *text ? job_list_text(list, text, strlen(text)) : NULL;
}

/* Its Perl writes numbers as texts, in some versions. */
static int64_t number_of(const cJSON *object, const char *key)
{
    const char *text = json_text(object, key);
    return text ? queue_number(text) : json_integer(object, key);
}

static int64_t stamp_of(const cJSON *object, const char *key)
{
    int64_t seconds = number_of(object, key);
    return seconds > 0 ? seconds * 1000 : TIME_UNKNOWN;
}

static const char *log_path(JobList *list, const Job *job, const char *path)
{
    if (!path || !*path)
        return NULL;
    return *path == '/' || !job->directory ? keep(list, path) : job_list_format(list, "%s/%s", job->directory, path);
}

static void add_job(JobList *list, const cJSON *json)
{
    int64_t number = number_of(json, "Job_Id"), wall = number_of(json, "walltime");
    const char *owner = json_text(json, "owner"), *word = json_text(json, "state");
    const cJSON *address = cJSON_GetArrayItem(json_member(json, "assigned_network_address"), 0);
    JobState state;
    if (number == NUMBER_UNKNOWN)
        number = number_of(json, "id");
    if (number == NUMBER_UNKNOWN || !owner || !word || !is_state(word, &state))
        return;
    Job *job = job_list_add(list);
    job->id = job_list_format(list, "%lld", (long long)number);
    job->name = keep(list, json_text(json, "name"));
    job->owner = keep(list, owner);
    job->queue = keep(list, json_text(json, "queue"));
    job->account = keep(list, json_text(json, "project"));
    job->state = state;
    job->reason = state <= JOB_HELD ? keep(list, json_text(json, "message")) : NULL;
    job->submitted_ms = stamp_of(json, "submissionTime");
    job->started_ms = state > JOB_HELD ? stamp_of(json, "startTime") : TIME_UNKNOWN;
    if (wall > 0 && wall < 1000000000 && job->started_ms != TIME_UNKNOWN)
        job->ends_ms = job->started_ms + wall * 1000;
    job->node = cJSON_IsString(address) ? keep(list, address->valuestring) : NULL;
    job->directory = keep(list, json_text(json, "launchingDirectory"));
    job->output = log_path(list, job, json_text(json, "stdout_file"));
    job->errors = log_path(list, job, json_text(json, "stderr_file"));
    job->text = keep(list, json_text(json, "command"));
}

/* An object by job id; an empty queue may print nothing. */
static bool read_jobs(const Queue *queue, const Buffer *text, const JobQuery *query, JobList *out, Error *error)
{
    if (strspn(text->bytes, " \t\r\n") == text->length)
        return true;
    cJSON *json = json_parse(text->bytes, text->length, queue->config->key, error), *one;
    if (!json)
        return false;
    cJSON_ArrayForEach(one, json)
    {
        const char *owner = json_text(one, "owner");
        if (cJSON_IsObject(one) && (!query->owner || (owner && strcmp(owner, query->owner) == 0)))
            add_job(out, one);
    }
    cJSON_Delete(json);
    return true;
}

static bool oar_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error)
{
    ChildResult result;
    List command = queue_command(queue, "oarstat", "-J", "-f", NULL);
    if (query->owner) {
        list_add(&command, "-u");
        list_add(&command, query->owner);
    }
    for (size_t i = 0; query->ids && i < query->ids->count; i++) {
        list_add(&command, "-j");
        list_add(&command, query->ids->items[i]);
    }
    bool right = queue_run_list(queue, io, context, query, &command, NULL, &result, error);
    list_done(&command);
    if (!right)
        return false;
    right = result.status == 0 ? read_jobs(queue, &result.output, query, out, error) : query->ids != NULL || queue_failed(queue, &result, "oarstat", error);
    child_result_done(&result);
    return right;
}

/* "Deleting the job = 12 ...REGISTERED.", "Cannot delete 12: not your job". */
static void read_refusal(const char *line, List *failures)
{
    if (strstr(line, "not the right user") || strstr(line, "not your") || strstr(line, "ermission"))
        list_add(failures, line);
}

static bool oar_cancel(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error)
{
    return queue_cancel(queue, io, context, "oardel", ids, read_refusal, failures, error);
}

static const QueueType oar_queue = {
    .cluster = "OARCluster", .program = "oarstat", .list = oar_list, .cancel = oar_cancel, .cancel_words = "oardel",
};

const BackendType oar_backend = BATCH_TYPE("oar", "Dask's jobs in OAR's queue", "as you: your own oarstat, oardel", batch_keys, "oarstat", &oar_queue);
