/* A server on loopback for the tests of io: each connection gets a thread that runs `serve`. */
#ifndef DASKTOP_TESTS_IO_SERVER_H
#define DASKTOP_TESTS_IO_SERVER_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_CLIENTS = 256 };

typedef struct Server Server;
typedef struct ServerClient {
    Server *server;
    int fd;
    pthread_t thread;
} ServerClient;

struct Server {
    int fd, port, stop[2];
    pthread_t thread;
    void (*serve)(Server *server, int fd);
    void *user;
    atomic_int accepted, open, most_open;
    ServerClient clients[SERVER_CLIENTS];
    int count;
    pthread_mutex_t lock; /* guards heard */
    char heard[65536];
    size_t heard_length;
};

static inline int listen_loopback(int backlog, int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        abort();
    *port = ntohs(address.sin_port);
    return fd;
}

/* False when the test is over. */
static inline int server_sleep(Server *server, int ms) {
    struct pollfd fd = {.fd = server->stop[0], .events = POLLIN};
    return poll(&fd, 1, ms) == 0;
}

/* Reads what is there, or what comes; 0 when the other side closed or the test is over. Everything is kept in heard. */
static inline size_t server_read(Server *server, int fd, char *bytes, size_t size) {
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = server->stop[0], .events = POLLIN}};
    poll(fds, 2, -1);
    ssize_t n = fds[0].revents ? recv(fd, bytes, size, 0) : 0;
    if (n <= 0)
        return 0;
    pthread_mutex_lock(&server->lock);
    size_t room = sizeof server->heard - 1 - server->heard_length;
    size_t keep = (size_t)n < room ? (size_t)n : room;
    memcpy(server->heard + server->heard_length, bytes, keep);
    server->heard_length += keep;
    pthread_mutex_unlock(&server->lock);
    return (size_t)n;
}

static inline int server_write(int fd, const char *bytes, size_t n) {
    while (n) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        bytes += sent;
        n -= (size_t)sent;
    }
    return 1;
}

static inline void server_say(int fd, const char *text) {
    server_write(fd, text, strlen(text));
}

static inline int server_heard(Server *server, const char *text) {
    pthread_mutex_lock(&server->lock);
    server->heard[server->heard_length] = 0;
    int found = strstr(server->heard, text) != NULL;
    pthread_mutex_unlock(&server->lock);
    return found;
}

static inline void *server_client(void *user) {
    ServerClient *client = user;
    Server *server = client->server;
    int open = atomic_fetch_add(&server->open, 1) + 1;
    if (open > atomic_load(&server->most_open))
        atomic_store(&server->most_open, open);
    server->serve(server, client->fd);
    atomic_fetch_sub(&server->open, 1);
    close(client->fd);
    return NULL;
}

static inline void *server_loop(void *user) {
    Server *server = user;
    for (;;) {
        struct pollfd fds[2] = {{.fd = server->fd, .events = POLLIN}, {.fd = server->stop[0], .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[1].revents || server->count == SERVER_CLIENTS)
            return NULL;
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        atomic_fetch_add(&server->accepted, 1);
        ServerClient *client = &server->clients[server->count++];
        *client = (ServerClient){.server = server, .fd = fd};
        pthread_create(&client->thread, NULL, server_client, client);
    }
}

static inline Server *server_start(void (*serve)(Server *server, int fd), void *user) {
    Server *server = calloc(1, sizeof *server);
    server->serve = serve;
    server->user = user;
    server->fd = listen_loopback(128, &server->port);
    pthread_mutex_init(&server->lock, NULL);
    if (pipe2(server->stop, O_CLOEXEC) < 0)
        abort();
    pthread_create(&server->thread, NULL, server_loop, server);
    return server;
}

static inline void server_stop(Server *server) {
    close(server->stop[1]);
    pthread_join(server->thread, NULL);
    for (int i = 0; i < server->count; i++)
        pthread_join(server->clients[i].thread, NULL);
    close(server->fd);
    close(server->stop[0]);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

#endif
