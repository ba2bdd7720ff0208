/* Inside api: one exchange with Google, with all that may have to be repeated. */
#ifndef MCPBUS_GOOGLE_API_INTERNAL_H
#define MCPBUS_GOOGLE_API_INTERNAL_H

#include "services/google/api.h"
#include "services/google/fetch.h"

struct api {
    const struct google_config *config;
    struct loop *loop;
    struct fetcher *fetcher;
    struct access *access;
    struct api_caller caller;
    int64_t deadline_ms;
    bool no_batches; /* there is no endpoint for them */
};

struct exchange {
    const char *method, *url;
    const char *accept;        /* NULL: application/json */
    const char *content_type;  /* NULL: no body */
    const char *content_range; /* NULL: none */
    const char *if_match;      /* NULL: none */
    const void *body;
    size_t len;
    bool repeatable;
    size_t answer_max;  /* 0: of a JSON answer */
    int64_t timeout_ms; /* for one attempt; 0: of a JSON answer */
    /* Gets a 2xx answer's body; `restart` (false: can't) comes before it is sent again. */
    bool (*on_data)(void *arg, const char *data, size_t len);
    bool (*restart)(void *arg);
    void *arg;
};

/* ERR_OK: *ret_fetched has an answer of status 2xx (or 308), the caller's. */
MUST_CHECK enum err api_exchange(struct api *api, const struct exchange *exchange,
                                 struct fetched *ret_fetched, char *ret_why);
/* The same, and the answer is a JSON object. */
MUST_CHECK enum err api_exchange_json(struct api *api, const struct exchange *exchange,
                                      json_t **ret_json, char *ret_why);

/* Gets a new token. */
MUST_CHECK enum err api_renew(struct api *api, char *ret_why);

/* "https://gmail.googleapis.com" + path + "?" + query; free() it. */
char *api_url(const struct api *api, enum api_host host, const char *path, const char *query);
int64_t api_now_ms(void);
/* How long to wait before attempt `number` + 1 (from 0), when Google asked for `asked_ms` (−1: for
 * nothing); −1: there is none. */
int64_t api_next_wait(const struct api *api, int number, int64_t asked_ms);

#endif
