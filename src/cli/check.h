/* Walking a plugin through its protocol, for `backends --check`. */
#ifndef DASKTOP_CLI_CHECK_H
#define DASKTOP_CLI_CHECK_H

#include "cli/cli.h"

/* Exit status: 0 where nothing deviates, else 1; 2 where there is nothing to check. */
int check_run(Cli *cli, const char *key, bool as_json);

#endif
