#include "libcommon/http_client_transfer.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "libcommon/http_client_url.h"
#include "libcommon/mem.h"

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    HEADERS_MAX = 256 * 1024,
    VALUE_MAX = 8192,
    ANSWER_DEFAULT = 1024 * 1024,
    URL_MAX = 64 * 1024,
    UPLOAD_BUFFER = 16 * 1024, /* kept for as long as a call waits */
    /* Servers close idle connections, often after 5 s. What may be sent only once rather takes a
     * new connection than one that is being closed just now. */
    ONCE_IDLE_S = 3,
};
static const int64_t RETRY_AFTER_MAX_MS = 24LL * 3600 * 1000;

static const char *const captured_names[HTTP_CAPTURED_COUNT] = {
    [HTTP_CAPTURED_CONTENT_TYPE] = "content-type",
    [HTTP_CAPTURED_RETRY_AFTER] = "retry-after",
    [HTTP_CAPTURED_RETRY_AFTER_MS] = "retry-after-ms",
    [HTTP_CAPTURED_SHOULD_RETRY] = "x-should-retry",
    [HTTP_CAPTURED_WWW_AUTHENTICATE] = "www-authenticate",
    [HTTP_CAPTURED_SESSION_ID] = "mcp-session-id",
    [HTTP_CAPTURED_LOCATION] = "location",
    [HTTP_CAPTURED_RANGE] = "range",
    [HTTP_CAPTURED_DPOP_NONCE] = "dpop-nonce",
};

static void global_init(void)
{
    struct sigaction old;
    curl_global_init(CURL_GLOBAL_ALL);
    /* OpenSSL writes to its socket without MSG_NOSIGNAL: a peer that hangs up must not kill us. */
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

void http_transfer_global_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
}

/* Header lines */

static void forget_captured(struct http_transfer *transfer)
{
    for (int i = 0; i < HTTP_CAPTURED_COUNT; i++) {
        free(transfer->captured[i]);
        transfer->captured[i] = NULL;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void keep_value(struct http_transfer *transfer, int which, const char *value, size_t len)
{
    char **kept = &transfer->captured[which];
    if (!*kept) {
        *kept = mem_strndup(value, len);
    } else if (which == HTTP_CAPTURED_WWW_AUTHENTICATE && strlen(*kept) + len < VALUE_MAX) {
        char *first = *kept;
        *kept = mem_printf("%s, %.*s", first, (int)len, value);
        free(first);
    }
}

static void capture(struct http_transfer *transfer, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon)
        return;
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    size_t value_len = len - name_len - 1;
    while (value_len && is_space(*value))
        value++, value_len--;
    while (value_len && is_space(value[value_len - 1]))
        value_len--;
    if (value_len > VALUE_MAX || memchr(value, '\0', value_len))
        return;
    for (int i = 0; i < HTTP_CAPTURED_COUNT; i++) {
        if (strlen(captured_names[i]) == name_len &&
            strncasecmp(captured_names[i], line, name_len) == 0)
            keep_value(transfer, i, value, value_len);
    }
}

static long status_of(const struct http_transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static void fill_head(const struct http_transfer *transfer, struct http_answer *answer);

/* The line that ends a head. One of 1xx announces another. */
static bool head_ends(struct http_transfer *transfer)
{
    long status = status_of(transfer);
    if (status < 200)
        return true;
    transfer->head_done = true;
    if (!transfer->on_head) {
        transfer->stream = transfer->on_data && status < 300;
        return true;
    }
    struct http_answer head;
    http_answer_failed(&head, "");
    fill_head(transfer, &head);
    enum http_body body = transfer->on_head(transfer->arg, &head);
    transfer->stream = body == HTTP_BODY_STREAM;
    transfer->cancelled |= body == HTTP_BODY_REFUSE;
    return !transfer->cancelled;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    size_t len = size * count;
    transfer->header_bytes += len;
    if (transfer->header_bytes > HEADERS_MAX) {
        transfer->too_large = true;
        return 0;
    }
    if (transfer->cancelled)
        return 0;
    if (transfer->head_done) /* trailers */
        return len;
    /* A status line begins another head (after a 1xx). */
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
        forget_captured(transfer);
    else if (line[0] == '\r' || line[0] == '\n')
        return head_ends(transfer) ? len : 0;
    else
        capture(transfer, line, len);
    return len;
}

/* Body */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_transfer *transfer = arg;
    size_t len = size * count;
    if (transfer->cancelled)
        return 0;
    if (len > transfer->answer_max - transfer->received) {
        transfer->too_large = true;
        return 0;
    }
    transfer->received += len;
    if (transfer->stream)
        transfer->cancelled |= !transfer->on_data(transfer->arg, data, len);
    else
        buf_add(&transfer->body, data, len);
    return transfer->cancelled ? 0 : len;
}

/* curl calls this whenever it is about to send the request, and it sends it again by itself when a
 * kept connection was closed before any answer: by then the peer may have acted on it. */
static int on_before_send(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    (void)local, (void)peer_port, (void)local_port;
    struct http_transfer *transfer = arg;
    /* A kept connection was opened for another call, by another rule. */
    transfer->refused |= transfer->public_only && http_host_is_internal(peer);
    if (transfer->refused || (transfer->once && transfer->sent))
        return CURL_PREREQFUNC_ABORT;
    transfer->sent = true;
    return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_transfer *transfer = arg;
    (void)purpose;
    if (transfer->public_only && http_address_is_internal(&address->addr)) {
        transfer->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Setting up */

/* No space or control byte: nothing in a URL or header may begin another line. */
static bool is_clean(const char *text, bool spaces)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == 0x7f || (c < 0x20 && c != '\t') || (!spaces && (c == ' ' || c == '\t')))
            return false;
    }
    return true;
}

static bool is_method(const char *method)
{
    size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return len > 0 && len <= 16 && !method[len];
}

bool http_proxy_is_valid(const char *proxy)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool good = false;
    bool read = strlen(proxy) <= URL_MAX && is_clean(proxy, false) &&
                curl_url_set(parts, CURLUPART_URL, proxy,
                             CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK;
    for (size_t i = 0; read && i < sizeof schemes / sizeof *schemes; i++)
        good |= strcmp(scheme, schemes[i]) == 0;
    curl_free(scheme);
    curl_url_cleanup(parts);
    return good;
}

/* `ret_proxy`: "" for none. An empty text, unlike NULL, keeps curl from asking the environment. */
static bool read_place(struct http_transfer *transfer, const char *url,
                       const struct http_client_options *options, bool *ret_https,
                       const char **ret_proxy)
{
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    bool ok = strlen(url) <= URL_MAX && is_clean(url, false) &&
              curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (ok) {
        *ret_https = strcmp(scheme, "https") == 0;
        transfer->place = mem_printf("%.80s:%s", host, port);
        bool proxied = *ret_https && options && options->proxy &&
                       !http_bypasses_proxy(host, options->no_proxy);
        *ret_proxy = proxied ? options->proxy : "";
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return ok;
}

/* curl takes "Name:" as a header to be left out; "Name;" is how it sends an empty one. */
static void add_header(struct http_transfer *transfer, const char *line, const char *colon)
{
    if (colon[1 + strspn(colon + 1, " \t")]) {
        transfer->headers = curl_slist_append(transfer->headers, line);
        return;
    }
    AUTOFREE char *empty = mem_printf("%.*s;", (int)(colon - line), line);
    transfer->headers = curl_slist_append(transfer->headers, empty);
}

static enum err set_headers(struct http_transfer *transfer, const char *const *lines)
{
    bool agent = false;
    for (; lines && *lines; lines++) {
        const char *colon = strchr(*lines, ':');
        if (!colon || colon == *lines || !is_clean(*lines, true))
            return ERR_INVALID;
        agent |= strncasecmp(*lines, "user-agent:", 11) == 0;
        add_header(transfer, *lines, colon);
    }
    /* Waiting for "100 Continue" costs a second with servers that never send it. */
    transfer->headers = curl_slist_append(transfer->headers, "Expect:");
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    if (!agent)
        curl_easy_setopt(transfer->easy, CURLOPT_USERAGENT, "mcpbus/" MCPBUS_VERSION);
    return ERR_OK;
}

static void set_method(CURL *easy, const struct http_call *call)
{
    bool post = strcmp(call->method, "POST") == 0;
    if (call->body || post) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(call->body ? call->body_len : 0));
        curl_easy_setopt(easy, call->body_kept ? CURLOPT_POSTFIELDS : CURLOPT_COPYPOSTFIELDS,
                         call->body ? call->body : "");
    }
    if (strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (!post)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_network(CURL *easy, const struct http_client_options *options, const char *proxy,
                        bool https)
{
    curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* nor for exceptions: read_place knows them */
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (options && options->ca_bundle)
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_bundle);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A call that ends while its host's name is looked up: without this curl waits for that thread,
     * and our loop with it, for as long as somebody's name server likes. It ends by itself. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    /* Rather wait for a connection that can be shared than open one for each call of a burst. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, https ? 1L : 0L);
}

static void set_callbacks(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_send);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    if (transfer->once)
        curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)ONCE_IDLE_S);
    if (transfer->public_only) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    }
}

static bool is_idempotent(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(method, methods[i]) == 0)
            return true;
    return false;
}

enum err http_transfer_init(struct http_transfer *transfer, CURL *easy,
                            const struct http_client_options *options, const struct http_call *call)
{
    *transfer = (struct http_transfer){.easy = easy,
                                       .on_head = call->on_head,
                                       .on_data = call->on_data,
                                       .arg = call->arg,
                                       .once = !call->repeatable && !is_idempotent(call->method)};
    transfer->answer_max = call->answer_max ? call->answer_max : ANSWER_DEFAULT;
    buf_init(&transfer->body, transfer->answer_max);
    bool https = false;
    const char *proxy = "";
    if (!is_method(call->method) || !read_place(transfer, call->url, options, &https, &proxy))
        return ERR_INVALID;
    transfer->public_only = call->public_only && !*proxy;
    int64_t timeout = call->timeout_ms > 0 ? call->timeout_ms : 1;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(timeout < CONNECT_TIMEOUT_MS ? timeout : CONNECT_TIMEOUT_MS));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    set_network(easy, options, proxy, https);
    set_callbacks(transfer);
    set_method(easy, call);
    if (curl_easy_setopt(easy, CURLOPT_URL, call->url) != CURLE_OK)
        return ERR_INVALID;
    return set_headers(transfer, call->headers);
}

void http_transfer_fini(struct http_transfer *transfer)
{
    curl_slist_free_all(transfer->headers);
    forget_captured(transfer);
    free(transfer->place);
    buf_fini(&transfer->body);
    *transfer = (struct http_transfer){0};
}

/* The outcome */

static int64_t clamp_wait(double ms)
{
    return ms <= 0 ? 0 : ms > (double)RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : (int64_t)ms;
}

static bool is_number(const char *text)
{
    size_t len = text ? strspn(text, "0123456789.") : 0;
    return len > 0 && len < 20 && !text[len];
}

static int64_t retry_after(const struct http_transfer *transfer)
{
    const char *ms = transfer->captured[HTTP_CAPTURED_RETRY_AFTER_MS];
    const char *seconds = transfer->captured[HTTP_CAPTURED_RETRY_AFTER];
    if (is_number(ms))
        return clamp_wait(strtod(ms, NULL));
    if (is_number(seconds))
        return clamp_wait(strtod(seconds, NULL) * 1000);
    time_t when = seconds ? curl_getdate(seconds, NULL) : -1;
    return when == -1 ? -1 : clamp_wait(((double)when - (double)time(NULL)) * 1000);
}

static enum err error_of(const struct http_transfer *transfer, CURLcode code)
{
    if (transfer->cancelled)
        return ERR_CANCELLED;
    if (transfer->too_large)
        return ERR_TOO_LARGE;
    if (transfer->refused && code != CURLE_OK)
        return ERR_INVALID;
    switch (code) {
    case CURLE_OK:
        return ERR_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or what answered speaks another one */
        return transfer->sent ? ERR_PEER_LOST : ERR_INVALID;
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED:
        return ERR_INVALID;
    default:
        return ERR_PEER_LOST;
    }
}

/* curl's own error buffer may quote the URL, so the text is put together here. */
static void describe(const struct http_transfer *transfer, CURLcode code, enum err error,
                     struct http_answer *answer)
{
    const char *place = transfer->place ? transfer->place : "";
    long number = 0;
    char system[64] = "";
    if (error == ERR_PEER_LOST)
        curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    if (number > 0)
        snprintf(system, sizeof system, ": %s", strerrordesc_np((int)number));
    const char *what = error == ERR_TOO_LARGE   ? "the answer is too large"
                       : error == ERR_CANCELLED ? "cancelled"
                       : transfer->refused      ? "the address is not a public one"
                       : code == CURLE_ABORTED_BY_CALLBACK
                           ? "the kept connection was closed before an answer came"
                           : curl_easy_strerror(code);
    snprintf(answer->error, sizeof answer->error, "%s%s (%s)", what, system, place);
}

static const char *captured_text(const struct http_transfer *transfer, enum http_captured which)
{
    return transfer->captured[which] ? transfer->captured[which] : "";
}

static void fill_head(const struct http_transfer *transfer, struct http_answer *answer)
{
    answer->status = (int)status_of(transfer);
    answer->retry_after_ms = retry_after(transfer);
    answer->content_type = captured_text(transfer, HTTP_CAPTURED_CONTENT_TYPE);
    answer->should_retry = captured_text(transfer, HTTP_CAPTURED_SHOULD_RETRY);
    answer->www_authenticate = captured_text(transfer, HTTP_CAPTURED_WWW_AUTHENTICATE);
    answer->session_id = captured_text(transfer, HTTP_CAPTURED_SESSION_ID);
    answer->location = captured_text(transfer, HTTP_CAPTURED_LOCATION);
    answer->range = captured_text(transfer, HTTP_CAPTURED_RANGE);
    answer->dpop_nonce = captured_text(transfer, HTTP_CAPTURED_DPOP_NONCE);
}

void http_answer_failed(struct http_answer *ret_answer, const char *why)
{
    *ret_answer = (struct http_answer){
        .body = "",
        .content_type = "",
        .retry_after_ms = -1,
        .should_retry = "",
        .www_authenticate = "",
        .session_id = "",
        .location = "",
        .range = "",
        .dpop_nonce = "",
    };
    snprintf(ret_answer->error, sizeof ret_answer->error, "%s", why);
}

enum err http_transfer_answer(const struct http_transfer *transfer, CURLcode code,
                              struct http_answer *ret_answer)
{
    enum err error = error_of(transfer, code);
    http_answer_failed(ret_answer, "");
    ret_answer->sent = transfer->sent;
    if (error)
        describe(transfer, code, error, ret_answer);
    if (error && error != ERR_TOO_LARGE && error != ERR_CANCELLED)
        return error;
    fill_head(transfer, ret_answer);
    ret_answer->body = buf_text(&transfer->body);
    ret_answer->len = transfer->body.len;
    return error;
}
