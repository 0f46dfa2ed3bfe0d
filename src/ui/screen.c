#include "ui/screen.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#define NCURSES_WIDECHAR 1
#include <ncurses.h>
#include <term.h>

#undef columns /* term.h's macros are words that others use */
#undef lines

/* ROLES_PAIRS: what the colours that logs bring leave for the roles. */
enum { PAIRS = 256, ROLES_PAIRS = 32, RESTORE_MAX = 256, CODE_PASTE_BEGIN = KEY_MAX + 1, CODE_PASTE_END, ESCAPE_DELAY_MS = 75, TAIL_MS = 200 };

struct Screen {
    SCREEN *curses;
    WINDOW *keys; /* a pad: reading a key from a window would refresh that window */
    const Theme *theme;
    const Wake *wake;
    Cell *shown;  /* what curses was told last */
    int rows, cols;
    bool repaint, no_colours, ascii, simple, paste_mode, paused, mouse;
    int colours;
    struct { int16_t front, back; } pairs[PAIRS];
    int pair_count;
    bool pasting, cursor_on;
    int64_t escape_ms; /* when a lone Esc came; 0 */
    int light;
    int click_row, click_col;
    bool tail;         /* inside of a sequence whose Esc came too early */
};

/* Signals belong to the process, so what their handlers need cannot be anywhere else. Written before the handlers are set. */
static struct {
    const Wake *wake;
    int tty;
    struct termios modes;
    char restore[RESTORE_MAX];
    size_t restore_length;
    volatile sig_atomic_t interrupts, end, stop, resized, resumed;
    atomic_bool open, noticed; /* noticed: the loop knows that it should end, and only has to tidy up */
    sem_t hurry;       /* posted when somebody wants the program to end */
    pthread_t watchdog;
    atomic_bool watchdog_ends;
    void *stack;       /* ours; NULL where a sanitizer has brought its own */
} alarm_desk;

/* ------------------------------------------------------------------------------------------------------- emergencies */

/* Only what a signal handler may do: the terminal is given back in one write. */
static void screen_rescue(void)
{
    if (!atomic_exchange(&alarm_desk.open, false))
        return;
    ssize_t ignored = write(alarm_desk.tty, alarm_desk.restore, alarm_desk.restore_length);
    (void)ignored;
    tcsetattr(alarm_desk.tty, TCSANOW, &alarm_desk.modes);
}

static void screen_on_crash(int number)
{
    int saved = errno;
    screen_rescue();
    signal(number, SIG_DFL);
    raise(number);
    errno = saved;
}

static void screen_on_signal(int number)
{
    int saved = errno;
    switch (number) {
    case SIGINT:
        if (alarm_desk.interrupts++ > 0)
            sem_post(&alarm_desk.hurry);
        break;
    case SIGTSTP: alarm_desk.stop = 1; break;
    case SIGCONT: alarm_desk.resumed = 1; break;
    case SIGWINCH: alarm_desk.resized = 1; break;
    default:
        alarm_desk.end = number;
        sem_post(&alarm_desk.hurry);
    }
    wake_up(alarm_desk.wake);
    errno = saved;
}

/* A terminal that stopped reading blocks the UI thread inside of a write, where no flag helps. Half a second after somebody
 * asked for the end, this ends the program from beside: without waiting for the terminal. */
static void *screen_watchdog(void *unused)
{
    (void)unused;
    for (;;) {
        while (sem_wait(&alarm_desk.hurry) != 0)
            ;
        for (int i = 0; i < (atomic_load(&alarm_desk.noticed) ? 30 : 10) && !atomic_load(&alarm_desk.watchdog_ends); i++)
            usleep(50 * 1000);
        if (atomic_load(&alarm_desk.watchdog_ends))
            return NULL;
        int number = alarm_desk.end ? alarm_desk.end : SIGINT;
        if (!alarm_desk.end && alarm_desk.interrupts < 2)
            continue; /* the loop has dealt with it */
        if (!atomic_load(&alarm_desk.open))
            continue;
        int flags = fcntl(alarm_desk.tty, F_GETFL);
        fcntl(alarm_desk.tty, F_SETFL, flags | O_NONBLOCK);
        tcflush(alarm_desk.tty, TCOFLUSH);
        screen_rescue();
        fcntl(alarm_desk.tty, F_SETFL, flags);
        _exit(128 + number);
    }
}

/* The strings that undo ours, without the padding marks that only tputs understands. */
static void screen_rescue_add(const char *text)
{
    if (!text || text == (const char *)-1)
        return;
    while (*text && alarm_desk.restore_length + 1 < RESTORE_MAX) {
        if (text[0] == '$' && text[1] == '<') {
            const char *end = strchr(text, '>');
            if (end) {
                text = end + 1;
                continue;
            }
        }
        alarm_desk.restore[alarm_desk.restore_length++] = *text++;
    }
}

static void screen_rescue_prepare(Screen *screen)
{
    alarm_desk.restore_length = 0;
    if (screen->paste_mode)
        screen_rescue_add("\033[?2004l");
    screen_rescue_add(exit_attribute_mode);
    screen_rescue_add(orig_pair);
    screen_rescue_add(cursor_normal);
    if (screen->mouse)
        screen_rescue_add("\033[?1006l\033[?1002l\033[?1000l");
    screen_rescue_add(keypad_local);
    screen_rescue_add(exit_ca_mode);
    screen_rescue_add("\r\n");
}

static void screen_handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
static const int wishes[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};

static void screen_signals_on(void)
{
    size_t size = 64 * 1024;
    stack_t stack = {.ss_sp = mem_new(size), .ss_size = size};
    stack_t old;
    if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE)) {
        free(stack.ss_sp);
    } else {
        sigaltstack(&stack, NULL);
        alarm_desk.stack = stack.ss_sp;
    }
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        screen_handle(crashes[i], screen_on_crash, SA_ONSTACK | SA_NODEFER);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        screen_handle(wishes[i], screen_on_signal, SA_RESTART);
    signal(SIGPIPE, SIG_IGN);
}

static void screen_signals_off(void)
{
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        signal(crashes[i], SIG_DFL);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        signal(wishes[i], SIG_DFL); /* what the handlers use is about to go */
    if (alarm_desk.stack) {
        stack_t none = {.ss_flags = SS_DISABLE};
        sigaltstack(&none, NULL);
        free(alarm_desk.stack);
        alarm_desk.stack = NULL;
    }
}

static void screen_watchdog_start(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&alarm_desk.watchdog_ends, false);
    atomic_store(&alarm_desk.noticed, false);
    sem_init(&alarm_desk.hurry, 0, 0);
    pthread_create(&alarm_desk.watchdog, NULL, screen_watchdog, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void screen_watchdog_stop(void)
{
    atomic_store(&alarm_desk.watchdog_ends, true);
    sem_post(&alarm_desk.hurry);
    pthread_join(alarm_desk.watchdog, NULL);
    sem_destroy(&alarm_desk.hurry);
}

/* ------------------------------------------------------------------------------------------------------------- opening */

bool screen_possible(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return false;
    int error;
    if (setupterm(NULL, STDOUT_FILENO, &error) != OK)
        return false;
    bool able = cursor_address != NULL && clear_screen != NULL;
    del_curterm(cur_term);
    return able;
}

/* In keypad mode ncurses knows only one of the two forms in which arrows and their kin arrive. */
static void screen_define_keys(void)
{
    static const struct {
        const char *sequence;
        int code;
    } forms[] = {
        {"\033[A", KEY_UP}, {"\033[B", KEY_DOWN}, {"\033[C", KEY_RIGHT}, {"\033[D", KEY_LEFT},
        {"\033OA", KEY_UP}, {"\033OB", KEY_DOWN}, {"\033OC", KEY_RIGHT}, {"\033OD", KEY_LEFT},
        {"\033[H", KEY_HOME}, {"\033[F", KEY_END}, {"\033OH", KEY_HOME}, {"\033OF", KEY_END},
        {"\033[1~", KEY_HOME}, {"\033[4~", KEY_END}, {"\033[7~", KEY_HOME}, {"\033[8~", KEY_END},
        {"\033[3~", KEY_DC}, {"\033[5~", KEY_PPAGE}, {"\033[6~", KEY_NPAGE}, {"\033[Z", KEY_BTAB},
        {"\033OP", KEY_F(1)}, {"\033OQ", KEY_F(2)}, {"\033OR", KEY_F(3)}, {"\033OS", KEY_F(4)},
        {"\033[11~", KEY_F(1)}, {"\033[15~", KEY_F(5)}, {"\033[[A", KEY_F(1)}, {"\033[[E", KEY_F(5)},
        {"\033[200~", CODE_PASTE_BEGIN}, {"\033[201~", CODE_PASTE_END},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        define_key(forms[i].sequence, forms[i].code);
}

static bool screen_has_paste(const char *term)
{
    const char *begin = tigetstr("BE");
    if (begin && begin != (const char *)-1)
        return true;
    return strncmp(term, "xterm", 5) == 0 || strncmp(term, "tmux", 4) == 0 || strncmp(term, "screen", 6) == 0 ||
           strncmp(term, "rxvt", 4) == 0;
}

/* Beside curses, for what it has no word for. */
static void screen_send(const char *text)
{
    fflush(stdout);
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t sent = write(STDOUT_FILENO, text, n);
        if (sent < 0 && errno != EINTR)
            return;
        if (sent > 0) {
            text += sent;
            n -= (size_t)sent;
        }
    }
}

static void screen_measure(Screen *screen)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    getmaxyx(stdscr, screen->rows, screen->cols);
    free(screen->shown);
    screen->shown = NULL;
    screen->repaint = true;
}

static void screen_modes(Screen *screen)
{
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    screen->cursor_on = false;
    wtimeout(screen->keys, 0);
    keypad(screen->keys, TRUE);
    if (screen->paste_mode)
        screen_send("\033[?2004h");
    if (screen->mouse) {
        mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
        mouseinterval(0); /* a press is a press: nothing waits for a second one */
    }
}

Screen *screen_open(const ScreenOptions *options, Error *error)
{
    const char *term = getenv("TERM") ? getenv("TERM") : "";
    /* They would freeze the size at what the parent had. */
    unsetenv("LINES");
    unsetenv("COLUMNS");
    alarm_desk.tty = STDOUT_FILENO;
    tcgetattr(STDIN_FILENO, &alarm_desk.modes);
    Screen *screen = mem_new(sizeof *screen);
    screen->wake = alarm_desk.wake = options->wake;
    alarm_desk.interrupts = alarm_desk.end = alarm_desk.stop = alarm_desk.resized = alarm_desk.resumed = 0;
    screen_signals_on(); /* before curses, which leaves handlers alone that are there */
    screen->curses = newterm(NULL, stdout, stdin);
    if (!screen->curses) {
        screen_signals_off();
        free(screen);
        error_set(error, ERROR_UNSUPPORTED, "terminal", "try TERM=xterm", "cannot draw on a terminal of the type %s", term);
        return NULL;
    }
    set_term(screen->curses);
    if (!getenv("ESCDELAY"))
        set_escdelay(ESCAPE_DELAY_MS);
    screen->ascii = options->ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    screen->simple = strncmp(term, "linux", 5) == 0;
    screen->paste_mode = screen_has_paste(term);
    screen->no_colours = options->no_colours || !has_colors();
    if (!screen->no_colours) {
        start_color();
        use_default_colors();
        screen->colours = COLORS;
    }
    screen->keys = newpad(1, 1);
    screen_define_keys();
    screen->mouse = options->mouse;
    screen_modes(screen);
    screen_rescue_prepare(screen);
    atomic_store(&alarm_desk.open, true);
    mem_on_failure(screen_rescue);
    screen_watchdog_start();
    screen_theme(screen, options->theme);
    screen_measure(screen);
    screen->light = -1;
    if (options->ask_background && screen->paste_mode && !screen->no_colours)
        screen_send("\033]11;?\033\\");
    return screen;
}

void screen_close(Screen *screen)
{
    if (!screen)
        return;
    if (screen->paste_mode && !screen->paused)
        screen_send("\033[?2004l");
    if (!screen->paused)
        endwin();
    atomic_store(&alarm_desk.open, false);
    screen_signals_off();
    screen_watchdog_stop();
    delwin(screen->keys);
    delscreen(screen->curses);
    free(screen->shown);
    free(screen);
}

int screen_fd(const Screen *screen)
{
    (void)screen;
    return STDIN_FILENO;
}

void screen_size(const Screen *screen, int *rows, int *cols)
{
    *rows = screen->rows;
    *cols = screen->cols;
}

bool screen_ascii(const Screen *screen)
{
    return screen->ascii;
}

bool screen_simple(const Screen *screen)
{
    return screen->simple;
}

void screen_theme(Screen *screen, const Theme *theme)
{
    screen->theme = theme;
    screen->pair_count = 0;
    screen->repaint = true;
}

/* ------------------------------------------------------------------------------------------------------------- drawing */

/* Pairs are made when they are first needed: 8-colour terminals have 64. */
static short screen_pair(Screen *screen, int16_t front, int16_t back, int reserve)
{
    if (front < 0 && back < 0)
        return 0;
    for (int i = 0; i < screen->pair_count; i++)
        if (screen->pairs[i].front == front && screen->pairs[i].back == back)
            return (short)(i + 1);
    if (screen->pair_count + 1 + reserve >= PAIRS || screen->pair_count + 1 + reserve >= COLOR_PAIRS)
        return 0;
    screen->pairs[screen->pair_count].front = front;
    screen->pairs[screen->pair_count].back = back;
    init_pair((short)++screen->pair_count, front, back);
    return (short)screen->pair_count;
}

/* A number of the 256-colour palette for a terminal that has fewer: the nearest of the eight. */
static int16_t screen_colour(const Screen *screen, uint8_t brought)
{
    int number = brought - 1;
    if (number < screen->colours)
        return (int16_t)number;
    if (number < 16)
        return (int16_t)(number & 7);
    if (number >= 232)
        return number >= 244 ? 7 : 0;
    int red = (number - 16) / 36, green = (number - 16) / 6 % 6, blue = (number - 16) % 6;
    return (int16_t)((red > 2) | (green > 2) << 1 | (blue > 2) << 2);
}

static void screen_style(Screen *screen, const Cell *cell, attr_t *attributes, short *pair)
{
    const Style *style = &screen->theme->styles[cell->role];
    bool colours = !screen->no_colours && screen->theme->colours, many = screen->colours >= 256;
    uint8_t wanted = colours ? style->attributes : style->mono;
    int16_t front = -1, back = -1;
    if (colours) {
        front = many ? style->front : style->front8;
        back = many ? style->back : style->back8;
        front = cell->front ? screen_colour(screen, cell->front) : front;
        back = cell->back ? screen_colour(screen, cell->back) : back;
    }
    wanted |= (cell->flags & CELL_BOLD ? STYLE_BOLD : 0) | (cell->flags & CELL_UNDERLINE ? STYLE_UNDERLINE : 0);
    if (cell->flags & CELL_REVERSE)
        wanted ^= STYLE_REVERSE;
    if (cell->flags & CELL_SELECTED) {
        if (colours && many && screen->theme->selected >= 0 && back < 0)
            back = screen->theme->selected;
        else
            wanted ^= STYLE_REVERSE;
    }
    *attributes = A_NORMAL;
    if (wanted & STYLE_BOLD)
        *attributes |= A_BOLD;
    if (wanted & STYLE_DIM)
        *attributes |= A_DIM;
    if (wanted & STYLE_REVERSE)
        *attributes |= A_REVERSE;
    if (wanted & STYLE_UNDERLINE)
        *attributes |= A_UNDERLINE;
    *pair = colours ? screen_pair(screen, front, back, cell->front || cell->back ? ROLES_PAIRS : 0) : 0;
}

static void screen_cell(Screen *screen, int row, int col, const Cell *cell)
{
    wchar_t text[2 + CELL_MARKS] = {(wchar_t)cell->code};
    for (int i = 0; i < CELL_MARKS && cell->marks[i]; i++)
        text[1 + i] = (wchar_t)cell->marks[i];
    attr_t attributes;
    short pair;
    screen_style(screen, cell, &attributes, &pair);
    cchar_t out;
    if (setcchar(&out, text, attributes, pair, NULL) == OK)
        mvadd_wch(row, col, &out);
}

/* curses finds out what changed on the terminal; telling it of cells that are as they were would cost more than that. */
static void screen_row(Screen *screen, const Canvas *canvas, int row)
{
    const Cell *now = &canvas->cells[row * canvas->cols];
    Cell *shown = &screen->shown[row * screen->cols];
    size_t n = (size_t)canvas->cols;
    if (!screen->repaint && memcmp(now, shown, n * sizeof *now) == 0)
        return;
    for (int col = 0; col < canvas->cols; col++) {
        if (now[col].code == 0)
            continue;
        bool wide = col + 1 < canvas->cols && now[col + 1].code == 0;
        if (screen->repaint || memcmp(&now[col], &shown[col], sizeof *now * (wide ? 2 : 1)) != 0 || shown[col].code == 0 ||
            (col + 1 < canvas->cols && shown[col + 1].code == 0))
            screen_cell(screen, row, col, &now[col]);
    }
    memcpy(shown, now, n * sizeof *now);
}

void screen_draw(Screen *screen, const Canvas *canvas)
{
    if (screen->paused || canvas->rows != screen->rows || canvas->cols != screen->cols)
        return;
    if (!screen->shown) {
        screen->shown = mem_new((size_t)screen->rows * (size_t)screen->cols * sizeof *screen->shown);
        screen->repaint = true;
    }
    if (screen->repaint)
        werase(stdscr);
    for (int row = 0; row < canvas->rows; row++)
        screen_row(screen, canvas, row);
    screen->repaint = false;
    bool cursor = canvas->cursor_row >= 0;
    if (cursor)
        wmove(stdscr, canvas->cursor_row, canvas->cursor_col);
    leaveok(stdscr, !cursor);
    if (cursor != screen->cursor_on)
        curs_set(cursor ? 1 : 0);
    screen->cursor_on = cursor;
    wnoutrefresh(stdscr);
    doupdate();
}

void screen_repaint(Screen *screen)
{
    screen->repaint = true;
    clearok(curscr, TRUE);
}

/* ---------------------------------------------------------------------------------------------------------------- keys */

static Key screen_translate(int code)
{
    switch (code) {
    case KEY_UP: return KEY_ARROW_UP;
    case KEY_DOWN: return KEY_ARROW_DOWN;
    case KEY_LEFT: return KEY_ARROW_LEFT;
    case KEY_RIGHT: return KEY_ARROW_RIGHT;
    case KEY_PPAGE: return KEY_PAGE_UP;
    case KEY_NPAGE: return KEY_PAGE_DOWN;
    case KEY_HOME: return KEY_GO_HOME;
    case KEY_END: return KEY_GO_END;
    case KEY_IC: return KEY_INSERT;
    case KEY_DC: return KEY_REMOVE;
    case KEY_BTAB: return KEY_BACK_TAB;
    case KEY_BACKSPACE: return KEY_BACKSPACE_;
    case KEY_ENTER: return KEY_RETURN;
    case KEY_RESIZE: return KEY_RESIZE_;
    default: return code > KEY_F(0) && code <= KEY_F(24) ? (Key)(KEY_FUNCTION + (code - KEY_F(0))) : KEY_UNKNOWN;
    }
}

/* On a slow line the rest of an arrow key may come after its Esc was taken for a lone one. Such a tail looks like our capital
 * keys ("[ D" is an arrow, "O S" is F4), so it is swallowed up to its last byte. True where the key is part of one. */
static bool screen_is_tail(Screen *screen, wint_t code)
{
    if (screen->tail) {
        screen->tail = code < '@' || code > '~' || code == '[';
        return true;
    }
    if (screen->escape_ms && (code == '[' || code == 'O') && clock_mono_ms() - screen->escape_ms < TAIL_MS) {
        screen->tail = true;
        screen->escape_ms = 0;
        return true;
    }
    screen->escape_ms = 0;
    return false;
}

static Key screen_signal_key(Screen *screen)
{
    if (alarm_desk.end) {
        atomic_store(&alarm_desk.noticed, true);
        return KEY_END_SIGNAL;
    }
    if (alarm_desk.interrupts) {
        alarm_desk.interrupts = 0;
        return KEY_INTERRUPT;
    }
    if (alarm_desk.stop) {
        alarm_desk.stop = 0;
        return KEY_STOP;
    }
    if (alarm_desk.resized || alarm_desk.resumed) {
        alarm_desk.resized = alarm_desk.resumed = 0;
        screen_measure(screen);
        return KEY_RESIZE_;
    }
    return KEY_NOTHING;
}

int screen_light(const Screen *screen)
{
    return screen->light;
}

/* The terminal's answer "11;rgb:RRRR/GGGG/BBBB", each with one to four digits. */
static void screen_answer(Screen *screen, const char *text)
{
    unsigned red, green, blue;
    const char *at = strstr(text, "11;rgb:");
    if (!at || sscanf(at + 7, "%4x/%4x/%4x", &red, &green, &blue) != 3)
        return;
    unsigned most = 0;
    for (size_t digits = strspn(at + 7, "0123456789abcdefABCDEF"); digits > 0 && digits <= 4; digits--)
        most = most << 4 | 15;
    screen->light = most && red * 299 + green * 587 + blue * 114 > most * 500;
}

/* After an Esc: whether an answer of the terminal follows. It comes in one piece, so nothing is waited for. */
static bool screen_is_answer(Screen *screen)
{
    char text[64];
    size_t n = 0;
    wint_t code;
    int kind = wget_wch(screen->keys, &code);
    if (kind != OK || code != ']') {
        if (kind == KEY_CODE_YES)
            ungetch((int)code);
        else if (kind != ERR)
            unget_wch((wchar_t)code);
        return false;
    }
    while (wget_wch(screen->keys, &code) == OK && code != '\a' && code != '\\')
        if (n + 1 < sizeof text && code < 127)
            text[n++] = (char)code;
    text[n] = 0;
    screen_answer(screen, text);
    return true;
}

static Key screen_mouse(Screen *screen)
{
    MEVENT event;
    if (getmouse(&event) != OK)
        return KEY_UNKNOWN;
    if (event.bstate & BUTTON4_PRESSED)
        return KEY_WHEEL_UP;
    if (event.bstate & BUTTON5_PRESSED)
        return KEY_WHEEL_DOWN;
    if (!(event.bstate & BUTTON1_PRESSED))
        return KEY_UNKNOWN;
    screen->click_row = event.y;
    screen->click_col = event.x;
    return KEY_CLICK;
}

void screen_click(const Screen *screen, int *row, int *col)
{
    *row = screen->click_row;
    *col = screen->click_col;
}

Key screen_key(Screen *screen, bool *pasted)
{
    if (pasted)
        *pasted = false;
    Key signalled = screen_signal_key(screen);
    if (signalled)
        return signalled;
    for (;;) {
        wint_t code;
        int kind = wget_wch(screen->keys, &code);
        if (kind == ERR)
            return KEY_NOTHING;
        if (kind == KEY_CODE_YES && (int)code == CODE_PASTE_BEGIN) {
            screen->pasting = true;
            continue;
        }
        if (kind == KEY_CODE_YES && (int)code == CODE_PASTE_END) {
            screen->pasting = false;
            continue;
        }
        if (pasted)
            *pasted = screen->pasting;
        if (kind == KEY_CODE_YES && code == KEY_MOUSE)
            return screen_mouse(screen);
        if (kind == KEY_CODE_YES)
            return screen_translate((int)code);
        if (!screen->pasting && screen_is_tail(screen, code))
            continue;
        if (code == KEY_ESCAPE && !screen->pasting && screen_is_answer(screen))
            return KEY_RESIZE_;
        if (code == KEY_ESCAPE)
            screen->escape_ms = clock_mono_ms();
        return code == '\n' ? KEY_RETURN : code == 127 || code == 8 ? KEY_BACKSPACE_ : code == 0 ? KEY_UNKNOWN : (Key)code;
    }
}

bool screen_pending(Screen *screen)
{
    wint_t code;
    int kind = wget_wch(screen->keys, &code);
    if (kind == ERR)
        return false;
    if (kind == KEY_CODE_YES)
        ungetch((int)code);
    else
        unget_wch((wchar_t)code);
    return true;
}

void screen_discard(Screen *screen)
{
    wint_t code;
    int kind;
    while ((kind = wget_wch(screen->keys, &code)) != ERR)
        if (kind == KEY_CODE_YES && ((int)code == CODE_PASTE_BEGIN || (int)code == CODE_PASTE_END))
            screen->pasting = (int)code == CODE_PASTE_BEGIN;
}

int screen_signal(const Screen *screen)
{
    (void)screen;
    return alarm_desk.end;
}

/* ------------------------------------------------------------------------------------------------------ away and back */

void screen_pause(Screen *screen)
{
    if (screen->paused)
        return;
    if (screen->paste_mode)
        screen_send("\033[?2004l");
    endwin();
    screen->paused = true;
    atomic_store(&alarm_desk.open, false);
}

void screen_resume(Screen *screen)
{
    if (!screen->paused)
        return;
    screen->paused = false;
    reset_prog_mode();
    screen_modes(screen);
    refresh();
    alarm_desk.interrupts = 0;
    atomic_store(&alarm_desk.open, true);
    screen_measure(screen);
    screen_repaint(screen);
}

void screen_stop(Screen *screen)
{
    screen_pause(screen);
    signal(SIGTSTP, SIG_DFL);
    kill(0, SIGTSTP); /* the whole job, as the key would have */
    screen_handle(SIGTSTP, screen_on_signal, SA_RESTART);
    screen_resume(screen);
}

bool screen_copy(Screen *screen, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);
    if (n > 55000 || screen->paused)
        return false;
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    buffer_text(&out, "\033]52;c;");
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)(unsigned char)text[i] << 16;
        three |= i + 1 < n ? (uint32_t)(unsigned char)text[i + 1] << 8 : 0;
        three |= i + 2 < n ? (unsigned char)text[i + 2] : 0;
        buffer_char(&out, digits[three >> 18 & 63]);
        buffer_char(&out, digits[three >> 12 & 63]);
        buffer_char(&out, i + 1 < n ? digits[three >> 6 & 63] : '=');
        buffer_char(&out, i + 2 < n ? digits[three & 63] : '=');
    }
    buffer_char(&out, '\a');
    screen_send(out.bytes);
    buffer_done(&out);
    return true;
}
