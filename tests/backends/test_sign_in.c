#include "backends/make.h"
#include "core/place.h"

#include "backends/kubernetes/exec_plugin.h"
#include "backends/kubernetes/sign_in.h"
#include "base/clock.h"

#include <pthread.h>

#define V1 "client.authentication.k8s.io/v1"

/* "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" */
#define PEM "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="

typedef struct World {
    Io *io;
    Context context;
    Kubeconfig *config;
    SignIn *sign_in;
    char *file;
    Error error;
} World;

static void write_config(const char *cluster, const char *user)
{
    char text[8192];
    snprintf(text, sizeof text, "current-context: c\nclusters: [{name: k, cluster: {%s}}]\nusers: [{name: u, user: {%s}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n", cluster,
             user);
    free(place_write("config", text));
}

static World begin(const char *cluster, const char *user)
{
    World world = {.io = io_new(NULL), .context = context_new(NULL, 60000), .file = file_join(place, "config")};
    write_config(cluster, user);
    KubeSources sources = {.file = world.file};
    world.config = kubeconfig_read(&sources, &world.error);
    assert_non_null(world.config);
    const KubeContext *context = kubeconfig_find(world.config, NULL, &world.error);
    assert_non_null(context);
    if (context->problem.code != ERROR_OK)
        fail_msg("%s: %s", context->problem.where, context->problem.what);
    world.sign_in = sign_in_new(world.config, context, world.file, "prod/c");
    return world;
}

static void end(World *world)
{
    sign_in_free(world->sign_in);
    kubeconfig_drop(world->config);
    io_free(world->io);
    free(world->file);
}

static void must_be_ready(World *world)
{
    if (!sign_in_ready(world->sign_in, world->io, &world->context, &world->error))
        fail_msg("%s: %s", world->error.where, world->error.what);
}

static const char *refusal(World *world, ErrorCode code)
{
    static char line[ERROR_LINE];
    assert_false(sign_in_ready(world->sign_in, world->io, &world->context, &world->error));
    error_line(&world->error, line, sizeof line);
    if (world->error.code != code)
        fail_msg("code %d: %s", (int)world->error.code, line);
    return line;
}

static void says(const char *line, const char *words)
{
    if (!strstr(line, words) || strstr(line, "SECRET"))
        fail_msg("%s", line);
}

/* The token that a request carries; returns its round. */
static unsigned carries(World *world, const char *token)
{
    HttpRequest request = {0};
    SignInHeld held;
    sign_in_apply(world->sign_in, "/api", &request, &held);
    assert_string_equal(request.secret_header, "Authorization: Bearer ");
    assert_string_equal(secret_reveal(request.secret), token);
    sign_in_release(&held);
    return held.round;
}

/* A plugin: a shell script, which counts its runs in place/runs. The user's entry for it is written to entry. */
static void make_plugin(const char *body, const char *more, char entry[1024])
{
    char text[4096];
    snprintf(text, sizeof text, "#!/bin/sh\necho run >> %s/runs\n%s\n", place, body);
    char *path = place_write("plugin", text);
    assert_int_equal(chmod(path, 0700), 0);
    snprintf(entry, 1024, "exec: {apiVersion: " V1 ", command: ./plugin, interactiveMode: Never%s}", more);
    free(path);
    path = file_join(place, "runs");
    unlink(path);
    free(path);
}

static int runs(void)
{
    char *path = file_join(place, "runs");
    Buffer text;
    buffer_init(&text, 1 << 16);
    file_read(path, &text, NULL);
    int count = (int)text.length / 4;
    buffer_done(&text);
    free(path);
    return count;
}

#define PRINTS(status) "echo '{\"apiVersion\": \"" V1 "\", \"kind\": \"ExecCredential\", \"status\": {" status "}}'"

/* --------------------------------------------------------------------------------------------------------------- requests */

static void what_a_request_gets(void **state)
{
    (void)state;
    World world = begin("server: 'https://h:6443/x', certificate-authority-data: " PEM, "token: tok, as: ada");
    List own = {0};
    HttpRequest request = {.headers = &own, .compressed = true};
    SignInHeld held;
    list_add(&own, "Accept: application/json");
    must_be_ready(&world);
    sign_in_apply(world.sign_in, "/api/v1", &request, &held);
    assert_string_equal(request.url, "https://h:6443/x/api/v1");
    assert_string_equal(secret_reveal(request.secret), "tok");
    assert_int_equal(request.headers->count, 2);
    assert_string_equal(request.headers->items[1], "Impersonate-User: ada");
    assert_true(request.http2 && request.environment_proxy && request.compressed && !request.proxy && !request.connect_to);
    assert_non_null(strstr(secret_reveal(request.tls->ca), "AAAA"));
    assert_true(request.tls->verify_host && !request.tls->insecure && !sign_in_unverified(world.sign_in));
    sign_in_release(&held);
    assert_int_equal(own.count, 1);
    list_done(&own);
    end(&world);
}

static void another_name_on_the_certificate(void **state)
{
    (void)state;
    World world = begin("server: 'https://[::1]:6443/x', tls-server-name: api.internal, disable-compression: true, proxy-url: 'http://u:p@proxy:3128'", "username: ada, password: pw");
    HttpRequest request = {.compressed = true};
    SignInHeld held;
    must_be_ready(&world);
    sign_in_apply(world.sign_in, "/api", &request, &held);
    assert_string_equal(request.url, "https://api.internal:6443/x/api");
    assert_string_equal(request.connect_to, "api.internal:6443:[::1]:6443");
    assert_string_equal(request.headers->items[0], "Host: [::1]:6443");
    assert_string_equal(request.proxy, "http://u:p@proxy:3128");
    assert_string_equal(request.username, "ada");
    assert_string_equal(secret_reveal(request.secret), "pw");
    assert_null(request.secret_header);
    assert_false(request.compressed);
    assert_string_equal(sign_in_server(world.sign_in), "https://[::1]:6443/x");
    sign_in_release(&held);
    end(&world);
}

static void not_verified(void **state)
{
    (void)state;
    World world = begin("server: 'https://h', insecure-skip-tls-verify: true", "");
    HttpRequest request = {0};
    SignInHeld held;
    must_be_ready(&world);
    sign_in_apply(world.sign_in, "/", &request, &held);
    assert_true(request.tls->insecure && sign_in_unverified(world.sign_in));
    assert_null(request.secret);
    sign_in_release(&held);
    end(&world);
}

/* ------------------------------------------------------------------------------------------------------------------ files */

static void a_token_s_file_is_read_again(void **state)
{
    (void)state;
    free(place_write("tok", "first\n"));
    World world = begin("server: 'https://h'", "token: old, tokenFile: tok");
    must_be_ready(&world);
    unsigned round = carries(&world, "first");
    free(place_write("tok", " second\r\n\n"));
    must_be_ready(&world); /* not yet due */
    carries(&world, "first");
    assert_true(sign_in_refused(world.sign_in, round));
    must_be_ready(&world);
    assert_int_not_equal(carries(&world, "second"), round);
    assert_true(sign_in_refused(world.sign_in, round)); /* of before: nothing is forgotten */
    free(place_write("tok", ""));
    must_be_ready(&world);
    carries(&world, "second");
    sign_in_refused(world.sign_in, carries(&world, "second"));
    must_be_ready(&world);
    carries(&world, "old");
    end(&world);
}

static void an_empty_token_s_file(void **state)
{
    (void)state;
    free(place_write("tok", "\n"));
    World world = begin("server: 'https://h'", "tokenFile: tok");
    says(refusal(&world, ERROR_SIGN_IN), "the token's file is empty");
    free(place_write("tok", "now"));
    must_be_ready(&world);
    carries(&world, "now");
    end(&world);
}

static void files_that_are_not_there(void **state)
{
    (void)state;
    World world = begin("server: 'https://h', certificate-authority: gone.pem", "token: SECRET");
    says(refusal(&world, ERROR_NOT_FOUND), "gone.pem");
    end(&world);
    free(place_write("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nSECRET\n-----END ENCRYPTED PRIVATE KEY-----\n"));
    world = begin("server: 'https://h'", "client-certificate-data: " PEM ", client-key: locked.pem");
    says(refusal(&world, ERROR_USAGE), "encrypted");
    end(&world);
}

/* Somebody signs in elsewhere, which writes the kubeconfig: what is refused is looked up there again. */
static void the_kubeconfig_is_read_again(void **state)
{
    (void)state;
    World world = begin("server: 'https://h'", "token: SECRET-one");
    must_be_ready(&world);
    unsigned round = carries(&world, "SECRET-one");
    char line[ERROR_LINE];
    Error error;
    assert_false(sign_in_error(world.sign_in, &error));
    assert_int_equal(error.code, ERROR_SIGN_IN);
    says(error_line(&error, line, sizeof line), "the token of user u");
    write_config("server: 'https://h'", "token: two");
    sign_in_refused(world.sign_in, round);
    must_be_ready(&world);
    round = carries(&world, "two");
    write_config("server: 'https://elsewhere'", "token: three"); /* that is another cluster now: it gets nothing of ours */
    sign_in_refused(world.sign_in, round);
    must_be_ready(&world);
    round = carries(&world, "two");
    free(place_write("config", "broken: ["));
    sign_in_refused(world.sign_in, round);
    must_be_ready(&world);
    carries(&world, "two");
    end(&world);
}

/* --------------------------------------------------------------------------------------------------------------- programs */

static void a_program_is_asked_once(void **state)
{
    (void)state;
    char entry[1024];
    make_plugin("echo \"$KUBERNETES_EXEC_INFO\" > ${0%/*}/info; echo \"$A$PATH\" > ${0%/*}/environment; cat > ${0%/*}/input\n" PRINTS("\"token\": \"tok-'$(wc -l < ${0%/*}/runs)'\""),
                ", provideClusterInfo: true, env: [{name: A, value: x}, {name: PATH, value: '/usr/bin:/bin'}]", entry);
    World world = begin("server: 'https://h', certificate-authority-data: " PEM, entry);
    for (int i = 0; i < 3; i++)
        must_be_ready(&world);
    unsigned round = carries(&world, "tok-1");
    for (int i = 0; i < 3; i++)
        assert_true(sign_in_refused(world.sign_in, round));
    must_be_ready(&world);
    must_be_ready(&world);
    carries(&world, "tok-2");
    assert_int_equal(runs(), 2);
    Buffer info;
    char *path = file_join(place, "info");
    buffer_init(&info, 1 << 16);
    assert_true(file_read(path, &info, NULL));
    assert_string_equal(info.bytes, "{\"apiVersion\": \"" V1 "\", \"kind\": \"ExecCredential\", \"spec\": {\"cluster\": {\"server\": \"https://h\", "
                                    "\"certificate-authority-data\": \"" PEM "\"}, \"interactive\": false}}\n");
    free(path);
    buffer_clear(&info);
    path = file_join(place, "environment");
    assert_true(file_read(path, &info, NULL));
    assert_string_equal(info.bytes, "x/usr/bin:/bin\n");
    free(path);
    buffer_done(&info);
    end(&world);
}

static void what_runs_out_is_fetched_again(void **state)
{
    (void)state;
    char entry[1024], soon[TIME_TEXT], body[512];
    time_text(clock_wall_ms() + 1500, true, soon);
    snprintf(body, sizeof body, PRINTS("\"token\": \"t\", \"expirationTimestamp\": \"%s\""), soon);
    make_plugin(body, "", entry);
    World world = begin("server: 'https://h'", entry);
    must_be_ready(&world);
    must_be_ready(&world);
    int before = runs();
    while (clock_wall_ms() < time_parse(soon))
        assert_true(io_sleep(world.io, &world.context, 50, NULL));
    must_be_ready(&world);
    must_be_ready(&world); /* it is expired when it comes, by our clock: that may be wrong, so it is used for a while */
    assert_true(before == 1 || before == 2); /* 2: this machine was asleep for a second */
    assert_int_equal(runs(), before + 1);
    end(&world);
}

typedef struct Other {
    SignIn *sign_in;
    bool ready;
    pthread_t thread;
    int64_t ms;
} Other;

static void *be_ready(void *user)
{
    Other *other = user;
    Io *io = io_new(NULL);
    Context context = context_new(NULL, other->ms);
    other->ready = sign_in_ready(other->sign_in, io, &context, NULL);
    io_free(io);
    return NULL;
}

static void one_run_serves_all(void **state)
{
    (void)state;
    char entry[1024];
    make_plugin("while [ ! -e ${0%/*}/go ]; do sleep 0.02; done\n" PRINTS("\"token\": \"t\""), "", entry);
    World world = begin("server: 'https://h'", entry);
    Other others[8];
    for (int i = 0; i < 8; i++) {
        others[i] = (Other){.sign_in = world.sign_in, .ms = 60000};
        assert_int_equal(pthread_create(&others[i].thread, NULL, be_ready, &others[i]), 0);
    }
    while (runs() == 0)
        assert_true(io_sleep(world.io, &world.context, 10, NULL));
    free(place_write("go", ""));
    for (int i = 0; i < 8; i++) {
        pthread_join(others[i].thread, NULL);
        assert_true(others[i].ready);
    }
    assert_int_equal(runs(), 1);
    carries(&world, "t");
    end(&world);
}

/* Who waits for the run of somebody who was called off makes one of its own. */
static void the_first_gives_up(void **state)
{
    (void)state;
    char entry[1024];
    make_plugin("[ $(wc -l < ${0%/*}/runs) = 1 ] && sleep 60\n" PRINTS("\"token\": \"t\""), "", entry);
    World world = begin("server: 'https://h'", entry);
    Other first = {.sign_in = world.sign_in, .ms = 1000};
    assert_int_equal(pthread_create(&first.thread, NULL, be_ready, &first), 0);
    while (runs() == 0)
        assert_true(io_sleep(world.io, &world.context, 10, NULL));
    must_be_ready(&world);
    carries(&world, "t");
    pthread_join(first.thread, NULL);
    assert_false(first.ready);
    assert_int_equal(runs(), 2);
    end(&world);
}

static void programs_that_fail(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        ErrorCode code;
        const char *says;
    } cases[] = {
        {"echo SECRET; echo first >&2; echo 'Token has expired and refresh failed' >&2; echo >&2; exit 3", ERROR_SIGN_IN,
         "plugin ended with status 3: Token has expired and refresh failed"},
        {"exit 1", ERROR_SIGN_IN, "plugin ended with status 1"},
        {"kill -9 $$", ERROR_SIGN_IN, "plugin ended with status 137"},
        {"echo '<html>SECRET</html>'", ERROR_BAD_REPLY, "what it printed is no ExecCredential"},
        {"echo '{\"kind\": \"ExecCredential\", \"token\": \"SECRET\"'", ERROR_BAD_REPLY, "what it printed is no ExecCredential"},
        {"true", ERROR_BAD_REPLY, "what it printed is no ExecCredential"},
        {"echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"client.authentication.k8s.io/v1beta1\", \"status\": {\"token\": \"SECRET\"}}'", ERROR_BAD_REPLY,
         "it speaks client.authentication.k8s.io/v1beta1"},
        {PRINTS("\"expirationTimestamp\": null"), ERROR_BAD_REPLY, "neither a token nor a certificate"},
        {PRINTS("\"clientKeyData\": \"SECRET\""), ERROR_BAD_REPLY, "without"},
        {PRINTS("\"token\": \"SECRET\", \"expirationTimestamp\": \"tomorrow\""), ERROR_BAD_REPLY, "no time"},
        {PRINTS("\"clientKeyData\": \"SECRET\", \"clientCertificateData\": \"SECRET\""), ERROR_USAGE, "no certificate or key"},
        {"yes SECRET | head -c 3000000", ERROR_BAD_REPLY, "wrote more than"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char entry[1024];
        make_plugin(cases[i].body, "", entry);
        World world = begin("server: 'https://h'", entry);
        says(refusal(&world, cases[i].code), cases[i].says);
        says(refusal(&world, cases[i].code), "prod/c");
        end(&world);
    }
    World world = begin("server: 'https://h'", "exec: {apiVersion: " V1 ", command: no-such-program-here, interactiveMode: Never, installHint: get it there}");
    says(refusal(&world, ERROR_ABSENT), "there is no such program: get it there");
    end(&world);
}

static void a_program_that_hangs(void **state)
{
    (void)state;
    char entry[1024];
    make_plugin("sleep 600", "", entry);
    World world = begin("server: 'https://h'", entry);
    world.context = context_new(NULL, 300);
    refusal(&world, ERROR_TIMEOUT);
    end(&world);
}

static void a_certificate_by_a_program(void **state)
{
    (void)state;
    char entry[1024];
    make_plugin(PRINTS("\"clientCertificateData\": \"-----BEGIN CERTIFICATE-----\\\\nC\\\\n\", \"clientKeyData\": \"-----BEGIN PRIVATE KEY-----\\\\nK\\\\n\""), "", entry);
    World world = begin("server: 'https://h'", entry);
    HttpRequest request = {0};
    SignInHeld held;
    must_be_ready(&world);
    sign_in_apply(world.sign_in, "/", &request, &held);
    assert_null(request.secret);
    assert_non_null(strstr(secret_reveal(request.tls->cert), "CERTIFICATE-----\nC"));
    assert_non_null(strstr(secret_reveal(request.tls->key), "KEY-----\nK"));
    sign_in_release(&held);
    end(&world);
}

static void signing_in_at_the_terminal(void **state)
{
    (void)state;
    char entry[1024], wanted[128];
    make_plugin(PRINTS("\"token\": \"t\""), "", entry);
    snprintf(entry, sizeof entry, "exec: {apiVersion: " V1 ", command: ./plugin, interactiveMode: Always}");
    World world = begin("server: 'https://h'", entry);
    says(refusal(&world, ERROR_SIGN_IN), "wants to ask at a terminal");
    assert_int_equal(runs(), 0);
    List command = {0};
    assert_true(sign_in_login(world.sign_in, &command, &world.error));
    snprintf(wanted, sizeof wanted, "--kubeconfig=%s/config", place);
    assert_string_equal(command.items[0], "kubectl");
    assert_string_equal(command.items[1], wanted);
    assert_string_equal(command.items[2], "--context=c");
    list_done(&command);
    must_be_ready(&world);
    carries(&world, "t");
    assert_int_equal(runs(), 1);
    end(&world);
    world = begin("server: 'https://h'", entry); /* another one, later */
    must_be_ready(&world);
    end(&world);
    world = begin("server: 'https://h'", "token: SECRET");
    assert_false(sign_in_login(world.sign_in, &command, &world.error));
    assert_int_equal(world.error.code, ERROR_UNSUPPORTED);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_request_gets), cmocka_unit_test(another_name_on_the_certificate), cmocka_unit_test(not_verified),
        cmocka_unit_test(a_token_s_file_is_read_again), cmocka_unit_test(an_empty_token_s_file), cmocka_unit_test(files_that_are_not_there),
        cmocka_unit_test(the_kubeconfig_is_read_again), cmocka_unit_test(a_program_is_asked_once), cmocka_unit_test(what_runs_out_is_fetched_again),
        cmocka_unit_test(one_run_serves_all), cmocka_unit_test(the_first_gives_up), cmocka_unit_test(programs_that_fail),
        cmocka_unit_test(a_program_that_hangs), cmocka_unit_test(a_certificate_by_a_program), cmocka_unit_test(signing_in_at_the_terminal),
    };
    return cmocka_run_group_tests(tests, place_begin, place_end);
}
