/* Answers in the forms that Google and OpenAI give. */
#ifndef MCPBUS_SANDBOX_ERRORS_H
#define MCPBUS_SANDBOX_ERRORS_H

#include "services/sandbox/sandbox.h"

/* What a call says and gets, whether it is a request or a part of a batch (inner.h). */
const char *call_query(struct call *call, const char *name); /* NULL: absent */
const char *call_body(struct call *call, size_t *ret_len);
void call_respond(struct call *call, int status, const char *type, const void *body, size_t len,
                  const struct http_header *headers);

/* Consumes `body`; a good answer to a Google call holds what ?fields asks for. */
void reply_json(struct call *call, int status, json_t *body);
/* The same with the fields given (NULL: all), and headers (may be NULL). */
void reply_fields(struct call *call, int status, json_t *body, const char *fields,
                  const struct http_header *headers);
void reply_text(struct call *call, int status, const char *type, const void *body, size_t len);

/* Google's {"error": {code, message, errors, status}}; `reason` is the errors' one. */
void google_error(struct call *call, int status, const char *reason, const char *message);
json_t *google_error_form(int status, const char *reason, const char *message); /* new */
/* The form of the newer APIs (Docs, Sheets), without the list of errors; `name` NULL: the status's
 * usual one. */
void google_rpc_error(struct call *call, int status, const char *name, const char *message);
void google_not_found(struct call *call, const char *what);
/* 401, 403 with the headers and details that Google's front ends add. */
void google_unauthenticated(struct call *call);
void google_scope_missing(struct call *call);

/* OAuth's {"error", "error_description"}. */
void oauth_error(struct call *call, int status, const char *error, const char *description);

/* OpenAI's {"error": {message, type, param, code}}; param and code may be NULL. 429 and 503 carry
 * Retry-After. */
void openai_error(struct call *call, int status, const char *type, const char *param,
                  const char *code, const char *message);

/* The body as a JSON object (the caller's), or NULL after a 400 in Google's form. An empty body is
 * an empty object. */
json_t *google_body(struct call *call);

/* ?maxResults or ?pageSize, kept within 1 and `max`. */
int call_limit(struct call *call, const char *name, int def, int max);
/* ?pageToken as an offset; false after a 400. */
bool call_offset(struct call *call, size_t *ret_offset);
/* The token of the page that starts at `offset`. */
json_t *page_token(size_t offset);

#endif
