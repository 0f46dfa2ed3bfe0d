/* A descriptor that another thread can make readable: eventfd where there is one, else a pipe.
 * wake_up may be called by any thread and by signal handlers; wake_drain only by the one that polls. */
#ifndef DASKTOP_BASE_WAKE_H
#define DASKTOP_BASE_WAKE_H

#include <stdbool.h>

typedef struct Wake {
    int read_fd, write_fd; /* the same number with eventfd; -1: not open */
} Wake;

bool wake_init(Wake *wake); /* false: no descriptors left */
void wake_done(Wake *wake);
void wake_up(const Wake *wake);
void wake_drain(const Wake *wake);

#endif
