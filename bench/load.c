/* A load generator and a sink for SMTP, for the measurements of bench/. One thread, epoll.
 *
 *   load bring HOST PORT SESSIONS MESSAGES OCTETS EACH DOMAINS [FLAGS [USER PASSWORD]]
 *        FLAGS: t = TLS from the start and AUTH PLAIN, r = RCPT is expected to be refused,
 *               p = MAIL, RCPT and DATA in one write, - = none
 *        Prints one line of JSON: seconds, messages, failures, p50_us, p99_us of a transaction.
 *   load sink PORT FILE
 *        Takes everything. FILE (mapped, 16 octets) holds the count and the time of the last message.
 *   load idle HOST PORT SESSIONS
 *        Opens sessions, says EHLO, prints "ready" and waits for the end of standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
static SSL_CTX *tls_context;
#endif

enum step { GREETING, HELLO, SIGN_IN, MAIL, RECIPIENT, DATA, CONTENT, RESET, BYE };

struct session {
    int fd, used, sent, awaited, in_content, matched;
    enum step step;
    double begun;
    char in[65536];
#ifdef WITH_TLS
    SSL *tls;
#endif
};

static struct sockaddr_in target;
static int sessions, messages, octets, each, domains, with_tls, refused, pipelined;
static int begun, done, failures, ready_count, idle_only;
static char *content, sign_in_line[512];
static double *latencies;
static int poller;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *why) {
    perror(why);
    exit(1);
}

static void put(struct session *s, const char *text, size_t length) {
    while (length) {
        ssize_t n;
#ifdef WITH_TLS
        if (s->tls) {
            n = SSL_write(s->tls, text, (int)length);
            if (n <= 0 && SSL_get_error(s->tls, (int)n) <= SSL_ERROR_WANT_WRITE) { usleep(50); continue; }
        } else
#endif
        n = send(s->fd, text, length, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) { usleep(50); continue; }
        if (n <= 0) return;
        text += n;
        length -= (size_t)n;
    }
}

static void say(struct session *s, const char *text) { put(s, text, strlen(text)); }

static void open_session(struct session *s) {
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->fd < 0) die("socket");
    if (connect(s->fd, (struct sockaddr *)&target, sizeof target)) die("connect");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    s->used = s->sent = 0;
    s->step = GREETING;
#ifdef WITH_TLS
    if (with_tls) {
        s->tls = SSL_new(tls_context);
        SSL_set_fd(s->tls, s->fd);
        SSL_set_connect_state(s->tls);
        fcntl(s->fd, F_SETFL, O_NONBLOCK);
        SSL_do_handshake(s->tls);
    } else
#endif
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &event)) die("epoll");
}

static void close_session(struct session *s) {
#ifdef WITH_TLS
    if (s->tls) { SSL_free(s->tls); s->tls = NULL; }
#endif
    close(s->fd);
    s->fd = -1;
}

static void next_message(struct session *s) {
    char line[600];
    if (begun == messages || s->sent == each) {
        s->step = BYE;
        say(s, "QUIT\r\n");
        return;
    }
    int number = begun++;
    s->sent++;
    s->begun = now();
    s->step = MAIL;
    int length = snprintf(line, sizeof line, "MAIL FROM:<ann@example.test>\r\n");
    if (pipelined)
        snprintf(line + length, sizeof line - (size_t)length,
                 "RCPT TO:<bob@d%d.example.net>\r\nDATA\r\n", number % domains);
    say(s, line);
    s->awaited = number;
}

static void ended(struct session *s, int good) {
    latencies[done++] = now() - s->begun;
    failures += !good;
}

static void answered(struct session *s, int code) {
    char line[200];
    switch (s->step) {
    case GREETING: s->step = HELLO; say(s, "EHLO load.example.test\r\n"); return;
    case HELLO:
        if (idle_only) { ready_count++; return; }
        if (with_tls) { s->step = SIGN_IN; say(s, sign_in_line); return; }
        next_message(s);
        return;
    case SIGN_IN:
        if (code != 235) { fprintf(stderr, "sign-in: %d\n", code); exit(1); }
        next_message(s);
        return;
    case MAIL:
        s->step = RECIPIENT;
        if (pipelined) return;
        snprintf(line, sizeof line, "RCPT TO:<bob@d%d.example.net>\r\n", s->awaited % domains);
        say(s, line);
        return;
    case RECIPIENT:
        if (refused) { ended(s, code >= 500); s->step = RESET; say(s, "RSET\r\n"); return; }
        s->step = DATA;
        if (!pipelined) say(s, "DATA\r\n");
        return;
    case DATA:
        if (code != 354) { fprintf(stderr, "DATA: %d\n", code); exit(1); }
        s->step = CONTENT;
        put(s, content, (size_t)octets);
        return;
    case CONTENT: ended(s, code == 250); next_message(s); return;
    case RESET: next_message(s); return;
    case BYE: return;
    }
}

static ssize_t take(struct session *s) {
#ifdef WITH_TLS
    if (s->tls) {
        int n = SSL_read(s->tls, s->in + s->used, (int)sizeof s->in - s->used);
        if (n > 0) return n;
        int error = SSL_get_error(s->tls, n);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return -2;
        return 0;
    }
#endif
    ssize_t n = read(s->fd, s->in + s->used, sizeof s->in - (size_t)s->used);
    return n < 0 && errno == EAGAIN ? -2 : n;
}

static void receive(struct session *s) {
    ssize_t n;
    while (s->fd >= 0 && (n = take(s)) != -2) {
        if (n <= 0) {
            int early = s->step != BYE;
            if (early && s->step > SIGN_IN && s->step < RESET) ended(s, 0);
            close_session(s);
            if (begun < messages && !idle_only) open_session(s);
            return;
        }
        s->used += (int)n;
        char *start = s->in, *end = s->in + s->used, *newline;
        while ((newline = memchr(start, '\n', (size_t)(end - start)))) {
            int last = newline - start < 4 || start[3] != '-';
            int code = atoi(start);
            start = newline + 1;
            if (last) answered(s, code);
        }
        s->used = (int)(end - start);
        memmove(s->in, start, (size_t)s->used);
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void make_content(void) {
    static const char line[] = "What is written here is only weight, seventy-two letters and signs.....\r\n";
    int at = 0;
    content = malloc((size_t)octets + 200);
    at += sprintf(content, "From: Ann <ann@example.test>\r\nTo: Bob <bob@d0.example.net>\r\n"
                           "Subject: load\r\nDate: Mon, 4 May 2026 12:00:00 +0000\r\n"
                           "Message-ID: <1@load.example.test>\r\n\r\n");
    while (at + (int)sizeof line + 5 < octets) {
        memcpy(content + at, line, sizeof line - 1);
        at += (int)sizeof line - 1;
    }
    at += sprintf(content + at, ".\r\n");
    octets = at;
}

static void base64(const char *user, const char *password) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char raw[300] = {0};
    size_t length = 1;
    length += (size_t)sprintf((char *)raw + length, "%s", user) + 1;
    length += (size_t)sprintf((char *)raw + length, "%s", password);
    char *out = sign_in_line + sprintf(sign_in_line, "AUTH PLAIN ");
    for (size_t i = 0; i < length; i += 3) {
        unsigned v = (unsigned)raw[i] << 16 | (unsigned)raw[i + 1] << 8 | raw[i + 2];
        *out++ = set[v >> 18];
        *out++ = set[v >> 12 & 63];
        *out++ = i + 1 < length ? set[v >> 6 & 63] : '=';
        *out++ = i + 2 < length ? set[v & 63] : '=';
    }
    strcpy(out, "\r\n");
}

static void run_sessions(int until_ready) {
    struct epoll_event events[256];
    struct session *all = calloc((size_t)sessions, sizeof *all);
    poller = epoll_create1(0);
    for (int i = 0; i < sessions; i++) open_session(&all[i]);
    while (until_ready ? ready_count < sessions : done < messages) {
        int n = epoll_wait(poller, events, 256, 30000);
        if (n == 0) { fprintf(stderr, "nothing came for 30 s: %d of %d\n", done, messages); exit(1); }
        for (int i = 0; i < n; i++) receive(events[i].data.ptr);
    }
}

static void bring(void) {
    latencies = calloc((size_t)messages + 1000, sizeof *latencies);
    make_content();
    double start = now();
    run_sessions(0);
    double seconds = now() - start;
    qsort(latencies, (size_t)done, sizeof *latencies, compare);
    printf("{\"seconds\": %.6f, \"messages\": %d, \"failures\": %d, \"p50_us\": %.0f, \"p99_us\": %.0f}\n",
           seconds, done, failures, latencies[done / 2] * 1e6, latencies[done * 99 / 100] * 1e6);
}

static void serve_sink(struct session *s, volatile uint64_t *count, volatile double *last) {
    static char input[65536];
    ssize_t n;
    while ((n = read(s->fd, input, sizeof input)) > 0) {
        char *at = input, *end = input + n;
        while (at < end) {
            if (s->in_content) {
                static const char dot[] = "\r\n.\r\n";
                while (at < end && s->matched < 5) {
                    if (*at == dot[s->matched]) { s->matched++; at++; continue; }
                    if (s->matched) { s->matched = 0; continue; }
                    char *cr = memchr(at, '\r', (size_t)(end - at));
                    at = cr ? cr : end;
                }
                if (s->matched == 5) {
                    s->in_content = 0;
                    *last = now();
                    ++*count;
                    say(s, "250 2.0.0 taken\r\n");
                }
                continue;
            }
            char *newline = memchr(at, '\n', (size_t)(end - at));
            char *stop = newline ? newline + 1 : end;
            memcpy(s->in + s->used, at, (size_t)(stop - at));
            s->used += (int)(stop - at);
            at = stop;
            if (!newline) continue;
            s->used = 0;
            switch (s->in[0] | 32) {
            case 'e': say(s, "250-sink.example.net\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250 8BITMIME\r\n"); break;
            case 'd': s->in_content = 1; s->matched = 2; say(s, "354 go on\r\n"); break;
            case 'q': say(s, "221 bye\r\n"); close(s->fd); free(s); return;
            default: say(s, "250 2.0.0 well\r\n");
            }
        }
    }
    if (n == 0 || errno != EAGAIN) { close(s->fd); free(s); }
}

static void sink(int port, const char *file) {
    struct epoll_event events[256], mine = {.events = EPOLLIN, .data.ptr = NULL};
    int one = 1, handle = open(file, O_RDWR | O_CREAT, 0600);
    if (handle < 0 || ftruncate(handle, 16)) die(file);
    uint64_t *shared = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&place, sizeof place) || listen(listener, 512)) die("listen");
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &mine);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct session *s = events[i].data.ptr;
            if (s) { serve_sink(s, shared, (double *)(shared + 1)); continue; }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0) continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            s = calloc(1, sizeof *s);
            s->fd = fd;
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
            epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
            say(s, "220 sink.example.net ESMTP\r\n");
        }
    }
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    if (count == 4 && !strcmp(words[1], "sink")) { sink(atoi(words[2]), words[3]); return 0; }
    if (count < 5) return 2;
    target.sin_family = AF_INET;
    inet_pton(AF_INET, words[2], &target.sin_addr);
    target.sin_port = htons((uint16_t)atoi(words[3]));
    sessions = atoi(words[4]);
    if (!strcmp(words[1], "idle")) {
        idle_only = 1;
        run_sessions(1);
        printf("ready\n");
        fflush(stdout);
        while (getchar() != EOF) {}
        return 0;
    }
    if (count < 10) return 2;
    messages = atoi(words[5]);
    octets = atoi(words[6]);
    each = atoi(words[7]);
    domains = atoi(words[8]);
    with_tls = strchr(words[9], 't') != NULL;
    refused = strchr(words[9], 'r') != NULL;
    pipelined = strchr(words[9], 'p') != NULL;
    if (with_tls) {
#ifdef WITH_TLS
        base64(words[10], words[11]);
        tls_context = SSL_CTX_new(TLS_client_method());
#else
        fprintf(stderr, "built without OpenSSL\n");
        return 3;
#endif
    }
    bring();
    return 0;
}
