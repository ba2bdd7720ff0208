/* Invented mails. */
#include <stdio.h>
#include <string.h>

#include "libcommon/crypto.h"
#include "libcommon/js.h"
#include "libcommon/mem.h"
#include "services/sandbox/data.h"

enum { MAILS = 25, HOUR_MS = 3600000 };

struct person {
    const char *name, *email;
};

static const struct person PEOPLE[] = {
    {"Mary Jackson", "mary.jackson@example.org"},   {"Alan Turing", "alan@example.org"},
    {"Katherine Johnson", "katherine@example.net"}, {"Edsger Dijkstra", "edsger@example.net"},
    {"Radia Perlman", "radia@example.org"},         {"Barbara Liskov", "barbara@example.com"},
};
enum { PERSONS = sizeof(PEOPLE) / sizeof(PEOPLE[0]) };

enum attachment { NONE, PDF, DOCX, TXT, PNG };

/* Subjects with a word of their own each, so that a test can search for one. */
static const struct letter {
    const char *subject, *text, *label;
    enum attachment attachment;
    const char *file;
} LETTERS[MAILS] = {
    {"Quarterly report is ready", "The quarterly report is finished. Revenue grew by 12 percent.",
     "IMPORTANT", PDF, "quarterly-report.pdf"},
    {"Lunch on Thursday?", "Shall we meet for lunch on Thursday at half past twelve?", NULL, NONE,
     0},
    {"Minutes of the design review", "Here are the minutes. We decided to keep the queue simple.",
     NULL, DOCX, "minutes.docx"},
    {"Invoice 2041 from Harbour Supplies", "Please find invoice 2041 over 480 euros attached.",
     "CATEGORY_UPDATES", PDF, "invoice-2041.pdf"},
    {"Your train tickets to Lisbon", "Coach 7, seats 41 and 42. Departure at 08:14.",
     "CATEGORY_UPDATES", PDF, "tickets.pdf"},
    {"Notes from the telescope team", "The mirror arrived. Alignment starts on Monday.", NULL, TXT,
     "telescope-notes.txt"},
    {"Welcome to the gardening club", "We meet every second Saturday. Bring gloves.",
     "CATEGORY_PROMOTIONS", NONE, 0},
    {"Reminder: dentist appointment", "Your appointment is next week on Tuesday at 10:30.",
     "STARRED", NONE, 0},
    {"Build failed on branch river", "The tests of module delta failed. See the log for details.",
     "CATEGORY_UPDATES", TXT, "build.log.txt"},
    {"Draft contract for review", "The draft contract is attached. Comments by Friday, please.",
     "IMPORTANT", DOCX, "contract-draft.docx"},
    {"Photos of the mountain hike", "What a view! One photo is attached.", NULL, PNG, "summit.png"},
    {"Newsletter: ten recipes for autumn", "Pumpkin soup, apple cake and eight more recipes.",
     "CATEGORY_PROMOTIONS", NONE, 0},
    {"Budget for next year", "The budget table is in the shared folder. We are slightly over.",
     NULL, NONE, 0},
    {"Question about the compiler", "Which flags do you use for the release build?", NULL, NONE, 0},
    {"Flight confirmation BX117", "Your booking is confirmed. Check-in opens a day before.",
     "CATEGORY_UPDATES", PDF, "boarding.pdf"},
    {"Book recommendation", "Have you read the one about the lighthouse keeper?", NULL, NONE, 0},
    {"Team offsite agenda", "Day one: planning. Day two: the workshop and dinner.", NULL, DOCX,
     "agenda.docx"},
    {"Password changed", "The password of your library account was changed.", "CATEGORY_UPDATES",
     NONE, 0},
    {"Interview schedule for Friday", "Three candidates, an hour each, starting at nine.",
     "IMPORTANT", NONE, 0},
    {"Delivery of the new monitors", "Four monitors will be delivered between eight and noon.",
     NULL, NONE, 0},
    {"Survey results", "84 of 120 colleagues answered. The summary is attached.", NULL, TXT,
     "survey.txt"},
    {"Piano lessons", "The teacher has a free hour on Wednesdays at six.", NULL, NONE, 0},
    {"Security advisory for the router", "Please install the update of the firmware this week.",
     "IMPORTANT", NONE, 0},
    {"Birthday party for Grace", "A surprise! Don't tell her. Cake at four.", "STARRED", NONE, 0},
    {"Old archive found", "The letters of 1998 turned up in a box in the cellar.", NULL, NONE, 0},
};

/* A picture of one transparent dot. */
static const uint8_t DOT_PNG[] = {
    0x89, 'P',  'N',  'G',  0x0d, 0x0a, 0x1a, 0x0a, 0,   0,   0,    13,   'I',  'H',
    'D',  'R',  0,    0,    0,    1,    0,    0,    0,   1,   8,    6,    0,    0,
    0,    0x1f, 0x15, 0xc4, 0x89, 0,    0,    0,    13,  'I', 'D',  'A',  'T',  0x78,
    0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0xf0, 0x1f, 0,    5,   0,   1,    0xff, 0x89, 0x99,
    0x3d, 0x1d, 0,    0,    0,    0,    'I',  'E',  'N', 'D', 0xae, 0x42, 0x60, 0x82};

void mail_add_header(json_t *mail, const char *name, const char *value)
{
    json_array_append_new(json_object_get(mail, "headers"),
                          json_pack("{s:s, s:o}", "name", name, "value",
                                    js_string_capped(value, strlen(value), 4096, "")));
}

const char *mail_header(const json_t *mail, const char *name)
{
    size_t i;
    const json_t *header;
    json_array_foreach(json_object_get(mail, "headers"), i,
                       header) if (strcasecmp(js_str(header, "name", ""), name) ==
                                   0) return js_str(header, "value", "");
    return "";
}

bool mail_has_label(const json_t *mail, const char *label)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(mail, "labelIds"), i,
                       one) if (strcasecmp(json_string_value(one), label) == 0) return true;
    return false;
}

void mail_label(json_t *mail, const char *label, bool on)
{
    size_t i;
    json_t *one, *labels = json_object_get(mail, "labelIds");
    json_array_foreach(labels, i, one)
    {
        if (strcmp(json_string_value(one), label) == 0) {
            if (!on)
                json_array_remove(labels, i);
            return;
        }
    }
    if (on)
        json_array_append_new(labels, json_string(label));
}

void mail_attach(json_t *mail, const char *filename, const char *type, const void *data, size_t len)
{
    AUTOFREE char *text = crypto_base64url_encode(data, len);
    json_t *list = json_object_get(mail, "_attachments");
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "filename", filename, "mimeType",
                                          type, "data", text, "size", (json_int_t)len));
}

/* The beginning of the text, with single spaces. */
static json_t *snippet_of(const char *text)
{
    char line[256];
    size_t n = 0;
    for (; *text && n < sizeof(line) - 1; text++) {
        bool space = strchr(" \t\r\n", *text) != NULL;
        if (!space || (n && line[n - 1] != ' '))
            line[n++] = space ? ' ' : *text;
    }
    while (n && line[n - 1] == ' ')
        n--;
    return js_string_capped(line, n, 200, "");
}

json_t *mail_new(const char *id, const char *thread, int64_t date_ms, const char *from,
                 const char *to, const char *subject, const char *text)
{
    char date[TIME_TEXT_SIZE], message_id[128], history[32];
    time_rfc5322(date_ms, date);
    snprintf(message_id, sizeof(message_id), "<%s@mail.example.com>", id);
    snprintf(history, sizeof(history), "%lld", (long long)(date_ms / 1000));
    json_t *mail = json_pack("{s:s, s:s, s:[], s:I, s:o, s:s, s:[], s:o, s:[]}", "id", id,
                             "threadId", thread, "labelIds", "internalDate", (json_int_t)date_ms,
                             "snippet", snippet_of(text), "historyId", history, "headers", "_text",
                             js_string_capped(text, strlen(text), 1 << 20, ""), "_attachments");
    mail_add_header(mail, "From", from);
    mail_add_header(mail, "To", to);
    mail_add_header(mail, "Subject", subject);
    mail_add_header(mail, "Date", date);
    mail_add_header(mail, "Message-ID", message_id);
    return mail;
}

static void attach_document(json_t *mail, const struct letter *letter)
{
    size_t len;
    if (letter->attachment == PDF) {
        AUTOFREE uint8_t *pdf = office_pdf(letter->text, &len);
        mail_attach(mail, letter->file, "application/pdf", pdf, len);
    } else if (letter->attachment == DOCX) {
        AUTOFREE uint8_t *docx = office_docx(letter->text, &len);
        mail_attach(mail, letter->file,
                    "application/vnd.openxmlformats-officedocument.wordprocessingml.document", docx,
                    len);
    } else if (letter->attachment == TXT) {
        mail_attach(mail, letter->file, "text/plain", letter->text, strlen(letter->text));
    } else if (letter->attachment == PNG) {
        mail_attach(mail, letter->file, "image/png", DOT_PNG, sizeof(DOT_PNG));
    }
}

static void add_html(json_t *mail, const struct letter *letter)
{
    AUTOFREE char *html = mem_printf("<html><body><p>%s</p></body></html>", letter->text);
    json_object_set_new(mail, "_html", json_string(html));
}

static json_t *make_mail(const struct account *account, unsigned i, const struct letter *letter,
                         int64_t date_ms)
{
    char id[ITEM_ID_SIZE];
    const struct person *person = &PEOPLE[data_number(account->email, "from", i) % PERSONS];
    AUTOFREE char *from = mem_printf("%s <%s>", person->name, person->email);
    AUTOFREE char *to = mem_printf("%s <%s>", account->name, account->email);
    /* The address shows in a list's snippets, so that a test sees whose mails they are. */
    AUTOFREE char *text = mem_printf("Dear %s (%s),\r\n\r\n%s\r\n\r\nBest wishes,\r\n%s\r\n",
                                     account->name, account->email, letter->text, person->name);
    data_mail_id(account->email, i, id);
    json_t *mail = mail_new(id, id, date_ms, from, to, letter->subject, text);
    mail_label(mail, "INBOX", true);
    if (letter->label)
        mail_label(mail, letter->label, true);
    if (data_number(account->email, "unread", i) % 3 == 0)
        mail_label(mail, "UNREAD", true);
    if (i % 2 == 0)
        add_html(mail, letter);
    attach_document(mail, letter);
    return mail;
}

json_t *data_mails(const struct account *account, int64_t now_ms)
{
    json_t *mails = json_array();
    unsigned first = data_number(account->email, "first", 0) % MAILS;
    int64_t date_ms = now_ms - now_ms % 60000;
    for (unsigned i = 0; i < MAILS; i++) {
        date_ms -= (int64_t)(1 + data_number(account->email, "gap", i) % 30) * HOUR_MS;
        json_array_append_new(mails, make_mail(account, i, &LETTERS[(first + i) % MAILS], date_ms));
    }
    return mails;
}
