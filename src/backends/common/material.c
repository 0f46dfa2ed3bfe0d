#include "backends/common/material.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"ca.pem", "cert.pem", "key.pem"};
enum { NAMES = sizeof names / sizeof *names };

static void remove_directory(const char *directory)
{
    for (size_t i = 0; i < NAMES; i++) {
        char *path = file_join(directory, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(directory);
}

static void close_material(void *directory)
{
    remove_directory(directory);
    free(directory);
}

/* Directories are called HOST-PID-…: homes may be shared. */
static void sweep(const char *parent, const char *host)
{
    DIR *all = opendir(parent);
    size_t n = strlen(host);
    for (struct dirent *entry; all && (entry = readdir(all));) {
        bool ours = strncmp(entry->d_name, host, n) == 0 && entry->d_name[n] == '-';
        long pid = ours ? strtol(entry->d_name + n + 1, NULL, 10) : 0;
        if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        close_material(file_join(parent, entry->d_name));
    }
    if (all)
        closedir(all);
}

static char *make_directory(void)
{
    char host[256], *home = file_runtime_home(), *parent = home ? file_join(home, "tls") : NULL, *directory = NULL;
    if (parent && file_make_directory(parent, NULL)) {
        file_host_name(host);
        sweep(parent, host);
        directory = mem_format("%s/%s-%ld-XXXXXX", parent, host, (long)getpid());
        if (!mkdtemp(directory)) {
            free(directory);
            directory = NULL;
        }
    }
    free(home);
    free(parent);
    return directory;
}

/* NULL where there is no such secret; *right false where it cannot be written. */
static char *write_secret(const char *directory, const char *name, const Secret *secret, bool *right)
{
    if (!secret || !*right)
        return NULL;
    char *path = file_join(directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    *right = fd >= 0 && write(fd, secret_reveal(secret), secret_length(secret)) == (ssize_t)secret_length(secret);
    if (fd >= 0)
        close(fd);
    return path;
}

bool material_route(const Tls *tls, const char *where, Route *route, Error *error)
{
    char *directory = make_directory();
    bool right = directory != NULL;
    if (right) {
        route->ca_file = write_secret(directory, names[0], tls->ca, &right);
        route->cert = write_secret(directory, names[1], tls->cert, &right);
        route->key = write_secret(directory, names[2], tls->key, &right);
        route->own = directory;
        route->close = close_material;
    }
    return right || error_errno(error, errno, where, "its certificate cannot be written for a client");
}
