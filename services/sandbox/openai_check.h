/* Inside the check of chat completion requests: its parts. Each refuses with OpenAI's own words and
 * returns false. Not for others. */
#ifndef MCPBUS_SANDBOX_OPENAI_CHECK_H
#define MCPBUS_SANDBOX_OPENAI_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "services/sandbox/openai.h"

enum { OPENAI_CALLS_MAX = 128, OPENAI_TOOLS_MAX = 128 };

__attribute__((format(printf, 4, 5))) bool openai_refuse(struct openai_fault *fault,
                                                         const char *code, const char *param,
                                                         const char *fmt, ...);
/* "'PARAM': string too long"; `max` in characters. */
bool openai_text_fits(const json_t *text, size_t max, const char *param,
                      struct openai_fault *fault);
/* ^[a-zA-Z0-9_-]{1,64}$ */
bool openai_name_is_valid(const char *name);
/* Only members of `known` (NULL-terminated) may be there. `where` stands before the member's name.
 */
bool openai_members_known(const json_t *object, const char *const *known, const char *where,
                          struct openai_fault *fault);

bool openai_check_messages(const json_t *messages, struct openai_fault *fault);
bool openai_check_tools(const json_t *tools, struct openai_fault *fault);
/* The parameters of the function `name`. */
bool openai_check_schema(const json_t *schema, const char *name, const char *param,
                         struct openai_fault *fault);

#endif
