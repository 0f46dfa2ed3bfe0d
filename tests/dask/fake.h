/* A scheduler as the tests need it: it speaks the comm and answers as its version does, and counts what would stand in its owner's
 * log. Beside it a dashboard that answers counts. */
#ifndef DASKTOP_TESTS_DASK_FAKE_H
#define DASKTOP_TESTS_DASK_FAKE_H

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "dask/dask.h"
#include "io/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { FAKE_LINES = 30 };

typedef struct Fake {
    Server *comm, *dashboard;
    DaskVersion version;
    const char *distributed, *id; /* changed only between rounds */
    int workers, published;
    int64_t worker_memory;
    atomic_bool silent;      /* no handshake, no answer */
    atomic_bool mute_dashboard;
    atomic_int hang_up;      /* closes on the request that makes it 0 */
    atomic_int faults;       /* operations or arguments that its version does not know */
    atomic_int abandoned;    /* closed before a handshake came */
    atomic_int versions, light, whole, ncores, idle, events, counts;
} Fake;

typedef msgpack_packer Packer;

static inline void put_text(Packer *p, const char *text)
{
    msgpack_pack_str(p, strlen(text));
    msgpack_pack_str_body(p, text, strlen(text));
}

static inline void put_number(Packer *p, const char *key, int64_t number)
{
    put_text(p, key);
    msgpack_pack_int64(p, number);
}

static inline void put_pair(Packer *p, const char *key, const char *text)
{
    put_text(p, key);
    put_text(p, text);
}

static inline void answer_error(Packer *p)
{
    msgpack_pack_map(p, 2);
    put_pair(p, "status", "uncaught-error");
    put_pair(p, "exception_text", "TypeError('unexpected keyword argument')");
}

static inline void put_worker(Fake *fake, Packer *p, int i)
{
    char address[64];
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", 30000 + i);
    put_text(p, address);
    msgpack_pack_map(p, 6);
    put_number(p, "name", i); /* as in a LocalCluster */
    put_number(p, "nthreads", 2);
    put_number(p, "memory_limit", 1000);
    put_pair(p, "status", i == 0 ? "paused" : "running");
    put_pair(p, "id", address);
    put_text(p, "metrics");
    msgpack_pack_map(p, 2);
    put_number(p, "memory", fake->worker_memory);
    put_text(p, "spilled_bytes");
    msgpack_pack_map(p, 1);
    put_number(p, "disk", fake->worker_memory);
}

static inline void answer_whole_identity(Fake *fake, Packer *p, bool light)
{
    bool totals = dask_version_least(fake->version, 2025, 4, 0);
    msgpack_pack_map(p, totals ? 9 : 6);
    put_pair(p, "type", "Scheduler");
    put_pair(p, "id", fake->id);
    put_pair(p, "address", "tcp://127.0.0.1:8786");
    put_text(p, "services");
    msgpack_pack_map(p, 1);
    put_number(p, "dashboard", fake->dashboard->port);
    put_text(p, "started");
    msgpack_pack_double(p, 1795000000.5);
    if (totals) {
        put_number(p, "n_workers", fake->workers);
        put_number(p, "total_threads", fake->workers * 2);
        put_number(p, "total_memory", fake->workers * 1000);
    }
    put_text(p, "workers");
    msgpack_pack_map(p, light ? 0 : (size_t)fake->workers);
    for (int i = 0; !light && i < fake->workers; i++)
        put_worker(fake, p, i);
}

static inline void answer_identity(Fake *fake, Packer *p, bool light)
{
    atomic_fetch_add(light ? &fake->light : &fake->whole, 1);
    if (light && !dask_version_least(fake->version, 2025, 4, 0)) {
        atomic_fetch_add(&fake->faults, 1);
        answer_error(p);
    } else {
        answer_whole_identity(fake, p, light);
    }
}

static inline void answer_versions(Fake *fake, Packer *p)
{
    atomic_fetch_add(&fake->versions, 1);
    msgpack_pack_map(p, 1);
    put_text(p, "packages");
    msgpack_pack_map(p, 3);
    put_pair(p, "python", "3.11.7.final.0");
    put_pair(p, "dask", fake->distributed);
    put_pair(p, "distributed", fake->distributed);
}

static inline void answer_ncores(Fake *fake, Packer *p)
{
    atomic_fetch_add(&fake->ncores, 1);
    msgpack_pack_map(p, (size_t)fake->workers);
    for (int i = 0; i < fake->workers; i++) {
        char address[64];
        snprintf(address, sizeof address, "tcp://127.0.0.1:%d", 30000 + i);
        put_number(p, address, 2);
    }
}

static inline void put_line(Packer *p, int i, bool stamped)
{
    char text[32];
    snprintf(text, sizeof text, "line %d", i);
    msgpack_pack_array(p, stamped ? 3 : 2);
    if (stamped)
        msgpack_pack_double(p, 1795000000.0 + i);
    put_text(p, "INFO");
    put_text(p, text);
}

/* As its Node.get_logs does: since 2023.1.1 newest first; 2022.1.1 oldest first, ended by the first that is older than start; before,
 * the oldest and then the newest backwards. */
static inline void answer_logs(Fake *fake, Packer *p, Value *request)
{
    int64_t n = value_integer(value_get(request, "n"));
    double start = value_number(value_get(request, "start"));
    bool stamped = value_truth(value_get(request, "timestamps")) == 1, has_start = value_get(request, "start") != NULL;
    int indexes[FAKE_LINES], count = 0;
    if ((stamped || has_start) && !dask_version_least(fake->version, 2022, 1, 1)) {
        atomic_fetch_add(&fake->faults, 1);
        answer_error(p);
        return;
    }
    for (int i = 0; i < FAKE_LINES; i++) {
        int at = dask_version_least(fake->version, 2023, 1, 1) ? FAKE_LINES - 1 - i
                 : dask_version_least(fake->version, 2022, 1, 1) ? i
                                                                  : (FAKE_LINES - i) % FAKE_LINES;
        if ((n > 0 && count >= n) || (has_start && 1795000000.0 + at < start))
            break;
        indexes[count++] = at;
    }
    msgpack_pack_array(p, (size_t)count);
    for (int i = 0; i < count; i++)
        put_line(p, indexes[i], stamped);
}

/* What it passes on to one worker or nanny, whose answer is under the worker's address. */
static inline void answer_broadcast(Fake *fake, Packer *p, Value *request)
{
    Value *workers = value_get(request, "workers"), *message = value_get(request, "msg");
    char *op = value_text_new(value_get(message, "op"));
    if (!op || strcmp(op, "get_logs") != 0 || !workers || workers->type != MSGPACK_OBJECT_ARRAY || workers->via.array.size != 1)
        atomic_fetch_add(&fake->faults, 1);
    msgpack_pack_map(p, 1);
    put_text(p, "tcp://127.0.0.1:30001");
    answer_logs(fake, p, message);
    free(op);
}

static inline void answer_events(Fake *fake, Packer *p)
{
    atomic_fetch_add(&fake->events, 1);
    msgpack_pack_array(p, 2);
    for (int i = 0; i < 2; i++) {
        msgpack_pack_array(p, 2);
        msgpack_pack_double(p, 1795000100.0 + i);
        msgpack_pack_map(p, 1);
        put_pair(p, "action", i ? "remove-client" : "update-graph");
    }
}

static inline void answer_texts(Packer *p, Value *texts, bool map)
{
    size_t n = texts && texts->type == MSGPACK_OBJECT_ARRAY ? texts->via.array.size : 0;
    if (map)
        msgpack_pack_map(p, n);
    else
        msgpack_pack_array(p, n);
    for (size_t i = 0; i < n; i++) {
        msgpack_pack_object(p, texts->via.array.ptr[i]);
        if (map)
            msgpack_pack_map(p, 0);
    }
}

static inline void answer_published(Fake *fake, Packer *p)
{
    msgpack_pack_array(p, (size_t)fake->published);
    for (int i = 0; i < fake->published; i++)
        put_text(p, "dataset");
}

/* False: it closes instead of answering. */
static inline bool fake_answer(Fake *fake, Value *request, Packer *p)
{
    char *op = value_text_new(value_get(request, "op"));
    bool known = op != NULL, ends = op && strcmp(op, "terminate") == 0;
    if (known && strcmp(op, "identity") == 0)
        answer_identity(fake, p, value_get(request, "n_workers") != NULL);
    else if (known && strcmp(op, "versions") == 0)
        answer_versions(fake, p);
    else if (known && strcmp(op, "ncores") == 0)
        answer_ncores(fake, p);
    else if (known && strcmp(op, "get_logs") == 0)
        answer_logs(fake, p, request);
    else if (known && strcmp(op, "broadcast") == 0)
        answer_broadcast(fake, p, request);
    else if (known && strcmp(op, "events") == 0)
        answer_events(fake, p);
    else if (known && strcmp(op, "publish_list") == 0)
        answer_published(fake, p);
    else if (known && strcmp(op, "retire_workers") == 0)
        answer_texts(p, value_get(request, "workers"), true);
    else if (known && strcmp(op, "check_idle") == 0 && dask_version_least(fake->version, 2023, 3, 2)) {
        atomic_fetch_add(&fake->idle, 1);
        msgpack_pack_double(p, 1795000050.0);
    } else if (!ends) {
        atomic_fetch_add(&fake->faults, 1);
        msgpack_pack_nil(p);
    }
    free(op);
    return !ends;
}

static inline bool fake_message(Fake *fake, int fd, const CommReader *reader)
{
    Message message;
    size_t n;
    const char *frame = comm_frame(reader, &n);
    if (!message_decode(frame, n, &message, "fake", NULL))
        abort();
    if (comm_is_handshake(&message)) {
        message_done(&message);
        return true;
    }
    msgpack_sbuffer packed;
    Packer packer;
    Buffer out;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    buffer_init(&out, BUFFER_ANY);
    bool on = atomic_fetch_sub(&fake->hang_up, 1) != 1 && fake_answer(fake, &message.root, &packer);
    if (on) {
        comm_wrap(&out, packed.data, packed.size);
        on = server_write(fd, out.bytes, out.length);
    }
    buffer_done(&out);
    msgpack_sbuffer_destroy(&packed);
    message_done(&message);
    return on;
}

static inline void fake_serve(Server *server, int fd)
{
    Fake *fake = server->user;
    CommReader reader;
    Buffer hello;
    char bytes[4096];
    size_t n;
    bool on = true, heard = false;
    while (atomic_load(&fake->silent) && server_sleep(server, 2))
        ;
    buffer_init(&hello, 4096);
    comm_handshake(&hello);
    server_write(fd, hello.bytes, hello.length);
    buffer_done(&hello);
    comm_reader_init(&reader, 1 << 20);
    while (on && (n = server_read(server, fd, bytes, sizeof bytes)) > 0) {
        while (atomic_load(&fake->silent) && server_sleep(server, 2))
            ;
        for (size_t at = 0, used; on && at < n; at += used) {
            CommStep step = comm_feed(&reader, bytes + at, n - at, &used, NULL);
            if (step == COMM_BAD)
                abort();
            heard = true;
            on = step != COMM_MESSAGE || fake_message(fake, fd, &reader);
        }
    }
    atomic_fetch_add(&fake->abandoned, !heard);
    comm_reader_done(&reader);
}

static inline void fake_http(Server *server, int fd)
{
    Fake *fake = server->user;
    char bytes[4096];
    static const char counts[] = "{\"clients\": 2, \"workers\": 3, \"processing\": 4, \"waiting\": 0, \"memory\": 1, \"erred\": 1, \"released\": 0,"
                                 " \"unrunnable\": 0, \"tasks\": 8, \"cores\": 6}";
    static const char identity[] = "{\"type\": \"Scheduler\", \"id\": \"Scheduler-http\", \"address\": \"inproc://10.0.0.1/42/1\", \"started\": 1e300}";
    size_t n, length = 0;
    while (length < sizeof bytes - 1 && (n = server_read(server, fd, bytes + length, sizeof bytes - 1 - length)) > 0) {
        bytes[length += n] = 0;
        if (!strstr(bytes, "\r\n\r\n"))
            continue;
        if (atomic_load(&fake->mute_dashboard)) {
            while (server_sleep(server, 5))
                ;
            return;
        }
        bool counting = strncmp(bytes, "GET /json/counts.json ", 22) == 0;
        atomic_fetch_add(&fake->counts, counting);
        char answer[1024];
        const char *body = counting ? counts : identity;
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nContent-Type: application/json\r\n\r\n%s", strlen(body), body);
        server_say(fd, answer);
        length = 0;
    }
}

static inline Fake *fake_start(const char *distributed)
{
    Fake *fake = calloc(1, sizeof *fake);
    fake->distributed = distributed;
    fake->version = dask_version_parse(distributed);
    fake->id = "Scheduler-one";
    fake->workers = 3;
    fake->worker_memory = 100;
    fake->dashboard = server_start(fake_http, fake);
    fake->comm = server_start(fake_serve, fake);
    return fake;
}

static inline void fake_stop(Fake *fake)
{
    server_stop(fake->comm);
    server_stop(fake->dashboard);
    free(fake);
}

static inline Buffer capture(const char *name)
{
    char path[512];
    Buffer out;
    snprintf(path, sizeof path, TESTS_DIR "/captures/dask/%s", name);
    buffer_init(&out, 64 << 20);
    assert_true(file_read(path, &out, NULL));
    return out;
}

#endif
