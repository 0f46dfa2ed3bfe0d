/* What a command line says of a Dask process. Pure; from 2021 to 2026 they look the same. */
#ifndef DASKTOP_BACKENDS_COMMON_COMMAND_H
#define DASKTOP_BACKENDS_COMMON_COMMAND_H

#include "base/list.h"

typedef enum CommandRole {
    COMMAND_OTHER,
    COMMAND_SCHEDULER,  /* dask scheduler, dask-scheduler, -m distributed.cli.dask_scheduler */
    COMMAND_WORKER,     /* dask worker …: a nanny, or with --no-nanny the worker itself */
    COMMAND_SPAWNED     /* a child of multiprocessing: a nanny's or a LocalCluster's worker, if its parents are Dask's */
} CommandRole;

typedef struct Command {
    CommandRole role;
    bool by_spec;             /* dask_spec: SSHCluster and the like */
    const char *address;      /* worker: of its scheduler, as given; NULL */
    const char *scheduler_file;
    const char *name;         /* --name */
    bool tls, no_nanny;
    const char *ca_file, *cert, *key;
} Command;

Command command_parse(const List *argv); /* borrows from argv */
const char *command_option(const List *argv, const char *name); /* "--name V" or "--name=V"; NULL */
/* The first argument that is a file to run: "script.py"; NULL. is_module: `-m X`. */
const char *command_script(const List *argv, bool *is_module);

#endif
