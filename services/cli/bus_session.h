/* The bus, as commands see it: a client of libmcpbus that waits, answers Ctrl-C, and says what to
 * do when there is no way in. */
#ifndef MCPBUS_CLI_BUS_SESSION_H
#define MCPBUS_CLI_BUS_SESSION_H

#include <jansson.h>
#include <stdint.h>

#include "libmcpbus/mcpbus.h"
#include "services/cli/bus_settings.h"

struct bus_session;

/* By the options of bus_options_common. An enum cli_status: not CLI_OK, said on stderr. */
int session_open(const struct args *args, struct bus_session **ret_session);
void session_close(struct bus_session **session_p);

/* Only to these brokers, without a word: why not is in `ret_error`. */
enum mcpbus_status session_connect(const struct bus_settings *settings, const char *brokers,
                                   int64_t wait_ms, struct bus_session **ret_session,
                                   struct mcpbus_error *ret_error);

/* The same when the settings are known. */
int session_open_by(const struct bus_settings *settings, struct bus_session **ret_session);

/* How long to wait for a broker: --timeout, ten seconds at most, else four. */
int64_t session_connect_ms(const struct bus_settings *settings);

/* How long a call may take; --timeout, else 30 s. */
void session_set_timeout(struct bus_session *session, int64_t timeout_ms);

/* Calls and waits; `args` is consumed; `part` (may be NULL) gets the parts of a stream. On
 * MCPBUS_OK `ret_result` is the caller's; else session_error says more. Ctrl-C:
 * MCPBUS_ERR_CANCELLED. */
typedef void session_part_fn(void *arg, const json_t *part);
enum mcpbus_status session_call(struct bus_session *session, const char *method, json_t *args,
                                session_part_fn *part, void *arg, json_t **ret_result);
/* Best effort; MCPBUS_ERR_NO_SERVICE when the brokers know nobody to send it to. */
enum mcpbus_status session_send(struct bus_session *session, const char *method, json_t *args);
const struct mcpbus_error *session_error(const struct bus_session *session);

/* Says on stderr why `what` failed and what to do about it, and with --json on stdout as
 * {"error", "detail", "retry", "retry_after_ms"}; the exit status. */
int session_fail(const struct bus_session *session, const char *what);
/* The same of what the command itself found; `error` is a name of the wire ("NOT_FOUND").
 * CLI_FAILED. */
__attribute__((format(printf, 3, 4))) int
session_refuse(const struct bus_session *session, const char *error, const char *format, ...);

/* {"instance", "brokers", "services": {name: [instance, …]}}, the caller's: once so many brokers
 * are connected and have nothing more to tell, or `wait_ms` have passed. */
json_t *session_overview(struct bus_session *session, size_t brokers, int64_t wait_ms);

/* From now on Ctrl-C and SIGTERM are counted instead of ending the process. */
void interrupts_count(void);
int interrupts(void);
/* Sleeps; false: there are others than the `known` ones. */
bool interrupts_pause(int known, int64_t ms);

#endif
