#include "core/jobs.h"

#include "base/mem.h"
#include "core/thread.h"

#include <stdlib.h>

enum { THREADS_MOST = 4 };

typedef struct Work Work;
struct Work {
    Job job;
    const Cancel *cancel; /* the caller's; NULL: that of the pool */
    int64_t deadline_ms;
    Work *next;
};

typedef struct Queue {
    Work *first, **last;
} Queue;

struct Jobs {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work, ended;
    Queue waiting, finished;
    size_t waiting_count;
    Work *running[THREADS_MOST]; /* by each thread; NULL: none */
    size_t threads, idle;
    pthread_t ids[THREADS_MOST];
    bool stopping;
    const Wake *wake;
    Cancel cancel;
};

static void queue_put(Queue *queue, Work *work)
{
    work->next = NULL;
    *queue->last = work;
    queue->last = &work->next;
}

static bool lane_is_busy(const Jobs *jobs, const void *lane)
{
    for (size_t i = 0; lane && i < THREADS_MOST; i++)
        if (jobs->running[i] && jobs->running[i]->job.lane == lane)
            return true;
    return false;
}

/* The first whose lane is free. */
static Work *take(Jobs *jobs)
{
    for (Work **slot = &jobs->waiting.first; *slot; slot = &(*slot)->next) {
        Work *work = *slot;
        if (lane_is_busy(jobs, work->job.lane))
            continue;
        *slot = work->next;
        if (!work->next)
            jobs->waiting.last = slot;
        jobs->waiting_count--;
        return work;
    }
    return NULL;
}

static void finish(Jobs *jobs, Work *work)
{
    queue_put(&jobs->finished, work);
    if (jobs->wake)
        wake_up(jobs->wake);
}

typedef struct Seat {
    Jobs *jobs;
    size_t number;
} Seat;

static void *serve(void *argument)
{
    Seat seat = *(Seat *)argument;
    Jobs *jobs = seat.jobs;
    free(argument);
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->stopping) {
        Work *work = take(jobs);
        if (!work) {
            jobs->idle++;
            pthread_cond_wait(&jobs->work, &jobs->lock);
            jobs->idle--;
            continue;
        }
        jobs->running[seat.number] = work;
        pthread_mutex_unlock(&jobs->lock);
        Context context = {work->cancel ? work->cancel : &jobs->cancel, work->deadline_ms};
        if (context_check(&context, NULL, NULL))
            work->job.run(work->job.user, &context);
        pthread_mutex_lock(&jobs->lock);
        jobs->running[seat.number] = NULL;
        finish(jobs, work);
        pthread_cond_signal(&jobs->work); /* its lane is free for another */
    }
    jobs->threads--;
    pthread_cond_broadcast(&jobs->ended);
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

Jobs *jobs_new(void)
{
    Jobs *jobs = mem_new(sizeof *jobs);
    pthread_mutex_init(&jobs->lock, NULL);
    thread_condition_init(&jobs->work);
    thread_condition_init(&jobs->ended);
    jobs->waiting.last = &jobs->waiting.first;
    jobs->finished.last = &jobs->finished.first;
    if (!cancel_init(&jobs->cancel))
        jobs->cancel.wake = (Wake){-1, -1};
    return jobs;
}

void jobs_add(Jobs *jobs, const Job *job, const Cancel *cancel, int64_t timeout_ms)
{
    Work *work = mem_new(sizeof *work);
    *work = (Work){.job = *job, .cancel = cancel, .deadline_ms = context_new(NULL, timeout_ms).deadline_ms};
    pthread_mutex_lock(&jobs->lock);
    if (jobs->stopping) {
        finish(jobs, work);
    } else {
        queue_put(&jobs->waiting, work);
        jobs->waiting_count++;
        /* idle ones that were woken for earlier jobs still count as idle: compare with all that wait */
        if (jobs->waiting_count > jobs->idle && jobs->threads < THREADS_MOST) {
            Seat *seat = mem_new(sizeof *seat);
            *seat = (Seat){jobs, jobs->threads};
            if (thread_start(&jobs->ids[jobs->threads], serve, seat))
                jobs->threads++;
            else
                free(seat);
        }
        if (!jobs->threads)
            finish(jobs, take(jobs)); /* nobody will ever come for it */
        pthread_cond_signal(&jobs->work);
    }
    pthread_mutex_unlock(&jobs->lock);
}

void jobs_on_done(Jobs *jobs, const Wake *wake)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->wake = wake;
    pthread_mutex_unlock(&jobs->lock);
}

void jobs_collect(Jobs *jobs)
{
    for (;;) {
        pthread_mutex_lock(&jobs->lock);
        Work *work = jobs->finished.first;
        if (work) {
            jobs->finished.first = work->next;
            if (!work->next)
                jobs->finished.last = &jobs->finished.first;
        }
        pthread_mutex_unlock(&jobs->lock);
        if (!work)
            return;
        work->job.done(work->job.user);
        free(work);
    }
}

bool jobs_stop(Jobs *jobs, int64_t ms)
{
    struct timespec end = thread_deadline(ms);
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true; /* before anything is cancelled: who comes free takes no more */
    cancel_ask(&jobs->cancel);
    size_t started = jobs->threads;
    /* also those that wait with a Cancel of their caller: it lives until done(), which comes later */
    for (size_t i = 0; i < THREADS_MOST; i++)
        if (jobs->running[i] && jobs->running[i]->cancel)
            cancel_ask((Cancel *)(uintptr_t)jobs->running[i]->cancel);
    for (Work *work; (work = jobs->waiting.first);) {
        jobs->waiting.first = work->next;
        queue_put(&jobs->finished, work);
    }
    jobs->waiting.last = &jobs->waiting.first;
    jobs->waiting_count = 0;
    pthread_cond_broadcast(&jobs->work);
    while (jobs->threads && pthread_cond_timedwait(&jobs->ended, &jobs->lock, &end) == 0)
        ;
    bool all = jobs->threads == 0;
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; all && i < started; i++)
        pthread_join(jobs->ids[i], NULL);
    jobs_collect(jobs);
    return all;
}

void jobs_free(Jobs *jobs)
{
    cancel_done(&jobs->cancel);
    pthread_cond_destroy(&jobs->work);
    pthread_cond_destroy(&jobs->ended);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}
