#include "services/sandbox/errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/fields.h"

static void reply_with(struct call *call, int status, json_t *body,
                       const struct http_header *headers)
{
    AUTOFREE char *text = js_dump(body);
    call_respond(call, status, "application/json; charset=UTF-8", text, strlen(text), headers);
    json_decref(body);
}

void reply_json(struct call *call, int status, json_t *body)
{
    const char *fields = call->account ? call_query(call, "fields") : NULL;
    reply_fields(call, status, body, fields, NULL);
}

void reply_fields(struct call *call, int status, json_t *body, const char *fields,
                  const struct http_header *headers)
{
    json_t *picked = NULL;
    if (status >= 300 || !fields || !*fields) {
        reply_with(call, status, body, headers);
    } else if (fields_pick(body, fields, &picked)) {
        AUTOFREE char *message = mem_printf("Invalid field selection %.200s", fields);
        json_decref(body);
        google_error(call, 400, "invalidParameter", message);
    } else {
        json_decref(body);
        reply_with(call, status, picked, headers);
    }
}

void reply_text(struct call *call, int status, const char *type, const void *body, size_t len)
{
    call_respond(call, status, type, body, len, NULL);
}

static const char *rpc_status(int status)
{
    switch (status) {
    case 400:
        return "INVALID_ARGUMENT";
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 409:
        return "ALREADY_EXISTS";
    case 410:
    case 412:
        return "FAILED_PRECONDITION";
    case 429:
        return "RESOURCE_EXHAUSTED";
    default:
        return "INTERNAL";
    }
}

json_t *google_error_form(int status, const char *reason, const char *message)
{
    return json_pack("{s:{s:i, s:s, s:[{s:s, s:s, s:s}], s:s}}", "error", "code", status, "message",
                     message, "errors", "message", message, "domain", "global", "reason", reason,
                     "status", rpc_status(status));
}

void google_error(struct call *call, int status, const char *reason, const char *message)
{
    reply_json(call, status, google_error_form(status, reason, message));
}

void google_rpc_error(struct call *call, int status, const char *name, const char *message)
{
    reply_json(call, status,
               json_pack("{s:{s:i, s:s, s:s}}", "error", "code", status, "message", message,
                         "status", name ? name : rpc_status(status)));
}

void google_not_found(struct call *call, const char *what)
{
    AUTOFREE char *message = mem_printf("%s not found.", what);
    google_error(call, 404, "notFound", message);
}

void google_unauthenticated(struct call *call)
{
    static const struct http_header headers[] = {
        {"WWW-Authenticate",
         "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\""},
        {NULL, NULL}};
    reply_with(
        call, 401,
        google_error_form(401, "authError",
                          "Request had invalid authentication credentials. Expected OAuth 2 "
                          "access token, login cookie or other valid authentication credential."),
        headers);
}

void google_scope_missing(struct call *call)
{
    static const struct http_header headers[] = {
        {"WWW-Authenticate",
         "Bearer realm=\"https://accounts.google.com/\", error=\"insufficient_scope\""},
        {NULL, NULL}};
    json_t *body = google_error_form(403, "insufficientPermissions",
                                     "Request had insufficient authentication scopes.");
    json_object_set_new(json_object_get(body, "error"), "details",
                        json_pack("[{s:s, s:s, s:s}]", "@type",
                                  "type.googleapis.com/google.rpc.ErrorInfo", "reason",
                                  "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain", "googleapis.com"));
    reply_with(call, 403, body, headers);
}

void oauth_error(struct call *call, int status, const char *error, const char *description)
{
    static const struct http_header headers[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};
    reply_with(call, status,
               json_pack("{s:s, s:s}", "error", error, "error_description", description), headers);
}

void openai_error(struct call *call, int status, const char *type, const char *param,
                  const char *code, const char *message)
{
    static const struct http_header retry[] = {
        {"Retry-After", "1"}, {"retry-after-ms", "1000"}, {NULL, NULL}};
    json_t *body = json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type",
                             type, "param", param, "code", code);
    reply_with(call, status, body, status == 429 || status == 503 ? retry : NULL);
}

json_t *google_body(struct call *call)
{
    size_t len;
    const char *text = call_body(call, &len);
    json_t *body = NULL;
    if (len == 0)
        return json_object();
    if (js_parse(text, len, &body, NULL) == ERR_OK && json_is_object(body))
        return body;
    json_decref(body);
    google_error(call, 400, "parseError", "Invalid JSON payload received.");
    return NULL;
}

int call_limit(struct call *call, const char *name, int def, int max)
{
    const char *text = call_query(call, name);
    long value = text ? strtol(text, NULL, 10) : def;
    if (value < 1)
        return def;
    return value > max ? max : (int)value;
}

bool call_offset(struct call *call, size_t *ret_offset)
{
    const char *token = call_query(call, "pageToken");
    char *end = NULL;
    unsigned long value = 0;
    if (token && *token) {
        value = token[0] == 'p' ? strtoul(token + 1, &end, 10) : 0;
        if (!end || *end || value > 1000000) {
            google_error(call, 400, "invalid", "Invalid pageToken.");
            return false;
        }
    }
    *ret_offset = value;
    return true;
}

json_t *page_token(size_t offset)
{
    char token[32];
    snprintf(token, sizeof(token), "p%zu", offset);
    return json_string(token);
}
