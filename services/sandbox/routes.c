#include "services/sandbox/routes.h"

#include <string.h>
#include <time.h>

#include "services/sandbox/errors.h"
#include "services/sandbox/inner.h"
#include "services/sandbox/lab.h"
#include "services/sandbox/scopes.h"

/* The scopes that Google's reference names for each method ("Authorization scopes"). */
enum {
    READ_MAIL = SCOPE_MAIL | SCOPE_GMAIL_MODIFY | SCOPE_GMAIL_READONLY,
    SEE_PROFILE = READ_MAIL | SCOPE_GMAIL_COMPOSE,
    SEE_LABELS = READ_MAIL | SCOPE_GMAIL_LABELS,
    SEND_MAIL = SCOPE_MAIL | SCOPE_GMAIL_MODIFY | SCOPE_GMAIL_COMPOSE | SCOPE_GMAIL_SEND,
    CHANGE_MAIL = SCOPE_MAIL | SCOPE_GMAIL_MODIFY,
    DELETE_MAIL = SCOPE_MAIL,
    READ_DRIVE = SCOPE_DRIVE | SCOPE_DRIVE_READONLY | SCOPE_DRIVE_FILE,
    SEE_DRIVE = READ_DRIVE | SCOPE_DRIVE_METADATA | SCOPE_DRIVE_METADATA_READONLY,
    WRITE_DRIVE = SCOPE_DRIVE | SCOPE_DRIVE_FILE,
    CHANGE_DRIVE = WRITE_DRIVE | SCOPE_DRIVE_METADATA,
    WRITE_EVENTS = SCOPE_CALENDAR | SCOPE_CALENDAR_EVENTS | SCOPE_CALENDAR_EVENTS_OWNED,
    READ_EVENTS = WRITE_EVENTS | SCOPE_CALENDAR_READONLY | SCOPE_CALENDAR_EVENTS_READONLY |
                  SCOPE_CALENDAR_EVENTS_OWNED_READONLY,
    SEE_CALENDARS = SCOPE_CALENDAR | SCOPE_CALENDAR_READONLY,
    SEE_BUSY = SEE_CALENDARS | SCOPE_CALENDAR_FREEBUSY | SCOPE_CALENDAR_EVENTS_FREEBUSY,
    WRITE_DOCS = SCOPE_DOCUMENTS | WRITE_DRIVE,
    READ_DOCS = WRITE_DOCS | SCOPE_DOCUMENTS_READONLY | READ_DRIVE,
    WRITE_SHEETS = SCOPE_SHEETS | WRITE_DRIVE,
    READ_SHEETS = WRITE_SHEETS | SCOPE_SHEETS_READONLY | READ_DRIVE,
    IDENTITY = SCOPE_OPENID | SCOPE_EMAIL | SCOPE_PROFILE,
};

#define GMAIL "/gmail/v1/users/*/"
#define EVENTS "/calendar/v3/calendars/*/events"

/* The first that fits answers. A star is one segment; scopes 0: no Google token is needed. */
static const struct route {
    const char *method, *pattern;
    call_fn *handler;
    uint32_t scopes;
} ROUTES[] = {
    {"GET", "/", page_index, 0},
    {"GET", "/sandbox.css", page_style, 0},
    {"GET", "/healthz", page_health, 0},
    {"GET", "/health", page_health, 0},

    {"GET", "/o/oauth2/v2/auth", oauth_authorize, 0},
    {"GET", "/o/oauth2/auth", oauth_authorize, 0},
    {"POST", "/o/oauth2/v2/consent", oauth_consent, 0},
    {"POST", "/token", oauth_token, 0},
    {"POST", "/revoke", oauth_revoke, 0},
    {"GET", "/v1/userinfo", oauth_userinfo, IDENTITY},
    {"POST", "/v1/userinfo", oauth_userinfo, IDENTITY},
    {"GET", "/oauth2/v2/userinfo", oauth_userinfo, IDENTITY},
    {"GET", "/oauth2/v3/userinfo", oauth_userinfo, IDENTITY},

    {"GET", GMAIL "profile", gmail_profile, SEE_PROFILE},
    {"GET", GMAIL "labels", gmail_labels, SEE_LABELS},
    {"GET", GMAIL "messages", gmail_list, READ_MAIL},
    {"POST", GMAIL "messages", gmail_insert, CHANGE_MAIL},
    {"POST", GMAIL "messages/send", gmail_send, SEND_MAIL},
    {"GET", GMAIL "messages/*", gmail_get, READ_MAIL},
    {"DELETE", GMAIL "messages/*", gmail_delete, DELETE_MAIL},
    {"GET", GMAIL "messages/*/attachments/*", gmail_attachment, READ_MAIL},
    {"POST", GMAIL "messages/*/modify", gmail_modify, CHANGE_MAIL},
    {"POST", GMAIL "messages/*/trash", gmail_trash, CHANGE_MAIL},
    {"POST", GMAIL "messages/*/untrash", gmail_untrash, CHANGE_MAIL},
    {"GET", GMAIL "threads", gmail_threads, READ_MAIL},
    {"GET", GMAIL "threads/*", gmail_thread, READ_MAIL},

    {"GET", "/drive/v3/about", drive_about, SEE_DRIVE},
    {"GET", "/drive/v3/drives", drive_drives, SCOPE_DRIVE | SCOPE_DRIVE_READONLY},
    {"GET", "/drive/v3/files", drive_list, SEE_DRIVE},
    {"POST", "/drive/v3/files", drive_create, WRITE_DRIVE},
    {"GET", "/drive/v3/files/generateIds", drive_new_ids, WRITE_DRIVE},
    {"DELETE", "/drive/v3/files/trash", drive_empty_trash, SCOPE_DRIVE},
    {"GET", "/drive/v3/files/*", drive_get, SEE_DRIVE},
    {"PATCH", "/drive/v3/files/*", drive_update, CHANGE_DRIVE},
    {"DELETE", "/drive/v3/files/*", drive_delete, WRITE_DRIVE},
    {"GET", "/drive/v3/files/*/export", drive_export, READ_DRIVE},
    {"POST", "/drive/v3/files/*/copy", drive_copy, WRITE_DRIVE},
    {"GET", "/drive/v3/files/*/permissions", drive_permissions, SEE_DRIVE},
    {"POST", "/drive/v3/files/*/permissions", drive_permit, WRITE_DRIVE},
    {"GET", "/drive/v3/files/*/permissions/*", drive_permission, SEE_DRIVE},
    {"PATCH", "/drive/v3/files/*/permissions/*", drive_permission_update, WRITE_DRIVE},
    {"DELETE", "/drive/v3/files/*/permissions/*", drive_unpermit, WRITE_DRIVE},
    {"POST", "/upload/drive/v3/files", drive_upload, WRITE_DRIVE},
    {"PATCH", "/upload/drive/v3/files/*", drive_upload_update, WRITE_DRIVE},
    {"PUT", "/upload/drive/v3/files", drive_upload_piece, 0},
    {"PUT", "/upload/drive/v3/files/*", drive_upload_piece, 0},

    {"GET", "/calendar/v3/users/*/calendarList", calendar_calendars, SEE_CALENDARS},
    {"GET", "/calendar/v3/users/*/calendarList/*", calendar_entry, SEE_CALENDARS},
    {"GET", "/calendar/v3/users/*/settings", calendar_settings, SEE_CALENDARS},
    {"GET", "/calendar/v3/users/*/settings/*", calendar_setting, SEE_CALENDARS},
    {"POST", "/calendar/v3/freeBusy", calendar_free_busy, SEE_BUSY},
    {"GET", "/calendar/v3/calendars/*", calendar_own, SEE_CALENDARS},
    {"PATCH", "/calendar/v3/calendars/*", calendar_own_patch, SCOPE_CALENDAR},
    {"GET", EVENTS, calendar_list, READ_EVENTS | SCOPE_CALENDAR_EVENTS_FREEBUSY},
    {"POST", EVENTS, calendar_insert, WRITE_EVENTS},
    {"GET", EVENTS "/*", calendar_get, READ_EVENTS | SCOPE_CALENDAR_EVENTS_FREEBUSY},
    {"PATCH", EVENTS "/*", calendar_patch, WRITE_EVENTS},
    {"PUT", EVENTS "/*", calendar_update, WRITE_EVENTS},
    {"DELETE", EVENTS "/*", calendar_delete, WRITE_EVENTS},

    {"POST", "/v1/documents", docs_create, WRITE_DOCS},
    {"GET", "/v1/documents/*", docs_get, READ_DOCS},
    {"POST", "/v1/documents/*", docs_batch_update, WRITE_DOCS},

    {"POST", "/v4/spreadsheets", sheets_create, WRITE_SHEETS},
    {"GET", "/v4/spreadsheets/*", sheets_get, READ_SHEETS},
    {"POST", "/v4/spreadsheets/*", sheets_batch_update, WRITE_SHEETS},
    {"GET", "/v4/spreadsheets/*/values:batchGet", sheets_values_batch_get, READ_SHEETS},
    {"POST", "/v4/spreadsheets/*/values:batchUpdate", sheets_values_batch_update, WRITE_SHEETS},
    {"GET", "/v4/spreadsheets/*/values/*", sheets_values_get, READ_SHEETS},
    {"PUT", "/v4/spreadsheets/*/values/*", sheets_values_update, WRITE_SHEETS},
    {"POST", "/v4/spreadsheets/*/values/*", sheets_values_post, WRITE_SHEETS},

    {"POST", "/batch/*/*", google_batch, 0},
    {"GET", "/sandbox/requests", lab_requests, 0},
    {"DELETE", "/sandbox/requests", lab_forget, 0},
    {"POST", "/sandbox/failures", lab_order, 0},

    {"POST", "/v1/chat/completions", openai_chat, 0},
    {"POST", "/chat/completions", openai_chat, 0},
    {"GET", "/v1/models", openai_models, 0},
    {"GET", "/models", openai_models, 0},
};

/* Does the path fit? What the stars matched goes to call->args. */
static bool fits(struct call *call, const char *pattern)
{
    const char *path = call->path;
    unsigned star = 0;
    while (*pattern) {
        if (*pattern != '*') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t len = strcspn(path, "/");
        if (len == 0 || len >= sizeof(call->args[0]) || star == 3)
            return false;
        memcpy(call->args[star], path, len);
        call->args[star++][len] = 0;
        path += len;
        pattern++;
    }
    return *path == 0;
}

static void answer(struct call *call, const struct route *route)
{
    if (route->scopes == 0) {
        route->handler(call);
    } else if (!oauth_bearer(call)) {
        google_unauthenticated(call);
    } else if (!(call->scopes & route->scopes)) {
        google_scope_missing(call);
    } else {
        accounts_fill(call->sandbox->accounts, call->account, call->now_ms);
        route->handler(call);
    }
}

static void handle(struct call *call)
{
    bool known = false;
    if (strncmp(call->path, "/sandbox/", 9) != 0) {
        if (!call->inner)
            lab_note(call->sandbox->lab, call->method, call->path);
        if (lab_fail(call->sandbox->lab, call))
            return;
    }
    for (size_t i = 0; i < sizeof(ROUTES) / sizeof(ROUTES[0]); i++) {
        if (!fits(call, ROUTES[i].pattern))
            continue;
        known = true;
        if (strcmp(ROUTES[i].method, call->method) == 0) {
            answer(call, &ROUTES[i]);
            return;
        }
    }
    google_error(call, known ? 405 : 404, known ? "httpMethodNotAllowed" : "notFound",
                 known ? "Method not allowed." : "Not Found");
}

void routes_handle(void *arg, struct http_request *request)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct call call = {.sandbox = arg,
                        .request = request,
                        .method = http_request_method(request),
                        .path = http_request_path(request),
                        .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    handle(&call);
}

void routes_handle_inner(const struct call *outer, const char *method, struct inner *inner)
{
    struct call call = {.sandbox = outer->sandbox,
                        .request = outer->request,
                        .inner = inner,
                        .method = method,
                        .path = inner->path,
                        .now_ms = outer->now_ms};
    handle(&call);
}
