/* A folder of a test's own. Include it after make.h. */
#ifndef DASKTOP_TESTS_BACKENDS_PLACE_H
#define DASKTOP_TESTS_BACKENDS_PLACE_H

#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[64];

static inline int place_begin(void **state)
{
    (void)state;
    snprintf(place, sizeof place, "/tmp/dasktop-test-XXXXXX");
    return mkdtemp(place) ? 0 : -1;
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

/* Makes the folders in front of it. The path is the caller's. */
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

#endif
