/* The dashboard without a terminal: table, cursor, marks, filter, dialogs, on a memory canvas over a real engine. */
#include "ui/app.h"
#include "ui/fake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const UiOptions options = {.ascii = false};

typedef struct Fixture {
    Engine *engine;
    App *app;
} Fixture;

static Fixture begin(int rows, int cols, bool read_only)
{
    fake.count = 0;
    atomic_store(&fake.applied, 0);
    atomic_store(&fake.planned, 0);
    atomic_store(&fake.plan_ms, 0);
    Fixture f = {.engine = fake_engine(read_only)};
    f.app = app_new(f.engine, &options, rows, cols);
    f.app->message[0] = 0;
    assert_true(wake_init(&f.app->wake));
    engine_jobs_on_done(f.engine, &f.app->wake);
    return f;
}

static void end(Fixture *f)
{
    f->app->quit = true;
    while (f->app->depth > 1)
        app_pop(f->app);
    dialog_close(f->app);
    for (int i = 0; i < 500 && (f->app->task_count || atomic_load(&f->app->streams)); i++) {
        engine_jobs_collect(f->engine);
        usleep(10000);
    }
    assert_int_equal(f->app->task_count, 0);
    assert_int_equal(atomic_load(&f->app->streams), 0);
    engine_jobs_on_done(f->engine, NULL);
    wake_done(&f->app->wake);
    app_free(f->app);
    assert_true(engine_stop(f->engine, 5000));
}

static char *picture(Fixture *f)
{
    engine_jobs_collect(f->engine);
    app_update(f->app, clock_now());
    app_draw(f->app, f->app->now);
    dialog_drawn(f->app);
    return canvas_dump(f->app->canvas);
}

static bool shows(Fixture *f, const char *text)
{
    char *now = picture(f);
    bool found = strstr(now, text) != NULL;
    free(now);
    return found;
}

static void until(Fixture *f, const char *text, bool there)
{
    for (int i = 0; i < 1000; i++) {
        if (shows(f, text) == there)
            return;
        usleep(10000);
    }
    char *now = picture(f);
    print_error("%s %s:\n%s", there ? "no" : "still", text, now);
    free(now);
    fail();
}

static void type(Fixture *f, const char *keys)
{
    for (; *keys; keys++)
        app_key(f->app, *keys == '\r' ? KEY_RETURN : *keys == '\x1b' ? KEY_ESCAPE : (Key)(unsigned char)*keys, false);
}

static void live(Fixture *f, const char *text)
{
    engine_start(f->engine, ENGINE_LIVE, NULL, NULL);
    until(f, text, true);
}

/* ------------------------------------------------------------------------------------------------------------- table */

static void table_shows_what_is_there(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("alpha", "u1");
    fake_add("分析-e\xcc\x81", "u2");
    fake_add("evil\x1b[2J\xe2\x80\xae", "u3");
    live(&f, "3 clusters");
    assert_true(shows(&f, "分析"));
    assert_true(shows(&f, "evil<1B>[2J<"));
    assert_true(shows(&f, "unattended"));
    assert_true(shows(&f, "fake ✓"));
    end(&f);
}

static void empty_table_says_what_to_do(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    assert_true(shows(&f, "Looking for Dask clusters"));
    live(&f, "No Dask cluster was found");
    assert_true(shows(&f, "looks again"));
    end(&f);
}

static void who_does_not_answer_has_no_count(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    atomic_store(&fake.failing, 100);
    live(&f, "the line is bad");
    type(&f, "t");
    assert_true(shows(&f, "fake  fake"));
    assert_false(shows(&f, "0 clusters"));
    atomic_store(&fake.failing, 0);
    end(&f);
}

static void every_size_holds(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    for (int i = 0; i < 60; i++) {
        char name[64];
        snprintf(name, sizeof name, "a-rather-long-name-of-a-cluster-分析-%d", i);
        snprintf(name + strlen(name), 4, "x");
        fake_add(name, name + 50);
    }
    live(&f, "a-rather");
    const char *const opens[] = {"", "b", "\x1b" "?", "\x1b" "d", "\x1b" "y", "\x1b" "t", "\x1b" "e", "\x1b" "D", "\x1b" "S", "\x1b\x1b" "K", "\x1b" "l"};
    for (size_t k = 0; k < sizeof opens / sizeof *opens; k++) {
        type(&f, opens[k]);
        for (int rows = 1; rows <= 60; rows += rows < 12 ? 1 : 16)
            for (int cols = 1; cols <= 220; cols += cols < 44 ? 3 : 40) {
                canvas_resize(f.app->canvas, rows, cols);
                free(picture(&f));
            }
    }
    canvas_resize(f.app->canvas, 7, 39);
    assert_true(shows(&f, "dasktop needs 40x8"));
    canvas_resize(f.app->canvas, 8, 40);
    type(&f, "\x1b\x1b\x1b\x1b\x1b");
    assert_true(shows(&f, "a-rather"));
    end(&f);
}

static void filter_is_live_and_escape_brings_back(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("alpha", "u1");
    fake_add("beta", "u2");
    live(&f, "2 clusters");
    type(&f, "/bet");
    assert_false(shows(&f, "alpha"));
    type(&f, "\x1b");
    assert_true(shows(&f, "alpha"));
    type(&f, "/alpha\r");
    assert_false(shows(&f, "beta"));
    assert_true(shows(&f, "/alpha"));
    type(&f, "\x1b");
    assert_true(shows(&f, "beta"));
    type(&f, "/zzz\r");
    assert_true(shows(&f, "None of 2 clusters fits"));
    type(&f, ":all\r");
    assert_true(shows(&f, "beta"));
    end(&f);
}

static void others_clusters_stand_back_at_first(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("mine", "u1");
    FakeCluster *other = fake_add("theirs", "u2");
    other->mine = 0;
    live(&f, "owner:me");
    assert_false(shows(&f, "theirs"));
    type(&f, ":all\r");
    assert_true(shows(&f, "theirs"));
    end(&f);
}

static void read_only_offers_no_change(void **state)
{
    Fixture f = begin(24, 140, true);
    (void)state;
    fake_add("alpha", "u1");
    live(&f, "alpha");
    assert_true(shows(&f, "read-only"));
    assert_false(shows(&f, "D delete"));
    assert_false(shows(&f, "S scale"));
    type(&f, "D");
    assert_null(f.app->dialog);
    assert_true(shows(&f, "read-only: nothing can be changed"));
    type(&f, ":delete\r");
    assert_null(f.app->dialog);
    type(&f, "?");
    assert_false(shows(&f, "shows the plan, asks"));
    end(&f);
}

/* ------------------------------------------------------------------------------------------------- cursor and marks */

/* 3,000 random refreshes, sorts and filters: the cursor is on the cluster it was on, as long as that is shown. */
static void cursor_stays_on_its_cluster(void **state)
{
    Fixture f = begin(20, 100, false);
    (void)state;
    Part *part = store_part(engine_store(f.engine), "fake", NULL, "fake", 70);
    FakeCluster clusters[40];
    char expected[64] = "";
    unsigned seed = 12345;
    memset(clusters, 0, sizeof clusters);
    for (int i = 0; i < 40; i++) {
        snprintf(clusters[i].name, sizeof clusters[i].name, "c%02d", i);
        snprintf(clusters[i].uid, sizeof clusters[i].uid, "u%d", i);
        snprintf(clusters[i].owner, sizeof clusters[i].owner, "ada");
        clusters[i].mine = 1;
    }
    for (int round = 0; round < 3000; round++) {
        part_pass_begin(part);
        for (int i = 0; i < 40; i++) {
            if (rand_r(&seed) % 4 == 0)
                clusters[i].there = !clusters[i].there;
            clusters[i].busy = rand_r(&seed) % 2;
            clusters[i].clients = rand_r(&seed) % 2;
            clusters[i].workers = rand_r(&seed) % 50;
            if (rand_r(&seed) % 50 == 0)
                snprintf(clusters[i].uid, sizeof clusters[i].uid, "u%d-%d", i, round);
            if (clusters[i].there)
                part_put(part, fake_record(&clusters[i], "fake"));
        }
        part_pass_end(part, true);
        store_flush(engine_store(f.engine));
        app_update(f.app, clock_now());
        const ViewRow *row = table_row(f.app);
        char *newline = strchr(expected, '\n');
        if (newline) {
            *newline = 0;
            if (view_find(f.app->view, expected, newline + 1, NULL)) {
                assert_string_equal(row->record->is.id, expected);
                assert_string_equal(row->record->is.uid, newline + 1);
            }
        }
        static const char keys[] = "jkGgoOxjjkk";
        type(&f, (char[]){keys[rand_r(&seed) % (sizeof keys - 1)], 0});
        if (round % 97 == 0)
            app_set_filter(f.app, round % 2 ? "c1" : "", NULL);
        app_draw(f.app, f.app->now);
        row = table_row(f.app);
        snprintf(expected, sizeof expected, "%s%s%s", row ? row->record->is.id : "", row ? "\n" : "", row ? row->record->is.uid : "");
    }
    end(&f);
}

static void marks_survive_and_die_with_their_uid(void **state)
{
    Fixture f = begin(20, 100, false);
    (void)state;
    Part *part = store_part(engine_store(f.engine), "fake", NULL, "fake", 70);
    FakeCluster a = {.name = "a", .uid = "1", .owner = "ada", .mine = 1}, b = {.name = "b", .uid = "2", .owner = "ada", .mine = 1};
    const ViewRow **rows;
    part_put(part, fake_record(&a, "fake"));
    part_put(part, fake_record(&b, "fake"));
    store_flush(engine_store(f.engine));
    app_update(f.app, clock_now());
    type(&f, "*");
    app_set_filter(f.app, "nothing-fits", NULL);
    assert_int_equal(table_targets(f.app, &rows), 2); /* hidden by a filter is marked still */
    free(rows);
    app_set_filter(f.app, "", NULL);
    snprintf(a.uid, sizeof a.uid, "3"); /* another incarnation under the same id */
    part_put(part, fake_record(&a, "fake"));
    store_flush(engine_store(f.engine));
    app_update(f.app, clock_now());
    assert_int_equal(table_targets(f.app, &rows), 1);
    assert_string_equal(rows[0]->record->is.name, "b");
    free(rows);
    end(&f);
}

/* ------------------------------------------------------------------------------------------------------------ dialogs */

static void delete_asks_and_hits_what_it_showed(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("alpha", "u1");
    fake_add("beta", "u2");
    live(&f, "2 clusters");
    type(&f, "gD");
    until(&f, "y delete", true);
    const ViewRow *row = table_row(f.app);
    char uid[32];
    snprintf(uid, sizeof uid, "%s", row->record->is.uid);
    type(&f, "y");
    until(&f, "it is gone", true);
    assert_int_equal(atomic_load(&fake.applied), 1);
    assert_string_equal(fake.last_applied, uid);
    end(&f);
}

static void stray_keys_answer_nothing(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("alpha", "u1");
    live(&f, "alpha");
    atomic_store(&fake.plan_ms, 100);
    type(&f, "Dyyyy\r\r"); /* the question is not there yet */
    assert_non_null(f.app->dialog);
    for (int i = 0; i < 1000 && !dialog_arming(f.app); i++) {
        engine_jobs_collect(f.engine);
        usleep(5000);
    }
    type(&f, "yy"); /* it is, but nobody has seen it */
    assert_non_null(f.app->dialog);
    until(&f, "y delete", true);
    app_key(f.app, 'y', true); /* pasted */
    dialog_key(f.app, 'y', false, true); /* more came with it: a paste of a terminal that does not say so */
    assert_non_null(f.app->dialog);
    type(&f, "\r"); /* Enter alone is Cancel */
    assert_null(f.app->dialog);
    until(&f, "0 changes", false);
    assert_int_equal(atomic_load(&fake.applied), 0);
    end(&f);
}

static void sweep_asks_for_what_the_rules_fit(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("resting", "u1");
    fake_add("working", "u2")->busy = true;
    fake_add("holding", "u3")->stored = 3;
    fake_add("fresh", "u4")->idle_s = 1000;
    live(&f, "4 clusters");
    type(&f, "X"); /* no rule in the config: the orphaned */
    until(&f, "nothing to sweep: no cluster is orphaned", true);
    assert_null(f.app->dialog);
    type(&f, ":sweep often\r");
    until(&f, ":sweep idle 2h", true);
    type(&f, ":sweep unattended 1h\r");
    until(&f, "y delete", true);
    assert_true(shows(&f, "Delete resting"));
    assert_true(shows(&f, "as holding: it holds 3 results"));
    assert_int_equal(atomic_load(&fake.planned), 1);
    type(&f, "\r");
    assert_null(f.app->dialog);
    type(&f, "/working\r:sweep unattended 1h\r"); /* what cannot be seen is not deleted */
    until(&f, "1 more that the rules fit", true);
    assert_null(f.app->dialog);
    type(&f, ":all\r");
    type(&f, ":sweep unattended 1h\r");
    until(&f, "y delete", true);
    type(&f, "y");
    until(&f, "it is gone", true);
    assert_string_equal(fake.last_applied, "u1");
    end(&f);
}

static void what_holds_results_needs_its_name(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("alpha", "u1")->stored = 41;
    live(&f, "alpha");
    type(&f, "D");
    until(&f, "type alpha to delete", true);
    assert_true(shows(&f, "41 results held in memory"));
    type(&f, "y\r");
    assert_true(shows(&f, "not what has to be typed"));
    assert_non_null(f.app->dialog);
    for (const char *at = "alpha"; *at; at++)
        app_key(f.app, (Key)*at, true); /* a paste types nothing */
    type(&f, "\x7f");
    type(&f, "\x1b");
    type(&f, "D");
    until(&f, "type alpha to delete", true);
    type(&f, "alpha\r");
    until(&f, "it is gone", true);
    assert_int_equal(atomic_load(&fake.applied), 1);
    end(&f);
}

static void another_incarnation_is_refused(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    FakeCluster *cluster = fake_add("alpha", "u1");
    live(&f, "alpha");
    type(&f, "D");
    until(&f, "y delete", true);
    pthread_mutex_lock(&fake.lock);
    snprintf(cluster->uid, sizeof cluster->uid, "u2"); /* restarted under the same name while the dialog is open */
    pthread_mutex_unlock(&fake.lock);
    for (int i = 0; i < 500 && !view_find(f.app->view, "fake/alpha", "u2", NULL); i++) {
        free(picture(&f));
        usleep(10000);
    }
    type(&f, "y");
    until(&f, "failed", true);
    assert_int_equal(atomic_load(&fake.applied), 0);
    end(&f);
}

static void scale_shows_now_and_then(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("alpha", "u1")->workers = NUMBER_UNKNOWN;
    live(&f, "alpha");
    type(&f, "S");
    assert_true(shows(&f, "Scale alpha"));
    assert_true(shows(&f, "workers now: how many are ready is not known, how many are wanted is not known"));
    type(&f, "nonsense\r");
    assert_true(shows(&f, "a worker group, min:max, or off"));
    type(&f, "\x1bS");
    free(picture(&f));
    type(&f, "5\r");
    until(&f, "y scale", true);
    type(&f, "n");
    assert_null(f.app->dialog);
    assert_int_equal(atomic_load(&fake.applied), 0);
    end(&f);
}

/* --------------------------------------------------------------------------------------------------------------- views */

static void log_follows_and_searches(void **state)
{
    Fixture f = begin(24, 100, false);
    (void)state;
    fake_add("alpha", "u1");
    live(&f, "alpha");
    type(&f, "l");
    until(&f, "line 299", true);
    assert_true(shows(&f, "following"));
    type(&f, "/needle\r");
    until(&f, "needle 250", true);
    type(&f, "N");
    until(&f, "needle 150", true);
    type(&f, "&needle\r");
    until(&f, "line 299", false);
    until(&f, "needle 50", true);
    type(&f, "&\r\t");
    until(&f, "worker-0", false);
    type(&f, "q");
    assert_true(shows(&f, "alpha"));
    end(&f);
}

static void details_show_workers(void **state)
{
    Fixture f = begin(30, 120, false);
    (void)state;
    fake_add("alpha", "u1");
    live(&f, "alpha");
    type(&f, "\r");
    until(&f, "worker-2", true);
    assert_true(shows(&f, "nothing lost"));
    type(&f, "q");
    type(&f, "r");
    until(&f, "a scheduler and three workers", true);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_shows_what_is_there),
        cmocka_unit_test(empty_table_says_what_to_do),
        cmocka_unit_test(who_does_not_answer_has_no_count),
        cmocka_unit_test(every_size_holds),
        cmocka_unit_test(filter_is_live_and_escape_brings_back),
        cmocka_unit_test(others_clusters_stand_back_at_first),
        cmocka_unit_test(read_only_offers_no_change),
        cmocka_unit_test(cursor_stays_on_its_cluster),
        cmocka_unit_test(marks_survive_and_die_with_their_uid),
        cmocka_unit_test(delete_asks_and_hits_what_it_showed),
        cmocka_unit_test(stray_keys_answer_nothing),
        cmocka_unit_test(sweep_asks_for_what_the_rules_fit),
        cmocka_unit_test(what_holds_results_needs_its_name),
        cmocka_unit_test(another_incarnation_is_refused),
        cmocka_unit_test(scale_shows_now_and_then),
        cmocka_unit_test(log_follows_and_searches),
        cmocka_unit_test(details_show_workers),
    };
    char home[] = "/tmp/dasktop-ui-XXXXXX";
    if (!mkdtemp(home))
        return 1;
    setenv("HOME", home, 1);
    setenv("XDG_STATE_HOME", home, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
