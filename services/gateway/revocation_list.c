#include "services/gateway/revocations.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/map.h"
#include "libcommon/mem.h"

enum { TOKEN_LIFE_S = 86400, CLOCK_SLACK_S = 3600, PRUNE_EVERY_S = 600, AHEAD_S = 300 };

struct revocation {
    int64_t generation, at;
    size_t key_len;
    char key[];
};

struct revocation_list {
    struct map *users;
    size_t users_max;
    bool incomplete;
    int64_t pruned_at;
};

struct revocation_list *revocation_list_new(size_t users_max)
{
    struct revocation_list *list = mem_alloc(sizeof(*list));
    list->users = map_new();
    list->users_max = users_max;
    return list;
}

void revocation_list_destroy(struct revocation_list **list_p)
{
    struct revocation_list *list = *list_p;
    if (!list)
        return;
    *list_p = NULL;
    size_t at = 0;
    for (struct revocation *revocation; (revocation = map_next(list->users, &at));)
        free(revocation);
    map_destroy(&list->users);
    free(list);
}

static void add(struct revocation_list *list, const char *user_id, int64_t generation, int64_t at)
{
    size_t len = strlen(user_id);
    struct revocation *revocation = map_get(list->users, user_id, len);
    if (!revocation && map_count(list->users) >= list->users_max) {
        list->incomplete = true;
        return;
    }
    if (!revocation) {
        revocation = mem_alloc(sizeof(*revocation) + len);
        revocation->generation = generation;
        revocation->at = at;
        revocation->key_len = len;
        memcpy(revocation->key, user_id, len);
        map_put(list->users, user_id, len, revocation);
    }
    if (generation > revocation->generation)
        revocation->generation = generation;
    if (at > revocation->at)
        revocation->at = at;
}

void revocation_list_apply(struct revocation_list *list, const json_t *items)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        const char *user_id = js_str(item, "user_id", NULL);
        if (user_id)
            add(list, user_id, js_int(item, "generation", 0), js_int(item, "at", 0));
    }
}

void revocation_list_prune(struct revocation_list *list, int64_t now_s)
{
    if (now_s - list->pruned_at < PRUNE_EVERY_S)
        return;
    list->pruned_at = now_s;
    size_t at = 0;
    for (struct revocation *revocation; (revocation = map_next(list->users, &at));) {
        if (revocation->at >= now_s - TOKEN_LIFE_S - CLOCK_SLACK_S)
            continue;
        map_take(list->users, revocation->key, revocation->key_len);
        free(revocation);
    }
}

bool revocation_list_is_dead(const struct revocation_list *list, const char *user_id,
                             int64_t generation, int64_t issued_at)
{
    const struct revocation *revocation = map_get(list->users, user_id, strlen(user_id));
    if (!revocation)
        return false;
    return generation >= 0 ? generation < revocation->generation : issued_at <= revocation->at;
}

int64_t revocation_issued_at(const json_t *claims, int64_t now_s)
{
    int64_t at = js_int(claims, "iat", js_int(claims, "exp", 0) - TOKEN_LIFE_S);
    return at <= now_s + AHEAD_S ? at : 0;
}

bool revocation_list_complete(const struct revocation_list *list)
{
    return !list->incomplete;
}

size_t revocation_list_count(const struct revocation_list *list)
{
    return map_count(list->users);
}
