/* Ended tokens: the list that auth keeps, as far as this gateway knows it. The list itself is pure;
 * the follower keeps it fresh over the bus. */
#ifndef MCPBUS_GATEWAY_REVOCATIONS_H
#define MCPBUS_GATEWAY_REVOCATIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/bus.h"
#include "libcommon/loop.h"

struct revocation_list;

/* `users_max`: users that it holds; beyond that it is incomplete for good. */
struct revocation_list *revocation_list_new(size_t users_max);
void revocation_list_destroy(struct revocation_list **list_p);

/* Takes in the items of an answer of auth.revocations. */
void revocation_list_apply(struct revocation_list *list, const json_t *items);
/* Forgets what no living token can match any more: tokens live for 24 hours. */
void revocation_list_prune(struct revocation_list *list, int64_t now_s);
/* `generation` −1: the token has none and is judged by its time of issue (seconds). */
bool revocation_list_is_dead(const struct revocation_list *list, const char *user_id,
                             int64_t generation, int64_t issued_at);
/* When a token was issued (seconds): its iat, else exp − 24 h. One that says a time to come (an exp
 * further away than a day) hides its age: 0, so that each logout of its user's ends it. */
int64_t revocation_issued_at(const json_t *claims, int64_t now_s);
bool revocation_list_complete(const struct revocation_list *list);
size_t revocation_list_count(const struct revocation_list *list);

/* Keeps a list up to date: reads all of it at first, then polls, at once on a hint. */
struct revocations;

/* `changed` is called after tokens have been added to the list. */
struct revocations *revocations_new(struct loop *loop, struct bus *bus, void (*changed)(void *arg),
                                    void *arg);
void revocations_destroy(struct revocations **revocations_p);
void revocations_hint(struct revocations *revocations);
/* Is the list young enough to be believed? Else ask auth.check. */
bool revocations_fresh(const struct revocations *revocations);
const struct revocation_list *revocations_list(const struct revocations *revocations);

#endif
