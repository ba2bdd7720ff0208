#include "services/jobs/slots.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/mem.h"

struct slots {
    struct slot *entries[SLOTS_SESSIONS_MAX];
    size_t count;
};

struct slots *slots_new(void)
{
    return mem_alloc(sizeof(struct slots));
}

void slots_destroy(struct slots **slots_p)
{
    struct slots *slots = *slots_p;
    if (!slots)
        return;
    *slots_p = NULL;
    for (size_t i = 0; i < slots->count; i++)
        free(slots->entries[i]);
    free(slots);
}

struct slot *slots_find(struct slots *slots, const char *session)
{
    for (size_t i = 0; i < slots->count; i++)
        if (!strcmp(slots->entries[i]->session, session))
            return slots->entries[i];
    return NULL;
}

static int64_t free_of(const struct slot *slot)
{
    int64_t left = slot->received + slot->offered - slot->sent - slot->reserved;
    return left > 0 ? left : 0;
}

/* Runs that the worker has not seen long after they left: the messages were lost. */
static void judge_lost(struct slot *slot, int64_t now)
{
    if (slot->received >= slot->sent) {
        slot->low_since = 0;
    } else if (!slot->low_since || slot->sent_at >= slot->low_since || slot->reserved) {
        slot->low_since = now;
    } else if (now - slot->low_since >= SLOTS_LOST_MS) {
        slot->sent = slot->received;
        slot->low_since = 0;
    }
}

bool slots_offer(struct slots *slots, const char *session, const char *instance, int64_t received,
                 int64_t offered, int64_t now)
{
    struct slot *slot = slots_find(slots, session);
    if (!slot) {
        if (slots->count == SLOTS_SESSIONS_MAX)
            return false;
        slot = slots->entries[slots->count++] = mem_alloc(sizeof *slot);
        snprintf(slot->session, sizeof slot->session, "%s", session);
    }
    snprintf(slot->instance, sizeof slot->instance, "%s", instance);
    /* Offers may overtake each other; `received` only grows. */
    if (received < slot->received)
        return true;
    if (received > slot->received)
        slot->low_since = 0;
    slot->received = received;
    slot->offered = offered;
    slot->offered_at = now;
    if (slot->sent < received)
        slot->sent = received;
    judge_lost(slot, now);
    return true;
}

static void drop(struct slots *slots, size_t i)
{
    free(slots->entries[i]);
    slots->entries[i] = slots->entries[--slots->count];
}

void slots_forget(struct slots *slots, const char *session)
{
    for (size_t i = 0; i < slots->count; i++)
        if (!strcmp(slots->entries[i]->session, session)) {
            drop(slots, i);
            return;
        }
}

void slots_expire(struct slots *slots, int64_t now)
{
    for (size_t i = 0; i < slots->count;) {
        if (now - slots->entries[i]->offered_at > SLOTS_FORGET_MS)
            drop(slots, i);
        else
            i++;
    }
}

void slots_keep(struct slots *slots, char (*instances)[17], size_t count)
{
    for (size_t i = 0; i < slots->count;) {
        size_t k = 0;
        while (k < count && strcmp(instances[k], slots->entries[i]->instance) != 0)
            k++;
        if (k == count)
            drop(slots, i);
        else
            i++;
    }
}

int64_t slots_free(const struct slots *slots)
{
    int64_t total = 0;
    for (size_t i = 0; i < slots->count; i++)
        total += free_of(slots->entries[i]);
    return total;
}

struct slot *slots_reserve(struct slots *slots)
{
    struct slot *best = NULL;
    for (size_t i = 0; i < slots->count; i++) {
        struct slot *slot = slots->entries[i];
        if (free_of(slot) > (best ? free_of(best) : 0))
            best = slot;
    }
    if (best)
        best->reserved++;
    return best;
}

int64_t slots_sent(struct slot *slot, int64_t now)
{
    slots_unreserve(slot);
    slot->sent_at = now;
    return ++slot->sent;
}

void slots_unreserve(struct slot *slot)
{
    if (slot->reserved > 0)
        slot->reserved--;
}
