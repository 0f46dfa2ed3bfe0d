#include "core/change.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const change_words[] = {
    [CHANGE_DELETE] = "delete", [CHANGE_SCALE] = "scale",   [CHANGE_ADAPT] = "adapt",
    [CHANGE_RETIRE] = "retire", [CHANGE_CREATE] = "create", [CHANGE_KEEP] = "keep",
};
static const char *const fate_words[] = {
    [STEP_ENDS] = "ends", [STEP_STARTS] = "starts", [STEP_CHANGES] = "changes", [STEP_STAYS] = "stays",
};
static const char *const phase_words[] = {
    [PHASE_QUEUED] = "queued", [PHASE_RUNNING] = "running", [PHASE_VERIFYING] = "verifying", [PHASE_DONE] = "done",
    [PHASE_FAILED] = "failed", [PHASE_CANCELLED] = "cancelled", [PHASE_UNKNOWN] = "unknown",
};

const char *change_word(ChangeKind kind)
{
    return change_words[kind];
}

const char *step_fate_word(StepFate fate)
{
    return fate_words[fate];
}

const char *phase_word(Phase phase)
{
    return phase_words[phase];
}

static char *clean(const char *text)
{
    return text ? text_clean_new(text, strlen(text), TEXT_LINE_MAX) : NULL;
}

static char *clean_taken(char *text)
{
    char *cleaned = clean(text);
    free(text);
    return cleaned;
}

/* ---------------------------------------------------------------------------------------------------------------- plans */

Plan *plan_new(ChangeKind kind, const Record *record)
{
    Plan *plan = mem_new(sizeof *plan);
    *plan = (Plan){.kind = kind, .now = NUMBER_UNKNOWN, .then = NUMBER_UNKNOWN, .wait = true};
    if (record) {
        plan->id = mem_text(record->is.id);
        plan->uid = mem_text(record->is.uid);
        plan->name = mem_text(record->is.name);
        plan->owner = mem_text(record->is.owner);
    }
    return plan;
}

PlanStep *plan_step(Plan *plan, StepFate fate, const char *kind, const char *name, const char *identity)
{
    plan->steps = mem_grow(plan->steps, plan->count, &plan->capacity, sizeof *plan->steps);
    PlanStep *step = &plan->steps[plan->count++];
    *step = (PlanStep){.fate = fate, .kind = clean(kind), .name = clean(name), .identity = clean(identity)};
    return step;
}

void plan_call(PlanStep *step, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    free(step->call);
    step->call = clean_taken(mem_vformat(format, args));
    va_end(args);
}

void plan_note(Plan *plan, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    free(plan->note);
    plan->note = clean_taken(mem_vformat(format, args));
    va_end(args);
}

void plan_free(Plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->count; i++) {
        PlanStep *step = &plan->steps[i];
        if (step->own && plan->free_own)
            plan->free_own(plan, step);
        free(step->kind);
        free(step->name);
        free(step->identity);
        free(step->call);
    }
    if (plan->own && plan->free_own)
        plan->free_own(plan, NULL);
    free(plan->steps);
    free(plan->id);
    free(plan->uid);
    free(plan->name);
    free(plan->owner);
    free(plan->note);
    free(plan->clamped);
    free(plan);
}

size_t plan_count(const Plan *plan, StepFate fate)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->steps[i].fate == fate;
    return count;
}

void plan_json(JsonWriter *json, const char *key, const Plan *plan)
{
    json_object(json, key);
    json_put_text(json, "id", plan->id);
    json_put_text(json, "uid", plan->uid);
    json_put_text(json, "change", change_word(plan->kind));
    json_array(json, "steps");
    for (size_t i = 0; i < plan->count; i++) {
        const PlanStep *step = &plan->steps[i];
        json_object(json, NULL);
        json_put_text(json, "fate", step_fate_word(step->fate));
        json_put_text(json, "kind", step->kind);
        json_put_text(json, "name", step->name);
        json_put_text(json, "identity", step->identity);
        json_put_text(json, "call", step->call);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_put_integer(json, "now", plan->now);
    json_put_integer(json, "then", plan->then);
    json_put_text(json, "note", plan->note);
    json_put_text(json, "clamped", plan->clamped);
    json_close(json, '}');
}

/* ------------------------------------------------------------------------------------------------- progress and outcome */

void progress_tell(const Progress *progress, Phase phase, int64_t done, int64_t total, const char *message, ...)
{
    if (!progress)
        return;
    va_list args;
    va_start(args, message);
    char *text = clean_taken(mem_vformat(message, args));
    va_end(args);
    progress->tell(progress->user, phase, text, done, total);
    free(text);
}

void outcome_init(Outcome *outcome)
{
    *outcome = (Outcome){.workers = NUMBER_UNKNOWN};
}

static void clean_list(List *list)
{
    for (size_t i = 0; i < list->count; i++)
        list->items[i] = clean_taken(list->items[i]);
}

void outcome_clean(Outcome *outcome)
{
    clean_list(&outcome->left_over);
    clean_list(&outcome->newcomers);
    clean_list(&outcome->failures);
    outcome->clamped = outcome->clamped ? clean_taken(outcome->clamped) : NULL;
}

void outcome_done(Outcome *outcome)
{
    list_done(&outcome->left_over);
    list_done(&outcome->newcomers);
    list_done(&outcome->failures);
    free(outcome->clamped);
    free(outcome->id);
    outcome_init(outcome);
}
