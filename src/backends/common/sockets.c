#include "backends/common/sockets.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STATE_CONNECTED = 1, STATE_LISTEN = 10, PROC_MOST_BYTES = 64 << 20 };

static Listener *add(Listeners *list)
{
    list->items = mem_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count] = (Listener){0};
    return &list->items[list->count++];
}

void sockets_done(Listeners *list)
{
    free(list->items);
    *list = (Listeners){0};
}

/* An IPv4 address that came through an IPv6 socket is written as what it is. */
static void write_host(int family, const void *address, char host[48])
{
    bool mapped = family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address);
    if (!inet_ntop(mapped ? AF_INET : family, mapped ? (const char *)address + 12 : (const char *)address, host, 48))
        *host = 0;
}

/* ---------------------------------------------------------------------------------------------------------------- netlink */

bool sockets_parse(const void *bytes, size_t n, const char *far_host, Listeners *out, int *error_number)
{
    char far[48];
    *error_number = 0;
    long left = (long)n;
    for (const struct nlmsghdr *head = bytes; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
        if (head->nlmsg_type == NLMSG_DONE)
            return false;
        if (head->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *why = NLMSG_DATA(head);
            *error_number = head->nlmsg_len >= NLMSG_LENGTH(sizeof *why) ? -why->error : EPROTO;
            return false;
        }
        const struct inet_diag_msg *socket = NLMSG_DATA(head);
        if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY || head->nlmsg_len < NLMSG_LENGTH(sizeof *socket))
            continue;
        if (far_host) {
            write_host(socket->idiag_family, socket->id.idiag_dst, far);
            if (strcmp(far, far_host) != 0)
                continue;
        }
        Listener *listener = add(out);
        write_host(socket->idiag_family, socket->id.idiag_src, listener->host);
        listener->port = ntohs(socket->id.idiag_sport);
        listener->inode = socket->idiag_inode;
        listener->uid = socket->idiag_uid;
        listener->backlog = socket->idiag_wqueue;
    }
    return true;
}

static bool ask(int fd, int family, const char *far_host, int far_port, Listeners *out)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 request;
    } message = {
        .head = {.nlmsg_len = sizeof message, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = (unsigned char)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1u << (far_host ? STATE_CONNECTED : STATE_LISTEN),
                    .id.idiag_dport = htons((uint16_t)far_port)},
    };
    if (send(fd, &message, sizeof message, 0) != (ssize_t)sizeof message)
        return false;
    _Alignas(struct nlmsghdr) char bytes[32768];
    for (int number;;) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        if (!sockets_parse(bytes, (size_t)n, far_host, out, &number))
            return number == 0 || number == ENOENT;
    }
}

static bool by_netlink(const char *far_host, int far_port, Listeners *out)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct timeval second = {.tv_sec = 1};
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    bool right = ask(fd, AF_INET, far_host, far_port, out);
    ask(fd, AF_INET6, far_host, far_port, out); /* a kernel without IPv6 has none */
    close(fd);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------- /proc/net */

static void host_of(const char *hex, bool six, char host[48])
{
    struct in6_addr address = {0};
    uint32_t words[4] = {0};
    for (int i = 0; i < (six ? 4 : 1); i++)
        sscanf(hex + 8 * i, "%8x", &words[i]); /* in this machine's byte order, word by word */
    memcpy(&address, words, sizeof words);
    write_host(six ? AF_INET6 : AF_INET, &address, host);
}

void sockets_parse_text(const char *text, bool six, const char *far_host, int far_port, Listeners *out)
{
    for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        char one[256], address[40], other[40], far[48]; /* scanned in a copy: scanf measures all of what it is given */
        unsigned port, other_port, state, uid;
        unsigned long long inode;
        snprintf(one, sizeof one, "%.*s", (int)strcspn(line + 1, "\n"), line + 1);
        if (sscanf(one, " %*d: %39[0-9A-F]:%4x %39[0-9A-F]:%4x %2x %*s %*s %*s %u %*u %llu", address, &port, other, &other_port, &state, &uid, &inode) != 7 ||
            state != (far_host ? STATE_CONNECTED : STATE_LISTEN) || strlen(address) != (six ? 32 : 8) || strlen(other) != strlen(address))
            continue;
        host_of(other, six, far);
        if (far_host && ((int)other_port != far_port || strcmp(far, far_host) != 0))
            continue;
        Listener *listener = add(out);
        host_of(address, six, listener->host);
        listener->port = (int)port;
        listener->uid = uid;
        listener->inode = inode;
    }
}

static bool by_proc(const char *path, bool six, const char *far_host, int far_port, Listeners *out)
{
    Buffer text;
    buffer_init(&text, PROC_MOST_BYTES);
    bool right = file_read_at(AT_FDCWD, path, &text);
    if (right)
        sockets_parse_text(text.bytes, six, far_host, far_port, out);
    buffer_done(&text);
    return right;
}

static bool read_sockets(const char *far_host, int far_port, Listeners *out, Error *error)
{
    *out = (Listeners){0};
    if (by_netlink(far_host, far_port, out))
        return true;
    out->count = 0;
    bool four = by_proc("/proc/net/tcp", false, far_host, far_port, out), six = by_proc("/proc/net/tcp6", true, far_host, far_port, out);
    return four || six || error_set(error, ERROR_ABSENT, NULL, NULL, "neither netlink nor /proc/net/tcp says who has which socket on this system");
}

bool sockets_listening(Listeners *out, Error *error)
{
    return read_sockets(NULL, 0, out, error);
}

bool sockets_connected(const char *host, int port, Listeners *out, Error *error)
{
    return read_sockets(host, port, out, error);
}

/* ---------------------------------------------------------------------------------------------------------------- hosts */

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

bool sockets_is_loopback(const char *host)
{
    struct in_addr address;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || (strncmp(host, "127.", 4) == 0 && inet_pton(AF_INET, host, &address) == 1);
}

bool sockets_is_local(const char *host)
{
    char own[256], text[INET6_ADDRSTRLEN];
    if (sockets_is_loopback(host) || is_any(host) || strcmp(host, file_host_name(own)) == 0)
        return true;
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
        int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
        const void *address = family == AF_INET    ? (const void *)&((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr
                              : family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)one->ifa_addr)->sin6_addr
                                                   : NULL;
        found = address && inet_ntop(family, address, text, sizeof text) && strcmp(text, host) == 0;
    }
    freeifaddrs(all);
    return found;
}

const char *sockets_reach(const Listener *listener)
{
    if (strcmp(listener->host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(listener->host, "::") == 0 ? "::1" : listener->host;
}

const Listener *sockets_find(const Listeners *list, const char *host, int port)
{
    struct in6_addr address;
    bool loopback = sockets_is_loopback(host), number = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    bool every = is_any(host) || (!number && !loopback); /* a name may stand for any of its addresses */
    for (size_t i = 0; i < list->count; i++) {
        const Listener *listener = &list->items[i];
        if (listener->port == port && (every || is_any(listener->host) || strcmp(listener->host, host) == 0 || (loopback && sockets_is_loopback(listener->host))))
            return listener;
    }
    return NULL;
}
