/* The one error value: a code, where it happened, what happened, what to do.
 *
 * Convention of the whole program: a function that can fail takes `Error *error` last and returns bool, false with the
 * error filled. On false the outputs are left empty. The error may be NULL where the caller does not care.
 * Codes, exit statuses and JSON-RPC numbers are the contract's table (section 1). Values are copied, nothing is owned. */
#ifndef DASKTOP_BASE_ERROR_H
#define DASKTOP_BASE_ERROR_H

#include <stdbool.h>

typedef enum ErrorCode {
    ERROR_OK,
    ERROR_UNREACHABLE, /* refused, no route, no such host */
    ERROR_BAD_REPLY,   /* answered, but not what was agreed */
    ERROR_INTERNAL,    /* our own fault, or the machine's (no memory, no descriptors) */
    ERROR_USAGE,       /* wrong arguments or config */
    ERROR_PARTIAL,     /* done in part; for a discovery: what came is right, what did not come is not gone */
    ERROR_NOT_FOUND,
    ERROR_AMBIGUOUS,
    ERROR_DENIED,      /* the system says no */
    ERROR_SIGN_IN,     /* the system would have to prompt: backend state "needs sign-in"; else as denied */
    ERROR_ABSENT,      /* not installed or not configured: backend state "absent"; else as unsupported */
    ERROR_UNSUPPORTED, /* not possible for this kind of cluster */
    ERROR_CONFLICT,    /* changed since it was seen */
    ERROR_READ_ONLY,
    ERROR_NOT_CONFIRMED,
    ERROR_TIMEOUT,
    ERROR_BUSY,        /* retry later: see retry_after_s */
    ERROR_CANCELLED,
    ERROR_COUNT
} ErrorCode;

typedef struct Error {
    ErrorCode code;
    int retry_after_s; /* 0: not said */
    char where[256];    /* "local", "prod/kind-dev", "~/.config/dask/dasktop.yaml:3:5" */
    char what[320];
    char hint[224]; /* what to do; may be empty */
} Error;

/* Fills error (which may be NULL) and returns false, so that `return error_set(...)` reads well. Every part passes the
 * sanitiser (base/text.h) and is cut to its size at a character; where or hint may be NULL. `what` is a printf format. */
bool error_set(Error *error, ErrorCode code, const char *where, const char *hint, const char *what, ...)
    __attribute__((format(printf, 5, 6)));

/* The same from errno: "what: No such file or directory", ENOENT -> not-found, EACCES and EPERM -> denied, else internal. */
bool error_errno(Error *error, int number, const char *where, const char *what, ...) __attribute__((format(printf, 4, 5)));

/* Puts another place in front: callers know better where they are than those whom they call. */
void error_at(Error *error, const char *where);

/* "WHERE: WHAT HAPPENED: WHAT TO DO", empty parts left out; the line of the contract without the program's name.
 * size should be ERROR_LINE. Returns text. */
enum { ERROR_LINE = 816 };
const char *error_line(const Error *error, char *text, unsigned long size);

/* The contract's words ("not-found"), exit statuses (4) and JSON-RPC codes (-32002; 0 where the table has none). */
const char *error_word(ErrorCode code);
int error_exit(ErrorCode code);
int error_rpc(ErrorCode code);
ErrorCode error_from_rpc(int rpc);

#endif
