#include "services/cli/lookup.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/cli/output.h"

static void list_users(const json_t *users)
{
    size_t i;
    json_t *user;
    json_array_foreach(users, i, user) output_say(stderr, "  %s\n", js_str(user, "user_id", ""));
}

static int by_email(struct bus_session *session, const char *email, char **ret_user_id)
{
    AUTOJSON json_t *result = NULL;
    if (session_call(session, "auth.find", json_pack("{s:s}", "email", email), NULL, NULL, &result))
        return session_fail(session, "auth.find");
    const json_t *users = json_object_get(result, "users");
    if (json_array_size(users) == 1) {
        *ret_user_id = mem_strdup(js_str(json_array_get(users, 0), "user_id", ""));
        return CLI_OK;
    }
    if (json_array_size(users) == 0) {
        return session_refuse(session, "NOT_FOUND",
                              "nobody has signed in as %s; --user takes a user's id, too", email);
    }
    int status = session_refuse(session, "CONFLICT",
                                "several users have the address %s; name one by its id:", email);
    list_users(users);
    return status;
}

int lookup_user(struct bus_session *session, const char *id_or_email, char **ret_user_id)
{
    if (strchr(id_or_email, '@'))
        return by_email(session, id_or_email, ret_user_id);
    *ret_user_id = mem_strdup(id_or_email);
    return CLI_OK;
}

int lookup_job(struct bus_session *session, const char *job_id, const char *user, json_t **ret_job)
{
    AUTOFREE char *user_id = NULL;
    AUTOJSON json_t *job = NULL;
    int status = user ? lookup_user(session, user, &user_id) : CLI_OK;
    if (status)
        return status;
    enum mcpbus_status found =
        session_call(session, "jobs.find", json_pack("{s:s}", "job_id", job_id), NULL, NULL, &job);
    bool others = !found && user_id && strcmp(user_id, js_str(job, "user_id", "")) != 0;
    if (found == MCPBUS_ERR_NOT_FOUND || others) {
        return session_refuse(session, "NOT_FOUND",
                              "there is no job %s%s%s; mcpbus jobs list shows the newest", job_id,
                              user ? " of " : "", user ? user : "");
    }
    if (found)
        return session_fail(session, "jobs.find");
    *ret_job = json_incref(job);
    return CLI_OK;
}

json_t *lookup_args(const json_t *job)
{
    return json_pack("{s:s, s:s}", "job_id", js_str(job, "job_id", ""), "user_id",
                     js_str(job, "user_id", ""));
}
