/* Fills a log view from a cluster: reconstructs it and runs its backend's logs() on a thread of its own, until the cluster ends or the
 * page closes. Lines go to the view's spool; files are read by the view itself. */
#ifndef DASKTOP_UI_LOG_STREAM_H
#define DASKTOP_UI_LOG_STREAM_H

#include "ui/app.h"
#include "ui/log_view.h"

typedef struct LogStream LogStream;

/* component NULL: all of them. since_ms TIME_UNKNOWN: what is there. NULL with an error. The view is the stream's. */
LogStream *log_stream_start(App *app, const Record *record, const char *component, int64_t since_ms, Error *error);
void log_stream_leave(LogStream *stream); /* the page goes; NULL is allowed */

LogView *log_stream_view(LogStream *stream);
bool log_stream_caught_up(const LogStream *stream); /* what was there at the start has come */
/* It has ended: error says why, with code OK where the cluster did. */
bool log_stream_ended(LogStream *stream, Error *error);

#endif
