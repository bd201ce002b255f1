/* A load generator for POP3, for the measurements of bench/. One thread, epoll.
 *
 *   fetch HOST PORT SESSIONS SIGN_INS EACH PASSWORD
 *        SESSIONS at the same time, each with an account of its own (user0@example.test, ...), sign in until
 *        there were SIGN_INS; after each, messages 1 to EACH are fetched by RETR, then QUIT.
 *        Prints one line of JSON: seconds, messages, failures, p50_us, p99_us. Counted are answers to RETR, or,
 *        if EACH is 0, sign-ins, from the connection to the answer to PASS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum step { GREETING, USER, PASS, RETRIEVE, BYE };

struct session {
    int fd, account, fetched, used, matched;
    enum step step;
    double begun;
    char line[512];
};

static struct sockaddr_in target;
static int sessions, sign_ins, each, opened, ended, done, failures, poller;
static const char *password;
static double *latencies;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *why) {
    perror(why);
    exit(1);
}

static void say(struct session *s, enum step step, const char *text) {
    s->step = step;
    s->used = s->matched = 0;
    if (send(s->fd, text, strlen(text), MSG_NOSIGNAL) < 0) die("send");
}

static void open_session(struct session *s) {
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    opened++;
    s->begun = now();
    s->step = GREETING;
    s->used = s->matched = s->fetched = 0;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&target, sizeof target)) die("connect");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &event)) die("epoll");
}

static void count_one(struct session *s) { latencies[done++] = now() - s->begun; }

static void fetch_next(struct session *s) {
    char text[64];
    if (s->fetched == each) {
        say(s, BYE, "QUIT\r\n");
        return;
    }
    s->begun = now();
    sprintf(text, "RETR %d\r\n", ++s->fetched);
    say(s, RETRIEVE, text);
}

static void answered(struct session *s) {
    char text[600];
    if (s->line[0] != '+') {
        fprintf(stderr, "account %d, step %d: %.100s\n", s->account, s->step, s->line);
        exit(1);
    }
    switch (s->step) {
    case GREETING:
        sprintf(text, "USER user%d@example.test\r\n", s->account);
        say(s, USER, text);
        return;
    case USER:
        snprintf(text, sizeof text, "PASS %s\r\n", password);
        say(s, PASS, text);
        return;
    case PASS:
        if (!each) count_one(s);
        fetch_next(s);
        return;
    default: return;
    }
}

/* Returns where the answer to RETR ended, or the end of what came. */
static char *skip_content(struct session *s, char *at, char *end) {
    static const char last[] = "\r\n.\r\n";
    while (at < end && s->matched < 5) {
        if (*at == last[s->matched]) { s->matched++; at++; continue; }
        if (s->matched) { s->matched = 0; continue; }
        char *cr = memchr(at, '\r', (size_t)(end - at));
        at = cr ? cr : end;
    }
    return at;
}

static void look(struct session *s, char *at, char *end) {
    while (at < end) {
        if (s->step == RETRIEVE) {
            if (s->used == 0) s->line[s->used++] = *at;
            if (s->line[0] != '+') { failures++; count_one(s); fetch_next(s); return; }
            at = skip_content(s, at, end);
            if (s->matched == 5) { count_one(s); fetch_next(s); }
            continue;
        }
        char sign = *at++;
        if (sign != '\n' && s->used < (int)sizeof s->line - 1) s->line[s->used++] = sign;
        if (sign == '\n') { s->line[s->used] = 0; answered(s); }
    }
}

static void receive(struct session *s) {
    static char input[65536];
    ssize_t n;
    while ((n = read(s->fd, input, sizeof input)) > 0) look(s, input, input + n);
    if (n < 0 && errno == EAGAIN) return;
    if (s->step != BYE) failures++;
    close(s->fd);
    ended++;
    if (opened < sign_ins) open_session(s);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run(void) {
    struct epoll_event events[256];
    struct session *all = calloc((size_t)sessions, sizeof *all);
    poller = epoll_create1(0);
    for (int i = 0; i < sessions && opened < sign_ins; i++) {
        all[i].account = i;
        open_session(&all[i]);
    }
    while (ended < sign_ins) {
        int n = epoll_wait(poller, events, 256, 30000);
        if (n == 0) { fprintf(stderr, "nothing came for 30 s: %d of %d\n", ended, sign_ins); exit(1); }
        for (int i = 0; i < n; i++) receive(events[i].data.ptr);
    }
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    if (count != 7) return 2;
    target.sin_family = AF_INET;
    inet_pton(AF_INET, words[1], &target.sin_addr);
    target.sin_port = htons((uint16_t)atoi(words[2]));
    sessions = atoi(words[3]);
    sign_ins = atoi(words[4]);
    each = atoi(words[5]);
    password = words[6];
    latencies = calloc((size_t)sign_ins * (size_t)(each ? each : 1) + 1, sizeof *latencies);
    double start = now();
    run();
    double seconds = now() - start;
    if (!done) return 3;
    qsort(latencies, (size_t)done, sizeof *latencies, compare);
    printf("{\"seconds\": %.6f, \"messages\": %d, \"failures\": %d, \"p50_us\": %.0f, \"p99_us\": %.0f}\n", seconds,
           done, failures, latencies[done / 2] * 1e6, latencies[done * 99 / 100] * 1e6);
    return 0;
}
