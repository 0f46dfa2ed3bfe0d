/* From a command line to clusters: loads the config, asks the backends once, finds what was meant. */
#ifndef DASKTOP_CLI_SESSION_H
#define DASKTOP_CLI_SESSION_H

#include "cli/cli.h"

#include <stdio.h>

/* Config and engine; asks nobody. False: said, with status. */
bool session_open(Cli *cli, int *status);
/* Those that --backend names, each of which there is; false: said (usage). */
bool session_backend_keys(Cli *cli, List *keys);
/* Starts discovery of all backends, or of those in keys. */
void session_start(Cli *cli, EngineMode mode, const List *keys, const char *instance);
/* Waits until each backend has answered, failed or is slow, or the context ends; then the view is current. */
void session_wait(Cli *cli);
/* Waits for the next publication, at most ms. */
void session_turn(Cli *cli, int64_t ms);
/* The same; ends at once, with false, when nobody reads standard output any more (a pipe whose other end is closed). */
bool session_turn_read(Cli *cli, int64_t ms);
/* 0, 1 or 3 by what the backends said; says each that did not answer on standard error where `say`. */
int session_status(Cli *cli, bool say);
/* open + start + wait + find for one CLUSTER argument, which --uid may bind to one incarnation; the record is counted. NULL: said, with
 * status. */
const Record *session_find(Cli *cli, const char *text, bool for_change, int *status);
/* The row of a record that session_find gave. */
const ViewRow *session_row(Cli *cli, const Record *record);
/* find + reconstruct. */
Handle *session_handle(Cli *cli, const char *text, bool for_change, int *status);
/* Prints the plan for people. */
void session_print_plan(FILE *out, const Plan *plan);
/* Reconstructs it and plans its deletion; handle and plan are the caller's. */
bool session_plan_delete(Cli *cli, const Record *record, int64_t timeout_ms, Handle **handle, Plan **plan, Error *error);
/* Applies and waits, telling progress on standard error; takes handle and plan; exit status. */
int session_apply(Cli *cli, Handle *handle, Plan *plan, int64_t timeout_ms);
/* Waits for operations that run already and says how each ended; drops them; exit status of all together. */
int session_join(Cli *cli, Operation **operations, size_t count);
void session_close(Cli *cli);

#endif
