/* Invented Google accounts. Any email may sign in; what an account holds is made from its email
 * when it is first asked for, always the same, around the day of today. */
#ifndef MCPBUS_SANDBOX_ACCOUNTS_H
#define MCPBUS_SANDBOX_ACCOUNTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/err.h"

enum {
    ACCOUNTS_MAX = 4096,           /* known at once; the longest unused is forgotten */
    ACCOUNTS_FILLED_MAX = 128,     /* with data at once; likewise */
    ACCOUNT_ITEMS_MAX = 500,       /* mails, files, events: each */
    ACCOUNT_STORED_MAX = 24 << 20, /* bytes that an account's writing calls may add */
    EMAIL_MAX = 254,
};

struct account {
    char email[EMAIL_MAX + 1];
    char sub[22]; /* 21 digits */
    char name[128];
    char time_zone[64]; /* of the calendar; "": UTC */
    uint64_t used;      /* counts up with each use */

    /* The consent given to the client: grant 0 is none. */
    uint64_t grant;
    uint32_t granted;

    /* Arrays of objects; NULL until accounts_fill. Keys that begin with "_" are the sandbox's own.
     */
    json_t *mails, *files, *events;
    size_t stored;
    unsigned serial; /* of the next item that a call makes */
};

struct accounts;

struct accounts *accounts_new(void);
void accounts_destroy(struct accounts **accounts_p);

/* The account of an email (case is ignored); made when new. NULL: that is no email address. The
 * pointer holds until the next call of accounts_get. */
struct account *accounts_get(struct accounts *accounts, const char *email);
/* NULL when it is not known. */
struct account *accounts_find(struct accounts *accounts, const char *email);
/* Makes its data when there is none. */
void accounts_fill(struct accounts *accounts, struct account *account, int64_t now_ms);

bool email_is_valid(const char *email);

/* An item by its "id", borrowed, or NULL. */
json_t *item_find(const json_t *items, const char *id);
bool item_remove(json_t *items, const char *id);
/* Puts an item (consumed) in front; ERR_LIMITED when the account is full. */
MUST_CHECK enum err item_add(struct account *account, json_t *items, json_t *item, size_t bytes);

#endif
