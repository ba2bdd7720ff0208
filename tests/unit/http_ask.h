/* An HTTP client within a unit test: a request on a connection of its own, answered by a server on
 * the same loop. */
#ifndef MCPBUS_TESTS_HTTP_ASK_H
#define MCPBUS_TESTS_HTTP_ASK_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcommon/loop.h"

enum { HTTP_ASK_MS = 10000 };

struct http_ask {
    struct loop *loop;
    int port; /* on loopback */
    int fd;
    char answer[65536];
    size_t len;
};

static inline bool http_ask_has_ended(void *arg)
{
    struct http_ask *ask = arg;
    ssize_t n =
        recv(ask->fd, ask->answer + ask->len, sizeof ask->answer - 1 - ask->len, MSG_DONTWAIT);
    if (n > 0)
        ask->len += (size_t)n;
    return n == 0;
}

/* The whole answer to LINE ("GET /path") with one further header, or NULL for none. Borrowed until
 * the next. */
static inline const char *http_ask(struct http_ask *ask, const char *line, const char *header)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)ask->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[512];
    int len =
        snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s\r\n",
                 line, header ? header : "", header ? "\r\n" : "");
    ask->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ask->len = 0;
    assert_int_equal(connect(ask->fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(ask->fd, request, (size_t)len, 0), len);
    assert_true(loop_run_until(ask->loop, http_ask_has_ended, ask, HTTP_ASK_MS));
    close(ask->fd);
    ask->answer[ask->len] = '\0';
    return ask->answer;
}

#endif
