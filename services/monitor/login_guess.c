#include "services/monitor/login_guess.h"

#include <stdlib.h>
#include <string.h>

#include "libcommon/map.h"
#include "libcommon/mem.h"

enum { KNOWN_FOR_MS = 12 * 3600 * 1000 };

/* A budget as the time at which it is full again: each failure puts it off by one refill. */
struct budget {
    int64_t full_at_ms;
};

struct guesser {
    struct budget budget;
    int64_t known_until_ms; /* the right secret came from here */
    size_t key_len;
    char key[];
};

struct guesses {
    struct guess_limits limits;
    struct budget all;
    struct map *guessers;
};

struct guesses *guesses_new(const struct guess_limits *limits)
{
    struct guesses *guesses = mem_alloc(sizeof(*guesses));
    guesses->limits = *limits;
    guesses->guessers = map_new();
    return guesses;
}

void guesses_destroy(struct guesses **guesses_p)
{
    struct guesses *guesses = *guesses_p;
    if (!guesses)
        return;
    *guesses_p = NULL;
    size_t at = 0;
    for (struct guesser *guesser; (guesser = map_next(guesses->guessers, &at));)
        free(guesser);
    map_destroy(&guesses->guessers);
    free(guesses);
}

static int64_t budget_wait(const struct budget *budget, int64_t count, int64_t refill_ms,
                           int64_t now_ms)
{
    int64_t over = budget->full_at_ms - now_ms - (count - 1) * refill_ms;
    return over > 0 ? over : 0;
}

static void budget_take(struct budget *budget, int64_t refill_ms, int64_t now_ms)
{
    if (budget->full_at_ms < now_ms)
        budget->full_at_ms = now_ms;
    budget->full_at_ms += refill_ms;
}

static bool is_at_rest(const struct guesser *guesser, int64_t now_ms)
{
    return guesser->budget.full_at_ms <= now_ms && guesser->known_until_ms <= now_ms;
}

/* Who has nothing against or for them any more is forgotten. */
static void sweep(struct guesses *guesses, int64_t now_ms)
{
    size_t at = 0;
    for (struct guesser *guesser; (guesser = map_next(guesses->guessers, &at));) {
        if (!is_at_rest(guesser, now_ms))
            continue;
        map_take(guesses->guessers, guesser->key, guesser->key_len);
        free(guesser);
    }
}

/* NULL: there is no room; the budget for all still holds. */
static struct guesser *find_or_make(struct guesses *guesses, const char *address, int64_t now_ms)
{
    size_t len = strlen(address);
    struct guesser *guesser = map_get(guesses->guessers, address, len);
    if (guesser)
        return guesser;
    if (map_count(guesses->guessers) >= guesses->limits.addresses_max)
        sweep(guesses, now_ms);
    if (map_count(guesses->guessers) >= guesses->limits.addresses_max)
        return NULL;
    guesser = mem_alloc(sizeof(*guesser) + len);
    guesser->key_len = len;
    memcpy(guesser->key, address, len);
    map_put(guesses->guessers, address, len, guesser);
    return guesser;
}

int64_t guesses_wait(struct guesses *guesses, const char *address, int64_t now_ms)
{
    const struct guess_limits *limits = &guesses->limits;
    const struct guesser *guesser = map_get(guesses->guessers, address, strlen(address));
    int64_t wait = 0;
    if (guesser)
        wait = budget_wait(&guesser->budget, limits->one, limits->one_refill_ms, now_ms);
    if (wait > 0 || (guesser && guesser->known_until_ms > now_ms))
        return wait;
    return budget_wait(&guesses->all, limits->all, limits->all_refill_ms, now_ms);
}

void guesses_failed(struct guesses *guesses, const char *address, int64_t now_ms)
{
    struct guesser *guesser = find_or_make(guesses, address, now_ms);
    if (guesser)
        budget_take(&guesser->budget, guesses->limits.one_refill_ms, now_ms);
    budget_take(&guesses->all, guesses->limits.all_refill_ms, now_ms);
}

void guesses_succeeded(struct guesses *guesses, const char *address, int64_t now_ms)
{
    struct guesser *guesser = find_or_make(guesses, address, now_ms);
    if (guesser)
        guesser->known_until_ms = now_ms + KNOWN_FOR_MS;
}

size_t guesses_addresses(const struct guesses *guesses)
{
    return map_count(guesses->guessers);
}
