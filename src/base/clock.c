#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum { CLOCKS_AGREE_MS = 3000 };

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

int64_t clock_ahead_ms(int64_t stamp_ms, int64_t before)
{
    if (stamp_ms < 0 || stamp_ms > INT64_MAX / 2)
        return before;
    int64_t ahead = stamp_ms - clock_wall_ms();
    return distance(ahead, 0) <= CLOCKS_AGREE_MS ? 0 : distance(ahead, before) <= CLOCKS_AGREE_MS ? before : ahead;
}

int64_t clock_here_ms(int64_t stamp_ms, int64_t ahead_ms)
{
    return stamp_ms == TIME_UNKNOWN ? TIME_UNKNOWN : stamp_ms - ahead_ms;
}

Clock clock_now(void)
{
    return (Clock){clock_mono_ms(), clock_wall_ms()};
}

/* Years that fit four digits; beyond them a stamp is nonsense. */
static bool is_sane(int64_t wall_ms)
{
    return wall_ms >= -30610224000000 && wall_ms < 253402300800000;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

const char *time_text(int64_t wall_ms, bool with_ms, char out[TIME_TEXT])
{
    out[0] = 0;
    if (wall_ms == TIME_UNKNOWN || !is_sane(wall_ms))
        return out;
    time_t seconds = (time_t)floor_div(wall_ms, 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    if (with_ms)
        snprintf(out + n, TIME_TEXT - n, ".%03dZ", (int)(wall_ms - (int64_t)seconds * 1000));
    else
        snprintf(out + n, TIME_TEXT - n, "Z");
    return out;
}

static bool digits(const char **text, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (!isdigit((unsigned char)**text))
            return false;
        *value = *value * 10 + (**text - '0');
    }
    return true;
}

static bool literal(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

/* Fraction to milliseconds; whatever comes after the third digit is dropped. */
static int parse_fraction(const char **text)
{
    int ms = 0, weight = 100;
    if (**text != '.' && **text != ',')
        return 0;
    for ((*text)++; isdigit((unsigned char)**text); (*text)++, weight /= 10)
        ms += (**text - '0') * weight;
    return ms;
}

int64_t time_parse(const char *text)
{
    struct tm tm = {0};
    int offset = 0, hours, minutes;
    if (!text || !digits(&text, 4, &tm.tm_year) || !literal(&text, '-') || !digits(&text, 2, &tm.tm_mon) || !literal(&text, '-') ||
        !digits(&text, 2, &tm.tm_mday) || (*text != 'T' && *text != 't' && *text != ' '))
        return TIME_UNKNOWN;
    text++;
    if (!digits(&text, 2, &tm.tm_hour) || !literal(&text, ':') || !digits(&text, 2, &tm.tm_min) || !literal(&text, ':') ||
        !digits(&text, 2, &tm.tm_sec))
        return TIME_UNKNOWN;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return TIME_UNKNOWN;
    int ms = parse_fraction(&text);
    if (*text == '+' || *text == '-') {
        int sign = *text++ == '-' ? -1 : 1;
        if (!digits(&text, 2, &hours))
            return TIME_UNKNOWN;
        if (*text == ':')
            text++;
        if (!digits(&text, 2, &minutes) || hours > 23 || minutes > 59)
            return TIME_UNKNOWN;
        offset = sign * (hours * 3600 + minutes * 60);
    } else if (*text == 'Z' || *text == 'z') {
        text++;
    } else {
        return TIME_UNKNOWN;
    }
    if (*text)
        return TIME_UNKNOWN;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm check = tm;
    check.tm_hour = check.tm_min = check.tm_sec = 0;
    timegm(&check);
    if (check.tm_mday != tm.tm_mday) /* the 31st of February: timegm goes on into March */
        return TIME_UNKNOWN;
    return ((int64_t)timegm(&tm) - offset) * 1000 + ms;
}

const char *time_short(int64_t wall_ms, int64_t now_wall_ms, char out[TIME_TEXT])
{
    out[0] = 0;
    if (wall_ms == TIME_UNKNOWN || !is_sane(wall_ms))
        return out;
    time_t then = (time_t)floor_div(wall_ms, 1000), now = (time_t)floor_div(now_wall_ms, 1000);
    struct tm a, b;
    localtime_r(&then, &a);
    localtime_r(&now, &b);
    bool today = a.tm_year == b.tm_year && a.tm_yday == b.tm_yday;
    strftime(out, TIME_TEXT, today ? "%H:%M" : a.tm_year == b.tm_year ? "%b %e %H:%M" : "%Y-%m-%d", &a);
    return out;
}

bool duration_parse(const char *text, int64_t *ms)
{
    static const struct {
        const char *word;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (!text || !isdigit((unsigned char)*text))
        return false;
    int64_t value = 0, fraction = 0, weight = 1;
    for (; isdigit((unsigned char)*text); text++) {
        if (value > INT64_MAX / 86400000 / 16)
            return false;
        value = value * 10 + (*text - '0');
    }
    if (*text == '.' && isdigit((unsigned char)text[1]))
        for (text++; isdigit((unsigned char)*text); text++)
            if (weight < 1000000) {
                fraction = fraction * 10 + (*text - '0');
                weight *= 10;
            }
    if (!*text && value == 0 && fraction == 0) {
        *ms = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(text, units[i].word) == 0) {
            if (value > INT64_MAX / units[i].ms / 2)
                return false;
            *ms = value * units[i].ms + fraction * units[i].ms / weight;
            return true;
        }
    return false;
}

const char *duration_short(int64_t ms, char out[TIME_TEXT])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{365 * 86400000ll, "y"}, {86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    if (ms == TIME_UNKNOWN) {
        out[0] = 0;
        return out;
    }
    const int64_t most = 9999 * units[0].ms;
    ms = ms < 0 ? 0 : ms > most ? most : ms;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (ms >= units[i].ms) {
            snprintf(out, TIME_TEXT, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
            return out;
        }
    snprintf(out, TIME_TEXT, "0s");
    return out;
}

const char *duration_words(int64_t ms, char out[TIME_TEXT])
{
    if (ms == TIME_UNKNOWN) {
        out[0] = 0;
        return out;
    }
    long long seconds = ms < 0 ? 0 : ms / 1000, minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (days >= 2 && hours % 24)
        snprintf(out, TIME_TEXT, "%lld d %lld h", days, hours % 24);
    else if (days >= 2)
        snprintf(out, TIME_TEXT, "%lld d", days);
    else if (hours && minutes % 60)
        snprintf(out, TIME_TEXT, "%lld h %lld min", hours, minutes % 60);
    else if (hours)
        snprintf(out, TIME_TEXT, "%lld h", hours);
    else if (minutes)
        snprintf(out, TIME_TEXT, "%lld min", minutes);
    else
        snprintf(out, TIME_TEXT, "%lld s", seconds);
    return out;
}
