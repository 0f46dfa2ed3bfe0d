/* Searching a log: backwards or on from what is on the screen, then once around. Block by block, so that keys come in between. */
#include "ui/log_look.h"

#include "base/clock.h"

#include <string.h>

void log_search_done(LogView *view)
{
    log_pattern_free(view->search.pattern);
    log_block_done(&view->search.block);
    view->search = (LogSearch){0};
}

/* Where it begins: at the last find while that is on the screen, else at the screen's edge. */
static void search_from(LogView *view, int step)
{
    LogItem item;
    LogSearch *search = &view->search;
    if (view->has_found && log_look_shows(view, view->found)) {
        log_merge_place(&view->merge, view->found, &search->from);
        if (step > 0)
            search->from.at[view->found.track] = view->found.start + 1;
    } else if (step > 0) {
        search->from = view->top;
        if (view->skip > 0) /* what is left of the top line was begun above */
            log_merge_next(&view->merge, &search->from, &item);
    } else {
        search->from = view->bottom;
    }
}

void log_search_begin(LogView *view, int step)
{
    LogSearch *search = &view->search;
    if (!search->pattern) {
        log_look_say(view, true, "nothing is searched for yet: /");
        return;
    }
    search_from(view, step);
    search->step = step;
    search->phase = search->track = 0;
    search->ready = search->has_best = false;
    search->seen = 0;
}

/* The bytes of a source that are looked through in this phase; less where something nearer was found in another one. */
static void search_range(LogView *view, int track)
{
    LogSearch *search = &view->search;
    const LogLines *all = &view->merge.tracks[track]->all;
    bool ahead = (search->step > 0) == (search->phase == 0);
    search->floor = ahead ? search->from.at[track] : all->first;
    search->limit = ahead ? all->end : search->from.at[track];
    search->floor = search->floor < all->first ? all->first : search->floor;
    search->limit = search->limit > all->end ? all->end : search->limit;
    if (search->has_best) {
        uint64_t near = log_merge_seek_track(&view->merge, track, search->step > 0 ? search->best_key + 1 : search->best_key);
        if (search->step > 0)
            search->limit = near < search->limit ? near : search->limit;
        else
            search->floor = near > search->floor ? near : search->floor;
    }
    search->low = search->floor / LOG_BLOCK;
    search->high = search->limit > search->floor ? (search->limit - 1) / LOG_BLOCK + 1 : search->low;
    search->ready = true;
}

static bool search_is_nearer(const LogSearch *search, LogItem item, int64_t key)
{
    if (!search->has_best || key != search->best_key)
        return !search->has_best || (search->step > 0) == (key < search->best_key);
    return (search->step > 0) == (item.track < search->best.track);
}

/* The first or the last line of the block that fits and lies in the range. */
static bool search_block(LogView *view, uint64_t index)
{
    LogSearch *search = &view->search;
    LogNarrow narrow = view->narrow;
    LogLines *all = &view->merge.tracks[search->track]->all;
    narrow.patterns[1] = search->pattern;
    if (!log_block_load(all, &narrow, index, &search->block))
        return false;
    const LogBlock *block = &search->block;
    bool any = false;
    LogItem item = {search->track, 0};
    for (size_t i = 0; i < block->count; i++) {
        uint64_t start = block->begin + block->starts[i];
        if (start < search->floor || start >= search->limit || (any && search->step > 0))
            continue;
        item.start = start;
        any = true;
    }
    if (!any)
        return false;
    int64_t key = log_merge_key(&view->merge, item);
    if (search_is_nearer(search, item, key)) {
        search->best = item;
        search->best_key = key;
        search->has_best = true;
    }
    return true;
}

static void search_found(LogView *view)
{
    LogSearch *search = &view->search;
    search->step = 0;
    view->has_found = true;
    view->found = search->best;
    view->follow = view->hold_top = false;
    log_look_at(view, search->best);
    if (search->phase)
        log_look_say(view, false, "the search went on from the other end");
    else
        log_look_say(view, false, "%s", "");
}

/* One source after another, then the other side. False: it has ended. */
static bool search_advance(LogView *view)
{
    LogSearch *search = &view->search;
    search->ready = false;
    if (++search->track < (int)view->merge.count)
        return true;
    search->track = 0;
    if (!search->has_best && search->phase++ == 0)
        return true;
    if (search->has_best) {
        search_found(view);
    } else {
        search->step = 0;
        log_look_say(view, true, "not found: %s", log_pattern_text(search->pattern));
    }
    return false;
}

bool log_search_turn(LogView *view, int64_t until_us)
{
    LogSearch *search = &view->search;
    while (search->step && view->merge.count > 0) { /* without any source it waits for the first */
        if (!search->ready)
            search_range(view, search->track);
        if (search->low >= search->high) {
            search_advance(view);
            continue;
        }
        uint64_t index = search->step > 0 ? search->low++ : --search->high;
        search->seen += LOG_BLOCK;
        if (search_block(view, index))
            search->low = search->high; /* what comes behind is farther away */
        if (clock_mono_us() > until_us)
            break;
    }
    return search->step != 0 && view->merge.count > 0;
}

int log_search_percent(const LogView *view)
{
    uint64_t bytes = 1;
    for (size_t i = 0; i < view->merge.count; i++)
        bytes += view->merge.tracks[i]->all.end - view->merge.tracks[i]->all.first;
    int percent = (int)(view->search.seen * 100 / bytes);
    return percent > 100 ? 100 : percent;
}
