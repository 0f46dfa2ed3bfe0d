#include "base/json_walk.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/secret.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* Behind the text that begins at `at`; NULL: it does not end. */
static const char *skip_text(const char *at, const char *end)
{
    for (const char *begin = ++at; (at = memchr(at, '"', (size_t)(end - at))); at++) {
        const char *slash = at;
        while (slash > begin && slash[-1] == '\\')
            slash--;
        if ((at - slash) % 2 == 0)
            return at + 1;
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;
    while (at && at < end) {
        if (*at == '"') {
            at = skip_text(at, end);
        } else if (*at == '{' || *at == '[') {
            if (++depth > JSON_DEPTH_MOST)
                return NULL;
            at++;
            continue;
        } else if (*at == '}' || *at == ']') {
            if (--depth < 0)
                return NULL;
            at++;
        } else if (depth) {
            at++;
            continue;
        } else {
            while (at < end && *at != ',' && *at != ']' && *at != '}' && !is_blank(*at))
                at++;
            return at;
        }
        if (!depth)
            return at;
    }
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- walking */

JsonWalk json_walk(JsonSpan object)
{
    JsonWalk walk = {.end = object.bytes ? object.bytes + object.n : NULL, .first = true};
    const char *at = object.bytes ? skip_blanks(object.bytes, walk.end) : NULL;
    walk.at = at && at < walk.end && *at == '{' ? at + 1 : NULL;
    return walk;
}

static bool stop(JsonWalk *walk)
{
    walk->at = NULL;
    return false;
}

bool json_walk_next(JsonWalk *walk)
{
    const char *at = walk->at, *end = walk->end;
    if (!at || walk->closed)
        return false;
    at = skip_blanks(at, end);
    if (at < end && *at == '}') {
        walk->at = at + 1;
        walk->closed = true;
        return false;
    }
    if (!walk->first) {
        if (at == end || *at != ',')
            return stop(walk);
        at = skip_blanks(at + 1, end);
    }
    if (at == end || *at != '"')
        return stop(walk);
    const char *after = skip_text(at, end), *value = after ? skip_blanks(after, end) : NULL;
    if (!value || value == end || *value != ':')
        return stop(walk);
    walk->key = (JsonSpan){at + 1, (size_t)(after - at) - 2};
    value = skip_blanks(value + 1, end);
    at = skip_value(value, end);
    if (!at || at == value)
        return stop(walk);
    walk->value = (JsonSpan){value, (size_t)(at - value)};
    walk->at = at;
    walk->first = false;
    return true;
}

bool json_walk_whole(const JsonWalk *walk)
{
    return walk->at && walk->closed && skip_blanks(walk->at, walk->end) == walk->end;
}

/* ----------------------------------------------------------------------------------------------------------------- feeding */

void json_feed_init(JsonFeed *feed, size_t most)
{
    *feed = (JsonFeed){0};
    buffer_init(&feed->rest, most);
}

void json_feed_done(JsonFeed *feed)
{
    buffer_wipe(&feed->rest);
    feed->walk = (JsonWalk){0};
}

void json_feed(JsonFeed *feed, const char *bytes, size_t n)
{
    JsonWalk *walk = &feed->walk;
    bool begun = walk->at != NULL;
    if (feed->rest.full) /* behind what is missing nothing can be read */
        return;
    if (n == 0)
        feed->due = 0;
    if (begun)
        buffer_cut_front(&feed->rest, (size_t)(walk->at - feed->rest.bytes));
    for (; !begun && !feed->rest.length && n && is_blank(*bytes); n--)
        bytes++;
    buffer_add(&feed->rest, bytes, n);
    if (!begun) {
        *walk = json_walk((JsonSpan){feed->rest.bytes, feed->rest.length});
        return;
    }
    walk->at = feed->rest.bytes;
    walk->end = feed->rest.bytes + feed->rest.length;
}

bool json_feed_next(JsonFeed *feed)
{
    JsonWalk before = feed->walk;
    if (feed->rest.length < feed->due)
        return false;
    if (json_walk_next(&feed->walk) && feed->walk.at < feed->walk.end) /* at the very end a number may go on in the next piece */
        return true;
    if (!feed->walk.closed && before.at) {
        feed->walk = before;
        feed->due = 2 * (size_t)(before.end - before.at);
    }
    return false;
}

bool json_feed_whole(const JsonFeed *feed)
{
    return !feed->rest.full && json_walk_whole(&feed->walk);
}

const char *json_raw(const char *bytes, size_t n, const char *key, size_t *length)
{
    JsonWalk walk = json_walk((JsonSpan){bytes, n});
    while (json_walk_next(&walk))
        if (json_span_is(walk.key, key)) {
            *length = walk.value.n;
            return walk.value.bytes;
        }
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------ values */

bool json_span_is(JsonSpan span, const char *text)
{
    return span.n && *span.bytes == *text && strlen(text) == span.n && memcmp(span.bytes, text, span.n) == 0;
}

/* The text between the quotes, into room for span.n bytes; its length, or -1 where only a whole parser can tell what it means. */
static ptrdiff_t unescape(JsonSpan value, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char *begin = out;
    for (const char *at = value.bytes + 1, *end = value.bytes + value.n - 1; at < end;) {
        const char *slash = memchr(at, '\\', (size_t)(end - at)), *stop = slash ? slash : end;
        memcpy(out, at, (size_t)(stop - at));
        out += stop - at;
        if (!slash)
            break;
        const char *found = slash[1] ? strchr(from, slash[1]) : NULL;
        if (!found)
            return -1;
        *out++ = to[found - from];
        at = slash + 2;
    }
    return out - begin;
}

static bool is_text(JsonSpan value)
{
    return value.n >= 2 && *value.bytes == '"' && value.bytes[value.n - 1] == '"';
}

/* \u and what is no escape: seldom. */
static char *parsed_text(JsonSpan value)
{
    cJSON *json = json_parse(value.bytes, value.n, NULL, NULL);
    char *text = mem_text(cJSON_GetStringValue(json));
    if (text)
        secret_wipe(json->valuestring, strlen(json->valuestring));
    cJSON_Delete(json);
    return text;
}

char *json_span_text(JsonSpan value)
{
    if (!is_text(value))
        return NULL;
    char *text = mem_new(value.n);
    ptrdiff_t n = unescape(value, text);
    if (n >= 0)
        return text;
    secret_wipe(text, value.n);
    free(text);
    return parsed_text(value);
}

char *json_span_name(JsonSpan key)
{
    return json_span_text((JsonSpan){key.bytes - 1, key.n + 2}); /* its quotes are there */
}

/* Ours have digits only; what has a point or an exponent is left to the C library. */
int64_t json_span_integer(JsonSpan value)
{
    static const int64_t most = INT64_C(1) << 53;
    char digits[32];
    size_t n = value.n, minus = n && *value.bytes == '-';
    if (n == minus || n >= sizeof digits || value.bytes[minus] < '0' || value.bytes[minus] > '9')
        return NUMBER_UNKNOWN;
    memcpy(digits, value.bytes, n);
    digits[n] = 0;
    if (strspn(digits + minus, "0123456789") == n - minus) {
        long long whole = n < 18 ? strtoll(digits, NULL, 10) : most + 1;
        return whole > most || whole < -most ? NUMBER_UNKNOWN : whole;
    }
    char *stop = digits + strspn(digits, "0123456789.eE+-");
    double number = *stop ? NAN : strtod(digits, &stop);
    return *stop || number != floor(number) || fabs(number) > (double)most ? NUMBER_UNKNOWN : (int64_t)number;
}

int json_span_truth(JsonSpan value)
{
    return json_span_is(value, "true") ? 1 : json_span_is(value, "false") ? 0 : -1;
}
