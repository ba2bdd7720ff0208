/* How often a secret may be guessed: a budget of failures for each address and one for all, both
 * refilled as time goes by. Who has just come with the right secret is not stopped by what others
 * do: the budget for all does not count for such an address. Pure: the time is the caller's.
 * Bounded. Not thread-safe. */
#ifndef MCPBUS_MONITOR_LOGIN_GUESS_H
#define MCPBUS_MONITOR_LOGIN_GUESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guesses;

struct guess_limits {
    int64_t one, one_refill_ms; /* an address: so many at once, and one more each so many ms */
    int64_t all, all_refill_ms;
    size_t addresses_max;
};

struct guesses *guesses_new(const struct guess_limits *limits);
void guesses_destroy(struct guesses **guesses_p);

/* May this address try now? 0: yes; else milliseconds until it may. */
int64_t guesses_wait(struct guesses *guesses, const char *address, int64_t now_ms);
/* It has tried, and failed. */
void guesses_failed(struct guesses *guesses, const char *address, int64_t now_ms);
/* It has tried, and was right. */
void guesses_succeeded(struct guesses *guesses, const char *address, int64_t now_ms);
size_t guesses_addresses(const struct guesses *guesses);

#endif
