#include "services/sandbox/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/errors.h"

enum { NOTES_MAX = 500, ORDERS_MAX = 32, TEXT_SIZE = 200 };

struct order {
    char match[TEXT_SIZE]; /* part of the path */
    char method[16];       /* "" any */
    char reason[TEXT_SIZE], message[TEXT_SIZE];
    int status;
    int64_t times, retry_after; /* retry_after −1: the header is not sent */
    bool raw;                   /* no JSON in the answer */
    bool hold;                  /* no answer at all */
};

struct lab {
    json_t *notes; /* of the last requests: "GET /path" */
    struct order orders[ORDERS_MAX];
    unsigned next;
};

struct lab *lab_new(void)
{
    struct lab *lab = mem_alloc(sizeof *lab);
    lab->notes = json_array();
    return lab;
}

void lab_destroy(struct lab **lab_p)
{
    if (!*lab_p)
        return;
    json_decref((*lab_p)->notes);
    free(*lab_p);
    *lab_p = NULL;
}

void lab_note(struct lab *lab, const char *method, const char *path)
{
    AUTOFREE char *text = mem_printf("%s %s", method, path);
    json_array_append_new(lab->notes, js_string_capped(text, strlen(text), 500, "…"));
    if (json_array_size(lab->notes) > NOTES_MAX)
        json_array_remove(lab->notes, 0);
}

static struct order *find_order(struct lab *lab, const struct call *call)
{
    for (unsigned i = 0; i < ORDERS_MAX; i++) {
        struct order *order = &lab->orders[i];
        if (order->times > 0 && strstr(call->path, order->match) &&
            (!*order->method || strcmp(order->method, call->method) == 0))
            return order;
    }
    return NULL;
}

bool lab_fail(struct lab *lab, struct call *call)
{
    char seconds[24];
    struct order *order = find_order(lab, call);
    if (!order)
        return false;
    order->times--;
    if (order->hold && !call->inner)
        return true;
    snprintf(seconds, sizeof seconds, "%lld", (long long)order->retry_after);
    const struct http_header headers[] = {{order->retry_after >= 0 ? "Retry-After" : NULL, seconds},
                                          {NULL, NULL}};
    if (order->raw) {
        call_respond(call, order->status, "text/html", order->message, strlen(order->message),
                     headers);
    } else {
        AUTOJSON json_t *body = google_error_form(order->status, order->reason, order->message);
        AUTOFREE char *text = js_dump(body);
        call_respond(call, order->status, "application/json; charset=UTF-8", text, strlen(text),
                     headers);
    }
    return true;
}

/* The pages of it */

void lab_requests(struct call *call)
{
    json_t *notes = call->sandbox->lab->notes;
    AUTOJSON json_t *answer = json_pack("{s:O}", "requests", notes);
    AUTOFREE char *text = js_dump(answer);
    call_respond(call, 200, "application/json", text, strlen(text), NULL);
}

void lab_forget(struct call *call)
{
    json_array_clear(call->sandbox->lab->notes);
    memset(call->sandbox->lab->orders, 0, sizeof call->sandbox->lab->orders);
    call_respond(call, 204, NULL, "", 0, NULL);
}

void lab_order(struct call *call)
{
    AUTOJSON json_t *body = google_body(call);
    struct lab *lab = call->sandbox->lab;
    struct order *order = &lab->orders[lab->next];
    int64_t status = js_int(body, "status", 500);
    if (!body)
        return;
    bool hold = js_bool(body, "hold", false);
    if (!hold && (status < 400 || status > 599)) {
        google_error(call, 400, "invalidArgument", "status must be 400 to 599");
        return;
    }
    lab->next = (lab->next + 1) % ORDERS_MAX;
    *order = (struct order){.status = (int)status,
                            .times = js_int(body, "times", 1),
                            .retry_after = js_int(body, "retry_after", -1),
                            .raw = js_bool(body, "raw", false),
                            .hold = hold};
    snprintf(order->match, TEXT_SIZE, "%s", js_str(body, "match", ""));
    snprintf(order->method, sizeof order->method, "%s", js_str(body, "method", ""));
    snprintf(order->reason, TEXT_SIZE, "%s", js_str(body, "reason", "backendError"));
    snprintf(order->message, TEXT_SIZE, "%s", js_str(body, "message", "Ordered failure."));
    call_respond(call, 204, NULL, "", 0, NULL);
}
