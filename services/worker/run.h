/* The process of one run, between fork and _exit: plain code on a loop of its own. Its socket leads
 * to the worker's loop. Frames, loop → run:
 *   {"t":"job", job_id, message, servers, tool_timeout_ms, soft_ms, tool_processes, tool_memory,
 *    settings?: the deployment's (see agent_config.h),
 *    options?: {model?, tools?: [SERVER or SERVER__TOOL], max_turns?, max_tokens?, max_cost?},
 *    conversation?: [{message, result}] oldest first: earlier jobs of the same conversation,
 *    user?: {name?, email?, time_zone?},
 *    usage?: {input_tokens, output_tokens, total_tokens, cached_tokens, cost?} of earlier attempts,
 *    history?: what earlier attempts did (see history.h),
 *    known: {server: {tools, era, …}}: what was remembered (see mcp_client_known),
 *    http: {proxy?, no_proxy?, ca_bundle?}}; a server whose tools can be remembered has a `key`
 *   {"t":"answer", message: {role, content, refusal?, tool_calls?}, usage: as above,
 *    finish_reason?, model?, retries?, retry_reason?}, or {"t":"answer", error, code, outcome}:
 * with the code "context_length_exceeded" the run asks again with less
 *   {"t":"ack", until} for each event sent with "ack": what it announced may be done while clock_ms
 *    is below `until`
 * run → loop:
 *   {"t":"ask", messages, tools?, tool_choice?: "none", model?, max_completion_tokens?,
 *    turn: as the events will say it}
 *   {"t":"event", type, data, ack}: message, tool_call, tool_result, progress, waiting_approval
 *   {"t":"remember", server, tools?, era?, …}: for the next run's `known`; without tools: forget it
 *   {"t":"done", outcome, result?, error_message?, token_usage}: completed, failed, retry, or
 *    waiting: for approval, after waiting_approval is on record. token_usage counts earlier
 *    attempts too. */
#ifndef MCPBUS_WORKER_RUN_H
#define MCPBUS_WORKER_RUN_H

/* The exit status. */
int run_main(int fd);

#endif
