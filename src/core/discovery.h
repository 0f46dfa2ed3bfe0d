/* One backend instance at work: its thread, its part of the store, its sink. Internal to core (core/engine.c). */
#ifndef DASKTOP_CORE_DISCOVERY_H
#define DASKTOP_CORE_DISCOVERY_H

#include "core/engine.h"

typedef struct Discovery Discovery;

/* Takes backend; the part is the store's. changed: called (any thread) when it has answered or ended. */
Discovery *discovery_new(Backend *backend, Part *part, EngineMode mode, void (*changed)(void *user), void *user);
bool discovery_start(Discovery *discovery);
Backend *discovery_backend(Discovery *discovery);
/* A pass has ended, well or not; or it is slow by its own timeout (reported to the part by the one who asks). */
bool discovery_answered(Discovery *discovery);
/* Monotonic time at which it becomes slow; INT64_MAX: not waiting. At that time somebody calls discovery_report_slow. */
int64_t discovery_slow_at(Discovery *discovery);
void discovery_report_slow(Discovery *discovery);
void discovery_refresh(Discovery *discovery);
void discovery_cancel(Discovery *discovery);
/* Its thread has ended within the time. */
bool discovery_join(Discovery *discovery, int64_t deadline_ms);
void discovery_free(Discovery *discovery); /* closes the backend; only after discovery_join */

/* What a failure means for a row of `backends`. */
PartState discovery_state(const Error *error);

#endif
