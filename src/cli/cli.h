/* The commands of the contract, section 1. One file for each command exports one Command; options are data.
 *
 * All of it runs on the main thread; what waits does so through the engine and the command's Context, which Ctrl-C, TERM and the
 * deadline end. Results go to standard output, everything else to standard error. */
#ifndef DASKTOP_CLI_CLI_H
#define DASKTOP_CLI_CLI_H

#include "core/engine.h"

/* How the dashboard was asked for; NULL: not given. */
typedef struct CliDashboard {
    bool ascii;
    const char *colour; /* auto, always, never */
    const char *theme;
    const char *filter;
    const char *problem; /* of the config: the first one */
} CliDashboard;

/* What the commands need from layers that they may not name; main.c fills it in. */
typedef struct CliHost {
    const BackendType *const *types;
    bool (*dashboard_possible)(void);                           /* a terminal that can show the dashboard */
    int (*dashboard)(Engine *engine, const CliDashboard *wanted); /* runs it; exit status */
    /* Runs a program in the foreground with the terminal; extra is "NAME=value" on top of ours. Its exit status, 128 + signal;
     * -1 with error where it could not run. */
    int (*run)(const List *command, const List *extra, Error *error);
    /* Starts a program and forgets it (a browser). */
    bool (*launch)(const List *command, Error *error);
    /* Runs a program without the terminal in a group of its own, with input on its standard input, until it ends or the context does.
     * False with error where it could not run, did not end in time or ended with another status than 0. */
    bool (*hook)(const List *command, const Buffer *input, const Context *context, Error *error);
    void (*leave)(void); /* just before the program ends: whatever would outlive it and should not */
} CliHost;

typedef struct Option {
    const char *name;  /* "dry-run"; NULL ends the table */
    char letter;       /* 0: none */
    const char *value; /* what it takes, for help: "DUR"; NULL: a flag */
    const char *help;
} Option;

typedef struct Cli Cli;

typedef struct Command {
    const char *name, *usage, *summary;
    const Option *options; /* NULL: none */
    int least, most;       /* arguments; most -1: any number. What follows `--` counts too */
    int (*run)(Cli *cli);  /* exit status */
} Command;

extern const Command *const cli_commands[]; /* ends with NULL */
extern const Option cli_common_options[];    /* of every command */
extern const Option cli_dashboard_options[]; /* of the dashboard itself */

struct Cli {
    const CliHost *host;
    const Command *command;
    List arguments;
    List after;              /* what followed `--` */
    bool has_after;
    struct Given {
        const Option *option;
        const char *value;
    } *given;
    size_t given_count, given_capacity;
    ConfigSources sources;   /* --config, --read-only */
    Cancel cancel;           /* Ctrl-C, TERM */
    Context context;         /* with --timeout where the command has one */
    Engine *engine;
    View *view;
    Filter *filter;
    Wake published;
};

int cli_main(int argc, char **argv, const CliHost *host);

/* Options that were given. */
bool cli_flag(const Cli *cli, const char *name);
const char *cli_value(const Cli *cli, const char *name); /* the last one; NULL */
size_t cli_values(const Cli *cli, const char *name, List *out);
/* A duration option; `standard` where it was not given. False (error said) where it is none. */
bool cli_duration(Cli *cli, const char *name, int64_t standard, int64_t *ms);
/* A number of an argument or option, 0 … 10^9. */
bool cli_number(const char *text, const char *what, int64_t *number, Error *error);

/* Says the error on standard error in the contract's one line and returns its exit status. */
int cli_fail(const Error *error);
int cli_usage(const Cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line on standard error */
bool cli_colour(int fd);                                                     /* a terminal, and no NO_COLOR */
void cli_print_help(const Command *command);

#endif
