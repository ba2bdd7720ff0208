/* Ending a connection. A ROUTER has no call for that, so the descriptor is shut down below it;
 * libzmq may have closed it and the system given its number to another meanwhile, so the address of
 * the other end is compared first. */
#include <string.h>
#include <sys/socket.h>

#include "services/broker/internal.h"

enum { LINGER_MS = 250 };

static bool peer_address(int fd, struct sockaddr_in6 *ret_address)
{
    struct sockaddr_in6 address = {0};
    socklen_t len = sizeof address;
    if (fd < 0 || getpeername(fd, (struct sockaddr *)(void *)&address, &len) != 0 ||
        len > sizeof address)
        return false;
    *ret_address = address;
    return true;
}

struct connection connection_of(struct wire_message *message)
{
    struct connection connection = {.fd = wire_descriptor(message)};
    if (!peer_address(connection.fd, &connection.peer))
        connection.fd = -1;
    return connection;
}

static void cut(const struct connection *connection)
{
    struct sockaddr_in6 now;
    if (peer_address(connection->fd, &now) && memcmp(&now, &connection->peer, sizeof now) == 0)
        shutdown(connection->fd, SHUT_RDWR);
}

void cut_later(struct broker *broker, const struct connection *connection)
{
    if (connection->fd < 0)
        return;
    if (broker->cut_count == CUTS_MAX)
        cut(connection);
    else
        broker->cuts[broker->cut_count++] =
            (struct cut){*connection, loop_now(broker->loop) + LINGER_MS};
}

void cuts_tick(struct broker *broker)
{
    size_t kept = 0;
    for (size_t i = 0; i < broker->cut_count; i++) {
        if (broker->cuts[i].at <= loop_now(broker->loop))
            cut(&broker->cuts[i].connection);
        else
            broker->cuts[kept++] = broker->cuts[i];
    }
    broker->cut_count = kept;
}
