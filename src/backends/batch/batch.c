/* An instance of a batch system: opened, looked at, closed. */
#include "backends/batch/row.h"
#include "backends/batch/scripts.h"

#include "backends/common/computer.h"
#include "backends/common/facts.h"
#include "backends/common/security.h"
#include "backends/common/sockets.h"
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
enum { LIST_MS = 65000, REFUSED_MS = 10000, BEGIN_MS = 15000, FILE_MOST = 1 << 20, SLICE = 100, REST_MOST = 400 };

static void look_ungroup(Look *look)
{
    clusters_done(&look->clusters);
    cluster_files_done(&look->files);
    list_done(&look->paths);
}

void look_done(Look *look)
{
    look_ungroup(look);
    job_list_done(&look->jobs);
}

/* ----------------------------------------------------------------------------------------------------------------- looking */

static void take_file(void *user, size_t index, const char *bytes, size_t n)
{
    Look *look = user;
    if (bytes)
        cluster_file_put(&look->files, look->paths.items[index], bytes, n);
}

/* Far ones by few calls: most are not there. */
static void read_files(BatchBackend *own, Io *io, const Context *context, Look *look)
{
    if (!host_is_here(own->queue.host)) {
        List *commands = mem_new((look->paths.count + 1) * sizeof *commands);
        for (size_t i = 0; i < look->paths.count; i++) {
            list_add(&commands[i], "cat");
            list_add(&commands[i], look->paths.items[i]);
        }
        queue_run_many(&own->queue, io, context, commands, look->paths.count, take_file, look, NULL);
        for (size_t i = 0; i < look->paths.count; i++)
            list_done(&commands[i]);
        free(commands);
        return;
    }
    for (size_t i = 0; i < look->paths.count; i++) {
        Buffer bytes;
        buffer_init(&bytes, FILE_MOST);
        if (host_read(own->queue.host, io, context, look->paths.items[i], &bytes, NULL))
            take_file(look, i, bytes.bytes, bytes.length);
        buffer_done(&bytes);
    }
}

/* Why its scheduler cannot be asked from here; the caller's; NULL: it can. An address that only its own host understands is another
 * scheduler's here, or nobody's. */
static char *why_unasked(const BatchBackend *own, const Cluster *cluster, const Tls *tls)
{
    const char *session = cluster->count ? cluster->members[0].job->session : NULL;
    const char *here = host_node(own->queue.host) ? host_node(own->queue.host) : "";
    size_t n = session ? strcspn(session, ".:") : 0;
    bool elsewhere = session && !cluster->scheduler && strncmp(session, "localhost", 9) != 0 && (strcspn(here, ".") != n || strncmp(session, here, n) != 0);
    if (!cluster->address)
        return mem_text("its scheduler's address is not known: its job scripts do not tell it, or not to us");
    if (cluster->place.inproc || cluster->place.websocket)
        return mem_format("%s is an address that is not spoken with", cluster->address);
    if (cluster->place.tls && !tls)
        return mem_text("its scheduler wants TLS, and its certificates are not known here");
    if (elsewhere && sockets_is_loopback(cluster->place.host) && strncmp(session, "0.0.0.0:", 8) == 0) /* a name that munge could not look up */
        return mem_format("its scheduler listens on %s alone, and the queue does not know of which host", cluster->place.host);
    if (elsewhere && sockets_is_loopback(cluster->place.host))
        return mem_format("its scheduler listens on %s of %.*s alone: look from there", cluster->place.host, (int)strcspn(session, ":"), session);
    return NULL;
}

void batch_group(BatchBackend *own, Io *io, const Context *context, Look *look)
{
    look_ungroup(look);
    map_init(&look->files);
    known_lock(&own->known);
    clusters_files(&look->jobs, &own->queue, &own->known, &look->paths);
    known_unlock(&own->known);
    read_files(own, io, context, look);
    known_lock(&own->known);
    clusters_make(&look->jobs, &own->queue, &own->known, &look->files, &look->clusters);
    known_unlock(&own->known);
    for (size_t i = 0; i < look->clusters.count; i++) {
        Tls *tls = batch_tls(own, &look->clusters.items[i]);
        look->clusters.items[i].unasked = why_unasked(own, &look->clusters.items[i], tls);
        tls_drop(tls);
    }
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
    out->unread = scripts_read(own, io, &part, &out->jobs, SIZE_MAX, -1);
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

/* What is known so far, while scripts are still read: rows that the last look did not have. */
static void put_new_rows(Round *round, Look *look)
{
    for (size_t i = 0; i < look->clusters.count; i++) {
        Cluster *cluster = &look->clusters.items[i];
        const Record *last = sink_last(round->sink, cluster->id);
        if (!last || last->is.status == STATUS_UNKNOWN)
            put_row(round, cluster, NULL);
    }
}

/* Scripts that nobody has read are read for a part of the time, and rows fill in; the rest is left for the time between two looks. */
static void fill_in(Round *round, const Context *context, Look *look)
{
    BatchBackend *own = round->own;
    Context part = context_within(context, own->backend.config->timeout_ms / 2);
    for (size_t before = SIZE_MAX;; before = look->unread) {
        look->unread = scripts_read(own, own->io, &part, &look->jobs, before == SIZE_MAX ? 0 : SLICE, -1);
        if (before != SIZE_MAX && look->unread == before)
            break; /* none of them can be read now */
        batch_group(own, own->io, context, look);
        if (!look->unread || !context_check(&part, NULL, NULL))
            break;
        put_new_rows(round, look);
    }
}

/* All new ones in one call. What fails is told by each that has no way. */
static void open_ways(const BatchBackend *own, const Context *context, const ProbeTarget *targets, size_t count)
{
    if (host_is_here(own->queue.host) || !count)
        return;
    HostPort *ports = mem_new(count * sizeof *ports);
    for (size_t i = 0; i < count; i++)
        ports[i] = (HostPort){targets[i].stream.host, targets[i].stream.port};
    host_open_ways(own->queue.host, own->io, context, ports, count, NULL);
    free(ports);
}

/* Those that cannot be asked, and those of which nothing was shown yet, have their rows at once. */
static bool probe_all(Round *round, Context *context, Look *look, Error *error)
{
    BatchBackend *own = round->own;
    ProbeTarget *targets = mem_new((look->clusters.count + 1) * sizeof *targets);
    Tls **tls = mem_new((look->clusters.count + 1) * sizeof *tls);
    size_t count = 0;
    for (size_t i = 0; i < look->clusters.count; i++) {
        Cluster *cluster = &look->clusters.items[i];
        if (cluster->unasked)
            cluster_learn(cluster, NULL, &own->known, clock_wall_ms());
        if (cluster->unasked || !sink_last(round->sink, cluster->id))
            put_row(round, cluster, NULL);
        if (cluster->unasked)
            continue;
        tls[count] = batch_tls(own, cluster);
        targets[count] = batch_target(own, cluster, tls[count]);
        targets[count++].user = cluster;
    }
    round->doubtful = mem_new((look->clusters.count + 1) * sizeof *round->doubtful);
    open_ways(own, context, targets, count);
    bool right = prober_run(own->prober, context, targets, count, put_answer, put_answer, round, error);
    put_doubtful(round, context);
    free(round->doubtful);
    for (size_t i = 0; i < count; i++)
        tls_drop(tls[i]);
    free(tls);
    free(targets);
    return right;
}

static bool discover(BatchBackend *own, Context *context, Sink *sink, Error *error)
{
    Look look = {0};
    if (!list_jobs(own, own->io, context, sink_may_be_ms(sink), &look, error)) {
        look_done(&look);
        return false;
    }
    Round round = {.own = own, .sink = sink};
    cluster_room_init(&round.room);
    fill_in(&round, context, &look);
    bool right = probe_all(&round, context, &look, error);
    cluster_room_done(&round.room);
    if (look.unread) {
        char *reason = mem_format("%zu job scripts are not read yet: clusters may be missing", look.unread);
        sink_partial(sink, reason);
        free(reason);
        own->unread = look.jobs;
        look.jobs = (JobList){0};
    }
    look_done(&look);
    known_save(&own->known);
    return right;
}

bool batch_discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    BatchBackend *own = (BatchBackend *)backend;
    if (!own->io) {
        char *path = facts_memory_path();
        own->io = io_new(error);
        own->prober = own->io ? prober_new(own->io, path, backend->config->key) : NULL;
        free(path);
    }
    job_list_done(&own->unread);
    return own->io && discover(own, context, sink, error);
}

/* Between two looks: what was not read, some at a time, each followed by a look at the same answer of the queue. */
bool batch_rest(Backend *backend, const Context *context, int wake_fd)
{
    BatchBackend *own = (BatchBackend *)backend;
    if (own->unread.count) {
        size_t before = scripts_read(own, own->io, context, &own->unread, 0, wake_fd);
        size_t left = scripts_read(own, own->io, context, &own->unread, REST_MOST, wake_fd);
        if (!left)
            job_list_done(&own->unread);
        known_save(&own->known);
        if (left < before)
            return true;
    }
    struct pollfd wanted[2] = {{.fd = wake_fd, .events = POLLIN}, {.fd = context_fd(context), .events = POLLIN}};
    int64_t left = context_left_ms(context);
    poll(wanted, 2, left > 3600000 ? 3600000 : (int)left);
    return false;
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
    job_list_done(&own->unread);
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
