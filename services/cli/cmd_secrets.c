/* mcpbus secrets status: which key encrypts how many of the stored Google tokens. */
#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "libcommon/pg.h"
#include "services/cli/args.h"
#include "services/settings.h"
#include "services/token_keys.h"

enum { WHY_SIZE = 512 };

/* {key id: sessions}; "" stands for tokens that are not encrypted. */
static const char counts_sql[] =
    "SELECT coalesce(json_object_agg(id, n), '{}') FROM ("
    " SELECT coalesce(substring(token_data::text FROM '\"v1\\.([0-9a-f]{8})\\.'), '') AS id,"
    "  count(*) AS n FROM user_sessions WHERE position('token' IN token_data::text) > 0"
    " GROUP BY 1) counts";

static void notice(const char *name, const char *what)
{
    fprintf(stderr, "%s: %s\n", name, what);
}

static enum err load(const struct args *args, struct settings *ret_settings)
{
    char why[SETTINGS_WHY_SIZE];
    if (settings_load(settings_table, settings_count, args_text(args, "--env-file", ".env"),
                      ret_settings, notice, why)) {
        fprintf(stderr, "%s\n", why);
        return ERR_INVALID;
    }
    if (ret_settings->database_url && ret_settings->jwt_secret)
        return ERR_OK;
    fprintf(stderr, "%s is not set: it takes what the auth service has\n",
            ret_settings->database_url ? "JWT_SECRET" : "DATABASE_URL");
    return ERR_INVALID;
}

static enum err read_counts(const char *url, json_t **ret_counts)
{
    struct pg_blocking *pg = NULL;
    char why[WHY_SIZE] = "";
    AUTOFREE char *text = NULL;
    enum err err = pg_blocking_open(url, &pg, why);
    if (!err)
        err = pg_blocking_value(pg, counts_sql, NULL, 0, &text, why);
    if (!err)
        err = js_parse(text, strlen(text), ret_counts, NULL);
    if (err)
        fprintf(stderr, "%s\n", why[0] ? why : "the database gave no answer that makes sense");
    pg_blocking_close(&pg);
    return err;
}

static json_int_t take(json_t *counts, const char *id)
{
    json_int_t n = js_int(counts, id, 0);
    json_object_del(counts, id);
    return n;
}

static void line(const char *what, const char *id, json_int_t n)
{
    printf("%-30s %-8s %8lld sessions\n", what, id, (long long)n);
}

/* How many must still be encrypted with the first key; `ret_lost`: of them, without any key. */
static json_int_t show(const struct token_keys *keys, json_t *counts, json_int_t *ret_lost)
{
    json_int_t left = 0, lost = 0;
    for (size_t i = 0; i < keys->count; i++) {
        json_int_t n = take(counts, keys->ids[i]);
        line(keys->names[i], keys->ids[i], n);
        left += i ? n : 0;
    }
    json_int_t plain = take(counts, "");
    if (plain)
        line("not encrypted yet", "", plain);
    const char *id;
    const json_t *n;
    json_object_foreach((json_t *)counts, id, n)
    {
        line("under a key that is not set", id, json_integer_value(n));
        lost += json_integer_value(n);
    }
    *ret_lost = lost;
    return left + plain;
}

static int conclude(json_int_t left, json_int_t lost)
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
    return left || lost ? CLI_FAILED : CLI_OK;
}

int cmd_secrets_status(int argc, char **argv)
{
    struct args args;
    static struct settings settings;
    if (args_parse("secrets status", argc, argv, 0, 0, &args) || load(&args, &settings))
        return CLI_USAGE;
    struct token_keys keys;
    token_keys_init(&keys, &(struct token_secrets){
                               .encryption_key = settings.token_encryption_key,
                               .encryption_key_previous = settings.token_encryption_key_previous,
                               .jwt_secret = settings.jwt_secret,
                               .jwt_secret_previous = settings.jwt_secret_previous});
    AUTOJSON json_t *counts = NULL;
    if (read_counts(settings.database_url, &counts))
        return CLI_FAILED;
    json_int_t lost = 0, left = show(&keys, counts, &lost);
    token_keys_fini(&keys);
    return conclude(left, lost);
}
