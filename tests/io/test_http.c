#include "io/http.h"
#include "io/pki.h"
#include "io/server.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/un.h>

/* A small HTTP server: the path says what it does. Connections are kept open. */
static size_t request_length(const char *bytes) {
    const char *end = strstr(bytes, "\r\n\r\n");
    if (!end)
        return 0;
    const char *length = strcasestr(bytes, "content-length:");
    size_t body = length && length < end ? (size_t)strtoul(length + 15, NULL, 10) : 0;
    size_t n = (size_t)(end + 4 - bytes) + body;
    return strlen(bytes) >= n ? n : 0;
}

static void reply_with(int fd, const char *status, const char *headers, const char *body) {
    char text[8192];
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, strlen(body), headers);
    server_say(fd, text);
    server_say(fd, body);
}

static void reply_endless(int fd) {
    char block[4096];
    memset(block, 'x', sizeof block);
    server_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
    while (server_write(fd, block, sizeof block))
        continue;
}

static void reply_chunks(Server *server, int fd) {
    server_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        server_say(fd, "3\r\nabc\r\n");
        server_sleep(server, 5);
    }
    server_say(fd, "0\r\n\r\n");
}

/* 100,000 times "a". */
static void reply_gzip(int fd) {
    static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xed, 0xc1, 0x31, 1, 0, 0, 0, 0xc2, 0xa0, 0xac, 0xeb, 0x5f, 0xc2, 0x1a, 0x1e, 0x40, 1};
    static const unsigned char tail[] = {0xaf, 0x06, 0x87, 0xfa, 0xe2, 0x1b, 0xa0, 0x86, 1, 0};
    unsigned char body[133] = {0};
    memcpy(body, head, sizeof head);
    memcpy(body + sizeof body - sizeof tail, tail, sizeof tail);
    server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 133\r\nContent-Encoding: gzip\r\n\r\n");
    server_write(fd, (const char *)body, sizeof body);
}

/* False where the connection is over. */
static bool answer(Server *server, int fd, const char *request) {
    char location[256];
    const char *path = strchr(request, ' ') + 1;
    if (!strncmp(path, "/hello", 6))
        reply_with(fd, "200 OK", "Content-Type: application/json\r\n", "{}");
    else if (!strncmp(path, "/cookie", 7))
        reply_with(fd, "200 OK", "Set-Cookie: dask-gateway-1=abc; Max-Age=600; Path=/\r\nDate: Mon, 23 Nov 2026 06:30:00 GMT\r\n", "{}");
    else if (!strncmp(path, "/chunks", 7))
        reply_chunks(server, fd);
    else if (!strncmp(path, "/echo", 5))
        reply_with(fd, "200 OK", "", strstr(request, "\r\n\r\n") + 4);
    else if (!strncmp(path, "/gzip", 5))
        reply_gzip(fd);
    else if (!strncmp(path, "/busy", 5))
        reply_with(fd, "429 Too Many Requests", "Retry-After: 7\r\n", "no");
    else if (!strncmp(path, "/denied", 7))
        reply_with(fd, "403 Forbidden", "", "not you");
    else if (!strncmp(path, "/near", 5))
        reply_with(fd, "302 Found", "Location: /hello\r\n", "gone");
    else if (!strncmp(path, "/round", 6))
        reply_with(fd, "302 Found", "Location: /round\r\n", "gone");
    else if (!strncmp(path, "/far", 4)) {
        snprintf(location, sizeof location, "Location: %s\r\n", (const char *)server->user);
        reply_with(fd, "302 Found", location, "gone");
    } else if (!strncmp(path, "/endless", 8)) {
        reply_endless(fd);
        return false;
    } else if (!strncmp(path, "/large", 6))
        server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
    else if (!strncmp(path, "/short", 6)) {
        server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return false;
    } else if (!strncmp(path, "/garbage", 8)) {
        server_say(fd, "\x01\x02 garbage\r\n\r\n");
        return false;
    } else if (!strncmp(path, "/empty", 6))
        return false;
    else if (!strncmp(path, "/silent", 7))
        return server_sleep(server, 60000);
    else
        reply_with(fd, "404 Not Found", "", "");
    return true;
}

static void serve_http(Server *server, int fd) {
    char bytes[65536];
    size_t have = 0, n;
    bytes[0] = 0;
    while (have < sizeof bytes - 1 && (n = server_read(server, fd, bytes + have, sizeof bytes - 1 - have))) {
        have += n;
        bytes[have] = 0;
        size_t whole;
        while ((whole = request_length(bytes))) {
            char after = bytes[whole];
            bytes[whole] = 0;
            if (!answer(server, fd, bytes))
                return;
            bytes[whole] = after;
            memmove(bytes, bytes + whole, have - whole + 1);
            have -= whole;
        }
    }
}

typedef struct World {
    Io *io;
    Server *server;
    char url[512];
    Context context;
    HttpReply reply;
    Error error;
} World;

static int set_up(void **state) {
    World *world = calloc(1, sizeof *world);
    world->io = io_new(NULL);
    world->server = server_start(serve_http, NULL);
    world->context = context_new(NULL, 60000);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    World *world = *state;
    http_reply_done(&world->reply);
    io_free(world->io);
    server_stop(world->server);
    free(world);
    return 0;
}

static const char *url(World *world, const char *path) {
    snprintf(world->url, sizeof world->url, "http://127.0.0.1:%d%s", world->server->port, path);
    return world->url;
}

static bool run(World *world, HttpRequest request, const char *path) {
    http_reply_done(&world->reply);
    world->error = (Error){0};
    request.where = "here";
    if (!request.url)
        request.url = url(world, path ? path : "");
    return http_run(world->io, &world->context, &request, &world->reply, &world->error);
}

static void test_get(void **state) {
    World *world = *state;
    for (int i = 0; i < 3; i++) {
        assert_true(run(world, (HttpRequest){0}, "/hello"));
        assert_int_equal(world->reply.status, 200);
        assert_string_equal(world->reply.body.bytes, "{}");
        assert_string_equal(world->reply.content_type, "application/json");
        assert_true(world->reply.took_us > 0);
    }
    assert_int_equal(atomic_load(&world->server->accepted), 1); /* the connection was kept */
    assert_true(run(world, (HttpRequest){.method = "HEAD"}, "/nothing"));
    assert_int_equal(world->reply.status, 404);
}

static void test_post(void **state) {
    World *world = *state;
    List headers = {0};
    list_add(&headers, "Content-Type: application/json");
    assert_true(run(world, (HttpRequest){.method = "PATCH", .headers = &headers, .body = "{\"a\":1}", .body_length = 7}, "/echo"));
    assert_string_equal(world->reply.body.bytes, "{\"a\":1}");
    assert_true(server_heard(world->server, "PATCH /echo HTTP/1.1\r\n"));
    assert_true(server_heard(world->server, "Content-Type: application/json\r\n"));
    assert_false(server_heard(world->server, "urlencoded"));
    assert_false(server_heard(world->server, "100-continue"));
    assert_true(run(world, (HttpRequest){.method = "POST"}, "/echo"));
    assert_true(server_heard(world->server, "Content-Length: 0\r\n"));
    list_done(&headers);
}

/* Kept in the jar that a request names, whatever connection or Io it takes; sent to nobody else. */
static void test_cookies(void **state) {
    World *world = *state;
    Cookies *cookies = cookies_new();
    assert_true(run(world, (HttpRequest){.cookies = cookies}, "/cookie"));
    assert_int_equal(world->reply.date_ms, 1795415400000);
    assert_false(server_heard(world->server, "Cookie:"));
    assert_true(run(world, (HttpRequest){0}, "/hello"));
    assert_false(server_heard(world->server, "Cookie:"));
    assert_int_equal(world->reply.date_ms, TIME_UNKNOWN);
    io_free(world->io);
    world->io = io_new(NULL);
    assert_true(run(world, (HttpRequest){.cookies = cookies}, "/hello"));
    assert_true(server_heard(world->server, "Cookie: dask-gateway-1=abc\r\n"));
    http_reply_done(&world->reply);
    cookies_free(cookies);
}

static void test_statuses(void **state) {
    World *world = *state;
    assert_true(run(world, (HttpRequest){0}, "/busy"));
    assert_int_equal(world->reply.retry_after_s, 7);
    Error error = {0};
    assert_false(http_status_error(&world->reply, "here", "list", &error));
    assert_int_equal(error.code, ERROR_BUSY);
    assert_int_equal(error.retry_after_s, 7);
    const struct { int status; ErrorCode code; } table[] = {
        {401, ERROR_SIGN_IN}, {403, ERROR_DENIED}, {404, ERROR_NOT_FOUND}, {409, ERROR_CONFLICT},
        {410, ERROR_CONFLICT}, {422, ERROR_USAGE}, {504, ERROR_TIMEOUT}, {503, ERROR_BUSY}, {500, ERROR_BAD_REPLY}, {302, ERROR_BAD_REPLY}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        HttpReply reply = {.status = table[i].status};
        http_status_error(&reply, NULL, "x", &error);
        assert_int_equal(error.code, table[i].code);
    }
}

static void test_credentials(void **state) {
    World *world = *state;
    Secret *secret = secret_new("hush", 4), *bad = secret_new("hu\r\nsh: x", 9);
    assert_true(run(world, (HttpRequest){.secret_header = "Authorization: Bearer ", .secret = secret}, "/hello"));
    assert_true(server_heard(world->server, "Authorization: Bearer hush\r\n"));
    assert_true(run(world, (HttpRequest){.username = "me", .secret = secret}, "/hello"));
    assert_true(server_heard(world->server, "Authorization: Basic bWU6aHVzaA==\r\n"));
    assert_false(run(world, (HttpRequest){.secret_header = "Authorization: Bearer ", .secret = bad}, "/hello"));
    assert_int_equal(world->error.code, ERROR_USAGE);
    List headers = {0};
    list_add(&headers, "A: b\r\nC: d");
    assert_false(run(world, (HttpRequest){.headers = &headers}, "/hello"));
    list_done(&headers);
    secret_free(secret);
    secret_free(bad);
}

static void test_redirect_on_the_same_host(void **state) {
    World *world = *state;
    assert_true(run(world, (HttpRequest){0}, "/near"));
    assert_int_equal(world->reply.status, 200);
    assert_string_equal(world->reply.body.bytes, "{}");
    assert_true(run(world, (HttpRequest){0}, "/round"));
    assert_int_equal(world->reply.status, 302);
    /* What changes something is not done twice, and not turned into a GET. */
    assert_true(run(world, (HttpRequest){.method = "POST", .body = "x", .body_length = 1}, "/near"));
    assert_int_equal(world->reply.status, 302);
}

static void test_redirect_elsewhere(void **state) {
    World *world = *state;
    Server *other = server_start(serve_http, NULL);
    char location[128];
    const char *hosts[] = {"127.0.0.1", "localhost"};
    Secret *secret = secret_new("hush", 4);
    for (int i = 0; i < 2; i++) {
        snprintf(location, sizeof location, "http://%s:%d/hello", hosts[i], other->port);
        Server *server = server_start(serve_http, location);
        char from[64];
        snprintf(from, sizeof from, "http://127.0.0.1:%d/far", server->port);
        assert_true(run(world, (HttpRequest){.url = from, .secret_header = "X-Auth: ", .secret = secret}, NULL));
        assert_int_equal(world->reply.status, 302);
        assert_string_equal(world->reply.location, location);
        server_stop(server);
    }
    assert_int_equal(atomic_load(&other->accepted), 0);
    secret_free(secret);
    server_stop(other);
}

static void test_limits(void **state) {
    World *world = *state;
    const char *paths[] = {"/endless", "/large"};
    for (int i = 0; i < 2; i++) {
        assert_false(run(world, (HttpRequest){.most_bytes = 100000}, paths[i]));
        assert_int_equal(world->error.code, ERROR_BAD_REPLY);
        assert_null(world->reply.body.bytes);
    }
    assert_false(run(world, (HttpRequest){0}, "/endless"));
    assert_int_equal(world->error.code, ERROR_BAD_REPLY);
}

static void test_broken_replies(void **state) {
    World *world = *state;
    const char *paths[] = {"/short", "/garbage", "/empty"};
    for (int i = 0; i < 3; i++) {
        assert_false(run(world, (HttpRequest){0}, paths[i]));
        assert_true(world->error.code == ERROR_BAD_REPLY || world->error.code == ERROR_UNREACHABLE);
    }
}

static void test_times(void **state) {
    World *world = *state;
    assert_false(run(world, (HttpRequest){.timeout_ms = 50}, "/silent"));
    assert_int_equal(world->error.code, ERROR_TIMEOUT);
    world->context = context_new(NULL, 50);
    assert_false(run(world, (HttpRequest){0}, "/silent"));
    assert_int_equal(world->error.code, ERROR_TIMEOUT);
    assert_string_equal(world->error.where, "here");
}

static void test_refused_says_no_secret(void **state) {
    World *world = *state;
    int port;
    char line[ERROR_LINE], address[128];
    close(listen_loopback(1, &port));
    snprintf(address, sizeof address, "http://me:hush@127.0.0.1:%d/x?token=hush", port);
    const char *addresses[] = {address, "http://me:hush@127.0.0.1:x/?hush", "gopher:hush", "http://hush hush/"};
    for (int i = 0; i < 4; i++) {
        assert_false(run(world, (HttpRequest){.url = addresses[i]}, NULL));
        assert_int_equal(world->error.code, i == 0 ? ERROR_UNREACHABLE : ERROR_USAGE);
        assert_null(strstr(error_line(&world->error, line, sizeof line), "hush"));
    }
}

/* The environment's proxy counts only where it is asked for. */
static void test_proxy(void **state) {
    World *world = *state;
    Server *proxy = server_start(serve_http, NULL);
    char address[64];
    snprintf(address, sizeof address, "http://127.0.0.1:%d", proxy->port);
    setenv("http_proxy", address, 1);
    assert_true(run(world, (HttpRequest){0}, "/hello"));
    assert_int_equal(atomic_load(&proxy->accepted), 0);
    run(world, (HttpRequest){.environment_proxy = true}, "/hello");
    assert_int_equal(atomic_load(&proxy->accepted), 1);
    unsetenv("http_proxy");
    server_stop(proxy);
}

/* One that the request names is taken whatever the environment says, and its password is the proxy's alone. */
static void test_proxy_of_the_request(void **state) {
    World *world = *state;
    Server *proxy = server_start(serve_http, NULL);
    char address[64];
    snprintf(address, sizeof address, "http://ada:SECRET@127.0.0.1:%d", proxy->port);
    setenv("no_proxy", "127.0.0.1", 1);
    assert_true(run(world, (HttpRequest){.proxy = address, .environment_proxy = true}, "/hello"));
    assert_int_equal(world->reply.status, 404); /* the small server takes the whole URL for a path */
    assert_int_equal(atomic_load(&proxy->accepted), 1);
    assert_int_equal(atomic_load(&world->server->accepted), 0);
    assert_true(server_heard(proxy, "Proxy-Authorization: Basic YWRhOlNFQ1JFVA==\r\n"));
    assert_false(run(world, (HttpRequest){.url = "https://nowhere.invalid/", .proxy = address}, NULL)); /* CONNECT: 404 */
    assert_int_equal(world->error.code, ERROR_DENIED);
    assert_non_null(strstr(world->error.what, "proxy"));
    server_stop(proxy);
    assert_false(run(world, (HttpRequest){.proxy = address}, "/hello"));
    assert_int_equal(world->error.code, ERROR_UNREACHABLE);
    assert_null(strstr(world->error.what, "SECRET"));
    unsetenv("no_proxy");
}

/* Bodies that come compressed are bounded by what they become. */
static void test_compressed(void **state) {
    World *world = *state;
    assert_true(run(world, (HttpRequest){0}, "/hello"));
    assert_false(server_heard(world->server, "Accept-Encoding"));
    assert_true(run(world, (HttpRequest){.compressed = true}, "/gzip"));
    assert_true(server_heard(world->server, "Accept-Encoding: gzip\r\n"));
    assert_int_equal(world->reply.body.length, 100000);
    assert_int_equal(world->reply.body.bytes[99999], 'a');
    assert_false(run(world, (HttpRequest){.compressed = true, .most_bytes = 50000}, "/gzip"));
    assert_int_equal(world->error.code, ERROR_BAD_REPLY);
}

static void test_connect_to(void **state) {
    World *world = *state;
    char way[64];
    snprintf(way, sizeof way, "::127.0.0.1:%d", world->server->port);
    assert_true(run(world, (HttpRequest){.url = "http://nowhere.invalid/hello", .connect_to = way}, NULL));
    assert_int_equal(world->reply.status, 200);
    assert_true(server_heard(world->server, "Host: nowhere.invalid\r\n"));
}

static void test_unix_socket(void **state) {
    World *world = *state;
    Server *server = calloc(1, sizeof *server);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = P_tmpdir "/dasktop-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
    server->serve = serve_http;
    server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->fd, 5), 0);
    assert_int_equal(pipe2(server->stop, O_CLOEXEC), 0);
    pthread_mutex_init(&server->lock, NULL);
    pthread_create(&server->thread, NULL, server_loop, server);
    assert_true(run(world, (HttpRequest){.url = "http://d/hello", .unix_socket = address.sun_path}, NULL));
    assert_int_equal(world->reply.status, 200);
    server_stop(server);
    unlink(address.sun_path);
    rmdir(folder);
}

/* Many at once, and what callbacks may do. */
typedef struct Talk {
    World *world;
    Http *http, *other;
    Buffer got;
    int done, chunks, status, *left;
    bool over, cancel_in_chunk, refuse_chunk, start_in_chunk;
    Error error;
} Talk;

static void on_done(void *user, HttpReply *reply, const Error *error) {
    Talk *talk = user;
    talk->done++;
    talk->status = reply->status;
    talk->error = *error;
    talk->over = true;
    if (reply->body.bytes)
        buffer_add(&talk->got, reply->body.bytes, reply->body.length);
    http_reply_done(reply);
    if (talk->left)
        --*talk->left;
    http_cancel(talk->other);
}

static void nothing(void *user, HttpReply *reply, const Error *error) {
    *(bool *)user = error->code == ERROR_OK;
    http_reply_done(reply);
}

static bool second_over;

static bool on_chunk(void *user, const char *bytes, size_t n, Error *error) {
    Talk *talk = user;
    talk->chunks++;
    buffer_add(&talk->got, bytes, n);
    if (talk->start_in_chunk) {
        talk->start_in_chunk = false;
        HttpRequest request = {.url = url(talk->world, "/hello")};
        assert_non_null(http_start(talk->world->io, &request, nothing, &second_over, NULL));
        http_cancel(http_start(talk->world->io, &request, nothing, NULL, NULL));
    }
    if (talk->cancel_in_chunk) {
        http_cancel(talk->http);
        talk->over = true;
    }
    return !talk->refuse_chunk || error_set(error, ERROR_CONFLICT, NULL, NULL, "enough");
}

static void start(World *world, Talk *talk, const char *path, bool stream) {
    HttpRequest request = {.where = "here", .url = url(world, path), .chunk = stream ? on_chunk : NULL, .user = talk};
    talk->world = world;
    if (!talk->got.bytes)
        buffer_init(&talk->got, BUFFER_ANY);
    talk->http = http_start(world->io, &request, on_done, talk, NULL);
    assert_non_null(talk->http);
}

static void test_chunks(void **state) {
    World *world = *state;
    Talk all = {.start_in_chunk = true}, denied = {0}, refused = {.refuse_chunk = true}, cancelled = {.cancel_in_chunk = true};
    second_over = false;
    start(world, &all, "/chunks", true);
    start(world, &denied, "/denied", true);
    start(world, &refused, "/endless", true);
    start(world, &cancelled, "/endless", true);
    Talk *talks[] = {&all, &denied, &refused, &cancelled};
    for (int i = 0; i < 4; i++)
        assert_true(io_until(world->io, &world->context, &talks[i]->over, NULL));
    assert_true(io_until(world->io, &world->context, &second_over, NULL));
    assert_string_equal(all.got.bytes, "abcabcabc");
    assert_int_equal(denied.chunks, 0);
    assert_int_equal(denied.status, 403);
    assert_string_equal(denied.got.bytes, "not you");
    assert_int_equal(refused.error.code, ERROR_CONFLICT);
    assert_int_equal(refused.chunks, 1);
    assert_int_equal(cancelled.chunks, 1);
    assert_int_equal(cancelled.done, 0);
    for (int i = 0; i < 4; i++)
        buffer_done(&talks[i]->got);
}

static void test_many_and_cancel_another(void **state) {
    World *world = *state;
    enum { MANY = 40 };
    Talk talks[MANY] = {0}, silent = {0}, killer = {0};
    int left = MANY;
    start(world, &silent, "/silent", false);
    start(world, &killer, "/hello", false);
    killer.other = silent.http;
    for (int i = 0; i < MANY; i++) {
        talks[i].left = &left;
        start(world, &talks[i], "/hello", false);
    }
    for (int i = 0; i < MANY; i++)
        assert_true(io_until(world->io, &world->context, &talks[i].over, NULL));
    assert_true(io_until(world->io, &world->context, &killer.over, NULL));
    assert_int_equal(left, 0);
    assert_int_equal(silent.done, 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(talks[i].done, 1);
        buffer_done(&talks[i].got);
    }
    buffer_done(&silent.got);
    buffer_done(&killer.got);
}

static void test_io_free_tells_nobody(void **state) {
    World *world = *state;
    Talk talk = {0};
    start(world, &talk, "/silent", false);
    assert_true(io_sleep(world->io, &world->context, 20, NULL));
    io_free(world->io);
    world->io = NULL;
    assert_int_equal(talk.done, 0);
    buffer_done(&talk.got);
}

static bool run_tls(World *world, const Pki *pki, const TlsServer *server, const char *ca, bool insecure) {
    char address[64], way[64], file[128];
    snprintf(address, sizeof address, "https://one:%d/", server->port);
    snprintf(way, sizeof way, "::127.0.0.1:%d", server->port);
    snprintf(file, sizeof file, "%s/%s.pem", pki->folder, ca);
    Tls *tls = tls_read(file, NULL, NULL, NULL);
    assert_non_null(tls);
    tls->insecure = insecure;
    bool good = run(world, (HttpRequest){.url = address, .connect_to = way, .tls = tls}, NULL);
    tls_drop(tls);
    return good;
}

static void test_https(void **state) {
    World *world = *state;
    void *made;
    pki_make(&made);
    const Pki *pki = made;
    if (pki->there) {
        TlsServer server = {0};
        char address[64];
        tls_server_start(world->io, &server, pki, "-www", NULL);
        assert_true(run_tls(world, pki, &server, "one", false));
        assert_int_equal(world->reply.status, 200);
        assert_false(run_tls(world, pki, &server, "two", false)); /* not by the connection of before either */
        assert_int_equal(world->error.code, ERROR_DENIED);
        assert_true(run_tls(world, pki, &server, "two", true));
        /* HTTP/2 is only offered: this server does not know it. */
        snprintf(address, sizeof address, "https://127.0.0.1:%d/", server.port);
        Tls *tls = tls_from_bytes(NULL, NULL, NULL, NULL);
        tls->insecure = true;
        assert_true(run(world, (HttpRequest){.url = address, .tls = tls, .http2 = true}, NULL));
        assert_int_equal(world->reply.status, 200);
        tls_drop(tls);
        /* The system's authorities do not know it. */
        snprintf(address, sizeof address, "https://127.0.0.1:%d/", server.port);
        assert_false(run(world, (HttpRequest){.url = address}, NULL));
        assert_int_equal(world->error.code, ERROR_DENIED);
        tls_server_stop(&server);
    }
    pki_remove(&made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_post, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cookies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_statuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_credentials, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_redirect_on_the_same_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_redirect_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_replies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_says_no_secret, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_proxy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_proxy_of_the_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_compressed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connect_to, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unix_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_and_cancel_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_https, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_io_free_tells_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
