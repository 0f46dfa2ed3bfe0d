#include "backends/common/computer.h"

#include "backends/common/sockets.h"
#include "base/clock.h"
#include "base/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DASK_BACKLOG = 2048 };

/* Read once: it does not change while we run. */
static Computer here;
static pthread_once_t here_once = PTHREAD_ONCE_INIT;

uint32_t computer_backlog(unsigned long somaxconn)
{
    return somaxconn && somaxconn < DASK_BACKLOG ? (uint32_t)somaxconn : DASK_BACKLOG;
}

static void read_here(void)
{
    Buffer text;
    long long boot_s = 0;
    long ticks = sysconf(_SC_CLK_TCK);
    here.here = true;
    here.me = geteuid();
    here.ticks = ticks > 0 ? ticks : 100;
    file_user_name(here.me, here.user);
    file_host_name(here.name);
    file_boot_id(here.boot);
    ssize_t n = readlink("/proc/self/ns/net", here.network, sizeof here.network - 1);
    here.network[n > 0 ? n : 0] = 0;
    buffer_init(&text, 1 << 20);
    const char *line = file_read_at(AT_FDCWD, "/proc/stat", &text) ? strstr(text.bytes, "btime ") : NULL;
    if (line)
        sscanf(line, "btime %lld", &boot_s);
    here.boot_ms = boot_s ? boot_s * 1000 : TIME_UNKNOWN;
    buffer_clear(&text);
    here.backlog = computer_backlog(file_read_at(AT_FDCWD, "/proc/sys/net/core/somaxconn", &text) ? strtoul(text.bytes, NULL, 10) : 0);
    buffer_done(&text);
}

const Computer *computer_here(void)
{
    pthread_once(&here_once, read_here);
    return &here;
}

void computer_done(Computer *computer)
{
    list_done(&computer->addresses);
    *computer = (Computer){0};
}

int64_t computer_started_ms(const Computer *computer, uint64_t start)
{
    uint64_t ticks = computer->ticks > 0 ? (uint64_t)computer->ticks : 100;
    if (computer->boot_ms == TIME_UNKNOWN || start > (uint64_t)1 << 50)
        return TIME_UNKNOWN;
    return computer->boot_ms + (int64_t)(start / ticks * 1000 + start % ticks * 1000 / ticks);
}

bool computer_has(const Computer *computer, const char *host)
{
    size_t n = strcspn(computer->name, ".");
    if (computer->here)
        return sockets_is_local(host);
    return sockets_is_loopback(host) || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || strcmp(host, computer->name) == 0 ||
           (strlen(host) == n && strncmp(host, computer->name, n) == 0) || list_has(&computer->addresses, host);
}

const char *computer_user(const Computer *computer, uid_t uid, char out[64])
{
    if (computer->here)
        return file_user_name(uid, out);
    if (uid == computer->me)
        snprintf(out, 64, "%s", computer->user);
    else
        snprintf(out, 64, "%lu", (unsigned long)uid);
    return out;
}
