/* Preloaded into the program under test, as torsocks is: every connection is written down in the file BETWEEN before it is made. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int, const struct sockaddr *, socklen_t);
    void *found = dlsym(RTLD_NEXT, "connect");
    memcpy(&real, &found, sizeof real);
    int file = open(getenv("BETWEEN"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ssize_t written = write(file, address->sa_family == AF_INET ? "inet\n" : "other\n", 5);
    (void)written;
    close(file);
    return real(fd, address, length);
}
