#include "core/filter.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/columns.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TERMS_MAX = 64, EXPRESSION_MAX = 4096 };

typedef enum TermKind {
    TERM_WORD,  /* any column contains it */
    TERM_MINE,  /* owner:me */
    TERM_EXACT, /* field is it: words of a fixed set, keys of backends */
    TERM_GLOB,  /* field matches it */
    TERM_PART,  /* field contains it */
    TERM_NUMBER /* field compared with it */
} TermKind;

typedef enum Comparison { LESS, AT_MOST, EQUAL, AT_LEAST, MORE } Comparison;

typedef struct Term {
    TermKind kind;
    bool negated;
    Comparison comparison;
    const Column *column;
    char *text;
    double number;
} Term;

struct Filter {
    char *expression;
    Term *terms;
    size_t count, capacity;
    bool ages;
};

/* --------------------------------------------------------------------------------------------------------------- parsing */

/* One term of the expression as it is typed: quotes taken away, what stood in them remembered as plain. */
typedef struct Token {
    Buffer text;
    size_t plain_from; /* from here on no character is an operator: a quote stood here */
    bool negated, any;
} Token;

static const char *next_token(const char *at, Token *token, bool *open_quote)
{
    buffer_clear(&token->text);
    token->plain_from = (size_t)-1;
    token->negated = token->any = false;
    while (isspace((unsigned char)*at))
        at++;
    if (*at == '!') {
        token->negated = true;
        at++;
    }
    bool quoted = false;
    for (; *at && (quoted || !isspace((unsigned char)*at)); at++) {
        token->any = true;
        if (*at != '"') {
            buffer_char(&token->text, *at);
            continue;
        }
        quoted = !quoted;
        if (token->plain_from == (size_t)-1)
            token->plain_from = token->text.length;
    }
    *open_quote = quoted;
    token->any |= token->negated;
    return at;
}

static void add_fields(Buffer *out)
{
    for (const Column *column = columns; column->name; column++)
        buffer_format(out, "%s%s", column == columns ? "" : " ", column->name);
}

static bool no_field(const char *name, size_t n, Error *error)
{
    Buffer fields;
    buffer_init(&fields, BUFFER_ANY);
    add_fields(&fields);
    error_set(error, ERROR_USAGE, "filter", "put it in quotes to look for it as a word", "no field '%.*s'; there are: %s",
              (int)(n < 30 ? n : 30), name, fields.bytes);
    buffer_done(&fields);
    return false;
}

static bool is_time(const Column *column)
{
    static const char *const names[] = {"age", "idle", "ends", "seen", "created", "keep"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(column->name, names[i]) == 0)
            return true;
    return false;
}

static bool is_size(const Column *column)
{
    return strcmp(column->name, "memory") == 0;
}

/* "2GiB", "500 MB", "1024": units of 1,024 with an i or a bare letter, of 1,000 with a B. */
static bool parse_size(const char *text, double *bytes)
{
    static const char letters[] = "kmgtp";
    char *end;
    double number = strtod(text, &end);
    if (end == text || !isfinite(number) || number < 0)
        return false;
    while (*end == ' ')
        end++;
    const char *letter = *end ? strchr(letters, tolower((unsigned char)*end)) : NULL;
    double unit = 1;
    if (letter) {
        bool thousand = tolower((unsigned char)end[1]) == 'b';
        for (const char *c = letters; c <= letter; c++)
            unit *= thousand ? 1000 : 1024;
        end++;
        end += tolower((unsigned char)*end) == 'i';
    }
    end += tolower((unsigned char)*end) == 'b';
    *bytes = number * unit;
    return *end == 0;
}

static bool parse_number(const Column *column, const char *text, double *number)
{
    int64_t ms;
    if (is_time(column)) {
        if (!duration_parse(text, &ms))
            return false;
        *number = (double)ms;
        return true;
    }
    if (is_size(column))
        return parse_size(text, number);
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == 0 && isfinite(*number);
}

static bool wrong_number(const Column *column, const char *text, Error *error)
{
    if (!column->number)
        return error_set(error, ERROR_USAGE, "filter", "compare it with ':'", "%s has no order: %s", column->name, text);
    const char *wants = is_time(column) ? "a duration such as 90s, 15m, 2h, 3d"
                        : is_size(column) ? "a size such as 500MB, 2GiB" : "a number";
    return error_set(error, ERROR_USAGE, "filter", NULL, "%s wants %s, not '%.40s'", column->name, wants, text);
}

static bool is_one_of(const char *text, const char *(*word)(int), int count)
{
    for (int i = 0; i < count; i++)
        if (strcasecmp(text, word(i)) == 0)
            return true;
    return false;
}

static const char *status_at(int i)
{
    return status_word((Status)i);
}

static const char *verdict_at(int i)
{
    return verdict_word((VerdictState)i);
}

static bool check_word(const Column *column, const char *text, Error *error)
{
    bool status = strcmp(column->name, "status") == 0;
    const char *(*word)(int) = status ? status_at : verdict_at;
    int count = status ? STATUS_COUNT : VERDICT_COUNT;
    if (is_one_of(text, word, count))
        return true;
    Buffer all;
    buffer_init(&all, BUFFER_ANY);
    for (int i = 0; i < count; i++)
        buffer_format(&all, "%s%s", i ? " " : "", word(i));
    error_set(error, ERROR_USAGE, "filter", NULL, "%s is never '%.40s'; there are: %s", column->name, text, all.bytes);
    buffer_done(&all);
    return false;
}

static bool is_fixed(const Column *column)
{
    return strcmp(column->name, "status") == 0 || strcmp(column->name, "verdict") == 0;
}

/* field:value. */
static bool parse_match(Term *term, const char *value, Error *error)
{
    const char *name = term->column->name;
    term->text = mem_text(value);
    term->kind = TERM_PART;
    if (!*value)
        return error_set(error, ERROR_USAGE, "filter", NULL, "nothing stands after '%s:'", name);
    if (strcmp(name, "owner") == 0 && strcmp(value, "me") == 0)
        term->kind = TERM_MINE;
    else if (strpbrk(value, "*?"))
        term->kind = TERM_GLOB;
    else if (strcmp(name, "backend") == 0)
        term->kind = TERM_EXACT;
    else if (term->column->number && parse_number(term->column, value, &term->number))
        term->kind = TERM_NUMBER, term->comparison = EQUAL;
    else if (is_fixed(term->column))
        term->kind = TERM_EXACT;
    return term->kind != TERM_EXACT || !is_fixed(term->column) || check_word(term->column, value, error);
}

static bool parse_comparison(Term *term, const char *operator, size_t n, const char *value, Error *error)
{
    term->kind = TERM_NUMBER;
    term->comparison = n == 2 ? (*operator == '<' ? AT_MOST : AT_LEAST) : *operator == '<' ? LESS : MORE;
    if (!term->column->number || !parse_number(term->column, value, &term->number))
        return wrong_number(term->column, value, error);
    return true;
}

static bool parse_term(Term *term, const Token *token, Error *error)
{
    const char *text = token->text.bytes;
    if (token->text.length == 0)
        return error_set(error, ERROR_USAGE, "filter", NULL, token->negated ? "nothing stands after '!'" : "an empty word");
    size_t name = strcspn(text, ":=<>");
    bool plain = !text[name] || name == 0 || name >= token->plain_from || strncmp(text + name, "://", 3) == 0;
    if (plain) {
        term->kind = TERM_WORD;
        term->text = mem_text(text);
        return true;
    }
    char *field = mem_text_n(text, name);
    term->column = column_find(field);
    free(field);
    if (!term->column)
        return no_field(text, name, error);
    const char *operator = text + name;
    if (*operator == ':' || *operator == '=')
        return parse_match(term, operator + 1, error);
    size_t n = operator[1] == '=' ? 2 : 1;
    return parse_comparison(term, operator, n, operator + n, error);
}

static bool add_term(Filter *filter, const Token *token, Error *error)
{
    if (filter->count == TERMS_MAX)
        return error_set(error, ERROR_USAGE, "filter", NULL, "more than %d terms", TERMS_MAX);
    filter->terms = mem_grow(filter->terms, filter->count, &filter->capacity, sizeof(*filter->terms));
    Term *term = &filter->terms[filter->count++];
    *term = (Term){.negated = token->negated};
    if (!parse_term(term, token, error))
        return false;
    filter->ages |= term->column && (is_time(term->column) || strcmp(term->column->name, "evidence") == 0);
    return true;
}

Filter *filter_parse(const char *expression, Error *error)
{
    if (strlen(expression) > EXPRESSION_MAX) {
        error_set(error, ERROR_USAGE, "filter", NULL, "longer than %d bytes", EXPRESSION_MAX);
        return NULL;
    }
    Filter *filter = mem_new(sizeof(*filter));
    filter->expression = mem_text(expression);
    Token token = {0};
    buffer_init(&token.text, EXPRESSION_MAX + 1);
    bool open_quote = false, right = true;
    for (const char *at = expression; right;) {
        at = next_token(at, &token, &open_quote);
        if (!token.any)
            break;
        right = open_quote ? error_set(error, ERROR_USAGE, "filter", NULL, "a quote is not closed")
                           : add_term(filter, &token, error);
    }
    buffer_done(&token.text);
    if (right)
        return filter;
    filter_free(filter);
    return NULL;
}

void filter_free(Filter *filter)
{
    if (!filter)
        return;
    for (size_t i = 0; i < filter->count; i++)
        free(filter->terms[i].text);
    free(filter->terms);
    free(filter->expression);
    free(filter);
}

const char *filter_text(const Filter *filter)
{
    return filter->expression;
}

bool filter_ages(const Filter *filter)
{
    return filter->ages;
}

/* --------------------------------------------------------------------------------------------------------------- holding */

static bool compare_numbers(double value, Comparison comparison, double with)
{
    if (isnan(value))
        return false;
    switch (comparison) {
    case LESS: return value < with;
    case AT_MOST: return value <= with;
    case EQUAL: return value == with;
    case AT_LEAST: return value >= with;
    case MORE: return value > with;
    }
    return false;
}

/* What the column prints, without decoration. */
static const char *cell(const Column *column, const ViewRow *row, Clock now, Buffer *out)
{
    buffer_clear(out);
    column->format(out, row, now, true);
    return out->bytes;
}

/* Figures are looked into only by words that have a digit, and texts made of ages by none: a filter that is typed must keep
 * up with the typing over thousands of rows. */
static bool word_holds(const char *word, const ViewRow *row, Clock now, Buffer *out)
{
    bool digit = strpbrk(word, "0123456789") != NULL;
    for (const Column *column = columns; column->name; column++) {
        if ((column->number && (!digit || is_time(column))) || strcmp(column->name, "evidence") == 0)
            continue;
        if (text_contains(cell(column, row, now, out), word))
            return true;
    }
    return row->kept.kept && text_contains(row->kept.reason, word);
}

static bool exact_holds(const Term *term, const ViewRow *row, Clock now, Buffer *out)
{
    const char *text = cell(term->column, row, now, out);
    if (!*text && strcmp(term->column->name, "status") == 0)
        text = status_word(STATUS_UNKNOWN);
    if (strcasecmp(text, term->text) == 0)
        return true;
    if (strcmp(term->column->name, "backend") != 0 || !row->record->instance)
        return false;
    buffer_format(out, ":%s", row->record->instance);
    return strcmp(out->bytes, term->text) == 0;
}

static bool term_holds(const Term *term, const ViewRow *row, Clock now, Buffer *out)
{
    switch (term->kind) {
    case TERM_WORD: return word_holds(term->text, row, now, out);
    case TERM_MINE: return row->record->is.mine == 1;
    case TERM_EXACT: return exact_holds(term, row, now, out);
    case TERM_GLOB: return text_glob(term->text, cell(term->column, row, now, out));
    case TERM_PART: return text_contains(cell(term->column, row, now, out), term->text);
    case TERM_NUMBER: return compare_numbers(term->column->number(row, now), term->comparison, term->number);
    }
    return false;
}

bool filter_holds(const Filter *filter, const ViewRow *row, Clock now)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    bool holds = true;
    for (size_t i = 0; holds && i < filter->count; i++)
        holds = term_holds(&filter->terms[i], row, now, &out) != filter->terms[i].negated;
    buffer_done(&out);
    return holds;
}
