#include "base/wake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

bool wake_init(Wake *wake)
{
#ifdef __linux__
    wake->read_fd = wake->write_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake->read_fd >= 0;
#else
    int ends[2];
    wake->read_fd = wake->write_fd = -1;
    if (pipe(ends) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    wake->read_fd = ends[0];
    wake->write_fd = ends[1];
    return true;
#endif
}

void wake_done(Wake *wake)
{
    if (wake->write_fd >= 0 && wake->write_fd != wake->read_fd)
        close(wake->write_fd);
    if (wake->read_fd >= 0)
        close(wake->read_fd);
    wake->read_fd = wake->write_fd = -1;
}

void wake_up(const Wake *wake)
{
    int before = errno; /* signal handlers call this */
    uint64_t one = 1;
    if (wake->write_fd >= 0) {
        ssize_t ignored = write(wake->write_fd, &one, sizeof one); /* full: it is readable already */
        (void)ignored;
    }
    errno = before;
}

void wake_drain(const Wake *wake)
{
    char bytes[64];
    while (wake->read_fd >= 0 && read(wake->read_fd, bytes, sizeof bytes) > 0 && wake->read_fd != wake->write_fd)
        ;
}
