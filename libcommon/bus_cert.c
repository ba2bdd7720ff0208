#include "libcommon/bus_cert.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "libcommon/buf.h"
#include "libcommon/mem.h"

enum { LINE_MAX = 4352, INDENT = 4 };

/* What a certificate says, before it is checked as a whole. */
struct draft {
    struct bus_cert cert;
    char role[16];
    enum { IN_NOTHING, IN_METADATA, IN_CURVE } section;
};

struct entry {
    const char *name;
    char *into;
    size_t size;
};

static bool is_z85(const char *text)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    return strspn(text, alphabet) == strlen(text);
}

/* A key is 40 characters that stand for 32 bytes, in one way alone: five of them may exceed 32
 * bits, and libzmq would take the rest of that. */
static bool is_key(const char *text)
{
    uint8_t bytes[BUS_KEY_BYTES];
    char back[BUS_KEY_TEXT_SIZE];
    return strlen(text) == BUS_KEY_TEXT_SIZE - 1 && is_z85(text) && zmq_z85_decode(bytes, text) &&
           zmq_z85_encode(back, bytes, sizeof bytes) && strcmp(back, text) == 0;
}

static bool refuse(char ret_why[BUS_WHY_SIZE], const char *what)
{
    snprintf(ret_why, BUS_WHY_SIZE, "%s", what);
    return false;
}

/* "name = value", the value in quotes or bare up to white space; sets *ret_value to it in place. */
static bool split(char *line, char **ret_value)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return false;
    char *end = equals;
    while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    char *value = equals + 1 + strspn(equals + 1, " \t"), *close = NULL;
    if (*value == '"' || *value == '\'') {
        close = strchr(value + 1, *value);
        value++;
    } else {
        close = value + strcspn(value, " \t");
    }
    if (!close)
        return false;
    const char *rest = close + (*close != '\0');
    rest += strspn(rest, " \t");
    if (*rest && *rest != '#')
        return false;
    *end = *close = '\0';
    *ret_value = value;
    return true;
}

static bool is_known_section(const char *name, struct draft *draft)
{
    draft->section = !strcmp(name, "metadata") ? IN_METADATA
                     : !strcmp(name, "curve")  ? IN_CURVE
                                               : IN_NOTHING;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
           strlen(name);
}

static bool take(struct draft *draft, const char *name, const char *value,
                 char ret_why[BUS_WHY_SIZE])
{
    const struct entry metadata[] = {{"role", draft->role, sizeof draft->role},
                                     {"name", draft->cert.name, sizeof draft->cert.name},
                                     {"call", draft->cert.call, sizeof draft->cert.call},
                                     {"serve", draft->cert.serve, sizeof draft->cert.serve},
                                     {NULL, NULL, 0}};
    const struct entry curve[] = {
        {"public-key", draft->cert.public_key, sizeof draft->cert.public_key},
        {"secret-key", draft->cert.secret_key, sizeof draft->cert.secret_key},
        {NULL, NULL, 0}};
    const struct entry none[] = {{NULL, NULL, 0}};
    const struct entry *at = draft->section == IN_METADATA ? metadata
                             : draft->section == IN_CURVE  ? curve
                                                           : none;
    for (; at->name; at++) {
        if (strcmp(at->name, name) != 0)
            continue;
        if (*at->into)
            return refuse(ret_why, "it says something twice");
        if (strlen(value) >= at->size)
            return refuse(ret_why, "a value is too long");
        memcpy(at->into, value, strlen(value) + 1);
    }
    return true;
}

/* ZPL (RFC 4): names at the margin are sections, those below them are indented by four spaces. */
static bool read_line(struct draft *draft, char *line, char ret_why[BUS_WHY_SIZE])
{
    size_t indent = strspn(line, " ");
    char *text = line + indent, *value = NULL;
    size_t len = strlen(text);
    while (len && (text[len - 1] == ' ' || text[len - 1] == '\t' || text[len - 1] == '\r'))
        text[--len] = '\0';
    if (!*text || *text == '#')
        return true;
    if (indent == 0)
        return is_known_section(text, draft) ? true : refuse(ret_why, "a line is malformed");
    if (indent != INDENT || !split(text, &value))
        return refuse(ret_why, "a line is malformed");
    return take(draft, text, value, ret_why);
}

static bool read_lines(struct draft *draft, const char *text, size_t len,
                       char ret_why[BUS_WHY_SIZE])
{
    char line[LINE_MAX];
    while (len) {
        const char *newline = memchr(text, '\n', len);
        size_t size = newline ? (size_t)(newline - text) : len;
        if (size >= sizeof line || memchr(text, '\0', size))
            return refuse(ret_why, "a line is too long or holds a NUL");
        memcpy(line, text, size);
        line[size] = '\0';
        if (!read_line(draft, line, ret_why))
            return false;
        size_t step = size + (newline != NULL);
        text += step;
        len -= step;
    }
    explicit_bzero(line, sizeof line);
    return true;
}

static bool is_plain_name(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "-_.@") == strlen(name);
}

static bool is_method_pattern(const char *item, size_t len)
{
    const char *dot = memchr(item, '.', len);
    if (!dot || !proto_is_name(item, (size_t)(dot - item)))
        return false;
    size_t rest = len - (size_t)(dot + 1 - item);
    return (rest == 1 && dot[1] == '*') || proto_is_name(dot + 1, rest);
}

static bool is_service(const char *item, size_t len)
{
    char name[BUS_CERT_NAME_SIZE];
    if (!proto_is_name(item, len))
        return false;
    memcpy(name, item, len);
    name[len] = '\0';
    return !proto_is_builtin(name);
}

static bool all_items(const char *list, bool (*good)(const char *, size_t))
{
    while (*list) {
        list += strspn(list, ", ");
        size_t len = strcspn(list, ", ");
        if (len && !good(list, len))
            return false;
        list += len;
    }
    return true;
}

enum err bus_cert_check(const struct bus_cert *cert, char ret_why[BUS_WHY_SIZE])
{
    bool good = true;
    if (!is_plain_name(cert->name))
        good = refuse(ret_why, "name takes letters, digits and -_.@");
    else if ((*cert->call || *cert->serve) && cert->role != PROTO_ROLE_CLIENT)
        good = refuse(ret_why, "call and serve are for the role client alone");
    else if (!all_items(cert->call, is_method_pattern))
        good = refuse(ret_why, "call takes service.method or service.*, several with commas");
    else if (!all_items(cert->serve, is_service))
        good = refuse(ret_why, "serve takes names of services (lower case, digits, _) that are not "
                               "mcpbus's own, several with commas");
    return good ? ERR_OK : ERR_INVALID;
}

static bool check_keys(const struct bus_cert *cert, char ret_why[BUS_WHY_SIZE])
{
    char derived[BUS_KEY_TEXT_SIZE];
    if (!is_key(cert->public_key) || (*cert->secret_key && !is_key(cert->secret_key)))
        return refuse(ret_why, "a key is missing, or is not 40 characters of Z85");
    if (*cert->secret_key && (zmq_curve_public(derived, cert->secret_key) != 0 ||
                              strcmp(derived, cert->public_key) != 0))
        return refuse(ret_why, "its public and secret key are no pair");
    return true;
}

enum err bus_cert_parse(const char *text, size_t len, struct bus_cert *ret_cert,
                        char ret_why[BUS_WHY_SIZE])
{
    struct draft draft = {.section = IN_NOTHING};
    bool good = len <= BUS_CERT_MAX_BYTES || refuse(ret_why, "it is too large");
    good = good && read_lines(&draft, text, len, ret_why) && check_keys(&draft.cert, ret_why);
    if (good && !proto_role_parse(draft.role, &draft.cert.role))
        good = refuse(ret_why, "its metadata lacks a role, or has an unknown one");
    if (good && bus_cert_check(&draft.cert, ret_why) == ERR_OK)
        *ret_cert = draft.cert;
    else
        good = false;
    explicit_bzero(&draft, sizeof draft);
    return good ? ERR_OK : ERR_INVALID;
}

char *bus_cert_format(const struct bus_cert *cert, bool secret)
{
    struct buf buf;
    buf_init(&buf, BUS_CERT_MAX_BYTES);
    buf_printf(&buf, "#   ZeroMQ CURVE %s Certificate of mcpbus\n",
               secret ? "**Secret**" : "Public");
    buf_add_str(&buf, secret ? "#   Keep it to its owner: nobody else may read it.\n\n"
                             : "#   Brokers and their peers may have it.\n\n");
    buf_printf(&buf, "metadata\n    role = \"%s\"\n    name = \"%s\"\n",
               proto_role_name(cert->role), cert->name);
    if (*cert->call)
        buf_printf(&buf, "    call = \"%s\"\n", cert->call);
    if (*cert->serve)
        buf_printf(&buf, "    serve = \"%s\"\n", cert->serve);
    buf_printf(&buf, "curve\n    public-key = \"%s\"\n", cert->public_key);
    if (secret)
        buf_printf(&buf, "    secret-key = \"%s\"\n", cert->secret_key);
    return buf_steal(&buf);
}

void bus_cert_generate(struct bus_cert *cert)
{
    int rc = zmq_curve_keypair(cert->public_key, cert->secret_key);
    if (rc != 0) /* a libzmq without CURVE: nothing safe could follow */
        abort();
}

void bus_cert_wipe(struct bus_cert *cert)
{
    explicit_bzero(cert->secret_key, sizeof cert->secret_key);
}

bool bus_cert_lists(const char *list, const char *item)
{
    size_t len = strlen(item);
    const char *dot = strchr(item, '.');
    while (*list) {
        list += strspn(list, ", ");
        size_t size = strcspn(list, ", ");
        if (size == len && memcmp(list, item, len) == 0)
            return true;
        size_t service = dot ? (size_t)(dot - item) + 1 : 0;
        if (service && size == service + 1 && list[service] == '*' &&
            memcmp(list, item, service) == 0)
            return true;
        list += size;
    }
    return false;
}

bool bus_cert_same_rights(const struct bus_cert *a, const struct bus_cert *b)
{
    return a->role == b->role && strcmp(a->call, b->call) == 0 && strcmp(a->serve, b->serve) == 0;
}
