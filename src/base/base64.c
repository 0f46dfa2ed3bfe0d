#include "base/base64.h"

#include <stdint.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c)
{
    const char *found = c ? strchr(letters, c) : NULL;
    return found ? (int)(found - letters) : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What may follow the last letter: blanks, and as much padding as makes its group whole. */
static bool ends_well(const char *at, int pending)
{
    int padding = 0;
    for (; *at; at++) {
        if (*at == '=')
            padding++;
        else if (!is_blank(*at))
            return false;
    }
    return pending == 0 ? padding == 0 : pending != 1 && padding == 4 - pending;
}

bool base64_decode(const char *text, Buffer *out)
{
    uint32_t group = 0;
    int pending = 0;
    for (; *text && *text != '='; text++) {
        int value = value_of(*text);
        if (is_blank(*text))
            continue;
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
        if (++pending < 4)
            continue;
        char three[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        pending = 0;
        if (!buffer_add(out, three, 3))
            return false;
    }
    if (!ends_well(text, pending))
        return false;
    char two[2] = {(char)(pending == 3 ? group >> 10 : group >> 4), (char)(group >> 2)};
    return pending == 0 || buffer_add(out, two, (size_t)pending - 1);
}

void base64_encode(const void *bytes, size_t n, Buffer *out)
{
    const unsigned char *from = bytes;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t group = (uint32_t)from[i] << 16 | (i + 1 < n ? (uint32_t)from[i + 1] << 8 : 0) | (i + 2 < n ? from[i + 2] : 0);
        char four[4] = {letters[group >> 18], letters[group >> 12 & 63], i + 1 < n ? letters[group >> 6 & 63] : '=', i + 2 < n ? letters[group & 63] : '='};
        buffer_add(out, four, 4);
    }
}
