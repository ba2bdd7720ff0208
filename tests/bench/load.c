/* mcpbus-load: HTTP load on one server of this machine, for ./dev bench. One thread, epoll,
 * keep-alive connections, one request in flight on each. Only loopback addresses are taken. */
#include "tests/bench/histogram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 20000
#define MAX_RESPONSE (64 * 1024)
#define MAX_REQUEST (300 * 1024)
#define ID_SIZE 80
#define STALL_SECONDS 30

struct options {
    int port;
    const char *method;
    const char *path; /* "{id}" in it is replaced by an id of `ids` */
    const char *body;
    const char *token;
    int connections;
    uint64_t requests;
    double seconds;
    bool job;         /* a request is POST path, then GET /result/ID until the job has ended */
    int wait;         /* job: ?wait=…; 0 polls */
    unsigned poll_us; /* job, one connection: between two polls */
    const char *ids;
    const char *ids_out;
};

struct conn {
    int fd;
    bool watched_out;
    bool polling; /* job: in its second half */
    bool busy;
    char id[ID_SIZE];
    uint64_t begun;
    char *request;
    size_t request_size;
    size_t sent;
    char *response;
    size_t received;
};

static struct options opt = {.method = "GET", .path = "/", .connections = 1, .seconds = 5};
static struct histogram latencies;
static uint64_t by_status[600];
static uint64_t begun_count, errors, reconnects, job_not_completed, polls;
static char (*ids)[ID_SIZE];
static size_t id_count, id_next;
static FILE *ids_out;
static int epoll_fd;
static uint64_t stop_at;
static int active;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "mcpbus-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void format_request(struct conn *c, const char *method, const char *path, const char *body)
{
    char length[96] = "", auth[4200] = "";
    int n;

    if (body)
        snprintf(length, sizeof(length),
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    if (opt.token)
        snprintf(auth, sizeof(auth), "Authorization: Bearer %s\r\n", opt.token);
    n = snprintf(c->request, MAX_REQUEST, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s\r\n%s", method,
                 path, auth, length, body ? body : "");
    if (n < 0 || n >= MAX_REQUEST) {
        errno = E2BIG;
        die("request");
    }
    c->request_size = (size_t)n;
    c->sent = 0;
    c->received = 0;
}

/* The path, with the next of the known ids in the place of "{id}". */
static void format_path(char *out, size_t size)
{
    const char *mark = strstr(opt.path, "{id}");

    if (!mark || id_count == 0) {
        snprintf(out, size, "%s", opt.path);
        return;
    }
    snprintf(out, size, "%.*s%s%s", (int)(mark - opt.path), opt.path, ids[id_next], mark + 4);
    id_next = (id_next + 1) % id_count;
}

static void watch(struct conn *c, bool out)
{
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c};

    if (out == c->watched_out)
        return;
    c->watched_out = out;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) != 0)
        die("epoll_ctl");
}

static void open_conn(struct conn *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)opt.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->watched_out = false;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl");
}

static void flush_request(struct conn *c)
{
    while (c->sent < c->request_size) {
        ssize_t n = send(c->fd, c->request + c->sent, c->request_size - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch(c, true);
            return;
        }
        if (n <= 0)
            return; /* the read side learns of it */
        c->sent += (size_t)n;
    }
    watch(c, false);
}

static bool is_over(void)
{
    if (opt.requests > 0 && begun_count >= opt.requests)
        return true;
    return opt.seconds > 0 && now_us() >= stop_at;
}

static void begin(struct conn *c)
{
    char path[1024];

    c->busy = false;
    if (is_over()) {
        active--;
        return;
    }
    format_path(path, sizeof(path));
    format_request(c, opt.method, path, opt.body);
    begun_count++;
    c->polling = false;
    c->busy = true;
    c->begun = now_us();
    flush_request(c);
}

static void poll_job(struct conn *c)
{
    char path[256];

    if (opt.wait > 0)
        snprintf(path, sizeof(path), "/result/%s?wait=%d", c->id, opt.wait);
    else
        snprintf(path, sizeof(path), "/result/%s", c->id);
    if (opt.poll_us > 0 && opt.connections == 1 && c->polling)
        usleep(opt.poll_us);
    format_request(c, "GET", path, NULL);
    c->polling = true;
    polls++;
    flush_request(c);
}

/* The text value of the member `name` of a flat JSON object, where it is shorter than size. */
static bool find_text(const char *json, const char *name, char *ret, size_t size)
{
    char key[40];
    const char *at, *end;

    snprintf(key, sizeof(key), "\"%s\"", name);
    at = strstr(json, key);
    if (!at)
        return false;
    at += strlen(key);
    at += strspn(at, ": ");
    if (*at != '"')
        return false;
    end = strchr(++at, '"');
    if (!end || (size_t)(end - at) >= size)
        return false;
    memcpy(ret, at, (size_t)(end - at));
    ret[end - at] = '\0';
    return true;
}

static void finish(struct conn *c, int status)
{
    histogram_add(&latencies, now_us() - c->begun);
    by_status[status]++;
    begin(c);
}

static void handle_response(struct conn *c, int status, const char *body)
{
    char state[32] = "";

    if (status != 200 || (!opt.job && !ids_out)) {
        finish(c, status);
        return;
    }
    if (!c->polling) {
        if (!find_text(body, "job_id", c->id, sizeof(c->id))) {
            errors++;
            finish(c, status);
            return;
        }
        if (ids_out)
            fprintf(ids_out, "%s\n", c->id);
        if (!opt.job) {
            finish(c, status);
            return;
        }
        poll_job(c);
        return;
    }
    (void)find_text(body, "status", state, sizeof(state));
    if (strcmp(state, "completed") == 0) {
        finish(c, status);
    } else if (strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0) {
        job_not_completed++;
        finish(c, status);
    } else {
        poll_job(c);
    }
}

static void reopen(struct conn *c)
{
    close(c->fd);
    open_conn(c);
    if (c->busy) {
        errors++;
        begin(c);
    } else {
        reconnects++;
    }
}

/* True with the status and body once the whole response is there. Responses of both servers have a
 * Content-Length. */
static bool whole(struct conn *c, int *ret_status, const char **ret_body, bool *ret_close)
{
    char *end, *field;
    size_t head, length = 0;

    c->response[c->received] = '\0';
    end = strstr(c->response, "\r\n\r\n");
    if (!end || c->received < 12)
        return false;
    *end = '\0';
    head = (size_t)(end - c->response) + 4;
    field = strcasestr(c->response, "\r\ncontent-length:");
    if (field)
        length = (size_t)strtoul(field + 17, NULL, 10);
    *ret_close = strcasestr(c->response, "\r\nconnection: close") != NULL;
    *end = '\r';
    if (c->received < head + length)
        return false;
    *ret_status = (int)strtol(c->response + 9, NULL, 10);
    if (*ret_status < 100 || *ret_status > 599)
        *ret_status = 0;
    *ret_body = c->response + head;
    return true;
}

static void readable(struct conn *c)
{
    ssize_t n = recv(c->fd, c->response + c->received, MAX_RESPONSE - c->received, MSG_DONTWAIT);
    const char *body;
    bool closes;
    int status;

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0 || c->received + (size_t)n >= MAX_RESPONSE) {
        reopen(c);
        return;
    }
    c->received += (size_t)n;
    if (!c->busy || !whole(c, &status, &body, &closes))
        return;
    if (closes) {
        close(c->fd);
        open_conn(c);
        reconnects++;
    }
    handle_response(c, status, body);
}

static void run(struct conn *conns)
{
    struct epoll_event events[256];
    uint64_t moved = now_us();

    active = opt.connections;
    for (int i = 0; i < opt.connections; i++)
        begin(&conns[i]);
    while (active > 0) {
        int n = epoll_wait(epoll_fd, events, 256, 1000);

        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        if (n > 0)
            moved = now_us();
        if (now_us() - moved > (uint64_t)STALL_SECONDS * 1000000) {
            fprintf(stderr, "mcpbus-load: %d connections wait since %d s\n", active, STALL_SECONDS);
            errors += (uint64_t)active;
            return;
        }
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if (events[i].events & EPOLLOUT)
                flush_request(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                readable(c);
        }
    }
}

static void report(double took)
{
    uint64_t ok = by_status[200];

    printf("requests: %llu\nok: %llu\nseconds: %.3f\nrate: %.1f\n",
           (unsigned long long)latencies.count, (unsigned long long)ok, took,
           took > 0 ? (double)ok / took : 0);
    for (int i = 0; i < 600; i++) {
        if (by_status[i] > 0)
            printf("status_%d: %llu\n", i, (unsigned long long)by_status[i]);
    }
    printf("errors: %llu\nreconnects: %llu\n", (unsigned long long)errors,
           (unsigned long long)reconnects);
    if (opt.job)
        printf("not_completed: %llu\npolls: %llu\n", (unsigned long long)job_not_completed,
               (unsigned long long)polls);
    printf("mean_ms: %.3f\n",
           latencies.count ? (double)latencies.sum / (double)latencies.count / 1000 : 0);
    printf("p50_ms: %.3f\np90_ms: %.3f\np99_ms: %.3f\nmax_ms: %.3f\n",
           (double)histogram_at(&latencies, 0.5) / 1000,
           (double)histogram_at(&latencies, 0.9) / 1000,
           (double)histogram_at(&latencies, 0.99) / 1000, (double)latencies.max / 1000);
}

static void read_ids(const char *file)
{
    FILE *in = fopen(file, "re");
    size_t room = 0;
    char line[ID_SIZE + 2];

    if (!in)
        die(file);
    while (fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0')
            continue;
        if (id_count == room) {
            room = room ? room * 2 : 1024;
            ids = realloc(ids, room * sizeof(*ids));
            if (!ids)
                die("ids");
        }
        snprintf(ids[id_count++], ID_SIZE, "%.*s", ID_SIZE - 1, line);
    }
    fclose(in);
}

static const char usage[] =
    "usage: mcpbus-load --port N [--method M] [--path P] [--body TEXT] [--connections N]\n"
    "                   [--requests N] [--seconds S] [--ids FILE] [--ids-out FILE]\n"
    "                   [--job [--wait S] [--poll-us N]]\n"
    "The bearer token comes from LOAD_TOKEN. Without --requests or --seconds: 5 seconds.\n";

static void set_option(const char *name, const char *value)
{
    if (strcmp(name, "port") == 0)
        opt.port = atoi(value);
    else if (strcmp(name, "method") == 0)
        opt.method = value;
    else if (strcmp(name, "path") == 0)
        opt.path = value;
    else if (strcmp(name, "body") == 0)
        opt.body = value;
    else if (strcmp(name, "connections") == 0)
        opt.connections = atoi(value);
    else if (strcmp(name, "requests") == 0)
        opt.requests = strtoull(value, NULL, 10);
    else if (strcmp(name, "seconds") == 0)
        opt.seconds = strtod(value, NULL);
    else if (strcmp(name, "wait") == 0)
        opt.wait = atoi(value);
    else if (strcmp(name, "poll-us") == 0)
        opt.poll_us = (unsigned)atoi(value);
    else if (strcmp(name, "ids") == 0)
        opt.ids = value;
    else if (strcmp(name, "ids-out") == 0)
        opt.ids_out = value;
}

static void parse(int argc, char **argv)
{
    static const struct option table[] = {
        {"port", 1, NULL, 0},    {"method", 1, NULL, 0},      {"path", 1, NULL, 0},
        {"body", 1, NULL, 0},    {"connections", 1, NULL, 0}, {"requests", 1, NULL, 0},
        {"seconds", 1, NULL, 0}, {"wait", 1, NULL, 0},        {"poll-us", 1, NULL, 0},
        {"ids", 1, NULL, 0},     {"ids-out", 1, NULL, 0},     {"job", 0, NULL, 'j'},
        {NULL, 0, NULL, 0}};
    bool timed = false;
    int index, c;

    while ((c = getopt_long(argc, argv, "", table, &index)) != -1) {
        if (c == 'j') {
            opt.job = true;
        } else if (c == 0) {
            set_option(table[index].name, optarg);
            timed |= strcmp(table[index].name, "seconds") == 0;
        } else {
            fputs(usage, stderr);
            exit(2);
        }
    }
    opt.token = getenv("LOAD_TOKEN");
    if (opt.requests > 0 && !timed)
        opt.seconds = 0;
    if (opt.port < 1 || opt.port > 65535 || opt.connections < 1 ||
        opt.connections > MAX_CONNECTIONS || optind != argc) {
        fputs(usage, stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct rlimit files = {MAX_CONNECTIONS + 100, MAX_CONNECTIONS + 100};
    struct conn *conns;
    uint64_t began;

    parse(argc, argv);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (opt.ids)
        read_ids(opt.ids);
    if (opt.ids_out && !(ids_out = fopen(opt.ids_out, "we")))
        die(opt.ids_out);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)opt.connections, sizeof(*conns));
    if (epoll_fd < 0 || !conns)
        die("start");
    for (int i = 0; i < opt.connections; i++) {
        conns[i].request = malloc(MAX_REQUEST);
        conns[i].response = malloc(MAX_RESPONSE + 1);
        if (!conns[i].request || !conns[i].response)
            die("memory");
        open_conn(&conns[i]);
    }
    began = now_us();
    stop_at = began + (uint64_t)(opt.seconds * 1e6);
    run(conns);
    report((double)(now_us() - began) / 1e6);
    if (ids_out && fclose(ids_out) != 0)
        die(opt.ids_out);
    return errors > 0 ? 3 : 0;
}
