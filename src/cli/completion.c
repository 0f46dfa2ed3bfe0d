/* dasktop completion: scripts for shells, made from the tables of the commands. What a command or an option takes is read from
 * its usage: "CLUSTER" is asked of `list -o name`, "a|b|NAME" offers a and b, a file is the shell's business. */
#include "cli/cli.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `-H` stands before the command and is no row of a table; clusters of that host are asked of it. */
#define COMPUTER_HELP "what is on that host, through ssh"
#define ASK_CLUSTERS(computer) "dasktop " computer "list -o name --timeout 2s 2>/dev/null"

/* "table|wide|NAME", "[-o table…": the words that are meant as they stand, with a blank between. NULL: none. */
static char *words_of(const char *text)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    size_t n = strcspn(text, " ");
    bool choice = memchr(text, '|', n) != NULL;
    for (size_t at = 0; choice && at < n;) {
        size_t length = strcspn(text + at, "| ");
        if (islower((unsigned char)text[at]) && !memchr(text + at, '=', length))
            buffer_format(&out, "%s%.*s", out.length ? " " : "", (int)length, text + at);
        at += length + 1;
    }
    if (out.length)
        return buffer_take(&out);
    buffer_done(&out);
    return NULL;
}

static bool takes_file(const Option *option)
{
    return option->value && (strcmp(option->value, "FILE") == 0 || strcmp(option->value, "SPEC.yaml") == 0);
}

static bool takes_cluster(const Command *command)
{
    return strncmp(command->usage, "CLUSTER", 7) == 0;
}

static bool takes_command(const Command *command)
{
    return strcmp(command->usage, "[COMMAND]") == 0;
}

/* As in the list of commands: up to its first end of a clause. */
static char *summary_of(const Command *command)
{
    return mem_format("%.*s", (int)strcspn(command->summary, ";."), command->summary);
}

static void print_names(void)
{
    for (size_t i = 0; cli_commands[i]; i++)
        printf("%s%s", i ? " " : "", cli_commands[i]->name);
}

/* Text between single quotes; `special` gets a backslash in front. */
static void print_quoted(const char *text, const char *special, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs(quote, stdout);
        else
            printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

/* ----------------------------------------------------------------------------------------------------------------- bash */

static void bash_options(const Option *options)
{
    for (const Option *option = options; option && option->name; option++)
        printf(" --%s", option->name);
}

/* What the word before asks for. */
static void bash_values(const char *command, const Option *options)
{
    for (const Option *option = options; option && option->name; option++) {
        char *words = option->value ? words_of(option->value) : NULL;
        if (option->value) {
            printf("    %s:--%s", command, option->name);
            if (option->letter)
                printf("|%s:-%c", command, option->letter);
            if (takes_file(option))
                printf(") _dasktop_files \"$cur\"; return ;;\n");
            else
                printf(") _dasktop_offer \"$cur\" %s; return ;;\n", words ? words : "");
        }
        free(words);
    }
}

static void bash_command(const Command *command)
{
    char *words = words_of(command->usage);
    printf("    %s)\n        options=\"", command->name);
    bash_options(command->options);
    printf("\"\n");
    if (takes_cluster(command))
        printf("        [[ $cur == -* ]] || _dasktop_clusters \"$cur\" ;;\n");
    else if (takes_command(command))
        printf("        _dasktop_offer \"$cur\" $commands ;;\n");
    else
        printf("        _dasktop_offer \"$cur\" %s ;;\n", words ? words : "");
    free(words);
}

static const char bash_begin[] =
    "# bash completion for dasktop:  source <(dasktop completion bash)\n"
    "_dasktop_offer() {\n"
    "    local cur=$1 word\n"
    "    shift\n"
    "    for word; do [[ $word == \"$cur\"* ]] && COMPREPLY+=(\"$word\"); done\n"
    "    return 0\n"
    "}\n"
    "_dasktop_files() {\n"
    "    local word\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    while IFS= read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen -f -- \"$1\")\n"
    "}\n"
    "_dasktop_clusters() {\n"
    "    local word cut=\n"
    "    # what stands before a colon is a word of its own to readline\n"
    "    [[ $COMP_WORDBREAKS == *:* && $1 == *:* ]] && cut=${1%\"${1##*:}\"}\n"
    "    while IFS= read -r word; do\n"
    "        [[ $word == \"$1\"* ]] && COMPREPLY+=(\"${word#\"$cut\"}\")\n"
    "    done < <(" ASK_CLUSTERS("${computer:+-H \"$computer\"} ") ")\n"
    "}\n"
    "_dasktop() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur command= before= word skip= options= commands computer=\n"
    "    local -a words\n"
    "    cur=${line##*[[:space:]]}\n"
    "    read -ra words <<<\"${line%\"$cur\"}\"\n"
    "    COMPREPLY=()\n"
    "    for word in \"${words[@]:1}\"; do\n"
    "        before=$word\n"
    "        [[ $word == -- ]] && return\n"
    "        if [[ $skip ]]; then\n"
    "            [[ $skip == -H ]] && computer=$word\n"
    "            skip=\n"
    "        elif [[ -z $command && $word == @(--config|--color|--theme|--filter|-H) ]]; then skip=$word\n"
    "        elif [[ -z $command && $word == -H?* ]]; then computer=${word#-H}\n"
    "        elif [[ -z $command && $word != -* ]]; then command=$word; fi\n"
    "    done\n"
    "    if [[ $skip == -H ]]; then\n"
    "        while IFS= read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen -A hostname -- \"$cur\")\n"
    "        return\n"
    "    fi\n";

static void print_bash(void)
{
    fputs(bash_begin, stdout);
    printf("    commands='");
    print_names();
    printf("'\n    case $command:$before in\n");
    bash_values("*", cli_common_options);
    bash_values("", cli_dashboard_options);
    for (size_t i = 0; cli_commands[i]; i++)
        bash_values(cli_commands[i]->name, cli_commands[i]->options);
    printf("    esac\n    case $command in\n    '')\n        options=\"");
    bash_options(cli_dashboard_options);
    printf(" --version -H\"\n        _dasktop_offer \"$cur\" $commands ;;\n");
    for (size_t i = 0; cli_commands[i]; i++)
        bash_command(cli_commands[i]);
    printf("    esac\n    [[ $cur == -* ]] && _dasktop_offer \"$cur\" $options");
    bash_options(cli_common_options);
    printf("\n    return 0\n}\ncomplete -F _dasktop dasktop\n");
}

/* ------------------------------------------------------------------------------------------------------------------ zsh */

static void zsh_options(const Option *options)
{
    for (const Option *option = options; option && option->name; option++) {
        char *words = option->value ? words_of(option->value) : NULL;
        printf(" \\\n        ");
        if (option->letter)
            printf("'*'{-%c,--%s}'[", option->letter, option->name);
        else
            printf("'*--%s[", option->name);
        print_quoted(option->help, "[]:\\", "'\\''");
        printf("]");
        if (option->value) {
            printf(":");
            print_quoted(option->value, "[]:\\", "'\\''");
            if (takes_file(option))
                printf(":_files");
            else if (words)
                printf(":(%s)", words);
            else
                printf(": ");
        }
        printf("'");
        free(words);
    }
}

static void zsh_command(const Command *command)
{
    char *words = words_of(command->usage);
    printf("    %s) _arguments", command->name);
    zsh_options(command->options);
    zsh_options(cli_common_options);
    if (takes_cluster(command))
        printf(" \\\n        '*:cluster:_dasktop_clusters'");
    else if (takes_command(command)) {
        printf(" \\\n        '1:command:(");
        print_names();
        printf(")'");
    } else if (words) {
        printf(" \\\n        '1:word:(%s)'", words);
    }
    printf(" ;;\n");
    free(words);
}

static void print_zsh(void)
{
    printf("#compdef dasktop\n# zsh completion for dasktop:  source <(dasktop completion zsh), or put it into $fpath as _dasktop\n"
           "_dasktop_clusters() {\n    local -a ids\n    ids=(${(f)\"$(" ASK_CLUSTERS("${computer:+-H} $computer ") ")\"})\n    compadd -a ids\n}\n"
           "_dasktop() {\n    local context state line computer\n    typeset -A opt_args\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        char *summary = summary_of(cli_commands[i]);
        printf("        '%s:", cli_commands[i]->name);
        print_quoted(summary, ":\\", "'\\''");
        printf("'\n");
        free(summary);
    }
    printf("    )\n    _arguments -C");
    zsh_options(cli_common_options);
    zsh_options(cli_dashboard_options);
    printf(" \\\n        '-H+[" COMPUTER_HELP "]:[USER@]HOST:_hosts' '--version[which one this is]' '1: :->command' '*:: :->arguments'\n"
           "    computer=$opt_args[-H]\n"
           "    [[ $state == command ]] && _describe -t commands command commands\n"
           "    [[ $state == arguments ]] || return 0\n    case $words[1] in\n");
    for (size_t i = 0; cli_commands[i]; i++)
        zsh_command(cli_commands[i]);
    printf("    esac\n}\nif [[ $funcstack[1] == _dasktop ]]; then _dasktop \"$@\"; else compdef _dasktop dasktop; fi\n");
}

/* ----------------------------------------------------------------------------------------------------------------- fish */

static void fish_options(const char *condition, const char *name, const Option *options)
{
    for (const Option *option = options; option && option->name; option++) {
        char *words = option->value ? words_of(option->value) : NULL;
        printf("complete -c dasktop");
        if (condition)
            printf(" -n '%s%s%s'", condition, name ? " " : "", name ? name : "");
        printf(" -l %s", option->name);
        if (option->letter)
            printf(" -s %c", option->letter);
        if (option->value)
            fputs(takes_file(option) ? " -r -F" : " -x", stdout);
        if (words)
            printf(" -a '%s'", words);
        printf(" -d '");
        print_quoted(option->help, "\\", "\\'");
        printf("'\n");
        free(words);
    }
}

static void fish_command(const Command *command)
{
    char *words = words_of(command->usage), *summary = summary_of(command);
    printf("complete -c dasktop -n __fish_use_subcommand -a %s -d '", command->name);
    print_quoted(summary, "\\", "\\'");
    printf("'\n");
    fish_options("__fish_seen_subcommand_from", command->name, command->options);
    if (takes_cluster(command))
        printf("complete -c dasktop -n '__fish_seen_subcommand_from %s' -a '(" ASK_CLUSTERS("") ")'\n", command->name);
    if (words)
        printf("complete -c dasktop -n '__fish_seen_subcommand_from %s' -a '%s'\n", command->name, words);
    if (takes_command(command)) {
        printf("complete -c dasktop -n '__fish_seen_subcommand_from %s' -a '", command->name);
        print_names();
        printf("'\n");
    }
    free(words);
    free(summary);
}

static void print_fish(void)
{
    printf("# fish completion for dasktop:  dasktop completion fish | source\ncomplete -c dasktop -f\n");
    fish_options(NULL, NULL, cli_common_options);
    fish_options("__fish_use_subcommand", NULL, cli_dashboard_options);
    printf("complete -c dasktop -n __fish_use_subcommand -l version -d 'which one this is'\n"
           "complete -c dasktop -n __fish_use_subcommand -s H -x -a '(__fish_print_hostnames)' -d '" COMPUTER_HELP "'\n");
    for (size_t i = 0; cli_commands[i]; i++)
        fish_command(cli_commands[i]);
}

static int run(Cli *cli)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shells[i].shell, cli->arguments.items[0]) == 0) {
            shells[i].print();
            return 0;
        }
    return cli_usage(cli, "%s: it is bash, zsh or fish", cli->arguments.items[0]);
}

const Command command_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "prints what makes that shell complete dasktop's commands, options and clusters",
    .least = 1,
    .most = 1,
    .run = run,
};
