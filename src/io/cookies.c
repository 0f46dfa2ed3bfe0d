#include "io/cookies.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/secret.h"
#include "io/inside.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct Cookies {
    pthread_mutex_t lock; /* of lines; never held while waiting */
    List lines;           /* as curl writes them: each with its host, path and end */
};

static void wipe(List *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        secret_wipe(lines->items[i], strlen(lines->items[i]));
    list_done(lines);
    *lines = (List){0};
}

Cookies *cookies_new(void)
{
    Cookies *cookies = mem_new(sizeof *cookies);
    pthread_mutex_init(&cookies->lock, NULL);
    return cookies;
}

void cookies_free(Cookies *cookies)
{
    if (!cookies)
        return;
    wipe(&cookies->lines);
    pthread_mutex_destroy(&cookies->lock);
    free(cookies);
}

void cookies_give(Cookies *cookies, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, ""); /* no file: this is what makes curl look at cookies at all */
    pthread_mutex_lock(&cookies->lock);
    for (size_t i = 0; i < cookies->lines.count; i++)
        curl_easy_setopt(easy, CURLOPT_COOKIELIST, (const char *)cookies->lines.items[i]);
    pthread_mutex_unlock(&cookies->lock);
}

void cookies_take(Cookies *cookies, CURL *easy)
{
    struct curl_slist *now = NULL;
    curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &now);
    pthread_mutex_lock(&cookies->lock);
    wipe(&cookies->lines);
    for (struct curl_slist *line = now; line; line = line->next) {
        list_add(&cookies->lines, line->data);
        secret_wipe(line->data, strlen(line->data));
    }
    pthread_mutex_unlock(&cookies->lock);
    curl_slist_free_all(now);
}
