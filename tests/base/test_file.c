#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char place[64];

static char *below(const char *name)
{
    return file_join(place, name);
}

static int make_place(void **state)
{
    (void)state;
    snprintf(place, sizeof place, "/tmp/dasktop-test-XXXXXX");
    return mkdtemp(place) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int remove_place(void **state)
{
    (void)state;
    return nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void a_file_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    Error error = {0};
    char *path = below("data"), bytes[9000];
    memset(bytes, 'x', sizeof bytes);
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 9000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        Buffer out;
        assert_true(file_replace(path, bytes, n, &error));
        buffer_init(&out, n); /* exactly as much as there is */
        assert_true(file_read(path, &out, &error));
        assert_true(out.length == n && !out.full && out.bytes[n] == 0);
        buffer_done(&out);
        if (n == 0)
            continue;
        buffer_init(&out, n - 1 + 3);
        buffer_text(&out, "abc"); /* what stood there before stays */
        assert_false(file_read(path, &out, &error));
        assert_string_equal(out.bytes, "abc");
        assert_int_equal(out.length, 3);
        assert_string_equal(error.where, path);
        buffer_done(&out);
    }
    free(path);
}

static void only_files_are_read(void **state)
{
    (void)state;
    Error error = {0};
    Buffer out;
    char *pipe_path = below("pipe"), *none = below("none");
    buffer_init(&out, 100);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_false(file_read(pipe_path, &out, &error)); /* must not wait for a writer */
    assert_false(file_read(place, &out, &error));
    assert_false(file_read("/dev/zero", &out, &error));
    assert_false(file_read(none, &out, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_int_equal(out.length, 0);
    assert_false(file_read_at(AT_FDCWD, none, &out));
    assert_int_equal(errno, ENOENT);
#ifdef __linux__
    buffer_done(&out);
    buffer_init(&out, 1 << 16);
    assert_true(file_read("/proc/self/status", &out, &error)); /* its size is said to be 0 */
    assert_true(out.length > 0);
#endif
    buffer_done(&out);
    free(pipe_path);
    free(none);
}

static void a_replacement_is_private_and_leaves_nothing_beside(void **state)
{
    (void)state;
    Error error = {0};
    char *folder = below("private"), *path = below("private/file"), *missing = below("nowhere/file"), *taken = below("private/taken"), *inside = below("private/taken/x");
    assert_true(file_make_directory(folder, &error));
    assert_true(file_replace(path, "one", 3, &error));
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(file_replace(path, "two", 3, &error));
    assert_int_equal(mode_of(path), 0600);
    assert_false(file_replace(missing, "x", 1, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_int_equal(mkdir(taken, 0700), 0);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_false(file_replace(taken, "x", 1, &error)); /* the rename fails: its own file goes again */
    rmdir(inside);
    rmdir(taken);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    free(folder), free(path), free(missing), free(taken), free(inside);
}

static void directories_are_made_private_and_checked(void **state)
{
    (void)state;
    Error error = {0};
    char *deep = below("a/b/c"), *middle = below("a/b"), *open = below("open"), *under = below("open/x"), *file = below("file"), *behind = below("file/x");
    umask(0);
    assert_true(file_make_directory(deep, &error));
    assert_int_equal(mode_of(deep), 0700);
    assert_int_equal(mode_of(middle), 0700);
    assert_true(file_make_directory(deep, &error));
    assert_int_equal(mkdir(open, 0777), 0);
    assert_false(file_make_directory(open, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    assert_false(file_make_directory(under, &error));
    assert_true(file_replace(file, "", 0, &error));
    assert_false(file_make_directory(file, &error));
    assert_false(file_make_directory(behind, &error));
    umask(022);
    free(deep), free(middle), free(open), free(under), free(file), free(behind);
}

static void a_lock_is_held_by_one(void **state)
{
    (void)state;
    Error error = {0};
    char *path = below("lock");
    int go[2], first = file_lock(path, clock_mono_ms(), &error);
    assert_true(first >= 0);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(file_lock(path, clock_mono_ms(), &error), -1); /* also within one program */
    assert_int_equal(error.code, ERROR_BUSY);
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) { /* waits until the other has let go */
        ssize_t ignored = write(go[1], "x", 1);
        (void)ignored;
        close(first); /* a lock is held by all copies of its descriptor */
        _exit(file_lock(path, clock_mono_ms() + 30000, NULL) >= 0 ? 0 : 1);
    }
    char byte;
    assert_int_equal(read(go[0], &byte, 1), 1);
    close(first);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    int again = file_lock(path, clock_mono_ms(), &error); /* the child's end let go too */
    assert_true(again >= 0);
    close(again);
    close(go[0]);
    close(go[1]);
    free(path);
}

static void places_come_from_the_environment(void **state)
{
    (void)state;
    char *home = below("home"), *wanted, *found;
    assert_int_equal(mkdir(home, 0700), 0);
    setenv("HOME", home, 1);
    unsetenv("XDG_STATE_HOME");
    setenv("XDG_CACHE_HOME", "relative/is/ignored", 1);
    found = file_state_home();
    wanted = file_join(home, ".local/state/dasktop");
    assert_string_equal(found, wanted);
    free(found), free(wanted);
    found = file_cache_home();
    wanted = file_join(home, ".cache/dasktop");
    assert_string_equal(found, wanted);
    free(found), free(wanted);
    assert_int_not_equal(access(found = below("home/.cache"), F_OK), 0); /* asking makes nothing */
    free(found);
    unsetenv("XDG_RUNTIME_DIR");
    found = file_runtime_home();
    wanted = file_join(home, ".local/state/dasktop/run");
    assert_string_equal(found, wanted);
    free(found), free(wanted);
    setenv("XDG_STATE_HOME", place, 1);
    found = file_state_home();
    wanted = below("dasktop");
    assert_string_equal(found, wanted);
    free(found), free(wanted);
    if (geteuid() != 0) {
        setenv("XDG_STATE_HOME", "/usr", 1);
        assert_null(file_state_home());
    } else { /* root in another's home */
        assert_int_equal(chown(home, 12345, 12345), 0);
        unsetenv("XDG_STATE_HOME");
        assert_null(file_state_home());
    }
    found = file_expand_home("~/x");
    wanted = file_join(home, "x");
    assert_string_equal(found, wanted);
    free(found), free(wanted);
    found = file_expand_home("~ada/x");
    assert_string_equal(found, "~ada/x");
    free(found);
    found = file_join("/", "x");
    assert_string_equal(found, "/x");
    free(found), free(home);
    char name[64];
    assert_string_equal(file_user_name(4000000001u, name), "4000000001");
}

typedef struct Seen {
    size_t count;
    char first[64], last[2048], where[256];
} Seen;

static void see(void *user, int64_t wall_ms, const char *where, const char *text)
{
    Seen *seen = user;
    assert_true(wall_ms > 0);
    if (seen->count++ == 0)
        snprintf(seen->first, sizeof seen->first, "%s", text);
    snprintf(seen->last, sizeof seen->last, "%s", text);
    snprintf(seen->where, sizeof seen->where, "%s", where);
}

static void the_log_is_a_ring_of_clean_lines(void **state)
{
    (void)state;
    Seen seen = {0};
    char *path = below("log"), *link = below("link");
    Error error = {0};
    Buffer text;
    unsetenv("DASKTOP_LOG");
    log_each(10, see, &seen);
    assert_int_equal(seen.count, 0);
    for (int i = 0; i < 2000; i++)
        log_line("n", "line %d", i);
    log_each(3, see, &seen);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.first, "line 1997");
    assert_string_equal(seen.last, "line 1999");
    seen = (Seen){0};
    log_each((size_t)-1, see, &seen);
    assert_in_range(seen.count, 3, 1999);
    assert_string_equal(seen.last, "line 1999");
    setenv("DASKTOP_LOG", path, 1);
    log_line("a\nb\033", "%s", "x\n2026-01-01 forged: line\033[2J");
    seen = (Seen){0};
    log_each(1, see, &seen);
    assert_string_equal(seen.last, "x<0A>2026-01-01 forged: line<1B>[2J");
    assert_string_equal(seen.where, "a<0A>b<1B>");
    buffer_init(&text, 4096);
    assert_true(file_read(path, &text, &error));
    assert_ptr_equal(strchr(text.bytes, '\n'), text.bytes + text.length - 1); /* one line */
    assert_non_null(strstr(text.bytes, "Z a<0A>b<1B>: x<0A>"));
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(symlink(path, link), 0);
    setenv("DASKTOP_LOG", link, 1);
    log_line("n", "through a link");
    size_t before = text.length;
    buffer_clear(&text);
    assert_true(file_read(path, &text, &error));
    assert_int_equal(text.length, before);
    unsetenv("DASKTOP_LOG");
    buffer_done(&text);
    free(path);
    free(link);
}

/* As a shell does; a link in one folder may be the program of another. */
static void programs_are_found_in_a_path(void **state)
{
    (void)state;
    char *one = below("one"), *two = below("two"), *three = below("three"), *folder = file_join(one, "python"), *plain = file_join(two, "python"),
         *program = file_join(three, "python"), *link = file_join(two, "linked"), *path = mem_format("%s::%s:/nowhere:%s", one, two, three);
    assert_true(mkdir(one, 0700) == 0 && mkdir(two, 0700) == 0 && mkdir(three, 0700) == 0 && mkdir(folder, 0700) == 0);
    assert_true(close(open(plain, O_CREAT | O_WRONLY, 0600)) == 0 && close(open(program, O_CREAT | O_WRONLY, 0700)) == 0 && symlink(program, link) == 0);
    char *found = file_in_path(path, "python", NULL); /* neither a folder nor what nobody may run */
    assert_string_equal(found, program);
    free(found);
    found = file_in_path(path, "linked", program);
    assert_string_equal(found, link);
    free(found);
    assert_null(file_in_path(path, "linked", plain));
    assert_null(file_in_path(path, "perl", NULL));
    assert_null(file_in_path(NULL, "python", NULL));
    char *const all[] = {one, two, three, folder, plain, program, link, path};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole_or_not_at_all), cmocka_unit_test(only_files_are_read),
        cmocka_unit_test(a_replacement_is_private_and_leaves_nothing_beside), cmocka_unit_test(directories_are_made_private_and_checked),
        cmocka_unit_test(a_lock_is_held_by_one), cmocka_unit_test(places_come_from_the_environment),
        cmocka_unit_test(the_log_is_a_ring_of_clean_lines), cmocka_unit_test(programs_are_found_in_a_path),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
