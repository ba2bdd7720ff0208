#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcommon/harden.h"

/* Of /proc/self/status, as a number; −1: there is none. */
static long long status_of(const char *name)
{
    char line[256];
    long long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
            value = strtoll(line + strlen(name) + 1, NULL, 16);
    if (file)
        fclose(file);
    return value;
}

static int look(bool dumps)
{
    struct rlimit core;
    const long long kept = 1 << 10 | 1 << 2; /* CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH */
    long long had = status_of("CapPrm");
    harden(dumps);
    getrlimit(RLIMIT_CORE, &core);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 1;
    if (status_of("CapPrm") != (had & kept) || status_of("CapEff") & ~kept || status_of("CapAmb") ||
        status_of("CapInh"))
        return 2;
    if (geteuid() == 0 && status_of("CapBnd") & ~kept)
        return 3;
    if (!dumps && (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || core.rlim_max != 0))
        return 4;
    return 0;
}

static void in_a_child(bool dumps)
{
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(look(dumps));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void gives_up_what_it_does_not_need(void **state)
{
    (void)state;
    in_a_child(true);
    in_a_child(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gives_up_what_it_does_not_need)};
    return cmocka_run_group_tests_name("harden", tests, NULL, NULL);
}
