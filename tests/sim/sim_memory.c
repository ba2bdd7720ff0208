/* Who owns which memory. malloc and its family are these functions for all code in the program
 * (the linker's --wrap), and for the JSON library by its own switch. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "services/worker/echo.h"
#include "tests/sim/sim.h"

void *__real_malloc(size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *text);
__attribute__((format(printf, 2, 0))) int __wrap_vasprintf(char **ret_text, const char *fmt,
                                                           va_list ap);
__attribute__((format(printf, 3, 0))) int __wrap___vasprintf_chk(char **ret_text, int flag,
                                                                 const char *fmt, va_list ap);

/* What the services keep for the whole process: it is of no seed. */
static struct sim_block permanent = {&permanent, &permanent, NULL, 0};
static bool is_permanent = true;

static void *take(struct instance *owner, size_t size, bool zero)
{
    struct sim_block *block = __real_malloc(sizeof *block + size);
    if (!block)
        abort();
    struct sim_block *list = owner ? &owner->memory : is_permanent ? &permanent : &sim.memory;
    *block = (struct sim_block){list->next, list, owner, size};
    list->next->prev = block;
    list->next = block;
    if (owner)
        owner->bytes += size;
    if (zero)
        memset(block + 1, 0, size);
    return block + 1;
}

void *__wrap_malloc(size_t size)
{
    return take(sim.current, size, false);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return take(sim.current, count * size, true);
}

void __wrap_free(void *p)
{
    if (!p)
        return;
    struct sim_block *block = (struct sim_block *)p - 1;
    block->next->prev = block->prev;
    block->prev->next = block->next;
    if (block->owner)
        block->owner->bytes -= block->size;
    __real_free(block);
}

void *__wrap_realloc(void *old, size_t size)
{
    if (!old)
        return __wrap_malloc(size);
    struct sim_block *block = (struct sim_block *)old - 1;
    void *p = take(block->owner, size, false);
    memcpy(p, old, block->size < size ? block->size : size);
    __wrap_free(old);
    return p;
}

char *__wrap_strdup(const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(__wrap_malloc(len), text, len);
}

int __wrap_vasprintf(char **ret_text, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    *ret_text = __wrap_malloc((size_t)len + 1);
    return vsnprintf(*ret_text, (size_t)len + 1, fmt, ap);
}

int __wrap___vasprintf_chk(char **ret_text, int flag, const char *fmt, va_list ap)
{
    (void)flag;
    return __wrap_vasprintf(ret_text, fmt, ap);
}

void sim_memory_setup(void)
{
    json_object_seed(1);
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    json_decref(echo_run(""));
    is_permanent = false;
}

void *sim_new(size_t size)
{
    return take(NULL, size, true);
}

char *sim_text(const char *text)
{
    if (!text)
        return NULL;
    size_t len = strlen(text) + 1;
    return memcpy(take(NULL, len, false), text, len);
}

struct instance *sim_world(void)
{
    struct instance *was = sim.current;
    sim.current = NULL;
    return was;
}

void sim_back(struct instance *was)
{
    sim.current = was;
}

void sim_memory_release(struct sim_block *list)
{
    for (struct sim_block *block = list->next, *next; block != list; block = next) {
        next = block->next;
        __real_free(block);
    }
    list->next = list->prev = list;
}
