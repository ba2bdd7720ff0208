#include "services/sandbox/accounts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"

struct accounts {
    struct account *list[ACCOUNTS_MAX];
    size_t count;
    uint64_t clock;
};

struct accounts *accounts_new(void)
{
    struct accounts *accounts = mem_alloc(sizeof(*accounts));
    accounts_get(accounts, "grace@example.com");
    accounts_get(accounts, "ada@example.com");
    return accounts;
}

static void empty(struct account *account)
{
    json_decref(account->mails);
    json_decref(account->files);
    json_decref(account->events);
    account->mails = account->files = account->events = NULL;
    account->stored = 0;
}

void accounts_destroy(struct accounts **accounts_p)
{
    struct accounts *accounts = *accounts_p;
    *accounts_p = NULL;
    if (!accounts)
        return;
    for (size_t i = 0; i < accounts->count; i++) {
        empty(accounts->list[i]);
        free(accounts->list[i]);
    }
    free(accounts);
}

bool email_is_valid(const char *email)
{
    size_t len = strlen(email);
    const char *at = strchr(email, '@');
    if (len < 3 || len > EMAIL_MAX || !at || at == email || strchr(at + 1, '@'))
        return false;
    for (const char *c = email; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("@.-_+!#$%&'*/=?^`{|}~", *c))
            return false;
    return isalnum((unsigned char)at[1]) && isalnum((unsigned char)email[len - 1]);
}

struct account *accounts_find(struct accounts *accounts, const char *email)
{
    for (size_t i = 0; i < accounts->count; i++) {
        if (strcasecmp(accounts->list[i]->email, email) == 0) {
            accounts->list[i]->used = ++accounts->clock;
            return accounts->list[i];
        }
    }
    return NULL;
}

/* Google's subs are 21 digits that begin with 1. */
static void make_sub(struct account *account)
{
    uint8_t digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(account->email, strlen(account->email), digest);
    account->sub[0] = '1';
    for (int i = 1; i < 21; i++)
        account->sub[i] = (char)('0' + digest[i] % 10);
    account->sub[21] = 0;
}

/* "ada.lovelace@…" is called Ada Lovelace. */
static void make_name(struct account *account)
{
    bool start = true;
    size_t n = 0;
    for (const char *c = account->email; *c != '@' && n + 1 < sizeof(account->name); c++) {
        bool letter = isalnum((unsigned char)*c);
        if (letter)
            account->name[n++] = (char)(start ? toupper((unsigned char)*c) : *c);
        else if (!start)
            account->name[n++] = ' ';
        start = !letter;
    }
    account->name[n] = 0;
    if (n && account->name[n - 1] == ' ')
        account->name[n - 1] = 0;
}

static struct account *oldest(struct accounts *accounts, bool filled, const struct account *keep)
{
    struct account *found = NULL;
    for (size_t i = 0; i < accounts->count; i++) {
        struct account *one = accounts->list[i];
        if (one != keep && (!filled || one->mails) && (!found || one->used < found->used))
            found = one;
    }
    return found;
}

struct account *accounts_get(struct accounts *accounts, const char *email)
{
    if (!email_is_valid(email))
        return NULL;
    struct account *account = accounts_find(accounts, email);
    if (account)
        return account;
    if (accounts->count < ACCOUNTS_MAX) {
        account = accounts->list[accounts->count++] = mem_alloc(sizeof(*account));
    } else {
        account = oldest(accounts, false, NULL);
        empty(account);
        memset(account, 0, sizeof(*account));
    }
    for (size_t i = 0; email[i]; i++)
        account->email[i] = (char)tolower((unsigned char)email[i]);
    make_sub(account);
    make_name(account);
    account->used = ++accounts->clock;
    return account;
}

void accounts_fill(struct accounts *accounts, struct account *account, int64_t now_ms)
{
    size_t filled = 0;
    if (account->mails)
        return;
    for (size_t i = 0; i < accounts->count; i++)
        filled += accounts->list[i]->mails != NULL;
    if (filled >= ACCOUNTS_FILLED_MAX)
        empty(oldest(accounts, true, account));
    account->mails = data_mails(account, now_ms);
    account->files = data_files(account, now_ms);
    account->events = data_events(account, now_ms);
}

json_t *item_find(const json_t *items, const char *id)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item) if (strcmp(js_str(item, "id", ""), id) == 0) return item;
    return NULL;
}

bool item_remove(json_t *items, const char *id)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item) if (strcmp(js_str(item, "id", ""), id) ==
                                           0) return json_array_remove(items, i) == 0;
    return false;
}

enum err item_add(struct account *account, json_t *items, json_t *item, size_t bytes)
{
    bool full =
        json_array_size(items) >= ACCOUNT_ITEMS_MAX || bytes > ACCOUNT_STORED_MAX - account->stored;
    if (full) {
        json_decref(item);
        return ERR_LIMITED;
    }
    account->stored += bytes;
    json_array_insert_new(items, 0, item);
    return ERR_OK;
}
