#include "backends/kubernetes/row.h"

#include "backends/common/facts.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    HANGS_MS = 15000,  /* a living operator lets go of what is deleted within seconds */
    YOUNG_MS = 60000,  /* so long a cluster may be without what the operator makes of it */
    OVER_MS = 20000,   /* so long there may be more pods than wanted: they are being closed */
    LOST_MS = 15000,   /* so long what is left of a deleted cluster may take to go */
    QUIET_MS = 900000, /* so long nothing was seen to move */
    STEP_MS = 30000,   /* how often a duration in a sentence is written anew */
};
const char row_unseen[] = "its DaskCluster is not seen: may daskclusters be listed?";
static const int64_t FOR_EVER_MS = INT64_C(4102444800000); /* 2100: kept without an end */

void row_text_done(RowText *text)
{
    list_done(&text->texts);
    *text = (RowText){0};
}

static const char *say(RowText *text, char *owned)
{
    list_take(&text->texts, owned);
    return owned;
}

/* It will say something else then. */
static void again_at(KubeRow *row, int64_t when_ms)
{
    if (when_ms < row->again_ms)
        row->again_ms = when_ms;
}

static int64_t here(const KubeView *view, int64_t stamp_ms)
{
    return clock_here_ms(stamp_ms, view->ahead_ms);
}

/* ----------------------------------------------------------------------------------------------------------------- facts */

void row_set_facts(KubeRow *row, const ProbeFacts *facts)
{
    ProbeFacts *old = row->facts;
    row->facts = NULL;
    if (facts) {
        row->facts = mem_new(sizeof *facts);
        *row->facts = *facts;
        row->facts->id = mem_text(facts->id);
        row->facts->address = mem_text(facts->address);
        row->facts->scheduler = NULL;
        row->facts->python = mem_text(facts->python);
        row->facts->dask = mem_text(facts->dask);
        row->facts->distributed = mem_text(facts->distributed);
    }
    if (!old)
        return;
    free(old->id);
    free(old->address);
    free(old->python);
    free(old->dask);
    free(old->distributed);
    free(old);
}

/* Of the pod that is there now. */
static const ProbeFacts *facts_of(const KubeRow *row, const KubeObject *scheduler)
{
    bool same = row->facts && scheduler && row->facts_uid && strcmp(row->facts_uid, scheduler->uid) == 0;
    return same ? row->facts : NULL;
}

/* When work last ended, at the latest: seen to end, or when the last client went, as no work comes without one; or quiet for so long that the first look
 * which found it so is past a limit. Else not known. */
static int64_t rest_began(const KubeRow *row, const KubeView *view, const ProbeFacts *facts)
{
    int64_t seen = facts->idle_since_ms, left = here(view, row->client_left_ms);
    if (!facts->idle_longer)
        return seen;
    if (facts->counts.clients == 0 && left != TIME_UNKNOWN)
        return left;
    return seen != TIME_UNKNOWN && view->now_ms - seen >= QUIET_MS && !(facts->counts.clients == 0 && row->never_client) ? seen : TIME_UNKNOWN;
}

static void fill_facts(const KubeRow *row, const KubeView *view, const ProbeFacts *facts, RecordFields *fields)
{
    const DaskCounts *counts = &facts->counts;
    fields->scheduler_id = facts->id;
    if (facts->result != PROBE_ANSWERED)
        return;
    fields->workers_ready = facts->workers;
    fields->workers_paused = facts->paused;
    fields->threads = facts->threads;
    fields->memory = facts->memory;
    fields->memory_used = facts->memory_used;
    facts_fill_counts(counts, fields);
    fields->busy = facts->busy;
    if (fields->busy < 0 && counts->processing > 0)
        fields->busy = 1;
    if (fields->busy == 0)
        fields->last_active_ms = rest_began(row, view, facts);
    bool has_worked = fields->last_active_ms != TIME_UNKNOWN, never = counts->clients == 0 && row->never_client;
    if (fields->busy == 0 && !has_worked && !never)
        fields->busy = -1; /* quiet now; what was before is not known, and counting from its start would be a guess */
}

/* ----------------------------------------------------------------------------------------------------------------- owner */

static const char *named_by(const KubeObject *object, const char *key)
{
    const char *value = object ? kube_annotation(object, key) : NULL;
    return value ? value : object ? kube_label(object, key) : NULL;
}

static const char *owner_of(const KubeRow *row, const KubeView *view, const KubeObject *scheduler)
{
    static const char *const keys[] = {"hub.jupyter.org/username", "gateway.dask.org/user", "dask.org/user", "dask.org/owner", "owner", "user"};
    const KubeObject *cluster = row_cluster(row), *job = row_job(row), *all[] = {cluster, job, scheduler, row_anchor(row)};
    for (size_t i = 0; i < view->owner_labels->count; i++)
        for (size_t k = 0; k < 4; k++) {
            const char *value = named_by(all[k], view->owner_labels->items[i]);
            if (value)
                return value;
        }
    if (cluster && cluster->user)
        return cluster->user;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t k = 0; k < 4; k++) {
            const char *value = named_by(all[k], keys[i]);
            if (value)
                return value;
        }
    return NULL;
}

static void fill_owner(const KubeRow *row, const KubeView *view, const KubeObject *scheduler, RecordFields *fields)
{
    const KubeObject *job = row_job(row), *anchor = row_anchor(row);
    fields->owner = owner_of(row, view, scheduler);
    fields->mine = fields->owner && view->user ? strcmp(fields->owner, view->user) == 0 : -1;
    const char *manager = anchor->manager;
    if (job) {
        fields->origin.kind = "job";
        fields->origin.path = job->name;
        fields->origin.alive = job->phase ? strcmp(job->phase, "Successful") != 0 && strcmp(job->phase, "Failed") != 0 : -1;
    } else if (manager && strncmp(manager, "kubectl", 7) == 0) {
        fields->origin.kind = "kubectl";
    } else if (manager && strcmp(manager, "kr8s") == 0) {
        fields->origin.kind = "python";
    } else if (manager && (strcmp(manager, "dasktop") == 0 || strcmp(manager, "helm") == 0)) {
        fields->origin.kind = manager;
    }
}

/* ------------------------------------------------------------------------------------------------------------- resources */

static int64_t plus(int64_t sum, int64_t more)
{
    return more == NUMBER_UNKNOWN ? sum : sum == NUMBER_UNKNOWN ? more : sum + more;
}

static void fill_resources(const KubeRow *row, const KubeView *view, RecordFields *fields)
{
    int64_t threads = NUMBER_UNKNOWN, memory = NUMBER_UNKNOWN, gpus = 0;
    if (!view->pods_known)
        return;
    fields->resources = row_pods(row);
    for (size_t i = 0; i < row->of[KUBE_POD].count; i++) {
        const KubeObject *pod = row->of[KUBE_POD].items[i];
        if (pod->ended)
            continue;
        gpus += pod->asks.gpus;
        if (pod->component == COMPONENT_WORKER) {
            threads = plus(threads, pod->asks.threads);
            memory = plus(memory, pod->asks.memory);
        }
    }
    fields->gpus = gpus;
    bool joining = fields->workers_ready < row_worker_pods(row); /* pods that have not joined their scheduler yet cost as well */
    fields->threads = joining ? threads : fields->threads;
    fields->memory = joining || fields->memory == NUMBER_UNKNOWN ? memory : fields->memory;
}

static bool add_machine(RowText *text, RecordFields *fields, const char *type, double share)
{
    size_t i = 0;
    while (i < fields->machine_count && strcmp(text->machines[i].type, type) != 0)
        i++;
    if (i == ROW_MACHINES)
        return false;
    if (i == fields->machine_count)
        text->machines[fields->machine_count++] = (Machine){type, 0};
    text->machines[i].quantity += share;
    return true;
}

/* The shares of machines that its pods take. Where one is not known nothing is said: the sum would be too small. */
static void fill_machines(const KubeRow *row, const KubeView *view, RowText *text, RecordFields *fields)
{
    bool right = view->nodes != NULL && view->pods_known;
    fields->machine_count = 0;
    for (size_t i = 0; right && i < row->of[KUBE_POD].count; i++) {
        const KubeObject *pod = row->of[KUBE_POD].items[i];
        double share = 0;
        if (pod->ended || !pod->node) /* it waits for a machine, or has given its own back */
            continue;
        const char *type = nodes_share(view->nodes, pod, &share);
        right = type && (share <= 0 || add_machine(text, fields, type, share));
    }
    fields->machines = text->machines;
    if (!right)
        fields->machine_count = 0;
}

static void fill_wanted(KubeRow *row, const KubeView *view, RowText *text, RecordFields *fields)
{
    const KubeObject *scaler = row_scaler(row);
    fields->workers_wanted = row_wanted(row);
    fields->adaptive = row_kind(row) == ROW_OPERATOR ? scaler != NULL : -1;
    if (scaler) {
        fields->adaptive_minimum = scaler->minimum;
        fields->adaptive_maximum = scaler->maximum;
    }
    int64_t pods = row_worker_pods(row);
    bool over = view->pods_known && fields->workers_wanted != NUMBER_UNKNOWN && pods > fields->workers_wanted;
    if (!over) {
        row->over_ms = TIME_UNKNOWN;
        return;
    }
    if (row->over_ms == TIME_UNKNOWN)
        row->over_ms = view->now_ms;
    if (view->now_ms - row->over_ms < OVER_MS)
        again_at(row, row->over_ms + OVER_MS);
    else if (fields->status == STATUS_RUNNING && !fields->status_why)
        fields->status_why = say(text, mem_format("leak: %" PRId64 " worker pod%s for %" PRId64 " wanted; nothing will stop the others", pods,
                                                  pods == 1 ? "" : "s", fields->workers_wanted));
}

/* ---------------------------------------------------------------------------------------------------------------- status */

static const char *lasting(RowText *text, KubeRow *row, const KubeView *view, int64_t since_ms, const char *format_before, const char *after)
{
    char age[TIME_TEXT];
    int64_t for_ms = view->now_ms > since_ms ? view->now_ms - since_ms : 0;
    again_at(row, view->now_ms + STEP_MS);
    return say(text, mem_format("%s %s%s", format_before, duration_words(for_ms, age), after));
}

static void status_closing(KubeRow *row, const KubeView *view, RowText *text, int64_t since_ms, RecordFields *fields)
{
    const KubeObject *cluster = row_cluster(row);
    fields->status = STATUS_CLOSING;
    if (view->now_ms - since_ms < HANGS_MS) {
        again_at(row, since_ms + HANGS_MS);
        return;
    }
    bool kopf = cluster && cluster->held_by_operator;
    const char *end = !kopf                    ? ""
                      : row_pods(row) == 0     ? ": the operator does not answer; only the emptied object is left"
                                               : ": the operator does not answer, its pods go on costing";
    fields->status_why = lasting(text, row, view, since_ms, "its deletion hangs for", end);
}

static bool is_trouble(const char *why)
{
    static const char *const words[] = {"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError", "Error", "OOMKilled", "Evicted"};
    for (size_t i = 0; why && i < sizeof words / sizeof *words; i++)
        if (strncmp(why, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static void status_of_pod(const KubeObject *pod, RowText *text, RecordFields *fields)
{
    fields->status = pod->ended || is_trouble(pod->why) ? STATUS_FAILED : STATUS_PENDING;
    if (pod->ended)
        fields->status_why = say(text, mem_format("its scheduler's pod has ended: %s", pod->why ? pod->why : pod->phase));
    else if (pod->why)
        fields->status_why = say(text, mem_format("scheduler: %s", pod->why));
    else
        fields->status_why = "its scheduler's pod is not ready";
}

static void status_of_probe(const ProbeFacts *facts, bool young, RowText *text, RecordFields *fields)
{
    fields->status = STATUS_RUNNING;
    if (young && facts->result != PROBE_ANSWERED && facts->error.code != ERROR_DENIED) {
        fields->status = STATUS_PENDING;
        fields->status_why = "its scheduler does not answer yet";
        return;
    }
    switch (facts->result) {
    case PROBE_REFUSED:
    case PROBE_NO_ROUTE:
    case PROBE_TLS:
        if (facts->error.code == ERROR_DENIED) {
            fields->status_why = "its scheduler may not be asked: services/proxy is not permitted";
        } else {
            fields->status = STATUS_UNREACHABLE;
            fields->status_why = *facts->error.what ? say(text, mem_text(facts->error.what)) : "its scheduler does not answer through the API server";
        }
        break;
    case PROBE_SILENT:
    case PROBE_PARTIAL:
        fields->status = STATUS_UNRESPONSIVE;
        fields->status_why = "it accepts, and says nothing";
        break;
    case PROBE_STRANGER:
        fields->status_why = "its scheduler tells nothing over HTTP";
        break;
    default:
        break;
    }
}

/* Without a scheduler's pod. */
static void status_without(KubeRow *row, const KubeView *view, RowText *text, RecordFields *fields)
{
    const KubeObject *anchor = row_anchor(row), *cluster = row_cluster(row);
    int64_t created = here(view, anchor->created_ms), age = created == TIME_UNKNOWN ? 0 : view->now_ms - created;
    if (!view->pods_known) {
        fields->status = STATUS_UNKNOWN;
        fields->status_why = view->pods_forbidden ? "its pods may not be listed" : NULL;
    } else if (row_kind(row) != ROW_OPERATOR) {
        fields->status = STATUS_UNKNOWN;
        fields->status_why = row_kind(row) == ROW_CLASSIC ? "its scheduler has no pod: it may live in the process that made it" : "no pod of a scheduler is there";
    } else if (age < YOUNG_MS) {
        fields->status = STATUS_PENDING;
        again_at(row, created + YOUNG_MS);
    } else if (cluster && !cluster->phase) {
        fields->status = STATUS_PENDING;
        fields->status_why = lasting(text, row, view, created, "no operator has taken it up for", "");
    } else {
        fields->status = STATUS_FAILED;
        fields->status_why = "it has no scheduler";
    }
}

static void status_of_gateway(const KubeObject *cluster, RecordFields *fields)
{
    static const struct {
        const char *phase;
        Status status;
    } all[] = {{"Pending", STATUS_PENDING}, {"Stopped", STATUS_STOPPED}, {"Failed", STATUS_FAILED}};
    for (size_t i = 0; cluster->phase && i < sizeof all / sizeof *all; i++)
        if (strcmp(cluster->phase, all[i].phase) == 0)
            fields->status = all[i].status;
}

static bool all_ending(const KubeRow *row)
{
    bool any = false;
    for (size_t i = 0; i < row->of[KUBE_POD].count; i++) {
        const KubeObject *pod = row->of[KUBE_POD].items[i];
        if (pod->ended)
            continue;
        if (pod->deleting_ms == TIME_UNKNOWN)
            return false;
        any = true;
    }
    return any;
}

static void fill_status(KubeRow *row, const KubeView *view, RowText *text, const KubeObject *scheduler, RecordFields *fields)
{
    const KubeObject *cluster = row_cluster(row);
    const ProbeFacts *facts = facts_of(row, scheduler);
    bool closing = cluster && cluster->deleting_ms != TIME_UNKNOWN;
    if (closing)
        status_closing(row, view, text, here(view, cluster->deleting_ms), fields);
    else if (cluster && cluster->phase && strcmp(cluster->phase, "Error") == 0) {
        fields->status = STATUS_FAILED;
        fields->status_why = "the operator refused it: its name or spec is not valid";
    } else if (!cluster && all_ending(row))
        fields->status = STATUS_CLOSING;
    else if (!scheduler || row_is_earlier(row, scheduler))
        status_without(row, view, text, fields);
    else if (!scheduler->ready)
        status_of_pod(scheduler, text, fields);
    else if (facts)
        status_of_probe(facts, row_is_young(scheduler, view->now_ms + view->ahead_ms), text, fields);
    else
        fields->status = STATUS_RUNNING;
    if (facts)
        fill_facts(row, view, facts, fields);
    if (row_kind(row) == ROW_GATEWAY && cluster && !closing)
        status_of_gateway(cluster, fields);
}

/* ------------------------------------------------------------------------------------------------------------------ gone */

/* Only where the API itself says that it is no more, of lists that were complete; never by silence. */
static void fill_gone(KubeRow *row, const KubeView *view, RowText *text, const KubeObject *scheduler, RecordFields *fields)
{
    KubeRowKind kind = row_kind(row);
    const KubeObject *cluster = row_cluster(row), *anchor = row_anchor(row);
    bool alive = scheduler && !scheduler->ended && scheduler->deleting_ms == TIME_UNKNOWN;
    int64_t created = here(view, anchor->created_ms);
    bool old = created != TIME_UNKNOWN && view->now_ms - created > YOUNG_MS;
    if (alive)
        row->unmanned = false;
    if (!view->pods_known || view->pods_stale || fields->status == STATUS_CLOSING || row_pods(row) == 0)
        return;
    if (!old) {
        if (created != TIME_UNKNOWN)
            again_at(row, created + YOUNG_MS + 1);
        return;
    }
    bool left = kind == ROW_LEFT || (kind == ROW_GATEWAY && !cluster);
    if (left && view->clusters_known && (!alive || fields->clients == 0)) {
        if (row->lost_ms != TIME_UNKNOWN && view->now_ms - row->lost_ms < LOST_MS) {
            again_at(row, row->lost_ms + LOST_MS);
            return;
        }
        fields->gone = say(text, mem_format("DaskCluster %s/%s", row->namespace, row->name));
        fields->gone_why = "404 from the API";
        fields->gone_since_ms = row->lost_ms;
    } else if (!alive && ((kind == ROW_OPERATOR && cluster->phase && row->unmanned) || (kind == ROW_CLASSIC && row_service(row)))) {
        fields->gone = scheduler ? say(text, mem_format("scheduler pod %s/%s", row->namespace, scheduler->name))
                                 : say(text, mem_format("the scheduler of %s/%s", row->namespace, row->name));
        fields->gone_why = scheduler && scheduler->ended ? "the API says that its pod has ended" : "the API has no pod of it";
    }
}

/* ---------------------------------------------------------------------------------------------------------- what can be done */

static void cannot(RecordFields *fields, Capability capability, const char *why)
{
    fields->can &= (uint8_t) ~(1u << capability);
    fields->cannot[capability] = why;
}

static void fill_can(const KubeRow *row, const KubeView *view, const KubeObject *scheduler, RecordFields *fields)
{
    KubeRowKind kind = row_kind(row);
    bool alive = scheduler && scheduler->ready;
    const char *hidden = view->pods_known ? NULL : view->pods_forbidden ? "its pods may not be listed" : "its pods are not known";
    fields->can = 1u << CAN_SCALE | 1u << CAN_ADAPT | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET;
    if (fields->status == STATUS_CLOSING) {
        cannot(fields, CAN_SCALE, "it is being deleted");
        cannot(fields, CAN_ADAPT, "it is being deleted");
    }
    if (!alive)
        cannot(fields, CAN_CONNECT, hidden ? hidden : "its scheduler's pod is not ready");
    if (row_pods(row) == 0)
        cannot(fields, CAN_LOGS, hidden ? hidden : "it has no pods");
    switch (kind) {
    case ROW_LEFT:
        cannot(fields, CAN_SCALE, view->clusters_known ? "its DaskCluster does not exist" : row_unseen);
        cannot(fields, CAN_ADAPT, view->clusters_known ? "its DaskCluster does not exist" : row_unseen);
        if (!view->clusters_known)
            cannot(fields, CAN_DELETE, row_unseen);
        break;
    case ROW_CLASSIC:
        cannot(fields, CAN_SCALE, "the process that made it starts its workers");
        cannot(fields, CAN_ADAPT, "the process that made it starts its workers");
        break;
    case ROW_HELM:
        cannot(fields, CAN_ADAPT, "a Helm release of the Dask chart does not adapt");
        break;
    case ROW_GATEWAY:
        cannot(fields, CAN_SCALE, "its gateway scales it, for its owner");
        cannot(fields, CAN_ADAPT, "its gateway adapts it, for its owner");
        cannot(fields, CAN_CONNECT, "its gateway connects, and only its owner");
        break;
    default:
        break;
    }
}

/* -------------------------------------------------------------------------------------------------------------- the whole */

static void fill_ends(const KubeRow *row, RowText *text, RecordFields *fields)
{
    const KubeObject *cluster = row_cluster(row);
    int64_t limit = cluster ? cluster->idle_timeout_s : NUMBER_UNKNOWN;
    char words[TIME_TEXT];
    if (limit <= 0 || limit > INT64_C(10000000000))
        return;
    fields->ends_why = say(text, mem_format("its idleTimeout of %s", duration_words(limit * 1000, words)));
    if (fields->last_active_ms != TIME_UNKNOWN && fields->busy == 0)
        fields->ends_at_ms = fields->last_active_ms + limit * 1000;
}

/* `dasktop/keep` as label or annotation: a date, a time, or any other word for good. */
static void fill_kept(const KubeObject *anchor, RecordFields *fields)
{
    const char *value = named_by(anchor, "dasktop/keep");
    if (!value || strcmp(value, "false") == 0)
        return;
    char *whole = strlen(value) == 10 ? mem_format("%sT23:59:59Z", value) : mem_text(value);
    int64_t until = time_parse(whole);
    free(whole);
    fields->kept_until_ms = until != TIME_UNKNOWN ? until : FOR_EVER_MS;
    fields->kept_reason = named_by(anchor, "dasktop/keep-reason");
}

static const char *type_of(KubeRowKind kind)
{
    return kind == ROW_HELM ? "HelmCluster" : kind == ROW_GATEWAY ? "GatewayCluster" : "KubeCluster";
}

static bool is_shown(const KubeRow *row)
{
    const KubeObject *cluster = row_cluster(row);
    if (row_kind(row) == ROW_GATEWAY && cluster && cluster->phase && (strcmp(cluster->phase, "Stopped") == 0 || strcmp(cluster->phase, "Failed") == 0))
        return row_pods(row) > 0; /* the gateway remembers them for a day */
    return cluster || row_pods(row) > 0;
}

bool row_fields(KubeRow *row, const KubeView *view, RowText *text, RecordFields *fields)
{
    record_fields_init(fields);
    row->again_ms = INT64_MAX;
    if (row_is_empty(row) || !is_shown(row))
        return false;
    const KubeObject *anchor = row_anchor(row), *scheduler = row_scheduler_pod(row);
    fields->id = row->key;
    fields->uid = row_uid(row);
    fields->name = row->name;
    fields->type = type_of(row_kind(row));
    fields->created_ms = here(view, anchor->created_ms);
    char *address = row_address(row), *dashboard = row_dashboard(row);
    fields->address = address ? say(text, address) : NULL;
    fields->dashboard = dashboard ? say(text, dashboard) : NULL;
    fill_owner(row, view, scheduler, fields);
    fill_status(row, view, text, scheduler, fields);
    fill_wanted(row, view, text, fields);
    fill_resources(row, view, fields);
    fill_machines(row, view, text, fields);
    fill_gone(row, view, text, scheduler, fields);
    fill_ends(row, text, fields);
    fill_can(row, view, scheduler, fields);
    fill_kept(anchor, fields);
    fields->labels = anchor->labels;
    fields->label_count = anchor->label_count;
    return true;
}
