/* Who is at the other end of a request: the connection's peer, or, when that is a proxy that
 * TRUSTED_PROXIES names, the address that the proxies tell of. Of a list of hops the right-most
 * that is no trusted proxy counts: what stands to its left is a stranger's word. Pure but for the
 * form that reads a request; any thread. */
#ifndef MCPBUS_CLIENT_ADDRESS_H
#define MCPBUS_CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"

enum {
    CLIENT_ADDRESS_SIZE = 64,
    CLIENT_HOPS_MAX = 32,    /* of a list, from the right; what is behind them isn't looked at */
    CLIENT_LINES_MAX = 16,   /* of a header */
    CLIENT_LINE_MAX = 4096,  /* bytes; a longer one is as a malformed one */
    CLIENT_PROXIES_MAX = 256 /* of the setting */
};

struct http_request;
struct proxies;

/* From the settings TRUSTED_PROXIES: addresses and networks (10.0.0.0/8, 2001:db8::/32) with
 * commas; and TRUSTED_PROXY_HEADER: whether Forwarded (RFC 7239) is what the proxies write, else
 * X-Forwarded-For and X-Forwarded-Proto. NULL or "": no proxy, *ret_proxies is NULL. ERR_INVALID:
 * anything else. */
MUST_CHECK enum err proxies_new(const char *setting, bool forwarded, struct proxies **ret_proxies);
void proxies_destroy(struct proxies **proxies_p);

struct client {
    char address[CLIENT_ADDRESS_SIZE]; /* as inet_ntop writes it, IPv4 never in its mapped form; ""
                                          when there is none */
    bool proxied;                      /* the peer is a trusted proxy */
    bool https; /* a trusted proxy says that the client came by TLS; without one never */
};

void client_of(const struct proxies *proxies, const struct http_request *request,
               struct client *ret_client);

/* The same from texts: the peer's address, and each line of the headers, in their order. */
struct client_lines {
    const char *hops[CLIENT_LINES_MAX]; /* X-Forwarded-For, or Forwarded */
    size_t count;
    const char *proto; /* X-Forwarded-Proto's last line; NULL: none */
};
void client_from(const struct proxies *proxies, const char *peer, const struct client_lines *lines,
                 struct client *ret_client);

/* What a limit for each stranger counts by: an IPv4 address, an IPv6 network of 64 bits, since one
 * stranger has all addresses of that. */
void client_network(const char *address, char ret_network[CLIENT_ADDRESS_SIZE]);

#endif
