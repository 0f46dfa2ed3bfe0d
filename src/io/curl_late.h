/* libcurl, loaded when it is first needed: it brings some forty libraries along, which take longer to link than everything before the
 * first frame together. The calls keep their names. Internal to io; any thread. */
#ifndef DASKTOP_IO_CURL_LATE_H
#define DASKTOP_IO_CURL_LATE_H

#define CURL_DISABLE_TYPECHECK /* its macros would name the functions themselves */
#include <curl/curl.h>
#include <stdbool.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define CURL_LATE(X) \
    X(easy_cleanup) X(easy_getinfo) X(easy_init) X(easy_pause) X(easy_recv) X(easy_send) X(easy_setopt) X(easy_strerror) X(free) X(getdate) X(global_init) \
    X(multi_add_handle) X(multi_cleanup) X(multi_info_read) X(multi_init) X(multi_perform) X(multi_poll) X(multi_remove_handle) \
    X(multi_setopt) X(multi_strerror) X(slist_append) X(slist_free_all) X(url) X(url_cleanup) X(url_get) X(url_set) X(version_info)

typedef struct CurlLate {
#define CURL_LATE_FIELD(name) __typeof__(curl_##name) *name##_call;
    CURL_LATE(CURL_LATE_FIELD)
#undef CURL_LATE_FIELD
} CurlLate;

extern CurlLate curl_late; /* filled by the first curl_load, constant afterwards */

/* Once in the process; false: the library is not there or lacks a function. */
bool curl_load(void);

#define curl_easy_cleanup (*curl_late.easy_cleanup_call)
#define curl_easy_getinfo (*curl_late.easy_getinfo_call)
#define curl_easy_init (*curl_late.easy_init_call)
#define curl_easy_pause (*curl_late.easy_pause_call)
#define curl_easy_recv (*curl_late.easy_recv_call)
#define curl_easy_send (*curl_late.easy_send_call)
#define curl_easy_setopt (*curl_late.easy_setopt_call)
#define curl_easy_strerror (*curl_late.easy_strerror_call)
#define curl_free (*curl_late.free_call)
#define curl_getdate (*curl_late.getdate_call)
#define curl_global_init (*curl_late.global_init_call)
#define curl_multi_add_handle (*curl_late.multi_add_handle_call)
#define curl_multi_cleanup (*curl_late.multi_cleanup_call)
#define curl_multi_info_read (*curl_late.multi_info_read_call)
#define curl_multi_init (*curl_late.multi_init_call)
#define curl_multi_perform (*curl_late.multi_perform_call)
#define curl_multi_poll (*curl_late.multi_poll_call)
#define curl_multi_remove_handle (*curl_late.multi_remove_handle_call)
#define curl_multi_setopt (*curl_late.multi_setopt_call)
#define curl_multi_strerror (*curl_late.multi_strerror_call)
#define curl_slist_append (*curl_late.slist_append_call)
#define curl_slist_free_all (*curl_late.slist_free_all_call)
#define curl_url (*curl_late.url_call)
#define curl_url_cleanup (*curl_late.url_cleanup_call)
#define curl_url_get (*curl_late.url_get_call)
#define curl_url_set (*curl_late.url_set_call)
#define curl_version_info (*curl_late.version_info_call)

#endif
