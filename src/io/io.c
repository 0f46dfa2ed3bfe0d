#include "io/io.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/inside.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct IoWatch {
    Io *io;
    int fd;
    short events;
    bool dead; /* freed when no turn looks at it any more */
    IoReady ready;
    void *user;
    IoWatch *next;
};

struct IoTimer {
    Io *io;
    int64_t due_ms;
    uint64_t number; /* timers that a turn's callbacks start wait for the next turn */
    void (*due)(void *user);
    void *user;
    IoTimer *next;
};

struct Io {
    CURLM *multi; /* NULL until the first transfer: an Io for children alone never touches curl */
    bool performing, push;
    int depth; /* turns inside turns */
    bool any_dead;
    uint64_t timer_number;
    IoWatch *watches;
    IoTimer *timers;
    IoPart *parts;
    IoTransfer *adding, *ending; /* asked for inside of curl's callbacks, done after them */
    IoTransfer *pushed;
    IoStreams streams;
};

/* Once in the process. SIGPIPE: a child that closed its input must not end us. */
static pthread_once_t signals_once = PTHREAD_ONCE_INIT;

static void ignore_pipe_signal(void) {
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &now, NULL);
    }
}

void io_warm(void) {
    curl_load();
}

Io *io_new(Error *error) {
    (void)error;
    pthread_once(&signals_once, ignore_pipe_signal);
    return mem_new(sizeof(Io));
}

IoStreams *io_streams(Io *io) {
    return &io->streams;
}

/* Parts */

void io_part_add(Io *io, IoPart *part, void (*drop)(void *owner), void *owner) {
    part->drop = drop;
    part->owner = owner;
    part->next = io->parts;
    part->from = &io->parts;
    if (part->next)
        part->next->from = &part->next;
    io->parts = part;
}

void io_part_remove(IoPart *part) {
    if (!part->from)
        return;
    *part->from = part->next;
    if (part->next)
        part->next->from = part->from;
    part->from = NULL;
}

/* Transfers */

static bool need_multi(Io *io, Error *error) {
    if (io->multi)
        return true;
    io->multi = curl_load() ? curl_multi_init() : NULL;
    if (!io->multi)
        return error_set(error, ERROR_INTERNAL, NULL, NULL, "libcurl could not be loaded");
#if LIBCURL_VERSION_NUM >= 0x081400
    /* Since 8.20 only this keeps curl_multi_cleanup from waiting for a resolver that hangs. */
    curl_multi_setopt(io->multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
    return true;
}

void io_push(Io *io) {
    io->push = true;
}

static void link_pushed(Io *io, IoTransfer *transfer) {
    transfer->pushed_next = io->pushed;
    transfer->pushed_from = &io->pushed;
    if (io->pushed)
        io->pushed->pushed_from = &transfer->pushed_next;
    io->pushed = transfer;
}

static void unlink_pushed(IoTransfer *transfer) {
    if (!transfer->pushed_from)
        return;
    *transfer->pushed_from = transfer->pushed_next;
    if (transfer->pushed_next)
        transfer->pushed_next->pushed_from = transfer->pushed_from;
    transfer->pushed_from = NULL;
}

/* An end of a pause that was none is the one thing that makes curl read for a transfer though its socket has nothing. */
static void push(Io *io) {
    if (io->push)
        for (IoTransfer *transfer = io->pushed; transfer; transfer = transfer->pushed_next) {
            curl_easy_pause(transfer->easy, CURLPAUSE_SEND);
            curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
        }
    io->push = false;
}

static bool add_now(Io *io, IoTransfer *transfer) {
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
    transfer->inside = curl_multi_add_handle(io->multi, transfer->easy) == CURLM_OK;
    if (transfer->inside && transfer->pushed)
        link_pushed(io, transfer);
    return transfer->inside;
}

bool io_transfer_add(Io *io, IoTransfer *transfer, Error *error) {
    if (!need_multi(io, error))
        return false;
    if (io->performing) {
        transfer->waiting = true;
        transfer->next = io->adding;
        io->adding = transfer;
        return true;
    }
    return add_now(io, transfer) || error_set(error, ERROR_INTERNAL, NULL, NULL, "curl took no further transfer");
}

void io_transfer_remove(Io *io, IoTransfer *transfer) {
    if (transfer->waiting)
        for (IoTransfer **p = &io->adding; *p; p = &(*p)->next)
            if (*p == transfer) {
                *p = transfer->next;
                break;
            }
    transfer->waiting = false;
    if (!transfer->inside || io->performing) /* a turn inside of curl's callback: io_transfer_end comes back to it */
        return;
    unlink_pushed(transfer);
    curl_multi_remove_handle(io->multi, transfer->easy);
    transfer->inside = false;
}

static void end_now(Io *io, IoTransfer *transfer) {
    io_transfer_remove(io, transfer);
    if (transfer->easy)
        curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
    transfer->ended(transfer->owner);
}

void io_transfer_end(Io *io, IoTransfer *transfer, void (*ended)(void *owner)) {
    transfer->ended = ended;
    transfer->done = NULL;
    if (!io->performing) {
        end_now(io, transfer);
        return;
    }
    if (transfer->waiting)
        io_transfer_remove(io, transfer);
    transfer->next = io->ending;
    io->ending = transfer;
}

static void end_pending(Io *io) {
    while (io->ending) {
        IoTransfer *transfer = io->ending;
        io->ending = transfer->next;
        end_now(io, transfer);
    }
}

static void add_pending(Io *io) {
    while (io->adding) {
        IoTransfer *transfer = io->adding;
        io->adding = transfer->next;
        transfer->waiting = false;
        if (!add_now(io, transfer) && transfer->done)
            transfer->done(transfer->owner, CURLE_FAILED_INIT);
    }
}

static void perform(Io *io) {
    int running = 0;
    push(io);
    io->performing = true;
    curl_multi_perform(io->multi, &running);
    io->performing = false;
    end_pending(io);
    add_pending(io);
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(io->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message dies with its handle */
        IoTransfer *transfer = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        if (transfer && transfer->done)
            transfer->done(transfer->owner, code);
    }
}

/* Watches */

IoWatch *io_watch(Io *io, int fd, short events, IoReady ready, void *user) {
    IoWatch *watch = mem_new(sizeof *watch);
    *watch = (IoWatch){.io = io, .fd = fd, .events = events, .ready = ready, .user = user, .next = io->watches};
    io->watches = watch;
    return watch;
}

void io_watch_events(IoWatch *watch, short events) {
    watch->events = events;
}

static void sweep(Io *io) {
    if (!io->any_dead || io->depth > 0)
        return;
    io->any_dead = false;
    for (IoWatch **p = &io->watches; *p;) {
        IoWatch *watch = *p;
        if (watch->dead) {
            *p = watch->next;
            free(watch);
        } else {
            p = &watch->next;
        }
    }
}

void io_unwatch(IoWatch *watch) {
    if (!watch)
        return;
    watch->dead = true;
    watch->io->any_dead = true;
    sweep(watch->io);
}

/* Timers */

IoTimer *io_after(Io *io, int64_t ms, void (*due)(void *user), void *user) {
    IoTimer *timer = mem_new(sizeof *timer);
    int64_t now = clock_mono_ms();
    int64_t due_ms = ms <= 0 ? now : ms > INT64_MAX - now ? INT64_MAX : now + ms;
    *timer = (IoTimer){.io = io, .due_ms = due_ms, .number = ++io->timer_number, .due = due, .user = user};
    IoTimer **p = &io->timers;
    while (*p && (*p)->due_ms <= due_ms)
        p = &(*p)->next;
    timer->next = *p;
    *p = timer;
    return timer;
}

void io_timer_cancel(IoTimer *timer) {
    if (!timer)
        return;
    for (IoTimer **p = &timer->io->timers; *p; p = &(*p)->next)
        if (*p == timer) {
            *p = timer->next;
            free(timer);
            return;
        }
}

static void run_timers(Io *io) {
    uint64_t last = io->timer_number;
    int64_t now = clock_mono_ms();
    for (IoTimer **p = &io->timers; *p && (*p)->due_ms <= now;) {
        IoTimer *timer = *p;
        if (timer->number > last) {
            p = &timer->next;
            continue;
        }
        *p = timer->next;
        timer->due(timer->user);
        free(timer);
        p = &io->timers; /* the callback may have changed everything */
    }
}

/* Turns */

static int wait_ms(const Io *io, const Context *context) {
    int64_t left = io->push ? 0 : context_left_ms(context);
    if (io->timers) {
        int64_t due = io->timers->due_ms - clock_mono_ms();
        left = due < left ? due : left;
    }
    return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

typedef struct Waiting {
    struct pollfd *fds;
    IoWatch **watches; /* same places; NULL for the context's */
    size_t count;
} Waiting;

static Waiting collect(const Io *io, const Context *context) {
    size_t most = 1;
    for (const IoWatch *watch = io->watches; watch; watch = watch->next)
        most++;
    Waiting waiting = {mem_new(most * sizeof(struct pollfd)), mem_new(most * sizeof(IoWatch *)), 0};
    int cancel = context_fd(context);
    if (cancel >= 0)
        waiting.fds[waiting.count++] = (struct pollfd){.fd = cancel, .events = POLLIN};
    for (IoWatch *watch = io->watches; watch; watch = watch->next) {
        if (watch->dead || watch->events == 0)
            continue;
        waiting.watches[waiting.count] = watch;
        waiting.fds[waiting.count++] = (struct pollfd){.fd = watch->fd, .events = watch->events};
    }
    return waiting;
}

static bool wait_with_curl(Io *io, const Waiting *waiting, int ms, Error *error) {
    struct curl_waitfd *extra = mem_new((waiting->count + 1) * sizeof *extra);
    for (size_t i = 0; i < waiting->count; i++) {
        short events = waiting->fds[i].events;
        extra[i].fd = waiting->fds[i].fd;
        extra[i].events = (short)((events & POLLIN ? CURL_WAIT_POLLIN : 0) | (events & POLLPRI ? CURL_WAIT_POLLPRI : 0) |
                                  (events & POLLOUT ? CURL_WAIT_POLLOUT : 0));
    }
    CURLMcode code = curl_multi_poll(io->multi, extra, (unsigned)waiting->count, ms, NULL);
    free(extra);
    return code == CURLM_OK || error_set(error, ERROR_INTERNAL, NULL, NULL, "waiting failed: %s", curl_multi_strerror(code));
}

static bool wait_for(Io *io, const Waiting *waiting, int ms, Error *error) {
    if (io->multi && !io->performing) {
        if (!wait_with_curl(io, waiting, ms, error))
            return false;
        ms = 0; /* curl hides POLLHUP and POLLERR of our descriptors: ask once more */
    }
    if (poll(waiting->fds, (nfds_t)waiting->count, ms) < 0) {
        for (size_t i = 0; i < waiting->count; i++)
            waiting->fds[i].revents = 0;
        if (errno != EINTR && errno != EAGAIN)
            return error_errno(error, errno, NULL, "waiting failed");
    }
    return true;
}

bool io_turn(Io *io, const Context *context, Error *error) {
    if (!context_check(context, NULL, error))
        return false;
    io->depth++;
    Waiting waiting = collect(io, context);
    bool good = wait_for(io, &waiting, wait_ms(io, context), error);
    if (good && io->multi && !io->performing)
        perform(io);
    for (size_t i = 0; good && i < waiting.count; i++) {
        IoWatch *watch = waiting.watches[i];
        short events = waiting.fds[i].revents;
        /* An earlier callback may have ended it, put it to sleep or asked for less. */
        if (watch && !watch->dead && (events & (watch->events | (watch->events ? POLLHUP | POLLERR | POLLNVAL : 0))))
            watch->ready(watch->user, watch->fd, events);
    }
    if (good)
        run_timers(io);
    free(waiting.fds);
    free(waiting.watches);
    io->depth--;
    sweep(io);
    return good;
}

bool io_until(Io *io, const Context *context, const bool *done, Error *error) {
    while (!*done)
        if (!io_turn(io, context, error))
            return false;
    return true;
}

static void set_true(void *user) {
    *(bool *)user = true;
}

bool io_sleep(Io *io, const Context *context, int64_t ms, Error *error) {
    bool over = false;
    IoTimer *timer = io_after(io, ms, set_true, &over);
    if (io_until(io, context, &over, error))
        return true;
    if (!over)
        io_timer_cancel(timer);
    return false;
}

void io_free(Io *io) {
    if (!io)
        return;
    while (io->parts)
        io->parts->drop(io->parts->owner);
    end_pending(io);
    if (io->multi)
        curl_multi_cleanup(io->multi);
    for (IoTimer *timer; (timer = io->timers);) {
        io->timers = timer->next;
        free(timer);
    }
    for (IoWatch *watch; (watch = io->watches);) {
        io->watches = watch->next;
        free(watch);
    }
    free(io);
}

/* What all handles share */

static void set_blob(CURL *easy, CURLoption option, const Secret *secret) {
    struct curl_blob blob = {(void *)(uintptr_t)secret_reveal(secret), secret_length(secret), CURL_BLOB_COPY};
    curl_easy_setopt(easy, option, &blob);
}

static void set_tls(CURL *easy, const Tls *tls) {
    if (tls->ca) {
        set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca);
        /* The default directory would be added to the blob, and any public authority could vouch for a scheduler. */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    /* Without an authority of their own and without a name, any certificate of the world would do. */
    bool verify_host = tls->verify_host || !tls->ca;
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify_host && !tls->insecure ? 2L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->insecure ? 0L : 1L);
    if (tls->cert) {
        set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->cert);
        set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key ? tls->key : tls->cert);
        curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM");
        curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM");
    }
}

/* Some versions of curl leave the flag out, and a child would hold our connections open. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)user;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The system's authorities, or those that the user names, as the curl program, Python and Go read it; the library alone does not. */
static void trust_others(CURL *easy) {
    const char *authorities = getenv("SSL_CERT_FILE");
    if (authorities && *authorities)
        curl_easy_setopt(easy, CURLOPT_CAINFO, authorities);
}

CURL *io_easy(const Tls *tls, Error *error) {
    CURL *easy = curl_load() ? curl_easy_init() : NULL;
    if (!easy) {
        error_set(error, ERROR_INTERNAL, NULL, NULL, "libcurl could not be loaded");
        return NULL;
    }
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs must not hang us */
#endif
    curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""); /* 7.88 ends in a segmentation fault on an encrypted key without it */
    if (!tls || !tls->ca)
        trust_others(easy);
    if (tls)
        set_tls(easy, tls);
    return easy;
}

static const char *tls_words(CURLcode code) {
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return "its certificate was not accepted";
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return "our client certificate or key cannot be used";
    case CURLE_SSL_CACERT_BADFILE:
        return "our authority's certificate cannot be used";
    default:
        return "no TLS connection came about";
    }
}

bool io_curl_error(Error *error, CURLcode code, const char *where, const char *target, const char *detail) {
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return error_set(error, ERROR_UNREACHABLE, where, NULL, "%s: no such host", target);
    case CURLE_COULDNT_CONNECT:
        return error_set(error, ERROR_UNREACHABLE, where, NULL, "%s: refused or no route", target);
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(error, ERROR_TIMEOUT, where, NULL, "%s: no answer in time", target);
    case CURLE_SSL_CONNECT_ERROR:
        /* without an alert, in the middle of the handshake: no verdict on anybody's certificate */
        if (strstr(detail, "SYSCALL") || strstr(detail, "unexpected eof"))
            return error_set(error, ERROR_UNREACHABLE, where, NULL, "%s: it closed the connection before TLS stood", target);
        /* fall through */
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return error_set(error, ERROR_DENIED, where, NULL, "%s: %s%s%s%s", target, tls_words(code), *detail ? " (" : "", detail,
                         *detail ? ")" : "");
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return error_set(error, ERROR_UNREACHABLE, where, NULL, "%s: the connection broke", target);
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        return error_set(error, ERROR_INTERNAL, where, NULL, "%s: %s", target, curl_easy_strerror(code));
    case CURLE_UNSUPPORTED_PROTOCOL: /* a reply without a status line; addresses are checked before */
    case CURLE_WEIRD_SERVER_REPLY:
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "%s: it does not speak HTTP", target);
    case CURLE_URL_MALFORMAT:
        return error_set(error, ERROR_USAGE, where, NULL, "%s: not an address that can be used", target);
    default:
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "%s: %s", target, curl_easy_strerror(code));
    }
}
