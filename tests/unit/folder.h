/* A folder of a test's own: made before it and deleted after it. */
#ifndef MCPBUS_TESTS_FOLDER_H
#define MCPBUS_TESTS_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

static char folder[64];

static inline int folder_set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mcpbus_unit.XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static inline int folder_tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

#endif
