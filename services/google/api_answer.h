/* Inside api: what an HTTP answer of Google's APIs means. Pure. */
#ifndef MCPBUS_GOOGLE_API_ANSWER_H
#define MCPBUS_GOOGLE_API_ANSWER_H

#include <stdbool.h>

#include "libcommon/http_client.h"
#include "services/google/api.h"

struct api_verdict {
    enum err error;
    bool passing; /* the same request may work in a moment */
};

/* ERR_OK fills *ret_json (an object, {} for an empty answer); else `ret_why` has the words. */
struct api_verdict api_read_answer(const struct http_answer *answer, json_t **ret_json,
                                   char ret_why[API_WHY_SIZE]);

#endif
