/* Keeping: the label dasktop/keep of the DaskCluster, the day until which it holds (a label's value takes no time), and an annotation that says why.
 * row.c reads both. */
#include "backends/kubernetes/deed.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>

/* A merge patch that holds only for the object with this uid; the caller's. */
static char *patch_of(const char *uid, const char *day, const char *reason)
{
    Buffer out;
    JsonWriter json;
    buffer_init(&out, 4096);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_object(&json, "metadata");
    json_put_text(&json, "uid", uid);
    json_object(&json, "labels");
    json_put_text(&json, "dasktop/keep", day);
    json_close(&json, '}');
    json_object(&json, "annotations");
    json_put_text(&json, "dasktop/keep", NULL); /* an annotation beats the label: an older one would go on holding */
    json_put_text(&json, "dasktop/keep-reason", day && reason && *reason ? reason : NULL);
    json_close(&json, '}');
    json_close(&json, '}');
    json_close(&json, '}');
    return buffer_take(&out);
}

bool keep_plan(const KubeSight *sight, const Context *context, const Change *change, Plan *plan, Error *error)
{
    const KubeObject *cluster = row_cluster(sight->row);
    char day[sizeof "2026-12-24"], stamp[TIME_TEXT];
    if (!cluster)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "it has no DaskCluster that could bear a label");
    if (!sight_may(sight, context, NEED_PATCH_CLUSTER, error))
        return false;
    snprintf(day, sizeof day, "%.10s", time_text(change->until_ms, false, stamp));
    char *path = object_path(cluster, NULL);
    PlanStep *step = plan_step(plan, STEP_CHANGES, kube_kinds[KUBE_CLUSTER].word, cluster->name, cluster->uid);
    plan_call(step, change->until_ms ? "PATCH %s: label dasktop/keep=%s" : "PATCH %s: without its label dasktop/keep", path, day);
    Deed *deed = deed_new(step, DEED_PATCH, path, cluster->uid, NEED_PATCH_CLUSTER);
    deed->patch = PATCH_MERGE;
    deed->body = patch_of(cluster->uid, change->until_ms ? day : NULL, change->reason);
    return true;
}

bool keep_apply(const KubeSight *sight, const Context *context, const Plan *plan, Error *error)
{
    for (size_t i = 0; i < plan->count; i++)
        if (!deed_do(plan->steps[i].own, sight, context, false, error))
            return false;
    return true;
}
