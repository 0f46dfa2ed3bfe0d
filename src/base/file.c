#include "base/file.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------------------- reading */

static bool read_all(int fd, Buffer *out)
{
    for (;;) {
        char *room = buffer_room(out, 4096);
        size_t size = 4096;
        if (!room) { /* the last bytes below the maximum, and one more to see whether there are more */
            char last[4096];
            ssize_t n = read(fd, last, sizeof last);
            if (n <= 0)
                return n == 0 ? (out->full = false, true) : false;
            if (buffer_add(out, last, (size_t)n))
                continue;
            errno = EFBIG;
            return false;
        }
        ssize_t n = read(fd, room, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            return true;
        out->length += (size_t)n;
        out->bytes[out->length] = 0;
    }
}

bool file_read_at(int directory, const char *name, Buffer *out)
{
    struct stat st;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool right = fstat(fd, &st) == 0;
    if (right && !S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        right = false;
    }
    size_t before = out->length;
    right = right && read_all(fd, out);
    int number = errno;
    if (!right && out->capacity) { /* no half of a file */
        out->length = before;
        out->bytes[before] = 0;
    }
    close(fd);
    errno = number;
    return right;
}

bool file_read(const char *path, Buffer *out, Error *error)
{
    return file_read_at(AT_FDCWD, path, out) || error_errno(error, errno, path, "it cannot be read");
}

/* ------------------------------------------------------------------------------------------------------------- writing */

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

static bool replace(const char *path, const void *bytes, size_t n, bool sync, Error *error)
{
    char *beside = mem_format("%s.XXXXXX", path);
    int fd = mkostemp(beside, O_CLOEXEC);
    bool right = fd >= 0 && fchmod(fd, 0600) == 0 && write_all(fd, bytes, n) && (!sync || fsync(fd) == 0);
    if (right && !sync)
        unlink(path); /* what is renamed over another file is written out at once by ext4: milliseconds, for what may be lost */
    right = right && rename(beside, path) == 0;
    int number = errno;
    if (fd >= 0) {
        close(fd);
        if (!right)
            unlink(beside);
    }
    free(beside);
    return right || error_errno(error, number, path, "it cannot be written");
}

bool file_replace(const char *path, const void *bytes, size_t n, Error *error)
{
    return replace(path, bytes, n, true, error);
}

bool file_replace_cache(const char *path, const void *bytes, size_t n)
{
    return replace(path, bytes, n, false, NULL);
}

bool file_make_directory(const char *path, Error *error)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            return error_set(error, ERROR_DENIED, path, "remove it", "it is no directory");
        if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
            return error_set(error, ERROR_DENIED, path, "chmod o-w it", "everybody may write to it");
        return true;
    }
    char *parent = mem_text(path), *slash = strrchr(parent, '/');
    bool right = true;
    if (slash && slash != parent) {
        *slash = 0;
        right = file_make_directory(parent, error);
    }
    free(parent);
    if (right && mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_errno(error, errno, path, "the directory cannot be made");
    return right;
}

int file_lock(const char *path, int64_t deadline_ms, Error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_errno(error, errno, path, "it cannot be opened");
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || clock_mono_ms() >= deadline_ms) {
            error_set(error, ERROR_BUSY, path, "try again", "another program holds its lock");
            close(fd);
            return -1;
        }
        poll(NULL, 0, 10);
    }
    return fd;
}

/* -------------------------------------------------------------------------------------------------------------- places */

char *file_join(const char *directory, const char *name)
{
    size_t n = strlen(directory);
    return mem_format("%s%s%s", directory, n && directory[n - 1] == '/' ? "" : "/", name);
}

bool file_runs(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

static bool is_file(const char *path, const char *program)
{
    char *real = *path == '/' ? realpath(path, NULL) : NULL;
    bool same = real && strcmp(real, program) == 0;
    free(real);
    return same;
}

char *file_in_path(const char *path, const char *name, const char *program)
{
    for (size_t n; path && *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        char *file = n ? mem_format("%.*s/%s", (int)n, path, name) : NULL;
        if (file && file_runs(file) && (!program || is_file(file, program)))
            return file;
        free(file);
    }
    return NULL;
}

static char *home(void)
{
    const char *set = getenv("HOME");
    if (set && *set == '/')
        return mem_text(set);
    char bytes[4096];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(geteuid(), &entry, bytes, sizeof bytes, &found) == 0 && found && found->pw_dir && *found->pw_dir == '/')
        return mem_text(found->pw_dir);
    return NULL;
}

/* Another user's home (sudo without -H): nothing of ours is written there. */
static bool is_ours(const char *path)
{
    struct stat st;
    char *part = mem_text(path);
    bool ours = true;
    for (char *slash; stat(part, &st) != 0; *slash = 0)
        if (!(slash = strrchr(part, '/')) || slash == part)
            break;
    if (stat(part, &st) == 0)
        ours = st.st_uid == geteuid();
    free(part);
    return ours;
}

static char *place(const char *variable, const char *below)
{
    const char *set = getenv(variable);
    char *base = NULL, *found;
    if (set && *set == '/') {
        base = mem_text(set);
    } else {
        char *root = home();
        if (!root)
            return NULL;
        base = file_join(root, below);
        free(root);
    }
    found = file_join(base, "dasktop");
    free(base);
    if (!is_ours(found)) {
        free(found);
        return NULL;
    }
    return found;
}

char *file_state_home(void)
{
    return place("XDG_STATE_HOME", ".local/state");
}

char *file_cache_home(void)
{
    return place("XDG_CACHE_HOME", ".cache");
}

char *file_runtime_home(void)
{
    const char *set = getenv("XDG_RUNTIME_DIR");
    if (set && *set == '/' && is_ours(set))
        return file_join(set, "dasktop");
    char *state = file_state_home();
    char *found = state ? file_join(state, "run") : NULL;
    free(state);
    return found;
}

char *file_expand_home(const char *path)
{
    if (path[0] != '~' || (path[1] && path[1] != '/'))
        return mem_text(path);
    char *root = home();
    char *whole = root ? mem_format("%s%s", root, path + 1) : mem_text(path);
    free(root);
    return whole;
}

/* ------------------------------------------------------------------------------------------------------------ identities */

static bool read_word(const char *path, char *out, size_t size)
{
    Buffer text;
    buffer_init(&text, 4096);
    bool right = file_read_at(AT_FDCWD, path, &text);
    size_t n = right ? strcspn(text.bytes, " \t\r\n") : 0;
    snprintf(out, size, "%.*s", (int)n, text.bytes);
    buffer_done(&text);
    return *out != 0;
}

const char *file_machine_id(char out[64])
{
    if (!read_word("/etc/machine-id", out, 64)) {
        char host[256];
        snprintf(out, 64, "%.63s", file_host_name(host));
    }
    return out;
}

const char *file_boot_id(char out[64])
{
    if (!read_word("/proc/sys/kernel/random/boot_id", out, 64))
        snprintf(out, 64, "unknown");
    return out;
}

const char *file_host_name(char out[256])
{
    if (gethostname(out, 256) != 0 || !*out)
        snprintf(out, 256, "localhost");
    out[255] = 0;
    return out;
}

const char *file_user_name(uid_t uid, char out[64])
{
    char bytes[4096];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(uid, &entry, bytes, sizeof bytes, &found) == 0 && found)
        snprintf(out, 64, "%s", found->pw_name);
    else
        snprintf(out, 64, "%lu", (unsigned long)uid);
    return out;
}
