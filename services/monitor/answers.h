/* Answers of the bus, shared: whoever asks the same while it is being asked, or within a moment
 * after, gets the same answer, so that many viewers cost the queue no more than one. Bounded. It
 * does no I/O itself: how to ask is given to it. Loop's thread only. */
#ifndef MCPBUS_MONITOR_ANSWERS_H
#define MCPBUS_MONITOR_ANSWERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/bus.h"
#include "libcommon/err.h"

enum { ANSWERS_MAX = 256, TOLD_DETAIL_SIZE = 320 };

/* What came of a question. */
struct told {
    enum err error;
    json_t *result; /* NULL on an error */
    char detail[TOLD_DETAIL_SIZE];
    int64_t retry_after_ms;
    int64_t at; /* when it came */
};

void told_copy(struct told *to, const struct told *from); /* `to` is then the caller's to fini */
void told_fini(struct told *told);

struct question {
    const char *method;
    json_t *args; /* consumed */
    int64_t timeout_ms;
    int64_t fresh_ms;    /* an answer is good for so long */
    int64_t patience_ms; /* who has waited for so long may be shown the last answer */
    int64_t keep_ms;     /* when that is not older than this */
};

/* One who waits; embedded in its owner, zeroed before its first use. */
typedef void asked_fn(void *arg, const struct told *told); /* borrowed */
struct asked {
    struct answers_entry *entry; /* NULL: waits for nothing */
    struct asked *next;
    asked_fn *fn;
    void *arg;
};

struct answers;
struct answers_options {
    int64_t (*now)(void *arg);
    /* As bus_call and bus_cancel: `done` comes later, never from within. */
    uint64_t (*ask)(void *arg, const char *method, json_t *args, int64_t timeout_ms,
                    bus_answer_fn *done, void *done_arg);
    void (*give_up)(void *arg, uint64_t id);
    void *arg;
};

struct answers *answers_new(const struct answers_options *options);
/* Who still waits is not told. */
void answers_destroy(struct answers **answers_p);

/* True: `ret_told` (the caller's) has an answer that is still fresh, the last one when others wait
 * in vain already, or that there are too many questions. False: `asked` waits, its `fn` is called
 * once, later. */
bool answers_ask(struct answers *answers, struct asked *asked, struct question question,
                 struct told *ret_told);
/* The last answer to what `asked` waits for, if it may be shown; it then waits no more. */
bool answers_settle(struct answers *answers, struct asked *asked, struct told *ret_told);
/* Waits no more. What nobody waits for is still taken in. */
void answers_drop(struct asked *asked);
/* Something was changed: what was asked before does not answer who asks from now on. */
void answers_expire(struct answers *answers);
/* Forgets what is no use any more; it happens by itself only when questions are new. */
void answers_sweep(struct answers *answers);

#endif
