/* mcpbus secrets status: which key encrypts how many of the stored Google tokens. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/output.h"
#include "services/cli/own_settings.h"
#include "services/token_keys.h"

enum { WHY_SIZE = 512 };

/* {key id: sessions}; "" stands for tokens that are not encrypted. */
static const char counts_sql[] =
    "SELECT coalesce(json_object_agg(id, n), '{}') FROM ("
    " SELECT coalesce(substring(token_data::text FROM '\"v1\\.([0-9a-f]{8})\\.'), '') AS id,"
    "  count(*) AS n FROM user_sessions WHERE position('token' IN token_data::text) > 0"
    " GROUP BY 1) counts";

static const struct needed_setting needed[] = {
    {"DATABASE_URL", "that of the auth service", offsetof(struct settings, database_url)},
    {"JWT_SECRET", "that of the auth service", offsetof(struct settings, jwt_secret)},
    {NULL, NULL, 0},
};

static enum err read_counts(const char *url, bool json, json_t **ret_counts)
{
    struct pg_blocking *pg = NULL;
    char why[WHY_SIZE] = "";
    AUTOFREE char *text = NULL;
    enum err err = pg_blocking_open(url, &pg, why);
    if (!err)
        err = pg_blocking_value(pg, counts_sql, NULL, 0, &text, why);
    if (!err)
        err = js_parse(text, strlen(text), ret_counts, NULL);
    if (err && !why[0])
        snprintf(why, sizeof why, "the database gave no answer that makes sense");
    if (err && json)
        output_error(err_name(err), why, err == ERR_PEER_LOST, 0);
    if (err)
        output_say(stderr, "mcpbus secrets status: DATABASE_URL: %s\n", why);
    pg_blocking_close(&pg);
    return err;
}

static json_int_t take(json_t *counts, const char *id)
{
    json_int_t n = js_int(counts, id, 0);
    json_object_del(counts, id);
    return n;
}

/* {name, id, sessions} of one more; name NULL: under a key that is not set. */
static void add(json_t *list, const char *name, const char *id, json_int_t sessions)
{
    json_array_append_new(
        list, json_pack("{s:s?, s:s, s:I}", "name", name, "id", id, "sessions", sessions));
}

/* {"keys": […], "not_encrypted", "left": must still be encrypted with the first key, "lost": of no
 * key that is set}. */
static json_t *count(const struct token_keys *keys, json_t *counts)
{
    json_int_t left = 0, lost = 0;
    json_t *list = json_array();
    for (size_t i = 0; i < keys->count; i++) {
        json_int_t n = take(counts, keys->ids[i]);
        add(list, keys->names[i], keys->ids[i], n);
        left += i ? n : 0;
    }
    json_int_t plain = take(counts, "");
    const char *id;
    const json_t *n;
    json_object_foreach((json_t *)counts, id, n)
    {
        add(list, NULL, id, json_integer_value(n));
        lost += json_integer_value(n);
    }
    return json_pack("{s:o, s:I, s:I, s:I}", "keys", list, "not_encrypted", plain, "left",
                     left + plain, "lost", lost);
}

static void line(const char *what, const char *id, json_int_t n)
{
    printf("%-30s %-8s %8lld sessions\n", what, id, (long long)n);
}

static void show(const json_t *found)
{
    size_t i;
    json_t *key;
    json_array_foreach(json_object_get(found, "keys"), i, key)
        line(js_str(key, "name", "under a key that is not set"), js_str(key, "id", ""),
             js_int(key, "sessions", 0));
    if (js_int(found, "not_encrypted", 0))
        line("not encrypted yet", "", js_int(found, "not_encrypted", 0));
}

static void conclude(json_int_t left, json_int_t lost)
{
    if (lost)
        printf(
            "%lld sessions can't be read with any of these keys. Set TOKEN_ENCRYPTION_KEY_PREVIOUS "
            "or JWT_SECRET_PREVIOUS to the one that they were encrypted with; nothing of them is "
            "overwritten until their user signs in again.\n",
            (long long)lost);
    if (left)
        printf("%lld sessions are still to be encrypted with the first key: auth does it while it "
               "runs. Keep the keys above.\n",
               (long long)left);
    if (!left && !lost)
        printf("All is under the first key: for stored tokens no other is needed any more.\n");
}

int cmd_secrets_status(int argc, char **argv)
{
    struct args args;
    static struct settings settings;
    if (args_parse("secrets status", argc, argv, 0, 0, &args) ||
        own_settings_load(&args, needed, &settings))
        return CLI_USAGE;
    bool json = args_flag(&args, "--json");
    struct token_keys keys;
    token_keys_init(&keys, &(struct token_secrets){
                               .encryption_key = settings.token_encryption_key,
                               .encryption_key_previous = settings.token_encryption_key_previous,
                               .jwt_secret = settings.jwt_secret,
                               .jwt_secret_previous = settings.jwt_secret_previous});
    AUTOJSON json_t *counts = NULL, *found = NULL;
    if (!read_counts(settings.database_url, json, &counts))
        found = count(&keys, counts);
    token_keys_fini(&keys);
    if (!found)
        return CLI_FAILED;
    json_int_t left = js_int(found, "left", 0), lost = js_int(found, "lost", 0);
    if (json) {
        output_json(found);
    } else {
        show(found);
        conclude(left, lost);
    }
    return left || lost ? CLI_FAILED : CLI_OK;
}
