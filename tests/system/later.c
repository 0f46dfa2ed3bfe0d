/* Preloaded into the program under test: its wall clock is LATER_S seconds ahead. What counts only after ten minutes can be tried
 * with real clusters that are seconds old; nothing else is moved. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    const char *later = getenv("LATER_S");
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && later)
        time->tv_sec += strtol(later, NULL, 10);
    return result;
}
