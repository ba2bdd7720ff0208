/* What a stranger may send to the HTTP server: one connection an input, over loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/http_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 4096, WAIT_MS = 20 };

static struct loop *loop;
static struct http_server *server;

static void on_request(void *arg, struct http_request *request)
{
    (void)arg;
    size_t len = 0;
    const char *body = http_request_body(request, &len);
    const char *header = http_request_header(request, "Authorization");
    const char *query = http_request_query(request, "q");
    if (len > BODY_MAX || strlen(http_request_path(request)) == 0)
        abort();
    if ((header && strlen(header) > 65536) || (query && strlen(query) > 65536))
        abort();
    http_respond(request, 200, "text/plain", body, len, NULL);
}

static void start(void)
{
    struct http_server_options options = {.address = "127.0.0.1",
                                          .body_max = BODY_MAX,
                                          .connections_max = 16,
                                          .streams_max = 4,
                                          .receive_timeout_ms = WAIT_MS,
                                          .answer_timeout_ms = WAIT_MS,
                                          .on_request = on_request};
    loop = loop_new();
    if (http_server_new(loop, &options, &server) != ERR_OK)
        abort();
}

static bool is_closed(void *arg)
{
    char text[4096];
    ssize_t len = recv(*(int *)arg, text, sizeof text, MSG_DONTWAIT);
    return len == 0 || (len < 0 && errno != EAGAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server)
        start();
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)http_server_port(server))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* A reset at the end keeps the port from lingering in TIME_WAIT. */
    struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, data, size, MSG_NOSIGNAL) >= 0) {
        shutdown(fd, SHUT_WR);
        loop_run_until(loop, is_closed, &fd, WAIT_MS);
    }
    close(fd);
    return 0;
}
