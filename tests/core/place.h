/* A directory of one's own for a test program, the config that is read there, and waiting for other threads. */
#ifndef DASKTOP_TESTS_CORE_PLACE_H
#define DASKTOP_TESTS_CORE_PLACE_H

#include "base/buffer.h"
#include "base/file.h"
#include "core/make.h"

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[64];

static inline int place_begin(void **state)
{
    (void)state;
    snprintf(place, sizeof(place), "/tmp/dasktop-core-XXXXXX");
    if (!mkdtemp(place) || setenv("HOME", place, 1) != 0 || setenv("XDG_STATE_HOME", place, 1) != 0)
        return -1;
    return 0;
}

static inline int place_remove(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path);
}

static inline int place_end(void **state)
{
    (void)state;
    return nftw(place, place_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the directories in front of it. The path is the caller's. */
static inline char *place_write(const char *name, const char *text)
{
    char *path = file_join(place, name);
    for (char *slash = path + strlen(place) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline char *place_read(const char *name)
{
    char *path = file_join(place, name);
    Buffer bytes;
    buffer_init(&bytes, 1 << 24);
    if (!file_read(path, &bytes, NULL))
        buffer_clear(&bytes);
    free(path);
    return buffer_take(&bytes);
}

static inline Config *place_config(const char *yaml, const struct BackendType *const *types)
{
    char *path = place_write("config.yaml", yaml), *home = mem_format("HOME=%s", place);
    const char *environment[] = {home, NULL};
    ConfigSources sources = {.file = path, .environment = environment, .root = place};
    Config *config = config_load(&sources, types);
    for (size_t i = 0; i < config->problems.count; i++)
        fail_msg("%s", config->problems.items[i]);
    free(path);
    free(home);
    return config;
}

/* Other threads do it some time; a minute without it is never. */
#define EVENTUALLY(condition)                                                                                                             \
    do {                                                                                                                                  \
        int64_t until_ = clock_mono_ms() + 60000;                                                                                         \
        while (!(condition) && clock_mono_ms() < until_)                                                                                  \
            poll(NULL, 0, 2);                                                                                                             \
        assert_true(condition);                                                                                                           \
    } while (0)

#endif
