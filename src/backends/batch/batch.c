/* An instance of a batch system: opened, looked at, closed. */
#include "backends/batch/batch.h"

#include "backends/common/computer.h"
#include "backends/common/facts.h"
#include "backends/common/security.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Clients give up by themselves after 9 to 60 s. */
enum { LIST_MS = 65000, REFUSED_MS = 10000, BEGIN_MS = 4000, SCRIPT_MOST = 1 << 20, LOG_HEAD = 16 << 10, FILE_MOST = 1 << 20, AT_ONCE = 100 };

void look_done(Look *look)
{
    clusters_done(&look->clusters);
    job_list_done(&look->jobs);
}

/* --------------------------------------------------------------------------------------------------------------- scripts */

char *batch_log(const Job *job, bool errors)
{
    const char *path = errors && job->errors ? job->errors : job->output ? job->output : job->errors;
    return path && *path == '/' ? mem_text(path) : NULL;
}

typedef struct Reading {
    BatchBackend *own;
    const JobList *jobs;
    size_t *which;   /* index into jobs of each command */
    size_t *unread;
} Reading;

static void learn_script(BatchBackend *own, const Job *job, Script *script, bool refused)
{
    known_lock(&own->known);
    known_put_job(&own->known, job->key, script, refused);
    known_unlock(&own->known);
}

/* Logs grow without end: only how they begin. */
static void read_head(BatchBackend *own, Io *io, const Context *context, const char *path, Buffer *out)
{
    if (host_is_here(own->queue.host)) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        ssize_t n = fd >= 0 ? read(fd, buffer_room(out, LOG_HEAD), LOG_HEAD) : -1;
        out->length = n > 0 ? (size_t)n : 0;
        out->bytes[out->length] = 0;
        if (fd >= 0)
            close(fd);
        return;
    }
    List command = {0};
    ChildResult result;
    list_add(&command, "head");
    list_add(&command, "-c");
    list_format(&command, "%d", LOG_HEAD);
    list_add(&command, path);
    HostCommand head = {.command = &command};
    if (host_run(own->queue.host, io, context, &head, &result, NULL)) {
        buffer_add(out, result.output.bytes, result.output.length < LOG_HEAD ? result.output.length : LOG_HEAD);
        child_result_done(&result);
    }
    list_done(&command);
}

/* A job whose script is told to nobody says itself in its log whom it works for, once it runs. */
static bool read_log(BatchBackend *own, Io *io, const Context *context, const Job *job, Script *script)
{
    char *path = job->state > JOB_HELD ? batch_log(job, true) : NULL;
    if (!path)
        return false;
    Buffer text;
    buffer_init(&text, LOG_HEAD);
    read_head(own, io, context, path, &text);
    script_read_log(text.bytes, text.length, script);
    buffer_done(&text);
    free(path);
    return script->role == ROLE_WORKER;
}

static void take_script(void *user, size_t index, const char *bytes, size_t n)
{
    Reading *reading = user;
    const Job *job = &reading->jobs->items[reading->which[index]];
    if (!bytes)
        return; /* tried singly, which tells why */
    Script script;
    script_read(bytes, n, &script);
    learn_script(reading->own, job, &script, false);
    script_done(&script);
}

/* The text, the script of the queue, or the log. What can be read by nobody is remembered as such; what may be readable later is not. */
static void read_one(BatchBackend *own, Io *io, const Context *context, const Job *job)
{
    Script script = {0};
    Error error = {0};
    Buffer text;
    bool told = true, later = false;
    buffer_init(&text, SCRIPT_MOST);
    if (job->text)
        script_read(job->text, strlen(job->text), &script);
    else if (own->queue.type->script && own->queue.type->script(&own->queue, io, context, job, &text, &error))
        script_read(text.bytes, text.length, &script);
    else
        told = false;
    if (!told) {
        told = read_log(own, io, context, job, &script);
        later = !told && (job->state <= JOB_HELD || error.code == ERROR_TIMEOUT || error.code == ERROR_UNREACHABLE || error.code == ERROR_CANCELLED ||
                          (cluster_is_name(&own->queue, job->name) && error.code != ERROR_DENIED));
    }
    if (!later)
        learn_script(own, job, &script, !told);
    script_done(&script);
    buffer_done(&text);
}

static bool is_read(BatchBackend *own, const Job *job)
{
    known_lock(&own->known);
    bool read = known_job(&own->known, job->key) != NULL;
    known_unlock(&own->known);
    return read;
}

/* Whose scripts may be Dask's: our own jobs' by any name, others' by theirs (they are seldom told to us). First what is likely. */
static size_t find_unread(BatchBackend *own, const JobList *jobs, size_t *which)
{
    size_t count = 0;
    for (int round = 0; round < 2; round++)
        for (size_t i = jobs->count; i-- > 0;) { /* the newest first */
            const Job *job = &jobs->items[i];
            bool named = cluster_is_name(&own->queue, job->name), mine = job->owner && strcmp(job->owner, own->queue.me) == 0;
            if (job->owner && (round == 0 ? named : !named && mine) && !is_read(own, job))
                which[count++] = i;
        }
    return count;
}

static bool is_woken(int wake_fd)
{
    struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
    return wake_fd >= 0 && poll(&wake, 1, 0) > 0;
}

/* A part of them by few calls where the queue has such; the rest one by one. */
static void read_part(BatchBackend *own, Io *io, const Context *context, const JobList *jobs, size_t *which, size_t count)
{
    const QueueType *type = own->queue.type;
    List *commands = mem_new(count * sizeof *commands);
    size_t *indexes = mem_new(count * sizeof *indexes), used = 0;
    for (size_t i = 0; i < count && type->script_command; i++)
        if (!jobs->items[which[i]].text && type->script_command(&own->queue, &jobs->items[which[i]], &commands[used]))
            indexes[used++] = which[i];
    Reading reading = {.own = own, .jobs = jobs, .which = indexes};
    if (used)
        queue_run_many(&own->queue, io, context, commands, used, take_script, &reading, NULL);
    for (size_t i = 0; i < count && context_check(context, NULL, NULL); i++)
        if (!is_read(own, &jobs->items[which[i]]))
            read_one(own, io, context, &jobs->items[which[i]]);
    for (size_t i = 0; i < used; i++)
        list_done(&commands[i]);
    free(commands);
    free(indexes);
}

size_t batch_read_scripts(BatchBackend *own, Io *io, const Context *context, const JobList *jobs, int wake_fd)
{
    size_t *which = mem_new((jobs->count + 1) * sizeof *which), count = find_unread(own, jobs, which), done = 0;
    while (done < count && context_check(context, NULL, NULL) && !is_woken(wake_fd)) {
        size_t part = count - done < AT_ONCE ? count - done : AT_ONCE;
        read_part(own, io, context, jobs, which + done, part);
        done += part;
    }
    free(which);
    if (done)
        known_save(&own->known);
    return count - done;
}

/* ----------------------------------------------------------------------------------------------------------------- looking */

typedef struct FileReader {
    BatchBackend *own;
    Io *io;
    const Context *context;
} FileReader;

static bool read_scheduler_file(void *user, const char *path, char **address, char **id)
{
    const FileReader *reader = user;
    Buffer bytes;
    buffer_init(&bytes, FILE_MOST);
    bool right = host_read(reader->own->queue.host, reader->io, reader->context, path, &bytes, NULL);
    cJSON *json = right ? json_parse(bytes.bytes, bytes.length, path, NULL) : NULL;
    *address = mem_text(json_text(json, "address"));
    *id = mem_text(json_text(json, "id"));
    cJSON_Delete(json);
    buffer_done(&bytes);
    return *address != NULL;
}

void batch_group(BatchBackend *own, Io *io, const Context *context, Look *look)
{
    FileReader reader = {own, io, context};
    clusters_done(&look->clusters);
    known_lock(&own->known);
    clusters_make(&look->jobs, &own->queue, &own->known, read_scheduler_file, &reader, &look->clusters);
    known_unlock(&own->known);
}

static bool list_jobs(BatchBackend *own, Io *io, const Context *context, int64_t may_be_ms, Look *look, Error *error)
{
    JobQuery query = {.owner = own->queue.owner, .may_be_ms = may_be_ms};
    Context part = context_within(context, LIST_MS);
    bool right = own->queue.type->list(&own->queue, io, &part, &query, &look->jobs, error);
    if (right)
        job_list_keys(&look->jobs);
    return right;
}

bool batch_look(BatchBackend *own, Io *io, const Context *context, int64_t may_be_ms, int64_t read_ms, Look *out, Error *error)
{
    *out = (Look){0};
    if (!list_jobs(own, io, context, may_be_ms, out, error)) {
        look_done(out);
        return false;
    }
    Context part = context_within(context, read_ms);
    out->unread = batch_read_scripts(own, io, &part, &out->jobs, -1);
    batch_group(own, io, context, out);
    return true;
}

/* ------------------------------------------------------------------------------------------------------------- schedulers */

Tls *batch_tls(const BatchBackend *own, const Cluster *cluster)
{
    Error error;
    if (!cluster->place.tls)
        return NULL;
    if (own->tls)
        return tls_keep(own->tls);
    if (!cluster->ca_file || !cluster->mine || !host_is_here(own->queue.host))
        return NULL; /* another user's are not ours to use, even where root could */
    Tls *tls = tls_read(cluster->ca_file, cluster->cert, cluster->key, &error);
    if (tls)
        tls->verify_host = false;
    else
        log_line(own->backend.config->key, "%s", error.what);
    return tls;
}

bool batch_is_here(const BatchBackend *own, const Cluster *cluster)
{
    return host_is_here(own->queue.host) && computer_has(computer_here(), cluster->place.host);
}

int64_t batch_probe_ms(const BackendConfig *config)
{
    return config->timeout_ms - config->timeout_ms / 20; /* a silent one is told before the backend as a whole counts as slow */
}

ProbeTarget batch_target(const BatchBackend *own, const Cluster *cluster, const Tls *tls)
{
    int64_t whole = batch_probe_ms(own->backend.config);
    return (ProbeTarget){
        .key = cluster->address,
        .stream = {.host = cluster->place.host, .port = cluster->place.port, .tls = tls, .way = host_way(own->queue.host), .connect_ms = whole},
        .role = DASK_SCHEDULER, .first_ms = whole, .whole_ms = whole, .depth = facts_depth(own->backend.config),
    };
}

typedef struct Round {
    BatchBackend *own;
    Sink *sink;
    ClusterRoom room;
    Cluster **doubtful; /* cannot be reached from another computer: perhaps refused there */
    size_t doubtful_count;
    bool itself;        /* what is put was refused by that computer itself */
} Round;

static void put_row(Round *round, Cluster *cluster, const ProbeFacts *facts)
{
    RecordFields fields;
    int64_t now = clock_wall_ms();
    bool is_here = facts && (round->itself || batch_is_here(round->own, cluster));
    cluster_row(cluster, &round->own->queue, facts, is_here, now, &round->room, &fields);
    sink_put(round->sink, &fields, facts ? facts->counts_ms : TIME_UNKNOWN);
}

static void put_answer(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    Round *round = user;
    Cluster *cluster = target->user;
    bool other = facts->result == PROBE_ANSWERED && cluster->file_id && facts->id && strcmp(facts->id, cluster->file_id) != 0;
    if (other || (facts->result == PROBE_ANSWERED && facts->role != DASK_SCHEDULER)) {
        put_row(round, cluster, NULL); /* what answers there is not the one that wrote the file, or none at all */
        return;
    }
    if (facts->result == PROBE_NO_ROUTE && !host_is_here(round->own->queue.host)) {
        round->doubtful[round->doubtful_count++] = cluster;
        return;
    }
    cluster_learn(cluster, facts, &round->own->known, clock_wall_ms());
    put_row(round, cluster, facts);
}

ProbeFacts batch_refusal(HostSays says)
{
    ProbeFacts facts = {.result = says == HOST_SAYS_NOTHING ? PROBE_NO_ROUTE : PROBE_REFUSED, .counts_ms = TIME_UNKNOWN, .detail_ms = TIME_UNKNOWN, .busy = -1,
                        .started_ms = TIME_UNKNOWN, .idle_since_ms = TIME_UNKNOWN, .workers = NUMBER_UNKNOWN, .threads = NUMBER_UNKNOWN, .memory = NUMBER_UNKNOWN,
                        .memory_used = NUMBER_UNKNOWN};
    error_set(&facts.error, ERROR_UNREACHABLE, NULL, NULL, says == HOST_SAYS_NOTHING ? "it cannot be connected to from there" : "connection refused");
    return facts;
}

/* An end of ssh's forwarding is no refusal: the system there is asked, once for all of them. */
static void put_doubtful(Round *round, const Context *context)
{
    HostPort *ports = mem_new(round->doubtful_count * sizeof *ports);
    HostSays *says = mem_new(round->doubtful_count * sizeof *says);
    for (size_t i = 0; i < round->doubtful_count; i++)
        ports[i] = (HostPort){round->doubtful[i]->place.host, round->doubtful[i]->place.port};
    Context part = context_within(context, REFUSED_MS);
    if (round->doubtful_count)
        host_ask_refused(round->own->queue.host, round->own->io, &part, ports, round->doubtful_count, says, NULL);
    for (size_t i = 0; i < round->doubtful_count; i++) {
        ProbeFacts facts = batch_refusal(says[i]);
        round->itself = says[i] == HOST_ITSELF_REFUSES;
        cluster_learn(round->doubtful[i], &facts, &round->own->known, clock_wall_ms());
        put_row(round, round->doubtful[i], &facts);
    }
    free(ports);
    free(says);
}

/* Those that cannot be asked, and those of which nothing was shown yet, have their rows at once. */
static bool probe_all(Round *round, Context *context, Look *look, Error *error)
{
    BatchBackend *own = round->own;
    ProbeTarget *targets = mem_new(look->clusters.count * sizeof *targets);
    Tls **tls = mem_new(look->clusters.count * sizeof *tls);
    size_t count = 0;
    for (size_t i = 0; i < look->clusters.count; i++) {
        Cluster *cluster = &look->clusters.items[i];
        tls[i] = batch_tls(own, cluster);
        bool can = cluster->address && !cluster->place.inproc && !cluster->place.websocket && (!cluster->place.tls || tls[i]);
        if (!can)
            cluster_learn(cluster, NULL, &own->known, clock_wall_ms());
        if (!can || !sink_last(round->sink, cluster->id))
            put_row(round, cluster, NULL);
        if (!can)
            continue;
        targets[count] = batch_target(own, cluster, tls[i]);
        targets[count++].user = cluster;
    }
    round->doubtful = mem_new(look->clusters.count * sizeof *round->doubtful);
    bool right = prober_run(own->prober, context, targets, count, put_answer, put_answer, round, error);
    put_doubtful(round, context);
    free(round->doubtful);
    for (size_t i = 0; i < look->clusters.count; i++)
        tls_drop(tls[i]);
    free(tls);
    free(targets);
    return right;
}

bool batch_discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    BatchBackend *own = (BatchBackend *)backend;
    Look look;
    if (!own->io) {
        char *path = facts_memory_path();
        own->io = io_new(error);
        own->prober = own->io ? prober_new(own->io, path, backend->config->key) : NULL;
        free(path);
    }
    if (!own->io || !batch_look(own, own->io, context, sink_may_be_ms(sink), backend->config->timeout_ms / 2, &look, error))
        return false;
    Round round = {.own = own, .sink = sink};
    cluster_room_init(&round.room);
    bool right = probe_all(&round, context, &look, error);
    if (look.unread) {
        char *reason = mem_format("%zu job scripts are not read yet: clusters may be missing", look.unread);
        sink_partial(sink, reason);
        free(reason);
    }
    own->unread = look.unread > 0;
    cluster_room_done(&round.room);
    look_done(&look);
    known_save(&own->known);
    return right;
}

/* Between two looks: what was not read. */
void batch_rest(Backend *backend, const Context *context, int wake_fd)
{
    BatchBackend *own = (BatchBackend *)backend;
    if (own->unread && own->io) {
        Look look = {0};
        own->unread = false;
        if (list_jobs(own, own->io, context, backend->config->refresh_ms, &look, NULL))
            batch_read_scripts(own, own->io, context, &look.jobs, wake_fd);
        look_done(&look);
    }
    struct pollfd wanted[2] = {{.fd = wake_fd, .events = POLLIN}, {.fd = context_fd(context), .events = POLLIN}};
    int64_t left = context_left_ms(context);
    poll(wanted, 2, left > 3600000 ? 3600000 : (int)left);
}

/* -------------------------------------------------------------------------------------------------------------------- type */

static BatchBackend *make(const BackendConfig *config, Host *host)
{
    BatchBackend *own = mem_new(sizeof *own);
    const char *bin = config_text(config, "bin"), *owner = config_text(config, "owner");
    own->backend = (Backend){.type = config->type, .config = config};
    own->queue = (Queue){.type = config->type->own, .config = config, .host = host, .bin = bin ? file_expand_home(bin) : NULL};
    config_texts(config, "job-name", &own->queue.names);
    own->queue.owner = owner && strcmp(owner, "*") == 0 ? NULL : mem_text(owner);
    return own;
}

/* Is its client there? Here a look into PATH tells; elsewhere the shell is asked, and who we are there. */
static bool has_program(const Queue *queue)
{
    const char *path = queue->bin ? queue->bin : getenv("PATH");
    while (path && *path) {
        size_t n = queue->bin ? strlen(path) : strcspn(path, ":");
        char *name = mem_format("%.*s/%s", (int)n, path, queue->type->program);
        bool found = access(name, X_OK) == 0;
        free(name);
        if (found)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

static bool find_here(Queue *queue, Error *error)
{
    char name[64];
    bool without = queue->type->without_program && queue->type->without_program(queue);
    if (!without && !has_program(queue))
        return error_set(error, ERROR_ABSENT, queue->config->key, NULL, "there is no %s%s%s", queue->type->program, queue->bin ? " in " : " in PATH", queue->bin ? queue->bin : "");
    queue->me = mem_text(file_user_name(geteuid(), name));
    return true;
}

static bool find_there(Queue *queue, Io *io, const Context *context, Error *error)
{
    List programs = {0};
    list_add(&programs, queue->type->program);
    bool right = host_look(queue->host, io, context, &programs, error);
    list_done(&programs);
    if (right && !host_has(queue->host, queue->type->program))
        right = error_set(error, ERROR_ABSENT, queue->config->key, NULL, "there is no %s on %s", queue->type->program, host_name(queue->host));
    if (right)
        queue->me = mem_text(host_user(queue->host));
    return right;
}

static bool begin(BatchBackend *own, const Context *context, Error *error)
{
    Queue *queue = &own->queue;
    Io *io = host_is_here(queue->host) && !queue->type->begin ? NULL : io_new(error);
    Context part = context_within(context, host_is_here(queue->host) ? BEGIN_MS : -1);
    bool right = host_is_here(queue->host) ? find_here(queue, error) : io && find_there(queue, io, &part, error);
    right = right && (!queue->type->begin || (io && queue->type->begin(queue, io, &part, error)));
    if (io)
        io_free(io);
    if (right && queue->owner && strcmp(queue->owner, "me") == 0) {
        free(queue->owner);
        queue->owner = mem_text(queue->me);
    }
    return right;
}

static void free_queue(Queue *queue)
{
    if (queue->type->end)
        queue->type->end(queue);
    host_drop(queue->host);
    free(queue->bin);
    free(queue->me);
    free(queue->owner);
    list_done(&queue->names);
}

bool batch_open(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    Error why;
    BatchBackend *own = make(config, host_here());
    if (!begin(own, context, error)) {
        free_queue(&own->queue);
        free(own);
        return false;
    }
    if (!security_read(config, &own->tls, &why))
        log_line(config->key, "%s", why.what); /* only schedulers with TLS miss it, and say so */
    known_open(&own->known, config->key, NULL);
    opened_add(opened, &own->backend);
    known_load(&own->known); /* while the instance's own thread asks the queue */
    io_warm();
    return true;
}

Backend *batch_open_far(BackendConfig *config, const char *instance, Host *host, Context *context, Error *error)
{
    BatchBackend *own = make(config, host_keep(host));
    if (!begin(own, context, error)) {
        free_queue(&own->queue);
        free(own);
        return NULL;
    }
    own->backend.instance = mem_text(instance);
    own->backend.own_config = config;
    known_open(&own->known, config->key, instance);
    known_load(&own->known);
    return &own->backend;
}

void batch_close(Backend *backend)
{
    BatchBackend *own = (BatchBackend *)backend;
    prober_free(own->prober);
    if (own->io)
        io_free(own->io);
    tls_drop(own->tls);
    known_done(&own->known);
    free_queue(&own->queue);
    backend_done(backend);
    free(own);
}

const ConfigKey batch_keys[] = {
    {.name = "owner", .kind = KEY_TEXT, .standard = "me", .help = "whose jobs: me, a name, or \"*\""},
    {.name = "job-name", .kind = KEY_TEXTS, .help = "more names that Dask's jobs have (dask-worker is always one)"},
    {.name = "bin", .kind = KEY_TEXT, .help = "the directory of its clients (default: PATH)"},
    {0},
};
