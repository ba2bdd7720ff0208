/* The event loop of a process: one thread, level-triggered epoll, timers and sources. Everything
 * registered here runs on the loop's thread; only loop_stop is safe from elsewhere (a signal fd is
 * the loop's own).
 *
 * A *source* is something with work that epoll cannot see (a ZeroMQ socket's edge, libmicrohttpd's
 * resumed connections). Its turn() is called before each sleep and says whether it did anything;
 * the loop sleeps only after a whole pass in which no source did, so no wake-up is ever lost.
 * Sources take their turns in the order in which they were added. */
#ifndef MCPBUS_LOOP_H
#define MCPBUS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "libcommon/err.h"

struct loop;
struct loop_timer;

struct loop *loop_new(void);
void loop_destroy(struct loop **loop_p);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Runs until `done(arg)` is true or `timeout_ms` passed; true when done. For tests and shutdown. */
bool loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_ms);
/* The same, whoever stops the loop meanwhile: for ends that several wait for at once. */
bool loop_run_through(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_ms);
/* As loop_run_until where only this loop's own callbacks change what `done` says: it sleeps until
 * one is due, however long that is. A negative timeout: without an end. */
bool loop_wait_until(struct loop *loop, bool (*done)(void *arg), void *arg, int64_t timeout_ms);
void loop_stop(struct loop *loop);

/* Milliseconds of CLOCK_MONOTONIC, as of the loop's last wake-up (cheap). */
int64_t loop_now(const struct loop *loop);

/* Calls fn(arg, events) while fd has any of `events` (EPOLLIN, EPOLLOUT, EPOLLET…). The loop does
 * not own the fd; remove it before closing it. One watch for each fd. */
typedef void loop_fd_fn(void *arg, uint32_t events);
void loop_fd_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg);
void loop_fd_change(struct loop *loop, int fd, uint32_t events);
void loop_fd_remove(struct loop *loop, int fd); /* no-op when not watched */

/* A timer fires once, `delay_ms` from now, then is inactive; start it again for a period. It may be
 * started, stopped or destroyed from within any callback, its own included. */
typedef void loop_timer_fn(void *arg);
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *arg);
void loop_timer_destroy(struct loop_timer **timer_p);
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms); /* restarts an active one */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_active(const struct loop_timer *timer);

/* Calls fn(arg) once from the loop, before it next sleeps, never from within the caller. */
void loop_defer(struct loop *loop, loop_timer_fn *fn, void *arg);
/* Those of fn(arg) that are still to come won't. */
void loop_defer_cancel(struct loop *loop, loop_timer_fn *fn, void *arg);

typedef bool loop_source_fn(void *arg);
void loop_source_add(struct loop *loop, loop_source_fn *turn, void *arg);
void loop_source_remove(struct loop *loop, loop_source_fn *turn, void *arg);

/* Calls fn(arg, signo) on each of the signals `signos` (0-terminated), which are blocked here for
 * the process: call before any thread is made. */
typedef void loop_signal_fn(void *arg, int signo);
void loop_signals(struct loop *loop, const int *signos, loop_signal_fn *fn, void *arg);

#endif
