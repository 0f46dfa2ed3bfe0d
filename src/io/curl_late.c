#include "io/curl_late.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

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

static void load(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl.4.dylib", "libcurl.so", "libcurl.dylib"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
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
