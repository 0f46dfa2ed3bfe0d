#include "base/log.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LINES = 512, LOG_LINE_MAX = 1024 };

typedef struct LogEntry {
    int64_t wall_ms;
    char *where, *text;
} LogEntry;

static struct {
    pthread_mutex_t lock; /* guards all below */
    LogEntry entries[LOG_LINES];
    size_t next, count;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* One write, so that lines of several threads do not mix. */
static void append_to_file(const char *where, const char *text)
{
    const char *path = getenv("DASKTOP_LOG");
    char time[TIME_TEXT];
    if (!path || !*path)
        return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    char *line = mem_format("%s %s: %s\n", time_text(clock_wall_ms(), true, time), where, text);
    ssize_t ignored = write(fd, line, strlen(line));
    (void)ignored;
    free(line);
    close(fd);
}

void log_line(const char *where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *raw = mem_vformat(format, args);
    va_end(args);
    char *text = text_clean_new(raw, strlen(raw), LOG_LINE_MAX);
    free(raw);
    char *place = text_clean_new(where, strlen(where), LOG_LINE_MAX);
    append_to_file(place, text);
    pthread_mutex_lock(&ring.lock);
    LogEntry *entry = &ring.entries[ring.next];
    free(entry->where);
    free(entry->text);
    *entry = (LogEntry){clock_wall_ms(), place, text};
    ring.next = (ring.next + 1) % LOG_LINES;
    ring.count += ring.count < LOG_LINES;
    pthread_mutex_unlock(&ring.lock);
}

void log_each(size_t n, void (*line)(void *user, int64_t wall_ms, const char *where, const char *text), void *user)
{
    pthread_mutex_lock(&ring.lock);
    n = n < ring.count ? n : ring.count;
    for (size_t i = 0; i < n; i++) {
        const LogEntry *entry = &ring.entries[(ring.next + LOG_LINES - n + i) % LOG_LINES];
        line(user, entry->wall_ms, entry->where, entry->text);
    }
    pthread_mutex_unlock(&ring.lock);
}
