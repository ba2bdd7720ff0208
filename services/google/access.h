/* The user's access to Google: the token, and getting a new one when it has expired. */
#ifndef MCPBUS_GOOGLE_ACCESS_H
#define MCPBUS_GOOGLE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/err.h"
#include "services/google/config.h"
#include "services/google/fetch.h"

struct access;

/* Both are borrowed and must live as long. */
struct access *access_new(const struct google_config *config, struct fetcher *fetcher);
void access_destroy(struct access **access_p);

enum { ACCESS_WHY_SIZE = 600 };

/* The token to use now, borrowed until the next call; one that is about to expire is refreshed
 * first, when that is possible. ERR_UNAUTHENTICATED (nobody is signed in, or Google wants a new
 * consent), ERR_UPSTREAM (no answer) and ERR_CANCELLED: `ret_why` says so in plain words. */
MUST_CHECK enum err access_token(struct access *access, int64_t timeout_ms, const char **ret_token,
                                 char ret_why[ACCESS_WHY_SIZE]);
/* Google refused the token: gets another. The same errors. */
MUST_CHECK enum err access_refresh(struct access *access, int64_t timeout_ms,
                                   char ret_why[ACCESS_WHY_SIZE]);
bool access_can_refresh(const struct access *access);

#endif
