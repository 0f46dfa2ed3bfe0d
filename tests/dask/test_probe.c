#include "dask/fake.h"
#include "dask/probe.h"
#include "dask/probe_memory.h"

#include <sys/stat.h>

enum { MOST_TARGETS = 64 };

/* What was told of one target in a round. */
typedef struct Told {
    int told, more;
    ProbeResult result;
    DaskRole role;
    char id[64], distributed[32];
    int64_t workers, threads, memory_used, paused, counts_ms, detail_ms, idle_since_ms;
    int busy;
    DaskCounts counts;
} Told;

typedef struct Round {
    Io *io;
    Prober *prober;
    char key[MOST_TARGETS][64];
    ProbeTarget targets[MOST_TARGETS];
    Told told[MOST_TARGETS];
    size_t count;
    char memory_path[128];
} Round;

static void keep(Told *told, const ProbeFacts *facts)
{
    int more = told->more, count = told->told;
    *told = (Told){.told = count, .more = more, .result = facts->result, .role = facts->role, .workers = facts->workers, .threads = facts->threads,
                   .memory_used = facts->memory_used, .paused = facts->paused, .counts_ms = facts->counts_ms, .detail_ms = facts->detail_ms,
                   .idle_since_ms = facts->idle_since_ms, .busy = facts->busy, .counts = facts->counts};
    snprintf(told->id, sizeof told->id, "%s", facts->id ? facts->id : "");
    snprintf(told->distributed, sizeof told->distributed, "%s", facts->distributed ? facts->distributed : "");
}

static void on_more(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    Round *round = user;
    Told *told = &round->told[target - round->targets];
    assert_int_equal(told->told, 0);
    keep(told, facts);
    told->more++;
}

static void on_tell(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    Round *round = user;
    Told *told = &round->told[target - round->targets];
    keep(told, facts);
    told->told++;
}

static void round_open(Round *round, bool with_memory)
{
    *round = (Round){.io = io_new(NULL)};
    if (with_memory) {
        char directory[] = "/tmp/dasktop-probe-XXXXXX";
        assert_non_null(mkdtemp(directory));
        snprintf(round->memory_path, sizeof round->memory_path, "%s/probes", directory);
    }
    round->prober = prober_new(round->io, with_memory ? round->memory_path : NULL, "here");
}

/* Another dasktop of the same user. */
static void round_again(Round *round)
{
    prober_free(round->prober);
    round->prober = prober_new(round->io, round->memory_path, "here");
}

static void round_close(Round *round)
{
    prober_free(round->prober);
    io_free(round->io);
    if (*round->memory_path) {
        char command[160];
        unlink(round->memory_path);
        snprintf(command, sizeof command, "%s.lock", round->memory_path);
        unlink(command);
        *strrchr(round->memory_path, '/') = 0;
        assert_int_equal(rmdir(round->memory_path), 0); /* nothing else is left there */
    }
}

static ProbeTarget *aim(Round *round, int port)
{
    ProbeTarget *target = &round->targets[round->count];
    snprintf(round->key[round->count], sizeof round->key[0], "pid 42 start 99 port %d", port);
    *target = (ProbeTarget){.key = round->key[round->count++], .stream = {.host = "127.0.0.1", .port = port, .connect_ms = 5000}, .first_ms = 5000,
                            .whole_ms = 5000, .depth = DEPTH_FULL};
    return target;
}

static void run_within(Round *round, const Context *context, bool right)
{
    Error error = {0};
    memset(round->told, 0, sizeof round->told);
    assert_true(prober_run(round->prober, context, round->targets, round->count, on_more, on_tell, round, &error) == right);
    for (size_t i = 0; i < round->count; i++)
        assert_int_equal(round->told[i].told, 1);
}

static void run(Round *round)
{
    Context context = context_new(NULL, 60000);
    run_within(round, &context, true);
}

static void answered(const Round *round, const char *id)
{
    assert_int_equal(round->told[0].result, PROBE_ANSWERED);
    assert_int_equal(round->told[0].role, DASK_SCHEDULER);
    assert_string_equal(round->told[0].id, id);
    assert_int_equal(round->told[0].workers, 3);
}

/* ------------------------------------------------------------------------------------------------------------ the budget */

static void dear_calls_are_made_once_for_all_dasktops(void **state)
{
    (void)state;
    for (int proven = 0; proven < 2; proven++) {
        Fake *fake = fake_start("2026.8.0");
        Round round;
        struct stat status;
        round_open(&round, true);
        aim(&round, fake->comm->port)->proven = proven;
        for (int i = 0; i < 3; i++) {
            run(&round);
            answered(&round, "Scheduler-one");
            assert_int_equal(round.told[0].more, 1);
            assert_int_equal(round.told[0].memory_used, 300);
            assert_int_equal(round.told[0].paused, 1);
            assert_true(round.told[0].idle_since_ms == 1795000050000ll && round.told[0].busy == 0);
            assert_int_equal(round.told[0].counts.clients, 1);
            assert_int_equal(round.told[0].counts.queued, 2);
            assert_true(round.told[0].counts_ms != TIME_UNKNOWN && round.told[0].detail_ms != TIME_UNKNOWN);
            assert_string_equal(round.told[0].distributed, "2026.8.0");
        }
        round_again(&round);
        run(&round);
        answered(&round, "Scheduler-one");
        assert_int_equal(round.told[0].counts.clients, 1);
        assert_int_equal(atomic_load(&fake->versions), 1);
        assert_int_equal(atomic_load(&fake->whole), 1);
        assert_int_equal(atomic_load(&fake->idle), 1);
        assert_int_equal(atomic_load(&fake->counts), 1);
        assert_int_equal(atomic_load(&fake->comm->accepted), 2);
        assert_int_equal(atomic_load(&fake->light), 3);
        assert_int_equal(stat(round.memory_path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        round.targets[0].fresh = true; /* just before a change */
        run(&round);
        assert_int_equal(atomic_load(&fake->counts), 2);
        round_close(&round);
        assert_int_equal(atomic_load(&fake->faults), 0);
        fake_stop(fake);
    }
}

static void depth_says_what_is_asked(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    round_open(&round, false);
    ProbeTarget *target = aim(&round, fake->comm->port);
    target->depth = DEPTH_OFF;
    run(&round);
    assert_int_equal(round.told[0].result, PROBE_NOTHING);
    assert_int_equal(atomic_load(&fake->comm->accepted), 0);
    target->depth = DEPTH_LIGHT;
    target->role = DASK_SCHEDULER;
    run(&round);
    answered(&round, "Scheduler-one");
    assert_int_equal(atomic_load(&fake->light), 1);
    assert_int_equal(atomic_load(&fake->whole) + atomic_load(&fake->idle) + atomic_load(&fake->counts), 0);
    assert_true(round.told[0].counts.clients == NUMBER_UNKNOWN && round.told[0].counts_ms == TIME_UNKNOWN);
    round_close(&round);
    fake_stop(fake);
}

static void no_version_is_asked_what_it_does_not_know(void **state)
{
    (void)state;
    const char *const all[] = {"2021.12.0", "2022.12.1", "2023.3.1", "2023.3.2", "2024.5.2", "2025.3.1", "2025.4.0"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int role = 0; role < 2; role++) {
            Fake *fake = fake_start(all[i]);
            Round round;
            round_open(&round, false);
            aim(&round, fake->comm->port)->role = role ? DASK_SCHEDULER : DASK_UNKNOWN;
            for (int k = 0; k < 3; k++) {
                run(&round);
                answered(&round, "Scheduler-one");
                assert_int_equal(round.told[0].threads, 6);
                assert_string_equal(round.told[0].distributed, all[i]);
            }
            assert_int_equal(atomic_load(&fake->faults), 0);
            assert_int_equal(atomic_load(&fake->whole), 1);
            round_close(&round);
            fake_stop(fake);
        }
}

static void the_largest_numbers_are_no_harm(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    fake->worker_memory = INT64_MAX - 5;
    round_open(&round, true);
    aim(&round, fake->comm->port);
    run(&round);
    answered(&round, "Scheduler-one");
    assert_true(round.told[0].memory_used >= 0 || round.told[0].memory_used == NUMBER_UNKNOWN);
    round_close(&round);
    fake_stop(fake);
}

/* ----------------------------------------------------------------------------------------------------- others take its place */

static void another_scheduler_at_the_address_starts_over(void **state)
{
    (void)state;
    const char *const others[] = {"2026.8.0", "2024.5.2", "2022.12.1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        Fake *fake = fake_start("2026.8.0");
        Round round;
        round_open(&round, true);
        aim(&round, fake->comm->port)->role = DASK_SCHEDULER;
        run(&round);
        answered(&round, "Scheduler-one");
        fake->distributed = others[i];
        fake->version = dask_version_parse(others[i]);
        fake->id = "Scheduler-two";
        round_again(&round);
        run(&round); /* that one may not know n_workers: said once, never again */
        answered(&round, "Scheduler-two");
        assert_string_equal(round.told[0].distributed, others[i]);
        int faults = atomic_load(&fake->faults);
        assert_true(faults <= (i > 0 ? 2 : 0));
        run(&round);
        answered(&round, "Scheduler-two");
        assert_int_equal(atomic_load(&fake->faults), faults);
        round_close(&round);
        fake_stop(fake);
    }
}

/* A connection that ended between two rounds says nothing of who is there now. */
static void a_kept_connection_that_ended_is_made_again(void **state)
{
    (void)state;
    const char *const others[] = {"2026.8.0", "2024.5.2", "2022.12.1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        Fake *fake = fake_start("2026.8.0");
        Round round;
        round_open(&round, false);
        aim(&round, fake->comm->port);
        run(&round);
        answered(&round, "Scheduler-one");
        atomic_store(&fake->hang_up, 1);
        fake->id = "Scheduler-two";
        fake->distributed = others[i];
        fake->version = dask_version_parse(others[i]);
        run(&round);
        answered(&round, "Scheduler-two");
        assert_string_equal(round.told[0].distributed, others[i]);
        assert_int_equal(atomic_load(&fake->comm->accepted), 2);
        assert_int_equal(atomic_load(&fake->faults), 0);
        round_close(&round);
        fake_stop(fake);
    }
}

static void one_that_ends_while_it_is_asked_is_not_asked_for_ever(void **state)
{
    (void)state;
    for (int n = 1; n < 4; n++) {
        Fake *fake = fake_start("2026.8.0");
        Round round;
        round_open(&round, false);
        aim(&round, fake->comm->port);
        atomic_store(&fake->hang_up, n);
        run(&round);
        assert_int_equal(round.told[0].result, PROBE_PARTIAL);
        assert_int_equal(atomic_load(&fake->comm->accepted), 1);
        run(&round);
        answered(&round, "Scheduler-one");
        round_close(&round);
        fake_stop(fake);
    }
}

/* -------------------------------------------------------------------------------------------------------------- silence */

static void a_busy_scheduler_keeps_its_one_connection(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    round_open(&round, false);
    ProbeTarget *target = aim(&round, fake->comm->port);
    target->role = DASK_SCHEDULER;
    target->first_ms = target->whole_ms = 60;
    atomic_store(&fake->silent, true);
    for (int i = 0; i < 3; i++) {
        run(&round);
        assert_int_equal(round.told[0].result, PROBE_SILENT);
    }
    atomic_store(&fake->silent, false);
    target->first_ms = target->whole_ms = 5000;
    for (int i = 0; i < 40 && round.told[0].result != PROBE_ANSWERED; i++)
        run(&round);
    answered(&round, "Scheduler-one");
    /* and one that falls silent later */
    atomic_store(&fake->silent, true);
    target->whole_ms = 60;
    for (int i = 0; i < 3; i++) {
        run(&round);
        assert_int_equal(round.told[0].result, PROBE_SILENT);
        assert_string_equal(round.told[0].id, "Scheduler-one");
    }
    atomic_store(&fake->silent, false);
    target->whole_ms = 5000;
    for (int i = 0; i < 40 && round.told[0].result != PROBE_ANSWERED; i++)
        run(&round);
    answered(&round, "Scheduler-one");
    assert_int_equal(atomic_load(&fake->comm->accepted), 1);
    assert_int_equal(atomic_load(&fake->abandoned), 0);
    round_close(&round);
    fake_stop(fake);
}

/* Cut short by a cancel or a deadline, nothing was learnt: least of all that it is a stranger. */
static void a_round_that_is_ended_early_marks_no_stranger(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    round_open(&round, true);
    ProbeTarget *target = aim(&round, fake->comm->port);
    target->proven = true;
    target->first_ms = 4000;
    atomic_store(&fake->silent, true);
    Context soon = context_new(NULL, 50);
    run_within(&round, &soon, false);
    assert_int_equal(round.told[0].result, PROBE_SILENT);
    atomic_store(&fake->silent, false);
    run(&round);
    answered(&round, "Scheduler-one");
    assert_int_equal(atomic_load(&fake->abandoned), 0);
    round_close(&round);
    fake_stop(fake);
}

static void a_silent_dashboard_is_silent(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    round_open(&round, false);
    ProbeTarget *target = aim(&round, 1);
    target->http_only = true;
    target->http_port = fake->dashboard->port;
    target->first_ms = target->whole_ms = 80;
    atomic_store(&fake->mute_dashboard, true);
    run(&round);
    assert_int_equal(round.told[0].result, PROBE_SILENT);
    assert_int_equal(round.told[0].role, DASK_UNKNOWN);
    round_close(&round);
    fake_stop(fake);
}

static void a_dashboard_alone_is_enough(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    round_open(&round, true);
    ProbeTarget *target = aim(&round, 1);
    target->http_only = true;
    target->http_port = fake->dashboard->port;
    for (int i = 0; i < 2; i++) {
        run(&round);
        answered(&round, "Scheduler-http");
        assert_int_equal(round.told[0].counts.clients, 1);
        assert_int_equal(round.told[0].threads, 6);
    }
    assert_int_equal(atomic_load(&fake->counts), 1);
    assert_int_equal(atomic_load(&fake->comm->accepted), 0);
    round_close(&round);
    fake_stop(fake);
}

static void counts_that_do_not_come_keep_no_row_waiting_for_ever(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    round_open(&round, false);
    aim(&round, fake->comm->port)->whole_ms = 400;
    atomic_store(&fake->mute_dashboard, true);
    run(&round);
    answered(&round, "Scheduler-one");
    assert_true(round.told[0].counts.clients == NUMBER_UNKNOWN);
    assert_int_equal(round.told[0].more, 1);
    round_close(&round);
    fake_stop(fake);
}

/* ------------------------------------------------------------------------------------------------------------- strangers */

typedef struct Stranger {
    const char *name;
    Buffer bytes;        /* what it says at once */
    int bytes_a_time;    /* 0: all; else so many each 5 ms */
    bool closes;
    ProbeResult result;
    Server *server;
} Stranger;

static void serve_stranger(Server *server, int fd)
{
    const Stranger *stranger = server->user;
    char bytes[256];
    size_t step = stranger->bytes_a_time ? (size_t)stranger->bytes_a_time : stranger->bytes.length + 1;
    for (size_t at = 0; at < stranger->bytes.length; at += step) {
        size_t left = stranger->bytes.length - at;
        if (!server_write(fd, stranger->bytes.bytes + at, left < step ? left : step))
            return;
        if (stranger->bytes_a_time && !server_sleep(server, 5))
            return;
    }
    if (stranger->closes)
        shutdown(fd, SHUT_WR);
    while (server_read(server, fd, bytes, sizeof bytes) > 0)
        ;
}

static Buffer bytes_of(const void *bytes, size_t n)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    buffer_add(&out, bytes, n);
    return out;
}

static Buffer framed(const char *frame, size_t n, bool hello)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    if (hello)
        comm_handshake(&out);
    comm_wrap(&out, frame, n);
    return out;
}

static size_t strangers_make(Stranger *all)
{
    const uint64_t far[] = {1ull << 63, 1, 1}, large[] = {100ull << 20, 1, (100ull << 20) - 16}, many[] = {4096, 1ull << 61, 1}, zero[3] = {0};
    Buffer hello;
    char deep[10000];
    size_t n = 0;
    memset(deep, (char)0x91, sizeof deep);
    buffer_init(&hello, 4096);
    comm_handshake(&hello);
    all[n++] = (Stranger){"nothing", bytes_of("", 0), 0, true, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"ssh", bytes_of("SSH-2.0-OpenSSH_9.2p1\r\n", 23), 0, false, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"far", bytes_of(far, sizeof far), 0, false, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"large", bytes_of(large, sizeof large), 0, false, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"many", bytes_of(many, sizeof many), 0, false, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"zero", bytes_of(zero, sizeof zero), 0, false, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"deep", framed(deep, sizeof deep, false), 0, false, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"no handshake", framed("\x81\x01\x02", 3, false), 0, false, PROBE_STRANGER, NULL};
    all[n++] = (Stranger){"slow", bytes_of(hello.bytes, hello.length - 1), 1, false, PROBE_PARTIAL, NULL};
    all[n++] = (Stranger){"half", bytes_of(hello.bytes, 40), 0, true, PROBE_PARTIAL, NULL};
    all[n++] = (Stranger){"large after it", framed("\x01", 1, true), 0, false, PROBE_PARTIAL, NULL};
    buffer_add(&all[n - 1].bytes, large, sizeof large);
    all[n++] = (Stranger){"wrong identity", framed("\x81\xa4type\x07", 7, true), 0, false, PROBE_PARTIAL, NULL};
    all[n++] = (Stranger){"deep after it", framed(deep, sizeof deep, true), 0, false, PROBE_PARTIAL, NULL};
    all[n++] = (Stranger){"silent", bytes_of("", 0), 0, false, PROBE_SILENT, NULL};
    all[n++] = (Stranger){"2.30", capture("v2.30-handshake.s2c.bin"), 0, false, PROBE_OLD, NULL};
    all[n++] = (Stranger){"2020.12", capture("v2020.12-handshake.s2c.bin"), 0, false, PROBE_OLD, NULL};
    buffer_done(&hello);
    return n;
}

static void strangers_are_told_as_what_they_are(void **state)
{
    (void)state;
    for (int proven = 0; proven < 2; proven++) {
        Stranger all[32];
        Round round;
        size_t count = strangers_make(all);
        round_open(&round, true);
        for (size_t i = 0; i < count; i++) {
            all[i].server = server_start(serve_stranger, &all[i]);
            ProbeTarget *target = aim(&round, all[i].server->port);
            target->first_ms = 250;
            target->whole_ms = 500;
            target->proven = proven;
        }
        for (int k = 0; k < 3; k++) {
            if (k == 2)
                round_again(&round);
            run(&round);
            for (size_t i = 0; i < count; i++) {
                ProbeResult result = round.told[i].result;
                /* what was found to be none of Dask's is left alone for some minutes */
                bool alone = proven && k > 0 && result == PROBE_STRANGER && all[i].result != PROBE_OLD;
                if (result != all[i].result && !alone)
                    fail_msg("%s: %d for %d, proven %d, round %d", all[i].name, result, all[i].result, proven, k);
                if (all[i].bytes.length < 66 || memcmp(all[i].bytes.bytes + 24, "\x83\xab" "compression", 13) != 0) {
                    pthread_mutex_lock(&all[i].server->lock);
                    assert_int_equal(all[i].server->heard_length, 0); /* strangers never get a byte */
                    pthread_mutex_unlock(&all[i].server->lock);
                }
            }
        }
        round_close(&round);
        for (size_t i = 0; i < count; i++) {
            server_stop(all[i].server);
            buffer_done(&all[i].bytes);
        }
    }
}

static void nobody_there_is_refused(void **state)
{
    (void)state;
    Round round;
    int port;
    round_open(&round, false);
    close(listen_loopback(1, &port));
    aim(&round, port);
    run(&round);
    assert_int_equal(round.told[0].result, PROBE_REFUSED);
    round.targets[0].stream.host = "no-such-host.invalid";
    run(&round);
    assert_int_equal(round.told[0].result, PROBE_NO_ROUTE);
    round_close(&round);
}

/* The bytes of a whole first conversation, ended after each of them. */
typedef struct Cut {
    Buffer bytes;
    atomic_int next;
} Cut;

static void serve_cut(Server *server, int fd)
{
    Cut *cut = server->user;
    char bytes[4096];
    size_t n = (size_t)atomic_fetch_add(&cut->next, 3);
    server_write(fd, cut->bytes.bytes, n < cut->bytes.length ? n : cut->bytes.length);
    shutdown(fd, SHUT_WR);
    while (server_read(server, fd, bytes, sizeof bytes) > 0)
        ;
}

static void an_end_anywhere_is_told_once(void **state)
{
    (void)state;
    Cut cut = {.bytes = capture("v2026.8-identity-n0.s2c.bin")};
    Server *server = server_start(serve_cut, &cut);
    Round round;
    round_open(&round, false);
    aim(&round, server->port);
    for (size_t n = 0; n <= cut.bytes.length; n += 3) {
        run(&round);
        assert_int_equal(round.told[0].result, n == 0 ? PROBE_STRANGER : PROBE_PARTIAL);
    }
    round_close(&round);
    server_stop(server);
    buffer_done(&cut.bytes);
}

/* ---------------------------------------------------------------------------------------------------------- many, memory */

static void many_are_told_once_each_and_unnamed_ones_are_let_go(void **state)
{
    (void)state;
    Fake *fakes[20];
    Round round;
    round_open(&round, true);
    for (size_t i = 0; i < 20; i++) {
        fakes[i] = fake_start(i % 3 ? "2026.8.0" : "2024.5.2");
        aim(&round, fakes[i]->comm->port)->proven = i % 2;
    }
    for (int k = 0; k < 3; k++) {
        run(&round);
        for (size_t i = 0; i < round.count; i++)
            assert_true(round.told[i].result == PROBE_ANSWERED && round.told[i].workers == 3);
    }
    round.count = 5;
    run(&round);
    for (int i = 0; i < 1000 && atomic_load(&fakes[7]->comm->open); i++)
        server_sleep(fakes[7]->comm, 5);
    assert_int_equal(atomic_load(&fakes[7]->comm->open), 0);
    assert_int_equal(atomic_load(&fakes[0]->comm->open), 1);
    round_close(&round);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(atomic_load(&fakes[i]->faults), 0);
        assert_int_equal(atomic_load(&fakes[i]->comm->accepted), 1);
        fake_stop(fakes[i]);
    }
}

static void write_memory(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Behind a proxy a look may be refused, by it or for another user: that says nothing of the scheduler. */
static void a_refusal_between_two_looks_is_no_work(void **state)
{
    Known known;
    DaskCounts none, counts = {.workers = 2, .threads = 4, .tasks = 3, .stored = 3};
    (void)state;
    known_init(&known);
    none = known.counts;
    known.memory = 1000;
    known.workers = 2;
    known.threads = 4;
    for (int look = 0; look < 3; look++) {
        known.count_call.at_ms = 1000000 + look * 15000;
        known_take_counts(&known, look == 1 ? &none : &counts, look != 1, true);
    }
    assert_int_equal(known.busy, 0);
    assert_int_equal(known.idle_since_ms, 1000000);
    assert_true(known.idle_longer);
    assert_int_equal(known.memory, 1000);
    counts.stored = counts.tasks = 4;
    counts.workers = 3;
    known.count_call.at_ms = 1045000;
    known_take_counts(&known, &counts, true, true);
    assert_int_equal(known.idle_since_ms, 1045000);
    assert_false(known.idle_longer);
    assert_int_equal(known.memory, NUMBER_UNKNOWN); /* that of the third is not counted */
    known_clear(&known);
}

static void a_damaged_memory_is_no_memory(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    round_open(&round, true);
    aim(&round, fake->comm->port);
    char text[2048];
    long long now = clock_wall_ms();
    const char *const broken[] = {"\0", "\n\n\n", "{", "[[[[", "null\n7\n\"x\"\n[]\n{}\n", "\xff\xfe\x00",
                                  "{\"key\": 7, \"used\": 1}\n{\"key\": \"k\"}\n{\"key\": \"k\", \"used\": \"soon\"}\n"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        write_memory(round.memory_path, broken[i]);
        round_again(&round);
        run(&round);
        answered(&round, "Scheduler-one");
    }
    /* numbers that no stamp, no role, no count has */
    snprintf(text, sizeof text,
             "{\"key\": \"%s\", \"used\": %lld, \"role\": 99, \"id\": [], \"http\": 1e300, \"workers\": -7, \"count_call\": [1e300, -1e300],"
             " \"idle_call\": [-1e300, 1e300], \"detail_call\": [\"a\", {}], \"counts\": [1e300, -1, null, {}], \"started\": 1e300}\n",
             round.targets[0].key, now + 30);
    write_memory(round.memory_path, text);
    round_again(&round);
    run(&round);
    answered(&round, "Scheduler-one");
    assert_int_equal(round.told[0].counts.clients, 1);
    assert_int_equal(atomic_load(&fake->faults), 0);
    round_close(&round);
    fake_stop(fake);
}

/* A clock that was an hour ahead for a while: what was written then is not newer than all that comes. */
static void stamps_of_the_future_do_not_stay(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    char text[1024];
    long long ahead = clock_wall_ms() + 3600000;
    round_open(&round, true);
    aim(&round, fake->comm->port);
    snprintf(text, sizeof text,
             "{\"key\": \"%s\", \"used\": %lld, \"role\": 1, \"id\": \"Scheduler-old\", \"distributed\": \"2026.8.0\", \"count_call\": [%lld, 5],"
             " \"counts\": [77, 77, 77, 77, 77, 77, 77, 77, 77, 77]}\n",
             round.targets[0].key, ahead, ahead);
    write_memory(round.memory_path, text);
    round_again(&round);
    for (int i = 0; i < 3; i++) {
        run(&round);
        answered(&round, "Scheduler-one");
        assert_int_equal(round.told[0].counts.clients, 1);
        assert_int_equal(round.told[0].counts.tasks, 8);
    }
    assert_int_equal(atomic_load(&fake->versions), 1);
    round_close(&round);
    fake_stop(fake);
}

/* Another dasktop was less patient: that it heard nothing does not undo what this one knows. */
static void what_is_known_is_not_undone_by_silence_elsewhere(void **state)
{
    (void)state;
    Fake *fake = fake_start("2026.8.0");
    Round round;
    char text[512];
    round_open(&round, true);
    aim(&round, fake->comm->port)->proven = true;
    run(&round);
    answered(&round, "Scheduler-one");
    long long now = clock_wall_ms() + 2000;
    snprintf(text, sizeof text, "{\"key\": \"%s\", \"used\": %lld, \"role\": 0, \"stranger\": %lld}\n", round.targets[0].key, now, now - 2000);
    write_memory(round.memory_path, text);
    for (int i = 0; i < 2; i++) {
        run(&round);
        answered(&round, "Scheduler-one");
    }
    round_close(&round);
    fake_stop(fake);
}

static void memory_is_bounded_and_forgets(void **state)
{
    (void)state;
    Round round;
    ProbeMemory memory;
    round_open(&round, true);
    probe_memory_open(&memory, round.memory_path);
    for (int i = 0; i < 10500; i++) {
        char key[32];
        snprintf(key, sizeof key, "key %d", i);
        probe_memory_get(&memory, key)->used_ms = clock_wall_ms() - (i < 100 ? 25 * 3600 * 1000ll : i);
    }
    memory.changed = true;
    probe_memory_save(&memory);
    probe_memory_done(&memory);
    probe_memory_open(&memory, round.memory_path);
    assert_int_equal(memory.known.used, 10000);
    assert_null(probe_memory_find(&memory, "key 42"));
    assert_non_null(probe_memory_find(&memory, "key 100"));
    probe_memory_done(&memory);
    round_close(&round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dear_calls_are_made_once_for_all_dasktops),
        cmocka_unit_test(depth_says_what_is_asked),
        cmocka_unit_test(no_version_is_asked_what_it_does_not_know),
        cmocka_unit_test(the_largest_numbers_are_no_harm),
        cmocka_unit_test(another_scheduler_at_the_address_starts_over),
        cmocka_unit_test(a_kept_connection_that_ended_is_made_again),
        cmocka_unit_test(one_that_ends_while_it_is_asked_is_not_asked_for_ever),
        cmocka_unit_test(a_busy_scheduler_keeps_its_one_connection),
        cmocka_unit_test(a_round_that_is_ended_early_marks_no_stranger),
        cmocka_unit_test(a_silent_dashboard_is_silent),
        cmocka_unit_test(a_dashboard_alone_is_enough),
        cmocka_unit_test(counts_that_do_not_come_keep_no_row_waiting_for_ever),
        cmocka_unit_test(strangers_are_told_as_what_they_are),
        cmocka_unit_test(nobody_there_is_refused),
        cmocka_unit_test(an_end_anywhere_is_told_once),
        cmocka_unit_test(many_are_told_once_each_and_unnamed_ones_are_let_go),
        cmocka_unit_test(a_refusal_between_two_looks_is_no_work),
        cmocka_unit_test(a_damaged_memory_is_no_memory),
        cmocka_unit_test(stamps_of_the_future_do_not_stay),
        cmocka_unit_test(what_is_known_is_not_undone_by_silence_elsewhere),
        cmocka_unit_test(memory_is_bounded_and_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
