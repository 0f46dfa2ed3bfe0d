/* OAR by oarstat, oardel and oarsub; tests run a real 2.5.9. dask-jobqueue gives it the script inline, so that it is the job's command, which
 * oarstat tells. What was asked for beside it is told, too, and written before the command as the lines of options that a script of OAR's may
 * begin with: both together are what is submitted again. */
#include "backends/batch/batch.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { SCRIPT_MOST = 1 << 20 };

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

static void add_option(Buffer *text, const char *option, const char *value)
{
    if (value && *value && !strpbrk(value, "\r\n"))
        buffer_format(text, "#OAR %s %s\n", option, value);
}

/* -l "{type = 'default'}/core=1,walltime=0:30:0" -l "…": several are alternatives. */
static void add_resources(Buffer *text, const char *wanted)
{
    for (const char *at = wanted ? strstr(wanted, "-l \"") : NULL; at;) {
        const char *begin = at + 4, *next = strstr(begin, "\" -l \""), *end = next ? next : strrchr(begin, '"');
        char *value = end ? mem_text_n(begin, (size_t)(end - begin)) : NULL;
        add_option(text, "-l", value);
        free(value);
        at = next ? next + 2 : NULL;
    }
}

/* A log's path has the job's number where the next job has its own. */
static void add_log(Buffer *text, const char *option, const char *path, const char *id)
{
    Buffer own;
    size_t n = strlen(id);
    if (!path)
        return;
    buffer_init(&own, 4096);
    for (const char *at = path; *at;) {
        bool whole = strncmp(at, id, n) == 0 && !isdigit((unsigned char)at[n]) && (at == path || !isdigit((unsigned char)at[-1]));
        if (whole)
            buffer_text(&own, "%jobid%");
        else
            buffer_char(&own, *at);
        at += whole ? n : 1;
    }
    add_option(text, option, own.bytes);
    buffer_done(&own);
}

static const char *script_of(JobList *list, const Job *job, const cJSON *json)
{
    const cJSON *type;
    const char *command = json_text(json, "command");
    Buffer text;
    if (!command || !*command)
        return NULL;
    buffer_init(&text, SCRIPT_MOST);
    add_option(&text, "-n", job->name);
    add_option(&text, "-q", job->queue);
    add_option(&text, "--project", job->account);
    add_resources(&text, json_text(json, "wanted_resources"));
    add_option(&text, "-p", json_text(json, "properties"));
    cJSON_ArrayForEach(type, json_member(json, "types")) add_option(&text, "-t", cJSON_GetStringValue(type));
    add_log(&text, "-O", json_text(json, "stdout_file"), job->id);
    add_log(&text, "-E", json_text(json, "stderr_file"), job->id);
    buffer_char(&text, '\n');
    buffer_text(&text, command);
    const char *kept = job_list_text(list, text.bytes, text.length);
    buffer_done(&text);
    return kept;
}

/* "R=1,W=0:30:0,J=B (Karma=0.000)" is what it asks for, and no reason to wait. */
static const char *reason_of(JobList *list, const cJSON *json)
{
    const char *message = json_text(json, "message");
    return message && strncmp(message, "R=", 2) != 0 ? keep(list, message) : NULL;
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
    job->reason = state <= JOB_HELD ? reason_of(list, json) : NULL;
    job->submitted_ms = stamp_of(json, "submissionTime");
    job->started_ms = state > JOB_HELD ? stamp_of(json, "startTime") : TIME_UNKNOWN;
    if (wall > 0 && wall < 1000000000 && job->started_ms != TIME_UNKNOWN)
        job->ends_ms = job->started_ms + wall * 1000;
    job->node = cJSON_IsString(address) ? keep(list, address->valuestring) : NULL;
    job->directory = keep(list, json_text(json, "launchingDirectory"));
    job->output = log_path(list, job, json_text(json, "stdout_file"));
    job->errors = log_path(list, job, json_text(json, "stderr_file"));
    job->text = script_of(list, job, json);
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

/* "#OAR -l /core=1" are two arguments. Returns where the command begins. */
static const char *add_options(const char *script, List *command)
{
    const char *at = script;
    while (strncmp(at, "#OAR ", 5) == 0) {
        const char *option = at + 5, *end = at + strcspn(at, "\n"), *value = option + strcspn(option, " \n");
        list_take(command, mem_text_n(option, (size_t)(value - option)));
        if (value < end)
            list_take(command, mem_text_n(value + 1, (size_t)(end - value - 1)));
        at = *end ? end + 1 : end;
    }
    return *at == '\n' ? at + 1 : at;
}

static bool oar_submit(Queue *queue, Io *io, const Context *context, const QueueSubmission *what, char **id, Error *error)
{
    static const char mark[] = "OAR_JOB_ID=";
    ChildResult result;
    List command = queue_command(queue, "oarsub", NULL);
    if (what->directory) {
        list_add(&command, "-d");
        list_add(&command, what->directory);
    }
    const char *script = add_options(what->script, &command);
    list_add(&command, "--");
    list_add(&command, script);
    bool right = queue_run(queue, io, context, &command, NULL, &result, error);
    list_done(&command);
    if (!right)
        return false;
    const char *at = strstr(result.output.bytes, mark);
    size_t n = at ? strspn(at + strlen(mark), "0123456789") : 0;
    if (result.status != 0 || !n)
        right = queue_failed(queue, &result, "oarsub", error);
    else
        *id = mem_text_n(at + strlen(mark), n);
    child_result_done(&result);
    return right;
}

/* "Deleting the job = 12 ...REGISTERED.", "Cannot frag 12 ; You are not the right user." */
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
    .cluster = "OARCluster", .program = "oarstat", .list = oar_list, .submit = oar_submit, .submit_words = "oarsub", .cancel = oar_cancel, .cancel_words = "oardel",
};

const BackendType oar_backend = BATCH_TYPE("oar", "Dask's jobs in OAR's queue", "as you: your own oarstat, oardel, oarsub", batch_keys, "oarstat", &oar_queue);
