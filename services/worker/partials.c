#include "services/worker/partials.h"

#include "libcommon/mem.h"

struct watcher {
    uint64_t gateway;
    int64_t until;             /* loop_now */
    uint64_t number;           /* of the text that it has the beginning of; 0: none */
    size_t sent;               /* bytes of that */
    int64_t part;              /* the next one */
    bool wanted;               /* from its beginning */
    int64_t began_at, sent_at; /* loop_now; when it was sent the beginning, or anything */
};

struct partial_run {
    struct partials *partials;
    const char *job_id, *user_id;
    int64_t attempt;
    partial_look_fn *look;
    void *arg;
    struct watcher watchers[PARTIALS_WATCHERS_MAX];
    size_t count;
    struct partial_run *prev, *next; /* of those with watchers, longest not looked at first */
};

struct partials {
    struct partials_options options;
    struct loop_timer *timer;
    struct partial_run *first, *last;
    size_t count;
};

static void put_last(struct partial_run *run)
{
    struct partials *partials = run->partials;
    run->next = NULL;
    run->prev = partials->last;
    *(run->prev ? &run->prev->next : &partials->first) = run;
    partials->last = run;
    partials->count++;
}

static void take_out(struct partial_run *run)
{
    struct partials *partials = run->partials;
    *(run->prev ? &run->prev->next : &partials->first) = run->next;
    *(run->next ? &run->next->prev : &partials->last) = run->prev;
    run->prev = run->next = NULL;
    partials->count--;
}

static void forget_late(struct partial_run *run, int64_t now)
{
    for (size_t i = run->count; i-- > 0;)
        if (run->watchers[i].until <= now)
            run->watchers[i] = run->watchers[--run->count];
}

/* The part of a text that is told, ended at a character's border. */
static size_t told_len(const struct partial_text *text)
{
    size_t len = text->len;
    if (len <= PARTIALS_TEXT_MAX)
        return len;
    len = PARTIALS_TEXT_MAX;
    while (len > 0 && ((unsigned char)text->text[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static void begin_anew(struct watcher *watcher, uint64_t number, int64_t now)
{
    watcher->number = number;
    watcher->sent = 0;
    watcher->part = 0;
    watcher->wanted = false;
    watcher->began_at = now;
}

/* Returns how many bytes were sent. */
static size_t send_news(const struct partial_run *run, struct watcher *watcher,
                        const struct partial_text *text, size_t told)
{
    const struct partials_options *options = &run->partials->options;
    int64_t now = loop_now(options->loop);
    if (watcher->number != text->number ||
        (watcher->wanted && now - watcher->began_at >= PARTIALS_ANEW_MS))
        begin_anew(watcher, text->number, now);
    size_t len = told - watcher->sent;
    if (!len)
        return 0;
    watcher->sent_at = now;
    options->send(options->arg, watcher->gateway,
                  json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "job_id", run->job_id, "user_id",
                            run->user_id, "attempt", (json_int_t)run->attempt, "turn",
                            (json_int_t)text->turn, "part", (json_int_t)watcher->part, "text",
                            json_stringn(text->text + watcher->sent, len)));
    watcher->part++;
    watcher->sent = told;
    return len;
}

static size_t serve(struct partial_run *run)
{
    struct partial_text text;
    size_t sent = 0;
    forget_late(run, loop_now(run->partials->options.loop));
    if (!run->count || !run->look(run->arg, &text))
        return 0;
    size_t told = told_len(&text);
    for (size_t i = 0; i < run->count; i++)
        sent += send_news(run, &run->watchers[i], &text, told);
    return sent;
}

static void on_timer(void *arg)
{
    struct partials *partials = arg;
    const struct partials_options *options = &partials->options;
    size_t sent = 0;
    if (options->has_room(options->arg))
        for (size_t n = partials->count; n > 0 && sent < PARTIALS_ROUND_BYTES; n--) {
            struct partial_run *run = partials->first;
            take_out(run);
            sent += serve(run);
            if (run->count)
                put_last(run);
        }
    if (partials->first)
        loop_timer_start(partials->timer, PARTIALS_PACE_MS);
}

struct partials *partials_new(const struct partials_options *options)
{
    struct partials *partials = mem_alloc(sizeof *partials);
    partials->options = *options;
    partials->timer = loop_timer_new(options->loop, on_timer, partials);
    return partials;
}

void partials_destroy(struct partials **partials_p)
{
    struct partials *partials = *partials_p;
    if (!partials)
        return;
    *partials_p = NULL;
    loop_timer_destroy(&partials->timer);
    free(partials);
}

struct partial_run *partial_run_new(struct partials *partials, const char *job_id,
                                    const char *user_id, int64_t attempt, partial_look_fn *look,
                                    void *arg)
{
    struct partial_run *run = mem_alloc(sizeof *run);
    run->partials = partials;
    run->job_id = job_id;
    run->user_id = user_id;
    run->attempt = attempt;
    run->look = look;
    run->arg = arg;
    return run;
}

void partial_run_destroy(struct partial_run **run_p)
{
    struct partial_run *run = *run_p;
    if (!run)
        return;
    *run_p = NULL;
    if (run->count)
        take_out(run);
    free(run);
}

static struct watcher *watcher_of(struct partial_run *run, uint64_t gateway)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->watchers[i].gateway == gateway)
            return &run->watchers[i];
    if (run->count == PARTIALS_WATCHERS_MAX)
        return NULL;
    if (!run->count)
        put_last(run);
    run->watchers[run->count] = (struct watcher){.gateway = gateway};
    return &run->watchers[run->count++];
}

void partial_run_watch(struct partial_run *run, uint64_t gateway, int64_t next)
{
    struct partials *partials = run->partials;
    struct watcher *watcher = watcher_of(run, gateway);
    if (!watcher)
        return;
    int64_t now = loop_now(partials->options.loop);
    watcher->until = now + partials->options.watch_ms;
    if (watcher->part != next && (next <= 0 || now - watcher->sent_at >= PARTIALS_CROSSED_MS))
        watcher->wanted = true;
    if (!loop_timer_active(partials->timer))
        loop_timer_start(partials->timer, PARTIALS_PACE_MS);
}
