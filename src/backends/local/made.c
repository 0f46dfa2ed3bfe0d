#include "backends/local/made.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *made_directory(void)
{
    char machine[64], *state = file_state_home();
    char *path = state ? mem_format("%s/local/%s", state, file_machine_id(machine)) : NULL;
    free(state);
    return path;
}

char *made_path(const char *name, const char *end)
{
    char *directory = made_directory();
    char *path = directory ? mem_format("%s/%s%s", directory, name, end) : NULL;
    free(directory);
    return path;
}

void made_process(Made *made, const char *role, pid_t pid, const char *log)
{
    Process process;
    made->processes = mem_grow(made->processes, made->count, &made->capacity, sizeof *made->processes);
    made->processes[made->count++] = (MadeProcess){mem_text(role), pid, process_read(pid, &process) ? process.start : 0, mem_text(log)};
}

/* --------------------------------------------------------------------------------------------------------------- reading */

static void read_processes(Made *made, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        int64_t pid = json_integer(item, "pid"), start = json_integer(item, "start");
        if (pid <= 1 || pid > INT32_MAX || start < 0)
            continue;
        made->processes = mem_grow(made->processes, made->count, &made->capacity, sizeof *made->processes);
        made->processes[made->count++] = (MadeProcess){mem_text(json_text(item, "role")), (pid_t)pid, (uint64_t)start, mem_text(json_text(item, "log"))};
    }
}

static void read_one(const char *path, MadeList *out)
{
    Buffer bytes;
    char boot[64];
    buffer_init(&bytes, 1 << 20);
    cJSON *json = file_read(path, &bytes, NULL) ? json_parse(bytes.bytes, bytes.length, path, NULL) : NULL;
    const char *name = json_text(json, "name"), *boot_id = json_text(json, "boot_id");
    if (name && boot_id && strcmp(boot_id, file_boot_id(boot)) == 0) {
        out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        Made *made = &out->items[out->count++];
        *made = (Made){.name = mem_text(name), .address = mem_text(json_text(json, "address")), .id = mem_text(json_text(json, "id")),
                       .boot_id = mem_text(boot_id), .python = mem_text(json_text(json, "python"))};
        read_processes(made, json_member(json, "processes"));
    }
    cJSON_Delete(json);
    buffer_done(&bytes);
}

void made_read(MadeList *out)
{
    *out = (MadeList){0};
    char *path = made_directory();
    DIR *directory = path ? opendir(path) : NULL;
    for (const struct dirent *entry; directory && (entry = readdir(directory));) {
        size_t n = strlen(entry->d_name);
        if (n < 6 || strcmp(entry->d_name + n - 5, ".json") != 0)
            continue;
        char *file = file_join(path, entry->d_name);
        read_one(file, out);
        free(file);
    }
    if (directory)
        closedir(directory);
    free(path);
}

void made_free(Made *made)
{
    for (size_t i = 0; i < made->count; i++) {
        free(made->processes[i].role);
        free(made->processes[i].log);
    }
    free(made->processes);
    char *texts[] = {made->name, made->address, made->id, made->boot_id, made->python};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    *made = (Made){0};
}

void made_done(MadeList *list)
{
    for (size_t i = 0; i < list->count; i++)
        made_free(&list->items[i]);
    free(list->items);
    *list = (MadeList){0};
}

const Made *made_find(const MadeList *list, pid_t pid, uint64_t start, const MadeProcess **process)
{
    for (size_t i = 0; i < list->count; i++)
        for (size_t p = 0; p < list->items[i].count; p++)
            if (list->items[i].processes[p].pid == pid && list->items[i].processes[p].start == start) {
                if (process)
                    *process = &list->items[i].processes[p];
                return &list->items[i];
            }
    return NULL;
}

bool made_is_alive(const Made *made)
{
    for (size_t i = 0; i < made->count; i++)
        if (process_is(made->processes[i].pid, made->processes[i].start))
            return true;
    return false;
}

/* --------------------------------------------------------------------------------------------------------------- writing */

bool made_write(const Made *made, Error *error)
{
    Buffer out;
    JsonWriter json;
    char *directory = made_directory(), *path = made_path(made->name, ".json");
    if (!path)
        return error_set(error, ERROR_DENIED, "local", "set HOME or XDG_STATE_HOME", "there is no place to remember it in");
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "name", made->name);
    json_put_text(&json, "address", made->address);
    json_put_text(&json, "id", made->id);
    json_put_text(&json, "boot_id", made->boot_id);
    json_put_text(&json, "python", made->python);
    json_array(&json, "processes");
    for (size_t i = 0; i < made->count; i++) {
        json_object(&json, NULL);
        json_put_text(&json, "role", made->processes[i].role);
        json_put_integer(&json, "pid", made->processes[i].pid);
        json_put_integer(&json, "start", (int64_t)made->processes[i].start);
        json_put_text(&json, "log", made->processes[i].log);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    bool right = file_make_directory(directory, error) && file_replace(path, out.bytes, out.length, error);
    buffer_done(&out);
    free(directory);
    free(path);
    return right;
}

void made_remove(const char *name)
{
    char *path = made_path(name, ".json");
    if (path)
        unlink(path);
    free(path);
}
