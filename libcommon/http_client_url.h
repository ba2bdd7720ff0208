/* An http or https URL taken apart, for those who must know where a URL leads before they use it.
 * Pure; any thread. */
#ifndef MCPBUS_HTTP_CLIENT_URL_H
#define MCPBUS_HTTP_CLIENT_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "libcommon/err.h"

enum { HTTP_URL_MAX = 2048, HTTP_URL_HOST_MAX = 256 };

struct http_url {
    bool https;
    bool loopback; /* localhost or a literal address of the loopback network */
    unsigned port;
    char host[HTTP_URL_HOST_MAX];        /* lower case; IPv6 in its brackets */
    char origin[HTTP_URL_HOST_MAX + 32]; /* "https://host[:port]", without a default port */
    char path[HTTP_URL_MAX];             /* "/" at least, dot segments removed */
    char query[HTTP_URL_MAX];            /* without the "?"; "" when none */
    bool has_fragment;
};

/* ERR_INVALID: not an absolute http(s) URL, user info in it, control bytes or spaces, or longer
 * than HTTP_URL_MAX - 1. */
MUST_CHECK enum err http_url_parse(const char *text, struct http_url *ret_url);

/* Is it an address that only this host or its own networks can reach (loopback, private,
 * link-local, carrier's NAT, multicast and the like)? What is no IP address counts as one. */
struct sockaddr;
bool http_address_is_internal(const struct sockaddr *address);
bool http_host_is_internal(const char *address); /* as text, without brackets */

/* Does it lead there by its text alone: localhost, *.localhost, or such an address? */
bool http_url_is_internal(const struct http_url *url);

/* Does a call to this host (as a URL has it) go past the proxy? `no_proxy`: names, which stand for
 * what is below them too, addresses and networks (10.0.0.0/8), with commas or spaces; or *,
 * everything. NULL: none. Loopback always does. */
bool http_bypasses_proxy(const char *host, const char *no_proxy);

/* The value of the query parameter `name`, decoded; NULL: not there, or there more than once.
 * free() it. */
char *http_query_value(const char *query, const char *name);

#endif
