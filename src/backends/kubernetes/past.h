/* When a client was last connected, by what a scheduler's own log says of it: its HTTP tells how many are there now, not since when. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_PAST_H
#define DASKTOP_BACKENDS_KUBERNETES_PAST_H

#include "backends/kubernetes/api.h"
#include "backends/kubernetes/row.h"

/* Of value where nobody is connected and nothing runs, and how long that is so is not known; asked again after some minutes. */
bool past_is_due(const KubeRow *row, int64_t now_mono_ms);
/* Reads the ends of the logs of those schedulers' pods, at most a few tens, all at once. A log that may not be read changes nothing. */
bool past_read(const Api *api, const Context *context, int64_t timeout_ms, KubeRow *const *rows, size_t count, Error *error);

typedef struct Past {
    int64_t left_ms; /* of the last line in which a client comes or goes; TIME_UNKNOWN */
    bool from_start; /* the log begins with the scheduler's own start */
} Past;
/* A log with stamps. Pure. */
Past past_of_log(const char *bytes, size_t n);

#endif
