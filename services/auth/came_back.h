/* What a browser brings back from the provider, judged before anything is done with it. Loop's
 * thread only. */
#ifndef MCPBUS_AUTH_CAME_BACK_H
#define MCPBUS_AUTH_CAME_BACK_H

#include "services/auth/auth.h"
#include "services/auth/state.h"

/* True: a code, and a state that was sealed here for this purpose, of `args`; the state is the
 * caller's. False: the call has been answered, and the refusal logged. */
bool came_back(struct auth *auth, struct bus_call **call_p, const json_t *args,
               enum state_purpose purpose, struct state *ret_state);

#endif
