#include "cli/cli.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_BUFFER = 64 << 10 };

#define EXTERN(name) extern const Command command_##name
EXTERN(list);
EXTERN(show);
EXTERN(connect);
EXTERN(dashboard);
EXTERN(snippet);
EXTERN(create);
EXTERN(scale);
EXTERN(retire);
EXTERN(logs);
EXTERN(delete);
EXTERN(keep);
EXTERN(wait);
EXTERN(backends);
EXTERN(journal);
EXTERN(sweep);
EXTERN(completion);
EXTERN(help);

const Command *const cli_commands[] = {
    &command_list,   &command_show,  &command_connect, &command_dashboard, &command_snippet, &command_create,   &command_scale, &command_retire,
    &command_logs,   &command_delete, &command_keep,   &command_sweep,     &command_wait,     &command_backends, &command_journal,
    &command_completion, &command_help, NULL,
};

const Option cli_common_options[] = {
    {"config", 0, "FILE", "read this config file too, after the others"},
    {"read-only", 0, NULL, "refuse every change"},
    {"help", 'h', NULL, "this help"},
    {0},
};

const Option cli_dashboard_options[] = {
    {"ascii", 0, NULL, "no line drawing, no symbols: plain letters only"},
    {"color", 0, "WHEN", "auto (not with NO_COLOR), always or never"},
    {"theme", 0, "NAME", "dark, light, contrast or mono; else by the terminal's background"},
    {"filter", 0, "EXPR", "start with this filter"},
    {0},
};

static const Command dashboard_itself = {.name = "dasktop", .usage = "", .summary = "the dashboard", .options = cli_dashboard_options, .most = 0};

static const Command *find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- what is said */

void cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("dasktop: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int cli_fail(const Error *error)
{
    char line[ERROR_LINE];
    cli_say("%s", error_line(error, line, sizeof line));
    return error_exit(error->code);
}

int cli_usage(const Cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *what = mem_vformat(format, args);
    va_end(args);
    Buffer clean;
    buffer_init(&clean, BUFFER_ANY);
    text_clean(&clean, what, strlen(what), TEXT_LINE_MAX);
    const char *name = cli->command == &dashboard_itself ? "" : cli->command->name;
    cli_say("%s%s%s: see dasktop help%s%s", name, *name ? ": " : "", clean.bytes, *name ? " " : "", name);
    buffer_done(&clean);
    free(what);
    return error_exit(ERROR_USAGE);
}

bool cli_colour(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static void print_options(const Option *options)
{
    for (const Option *option = options; option && option->name; option++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", option->letter ? '-' : ' ', option->letter ? option->letter : ' ',
                 option->letter ? "," : " ", option->name, option->value ? " " : "", option->value ? option->value : "");
        printf("  %-28s %s\n", left, option->help);
    }
}

void cli_print_help(const Command *command)
{
    if (command) {
        printf("dasktop %s %s\n\n%s\n\n", command->name, command->usage, command->summary);
        print_options(command->options);
        print_options(cli_common_options);
        return;
    }
    printf("dasktop: every Dask cluster on every system it can run on, in one live table\n\n"
           "  dasktop                      the dashboard (without a terminal: the table, once)\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *summary = cli_commands[i]->summary;
        printf("  dasktop %-20s %.*s\n", cli_commands[i]->name, (int)strcspn(summary, ";."), summary);
    }
    printf("\nOptions of the dashboard:\n");
    print_options(cli_dashboard_options);
    printf("\nOptions of every command:\n");
    print_options(cli_common_options);
    printf("  -H [USER@]HOST               before the command: what is on that host, through ssh\n"
           "      --version                which one this is\n\n"
           "CLUSTER is an id, an exact name, a uid, a scheduler's id or address, or a prefix of at least 6 characters of one of them.\n"
           "Exit status: 0 done, 1 failed, 2 usage or config, 3 in part, 4 no such cluster, 5 ambiguous, 6 refused, 7 out of time.\n");
}

/* --------------------------------------------------------------------------------------------------- reading options */

bool cli_flag(const Cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->given_count; i++)
        if (strcmp(cli->given[i].option->name, name) == 0)
            return true;
    return false;
}

const char *cli_value(const Cli *cli, const char *name)
{
    for (size_t i = cli->given_count; i-- > 0;)
        if (strcmp(cli->given[i].option->name, name) == 0)
            return cli->given[i].value;
    return NULL;
}

size_t cli_values(const Cli *cli, const char *name, List *out)
{
    for (size_t i = 0; i < cli->given_count; i++)
        if (strcmp(cli->given[i].option->name, name) == 0)
            list_add(out, cli->given[i].value);
    return out->count;
}

bool cli_duration(Cli *cli, const char *name, int64_t standard, int64_t *ms)
{
    const char *text = cli_value(cli, name);
    *ms = standard;
    if (!text || duration_parse(text, ms))
        return true;
    cli_usage(cli, "--%s %s: this is no duration (90s, 15m, 2h, 3d)", name, text);
    return false;
}

bool cli_number(const char *text, const char *what, int64_t *number, Error *error)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < 0 || value > 1000000000 || *text == '+' || *text == ' ')
        return error_set(error, ERROR_USAGE, what, NULL, "%s is no whole number from 0 to 1000000000", text);
    *number = value;
    return true;
}

static const Option *find_option(const Cli *cli, const char *name, size_t length, char letter)
{
    const Option *tables[] = {cli->command->options, cli_common_options};
    for (size_t t = 0; t < 2; t++)
        for (const Option *option = tables[t]; option && option->name; option++)
            if (letter ? option->letter == letter : strlen(option->name) == length && strncmp(option->name, name, length) == 0)
                return option;
    return NULL;
}

static void give(Cli *cli, const Option *option, const char *value)
{
    cli->given = mem_grow(cli->given, cli->given_count, &cli->given_capacity, sizeof *cli->given);
    cli->given[cli->given_count++] = (struct Given){option, value};
}

/* --name, --name=value, --name value; false: said. */
static bool read_long(Cli *cli, char **argv, int argc, int *i)
{
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    const Option *option = find_option(cli, text, length, 0);
    if (!option) {
        cli_usage(cli, "unknown option --%.*s", (int)length, text);
        return false;
    }
    if (!option->value && equals) {
        cli_usage(cli, "--%s takes no value", option->name);
        return false;
    }
    if (option->value && !equals && *i + 1 >= argc) {
        cli_usage(cli, "--%s needs %s", option->name, option->value);
        return false;
    }
    give(cli, option, !option->value ? "" : equals ? equals + 1 : argv[++*i]);
    return true;
}

/* -f, -ofile, -o file, -fn 5; false: said. */
static bool read_short(Cli *cli, char **argv, int argc, int *i)
{
    for (const char *letter = argv[*i] + 1; *letter; letter++) {
        const Option *option = find_option(cli, NULL, 0, *letter);
        if (!option) {
            cli_usage(cli, "unknown option -%c", *letter);
            return false;
        }
        if (!option->value) {
            give(cli, option, "");
            continue;
        }
        if (!letter[1] && *i + 1 >= argc) {
            cli_usage(cli, "-%c needs %s", *letter, option->value);
            return false;
        }
        give(cli, option, letter[1] ? letter + 1 : argv[++*i]);
        return true;
    }
    return true;
}

static bool read_arguments(Cli *cli, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            cli->has_after = true;
            for (i++; i < argc; i++)
                list_add(&cli->after, argv[i]);
        } else if (strncmp(argv[i], "--", 2) == 0) {
            if (!read_long(cli, argv, argc, &i))
                return false;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            if (!read_short(cli, argv, argc, &i))
                return false;
        } else {
            list_add(&cli->arguments, argv[i]);
        }
    }
    return true;
}

/* Only `connect` gives what follows `--` a meaning of its own; elsewhere it just ends the options. */
static bool check_arguments(Cli *cli)
{
    if (strcmp(cli->command->name, "connect") != 0)
        for (size_t i = 0; i < cli->after.count; i++)
            list_add(&cli->arguments, cli->after.items[i]);
    int count = (int)cli->arguments.count;
    if (count < cli->command->least)
        cli_usage(cli, "%s is missing", cli->command->usage);
    else if (cli->command->most >= 0 && count > cli->command->most)
        cli_usage(cli, "%s is one argument too many", cli->arguments.items[cli->command->most]);
    else
        return true;
    return false;
}

/* ------------------------------------------------------------------------------------------------------------- running */

static const Cancel *interrupted; /* set once, before the handlers are: they have no other way to reach it */

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    cancel_ask((Cancel *)interrupted);
}

/* Ctrl-C and TERM end what waits; a second one ends the program at once, as its default would. */
static void catch_signals(Cancel *cancel)
{
    interrupted = cancel;
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* What is wrong is said before the screen is taken: it would hide it. */
static bool check_dashboard(Cli *cli)
{
    static const char *const colours[] = {"auto", "always", "never", NULL}, *const themes[] = {"dark", "light", "contrast", "mono", NULL};
    const char *colour = cli_value(cli, "color"), *theme = cli_value(cli, "theme"), *filter = cli_value(cli, "filter");
    Error error;
    if (colour && !is_one_of(colour, colours)) {
        cli_usage(cli, "--color %s: it is auto, always or never", colour);
        return false;
    }
    if (theme && !is_one_of(theme, themes)) {
        cli_usage(cli, "--theme %s: it is dark, light, contrast or mono", theme);
        return false;
    }
    Filter *parsed = filter ? filter_parse(filter, &error) : NULL;
    if (filter && !parsed)
        cli_fail(&error);
    filter_free(parsed);
    return !filter || parsed;
}

static int run_dashboard(Cli *cli)
{
    int status;
    if (!session_open(cli, &status))
        return status;
    const List *problems = &engine_config(cli->engine)->problems;
    CliDashboard wanted = {cli_flag(cli, "ascii"), cli_value(cli, "color"), cli_value(cli, "theme"), cli_value(cli, "filter"),
                           problems->count ? problems->items[0] : NULL};
    status = cli->host->dashboard(cli->engine, &wanted);
    engine_stop(cli->engine, 900); /* changes under way are told to end, and their journal is written */
    return status;
}

/* "--theme dark": the next word is this one's value. */
static bool takes_next(const Cli *cli, const char *word)
{
    const Option *option = strncmp(word, "--", 2) == 0 ? find_option(cli, word + 2, strlen(word + 2), 0) : NULL;
    return option && option->value;
}

/* `-H [USER@]HOST` stands before the command: behind it, a command may have a letter of its own. It is taken out. */
static bool take_computer(Cli *cli, int *argc, char **argv)
{
    int at = 0;
    while (at < *argc && argv[at][0] == '-' && strncmp(argv[at], "-H", 2) != 0 && strcmp(argv[at], "--") != 0)
        at += takes_next(cli, argv[at]) ? 2 : 1;
    if (at >= *argc || strncmp(argv[at], "-H", 2) != 0)
        return true;
    int words = argv[at][2] ? 1 : 2;
    if (words == 2 && at + 1 >= *argc) {
        cli_usage(cli, "-H needs [USER@]HOST");
        return false;
    }
    cli->sources.computer = words == 1 ? argv[at] + 2 : argv[at + 1];
    for (int i = at + words; i < *argc; i++)
        argv[i - words] = argv[i];
    *argc -= words;
    return true;
}

static int dispatch(Cli *cli, int argc, char **argv)
{
    int first = 0;
    cli->command = &dashboard_itself;
    if (argc > 0 && (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0)) {
        printf("dasktop %s\n", DASKTOP_VERSION);
        return 0;
    }
    /* options of every command may stand before it */
    int word = 0;
    if (!take_computer(cli, &argc, argv))
        return error_exit(ERROR_USAGE);
    while (word < argc && argv[word][0] == '-' && strcmp(argv[word], "--") != 0)
        word += takes_next(cli, argv[word]) ? 2 : 1;
    if (word < argc && argv[word][0] != '-') {
        cli->command = find_command(argv[word]);
        if (!cli->command) {
            cli->command = &dashboard_itself;
            return cli_usage(cli, "unknown command %s", argv[word]);
        }
        if (!read_arguments(cli, word, argv))
            return error_exit(ERROR_USAGE);
        first = word + 1;
    }
    if (!read_arguments(cli, argc - first, argv + first))
        return error_exit(ERROR_USAGE);
    if (cli_flag(cli, "help")) {
        cli_print_help(cli->command == &dashboard_itself ? NULL : cli->command);
        return 0;
    }
    if (!check_arguments(cli))
        return error_exit(ERROR_USAGE);
    cli->sources.file = cli_value(cli, "config");
    cli->sources.read_only = cli_flag(cli, "read-only");
    if (cli->command == &dashboard_itself) {
        if (!check_dashboard(cli))
            return error_exit(ERROR_USAGE);
        if (cli->host->dashboard_possible())
            return run_dashboard(cli);
        cli->command = &command_list;
    }
    catch_signals(&cli->cancel);
    return cli->command->run(cli);
}

int cli_main(int argc, char **argv, const CliHost *host)
{
    static char output[OUTPUT_BUFFER]; /* the C library's own is a page: a hundred writes of a long list */
    Cli cli = {.host = host};
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, output, _IOFBF, sizeof output);
    if (!cancel_init(&cli.cancel) || !wake_init(&cli.published)) {
        cli_say("no file descriptors are left: close programs or raise the limit (ulimit -n)");
        return 1;
    }
    cli.context = context_new(&cli.cancel, -1);
    signal(SIGPIPE, SIG_IGN);
    int status = dispatch(&cli, argc - 1, argv + 1);
    if (fflush(stdout) != 0 && errno != EPIPE && status == 0) {
        cli_say("standard output: it could not be written");
        status = 1;
    }
    /* a command is over when its answer is out: what threads and connections hold, the system takes back faster than we could */
    fflush(stderr);
    host->leave();
    _exit(status);
}
