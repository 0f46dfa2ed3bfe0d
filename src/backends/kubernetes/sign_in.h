/* The live credentials of one context: what is put into its requests, and how it is had again when it has run out.
 *
 * One SignIn serves all threads of an instance: each call takes a lock inside, which is never held while waiting. Where credentials come
 * from a program (exec), one run of it serves all that wait, and what it gave is kept until it expires or the server refuses it. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_SIGN_IN_H
#define DASKTOP_BACKENDS_KUBERNETES_SIGN_IN_H

#include "backends/kubernetes/kubeconfig.h"
#include "io/http.h"

typedef struct SignIn SignIn;

/* Keeps the config and what is needed to read it again (a login renews it). The context has no problem. `where` is for errors. */
SignIn *sign_in_new(const Kubeconfig *config, const KubeContext *context, const char *file, const char *where);
void sign_in_free(SignIn *sign_in); /* nobody else uses it any more */

/* Makes sure that there are credentials: at once where there are, else it reads files or waits for the program. Before each request, but
 * not from within a callback of curl: it turns the loop. ERROR_SIGN_IN: somebody has to sign in at a terminal. */
bool sign_in_ready(SignIn *sign_in, Io *io, const Context *context, Error *error);

/* What a request borrows until http_start or http_run has taken it over. */
typedef struct SignInHeld {
    unsigned round;        /* which credentials these are, for sign_in_refused; stays after sign_in_release */
    char *url;
    List headers;
    char *connect_to;
    struct Credentials *credentials;
} SignInHeld;
/* Fills in url (server + path, which begins with a slash), credentials, TLS, proxy, HTTP version; adds to the headers that stand there.
 * compressed is taken back where the config says so. Any place, also callbacks. */
void sign_in_apply(SignIn *sign_in, const char *path, HttpRequest *request, SignInHeld *held);
void sign_in_release(SignInHeld *held);

/* The server answered 401 to credentials of that round: they are forgotten. True: it is worth asking once more, after sign_in_ready;
 * false: nothing else is to be had. */
bool sign_in_refused(SignIn *sign_in, unsigned round);
/* What to say of a 401 that stays, by the kind of credentials: ERROR_SIGN_IN. Returns false. */
bool sign_in_error(SignIn *sign_in, Error *error);

/* For BackendType.login: what to run on the terminal, so that the program may ask. Whatever SignIn has this context and program asks for
 * what that leaves behind at its next sign_in_ready. */
bool sign_in_login(SignIn *sign_in, List *command, Error *error);

/* The certificate is not looked at: to be said all the time. */
bool sign_in_unverified(const SignIn *sign_in);
const char *sign_in_server(const SignIn *sign_in); /* "https://HOST:PORT/PREFIX", as long as the SignIn */

#endif
