/* The line at the bottom in which a filter, a search or a `:` command is typed, with what was typed before. */
#include "ui/app.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void app_prompt(App *app, const KeyInfo *info, const char *label, const char *text, List *history)
{
    Prompt *prompt = &app->prompt;
    prompt->info = info;
    snprintf(prompt->label, sizeof prompt->label, "%s", label);
    edit_set(&prompt->edit, text);
    free(prompt->before);
    prompt->before = mem_text(text ? text : "");
    prompt->history = history;
    prompt->history_at = history ? history->count : 0;
}

/* A filter works while it is typed; half a word that is no filter yet changes nothing. */
static void prompt_live(App *app)
{
    Error error;
    if (app->prompt.info->action != ACTION_FILTER)
        return;
    if (!app_set_filter(app, app->prompt.edit.text, &error))
        app_say(app, ROLE_WARN, "%s", error.what);
}

void prompt_end(App *app, bool accepted)
{
    Prompt *prompt = &app->prompt;
    const KeyInfo *info = prompt->info;
    char *text = mem_text(prompt->edit.text);
    prompt->info = NULL;
    if (accepted && *text && prompt->history &&
        (prompt->history->count == 0 || strcmp(prompt->history->items[prompt->history->count - 1], text) != 0))
        list_add(prompt->history, text);
    if (info->action == ACTION_FILTER)
        app_set_filter(app, accepted ? text : prompt->before, NULL);
    else if (accepted && info->action == ACTION_COMMAND)
        command_run(app, text);
    else if (accepted)
        app_act(app, info, KEY_NOTHING, text);
    free(text);
}

static void prompt_history(App *app, int by)
{
    Prompt *prompt = &app->prompt;
    if (!prompt->history || (by < 0 && prompt->history_at == 0) || (by > 0 && prompt->history_at >= prompt->history->count))
        return;
    prompt->history_at += by < 0 ? (size_t)-1 : 1;
    bool past = prompt->history_at == prompt->history->count;
    edit_set(&prompt->edit, past ? "" : prompt->history->items[prompt->history_at]);
    prompt_live(app);
}

void prompt_key(App *app, Key key, bool pasted)
{
    Prompt *prompt = &app->prompt;
    if (pasted && (key == KEY_RETURN || key < ' '))
        return; /* what is pasted is never carried out by its line ends */
    switch (key) {
    case KEY_RETURN: prompt_end(app, true); return;
    case KEY_ESCAPE:
    case KEY_INTERRUPT: prompt_end(app, false); return;
    case KEY_ARROW_UP: prompt_history(app, -1); return;
    case KEY_ARROW_DOWN: prompt_history(app, 1); return;
    case KEY_TABULATOR:
        if (prompt->info->action == ACTION_COMMAND)
            command_complete(app, &prompt->edit);
        return;
    case KEY_BACKSPACE_:
        if (prompt->edit.length == 0) {
            prompt_end(app, false);
            return;
        }
        break;
    default: break;
    }
    if (edit_key(&prompt->edit, key) == EDIT_CHANGED)
        prompt_live(app);
}
