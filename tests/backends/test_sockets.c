#include "backends/make.h"

#include "backends/common/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* On the heap and of that very length, so that a sanitizer sees each byte too far. */
static bool parse(const void *bytes, size_t n, Listeners *out, int *number)
{
    void *copy = malloc(n ? n : 1);
    memcpy(copy, bytes, n);
    bool more = sockets_parse(copy, n, NULL, out, number);
    free(copy);
    return more;
}

static const Listener *by_port(const Listeners *list, int port)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].port == port)
            return &list->items[i];
    return NULL;
}

static bool parse_capture(const char *name, Listeners *out)
{
    int number = -1;
    Buffer bytes = capture(name);
    bool more = parse(bytes.bytes, bytes.length, out, &number);
    assert_int_equal(number, 0);
    buffer_done(&bytes);
    return more;
}

static void what_a_kernel_sent(void **state)
{
    (void)state;
    Listeners list = {0};
    assert_true(parse_capture("local/netlink-tcp4-0.bin", &list));
    assert_true(parse_capture("local/netlink-tcp4-1.bin", &list));
    assert_false(parse_capture("local/netlink-tcp4-2.bin", &list));
    const Listener *own = by_port(&list, 18786), *any = by_port(&list, 18787);
    assert_non_null(own);
    assert_string_equal(own->host, "127.0.0.1");
    assert_int_equal(own->backlog, 2048);
    assert_true(own->inode > 0);
    assert_int_equal(own->uid, 0);
    assert_int_equal(own->pid, 0);
    assert_string_equal(any->host, "0.0.0.0");
    assert_int_equal(any->backlog, 128);
    assert_string_equal(sockets_reach(own), "127.0.0.1");
    assert_string_equal(sockets_reach(any), "127.0.0.1");
    sockets_done(&list);

    assert_true(parse_capture("local/netlink-tcp6-0.bin", &list));
    assert_false(parse_capture("local/netlink-tcp6-1.bin", &list));
    assert_int_equal(list.count, 3);
    assert_string_equal(by_port(&list, 18788)->host, "::1");
    assert_string_equal(sockets_reach(by_port(&list, 18789)), "::1");
    assert_string_equal(by_port(&list, 18790)->host, "127.0.0.1"); /* an IPv4 address that came through an IPv6 socket */
    sockets_done(&list);
}

static void what_it_refused(void **state)
{
    (void)state;
    Listeners list = {0};
    int number = 0;
    Buffer bytes = capture("local/netlink-error.bin"); /* a DONE that holds -ENOENT: an unknown protocol */
    assert_false(parse(bytes.bytes, bytes.length, &list, &number));
    assert_int_equal(list.count, 0);
    buffer_done(&bytes);

    struct {
        struct nlmsghdr head;
        struct nlmsgerr why;
    } refused = {.head = {.nlmsg_len = sizeof refused, .nlmsg_type = NLMSG_ERROR}, .why = {.error = -EPERM}};
    assert_false(parse(&refused, sizeof refused, &list, &number));
    assert_int_equal(number, EPERM);
    refused.head.nlmsg_len = NLMSG_LENGTH(2); /* no room for the reason */
    assert_false(parse(&refused, NLMSG_LENGTH(2), &list, &number));
    assert_int_equal(number, EPROTO);
    sockets_done(&list);
}

static void cut_at_each_byte(void **state)
{
    (void)state;
    Buffer bytes = capture("local/netlink-tcp4-1.bin");
    size_t last = 0;
    for (size_t n = 0; n <= bytes.length; n++) {
        Listeners list = {0};
        int number = -1;
        assert_true(parse(bytes.bytes, n, &list, &number));
        assert_int_equal(number, 0);
        assert_true(list.count >= last && list.count <= last + 1);
        last = list.count;
        sockets_done(&list);
    }
    assert_true(last > 3);
    buffer_done(&bytes);
}

static void absurd_lengths(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0, 1, 15, 16, 17, 87, 0x7fffffff, 0x80000000, 0xffffffff};
    struct {
        struct nlmsghdr head;
        struct inet_diag_msg socket;
    } message = {.head = {.nlmsg_type = SOCK_DIAG_BY_FAMILY}, .socket = {.idiag_family = AF_INET}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        Listeners list = {0};
        int number = -1;
        message.head.nlmsg_len = lengths[i];
        assert_true(parse(&message, sizeof message, &list, &number));
        assert_int_equal(list.count, 0);
        sockets_done(&list);
    }
    Listeners list = {0};
    int number = -1;
    message.head.nlmsg_len = sizeof message;
    message.socket.idiag_family = AF_UNIX; /* no address that one could write down */
    assert_true(parse(&message, sizeof message, &list, &number));
    for (size_t i = 0; i < list.count; i++)
        assert_string_equal(list.items[i].host, "");
    sockets_done(&list);
}

static void proc_text(void **state)
{
    (void)state;
    Listeners list = {0};
    Buffer text = capture("local/proc-net-tcp.txt");
    sockets_parse_text(text.bytes, false, NULL, 0, &list);
    assert_string_equal(by_port(&list, 18786)->host, "127.0.0.1");
    assert_string_equal(by_port(&list, 18787)->host, "0.0.0.0");
    assert_true(by_port(&list, 18786)->inode > 0);
    assert_int_equal(by_port(&list, 18786)->backlog, 0); /* it does not say */
    size_t all = list.count, lines = 0;
    for (const char *at = text.bytes; (at = strstr(at, " 0A ")); at++)
        lines++;
    assert_int_equal(all, lines); /* no connection is taken for a listener */
    sockets_done(&list);
    for (size_t n = text.length; n-- > 0;) {
        text.bytes[n] = 0;
        sockets_parse_text(text.bytes, false, NULL, 0, &list);
        assert_true(list.count <= all);
        sockets_done(&list);
    }
    buffer_done(&text);
    text = capture("local/proc-net-tcp6.txt");
    sockets_parse_text(text.bytes, true, NULL, 0, &list);
    assert_int_equal(list.count, 3);
    assert_string_equal(by_port(&list, 18788)->host, "::1");
    assert_string_equal(by_port(&list, 18790)->host, "127.0.0.1");
    sockets_done(&list);
    sockets_parse_text(text.bytes, false, NULL, 0, &list); /* addresses of another length */
    assert_int_equal(list.count, 0);
    buffer_done(&text);
}

static void who_listens(void **state)
{
    (void)state;
    Listener items[] = {
        {.host = "127.0.0.1", .port = 1}, {.host = "10.0.0.1", .port = 2}, {.host = "0.0.0.0", .port = 3}, {.host = "::", .port = 4}, {.host = "::1", .port = 5},
    };
    Listeners list = {.items = items, .count = 5};
    assert_ptr_equal(sockets_find(&list, "127.0.0.1", 1), &items[0]);
    assert_ptr_equal(sockets_find(&list, "localhost", 1), &items[0]);
    assert_ptr_equal(sockets_find(&list, "localhost", 5), &items[4]);
    assert_ptr_equal(sockets_find(&list, "0.0.0.0", 1), &items[0]); /* who connects to "any" gets loopback */
    assert_ptr_equal(sockets_find(&list, "10.0.0.1", 2), &items[1]);
    assert_ptr_equal(sockets_find(&list, "10.9.9.9", 3), &items[2]);
    assert_ptr_equal(sockets_find(&list, "127.0.0.1", 4), &items[3]);
    assert_null(sockets_find(&list, "10.0.0.1", 1));
    assert_null(sockets_find(&list, "127.0.0.1", 2));
    assert_null(sockets_find(&list, "127.0.0.1", 6));
    assert_ptr_equal(sockets_find(&list, "n1.example.org", 2), &items[1]); /* whatever that name means */
    assert_null(sockets_find(&list, "n1.example.org", 6));
    list.count = 0;
    assert_null(sockets_find(&list, "127.0.0.1", 1));
}

static void which_hosts_are_ours(void **state)
{
    (void)state;
    char own[256];
    assert_true(sockets_is_local("127.0.0.1"));
    assert_true(sockets_is_local("127.9.8.7"));
    assert_true(sockets_is_local("::1"));
    assert_true(sockets_is_local("localhost"));
    assert_true(sockets_is_local("0.0.0.0"));
    assert_true(sockets_is_local(file_host_name(own)));
    assert_false(sockets_is_local("192.0.2.1")); /* for documentation: nobody has it */
    assert_false(sockets_is_local("2001:db8::1"));
    assert_false(sockets_is_local("127.example.org")); /* a name, not a number */
    assert_false(sockets_is_local("scheduler.example.org"));
    assert_false(sockets_is_local(""));
}

/* The same questions to this very kernel. */
static void our_own_socket_is_found(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct stat st;
    Listeners list;
    Error error = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 99), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(fstat(fd, &st), 0);
    int port = ntohs(address.sin_port);
    assert_true(sockets_listening(&list, &error));
    const Listener *found = sockets_find(&list, "127.0.0.1", port);
    assert_non_null(found);
    assert_int_equal(found->inode, st.st_ino);
    assert_int_equal(found->uid, geteuid());
    assert_true(found->backlog == 99 || found->backlog == 0);
    sockets_done(&list);
    close(fd);
    assert_true(sockets_listening(&list, &error));
    assert_null(sockets_find(&list, "127.0.0.1", port));
    sockets_done(&list);
}

/* A client, its scheduler and another one: only the near end of a connection to the scheduler counts. */
static void who_is_connected(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct stat st;
    Listeners list;
    Error error = {0};
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server, 9), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &size), 0);
    int port = ntohs(address.sin_port);
    assert_true(sockets_connected("127.0.0.1", port, &list, &error));
    assert_int_equal(list.count, 0);
    sockets_done(&list);
    assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
    assert_int_equal(fstat(client, &st), 0);
    assert_true(sockets_connected("127.0.0.1", port, &list, &error));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].inode, st.st_ino);
    sockets_done(&list);
    assert_true(sockets_connected("127.0.0.2", port, &list, &error)); /* the same port of another host */
    assert_int_equal(list.count, 0);
    sockets_done(&list);
    Buffer text;
    buffer_init(&text, 1 << 22);
    assert_true(file_read("/proc/self/net/tcp", &text, &error)); /* where netlink is not permitted */
    list = (Listeners){0};
    sockets_parse_text(text.bytes, false, "127.0.0.1", port, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].inode, st.st_ino);
    sockets_done(&list);
    buffer_done(&text);
    close(client);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_kernel_sent), cmocka_unit_test(what_it_refused), cmocka_unit_test(cut_at_each_byte),
        cmocka_unit_test(absurd_lengths),     cmocka_unit_test(proc_text),     cmocka_unit_test(who_listens),     cmocka_unit_test(which_hosts_are_ours),
        cmocka_unit_test(our_own_socket_is_found), cmocka_unit_test(who_is_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
