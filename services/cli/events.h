/* A job's events as people read them. */
#ifndef MCPBUS_CLI_EVENTS_H
#define MCPBUS_CLI_EVENTS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* What a job does now, by the events so far. Embedded by value, zeroed at first. */
struct activity {
    int64_t turn, tokens; /* of the model's answers; tokens so far */
    int calls;            /* of tools, that go on */
    char tool[128];       /* the last that was called */
    char doing[192];      /* for a line of progress: "turn 2 · gmail__search" */
};
void activity_note(struct activity *activity, const json_t *event);

/* "    3     0.42 s  tool_call    …": a line of `out`, cut to the terminal's width there. `began`:
 * the time of the first event, in ms; 0: this is the first, which sets it. */
void event_print(FILE *out, const json_t *event, int64_t *began);

#endif
