#include "backends/common/host_inside.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUTPUT_MOST = 8 << 20, NOISE_MOST = 1 << 20, NONCE = 24, LOOK_MOST = 1 << 16, LOOK_MS = 60000 };

Host *host_here(void)
{
    char name[256];
    Host *host = mem_new(sizeof *host);
    host->references = 1;
    host->here = true;
    host->master_fd = -1;
    host->name = mem_text(file_host_name(name));
    return host;
}

Host *host_keep(Host *host)
{
    atomic_fetch_add(&host->references, 1);
    return host;
}

void host_drop(Host *host)
{
    if (!host || atomic_fetch_sub(&host->references, 1) != 1)
        return;
    if (!host->here) {
        host_ways_done(host);
        map_done(&host->programs, NULL);
        pthread_mutex_destroy(&host->lock);
    }
    list_done(&host->options);
    char *texts[] = {host->name, host->where, host->destination, host->directory, host->control, host->user, host->node};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    free(host);
}

bool host_is_here(const Host *host)
{
    return host->here;
}

const char *host_name(const Host *host)
{
    return host->name;
}

const Way *host_way(Host *host)
{
    return host->here ? NULL : &host->way;
}

/* -------------------------------------------------------------------------------------------------------------- quoting */

/* Always in single quotes: inside them a POSIX shell knows no special byte but the closing quote. */
void host_quote(Buffer *out, const char *word)
{
    buffer_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buffer_text(out, "'\\''");
        else
            buffer_char(out, *word);
    }
    buffer_char(out, '\'');
}

/* -------------------------------------------------------------------------------------------------------------- framing */

/* A word that nothing else on the way can have printed. */
static bool make_nonce(char nonce[NONCE + 1], Error *error)
{
    unsigned char random[NONCE / 2];
    if (getentropy(random, sizeof random) != 0)
        return error_set(error, ERROR_INTERNAL, NULL, NULL, "the system gives no random numbers");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(nonce + 2 * i, 3, "%02x", random[i]);
    return true;
}

/* The shell reads the whole of a function before it runs any of it: what was cut on the way does nothing. */
static char *frame_script(const char *script, const char *nonce)
{
    return mem_format("dasktop_part() {\n%s\n}\nprintf '%%s\\n' 'begin %s'\nprintf '%%s\\n' 'begin %s' >&2\n"
                      "( dasktop_part ) </dev/null\nprintf '\\n%%s %%s\\n' 'end %s' \"$?\"\nexit 0\n",
                      script, nonce, nonce, nonce);
}

/* Behind the line "begin NONCE"; NULL: it is not there. */
static char *after_begin(Buffer *text, const char *nonce)
{
    char *mark = mem_format("begin %s\n", nonce);
    char *found = memmem(text->bytes, text->length, mark, strlen(mark));
    char *after = found ? found + strlen(mark) : NULL;
    free(mark);
    return after;
}

static bool take_status(char *body, size_t *n, const char *nonce, int *status)
{
    char *mark = mem_format("\nend %s ", nonce), *found = NULL;
    size_t length = strlen(mark);
    for (char *at = body; (at = memmem(at, *n - (size_t)(at - body), mark, length)); at += length)
        found = at;
    free(mark);
    if (!found)
        return false;
    *status = (int)strtol(found + length, NULL, 10);
    *n = (size_t)(found - body);
    return true;
}

static void last_line(const char *text, char out[200])
{
    size_t n = strlen(text);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    size_t start = n;
    while (start && text[start - 1] != '\n')
        start--;
    snprintf(out, 200, "%.*s", (int)(n - start), text + start);
}

/* Leaves in result what lies between the marks. */
static bool unframe(Host *host, ChildResult *result, const char *nonce, Error *error)
{
    char said[200];
    char *body = after_begin(&result->output, nonce);
    if (!body) {
        last_line(result->errors.length ? result->errors.bytes : result->output.bytes, said);
        if (result->status == 255)
            host_ssh_error(result->errors.bytes, result->status, host->where, host->name, error);
        else
            error_set(error, ERROR_BAD_REPLY, host->where, "ssh there must be able to run commands", "%s: its login shell runs no command%s%s",
                      host->name, *said ? ": " : "", said);
        return false;
    }
    size_t n = result->output.length - (size_t)(body - result->output.bytes);
    if (!take_status(body, &n, nonce, &result->status))
        return error_set(error, ERROR_UNREACHABLE, host->where, NULL, "%s: the connection was cut in the middle of an answer", host->name);
    buffer_cut_front(&result->output, (size_t)(body - result->output.bytes));
    result->output.length = n;
    result->output.bytes[n] = 0;
    char *errors = after_begin(&result->errors, nonce);
    if (errors)
        buffer_cut_front(&result->errors, (size_t)(errors - result->errors.bytes));
    return true;
}

bool host_script(Host *host, Io *io, const Context *context, const char *script, size_t most_bytes, ChildResult *result, Error *error)
{
    /* whatever the login shell is, it can run this; bash, csh and fish read their own files first and may print */
    static const char *const there[] = {"exec sh -s", NULL}, *const here[] = {"sh", "-s"};
    char nonce[NONCE + 1];
    *result = (ChildResult){0};
    if (!make_nonce(nonce, error))
        return false;
    char *framed = frame_script(script, nonce);
    size_t most = (most_bytes ? most_bytes : OUTPUT_MOST) + NOISE_MOST;
    bool right;
    if (host->here) {
        List command = {0};
        list_add(&command, here[0]);
        list_add(&command, here[1]);
        ChildSpec spec = {.command = &command, .input = framed, .input_length = strlen(framed), .most_bytes = most};
        right = child_run(io, context, &spec, result, error);
        list_done(&command);
    } else {
        right = host_ssh_run(host, io, context, there, framed, most, result, error);
    }
    free(framed);
    right = right && unframe(host, result, nonce, error);
    if (!right)
        child_result_done(result);
    return right;
}

/* -------------------------------------------------------------------------------------------------------------- commands */

extern char **environ;

void host_environment(const List *variables, List *out)
{
    for (char **one = environ; *one; one++) {
        size_t n = strcspn(*one, "=") + 1;
        bool replaced = false;
        for (size_t i = 0; i < variables->count && !replaced; i++)
            replaced = strncmp(*one, variables->items[i], n) == 0;
        if (!replaced)
            list_add(out, *one);
    }
    for (size_t i = 0; i < variables->count; i++)
        list_add(out, variables->items[i]);
}

static bool run_here(Io *io, const Context *context, const HostCommand *command, ChildResult *result, Error *error)
{
    List environment = {0};
    ChildSpec spec = {.command = command->command, .input = command->input, .input_length = command->input ? strlen(command->input) : 0,
                      .most_bytes = command->most_bytes};
    if (command->variables && command->variables->count) {
        host_environment(command->variables, &environment);
        spec.environment = &environment;
    }
    bool right = child_run(io, context, &spec, result, error);
    list_done(&environment);
    return right;
}

static void put_words(Buffer *script, const List *words)
{
    for (size_t i = 0; words && i < words->count; i++) {
        buffer_char(script, ' ');
        host_quote(script, words->items[i]);
    }
}

bool host_run(Host *host, Io *io, const Context *context, const HostCommand *command, ChildResult *result, Error *error)
{
    if (host->here)
        return run_here(io, context, command, result, error);
    Buffer script;
    buffer_init(&script, BUFFER_ANY);
    if (command->input) {
        buffer_text(&script, "printf %s ");
        host_quote(&script, command->input);
        buffer_text(&script, " | ");
    }
    buffer_text(&script, "env"); /* also where a name is a shell's own word */
    put_words(&script, command->variables);
    put_words(&script, command->command);
    bool right = host_script(host, io, context, script.bytes, command->most_bytes, result, error);
    buffer_done(&script);
    if (right && (result->status == 127 || result->status == 126)) {
        error_set(error, ERROR_NOT_FOUND, host->where, NULL, "%s: no such program on %s", command->command->items[0], host->name);
        child_result_done(result);
        return false;
    }
    return right;
}

bool host_read(Host *host, Io *io, const Context *context, const char *path, Buffer *out, Error *error)
{
    if (host->here)
        return file_read(path, out, error);
    ChildResult result;
    Buffer script;
    buffer_init(&script, BUFFER_ANY);
    buffer_text(&script, "f=");
    host_quote(&script, path);
    buffer_text(&script, "\n[ -e \"$f\" ] || exit 44\n[ -f \"$f\" ] && [ -r \"$f\" ] || exit 43\ncat <\"$f\"");
    bool right = host_script(host, io, context, script.bytes, out->maximum, &result, error);
    buffer_done(&script);
    if (!right)
        return false;
    if (result.status == 44)
        right = error_set(error, ERROR_NOT_FOUND, host->where, NULL, "%s: no such file on %s", path, host->name);
    else if (result.status)
        right = error_set(error, ERROR_DENIED, host->where, NULL, "%s on %s cannot be read", path, host->name);
    else if (!buffer_add(out, result.output.bytes, result.output.length))
        right = error_set(error, ERROR_BAD_REPLY, host->where, NULL, "%s on %s is too large", path, host->name);
    child_result_done(&result);
    return right;
}

/* --------------------------------------------------------------------------------------------------------------- looking */

static bool all_looked_for(Host *host, const List *programs)
{
    bool all = true;
    pthread_mutex_lock(&host->lock);
    for (size_t i = 0; i < programs->count; i++)
        all = all && map_has(&host->programs, programs->items[i]);
    all = all && host->user && host->node;
    pthread_mutex_unlock(&host->lock);
    return all;
}

/* A line each: the user, its own name, then what was found. */
static bool take_look(Host *host, const List *programs, char *text, Error *error)
{
    List lines = {0};
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            list_add(&lines, line);
    bool right = lines.count > 1;
    pthread_mutex_lock(&host->lock);
    if (right && !host->user) {
        host->user = mem_text(lines.items[0]);
        host->node = mem_text(lines.items[1] + strlen("node "));
    }
    for (size_t i = 0; right && i < programs->count; i++)
        map_put(&host->programs, programs->items[i], list_has(&lines, programs->items[i]) ? host : NULL);
    pthread_mutex_unlock(&host->lock);
    list_done(&lines);
    return right || error_set(error, ERROR_BAD_REPLY, host->where, NULL, "%s: it does not say who we are there", host->name);
}

/* Another dasktop has just asked the same through the same connection: its answer lies beside the connection's socket, where nobody else writes. */
static bool take_kept_look(Host *host, const List *programs, const char *path)
{
    struct stat st;
    Buffer text;
    bool young = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000 < LOOK_MS;
    if (!young || !host_is_connected_since(host, path))
        return false;
    buffer_init(&text, LOOK_MOST);
    bool right = file_read_at(AT_FDCWD, path, &text) && take_look(host, programs, text.bytes, NULL);
    buffer_done(&text);
    return right;
}

bool host_look(Host *host, Io *io, const Context *context, const List *programs, Error *error)
{
    ChildResult result;
    Buffer script;
    if (all_looked_for(host, programs))
        return true;
    buffer_init(&script, BUFFER_ANY);
    buffer_text(&script, "id -un || id -u\nread -r n </proc/sys/kernel/hostname || n=$(uname -n)\nprintf 'node %s\\n' \"$n\"");
    for (size_t i = 0; i < programs->count; i++) {
        buffer_text(&script, "\ncommand -v ");
        host_quote(&script, programs->items[i]);
        buffer_text(&script, " >/dev/null 2>&1 && printf '%s\\n' ");
        host_quote(&script, programs->items[i]);
    }
    char *path = host->here ? NULL : mem_format("%s/l%016llx", host->directory, (unsigned long long)hash_text(script.bytes) ^ hash_text(host->control));
    bool kept = path && take_kept_look(host, programs, path), right = kept || host_script(host, io, context, script.bytes, LOOK_MOST, &result, error);
    buffer_done(&script);
    if (right && !kept) {
        if (path)
            file_replace_cache(path, result.output.bytes, result.output.length);
        right = take_look(host, programs, result.output.bytes, error);
        child_result_done(&result);
    }
    free(path);
    return right;
}

const char *host_user(Host *host)
{
    pthread_mutex_lock(&host->lock);
    const char *user = host->user;
    pthread_mutex_unlock(&host->lock);
    return user;
}

const char *host_node(Host *host)
{
    if (host->here)
        return host->name;
    pthread_mutex_lock(&host->lock);
    const char *node = host->node;
    pthread_mutex_unlock(&host->lock);
    return node;
}

bool host_has(Host *host, const char *program)
{
    pthread_mutex_lock(&host->lock);
    bool has = map_get(&host->programs, program) != NULL;
    pthread_mutex_unlock(&host->lock);
    return has;
}

/* ----------------------------------------------------------------------------------------------------------------- ports */

/* bash and Python connect by themselves; both tell a refusal from everything else. All at once, each for 3 s at most. */
static const char refused_script[] =
    "own=$({ hostname; hostname -s; hostname -f; hostname -I | tr ' ' '\n'; } 2>/dev/null; printf '%s\n' localhost 127.0.0.1 ::1)\n"
    "read -r node </proc/sys/kernel/hostname || node=$(uname -n)\n"
    "try() {\n"
    "  case $2 in localhost|127.*|::1) [ -z \"$want\" ] || [ \"$node\" = \"$want\" ] || return 0 ;; esac\n"
    "  if command -v bash >/dev/null 2>&1; then said=$(LC_ALL=C timeout 3 bash -c 'exec 3<>\"/dev/tcp/$1/$2\"' bash \"$2\" \"$3\" 2>&1)\n"
    "  else said=$(timeout 3 python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)' \"$2\" \"$3\" 2>&1); fi\n"
    "  case $said in *'Connection refused'*|*'Errno 111'*) ;; *) return 0 ;; esac\n"
    "  if printf '%s\n' \"$own\" | grep -qxF -e \"$2\"; then printf 'itself %s\n' \"$1\"; else printf 'refused %s\n' \"$1\"; fi\n"
    "}\n";

bool host_ask_refused(Host *host, Io *io, const Context *context, const HostPort *ports, size_t count, HostSays *says, Error *error)
{
    ChildResult result;
    Buffer script;
    memset(says, 0, count * sizeof *says);
    buffer_init(&script, BUFFER_ANY);
    buffer_text(&script, "want=");
    host_quote(&script, host_node(host) ? host_node(host) : "");
    buffer_char(&script, '\n');
    buffer_text(&script, refused_script);
    for (size_t i = 0; i < count; i++) {
        buffer_format(&script, "try %zu ", i);
        host_quote(&script, ports[i].host);
        buffer_format(&script, " %d &\n", ports[i].port);
    }
    buffer_text(&script, "wait");
    bool right = host_script(host, io, context, script.bytes, 0, &result, error);
    buffer_done(&script);
    if (!right)
        return false;
    char *rest = result.output.bytes;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *number = strchr(line, ' ');
        size_t index = number ? strtoul(number + 1, NULL, 10) : count;
        if (index < count)
            says[index] = *line == 'i' ? HOST_ITSELF_REFUSES : HOST_REFUSES;
    }
    child_result_done(&result);
    return true;
}
