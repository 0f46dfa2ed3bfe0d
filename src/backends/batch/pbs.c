/* OpenPBS, PBS Pro and Torque by qstat, qsub and qdel. By their manuals: not yet tried on a real one. OpenPBS writes JSON, which some versions
 * spoil by unescaped values of Variable_List; then, and with Torque, the plain form is read, which all have. A script is told to nobody but
 * the server's operators: a worker's log says for whom it works, often only after the job, when PBS brings it from its node. */
#include "backends/batch/batch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Pbs {
    bool open; /* OpenPBS or PBS Pro; else Torque */
} Pbs;

/* Grid Engine has a qstat, too, which does not know --version. */
static bool pbs_begin(Queue *queue, Io *io, const Context *context, Error *error)
{
    ChildResult result;
    List command = queue_command(queue, "qstat", "--version", NULL);
    bool right = queue_run(queue, io, context, &command, NULL, &result, error);
    list_done(&command);
    if (!right)
        return false;
    bool open = strstr(result.output.bytes, "pbs_version") || strstr(result.errors.bytes, "pbs_version");
    bool torque = strncmp(result.output.bytes, "Version:", 8) == 0 || strncmp(result.errors.bytes, "Version:", 8) == 0;
    child_result_done(&result);
    if (!open && !torque)
        return error_set(error, ERROR_ABSENT, queue->config->key, NULL, "the qstat here is not PBS's");
    Pbs *own = mem_new(sizeof *own);
    own->open = open;
    queue->own = own;
    return true;
}

static void pbs_end(Queue *queue)
{
    free(queue->own);
}

/* ----------------------------------------------------------------------------------------------------------------- fields */

/* "Mon Nov 23 06:42:00 2026", UTC as everything that is asked here. */
static int64_t time_of(const char *text)
{
    struct tm at = {0};
    const char *end = strptime(text, "%a %b %d %H:%M:%S %Y", &at);
    time_t seconds = end && !*end ? timegm(&at) : 0;
    return seconds > 0 ? (int64_t)seconds * 1000 : TIME_UNKNOWN;
}

static const char *path_of(JobList *list, const char *text)
{
    const char *slash = strchr(text, '/'); /* "host:/path" */
    return slash ? job_list_text(list, slash, strlen(slash)) : NULL;
}

static bool is_state(char letter, JobState *state)
{
    switch (letter) {
    case 'Q': case 'W': case 'T': case 'M': *state = JOB_PENDING; return true;
    case 'H': *state = JOB_HELD; return true;
    case 'R': case 'B': *state = JOB_RUNNING; return true;
    case 'S': case 'U': *state = JOB_SUSPENDED; return true;
    case 'E': *state = JOB_LEAVING; return true;
    default: return false; /* F, X, C: it has ended */
    }
}

typedef struct Reading {
    JobList *list;
    Job *job;            /* the one that is read */
    bool ended;
    int64_t limit_s;
} Reading;

static void begin_job(Reading *reading, const char *id)
{
    reading->job = job_list_add(reading->list);
    reading->job->id = job_list_text(reading->list, id, strlen(id));
    reading->job->element = strchr(id, '[') != NULL;
    reading->job->state = JOB_PENDING;
    reading->ended = false;
    reading->limit_s = NUMBER_UNKNOWN;
}

static void end_job(Reading *reading)
{
    Job *job = reading->job;
    if (!job)
        return;
    if (job->state > JOB_HELD && job->started_ms != TIME_UNKNOWN && reading->limit_s != NUMBER_UNKNOWN)
        job->ends_ms = job->started_ms + reading->limit_s * 1000;
    if (reading->ended || !job->owner)
        reading->list->count--;
    reading->job = NULL;
}

static void take_field(Reading *reading, const char *key, const char *value)
{
    Job *job = reading->job;
    JobList *list = reading->list;
    size_t n = strlen(value);
    if (strcmp(key, "Job_Name") == 0)
        job->name = job_list_text(list, value, n);
    else if (strcmp(key, "Job_Owner") == 0)
        job->owner = job_list_text(list, value, strcspn(value, "@"));
    else if (strcmp(key, "job_state") == 0)
        reading->ended = !is_state(*value, &job->state);
    else if (strcmp(key, "queue") == 0)
        job->queue = job_list_text(list, value, n);
    else if (strcmp(key, "Account_Name") == 0 || strcmp(key, "project") == 0)
        job->account = job_list_text(list, value, n);
    else if (strcmp(key, "comment") == 0)
        job->reason = job_list_text(list, value, n);
    else if (strcmp(key, "qtime") == 0)
        job->submitted_ms = job->submitted_ms == TIME_UNKNOWN ? time_of(value) : job->submitted_ms;
    else if (strcmp(key, "ctime") == 0)
        job->submitted_ms = time_of(value);
    else if (strcmp(key, "stime") == 0 || strcmp(key, "start_time") == 0)
        job->started_ms = time_of(value);
    else if (strcmp(key, "Output_Path") == 0)
        job->output = path_of(list, value);
    else if (strcmp(key, "Error_Path") == 0)
        job->errors = path_of(list, value);
    else if (strcmp(key, "exec_host") == 0)
        job->node = job_list_text(list, value, strcspn(value, "/+"));
    else if (strcmp(key, "Resource_List.ncpus") == 0 || strcmp(key, "Resource_List.nodes") == 0)
        job->cpus = queue_number(value) != NUMBER_UNKNOWN ? queue_number(value) : job->cpus;
    else if (strcmp(key, "Resource_List.mem") == 0)
        job->memory = queue_size(value, 'b');
    else if (strcmp(key, "Resource_List.ngpus") == 0)
        job->gpus = queue_number(value);
    else if (strcmp(key, "Resource_List.walltime") == 0)
        reading->limit_s = queue_duration_s(value);
    else if (strcmp(key, "PBS_O_WORKDIR") == 0)
        job->directory = job_list_text(list, value, n);
}

/* ------------------------------------------------------------------------------------------------------------------ forms */

/* A plain line may go on below, where it begins with a tab. Variables are parted by commas. */
static void take_variables(Reading *reading, const char *value)
{
    const char *at = strstr(value, "PBS_O_WORKDIR=");
    if (!at)
        return;
    at += strlen("PBS_O_WORKDIR=");
    char *directory = mem_text_n(at, strcspn(at, ","));
    take_field(reading, "PBS_O_WORKDIR", directory);
    free(directory);
}

static void take_line(Reading *reading, const char *line)
{
    const char *begin = line + strspn(line, " "), *equals = strstr(begin, " = ");
    if (strncmp(begin, "Job Id: ", 8) == 0) {
        end_job(reading);
        begin_job(reading, begin + 8);
    } else if (equals && reading->job) {
        char *key = mem_text_n(begin, (size_t)(equals - begin));
        if (strcmp(key, "Variable_List") == 0)
            take_variables(reading, equals + 3);
        else
            take_field(reading, key, equals + 3);
        free(key);
    }
}

static void read_plain(JobList *list, const char *text)
{
    Reading reading = {.list = list};
    Buffer line;
    buffer_init(&line, 1 << 20);
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        buffer_clear(&line);
        buffer_add(&line, at, n);
        at += n + (at[n] == '\n');
        while (*at == '\t') { /* goes on */
            n = strcspn(++at, "\n");
            buffer_add(&line, at, n);
            at += n + (at[n] == '\n');
        }
        take_line(&reading, line.bytes);
    }
    end_job(&reading);
    buffer_done(&line);
}

static void take_json(Reading *reading, const char *prefix, const cJSON *item)
{
    char *key = mem_format("%s%s", prefix, item->string), number[32];
    if (cJSON_IsString(item)) {
        take_field(reading, key, item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        snprintf(number, sizeof number, "%.0f", item->valuedouble);
        take_field(reading, key, number);
    } else if (cJSON_IsObject(item)) {
        bool variables = strcmp(item->string, "Variable_List") == 0, resources = strcmp(item->string, "Resource_List") == 0;
        const cJSON *one;
        if (variables && json_text(item, "PBS_O_WORKDIR"))
            take_field(reading, "PBS_O_WORKDIR", json_text(item, "PBS_O_WORKDIR"));
        cJSON_ArrayForEach(one, item)
        {
            if (resources && (cJSON_IsString(one) || cJSON_IsNumber(one)))
                take_json(reading, "Resource_List.", one);
        }
    }
    free(key);
}

static bool read_json(JobList *list, const char *bytes, size_t n)
{
    cJSON *json = json_parse(bytes, n, NULL, NULL);
    const cJSON *job, *item;
    if (!json)
        return false;
    cJSON_ArrayForEach(job, json_member(json, "Jobs"))
    {
        Reading reading = {.list = list};
        begin_job(&reading, job->string);
        cJSON_ArrayForEach(item, job)
        {
            take_json(&reading, "", item);
        }
        end_job(&reading);
    }
    cJSON_Delete(json);
    return true;
}

static bool run_list(Queue *queue, Io *io, const Context *context, bool json, const JobQuery *query, ChildResult *result, Error *error)
{
    List command = queue_command(queue, "qstat", "-f", NULL);
    const Pbs *own = queue->own;
    if (json) {
        list_add(&command, "-F");
        list_add(&command, "json");
    }
    if (own->open)
        list_add(&command, "-t"); /* each element of an array */
    for (size_t i = 0; query->ids && i < query->ids->count; i++)
        list_add(&command, query->ids->items[i]);
    bool right = queue_run_list(queue, io, context, query, &command, NULL, result, error);
    list_done(&command);
    return right;
}

static void keep_owner(const JobQuery *query, JobList *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!query->owner || strcmp(list->items[i].owner, query->owner) == 0)
            list->items[count++] = list->items[i];
    list->count = count;
}

static bool pbs_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error)
{
    ChildResult result;
    bool json = ((Pbs *)queue->own)->open;
    if (query->ids && !query->ids->count)
        return true;
    if (!run_list(queue, io, context, json, query, &result, error))
        return false;
    if (json && result.output.length && !read_json(out, result.output.bytes, result.output.length)) {
        child_result_done(&result);
        json = false;
        if (!run_list(queue, io, context, false, query, &result, error))
            return false;
    }
    if (!json)
        read_plain(out, result.output.bytes);
    bool gone = strstr(result.errors.bytes, "Unknown Job") || strstr(result.errors.bytes, "has finished");
    bool right = result.status == 0 || out->count || (query->ids && gone) || queue_failed(queue, &result, "qstat", error);
    child_result_done(&result);
    keep_owner(query, out);
    return right;
}

/* "qdel: Unknown Job Id 9.server": it has ended. "qdel: Unauthorized Request 12.server". */
static void read_refusal(const char *line, List *failures)
{
    if (strncmp(line, "qdel: ", 6) == 0 && !strstr(line, "Unknown Job") && !strstr(line, "has finished") && !strstr(line, "invalid state"))
        list_add(failures, line + 6);
}

static bool pbs_cancel(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error)
{
    return queue_cancel(queue, io, context, "qdel", ids, read_refusal, failures, error);
}

static const QueueType pbs_queue = {
    .cluster = "PBSCluster", .program = "qstat", .begin = pbs_begin, .end = pbs_end, .list = pbs_list, .cancel = pbs_cancel, .cancel_words = "qdel",
};

const BackendType pbs_backend = BATCH_TYPE("pbs", "Dask's jobs in the queue of OpenPBS, PBS Pro or Torque", "as you: your own qstat, qdel", batch_keys, "qstat", &pbs_queue);
