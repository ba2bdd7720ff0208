#include "services/worker/run_table.h"

#include <string.h>

#include "libcommon/map.h"
#include "libcommon/mem.h"

enum { ID_MAX = 256, KEY_SIZE = ID_MAX + sizeof(int64_t) };

struct run_table {
    struct map *runs, *ended;
    struct remembered {
        size_t len;
        char key[];
    } * ring[RUN_TABLE_REMEMBERED];
    size_t ring_at;
};

static size_t make_key(char key[KEY_SIZE], const char *job_id, int64_t attempt)
{
    size_t len = strnlen(job_id, ID_MAX);
    memcpy(key, job_id, len);
    memcpy(key + len, &attempt, sizeof attempt);
    return len + sizeof attempt;
}

struct run_table *run_table_new(void)
{
    struct run_table *table = mem_alloc(sizeof *table);
    table->runs = map_new();
    table->ended = map_new();
    return table;
}

void run_table_destroy(struct run_table **table_p)
{
    struct run_table *table = *table_p;
    if (!table)
        return;
    *table_p = NULL;
    for (size_t i = 0; i < RUN_TABLE_REMEMBERED; i++)
        free(table->ring[i]);
    map_destroy(&table->ended);
    map_destroy(&table->runs);
    free(table);
}

void *run_table_get(const struct run_table *table, const char *job_id, int64_t attempt)
{
    char key[KEY_SIZE];
    size_t len = make_key(key, job_id, attempt);
    return map_get(table->runs, key, len);
}

bool run_table_knows(const struct run_table *table, const char *job_id, int64_t attempt)
{
    char key[KEY_SIZE];
    size_t len = make_key(key, job_id, attempt);
    return map_get(table->runs, key, len) || map_get(table->ended, key, len);
}

void run_table_put(struct run_table *table, const char *job_id, int64_t attempt, void *run)
{
    char key[KEY_SIZE];
    size_t len = make_key(key, job_id, attempt);
    map_put(table->runs, key, len, run);
}

static void remember(struct run_table *table, const char *key, size_t len)
{
    if (map_get(table->ended, key, len))
        return;
    struct remembered **slot = &table->ring[table->ring_at++ % RUN_TABLE_REMEMBERED];
    if (*slot)
        map_take(table->ended, (*slot)->key, (*slot)->len);
    free(*slot);
    *slot = mem_alloc(sizeof **slot + len);
    (*slot)->len = len;
    memcpy((*slot)->key, key, len);
    map_put(table->ended, key, len, *slot);
}

void run_table_remember(struct run_table *table, const char *job_id, int64_t attempt)
{
    char key[KEY_SIZE];
    size_t len = make_key(key, job_id, attempt);
    remember(table, key, len);
}

void run_table_take(struct run_table *table, const char *job_id, int64_t attempt, bool ended)
{
    char key[KEY_SIZE];
    size_t len = make_key(key, job_id, attempt);
    if (map_take(table->runs, key, len) && ended)
        remember(table, key, len);
}

size_t run_table_count(const struct run_table *table)
{
    return map_count(table->runs);
}

void *run_table_next(const struct run_table *table, size_t *at)
{
    return map_next(table->runs, at);
}
