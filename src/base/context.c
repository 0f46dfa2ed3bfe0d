#include "base/context.h"

#include "base/clock.h"

bool cancel_init(Cancel *cancel)
{
    atomic_init(&cancel->asked, false);
    return wake_init(&cancel->wake);
}

void cancel_done(Cancel *cancel)
{
    wake_done(&cancel->wake);
}

void cancel_ask(Cancel *cancel)
{
    atomic_store(&cancel->asked, true);
    wake_up(&cancel->wake);
}

bool cancel_asked(const Cancel *cancel)
{
    return cancel && atomic_load(&cancel->asked);
}

Context context_new(const Cancel *cancel, int64_t timeout_ms)
{
    int64_t now = clock_mono_ms();
    bool never = timeout_ms < 0 || timeout_ms > INT64_MAX - now;
    return (Context){cancel, never ? NO_DEADLINE : now + timeout_ms};
}

Context context_within(const Context *parent, int64_t timeout_ms)
{
    Context context = context_new(parent->cancel, timeout_ms);
    if (parent->deadline_ms < context.deadline_ms)
        context.deadline_ms = parent->deadline_ms;
    return context;
}

int64_t context_left_ms(const Context *context)
{
    if (context->deadline_ms == NO_DEADLINE)
        return INT64_MAX;
    int64_t left = context->deadline_ms - clock_mono_ms();
    return left > 0 ? left : 0;
}

int context_fd(const Context *context)
{
    return context->cancel ? context->cancel->wake.read_fd : -1;
}

bool context_check(const Context *context, const char *where, Error *error)
{
    if (cancel_asked(context->cancel))
        return error_set(error, ERROR_CANCELLED, where, NULL, "cancelled");
    if (context_left_ms(context) == 0)
        return error_set(error, ERROR_TIMEOUT, where, NULL, "no answer in time");
    return true;
}
