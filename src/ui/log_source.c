#include "ui/log_source.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* TAIL: bytes of a spool that are not in its file yet; one line fits for certain. MARK: a file's first bytes, to know it by. */
enum { TAIL_BYTES = 2 << 20, TEXT_MOST = TAIL_BYTES - LOG_HEADER - 1, MEMORY_BYTES = 16 << 20, LEVELS = 62, MARK = 64,
       FLAG_NOTE = 1, FLAG_TIME = 2, FLAG_SORT = 4 };

struct LogSource {
    atomic_int holders;
    int fd;
    bool is_spool;
    char *path;
    int component;
    pthread_mutex_t lock;         /* guards all below */
    uint64_t first, end, dropped;
    int64_t changed_ms;
    char mark[MARK];              /* file */
    size_t marked;
    uint64_t most;                /* spool: bytes of the ring, a multiple of LOG_BLOCK */
    uint64_t flushed;             /* what is before lies in the file, what is behind in tail */
    char *tail;
    uint64_t *block_first, *block_lines; /* of each block of the ring: its first line's offset and number */
    uint64_t blocks;              /* [first / LOG_BLOCK, blocks) are known */
    uint64_t lines;
    int64_t sort_ms;              /* of the line that was added last */
    char levels[LEVELS][LOG_LEVEL];
    int level_count;
};

static LogSource *source_new(int fd)
{
    LogSource *source = mem_new(sizeof *source);
    atomic_init(&source->holders, 1);
    source->fd = fd;
    source->changed_ms = source->sort_ms = TIME_UNKNOWN;
    pthread_mutex_init(&source->lock, NULL);
    return source;
}

LogSource *log_source_keep(LogSource *source)
{
    atomic_fetch_add(&source->holders, 1);
    return source;
}

void log_source_drop(LogSource *source)
{
    if (!source || atomic_fetch_sub(&source->holders, 1) != 1)
        return;
    if (source->fd >= 0)
        close(source->fd);
    pthread_mutex_destroy(&source->lock);
    free(source->path);
    free(source->tail);
    free(source->block_first);
    free(source->block_lines);
    free(source);
}

static size_t source_pread(int fd, char *out, size_t n, uint64_t at)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(fd, out + have, n - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    return have;
}

/* --------------------------------------------------------------------------------------------------------------- a file */

LogSource *log_source_file(int fd, const char *path, int component, Error *error)
{
    struct stat st;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0 || fstat(own, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_errno(error, own < 0 ? errno : EINVAL, path, "it cannot be read");
        if (own >= 0)
            close(own);
        return NULL;
    }
    LogSource *source = source_new(own);
    source->path = mem_text(path);
    source->component = component;
    log_source_look(source);
    return source;
}

LogChange log_source_look(LogSource *source)
{
    struct stat st;
    char mark[MARK];
    if (source->is_spool || fstat(source->fd, &st) != 0)
        return LOG_SAME;
    uint64_t size = (uint64_t)st.st_size;
    int64_t changed_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    LogChange change = LOG_SAME;
    pthread_mutex_lock(&source->lock);
    if (size != source->end || changed_ms != source->changed_ms) {
        size_t marked = source_pread(source->fd, mark, MARK, 0);
        bool same = size >= source->end && marked >= source->marked && memcmp(mark, source->mark, source->marked) == 0;
        change = !same ? LOG_REPLACED : size > source->end ? LOG_GREW : LOG_SAME;
        memcpy(source->mark, mark, marked);
        source->marked = marked;
        source->end = size;
        source->changed_ms = changed_ms;
    }
    pthread_mutex_unlock(&source->lock);
    return change;
}

int log_source_rotated(LogSource *source)
{
    struct stat mine, there;
    if (!source->path || fstat(source->fd, &mine) != 0)
        return -1;
    int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    if (fstat(fd, &there) == 0 && S_ISREG(there.st_mode) && (there.st_ino != mine.st_ino || there.st_dev != mine.st_dev))
        return fd;
    close(fd);
    return -1;
}

/* -------------------------------------------------------------------------------------------------------------- a spool */

static int spool_in(char *directory)
{
    int fd = -1;
    if (directory && file_make_directory(directory, NULL)) {
        fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) { /* a file system that knows no nameless files */
            char *name = file_join(directory, "log.XXXXXX");
            fd = mkostemp(name, O_CLOEXEC);
            if (fd >= 0)
                unlink(name);
            free(name);
        }
    }
    free(directory);
    return fd;
}

LogSource *log_source_spool(size_t most_bytes, Error *error)
{
    int fd = spool_in(file_cache_home());
    if (fd < 0)
        fd = spool_in(file_state_home());
    if (fd < 0)
        fd = spool_in(mem_text("/tmp"));
    if (fd < 0) {
        fd = memfd_create("log", MFD_CLOEXEC);
        most_bytes = most_bytes < MEMORY_BYTES ? most_bytes : MEMORY_BYTES;
    }
    if (fd < 0) {
        error_errno(error, errno, "log", "there is no place for its lines");
        return NULL;
    }
    LogSource *source = source_new(fd);
    source->is_spool = true;
    source->most = (most_bytes / LOG_BLOCK + TAIL_BYTES / LOG_BLOCK + 4) * LOG_BLOCK;
    source->tail = mem_new(TAIL_BYTES);
    source->block_first = mem_new(source->most / LOG_BLOCK * sizeof *source->block_first);
    source->block_lines = mem_new(source->most / LOG_BLOCK * sizeof *source->block_lines);
    return source;
}

static uint64_t spool_slot(const LogSource *source, uint64_t block)
{
    return block % (source->most / LOG_BLOCK);
}

static bool spool_put(LogSource *source, uint64_t at, const char *bytes, size_t n)
{
    while (n) {
        uint64_t place = at % source->most;
        size_t part = source->most - place < n ? (size_t)(source->most - place) : n;
        ssize_t put = pwrite(source->fd, bytes, part, (off_t)place);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        at += (uint64_t)put;
        bytes += put;
        n -= (size_t)put;
    }
    return true;
}

/* Whole blocks go, so that what is counted per block stays right. */
static void spool_make_room(LogSource *source, uint64_t end)
{
    while (end - source->first / LOG_BLOCK * LOG_BLOCK > source->most && source->first / LOG_BLOCK + 1 < source->blocks) {
        uint64_t next = spool_slot(source, source->first / LOG_BLOCK + 1);
        source->first = source->block_first[next];
        source->dropped = source->block_lines[next];
    }
}

/* Where the disk is full all that is there goes: lines are lost, and counted, but new ones are shown. */
static void spool_flush(LogSource *source)
{
    if (!spool_put(source, source->flushed, source->tail, source->end - source->flushed)) {
        source->first = source->end;
        source->dropped = source->lines;
        source->blocks = source->end / LOG_BLOCK; /* the line that comes begins this block anew */
    }
    source->flushed = source->end;
}

static void spool_digits(char *out, uint64_t value, int count)
{
    for (int i = count; i-- > 0; value >>= 6)
        out[i] = (char)(0x80 | (value & 63)); /* no UTF-8 and no ASCII: no pattern fits it */
}

static uint64_t spool_number(const char *in, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 6 | ((unsigned char)in[i] & 63);
    return value;
}

static int spool_level(LogSource *source, const char *level)
{
    for (int i = 0; level && i < source->level_count; i++)
        if (strcmp(source->levels[i], level) == 0)
            return i + 1;
    if (!level || source->level_count == LEVELS)
        return 0;
    snprintf(source->levels[source->level_count++], LOG_LEVEL, "%s", level);
    return source->level_count;
}

void log_source_add(LogSource *source, int component, const LogLine *line)
{
    size_t n = line->raw_length < TEXT_MOST ? line->raw_length : TEXT_MOST, whole = LOG_HEADER + n + 1;
    int flags = (line->note ? FLAG_NOTE : 0) | (line->time_ms != TIME_UNKNOWN ? FLAG_TIME : 0);
    pthread_mutex_lock(&source->lock);
    if (line->sort_ms != TIME_UNKNOWN && line->sort_ms > source->sort_ms)
        source->sort_ms = line->sort_ms;
    int64_t stamp = flags & FLAG_TIME ? line->time_ms : source->sort_ms;
    flags |= stamp != TIME_UNKNOWN ? FLAG_SORT : 0;
    if (source->end + whole - source->flushed > TAIL_BYTES)
        spool_flush(source);
    spool_make_room(source, source->end + whole);
    for (; source->blocks <= source->end / LOG_BLOCK; source->blocks++) { /* a long line before this one may fill blocks */
        source->block_first[spool_slot(source, source->blocks)] = source->end;
        source->block_lines[spool_slot(source, source->blocks)] = source->lines;
    }
    char *out = source->tail + (source->end - source->flushed);
    spool_digits(out, (uint64_t)(stamp == TIME_UNKNOWN ? 0 : stamp), 11);
    spool_digits(out + 11, (uint64_t)component, 4);
    spool_digits(out + 15, (uint64_t)flags, 1);
    spool_digits(out + 16, (uint64_t)spool_level(source, line->level), 1);
    out[17] = ' ';
    if (n)
        memcpy(out + LOG_HEADER, line->raw, n);
    for (char *at = out + LOG_HEADER; (at = memchr(at, '\n', (size_t)(out + LOG_HEADER + n - at))); at++)
        *at = '\r'; /* it would be two lines; both are shown as marks */
    if (n < line->raw_length)
        memcpy(out + LOG_HEADER + n - 3, "…", 3);
    out[LOG_HEADER + n] = '\n';
    source->end += whole;
    source->lines++;
    pthread_mutex_unlock(&source->lock);
}

void log_source_head(LogSource *source, const char *line, LogHead *head)
{
    int flags = (int)spool_number(line + 15, 1), level = (int)spool_number(line + 16, 1);
    int64_t stamp = (int64_t)spool_number(line, 11);
    *head = (LogHead){.component = (int)spool_number(line + 11, 4), .note = flags & FLAG_NOTE};
    head->sort_ms = flags & FLAG_SORT ? stamp : TIME_UNKNOWN;
    head->time_ms = flags & FLAG_TIME ? stamp : TIME_UNKNOWN;
    pthread_mutex_lock(&source->lock);
    if (level > 0 && level <= source->level_count)
        memcpy(head->level, source->levels[level - 1], LOG_LEVEL);
    pthread_mutex_unlock(&source->lock);
}

/* ---------------------------------------------------------------------------------------------------------------- both */

bool log_source_is_spool(const LogSource *source)
{
    return source->is_spool;
}

int log_source_fd(const LogSource *source)
{
    return source->fd;
}

const char *log_source_path(const LogSource *source)
{
    return source->path;
}

int log_source_component(const LogSource *source)
{
    return source->component;
}

static uint64_t source_number(LogSource *source, const uint64_t *number)
{
    pthread_mutex_lock(&source->lock);
    uint64_t value = *number;
    pthread_mutex_unlock(&source->lock);
    return value;
}

int64_t log_source_changed_ms(LogSource *source)
{
    pthread_mutex_lock(&source->lock);
    int64_t value = source->changed_ms;
    pthread_mutex_unlock(&source->lock);
    return value;
}

uint64_t log_source_first(LogSource *source)
{
    return source_number(source, &source->first);
}

uint64_t log_source_end(LogSource *source)
{
    return source_number(source, &source->end);
}

uint64_t log_source_dropped(LogSource *source)
{
    return source_number(source, &source->dropped);
}

static size_t spool_get(LogSource *source, uint64_t at, char *out, size_t n)
{
    size_t have = 0;
    while (have < n) {
        uint64_t place = (at + have) % source->most;
        size_t part = source->most - place < n - have ? (size_t)(source->most - place) : n - have;
        size_t got = source_pread(source->fd, out + have, part, place);
        have += got;
        if (got < part)
            break;
    }
    return have;
}

size_t log_source_read(LogSource *source, uint64_t at, char *out, size_t n)
{
    pthread_mutex_lock(&source->lock);
    if (at < source->first || at >= source->end) {
        pthread_mutex_unlock(&source->lock);
        return 0;
    }
    n = source->end - at < n ? (size_t)(source->end - at) : n;
    if (!source->is_spool) {
        pthread_mutex_unlock(&source->lock);
        return source_pread(source->fd, out, n, at);
    }
    size_t old = at >= source->flushed ? 0 : source->flushed - at < n ? (size_t)(source->flushed - at) : n;
    memcpy(out + old, source->tail + (at + old - source->flushed), n - old);
    pthread_mutex_unlock(&source->lock);
    size_t have = old ? spool_get(source, at, out, old) : 0;
    if (log_source_first(source) > at) /* overwritten while it was read */
        return 0;
    return have < old ? have : n;
}
