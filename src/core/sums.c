#include "core/sums.h"

#include <math.h>

static void add_known(int64_t *sum, int64_t number)
{
    if (number > 0 && *sum <= INT64_MAX - number)
        *sum += number;
}

static void add_cost(double *sum, double cost)
{
    if (!isnan(cost))
        *sum = (isnan(*sum) ? 0 : *sum) + cost;
}

void sums_add(ViewSums *sums, const ViewRow *row)
{
    const RecordFields *is = &row->record->is;
    sums->clusters++;
    sums->verdicts[row->verdict.state]++;
    sums->stale += row->stale;
    add_known(&sums->threads, is->threads);
    add_known(&sums->memory, is->memory);
    add_known(&sums->gpus, is->gpus);
    add_cost(&sums->per_hour, row->per_hour);
    if (!verdict_unused(row->verdict.state) || row->kept.kept)
        return;
    sums->unused++;
    add_known(&sums->threads_unused, is->threads);
    add_known(&sums->memory_unused, is->memory);
    add_cost(&sums->per_hour_unused, row->per_hour);
}
