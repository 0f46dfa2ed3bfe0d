#include "base/json.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REST_MOST = 64 << 10 };

/* ------------------------------------------------------------------------------------------------------------- reading */

/* Behind the string whose first quote is just before `at`. */
static const char *string_end(const char *at, const char *end)
{
    const char *begin = at;
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at)), *slash = quote;
        if (!quote)
            break;
        while (slash > begin && slash[-1] == '\\')
            slash--;
        at = quote + 1;
        if ((quote - slash) % 2 == 0)
            return at;
    }
    return end;
}

/* cJSON recurses: how deep is checked before it starts. */
static bool is_shallow(const char *bytes, size_t n)
{
    int depth = 0;
    for (const char *at = bytes, *end = bytes + n; at < end;) {
        char c = *at++;
        if (c == '"')
            at = string_end(at, end);
        else if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MOST)
            return false;
        else if (c == '}' || c == ']')
            depth--;
    }
    return true;
}

cJSON *json_parse(const char *bytes, size_t n, const char *where, Error *error)
{
    const char *end = NULL;
    if (!is_shallow(bytes, n)) {
        error_set(error, ERROR_BAD_REPLY, where, NULL, "JSON that is nested more than %d deep", JSON_DEPTH_MOST);
        return NULL;
    }
    cJSON *tree = cJSON_ParseWithLengthOpts(bytes, n, &end, false);
    while (tree && end < bytes + n && (*end == ' ' || *end == '\n' || *end == '\r' || *end == '\t'))
        end++;
    if (tree && end == bytes + n)
        return tree;
    cJSON_Delete(tree);
    error_set(error, ERROR_BAD_REPLY, where, NULL, "an answer that is not JSON");
    return NULL;
}

const cJSON *json_member(const cJSON *object, const char *key)
{
    if (!cJSON_IsObject(object))
        return NULL;
    /* a record asks for 40 keys, most of which are not there: the first letter decides for nearly all */
    for (const cJSON *item = object->child; item; item = item->next)
        if (item->string && item->string[0] == *key && strcmp(item->string, key) == 0)
            return item;
    return NULL;
}

const char *json_text(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(json_member(object, key));
}

double json_number(const cJSON *object, const char *key)
{
    const cJSON *member = json_member(object, key);
    return cJSON_IsNumber(member) ? member->valuedouble : NAN;
}

int64_t json_integer(const cJSON *object, const char *key)
{
    double number = json_number(object, key);
    if (isnan(number) || number != floor(number) || fabs(number) > 9007199254740992.0)
        return NUMBER_UNKNOWN;
    return (int64_t)number;
}

int64_t json_amount(const cJSON *object, const char *key)
{
    int64_t number = json_integer(object, key);
    return number < 0 ? NUMBER_UNKNOWN : number;
}

int json_truth(const cJSON *object, const char *key)
{
    const cJSON *member = json_member(object, key);
    return cJSON_IsBool(member) ? cJSON_IsTrue(member) : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ------------------------------------------------------------------------------------------------------- items of a stream */

struct JsonItems {
    char *member;
    size_t item_max;
    JsonItem item;
    void *user;
    Buffer rest;      /* everything beside the array's items */
    Buffer bytes;     /* of the item that is being read */
    Buffer name;      /* the last text at depth 1: the key in front of a value */
    int depth;        /* of brackets that are open */
    int array_depth;  /* depth inside of the array; 0: not in it */
    bool inside, escaped, had_array, done, key_next;
};

JsonItems *json_items_new(const char *member, size_t item_max, JsonItem item, void *user)
{
    JsonItems *items = mem_new(sizeof *items);
    *items = (JsonItems){.member = mem_text(member), .item_max = item_max, .item = item, .user = user};
    buffer_init(&items->rest, REST_MOST);
    buffer_init(&items->bytes, item_max);
    buffer_init(&items->name, 256);
    return items;
}

void json_items_free(JsonItems *items)
{
    if (!items)
        return;
    buffer_done(&items->rest);
    buffer_done(&items->bytes);
    buffer_done(&items->name);
    free(items->member);
    free(items);
}

static bool end_item(JsonItems *items, Error *error)
{
    size_t n = items->bytes.length;
    while (n && is_blank(items->bytes.bytes[n - 1]))
        n--;
    if (items->bytes.full)
        return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "one item of a list is larger than %zu bytes", items->item_max);
    bool right = n == 0 || items->item(items->user, items->bytes.bytes, n, error);
    buffer_clear(&items->bytes);
    return right;
}

static bool starts_array(const JsonItems *items)
{
    if (items->had_array)
        return false;
    return items->member ? items->depth == 2 && strcmp(items->name.bytes, items->member) == 0 : items->depth == 1;
}

/* A byte that stands between texts, inside of the array's items or beside them. */
static bool structural(JsonItems *items, char c, Error *error)
{
    bool open = c == '{' || c == '[', shut = c == '}' || c == ']';
    if (items->done)
        return is_blank(c) || error_set(error, ERROR_BAD_REPLY, NULL, NULL, "something follows the end of the JSON");
    if (open && ++items->depth > JSON_DEPTH_MOST)
        return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "JSON that is nested more than %d deep", JSON_DEPTH_MOST);
    if (c == '"') {
        items->inside = true;
        if (items->depth == 1 && items->key_next)
            buffer_clear(&items->name);
    }
    if (items->array_depth) {
        if (shut && items->depth == items->array_depth) {
            items->array_depth = 0;
            items->depth--;
            if (!end_item(items, error))
                return false;
            items->done = items->depth == 0;
            return buffer_char(&items->rest, c) || true;
        }
        if (shut)
            items->depth--;
        if (c == ',' && items->depth == items->array_depth)
            return end_item(items, error);
        if (!(items->bytes.length == 0 && is_blank(c)))
            buffer_char(&items->bytes, c);
        return !items->bytes.full || end_item(items, error);
    }
    buffer_char(&items->rest, c);
    if (c == '[' && starts_array(items)) {
        items->array_depth = items->depth;
        items->had_array = true;
    }
    if (shut && --items->depth <= 0) {
        items->done = true;
        return items->depth == 0 || error_set(error, ERROR_BAD_REPLY, NULL, NULL, "an answer that is not JSON");
    }
    if (items->depth == 1)
        items->key_next = c == '{' || c == ',' || (items->key_next && (is_blank(c) || c == '"'));
    return true;
}

/* How many bytes from here on mean nothing but themselves: inside of a text, or between the texts of an item. */
static size_t plain_run(const JsonItems *items, const char *bytes, size_t n)
{
    size_t run = 0;
    if (items->inside && !items->escaped)
        while (run < n && bytes[run] != '"' && bytes[run] != '\\')
            run++;
    else if (!items->inside && items->array_depth && items->bytes.length)
        while (run < n && (bytes[run] == ':' || bytes[run] == ' ' || (bytes[run] >= '+' && bytes[run] <= '9' && bytes[run] != ',') || (bytes[run] >= 'a' && bytes[run] <= 'z')))
            run++;
    return run;
}

static void add_run(JsonItems *items, const char *bytes, size_t run)
{
    buffer_add(items->array_depth ? &items->bytes : &items->rest, bytes, run);
    if (!items->array_depth && items->depth == 1 && items->key_next)
        buffer_add(&items->name, bytes, run);
}

bool json_items_feed(JsonItems *items, const char *bytes, size_t n, Error *error)
{
    for (size_t i = 0; i < n; i++) {
        size_t run = plain_run(items, bytes + i, n - i);
        if (run) {
            add_run(items, bytes + i, run);
            i += run - 1;
            if (items->bytes.full)
                return end_item(items, error);
            continue;
        }
        char c = bytes[i];
        if (!items->inside) {
            if (!structural(items, c, error))
                return false;
            continue;
        }
        buffer_char(items->array_depth ? &items->bytes : &items->rest, c);
        bool ends = c == '"' && !items->escaped;
        if (!items->array_depth && items->depth == 1 && items->key_next && !ends)
            buffer_char(&items->name, c);
        items->escaped = c == '\\' && !items->escaped;
        if (ends) {
            items->inside = false;
            if (items->depth == 1 && !items->array_depth)
                items->key_next = false;
        }
        if (items->bytes.full)
            return end_item(items, error);
    }
    return true;
}

bool json_items_end(JsonItems *items, cJSON **rest, Error *error)
{
    if (rest)
        *rest = NULL;
    if (!items->done)
        return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "the JSON ends too early");
    if (!rest || items->rest.full)
        return true;
    *rest = json_parse(items->rest.bytes, items->rest.length, NULL, error);
    return *rest != NULL;
}

/* ------------------------------------------------------------------------------------------------------------- writing */

void json_begin(JsonWriter *json, Buffer *out)
{
    *json = (JsonWriter){.out = out};
}

static void put_escaped(Buffer *out, const char *text, size_t n)
{
    buffer_char(out, '"');
    for (size_t at = 0, length; at < n; at += length) {
        uint32_t code;
        length = text_next(text + at, n - at, &code);
        if (code == '"' || code == '\\')
            buffer_format(out, "\\%c", (char)code);
        else if (code == '\n')
            buffer_text(out, "\\n");
        else if (code < 0x20 || code == 0x7f)
            buffer_format(out, "\\u%04x", (unsigned)code);
        else if (code == 0xfffd)
            buffer_text(out, "\xef\xbf\xbd");
        else
            buffer_add(out, text + at, length);
    }
    buffer_char(out, '"');
}

static void put_key(JsonWriter *json, const char *key)
{
    uint64_t bit = (uint64_t)1 << json->depth;
    if (json->has_items & bit)
        buffer_text(json->out, json->depth ? ", " : "\n");
    json->has_items |= bit;
    if (key) {
        put_escaped(json->out, key, strlen(key));
        buffer_text(json->out, ": ");
    }
}

static void open_level(JsonWriter *json, const char *key, char bracket)
{
    put_key(json, key);
    buffer_char(json->out, bracket);
    json->depth++;
    json->has_items &= ~((uint64_t)1 << json->depth);
}

void json_object(JsonWriter *json, const char *key)
{
    open_level(json, key, '{');
}

void json_array(JsonWriter *json, const char *key)
{
    open_level(json, key, '[');
}

void json_close(JsonWriter *json, char bracket)
{
    json->depth--;
    buffer_char(json->out, bracket);
}

void json_put_null(JsonWriter *json, const char *key)
{
    put_key(json, key);
    buffer_text(json->out, "null");
}

void json_put_text_n(JsonWriter *json, const char *key, const char *text, size_t n)
{
    put_key(json, key);
    put_escaped(json->out, text, n);
}

void json_put_text(JsonWriter *json, const char *key, const char *text)
{
    if (text)
        json_put_text_n(json, key, text, strlen(text));
    else
        json_put_null(json, key);
}

void json_put_integer(JsonWriter *json, const char *key, int64_t value)
{
    if (value > ((int64_t)1 << 53) || value < -((int64_t)1 << 53)) {
        json_put_null(json, key);
        return;
    }
    put_key(json, key);
    buffer_format(json->out, "%lld", (long long)value);
}

void json_put_number(JsonWriter *json, const char *key, double value)
{
    char text[40];
    if (!isfinite(value)) {
        json_put_null(json, key);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    put_key(json, key);
    buffer_text(json->out, text);
}

void json_put_truth(JsonWriter *json, const char *key, int truth)
{
    put_key(json, key);
    buffer_text(json->out, truth < 0 ? "null" : truth ? "true" : "false");
}

void json_put_time(JsonWriter *json, const char *key, int64_t wall_ms)
{
    char text[TIME_TEXT];
    json_put_text(json, key, *time_text(wall_ms, false, text) ? text : NULL);
}

void json_put_tree(JsonWriter *json, const char *key, const cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);
    put_key(json, key);
    buffer_text(json->out, text ? text : "null");
    cJSON_free(text);
}
