#include "backends/kubernetes/deed.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const char kopf[] = "kopf.zalando.org/KopfFinalizerMarker";

Deed *deed_new(PlanStep *step, DeedKind kind, char *path, const char *uid, Need need)
{
    Deed *deed = mem_new(sizeof *deed);
    *deed = (Deed){.kind = kind, .path = path, .uid = mem_text(uid), .name = mem_text(step->name), .wanted = NUMBER_UNKNOWN, .need = need};
    step->own = deed;
    return deed;
}

void deed_free_own(Plan *plan, PlanStep *step)
{
    (void)plan;
    Deed *deed = step ? step->own : NULL;
    if (!deed)
        return;
    free(deed->path);
    free(deed->uid);
    free(deed->name);
    free(deed->body);
    free(deed);
}

char *deed_guarded(const char *uid, const char *path, int64_t value)
{
    return mem_format("[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"%s\"},{\"op\":\"add\",\"path\":\"%s\",\"value\":%lld}]", uid, path, (long long)value);
}

static uint64_t spec_of(const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json_member(json, "spec"));
    uint64_t hash = text ? hash_text(text) | 1 : 0;
    cJSON_free(text);
    return hash;
}

uint64_t deed_spec_of(const KubeSight *sight, const Context *context, const char *path)
{
    cJSON *json = NULL;
    uint64_t hash = api_get(&sight->api, context, path, &json, NULL) ? spec_of(json) : 0;
    cJSON_Delete(json);
    return hash;
}

/* The object as it is now, if it is still the one; the caller's. */
static cJSON *read_same(const Deed *deed, const KubeSight *sight, const Context *context, Error *error)
{
    cJSON *json = NULL;
    if (!api_get(&sight->api, context, deed->path, &json, error))
        return NULL;
    const char *uid = json_text(json_member(json, "metadata"), "uid");
    bool same = uid && strcmp(uid, deed->uid) == 0;
    bool as_seen = !deed->spec || spec_of(json) == deed->spec;
    if (same && as_seen)
        return json;
    error_set(error, ERROR_CONFLICT, sight->own->where, "look at it again", same ? "%s has changed since it was seen" : "%s was replaced by another one of the same name",
              deed->name);
    cJSON_Delete(json);
    return NULL;
}

bool deed_check(const Deed *deed, const KubeSight *sight, const Context *context, char **version, Error *error)
{
    if (version)
        *version = NULL;
    if (!deed->uid)
        return true;
    cJSON *json = read_same(deed, sight, context, error);
    if (!json)
        return false;
    if (version)
        *version = mem_text(json_text(json_member(json, "metadata"), "resourceVersion"));
    cJSON_Delete(json);
    return true;
}

/* The operator writes to its objects all the time: where only the version has moved since the look just now, it is looked at once more. */
static bool delete_it(const Deed *deed, const KubeSight *sight, const Context *context, bool dry_run, Error *error)
{
    enum { TRIES = 4 };
    for (int i = 0; i < TRIES; i++) {
        char *version = NULL;
        Error why = {0};
        bool right = deed_check(deed, sight, context, &version, &why);
        ApiDelete options = {.uid = deed->uid, .resource_version = deed->spec ? version : NULL, .propagation = "Foreground", .grace_s = NUMBER_UNKNOWN, .dry_run = dry_run};
        bool there = right;
        right = right && api_delete(&sight->api, context, deed->path, &options, NULL, &why);
        free(version);
        if (right || why.code == ERROR_NOT_FOUND)
            return true;
        if (!there || why.code != ERROR_CONFLICT || i + 1 == TRIES) {
            if (error)
                *error = why;
            return false;
        }
    }
    return false;
}

static bool release(const Deed *deed, const KubeSight *sight, const Context *context, Error *error)
{
    Error why = {0};
    cJSON *json = read_same(deed, sight, context, &why);
    const cJSON *finalizer;
    int place = -1, i = 0;
    if (!json) {
        if (why.code != ERROR_NOT_FOUND && error)
            *error = why;
        return why.code == ERROR_NOT_FOUND;
    }
    cJSON_ArrayForEach(finalizer, json_member(json_member(json, "metadata"), "finalizers"))
    {
        if (cJSON_IsString(finalizer) && strcmp(finalizer->valuestring, kopf) == 0)
            place = i;
        i++;
    }
    cJSON_Delete(json);
    if (place < 0)
        return true;
    char *body = mem_format("[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"%s\"},{\"op\":\"test\",\"path\":\"/metadata/finalizers/%d\",\"value\":\"%s\"},"
                            "{\"op\":\"remove\",\"path\":\"/metadata/finalizers/%d\"}]", deed->uid, place, kopf, place);
    bool right = api_patch(&sight->api, context, deed->path, PATCH_JSON, body, NULL, error);
    free(body);
    return right;
}

bool deed_do(const Deed *deed, const KubeSight *sight, const Context *context, bool dry_run, Error *error)
{
    Error why = {0};
    bool right = false;
    switch (deed->kind) {
    case DEED_DELETE:
        right = delete_it(deed, sight, context, dry_run, &why);
        break;
    case DEED_RELEASE:
        right = release(deed, sight, context, &why);
        break;
    case DEED_PATCH:
    case DEED_SCALE:
        right = deed_check(deed, sight, context, NULL, &why) && api_patch(&sight->api, context, deed->path, deed->patch, deed->body, NULL, &why);
        break;
    case DEED_POST:
        right = api_post(&sight->api, context, deed->path, deed->body, NULL, &why);
        break;
    case DEED_HELM:
        right = true;
    }
    if (!right && why.code == ERROR_DENIED)
        rights_refused(sight->own->rights, sight->row->namespace, deed->need);
    if (!right && error)
        *error = why;
    return right;
}
