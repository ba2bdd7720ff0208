/* A TCP server within a unit test: on a free port of loopback, a thread for each connection. */
#ifndef MCPBUS_TESTS_LISTENER_H
#define MCPBUS_TESTS_LISTENER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

struct listener {
    int fd, port;
    void *(*connection)(void *fd); /* called with (void *)(intptr_t)fd, which it closes */
};

static inline void *listener_serve(void *arg)
{
    const struct listener *listener = arg;
    int fd;
    while ((fd = accept(listener->fd, NULL, NULL)) >= 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, listener->connection, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

/* The listener stays until the test's end. −1: there is no port. */
static inline int listener_start(struct listener *listener, void *(*connection)(void *fd))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    pthread_t thread;
    listener->connection = connection;
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener->fd, (struct sockaddr *)&address, len) || listen(listener->fd, 64) ||
        getsockname(listener->fd, (struct sockaddr *)&address, &len))
        return -1;
    listener->port = ntohs(address.sin_port);
    pthread_create(&thread, NULL, listener_serve, listener);
    return pthread_detach(thread);
}

#endif
