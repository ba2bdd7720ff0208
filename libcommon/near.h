/* The word that somebody may have meant: for names that are mistyped. Pure; any thread. */
#ifndef MCPBUS_NEAR_H
#define MCPBUS_NEAR_H

#include <stddef.h>

/* How many letters must be added, dropped, exchanged or swapped with their neighbour; case counts
 * half. More than `most` (or a word beyond 64 bytes): most + 1. In halves: 2 is one letter. */
unsigned near_distance(const char *a, const char *b, unsigned most);

/* Keeps the best of the words that it is shown. */
struct near {
    const char *word; /* what was typed */
    const char *best; /* NULL: none is near */
    unsigned distance;
};
void near_begin(struct near *near, const char *word);
/* `candidate` must live as long as `near->best` is used. */
void near_offer(struct near *near, const char *candidate);

#endif
