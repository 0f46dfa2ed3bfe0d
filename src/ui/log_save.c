#include "ui/log_save.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = 256 << 10, SLICE_US = 50000 };

typedef struct Saving {
    LogView *view;
    LogMerge merge;
    LogNarrow narrow;
    const Context *context;
    bool names;          /* more than one component */
    Buffer out, line, plain;
    uint64_t lines;
    int fd;
} Saving;

static bool save_flush(Saving *saving, const char *path, Error *error)
{
    const char *at = saving->out.bytes;
    for (size_t left = saving->out.length; left;) {
        ssize_t n = write(saving->fd, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(error, errno, path, "it cannot be written");
        at += n;
        left -= (size_t)n;
    }
    buffer_clear(&saving->out);
    return context_check(saving->context, path, error);
}

static void save_line(Saving *saving, LogItem item)
{
    char name[LOG_NAME], when[TIME_TEXT];
    LogText text;
    const LogTrack *track = saving->merge.tracks[item.track];
    if (!log_text_read(track->source, item.start, track->all.end, 2 * (size_t)LOG_LINE_MAX, &saving->line, &saving->plain, &text))
        return;
    log_view_component(saving->view, text.head.component, name);
    if (saving->names && *name)
        buffer_format(&saving->out, "[%s] ", name);
    if (!text.message && text.head.time_ms != TIME_UNKNOWN) /* where it does not say so itself */
        buffer_format(&saving->out, "%s ", time_text(text.head.time_ms, true, when));
    if (!text.message && *text.head.level)
        buffer_format(&saving->out, "%s ", text.head.level);
    text_clean(&saving->out, text.plain, text.length, 16 * (size_t)LOG_LINE_MAX);
    buffer_char(&saving->out, '\n');
    saving->lines++;
}

static bool save_lines(Saving *saving, const char *path, Error *error)
{
    LogPlace place;
    LogItem item;
    while (log_merge_turn(&saving->merge, clock_mono_us() + SLICE_US) && !log_merge_complete(&saving->merge))
        if (!context_check(saving->context, path, error))
            return false;
    log_merge_begin(&saving->merge, &place);
    while (log_merge_next(&saving->merge, &place, &item)) {
        save_line(saving, item);
        if (saving->out.length > BATCH && !save_flush(saving, path, error))
            return false;
    }
    return save_flush(saving, path, error) && (fsync(saving->fd) == 0 || error_errno(error, errno, path, "it cannot be written"));
}

/* A new file; over one that is there only by a rename, when all is written. */
static bool save_to(Saving *saving, const LogSaveWhat *what, Error *error)
{
    struct stat st;
    char *beside = what->overwrite ? mem_format("%s.XXXXXX", what->path) : NULL;
    bool other = what->overwrite && lstat(what->path, &st) == 0 && !S_ISREG(st.st_mode);
    if (other) {
        free(beside);
        return error_set(error, ERROR_DENIED, what->path, "choose another name", "it is no plain file");
    }
    saving->fd = beside ? mkostemp(beside, O_CLOEXEC) : open(what->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (saving->fd < 0) {
        int number = errno;
        free(beside);
        if (number == EEXIST)
            return error_set(error, ERROR_CONFLICT, what->path, "choose another name", "it is there already");
        return error_errno(error, number, what->path, "it cannot be written");
    }
    bool right = save_lines(saving, what->path, error);
    close(saving->fd);
    if (right && beside && rename(beside, what->path) != 0)
        right = error_errno(error, errno, what->path, "it cannot be written");
    if (!right)
        unlink(beside ? beside : what->path);
    free(beside);
    return right;
}

bool log_save(LogView *view, const LogSaveWhat *what, const Context *context, uint64_t *lines, Error *error)
{
    Saving saving = {.view = view, .narrow = {.component = what->component}, .context = context};
    size_t count;
    if (what->filter && !(saving.narrow.patterns[0] = log_pattern_new(what->filter, error)))
        return false;
    LogSource **sources = log_view_sources(view, &count);
    saving.names = log_view_components(view) > 1 && what->component < 0;
    log_merge_init(&saving.merge);
    buffer_init(&saving.out, BUFFER_ANY);
    buffer_init(&saving.line, BUFFER_ANY);
    buffer_init(&saving.plain, BUFFER_ANY);
    if (what->filter || what->component >= 0)
        log_merge_narrow(&saving.merge, &saving.narrow);
    for (size_t i = 0; i < count; i++) {
        log_merge_add(&saving.merge, sources[i], log_view_since(view));
        log_source_drop(sources[i]);
    }
    free(sources);
    bool right = save_to(&saving, what, error);
    *lines = saving.lines;
    log_merge_done(&saving.merge);
    buffer_done(&saving.out);
    buffer_done(&saving.line);
    buffer_done(&saving.plain);
    log_pattern_free(saving.narrow.patterns[0]);
    return right;
}
