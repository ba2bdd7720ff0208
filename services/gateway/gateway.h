/* The gateway: HTTP routes onto bus methods. One loop, one thread. */
#ifndef MCPBUS_GATEWAY_GATEWAY_H
#define MCPBUS_GATEWAY_GATEWAY_H

#include <jansson.h>

#include "libcommon/buf.h"
#include "libcommon/bus.h"
#include "libcommon/http_server.h"
#include "libcommon/js.h"
#include "libcommon/loop.h"
#include "libcommon/service.h"
#include "libcommon/span.h"
#include "services/client_address.h"
#include "services/gateway/cors.h"
#include "services/gateway/identity.h"
#include "services/gateway/lookup.h"
#include "services/gateway/rate_limit.h"
#include "services/gateway/revocations.h"
#include "services/gateway/routes.h"
#include "services/settings.h"

enum {
    BODY_MAX = 1 << 20,
    CONVERSATION_MAX = 128, /* characters */
    MESSAGE_MAX = 256 * 1024,
    ID_MAX = 256,
    WAIT_MAX_S = 60,
    SUBMIT_TIMEOUT_MS = 15 * 1000, /* outlasts a restart of PostgreSQL */
    CALL_TIMEOUT_MS = 10 * 1000,
    SIGN_IN_TIMEOUT_MS = 30 * 1000, /* asks Google twice */
    CHECK_TIMEOUT_MS = 10 * 1000,   /* outlasts a restart of auth */
};

struct submit;
struct watches;
struct events;
struct partials;
struct health;
struct http_metrics;

struct gateway {
    struct loop *loop;
    struct bus *bus;
    const struct settings *settings;
    struct http_server *http;
    struct cors *cors;
    struct proxies *proxies;
    struct rate_limit *rate_limit, *stranger_limit;
    struct identities *identities;
    struct revocations *revocations;
    struct submit *submit;
    struct lookups *lookups;
    struct watches *watches;
    struct events *events;
    struct partials *partials;
    struct health *health;
    struct http_metrics *metrics;
    int64_t stranger_said; /* loop_now; when a refusal may be logged again */
    bool draining;
};

/* A request on its way through the gateway; lives exactly as long as its HTTP request. */
typedef void call_answer_fn(struct call *call, const struct bus_answer *answer);
struct call {
    struct gateway *gateway;
    const struct route *route;
    uint64_t request; /* the HTTP request's id */
    double started_ms;
    struct span span;  /* of the HTTP request */
    bool is_own_trace; /* its request id says what trace it is: nothing else need be told */
    char param[HTTP_PARAM_MAX + 1];

    struct identity *identity; /* of a route that needs a token */
    const char *user_id;       /* the identity's */
    int64_t issued_at;

    uint64_t bus_call; /* under way, or 0 */
    call_answer_fn *on_answer;
    void *extra; /* of the handler's */
    void (*free_extra)(void *extra);
};

/* gateway.c */
enum err gateway_start(struct service *service);
void gateway_drain(struct service *service);
bool gateway_drained(struct service *service);
void gateway_stop(struct service *service);
void gateway_jobs_changed(void *service, struct bus_call *call, json_t *args);
void gateway_partial(void *service, struct bus_call *call, json_t *args); /* partial.c */
void gateway_gauges(void *gateway); /* info_routes.c: for metrics_on_write */
void gateway_revoked(void *service, struct bus_call *call, json_t *args);

/* call.c: requests and their answers. Answering one that is gone or answered does nothing. */
struct call *call_new(struct gateway *gateway, struct http_request *request);
void call_free(void *call);
struct http_request *call_request(const struct call *call); /* NULL: gone or answered */
/* Asks the bus; `args` is consumed. One at a time for each call. */
void call_bus(struct call *call, const char *method, json_t *args, int64_t timeout_ms,
              call_answer_fn *on_answer);
void call_json(struct call *call, int status, json_t *body);                 /* consumes `body` */
void call_text(struct call *call, int status, const char *text, size_t len); /* ready JSON */
void call_buf(struct call *call, int status, struct buf *json);              /* the same, emptied */
void call_detail(struct call *call, int status, const char *detail);
void call_unauthenticated(struct call *call, const char *detail);
/* Too many requests or no service: with Retry-After. */
void call_busy(struct call *call, int status, const char *detail, int64_t retry_after_ms);
/* The HTTP form of a bus error. */
void call_error(struct call *call, enum err error, const char *detail, int64_t retry_after_ms);
/* Answers with the error and returns true when the bus's answer is one. */
bool call_failed(struct call *call, const struct bus_answer *answer);

/* validate.c: bodies and parameters; on failure the call has been answered with a 422. */
json_t *validate_body(struct call *call); /* an object, the caller's; or NULL */
/* The one string that a body has to have: NULL when it was answered. `*ret_body` may hold the text:
 * release it when the text is no longer needed. */
const char *validate_member(struct call *call, const char *name, size_t max, json_t **ret_body,
                            size_t *ret_len);
/* Optional members: false when it was answered. Absent or null: NULL, 0. Lengths are in characters.
 */
bool validate_text(struct call *call, const json_t *body, const char *name, size_t max,
                   bool printable, const char **ret_text); /* borrowed */
bool validate_texts(struct call *call, const json_t *body, const char *name, size_t min,
                    size_t count_max, size_t max, json_t **ret_list); /* borrowed */
bool validate_int(struct call *call, const json_t *body, const char *name, int64_t min, int64_t max,
                  int64_t *ret_value); /* `min` is above 0 */
bool validate_above_0(struct call *call, const json_t *body, const char *name, double *ret_value);
bool validate_query_int(struct call *call, const char *name, int64_t min, int64_t max, int64_t def,
                        int64_t *ret_value);
bool validate_query_bool(struct call *call, const char *name, bool *ret_value); /* absent: false */
bool validate_query_seconds(struct call *call, const char *name, int64_t max_s, int64_t *ret_ms);
void validation_error(struct call *call, const char *type, json_t *loc, const char *msg,
                      const json_t *input, json_t *ctx);

/* strangers.c: those without a good token, by their address. */
bool strangers_pass(struct call *call); /* false: answered with a 429 */
/* "https://HOST" as a client behind a trusted proxy sees us; NULL: unknown; free() it. */
char *client_origin(const struct call *call);
/* The same arguments with what the audit log wants to know: `client` and `request_id`. */
json_t *client_add(const struct call *call, json_t *args);

/* tokens.c */
bool tokens_authenticate(struct call *call);  /* false: answered with a 401 */
void tokens_check_revoked(struct call *call); /* then calls the handler */
bool tokens_is_dead(const struct call *call); /* by the list as known now */

/* submit.c: packs submits. */
struct submit *submit_new(struct gateway *gateway);
void submit_destroy(struct submit **submit_p);

/* watch.c: who wants to hear of a job's changes. */
struct watch;
typedef void watch_fn(void *arg);
struct watches *watches_new(void);
void watches_destroy(struct watches **watches_p);
struct watch *watch_new(struct watches *watches, const char *job_id, watch_fn *changed, void *arg);
void watch_free(struct watch **watch_p);
void watches_notify(struct watches *watches, const char *job_id);
void watches_notify_all(struct watches *watches);

/* events.c */
struct events *events_new(struct gateway *gateway);
void events_destroy(struct events **events_p);
void events_end_all(struct events *events);
void events_end_revoked(struct events *events);
size_t events_count(const struct events *events);

/* partial.c: the model's text as it comes, for the streams that asked for it. */
struct partials *partials_new(struct gateway *gateway);
void partials_destroy(struct partials **partials_p);
/* Writes an event; what can't be written now is lost: say so with partial_lose. May end the stream
 * and free the partial. */
struct partial;
typedef void partial_write_fn(void *arg, const char *text, size_t len);
struct partial *partial_new(struct partials *partials, const char *job_id, const char *user_id,
                            partial_write_fn *write, void *arg); /* names are borrowed */
void partial_free(struct partial **partial_p);
void partial_lose(struct partial *partial);
/* The stream has written this event. May be NULL. */
void partial_event(struct partial *partial, const char *type, const json_t *data);
/* The stream is open and has told all that there is: to be called each second. May be NULL. */
void partial_refresh(struct partial *partial);

/* wait.c */
void wait_for_end(struct call *call, int64_t wait_ms);
json_t *job_body(const json_t *job); /* the REST form of a job */

/* health.c */
struct health *health_new(struct gateway *gateway);
void health_destroy(struct health **health_p);

/* http_metrics.c */
struct http_metrics *http_metrics_new(void);
void http_metrics_destroy(struct http_metrics **metrics_p);
void http_metrics_count(struct http_metrics *metrics, const struct call *call, int status);
double clock_ms(void);

/* call_trace.c: which trace a request belongs to, and what is told of it. */
void call_trace_begin(struct call *call, const struct http_request *request);
/* Once, when it is answered. */
void call_trace_end(const struct call *call, const struct http_request *request, int status);

/* callback_page.c: free() the page. `nonce` goes into its Content-Security-Policy. `chat`: a
 * sign-in that the chat page has begun goes back there. */
char *callback_page(const json_t *login, const char *nonce, bool chat);
char *callback_error_page(const char *detail, const char *nonce, bool chat);

/* pages.c: CHAT_PAGE. */
bool chat_page_on(const struct gateway *gateway);

/* Handlers. */
route_fn route_root, route_health, route_metrics, route_chat, route_page, route_app, route_scopes,
    route_begin, route_callback, route_auth_status, route_login, route_logout, route_me,
    route_forget, route_run, route_result, route_jobs, route_events, route_cancel, route_approve,
    route_deny;

#endif
