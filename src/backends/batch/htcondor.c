/* HTCondor by condor_q and condor_rm. By its manuals: not yet tried on a real one. dask-jobqueue marks its jobs: DaskWorkerName. A job's submit
 * description is not kept by the queue, so nothing is submitted again from here. */
#include "backends/batch/batch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { JOB_MOST = 4 << 20 };

static const char attributes[] = "ClusterId,ProcId,Owner,JobStatus,JobBatchName,Args,Arguments,Cmd,QDate,JobCurrentStartDate,RequestCpus,RequestMemory,"
                                 "RequestGpus,RemoteHost,Out,Err,Iwd,DaskWorkerName,HoldReason";

static bool is_state(int64_t number, JobState *state)
{
    switch (number) {
    case 1: *state = JOB_PENDING; return true;
    case 2: case 6: *state = JOB_RUNNING; return true;
    case 3: *state = JOB_LEAVING; return true; /* removed, but not gone: a held one lingers */
    case 5: *state = JOB_HELD; return true;
    case 7: *state = JOB_SUSPENDED; return true;
    default: return false;
    }
}

static const char *keep(JobList *list, const char *text)
{
    return text && *text ? job_list_text(list, text, strlen(text)) : NULL;
}

/* "-c 'python -m … ''quoted'' …'": what sh is given, with its doubled quotes single again. */
static const char *command_of(JobList *list, const char *arguments)
{
    Buffer text;
    if (!arguments)
        return NULL;
    if (strncmp(arguments, "-c ", 3) != 0)
        return keep(list, arguments);
    const char *at = arguments + 3;
    size_t n = strlen(at);
    bool quoted = n > 1 && at[0] == '\'' && at[n - 1] == '\'';
    buffer_init(&text, 1 << 20);
    for (const char *end = at + n - (quoted ? 1 : 0), *c = at + (quoted ? 1 : 0); c < end; c++) {
        buffer_char(&text, *c);
        if ((*c == '\'' || *c == '"') && c + 1 < end && c[1] == *c)
            c++;
    }
    const char *kept = keep(list, text.bytes);
    buffer_done(&text);
    return kept;
}

static const char *log_path(JobList *list, const Job *job, const char *path)
{
    if (!path || !*path || strcmp(path, "/dev/null") == 0)
        return NULL;
    return *path == '/' || !job->directory ? keep(list, path) : job_list_format(list, "%s/%s", job->directory, path);
}

static bool read_job(void *user, const char *bytes, size_t n, Error *error)
{
    JobList *list = user;
    cJSON *json = json_parse(bytes, n, NULL, error);
    if (!json)
        return false;
    int64_t cluster = json_integer(json, "ClusterId"), proc = json_integer(json, "ProcId"), queued = json_integer(json, "QDate");
    const char *owner = json_text(json, "Owner"), *host = json_text(json, "RemoteHost"), *arguments = json_text(json, "Args");
    JobState state;
    if (cluster != NUMBER_UNKNOWN && proc != NUMBER_UNKNOWN && owner && is_state(json_integer(json, "JobStatus"), &state)) {
        Job *job = job_list_add(list);
        int64_t started = json_integer(json, "JobCurrentStartDate"), memory = json_integer(json, "RequestMemory");
        const char *at = host ? strchr(host, '@') : NULL;
        job->id = job_list_format(list, "%lld.%lld", (long long)cluster, (long long)proc);
        job->name = keep(list, json_text(json, "JobBatchName"));
        job->owner = keep(list, owner);
        job->state = state;
        job->reason = keep(list, json_text(json, "HoldReason"));
        job->submitted_ms = queued > 0 ? queued * 1000 : TIME_UNKNOWN;
        job->started_ms = state > JOB_HELD && started > 0 ? started * 1000 : TIME_UNKNOWN;
        job->cpus = json_integer(json, "RequestCpus");
        job->memory = memory > 0 && memory < (1ll << 40) ? memory << 20 : NUMBER_UNKNOWN;
        job->gpus = json_integer(json, "RequestGpus");
        job->node = keep(list, at ? at + 1 : host);
        job->directory = keep(list, json_text(json, "Iwd"));
        job->output = log_path(list, job, json_text(json, "Out"));
        job->errors = log_path(list, job, json_text(json, "Err"));
        job->text = command_of(list, arguments ? arguments : json_text(json, "Arguments"));
    }
    cJSON_Delete(json);
    return true;
}

/* Its marks make it the one queue in which Dask's jobs can be asked for alone. An empty queue prints nothing, not []. */
static bool htcondor_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error)
{
    ChildResult result;
    List command = queue_command(queue, "condor_q", "-nobatch", "-json", "-attributes", attributes, NULL);
    if (query->ids) {
        for (size_t i = 0; i < query->ids->count; i++)
            list_add(&command, query->ids->items[i]);
    } else {
        list_add(&command, "-constraint");
        list_add(&command, "DaskWorkerName isnt undefined");
        list_add(&command, query->owner ? query->owner : "-allusers");
    }
    bool right = queue_run_list(queue, io, context, query, &command, NULL, &result, error);
    list_done(&command);
    if (!right)
        return false;
    if (result.status != 0) {
        right = queue_failed(queue, &result, "condor_q", error);
    } else if (strspn(result.output.bytes, " \t\r\n") < result.output.length) {
        JsonItems *items = json_items_new(NULL, JOB_MOST, read_job, out);
        right = json_items_feed(items, result.output.bytes, result.output.length, error) && json_items_end(items, NULL, error);
        json_items_free(items);
        if (!right && error)
            error_at(error, queue->config->key);
    }
    child_result_done(&result);
    return right;
}

/* "Job 12.0 marked for removal", "Permission denied to remove job 12.0", "Job 12.0 not found". */
static void read_refusal(const char *line, List *failures)
{
    if (strstr(line, "ermission denied"))
        list_add(failures, line);
}

static bool htcondor_cancel(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error)
{
    return queue_cancel(queue, io, context, "condor_rm", ids, read_refusal, failures, error);
}

static const QueueType htcondor_queue = {
    .cluster = "HTCondorCluster", .program = "condor_q", .list = htcondor_list, .cancel = htcondor_cancel, .cancel_words = "condor_rm",
};

const BackendType htcondor_backend = BATCH_TYPE("htcondor", "Dask's jobs in HTCondor's queue", "as you: your own condor_q, condor_rm", batch_keys, "condor_q", &htcondor_queue);
