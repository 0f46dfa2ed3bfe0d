/* Chance against the dashboard, on a memory canvas over a real engine whose clusters change and whose backend fails meanwhile: what is
 * done is what the dialog showed, or nothing; and no key brings it down. */
#include "ui/dialog_inside.h"
#include "ui/fake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { STEPS = 10000, KEYS = 20000, CLUSTERS = 40, SHOWN_MAX = 200 };

static const UiOptions options = {.ascii = false};

typedef struct Shown {
    char uids[SHOWN_MAX][32]; /* of the dialog that is open */
    size_t count;
} Shown;

typedef struct Fixture {
    Engine *engine;
    App *app;
    unsigned seed;
    Map allowed;              /* uids of every dialog that was accepted */
    Shown open;
    int checked;              /* applications that were looked at */
    char home[64];
} Fixture;

static unsigned chance(Fixture *f, unsigned below)
{
    f->seed = f->seed * 1103515245u + 12345u;
    return (f->seed >> 8) % below;
}

static void begin(Fixture *f, unsigned seed)
{
    *f = (Fixture){.seed = seed};
    map_init(&f->allowed);
    fake.count = 0;
    atomic_store(&fake.applied, 0);
    atomic_store(&fake.plan_ms, 0);
    for (int i = 0; i < CLUSTERS; i++) {
        char name[16], uid[16];
        snprintf(name, sizeof name, "c%02d", i);
        snprintf(uid, sizeof uid, "u%02d.0", i);
        fake_add(name, uid);
    }
    f->engine = fake_engine(false);
    f->app = app_new(f->engine, &options, 30, 110);
    assert_true(wake_init(&f->app->wake));
    engine_jobs_on_done(f->engine, &f->app->wake);
    engine_start(f->engine, ENGINE_LIVE, NULL, NULL);
    print_message("seed %u\n", seed);
}

static void end(Fixture *f)
{
    f->app->quit = true;
    while (f->app->depth > 1)
        app_pop(f->app);
    dialog_close(f->app);
    for (int i = 0; i < 1000 && (f->app->task_count || atomic_load(&f->app->streams) || operations_running(engine_operations(f->engine))); i++) {
        engine_jobs_collect(f->engine);
        usleep(10000);
    }
    assert_int_equal(f->app->task_count, 0);
    assert_int_equal(atomic_load(&f->app->streams), 0);
    engine_jobs_on_done(f->engine, NULL);
    wake_done(&f->app->wake);
    app_free(f->app);
    assert_true(engine_stop(f->engine, 10000));
    map_done(&f->allowed, NULL);
}

static void turn(Fixture *f)
{
    engine_jobs_collect(f->engine);
    app_update(f->app, clock_now());
    if (app_page(f->app)->type->turn)
        app_page(f->app)->type->turn(f->app, app_page(f->app));
    app_draw(f->app, f->app->now);
    dialog_drawn(f->app);
}

/* Comes, goes, is replaced by one of the same name, changes hands, begins to work. */
static void churn(Fixture *f)
{
    pthread_mutex_lock(&fake.lock);
    FakeCluster *cluster = &fake.clusters[chance(f, (unsigned)fake.count)];
    switch (chance(f, 6)) {
    case 0: cluster->there = !cluster->there; break;
    case 1:
        snprintf(cluster->uid, sizeof cluster->uid, "u%02d.%u", (int)(cluster - fake.clusters), f->seed);
        cluster->there = true;
        break;
    case 2: cluster->mine = !cluster->mine; break;
    case 3: cluster->busy = !cluster->busy; break;
    case 4: cluster->workers = chance(f, 9); break;
    default: cluster->stored = chance(f, 3); break;
    }
    pthread_mutex_unlock(&fake.lock);
    if (chance(f, 3) == 0)
        engine_refresh(f->engine, NULL);
}

static void type_text(Fixture *f, const char *text)
{
    for (; *text; text++)
        app_key(f->app, (Key)(unsigned char)*text, false);
}

static void remember_dialog(Fixture *f)
{
    f->open.count = 0;
    for (size_t i = 0; f->app->dialog && i < f->app->dialog->target_count && i < SHOWN_MAX; i++)
        snprintf(f->open.uids[f->open.count++], 32, "%s", f->app->dialog->targets[i].row.record->is.uid);
}

static bool was_shown(const Shown *shown, const char *uid)
{
    for (size_t i = 0; i < shown->count; i++)
        if (strcmp(shown->uids[i], uid) == 0)
            return true;
    return false;
}

/* Everything that was applied since stood in the dialog that was accepted. */
static void check_applied(Fixture *f)
{
    pthread_mutex_lock(&fake.lock);
    int applied = atomic_load(&fake.applied);
    for (; f->checked < applied; f->checked++) {
        const char *uid = fake.applied_uids[f->checked % FAKE_APPLIED];
        if (!map_has(&f->allowed, uid)) {
            pthread_mutex_unlock(&fake.lock);
            fail_msg("%s was changed and no accepted dialog had shown it (seed %u)", uid, f->seed);
        }
    }
    pthread_mutex_unlock(&fake.lock);
}

static void answer(Fixture *f)
{
    Dialog *dialog = f->app->dialog;
    if (!dialog || !dialog->ready)
        return;
    for (size_t i = 0; i < dialog->target_count; i++) /* it is still about what it was opened for */
        assert_true(was_shown(&f->open, dialog->targets[i].row.record->is.uid));
    for (size_t i = 0; i < f->open.count; i++)
        map_put(&f->allowed, f->open.uids[i], f);
    if (dialog->confirm.kind == CONFIRM_TYPED)
        type_text(f, dialog->confirm.typed);
    app_key(f->app, dialog->confirm.kind == CONFIRM_TYPED ? KEY_RETURN : 'y', false);
}

static void step(Fixture *f)
{
    static const char *const filters[] = {"c1", "!c2", "owner:ada", "workers>2", "verdict:unattended", ""};
    static const Key moves[] = {'j', 'k', 'g', 'G', KEY_PAGE_DOWN, KEY_PAGE_UP, KEY_SPACE, 'u', '*', 'o', 'O', 'x'};
    App *app = f->app;
    if (app->dialog) {
        unsigned what = chance(f, 10);
        if (what < 5)
            answer(f);
        else if (what == 5)
            app_key(app, KEY_ESCAPE, false);
        else
            churn(f);
        return;
    }
    switch (chance(f, 10)) {
    case 0:
        app_set_filter(app, filters[chance(f, sizeof filters / sizeof *filters)], NULL);
        break;
    case 1:
    case 2:
        app_key(app, 'D', false);
        remember_dialog(f);
        break;
    case 3:
    case 4:
        churn(f);
        break;
    default:
        app_key(app, moves[chance(f, sizeof moves / sizeof *moves)], false);
        break;
    }
}

static void an_action_hits_what_the_dialog_showed(void **state)
{
    Fixture *f = *state;
    atomic_store(&fake.failing, 10);
    for (int i = 0; i < STEPS; i++) {
        step(f);
        if (chance(f, 3) == 0)
            turn(f);
        if (i % 50 == 0)
            check_applied(f);
    }
    for (int i = 0; i < 500 && operations_running(engine_operations(f->engine)); i++)
        usleep(10000);
    check_applied(f);
    print_message("%d changes\n", atomic_load(&fake.applied));
    assert_true(atomic_load(&fake.applied) > 20);
}

static void no_key_brings_it_down(void **state)
{
    static const Key special[] = {KEY_ARROW_UP, KEY_ARROW_DOWN, KEY_ARROW_LEFT, KEY_ARROW_RIGHT, KEY_PAGE_UP, KEY_PAGE_DOWN, KEY_GO_HOME,
                                  KEY_GO_END, KEY_INSERT, KEY_REMOVE, KEY_BACK_TAB, KEY_BACKSPACE_, KEY_FUNCTION + 1, KEY_FUNCTION + 5,
                                  KEY_WHEEL_UP, KEY_WHEEL_DOWN, KEY_CLICK, KEY_INTERRUPT, KEY_UNKNOWN, KEY_TABULATOR, KEY_RETURN, KEY_ESCAPE,
                                  0x1f600, 0x4e2d, 0x301, 0xfffd};
    Fixture *f = *state;
    atomic_store(&fake.failing, 40);
    for (int i = 0; i < KEYS; i++) {
        Key key = chance(f, 3) ? (Key)(' ' + chance(f, 95)) : chance(f, 2) ? special[chance(f, sizeof special / sizeof *special)] : (Key)(1 + chance(f, 26));
        if (chance(f, 40) == 0)
            canvas_resize(f->app->canvas, 1 + (int)chance(f, 60), 1 + (int)chance(f, 220));
        app_key(f->app, key, chance(f, 50) == 0);
        if (f->app->quit)
            f->app->quit = false; /* q leaves: not here */
        if (chance(f, 8) == 0)
            churn(f);
        if (chance(f, 4) == 0)
            turn(f);
    }
    turn(f);
}

static int setup(void **state)
{
    static Fixture fixture;
    const char *seed = getenv("DASKTOP_SEED");
    fake.applied_uids = mem_new(FAKE_APPLIED * 32);
    begin(&fixture, seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)clock_mono_us());
    snprintf(fixture.home, sizeof fixture.home, "/tmp/dasktop-random-XXXXXX");
    if (!mkdtemp(fixture.home) || chdir(fixture.home) != 0) /* W writes files by chance */
        return -1;
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;
    end(f);
    free(fake.applied_uids);
    fake.applied_uids = NULL;
    return chdir("/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_action_hits_what_the_dialog_showed, setup, teardown),
        cmocka_unit_test_setup_teardown(no_key_brings_it_down, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
