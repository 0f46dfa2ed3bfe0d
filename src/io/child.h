/* Child processes: argument vectors, no shell, a session and so a process group of their own without our terminal, pidfd, TERM, 2 s, KILL;
 * output capped. */
#ifndef DASKTOP_IO_CHILD_H
#define DASKTOP_IO_CHILD_H

#include "base/buffer.h"
#include "base/list.h"
#include "base/secret.h"
#include "base/tree.h"
#include "io/io.h"

typedef struct ChildSpec {
    const List *command;             /* command[0] is looked up in PATH */
    const List *environment;         /* whole "NAME=value" list; NULL: ours */
    const char *directory;           /* NULL */
    const void *input;               /* written to its standard input, then closed; NULL: /dev/null */
    size_t input_length;
    bool keep_input;                 /* standard input stays open for child_write */
    size_t most_bytes;               /* of each of the two outputs where they are kept; 0: 8 MiB. More ends it with an error */
    const char *output_path;         /* both outputs go into this new file (0600) and are not read: for a child that lives on while nobody turns
                                        its Io. What it says is small; NULL: they are read. Such a child is ended by the
                                        system too, with the thread that started it, however that ends: one that lasts as long as the program */
    /* What is kept of its standard output so far, each time that more came: to be read while it prints the rest. NULL */
    void (*grew)(void *user, const char *bytes, size_t n);
    /* Streams instead of keeping; NULL: kept. */
    void (*output)(void *user, const char *bytes, size_t n);
    void (*errors)(void *user, const char *bytes, size_t n);
    /* Exactly once, unless child_end was called before; child_end is still due after it, or from within it. status as of waitpid;
     * -1 with error where what it wrote was too much. */
    void (*ended)(void *user, int status, const Error *error);
    void *user;
} ChildSpec;

typedef struct Child Child;
Child *child_start(Io *io, const ChildSpec *spec, Error *error);
/* Queued up to 8 MiB; false past it or when it is gone. n 0: its standard input is closed after what is queued. */
bool child_write(Child *child, const void *bytes, size_t n);
int child_ended_fd(const Child *child);                      /* readable once it has ended, without its Io being turned; -1: no such thing here */
const Buffer *child_kept(const Child *child, bool errors);   /* what was kept so far, until child_end */
void child_pause_output(Child *child, bool paused);          /* back pressure */
void child_end(Child *child); /* TERM to the group now; KILL after 2 s by the Io, or at io_free. NULL is allowed */

/* At the end of the program, when no other thread is waited for: TERM to the groups of all children that are left, KILL to what is
 * still there after ms. Nobody else is called; the next thing must be _exit. */
void child_end_all(int ms);

typedef struct ChildResult {
    int status; /* exit status; 128 + signal */
    Buffer output, errors;
} ChildResult;
void child_result_done(ChildResult *result);
/* Runs it to its end; of the spec's functions only grew is called. False where it could not run, flooded or the context ended; a status other
 * than 0 is the caller's. */
bool child_run(Io *io, const Context *context, const ChildSpec *spec, ChildResult *result, Error *error);

/* A process that outlives us: setsid, stdin /dev/null, both outputs appended to log_path (0600). Returns its pid, -1 with error. */
int child_detach(const List *command, const List *environment, const char *directory, const char *log_path, Error *error);

/* A config value {env: N}, {file: P}, {command: […]} or plain text, resolved. */
Secret *child_secret(Io *io, const Context *context, const Tree *tree, const char *where, Error *error);

#endif
