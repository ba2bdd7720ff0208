/* The process of one run, between fork and _exit: plain blocking code. Its socket leads to the
 * worker's loop:
 *   loop → run: {"t":"job", job_id, message, servers, history?, max_turns, tool_timeout_ms,
 * soft_ms}
 *               {"t":"answer", message, usage} | {"t":"answer", error, outcome}
 *               {"t":"ack", until} for each event sent with "ack": what it announced may be done
 * while clock_ms is below `until`
 *   run → loop: {"t":"ask", messages, tools?}   {"t":"event", type, data, ack}
 *               {"t":"done", outcome, result?, error_message?, token_usage} */
#ifndef MCPBUS_WORKER_RUN_H
#define MCPBUS_WORKER_RUN_H

/* The exit status. */
int run_main(int fd);

#endif
