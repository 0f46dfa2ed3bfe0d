#include "io/pki.h"
#include "io/server.h"
#include "io/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* What a stream told. */
typedef struct Talk {
    Stream *stream;
    Buffer got;
    int connected, ended;
    bool over, close_on_bytes, close_on_connected;
    size_t want; /* over as soon as so much has come */
    Error error;
    const char *say;
    struct Talk *other; /* closed on connected */
} Talk;

static void on_connected(void *user) {
    Talk *talk = user;
    talk->connected++;
    if (talk->say)
        stream_send(talk->stream, talk->say, strlen(talk->say));
    if (talk->other) {
        stream_close(talk->other->stream);
        talk->other->stream = NULL;
    }
    if (talk->close_on_connected) {
        stream_close(talk->stream);
        talk->stream = NULL;
        talk->over = true;
    }
}

static void on_bytes(void *user, const char *bytes, size_t n) {
    Talk *talk = user;
    buffer_add(&talk->got, bytes, n);
    if (talk->want && talk->got.length >= talk->want)
        talk->over = true;
    if (talk->close_on_bytes) {
        stream_close(talk->stream);
        talk->stream = NULL;
        talk->over = true;
    }
}

static void on_ended(void *user, const Error *error) {
    Talk *talk = user;
    talk->ended++;
    talk->error = *error;
    talk->over = true;
}

static void open_to(Io *io, Talk *talk, const StreamTarget *target) {
    Error error = {0};
    StreamEvents events = {on_connected, on_bytes, on_ended, talk};
    if (!talk->got.bytes)
        buffer_init(&talk->got, BUFFER_ANY);
    talk->stream = stream_open(io, NULL, target, &events, &error);
    assert_non_null(talk->stream);
}

static void open_port(Io *io, Talk *talk, int port, int64_t ms) {
    StreamTarget target = {.host = "127.0.0.1", .port = port, .connect_ms = ms};
    open_to(io, talk, &target);
}

static void close_talk(Talk *talk) {
    stream_close(talk->stream);
    buffer_done(&talk->got);
}

static void until(Io *io, Talk *talk) {
    Context context = context_new(NULL, 60000);
    Error error = {0};
    if (!io_until(io, &context, &talk->over, &error))
        fail_msg("%s", error.what);
}

static void serve_echo(Server *server, int fd) {
    char bytes[4096];
    for (size_t n; (n = server_read(server, fd, bytes, sizeof bytes));)
        server_write(fd, bytes, n);
}

static void serve_hello(Server *server, int fd) {
    (void)server;
    server_say(fd, "hello");
}

static void serve_silent(Server *server, int fd) {
    char bytes[64];
    while (server_read(server, fd, bytes, sizeof bytes))
        continue;
}

static void serve_slow(Server *server, int fd) {
    for (int i = 0; i < 5 && server_sleep(server, 10); i++)
        server_write(fd, "x", 1);
}

static void test_echo(void **state) {
    (void)state;
    Server *server = server_start(serve_echo, NULL);
    Io *io = io_new(NULL);
    Talk talk = {.say = "ping", .want = 4};
    open_port(io, &talk, server->port, 10000);
    until(io, &talk);
    assert_string_equal(talk.got.bytes, "ping");
    assert_int_equal(talk.connected, 1);
    assert_int_equal(talk.ended, 0);
    close_talk(&talk);
    io_free(io);
    server_stop(server);
}

/* More than all socket buffers hold, in both directions at once: sending must not wait, reading must not starve. */
static void test_much(void **state) {
    (void)state;
    enum { MUCH = 12 << 20 };
    Server *server = server_start(serve_echo, NULL);
    Io *io = io_new(NULL);
    char *bytes = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++)
        bytes[i] = (char)(i * 31 + i / 4096);
    Talk talk = {.want = MUCH};
    open_port(io, &talk, server->port, 10000);
    assert_true(stream_send(talk.stream, bytes, MUCH)); /* before it is connected */
    until(io, &talk);
    assert_int_equal(talk.got.length, MUCH);
    assert_memory_equal(talk.got.bytes, bytes, MUCH);
    close_talk(&talk);
    free(bytes);
    io_free(io);
    server_stop(server);
}

static void test_closed_by_other_side(void **state) {
    (void)state;
    Server *server = server_start(serve_hello, NULL);
    Io *io = io_new(NULL);
    Talk talk = {0};
    open_port(io, &talk, server->port, 10000);
    until(io, &talk);
    assert_string_equal(talk.got.bytes, "hello");
    assert_int_equal(talk.ended, 1);
    assert_int_equal(talk.error.code, ERROR_OK);
    assert_false(stream_send(talk.stream, "x", 1));
    close_talk(&talk);
    io_free(io);
    server_stop(server);
}

static void test_a_byte_at_a_time(void **state) {
    (void)state;
    Server *server = server_start(serve_slow, NULL);
    Io *io = io_new(NULL);
    Talk talk = {0};
    open_port(io, &talk, server->port, 10000);
    until(io, &talk);
    assert_string_equal(talk.got.bytes, "xxxxx");
    close_talk(&talk);
    io_free(io);
    server_stop(server);
}

static void test_refused(void **state) {
    (void)state;
    int port;
    close(listen_loopback(1, &port));
    Io *io = io_new(NULL);
    Talk talk = {0};
    open_port(io, &talk, port, 10000);
    until(io, &talk);
    assert_int_equal(talk.error.code, ERROR_UNREACHABLE);
    assert_int_equal(talk.connected, 0);
    close_talk(&talk);
    io_free(io);
}

static void test_bad_targets(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    StreamEvents events = {0};
    const StreamTarget targets[] = {{.host = "", .port = 1},       {.host = "a@b", .port = 1}, {.host = "a/b", .port = 1},
                                    {.host = "a", .port = 0},      {.host = "a", .port = 65536}, {.host = "a\r\nb", .port = 1},
                                    {.host = "a?b#c", .port = 1}};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        Error error = {0};
        assert_null(stream_open(io, NULL, &targets[i], &events, &error));
        assert_int_equal(error.code, ERROR_USAGE);
    }
    io_free(io);
}

/* A listener whose backlog is full leaves the SYN unanswered. */
typedef struct Full {
    int fd, port, fillers[8];
} Full;

static void full_open(Full *full) {
    full->fd = listen_loopback(0, &full->port);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)full->port)};
    for (int i = 0; i < 8; i++) {
        full->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(full->fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    usleep(20000);
}

static void full_close(Full *full) {
    for (int i = 0; i < 8; i++)
        close(full->fillers[i]);
    close(full->fd);
}

static void test_full_backlog(void **state) {
    (void)state;
    Full full;
    full_open(&full);
    Io *io = io_new(NULL);
    Talk talk = {0};
    open_port(io, &talk, full.port, 100);
    until(io, &talk);
    assert_int_equal(talk.error.code, ERROR_TIMEOUT);
    close_talk(&talk);
    io_free(io);
    full_close(&full);
}

/* 16 that hang hold the 17th back, but not for longer than a connect may take: it is served while they still hang. */
static void test_admission(void **state) {
    (void)state;
    enum { HANGING = 20 };
    Full full;
    full_open(&full);
    Server *server = server_start(serve_hello, NULL);
    Io *io = io_new(NULL);
    Talk hanging[HANGING] = {0}, closed = {0}, good = {.want = 5};
    for (int i = 0; i < HANGING; i++)
        open_port(io, &hanging[i], full.port, 20000);
    open_port(io, &closed, server->port, 100);
    open_port(io, &good, server->port, 10000);
    Context context = context_new(NULL, 60000);
    assert_true(io_sleep(io, &context, 30, NULL));
    assert_int_equal(good.connected, 0);
    close_talk(&closed); /* leaves the middle of the line */
    until(io, &good);
    assert_string_equal(good.got.bytes, "hello");
    assert_int_equal(hanging[0].error.code, ERROR_OK);
    assert_int_equal(hanging[0].ended, 0);
    for (int i = 0; i < HANGING; i++)
        close_talk(&hanging[i]);
    close_talk(&good);
    io_free(io);
    server_stop(server);
    full_close(&full);
}

static void test_many(void **state) {
    (void)state;
    enum { MANY = 60 };
    Server *server = server_start(serve_echo, NULL);
    Io *io = io_new(NULL);
    Talk talks[MANY] = {0};
    for (int i = 0; i < MANY; i++) {
        talks[i] = (Talk){.say = "ping", .want = 4};
        open_port(io, &talks[i], server->port, 30000);
    }
    for (int i = 0; i < MANY; i++)
        until(io, &talks[i]);
    for (int i = 0; i < MANY; i++) {
        assert_string_equal(talks[i].got.bytes, "ping");
        close_talk(&talks[i]);
    }
    io_free(io);
    server_stop(server);
}

static void test_close_inside(void **state) {
    (void)state;
    Server *server = server_start(serve_hello, NULL), *silent = server_start(serve_silent, NULL);
    Io *io = io_new(NULL);
    Talk bytes = {.close_on_bytes = true}, victim = {0}, connected = {.close_on_connected = true, .other = &victim};
    open_port(io, &victim, silent->port, 10000);
    open_port(io, &bytes, server->port, 10000);
    open_port(io, &connected, silent->port, 10000);
    until(io, &bytes);
    until(io, &connected);
    assert_null(victim.stream);
    assert_int_equal(bytes.ended + connected.ended + victim.ended, 0);
    close_talk(&bytes);
    close_talk(&connected);
    close_talk(&victim);
    io_free(io);
    server_stop(server);
    server_stop(silent);
}

static void test_io_free_ends_all_without_a_word(void **state) {
    (void)state;
    Full full;
    full_open(&full);
    Server *server = server_start(serve_silent, NULL);
    Io *io = io_new(NULL);
    Talk talks[20] = {0}, open = {0};
    open_port(io, &open, server->port, 10000);
    for (int i = 0; i < 20; i++)
        open_port(io, &talks[i], full.port, 10000);
    Context context = context_new(NULL, 60000);
    while (!open.connected)
        assert_true(io_sleep(io, &context, 10, NULL));
    io_free(io);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(talks[i].ended, 0);
        buffer_done(&talks[i].got);
    }
    buffer_done(&open.got);
    server_stop(server);
    full_close(&full);
}

/* TLS: openssl's own server echoes lines backwards. */
static Tls *material(const Pki *pki, const char *ca, const char *own) {
    char paths[3][128];
    Error error = {0};
    snprintf(paths[0], 128, "%s/%s.pem", pki->folder, ca);
    snprintf(paths[1], 128, "%s/%s.pem", pki->folder, own ? own : "");
    snprintf(paths[2], 128, "%s/%s.key", pki->folder, own ? own : "");
    Tls *tls = tls_read(paths[0], own ? paths[1] : NULL, own ? paths[2] : NULL, &error);
    if (!tls)
        fail_msg("%s", error.what);
    tls->verify_host = false;
    return tls;
}

/* Says a line over TLS and gives what came of it. */
static void talk_tls(Io *io, Talk *talk, int port, Tls *tls) {
    StreamTarget target = {.host = "127.0.0.1", .port = port, .tls = tls, .connect_ms = 30000};
    talk->say = "abc\n";
    talk->want = 4;
    open_to(io, talk, &target);
    tls_drop(tls); /* the stream keeps its own */
    until(io, talk);
}

static void need_openssl(const Pki *pki) {
    if (!pki->there)
        fail_msg("openssl is missing: scripts/test installs it");
}

static void test_tls_mutual(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    Io *io = io_new(NULL);
    TlsServer server = {0};
    tls_server_start(io, &server, pki, "-rev", "two");
    Talk talk = {0};
    talk_tls(io, &talk, server.port, material(pki, "one", "two"));
    assert_string_equal(talk.got.bytes, "cba\n");
    close_talk(&talk);
    tls_server_stop(&server);
    io_free(io);
}

static void test_tls_long_line(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    enum { LONG = 12000 }; /* more than one record's worth of reads; the server's own buffer is 16 KiB */
    Io *io = io_new(NULL);
    TlsServer server = {0};
    tls_server_start(io, &server, pki, "-rev", NULL);
    Tls *tls = material(pki, "one", NULL);
    StreamTarget target = {.host = "127.0.0.1", .port = server.port, .tls = tls, .connect_ms = 30000};
    Talk talk = {.want = LONG};
    open_to(io, &talk, &target);
    tls_drop(tls);
    char line[LONG];
    memset(line, 'x', LONG);
    line[LONG - 1] = '\n';
    assert_true(stream_send(talk.stream, line, LONG));
    until(io, &talk);
    assert_int_equal(talk.got.length, LONG);
    close_talk(&talk);
    tls_server_stop(&server);
    io_free(io);
}

static void test_tls_wrong_authority(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    Io *io = io_new(NULL);
    TlsServer server = {0};
    tls_server_start(io, &server, pki, "-rev", NULL);
    Talk talk = {0};
    talk_tls(io, &talk, server.port, material(pki, "two", NULL));
    assert_int_equal(talk.error.code, ERROR_DENIED);
    assert_int_equal(talk.connected, 0);
    assert_non_null(strstr(talk.error.what, "certificate"));
    close_talk(&talk);
    tls_server_stop(&server);
    io_free(io);
}

static void test_tls_wrong_name(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    Io *io = io_new(NULL);
    TlsServer server = {0};
    tls_server_start(io, &server, pki, "-rev", NULL);
    Talk talk = {0};
    Tls *tls = material(pki, "one", NULL);
    tls->verify_host = true;
    talk_tls(io, &talk, server.port, tls);
    assert_int_equal(talk.error.code, ERROR_DENIED);
    close_talk(&talk);
    tls_server_stop(&server);
    io_free(io);
}

static void test_tls_without_client_certificate(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    Io *io = io_new(NULL);
    TlsServer server = {0};
    tls_server_start(io, &server, pki, "-rev", "two");
    Talk talk = {0};
    talk_tls(io, &talk, server.port, material(pki, "one", NULL));
    assert_int_equal(talk.error.code, ERROR_DENIED);
    assert_non_null(strstr(talk.error.what, "client certificate"));
    close_talk(&talk);
    tls_server_stop(&server);
    io_free(io);
}

static void test_tls_to_plain_and_silent(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    Server *plain = server_start(serve_hello, NULL), *silent = server_start(serve_silent, NULL);
    Io *io = io_new(NULL);
    Talk talk = {0}, waits = {0};
    talk_tls(io, &talk, plain->port, material(pki, "one", NULL));
    assert_true(talk.error.code == ERROR_DENIED || talk.error.code == ERROR_UNREACHABLE);
    Tls *tls = material(pki, "one", NULL);
    StreamTarget target = {.host = "127.0.0.1", .port = silent->port, .tls = tls, .connect_ms = 100};
    open_to(io, &waits, &target);
    tls_drop(tls);
    until(io, &waits);
    assert_int_equal(waits.error.code, ERROR_TIMEOUT);
    close_talk(&talk);
    close_talk(&waits);
    io_free(io);
    server_stop(plain);
    server_stop(silent);
}

static void test_connect_to(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    Io *io = io_new(NULL);
    TlsServer server = {0};
    tls_server_start(io, &server, pki, "-rev", NULL);
    char way[64];
    snprintf(way, sizeof way, "127.0.0.1:%d", server.port);
    Tls *tls = material(pki, "one", NULL);
    tls->verify_host = true; /* the certificate's name is "one" */
    StreamTarget target = {.host = "one", .port = 8786, .tls = tls, .connect_to = way, .connect_ms = 30000};
    Talk talk = {.say = "abc\n", .want = 4};
    open_to(io, &talk, &target);
    tls_drop(tls);
    until(io, &talk);
    assert_string_equal(talk.got.bytes, "cba\n");
    close_talk(&talk);
    tls_server_stop(&server);
    io_free(io);
}

static void test_encrypted_key_is_refused(void **state) {
    const Pki *pki = *state;
    need_openssl(pki);
    Io *io = io_new(NULL);
    char line[512], cert[128], key[128];
    snprintf(line, sizeof line, "openssl pkcs8 -topk8 -in %s/one.key -out %s/locked.key -passout pass:hush", pki->folder, pki->folder);
    assert_true(openssl(io, line));
    snprintf(cert, sizeof cert, "%s/one.pem", pki->folder);
    snprintf(key, sizeof key, "%s/locked.key", pki->folder);
    Error error = {0};
    assert_null(tls_read(cert, cert, key, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    assert_null(tls_from_bytes("no pem", NULL, NULL, &error));
    io_free(io);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_closed_by_other_side),
        cmocka_unit_test(test_a_byte_at_a_time),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bad_targets),
        cmocka_unit_test(test_full_backlog),
        cmocka_unit_test(test_admission),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_close_inside),
        cmocka_unit_test(test_io_free_ends_all_without_a_word),
        cmocka_unit_test(test_tls_mutual),
        cmocka_unit_test(test_tls_long_line),
        cmocka_unit_test(test_tls_wrong_authority),
        cmocka_unit_test(test_tls_wrong_name),
        cmocka_unit_test(test_tls_without_client_certificate),
        cmocka_unit_test(test_tls_to_plain_and_silent),
        cmocka_unit_test(test_connect_to),
        cmocka_unit_test(test_encrypted_key_is_refused),
    };
    return cmocka_run_group_tests(tests, pki_make, pki_remove);
}
