/* Failures on request: "[sandbox:429x2]" in a message, or the same word in a header, makes the
 * model fail so. Pure but for the counters. */
#ifndef MCPBUS_SANDBOX_FAULTS_H
#define MCPBUS_SANDBOX_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

struct faults;

/* What is to happen to one answer. */
struct fault {
    int status;      /* 400 to 599: answer so; 0: none */
    bool quota;      /* the 429 is of the kind that waiting does not cure */
    int64_t slow_ms; /* hold the answer back for so long */
    bool cut;        /* break off in the middle of the answer */
    bool garbage;    /* answer 200 with something that is not JSON */
    bool loop;       /* call a tool for ever */
    /* Of streams: a pause between two events; silence in the middle; an error in the middle; no
     * [DONE] */
    int64_t drip_ms;
    bool stall, broken, no_done;
    bool no_stream, no_options, no_usage; /* refuse to stream, refuse stream_options; tell none */
    bool refusal;                         /* decline in the model's words */
    char finish[32];                      /* this finish_reason, with half of the text; "": none */
    int64_t window;                       /* tokens that the model reads at most; 0: any */
    int64_t retry_after_ms;               /* for a 429 or 503; 0: a second */
};

struct faults *faults_new(void);
void faults_destroy(struct faults **faults_p);

/* Reads the words in `text` ("[sandbox:WORD]", several allowed) and `header` (words separated by
 * commas, may be NULL). A word that ends with xN holds only for the first N requests of that text.
 */
struct fault faults_take(struct faults *faults, const char *text, const char *header);

#endif
