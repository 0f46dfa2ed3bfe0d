#include "backends/batch/job.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 64 << 10 };

const char *job_state_word(JobState state)
{
    static const char *const words[JOB_STATE_COUNT] = {"pending", "held", "running", "suspended", "ending"};
    return words[state];
}

/* ------------------------------------------------------------------------------------------------------------------ jobs */

typedef struct Block {
    struct Block *next;
    size_t used, size;
    char bytes[];
} Block;

Job *job_list_add(JobList *list)
{
    list->items = mem_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    Job *job = &list->items[list->count++];
    *job = (Job){.submitted_ms = TIME_UNKNOWN, .started_ms = TIME_UNKNOWN, .ends_ms = TIME_UNKNOWN, .cpus = NUMBER_UNKNOWN,
                 .memory = NUMBER_UNKNOWN, .gpus = NUMBER_UNKNOWN};
    return job;
}

static char *take_room(JobList *list, size_t n)
{
    Block *block = list->texts;
    if (!block || block->size - block->used < n) {
        size_t size = n > BLOCK ? n : BLOCK;
        block = mem_new(sizeof *block + size);
        block->size = size;
        block->next = list->texts;
        list->texts = block;
    }
    char *room = block->bytes + block->used;
    block->used += n;
    return room;
}

const char *job_list_text(JobList *list, const char *bytes, size_t n)
{
    char *text = take_room(list, n + 1);
    memcpy(text, bytes, n);
    text[n] = 0;
    return text;
}

const char *job_list_format(JobList *list, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vformat(format, args);
    va_end(args);
    const char *kept = job_list_text(list, text, strlen(text));
    free(text);
    return kept;
}

/* By hand: of thousands of jobs each look makes them all. */
static const char *make_key(JobList *list, const char *owner, const char *id, int64_t submitted_ms)
{
    size_t n = strlen(owner), m = strlen(id), digits = 0;
    char number[24];
    int64_t stamp = submitted_ms == TIME_UNKNOWN ? 0 : submitted_ms;
    do
        number[digits++] = (char)('0' + stamp % 10);
    while ((stamp /= 10) > 0);
    char *key = take_room(list, n + m + digits + 3), *at = key;
    memcpy(at, owner, n);
    at += n;
    *at++ = ' ';
    memcpy(at, id, m);
    at += m;
    *at++ = ' ';
    while (digits)
        *at++ = number[--digits];
    *at = 0;
    return key;
}

/* The elements of an array come one after another. */
void job_list_keys(JobList *list)
{
    for (; list->keyed < list->count; list->keyed++) {
        Job *job = &list->items[list->keyed], *before = list->keyed ? job - 1 : NULL;
        const char *owner = job->owner ? job->owner : "?";
        job->key = make_key(list, owner, job->id, job->submitted_ms);
        job->script_key = job->key;
        if (!job->array)
            continue;
        bool same = before && before->array && before->submitted_ms == job->submitted_ms && strcmp(before->array, job->array) == 0 &&
                    strcmp(before->owner ? before->owner : "?", owner) == 0;
        job->script_key = same ? before->script_key : make_key(list, owner, job->array, job->submitted_ms);
    }
}

void job_list_done(JobList *list)
{
    for (Block *block = list->texts, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(list->items);
    *list = (JobList){0};
}

const Job *job_list_find(const JobList *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].id, id) == 0)
            return &list->items[i];
    return NULL;
}

bool job_is(const Job *job, const char *id, const char *owner, int64_t submitted_ms)
{
    return strcmp(job->id, id) == 0 && job->owner && owner && strcmp(job->owner, owner) == 0 && job->submitted_ms == submitted_ms;
}

/* ---------------------------------------------------------------------------------------------------------------- values */

bool queue_says(const char *text)
{
    if (*text && !strchr("N(UInu-", *text)) /* most are values: thousands of jobs have twenty each */
        return true;
    static const char *const none[] = {"", "N/A", "(null)", "UNLIMITED", "INVALID", "NOT_SET", "n/a", "Unknown", "None assigned", "-", "NONE", "undefined"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (strcmp(text, none[i]) == 0)
            return false;
    return true;
}

int64_t queue_time(const char *text)
{
    struct tm at = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &at) : NULL;
    if (!end || (*end && *end != '.' && *end != 'Z'))
        return TIME_UNKNOWN;
    time_t seconds = timegm(&at);
    return seconds > 0 ? (int64_t)seconds * 1000 : TIME_UNKNOWN;
}

int64_t queue_number(const char *text)
{
    char *end;
    if (!text || *text < '0' || *text > '9')
        return NUMBER_UNKNOWN;
    long long number = strtoll(text, &end, 10);
    return *end == 0 && number < (1ll << 53) ? number : NUMBER_UNKNOWN;
}

int64_t queue_duration_s(const char *text)
{
    int64_t parts[3], days = 0;
    size_t count = 0;
    const char *at = text ? text : "", *dash = strchr(at, '-');
    if (dash) {
        char *whole = mem_text_n(at, (size_t)(dash - at));
        days = queue_number(whole);
        free(whole);
        at = dash + 1;
    }
    for (; days != NUMBER_UNKNOWN && count < 3; count++) {
        size_t n = strcspn(at, ":");
        char *part = mem_text_n(at, n);
        parts[count] = queue_number(part);
        free(part);
        if (parts[count] == NUMBER_UNKNOWN || parts[count] > 1000000000)
            return NUMBER_UNKNOWN;
        at += n;
        if (!*at++) {
            count++;
            break;
        }
    }
    if (days == NUMBER_UNKNOWN || days > 100000 || count == 0 || at[-1])
        return NUMBER_UNKNOWN;
    int64_t seconds = 0;
    if (dash && count < 3) /* Slurm's D-HH and D-HH:MM */
        seconds = count == 1 ? parts[0] * 3600 : parts[0] * 3600 + parts[1] * 60;
    else
        for (size_t i = 0; i < count; i++)
            seconds = seconds * 60 + parts[i];
    return days * 86400 + seconds;
}

int64_t queue_size(const char *text, char unit)
{
    static const char units[] = "bkmgtp";
    char *end;
    if (!text || *text < '0' || *text > '9')
        return NUMBER_UNKNOWN;
    double number = strtod(text, &end);
    char letter = *end ? *end : unit;
    if (letter >= 'A' && letter <= 'Z')
        letter = (char)(letter - 'A' + 'a');
    const char *found = strchr(units, letter);
    if (!found || !*found)
        return NUMBER_UNKNOWN;
    double bytes = number * pow(1024, (double)(found - units));
    return bytes >= 0 && bytes < 9e15 ? (int64_t)llround(bytes) : NUMBER_UNKNOWN;
}
