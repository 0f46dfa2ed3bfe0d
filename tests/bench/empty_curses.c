/* The floor: a program that starts curses, draws one line and waits for a key. */
#include <curses.h>

int main(void)
{
    initscr();
    mvaddstr(0, 0, "ready");
    refresh();
    getch();
    endwin();
    return 0;
}
