/* The sandbox: one process that stands in for Google and OpenAI, for development and tests. All
 * state is in memory and bounded; everything runs on the loop's thread. */
#ifndef MCPBUS_SANDBOX_H
#define MCPBUS_SANDBOX_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcommon/http_server.h"
#include "libcommon/loop.h"
#include "services/sandbox/accounts.h"
#include "services/sandbox/faults.h"

enum {
    SANDBOX_BODY_MAX = 12 << 20, /* an upload to Drive, base64 and all */
    SANDBOX_SPENT_MAX = 4096,    /* used codes, and revoked grants, that are remembered */
    SANDBOX_SLOW_MAX = 600,      /* seconds that an answer can be held back */
    SANDBOX_WAITING_MAX = 4096,  /* answers held back at once */
    SANDBOX_UPLOADS_MAX = 16,    /* resumable uploads at once */
};

/* Numbers seen before; the oldest is forgotten when it is full. */
struct spent {
    uint64_t ids[SANDBOX_SPENT_MAX];
    unsigned next;
};

struct sandbox_options {
    int port;
    const char *client_id, *client_secret; /* NULL: any client */
    int64_t token_seconds;
};

struct delayed;
struct inner;
struct lab;
struct sessions;

struct sandbox {
    struct loop *loop;
    struct http_server *server;
    struct sandbox_options options;
    uint8_t key[32]; /* seals codes, tokens and forms */
    struct accounts *accounts;
    struct faults *faults;
    struct lab *lab;
    struct spent codes, revoked;
    struct delayed *waiting; /* answers held back */
    unsigned waiting_count;
    struct sessions *uploads; /* resumable ones; NULL until the first */
};

/* One request on its way through a handler. */
struct call {
    struct sandbox *sandbox;
    struct http_request *request;
    struct inner *inner; /* NULL: the request itself; else a call within a batch */
    const char *method, *path;
    char args[3][512];       /* what the pattern's stars matched */
    int64_t now_ms;          /* wall clock */
    struct account *account; /* Google's APIs: whose token it is */
    uint32_t scopes;         /* and what it allows */
};

typedef void call_fn(struct call *call);

/* Listens on 127.0.0.1; the options' texts are borrowed. */
MUST_CHECK enum err sandbox_new(struct loop *loop, const struct sandbox_options *options,
                                struct sandbox **ret_sandbox);
void sandbox_destroy(struct sandbox **sandbox_p);

bool spent_has(const struct spent *spent, uint64_t id);
void spent_add(struct spent *spent, uint64_t id);

/* Handlers, by subject. */
call_fn oauth_authorize, oauth_consent, oauth_token, oauth_revoke, oauth_userinfo;
call_fn gmail_profile, gmail_list, gmail_get, gmail_attachment, gmail_labels, gmail_send,
    gmail_modify, gmail_trash, gmail_untrash, gmail_delete, gmail_threads, gmail_thread,
    gmail_insert;
call_fn drive_list, drive_get, drive_export, drive_create, drive_update, drive_delete, drive_copy,
    drive_upload, drive_upload_update, drive_upload_piece, drive_permissions, drive_permission,
    drive_permit, drive_permission_update, drive_unpermit, drive_about, drive_drives, drive_new_ids,
    drive_empty_trash;
call_fn calendar_list, calendar_get, calendar_insert, calendar_patch, calendar_update,
    calendar_delete, calendar_free_busy, calendar_calendars, calendar_entry, calendar_own,
    calendar_own_patch, calendar_setting, calendar_settings;
call_fn docs_get, docs_batch_update, docs_create;
call_fn sheets_create, sheets_get, sheets_batch_update, sheets_values_get, sheets_values_update,
    sheets_values_post, sheets_values_batch_get, sheets_values_batch_update;
call_fn openai_chat, openai_models;
call_fn google_batch, lab_requests, lab_forget, lab_order;
call_fn page_index, page_style, page_health;

/* Finds whose token the request bears, and what it may do; false: none, expired or revoked. */
bool oauth_bearer(struct call *call);

#endif
