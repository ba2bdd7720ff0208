/* What proxies, and strangers through them, write of a client's address. The first byte chooses the
 * header; lines end with LF. The address must be one, and no proxy's own network may be left for
 * what stands to the left of a stranger. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/client_address.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void find(const struct proxies *proxies, const struct client_lines *lines, bool forwarded)
{
    struct client client;
    struct in6_addr address;
    client_from(proxies, "127.0.0.1", lines, &client);
    require(inet_pton(AF_INET, client.address, &address) == 1 ||
            inet_pton(AF_INET6, client.address, &address) == 1);
    require(client.proxied);
    struct client again;
    char last[CLIENT_ADDRESS_SIZE + 8];
    strcpy(last, forwarded ? "for=" : "");
    strcat(last, "198.51.100.7");
    struct client_lines more = *lines;
    if (more.count == CLIENT_LINES_MAX)
        more.count--;
    more.hops[more.count++] = last;
    client_from(proxies, "127.0.0.1", &more, &again);
    require(strcmp(again.address, "198.51.100.7") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct proxies *by_kind[2];
    if (!by_kind[0] && (proxies_new("127.0.0.0/8,10.0.0.0/8,fd00::/8", false, &by_kind[0]) ||
                        proxies_new("127.0.0.0/8,10.0.0.0/8,fd00::/8", true, &by_kind[1])))
        abort();
    if (size < 1)
        return 0;
    AUTOFREE char *text = mem_strndup((const char *)data + 1, size - 1);
    struct proxies *made = NULL;
    if (data[0] & 2) {
        if (proxies_new(text, false, &made) == ERR_OK)
            proxies_destroy(&made);
        return 0;
    }
    struct client_lines lines = {.proto = text};
    char *rest = text;
    for (char *line; lines.count < CLIENT_LINES_MAX && (line = strsep(&rest, "\n"));)
        lines.hops[lines.count++] = line;
    find(by_kind[data[0] & 1], &lines, data[0] & 1);
    return 0;
}
