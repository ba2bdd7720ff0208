/* mcpbus users: who has signed in with an address. */
#include "libcommon/js.h"
#include "services/cli/bus_session.h"
#include "services/cli/output.h"

static void print_users(const json_t *users)
{
    static const char *const heads[] = {"USER", "EMAIL", "NAME", "CONSENT", "UPDATED"};
    struct table *table = table_new(heads, "kkcdd");
    size_t i;
    json_t *user;
    json_array_foreach(users, i, user)
    {
        bool consent = js_bool(user, "authenticated", false);
        table_add(table, PAINT_PLAIN, js_str(user, "user_id", ""));
        table_add(table, PAINT_PLAIN, js_str(user, "email", ""));
        table_add(table, PAINT_PLAIN, js_str(user, "name", ""));
        table_add(table, consent ? PAINT_GOOD : PAINT_WARN, consent ? "given" : "withdrawn");
        table_add(table, PAINT_PLAIN, js_str(user, "updated_at", ""));
    }
    table_print(&table);
}

static int find(struct bus_session *session, const struct args *args)
{
    AUTOJSON json_t *result = NULL;
    if (session_call(session, "auth.find", json_pack("{s:s}", "email", args->words[0]), NULL, NULL,
                     &result))
        return session_fail(session, "auth.find");
    const json_t *users = json_object_get(result, "users");
    if (args_flag(args, "--json"))
        output_json(result);
    else if (json_array_size(users))
        print_users(users);
    else
        output_say(stderr, "mcpbus: nobody has signed in as %s\n", args->words[0]);
    return json_array_size(users) ? CLI_OK : CLI_FAILED;
}

int cmd_users(int argc, char **argv)
{
    struct args args;
    struct bus_session *session = NULL;
    if (args_parse("users", argc, argv, 1, 1, &args))
        return CLI_USAGE;
    int status = session_open(&args, &session);
    if (!status)
        status = find(session, &args);
    session_close(&session);
    return status;
}
