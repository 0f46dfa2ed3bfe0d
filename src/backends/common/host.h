/* A computer on which argument vectors run and files are read: this one, or another one through the system's ssh. What asks a system by
 * its command-line clients asks through a Host, so that it works there as it does here.
 *
 * Through ssh nothing is installed on the other side: a POSIX sh reads a script from its standard input, whose answer is framed, so that
 * what login shells print before it does no harm. One connection is kept open for all calls (OpenSSH's ControlMaster, on a socket in a
 * directory of ours), for a minute after the last. It never asks for a password: where ssh would, the call fails with ERROR_SIGN_IN.
 *
 * Counted; any thread, each call with an Io of its caller's. */
#ifndef DASKTOP_BACKENDS_COMMON_HOST_H
#define DASKTOP_BACKENDS_COMMON_HOST_H

#include "io/child.h"
#include "io/stream.h"

typedef struct Host Host;

typedef struct HostSsh {
    const char *where;        /* the config key, for errors */
    const char *host;         /* as ssh takes it: a name, an address, an alias of ~/.ssh/config */
    const char *user;         /* NULL: ssh's own choice */
    int port;                 /* 0 */
    const char *identity;     /* a key file; NULL */
    const List *options;      /* more arguments for ssh: "-J", "bastion"; "ProxyJump=bastion" stands for -o; NULL */
} HostSsh;

/* What ssh or a shell would take for more than a word is no host's and no user's name. */
bool host_is_name(const char *text);
Host *host_here(void);
/* Connects to nobody yet. ERROR_USAGE: no host for ssh. */
Host *host_ssh(const HostSsh *ssh, Error *error);
Host *host_keep(Host *host);
void host_drop(Host *host); /* NULL is allowed */
bool host_is_here(const Host *host);
const char *host_name(const Host *host); /* "login.example.org"; of this one: its name */

/* Who we are there, what it calls itself, and which of these programs are in its PATH; all is remembered, so that what is known costs no call. */
bool host_look(Host *host, Io *io, const Context *context, const List *programs, Error *error);
const char *host_user(Host *host);                      /* NULL before the first look; valid as long as the host */
const char *host_node(Host *host);                      /* "login1", whatever name led there; as host_user */
bool host_has(Host *host, const char *program);         /* of those that were looked for */

typedef struct HostCommand {
    const List *command;
    const List *variables;    /* "NAME=value" on top of the environment that is there: "LC_ALL=C"; NULL */
    const char *input;        /* text for its standard input; NULL: empty */
    size_t most_bytes;        /* of each output; 0: 8 MiB */
} HostCommand;
/* Runs it there to its end; as child_run. A status other than 0 is the caller's, ssh's own failures are errors:
 * ERROR_SIGN_IN, ERROR_DENIED (its host key has changed), ERROR_UNREACHABLE, ERROR_TIMEOUT. */
bool host_run(Host *host, Io *io, const Context *context, const HostCommand *command, ChildResult *result, Error *error);
/* Adds the file, of at most the buffer's maximum. ERROR_NOT_FOUND, ERROR_DENIED. */
bool host_read(Host *host, Io *io, const Context *context, const char *path, Buffer *out, Error *error);
/* A script for a POSIX sh, whose standard output becomes result->output. Every value in it was written by host_quote. Not for
 * what host_run can do. Nothing of it runs where it does not arrive as a whole. */
bool host_script(Host *host, Io *io, const Context *context, const char *script, size_t most_bytes, ChildResult *result, Error *error);
/* One word for a POSIX shell, whatever bytes it has: the one place where that is done. */
void host_quote(Buffer *out, const char *word);

/* How streams and HTTP get to ports as they are seen from there; NULL: directly. Sockets in a directory that nobody else may enter lead
 * through the one connection. Valid as long as the host. */
const Way *host_way(Host *host);
/* Makes the ways to several ports at once, before they are needed one by one. */
typedef struct HostPort {
    const char *host;
    int port;
} HostPort;
bool host_open_ways(Host *host, Io *io, const Context *context, const HostPort *ports, size_t count, Error *error);

/* Whether connections to these ports are refused, seen from there: by the word of the system there, not by what a way lets through. Of a
 * loopback address nothing is said where the name leads to another computer than at the first look. */
typedef enum HostSays { HOST_SAYS_NOTHING, HOST_REFUSES, HOST_ITSELF_REFUSES } HostSays; /* the last: the port would be its own */
bool host_ask_refused(Host *host, Io *io, const Context *context, const HostPort *ports, size_t count, HostSays *says, Error *error);

/* A port of this computer's loopback that leads to a port there, for other programs; `port` 0: any. Held until host_unforward.
 * *lost_fd is readable once the connection is lost. */
bool host_forward(Host *host, const Context *context, const char *to, int to_port, int *port, int *lost_fd, Error *error);
void host_unforward(Host *host, const char *to, int to_port, int port, int lost_fd);

/* The argv that signs in on the terminal: whatever ssh asks is asked there, and the connection that comes of it is used from then on. */
void host_login(const Host *host, List *command);

/* Pure, for tests: what ssh said when it failed, as an error. */
void host_ssh_error(const char *said, int status, const char *where, const char *name, Error *error);

#endif
