/* A hash map from short byte strings to pointers, seeded so that outsiders can't choose keys that
 * collide. The map copies keys and never owns values. Not thread-safe. */
#ifndef MCPBUS_MAP_H
#define MCPBUS_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map;

struct map *map_new(void);
void map_destroy(struct map **map_p); /* the values are the owner's */

void *map_get(const struct map *map, const void *key, size_t len); /* NULL: not there */
/* Sets the value (not NULL) of a key; returns the one that it replaces, or NULL. */
void *map_put(struct map *map, const void *key, size_t len, void *value);
/* Takes a key out; returns its value, or NULL. */
void *map_take(struct map *map, const void *key, size_t len);
size_t map_count(const struct map *map);

/* Walks all entries, in no order: `size_t at = 0; while ((value = map_next(map, &at)))`. Between
 * two steps the entry just given may be taken out, nothing else changed. */
void *map_next(const struct map *map, size_t *at);

#endif
