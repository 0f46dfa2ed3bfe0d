#include "backends/gateway/options.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *list_of(const cJSON *answer)
{
    const cJSON *list = json_member(answer, "cluster_options");
    return cJSON_IsArray(list) ? list : NULL;
}

const cJSON *options_find(const cJSON *answer, const char *field)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, list_of(answer))
    {
        const char *name = json_text(one, "field");
        if (name && strcmp(name, field) == 0)
            return one;
    }
    return NULL;
}

static char *names_of(const cJSON *answer)
{
    Buffer names;
    const cJSON *one;
    buffer_init(&names, 1000);
    cJSON_ArrayForEach(one, list_of(answer))
    {
        if (json_text(one, "field"))
            buffer_format(&names, "%s%s", names.length ? ", " : "", json_text(one, "field"));
    }
    if (!names.length)
        buffer_text(&names, "none");
    return buffer_take(&names);
}

/* ---------------------------------------------------------------------------------------------------------------- one value */

/* "at least 1", "at most 2"; false where there is no such bound or it holds. */
static bool is_beyond(const cJSON *spec, double number, char *out, size_t size)
{
    double least = json_number(spec, "min"), most = json_number(spec, "max");
    bool low = !isnan(least) && number < least, high = !isnan(most) && number > most;
    snprintf(out, size, "%s %.15g", low ? "at least" : "at most", low ? least : most);
    return low || high;
}

static bool is_whole(const Tree *value)
{
    return value->kind == TREE_NUMBER && !value->text[strspn(value->text, "+-0123456789")];
}

static char *choices_of(const cJSON *spec)
{
    Buffer out;
    const cJSON *one;
    buffer_init(&out, 400);
    cJSON_ArrayForEach(one, json_member(spec, "options"))
    {
        if (cJSON_IsString(one))
            buffer_format(&out, "%s%s", out.length ? ", " : "", one->valuestring);
    }
    return buffer_take(&out);
}

static bool is_choice(const cJSON *spec, const char *text)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_member(spec, "options"))
    {
        if (cJSON_IsString(one) && strcmp(one->valuestring, text) == 0)
            return true;
    }
    return false;
}

/* What it should be; the caller's, NULL where it is right. A type that is not known is the gateway's to judge. */
static char *wish_of(const cJSON *spec, const Tree *value)
{
    const char *type = json_text(spec, "type");
    char bound[80];
    if (!type)
        return NULL;
    if (strcmp(type, "string") == 0)
        return value->kind == TREE_TEXT ? NULL : mem_text("a text");
    if (strcmp(type, "bool") == 0)
        return value->kind == TREE_BOOL ? NULL : mem_text("true or false");
    if (strcmp(type, "mapping") == 0)
        return value->kind == TREE_MAP ? NULL : mem_text("a map");
    if (strcmp(type, "int") == 0 && !is_whole(value))
        return mem_text("a whole number");
    if (strcmp(type, "float") == 0 && value->kind != TREE_NUMBER)
        return mem_text("a number");
    if (strcmp(type, "int") == 0 || strcmp(type, "float") == 0)
        return is_beyond(spec, value->number, bound, sizeof bound) ? mem_text(bound) : NULL;
    if (strcmp(type, "select") == 0 && !(value->kind == TREE_TEXT && is_choice(spec, value->text))) {
        char *choices = choices_of(spec), *wish = mem_format("one of %s", choices);
        free(choices);
        return wish;
    }
    return NULL;
}

static bool check_one(const cJSON *answer, const Tree *value, const char *where, Error *error)
{
    char at[256];
    const cJSON *offer = options_find(answer, value->key);
    if (!offer) {
        char *names = names_of(answer);
        error_set(error, ERROR_USAGE, tree_where_key(value, at), NULL, "the gateway %s has no option %s: it has %s", where, value->key, names);
        free(names);
        return false;
    }
    char *wish = wish_of(json_member(offer, "spec"), value);
    if (wish)
        error_set(error, ERROR_USAGE, tree_where(value, at), NULL, "the gateway's option %s must be %s", value->key, wish);
    free(wish);
    return !wish;
}

bool options_check(const cJSON *answer, const Tree *values, const char *where, Error *error)
{
    for (size_t i = 0; values && i < values->count; i++)
        if (!check_one(answer, values->items[i], where, error))
            return false;
    return true;
}

/* ------------------------------------------------------------------------------------------------------------------- words */

static void put_range(const cJSON *spec, Buffer *out)
{
    double least = json_number(spec, "min"), most = json_number(spec, "max");
    const char *type = json_text(spec, "type");
    if (type && strcmp(type, "select") == 0) {
        char *choices = choices_of(spec);
        buffer_format(out, " (of %s)", choices);
        free(choices);
    } else if (!isnan(least) && !isnan(most)) {
        buffer_format(out, " (%.15g to %.15g)", least, most);
    } else if (!isnan(least) || !isnan(most)) {
        buffer_format(out, isnan(most) ? " (from %.15g)" : " (to %.15g)", isnan(most) ? least : most);
    }
}

bool options_is_secret(const char *field)
{
    static const char *const secrets[] = {"token", "pass", "secret", "key", "credential"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (strcasestr(field, secrets[i]))
            return true;
    return false;
}

void options_words(const cJSON *answer, const Tree *values, Buffer *out)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, list_of(answer))
    {
        const char *field = json_text(one, "field");
        const Tree *chosen = field ? tree_get(values, field) : NULL;
        const cJSON *standard = json_member(one, "default");
        bool map = chosen ? chosen->kind == TREE_MAP || chosen->kind == TREE_LIST : cJSON_IsObject(standard) || cJSON_IsArray(standard);
        bool hidden = field && (map || options_is_secret(field));
        if (!field || (hidden && !chosen))
            continue;
        char *value = hidden ? mem_text("given") : chosen ? mem_text(tree_text(chosen)) : cJSON_IsString(standard) ? mem_text(standard->valuestring) : cJSON_PrintUnformatted(standard);
        buffer_format(out, "%s%s: %s", out->length ? ", " : "", field, value ? value : "?");
        free(value);
        put_range(json_member(one, "spec"), out);
    }
}
