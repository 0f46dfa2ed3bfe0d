/* What tests of core make again and again: facts, records, a config, a view. */
#ifndef DASKTOP_TESTS_CORE_MAKE_H
#define DASKTOP_TESTS_CORE_MAKE_H

#include "base/mem.h"
#include "core/config.h"
#include "core/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
#define NOON INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */

static inline Clock make_clock(int64_t after_noon_ms)
{
    return (Clock){.mono_ms = 1000000 + after_noon_ms, .wall_ms = NOON + after_noon_ms};
}

static inline RecordFields make_fields(const char *id)
{
    RecordFields fields;
    record_fields_init(&fields);
    fields.id = fields.name = id;
    return fields;
}

/* A running cluster of one's own, three workers, nothing to do since half a minute. */
static inline RecordFields make_resting(const char *id)
{
    RecordFields fields = make_fields(id);
    fields.mine = 1;
    fields.owner = "ada";
    fields.status = STATUS_RUNNING;
    fields.workers_ready = fields.workers_wanted = 3;
    fields.workers_paused = 0;
    fields.resources = 3;
    fields.threads = 12;
    fields.memory = INT64_C(24) << 30;
    fields.gpus = 0;
    fields.clients = 0;
    fields.busy = 0;
    fields.tasks.processing = fields.tasks.waiting = fields.tasks.queued = 0;
    fields.tasks.stored = fields.tasks.erred = fields.tasks.unrunnable = 0;
    fields.created_ms = NOON - 5 * HOUR;
    fields.last_active_ms = NOON - 30 * SECOND;
    return fields;
}

static inline Record *make_record(const RecordFields *fields, const char *backend)
{
    Error error = {0};
    Record *record = record_new(fields, backend, NULL, NOON - 20 * SECOND, NOON - 20 * SECOND, &error);
    assert_non_null(record);
    return record;
}

/* prices: a YAML map, NULL for none. */
static inline Config *make_config(const char *prices)
{
    Config *config = mem_new(sizeof(*config));
    config->verdict.idle_ms = 30 * MINUTE;
    config->verdict.unattended_ms = 15 * MINUTE;
    config->cost.currency = mem_text("USD");
    if (prices) {
        Error error = {0};
        config->document = tree_parse("prices", prices, strlen(prices), &error);
        assert_non_null(config->document);
        config->cost.prices = config->document;
    }
    return config;
}

static inline void free_config(Config *config)
{
    tree_free(config->document);
    free(config->cost.currency);
    free(config->backends);
    free(config);
}

#endif
