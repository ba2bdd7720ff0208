/* Certificates and the folder that they lie in. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/bus_keys.h"
#include "libcommon/mem.h"
#include "tests/unit/folder.h"

static void write_text(const char *name, const char *text, mode_t mode)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static struct bus_cert cert_of(enum proto_role role, const char *name)
{
    struct bus_cert cert = {.role = role};
    snprintf(cert.name, sizeof cert.name, "%s", name);
    bus_cert_generate(&cert);
    return cert;
}

static void write_cert(const char *file, const struct bus_cert *cert, bool secret)
{
    char *text = bus_cert_format(cert, secret);
    write_text(file, text, secret ? 0600 : 0644);
    free(text);
}

static enum err parse(const char *text, struct bus_cert *ret_cert)
{
    char why[BUS_WHY_SIZE] = "";
    enum err err = bus_cert_parse(text, strlen(text), ret_cert, why);
    assert_true(!err == !*why);
    return err;
}

static void test_a_certificate_there_and_back(void **state)
{
    (void)state;
    struct bus_cert cert = cert_of(PROTO_ROLE_CLIENT, "billing"), back = {0};
    snprintf(cert.call, sizeof cert.call, "jobs.submit,mail.*");
    snprintf(cert.serve, sizeof cert.serve, "billing");
    char *text = bus_cert_format(&cert, true);
    assert_int_equal(parse(text, &back), ERR_OK);
    assert_memory_equal(&back, &cert, sizeof cert);
    free(text);
    text = bus_cert_format(&cert, false);
    assert_null(strstr(text, cert.secret_key));
    assert_int_equal(parse(text, &back), ERR_OK);
    assert_string_equal(back.secret_key, "");
    free(text);
}

#define KEY "?fIC^bdV0L6ZNA&^zC#vc)[LiQ<2>K9]&ryh%gx3"
#define CURVE "curve\n    public-key = \"" KEY "\"\n"
#define METADATA "metadata\n    role = \"worker\"\n    name = \"w\"\n"

/* As CZMQ writes it, with what it lets people write. */
static void test_forms_that_are_read(void **state)
{
    (void)state;
    static const char *const good[] = {
        METADATA CURVE,
        CURVE METADATA,
        "#   ****  Generated on 2026-11-26 by CZMQ  ****\n\n" METADATA "    x = 1\n\n" CURVE,
        "metadata\r\n    role = worker\r\n    name = 'w'   # mine\r\n" CURVE,
        "other\n    role = \"admin\"\n" METADATA CURVE,
        METADATA "curve\n    public-key = '" KEY "'",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct bus_cert cert = {0};
        assert_int_equal(parse(good[i], &cert), ERR_OK);
        assert_int_equal(cert.role, PROTO_ROLE_WORKER);
        assert_string_equal(cert.name, "w");
        assert_string_equal(cert.public_key, KEY);
    }
}

static void test_what_is_not_a_certificate(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "curve\n",
        CURVE,
        METADATA,
        "metadata\n    role = \"king\"\n    name = \"w\"\n" CURVE,
        "metadata\n    role = \"worker\"\n" CURVE,
        "metadata\n    role = \"worker\"\n    role = \"admin\"\n    name = \"w\"\n" CURVE,
        "metadata\n    role = \"worker\n    name = \"w\"\n" CURVE,
        "metadata\n    role = \"worker\" admin\n    name = \"w\"\n" CURVE,
        "metadata\n    role = \"worker\"\n    name = \"../w\"\n" CURVE,
        "metadata\n  role = \"worker\"\n    name = \"w\"\n" CURVE,
        "    role = \"worker\"\n    name = \"w\"\n" CURVE,
        METADATA "    call = \"jobs.submit\"\n" CURVE,
        "metadata\n    role = \"client\"\n    name = \"c\"\n    serve = \"jobs\"\n" CURVE,
        "metadata\n    role = \"client\"\n    name = \"c\"\n    serve = \"a b-\"\n" CURVE,
        "metadata\n    role = \"client\"\n    name = \"c\"\n    call = \"jobs\"\n" CURVE,
        "metadata\n    role = \"client\"\n    name = \"c\"\n    call = \"*.submit\"\n" CURVE,
        METADATA "curve\n    public-key = \"short\"\n",
        METADATA "curve\n    public-key = \"#####################################,##\"\n",
        METADATA "curve\n    public-key = \"########################################\"\n",
        METADATA CURVE "    secret-key = \"" KEY "\"\n",
        "what is this?\n" METADATA CURVE,
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bus_cert cert = {.name = "untouched"};
        assert_int_equal(parse(bad[i], &cert), ERR_INVALID);
        assert_string_equal(cert.name, "untouched");
    }
    char why[BUS_WHY_SIZE];
    struct bus_cert cert;
    static const char nul[] = METADATA "\0" CURVE;
    assert_int_equal(bus_cert_parse(nul, sizeof nul - 1, &cert, why), ERR_INVALID);
    static char large[BUS_CERT_MAX_BYTES + 2];
    memset(large, '\n', sizeof large - 1);
    memcpy(large, METADATA CURVE, strlen(METADATA CURVE));
    assert_int_equal(parse(large, &cert), ERR_INVALID);
}

static void test_lists(void **state)
{
    (void)state;
    assert_true(bus_cert_lists("a.b,c.d", "c.d"));
    assert_true(bus_cert_lists("a.b, c.*", "c.d"));
    assert_true(bus_cert_lists("billing", "billing"));
    assert_false(bus_cert_lists("", "c.d"));
    assert_false(bus_cert_lists("c.da,xc.d,c.dd", "c.d"));
    assert_false(bus_cert_lists("c.*", "ca.d"));
    assert_false(bus_cert_lists("c.*", "c"));
    assert_false(bus_cert_lists("*", "c.d"));
}

static struct bus_keys *load(void)
{
    struct bus_keys *keys = NULL;
    char why[BUS_WHY_SIZE] = "";
    assert_int_equal(bus_keys_load(folder, &keys, why), ERR_OK);
    return keys;
}

static void test_a_folder(void **state)
{
    (void)state;
    struct bus_cert worker = cert_of(PROTO_ROLE_WORKER, "worker");
    struct bus_cert broker = cert_of(PROTO_ROLE_BROKER, "broker");
    write_cert("worker.key", &worker, false);
    write_cert("worker.key_secret", &worker, true);
    write_cert("broker.key", &broker, false);
    write_cert("broker.again.key", &broker, false);
    write_cert(".hidden.key", &broker, false);
    write_text("README", "what lies here", 0644);
    struct bus_keys *keys = load();
    assert_int_equal(bus_keys_count(keys), 2);
    assert_int_equal(bus_keys_find(keys, worker.public_key)->role, PROTO_ROLE_WORKER);
    assert_string_equal(bus_keys_find(keys, worker.public_key)->secret_key, "");
    assert_null(bus_keys_find(keys, KEY));
    assert_null(bus_keys_complaint(keys));
    bus_keys_destroy(&keys);
}

/* What is wrong takes nobody else's key away, and gives nobody a right. */
static void test_bad_files_count_for_nothing(void **state)
{
    (void)state;
    struct bus_cert worker = cert_of(PROTO_ROLE_WORKER, "worker");
    struct bus_cert twice = cert_of(PROTO_ROLE_GATEWAY, "gateway");
    char path[160];
    write_cert("worker.key", &worker, false);
    write_cert("one.key", &twice, false);
    twice.role = PROTO_ROLE_ADMIN;
    write_cert("two.key", &twice, false);
    write_text("bad.key", "nothing", 0644);
    snprintf(path, sizeof path, "%s/folder.key", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/pipe.key", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    struct bus_keys *keys = load();
    assert_non_null(bus_keys_find(keys, worker.public_key));
    assert_null(bus_keys_find(keys, twice.public_key));
    assert_non_null(bus_keys_complaint(keys));
    bus_keys_destroy(&keys);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct bus_keys *keys = NULL;
    char why[BUS_WHY_SIZE] = "";
    assert_int_equal(bus_keys_load("/nonexistent", &keys, why), ERR_INVALID);
    assert_null(keys);
    assert_non_null(strstr(why, "/nonexistent"));
    assert_int_equal(bus_keys_stamp("/nonexistent"), 0);
}

static void test_too_many_files(void **state)
{
    (void)state;
    struct bus_keys *keys = NULL;
    char why[BUS_WHY_SIZE] = "", name[96];
    for (int i = 0; i <= 8192; i++) {
        snprintf(name, sizeof name, "%d.txt", i);
        write_text(name, "", 0600);
    }
    assert_int_equal(bus_keys_load(folder, &keys, why), ERR_INVALID);
    assert_non_null(strstr(why, "more than 8192 files"));
    for (int i = 0; i <= 8192; i++) {
        snprintf(name, sizeof name, "%s/%d.txt", folder, i);
        unlink(name);
    }
    assert_int_equal(bus_keys_load(folder, &keys, why), ERR_OK);
    bus_keys_destroy(&keys);
}

static void test_the_stamp_tells_every_change(void **state)
{
    (void)state;
    struct bus_cert one = cert_of(PROTO_ROLE_WORKER, "w"), two = cert_of(PROTO_ROLE_WORKER, "w");
    uint64_t stamps[4];
    stamps[0] = bus_keys_stamp(folder);
    write_cert("w.key", &one, false);
    stamps[1] = bus_keys_stamp(folder);
    assert_int_equal(bus_keys_stamp(folder), stamps[1]);
    write_cert("x.key", &two, false); /* replaced by a file of the same size at the same moment */
    char from[160], to[160];
    snprintf(from, sizeof from, "%s/x.key", folder);
    snprintf(to, sizeof to, "%s/w.key", folder);
    assert_int_equal(rename(from, to), 0);
    stamps[2] = bus_keys_stamp(folder);
    assert_int_equal(unlink(to), 0);
    stamps[3] = bus_keys_stamp(folder);
    assert_int_not_equal(stamps[0], stamps[1]);
    assert_int_not_equal(stamps[1], stamps[2]);
    assert_int_not_equal(stamps[2], stamps[3]);
    assert_int_equal(stamps[3], stamps[0]);
}

static void test_a_secret_that_others_can_read(void **state)
{
    (void)state;
    struct bus_cert worker = cert_of(PROTO_ROLE_WORKER, "worker"), back;
    char path[160], why[BUS_WHY_SIZE] = "";
    snprintf(path, sizeof path, "%s/worker.key_secret", folder);
    write_cert("worker.key_secret", &worker, true);
    assert_int_equal(bus_keys_load_secret(path, &back, why), ERR_OK);
    assert_string_equal(back.secret_key, worker.secret_key);
    static const mode_t bad[] = {0604, 0602, 0601, 0620, 0644, 0666};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        assert_int_equal(bus_keys_load_secret(path, &back, why), ERR_INVALID);
        assert_non_null(strstr(why, "chmod 600"));
        assert_null(strstr(why, worker.secret_key));
    }
    assert_int_equal(chmod(path, 0440), 0); /* root's, for the service's group */
    assert_int_equal(bus_keys_load_secret(path, &back, why), ERR_OK);
    write_cert("worker.key", &worker, false);
    snprintf(path, sizeof path, "%s/worker.key", folder);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(bus_keys_load_secret(path, &back, why), ERR_INVALID); /* no secret in it */
    assert_int_equal(bus_keys_load_secret("/nonexistent", &back, why), ERR_INVALID);
}

#define KEYS_TEST(f) cmocka_unit_test_setup_teardown(f, folder_set_up, folder_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_certificate_there_and_back),
        cmocka_unit_test(test_forms_that_are_read),
        cmocka_unit_test(test_what_is_not_a_certificate),
        cmocka_unit_test(test_lists),
        KEYS_TEST(test_a_folder),
        KEYS_TEST(test_bad_files_count_for_nothing),
        KEYS_TEST(test_no_folder),
        KEYS_TEST(test_too_many_files),
        KEYS_TEST(test_the_stamp_tells_every_change),
        KEYS_TEST(test_a_secret_that_others_can_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
