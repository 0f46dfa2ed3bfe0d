/* What a cluster costs: backends report machine types and quantities, prices come from the config. Pure. */
#ifndef DASKTOP_CORE_COST_H
#define DASKTOP_CORE_COST_H

#include "core/config.h"
#include "core/record.h"

typedef struct Cost {
    double cpu_hours, gib_hours, gpu_hours; /* NAN: not known */
    double per_hour, so_far;                /* NAN where no price fits */
    char basis[160];                        /* "5 × m5.xlarge at 0.192 (config)"; "" */
} Cost;

/* Machines by their types' prices; where there are none and prices has cpu-hour, gib-hour or gpu-hour: by threads, memory, gpus.
 * kind "local": hardware that costs nothing by the hour unless such a price is set. */
Cost cost_of(const Record *record, const Config *config, Clock now);

#endif
