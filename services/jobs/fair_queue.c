#include "services/jobs/fair_queue.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/mem.h"

struct user;

/* An element of a hash table: a job or a user. */
struct node {
    struct node *next_in_bucket;
    uint64_t hash;
    char *name;
};

struct table {
    struct node **buckets;
    size_t size, count; /* a power of two */
};

struct job {
    struct node node;
    struct job *next;
    struct user *user;
};

struct user {
    struct node node;
    struct job *head, **tail;
    size_t waiting, held;
    struct user *next, *prev; /* the round; NULL when nothing waits */
};

struct fair_queue {
    size_t max;
    uint64_t seed; /* names come from outside: no one may choose collisions */
    struct table jobs, users;
    struct user *turn; /* whose turn it is, in the ring of users with jobs */
};

static uint64_t hash_of(const struct fair_queue *queue, const char *name)
{
    uint64_t hash = queue->seed ^ 0xcbf29ce484222325u;
    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    return hash * 0x9e3779b97f4a7c15u ^ queue->seed >> 7;
}

static struct node **slot_of(const struct table *table, uint64_t hash)
{
    return &table->buckets[(hash >> 16) & (table->size - 1)];
}

static struct node *table_find(const struct table *table, uint64_t hash, const char *name)
{
    struct node *node = table->size ? *slot_of(table, hash) : NULL;
    while (node && (node->hash != hash || strcmp(node->name, name) != 0))
        node = node->next_in_bucket;
    return node;
}

static void table_grow(struct table *table)
{
    struct table bigger = {.size = table->size ? table->size * 2 : 64, .count = table->count};
    bigger.buckets = mem_alloc(bigger.size * sizeof(struct node *));
    for (size_t i = 0; i < table->size; i++) {
        for (struct node *node = table->buckets[i], *next; node; node = next) {
            next = node->next_in_bucket;
            struct node **slot = slot_of(&bigger, node->hash);
            node->next_in_bucket = *slot;
            *slot = node;
        }
    }
    free(table->buckets);
    *table = bigger;
}

static void table_add(struct table *table, struct node *node, uint64_t hash, const char *name)
{
    if (table->count >= table->size)
        table_grow(table);
    node->hash = hash;
    node->name = mem_strdup(name);
    struct node **slot = slot_of(table, hash);
    node->next_in_bucket = *slot;
    *slot = node;
    table->count++;
}

static void table_remove(struct table *table, struct node *node)
{
    struct node **slot = slot_of(table, node->hash);
    while (*slot != node)
        slot = &(*slot)->next_in_bucket;
    *slot = node->next_in_bucket;
    table->count--;
}

struct fair_queue *fair_queue_new(size_t max)
{
    struct fair_queue *queue = mem_alloc(sizeof *queue);
    queue->max = max;
    queue->seed = crypto_random_u64();
    return queue;
}

/* All kinds of node begin with struct node. */
static void table_free(struct table *table)
{
    for (size_t i = 0; i < table->size; i++) {
        for (struct node *node = table->buckets[i], *next; node; node = next) {
            next = node->next_in_bucket;
            free(node->name);
            free(node);
        }
    }
    free(table->buckets);
}

void fair_queue_destroy(struct fair_queue **queue_p)
{
    struct fair_queue *queue = *queue_p;
    if (!queue)
        return;
    *queue_p = NULL;
    table_free(&queue->jobs);
    table_free(&queue->users);
    free(queue);
}

static struct user *user_get(struct fair_queue *queue, const char *user_id)
{
    uint64_t hash = hash_of(queue, user_id);
    struct user *user = (struct user *)table_find(&queue->users, hash, user_id);
    if (user)
        return user;
    user = mem_alloc(sizeof *user);
    user->tail = &user->head;
    table_add(&queue->users, &user->node, hash, user_id);
    return user;
}

static void user_drop_idle(struct fair_queue *queue, struct user *user)
{
    if (user->waiting || user->held)
        return;
    table_remove(&queue->users, &user->node);
    free(user->node.name);
    free(user);
}

/* A new user's turn comes last in the round. */
static void round_join(struct fair_queue *queue, struct user *user)
{
    if (!queue->turn) {
        queue->turn = user->next = user->prev = user;
        return;
    }
    user->next = queue->turn;
    user->prev = queue->turn->prev;
    user->prev->next = user;
    user->next->prev = user;
}

static void round_leave(struct fair_queue *queue, struct user *user)
{
    if (user->next == user) {
        queue->turn = NULL;
    } else {
        user->prev->next = user->next;
        user->next->prev = user->prev;
        if (queue->turn == user)
            queue->turn = user->next;
    }
    user->next = user->prev = NULL;
}

enum fair_queue_pushed fair_queue_push(struct fair_queue *queue, const char *job_id,
                                       const char *user_id)
{
    uint64_t hash = hash_of(queue, job_id);
    if (table_find(&queue->jobs, hash, job_id))
        return FAIR_QUEUE_KNOWN;
    if (queue->jobs.count >= queue->max)
        return FAIR_QUEUE_FULL;
    struct user *user = user_get(queue, user_id);
    struct job *job = mem_alloc(sizeof *job);
    job->user = user;
    table_add(&queue->jobs, &job->node, hash, job_id);
    *user->tail = job;
    user->tail = &job->next;
    if (user->waiting++ == 0)
        round_join(queue, user);
    return FAIR_QUEUE_PUSHED;
}

bool fair_queue_pop(struct fair_queue *queue, char **ret_job_id, char **ret_user_id)
{
    struct user *user = queue->turn;
    if (!user)
        return false;
    struct job *job = user->head;
    user->head = job->next;
    if (!user->head)
        user->tail = &user->head;
    queue->turn = user->next;
    if (--user->waiting == 0)
        round_leave(queue, user);
    table_remove(&queue->jobs, &job->node);
    *ret_job_id = job->node.name;
    *ret_user_id = mem_strdup(user->node.name);
    free(job);
    user_drop_idle(queue, user);
    return true;
}

size_t fair_queue_count(const struct fair_queue *queue)
{
    return queue->jobs.count;
}

size_t fair_queue_user_count(const struct fair_queue *queue, const char *user_id)
{
    const struct user *user =
        (const struct user *)table_find(&queue->users, hash_of(queue, user_id), user_id);
    return user ? user->waiting + user->held : 0;
}

void fair_queue_hold(struct fair_queue *queue, const char *user_id, int n)
{
    struct user *user = user_get(queue, user_id);
    assert(n >= 0 || user->held >= (size_t)-n);
    user->held += (size_t)n;
    user_drop_idle(queue, user);
}
