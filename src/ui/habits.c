/* What the user chose and typed, for the next time: `ui.json` in the state directory. Whatever cannot be read is forgotten. */
#include "ui/app.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 256 << 10, HISTORY_MAX = 100 };

static void read_texts(const cJSON *json, const char *key, List *out)
{
    const cJSON *list = json_member(json, key), *item;
    if (!cJSON_IsArray(list))
        return;
    cJSON_ArrayForEach(item, list)
        if (cJSON_IsString(item) && out->count < HISTORY_MAX && text_is_clean(item->valuestring, strlen(item->valuestring)))
            list_add(out, item->valuestring);
}

static void read_columns(App *app, const cJSON *json)
{
    Table *table = &app->table;
    const char *names = json_text(json, "columns");
    const Column *chosen[TABLE_COLUMNS];
    size_t count;
    if (!names || !columns_parse(names, chosen, TABLE_COLUMNS, &count, NULL))
        return;
    memcpy(table->columns, chosen, count * sizeof *chosen);
    table->column_count = count;
    table->chosen = true;
}

void habits_read(App *app)
{
    const char *directory = engine_state_directory(app->engine);
    char *path = directory ? file_join(directory, "ui.json") : NULL;
    Buffer bytes;
    buffer_init(&bytes, BYTES_MAX);
    cJSON *json = path && file_read(path, &bytes, NULL) ? json_parse(bytes.bytes, bytes.length, path, NULL) : NULL;
    if (json) {
        const char *theme = json_text(json, "theme");
        read_columns(app, json);
        app->theme_chosen = theme ? theme_find(theme) : NULL;
        read_texts(json, "commands", &app->history_commands);
        read_texts(json, "filters", &app->history_filters);
        read_texts(json, "searches", &app->history_searches);
    }
    cJSON_Delete(json);
    buffer_done(&bytes);
    free(path);
}

static void put_texts(JsonWriter *json, const char *key, const List *list)
{
    json_array(json, key);
    for (size_t i = list->count > HISTORY_MAX ? list->count - HISTORY_MAX : 0; i < list->count; i++)
        json_put_text(json, NULL, list->items[i]);
    json_close(json, ']');
}

void habits_write(App *app)
{
    const char *directory = engine_state_directory(app->engine);
    char *path = directory ? file_join(directory, "ui.json") : NULL;
    Buffer bytes, names;
    JsonWriter json;
    buffer_init(&bytes, BYTES_MAX);
    buffer_init(&names, BUFFER_ANY);
    json_begin(&json, &bytes);
    json_object(&json, NULL);
    for (size_t i = 0; i < app->table.column_count; i++)
        buffer_format(&names, "%s%s", i ? "," : "", app->table.columns[i]->name);
    json_put_text(&json, "columns", app->table.chosen ? names.bytes : NULL);
    json_put_text(&json, "theme", app->theme_chosen ? app->theme_chosen->name : NULL);
    put_texts(&json, "commands", &app->history_commands);
    put_texts(&json, "filters", &app->history_filters);
    put_texts(&json, "searches", &app->history_searches);
    json_close(&json, '}');
    if (path && !bytes.full && file_make_directory(directory, NULL))
        file_replace(path, bytes.bytes, bytes.length, NULL); /* a habit that is lost is no reason to stop */
    buffer_done(&bytes);
    buffer_done(&names);
    free(path);
}
