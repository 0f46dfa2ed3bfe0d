/* LSF by bjobs, bsub and bkill. By its manuals: not yet tried on a real one. dask-jobqueue feeds the whole script to bsub, so that it is the
 * job's command, which bjobs tells. */
#include "backends/batch/batch.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char fields[] = "jobid jobindex stat user queue job_name proj_name submit_time start_time finish_time slots exec_host output_file error_file "
                             "exec_cwd sub_cwd pend_reason command";

/* "Nov 23 06:42", UTC, of the last twelve months or of the next: LSF writes no year. "Nov 23 07:12 L" is an estimate or a limit. */
static int64_t time_of(const char *text, bool future)
{
    struct tm at = {0}, today;
    time_t now = (time_t)(clock_wall_ms() / 1000);
    if (!text || !queue_says(text) || !gmtime_r(&now, &today) || !strptime(text, "%b %d %H:%M", &at))
        return TIME_UNKNOWN;
    at.tm_year = today.tm_year;
    time_t seconds = timegm(&at);
    if (!future && seconds > now + 86400)
        at.tm_year--;
    else if (future && seconds < now - 86400 * 30)
        at.tm_year++;
    at.tm_isdst = 0;
    return (int64_t)timegm(&at) * 1000;
}

static bool is_state(const char *word, JobState *state)
{
    static const struct {
        const char *word;
        JobState state;
    } words[] = {{"PEND", JOB_PENDING}, {"WAIT", JOB_PENDING}, {"PSUSP", JOB_HELD}, {"RUN", JOB_RUNNING}, {"PROV", JOB_RUNNING},
                 {"USUSP", JOB_SUSPENDED}, {"SSUSP", JOB_SUSPENDED}, {"UNKWN", JOB_RUNNING}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0) {
            *state = words[i].state;
            return true;
        }
    return false;
}

static const char *keep(JobList *list, const char *text)
{
    return text && queue_says(text) ? job_list_text(list, text, strlen(text)) : NULL;
}

/* %J is the job's number, %I its index. Relative to the directory of submission. */
static const char *log_path(JobList *list, const Job *job, const char *pattern, const char *number, const char *index)
{
    Buffer path;
    if (!pattern || !queue_says(pattern))
        return NULL;
    buffer_init(&path, 8192);
    if (*pattern != '/' && job->directory)
        buffer_format(&path, "%s/", job->directory);
    for (const char *at = pattern; *at; at++) {
        if (*at == '%' && (at[1] == 'J' || at[1] == 'I'))
            buffer_text(&path, *++at == 'J' ? number : index ? index : "0");
        else
            buffer_char(&path, *at);
    }
    const char *kept = job_list_text(list, path.bytes, path.length);
    buffer_done(&path);
    return kept;
}

/* A script comes back in one line, its own lines parted by semicolons. */
static const char *script_of(JobList *list, const char *command)
{
    char *text = mem_text(command);
    for (char *at = text; at && strncmp(text, "#!", 2) == 0 && *at; at++)
        if (*at == ';')
            *at = '\n';
    const char *kept = keep(list, text);
    free(text);
    return kept;
}

static bool read_record(void *user, const char *bytes, size_t n, Error *error)
{
    JobList *list = user;
    cJSON *json = json_parse(bytes, n, NULL, error);
    const char *number = json_text(json, "JOBID"), *index = json_text(json, "JOBINDEX"), *state_word = json_text(json, "STAT"), *owner = json_text(json, "USER");
    JobState state;
    if (!json)
        return false;
    if (number && owner && state_word && is_state(state_word, &state)) {
        bool element = index && *index && strcmp(index, "0") != 0;
        Job *job = job_list_add(list);
        job->id = element ? job_list_format(list, "%s[%s]", number, index) : job_list_text(list, number, strlen(number));
        job->element = element;
        job->name = keep(list, json_text(json, "JOB_NAME"));
        job->owner = keep(list, owner);
        job->queue = keep(list, json_text(json, "QUEUE"));
        job->account = keep(list, json_text(json, "PROJ_NAME"));
        job->state = state;
        job->reason = state <= JOB_HELD ? keep(list, json_text(json, "PEND_REASON")) : NULL;
        job->submitted_ms = time_of(json_text(json, "SUBMIT_TIME"), false);
        job->started_ms = state > JOB_HELD ? time_of(json_text(json, "START_TIME"), false) : TIME_UNKNOWN;
        job->ends_ms = state > JOB_HELD ? time_of(json_text(json, "FINISH_TIME"), true) : TIME_UNKNOWN;
        job->cpus = queue_number(json_text(json, "SLOTS"));
        const char *host = json_text(json, "EXEC_HOST"), *star = host ? strchr(host, '*') : NULL; /* "4*node1:node2" */
        job->node = host && queue_says(host) ? job_list_text(list, star ? star + 1 : host, strcspn(star ? star + 1 : host, ":")) : NULL;
        job->directory = keep(list, json_text(json, "SUB_CWD"));
        if (!job->directory)
            job->directory = keep(list, json_text(json, "EXEC_CWD"));
        job->output = log_path(list, job, json_text(json, "OUTPUT_FILE"), number, index);
        job->errors = log_path(list, job, json_text(json, "ERROR_FILE"), number, index);
        job->text = json_text(json, "COMMAND") ? script_of(list, json_text(json, "COMMAND")) : NULL;
    }
    cJSON_Delete(json);
    return true;
}

static bool lsf_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error)
{
    ChildResult result;
    List command = queue_command(queue, "bjobs", "-u", query->owner ? query->owner : "all", "-o", fields, "-json", NULL);
    for (size_t i = 0; query->ids && i < query->ids->count; i++)
        list_add(&command, query->ids->items[i]);
    bool right = queue_run_list(queue, io, context, query, &command, NULL, &result, error);
    list_done(&command);
    if (!right)
        return false;
    bool none = strstr(result.errors.bytes, "No unfinished job found") || strstr(result.errors.bytes, "is not found");
    if (result.output.length) {
        JsonItems *items = json_items_new("RECORDS", 4 << 20, read_record, out);
        right = json_items_feed(items, result.output.bytes, result.output.length, error) && json_items_end(items, NULL, error);
        json_items_free(items);
        if (!right && error)
            error_at(error, queue->config->key);
    } else if (result.status != 0 && !none) {
        right = queue_failed(queue, &result, "bjobs", error);
    }
    child_result_done(&result);
    return right;
}

static bool lsf_submit(Queue *queue, Io *io, const Context *context, const QueueSubmission *what, char **id, Error *error)
{
    ChildResult result;
    List command = queue_command(queue, "bsub", NULL);
    if (what->directory) {
        list_add(&command, "-cwd");
        list_add(&command, what->directory);
    }
    if (what->element) { /* its own name, which has its indexes, is overruled */
        list_add(&command, "-J");
        list_add(&command, "dask-worker");
    }
    bool right = queue_run(queue, io, context, &command, what->script, &result, error);
    list_done(&command);
    if (!right)
        return false;
    const char *at = strstr(result.output.bytes, "Job <");
    size_t n = at ? strspn(at + 5, "0123456789") : 0;
    if (result.status != 0 || !n)
        right = queue_failed(queue, &result, "bsub", error);
    else
        *id = mem_text_n(at + 5, n);
    child_result_done(&result);
    return right;
}

/* "Job <12> is being terminated", "Job <99>: No matching job found", "Job <12>: Job has already finished", "User permission denied". */
static void read_refusal(const char *line, List *failures)
{
    if (strstr(line, "denied") || strstr(line, "not permitted"))
        list_add(failures, line);
}

static bool lsf_cancel(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error)
{
    return queue_cancel(queue, io, context, "bkill", ids, read_refusal, failures, error);
}

static const QueueType lsf_queue = {
    .cluster = "LSFCluster", .program = "bjobs", .list = lsf_list, .submit = lsf_submit, .submit_words = "bsub", .cancel = lsf_cancel, .cancel_words = "bkill",
};

const BackendType lsf_backend = BATCH_TYPE("lsf", "Dask's jobs in LSF's queue", "as you: your own bjobs, bkill, bsub", batch_keys, "bjobs", &lsf_queue);
