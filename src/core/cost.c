#include "core/cost.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

/* One thing that is paid for: how much of it, what it is called, what one of it costs by the hour. */
typedef struct Item {
    double quantity, price;
    const char *name;
} Item;

static double price_of(const Config *config, const char *type)
{
    const Tree *price = config && config->cost.prices ? tree_get(config->cost.prices, type) : NULL;
    return price && price->kind == TREE_NUMBER && isfinite(price->number) && price->number >= 0 ? price->number : NAN;
}

static void add_item(Cost *cost, Buffer *basis, Item item)
{
    if (isnan(item.price) || isnan(item.quantity))
        return;
    cost->per_hour = (isnan(cost->per_hour) ? 0 : cost->per_hour) + item.quantity * item.price;
    buffer_format(basis, "%s%.*f %s%s at %.6g", basis->length ? ", " : "", item.quantity == floor(item.quantity) ? 0 : 2, item.quantity,
                  strcmp(item.name, "CPU") && strcmp(item.name, "GiB") && strcmp(item.name, "GPU") ? "× " : "", item.name,
                  item.price);
}

static void add_machines(Cost *cost, Buffer *basis, const RecordFields *is, const Config *config)
{
    for (size_t i = 0; i < is->machine_count; i++)
        add_item(cost, basis, (Item){is->machines[i].quantity, price_of(config, is->machines[i].type), is->machines[i].type});
    if (isnan(cost->per_hour))
        return;
    for (size_t i = 0; i < is->machine_count; i++)
        if (isnan(price_of(config, is->machines[i].type)))
            buffer_format(basis, ", no price for %s", is->machines[i].type);
}

static double number(int64_t value)
{
    return value == NUMBER_UNKNOWN ? NAN : (double)value;
}

static double gibibytes(int64_t bytes)
{
    return number(bytes) / (double)(1 << 30);
}

static void write_basis(Cost *cost, Buffer *basis)
{
    buffer_text(basis, " (config)");
    Buffer cut;
    buffer_init(&cut, sizeof(cost->basis) - 1);
    text_clean(&cut, basis->bytes, basis->length, sizeof(cost->basis) - 1);
    memcpy(cost->basis, cut.bytes, cut.length);
    buffer_done(&cut);
}

Cost cost_of(const Record *record, const Config *config, Clock now)
{
    const RecordFields *is = &record->is;
    Cost cost = {.per_hour = NAN, .so_far = NAN};
    Buffer basis;
    buffer_init(&basis, 16384);
    add_machines(&cost, &basis, is, config);
    if (isnan(cost.per_hour)) {
        add_item(&cost, &basis, (Item){number(is->threads), price_of(config, "cpu-hour"), "CPU"});
        add_item(&cost, &basis, (Item){gibibytes(is->memory), price_of(config, "gib-hour"), "GiB"});
        if (is->gpus != 0)
            add_item(&cost, &basis, (Item){number(is->gpus), price_of(config, "gpu-hour"), "GPU"});
    }
    if (!isnan(cost.per_hour))
        write_basis(&cost, &basis);
    buffer_done(&basis);

    bool aged = is->created_ms != TIME_UNKNOWN && is->created_ms <= now.wall_ms;
    double hours = aged ? (double)(now.wall_ms - is->created_ms) / 3600000.0 : NAN;
    cost.cpu_hours = number(is->threads) * hours;
    cost.gib_hours = gibibytes(is->memory) * hours;
    cost.gpu_hours = number(is->gpus) * hours;
    cost.so_far = cost.per_hour * hours;
    return cost;
}
