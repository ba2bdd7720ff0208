/* What the peers of one key take up: half of everything at most, so that a key that has gone astray
 * does not shut the others out. */
#include <stdlib.h>
#include <string.h>

#include "libcommon/mem.h"
#include "services/broker/internal.h"

struct share *share_join(struct broker *broker, const char *key)
{
    struct share *share = map_get(broker->shares, key, strlen(key));
    if (!share) {
        share = mem_alloc(sizeof *share);
        memcpy(share->key, key, strlen(key) + 1);
        map_put(broker->shares, share->key, strlen(share->key), share);
    }
    if (share->peers >= SHARE_PEERS_MAX)
        return NULL;
    share->peers++;
    return share;
}

void share_leave(struct broker *broker, struct share **share_p)
{
    struct share *share = *share_p;
    *share_p = NULL;
    if (!share || --share->peers > 0)
        return;
    map_take(broker->shares, share->key, strlen(share->key));
    free(share);
}

void shares_free(struct broker *broker)
{
    map_destroy(&broker->shares);
}
