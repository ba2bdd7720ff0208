/* Ceilings for a process that parses files which anyone may have made. */
#ifndef MCPBUS_FILES_CONFINE_H
#define MCPBUS_FILES_CONFINE_H

#include "libcommon/err.h"

/* From here on the process has little time and memory, opens no socket, starts no program and
 * looks into no other process; where the kernel has Landlock it reads what the system consists of
 * and no other file, and writes none. ERR_INTERNAL: the kernel does not allow that to be set up. */
MUST_CHECK enum err confine(void);

#endif
