#include "io/curl_late.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

CurlLate curl_late;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;

/* A pointer to a function as dlsym gives it, without the cast that ISO C does not know. */
static bool find(void *library, const char *name, void *field)
{
    void *found = dlsym(library, name);
    memcpy(field, &found, sizeof found);
    return found != NULL;
}

/* Its forty libraries find their names sooner among themselves than among ours first (a tenth of the load). Not where somebody stands between
 * programs and libc, whom libcurl must not pass by: torsocks and others that are preloaded, sanitizers. */
static int own_names_first(void)
{
#ifdef RTLD_DEEPBIND
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (libc && dlsym(libc, "malloc") == dlsym(RTLD_DEFAULT, "malloc") && !getenv("LD_PRELOAD") && access("/etc/ld.so.preload", F_OK) != 0)
        return RTLD_DEEPBIND;
#endif
    return 0;
}

static void load(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl.4.dylib", "libcurl.so", "libcurl.dylib"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL | own_names_first());
    if (!library)
        return;
    bool whole = true;
#define CURL_LATE_FIND(name) whole = find(library, "curl_" #name, &curl_late.name##_call) && whole;
    CURL_LATE(CURL_LATE_FIND)
#undef CURL_LATE_FIND
    loaded = whole && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

bool curl_load(void)
{
    pthread_once(&once, load);
    return loaded;
}
