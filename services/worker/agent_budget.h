/* What a run may use: turns (answers of the model), tokens, US dollars. Pure. */
#ifndef MCPBUS_WORKER_AGENT_BUDGET_H
#define MCPBUS_WORKER_AGENT_BUDGET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tokens; `cached` is a part of `input`. */
struct agent_usage {
    int64_t input, output, total, cached;
};

struct agent_budget {
    const char *model;             /* borrowed */
    int64_t max_turns, max_tokens; /* tokens 0: no limit */
    double max_cost;               /* 0: no limit */
    bool priced;
    double prices[3]; /* input, cached input, output: US dollars per million tokens */
    int64_t turns;
    struct agent_usage usage;
    struct agent_usage unsaid; /* estimated, for answers that came without their usage */
};

/* From the job frame's `settings` and `options` (borrowed for the budget's life; NULL: none). An
 * option lowers what the setting gives, and never raises it. */
void agent_budget_init(struct agent_budget *budget, const json_t *settings, const json_t *options);

/* Why no run can begin under it: a cost limit without a price. NULL: it can. free() it. */
char *agent_budget_problem(const struct agent_budget *budget);

/* Counts an answer's {input_tokens, output_tokens, total_tokens, cached_tokens}; when it has none,
 * what such texts usually take. */
void agent_budget_add(struct agent_budget *budget, const json_t *usage, int64_t estimated_input,
                      int64_t estimated_output);
/* Continues behind an earlier attempt: the larger of what is known and {input_tokens…}. */
void agent_budget_resume(struct agent_budget *budget, const json_t *usage, int64_t turns);

/* {input_tokens, output_tokens, total_tokens, cached_tokens, cost?}: `cost`, in US dollars, when
 * the model has a price; without what was only estimated. */
json_t *agent_budget_usage(const struct agent_budget *budget);
/* The price of one answer's usage; NULL: the model has none. */
json_t *agent_budget_price(const struct agent_budget *budget, const json_t *usage);
double agent_budget_cost(const struct agent_budget *budget);

/* Is one of the limits reached, when the next question takes about `input` tokens? The text says
 * which, beginning with "budget_exhausted: "; NULL: none; free() it. `with_turns`: turns too. */
char *agent_budget_exhausted(const struct agent_budget *budget, int64_t input, bool with_turns);

/* The tokens that the answer to a question of about `input` tokens may have; 0: no limit. */
int64_t agent_budget_answer_tokens(const struct agent_budget *budget, int64_t input);

#endif
