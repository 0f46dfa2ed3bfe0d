/* Cookies that a server gave, sent back to it with each request that names the jar (io/http.h): what spares it to ask its own authority
 * again who we are. Only in memory, wiped at the end. Any thread. */
#ifndef DASKTOP_IO_COOKIES_H
#define DASKTOP_IO_COOKIES_H

typedef struct Cookies Cookies;
Cookies *cookies_new(void);
void cookies_free(Cookies *cookies); /* NULL is allowed; no request with it is under way */

#endif
