/* Grid Engine (Son of Grid Engine, Univa's and others that speak the same) by qstat -xml, qsub and qdel. It tells a job's script to nobody; a
 * running job's lies, readable, in the spool of its node, which is shared where the site wants it so; else its log says for whom it works. */
#include "backends/batch/batch.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/xml.h"

#include <glob.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DETAILS_AT_ONCE = 500, FIRST_MOST = 100000 };

/* What `qstat -j` tells of a job beside the list, asked once in its life. */
typedef struct Details {
    int64_t submitted_ms;
    char *directory, *output, *errors;
} Details;

typedef struct Sge {
    pthread_mutex_t lock;
    Map details;     /* "ID STAMP" */
    char *spool;     /* execd_spool_dir; constant */
} Sge;

static void free_details(void *value)
{
    Details *details = value;
    free(details->directory);
    free(details->output);
    free(details->errors);
    free(details);
}

/* ---------------------------------------------------------------------------------------------------------------- opening */

static bool run_text(Queue *queue, Io *io, const Context *context, List *command, Buffer *out, Error *error)
{
    ChildResult result;
    bool right = queue_run(queue, io, context, command, NULL, &result, error);
    list_done(command);
    if (!right)
        return false;
    buffer_add(out, result.output.bytes, result.output.length);
    buffer_add(out, result.errors.bytes, result.errors.length);
    child_result_done(&result);
    return true;
}

static char *value_of(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at)
        return NULL;
    at += strlen(key);
    at += strspn(at, " \t");
    return mem_text_n(at, strcspn(at, " \t\r\n"));
}

/* PBS has a qstat, too: only Grid Engine's knows -xml. */
static bool sge_begin(Queue *queue, Io *io, const Context *context, Error *error)
{
    Buffer text;
    List help = queue_command(queue, "qstat", "-help", NULL), config = queue_command(queue, "qconf", "-sconf", NULL);
    buffer_init(&text, 1 << 20);
    bool right = run_text(queue, io, context, &help, &text, error);
    if (right && !strstr(text.bytes, "-xml"))
        right = error_set(error, ERROR_ABSENT, queue->config->key, NULL, "the qstat here is not Grid Engine's");
    if (right) {
        Sge *own = mem_new(sizeof *own);
        pthread_mutex_init(&own->lock, NULL);
        map_init(&own->details);
        buffer_clear(&text);
        if (run_text(queue, io, context, &config, &text, NULL))
            own->spool = value_of(text.bytes, "execd_spool_dir");
        queue->own = own;
    } else {
        list_done(&config);
    }
    buffer_done(&text);
    return right;
}

static void sge_end(Queue *queue)
{
    Sge *own = queue->own;
    if (!own)
        return;
    map_done(&own->details, free_details);
    pthread_mutex_destroy(&own->lock);
    free(own->spool);
    free(own);
}

/* ---------------------------------------------------------------------------------------------------------------- details */

/* Paths may have variables, be a directory, or be left out: then the log lies where the job was submitted. */
static char *log_path(const char *pattern, const char *directory, const char *name, const char *owner, const char *number, const char *task, char letter)
{
    Buffer path;
    buffer_init(&path, 8192);
    if (!pattern || *pattern != '/')
        buffer_format(&path, "%s/", directory ? directory : "");
    for (const char *at = pattern ? pattern : ""; *at;) {
        static const char *const names[] = {"$JOB_ID", "$JOB_NAME", "$TASK_ID", "$USER"};
        const char *const values[] = {number, name, task ? task : "undefined", owner};
        size_t i = 0;
        while (i < 4 && strncmp(at, names[i], strlen(names[i])) != 0)
            i++;
        if (i < 4) {
            buffer_text(&path, values[i]);
            at += strlen(names[i]);
        } else {
            buffer_char(&path, *at++);
        }
    }
    struct stat st;
    bool is_directory = path.bytes[path.length ? path.length - 1 : 0] == '/' || (stat(path.bytes, &st) == 0 && S_ISDIR(st.st_mode));
    if (is_directory)
        buffer_format(&path, "%s%s.%c%s%s%s", path.bytes[path.length - 1] == '/' ? "" : "/", name, letter, number, task ? "." : "", task ? task : "");
    return buffer_take(&path);
}

static void read_element(Sge *own, const XmlNode *element, const char *const *keys, const char *const *tasks, size_t count)
{
    const char *number = xml_at(element, "JB_job_number"), *seconds = xml_at(element, "JB_submission_time"), *directory = xml_at(element, "JB_cwd");
    const char *name = xml_at(element, "JB_job_name"), *owner = xml_at(element, "JB_owner"), *merged = xml_at(element, "JB_merge_stderr");
    const char *output = xml_at(element, "JB_stdout_path_list/path_list/PN_path"), *errors = xml_at(element, "JB_stderr_path_list/path_list/PN_path");
    int64_t submitted = queue_number(seconds);
    if (!number || !name || !owner || submitted == NUMBER_UNKNOWN)
        return;
    if (submitted > 100000000000) /* Univa's writes milliseconds */
        submitted /= 1000;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(number);
        if (strncmp(keys[i], number, n) != 0 || (keys[i][n] != ' ' && keys[i][n] != '.'))
            continue;
        Details *details = mem_new(sizeof *details);
        details->submitted_ms = submitted * 1000;
        details->directory = mem_text(directory);
        details->output = log_path(output, directory, name, owner, number, tasks[i], 'o');
        details->errors = merged && strcmp(merged, "true") == 0 ? NULL : log_path(errors, directory, name, owner, number, tasks[i], 'e');
        Details *before = map_put(&own->details, keys[i], details);
        if (before)
            free_details(before);
    }
}

typedef struct Asked {
    const char **keys, **tasks;
    size_t count;
} Asked;

/* One call for many. Those that are gone by now have no element. */
static void ask_details(Queue *queue, Io *io, const Context *context, const Asked *asked)
{
    Sge *own = queue->own;
    for (size_t first = 0; first < asked->count; first += DETAILS_AT_ONCE) {
        size_t part = asked->count - first < DETAILS_AT_ONCE ? asked->count - first : DETAILS_AT_ONCE;
        Buffer numbers;
        ChildResult result;
        buffer_init(&numbers, BUFFER_ANY);
        for (size_t i = first; i < first + part; i++)
            buffer_format(&numbers, "%s%.*s", numbers.length ? "," : "", (int)strcspn(asked->keys[i], " ."), asked->keys[i]);
        List command = queue_command(queue, "qstat", "-xml", "-j", numbers.bytes, NULL);
        bool ran = queue_run(queue, io, context, &command, NULL, &result, NULL);
        list_done(&command);
        buffer_done(&numbers);
        Xml *xml = ran ? xml_parse(result.output.bytes, result.output.length, queue->config->key, NULL) : NULL;
        pthread_mutex_lock(&own->lock);
        for (const XmlNode *element = xml ? xml_child(xml_child(xml_root(xml), "djob_info"), "element") : NULL; element; element = xml_same(element))
            read_element(own, element, asked->keys + first, asked->tasks + first, part);
        pthread_mutex_unlock(&own->lock);
        xml_free(xml);
        if (ran)
            child_result_done(&result);
    }
}

/* ------------------------------------------------------------------------------------------------------------------- list */

static JobState state_of(const char *letters, const char **reason)
{
    if (strchr(letters, 'd'))
        return JOB_LEAVING;
    if (strchr(letters, 'E')) {
        *reason = "in error: see qstat -j";
        return JOB_HELD;
    }
    if (strchr(letters, 'h')) {
        *reason = "held";
        return JOB_HELD;
    }
    if (strpbrk(letters, "qw"))
        return JOB_PENDING;
    return strpbrk(letters, "sST") ? JOB_SUSPENDED : JOB_RUNNING;
}

static const char *keep(JobList *list, const char *text)
{
    return text ? job_list_text(list, text, strlen(text)) : NULL;
}

/* What -r adds: <hard_request name="h_rt">1800</hard_request>. */
static const char *request_of(const XmlNode *node, const char *name)
{
    for (const XmlNode *one = xml_child(node, "hard_request"); one; one = xml_same(one))
        if (xml_at(one, "@name") && strcmp(xml_at(one, "@name"), name) == 0)
            return one->text;
    return NULL;
}

static void read_requests(const XmlNode *node, Job *job)
{
    static const char *const memories[] = {"h_vmem", "m_mem_free", "mem_free", "s_vmem", "virtual_free"}; /* each site has its own, a slot's share */
    int64_t limit = queue_duration_s(request_of(node, "h_rt")), memory = NUMBER_UNKNOWN;
    if (limit != NUMBER_UNKNOWN && job->started_ms != TIME_UNKNOWN)
        job->ends_ms = job->started_ms + limit * 1000;
    for (size_t i = 0; i < sizeof memories / sizeof *memories && memory == NUMBER_UNKNOWN; i++)
        memory = queue_size(request_of(node, memories[i]), 'b');
    if (memory != NUMBER_UNKNOWN && job->cpus > 0 && job->cpus < 100000)
        job->memory = memory * job->cpus;
    job->gpus = queue_number(request_of(node, "gpu"));
}

static void add_job(JobList *list, const XmlNode *node)
{
    const char *number = xml_at(node, "JB_job_number"), *owner = xml_at(node, "JB_owner"), *letters = xml_at(node, "state"), *tasks = xml_at(node, "tasks");
    const char *name = xml_at(node, "full_job_name"), *queue = xml_at(node, "queue_name"), *reason = NULL;
    if (!number || !owner || !letters)
        return;
    JobState state = state_of(letters, &reason);
    const char *at = queue ? strchr(queue, '@') : NULL;
    Job *job = job_list_add(list);
    job->id = tasks ? job_list_format(list, "%s.%s", number, tasks) : keep(list, number);
    job->element = tasks != NULL;
    job->name = keep(list, name ? name : xml_at(node, "JB_name"));
    job->owner = keep(list, owner);
    job->state = state;
    job->reason = reason;
    job->queue = queue ? job_list_text(list, queue, at ? (size_t)(at - queue) : strlen(queue)) : NULL;
    job->node = at ? keep(list, at + 1) : NULL;
    job->cpus = queue_number(xml_at(node, "slots"));
    job->started_ms = queue_time(xml_at(node, "JAT_start_time"));
    job->submitted_ms = queue_time(xml_at(node, "JB_submission_time"));
    read_requests(node, job);
}

static void add_jobs(JobList *list, const XmlNode *under)
{
    for (const XmlNode *node = xml_child(under, "job_list"); node; node = xml_same(node))
        add_job(list, node);
}

/* By number and by the one stamp that the list has: a number that was used again has another. */
static char *details_key(const Job *job)
{
    return mem_format("%s %lld", job->id, (long long)(job->submitted_ms != TIME_UNKNOWN ? job->submitted_ms : job->started_ms));
}

static void fill_details(Queue *queue, Io *io, const Context *context, JobList *list)
{
    Sge *own = queue->own;
    Asked asked = {mem_new(list->count * sizeof *asked.keys), mem_new(list->count * sizeof *asked.tasks), 0};
    char **keys = mem_new(list->count * sizeof *keys);
    pthread_mutex_lock(&own->lock);
    for (size_t i = 0; i < list->count; i++) {
        const Job *job = &list->items[i];
        const char *dot = strchr(job->id, '.');
        bool wanted = strcmp(job->owner, queue->me) == 0 || cluster_is_name(queue, job->name);
        keys[i] = details_key(job);
        if (!wanted || map_has(&own->details, keys[i]))
            continue;
        asked.keys[asked.count] = keys[i];
        asked.tasks[asked.count++] = dot ? dot + 1 : NULL;
    }
    pthread_mutex_unlock(&own->lock);
    ask_details(queue, io, context, &asked);
    pthread_mutex_lock(&own->lock);
    for (size_t i = 0; i < list->count; i++) {
        const Details *details = map_get(&own->details, keys[i]);
        Job *job = &list->items[i];
        if (details) {
            job->submitted_ms = details->submitted_ms;
            job->directory = keep(list, details->directory);
            job->output = keep(list, details->output);
            job->errors = keep(list, details->errors);
        }
        free(keys[i]);
    }
    if (own->details.used > FIRST_MOST) { /* of jobs that are long gone */
        map_done(&own->details, free_details);
        map_init(&own->details);
    }
    pthread_mutex_unlock(&own->lock);
    free(keys);
    free(asked.keys);
    free(asked.tasks);
}

static void keep_asked(const JobQuery *query, JobList *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!query->ids || list_has(query->ids, list->items[i].id))
            list->items[count++] = list->items[i];
    list->count = count;
}

static bool sge_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error)
{
    ChildResult result;
    List command = queue_command(queue, "qstat", "-xml", "-r", "-g", "d", "-u", query->owner ? query->owner : "*", NULL);
    bool right = queue_run_list(queue, io, context, query, &command, NULL, &result, error);
    list_done(&command);
    if (!right)
        return false;
    Xml *xml = NULL;
    if (result.status != 0)
        right = queue_failed(queue, &result, "qstat", error);
    else
        right = (xml = xml_parse(result.output.bytes, result.output.length, queue->config->key, error)) != NULL;
    if (right) {
        add_jobs(out, xml_child(xml_root(xml), "queue_info"));
        add_jobs(out, xml_child(xml_root(xml), "job_info"));
        keep_asked(query, out);
        fill_details(queue, io, context, out);
    }
    xml_free(xml);
    child_result_done(&result);
    return right;
}

/* ----------------------------------------------------------------------------------------------------------------- script */

/* A node's spool may have another of its names: a job's number is one for all nodes. */
static bool read_any(const char *spool, const char *number, Buffer *out)
{
    glob_t found;
    char *pattern = mem_format("%s/*/job_scripts/%s", spool, number);
    bool right = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 1 && file_read(found.gl_pathv[0], out, NULL);
    globfree(&found);
    free(pattern);
    return right;
}

static bool sge_script(Queue *queue, Io *io, const Context *context, const Job *job, Buffer *out, Error *error)
{
    const Sge *own = queue->own;
    if (!job->node || job->state <= JOB_HELD || !own->spool)
        return error_set(error, ERROR_UNSUPPORTED, queue->config->key, NULL, "Grid Engine tells a waiting job's script to nobody");
    char *number = mem_text_n(job->id, strcspn(job->id, "."));
    char *path = mem_format("%s/%.*s/job_scripts/%s", own->spool, (int)strcspn(job->node, "."), job->node, number);
    bool right = host_read(queue->host, io, context, path, out, NULL) || (host_is_here(queue->host) && read_any(own->spool, number, out));
    free(path);
    free(number);
    return right || error_set(error, ERROR_UNSUPPORTED, queue->config->key, NULL, "Grid Engine's copy of the script of job %s is on %s", job->id, job->node);
}

static bool sge_submit(Queue *queue, Io *io, const Context *context, const QueueSubmission *what, char **id, Error *error)
{
    ChildResult result;
    List command = queue_command(queue, "qsub", "-terse", NULL);
    if (what->directory) {
        list_add(&command, "-wd");
        list_add(&command, what->directory);
    }
    if (what->element) {
        list_add(&command, "-t");
        list_add(&command, "1");
    }
    bool right = queue_run(queue, io, context, &command, what->script, &result, error);
    list_done(&command);
    if (!right)
        return false;
    size_t n = strspn(result.output.bytes, "0123456789");
    if (result.status != 0 || !n)
        right = queue_failed(queue, &result, "qsub", error);
    else
        *id = mem_text_n(result.output.bytes, n);
    child_result_done(&result);
    return right;
}

/* What does not exist has ended, what is in deletion is under way. */
static void read_refusal(const char *line, List *failures)
{
    const char *job = strstr(line, "necessary privileges to delete the job \"");
    if (job)
        list_format(failures, "job %.*s: not permitted", (int)strcspn(strchr(job, '"') + 1, "\""), strchr(job, '"') + 1);
    else if (strncmp(line, "denied: ", 8) == 0 && !strstr(line, "does not exist"))
        list_add(failures, line + 8);
}

static bool sge_cancel(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error)
{
    return queue_cancel(queue, io, context, "qdel", ids, read_refusal, failures, error);
}

static const QueueType sge_queue = {
    .cluster = "SGECluster", .program = "qstat", .begin = sge_begin, .end = sge_end, .list = sge_list, .script = sge_script, .submit = sge_submit,
    .submit_words = "qsub", .cancel = sge_cancel, .cancel_words = "qdel",
};

const BackendType sge_backend = BATCH_TYPE("sge", "Dask's jobs in Grid Engine's queue", "as you: your own qstat, qdel, qsub", batch_keys, "qstat", &sge_queue);
