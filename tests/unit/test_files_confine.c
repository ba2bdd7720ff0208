#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "services/files/confine.h"

static char folder[] = "/tmp/confine-XXXXXX", secret[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(secret, sizeof secret, "%s/secret", folder);
    FILE *file = fopen(secret, "w");
    return !file || fclose(file) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(secret);
    return rmdir(folder);
}

static bool has_landlock(void)
{
#ifdef __SANITIZE_ADDRESS__
    return false;
#endif
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

static bool is_refused(long result)
{
    return result < 0 && (errno == EPERM || errno == EACCES);
}

/* The number of the first promise that doesn't hold; 0: all do. */
static int check(void)
{
    bool landlock = has_landlock();
    if (confine() != ERR_OK)
        return 1;
    if (open("/etc/hosts", O_RDONLY) < 0 && errno != ENOENT)
        return 2;
    if (!is_refused(socket(AF_INET, SOCK_STREAM, 0)))
        return 3;
    if (!is_refused(execl("/bin/true", "true", NULL)))
        return 4;
    if (!is_refused(unlink(secret)) || !is_refused(truncate(secret, 1)))
        return 5;
    if (landlock && !is_refused(open(secret, O_RDONLY)))
        return 6;
    if (landlock && !is_refused(open(secret, O_WRONLY)))
        return 7;
    char other[80];
    snprintf(other, sizeof other, "%s.new", secret);
    if (landlock && !is_refused(open(other, O_WRONLY | O_CREAT, 0600)))
        return 8;
    return 0;
}

static void keeps_its_promises(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its own memory is beyond the limit, and there is one thread alone */
#endif
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_its_promises, set_up, tear_down)};
    return cmocka_run_group_tests_name("files_confine", tests, NULL, NULL);
}
