#include "services/sandbox/inner.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/errors.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static char *decode(const char *text, size_t len, bool form)
{
    char *out = mem_alloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && i + 2 < len && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
            out[n++] = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        } else {
            out[n++] = form && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

static void read_pair(struct inner *inner, const char *pair, size_t len)
{
    const char *equals = memchr(pair, '=', len);
    size_t name_len = equals ? (size_t)(equals - pair) : len;
    AUTOFREE char *name = decode(pair, name_len, true);
    AUTOFREE char *value = equals ? decode(equals + 1, len - name_len - 1, true) : mem_strdup("");
    if (*name && js_is_utf8(name, strlen(name)) && !json_object_get(inner->query, name))
        json_object_set_new(inner->query, name, js_string_capped(value, strlen(value), 65536, ""));
}

void inner_read_target(struct inner *inner, const char *target)
{
    size_t path_len = strcspn(target, "?");
    inner->path = decode(target, path_len, false);
    inner->query = json_object();
    const char *at = target[path_len] ? target + path_len + 1 : "";
    while (*at) {
        size_t len = strcspn(at, "&");
        read_pair(inner, at, len);
        at += len + (at[len] == '&');
    }
}

void inner_fini(struct inner *inner)
{
    free(inner->path);
    free(inner->type);
    json_decref(inner->query);
    buf_fini(&inner->answer);
}

/* Both kinds of call */

const char *call_query(struct call *call, const char *name)
{
    return call->inner ? js_str(call->inner->query, name, NULL)
                       : http_request_query(call->request, name);
}

const char *call_body(struct call *call, size_t *ret_len)
{
    if (!call->inner)
        return http_request_body(call->request, ret_len);
    *ret_len = call->inner->body_len;
    return call->inner->body;
}

void call_respond(struct call *call, int status, const char *type, const void *body, size_t len,
                  const struct http_header *headers)
{
    if (!call->inner) {
        http_respond(call->request, status, type, body, len, headers);
        return;
    }
    call->inner->status = status;
    free(call->inner->type);
    call->inner->type = mem_strdup_opt(type);
    buf_add(&call->inner->answer, body, len);
}
