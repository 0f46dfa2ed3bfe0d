/* Log files of another computer: read and followed by small calls, each for all files that are followed. */
#include "backends/common/tail.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { ROUND_MS = 2000, CALL_MS = 30000, FIRST_LINE = 512, FIRST_LEAST = 64 << 10, FIRST_MOST = 8 << 20, PART_MOST = 2 << 20 };

typedef struct FarFile {
    const TailFile *file;
    int64_t at;        /* -1: not read yet */
    Buffer rest;       /* a line that has no end yet */
    bool noted;        /* that it cannot be read */
} FarFile;

typedef struct FarTail {
    Host *host;
    Io *io;
    const Context *context;
    const LogRequest *request;
    const LogSink *sink;
    FarFile *list;
    size_t count;
    bool more;         /* a file has more than was read in this round */
} FarTail;

/* `give INDEX PATH FROM MOST`: FROM -1 is the last MOST bytes. Before the bytes a line that counts them. */
static const char give_script[] =
    "give() {\n"
    "  [ -f \"$2\" ] && [ -r \"$2\" ] || { printf 'none %s\\n' $1; return 0; }\n"
    "  s=$(wc -c <\"$2\"); s=$((s)); o=$3\n"
    "  if [ $o -lt 0 ]; then o=$((s - $4)); fi\n"
    "  [ $o -ge 0 ] && [ $o -le $s ] || o=0\n"
    "  n=$((s - o)); [ $n -le $4 ] || n=$4\n"
    "  printf 'at %s %s %s %s\\n' $1 $o $n $s\n"
    "  [ $n = 0 ] || tail -c +$((o + 1)) \"$2\" | head -c $n\n"
    "  printf '\\n'\n"
    "}\n";

static int64_t first_bytes(const LogRequest *request)
{
    int64_t bytes = request->tail < 0 ? FIRST_MOST : request->tail * FIRST_LINE;
    return bytes < FIRST_LEAST ? FIRST_LEAST : bytes > FIRST_MOST ? FIRST_MOST : bytes;
}

/* Where its last lines begin. */
static size_t last_lines(const char *bytes, size_t n, int64_t lines)
{
    int64_t seen = 0;
    for (size_t i = n; i-- > 0;)
        if (bytes[i] == '\n' && i + 1 < n && ++seen >= lines)
            return i + 1;
    return 0;
}

static void take_bytes(FarTail *tail, FarFile *file, int64_t from, const char *bytes, size_t n, int64_t size)
{
    size_t skip = 0;
    if (file->at < 0 && tail->request->tail >= 0)
        skip = tail->request->tail ? last_lines(bytes, n, tail->request->tail) : n;
    else if (file->at > from && tail->sink->note)
        tail->sink->note(tail->sink->user, file->file->component, "its log was cut short: from its start again");
    file->at = from + (int64_t)n;
    tail->more = tail->more || file->at < size;
    buffer_add(&file->rest, bytes + skip, n - skip);
    tail_give_lines(&file->rest, file->file->component, tail->sink, false);
}

static void note_none(FarTail *tail, FarFile *file)
{
    if (file->noted || !tail->sink->note)
        return;
    char *text = mem_format("its log %s cannot be read on %s", file->file->path, host_name(tail->host));
    tail->sink->note(tail->sink->user, file->file->component, text);
    free(text);
    file->noted = true;
}

static void take_answer(FarTail *tail, const Buffer *answer)
{
    const char *at = answer->bytes, *end = answer->bytes + answer->length;
    size_t index;
    long long from, n, size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (sscanf(at, "none %zu", &index) == 1 && index < tail->count) {
            note_none(tail, &tail->list[index]);
            at = newline ? newline + 1 : end;
            continue;
        }
        if (!newline || sscanf(at, "at %zu %lld %lld %lld", &index, &from, &n, &size) != 4 || index >= tail->count || n < 0 || n > end - newline - 1)
            return; /* it was cut while it was read: the next round reads it again */
        take_bytes(tail, &tail->list[index], from, newline + 1, (size_t)n, size);
        at = newline + 1 + n + 1;
    }
}

static bool read_round(FarTail *tail, Error *error)
{
    Buffer script;
    ChildResult result;
    Context part = context_within(tail->context, CALL_MS);
    buffer_init(&script, BUFFER_ANY);
    buffer_format(&script, "{\n%s", give_script);
    for (size_t i = 0; i < tail->count; i++) {
        buffer_format(&script, "give %zu ", i);
        host_quote(&script, tail->list[i].file->path);
        buffer_format(&script, " %lld %lld\n", (long long)tail->list[i].at, (long long)(tail->list[i].at < 0 ? first_bytes(tail->request) : PART_MOST));
    }
    buffer_text(&script, "} 2>/dev/null");
    tail->more = false;
    bool right = host_script(tail->host, tail->io, &part, script.bytes, tail->count * FIRST_MOST + PART_MOST, &result, error);
    buffer_done(&script);
    if (!right)
        return false;
    take_answer(tail, &result.output);
    child_result_done(&result);
    return true;
}

bool tail_host_files(Host *host, const TailFile *files, size_t count, const Context *context, const LogRequest *request, const LogSink *sink,
                     bool (*alive)(void *user), void *user, Error *error)
{
    FarTail tail = {.host = host, .io = io_new(error), .context = context, .request = request, .sink = sink, .list = mem_new(count * sizeof *tail.list),
                    .count = count};
    bool right = tail.io != NULL;
    for (size_t i = 0; i < count; i++) {
        tail.list[i] = (FarFile){.file = &files[i], .at = -1};
        buffer_init(&tail.list[i].rest, 1 << 20);
    }
    for (bool go_on = right; go_on && right;) {
        go_on = request->follow && (!alive || alive(user));
        do
            right = read_round(&tail, error);
        while (right && tail.more);
        for (size_t i = 0; i < count && !go_on; i++)
            tail_give_lines(&tail.list[i].rest, files[i].component, sink, true);
        if (right && sink->caught_up)
            sink->caught_up(sink->user);
        right = right && (!go_on || io_sleep(tail.io, context, ROUND_MS, error));
    }
    for (size_t i = 0; i < count; i++)
        buffer_done(&tail.list[i].rest);
    free(tail.list);
    if (tail.io)
        io_free(tail.io);
    return right;
}
