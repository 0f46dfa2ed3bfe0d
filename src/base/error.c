#include "base/error.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The contract's table (section 1), and the words of core's codes. */
static const struct {
    const char *word;
    int exit, rpc;
} table[ERROR_COUNT] = {
    [ERROR_OK] = {"ok", 0, 0},
    [ERROR_UNREACHABLE] = {"unreachable", 1, -32005},
    [ERROR_BAD_REPLY] = {"bad-reply", 1, -32005},
    [ERROR_INTERNAL] = {"internal", 1, -32603},
    [ERROR_USAGE] = {"usage", 2, -32602},
    [ERROR_PARTIAL] = {"partial", 3, 0},
    [ERROR_NOT_FOUND] = {"not-found", 4, -32002},
    [ERROR_AMBIGUOUS] = {"ambiguous", 5, 0},
    [ERROR_DENIED] = {"denied", 6, -32001},
    [ERROR_SIGN_IN] = {"sign-in", 6, -32001},
    [ERROR_ABSENT] = {"absent", 6, -32004},
    [ERROR_UNSUPPORTED] = {"unsupported", 6, -32004},
    [ERROR_CONFLICT] = {"conflict", 6, -32003},
    [ERROR_READ_ONLY] = {"read-only", 6, -32001},
    [ERROR_NOT_CONFIRMED] = {"not-confirmed", 6, 0},
    [ERROR_TIMEOUT] = {"timeout", 7, -32006},
    [ERROR_BUSY] = {"busy", 7, -32006},
    [ERROR_CANCELLED] = {"cancelled", 130, -32800},
};

static void set_part(char *part, size_t size, const char *text)
{
    Buffer clean;
    part[0] = 0;
    if (!text)
        return;
    buffer_init(&clean, BUFFER_ANY);
    text_clean(&clean, text, strlen(text), size - 1);
    memcpy(part, clean.bytes, clean.length + 1);
    buffer_done(&clean);
}

static void fill(Error *error, ErrorCode code, const char *where, const char *hint, const char *what)
{
    /* the parts may come from the very error that is filled */
    char place[sizeof error->where], words[sizeof error->what], advice[sizeof error->hint];
    set_part(place, sizeof place, where);
    set_part(words, sizeof words, what);
    set_part(advice, sizeof advice, hint);
    error->code = code;
    error->retry_after_s = 0;
    memcpy(error->where, place, sizeof place);
    memcpy(error->what, words, sizeof words);
    memcpy(error->hint, advice, sizeof advice);
}

bool error_set(Error *error, ErrorCode code, const char *where, const char *hint, const char *what, ...)
{
    char text[1024];
    if (!error)
        return false;
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    fill(error, code, where, hint, text);
    return false;
}

bool error_errno(Error *error, int number, const char *where, const char *what, ...)
{
    char text[700], all[1024], reason[128];
    if (!error)
        return false;
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
#ifdef __GLIBC__
    snprintf(all, sizeof all, "%s: %s", text, strerror_r(number, reason, sizeof reason));
#else
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    snprintf(all, sizeof all, "%s: %s", text, reason);
#endif
    ErrorCode code = number == ENOENT || number == ESRCH ? ERROR_NOT_FOUND : number == EACCES || number == EPERM ? ERROR_DENIED : ERROR_INTERNAL;
    fill(error, code, where, NULL, all);
    return false;
}

void error_at(Error *error, const char *where)
{
    char both[sizeof error->where * 2];
    if (!error || !where)
        return;
    snprintf(both, sizeof both, "%s%s%s", where, *error->where ? ": " : "", error->where);
    set_part(error->where, sizeof error->where, both);
}

const char *error_line(const Error *error, char *text, unsigned long size)
{
    const char *parts[] = {error->where, error->what, error->hint};
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < 3; i++)
        if (*parts[i] && used < size) {
            int n = snprintf(text + used, size - used, "%s%s", used ? ": " : "", parts[i]);
            used += n > 0 ? (size_t)n : 0;
        }
    if (!used)
        snprintf(text, size, "%s", error_word(error->code));
    return text;
}

const char *error_word(ErrorCode code)
{
    return code < ERROR_COUNT ? table[code].word : "internal";
}

int error_exit(ErrorCode code)
{
    return code < ERROR_COUNT ? table[code].exit : 1;
}

int error_rpc(ErrorCode code)
{
    return code < ERROR_COUNT ? table[code].rpc : table[ERROR_INTERNAL].rpc;
}

ErrorCode error_from_rpc(int rpc)
{
    static const ErrorCode first[] = {ERROR_UNREACHABLE, ERROR_INTERNAL, ERROR_USAGE,   ERROR_NOT_FOUND, ERROR_DENIED,
                                      ERROR_UNSUPPORTED, ERROR_CONFLICT, ERROR_TIMEOUT, ERROR_CANCELLED};
    if (rpc == -32601)
        return ERROR_UNSUPPORTED; /* JSON-RPC's own "no such method": not possible (contract, section 3) */
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (table[first[i]].rpc == rpc)
            return first[i];
    return ERROR_BAD_REPLY;
}
