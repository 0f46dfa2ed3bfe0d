/* JSON: reading with cJSON item by item, writing straight into a buffer.
 *
 * Sizes are bounded before they are parsed. cJSON trees belong to the caller (cJSON_Delete). One owner, one thread. */
#ifndef DASKTOP_BASE_JSON_H
#define DASKTOP_BASE_JSON_H

#include "base/buffer.h"
#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { JSON_DEPTH_MOST = 64 };

#define NUMBER_UNKNOWN INT64_MIN /* an integer that is not known; written as null */

/* Parses exactly one document (trailing blanks allowed), nested at most JSON_DEPTH_MOST deep. */
cJSON *json_parse(const char *bytes, size_t n, const char *where, Error *error);

/* Members, tolerant of a wrong type: then NULL, NUMBER_UNKNOWN, NAN, -1. Integers are exact to 2^53, else unknown. */
const char *json_text(const cJSON *object, const char *key);
int64_t json_integer(const cJSON *object, const char *key);
int64_t json_amount(const cJSON *object, const char *key); /* an integer that is not below 0 */
double json_number(const cJSON *object, const char *key);
int json_truth(const cJSON *object, const char *key); /* 1, 0, -1 unknown */
const cJSON *json_member(const cJSON *object, const char *key); /* exact case */

/* Cuts a stream into the items of the array under `member` of the top object (NULL: the top is the array itself).
 * json_items_feed calls item() with the bytes of each complete element, as soon as its last byte is there; the peak is one
 * item (item_max bytes; a larger one is an error). What stands beside the array is kept up to 64 KiB and can be read from
 * `rest` as an object in which the array is empty (metadata.continue and the like) after json_items_end. */
typedef struct JsonItems JsonItems;
typedef bool (*JsonItem)(void *user, const char *bytes, size_t n, Error *error);
JsonItems *json_items_new(const char *member, size_t item_max, JsonItem item, void *user);
void json_items_free(JsonItems *items);
bool json_items_feed(JsonItems *items, const char *bytes, size_t n, Error *error);
bool json_items_end(JsonItems *items, cJSON **rest, Error *error); /* rest may be NULL; error where the document is cut short */

/* Writing: commas are set by themselves. key NULL inside arrays. Text is escaped, bad UTF-8 becomes U+FFFD.
 * NUMBER_UNKNOWN, NAN and NULL text are null. */
typedef struct JsonWriter {
    Buffer *out;
    uint64_t has_items; /* a bit a level */
    int depth;          /* at most 60 */
} JsonWriter;
void json_begin(JsonWriter *json, Buffer *out);
void json_object(JsonWriter *json, const char *key);
void json_array(JsonWriter *json, const char *key);
void json_close(JsonWriter *json, char bracket); /* '}' or ']' */
void json_put_text(JsonWriter *json, const char *key, const char *text);
void json_put_text_n(JsonWriter *json, const char *key, const char *text, size_t n);
void json_put_integer(JsonWriter *json, const char *key, int64_t value);
void json_put_number(JsonWriter *json, const char *key, double value); /* shortest that reads back the same */
void json_put_truth(JsonWriter *json, const char *key, int truth);     /* -1: null */
void json_put_time(JsonWriter *json, const char *key, int64_t wall_ms);
void json_put_null(JsonWriter *json, const char *key);
void json_put_tree(JsonWriter *json, const char *key, const cJSON *tree);

#endif
