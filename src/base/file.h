/* Files and the places where they live. Any thread; nothing static. */
#ifndef DASKTOP_BASE_FILE_H
#define DASKTOP_BASE_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Adds the whole file (not more than the buffer's maximum: else an error). Follows links; regular files and /proc only. */
bool file_read(const char *path, Buffer *out, Error *error);
bool file_read_at(int directory, const char *name, Buffer *out); /* quiet: false with errno */

/* Writes a new file beside it, syncs and renames it over. mode 0600. */
bool file_replace(const char *path, const void *bytes, size_t n, Error *error);
/* The same for what can be had again: not synced, and for a moment there is none. */
bool file_replace_cache(const char *path, const void *bytes, size_t n);

/* Makes the directory and its parents, 0700 for those it makes; refuses one that others may write to. */
bool file_make_directory(const char *path, Error *error);

/* Exclusive lock on path (made 0600 if it is not there), tried until the monotonic deadline; -1 with error; closing unlocks. */
int file_lock(const char *path, int64_t deadline_ms, Error *error);

/* $XDG_STATE_HOME/dasktop, $XDG_CACHE_HOME/dasktop, $XDG_CONFIG_HOME…; owned by the caller; not made. NULL where there is
 * no home at all. Under sudo or another uid's home: the directory must belong to us, else NULL. */
char *file_state_home(void);
char *file_cache_home(void);
char *file_runtime_home(void); /* $XDG_RUNTIME_DIR/dasktop, else a private folder in the state home */
char *file_join(const char *directory, const char *name);
bool file_runs(const char *path); /* a program that we may start */
/* The first such in the folders of a PATH (NULL: none); program: that is this very file behind all links (NULL: any). The caller's; NULL: none. */
char *file_in_path(const char *path, const char *name, const char *program);
char *file_expand_home(const char *path); /* "~/x" */

/* This machine and this start of it: /etc/machine-id (else the host's name), /proc/sys/kernel/random/boot_id. */
const char *file_machine_id(char out[64]);
const char *file_boot_id(char out[64]);
const char *file_host_name(char out[256]);
/* The user's name of a uid, "1001" where it has none; this process's effective one. */
const char *file_user_name(uid_t uid, char out[64]);

#endif
