#include "services/monitor/answers.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/map.h"
#include "libcommon/mem.h"

struct answers_entry {
    struct answers *answers;
    char *key;
    uint64_t call; /* under way, or 0 */
    struct asked *waiting, *telling;
    bool is_telling;
    int64_t fresh_ms, keep_ms;
    int64_t asked_at;
    bool has;      /* `last`, which nothing that was done since has made untrue */
    bool outdated; /* what is under way was asked before something was changed */
    struct told last;
};

struct answers {
    struct answers_options options;
    struct map *entries;
};

void told_copy(struct told *to, const struct told *from)
{
    *to = *from;
    json_incref(to->result);
}

void told_fini(struct told *told)
{
    json_decref(told->result);
    told->result = NULL;
}

struct answers *answers_new(const struct answers_options *options)
{
    struct answers *answers = mem_alloc(sizeof(*answers));
    answers->options = *options;
    answers->entries = map_new();
    return answers;
}

static void entry_free(struct answers_entry *entry)
{
    told_fini(&entry->last);
    free(entry->key);
    free(entry);
}

void answers_destroy(struct answers **answers_p)
{
    struct answers *answers = *answers_p;
    struct answers_entry *entry;
    size_t at = 0;
    if (!answers)
        return;
    *answers_p = NULL;
    while ((entry = map_next(answers->entries, &at))) {
        if (entry->call)
            answers->options.give_up(answers->options.arg, entry->call);
        for (struct asked *asked = entry->waiting; asked; asked = asked->next)
            asked->entry = NULL;
        entry_free(entry);
    }
    map_destroy(&answers->entries);
    free(answers);
}

static int64_t now(const struct answers *answers)
{
    return answers->options.now(answers->options.arg);
}

static bool is_fresh(const struct answers_entry *entry, int64_t at)
{
    return entry->has && at - entry->last.at < entry->fresh_ms;
}

/* Whom nobody knows is not waited for: who is waited for has come since. */
static bool may_be_shown(const struct answers_entry *entry, int64_t at)
{
    return entry->has && entry->last.error != ERR_NO_SERVICE &&
           at - entry->last.at < entry->keep_ms;
}

void answers_sweep(struct answers *answers)
{
    struct answers_entry *entry;
    int64_t at = now(answers);
    size_t place = 0;
    while ((entry = map_next(answers->entries, &place))) {
        if (entry->call || entry->waiting || entry->is_telling || is_fresh(entry, at) ||
            may_be_shown(entry, at))
            continue;
        map_take(answers->entries, entry->key, strlen(entry->key));
        entry_free(entry);
    }
}

/* Who is told may ask or drop anything meanwhile. */
static void tell(struct answers_entry *entry)
{
    struct told told;
    struct asked *asked;
    told_copy(&told, &entry->last);
    entry->is_telling = true;
    entry->telling = entry->waiting;
    entry->waiting = NULL;
    while ((asked = entry->telling)) {
        entry->telling = asked->next;
        asked->entry = NULL;
        asked->next = NULL;
        asked->fn(asked->arg, &told);
    }
    entry->is_telling = false;
    told_fini(&told);
}

/* What a replica of an earlier version says; else it is its own "not found", of what was asked for.
 */
static bool is_unknown_to_it(const struct bus_answer *answer)
{
    return answer->error == ERR_NOT_FOUND && strcmp(answer->detail, "no such method") == 0;
}

/* The bus knows that nobody was there, not who it was. */
static void explain(struct answers_entry *entry, const struct bus_answer *answer)
{
    int len = (int)strcspn(entry->key, ".@");
    char *detail = entry->last.detail;
    if (is_unknown_to_it(answer)) {
        entry->last.error = ERR_NO_SERVICE;
        snprintf(detail, TOLD_DETAIL_SIZE,
                 "%.*s is older than the monitor and can't tell this: upgrade it", len, entry->key);
    } else if (answer->error == ERR_NO_SERVICE) {
        snprintf(detail, TOLD_DETAIL_SIZE, "no replica of %.*s runs", len, entry->key);
    } else if (answer->error == ERR_TIMEOUT || answer->error == ERR_PEER_LOST) {
        snprintf(detail, TOLD_DETAIL_SIZE, "%.*s does not answer", len, entry->key);
    } else {
        snprintf(detail, TOLD_DETAIL_SIZE, "%s", answer->detail);
    }
}

static void answered(void *arg, const struct bus_answer *answer)
{
    struct answers_entry *entry = arg;
    if (!answer->last)
        return;
    entry->call = 0;
    told_fini(&entry->last);
    entry->last = (struct told){.error = answer->error,
                                .retry_after_ms = answer->retry_after_ms,
                                .at = now(entry->answers)};
    if (answer->error)
        explain(entry, answer);
    else
        entry->last.result = json_incref(answer->result);
    entry->has = !entry->outdated;
    tell(entry);
}

static void ask(struct answers_entry *entry, const char *method, json_t *args, int64_t timeout_ms)
{
    struct answers *answers = entry->answers;
    entry->outdated = false;
    entry->asked_at = now(answers);
    entry->call =
        answers->options.ask(answers->options.arg, method, args, timeout_ms, answered, entry);
}

static struct answers_entry *entry_of(struct answers *answers, const struct question *question)
{
    AUTOFREE char *args = json_dumps(question->args, JSON_COMPACT | JSON_SORT_KEYS);
    AUTOFREE char *key = mem_printf("%s %s", question->method, args ? args : "");
    struct answers_entry *entry = map_get(answers->entries, key, strlen(key));
    if (entry)
        return entry;
    answers_sweep(answers);
    if (map_count(answers->entries) >= ANSWERS_MAX)
        return NULL;
    entry = mem_alloc(sizeof(*entry));
    entry->answers = answers;
    entry->key = mem_strdup(key);
    map_put(answers->entries, key, strlen(key), entry);
    return entry;
}

bool answers_ask(struct answers *answers, struct asked *asked, struct question question,
                 struct told *ret_told)
{
    struct answers_entry *entry = entry_of(answers, &question);
    if (!entry) {
        json_decref(question.args);
        *ret_told = (struct told){.error = ERR_OVERLOADED, .at = now(answers)};
        snprintf(ret_told->detail, sizeof(ret_told->detail),
                 "too many different requests are under way");
        return true;
    }
    entry->fresh_ms = question.fresh_ms;
    entry->keep_ms = question.keep_ms;
    int64_t at = now(answers);
    bool is_late = entry->call && at - entry->asked_at >= question.patience_ms;
    if ((!entry->call && is_fresh(entry, at)) || (is_late && may_be_shown(entry, at))) {
        json_decref(question.args);
        told_copy(ret_told, &entry->last);
        return true;
    }
    if (entry->call && entry->outdated) {
        answers->options.give_up(answers->options.arg, entry->call);
        entry->call = 0;
    }
    if (entry->call)
        json_decref(question.args);
    else
        ask(entry, question.method, question.args, question.timeout_ms);
    asked->entry = entry;
    asked->next = entry->waiting;
    entry->waiting = asked;
    return false;
}

static bool unlink_from(struct asked **list, const struct asked *asked)
{
    while (*list && *list != asked)
        list = &(*list)->next;
    if (!*list)
        return false;
    *list = asked->next;
    return true;
}

void answers_drop(struct asked *asked)
{
    if (!asked->entry)
        return;
    if (!unlink_from(&asked->entry->waiting, asked))
        unlink_from(&asked->entry->telling, asked);
    asked->entry = NULL;
    asked->next = NULL;
}

bool answers_settle(struct answers *answers, struct asked *asked, struct told *ret_told)
{
    struct answers_entry *entry = asked->entry;
    if (!entry || !may_be_shown(entry, now(answers)))
        return false;
    told_copy(ret_told, &entry->last);
    answers_drop(asked);
    return true;
}

void answers_expire(struct answers *answers)
{
    struct answers_entry *entry;
    size_t at = 0;
    while ((entry = map_next(answers->entries, &at))) {
        entry->has = false;
        entry->outdated = true;
    }
}
