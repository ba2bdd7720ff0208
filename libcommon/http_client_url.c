#include "libcommon/http_client_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "libcommon/mem.h"

static bool is_clean(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= 0x20 || (unsigned char)*text == 0x7f)
            return false;
    return true;
}

/* curl forgives one slash, three, and backslashes, each of which others read differently. */
static bool has_authority(const char *text)
{
    size_t scheme = strncasecmp(text, "http", 4) == 0 ? 4 : 0;
    scheme += scheme && (text[scheme] | 0x20) == 's';
    return scheme && strncmp(text + scheme, "://", 3) == 0 && text[scheme + 3] != '/' &&
           !strchr(text, '\\');
}

/* Copies a part; `def` when the URL has none. */
static bool part(CURLU *parts, CURLUPart what, unsigned flags, const char *def, char *ret_text,
                 size_t size)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(parts, what, &text, flags);
    const char *value = code == CURLUE_OK ? text : def;
    bool good = value && strlen(value) < size;
    if (good)
        memcpy(ret_text, value, strlen(value) + 1);
    curl_free(text);
    return good;
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text += 'a' - 'A';
}

static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

static bool read_parts(CURLU *parts, struct http_url *url)
{
    char scheme[16], port[16], fragment[HTTP_URL_MAX];
    if (!part(parts, CURLUPART_SCHEME, 0, NULL, scheme, sizeof scheme) ||
        !part(parts, CURLUPART_HOST, 0, NULL, url->host, sizeof url->host) ||
        !part(parts, CURLUPART_PORT, CURLU_DEFAULT_PORT, NULL, port, sizeof port) ||
        !part(parts, CURLUPART_PATH, 0, "/", url->path, sizeof url->path) ||
        !part(parts, CURLUPART_QUERY, 0, "", url->query, sizeof url->query))
        return false;
    url->has_fragment = part(parts, CURLUPART_FRAGMENT, 0, NULL, fragment, sizeof fragment);
    url->https = strcasecmp(scheme, "https") == 0;
    url->port = (unsigned)strtoul(port, NULL, 10);
    return url->https || strcasecmp(scheme, "http") == 0;
}

enum err http_url_parse(const char *text, struct http_url *ret_url)
{
    struct http_url url = {0};
    if (strlen(text) >= HTTP_URL_MAX || !is_clean(text) || !has_authority(text))
        return ERR_INVALID;
    CURLU *parts = curl_url();
    bool good = parts && curl_url_set(parts, CURLUPART_URL, text, CURLU_DISALLOW_USER) == CURLUE_OK;
    good = good && read_parts(parts, &url);
    curl_url_cleanup(parts);
    if (!good || !url.host[0])
        return ERR_INVALID;
    lower(url.host);
    url.loopback = is_loopback(url.host);
    int len =
        snprintf(url.origin, sizeof url.origin, "%s://%s", url.https ? "https" : "http", url.host);
    if (url.port != (url.https ? 443u : 80u))
        snprintf(url.origin + len, sizeof url.origin - (size_t)len, ":%u", url.port);
    *ret_url = url;
    return ERR_OK;
}

struct range {
    uint32_t net;
    int bits;
};

/* RFC 6890 and the registry of special-purpose addresses that it began. */
static bool is_internal4(uint32_t address)
{
    static const struct range ranges[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xe0000000, 3},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if ((address ^ ranges[i].net) >> (32 - ranges[i].bits) == 0)
            return true;
    return false;
}

static uint32_t word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_internal6(const uint8_t bytes[16])
{
    static const uint8_t zeros[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    uint32_t high = word(bytes), low = word(bytes + 12);
    if (memcmp(bytes, mapped, 12) == 0 || memcmp(bytes, nat64, 12) == 0 ||
        memcmp(bytes, zeros, 12) == 0) /* ::, ::1 and the old IPv4-compatible form */
        return low <= 1 || is_internal4(low);
    if (bytes[0] == 0x20 && bytes[1] == 0x02) /* 6to4 holds an IPv4 address */
        return is_internal4(word(bytes + 2));
    if (high == 0x20010db8 || high >> 9 == 0x20010000 >> 9)
        return true;                  /* for examples; for protocols, Teredo's tunnels among them */
    return (bytes[0] & 0xe0) != 0x20; /* all but the global unicast 2000::/3 */
}

bool http_address_is_internal(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof four);
        return is_internal4(ntohl(four.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        return is_internal6(six.sin6_addr.s6_addr);
    }
    return true;
}

bool http_host_is_internal(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1)
        return is_internal4(ntohl(four.s_addr));
    return inet_pton(AF_INET6, address, &six) != 1 || is_internal6(six.s6_addr);
}

/* Without brackets and the root's dot. */
static void plain_host(const char *host, char ret_host[HTTP_URL_HOST_MAX])
{
    size_t len = strlen(host);
    bool bracketed = len >= 2 && host[0] == '[';
    len -= bracketed ? 2 : len > 0 && host[len - 1] == '.';
    snprintf(ret_host, HTTP_URL_HOST_MAX, "%.*s", (int)len, host + bracketed);
}

/* The name itself, or one below it. */
static bool is_below(const char *host, const char *name, size_t name_len)
{
    size_t len = strlen(host);
    if (len < name_len || strncasecmp(host + len - name_len, name, name_len) != 0)
        return false;
    return len == name_len || host[len - name_len - 1] == '.';
}

/* IPv4 in its mapped form; false: no address. */
static bool read_address(const char *text, uint8_t ret_bytes[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(ret_bytes, mapped, sizeof mapped);
    return inet_pton(AF_INET, text, ret_bytes + sizeof mapped) == 1 ||
           inet_pton(AF_INET6, text, ret_bytes) == 1;
}

bool http_url_is_internal(const struct http_url *url)
{
    static const char local[] = "localhost";
    char host[HTTP_URL_HOST_MAX];
    uint8_t bytes[16];
    plain_host(url->host, host);
    if (is_below(host, local, sizeof local - 1))
        return true;
    return (read_address(host, bytes) || url->host[0] == '[') && http_host_is_internal(host);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, long bits)
{
    for (; bits >= 8; a++, b++, bits -= 8)
        if (*a != *b)
            return false;
    return bits <= 0 || (*a ^ *b) >> (8 - bits) == 0;
}

/* One entry: an address or a network. */
static bool is_within(const uint8_t bytes[16], const char *entry)
{
    char text[INET6_ADDRSTRLEN + 8];
    uint8_t net[16];
    snprintf(text, sizeof text, "%s", entry);
    char *slash = strchr(text, '/'), *end = "";
    if (slash)
        *slash++ = '\0';
    long bits = slash ? strtol(slash, &end, 10) : 128;
    if (!read_address(text, net) || *end || bits < 0 || bits > 128)
        return false;
    if (slash && !strchr(text, ':'))
        bits += 96;
    return bits <= 128 && same_bits(bytes, net, bits);
}

bool http_bypasses_proxy(const char *url_host, const char *no_proxy)
{
    char host[HTTP_URL_HOST_MAX], entry[HTTP_URL_HOST_MAX];
    uint8_t bytes[16];
    plain_host(url_host, host);
    bool literal = read_address(host, bytes);
    for (const char *at = no_proxy ? no_proxy : ""; *at;) {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        size_t dot = *at == '.' && len > 1;
        snprintf(entry, sizeof entry, "%.*s", (int)(len - dot), at + dot);
        if (len < sizeof entry &&
            (strcmp(entry, "*") == 0 ||
             (literal ? is_within(bytes, entry) : len > 0 && is_below(host, entry, len - dot))))
            return true;
        at += len;
    }
    return strcasecmp(host, "localhost") == 0 ||
           (literal && (is_within(bytes, "127.0.0.0/8") || is_within(bytes, "::1")));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *form_decode(const char *text, size_t len)
{
    char *out = mem_alloc(len + 1), *at = out;
    for (size_t i = 0; i < len; i++) {
        bool escape = text[i] == '%' && len - i > 2;
        int high = escape ? hex_digit(text[i + 1]) : -1, low = escape ? hex_digit(text[i + 2]) : -1;
        if (high >= 0 && low >= 0) {
            *at++ = (char)(high << 4 | low);
            i += 2;
        } else {
            *at++ = text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

char *http_query_value(const char *query, const char *name)
{
    const char *found = NULL;
    size_t found_len = 0, name_len = strlen(name);
    while (*query) {
        size_t len = strcspn(query, "&");
        if (len > name_len && query[name_len] == '=' && strncmp(query, name, name_len) == 0) {
            if (found)
                return NULL;
            found = query + name_len + 1;
            found_len = len - name_len - 1;
        }
        query += len + (query[len] == '&');
    }
    return found ? form_decode(found, found_len) : NULL;
}
