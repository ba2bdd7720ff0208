/* A row's columns as JSON, for what operators read. */
#ifndef MCPBUS_JOBS_STORE_JSON_H
#define MCPBUS_JOBS_STORE_JSON_H

#include "services/jobs/store_internal.h"

/* New references; SQL's NULL is null. */
json_t *store_json_text(const struct pg_rows *rows, size_t row, int column);
json_t *store_json_number(const struct pg_rows *rows, size_t row, int column);
/* What isn't an object is null. */
json_t *store_json_object(const struct pg_rows *rows, size_t row, int column);
/* As jobs.get gives it. */
json_t *store_json_usage(const struct pg_rows *rows, size_t row, int column);

/* Whom to answer. */
struct store_json_call *store_json_call(store_json_fn *done, void *arg);
/* Consumes the result. */
void store_json_end(struct store_json_call *call, enum err error, json_t *result);

#endif
