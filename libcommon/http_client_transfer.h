/* Inside the HTTP client: one transfer on a curl easy handle, shared by the loop and the blocking
 * form. Not for others. */
#ifndef MCPBUS_HTTP_CLIENT_TRANSFER_H
#define MCPBUS_HTTP_CLIENT_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "libcommon/buf.h"
#include "libcommon/err.h"
#include "libcommon/http_client.h"

enum http_captured {
    HTTP_CAPTURED_CONTENT_TYPE,
    HTTP_CAPTURED_RETRY_AFTER,
    HTTP_CAPTURED_RETRY_AFTER_MS,
    HTTP_CAPTURED_SHOULD_RETRY,
    HTTP_CAPTURED_WWW_AUTHENTICATE,
    HTTP_CAPTURED_SESSION_ID,
    HTTP_CAPTURED_LOCATION,
    HTTP_CAPTURED_RANGE,
    HTTP_CAPTURED_DPOP_NONCE,
    HTTP_CAPTURED_COUNT
};

struct http_transfer {
    CURL *easy; /* borrowed */
    struct curl_slist *headers;
    struct buf body;
    size_t answer_max, received, header_bytes;
    enum http_body (*on_head)(void *arg, const struct http_answer *head);
    bool (*on_data)(void *arg, const char *data, size_t len);
    void *arg;
    char *captured[HTTP_CAPTURED_COUNT];
    char *place; /* "host:port" for error texts */
    bool too_large, cancelled;
    bool head_done, stream;    /* the answer's head is complete; its body goes to on_data */
    bool once, sent;           /* may be sent once only; has been */
    bool public_only, refused; /* see http_call; the address was an internal one */
};

/* Once in a process, before any other curl call. */
void http_transfer_global_init(void);

/* Sets up `easy` (fresh or reset) for the call; everything is copied. ERR_INVALID: the URL, method
 * or a header can't be sent. The transfer must then not move in memory until fini. */
MUST_CHECK enum err http_transfer_init(struct http_transfer *transfer, CURL *easy,
                                       const struct http_client_options *options,
                                       const struct http_call *call);
void http_transfer_fini(struct http_transfer *transfer);

/* What the ended transfer comes to. The answer's texts are borrowed from the transfer. */
enum err http_transfer_answer(const struct http_transfer *transfer, CURLcode code,
                              struct http_answer *ret_answer);
/* An answer that says only why there is none. */
void http_answer_failed(struct http_answer *ret_answer, const char *why);

#endif
