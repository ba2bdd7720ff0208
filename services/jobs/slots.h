/* What workers have offered to this replica: how many more runs each session takes. Pure: time
 * comes in. An offer says how many runs the session had received from here, and how many more it
 * takes; with the number that was sent, the free ones follow, whatever messages crossed or were
 * lost. */
#ifndef MCPBUS_JOBS_SLOTS_H
#define MCPBUS_JOBS_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slots;

/* A session with free slots, or that had some. The pointer is good until slots_expire. */
struct slot {
    char session[65], instance[17];
    int64_t received, offered; /* of the last offer */
    int64_t sent;              /* runs, in all: the last one's ordinal */
    int64_t reserved;          /* claims under way */
    int64_t offered_at, sent_at;
    int64_t low_since; /* since then `received` stayed below `sent`, 0: it does not */
};

enum { SLOTS_FORGET_MS = 5000, SLOTS_LOST_MS = 1500, SLOTS_SESSIONS_MAX = 4096 };

struct slots *slots_new(void);
void slots_destroy(struct slots **slots_p);

/* False when there are too many sessions. */
bool slots_offer(struct slots *slots, const char *session, const char *instance, int64_t received,
                 int64_t offered, int64_t now);
/* Forgets a session; its runs are the store's to give again. */
void slots_forget(struct slots *slots, const char *session);
/* Forgets what was not offered again for SLOTS_FORGET_MS. */
void slots_expire(struct slots *slots, int64_t now);
/* Forgets the sessions of other instances than these. */
void slots_keep(struct slots *slots, char (*instances)[17], size_t count);

int64_t slots_free(const struct slots *slots); /* over all sessions */
/* Reserves a slot of the session with the most free ones; NULL: none is free. */
struct slot *slots_reserve(struct slots *slots);
/* The session's entry, NULL when it is not known. */
struct slot *slots_find(struct slots *slots, const char *session);
/* A reservation ends: sent, whose ordinal is returned, or not. */
int64_t slots_sent(struct slot *slot, int64_t now);
void slots_unreserve(struct slot *slot);

#endif
