#include "backends/python/environment.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PACKAGES_MAX = 20000, ENTRY_POINTS_FILE_MAX = 1 << 20, NAMES_MAX = 256 };

static const char GROUP[] = "dask_cluster_discovery";

/* ---------------------------------------------------------------------------------------------------------- interpreter */

static char *in_prefix(const char *prefix)
{
    char *path = prefix && *prefix ? mem_format("%s/bin/python", prefix) : NULL;
    if (path && file_runs(path))
        return path;
    free(path);
    return NULL;
}

static char *find_python(const char *given)
{
    if (!given) {
        char *found = in_prefix(getenv("VIRTUAL_ENV"));
        found = found ? found : in_prefix(getenv("CONDA_PREFIX"));
        return found ? found : file_in_path(getenv("PATH"), "python3", NULL);
    }
    char *path = file_expand_home(given), *inside = strchr(path, '/') ? in_prefix(path) : NULL;
    if (!inside && strchr(path, '/') && file_runs(path))
        return path;
    if (!inside && !strchr(path, '/'))
        inside = file_in_path(getenv("PATH"), path, NULL);
    free(path);
    return inside;
}

/* ------------------------------------------------------------------------------------------------------- entry_points.txt */

static void strip(const char **text, size_t *n)
{
    while (*n && isspace((unsigned char)**text))
        (*text)++, (*n)--;
    while (*n && isspace((unsigned char)(*text)[*n - 1]))
        (*n)--;
}

void environment_names(const char *text, size_t n, const char *group, List *names)
{
    bool inside = false;
    for (size_t length; n > 0; text += length, n -= length) {
        const char *end = memchr(text, '\n', n), *line = text;
        length = end ? (size_t)(end - text) + 1 : n;
        size_t left = length;
        strip(&line, &left);
        if (left >= 2 && line[0] == '[' && line[left - 1] == ']') {
            line++, left -= 2;
            strip(&line, &left);
            inside = left == strlen(group) && memcmp(line, group, left) == 0;
            continue;
        }
        const char *equals = inside && left && line[0] != '#' && line[0] != ';' ? memchr(line, '=', left) : NULL;
        if (!equals)
            continue;
        left = (size_t)(equals - line);
        strip(&line, &left);
        char *name = mem_text_n(line, left);
        if (left && names->count < NAMES_MAX && !list_has(names, name))
            list_add(names, name);
        free(name);
    }
}

/* ---------------------------------------------------------------------------------------------------------------- packages */

static bool has_ending(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

/* "dask_ctl-2024.1.0.dist-info", "dask_ctl.egg-info" are of the distribution "dask_ctl". */
static bool is_distribution(const char *name, const char *distribution)
{
    size_t n = strlen(distribution);
    return strncmp(name, distribution, n) == 0 && (name[n] == '-' || name[n] == '.');
}

static void read_packages(const char *directory, Environment *environment)
{
    DIR *packages = opendir(directory);
    if (!packages)
        return;
    struct dirent *one;
    for (size_t count = 0; count < PACKAGES_MAX && (one = readdir(packages)); count++) {
        bool wheel = has_ending(one->d_name, ".dist-info");
        if (!wheel && !has_ending(one->d_name, ".egg-info"))
            continue;
        environment->has_distributed = environment->has_distributed || is_distribution(one->d_name, "distributed");
        if (is_distribution(one->d_name, "dasktop"))
            continue; /* it would find what we find */
        Buffer text;
        char *file = mem_format("%s/%s/entry_points.txt", directory, one->d_name);
        buffer_init(&text, ENTRY_POINTS_FILE_MAX);
        if (file_read(file, &text, NULL))
            environment_names(text.bytes, text.length, GROUP, &environment->entry_points);
        buffer_done(&text);
        free(file);
    }
    closedir(packages);
}

/* PREFIX of PREFIX/bin/python; owned by the caller. */
static char *prefix_of(const char *python)
{
    const char *end = strrchr(python, '/');
    while (end && end > python && end[-1] != '/')
        end--;
    return end && end > python + 1 ? mem_text_n(python, (size_t)(end - python) - 1) : mem_text("/usr");
}

/* pyenv puts a script in front: ROOT/shims/python3 for ROOT/versions/NAME/bin/python3. NULL: it is none. */
static char *behind_shim(const char *python)
{
    char *root = prefix_of(python), *file = mem_format("%s/version", root), *found = NULL;
    const char *name = getenv("PYENV_VERSION");
    Buffer text;
    buffer_init(&text, 4096);
    if (strstr(python, "/shims/") && (name || file_read(file, &text, NULL))) {
        name = name ? name : text.bytes;
        found = mem_format("%s/versions/%.*s/bin/python3", root, (int)strcspn(name, ":\r\n"), name);
    }
    if (found && !file_runs(found)) {
        free(found);
        found = NULL;
    }
    buffer_done(&text);
    free(root);
    free(file);
    return found;
}

/* The interpreter itself: an environment's is a link that must not be followed, any other one may be. */
static char *resolved(char *python)
{
    char *shim = behind_shim(python), *prefix, *marker, *real = NULL;
    if (shim) {
        free(python);
        return shim;
    }
    prefix = prefix_of(python);
    marker = mem_format("%s/pyvenv.cfg", prefix);
    if (access(marker, R_OK) != 0)
        real = realpath(python, NULL);
    free(prefix);
    free(marker);
    if (!real)
        return python;
    free(python);
    return real;
}

/* Each lib/python3.x/ below a prefix, with what Debian calls its folder. */
static void read_prefix(const char *prefix, Environment *environment)
{
    char *lib = mem_format("%s/lib", prefix);
    DIR *versions = opendir(lib);
    struct dirent *one;
    while (versions && (one = readdir(versions)))
        if (strncmp(one->d_name, "python3", 7) == 0) {
            static const char *const folders[] = {"site-packages", "dist-packages"};
            for (int i = 0; i < 2; i++) {
                char *directory = mem_format("%s/%s/%s", lib, one->d_name, folders[i]);
                read_packages(directory, environment);
                free(directory);
            }
        }
    if (versions)
        closedir(versions);
    free(lib);
}

static void read_packages_of(Environment *environment)
{
    char *prefix = prefix_of(environment->python);
    char *marker = mem_format("%s/pyvenv.cfg", prefix), *conda = mem_format("%s/conda-meta", prefix);
    bool own = access(marker, R_OK) == 0 || access(conda, R_OK) == 0;
    read_prefix(prefix, environment);
    if (!own) { /* the system's Python also looks into the user's own and /usr/local */
        char *home = file_expand_home("~/.local");
        read_prefix(home, environment);
        free(home);
        if (strcmp(prefix, "/usr") == 0 || strcmp(prefix, "") == 0)
            read_prefix("/usr/local", environment);
    }
    const char *path = getenv("PYTHONPATH");
    for (size_t n; path && *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        char *directory = mem_text_n(path, n);
        if (n)
            read_packages(directory, environment);
        free(directory);
    }
    free(prefix);
    free(marker);
    free(conda);
}

bool environment_read(const char *given, Environment *environment, Error *error)
{
    *environment = (Environment){.python = find_python(given)};
    if (!environment->python)
        return error_set(error, ERROR_ABSENT, NULL, given ? "set its python" : NULL, given ? "there is no Python at %s" : "there is no Python on this machine", given);
    environment->python = resolved(environment->python);
    read_packages_of(environment);
    return true;
}

void environment_done(Environment *environment)
{
    free(environment->python);
    list_done(&environment->entry_points);
    *environment = (Environment){0};
}
