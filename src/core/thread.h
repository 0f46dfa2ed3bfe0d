/* Threads of core: every signal blocked (they are the terminal thread's), conditions that count by the monotonic clock. */
#ifndef DASKTOP_CORE_THREAD_H
#define DASKTOP_CORE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

bool thread_start(pthread_t *thread, void *(*run)(void *), void *argument); /* false: the system has none left */
void thread_condition_init(pthread_cond_t *condition);
struct timespec thread_deadline(int64_t ms);          /* now + ms, for pthread_cond_timedwait on such a condition */
struct timespec thread_deadline_at(int64_t mono_ms);

#endif
