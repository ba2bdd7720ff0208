/* The items of batches. */
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_db.h"
#include "tests/sim/sim_store.h"

void *item_copy(enum op op, const void *item)
{
    static const size_t sizes[OP_GROUPS] = {
        sizeof(struct store_submit), sizeof(struct store_claim),  sizeof(struct store_append),
        sizeof(struct store_finish), sizeof(struct store_finish), sizeof(struct store_renew)};
    void *copy = sim_new(sizes[op]);
    memcpy(copy, item, sizes[op]);
    if (op == OP_SUBMIT) {
        struct store_submit *submit = copy;
        submit->job_id = sim_text(submit->job_id);
        submit->user_id = sim_text(submit->user_id);
        submit->message = sim_text(submit->message);
        submit->key = sim_text(submit->key);
        submit->hash = sim_text(submit->hash);
        submit->session = sim_text(submit->session);
    } else if (op == OP_APPEND) {
        struct store_append *append = copy;
        append->job_id = sim_text(append->job_id);
        struct store_event *events = sim_new(append->count * sizeof *events);
        for (size_t i = 0; i < append->count; i++)
            events[i] = (struct store_event){sim_text(append->events[i].type),
                                             sim_text(append->events[i].data)};
        append->events = events;
    } else if (op == OP_FINISH || op == OP_PARK) {
        struct store_finish *finish = copy;
        finish->job_id = sim_text(finish->job_id);
        finish->outcome = sim_text(finish->outcome);
        finish->result = sim_text(finish->result);
        finish->error_message = sim_text(finish->error_message);
        finish->token_usage = sim_text(finish->token_usage);
        finish->env_names = sim_text(finish->env_names);
    } else if (op == OP_RENEW) {
        struct store_renew *renew = copy;
        struct instance *was = sim_world();
        renew->session = sim_text(renew->session);
        renew->held = json_deep_copy(renew->held);
        sim_back(was);
    }
    return copy;
}

static void give_submit(struct store_submit *item, const struct store_submit *copy)
{
    item->error = copy->error;
    item->claimed = copy->claimed;
    memcpy(item->existing, copy->existing, sizeof item->existing);
    memcpy(item->created_at, copy->created_at, sizeof item->created_at);
    item->done(item);
}

static void give_claim(struct store_claim *item, const struct store_claim *copy)
{
    char created_at[STORE_TIME_SIZE];
    const struct db_job *job = copy->error ? NULL : db_find(sim_db(), copy->job_id);
    item->error = copy->error;
    item->attempt = copy->attempt;
    item->events = copy->events;
    item->user_id = copy->user_id;
    item->message = copy->message;
    item->created_at = "";
    if (job) {
        db_time(job->created_at, created_at);
        item->created_at = created_at;
    }
    item->done(item);
}

void item_give(enum op op, void *item, const void *copy)
{
    if (op == OP_SUBMIT) {
        give_submit(item, copy);
    } else if (op == OP_CLAIM) {
        give_claim(item, copy);
    } else if (op == OP_APPEND) {
        struct store_append *append = item;
        append->error = ((const struct store_append *)copy)->error;
        append->last = ((const struct store_append *)copy)->last;
        append->done(append);
    } else if (op == OP_FINISH || op == OP_PARK) {
        struct store_finish *finish = item;
        const struct store_finish *from = copy;
        finish->error = from->error;
        memcpy(finish->fate, from->fate, sizeof finish->fate);
        memcpy(finish->user_id, from->user_id, sizeof finish->user_id);
        finish->done(finish);
    } else {
        struct store_renew *renew = item;
        const struct store_renew *from = copy;
        renew->error = from->error;
        renew->ret_held = from->ret_held ? json_deep_copy(from->ret_held) : json_array();
        memcpy(renew->renewed_at, from->renewed_at, sizeof renew->renewed_at);
        renew->done(renew);
    }
}

void item_set_error(enum op op, void *copy, enum err error)
{
    if (op == OP_SUBMIT || op == OP_LOOKUP)
        ((struct store_submit *)copy)->error = error;
    else if (op == OP_CLAIM)
        ((struct store_claim *)copy)->error = error;
    else if (op == OP_APPEND)
        ((struct store_append *)copy)->error = error;
    else if (op == OP_FINISH || op == OP_PARK)
        ((struct store_finish *)copy)->error = error;
    else
        ((struct store_renew *)copy)->error = error;
}
