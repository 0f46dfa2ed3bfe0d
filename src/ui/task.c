#include "ui/app.h"

#include "base/mem.h"

#include <stdlib.h>

static void task_run(void *user, Context *context)
{
    Task *task = user;
    task->error = (Error){0};
    task->ok = task->run(task, context, &task->error);
    if (!task->ok && task->error.code == ERROR_OK)
        error_set(&task->error, ERROR_INTERNAL, NULL, NULL, "failed and did not say why");
}

static void task_done(void *user)
{
    Task *task = user;
    task->app->task_count--;
    task->app->data = true;
    task->done(task);
    cancel_done(&task->cancel);
    free(task);
}

void *task_new(App *app, size_t size, void *owner, bool (*run)(Task *, Context *, Error *), void (*done)(Task *))
{
    Task *task = mem_new(size);
    task->app = app;
    task->owner = owner;
    task->run = run;
    task->done = done;
    cancel_init(&task->cancel);
    error_set(&task->error, ERROR_CANCELLED, NULL, NULL, "cancelled"); /* stands where run is never called */
    return task;
}

void task_start(Task *task, const void *lane, int64_t timeout_ms)
{
    Job job = {task_run, task_done, task, lane};
    task->app->task_count++;
    engine_job(task->app->engine, &job, &task->cancel, timeout_ms);
}

void task_leave(Task *task)
{
    if (task) {
        task->owner = NULL;
        cancel_ask(&task->cancel);
    }
}

typedef struct CloseTask {
    Task task;
    Handle *handle;
} CloseTask;

static bool task_close_run(Task *task, Context *context, Error *error)
{
    CloseTask *closing = (CloseTask *)task;
    (void)context;
    (void)error;
    handle_close(closing->handle);
    closing->handle = NULL;
    return true;
}

static void task_close_done(Task *task)
{
    handle_close(((CloseTask *)task)->handle); /* NULL where it ran */
}

void task_close_handle(App *app, Handle *handle)
{
    if (!handle)
        return;
    if (app->quit) {
        handle_close(handle);
        return;
    }
    CloseTask *task = task_new(app, sizeof *task, NULL, task_close_run, task_close_done);
    task->handle = handle;
    task_start(&task->task, NULL, 10000);
}
