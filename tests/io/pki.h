/* Certificates made by the openssl command, and its own server: absent where there is no such command. */
#ifndef DASKTOP_TESTS_IO_PKI_H
#define DASKTOP_TESTS_IO_PKI_H

#include "io/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Pki {
    char folder[64];
    bool there;
} Pki;

static inline bool openssl(Io *io, const char *line) {
    List command = {0};
    char *copy = strdup(line), *rest = copy;
    for (char *word; (word = strsep(&rest, " "));)
        list_add(&command, word);
    Context context = context_new(NULL, 60000);
    ChildSpec spec = {.command = &command};
    ChildResult result;
    bool good = child_run(io, &context, &spec, &result, NULL);
    if (good) {
        good = result.status == 0;
        child_result_done(&result);
    }
    list_done(&command);
    free(copy);
    return good;
}

static inline bool make_certificate(Io *io, const Pki *pki, const char *name) {
    char line[512];
    snprintf(line, sizeof line,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=%s -keyout %s/%s.key "
             "-out %s/%s.pem",
             name, pki->folder, name, pki->folder, name);
    return openssl(io, line);
}

static inline int pki_make(void **state) {
    Pki *pki = calloc(1, sizeof *pki);
    snprintf(pki->folder, sizeof pki->folder, P_tmpdir "/dasktop-test-XXXXXX");
    Io *io = io_new(NULL);
    if (mkdtemp(pki->folder))
        pki->there = make_certificate(io, pki, "one") && make_certificate(io, pki, "two");
    io_free(io);
    *state = pki;
    return 0;
}

static inline int pki_remove(void **state) {
    Pki *pki = *state;
    const char *names[] = {"one.key", "one.pem", "two.key", "two.pem", "locked.key"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", pki->folder, names[i]);
        unlink(path);
    }
    rmdir(pki->folder);
    free(pki);
    return 0;
}

typedef struct TlsServer {
    Child *child;
    Buffer said;
    int port;
    bool ready;
} TlsServer;

static inline void server_said(void *user, const char *bytes, size_t n) {
    TlsServer *server = user;
    buffer_add(&server->said, bytes, n);
    const char *accept = strstr(server->said.bytes, "ACCEPT ");
    if (accept && strchr(accept, '\n')) {
        server->port = (int)strtol(strrchr(accept, ':') + 1, NULL, 10);
        server->ready = true;
    }
}

static inline void tls_server_start(Io *io, TlsServer *server, const Pki *pki, const char *mode, const char *ask_for) {
    List command = {0};
    buffer_init(&server->said, 1 << 20);
    const char *words[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", mode};
    for (size_t i = 0; i < 5; i++)
        list_add(&command, words[i]);
    list_add(&command, "-cert");
    list_format(&command, "%s/one.pem", pki->folder);
    list_add(&command, "-key");
    list_format(&command, "%s/one.key", pki->folder);
    if (ask_for) {
        list_add(&command, "-Verify");
        list_add(&command, "1");
        list_add(&command, "-verify_return_error");
        list_add(&command, "-CAfile");
        list_format(&command, "%s/%s.pem", pki->folder, ask_for);
    }
    ChildSpec spec = {.command = &command, .output = server_said, .user = server, .keep_input = true};
    server->child = child_start(io, &spec, NULL);
    assert_non_null(server->child);
    Context context = context_new(NULL, 60000);
    assert_true(io_until(io, &context, &server->ready, NULL));
    list_done(&command);
}

static inline void tls_server_stop(TlsServer *server) {
    child_end(server->child);
    buffer_done(&server->said);
}

#endif
