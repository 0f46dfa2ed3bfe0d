#include "core/config.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/backend.h"
#include "core/config_check.h"
#include "core/config_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------------------- tables */

static const ConfigKey verdict_keys[] = {
    {.name = "idle", .kind = KEY_DURATION, .standard = "30m", .help = "clients but no work for longer than this: idle"},
    {.name = "unattended", .kind = KEY_DURATION, .standard = "15m", .help = "no client and no work for longer than this: unattended"},
    {0},
};
static const ConfigKey cost_keys[] = {
    {.name = "currency", .kind = KEY_TEXT, .standard = "USD", .help = "what prices are in"},
    {.name = "prices", .kind = KEY_MAP, .help = "per hour: of a machine type, cpu-hour, gib-hour, gpu-hour"},
    {0},
};
static const ConfigKey protect_keys[] = {
    {.name = "labels", .kind = KEY_MAP, .help = "clusters with these labels"},
    {.name = "owners", .kind = KEY_TEXTS, .help = "of these people"},
    {.name = "names", .kind = KEY_TEXTS, .help = "of these names, with * and ?"},
    {0},
};
static const ConfigKey sweep_keys[] = {
    {.name = "protect", .kind = KEY_MAP, .keys = protect_keys, .help = "never swept"},
    {.name = "max", .kind = KEY_INTEGER, .standard = "10", .help = "more in one run: nothing is done"},
    {.name = "orphaned", .kind = KEY_BOOL, .help = "a rule"},
    {.name = "unattended", .kind = KEY_DURATION, .help = "a rule"},
    {.name = "idle", .kind = KEY_DURATION, .help = "a rule"},
    {.name = "grace", .kind = KEY_DURATION, .help = "tell first, delete in a later run"},
    {0},
};
static const ConfigKey ui_keys[] = {
    {.name = "theme", .kind = KEY_WORD, .standard = "auto", .words = "auto|dark|light|mono|contrast", .help = "colours"},
    {.name = "columns", .kind = KEY_TEXTS, .help = "of the table, in this order"},
    {.name = "keys", .kind = KEY_MAP, .help = "action: key, or a list of keys"},
    {.name = "mouse", .kind = KEY_BOOL, .standard = "false", .help = "the wheel moves, a click selects; then the terminal selects text with Shift"},
    {.name = "ascii", .kind = KEY_BOOL, .standard = "false", .help = "draw with ASCII only"},
    {.name = "escape-delay", .kind = KEY_DURATION, .help = "how long an ESC may be the start of a key"},
    {.name = "sort", .kind = KEY_TEXT, .help = "the column to sort by"},
    {0},
};
static const ConfigKey journal_keys[] = {
    {.name = "path", .kind = KEY_TEXT, .help = "where the journal is"},
    {.name = "syslog", .kind = KEY_BOOL, .standard = "false", .help = "to the system's log as well"},
    {0},
};
static const ConfigKey on_keys[] = {
    {.name = "orphaned", .kind = KEY_TEXTS, .help = "command that gets the facts"},
    {.name = "unattended", .kind = KEY_TEXTS, .help = "command that gets the facts"},
    {.name = "swept", .kind = KEY_TEXTS, .help = "command that gets the facts"},
    {0},
};
static const ConfigKey top_keys[] = {
    {.name = "auto", .kind = KEY_BOOL, .standard = "true", .help = "find backends that are present"},
    {.name = "refresh", .kind = KEY_DURATION, .standard = "5s", .help = "between discoveries where nothing can be watched"},
    {.name = "timeout", .kind = KEY_DURATION, .standard = "5s", .help = "a backend that takes longer is shown as slow"},
    {.name = "read-only", .kind = KEY_BOOL, .standard = "false", .help = "refuse every change"},
    {.name = "backends", .kind = KEY_MAP, .help = "the systems to ask, by name"},
    {.name = "verdict", .kind = KEY_MAP, .keys = verdict_keys, .help = "limits"},
    {.name = "cost", .kind = KEY_MAP, .keys = cost_keys, .help = "prices"},
    {.name = "sweep", .kind = KEY_MAP, .keys = sweep_keys, .help = "rules and what is protected"},
    {.name = "ui", .kind = KEY_MAP, .keys = ui_keys, .help = "the dashboard"},
    {.name = "journal", .kind = KEY_MAP, .keys = journal_keys, .help = "where changes are written down"},
    {.name = "on", .kind = KEY_MAP, .keys = on_keys, .help = "hooks"},
    {0},
};
static const ConfigKey common_keys[] = {
    {.name = "type", .kind = KEY_TEXT, .help = "what kind of system (default: the name)"},
    {.name = "enabled", .kind = KEY_BOOL, .standard = "true", .help = "false: not asked"},
    {.name = "timeout", .kind = KEY_DURATION, .help = "when it counts as slow"},
    {.name = "refresh", .kind = KEY_DURATION, .help = "between discoveries"},
    {.name = "read-only", .kind = KEY_BOOL, .standard = "false", .help = "refuse every change there"},
    {.name = "probe", .kind = KEY_WORD, .standard = "full", .words = "full|light|off", .help = "how much its schedulers are asked"},
    {0},
};

/* Kinds of the contract that this build may not have: named, so that a config for many machines says what is missing. */
static const char contract_types[] = " local scheduler ssh kubernetes slurm sge pbs lsf htcondor oar gateway jupyter ec2 ecs azure gcp "
                                     "digitalocean hetzner openstack docker exec python ";

/* -------------------------------------------------------------------------------------------------------------- backends */

static const BackendType *find_type(const BackendType *const *types, const char *name)
{
    for (; types && *types; types++)
        if (strcmp((*types)->name, name) == 0)
            return *types;
    return NULL;
}

static int64_t duration_of(const Tree *map, const char *key, int64_t standard)
{
    int64_t ms;
    const char *text = tree_text(tree_get(map, key));
    return text && duration_parse(text, &ms) ? ms : standard;
}

static bool truth_of(const Tree *map, const char *key, bool standard)
{
    const Tree *tree = tree_get(map, key);
    return tree && tree->kind == TREE_BOOL ? tree->truth : standard;
}

static Probe probe_of(const Tree *map)
{
    const char *text = tree_text(tree_get(map, "probe"));
    return !text || strcmp(text, "full") == 0 ? PROBE_FULL : strcmp(text, "light") == 0 ? PROBE_LIGHT : PROBE_OFF;
}

static void add_backend(Config *config, const char *key, const BackendType *type, const Tree *options, bool automatic)
{
    int64_t refresh = type->refresh_ms ? type->refresh_ms : config->refresh_ms, timeout = type->timeout_ms ? type->timeout_ms : config->timeout_ms;
    config->backends = mem_resize(config->backends, config->backend_count + 1, sizeof *config->backends);
    config->backends[config->backend_count++] = (BackendConfig){
        .key = mem_text(key),
        .type = type,
        .enabled = truth_of(options, "enabled", true),
        .automatic = automatic,
        .read_only = config->read_only || truth_of(options, "read-only", false),
        .timeout_ms = duration_of(options, "timeout", timeout),
        .refresh_ms = duration_of(options, "refresh", refresh),
        .probe = probe_of(options),
        .options = options,
        .dask = config->document,
    };
}

static const BackendType *type_of(Config *config, const Tree *item, const BackendType *const *types)
{
    const Tree *given = tree_get(item, "type");
    const char *name = tree_text(given) ? given->text : item->key;
    const BackendType *type = find_type(types, name);
    char *word = mem_format(" %s ", name);
    if (!type && strstr(contract_types, word))
        config_problem(&config->problems, given ? given : item, "remove it, or use a dasktop that has it", "the backend %s is not built in", name);
    else if (!type)
        config_problem(&config->problems, given ? given : item, given ? NULL : "give its type", "there is no backend of type %s", name);
    free(word);
    return type;
}

static bool is_configured(const Config *config, const char *type)
{
    const Tree *map = tree_path(config->document, "dasktop.backends");
    for (size_t i = 0; map && map->kind == TREE_MAP && i < map->count; i++) {
        const char *given = tree_text(tree_get(map->items[i], "type"));
        if (strcmp(given ? given : map->items[i]->key, type) == 0)
            return true;
    }
    return false;
}

static bool has_key(const Config *config, const char *key)
{
    for (size_t i = 0; i < config->backend_count; i++)
        if (strcmp(config->backends[i].key, key) == 0)
            return true;
    return false;
}

/* A map below a map, made where something else or nothing is there. */
static Tree *need_map(Tree *map, const char *key)
{
    Tree *item = tree_get(map, key);
    if (item && item->kind == TREE_MAP)
        return item;
    tree_set(map, key, tree_new(TREE_MAP, NULL));
    return tree_get(map, key);
}

/* "login1" as it is; "ada@login.example.org" -> "ada-login-example-org-5d2c08f1": what does not fit a key, or is too long, ends in a hash, so that
 * no two computers have one key. */
static void computer_key(const char *computer, char key[33])
{
    size_t n = 0;
    bool whole = strlen(computer) <= 32;
    for (const char *c = computer; *c && n < 32; c++) {
        char low = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        bool letter = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9');
        whole = whole && low == *c && (letter || (low == '-' && n > 0));
        if (letter || n > 0)
            key[n++] = letter ? low : '-';
    }
    key[n] = 0;
    if (!whole || !n)
        snprintf(key + (n < 23 ? n : 23), 10, "-%08x", (unsigned)hash_text(computer));
    if (*key == '-')
        *key = 'h';
}

/* `-H`: what looks at that computer, with no configuration. */
static void read_computer(Config *config, const char *computer, const BackendType *const *types)
{
    char key[40], line[ERROR_LINE];
    Error error = {0};
    for (; types && *types; types++) {
        Tree *options = (*types)->at ? (*types)->at(computer, &error) : NULL;
        if (!options)
            continue;
        computer_key(computer, key);
        config->elsewhere = true;
        tree_set(need_map(need_map(config->document, "dasktop"), "backends"), key, options);
        add_backend(config, key, *types, options, false);
        config->backends[config->backend_count - 1].computer = computer;
        return;
    }
    if (error.code == ERROR_OK)
        error_set(&error, ERROR_USAGE, "-H", NULL, "no backend of this dasktop looks at other computers");
    list_add(&config->problems, error_line(&error, line, sizeof line));
}

static void read_backends(Config *config, const BackendType *const *types)
{
    Tree *map = tree_path(config->document, "dasktop.backends");
    for (size_t i = 0; map && i < map->count; i++) {
        Tree *item = map->items[i];
        if (!record_key_valid(item->key, strlen(item->key))) {
            config_problem(&config->problems, item, "use a-z, 0-9 and -, at most 32", "%s is no name for a backend", item->key);
            continue;
        }
        if (item->kind == TREE_NULL)
            item->kind = TREE_MAP; /* `local:` alone */
        if (item->kind != TREE_MAP) {
            config_problem(&config->problems, item, "write {} for its defaults", "backend %s is not a map", item->key);
            continue;
        }
        const BackendType *type = type_of(config, item, types);
        if (!type)
            continue;
        char *what = mem_format("backend %s", item->key);
        size_t before = config->problems.count;
        config_check(item, type->keys, common_keys, what, &config->problems);
        const char *wrong = type->check && config->problems.count == before ? type->check(item) : NULL;
        if (wrong)
            config_problem(&config->problems, item, NULL, "%s %s", what, wrong);
        free(what);
        bool whole = !wrong;
        for (const ConfigKey *key = type->keys; key && key->name; key++)
            whole = whole && (!key->required || tree_get(item, key->name));
        if (whole)
            add_backend(config, item->key, type, item, false);
    }
    for (size_t i = 0; config->automatic && types && types[i]; i++)
        if (types[i]->automatic && !is_configured(config, types[i]->name) && !has_key(config, types[i]->name))
            add_backend(config, types[i]->name, types[i], NULL, true);
}

/* ------------------------------------------------------------------------------------------------------------------ load */

/* Adds what `from` has beside what is there: items of lists, keys of maps, never instead of it. */
static void add_beside(Tree *there, const Tree *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (there->kind == TREE_MAP ? !tree_get(there, from->items[i]->key) : there->kind == TREE_LIST) {
            Tree *copy = tree_copy(from->items[i]);
            if (there->kind == TREE_MAP) {
                tree_set(there, from->items[i]->key, copy);
                continue;
            }
            there->items = mem_grow(there->items, there->count, &there->capacity, sizeof *there->items);
            there->items[there->count++] = copy;
        }
}

/* What the system's own files forbid, no later file allows. Comes after the check: a bad value of a later file must not take the
 * system's away with it. */
static void fix_by_root(Config *config, const Tree *root_only)
{
    const Tree *read_only = tree_path(root_only, "dasktop.read-only"), *protect = tree_path(root_only, "dasktop.sweep.protect");
    /* what is no clear "false" was meant to forbid */
    config->read_only_fixed = read_only && read_only->kind != TREE_NULL && !(read_only->kind == TREE_BOOL && !read_only->truth);
    if (!protect || protect->kind != TREE_MAP)
        return;
    Tree *both = tree_copy(protect), *sweep = need_map(need_map(config->document, "dasktop"), "sweep");
    List told = {0}; /* its mistakes are told where the whole is checked */
    config_check(both, protect_keys, NULL, "protect", &told);
    list_done(&told);
    const Tree *now = tree_get(sweep, "protect");
    for (size_t i = 0; now && now->kind == TREE_MAP && i < now->count; i++) {
        const Tree *item = now->items[i];
        Tree *there = tree_get(both, item->key);
        if (there && there->kind == TREE_TEXT) { /* a lone text is a list of one */
            Tree *list = tree_new(TREE_LIST, NULL), one = {.items = &there, .count = 1};
            add_beside(list, &one);
            tree_set(both, item->key, list);
            there = tree_get(both, item->key);
        }
        Tree *lone = (Tree *)(uintptr_t)item, one = {.items = &lone, .count = 1};
        if (!there)
            tree_set(both, item->key, tree_copy(item));
        else if (item->kind == there->kind || (item->kind == TREE_TEXT && there->kind == TREE_LIST))
            add_beside(there, item->kind == TREE_TEXT ? &one : item);
    }
    tree_set(sweep, "protect", both);
}

/* Its nodes were copied, and go on naming the files that it was read from. */
static void keep_names(Config *config, Tree *root_only)
{
    for (size_t i = 0; i < root_only->count; i++)
        tree_free(root_only->items[i]);
    root_only->count = 0;
    tree_merge(config->document, root_only);
}

static const Tree *map_of(const Tree *ours, const char *key)
{
    const Tree *tree = tree_get(ours, key);
    return tree && tree->kind == TREE_MAP ? tree : NULL;
}

static void read_values(Config *config, const ConfigSources *sources)
{
    const Tree *ours = tree_get(config->document, "dasktop");
    config->automatic = truth_of(ours, "auto", true);
    config->refresh_ms = duration_of(ours, "refresh", 5000);
    config->timeout_ms = duration_of(ours, "timeout", 5000);
    config->read_only = config->read_only_fixed || sources->read_only || truth_of(ours, "read-only", false);
    config->verdict.idle_ms = duration_of(map_of(ours, "verdict"), "idle", 30 * 60000);
    config->verdict.unattended_ms = duration_of(map_of(ours, "verdict"), "unattended", 15 * 60000);
    const Tree *cost = map_of(ours, "cost");
    const char *currency = tree_text(tree_get(cost, "currency"));
    config->cost.currency = mem_text(currency ? currency : "USD");
    config->cost.prices = map_of(cost, "prices");
    config->sweep = map_of(ours, "sweep");
    config->ui = map_of(ours, "ui");
    config->journal = map_of(ours, "journal");
}

static void check_prices(Config *config)
{
    Tree *prices = tree_path(config->document, "dasktop.cost.prices");
    for (size_t i = 0; prices && prices->kind == TREE_MAP && i < prices->count; i++)
        if (prices->items[i]->kind != TREE_NUMBER || !(prices->items[i]->number >= 0))
            config_problem(&config->problems, prices->items[i], NULL, "the price of %s is no number", prices->items[i]->key);
}

/* What protects must be understood as a whole: a label that nothing can be compared with protects nothing. */
static void check_sweep(Config *config)
{
    Tree *labels = tree_path(config->document, "dasktop.sweep.protect.labels"), *hooks = tree_path(config->document, "dasktop.on");
    for (size_t i = 0; labels && labels->kind == TREE_MAP && i < labels->count; i++)
        if (!tree_text(labels->items[i]))
            config_problem(&config->problems, labels->items[i], "write its value, with * and ?", "the label %s is no text", labels->items[i]->key);
    for (size_t i = 0; hooks && hooks->kind == TREE_MAP && i < hooks->count; i++)
        if (hooks->items[i]->kind == TREE_LIST && (!hooks->items[i]->count || !*tree_text(hooks->items[i]->items[0])))
            config_problem(&config->problems, hooks->items[i], "write it as [program, argument, …]", "the hook %s has no program", hooks->items[i]->key);
}

Config *config_load(const ConfigSources *sources, const BackendType *const *types)
{
    Config *config = mem_new(sizeof *config);
    Tree *root_only = NULL;
    config->document = config_collect(sources, &root_only, &config->files, &config->problems);
    Tree *ours = tree_get(config->document, "dasktop");
    if (ours && ours->kind == TREE_MAP)
        config_check(ours, top_keys, NULL, "dasktop", &config->problems);
    else if (ours && ours->kind != TREE_NULL)
        config_problem(&config->problems, ours, NULL, "dasktop is not a map");
    check_prices(config);
    check_sweep(config);
    fix_by_root(config, root_only);
    keep_names(config, root_only);
    read_values(config, sources);
    if (sources->computer)
        read_computer(config, sources->computer, types);
    else
        read_backends(config, types);
    return config;
}

void config_free(Config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->backend_count; i++)
        free(config->backends[i].key);
    free(config->backends);
    free(config->cost.currency);
    list_done(&config->problems);
    list_done(&config->files);
    tree_free(config->document);
    free(config);
}

/* ------------------------------------------------------------------------------------------------------- a backend's own keys */

static const char *standard_of(const BackendConfig *config, const char *key)
{
    const ConfigKey *found = config_key(config->type->keys, key);
    return found ? found->standard : NULL;
}

const Tree *config_tree(const BackendConfig *config, const char *key)
{
    return tree_get(config->options, key);
}

const char *config_text(const BackendConfig *config, const char *key)
{
    const char *text = tree_text(config_tree(config, key));
    return text ? text : standard_of(config, key);
}

bool config_truth(const BackendConfig *config, const char *key)
{
    const char *standard = standard_of(config, key);
    return truth_of(config->options, key, standard && strcmp(standard, "true") == 0);
}

int64_t config_integer(const BackendConfig *config, const char *key)
{
    const Tree *tree = config_tree(config, key);
    if (tree && tree->kind == TREE_NUMBER)
        return (int64_t)tree->number;
    const char *standard = standard_of(config, key);
    return standard ? strtoll(standard, NULL, 10) : NUMBER_UNKNOWN;
}

size_t config_texts(const BackendConfig *config, const char *key, List *out)
{
    const Tree *tree = config_tree(config, key);
    if (!tree) {
        const char *standard = standard_of(config, key);
        if (standard)
            list_add(out, standard);
    } else if (tree->kind == TREE_LIST) {
        for (size_t i = 0; i < tree->count; i++)
            if (tree_text(tree->items[i]))
                list_add(out, tree->items[i]->text);
    } else if (tree_text(tree)) {
        list_add(out, tree->text);
    }
    return out->count;
}
