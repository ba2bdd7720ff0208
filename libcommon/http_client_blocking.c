#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

#include "libcommon/http_client_transfer.h"
#include "libcommon/mem.h"

/* The handle that is kept between calls, with its open connections. Whoever uses it takes it away,
 * so two threads never share it. */
static struct {
    _Atomic(CURL *) easy;
    _Atomic pid_t owner;
} kept;

static CURL *take(void)
{
    CURL *easy = atomic_exchange(&kept.easy, NULL);
    /* After a fork the connections are the parent's; closing them would end its TLS sessions. */
    if (easy && atomic_load(&kept.owner) != getpid())
        easy = NULL;
    if (!easy)
        return curl_easy_init();
    curl_easy_reset(easy);
    return easy;
}

static void give_back(CURL *easy)
{
    CURL *none = NULL;
    /* The handle must not go on pointing at the caller's memory. */
    curl_easy_reset(easy);
    atomic_store(&kept.owner, getpid());
    if (!atomic_compare_exchange_strong(&kept.easy, &none, easy))
        curl_easy_cleanup(easy);
}

/* On failure only the numbers and the reason stay, so that nothing needs freeing. */
static void keep_reason(struct http_answer_owned *owned)
{
    struct http_answer failed;
    http_answer_failed(&failed, owned->answer.error);
    failed.status = owned->answer.status;
    failed.sent = owned->answer.sent;
    failed.retry_after_ms = owned->answer.retry_after_ms;
    http_answer_free(owned);
    owned->answer = failed;
}

enum err http_fetch(const struct http_client_options *options, const struct http_call *call,
                    struct http_answer_owned *ret_answer)
{
    http_transfer_global_init();
    struct http_transfer *transfer = mem_alloc(sizeof *transfer);
    struct http_answer_owned owned = {.memory = transfer};
    CURL *easy = take();
    enum err error = easy ? http_transfer_init(transfer, easy, options, call) : ERR_INTERNAL;
    if (error)
        http_answer_failed(&owned.answer, "this request can't be sent");
    else
        error = http_transfer_answer(transfer, curl_easy_perform(easy), &owned.answer);
    if (easy)
        give_back(easy);
    if (error)
        keep_reason(&owned);
    *ret_answer = owned;
    return error;
}

void http_answer_free(struct http_answer_owned *answer)
{
    if (answer->memory) {
        http_transfer_fini(answer->memory);
        free(answer->memory);
    }
    http_answer_failed(&answer->answer, "");
    answer->memory = NULL;
}
