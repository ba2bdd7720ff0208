/* Certificates beside CZMQ, whose form they have: it reads ours, we read its, and its zauth lets
 * our keys in. */
#include "tests/unit/unit.h"

#include <czmq.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/bus_keys.h"
#include "libcommon/mem.h"
#include "tests/unit/folder.h"

enum { WAIT_MS = 10000 };

static const char *path_of(const char *file)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return path;
}

static void write_cert(const char *file, const struct bus_cert *cert, bool secret)
{
    AUTOFREE char *text = bus_cert_format(cert, secret);
    FILE *out = fopen(path_of(file), "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path_of(file), secret ? 0600 : 0644), 0);
}

static struct bus_cert make_cert(enum proto_role role, const char *name)
{
    struct bus_cert cert = {.role = role};
    snprintf(cert.name, sizeof cert.name, "%s", name);
    bus_cert_generate(&cert);
    return cert;
}

static void test_czmq_reads_ours(void **state)
{
    (void)state;
    struct bus_cert cert = make_cert(PROTO_ROLE_CLIENT, "billing");
    snprintf(cert.call, sizeof cert.call, "jobs.submit,jobs.get");
    write_cert("billing.key", &cert, false);
    write_cert("billing.key_secret", &cert, true);

    zcert_t *both = zcert_load(path_of("billing.key"));
    assert_non_null(both);
    assert_string_equal(zcert_public_txt(both), cert.public_key);
    assert_string_equal(zcert_secret_txt(both), cert.secret_key);
    assert_string_equal(zcert_meta(both, "role"), "client");
    assert_string_equal(zcert_meta(both, "name"), "billing");
    assert_string_equal(zcert_meta(both, "call"), "jobs.submit,jobs.get");
    zcert_destroy(&both);
}

static void test_we_read_czmq_s(void **state)
{
    (void)state;
    struct bus_cert secret;
    struct bus_keys *keys = NULL;
    char why[BUS_WHY_SIZE] = "";
    zcert_t *made = zcert_new();
    assert_non_null(made);
    zcert_set_meta(made, "role", "%s", "worker");
    zcert_set_meta(made, "name", "%s", "worker-2");
    assert_int_equal(zcert_save_public(made, path_of("worker-2.key")), 0);
    assert_int_equal(zcert_save_secret(made, path_of("worker-2.key_secret")), 0);
    assert_int_equal(chmod(path_of("worker-2.key_secret"), 0600), 0);

    assert_int_equal(bus_keys_load_secret(path_of("worker-2.key_secret"), &secret, why), ERR_OK);
    assert_string_equal(secret.public_key, zcert_public_txt(made));
    assert_string_equal(secret.secret_key, zcert_secret_txt(made));
    assert_int_equal(bus_keys_load(folder, &keys, why), ERR_OK);
    assert_null(bus_keys_complaint(keys));
    const struct bus_cert *public = bus_keys_find(keys, zcert_public_txt(made));
    assert_non_null(public);
    assert_int_equal(public->role, PROTO_ROLE_WORKER);
    assert_string_equal(public->name, "worker-2");
    bus_keys_destroy(&keys);
    zcert_destroy(&made);
}

static void test_zauth_lets_our_keys_in(void **state)
{
    (void)state;
    struct bus_cert server = make_cert(PROTO_ROLE_BROKER, "broker");
    struct bus_cert client = make_cert(PROTO_ROLE_CLIENT, "client");
    assert_int_equal(mkdir(path_of("admitted"), 0755), 0);
    write_cert("broker.key_secret", &server, true);
    write_cert("client.key_secret", &client, true);
    write_cert("admitted/client.key", &client, false);

    zactor_t *auth = zactor_new(zauth, NULL);
    assert_non_null(auth);
    zstr_sendx(auth, "CURVE", path_of("admitted"), NULL);
    zsock_wait(auth);
    zcert_t *own = zcert_load(path_of("broker.key_secret"));
    zsock_t *router = zsock_new(ZMQ_PULL);
    zcert_apply(own, router);
    zsock_set_curve_server(router, 1);
    int port = zsock_bind(router, "tcp://127.0.0.1:*");
    assert_true(port > 0);
    zcert_t *peer = zcert_load(path_of("client.key_secret"));
    zsock_t *push = zsock_new(ZMQ_PUSH);
    zcert_apply(peer, push);
    zsock_set_curve_serverkey(push, server.public_key);
    assert_int_equal(zsock_connect(push, "tcp://127.0.0.1:%d", port), 0);

    zsock_set_rcvtimeo(router, WAIT_MS);
    zsock_set_sndtimeo(push, WAIT_MS);
    assert_int_equal(zstr_send(push, "let in"), 0);
    AUTOFREE char *heard = zstr_recv(router);
    assert_non_null(heard);
    assert_string_equal(heard, "let in");
    zsock_destroy(&push);
    zsock_destroy(&router);
    zcert_destroy(&own);
    zcert_destroy(&peer);
    zactor_destroy(&auth);
}

int main(void)
{
    zsys_init();
    zsys_handler_set(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_czmq_reads_ours, folder_set_up, folder_tear_down),
        cmocka_unit_test_setup_teardown(test_we_read_czmq_s, folder_set_up, folder_tear_down),
        cmocka_unit_test_setup_teardown(test_zauth_lets_our_keys_in, folder_set_up,
                                        folder_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
