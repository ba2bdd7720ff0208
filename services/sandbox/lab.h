/* What a test may ask of the sandbox beside Google's API: which requests have come (round trips, a
 * batch counts once), and failures to come. */
#ifndef MCPBUS_SANDBOX_LAB_H
#define MCPBUS_SANDBOX_LAB_H

#include "services/sandbox/sandbox.h"

struct lab;

struct lab *lab_new(void);
void lab_destroy(struct lab **lab_p);

/* Counts a request. */
void lab_note(struct lab *lab, const char *method, const char *path);
/* Answers the call with a failure that was ordered for it; false: there is none. */
bool lab_fail(struct lab *lab, struct call *call);

#endif
