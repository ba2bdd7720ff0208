#include "services/worker/agent_budget.h"

#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"

enum {
    TURNS_DEFAULT = 25,
    ANSWER_MIN = 16,     /* tokens; an answer of less says nothing */
    USAGE_MAX = 1 << 30, /* of one answer */
};

/* The longest name in the table that the model's begins with: "gpt-4o" also stands for
 * "gpt-4o-2024-08-06". */
static const json_t *find_prices(const json_t *prices, const char *model)
{
    const json_t *best = NULL;
    const char *name;
    json_t *price;
    size_t longest = 0;
    json_object_foreach((json_t *)prices, name, price)
    {
        size_t len = strlen(name);
        if (len >= longest && strncmp(model, name, len) == 0) {
            best = price;
            longest = len;
        }
    }
    return best;
}

static double number(const json_t *object, const char *key)
{
    double value = json_number_value(json_object_get(object, key));
    return value > 0 ? value : 0;
}

static int64_t lower(int64_t limit, int64_t option)
{
    return option > 0 && (limit <= 0 || option < limit) ? option : limit;
}

void agent_budget_init(struct agent_budget *budget, const json_t *settings, const json_t *options)
{
    double cost = number(options, "max_cost");
    *budget = (struct agent_budget){
        .model = js_str(options, "model", js_str(settings, "model", "")),
        .max_turns =
            lower(js_int(settings, "max_turns", TURNS_DEFAULT), js_int(options, "max_turns", 0)),
        .max_tokens = lower(js_int(settings, "max_tokens", 0), js_int(options, "max_tokens", 0)),
        .max_cost = number(settings, "max_cost"),
    };
    if (cost > 0 && (budget->max_cost <= 0 || cost < budget->max_cost))
        budget->max_cost = cost;
    const json_t *prices = find_prices(json_object_get(settings, "prices"), budget->model);
    budget->priced = prices != NULL;
    for (size_t i = 0; prices && i < 3; i++)
        budget->prices[i] = json_number_value(json_array_get(prices, i));
}

char *agent_budget_problem(const struct agent_budget *budget)
{
    if (budget->max_cost <= 0 || budget->priced)
        return NULL;
    return mem_printf("The run has a cost limit, but MODEL_PRICES has no price for the model "
                      "%.100s.",
                      budget->model);
}

static int64_t count(const json_t *usage, const char *key)
{
    int64_t tokens = js_int(usage, key, 0);
    return tokens < 0 ? 0 : tokens > USAGE_MAX ? USAGE_MAX : tokens;
}

static struct agent_usage usage_of(const json_t *usage)
{
    return (struct agent_usage){count(usage, "input_tokens"), count(usage, "output_tokens"),
                                count(usage, "total_tokens"), count(usage, "cached_tokens")};
}

static void add(struct agent_usage *to, struct agent_usage more)
{
    to->input += more.input;
    to->output += more.output;
    to->total += more.total;
    to->cached += more.cached;
}

void agent_budget_add(struct agent_budget *budget, const json_t *usage, int64_t estimated_input,
                      int64_t estimated_output)
{
    struct agent_usage said = usage_of(usage);
    budget->turns++;
    if (said.total || said.input || said.output)
        add(&budget->usage, said);
    else
        add(&budget->unsaid, (struct agent_usage){estimated_input, estimated_output,
                                                  estimated_input + estimated_output, 0});
}

void agent_budget_resume(struct agent_budget *budget, const json_t *usage, int64_t turns)
{
    struct agent_usage earlier = {
        js_int(usage, "input_tokens", 0), js_int(usage, "output_tokens", 0),
        js_int(usage, "total_tokens", 0), js_int(usage, "cached_tokens", 0)};
    if (earlier.total >= budget->usage.total && earlier.total > 0 && earlier.input >= 0 &&
        earlier.output >= 0 && earlier.cached >= 0)
        budget->usage = earlier;
    if (turns > budget->turns)
        budget->turns = turns;
}

/* Some endpoints count what a model thinks in the total alone: it is paid as output. */
static double cost_of(const struct agent_budget *budget, const struct agent_usage *usage)
{
    int64_t cached = usage->cached < usage->input ? usage->cached : usage->input;
    int64_t unnamed = usage->total - usage->input - usage->output;
    double output = (double)usage->output + (unnamed > 0 ? (double)unnamed : 0);
    return ((double)(usage->input - cached) * budget->prices[0] +
            (double)cached * budget->prices[1] + output * budget->prices[2]) /
           1e6;
}

/* To a billionth: no digits that the prices don't have. */
static json_t *dollars(double cost)
{
    return json_real((double)(int64_t)(cost * 1e9 + 0.5) / 1e9);
}

json_t *agent_budget_usage(const struct agent_budget *budget)
{
    const struct agent_usage *usage = &budget->usage;
    json_t *json = json_pack("{s:I, s:I, s:I, s:I}", "input_tokens", (json_int_t)usage->input,
                             "output_tokens", (json_int_t)usage->output, "total_tokens",
                             (json_int_t)usage->total, "cached_tokens", (json_int_t)usage->cached);
    if (budget->priced)
        json_object_set_new(json, "cost", dollars(cost_of(budget, usage)));
    return json;
}

json_t *agent_budget_price(const struct agent_budget *budget, const json_t *usage)
{
    struct agent_usage said = usage_of(usage);
    return budget->priced ? dollars(cost_of(budget, &said)) : NULL;
}

double agent_budget_cost(const struct agent_budget *budget)
{
    return cost_of(budget, &budget->usage) + cost_of(budget, &budget->unsaid);
}

static int64_t tokens_used(const struct agent_budget *budget)
{
    return budget->usage.total + budget->unsaid.total;
}

/* What is left for an answer; INT64_MAX: no limit. */
static int64_t tokens_left(const struct agent_budget *budget, int64_t input)
{
    return budget->max_tokens > 0 ? budget->max_tokens - tokens_used(budget) - input : INT64_MAX;
}

static int64_t affordable(const struct agent_budget *budget, int64_t input)
{
    if (budget->max_cost <= 0)
        return INT64_MAX;
    double left =
        budget->max_cost - agent_budget_cost(budget) - (double)input * budget->prices[0] / 1e6;
    if (left <= 0)
        return 0;
    double tokens = budget->prices[2] > 0 ? left * 1e6 / budget->prices[2] : 1e15;
    return tokens < 1e15 ? (int64_t)tokens : INT64_MAX;
}

char *agent_budget_exhausted(const struct agent_budget *budget, int64_t input, bool with_turns)
{
    if (with_turns && budget->turns >= budget->max_turns)
        return mem_printf("budget_exhausted: turns: the run was ended after %lld model calls "
                          "without a final answer.",
                          (long long)budget->max_turns);
    if (tokens_left(budget, input) < ANSWER_MIN)
        return mem_printf("budget_exhausted: tokens: the run has used %lld of %lld tokens, and the "
                          "next model call needs about %lld.",
                          (long long)tokens_used(budget), (long long)budget->max_tokens,
                          (long long)input);
    if (affordable(budget, input) < ANSWER_MIN)
        return mem_printf("budget_exhausted: cost: the run has cost about $%.4f of $%.4f, and the "
                          "next model call would cost more than what is left.",
                          agent_budget_cost(budget), budget->max_cost);
    return NULL;
}

int64_t agent_budget_answer_tokens(const struct agent_budget *budget, int64_t input)
{
    int64_t tokens = tokens_left(budget, input), paid = affordable(budget, input);
    int64_t least = tokens < paid ? tokens : paid;
    return least == INT64_MAX ? 0 : least < ANSWER_MIN ? ANSWER_MIN : least;
}
