#include "services/sandbox/notify.h"

#include <string.h>

#include "libcommon/mem.h"
#include "services/sandbox/data.h"

enum { NOTIFY_IDS = 100000, MAIL_BYTES = 512 };

void notify_mail(struct call *call, const char *to, const char *subject, const char *text)
{
    char id[ITEM_ID_SIZE];
    struct account *account = accounts_find(call->sandbox->accounts, to);
    if (!account)
        return;
    accounts_fill(call->sandbox->accounts, account, call->now_ms);
    data_mail_id(account->email, NOTIFY_IDS + account->serial++, id);
    AUTOFREE char *from = mem_printf("%s <%s>", call->account->name, call->account->email);
    json_t *mail = mail_new(id, id, call->now_ms, from, account->email, subject, text);
    mail_label(mail, "INBOX", true);
    mail_label(mail, "UNREAD", true);
    /* A full mailbox loses it, as a real one would. */
    if (item_add(account, account->mails, mail, strlen(text) + MAIL_BYTES) != ERR_OK)
        return;
}
