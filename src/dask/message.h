/* One decoded message of Dask's comm: msgpack, checked for depth and size before msgpack-c sees it. Everything that is asked of it
 * tolerates a wrong type. Keys of maps need not be texts. Owned by one thread. */
#ifndef DASKTOP_DASK_MESSAGE_H
#define DASKTOP_DASK_MESSAGE_H

#include "base/buffer.h"
#include "base/error.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

/* 24 bytes of memory a value, whatever it takes on the wire: a full identity of 10,000 workers has a million. */
enum { MESSAGE_DEPTH = 64, MESSAGE_VALUES = 4 << 20 };

typedef struct Message {
    msgpack_zone *zone;
    msgpack_object root;
} Message;

/* bytes must outlive the message (texts point into them). Depth, counts and trailing bytes are checked in one linear scan first. */
bool message_decode(const char *bytes, size_t n, Message *message, const char *where, Error *error);
void message_done(Message *message);

typedef const msgpack_object Value;
Value *value_get(Value *map, const char *key);        /* NULL: no map or not there */
bool value_text(Value *value, const char **text, size_t *n);
char *value_text_new(Value *value);                   /* texts and binaries copied; integers as digits; else NULL */
int64_t value_integer(Value *value);                  /* NUMBER_UNKNOWN; floats that are whole count */
double value_number(Value *value);                    /* NAN */
int value_truth(Value *value);                        /* -1 */
bool value_is_nil(Value *value);
/* A printable form of any key: texts as they are, integers, arrays as ('a', 1). Bounded. */
void value_print(Buffer *out, Value *value);

/* Writing a request. */
typedef struct Request {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
} Request;
void request_begin(Request *request, const char *op, size_t arguments); /* number of further keys */
void request_inner(Request *request, const char *key, const char *op, size_t arguments); /* a request as a value; its keys come next */
void request_text(Request *request, const char *key, const char *value);
void request_integer(Request *request, const char *key, int64_t value);
void request_number(Request *request, const char *key, double value);
void request_truth(Request *request, const char *key, bool value);
void request_texts(Request *request, const char *key, const char *const *values, size_t n);
void request_done(Request *request);

#endif
