#include "core/thread.h"

#include "base/clock.h"

#include <signal.h>

bool thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number == 0;
}

/* macOS has no condition that counts by the monotonic clock: there it is the wall clock's. */
void thread_condition_init(pthread_cond_t *condition)
{
#ifdef __APPLE__
    pthread_cond_init(condition, NULL);
#else
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
#endif
}

struct timespec thread_deadline_at(int64_t mono_ms)
{
#ifdef __APPLE__
    mono_ms += clock_wall_ms() - clock_mono_ms();
#endif
    return (struct timespec){.tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000};
}

struct timespec thread_deadline(int64_t ms)
{
    return thread_deadline_at(clock_mono_ms() + ms);
}
