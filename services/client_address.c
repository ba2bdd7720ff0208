#include "services/client_address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libcommon/http_server.h"
#include "libcommon/mem.h"

enum { BITS = 128, MAPPED_BITS = 96, PART_MAX = 128 };

struct address {
    uint8_t bytes[BITS / 8]; /* IPv4 in its mapped form */
};

struct network {
    struct address base;
    int bits;
};

struct proxies {
    bool forwarded;
    size_t count;
    struct network networks[CLIENT_PROXIES_MAX];
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const struct address *address)
{
    return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

static bool read_address(const char *text, struct address *ret_address)
{
    struct address address;
    if (inet_pton(AF_INET6, text, address.bytes) != 1) {
        memcpy(address.bytes, mapped, sizeof(mapped));
        if (inet_pton(AF_INET, text, address.bytes + sizeof(mapped)) != 1)
            return false;
    }
    *ret_address = address;
    return true;
}

static void write_address(const struct address *address, char ret_text[CLIENT_ADDRESS_SIZE])
{
    if (is_mapped(address))
        inet_ntop(AF_INET, address->bytes + sizeof(mapped), ret_text, CLIENT_ADDRESS_SIZE);
    else
        inet_ntop(AF_INET6, address->bytes, ret_text, CLIENT_ADDRESS_SIZE);
}

static void keep_bits(struct address *address, int bits)
{
    for (int i = 0; i < BITS / 8; i++, bits -= 8)
        if (bits < 8)
            address->bytes[i] &= (uint8_t)(bits <= 0 ? 0 : 0xff << (8 - bits));
}

static bool contains(const struct network *network, const struct address *address)
{
    struct address base = *address;
    keep_bits(&base, network->bits);
    return memcmp(base.bytes, network->base.bytes, sizeof(base.bytes)) == 0;
}

static bool is_trusted(const struct proxies *proxies, const struct address *address)
{
    for (size_t i = 0; proxies && i < proxies->count; i++)
        if (contains(&proxies->networks[i], address))
            return true;
    return false;
}

/* The setting */

static bool read_bits(const char *text, int most, int *ret_bits)
{
    size_t len = strspn(text, "0123456789");
    if (len < 1 || len > 3 || text[len])
        return false;
    *ret_bits = (int)strtol(text, NULL, 10);
    return *ret_bits <= most;
}

static bool read_network(char *text, struct network *ret_network)
{
    struct network network = {.bits = BITS};
    char *slash = strchr(text, '/');
    if (slash)
        *slash++ = '\0';
    bool four = !strchr(text, ':');
    if (!read_address(text, &network.base))
        return false;
    if (slash && !read_bits(slash, four ? BITS - MAPPED_BITS : BITS, &network.bits))
        return false;
    if (slash && four)
        network.bits += MAPPED_BITS;
    keep_bits(&network.base, network.bits);
    *ret_network = network;
    return true;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        text[--len] = '\0';
    return text;
}

enum err proxies_new(const char *setting, bool forwarded, struct proxies **ret_proxies)
{
    AUTOFREE char *copy = mem_strdup(setting ? setting : "");
    struct proxies *proxies = mem_alloc(sizeof(*proxies));
    proxies->forwarded = forwarded;
    char *rest = copy;
    for (char *part; (part = strsep(&rest, ","));) {
        part = trim(part);
        if (!*part)
            continue;
        if (proxies->count == CLIENT_PROXIES_MAX ||
            !read_network(part, &proxies->networks[proxies->count++])) {
            free(proxies);
            return ERR_INVALID;
        }
    }
    if (proxies->count == 0)
        proxies_destroy(&proxies);
    *ret_proxies = proxies;
    return ERR_OK;
}

void proxies_destroy(struct proxies **proxies_p)
{
    free(*proxies_p);
    *proxies_p = NULL;
}

/* A hop as a proxy writes it: 192.0.2.1, 192.0.2.1:4711, 2001:db8::1, [2001:db8::1]:4711. */
static bool read_hop(const char *text, size_t len, struct address *ret_address)
{
    char copy[PART_MAX];
    while (len > 0 && (*text == ' ' || *text == '\t'))
        text++, len--;
    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *address = trim(copy), *colon = strchr(address, ':');
    if (*address == '[') {
        char *end = strchr(++address, ']');
        if (!end || (end[1] && end[1] != ':') || !memchr(address, ':', (size_t)(end - address)))
            return false;
        *end = '\0';
    } else if (colon && !strchr(colon + 1, ':')) {
        *colon = '\0';
    }
    return read_address(address, ret_address);
}

/* The walk from the proxy that we see to the client. */
struct walk {
    const struct proxies *proxies;
    struct address at; /* known so far */
    size_t hops;       /* taken from the list */
    bool ended;
};

/* False: this one ends the walk. What is no address (unknown, _hidden, garbage) leaves the proxy
 * that wrote it as all that is known. */
static bool step(struct walk *walk, const char *text, size_t len)
{
    struct address address;
    if (walk->hops == CLIENT_HOPS_MAX || !read_hop(text, len, &address)) {
        walk->ended = true;
        return false;
    }
    walk->at = address;
    walk->hops++;
    walk->ended = !is_trusted(walk->proxies, &address);
    return !walk->ended;
}

/* X-Forwarded-For */

static void walk_line(struct walk *walk, const char *line)
{
    size_t end = strlen(line);
    if (end > CLIENT_LINE_MAX) {
        walk->ended = true;
        return;
    }
    for (;;) {
        size_t begin = end;
        while (begin > 0 && line[begin - 1] != ',')
            begin--;
        if (!step(walk, line + begin, end - begin) || begin == 0)
            return;
        end = begin - 1;
    }
}

static bool is_https(const char *text, size_t len)
{
    while (len > 0 && (*text == ' ' || *text == '\t'))
        text++, len--;
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    return len == 5 && strncasecmp(text, "https", 5) == 0;
}

/* The scheme that the hop was seen with: as far from the right as the client's address; where there
 * are fewer, the proxies replace the value, and the left-most is the farthest. */
static bool proto_of(const char *line, size_t hops)
{
    size_t end = line ? strlen(line) : 0;
    for (size_t n = 1; end > 0 && end <= CLIENT_LINE_MAX; n++) {
        size_t begin = end;
        while (begin > 0 && line[begin - 1] != ',')
            begin--;
        if (n >= hops || begin == 0)
            return is_https(line + begin, end - begin);
        end = begin - 1;
    }
    return false;
}

static void walk_for(struct walk *walk, const struct client_lines *lines)
{
    for (size_t i = lines->count; i-- > 0 && !walk->ended;)
        walk_line(walk, lines->hops[i]);
}

/* Forwarded, RFC 7239 §4 */

struct element {
    char hop[PART_MAX];
    bool https;
};

static const char *skip_blank(const char *text)
{
    return text + strspn(text, " \t");
}

/* RFC 9110 §5.6.2, and a colon and brackets, which some write without the quotes. */
static size_t token_len(const char *text)
{
    return strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ:[]");
}

/* A token or a quoted string; what stands behind it, or NULL. */
static const char *read_value(const char *at, char ret_value[PART_MAX])
{
    size_t len = 0;
    if (*at != '"') {
        len = token_len(at);
        if (len == 0 || len >= PART_MAX)
            return NULL;
        memcpy(ret_value, at, len);
        ret_value[len] = '\0';
        return at + len;
    }
    for (at++; *at != '"'; at++) {
        at += *at == '\\';
        if (!*at || len == PART_MAX - 1)
            return NULL;
        ret_value[len++] = *at;
    }
    ret_value[len] = '\0';
    return at + 1;
}

static const char *read_pair(const char *at, struct element *element)
{
    char value[PART_MAX];
    const char *name = at;
    size_t len = token_len(at);
    if (len == 0 || at[len] != '=')
        return NULL;
    at = read_value(at + len + 1, value);
    if (at && len == 3 && strncasecmp(name, "for", len) == 0)
        memcpy(element->hop, value, sizeof(value));
    else if (at && len == 5 && strncasecmp(name, "proto", len) == 0)
        element->https = strcasecmp(value, "https") == 0;
    return at;
}

static const char *read_element(const char *at, struct element *ret_element)
{
    *ret_element = (struct element){.https = false};
    do {
        at = skip_blank(at);
        if (*at && *at != ';' && *at != ',')
            at = read_pair(at, ret_element);
        at = at ? skip_blank(at) : NULL;
    } while (at && *at == ';' && at++);
    return at && (*at == ',' || !*at) ? at : NULL;
}

/* A quoted string can't be read from its end, so a line is read from its beginning; of its elements
 * the last are kept. A line that can't be read tells nothing, nor do those before it. */
static void walk_forwarded_line(struct walk *walk, const char *line, bool *https)
{
    struct element elements[CLIENT_HOPS_MAX];
    size_t count = 0;
    const char *at = strlen(line) > CLIENT_LINE_MAX ? NULL : line;
    for (bool more = true; at && more; at += more, count++) {
        at = read_element(at, &elements[count % CLIENT_HOPS_MAX]);
        if (!at)
            break;
        more = *at == ',';
    }
    walk->ended = !at;
    for (size_t n = 0; at && n < count && n < CLIENT_HOPS_MAX; n++) {
        const struct element *element = &elements[(count - 1 - n) % CLIENT_HOPS_MAX];
        *https = element->https;
        if (!step(walk, element->hop, strlen(element->hop)))
            return;
    }
    walk->ended = walk->ended || count > CLIENT_HOPS_MAX;
}

void client_from(const struct proxies *proxies, const char *peer, const struct client_lines *lines,
                 struct client *ret_client)
{
    struct walk walk = {.proxies = proxies};
    struct client client = {.proxied = false};
    if (!read_address(peer, &walk.at)) {
        *ret_client = client;
        return;
    }
    client.proxied = is_trusted(proxies, &walk.at);
    if (client.proxied && proxies->forwarded) {
        for (size_t i = lines->count; i-- > 0 && !walk.ended;)
            walk_forwarded_line(&walk, lines->hops[i], &client.https);
    } else if (client.proxied) {
        walk_for(&walk, lines);
        client.https = proto_of(lines->proto, walk.hops);
    }
    write_address(&walk.at, client.address);
    *ret_client = client;
}

void client_of(const struct proxies *proxies, const struct http_request *request,
               struct client *ret_client)
{
    char peer[CLIENT_ADDRESS_SIZE];
    struct client_lines lines = {.count = 0};
    http_request_peer(request, peer);
    if (proxies) {
        const char *name = proxies->forwarded ? "Forwarded" : "X-Forwarded-For";
        lines.count = http_request_header_all(request, name, lines.hops, CLIENT_LINES_MAX);
        const char *protos[CLIENT_LINES_MAX];
        size_t count =
            http_request_header_all(request, "X-Forwarded-Proto", protos, CLIENT_LINES_MAX);
        lines.proto = count > 0 ? protos[count - 1] : NULL;
    }
    client_from(proxies, peer, &lines, ret_client);
}

void client_network(const char *address, char ret_network[CLIENT_ADDRESS_SIZE])
{
    struct network network = {.bits = BITS / 2};
    if (!read_address(address, &network.base) || is_mapped(&network.base)) {
        snprintf(ret_network, CLIENT_ADDRESS_SIZE, "%s", address);
        return;
    }
    keep_bits(&network.base, network.bits);
    write_address(&network.base, ret_network);
}
