#include "libcommon/map.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "libcommon/mem.h"

/* Open addressing with linear probing. A taken entry keeps its key as a mark, so that a walk may
 * take what it was just given; marks go at the next rebuild. */
struct entry {
    void *key;
    size_t len;
    void *value; /* NULL with a key: taken */
    uint64_t hash;
};

struct map {
    struct entry *entries;
    size_t size, count, used; /* used: with taken ones */
    uint64_t seed;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const struct map *map, const void *key, size_t len)
{
    const uint8_t *at = key;
    uint64_t hash = map->seed ^ (len * 0x9e3779b97f4a7c15u);
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = mix(hash ^ word, map->seed | 0xa0761d6478bd642fu);
        at += 8;
        len -= 8;
    }
    uint64_t word = 0;
    if (len)
        memcpy(&word, at, len);
    return mix(hash ^ word, map->seed | 0xe7037ed1a0b428dbu);
}

struct map *map_new(void)
{
    struct map *map = mem_alloc(sizeof *map);
    if (getrandom(&map->seed, sizeof map->seed, 0) != (ssize_t)sizeof map->seed)
        map->seed = (uint64_t)(uintptr_t)map;
    map->size = 16;
    map->entries = mem_alloc(map->size * sizeof *map->entries);
    return map;
}

void map_destroy(struct map **map_p)
{
    struct map *map = *map_p;
    if (!map)
        return;
    for (size_t i = 0; i < map->size; i++)
        free(map->entries[i].key);
    free(map->entries);
    free(map);
    *map_p = NULL;
}

/* The entry of a key, or the empty one where it would go. */
static struct entry *find(const struct map *map, const void *key, size_t len, uint64_t hash)
{
    for (size_t i = hash & (map->size - 1);; i = (i + 1) & (map->size - 1)) {
        struct entry *e = &map->entries[i];
        if (!e->key ||
            (e->value && e->hash == hash && e->len == len && memcmp(e->key, key, len) == 0))
            return e;
    }
}

static void rebuild(struct map *map, size_t size)
{
    struct entry *old = map->entries;
    size_t old_size = map->size;
    map->entries = mem_alloc(size * sizeof *map->entries);
    map->size = size;
    map->used = map->count;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].value)
            *find(map, old[i].key, old[i].len, old[i].hash) = old[i];
        else
            free(old[i].key);
    }
    free(old);
}

void *map_get(const struct map *map, const void *key, size_t len)
{
    return find(map, key, len, hash_of(map, key, len))->value;
}

void *map_put(struct map *map, const void *key, size_t len, void *value)
{
    if ((map->used + 1) * 4 > map->size * 3)
        rebuild(map, map->count * 2 > map->size ? map->size * 2 : map->size);
    uint64_t hash = hash_of(map, key, len);
    struct entry *e = find(map, key, len, hash);
    void *old = e->value;
    if (!e->key) {
        *e = (struct entry){mem_alloc(len), len, value, hash};
        memcpy(e->key, key, len);
        map->count++;
        map->used++;
    }
    e->value = value;
    return old;
}

void *map_take(struct map *map, const void *key, size_t len)
{
    struct entry *e = find(map, key, len, hash_of(map, key, len));
    void *old = e->value;
    if (old) {
        e->value = NULL;
        map->count--;
    }
    return old;
}

size_t map_count(const struct map *map)
{
    return map->count;
}

void *map_next(const struct map *map, size_t *at)
{
    while (*at < map->size) {
        void *value = map->entries[(*at)++].value;
        if (value)
            return value;
    }
    return NULL;
}
