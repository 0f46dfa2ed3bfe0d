#include "backends/common/far.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MOST = 64 << 20, ARGV_MOST = 256 << 10, SAME_CLOCK_MS = 2000 };

/* ---------------------------------------------------------------------------------------------------------------- script */

/* One line for each fact, its kind first, or as grep and ls print it; command lines, which may hold anything, come last, each behind a word that only this call knows
 * (the environment of the very `cat` that prints them). Few programs are started, whatever the number of processes: a loop of builtins finds
 * Python's, of which alone more is read. */
static const char script_text[] =
    "LC_ALL=C; export LC_ALL\n"
    "[ -r /proc/self/stat ] || exit 41\n"
    "put() { printf '%s\\n' \"$*\"; }\n"
    "read -r boot </proc/sys/kernel/random/boot_id\n"
    "read -r name </proc/sys/kernel/hostname\n"
    "me=$(id); user=${me#*(}; user=${user%%)*}; me=${me#uid=}; me=${me%%[!0-9]*}\n"
    "put \"me $me $user\"; put \"boot $boot\"; put \"name $name\"; date '+clock %s'\n"
    "grep -h -e '^btime ' -e '^[0-9]*$' /proc/stat /proc/sys/net/core/somaxconn\n"
    "grep -B1 '32 host LOCAL' /proc/net/fib_trie\n"
    "list=\n"
    "for d in /proc/[0-9]*; do\n"
    "  read -r c <$d/comm || continue\n"
    "  case $c in python*|dask*|ipython*|jupyter*|pypy*|papermill*|pt_main_thread*) [ -O $d ] && list=\"$list ${d#/proc/}\" ;; esac\n"
    "done\n"
    /* those and all above them */
    "seen=' '\n"
    "for p in $list; do\n"
    "  while [ \"$p\" -gt 1 ]; do\n"
    "    case $seen in *\" $p \"*) break ;; esac\n"
    "    read -r s </proc/$p/stat || break\n"
    "    seen=\"$seen$p \"; put \"stat $s\"; s=${s##*) }; set -- $s; p=$2\n"
    "  done\n"
    "done\n"
    "put \"mine$list\"\n"
    /* who listens; -e tells the inode */
    "socks=$(ss -Hltne)\n"
    "if [ -n \"$socks\" ]; then kind=ss\n"
    "else kind=tcp; socks=$(cat /proc/net/tcp /proc/net/tcp6 | grep -E ': [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:0000 0A '); fi\n"
    "want=\n"
    "while read -r s; do\n"
    "  [ -n \"$s\" ] || continue\n"
    "  put \"$kind $s\"\n"
    "  if [ $kind = ss ]; then i=${s##* ino:}; i=${i%% *}; case \"$s \" in *\" uid:$me \"*) ;; *' uid:'*) continue ;; *) [ $me = 0 ] || continue ;; esac\n"
    "  else set -- $s; [ \"$8\" = $me ] || continue; shift 9; i=$1; fi\n"
    "  want=\"$want -e socket:.$i.\"\n"
    "done <<DASKTOP_END\n$socks\nDASKTOP_END\n"
    "dirs=; links=; environs=; lines=; parts=\n"
    "for p in $list; do\n"
    "  dirs=\"$dirs /proc/$p/fd\"; links=\"$links /proc/$p/cwd /proc/$p/exe /proc/$p/ns/net\"; environs=\"$environs /proc/$p/environ\"\n"
    "  lines=\"$lines /proc/$p/cmdline\"; parts=\"$parts /proc/self/environ /proc/$p/cmdline\"\n"
    "done\n"
    "ls -lnd /proc/self/ns/net $links\n"
    "[ -n \"$list\" ] || exit 0\n"
    "files=$(ls -ln /proc/self/cwd $dirs | grep -e '^/proc/[0-9]*/fd:$' -e ' [12] -> /' $want)\n"
    "at=; maps=\n"
    "while read -r s; do\n"
    "  a=${s%% -> *}; a=${a##* }\n"
    "  case $s in\n"
    "    /proc/*/fd:) at=${s#/proc/}; at=${at%/fd:} ;;\n"
    "    *' -> socket:'*) put \"socket $at $a ${s##* -> }\"; case \"$maps \" in *\"/$at/\"*) ;; *) maps=\"$maps /proc/$at/maps\" ;; esac ;;\n"
    "    *' -> /dev/'*) ;;\n"
    "    *' -> /'*) case $a in 1|2) put \"output $at $a /${s#* -> /}\" ;; esac ;;\n"
    "  esac\n"
    "done <<DASKTOP_END\n$files\nDASKTOP_END\n"
    "grep -l __DASK_PARENT_PID= $environs /dev/null\n"
    "[ -z \"$maps\" ] || grep -Ho -e /_cmsgpack -e /_psutil_linux -e /tornado/speedups $maps /dev/null\n"
    /* scheduler files and kernels' own, by their command lines: read by builtins */
    "first() {\n"
    "  [ -f \"$v\" ] && while read -r l || [ -n \"$l\" ]; do\n"
    "    case $l in *\"\\\"$2\\\":\"*) l=${l#*\"\\\"$2\\\":\"}; l=${l#*\\\"}; put \"$1 $p \\\"$2\\\": \\\"${l%%\\\"*}\\\"\"; return ;; esac\n"
    "  done <\"$v\"\n"
    "  put \"$1 $p \"\n"
    "}\n"
    "known=$(grep -l -e --scheduler-file -e ipykernel $lines /dev/null); from=\n"
    "for f in $known; do from=\"$from /proc/self/environ $f\"; done\n"
    "[ -z \"$known\" ] || env -i D=@NONCE@ \"$(command -v cat)\" $from | tr '\\0' '\\n' | {\n"
    "  set -- $known\n"
    "  w=; k=\n"
    "  while read -r s; do\n"
    "    n=\n"
    "    case $s in\n"
    "      D=@NONCE@) p=${1#/proc/}; p=${p%/cmdline}; shift; w=; k=; continue ;;\n"
    "      --scheduler-file=*|-f=*|--f=*) n=${s%%=*}; v=${s#*=} ;;\n"
    "      *) [ -z \"$w\" ] || { n=$w; v=$s; } ;;\n"
    "    esac\n"
    "    case $s in --scheduler-file|-f|--f) w=$s ;; *ipykernel*) k=1; w= ;; *) w= ;; esac\n"
    "    case $n in\n"
    "      --scheduler-file) case $v in '') continue ;; /*) ;; *) v=/proc/$p/cwd/$v ;; esac; first file address ;;\n"
    "      -f|--f) [ -z \"$k\" ] || { v=${v#[\\'\\\"]}; v=${v%[\\'\\\"]}; first session jupyter_session; } ;;\n"
    "    esac\n"
    "  done\n"
    "}\n"
    "put argv\n"
    "env -i D=@NONCE@ \"$(command -v cat)\" $parts /proc/self/environ\n"
    "exit 0\n";

void far_script(const char *nonce, Buffer *out)
{
    static const char mark[] = "@NONCE@";
    const char *at = script_text;
    buffer_text(out, "{\n");
    for (const char *next; (next = strstr(at, mark)); at = next + strlen(mark)) {
        buffer_add(out, at, (size_t)(next - at));
        buffer_text(out, nonce);
    }
    buffer_text(out, at);
    buffer_text(out, "} 2>/dev/null");
}

/* --------------------------------------------------------------------------------------------------------------- parsing */

typedef struct Reader {
    Census *census;
    Computer *computer;
    List mine;          /* pids as texts */
    int64_t clock_s, boot_s;
    unsigned long somaxconn;
} Reader;

static Process *process_of(const Reader *reader, const char *pid)
{
    return processes_find(&reader->census->processes, (pid_t)strtol(pid, NULL, 10));
}

/* "/proc/PID/WHAT…" -> its process, and where WHAT begins. */
static Process *process_at(const Reader *reader, const char *path, const char **what)
{
    if (strncmp(path, "/proc/", 6) != 0)
        return NULL;
    const char *slash = strchr(path + 6, '/');
    *what = slash ? slash + 1 : "";
    return process_of(reader, path + 6);
}

static void add_process(Reader *reader, const char *text)
{
    Processes *list = &reader->census->processes;
    Process process;
    if (!process_parse_stat(text, &process) || process.state == 'Z' || process.state == 'X')
        return;
    process.seen = mem_new(sizeof *process.seen);
    process.seen->computer = reader->computer;
    process.seen->uid = (uid_t)-1;
    list->items = mem_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = process;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const Process *)a)->pid, y = ((const Process *)b)->pid;
    return x < y ? -1 : x > y;
}

/* All stats stand before this line. The same process twice would be freed twice: the first holds. */
static void take_mine(Reader *reader, char *text)
{
    Processes *list = &reader->census->processes;
    size_t kept = 0;
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_pid);
    for (size_t i = 0; i < list->count; i++) {
        if (kept && list->items[kept - 1].pid == list->items[i].pid)
            seen_free(list->items[i].seen);
        else
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
    for (char *pid; (pid = strsep(&text, " "));) {
        if (!*pid)
            continue;
        list_add(&reader->mine, pid);
        Process *process = process_of(reader, pid);
        if (process)
            process->seen->uid = reader->computer->me;
    }
}

/* "127.0.0.1:8786", "[::1]:80", "*:80", "127.0.0.53%lo:53" */
static bool parse_place(char *text, Listener *out)
{
    char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    *colon = 0;
    out->port = (int)strtol(colon + 1, NULL, 10);
    if (*text == '[') {
        text++;
        text[strcspn(text, "]")] = 0;
    }
    text[strcspn(text, "%")] = 0;
    snprintf(out->host, sizeof out->host, "%s", strcmp(text, "*") == 0 ? "::" : text);
    return out->port > 0 && out->port < 65536;
}

/* "LISTEN 0 2048 127.0.0.1:8786 0.0.0.0:* uid:1000 ino:555 sk:1 <->": a uid of 0 is left out. */
static void add_socket(Reader *reader, char *text)
{
    Listeners *list = &reader->census->listeners;
    Listener listener = {0};
    int field = 0;
    bool right = false;
    for (char *word; (word = strsep(&text, " "));) {
        if (!*word)
            continue;
        if (field == 2)
            listener.backlog = (uint32_t)strtoul(word, NULL, 10);
        else if (field == 3)
            right = parse_place(word, &listener);
        else if (strncmp(word, "uid:", 4) == 0)
            listener.uid = (uid_t)strtoul(word + 4, NULL, 10);
        else if (strncmp(word, "ino:", 4) == 0)
            listener.inode = strtoull(word + 4, NULL, 10);
        field++;
    }
    if (!right)
        return;
    list->items = mem_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = listener;
}

/* Of /proc/net/tcp or tcp6, which differ in the length of an address. */
static void add_table_line(Reader *reader, const char *text)
{
    char *table = mem_format("\n%s\n", text);
    sockets_parse_text(table, false, NULL, 0, &reader->census->listeners);
    sockets_parse_text(table, true, NULL, 0, &reader->census->listeners);
    free(table);
}

/* "PID FD socket:[INODE]": of several holders the parent, which has the lowest pid, is the one that opened it. */
static void own_socket(Reader *reader, const char *text)
{
    long pid;
    int fd;
    unsigned long long inode;
    if (sscanf(text, "%ld %d socket:[%llu]", &pid, &fd, &inode) != 3)
        return;
    for (size_t i = 0; i < reader->census->listeners.count; i++) {
        Listener *listener = &reader->census->listeners.items[i];
        if (listener->inode == inode && listener->uid == reader->computer->me && (!listener->pid || pid < listener->pid)) {
            listener->pid = (pid_t)pid;
            listener->fd = fd;
        }
    }
}

static void replace(char **field, const char *text)
{
    free(*field);
    *field = mem_text(text);
}

/* "lrwxrwxrwx 1 1000 1000 0 Nov 29 04:39 /proc/11/cwd -> /home/ada" */
static void take_link(Reader *reader, char *line)
{
    char *text = strstr(line, " /proc/"), *arrow = text ? strstr(text, " -> ") : NULL;
    const char *what;
    if (!arrow)
        return;
    text++;
    *arrow = 0;
    if (strncmp(text, "/proc/self/", 11) == 0) {
        snprintf(reader->computer->network, sizeof reader->computer->network, "%s", arrow + 4);
        return;
    }
    Process *process = process_at(reader, text, &what);
    if (process && strcmp(what, "cwd") == 0)
        replace(&process->seen->directory, arrow + 4);
    else if (process && strcmp(what, "exe") == 0)
        replace(&process->seen->program, arrow + 4);
    else if (process && strcmp(what, "ns/net") == 0)
        replace(&process->seen->network, arrow + 4);
}

static void take_output(Reader *reader, char *text)
{
    char *fd = strchr(text, ' '), *path = fd ? strchr(fd + 1, ' ') : NULL;
    Process *process = process_of(reader, text);
    size_t n = path ? strlen(path + 1) : 0;
    if (!process || !path || (n > 10 && strcmp(path + 1 + n - 10, " (deleted)") == 0))
        return;
    replace(&process->seen->outputs[fd[1] == '2'], path + 1);
}

/* `PID "name": "value"`: as JSON has it, with its escapes. */
static void take_value(Reader *reader, const char *text, const char *name, bool session)
{
    Process *process = process_of(reader, text);
    const char *pair = strchr(text, ' ');
    if (!process || !pair)
        return;
    char *object = mem_format("{%s}", pair + 1);
    cJSON *json = json_parse(object, strlen(object), "far", NULL);
    const char *value = json_text(json, name);
    if (value && *value)
        replace(session ? &process->seen->session : &process->seen->scheduler, value);
    cJSON_Delete(json);
    free(object);
}

static void take_map(Process *process, const char *what)
{
    if (strstr(what, "/_cmsgpack"))
        process->role |= 1;
    else if (strstr(what, "/_psutil_linux"))
        process->role |= 2;
    else if (strstr(what, "/tornado/speedups"))
        process->seen->has_tornado = true;
    process->seen->has_imports = (process->role & 3) == 3;
}

/* What greps found: "/proc/11/environ" has Dask's mark, "/proc/11/maps:/_cmsgpack". */
static void take_found(Reader *reader, const char *text)
{
    const char *what;
    Process *process = process_at(reader, text, &what);
    if (process && strcmp(what, "environ") == 0)
        process->seen->is_dask_child = true;
    else if (process && strncmp(what, "maps:", 5) == 0)
        take_map(process, what);
}

/* Of the kernel's table of routes: "           |-- 10.0.0.5". */
static void take_address(Reader *reader, const char *text)
{
    const char *address = strstr(text, "|-- ");
    if (address && !list_has(&reader->computer->addresses, address + 4))
        list_add(&reader->computer->addresses, address + 4);
}

static void take_me(Reader *reader, char *text)
{
    char *name = strchr(text, ' ');
    reader->computer->me = (uid_t)strtoul(text, NULL, 10);
    snprintf(reader->computer->user, sizeof reader->computer->user, "%s", name && name[1] ? name + 1 : text);
}

/* 0: no clock says that. */
static int64_t seconds_of(const char *text)
{
    long long seconds = strtoll(text, NULL, 10);
    return seconds > 0 && seconds < 100000000000 ? seconds : 0;
}

static void take_line(Reader *reader, char *line)
{
    if (*line == '/') {
        take_found(reader, line);
        return;
    }
    if (*line == ' ') {
        take_address(reader, line);
        return;
    }
    if (*line == 'l' && strncmp(line, "lrw", 3) == 0) {
        take_link(reader, line);
        return;
    }
    if (*line >= '0' && *line <= '9') {
        reader->somaxconn = strtoul(line, NULL, 10);
        return;
    }
    char *value = strchr(line, ' ');
    if (!value)
        value = line + strlen(line);
    else
        *value++ = 0;
    if (strcmp(line, "stat") == 0)
        add_process(reader, value);
    else if (strcmp(line, "ss") == 0)
        add_socket(reader, value);
    else if (strcmp(line, "tcp") == 0)
        add_table_line(reader, value);
    else if (strcmp(line, "socket") == 0)
        own_socket(reader, value);
    else if (strcmp(line, "output") == 0)
        take_output(reader, value);
    else if (strcmp(line, "file") == 0)
        take_value(reader, value, "address", false);
    else if (strcmp(line, "session") == 0)
        take_value(reader, value, "jupyter_session", true);
    else if (strcmp(line, "me") == 0)
        take_me(reader, value);
    else if (strcmp(line, "mine") == 0)
        take_mine(reader, value);
    else if (strcmp(line, "boot") == 0)
        snprintf(reader->computer->boot, sizeof reader->computer->boot, "%s", value);
    else if (strcmp(line, "name") == 0)
        snprintf(reader->computer->name, sizeof reader->computer->name, "%s", value);
    else if (strcmp(line, "clock") == 0)
        reader->clock_s = seconds_of(value);
    else if (strcmp(line, "btime") == 0)
        reader->boot_s = seconds_of(value);
}

static void take_argv(Process *process, const char *bytes, size_t n)
{
    n = n < ARGV_MOST ? n : ARGV_MOST;
    for (size_t at = 0; at < n; at += strnlen(bytes + at, n - at) + 1)
        list_take(&process->argv, mem_text_n(bytes + at, strnlen(bytes + at, n - at)));
}

/* Behind each mark one command line, in the order of "mine"; the last mark has nothing behind it and shows that all came. */
static bool take_argvs(Reader *reader, const char *at, const char *end, const char *nonce)
{
    char *mark = mem_format("D=%s", nonce);
    size_t length = strlen(mark) + 1; /* with its NUL */
    bool right = true;
    const char *from = memmem(at, (size_t)(end - at), mark, length);
    for (size_t i = 0; i < reader->mine.count && right; i++) {
        const char *to = from ? memmem(from + length, (size_t)(end - from) - length, mark, length) : NULL;
        right = to != NULL;
        Process *process = process_of(reader, reader->mine.items[i]);
        if (right && process && !process->argv.count)
            take_argv(process, from + length, (size_t)(to - from) - length);
        from = to;
    }
    free(mark);
    return right;
}

static void settle(Reader *reader, int64_t asked_ms)
{
    Computer *computer = reader->computer;
    int64_t ahead = reader->clock_s ? reader->clock_s * 1000 + 500 - asked_ms : 0;
    computer->ahead_ms = llabs(ahead) < SAME_CLOCK_MS ? 0 : ahead; /* it tells whole seconds */
    computer->ticks = 100;
    computer->boot_ms = reader->boot_s ? reader->boot_s * 1000 - computer->ahead_ms : TIME_UNKNOWN;
    computer->backlog = computer_backlog(reader->somaxconn);
    for (size_t i = 0; i < reader->census->processes.count; i++)
        reader->census->processes.items[i].role = 0; /* it was used while maps were read */
}

static void free_computer(void *own)
{
    computer_done(own);
    free(own);
}

bool far_parse(const char *bytes, size_t n, const char *nonce, int64_t asked_ms, Census *out)
{
    Reader reader = {.census = out, .computer = mem_new(sizeof *reader.computer)};
    const char *at = bytes, *end = bytes + n;
    bool whole = false, asked = false;
    *out = (Census){.computer = reader.computer, .own = reader.computer, .free_own = free_computer};
    while (at < end && !asked) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            break;
        char *line = mem_text_n(at, (size_t)(newline - at));
        at = newline + 1;
        asked = strcmp(line, "argv") == 0;
        if (!asked)
            take_line(&reader, line);
        free(line);
    }
    whole = asked ? take_argvs(&reader, at, end, nonce) : reader.mine.count == 0 && *reader.computer->boot && *reader.computer->network;
    settle(&reader, asked_ms);
    list_done(&reader.mine);
    if (!whole)
        census_done(out);
    return whole;
}

/* ------------------------------------------------------------------------------------------------------------------- call */

static bool make_nonce(char nonce[33], const char *where, Error *error)
{
    unsigned char random[16];
    if (getentropy(random, sizeof random) != 0)
        return error_set(error, ERROR_INTERNAL, where, NULL, "the system gives no random numbers");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(nonce + 2 * i, 3, "%02x", random[i]);
    return true;
}

bool far_census(Host *host, Io *io, const Context *context, Census *out, Error *error)
{
    char nonce[33];
    ChildResult result;
    Buffer script;
    if (!make_nonce(nonce, host_name(host), error))
        return false;
    buffer_init(&script, BUFFER_ANY);
    far_script(nonce, &script);
    int64_t begun = clock_wall_ms();
    bool right = host_script(host, io, context, script.bytes, ANSWER_MOST, &result, error);
    buffer_done(&script);
    if (!right)
        return false;
    if (result.status == 41)
        right = error_set(error, ERROR_UNSUPPORTED, host_name(host), NULL, "processes are only looked at on Linux");
    else if (!far_parse(result.output.bytes, result.output.length, nonce, begun + (clock_wall_ms() - begun) / 2, out))
        right = error_set(error, ERROR_BAD_REPLY, host_name(host), NULL, "its processes cannot be told from what it answered");
    child_result_done(&result);
    if (right)
        census_sort(out, false);
    return right;
}
