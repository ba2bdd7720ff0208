/* A conversation's earlier turns, as a run is given them. */
#include <inttypes.h>
#include <stdio.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/jobs/store_internal.h"

enum { TURN_TEXT_MAX = 64 * 1024 };
static const char cut_marker[] = "… [cut]";

/* clang-format off */
/* The newest first, until half a megabyte is full. The time of `before` comes from its own row: an
 * id alone says nothing of the order. OFFSET 0: see jobs.get_many. */
#define BEFORE(column)                                                                             \
    "(SELECT " column " FROM own_job_rows WHERE id = $2)"
static const struct pg_statement conversation_statement = {
    "conversation",
    "SELECT id, message, result, created FROM ("
    " SELECT d.*, p.at, sum(octet_length(message) + octet_length(result) + 200)"
    "   OVER (ORDER BY p.at DESC, p.place DESC) AS bytes"
    " FROM (SELECT created_at AS at, id AS place FROM own_conversations"
    "   WHERE conversation_id = $1"
    "    AND (created_at, id) < (" BEFORE("created_at") ", " BEFORE("id") ")"
    "   ORDER BY created_at DESC, id DESC LIMIT 1000) p CROSS JOIN LATERAL"
    "  (SELECT id, " STORE_TIME("created_at") " AS created,"
    "    left(message, 65537) AS message, left(coalesce(result, ''), 65537) AS result"
    "   FROM own_job_rows j WHERE j.id = p.place AND j.status = 'completed' OFFSET 0) d"
    " ORDER BY p.at DESC, p.place DESC LIMIT $3::bigint) t"
    " WHERE bytes <= 500000 ORDER BY at, id",
    true};
/* clang-format on */

struct turns_call {
    store_json_fn *done;
    void *arg;
};

static json_t *capped(const struct pg_rows *rows, size_t row, int column)
{
    return js_string_capped(pg_rows_text(rows, row, column), pg_rows_len(rows, row, column),
                            TURN_TEXT_MAX, cut_marker);
}

static void on_turns(void *arg, enum err error, const struct pg_rows *rows)
{
    struct turns_call *call = arg;
    json_t *turns = json_array();
    for (size_t row = 0; !error && row < pg_rows_count(rows); row++)
        json_array_append_new(
            turns, json_pack("{s:s, s:o, s:s, s:o, s:s}", "job_id", pg_rows_text(rows, row, 0),
                             "message", capped(rows, row, 1), "status", "completed", "result",
                             capped(rows, row, 2), "created_at", pg_rows_text(rows, row, 3)));
    AUTOJSON json_t *result = json_pack("{s:o}", "turns", turns);
    call->done(call->arg, error, error ? NULL : result);
    free(call);
}

void store_conversation(struct store *store, const char *user_id, const char *conversation_id,
                        const char *before, int64_t limit, int64_t timeout_ms, store_json_fn *done,
                        void *arg)
{
    struct turns_call *call = mem_alloc(sizeof *call);
    *call = (struct turns_call){done, arg};
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, limit);
    const char *values[] = {conversation_id, before, number};
    store_read_own(store->reader, user_id, &conversation_statement, timeout_ms, values, 3, on_turns,
                   call);
}
