#include "ui/theme.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BOLD = STYLE_BOLD, DIM = STYLE_DIM, REVERSE = STYLE_REVERSE, UNDERLINE = STYLE_UNDERLINE };

/* Without colours: what asks for attention is bold, what stands back is plain, fields are underlined. */
#define MONO_TEXT 0
#define MONO_LOUD BOLD

/* front, back (256 colours), front, back (8 colours), attributes, attributes without colours */
const Theme themes[] = {
    {.name = "dark",
     .colours = true,
     .selected = 237,
     .styles = {
         [ROLE_TEXT] = {-1, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_DIM] = {245, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_STRONG] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BADGE] = {255, 24, 7, 4, BOLD, REVERSE},
         [ROLE_HEADING] = {245, -1, -1, -1, BOLD, UNDERLINE},
         [ROLE_RULE] = {239, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_KEY] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_ORPHANED] = {203, -1, 1, -1, BOLD, MONO_LOUD},
         [ROLE_STUCK] = {176, -1, 5, -1, BOLD, MONO_LOUD},
         [ROLE_UNATTENDED] = {215, -1, 3, -1, 0, MONO_LOUD},
         [ROLE_IDLE] = {222, -1, 3, -1, 0, MONO_TEXT},
         [ROLE_UNKNOWN] = {245, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_STARTING] = {75, -1, 6, -1, 0, MONO_TEXT},
         [ROLE_ACTIVE] = {114, -1, 2, -1, 0, MONO_TEXT},
         [ROLE_GOOD] = {114, -1, 2, -1, 0, MONO_TEXT},
         [ROLE_WARN] = {215, -1, 3, -1, 0, MONO_LOUD},
         [ROLE_BAD] = {209, -1, 3, -1, BOLD, MONO_LOUD},
         [ROLE_CURSOR] = {80, -1, 6, -1, BOLD, MONO_LOUD},
         [ROLE_MARK] = {80, -1, 6, -1, BOLD, MONO_LOUD},
         [ROLE_BORDER] = {80, -1, 6, -1, 0, MONO_TEXT},
         [ROLE_BUTTON] = {-1, -1, -1, -1, REVERSE, REVERSE},
         [ROLE_INPUT] = {-1, 236, -1, -1, UNDERLINE, UNDERLINE},
         [ROLE_MATCH] = {16, 222, 0, 3, 0, REVERSE},
         [ROLE_MATCH_NOW] = {16, 215, 0, 6, BOLD, REVERSE | BOLD},
         [ROLE_FOLLOWING] = {16, 114, 0, 2, BOLD, REVERSE},
         [ROLE_BAR_CPU] = {114, -1, 2, -1, 0, MONO_LOUD},
         [ROLE_BAR_MEMORY] = {75, -1, 4, -1, 0, MONO_LOUD},
         [ROLE_BAR_TASKS] = {215, -1, 3, -1, 0, MONO_LOUD},
         [ROLE_BAR_WORKERS] = {80, -1, 6, -1, 0, MONO_LOUD},
         [ROLE_COMPONENT] = {80, -1, 6, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 1] = {150, -1, 2, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 2] = {110, -1, 4, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 3] = {180, -1, 3, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 4] = {176, -1, 5, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 5] = {109, -1, 7, -1, 0, MONO_TEXT},
     }},
    {.name = "light",
     .colours = true,
     .selected = 254,
     .styles = {
         [ROLE_TEXT] = {-1, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_DIM] = {242, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_STRONG] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BADGE] = {231, 24, 7, 4, BOLD, REVERSE},
         [ROLE_HEADING] = {242, -1, -1, -1, BOLD, UNDERLINE},
         [ROLE_RULE] = {250, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_KEY] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_ORPHANED] = {160, -1, 1, -1, BOLD, MONO_LOUD},
         [ROLE_STUCK] = {127, -1, 5, -1, BOLD, MONO_LOUD},
         [ROLE_UNATTENDED] = {130, -1, 3, -1, 0, MONO_LOUD},
         [ROLE_IDLE] = {94, -1, 3, -1, 0, MONO_TEXT},
         [ROLE_UNKNOWN] = {242, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_STARTING] = {25, -1, 4, -1, 0, MONO_TEXT},
         [ROLE_ACTIVE] = {28, -1, 2, -1, 0, MONO_TEXT},
         [ROLE_GOOD] = {28, -1, 2, -1, 0, MONO_TEXT},
         [ROLE_WARN] = {130, -1, 3, -1, 0, MONO_LOUD},
         [ROLE_BAD] = {166, -1, 3, -1, BOLD, MONO_LOUD},
         [ROLE_CURSOR] = {30, -1, 6, -1, BOLD, MONO_LOUD},
         [ROLE_MARK] = {30, -1, 6, -1, BOLD, MONO_LOUD},
         [ROLE_BORDER] = {30, -1, 6, -1, 0, MONO_TEXT},
         [ROLE_BUTTON] = {-1, -1, -1, -1, REVERSE, REVERSE},
         [ROLE_INPUT] = {-1, 255, -1, -1, UNDERLINE, UNDERLINE},
         [ROLE_MATCH] = {16, 222, 0, 3, 0, REVERSE},
         [ROLE_MATCH_NOW] = {16, 215, 0, 6, BOLD, REVERSE | BOLD},
         [ROLE_FOLLOWING] = {231, 28, 7, 2, BOLD, REVERSE},
         [ROLE_BAR_CPU] = {28, -1, 2, -1, 0, MONO_LOUD},
         [ROLE_BAR_MEMORY] = {25, -1, 4, -1, 0, MONO_LOUD},
         [ROLE_BAR_TASKS] = {130, -1, 3, -1, 0, MONO_LOUD},
         [ROLE_BAR_WORKERS] = {30, -1, 6, -1, 0, MONO_LOUD},
         [ROLE_COMPONENT] = {30, -1, 6, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 1] = {64, -1, 2, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 2] = {25, -1, 4, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 3] = {94, -1, 3, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 4] = {90, -1, 5, -1, 0, MONO_TEXT},
         [ROLE_COMPONENT + 5] = {59, -1, -1, -1, 0, MONO_TEXT},
     }},
    {.name = "contrast",
     .colours = true,
     .selected = -1,
     .styles = {
         [ROLE_TEXT] = {-1, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_DIM] = {-1, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_STRONG] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BADGE] = {-1, -1, -1, -1, REVERSE | BOLD, REVERSE},
         [ROLE_HEADING] = {-1, -1, -1, -1, BOLD | UNDERLINE, UNDERLINE},
         [ROLE_RULE] = {-1, -1, -1, -1, 0, MONO_TEXT},
         [ROLE_KEY] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_ORPHANED] = {231, 160, 7, 1, BOLD, REVERSE},
         [ROLE_STUCK] = {231, 90, 7, 5, BOLD, MONO_LOUD},
         [ROLE_UNATTENDED] = {16, 214, 0, 3, BOLD, MONO_LOUD},
         [ROLE_IDLE] = {-1, -1, -1, -1, BOLD, MONO_TEXT},
         [ROLE_WARN] = {16, 214, 0, 3, BOLD, MONO_LOUD},
         [ROLE_BAD] = {231, 160, 7, 1, BOLD, MONO_LOUD},
         [ROLE_UNKNOWN] = {-1, -1, -1, -1, 0, 0}, [ROLE_STARTING] = {-1, -1, -1, -1, 0, 0},
         [ROLE_ACTIVE] = {-1, -1, -1, -1, 0, 0}, [ROLE_GOOD] = {-1, -1, -1, -1, 0, 0},
         [ROLE_CURSOR] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_MARK] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BORDER] = {-1, -1, -1, -1, BOLD, MONO_TEXT}, [ROLE_BUTTON] = {-1, -1, -1, -1, REVERSE, REVERSE},
         [ROLE_INPUT] = {-1, -1, -1, -1, UNDERLINE, UNDERLINE},
         [ROLE_MATCH] = {-1, -1, -1, -1, REVERSE, REVERSE}, [ROLE_MATCH_NOW] = {-1, -1, -1, -1, REVERSE | BOLD, REVERSE | BOLD},
         [ROLE_FOLLOWING] = {-1, -1, -1, -1, REVERSE | BOLD, REVERSE},
         [ROLE_BAR_CPU] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_BAR_MEMORY] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BAR_TASKS] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_BAR_WORKERS] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_COMPONENT] = {-1, -1, -1, -1, BOLD, 0}, [ROLE_COMPONENT + 1] = {-1, -1, -1, -1, 0, 0},
         [ROLE_COMPONENT + 2] = {-1, -1, -1, -1, 0, 0}, [ROLE_COMPONENT + 3] = {-1, -1, -1, -1, 0, 0},
         [ROLE_COMPONENT + 4] = {-1, -1, -1, -1, 0, 0}, [ROLE_COMPONENT + 5] = {-1, -1, -1, -1, 0, 0},
     }},
    {.name = "mono",
     .colours = false,
     .selected = -1,
     .styles = {
         [ROLE_STRONG] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_BADGE] = {-1, -1, -1, -1, REVERSE, REVERSE},
         [ROLE_HEADING] = {-1, -1, -1, -1, UNDERLINE, UNDERLINE}, [ROLE_KEY] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_ORPHANED] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_STUCK] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_UNATTENDED] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_WARN] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BAD] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_CURSOR] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_MARK] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_BUTTON] = {-1, -1, -1, -1, REVERSE, REVERSE},
         [ROLE_INPUT] = {-1, -1, -1, -1, UNDERLINE, UNDERLINE}, [ROLE_MATCH] = {-1, -1, -1, -1, REVERSE, REVERSE},
         [ROLE_MATCH_NOW] = {-1, -1, -1, -1, REVERSE | BOLD, REVERSE | BOLD},
         [ROLE_FOLLOWING] = {-1, -1, -1, -1, REVERSE, REVERSE}, [ROLE_BAR_CPU] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BAR_MEMORY] = {-1, -1, -1, -1, BOLD, MONO_LOUD}, [ROLE_BAR_TASKS] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
         [ROLE_BAR_WORKERS] = {-1, -1, -1, -1, BOLD, MONO_LOUD},
     }},
    {.name = NULL},
};

const Theme *theme_find(const char *name)
{
    for (const Theme *theme = themes; theme->name; theme++)
        if (name && strcasecmp(theme->name, name) == 0)
            return theme;
    return NULL;
}

const Theme *theme_automatic(const char *colorfgbg)
{
    const char *back = colorfgbg ? strrchr(colorfgbg, ';') : NULL;
    bool light = back && (strcmp(back, ";7") == 0 || strcmp(back, ";15") == 0);
    return theme_find(light ? "light" : "dark");
}
