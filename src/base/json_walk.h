/* Objects of JSON read as they stand there, without building a tree: quick where answers are large and little of them is wanted, or lines
 * are many. What is skipped is not looked at more closely than brackets (at most JSON_DEPTH_MOST deep) and quotes; keys are compared as they
 * are written. Pure. */
#ifndef DASKTOP_BASE_JSON_WALK_H
#define DASKTOP_BASE_JSON_WALK_H

#include "base/buffer.h"

#include <stdint.h>

/* A part of a text, borrowed: a value with its quotes or brackets, a key without its quotes. bytes NULL: none. */
typedef struct JsonSpan {
    const char *bytes;
    size_t n;
} JsonSpan;

/* The members of one object, in their order:
 *     JsonWalk walk = json_walk(object);
 *     while (json_walk_next(&walk)) … walk.key … walk.value …
 *     … json_walk_whole(&walk) */
typedef struct JsonWalk {
    JsonSpan key, value;
    const char *at, *end; /* at NULL: it is no object, or what came is no member of one */
    bool first, closed;
} JsonWalk;
JsonWalk json_walk(JsonSpan object);
bool json_walk_next(JsonWalk *walk);
bool json_walk_whole(const JsonWalk *walk); /* after the last: it was an object, and nothing but blanks stands behind it */

/* The members of one object that comes in pieces, each as soon as all of it is there; what was read is not kept, so that a long answer never lies
 * in memory as a whole. (The items of an array within an object: base/json.h.)
 *     json_feed_init(&feed, most);
 *     for each piece, and after the last with n = 0:
 *         json_feed(&feed, bytes, n);
 *         while (json_feed_next(&feed)) … feed.walk.key … feed.walk.value …, until the next piece
 *     … json_feed_whole(&feed) */
typedef struct JsonFeed {
    JsonWalk walk;
    Buffer rest; /* from the end of the last member on; overwritten before it is freed */
    size_t due;  /* so long must it be to be looked at again: what comes byte by byte is not looked at for each */
} JsonFeed;
void json_feed_init(JsonFeed *feed, size_t most); /* bytes of one member, with those of a piece */
void json_feed_done(JsonFeed *feed);
void json_feed(JsonFeed *feed, const char *bytes, size_t n);
bool json_feed_next(JsonFeed *feed);
bool json_feed_whole(const JsonFeed *feed); /* as json_walk_whole; false also where a member was too large (rest.full) */

bool json_span_is(JsonSpan span, const char *text); /* of a key; a value's text has its quotes */
/* Values; of another kind: NULL, NUMBER_UNKNOWN (also where it is no whole number, or beyond 2^53), -1. */
char *json_span_name(JsonSpan key); /* what a key means; the caller's */
char *json_span_text(JsonSpan value); /* the caller's; no copy of it is left, it may be a secret */
int64_t json_span_integer(JsonSpan value);
int json_span_truth(JsonSpan value);

/* The value of a member of the object that `bytes` begin with. NULL: it is not there, or the bytes are no object. */
const char *json_raw(const char *bytes, size_t n, const char *key, size_t *length);

#endif
