/* What strangers send to the monitor's sign-in: cookies, Authorization, Origin, forms, tickets. No
 * input passes as sealed without the key or as an address of the list, and what is read is whole.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcommon/crypto.h"
#include "libcommon/form.h"
#include "libcommon/mem.h"
#include "services/monitor/login_page.h"
#include "services/monitor/login_read.h"
#include "services/monitor/login_ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct login_keys keys;

static void read_headers(const char *text)
{
    bool basic;
    AUTOFREE char *cookie = login_read_cookie(text, "mcpbus_monitor");
    AUTOFREE char *secret = login_read_authorization(text, &basic);
    if (cookie && strchr(cookie, ';'))
        abort();
    if (secret && basic && strlen(secret) > LOGIN_SECRET_MAX)
        abort();
    if (login_is_own_origin(text, "dash.example", true, NULL) &&
        strcasecmp(text, "https://dash.example") != 0)
        abort();
    login_is_own_origin("https://dash.example", text, false, text);
}

static void read_list(const char *text)
{
    if (login_admins_have("ada@example.com,ben@example.com", text) &&
        strcasecmp(text, "ada@example.com") != 0 && strcasecmp(text, "ben@example.com") != 0)
        abort();
    if (login_admins_are_good(text) && login_admins_have(text, ""))
        abort();
}

static void read_ticket(const char *text, size_t len)
{
    struct ticket ticket;
    if (ticket_open(&keys, text, 1000, &ticket) == ERR_OK)
        abort(); /* the fuzzer can't know the key */
    if (len > TICKET_MAX_BYTES / 2)
        return;
    /* The input as what is sealed, so that what comes after the seal is reached. */
    AUTOFREE char *sealed = crypto_seal(keys.keys[0], "monitor-session", text, len);
    if (ticket_open(&keys, sealed, 1000, &ticket) == ERR_OK &&
        (!ticket.name[0] || ticket.expires_at > 1000 + TICKET_LIFE_S))
        abort();
}

static void show(const char *text)
{
    AUTOFREE char *page = login_page_fault("Title", text);
    const char *shown = strstr(page, "id=\"message\">");
    if (shown && strcspn(shown + strlen("id=\"message\">"), "<") !=
                     (size_t)(strstr(shown, "</p>") - shown) - strlen("id=\"message\">"))
        abort(); /* an element that the text has made */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!keys.count)
        login_keys_init(&keys, "a secret of the fuzzer's own", "and another of it");
    AUTOFREE char *text = mem_strndup((const char *)data, size);
    AUTOFREE char *token = form_value((const char *)data, size, "token", 0);
    if (token && strlen(token) > size)
        abort();
    read_headers(text);
    read_list(text);
    read_ticket(text, strlen(text));
    if (size < 8192)
        show(text);
    return 0;
}
