#include "dask/message.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PRINT_MOST = 512, PRINT_DEPTH = 8 };

/* ---------------------------------------------------------------------------------------------- checking before decoding */

static uint64_t big_endian(const unsigned char *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* What one value's head says: how many bytes follow it, how many values it holds. False: it is cut short or not msgpack. */
static bool read_head(const unsigned char *at, size_t left, size_t *head, uint64_t *payload, uint64_t *values)
{
    static const unsigned char sizes[32] = {/* c0 */ 0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
                                            /* d0 */ 1, 2, 4, 8, 1, 1, 1, 1, 1, 1, 2, 4, 2, 4, 2, 4};
    unsigned char type = at[0];
    *payload = *values = 0;
    *head = 1;
    if (type < 0x80 || type >= 0xe0)
        return true;
    if (type < 0x90) {
        *values = (type & 15u) * 2;
        return true;
    }
    if (type < 0xa0) {
        *values = type & 15u;
        return true;
    }
    if (type < 0xc0) {
        *payload = type & 31u;
        return true;
    }
    size_t size = sizes[type - 0xc0];
    if (type == 0xc1 || left < 1 + size)
        return false;
    uint64_t count = big_endian(at + 1, size);
    *head = 1 + size;
    if ((type >= 0xc4 && type <= 0xc6) || (type >= 0xd9 && type <= 0xdb))
        *payload = count; /* binaries and texts */
    else if (type >= 0xc7 && type <= 0xc9)
        *payload = count + 1; /* extensions, with their kind */
    else if (type >= 0xd4 && type <= 0xd8)
        *payload = (uint64_t)1 << (type - 0xd4); /* fixed extensions; the head had their kind */
    else if (type == 0xdc || type == 0xdd)
        *values = count;
    else if (type >= 0xde)
        *values = count * 2;
    return true;
}

/* One pass without recursion: msgpack-c recurses and takes memory for every announced item. */
static const char *find_fault(const char *bytes, size_t n)
{
    uint64_t waiting[MESSAGE_DEPTH + 1] = {1};
    size_t depth = 0, at = 0, all = 0;
    while (depth > 0 || waiting[0]) {
        if (waiting[depth] == 0) {
            depth--;
            continue;
        }
        size_t head;
        uint64_t payload, values;
        if (at >= n || !read_head((const unsigned char *)bytes + at, n - at, &head, &payload, &values))
            return "cut short or not msgpack";
        waiting[depth]--;
        at += head;
        if (payload > n - at || values > n - at)
            return "a length beyond its end";
        if ((all += (size_t)values) > MESSAGE_VALUES)
            return "more values than are read";
        at += payload;
        if (values && depth == MESSAGE_DEPTH)
            return "nested too deep";
        if (values)
            waiting[++depth] = values;
    }
    return at == n ? NULL : "something follows its end";
}

bool message_decode(const char *bytes, size_t n, Message *message, const char *where, Error *error)
{
    *message = (Message){0};
    const char *fault = n ? find_fault(bytes, n) : "empty";
    if (fault)
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "a damaged message: %s", fault);
    message->zone = msgpack_zone_new(4096);
    size_t offset = 0;
    if (!message->zone || msgpack_unpack(bytes, n, &offset, message->zone, &message->root) < 0) {
        message_done(message);
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "a damaged message");
    }
    return true;
}

void message_done(Message *message)
{
    if (message->zone)
        msgpack_zone_free(message->zone);
    *message = (Message){0};
}

/* ---------------------------------------------------------------------------------------------------------------- values */

static bool key_is(Value *key, const char *text, size_t n)
{
    if (key->type == MSGPACK_OBJECT_STR)
        return key->via.str.size == n && memcmp(key->via.str.ptr, text, n) == 0;
    return key->type == MSGPACK_OBJECT_BIN && key->via.bin.size == n && memcmp(key->via.bin.ptr, text, n) == 0;
}

Value *value_get(Value *map, const char *key)
{
    size_t n = strlen(key);
    for (uint32_t i = 0; map && map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++)
        if (key_is(&map->via.map.ptr[i].key, key, n))
            return &map->via.map.ptr[i].val;
    return NULL;
}

bool value_text(Value *value, const char **text, size_t *n)
{
    if (value && value->type == MSGPACK_OBJECT_STR) {
        *text = value->via.str.ptr;
        *n = value->via.str.size;
        return true;
    }
    if (value && value->type == MSGPACK_OBJECT_BIN) {
        *text = value->via.bin.ptr;
        *n = value->via.bin.size;
        return true;
    }
    return false;
}

char *value_text_new(Value *value)
{
    const char *text;
    size_t n;
    if (value_text(value, &text, &n)) {
        char *copy = mem_new(n + 1);
        if (n)
            memcpy(copy, text, n); /* an empty text has no bytes to point to */
        for (size_t i = 0; i < n; i++)
            copy[i] = copy[i] ? copy[i] : ' ';
        return copy;
    }
    int64_t number = value_integer(value);
    return number == NUMBER_UNKNOWN ? NULL : mem_format("%lld", (long long)number);
}

double value_number(Value *value)
{
    switch (value ? value->type : MSGPACK_OBJECT_NIL) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return (double)value->via.u64;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return (double)value->via.i64;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return value->via.f64;
    default:
        return NAN;
    }
}

int64_t value_integer(Value *value)
{
    if (value && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        return value->via.u64 > INT64_MAX ? NUMBER_UNKNOWN : (int64_t)value->via.u64;
    double number = value_number(value);
    if (isnan(number) || number != floor(number) || fabs(number) > 9.0e18)
        return NUMBER_UNKNOWN;
    return (int64_t)number;
}

int value_truth(Value *value)
{
    return value && value->type == MSGPACK_OBJECT_BOOLEAN ? value->via.boolean : -1;
}

bool value_is_nil(Value *value)
{
    return value && value->type == MSGPACK_OBJECT_NIL;
}

static void print(Buffer *out, Value *value, size_t limit, int depth)
{
    const char *text;
    size_t n;
    if (out->length >= limit)
        return;
    if (value_text(value, &text, &n)) {
        bool quoted = depth > 0;
        size_t room = limit - out->length;
        buffer_text(out, quoted ? "'" : "");
        buffer_add(out, text, n < room ? n : room);
        buffer_text(out, quoted ? "'" : "");
    } else if (value->type == MSGPACK_OBJECT_ARRAY && depth < PRINT_DEPTH) {
        buffer_char(out, '(');
        for (uint32_t i = 0; i < value->via.array.size && out->length < limit; i++) {
            buffer_text(out, i ? ", " : "");
            print(out, &value->via.array.ptr[i], limit, depth + 1);
        }
        buffer_char(out, ')');
    } else if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        buffer_format(out, "%llu", (unsigned long long)value->via.u64);
    } else if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        buffer_format(out, "%lld", (long long)value->via.i64);
    } else if (value->type == MSGPACK_OBJECT_FLOAT64 || value->type == MSGPACK_OBJECT_FLOAT32) {
        buffer_format(out, "%g", value->via.f64);
    } else if (value->type == MSGPACK_OBJECT_BOOLEAN) {
        buffer_text(out, value->via.boolean ? "True" : "False");
    } else {
        buffer_text(out, value->type == MSGPACK_OBJECT_NIL ? "None" : "…");
    }
}

void value_print(Buffer *out, Value *value)
{
    print(out, value, out->length + PRINT_MOST, 0);
}

/* -------------------------------------------------------------------------------------------------------------- requests */

static void pack_text(Request *request, const char *text)
{
    size_t n = strlen(text);
    msgpack_pack_str(&request->packer, n);
    msgpack_pack_str_body(&request->packer, text, n);
}

void request_begin(Request *request, const char *op, size_t arguments)
{
    msgpack_sbuffer_init(&request->buffer);
    msgpack_packer_init(&request->packer, &request->buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&request->packer, arguments + 1);
    request_text(request, "op", op);
}

void request_inner(Request *request, const char *key, const char *op, size_t arguments)
{
    pack_text(request, key);
    msgpack_pack_map(&request->packer, arguments + 1);
    request_text(request, "op", op);
}

void request_text(Request *request, const char *key, const char *value)
{
    pack_text(request, key);
    pack_text(request, value);
}

void request_integer(Request *request, const char *key, int64_t value)
{
    pack_text(request, key);
    msgpack_pack_int64(&request->packer, value);
}

void request_number(Request *request, const char *key, double value)
{
    pack_text(request, key);
    msgpack_pack_double(&request->packer, value);
}

void request_truth(Request *request, const char *key, bool value)
{
    pack_text(request, key);
    if (value)
        msgpack_pack_true(&request->packer);
    else
        msgpack_pack_false(&request->packer);
}

void request_texts(Request *request, const char *key, const char *const *values, size_t n)
{
    pack_text(request, key);
    msgpack_pack_array(&request->packer, n);
    for (size_t i = 0; i < n; i++)
        pack_text(request, values[i]);
}

void request_done(Request *request)
{
    msgpack_sbuffer_destroy(&request->buffer);
}
