/* `backends --check KEY`: a plugin, walked through its protocol; each deviation is one line. */
#include "base/text.h"
#include "cli/check.h"
#include "cli/output.h"
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Report {
    JsonWriter *json; /* NULL: lines for people */
    size_t points, deviations;
} Report;

static void point(void *user, bool right, const char *what, const char *detail)
{
    Report *report = user;
    char *clean = text_clean_new(detail, detail ? strlen(detail) : 0, TEXT_NAME_MAX);
    report->points++;
    report->deviations += !right;
    if (report->json) {
        json_object(report->json, NULL);
        json_put_truth(report->json, "right", right);
        json_put_text(report->json, "what", what);
        json_put_text(report->json, "detail", clean);
        json_close(report->json, '}');
    } else {
        printf("%-9s  %-15s  %s\n", right ? "ok" : "DEVIATION", what, clean ? clean : "");
        fflush(stdout); /* each point as it is found: a plugin may take its time */
    }
    free(clean);
}

static const BackendConfig *find(const Config *config, const char *key)
{
    for (size_t i = 0; i < config->backend_count; i++)
        if (strcmp(config->backends[i].key, key) == 0)
            return &config->backends[i];
    return NULL;
}

static bool inspect(Cli *cli, const BackendConfig *config, bool as_json, Report *report, Error *error)
{
    const Inspection inspection = {point, report};
    Buffer document;
    JsonWriter json;
    if (!as_json)
        return config->type->inspect(config, &cli->context, &inspection, error);
    buffer_init(&document, BUFFER_ANY);
    json_begin(&json, &document);
    json_object(&json, NULL);
    json_put_text(&json, "schema", "dasktop/v1");
    json_put_text(&json, "backend", config->key);
    json_array(&json, "points");
    report->json = &json;
    bool right = config->type->inspect(config, &cli->context, &inspection, error);
    json_close(&json, ']');
    json_put_integer(&json, "deviations", (int64_t)report->deviations);
    json_close(&json, '}');
    if (right)
        output_document(&document);
    buffer_done(&document);
    return right;
}

int check_run(Cli *cli, const char *key, bool as_json)
{
    int status = 0;
    Error error = {0};
    Report report = {0};
    if (!session_open(cli, &status))
        return status;
    const BackendConfig *config = find(engine_config(cli->engine), key);
    if (!config)
        return cli_usage(cli, "--check %s: the config names no such backend; `dasktop backends` lists them", key);
    if (!config->type->inspect)
        return cli_usage(cli, "--check %s: only a plugin can be checked, and its type is %s", key, config->type->name);
    if (!inspect(cli, config, as_json, &report, &error))
        return cli_fail(&error);
    if (report.deviations)
        cli_say("%s: %zu of %zu points deviate from the protocol", key, report.deviations, report.points);
    return report.deviations ? 1 : 0;
}
