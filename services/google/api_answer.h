/* Inside api: what an HTTP answer of Google's APIs means. Pure. */
#ifndef MCPBUS_GOOGLE_API_ANSWER_H
#define MCPBUS_GOOGLE_API_ANSWER_H

#include <stdbool.h>

#include "libcommon/http_client.h"
#include "services/google/api.h"

struct api_verdict {
    enum err error;
    bool passing;  /* the same request may work in a moment */
    bool not_done; /* Google has refused it: it has had no effect */
    bool unknown;  /* it may have had its effect all the same */
};

/* The verdict on an answer, whatever its status; `ret_why` has the words when it isn't ERR_OK. */
struct api_verdict api_judge(const struct http_answer *answer, char ret_why[API_WHY_SIZE]);
/* On none: what http_client says. */
struct api_verdict api_no_answer(enum err err, const char *reason, char ret_why[API_WHY_SIZE]);

/* The body of a good answer: *ret_json is an object, {} for an empty answer. */
MUST_CHECK enum err api_read_json(const struct http_answer *answer, json_t **ret_json,
                                  char ret_why[API_WHY_SIZE]);

#endif
