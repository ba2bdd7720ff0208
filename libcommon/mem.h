/* Allocation that does not fail: a process out of memory says so and aborts; its supervisor starts
 * it again and the store still has every job. Everything that grows has a ceiling of its own, so
 * this is reached only when the machine is full. Any thread. */
#ifndef MCPBUS_MEM_H
#define MCPBUS_MEM_H

#include <stddef.h>
#include <stdlib.h>

__attribute__((malloc, returns_nonnull)) void *mem_alloc(size_t size);     /* zeroed */
__attribute__((returns_nonnull)) void *mem_resize(void *old, size_t size); /* like realloc */
__attribute__((malloc, returns_nonnull)) char *mem_strdup(const char *text);
__attribute__((malloc, returns_nonnull)) char *mem_strndup(const char *text, size_t len);
/* The text and a NUL; a NULL text gives NULL. */
char *mem_strdup_opt(const char *text);
__attribute__((malloc, returns_nonnull, format(printf, 1, 2))) char *mem_printf(const char *fmt,
                                                                                ...);

/* Overwrites a secret (the compiler may not leave it out), then frees it; NULL is fine. */
void mem_free_secret(char **text_p);

static inline void mem_cleanup_free(void *p)
{
    free(*(void **)p);
}

/* `AUTOFREE char *x = …`: freed at the end of the scope. */
#define AUTOFREE __attribute__((cleanup(mem_cleanup_free)))

#endif
